from services.trigger.models import metadata
from shared.migrations import run

run(metadata)
