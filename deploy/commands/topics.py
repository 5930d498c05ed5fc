"""`earshot topics`: print or create the Kafka topics."""

from __future__ import annotations

from typing import Annotated

import typer

from shared.config import Settings
from shared.contract import topics
from shared.runtime import kafka_security, run_command

app = typer.Typer()


@app.command("topics")
def kafka_topics(
    *,
    create: Annotated[
        bool, typer.Option("--create/--print", help="Create the topics, or print the commands that do.")
    ] = False,
) -> None:
    """Print or create the Kafka topics with their partitions, retention and clean-up policy."""
    settings = Settings()
    if create:
        run_command(lambda: _create_topics(settings))
    else:
        print("\n".join(topics.create_commands(topic_prefix=settings.topic_prefix)))


async def _create_topics(settings: Settings) -> None:
    from shared.messaging.transport.kafka import create_topics  # noqa: PLC0415 - aiokafka is loaded only where it is used

    made = await create_topics(
        settings.events_url,
        topics.TOPICS,
        topic_prefix=settings.topic_prefix,
        security=kafka_security(settings),
    )
    print(f"{len(made)} topics created, {len(topics.TOPICS) - len(made)} existed")
