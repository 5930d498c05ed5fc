"""Pages from `templates/`, and mails shown inside them."""

from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse

from services.dispatcher.messages import mime
from shared.web.templates import template_environment

_environment = template_environment(Path(__file__).parent.parent / "templates", styles="mailbox")
_MAIL_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-same-origin allow-popups "
    "allow-popups-to-escape-sandbox"
)


def page(template: str, **fields: Any) -> str:
    return _environment.get_template(template).render(fields)


def mail_response(mail: bytes) -> HTMLResponse:
    """Respond with a mail's HTML; scripts and loading of resources are not allowed. Its links open in a new tab.

    The page around it may measure it.
    """
    html = mime.read_shown(mail).replace("<head>", '<head><base target="_blank">', 1)
    return HTMLResponse(html, headers={"content-security-policy": _MAIL_CSP})
