"""Messages are packed into rows and are the same when they are read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.transport import Message, packing

MESSAGES = st.lists(
    st.builds(
        Message,
        st.sampled_from(["a", "b"]),
        st.text(max_size=5),
        st.binary(max_size=200),
        st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    ),
    max_size=200,
)


def _of(messages: list[Message], topic: str) -> list[Message]:
    return [message for message in messages if message.topic == topic]


@given(MESSAGES, st.booleans())
def test_messages_of_a_topic_are_read_in_their_order(messages: list[Message], pack: bool) -> None:  # noqa: FBT001 - hypothesis
    rows = [row._asdict() for row in packing.rows_of(messages, pack=pack)]
    read = [message for row in rows for message in packing.messages_of(row["topic"], row)]
    assert (_of(read, "a"), _of(read, "b")) == (_of(messages, "a"), _of(messages, "b"))


def test_row_has_at_most_so_many_messages_and_bytes() -> None:
    small = [Message("t", "k", b"x")] * (2 * packing.MOST + 1)
    assert [row.packed for row in packing.rows_of(small, pack=True)] == [64, 64, None]
    large = [Message("t", "k", bytes(100_000))] * 5
    assert [row.packed for row in packing.rows_of(large, pack=True)] == [2, 2, None]


def test_one_message_is_a_row_as_before() -> None:
    [row] = packing.rows_of([Message("t", "k", b"x", {"a": "b"})], pack=True)
    assert row == ("t", "k", '{"a":"b"}', b"x", None)


def test_ids_of_packed_messages_end_with_the_id_of_the_row() -> None:
    [row] = packing.rows_of([Message("t", str(number), b"") for number in range(3)], pack=True)
    found = packing.messages_of("topic", row._asdict(), last=640)
    assert [message.position for message in found] == ["topic/0/638", "topic/0/639", "topic/0/640"]
