"""The ORM peer of stage answers: a FastAPI route that loads, changes and saves one row.

Only the table is ours; engine, pool and session are SQLAlchemy's defaults.
"""

from collections.abc import AsyncIterator
from datetime import date
from functools import partial
from typing import Annotated

from fastapi import Depends, FastAPI, Form
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import registry

from services.scoring.models.scores import buckets
from shared import database_url

ROW = ("peer", "all", "", date(2026, 1, 1))


class Bucket:
    """A row of counters."""


registry().map_imperatively(Bucket, buckets)


def build_app(url: str) -> FastAPI:
    """Return an application that counts every posted score in one row."""
    of_schema = {"async_creator_fn": partial(database_url.connect, url, server_settings={"search_path": "scoring"})}
    sessions = async_sessionmaker(create_async_engine("postgresql+asyncpg://", connect_args=of_schema))
    app = FastAPI()

    async def transaction() -> AsyncIterator[AsyncSession]:
        async with sessions.begin() as session:
            yield session

    @app.post("/s/{link}")
    async def save(
        link: str,
        score: Annotated[int, Form(ge=0, le=10)],
        session: Annotated[AsyncSession, Depends(transaction, scope="function")],
    ) -> RedirectResponse:
        row = await session.get_one(Bucket, ROW, with_for_update=True)
        setattr(row, f"s{score}", getattr(row, f"s{score}") + 1)
        return RedirectResponse(f"/s/{link}", status_code=303)

    return app
