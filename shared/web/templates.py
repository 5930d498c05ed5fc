"""Jinja templates of a folder, with the settings that all pages and mails share."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from jinja2.ext import InternationalizationExtension

from shared.languages import current, formats
from shared.web.assets.files import asset

_FORMATS = {
    "translated": current.lookup,
    "day": formats.day,
    "short_day": formats.short_day,
    "weekday": formats.weekday,
    "moment": formats.moment,
    "local": formats.local,
    "span": formats.span,
    "quoted": formats.quoted,
    "grouped": formats.grouped,
    "price": formats.price,
    "decimal": formats.decimal,
}
_STAFF_PAGES = Path(__file__).parent / "staff" / "templates"


def template_environment(folder: Path, *, styles: str = "", lstrip_blocks: bool = False) -> Environment:
    """Make an environment for the templates of a folder, which may extend `staff.html`, the frame of staff pages.

    `styles` names the style sheet of the folder's staff pages, without its ending. Values are escaped in `.html`
    templates only, and an undefined name raises jinja2.UndefinedError.
    """
    environment = Environment(
        loader=FileSystemLoader((folder, _STAFF_PAGES)),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=lstrip_blocks,
        auto_reload=False,
    )
    environment.globals |= {"styles": styles, "wording": current.current.get, "asset": asset, "zone": formats.zone}
    environment.filters |= _FORMATS
    environment.policies["ext.i18n.trimmed"] = True
    environment.add_extension(InternationalizationExtension)
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        current.lookup,
        current.lookup_plural,
        newstyle=True,
        pgettext=current.lookup_in,
    )
    return environment
