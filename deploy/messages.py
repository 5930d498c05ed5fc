"""The messages of all catalogues: extracts them from code and templates, and says what a catalogue lacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import write_po

from shared.contract.vocabulary import Service
from shared.languages.catalogue import BadCatalogue, Fault, faults, key_of, languages_in, path_of, read, texts_of
from shared.languages.current import SHARED

_ROOT = Path(__file__).parent.parent
FOLDERS: Mapping[Path, Path] = {  # of the catalogues, by the folder whose messages they have
    _ROOT / "shared": SHARED,
    **{_ROOT / "services" / name: _ROOT / "services" / name / "locales" for name in Service},
    _ROOT / "deploy": _ROOT / "deploy" / "locales",
}
_METHODS = [("**/templates/**.html", "jinja2"), ("**.py", "python")]
_OPTIONS = {"**/templates/**.html": {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}}
_KEYWORDS = {**DEFAULT_KEYWORDS, "mark": None, "mark_plural": (1, 2)}
_WIDTH = 120
_HEADER = r"""msgid ""
msgstr ""
"Language: {language}\n"
"Content-Type: text/plain; charset=UTF-8\n"
"Content-Transfer-Encoding: 8bit\n"
"Plural-Forms: {forms}\n"

"""


def extract(folder: Path) -> Catalog:
    """Return the messages of a folder's code and templates, with the file that each is in."""
    found = Catalog(project="Earshot", version="", fuzzy=False)
    for file, _, message, comments, context in extract_from_dir(
        folder, method_map=_METHODS, options_map=_OPTIONS, keywords=_KEYWORDS, comment_tags=("Translators:",)
    ):
        place = (folder / file).relative_to(_ROOT) if folder.is_relative_to(_ROOT) else Path(file)
        found.add(message, None, [(place.as_posix(), 0)], auto_comments=comments, context=context)
    return found


def lacking(messages: Catalog, path: Path, language: str) -> Iterator[Fault]:
    """Find what is wrong with a catalogue: messages that are missing, not translated, marked as fuzzy or broken."""
    catalogue = read(path, language)
    yield from faults(catalogue, path)
    for message in messages:
        if not message.id:
            continue
        given = catalogue.get(key_of(message), message.context)
        if given is None:
            yield Fault(path, 0, key_of(message), "it is missing: run make messages")
        elif given.fuzzy:
            yield Fault(path, given.lineno or 0, key_of(message), "it is fuzzy")
        elif not all(texts_of(given)):
            yield Fault(path, given.lineno or 0, key_of(message), "it has no translation")
        elif given.pluralizable is not message.pluralizable:
            yield Fault(path, given.lineno or 0, key_of(message), "only one of code and catalogue has a plural")
    for message in catalogue:
        if message.id and messages.get(key_of(message), message.context) is None:
            yield Fault(path, message.lineno or 0, key_of(message), "no code has it: run make messages")


def check(folders: Mapping[Path, Path] = FOLDERS) -> list[str]:
    """Return what is wrong with the catalogues; each folder has one for every language of the shared one."""
    wrong: list[str] = []
    for code, folder in folders.items():
        messages = extract(code)
        for language in sorted({*languages_in(SHARED), *languages_in(folder)}):
            try:
                wrong += map(str, lacking(messages, path_of(folder, language), language))
            except BadCatalogue as error:
                wrong.append(str(error))
    return wrong


def update(folders: Mapping[Path, Path] = FOLDERS, *, added: Sequence[str] = ()) -> None:
    """Bring the catalogues up to date with the code: new messages have no translation, others keep theirs.

    Languages that are `added` get catalogues in which nothing is translated.
    """
    for code, folder in folders.items():
        messages = extract(code)
        for language in sorted({*languages_in(SHARED), *languages_in(folder), *added}):
            path = path_of(folder, language)
            empty = Catalog(locale=language, project="Earshot", version="")
            catalogue = read(path, language) if path.exists() else empty
            catalogue.update(messages, no_fuzzy_matching=True)
            catalogue.obsolete.clear()
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(_HEADER.format(language=language, forms=catalogue.plural_forms).encode())
                write_po(file, catalogue, width=_WIDTH, omit_header=True, sort_by_file=True, include_lineno=False)


def main(arguments: Sequence[str]) -> int:
    """Update the catalogues, also to languages that are given, and check them; only check them with `--check`."""
    if arguments != ["--check"]:
        update(added=arguments)
    wrong = check()
    for each in wrong:
        print(f"error: {each}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
