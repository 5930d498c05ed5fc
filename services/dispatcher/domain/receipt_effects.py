"""What matched receipts change: the states of attempts, and suppressions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.dispatcher.domain.addresses import NewSuppression
from services.dispatcher.domain.receipts import Receipt, ReceiptKind, SuppressionRule, furthest, reason_of, state_of
from shared.contract.address_keys import AddressKeys
from shared.contract.events import Suppression
from shared.contract.vocabulary import AttemptState, ChannelKind

_REPLIES = (ReceiptKind.STOP, ReceiptKind.START)


@dataclass(frozen=True, slots=True)
class MatchedReceipt:
    """A receipt with the attempt it is about; a reply has only its respondent.

    `number` is the fingerprint of the sender of a reply whom no invitation names.
    """

    id: UUID
    receipt: Receipt
    respondent_id: str
    attempt_id: UUID | None = None
    invitation_id: UUID | None = None
    step: int = 0
    number: bytes | None = None

    @property
    def sender(self) -> tuple[str, ChannelKind]:
        return self.respondent_id, self.receipt.channel


def unknown_senders(
    due: Mapping[UUID, Receipt], *, known: Collection[UUID], address_keys: AddressKeys
) -> list[MatchedReceipt]:
    """Return the STOP and START of numbers that no invitation names, under an id made from the number.

    A STOP holds for the number, whoever has it later; its START may come when the number has become known.
    """
    found = []
    for id_, receipt in due.items():
        may_apply = receipt.kind is ReceiptKind.START or (receipt.kind is ReceiptKind.STOP and id_ not in known)
        if receipt.phone is not None and may_apply:
            number = address_keys.wrapped(receipt.phone)
            found.append(MatchedReceipt(id_, receipt, f"number-{number.hex()[:26]}", number=number))
    return found


@dataclass(frozen=True, slots=True)
class AttemptAdvance:
    """A new state of an attempt; it applies only if it is further along than the stored one."""

    attempt_id: UUID
    state: AttemptState
    reason: str | None


def without_older_replies(matched: Sequence[MatchedReceipt]) -> list[MatchedReceipt]:
    """Leave out all but the last STOP or START of each respondent and channel; ids are in the order of arrival."""
    last: dict[tuple[str, ChannelKind], UUID] = {}
    for each in matched:
        if each.receipt.kind in _REPLIES:
            last[each.sender] = max(each.id, last.get(each.sender, each.id))
    return [each for each in matched if each.receipt.kind not in _REPLIES or last[each.sender] == each.id]


def deciding_receipts(matched: Iterable[MatchedReceipt]) -> dict[UUID, Receipt]:
    """Return, by attempt, the receipt with the state that is furthest along."""
    by_attempt: dict[UUID, list[Receipt]] = {}
    for each in matched:
        if each.attempt_id is not None:
            by_attempt.setdefault(each.attempt_id, []).append(each.receipt)
    furthest_of = {attempt: furthest(receipts) for attempt, receipts in by_attempt.items()}
    return {attempt: receipt for attempt, receipt in furthest_of.items() if receipt is not None}


def advances(deciding: Mapping[UUID, Receipt]) -> list[AttemptAdvance]:
    return [
        AttemptAdvance(attempt, state, reason_of(receipt))
        for attempt, receipt in deciding.items()
        if (state := state_of(receipt.kind)) is not None
    ]


def suppression_of(
    matched: MatchedReceipt,
    rule: SuppressionRule,
    addresses: Mapping[tuple[UUID, ChannelKind], bytes | None],
    *,
    now: datetime,
) -> NewSuppression:
    """Make the suppression of a receipt; `addresses` holds fingerprints by invitation and channel."""
    address = None
    if rule.of_address and matched.invitation_id is not None:
        address = addresses.get((matched.invitation_id, matched.receipt.channel))
    suppression = Suppression(
        respondent_id=matched.respondent_id,
        channel=matched.receipt.channel,
        reason=rule.reason,
        until=now + rule.lasts if rule.lasts else None,
        address=address.hex() if address else None,
        addresses=[matched.number.hex()] if matched.number else [],
    )
    return NewSuppression(suppression, matched.invitation_id)
