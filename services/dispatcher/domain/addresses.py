"""Addresses as identities: whoever has a suppressed address is not contacted there, whatever id names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from shared.contract.events import Suppression
from shared.contract.vocabulary import ChannelKind, SuppressionReason

# a suppression for one of these reasons holds for its address, and not for a new address of the respondent
OF_ADDRESS = (SuppressionReason.HARD_BOUNCE, SuppressionReason.SOFT_BOUNCE, SuppressionReason.BLOCKED)
# one stored without an address takes those of its respondent's invitations
OF_RESPONDENT = (
    SuppressionReason.OPT_OUT,
    SuppressionReason.COMPLAINT,
    SuppressionReason.STOP,
    SuppressionReason.DO_NOT_CALL,
)
# of these, the fingerprint of the address outlives the erasure of its respondent
KEPT_AFTER_ERASURE = (SuppressionReason.OPT_OUT, SuppressionReason.COMPLAINT, SuppressionReason.STOP)


class NewSuppression(NamedTuple):
    """A suppression to store; it binds the addresses of this invitation, or of all the respondent's if there is none.

    An address bound in this way is not contacted, whatever respondent has it.
    """

    suppression: Suppression
    invitation_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class AddressedInvitation:
    """An open invitation with the fingerprints of its addresses."""

    id: UUID
    program: str
    email: bytes | None
    phone: bytes | None

    @property
    def addresses(self) -> set[bytes]:
        return {each for each in (self.email, self.phone) if each is not None}


@dataclass(frozen=True, slots=True)
class BoundSuppression:
    """A stored suppression with the fingerprints of the addresses that it binds."""

    suppression: Suppression
    addresses: frozenset[bytes]

    def ends(self, invitation: AddressedInvitation) -> bool:
        """Whether nothing of another respondent's invitation may be sent any more."""
        of_all_channels = self.suppression.channel is None and self._is_about(invitation)
        return of_all_channels and bool(invitation.addresses) and invitation.addresses <= self.addresses

    def forbids_call(self, invitation: AddressedInvitation) -> bool:
        of_calls = self.suppression.channel in (None, ChannelKind.CALL)
        return of_calls and self._is_about(invitation) and invitation.phone in self.addresses

    def _is_about(self, invitation: AddressedInvitation) -> bool:
        return self.suppression.program in (None, invitation.program)


def respondents_of(found: Sequence[NewSuppression]) -> set[str]:
    return {each.suppression.respondent_id for each in found}
