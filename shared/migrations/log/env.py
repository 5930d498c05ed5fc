from shared.messaging.transport.models import metadata
from shared.migrations.scripts import run

run(metadata)
