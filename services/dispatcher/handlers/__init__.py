"""Changes to invitations, caused by events, jobs and requests. Handlers run in a transaction of their caller."""

from services.dispatcher.handlers.events import handle

__all__ = ["handle"]
