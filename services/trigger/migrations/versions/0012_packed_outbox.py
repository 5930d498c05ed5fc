"""Messages of one transaction and topic are packed into rows of the outbox.

Where there are rows already, all rows are written as before for one more day, because a relay of the version before
could not read packed ones.
"""

from collections.abc import Iterator
from struct import Struct

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
oldest_reader = "0001"

LATER = """UPDATE compact_rows SET since = greatest(since, now() + interval '1 day')
WHERE EXISTS (SELECT FROM respondents)"""
WAITING = "SELECT id, topic, key, headers, body, packed FROM outbox ORDER BY id"
ADD = "INSERT INTO outbox (topic, key, headers, body) VALUES (:topic, :key, :headers, :body)"
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
    op.execute(LATER)
    op.add_column("outbox", sa.Column("packed", sa.SmallInteger))


def downgrade() -> None:
    """Store each message of a packed row as a row again, in the order of all."""
    connection = op.get_bind()
    rows = connection.execute(sa.text(WAITING)).all()
    connection.execute(sa.text("DELETE FROM outbox"))
    for row in rows:
        found = [(row.key, row.headers, row.body)] if row.packed is None else unpacked(row.body)
        for key, headers, content in found:
            values = {"topic": row.topic, "key": key, "headers": headers, "body": content}
            connection.execute(sa.text(ADD), values)
    op.drop_column("outbox", "packed")
