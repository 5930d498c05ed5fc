"""Catalogues of translations: those of the project are whole, and what may be wrong with one is found."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages import Catalog
from structlog.testing import capture_logs

from deploy import messages
from shared.languages import catalogue
from shared.languages.current import SHARED, current, gettext, known_in, language, ngettext
from shared.web import routes

ROOT = Path(__file__).parent.parent.parent
HEADER = (
    'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
    '"Plural-Forms: nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && '
    '(n%100<10 || n%100>=20) ? 1 : 2);\\n"\n\n'
)
GOOD = 'msgid "Hello %(name)s"\nmsgstr "Привет, %(name)s"\n'
PLURAL = 'msgid "%(num)s answer"\nmsgid_plural "%(num)s answers"\n'


def plant(folder: Path, text: str, *, code: str = "ru", header: str = HEADER) -> Path:
    path = catalogue.path_of(folder, code)
    path.parent.mkdir(parents=True)
    path.write_text(header + text)
    return path


def wanted(*ids: str | tuple[str, str]) -> Catalog:
    found = Catalog()
    for each in ids:
        found.add(each)
    return found


def test_every_catalogue_of_the_project_is_whole() -> None:
    assert messages.check() == []


def test_every_catalogue_has_the_messages_of_its_code() -> None:
    """An extractor that finds nothing would leave nothing to translate."""
    sizes = {folder.name: len(messages.extract(folder)) for folder in messages.FOLDERS}
    assert sizes["scoring"] > 300
    assert min(sizes.values()) > 10


def test_every_label_of_the_menu_is_a_message() -> None:
    found = messages.extract(ROOT / "shared")
    labels = {prefix.label for prefix in routes.TABLE if prefix.label} | set(routes.Group)
    assert [label for label in labels if label not in found] == []


RUSSIAN_ODDITIES = re.compile(r"[“”„\"]|СМС", re.IGNORECASE)  # noqa: RUF001 - Cyrillic it is
TAG = re.compile(r"<[^>]*>")


def test_every_catalogue_has_one_form_of_quotation_marks_and_of_sms() -> None:
    odd = [
        f"{path}: {text}"
        for folder in messages.FOLDERS.values()
        for path in [catalogue.path_of(folder, "ru")]
        for message in catalogue.read(path, "ru")
        if message.id
        for text in catalogue.texts_of(message)
        if RUSSIAN_ODDITIES.search(TAG.sub("", text))
    ]
    assert odd == []
    straight = [
        key
        for folder in messages.FOLDERS
        for key in (catalogue.key_of(message) for message in messages.extract(folder))
        if '"' in TAG.sub("", key) or "«" in key
    ]
    assert straight == []


def test_no_template_puts_a_value_into_quotation_marks_of_one_language() -> None:
    """Those of the reader's language are put by the filter `quoted`."""
    found = [
        f"{path.relative_to(ROOT)}: {match}"
        for folder in messages.FOLDERS
        for path in folder.rglob("templates/**/*.html")
        for match in re.findall(r"[“„«]\{\{.*?\}\}", path.read_text())
    ]
    assert found == []


JINJA = re.compile(r"\{%-?\s*trans\b.*?endtrans\s*-?%\}|\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
FOREIGN = re.compile(r"<(code|pre|style|script|kbd)\b.*?</\1>", re.DOTALL)  # is the same in every language
SAID = re.compile(r'\b(?:aria-label|placeholder|title|alt)="([^"]*)"')
ATTRIBUTE = re.compile(r'[a-z-]+="[^"]*"|\bautofocus\b')  # of a tag that Jinja writes in parts
NAMES = {"Earshot", "API"}


def test_no_template_says_a_word_that_is_not_translated() -> None:
    bare = {}
    for folder in messages.FOLDERS:
        for path in folder.rglob("templates/**/*.html"):
            text = FOREIGN.sub("", JINJA.sub("", path.read_text()))
            shown = " ".join([*SAID.findall(text), ATTRIBUTE.sub("", TAG.sub(" ", text))])
            bare[path.name] = set(re.findall(r"[A-Za-z]{2,}", shown)) - NAMES
    assert {name: words for name, words in bare.items() if words} == {}
    assert len(bare) > 50


def test_no_message_is_inside_an_f_string() -> None:
    """There, the extractor of Python before 3.12 does not find it."""
    hidden = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for folder in messages.FOLDERS
        for path in folder.rglob("*.py")
        for text in ast.walk(ast.parse(path.read_text()))
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in ("gettext", "ngettext", "mark")
        and isinstance(call.args[0], ast.Constant)
    ]
    assert hidden == []


