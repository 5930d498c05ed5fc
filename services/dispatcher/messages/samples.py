"""Sample mails for previews and tests: their request is invented, so their links do not work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import uuid4

from pydantic import BaseModel, StringConstraints

from services.dispatcher.domain.steps import OutgoingMessage
from services.dispatcher.messages.composer import Composer
from services.dispatcher.messages.styles import Style
from services.dispatcher.messages.texts import language_of
from shared.contract.events import Brand, Consent, Contact, EventRef, PlanStep, ProgramRef, SurveyRequested
from shared.contract.vocabulary import ChannelKind
from shared.web.links import SAMPLE_KEY

_WHEN = datetime(2026, 3, 2, 12, tzinfo=UTC)
_QUESTIONS = {
    "ru": "Какова вероятность того, что вы порекомендуете нас другу или коллеге?",
    "en": "How likely are you to recommend us to a friend or colleague?",
}
_DEFAULT_TEMPLATE = "default"
ShortText = Annotated[str, StringConstraints(max_length=300, strip_whitespace=True)]


class SampleMail(BaseModel):
    """The options of a sample mail; `repeat` selects the reminder instead of the first mail."""

    brand: ShortText = "Kofe Point"
    locale: ShortText = "en"
    template: ShortText = _DEFAULT_TEMPLATE
    repeat: bool = False
    address: ShortText = "anna@example.com"

    def compose(self, composer: Composer, *, channel: ChannelKind = ChannelKind.EMAIL) -> OutgoingMessage:
        """Render the mail, or the text message with the same texts; raises BadAddress."""
        return composer.compose(self._request(), step=2 if self.repeat else 1, channel=channel)

    def warnings(self, styles: Sequence[Style]) -> list[str]:
        """Return a warning for each value that is unknown and therefore has no effect."""
        found = []
        if self.template not in {_DEFAULT_TEMPLATE, *(style.template for style in styles)}:
            found.append(f"no texts are set for the template {self.template}: the default ones are used")
        if language_of(self.locale) != self.locale.partition("-")[0].lower():
            found.append(f"there are no texts for the locale {self.locale}: the English ones are used")
        return found

    def _request(self) -> SurveyRequested:
        """Make a request with two mails, which have the same template."""
        steps = (1, 2)
        return SurveyRequested(
            respondent_id="sample",
            invitation_id=uuid4(),
            customer_id="sample",
            event=EventRef(source="sample", id="1", type="crm.purchase.completed", time=_WHEN, subject="48213"),
            program=ProgramRef(id="sample", version=1),
            brand=Brand(name=self.brand, privacy_url="https://example.com/privacy"),
            locale=self.locale,
            time_zone="UTC",
            question=_QUESTIONS[language_of(self.locale)],
            send_at=_WHEN,
            expires_at=_WHEN + timedelta(days=21),
            plan=[PlanStep(step=step, channel=ChannelKind.EMAIL, delay_s=0, template=self.template) for step in steps],
            contact=Contact(email=self.address),
            consent=Consent(email=True),
            segments={"store": "Tverskaya"},
            link_key=SAMPLE_KEY,
        )
