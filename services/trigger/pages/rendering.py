"""Pages from `templates/`."""

from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse

from shared.web.templates import template_environment

_environment = template_environment(Path(__file__).parents[1] / "templates", styles="decisions")


def page(template: str, **values: Any) -> HTMLResponse:
    return HTMLResponse(_environment.get_template(template).render(values))