FAULTS = {
    'msgid "Hello %(name)s"\nmsgstr "Привет"\n': "its placeholders differ: name",
    'msgid "Hello %(name)s"\nmsgstr "Привет, %(nmae)s"\n': "its placeholders differ: name, nmae",
    'msgid "Hello %(name)s"\nmsgstr "Привет, %(name)"\n': "a placeholder is broken, or a % is not doubled",
    'msgid "Hello %(name)s"\nmsgstr "Привет, %(name)d"\n': "a placeholder is broken, or a % is not doubled",
    'msgid "Hello %(name)s"\nmsgstr "100 % привет, %(name)s"\n': "a placeholder is broken, or a % is not doubled",
    'msgid "Hello %(name)s"\nmsgstr "\\"Привет\\", %(name)s"\n': 'it has a ", which would end an attribute in HTML',
    '#, fuzzy\nmsgid "Hello %(name)s"\nmsgstr "Привет, %(name)s"\n': "it is fuzzy",
    'msgid "Hello %(name)s"\nmsgstr ""\n': "it has no translation",
}


@pytest.mark.parametrize(("text", "why"), FAULTS.items())
def test_bad_translation_is_found_with_file_line_and_message(tmp_path: Path, text: str, why: str) -> None:
    path = plant(tmp_path, text)
    line = (HEADER + text)[: (HEADER + text).index('msgid "Hello')].count("\n") + 1
    found = [str(each) for each in messages.lacking(wanted("Hello %(name)s"), path, "ru")]
    assert found == [f"{path}:{line}: {why}: 'Hello %(name)s'"]


@pytest.mark.parametrize(
    ("forms", "why"),
    [
        ('msgstr[0] "%(num)s ответ"\nmsgstr[1] "%(num)s ответа"\n', "it has no translation"),
        (
            'msgstr[0] "%(num)s ответ"\nmsgstr[1] "ответа"\nmsgstr[2] "%(num)s ответов"\n',
            "its placeholders differ: num",
        ),
        ('msgstr[0] "один ответ"\nmsgstr[1] "%(num)s ответа"\nmsgstr[2] "%(num)s ответов"\n', "placeholders differ"),
    ],
)
def test_every_plural_form_is_looked_at(tmp_path: Path, forms: str, why: str) -> None:
    path = plant(tmp_path, PLURAL + forms)
    (found,) = messages.lacking(wanted(("%(num)s answer", "%(num)s answers")), path, "ru")
    assert why in str(found)


def test_tags_and_numbers_of_plural_forms_are_compared(tmp_path: Path) -> None:
    path = plant(tmp_path / "tags", 'msgid "<kbd>N</kbd> next"\nmsgstr "<b>N</b> дальше"\n')
    assert [each.why for each in messages.lacking(wanted("<kbd>N</kbd> next"), path, "ru")] == ["its tags differ"]
    english = HEADER.replace(HEADER[HEADER.index("nplurals") : HEADER.index("\\n", HEADER.index("nplurals"))], "")
    two = english.replace("Plural-Forms: ", "Plural-Forms: nplurals=2; plural=(n != 1);")
    path = plant(tmp_path / "forms", GOOD, header=two)
    (found,) = messages.lacking(wanted("Hello %(name)s"), path, "ru")
    assert found.why == "Plural-Forms has 2 forms, the language 3"


def test_messages_that_only_one_side_has_are_found(tmp_path: Path) -> None:
    path = plant(tmp_path, GOOD)
    found = {each.message: each.why for each in messages.lacking(wanted("Good bye"), path, "ru")}
    assert found == {
        "Good bye": "it is missing: run make messages",
        "Hello %(name)s": "no code has it: run make messages",
    }


