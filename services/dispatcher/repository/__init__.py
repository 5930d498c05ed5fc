"""All SQL of dispatcher, by noun. Nothing here commits."""

from services.dispatcher.repository.counts import invitation_counts, step_counts, work_left

__all__ = ["invitation_counts", "step_counts", "work_left"]
