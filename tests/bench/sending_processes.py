"""`python -m tests.bench.sending_processes DATABASE PORT`: a dispatcher that sends all due mails when it is told to."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import partial

import uvloop

from services.dispatcher.channels.email import SmtpAccount
from services.dispatcher.domain.send_mode import SendMode, SendPolicy
from services.dispatcher.messages.composer import Composer
from services.dispatcher.sending.sender import ChannelSender
from shared import logging
from shared.clock import ManualClock
from shared.config import DEVELOPMENT_ADDRESS_KEYS, DEVELOPMENT_LINK_KEYS
from shared.contract.address_keys import AddressKeys
from shared.contract.vocabulary import ChannelKind
from shared.database import db
from shared.garbage import tune_gc
from shared.smtp_server import SmtpServer
from tests.bench.processes import work_when_told

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FROM = "survey@example.com"
CONNECTIONS = 4
KEYS = AddressKeys(DEVELOPMENT_ADDRESS_KEYS)
COMPOSER = Composer(DEVELOPMENT_LINK_KEYS, "http://pub", "http://sh", "http://un", f"Earshot <{FROM}>")


async def _work(database_url: str, port: str) -> None:
    database = db.Database(database_url, schema="dispatcher")
    server = SmtpServer.from_url(f"smtp://127.0.0.1:{port}")
    account = SmtpAccount(server, sender=FROM, connections=CONNECTIONS)
    sender = ChannelSender(
        channel=ChannelKind.EMAIL,
        sessions=database.sessions,
        clock=ManualClock(NOW),
        composer=COMPOSER,
        policy=SendPolicy(SendMode.LIVE, daily_ceiling=10**9),
        address_keys=KEYS,
        account=account,
    )
    await work_when_told(partial(_send_due, sender))
    await account.close()
    await database.close()


async def _send_due(sender: ChannelSender) -> int:
    sent = 0
    while more := await sender.perform_due():
        sent += more
    return sent


if __name__ == "__main__":
    logging.configure("warning", service="bench")
    tune_gc()
    uvloop.run(_work(sys.argv[1], sys.argv[2]))
