"""Marks constants as messages, for modules that have to load fast."""


def mark(message: str) -> str:
    """Mark a constant as a message, which is translated where it is shown."""
    return message


def mark_plural(one: str, many: str) -> tuple[str, str]:
    """Mark the two English forms of a message about a number."""
    return one, many
