"""After a restore, customers who were erased since the backup are erased again, by what the event log keeps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from shared.contract import cloudevents
from shared.contract.events import ErasureConfirmed
from shared.contract.topics import SURVEY_ERASURES
from shared.contract.vocabulary import Service
from shared.database.db import Database
from shared.messaging import codec
from shared.messaging.transport import EventLog, Message
from tests.integration.deploy.test_cli import earshot
from tests.integration.trigger.samples import decide, known_respondents, published, purchase

BACKUP = datetime(2026, 3, 1, 3, tzinfo=UTC)


async def test_who_was_erased_since_the_backup_is_erased_again(
    urls: Mapping[str, str], installed: Database, event_log: EventLog
) -> None:
    await decide(installed, [purchase(f"e{id_}", customer={"id": id_, "name": id_}) for id_ in ("c1", "c2", "c3")])
    for id_, service, hours in (
        ("c1", "dispatcher", 1),
        ("c1", "scoring", 1),
        ("ns:shop:c2", "scoring", 2),
        ("c3", "scoring", -1),
    ):
        confirmed = ErasureConfirmed(respondent_id=id_, service=Service(service))
        event = cloudevents.new(confirmed, service=Service(service), at=BACKUP + timedelta(hours=hours))
        await event_log.append([codec.encode(event)])
    await event_log.append([Message(SURVEY_ERASURES.name, "x", b"not an event")])
    settings = {"EARSHOT_TRIGGER_DATABASE_URL": urls["trigger"], "EARSHOT_EVENTS_URL": urls["transport"]}
    code, said = await earshot("erasures", "list", "--since", "2026-03-01T03:00", **settings)
    assert (code, said.splitlines()[-2:]) == (0, ["c1", "ns:shop:c2"])
    code, said = await earshot("erasures", "repeat", "--since", "2026-03-01T03:00", **settings)
    assert (code, said.splitlines()[-1]) == (0, "2 customers erased again")
    erased = [event.payload.key for event in await published(installed) if event.type == "respondent.erased"]
    assert sorted(erased) == ["c1", "ns:shop:c2"]
    names = {each.id: each.name for each in await known_respondents(installed)}
    assert (names["c1"], names["c3"]) == (None, "c3")


async def test_time_that_is_none_is_a_clear_error() -> None:
    code, said = await earshot("erasures", "repeat", "--since", "yesterday")
    assert (code, "'yesterday'" in said) == (2, True)
