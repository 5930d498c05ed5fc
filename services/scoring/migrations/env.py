from services.scoring.models import metadata
from shared.migrations import run

run(metadata)
