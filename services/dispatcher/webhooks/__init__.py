"""Where providers call: `POST /hooks/{provider}`. What they say is verified, stored once, and applied by a tick."""

from services.dispatcher.webhooks.routes import router

__all__ = ["router"]
