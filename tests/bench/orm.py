"""The peer of answers, what one writes first: a FastAPI route that reads, changes and writes one row by the ORM."""

from datetime import date
from typing import Annotated

from fastapi import Depends, FastAPI, Form
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import registry

from services.scoring.models import buckets
from shared import db, web

ROW = ("peer", "all", "", date(2026, 1, 1))


class Bucket:
    """A row of counters."""


registry().map_imperatively(Bucket, buckets)


def build_app(database: db.Database) -> FastAPI:
    """Count every score that is posted in one row."""
    app = FastAPI()
    transaction = Annotated[AsyncSession, Depends(web.transaction(database.sessions), scope="function")]

    @app.post("/s/{link}")
    async def save(link: str, score: Annotated[int, Form(ge=0, le=10)], session: transaction) -> RedirectResponse:
        row = await session.get_one(Bucket, ROW, with_for_update=True)
        setattr(row, f"s{score}", getattr(row, f"s{score}") + 1)
        return RedirectResponse(f"/s/{link}", status_code=303)

    return app
