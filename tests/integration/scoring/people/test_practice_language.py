"""A call to practise with is in the language in which the operator works."""

from __future__ import annotations

import httpx2
import pytest

from shared.contract.vocabulary import Role
from tests.integration.scoring.desk.test_practice import CALL, PROGRAM, TEXTS, publish
from tests.integration.scoring.people.test_scopes import enter_as
from tests.integration.scoring.stand import Scoring

RUSSIAN = {**TEXTS, "question": "Порекомендуете ли вы нас?"}
SPANISH = {**TEXTS, "question": "¿Nos recomendaría?"}


@pytest.mark.parametrize(
    ("spoken", "page", "question"),
    [
        ([], "en", TEXTS["question"]),
        ([], "ru", RUSSIAN["question"]),
        (["es"], "ru", SPANISH["question"]),
        (["es", "ru"], "ru", RUSSIAN["question"]),
        (["de", "es"], "en", SPANISH["question"]),
        (["de"], "ru", TEXTS["question"]),
    ],
)
async def test_made_up_call_is_in_the_languages_in_which_the_operator_works(
    spoken: list[str], page: str, question: str, web: httpx2.AsyncClient, scoring: Scoring
) -> None:
    await publish(scoring, PROGRAM | {"texts": {"en": TEXTS, "ru-RU": RUSSIAN}})
    await publish(scoring, PROGRAM | {"id": "bank", "texts": {"en": TEXTS, "es": SPANISH}})
    person = await enter_as(web, scoring, Role.OPERATOR)
    await scoring.rows("UPDATE people SET spoken = $2 WHERE id = $1", person, spoken)
    shown = (await web.get(CALL, headers={"accept-language": page})).text
    asked = {each["question"] for each in (TEXTS, RUSSIAN, SPANISH) if str(each["question"]) in shown}
    assert asked == {question}
