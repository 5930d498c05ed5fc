"""What events, ticks and requests do to invitations: batches in, one transaction, never a commit."""

from services.dispatcher.handlers.events import handle

__all__ = ["handle"]
