from services.scoring.models import metadata
from shared.migrations.scripts import run

run(metadata)
