"""Reasons as respondents read them; one id may have one text for promoters and another for everybody else."""

from __future__ import annotations

from shared.contract.events import Reasons
from shared.contract.vocabulary import Category


def reason_text(reason: str, *texts: Reasons, praise: bool) -> str:
    """Find the text promoters read (`praise`) or all others read, else the other one, else the id itself."""
    lists = [of.promoter if praise else of.other for of in texts] + [
        of.other if praise else of.promoter for of in texts
    ]
    return next((each.text for listed in lists for each in listed if each.id == reason), reason)


def reason_texts(reason: str, texts: Reasons, group: str | None) -> str:
    """Join the texts that one group of respondents, or every group, read for this reason."""
    praises = (True, False) if group is None else (group == Category.PROMOTER,)
    return " / ".join(dict.fromkeys(reason_text(reason, texts, praise=praise) for praise in praises))
