"""Dispositions of calls and outcome rates as the AAPOR defines them for telephone surveys.

American Association for Public Opinion Research, "Standard Definitions: Final Dispositions of Case Codes and Outcome
Rates for Surveys", 10th edition, 2023. A case is the call task of a survey. Eligible is a number at which the customer
is reached who bought: until somebody says so, its eligibility is unknown:
`unknown` are the UH, UR and UO of that edition, for which there is one `e`.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from services.scoring.domain.calling.share import Share
from shared.contract.vocabulary import CallDisposition, CallOutcome


class Code(StrEnum):
    """The disposition codes that cases get."""

    COMPLETE = "1.1"
    REFUSED = "2.112"  # by the customer
    NEVER_AVAILABLE = "2.21"  # after a call back was agreed on
    NOT_ATTEMPTED = "3.11"
    BUSY = "3.12"  # always
    NO_ANSWER = "3.13"
    MACHINE = "3.14"
    OUT_OF_SAMPLE = "4.10"  # the number is not the customer's


_BY_OUTCOME = {
    CallOutcome.REFUSED: Code.REFUSED,
    CallOutcome.DO_NOT_CALL: Code.REFUSED,
    CallOutcome.WRONG_NUMBER: Code.OUT_OF_SAMPLE,
}
_BY_ATTEMPT = {  # the first that was made says most
    CallDisposition.CALL_LATER: Code.NEVER_AVAILABLE,
    CallDisposition.MACHINE: Code.MACHINE,
    CallDisposition.NO_ANSWER: Code.NO_ANSWER,
    CallDisposition.BUSY: Code.BUSY,
}


def code_of(outcome: CallOutcome | None, made: AbstractSet[CallDisposition]) -> Code | None:
    """Return the final code of a case, the interim one of an open case, which has no outcome yet.

    `made` are the dispositions of its attempts. None: it is no case of the telephone survey any more, as the customer
    answered elsewhere or the survey was withdrawn.
    """
    if CallDisposition.ANSWERED in made:
        return Code.COMPLETE
    if outcome in (CallOutcome.ANSWERED, CallOutcome.WITHDRAWN):
        return None
    if outcome in _BY_OUTCOME:
        return _BY_OUTCOME[outcome]
    return next((code for disposition, code in _BY_ATTEMPT.items() if disposition in made), Code.NOT_ATTEMPTED)


class Rate(StrEnum):
    RR1 = "RR1"
    RR2 = "RR2"
    RR3 = "RR3"
    RR4 = "RR4"
    RR5 = "RR5"
    RR6 = "RR6"
    COOP1 = "COOP1"
    COOP2 = "COOP2"
    COOP3 = "COOP3"
    COOP4 = "COOP4"
    REF1 = "REF1"
    REF2 = "REF2"
    REF3 = "REF3"
    CON1 = "CON1"
    CON2 = "CON2"
    CON3 = "CON3"


@dataclass(frozen=True, slots=True)
class Cases:
    """Numbers of final cases by group; `other` are eligible, too."""

    complete: int = 0
    partial: int = 0
    refused: int = 0
    not_reached: int = 0
    other: int = 0
    unknown: int = 0
    not_eligible: int = 0

    @classmethod
    def of(cls, codes: Mapping[Code, int]) -> Self:
        """Count cases by code; an interview is one question, so none is partial."""

        def count(*those: Code) -> int:
            return sum(codes.get(code, 0) for code in those)

        return cls(
            complete=count(Code.COMPLETE),
            refused=count(Code.REFUSED),
            not_reached=count(Code.NEVER_AVAILABLE),
            unknown=count(Code.NOT_ATTEMPTED, Code.BUSY, Code.NO_ANSWER, Code.MACHINE),
            not_eligible=count(Code.OUT_OF_SAMPLE),
        )

    @property
    def eligible(self) -> int:
        return self.complete + self.partial + self.refused + self.not_reached + self.other

    @property
    def e(self) -> float:
        """The share of eligible cases among those of unknown eligibility, as among the known ones; 1 without any."""
        known = self.eligible + self.not_eligible
        return self.eligible / known if known else 1.0

    @property
    def rates(self) -> dict[Rate, Share]:
        """All rates by their formulas in the Standard Definitions."""
        interviews = self.complete + self.partial
        spoken_to = interviews + self.refused + self.other
        wholes = self.eligible + self.unknown, self.eligible + self.e * self.unknown, self.eligible
        rr1, rr3, rr5 = (Share(self.complete, whole) for whole in wholes)
        rr2, rr4, rr6 = (Share(interviews, whole) for whole in wholes)
        ref1, ref2, ref3 = (Share(self.refused, whole) for whole in wholes)
        con1, con2, con3 = (Share(spoken_to, whole) for whole in wholes)
        coop1, coop2 = Share(self.complete, spoken_to), Share(interviews, spoken_to)
        coop3, coop4 = (Share(part, interviews + self.refused) for part in (self.complete, interviews))
        shares = rr1, rr2, rr3, rr4, rr5, rr6, coop1, coop2, coop3, coop4, ref1, ref2, ref3, con1, con2, con3
        return dict(zip(Rate, shares, strict=True))
