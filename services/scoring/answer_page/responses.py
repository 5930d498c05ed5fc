"""Responses of the answer page: the question, reasons and thanks pages, and notices such as an expired survey."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import Request, Response

from services.scoring.answer_page import quotes
from services.scoring.domain.answer_form import RefusedForm, score_of
from services.scoring.domain.answers import Entry
from services.scoring.domain.calls import BestTime, Callback
from services.scoring.domain.invitations import Answer, Invitation, InvitationState
from services.scoring.domain.phone_numbers import hinted
from services.scoring.web import rendering, texts
from shared.contract.colors import text_on
from shared.contract.vocabulary import Category, category_of
from shared.locales import direction, isolated, language_tag
from shared.web.links import sample_language
from shared.web.problems import Gone, NotFound, Problem, TooManyRequests, Unprocessable, problem_response

MAX_RELOADS = 3  # automatic reloads of the page of an unknown link
HEADING_LENGTH = 100  # characters; a longer thanks text is shown as a paragraph instead of a heading
_LOGO_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.(svg|png|webp|jpg|jpeg|gif)")


@dataclass(frozen=True, slots=True)
class Link:
    """A parsed answer link `<token>.<step>`; `step` is not signed, and 0 when missing or invalid."""

    path: str
    token: str
    step: int
    method: str = "post"  # of the forms that the page sends to the link

    @classmethod
    def of(cls, text: str) -> Link:
        token, _, step = text.partition(".")
        return cls(f"/s/{quote(text, safe='')}", token, int(step) if re.fullmatch(r"[0-9]{1,3}", step) else 0)


def open_page(  # noqa: PLR0913 - what the pages show
    query: Mapping[str, str],
    opened: Link,
    invitation: Invitation,
    now: datetime,
    *,
    open_callback: Callback | None,
    review: str | None,
    quote_name: str | None = None,
) -> Response:
    answer = invitation.answer if query.keys() & {"saved", "done"} else invitation.genuine_answer
    asked = score_of(query.get("score", ""))
    chosen = answer.score if asked is None and answer else asked
    if answer is None or "change" in query or chosen != answer.score:
        about = texts.about(invitation, now=now)
        privacy = _web_address(invitation.content.brand.privacy_url)
        until = texts.day(invitation, invitation.expires_at, now=now, within="after")
        shown: dict[str, Any] = {"answer": answer, "chosen": chosen, "about": about, "until": until, "privacy": privacy}
        doubted = answer is None and invitation.answer is not None  # it looks automatic
        return form("question.html", invitation, opened, now=now, doubted=doubted, **shown)
    if "done" in query:
        said = "quoted" in query and ("quote_withdrawn" if quote_name is None else "quote_saved")
        quote = quotes.form(invitation, name=quote_name, said=said or "")
        return thanks(opened, invitation, answer, now=now, review=review, quote=quote)
    offered = category_of(answer.score) is Category.DETRACTOR and invitation.content.call_back
    callback = open_callback or Callback(answer.callback_wanted, invitation.phone)
    offer = _offer(callback, known=callback.phone) if offered else None
    return form(
        "reasons.html",
        invitation,
        opened,
        now=now,
        **_second_page(invitation, answer, score=answer.score, callback=offer) | {"quoted": quote_name is not None},
    )


def ask_number(
    request: Request, opened: Link, invitation: Invitation, entry: Entry, *, open_callback: Callback | None
) -> Response:
    """Respond 422 with the reasons page, the values of the entry and the error of its phone number."""
    before, callback = invitation.answer, entry.callback
    score = before.score if entry.score is None and before is not None else entry.score
    if score is None or callback is None:
        return invalid(request, opened, invitation, _written(entry), now=entry.at)
    words = texts.words_of(invitation)
    wrong = words["number_missing" if callback.dialable else "number_wrong"]
    if _wants_problem(request):
        return problem_response(Unprocessable("There is no number to call", wrong))
    known = open_callback.phone if open_callback else invitation.phone
    offer = _offer(callback, known=known, wrong=wrong)
    shown = _second_page(invitation, entry, score=score, callback=offer)
    response = form("reasons.html", invitation, opened, now=entry.at, **shown)
    response.status_code = Unprocessable.status
    return response


def _written(entry: Entry) -> RefusedForm:
    return RefusedForm(entry.score, entry.reasons or (), entry.comment or "", entry.extra)


def _second_page(
    invitation: Invitation, answer: Answer | Entry | RefusedForm, *, score: int, callback: Mapping[str, Any] | None
) -> dict[str, Any]:
    return {
        "answer": answer,
        "promoter": category_of(score) is Category.PROMOTER,
        "reasons": invitation.content.reasons_for(score),
        "more": texts.more(invitation),
        "callback": callback,
        "wrong": callback.get("wrong") if callback else None,
        "quoted": False,
    }


def _offer(callback: Callback, *, known: str, wrong: str | None = None) -> dict[str, Any]:
    """Return the template values of the callback fields; `wrong` is the error message for the entered phone number."""
    written = callback.phone if wrong else ""
    return {"callback": callback, "hint": hinted(known), "written": written, "wrong": wrong, "times": list(BestTime)}


def review_url(invitation: Invitation) -> str | None:
    """Return the brand's page for reviews, if the answer is that of a promoter."""
    answer = invitation.answer
    is_promoter = answer is not None and category_of(answer.score) is Category.PROMOTER
    return _web_address(invitation.content.brand.review_url) if is_promoter else None


