from shared.messaging.transport.models import metadata
from shared.migrations import run

run(metadata)
