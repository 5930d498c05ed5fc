"""`docs/privacy.md` names every column that may hold personal data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.contract.vocabulary import Service

ROOT = Path(__file__).parents[2]
# tables in which no row is about a person
NOBODY = frozenset(
    {
        "alert_days", "alerts", "allowance", "annotations", "api_keys", "arrivals", "audit_anchors", "benchmarks",
        "buckets", "call_lists", "changes", "compact_rows", "contents", "dimension_values", "dropped_answers",
        "dropped_invited", "dropped_journeys", "event_keys", "files", "inbox", "invited", "journeys", "leases",
        "listed_calls", "nps_v", "part_numbers", "programs", "quotas", "retention", "shapes", "store_names", "targets",
        "webhook_endpoints",
    }
)  # fmt: skip
# ids of ours, times of machines, states and numbers, which say nothing about a person without the columns of the page
_NEUTRAL = """
account action actor_kind address_key after_spread answer_id answered_at appointed ask_at asked at attempt attempt_id
attempts call_task callback_wanted category channel closed_at closed_since code content cost counted created_at
currency cursor customer day decided_at decision_id delay_s delivered_at digest due_at due_until endpoint_id entity
erased event_id event_time expires_at fingerprint finished_at first_day handed_over has_older_id hash hours id
in_flight invitation_id invited_day is_bound kind lease_until leased_until look_at looks max_attempts mode of off_at
opted_out_at outcome parked_at parts pause_id person places position priority program program_id program_title
program_version program_zone provider published_at read_at reason region reversed_at review_links revision service
shape since source spread stage state status step steps stored_at suppression_id taken_at task_id test token topic
tries try type unsubscribe until version window_end window_start written
"""
NEUTRAL = frozenset(_NEUTRAL.split())
# columns whose names are those of personal data elsewhere
OTHERS = frozenset(
    {
        ("answers_v", "suspect"),
        ("attempts", "segments"),  # of a text message
        ("audit_log", "number"),
        ("invitation_details", "document"),
        ("page_views", "score"),  # of the link that was opened
        ("stores", "name"),
        ("stores", "time_zone"),
    }
)
_CODES = re.compile(r"`([a-z_]+): ([a-z0-9_ ]+)`")
_SERVICES = re.compile(r"\b(all|trigger and dispatcher|trigger|dispatcher|scoring) (?=`)")


def columns(service: Service) -> set[tuple[str, str]]:
    """Return table and column of everything that a service stores."""
    newest = max((ROOT / "services" / service / "migrations" / "catalogues").glob("*.txt"))
    lines = (line.split() for line in newest.read_text().splitlines())
    return {(line[0], line[2]) for line in lines if line[1] == "column"}


def named(service: Service) -> set[tuple[str, str]]:
    """Return the columns of a service that the page names."""
    found: set[tuple[str, str]] = set()
    for row in (ROOT / "docs/privacy.md").read_text().splitlines():
        parts = _SERVICES.split(row)
        for whose, text in zip(parts[1::2], parts[2::2], strict=True):
            if whose == "all" or service in whose.split(" and "):
                found |= {(table, each) for table, names in _CODES.findall(text) for each in names.split()}
    return found


@pytest.mark.parametrize("service", Service)
def test_page_names_every_column_that_may_be_personal_and_no_other(service: Service) -> None:
    stored, told = columns(service), named(service)
    assert told - stored == set(), "the page names columns that do not exist"
    silent = {each for each in stored - told - OTHERS if each[0] not in NOBODY and each[1] not in NEUTRAL}
    assert silent == set(), "name these in docs/privacy.md, or here as without personal data"
