"""Every metric of Earshot. Services in one process share one registry and differ by the label `service`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("earshot_events_total", "Events handled", ["service", "type", "result"])
BATCH_SECONDS = Histogram("earshot_batch_seconds", "Time to handle and commit one batch", ["service"])
PARKED = Counter("earshot_parked_total", "Messages parked", ["service", "reason"])
BAD_INPUT = Counter("earshot_bad_input_total", "Items from outside that could not be handled", ["service", "kind"])
EXPIRED_UNREAD = Counter("earshot_expired_unread_total", "Messages deleted before they were read", ["group", "topic"])
RETRIES = Counter("earshot_retries_total", "Batches and rounds retried after a transient error", ["service"])
OUTBOX_ROWS = Gauge("earshot_outbox_rows", "Outbox rows not yet published", ["service"])
PUBLISHED = Counter("earshot_published_total", "Events published", ["service", "topic"])
DECISIONS = Counter("earshot_decisions_total", "Decisions by program and reason", ["service", "program", "reason"])
IGNORED_FIELDS = Counter("earshot_ignored_fields_total", "Fields of events left out", ["service", "type", "field"])
MISSING_FIELDS = Counter("earshot_missing_fields_total", "Condition fields not found", ["service", "program", "field"])
ID_CLASHES = Counter(
    "earshot_id_clashes_total", "Customer ids to which two sources gave different addresses", ["service"]
)
SHARED_ADDRESSES = Counter(
    "earshot_shared_addresses_total", "Decisions and claims about an address of too many ids", ["service"]
)
STEPS = Counter("earshot_steps_total", "Steps finished, by channel and state", ["service", "channel", "state"])
OLDEST_DUE = Gauge("earshot_oldest_due_step_seconds", "Age of the oldest overdue step, business time", ["service"])
RECEIPTS = Counter("earshot_receipts_total", "Provider receipts handled", ["service", "provider", "kind"])
ACCOUNT_REFUSALS = Counter(
    "earshot_account_refusals_total", "Replies of a provider that refuse our account", ["service", "account", "reason"]
)
STALLED = Gauge("earshot_stalled_invitations", "Open invitations without a next step", ["service"])
LEDGER_LACKS = Gauge("earshot_ledger_lacks", "Attempts and ends in the log but not in the database", ["service"])
ANSWER_ARRIVAL = Histogram(
    "earshot_answer_arrival_seconds",
    "From an answer's commit in scoring to its commit in dispatcher, machine time",
    ["service"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
ANSWERS = Counter("earshot_answers_total", "Answers stored, by mode", ["service", "mode"])
LOG_INS = Counter("earshot_log_ins_total", "Attempts of staff to log in, by result", ["service", "result"])
STAFF_MAILS = Counter("earshot_staff_mails_total", "Mails to staff, by result", ["service", "result"])
WEBHOOKS = Counter("earshot_webhooks_total", "Attempts to deliver a webhook, by result", ["service", "state"])
WEBHOOKS_DISABLED = Counter("earshot_webhooks_disabled_total", "Webhook endpoints disabled", ["service"])
UNOWNED_TRANSACTIONS = Counter(
    "earshot_unowned_transactions_total", "Pooled connections closed because they were in a transaction"
)
CONNECTIONS_CUT = Counter(
    "earshot_connections_cut_total", "HTTP connections that the server ended, by reason", ["service", "reason"]
)
HTTP_SECONDS = Histogram(
    "earshot_http_seconds", "Requests by route, never by path", ["service", "method", "route", "status"]
)
KEYS_REFUSED = Counter("earshot_keys_refused_total", "API keys refused, by reason", ["service", "reason"])
HOOKS = Counter(
    "earshot_source_webhooks_total", "Webhooks of event sources, by result", ["service", "source", "result"]
)
