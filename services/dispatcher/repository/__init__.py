"""All SQL of dispatcher, by noun. Nothing here commits."""

from services.dispatcher.repository.counts import invitation_counts, oldest_due, stalled, step_counts, work_left

__all__ = ["invitation_counts", "oldest_due", "stalled", "step_counts", "work_left"]
