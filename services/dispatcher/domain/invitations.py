"""Invitations as read when their rows are locked."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class LockedInvitation:
    id: UUID
    respondent_id: str
    program: str
    is_open: bool
