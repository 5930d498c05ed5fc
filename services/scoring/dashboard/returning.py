"""Forms that lead back to the view they were sent from."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from shared.web.staff.done_acts import tell


class ReturningForm(BaseModel):
    """`back` must be an address of the dashboard or of the comments, so that the redirect leads nowhere else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    back: Annotated[str, Field(pattern=r"^/(comments)?(\?[^\s\\]*)?$", max_length=2000)] = "/"

    def tell(self, said: str, *, undo: str = "", **fields: object) -> None:
        """Let the view say what was done; undoing leads to the same view."""
        tell(said, page=self.back, undo=undo, fields={"back": self.back, **fields})

    def redirect(self) -> Response:
        return RedirectResponse(self.back, HTTPStatus.SEE_OTHER)
