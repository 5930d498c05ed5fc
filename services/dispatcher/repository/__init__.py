"""The SQL of the dispatcher, by noun. Functions run in a transaction of their caller and never commit."""

from services.dispatcher.repository.counts import (
    invitation_counts,
    oldest_due,
    refused_accounts,
    step_counts,
    work_left,
)

__all__ = ["invitation_counts", "oldest_due", "refused_accounts", "step_counts", "work_left"]
