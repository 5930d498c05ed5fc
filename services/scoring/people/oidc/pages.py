"""The pages by which staff log in at an identity provider, and log out there (OpenID Connect).

The provider sends somebody back by GET, because a browser sends our cookie, which is SameSite=Lax, with no POST of
another site. That GET only shows a form, whose script sends it: the POST begins the session, as no GET may.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from services.scoring.people.kept_forms import checked_target
from services.scoring.people.log_in import NotAdmitted
from services.scoring.people.log_in_pages import LogInPages, browser_of
from services.scoring.people.oidc.provider import LogInFailed, Provider, ProviderAway
from services.scoring.repository.people import identities, sessions
from services.scoring.web import forms, rendering
from shared.contract.vocabulary import Service
from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.metrics import LOG_INS
from shared.web.audit.acts import note
from shared.web.problems import NotFound, TooManyRequests
from shared.web.staff.tickets import BEGUN_LASTS, BegunLogIn, StaffCookie

log = structlog.get_logger()
_LONGEST_TARGET = 1500  # bytes: browsers store cookies of up to 4096
_AWAY = mark("%(provider)s does not answer. Try again in a minute, or log in another way.")
_FAILED = mark(
    "The log-in at %(provider)s took too long, was begun in another tab too, or cannot be trusted. Begin again."
)
_DENIED = mark("%(provider)s did not log you in. Try again, or log in another way.")
_NO_ROLE = mark(
    "%(provider)s knows you, but none of your groups there opens a page here. Ask whoever manages the groups."
)
_OFF = mark("%(provider)s knows you, but your account here is turned off. Ask an administrator of Earshot.")


@dataclass(frozen=True, slots=True)
class OidcPages:
    pages: LogInPages
    providers: Mapping[str, Provider]  # by id

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/login", include_in_schema=False)
        router.add_api_route("/with/{provider_id}", self.begin, methods=["POST"])
        router.add_api_route("/from/{provider_id}", self.show_answer, methods=["GET"])
        router.add_api_route("/from/{provider_id}", self.finish, methods=["POST"])
        router.add_api_route("/leave/{provider_id}", self.leave, methods=["POST"])
        router.add_api_route("/backchannel/{provider_id}", self.end_sessions, methods=["POST"])
        return router

    async def begin(self, request: Request, provider_id: str) -> Response:
        """Send somebody to the provider, and let the browser keep what the answer has to fit."""
        provider, form = self._provider(provider_id), await forms.read(request)
        target = checked_target(str(form.get("next", "")))
        if not self.pages.is_safe(request):
            return self.pages.form(request, target=target)
        if wait_s := self._wait(request):
            return self.pages.form(request, target=target, wait_s=wait_s)
        begun = BegunLogIn.at(provider_id, target=target if len(target.encode()) <= _LONGEST_TARGET else "")
        try:
            url = await provider.authorization_url(begun, callback=self._callback(provider_id))
        except ProviderAway as error:
            return self._refused(request, provider, _AWAY, error, target=target)
        page = self._going(provider, url)
        text = self.pages.access.signer.sign_begun(begun, self.pages.access.now())
        page.headers.append("set-cookie", self._cookie.setting(text, lasting=BEGUN_LASTS))
        return page

    async def show_answer(self, request: Request, provider_id: str) -> Response:
        provider, given = self._provider(provider_id), request.query_params
        answer = {name: given[name] for name in ("code", "state", "iss", "error") if name in given}
        return self._page("oidc_answer.html", provider=provider.settings, answer=answer)

    async def finish(self, request: Request, provider_id: str) -> Response:
        """Begin a session of whoever the provider's answer is about."""
        provider, form = self._provider(provider_id), await forms.read(request)
        begun = self._begun(request)
        if begun is None or begun.provider != provider_id or not _same(begun.state, str(form.get("state", ""))):
            return self._refused(request, provider, _FAILED, LogInFailed("no log-in of this browser has this state"))
        if wait_s := self._wait(request):
            return self.pages.form(request, target=begun.target, wait_s=wait_s)
        if error := form.get("error"):
            said = LogInFailed(f"the provider says {str(error)[:100]}")
            response = self._refused(request, provider, _DENIED, said, target=begun.target)
        else:
            response = await self._answered(request, provider, begun, {name: str(form[name]) for name in form})
        response.headers.append("set-cookie", self._cookie.deletion())
        return response

    async def _answered(
        self, request: Request, provider: Provider, begun: BegunLogIn, answer: Mapping[str, str]
    ) -> Response:
        try:
            identity = await provider.identity(
                begun,
                code=answer.get("code", ""),
                issuer=answer.get("iss", ""),
                callback=self._callback(begun.provider),
                now=self.pages.access.now(),
            )
            step = await self.pages.log_in.with_identity(identity, provider=begun.provider, browser=browser_of(request))
        except ProviderAway as error:
            return self._refused(request, provider, _AWAY, error, target=begun.target)
        except LogInFailed as error:
            return self._refused(request, provider, _FAILED, error, target=begun.target)
        except NotAdmitted as error:
            return self.pages.form(
                request, problem=_sentence(_OFF if error.is_off else _NO_ROLE, provider), status=HTTPStatus.FORBIDDEN
            )
        return await self.pages.next_step(request, step, target=begun.target)

    async def leave(self, request: Request, provider_id: str) -> Response:
        """Send somebody to the provider to log out there."""
        provider = self._provider(provider_id)
        try:
            url = await provider.log_out_url(back=self.pages.staff_pages.url("/login"))
        except ProviderAway as error:
            return self._refused(request, provider, _AWAY, error)
        return self._going(provider, url) if url else self.pages.form(request)

    async def end_sessions(self, request: Request, provider_id: str) -> Response:
        """End all sessions of somebody who has logged out at the provider (Back-Channel Logout 1.0)."""
        provider, form = self._provider(provider_id), await forms.read(request)
        if wait_s := self._wait(request):
            raise TooManyRequests(mark("Too many requests"), headers={"retry-after": str(wait_s)})
        try:
            token = str(form.get("logout_token", ""))
            subject = await provider.subject_of_logout(token, now=self.pages.access.now())
        except LogInFailed as error:
            log.warning("log_out.refused", provider=provider_id, why=str(error))
            return JSONResponse({"error": "invalid_request"}, HTTPStatus.BAD_REQUEST)
        except ProviderAway as error:
            log.warning("log_out.refused", provider=provider_id, why=str(error))
            return JSONResponse({"error": "temporarily_unavailable"}, HTTPStatus.SERVICE_UNAVAILABLE)
        async with self.pages.log_in.sessions.begin() as session:
            person = await identities.find(session, provider.settings.issuer, subject)
            if person is not None:
                note(person)
                await sessions.end_all(session, person)
        return Response()

    def _provider(self, provider_id: str) -> Provider:
        if provider_id not in self.providers:
            raise NotFound(mark("No such provider"))
        return self.providers[provider_id]

    def _callback(self, provider_id: str) -> str:
        return self.pages.staff_pages.url(f"/login/from/{provider_id}")

    @property
    def _cookie(self) -> StaffCookie:
        return StaffCookie("earshot-begun", self.pages.access.cookie.https)

    def _begun(self, request: Request) -> BegunLogIn | None:
        text = self._cookie.text_in(request.headers.get("cookie", ""))
        return self.pages.access.signer.read_begun(text, self.pages.access.now()) if text else None

    def _wait(self, request: Request) -> int:
        """Count a request that makes us ask the provider; return how many seconds its client has to wait."""
        client = self.pages.clients.of(request)
        return math.ceil(self.pages.log_in.limits.client.take(client)) if client else 0

    def _going(self, provider: Provider, url: str) -> Response:
        """Send the browser on with a page: a redirect after a form would need the provider in `form-action`."""
        return self._page("oidc_going.html", provider=provider.settings, url=url)

    def _refused(
        self, request: Request, provider: Provider, problem: str, error: Exception, *, target: str = ""
    ) -> Response:
        LOG_INS.labels(Service.SCORING, "refused").inc()
        log.warning("log_in.refused", result=type(error).__name__, provider=provider.settings.id, why=str(error))
        status = HTTPStatus.SERVICE_UNAVAILABLE if isinstance(error, ProviderAway) else HTTPStatus.UNAUTHORIZED
        return self.pages.form(request, target=target, problem=_sentence(problem, provider), status=status)

    def _page(self, template: str, **values: object) -> Response:
        return rendering.page(template, status=HTTPStatus.OK, pages=self.pages.staff_pages, **values)


def _sentence(problem: str, provider: Provider) -> str:
    return gettext(problem, provider=provider.settings.label)


def _same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode(), other.encode())
