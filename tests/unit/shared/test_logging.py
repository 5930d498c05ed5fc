"""The form of log lines, and that exceptions and libraries bring no personal data into them."""

from __future__ import annotations

import logging as standard
from collections.abc import Iterator

import pytest
import structlog

from shared import logging


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = standard.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logging.configure("warning", service="tests")


def test_line_has_text_fields_and_service(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure(service="trigger")
    structlog.get_logger().info("invitation.skipped", reason="no_consent")
    line = capsys.readouterr().err
    assert '"event": "invitation.skipped"' in line
    assert '"reason": "no_consent"' in line
    assert '"service": "trigger"' in line


def test_exception_says_where_and_not_what(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure()
    try:
        int("olga@example.com")
    except ValueError as error:
        structlog.get_logger().error("request.failed", exc_info=error)
    line = capsys.readouterr().err
    assert "ValueError (shared/test_logging.py:" in line
    assert "olga" not in line


def test_library_line_keeps_its_constant_text_only(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure()
    standard.getLogger("driver").warning("cannot deliver to %s", "olga@example.com")
    line = capsys.readouterr().err
    assert "cannot deliver to %s" in line
    assert "olga" not in line


def test_line_of_the_kafka_driver_names_the_node(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure()
    driver = standard.getLogger("aiokafka.client")
    driver.error("Unable connect to node with id %s: %s", 3, "Connection at broker-3:9092 closed")
    driver.error("Heartbeat session expired - marking coordinator dead")
    first, second = capsys.readouterr().err.splitlines()
    assert "Unable connect to node with id 3: Connection at broker-3:9092 closed" in first
    assert "Heartbeat session expired - marking coordinator dead" in second


def test_library_line_with_wrong_arguments_is_still_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure()
    standard.getLogger("aiokafka.client").error("lag of %d messages", "many")
    assert "lag of %d messages" in capsys.readouterr().err


def test_group_and_cause_are_described() -> None:
    group = ExceptionGroup("several", [ValueError("secret"), KeyError("secret")])
    failure = RuntimeError("outer secret")
    failure.__cause__ = TimeoutError("inner secret")
    assert "secret" not in logging.describe(group) + logging.describe(failure)
    assert "KeyError" in logging.describe(group)
    assert "<- TimeoutError" in logging.describe(failure)
