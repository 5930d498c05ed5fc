"""An erasure leaves no personal data in any column; the columns are read from the schema, not from a list."""

from __future__ import annotations

from datetime import timedelta

from services.dispatcher.domain.receipts import ReceiptKind
from shared.contract import cloudevents
from shared.contract.events import Consent, Contact, ErasureConfirmed, RespondentConsentChanged, RespondentErased
from shared.contract.vocabulary import ChannelKind, Service, address_fingerprint
from shared.messaging import codec, parking
from shared.messaging.transport import Message
from tests.integration.dispatcher.conftest import DAY, NOW, Chain, RememberingAccount, plan, request
from tests.integration.dispatcher.test_receipts import Receiver

EMAIL, PHONE, NAME, CUSTOMER = "wanda.k@example.com", "+15557654321", "Wanda Kowalska", "crm-77001"
MARKS = [mark.encode() for mark in (EMAIL, PHONE, PHONE[1:], "Wanda", "Kowalska", CUSTOMER)]
MARKS += [address_fingerprint(EMAIL), address_fingerprint(PHONE)]

_COLUMNS = """SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name <> 'outbox' ORDER BY 1, 2"""  # what is on its way out leaves it


async def places(chain: Chain) -> set[str]:
    """Return every column of the schema that contains one of the marks."""
    found = set()
    for column in await chain.rows(_COLUMNS):
        table, name = column["table_name"], column["column_name"]
        value = f'"{name}"' if column["data_type"] == "bytea" else f"convert_to(\"{name}\"::text, 'UTF8')"
        held = await chain.rows(f'SELECT {value} AS held FROM "{table}" WHERE "{name}" IS NOT NULL')  # noqa: S608
        found |= {f"{table}.{name}" for row in held if any(mark in row["held"] for mark in MARKS)}
    return found


async def test_erasure_leaves_no_personal_data_in_any_column(chain: Chain) -> None:
    receiver = Receiver(chain)
    everywhere = plan((ChannelKind.EMAIL, 0), (ChannelKind.SMS, 0), (ChannelKind.CALL, 0), (ChannelKind.EMAIL, 5))
    contact = Contact(email=EMAIL, phone=PHONE)
    sent = request("r1", customer_id=CUSTOMER, customer_name=NAME, contact=contact, plan=everywhere)
    kept = request("r1", customer_id=CUSTOMER, customer_name=NAME, contact=contact)  # stays in the mailbox
    refused = codec.encode(cloudevents.new(sent, service=Service.TRIGGER, at=NOW))
    await chain.take(sent)
    await chain.tick(email=RememberingAccount(), sms=RememberingAccount(channel=ChannelKind.SMS))
    await chain.take(kept, RespondentConsentChanged(respondent_id="r1", consent=Consent(email=True)))
    await chain.tick()
    await receiver.told(ReceiptKind.HARD_BOUNCE, sent)
    await receiver.told(ReceiptKind.STOP, sent, 2, reference=None, phone=address_fingerprint(PHONE))
    async with chain.database.sessions.begin() as session:
        await parking.park(
            session, [(Message(refused.topic, refused.key, refused.body, {}, "survey.requests/0/1"), "x")]
        )
    assert {"invitations.request", "mailbox.recipient", "attempts.phone", "parked.body"} <= await places(chain)

    await chain.take(RespondentErased(respondent_id="r1"))

    assert await places(chain) == set()
    [confirmed] = await chain.published(ErasureConfirmed.type)
    assert (confirmed.respondent_id, confirmed.service) == ("r1", Service.DISPATCHER)
    assert [place.name for place in confirmed.places] == ["remembering"]


async def test_erasure_of_one_respondent_does_not_change_others(chain: Chain) -> None:
    account = RememberingAccount()
    erased, other = request("r1"), request("r2")
    await chain.take(erased, other)
    await chain.take(RespondentErased(respondent_id="r1"))
    await chain.tick_at(NOW + timedelta(minutes=1), email=account)
    await chain.tick_at(NOW + 4 * DAY, email=account)
    assert [message.recipient for message in account.taken] == ["r2@example.com"] * 2
