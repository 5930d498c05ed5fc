from services.trigger.models import metadata
from shared.migrations.scripts import run

run(metadata)
