"""A sample of a program's request, for previews and tests: its links do not work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from shared.contract.events import Consent, Contact, EventRef, PlanStep, ProgramRef, SurveyRequested


class NoSample(LookupError):
    """The program has no such locale, or says something that no message can have."""


def sample_of_program(
    document: Mapping[str, Any], *, locale: str, link_key: str, when: datetime, contact: Contact | None = None
) -> SurveyRequested:
    """Make a request as a program makes them, about an invented purchase at this time; raises NoSample.

    With a contact, it is one for test messages, which are marked so.
    """
    try:
        texts, steps = document["texts"][locale], enumerate(document["plan"], start=1)
        return SurveyRequested(
            respondent_id="sample",
            invitation_id=uuid4(),
            customer_id="sample",
            customer_name="Anna Orlova",
            event=EventRef(source="sample", id="1", type="crm.purchase.completed", time=when, subject="48213"),
            program=ProgramRef(id=document["id"], version=1),
            brand=document["brand"],
            locale=locale,
            time_zone="UTC",
            send_at=when,
            expires_at=when + timedelta(days=21),
            plan=[
                PlanStep(step=number, channel=step["channel"], delay_s=0, template=step["template"])
                for number, step in steps
            ],
            contact=contact or Contact(email="anna@example.com", phone="+12025550142"),
            call_back=document["call_back"],
            anonymous=document.get("anonymous", False),
            consent=Consent(email=True, sms=True),
            segments={"store": "Tverskaya"},
            test=contact is not None,
            link_key=link_key,
            **{name: texts[name] for name in ("question", "reasons", "extra_questions", "thanks", "labels")},
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise NoSample(locale) from error
