"""Pages from `templates/`, and mails shown inside them."""

from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse

from shared.web.templates import template_environment

_environment = template_environment(Path(__file__).parent.parent / "templates", styles="mailbox")
_MAIL_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)


def page(template: str, **fields: Any) -> str:
    return _environment.get_template(template).render(fields)


def mail_response(html: str) -> HTMLResponse:
    """Respond with a mail's HTML; inline styles are allowed, scripts and loading of resources are not."""
    return HTMLResponse(html, headers={"content-security-policy": _MAIL_CSP})
