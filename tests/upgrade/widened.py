"""A database as a newer version may leave it: every table has one more column, which this code does not know."""

from __future__ import annotations

from collections.abc import Mapping

from shared import database_url

_TABLES = """SELECT relname FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p')
AND NOT relispartition AND relname NOT IN ('alembic_version', 'schema_revisions')"""
_AS_NEWER = """WITH moved AS (UPDATE alembic_version SET version_num = '9999' RETURNING 1)
INSERT INTO schema_revisions (revision, oldest_reader, catalogue)
SELECT '9999', max(oldest_reader), string_agg(catalogue, '') FROM schema_revisions"""


async def widen(urls: Mapping[str, str]) -> None:
    """Add a nullable column to every table, and record it as the revision of a newer version."""
    for schema, url in urls.items():
        connection = await database_url.connect(url, server_settings={"search_path": schema})
        try:
            names = [row["relname"] for row in await connection.fetch(_TABLES, schema)]
            for name in names:
                await connection.execute(f"ALTER TABLE {name} ADD COLUMN mood text")
            await connection.execute(_AS_NEWER)
            for name in names:
                sql = "UPDATE schema_revisions SET catalogue = catalogue || $1 WHERE revision = '9999'"
                await connection.execute(sql, f"{name} column mood text\n")
        finally:
            await connection.close()
