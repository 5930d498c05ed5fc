from shared.migrations import run
from shared.transport.models import metadata

run(metadata)
