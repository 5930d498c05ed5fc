"""Messages that are appended together are packed into rows, each with an id of its own: the ids end with the row's.

Where there are messages already, or groups that read, rows are written as before for one more day, because a reader of
the version before could not read packed ones.
"""

from collections.abc import Iterator
from struct import Struct

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
oldest_reader = "0001"

SINCE = """INSERT INTO compact_rows (since) SELECT CASE
WHEN EXISTS (SELECT FROM messages) OR EXISTS (SELECT FROM cursors)
THEN now() + interval '1 day' ELSE '-infinity' END"""
PACKED = "SELECT topic, id FROM messages WHERE packed IS NOT NULL"
TAKE = "DELETE FROM messages WHERE topic = :topic AND id = :id RETURNING body, appended_at"
ADD = """INSERT INTO messages (topic, id, key, headers, body, appended_at) OVERRIDING SYSTEM VALUE
VALUES (:topic, :id, :key, :headers, :body, :at)"""
LENGTHS = Struct("<3I")  # of key, headers and body


def unpacked(body: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Yield key, headers and body of each message of a packed row."""
    block, at = decompressed(body), 0
    while at < len(block):
        key, headers, content = LENGTHS.unpack_from(block, at)
        start = at + LENGTHS.size + key
        at = start + headers + content
        yield block[start - key : start].decode(), block[start : start + headers].decode(), block[at - content : at]


def decompressed(block: bytes) -> bytes:
    """Decompress a block of LZ4 (`lz4_Block_format.md` of the LZ4 project) after four bytes of its size."""
    found, at = bytearray(), 4
    while at < len(block):
        token = block[at]
        literals, at = length(block, at + 1, token >> 4)
        found += block[at : at + literals]
        at += literals
        if at < len(block):  # the last sequence has literals only
            start = len(found) - int.from_bytes(block[at : at + 2], "little")
            matched, at = length(block, at + 2, token & 15)
            for place in range(start, start + matched + 4):
                found.append(found[place])
    return bytes(found)


def length(block: bytes, at: int, first: int) -> tuple[int, int]:
    """Return a length, which goes on in further bytes if it begins with 15, and where it ends."""
    while first >= 15 and (first - 15) % 255 == 0:
        first, at = first + block[at], at + 1
        if block[at - 1] < 255:
            break
    return first, at


def upgrade() -> None:
    op.create_table("compact_rows", sa.Column("since", sa.DateTime(timezone=True), primary_key=True))
    op.execute(SINCE)
    op.add_column("messages", sa.Column("packed", sa.SmallInteger))
    op.execute("ALTER TABLE messages ALTER COLUMN id SET INCREMENT BY 64")
    op.execute("SELECT nextval(pg_get_serial_sequence('messages', 'id'))")  # ids of the first row are above 0, too


def downgrade() -> None:
    """Store each message of a packed row as a row with its id, so that cursors stay as they are."""
    connection = op.get_bind()
    for topic, last in connection.execute(sa.text(PACKED)).all():
        packed, at = connection.execute(sa.text(TAKE), {"topic": topic, "id": last}).one()
        messages = list(unpacked(packed))
        for id_, (key, headers, body) in enumerate(messages, last - len(messages) + 1):
            row = {"topic": topic, "id": id_, "key": key, "headers": headers}
            connection.execute(sa.text(ADD), {**row, "body": body, "at": at})
    op.execute("ALTER TABLE messages ALTER COLUMN id SET INCREMENT BY 1")
    op.drop_column("messages", "packed")
    op.drop_table("compact_rows")
