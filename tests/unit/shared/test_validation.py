"""What pydantic finds wrong is said in words, in every language."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import AnyUrl, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core.core_schema import ErrorType

from shared.languages.current import SHARED, language, speaking
from shared.web.errors.validation import TEXTS, InvalidRequest, in_words


class Filled(BaseModel):
    model_config = ConfigDict(extra="forbid")

    day: date

    @model_validator(mode="after")
    def _is_known(self) -> Filled:
        raise ValueError("Go back.")


WRONG: list[tuple[Any, object, str, str]] = [
    (int, "x", "this is not a whole number", "это не целое число"),
    (int, 1.5, "this is not a whole number", "это не целое число"),
    (float, "x", "this is not a number", "это не число"),
    (Decimal, "x", "this is not a number", "это не число"),
    (bool, "x", "this is neither yes nor no", "нужно «да» или «нет»"),
    (date, "x", "this is not a date", "это не дата"),
    (AwareDatetime, "2026-01-01T00:00", "the time needs a time zone", "у времени должен быть часовой пояс"),  # noqa: RUF001 - Cyrillic it is
    (datetime, "x", "this is not a time", "это не время"),
    (timedelta, "x", "this is not a span of time", "это не промежуток времени"),
    (UUID, "x", "this is not an id", "это не номер записи"),
    (AnyUrl, "x", "this is not a web address", "это не адрес сайта"),
    (Literal["a", "b"], "c", "there is no such value to choose", "такого значения в списке нет"),
    (list[int], "c", "this is not a list", "это не список"),
    (str, 1, "this is not a text", "это не текст"),
    (Annotated[str, Field(max_length=1)], "ab", "at most 1 character fits", "помещается не больше 1 знака"),
    (Annotated[str, Field(max_length=3)], "abcd", "at most 3 characters fit", "помещается не больше 3 знаков"),
    (Annotated[str, Field(min_length=2)], "a", "at least 2 characters are needed", "нужно не меньше 2 знаков"),
    (Annotated[list[str], Field(max_length=2)], ["a"] * 3, "at most 2 values fit", "помещается не больше 2 значений"),
    (Annotated[str, Field(pattern="^a$")], "b", "this is written in another form", "нужна другая форма записи"),
    (Annotated[int, Field(gt=3)], 3, "the number has to be above 3", "нужно число больше 3"),
    (Annotated[int, Field(le=3)], 4, "the number has to be at most 3", "нужно число не больше 3"),
    (Filled, {}, "this is missing", "не указано"),
    (Filled, {"day": "2026-01-01", "more": 1}, "this is not known here", "здесь такого поля нет"),
    (Filled, {"day": "2026-01-01"}, "Go back.", "Вернитесь назад."),
]


@pytest.mark.parametrize(("kind", "value", "english", "russian"), WRONG)
def test_error_is_said_in_the_language_of_the_reader(kind: Any, value: object, english: str, russian: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    said = []
    for code in ("en", "ru"):
        with speaking(language(code, SHARED)):
            said.append([in_words(each) for each in caught.value.errors()])
    assert [any(text.startswith(english) for text in said[0]), any(text.startswith(russian) for text in said[1])] == [
        True,
        True,
    ]


def test_every_text_is_of_a_kind_that_pydantic_has_and_is_translated() -> None:
    assert set(TEXTS) - set(get_args(ErrorType)) == set()
    context = dict.fromkeys(("min_length", "max_length", "gt", "ge", "lt", "le", "multiple_of"), 7)
    with speaking(language("ru", SHARED)):
        said = {kind: in_words({"type": kind, "ctx": context}) for kind in (*get_args(ErrorType), "a new kind")}
    assert {kind: text for kind, text in said.items() if re.search("[A-Za-z]", text.replace("JSON", ""))} == {}


def test_field_is_named_without_the_part_of_the_request() -> None:
    found = [
        {"type": "missing", "loc": ("query", "id"), "msg": "Field required"},
        {"type": "missing", "loc": ("query", "id", "literal"), "msg": "Field required"},
        {"type": "string_too_short", "loc": ("body", "people", 3, "name"), "msg": "…", "ctx": {"min_length": 1}},
        {"type": "json_invalid", "loc": ("body", 12), "msg": "…"},
    ]
    problem = InvalidRequest(RequestValidationError(found))
    assert problem.lines == [
        "id: this is missing",
        "people: at least 1 character is needed",
        "form: this is not JSON",
    ]
    assert problem.extra["errors"][0] == {"where": "query.id", "what": "Field required"}
