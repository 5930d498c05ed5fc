"""Lint, and the example programs: they have no warnings and decide as their comments say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from typer.testing import CliRunner

from services.trigger.commands import programs
from services.trigger.domain.deciding.cases import DecisionFacts
from services.trigger.domain.deciding.decide import decide
from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.lint import demands_of_production, lint
from services.trigger.domain.programs.program import CompiledProgram, compile_program
from services.trigger.domain.programs.reading import read_program
from services.trigger.domain.respondents import Respondent
from services.trigger.domain.touchpoints import (
    CadenceDue,
    TouchpointKey,
    TouchpointKind,
    TouchpointRecord,
    TriggerPayload,
)
from services.trigger.main import PROGRAMS
from shared.contract.cloudevents import Event
from shared.contract.events import Consent, Customer, Order, PurchaseCompleted, ServiceCompleted, ServiceJob
from shared.contract.events import Touchpoint as Place
from tests.unit.trigger.test_decide import NOW, sent

EXAMPLES = sorted((PROGRAMS / "examples").glob("*.yaml"))


def document(**written: Any) -> ProgramDocument:
    written = {"time_zone": "Europe/Moscow"} | written
    started = {} if "cadence" in written else {"starts_on": ["crm.purchase.completed"]}
    return ProgramDocument.model_validate({"id": "shop", "brand": {"name": "Shop"}, **started, **written})


def asks(question: str) -> dict[str, Any]:
    return {"texts": {"en": {"question": question}}}


def sms(locale: str, text: str) -> dict[str, Any]:
    return {"default_locale": locale, "texts": {locale: {"labels": {"sms.text": text}}}}


SIX = [{"id": str(number), "text": "x"} for number in range(6)]


@pytest.mark.parametrize(
    ("written", "warning"),
    [
        (asks("Would you recommend us?"), "texts.en.question: a yes/no question"),
        ({"texts": {"en": {}, "ru": {"question": "Довольны ли вы нами?"}}}, "texts.ru.question: a yes/no question"),
        (asks("How likely " + "very " * 30), "161 characters; a phone shows at most 120"),
        ({"texts": {"en": {"reasons": {"other": SIX}}}}, "texts.en.reasons.other: 6 items"),
        ({"texts": {"en": {"extra_questions": [{"id": "a", "text": "Is it?"}]}}}, "extra_questions.0.text: a yes/no"),
        (
            sms("en", f"{{brand}}: {'word ' * 70}{{link}}"),
            "texts.en.labels: sms.text: about 4 parts; words are left out of more than 3",
        ),
        (
            sms("ru", f"{{brand}}: {'слово ' * 10}{{question}} {{link}}"),
            "texts.ru.labels: sms.text: about 4 parts; words",
        ),
        (
            sms("en", "{brand}: your “order” {link}"),
            "texts.en.labels: sms.text: with “ ” a part has 70 characters instead of 160",
        ),
        ({"plan": [{"channel": "sms"}]}, "plan: only sms, and assume_consent has none"),
        ({"segments": [{"name": "clerk", "field": "touchpoint.employee"}]}, "segments.0: every answer says who served"),
        ({"assume_consent": ["email", "call"]}, "assume_consent: call without a recorded consent"),
        (
            {"plan": [{"channel": "email"}], "calls": {"priority": 1}},
            "calls: has no effect, the plan has no call",
        ),
        ({"caps": [{"name": "a", "days": 90}]}, "caps.0: has no effect, quarantine is 90 days"),
        (
            {"quarantine": "0", "caps": [{"name": "a", "days": 9, "then": "delay"}]},
            "caps.0: delays a survey by at most max_age",
        ),
        ({"cadence": "30d", "quarantine": "30d"}, "quarantine: not shorter than the cadence"),
        ({"quotas": [{"name": "a", "limit": 0}]}, "quotas.0: a limit of 0"),
        ({"sample": 0}, "sample: asks nobody"),
        ({"holdout": 1}, "holdout: asks nobody"),
        ({"time_zone": "UTC"}, "time_zone: not set"),
        ({"contact_caps": [{"name": "a", "limit": 0, "days": 1}]}, "contact_caps: a limit of 0"),
    ],
)
def test_probable_mistake_is_a_warning(written: dict[str, Any], warning: str) -> None:
    (found,) = lint(document(**written))
    assert warning in found


def test_usual_program_has_no_warnings() -> None:
    assert lint(document()) == []
    assert lint(document(cadence="90d")) == []


@pytest.mark.parametrize("brand", [{"name": "A"}, {"name": "A", "privacy_url": "https://a.example/privacy"}])
def test_production_demands_where_to_read_about_privacy_only(brand: dict[str, str]) -> None:
    document = ProgramDocument.model_validate({"id": "a", "starts_on": ["survey.answered"], "brand": brand})
    assert [lack.partition(":")[0] for lack in demands_of_production(document)] == (
        [] if "privacy_url" in brand else ["brand.privacy_url"]
    )


@pytest.mark.parametrize(("environment", "code"), [("production", 1), ("development", 0)])
def test_what_production_demands_is_an_error_only_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: str, code: int
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("{id: a, brand: {name: A}, cadence: 90d, time_zone: Etc/UTC}")
    monkeypatch.setenv("EARSHOT_ENVIRONMENT", environment)
    result = CliRunner().invoke(programs.app, ["lint", str(path)])
    assert (result.exit_code, "brand.privacy_url: not set" in result.output) == (code, bool(code))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_clean(path: Any) -> None:
    assert lint(read_program(path.read_bytes())) == []


def test_built_in_program_lacks_only_a_zone_which_nobody_can_know() -> None:
    (warning,) = lint(read_program((PROGRAMS / "after-purchase.yaml").read_bytes()))
    assert warning.startswith("time_zone: not set")


def example(name: str) -> CompiledProgram:
    written = read_program((PROGRAMS / f"examples/{name}.yaml").read_bytes())
    return compile_program(1, written.model_copy(update={"holdout": 0, "sample": 1}))


ANN = Respondent("c1", email="ann@shop.example", phone="+79161234567", consent=Consent(sms=True), purchases=1)
OLGA = structs.replace(
    ANN, time_zone="Asia/Yekaterinburg", attributes={"age": 33, "tier": "gold"}, last_purchase_at=NOW
)


def reason(
    program: CompiledProgram,
    event: Event[TriggerPayload],
    respondent: Respondent = OLGA,
    touchpoint: TouchpointRecord | None = None,
) -> str:
    decision = decide(event, [program], DecisionFacts(respondent, touchpoint), now=NOW)
    return decision.reason.value


def test_shop_asks_two_days_after_the_delivery_in_the_morning() -> None:
    order = sent(PurchaseCompleted(customer=Customer(id="c1"), order=Order.model_validate({"id": "1", "amount": 60})))
    key = TouchpointKey("c1", TouchpointKind.ORDER, "1")
    assert reason(example("shop"), order) == "waiting"
    decision = decide(order, [example("shop")], DecisionFacts(OLGA, TouchpointRecord(key, delivered_at=NOW)), now=NOW)
    assert decision.send_at == NOW + timedelta(days=2, hours=17)
    assert decision.case is not None
    assert decision.case.segments == {"basket": "50\N{EN DASH}99", "tier": "gold"}


def test_service_company_leaves_warranty_visits_out() -> None:
    visit = sent(ServiceCompleted(customer=Customer(id="c1"), service=ServiceJob(id="1", kind="repair")))
    warranty = sent(ServiceCompleted(customer=Customer(id="c1"), service=ServiceJob(id="1", kind="warranty")))
    assert [reason(example("service"), event) for event in (visit, warranty)] == ["asked", "condition"]


def test_bank_asks_adults_who_were_in_a_branch() -> None:
    job, branch = ServiceJob(id="1"), Place(store="Harbour", channel="branch")
    visit = sent(ServiceCompleted(customer=Customer(id="c1"), service=job, touchpoint=branch))
    online = sent(ServiceCompleted(customer=Customer(id="c1"), service=job, touchpoint=Place(channel="app")))
    assert [reason(example("bank"), event) for event in (visit, online)] == ["asked", "condition"]
    assert reason(example("bank"), visit, structs.replace(OLGA, last_category="detractor")) == "condition"


def test_quarterly_asks_customers_of_the_last_year() -> None:
    turn = sent(CadenceDue(respondent_id="c1", program_id="quarterly", period=1))
    assert reason(example("quarterly"), turn) == "asked"
    assert (
        reason(example("quarterly"), turn, structs.replace(OLGA, last_purchase_at=NOW - timedelta(days=366)))
        == "condition"
    )
