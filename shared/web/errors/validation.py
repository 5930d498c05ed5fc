"""What pydantic finds wrong with a request: for programs as pydantic says it, for a page in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastapi.exceptions import RequestValidationError

from shared.languages.current import gettext, lookup, ngettext
from shared.languages.marking import mark, mark_plural
from shared.web.problems import INVALID_REQUEST, Unprocessable

_MOST = 20


class _Counted(NamedTuple):
    """A text about a number, which is a value of the error's context; `one` and `many` are its plural forms."""

    number: str
    one: str
    many: str


_INVALID = mark("this value does not fit")
_NUMBER, _WHOLE_NUMBER = mark("this is not a number"), mark("this is not a whole number")
_LIST, _TEXT, _GROUP = mark("this is not a list"), mark("this is not a text"), mark("this is not a group of fields")
_DATE, _TIME, _SPAN = mark("this is not a date"), mark("this is not a time"), mark("this is not a span of time")
_MISSING, _UNKNOWN = mark("this is missing"), mark("this is not known here")
_CHOICE = mark("there is no such value to choose")
_URL, _ID = mark("this is not a web address"), mark("this is not an id")
_SHORT_TEXT = _Counted(
    "min_length", *mark_plural("at least %(num)s character is needed", "at least %(num)s characters are needed")
)
_LONG_TEXT = _Counted("max_length", *mark_plural("at most %(num)s character fits", "at most %(num)s characters fit"))
TEXTS: Mapping[str, str | _Counted] = {
    "bool_parsing": mark("this is neither yes nor no"),
    "bool_type": mark("this is neither yes nor no"),
    "bytes_too_long": _LONG_TEXT,
    "bytes_too_short": _SHORT_TEXT,
    "date_from_datetime_inexact": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_future": mark("this day has to be in the future"),
    "date_parsing": _DATE,
    "date_past": mark("this day has to be in the past"),
    "date_type": _DATE,
    "datetime_from_date_parsing": _TIME,
    "datetime_future": mark("this time has to be in the future"),
    "datetime_object_invalid": _TIME,
    "datetime_parsing": _TIME,
    "datetime_past": mark("this time has to be in the past"),
    "datetime_type": _TIME,
    "decimal_parsing": _NUMBER,
    "decimal_type": _NUMBER,
    "dict_type": _GROUP,
    "enum": _CHOICE,
    "extra_forbidden": _UNKNOWN,
    "finite_number": _NUMBER,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "greater_than": mark("the number has to be above %(gt)s"),
    "greater_than_equal": mark("the number has to be at least %(ge)s"),
    "int_from_float": _WHOLE_NUMBER,
    "int_parsing": _WHOLE_NUMBER,
    "int_parsing_size": mark("the number is too large"),
    "int_type": _WHOLE_NUMBER,
    "json_invalid": mark("this is not JSON"),
    "json_type": mark("this is not JSON"),
    "less_than": mark("the number has to be under %(lt)s"),
    "less_than_equal": mark("the number has to be at most %(le)s"),
    "list_type": _LIST,
    "literal_error": _CHOICE,
    "mapping_type": _GROUP,
    "missing": _MISSING,
    "model_attributes_type": _GROUP,
    "model_type": _GROUP,
    "multiple_of": mark("the number has to be a multiple of %(multiple_of)s"),
    "set_type": _LIST,
    "string_pattern_mismatch": mark("this is written in another form than expected"),
    "string_too_long": _LONG_TEXT,
    "string_too_short": _SHORT_TEXT,
    "string_type": _TEXT,
    "string_unicode": _TEXT,
    "time_delta_parsing": _SPAN,
    "time_delta_type": _SPAN,
    "time_parsing": _TIME,
    "time_type": _TIME,
    "timezone_aware": mark("the time needs a time zone"),
    "timezone_naive": mark("the time must not have a time zone"),
    "too_long": _Counted("max_length", *mark_plural("at most %(num)s value fits", "at most %(num)s values fit")),
    "too_short": _Counted(
        "min_length", *mark_plural("at least %(num)s value is needed", "at least %(num)s values are needed")
    ),
    "tuple_type": _LIST,
    "url_parsing": _URL,
    "url_scheme": _URL,
    "url_syntax_violation": _URL,
    "url_too_long": _LONG_TEXT,
    "url_type": _URL,
    "uuid_parsing": _ID,
    "uuid_type": _ID,
    "uuid_version": _ID,
}


class InvalidRequest(Unprocessable):
    """A request with values that do not fit; `errors` has what pydantic says, for programs."""

    def __init__(self, error: RequestValidationError) -> None:
        self._found: Sequence[Mapping[str, Any]] = error.errors()[:_MOST]
        places = [{"where": ".".join(map(str, each["loc"])), "what": each["msg"]} for each in self._found]
        super().__init__(INVALID_REQUEST, errors=places)

    @property
    def is_about_path(self) -> bool:
        """Whether the path itself has such a value, so that there can be no page at it."""
        return any(each["loc"][:1] == ("path",) for each in self._found)

    @property
    def lines(self) -> list[str]:
        told = (f"{_field(each['loc'])}: {in_words(each)}" for each in self._found)
        return list(dict.fromkeys(told))  # each choice of a union has an error of its own


def in_words(error: Mapping[str, Any]) -> str:
    """Say in the current language what one error of pydantic means."""
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        return lookup(str(context.get("error", _INVALID)))
    match TEXTS.get(error["type"], _INVALID):
        case _Counted(number, one, many):
            return ngettext(one, many, context[number])
        case text:
            return gettext(text, **context)


def _field(place: Sequence[str | int]) -> str:
    """Return the name of a field of the query or form; what is inside of it is left out."""
    return next((each for each in place[1:] if isinstance(each, str)), gettext("form"))
