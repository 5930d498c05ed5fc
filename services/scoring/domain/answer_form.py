"""Parses the form of the answer page into an entry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.scoring.domain import phone_numbers
from services.scoring.domain.answers import Entry
from services.scoring.domain.bot_detection import DEFAULT_WINDOWS, BotSignals, Device, ScannerWindows, is_crawler
from services.scoring.domain.calls import BestTime, Callback
from services.scoring.domain.invitations import Invitation, LinkVisit, ResolvedLink

MAX_TEXT = 4000  # characters of a comment or of an answer to an extra question
_SCORE = re.compile(r"10|[0-9]")
_MILLISECONDS = re.compile(r"[0-9]{1,14}")
_UNSTORABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class Submission(LinkVisit, frozen=True, kw_only=True):
    """A form sent from an answer page; `step` is the step in its link, `fields` are (name, value) in the order sent."""

    step: int
    fields: Sequence[tuple[str, str]]
    user_agent: str
    device: Device | None


class _InvalidForm(ValueError):
    pass


def read_form(
    submission: Submission, resolved: ResolvedLink, *, windows: ScannerWindows = DEFAULT_WINDOWS
) -> Entry | None:
    """Parse a form into an entry for the invitation of its link; None when a field is invalid."""
    form = dict(submission.fields)
    signals = bot_signals(form, resolved, user_agent=submission.user_agent, at=submission.at, windows=windows)
    try:
        return _entry(submission, form, resolved.invitation, signals)
    except _InvalidForm:
        return None


def bot_signals(
    form: Mapping[str, str],
    resolved: ResolvedLink,
    *,
    user_agent: str,
    at: datetime,
    windows: ScannerWindows = DEFAULT_WINDOWS,
) -> BotSignals:
    """Collect the signs of a bot from a form; `at` is when it was sent."""
    return BotSignals(
        crawler=is_crawler(user_agent),
        trapped="trap" in form,
        browser=user_agent.startswith("Mozilla/"),
        dwell=_dwell(form.get("shown", ""), at),
        links=resolved.links,
        soon=resolved.soon,
        reading=windows.reading,
    )


def score_of(text: str) -> int | None:
    """Read a score from 0 to 10; None when the text is anything else."""
    return int(text) if _SCORE.fullmatch(text) else None


def clean(text: str) -> str:
    """Remove control characters except tab and line feed, and lone surrogates: PostgreSQL cannot store all of them."""
    return _UNSTORABLE.sub("", text.replace("\r\n", "\n"))


@dataclass(frozen=True, slots=True)
class RefusedForm:
    """What was written in a form that was refused, to be shown again; the score is None if it is not valid."""

    score: int | None
    reasons: tuple[str, ...]
    comment: str
    extra: Mapping[str, str]

    @property
    def too_long(self) -> bool:
        return any(len(text) > MAX_TEXT for text in (self.comment, *self.extra.values()))

    @property
    def texts(self) -> Sequence[str]:
        return [text for text in (self.comment, *self.extra.values()) if text]


def refused_form(fields: Sequence[tuple[str, str]]) -> RefusedForm:
    """Read a form that was refused."""
    form = dict(fields)
    return RefusedForm(
        score_of(form.get("score", "")),
        tuple(value for name, value in fields if name == "reasons"),
        clean(form.get("comment", "")),
        extra_in(fields),
    )


def extra_in(fields: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the answers to extra questions by the question's id, cleaned and of any length."""
    return {name.removeprefix("extra."): clean(value) for name, value in fields if name.startswith("extra.")}


def _entry(submission: Submission, form: Mapping[str, str], invitation: Invitation, signals: BotSignals) -> Entry:
    score = _score(form)
    if "comment" not in form:  # the first page, which asks for the score alone
        return Entry(
            invitation.id, submission.at, score, step=submission.step, device=submission.device, signals=signals
        )
    return Entry(
        invitation.id,
        submission.at,
        score,
        reasons=tuple(value for name, value in submission.fields if name == "reasons"),
        comment=_text(form["comment"]),
        extra={question: _text(said) for question, said in extra_in(submission.fields).items()},
        step=submission.step,
        device=submission.device,
        signals=signals,
        callback=_callback(form, invitation),
    )


def _score(form: Mapping[str, str]) -> int | None:
    sent = form.get("score")
    if sent is None:
        return None
    if (score := score_of(sent)) is None:
        raise _InvalidForm
    return score


def _callback(form: Mapping[str, str], invitation: Invitation) -> Callback | None:
    """Parse the request to be called back; None when the form did not offer it.

    A phone number counts as a request even without the ticked box, which is easily overlooked.
    """
    if "best_time" not in form or not invitation.content.call_back:
        return None
    written = form.get("phone", "").strip()
    if "callback" not in form and not written:
        return Callback(wanted=False)
    best_time = form["best_time"]
    if best_time not in set(BestTime):
        raise _InvalidForm
    phone = phone_numbers.given(written, locale=invitation.locale, known=invitation.phone)
    return Callback(
        wanted=True,
        phone=written if phone is None else phone,
        best_time=BestTime(best_time),
        dialable=phone is not None,
    )


def _text(value: str) -> str:
    text = clean(value)
    if len(text) > MAX_TEXT:
        raise _InvalidForm
    return text


def _dwell(shown: str, sent_at: datetime) -> timedelta | None:
    """Return the time from showing the form to sending it; None when `shown` is no Unix time in milliseconds.

    A sender can forge the field, but mail scanners do not.
    """
    return sent_at - datetime.fromtimestamp(int(shown) / 1000, UTC) if _MILLISECONDS.fullmatch(shown) else None