def thanks(  # noqa: PLR0913 - what the page shows
    opened: Link,
    invitation: Invitation,
    answer: Answer,
    *,
    now: datetime,
    review: str | None,
    quote: quotes.QuoteForm | None,
) -> Response:
    shown = {
        "thanks": getattr(invitation.content.thanks, category_of(answer.score)),
        "heading_length": HEADING_LENGTH,
        "until": texts.day(invitation, invitation.expires_at, now=now, within="change_until"),
    }
    return page("thanks.html", invitation, path=opened.path, answer=answer, review=review, quote=quote, **shown)


def refused_quote(opened: Link, invitation: Invitation, form: Mapping[str, str], *, now: datetime) -> Response:
    """Respond 422 with the thanks page and the form as it was sent."""
    if invitation.answer is None:
        raise ValueError("words without an answer")
    quote = quotes.refused(invitation, form)
    response = thanks(opened, invitation, invitation.answer, now=now, review=None, quote=quote)
    response.status_code = Unprocessable.status
    return response


def nothing_to_quote(request: Request, opened: Link, invitation: Invitation, *, now: datetime) -> Response:
    """Respond 422 if there is no comment to quote, 410 if the survey is over."""
    words = texts.words_of(invitation)
    problem = Unprocessable("There is nothing to quote", words["quote_nothing"])
    shown = {"heading": words["quote_title"], "text": words["quote_nothing"], "back": opened.path}
    return closed(request, invitation, now) or _notice(request, problem, invitation, **shown)


def form(template: str, invitation: Invitation, opened: Link, *, now: datetime, **values: Any) -> Response:
    """Render a page with a form; `shown_ms` is the time of rendering in Unix milliseconds."""
    link = {"path": opened.path, "method": opened.method}
    return page(template, invitation, shown_ms=int(now.timestamp() * 1000), **link, **values)


def _web_address(url: str | None) -> str | None:
    return url if url and urlsplit(url).scheme in ("http", "https") else None


def page(template: str, invitation: Invitation | None, *, language: str = "en", **values: Any) -> Response:
    words = texts.LANGUAGES[language]
    if invitation is not None:
        language, words = language_tag(invitation.locale), texts.words_of(invitation)
        brand = invitation.content.brand
        values |= {"logo": _logo(brand.logo_url), "initial": text_on(brand.color)}
        values["brand"] = isolated(brand.name, language)
    values = {"reload_url": None, "back": None, "kept": (), "quoted": False, **values}
    values |= {"language": language, "direction": direction(language), "words": words}
    return rendering.page(template, invitation=invitation, **values)


def _logo(url: str | None) -> str | None:
    """Return the URL of a logo: a path under `/logos/` or an image data URL; None for any other URL."""
    if url and _LOGO_FILE.fullmatch(url):
        return f"/logos/{url}"
    return url if url and url.startswith("data:image/") else None


def _notice(request: Request, problem: Problem, invitation: Invitation | None, **values: Any) -> Response:
    """Respond with an HTML notice, or with problem details when the client accepts JSON and not HTML."""
    if _wants_problem(request):
        return problem_response(problem)
    response = page("notice.html", invitation, **values)
    response.status_code = problem.status
    return response