def test_a_language_that_does_not_exist_is_found_and_never_offered(tmp_path: Path) -> None:
    code, folder = tmp_path / "code", tmp_path / "locales"
    code.mkdir()
    path = plant(folder, GOOD, code="xx_YY")
    wrong = messages.check({code: folder})
    assert any(str(each).startswith(f"{path}: its folder is no language") for each in wrong)
    assert known_in(folder) == ["en"]


@pytest.mark.parametrize("text", ["msgid Hello\n", 'msgstr "x"\n\x00'])
def test_a_file_that_is_no_catalogue_is_found(tmp_path: Path, text: str) -> None:
    path = plant(tmp_path, text, header="")
    with pytest.raises(catalogue.BadCatalogue, match=r"messages\.po"):
        list(messages.lacking(wanted("Hello %(name)s"), path, "ru"))


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = current.get()
    yield
    current.set(before)


@pytest.mark.parametrize("broken", [text for text, why in FAULTS.items() if "no translation" not in why])
def test_a_broken_translation_is_shown_in_english_and_logged_once(tmp_path: Path, broken: str) -> None:
    plant(tmp_path, broken + '\nmsgid "Yes"\nmsgstr "Да"\n')
    with capture_logs() as logs:
        current.set(language("ru", tmp_path))
        assert [gettext("Hello %(name)s", name="Анна") for _ in range(3)] == ["Hello Анна"] * 3
        current.set(language("ru", tmp_path))
        assert gettext("Yes") == "Да"
    assert len(logs) <= 1
    assert all(line["event"] == "catalogue.message_is_broken" for line in logs)
    assert logs or "fuzzy" in broken


def test_a_file_that_cannot_be_read_leaves_the_pages_in_english(tmp_path: Path) -> None:
    plant(tmp_path, "msgid Hello\n", header="")
    with capture_logs() as logs:
        current.set(language("ru", tmp_path))
        assert gettext("Hello %(name)s", name="Анна") == "Hello Анна"
    assert [line["event"] for line in logs] == ["catalogue.unreadable"]


def test_a_third_language_is_a_file_in_a_folder_of_its_name(tmp_path: Path) -> None:
    plant(tmp_path, 'msgid "Hello %(name)s"\nmsgstr "Hallo %(name)s"\n', code="de", header="")
    assert known_in(tmp_path) == ["en", "de"]
    current.set(language("de", tmp_path))
    assert gettext("Hello %(name)s", name="Anna") == "Hallo Anna"


def test_own_catalogue_comes_before_the_shared_one(tmp_path: Path) -> None:
    plant(tmp_path, 'msgid "Log out"\nmsgstr "Прочь"\n')
    current.set(language("ru", tmp_path))
    assert gettext("Log out") == "Прочь"
    assert gettext("Skip to content") == "К содержанию"  # noqa: RUF001 - Russian
    assert catalogue.languages_in(SHARED) == ["ru"]


def test_plural_forms_follow_the_rules_of_the_language() -> None:
    def answers(count: int) -> str:
        return ngettext("%(count)s answer", "%(count)s answers", count, count=count)

    assert [answers(count) for count in (0, 1, 2)] == ["0 answers", "1 answer", "2 answers"]
    current.set(language("ru", ROOT / "services" / "scoring" / "locales"))
    assert [answers(count) for count in (1, 3, 5, 11, 21, 112)] == [
        *("1 ответ", "3 ответа", "5 ответов"),
        *("11 ответов", "21 ответ", "112 ответов"),
    ]


def test_update_keeps_translations_and_adds_what_is_new(tmp_path: Path) -> None:
    code, folder = tmp_path / "code", tmp_path / "locales"
    code.mkdir()
    (code / "page.py").write_text('gettext("Hello %(name)s", name=name)\nmark("Good bye")\n')
    path = plant(folder, GOOD + '\nmsgid "Gone"\nmsgstr "Нет"\n')
    messages.update({code: folder}, added=["de"])
    found = catalogue.read(path, "ru")
    assert {message.id: message.string for message in found if message.id} == {
        "Hello %(name)s": "Привет, %(name)s",
        "Good bye": "",
    }
    assert catalogue.languages_in(folder) == ["de", "ru"]
    before = path.read_text()
    messages.update({code: folder})
    assert path.read_text() == before
