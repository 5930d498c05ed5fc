"""Marks constants as messages, for modules that have to load fast."""


def mark(message: str) -> str:
    """Mark a constant as a message, which is translated where it is shown."""
    return message
