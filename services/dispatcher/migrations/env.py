from services.dispatcher.models import metadata
from shared.migrations import run

run(metadata)