def _wants_problem(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "json" in accepted and "text/html" not in accepted


def unknown(request: Request, opened: Link) -> Response:
    """Respond 404 for an unknown link; the first `MAX_RELOADS` pages reload, as the survey request may arrive later.

    A link of a test message is told apart.
    """
    if (of_sample := sample_language(opened.token)) is not None:
        words = texts.LANGUAGES[language := texts.language_of(of_sample)]
        return page("notice.html", None, language=language, heading=words["test"], text=words["test_text"])
    sent = request.query_params.get("try", "0")
    number = int(sent) if re.fullmatch("[0-9]", sent) else MAX_RELOADS
    language = texts.preferred(request.headers.get("accept-language", ""))
    words = texts.LANGUAGES[language]
    if request.method != "POST" and number < MAX_RELOADS:
        heading, text, reload_url = words["moment"], words["moment_text"], f"{opened.path}?try={number + 1}"
    else:
        heading, text, reload_url = words["unknown"], words["unknown_text"], None
    problem = NotFound("This link does not work", words["unknown_text"])
    return _notice(request, problem, None, language=language, heading=heading, text=text, reload_url=reload_url)


def busy(request: Request, wait: float) -> Response:
    """Respond 429 with `Retry-After`, the same for existing and unknown links; `wait` is in seconds."""
    language = texts.preferred(request.headers.get("accept-language", ""))
    words, seconds = texts.LANGUAGES[language], ceil(wait)
    text = words["busy_text"].format(seconds=seconds)
    retry = {"retry-after": str(seconds)}
    problem = TooManyRequests("Too many requests", text, headers=retry)
    response = _notice(request, problem, None, language=language, heading=words["busy"], text=text)
    response.headers.update(retry)
    return response


def closed(
    request: Request, invitation: Invitation, now: datetime, *, quote_name: str | None = None
) -> Response | None:
    """Return a 410 response when the survey is withdrawn or expired; None while it can be answered.

    A consent to be quoted can be withdrawn there.
    """
    if invitation.state is not InvitationState.OPEN:
        return withdrawn(request, invitation)
    if now < invitation.expires_at:
        return None
    words = texts.words_of(invitation)
    text = words["expired_text"].format(
        date=texts.day(invitation, invitation.expires_at, now=now, within="expired_text")
    )
    if invitation.genuine_answer:
        text = words["expired_saved"].format(score=invitation.genuine_answer.score)
    if quote_name is None and "quoted" in request.query_params:
        text = f"{text} {words['quote_withdrawn']}"
    shown = {"heading": words["expired"], "text": text, "quoted": quote_name is not None}
    return _notice(request, Gone(words["expired"], text), invitation, path=request.url.path, **shown)


def withdrawn(request: Request, invitation: Invitation) -> Response:
    words = texts.words_of(invitation)
    problem = Gone("This survey was withdrawn", words["withdrawn_text"])
    return _notice(request, problem, invitation, heading=words["withdrawn"], text=words["withdrawn_text"])


def says_stopped(query: Mapping[str, str], invitation: Invitation) -> bool:
    """Whether the page of a link says that the respondent opted out, in place of the question."""
    asks_for_form = query.keys() & {"score", "change", "saved", "done"}
    return invitation.opted_out and invitation.genuine_answer is None and not asks_for_form


def stopped(opened: Link, invitation: Invitation, *, take_back: str | None) -> Response:
    return page("stopped.html", invitation, path=opened.path, take_back=take_back)


def invalid(request: Request, opened: Link, invitation: Invitation, refused: RefusedForm, *, now: datetime) -> Response:
    """Respond 422 and give back what was written: in the form again if only its texts are too long."""
    words = texts.words_of(invitation)
    score = invitation.answer.score if refused.score is None and invitation.answer else refused.score
    if refused.too_long and score is not None and not _wants_problem(request):
        shown = _second_page(invitation, refused, score=score, callback=None)
        response = form("reasons.html", invitation, opened, now=now, **shown | {"wrong": words["too_long"]})
        response.status_code = Unprocessable.status
        return response
    problem = Unprocessable("The answer was not understood", words["invalid_text"])
    back = f"{opened.path}?change=1" if invitation.answer else opened.path
    shown = {"heading": words["invalid"], "text": words["invalid_text"], "back": back, "kept": refused.texts}
    return _notice(request, problem, invitation, **shown)
