"""Performs due steps, one loop per channel so that a slow provider delays nobody else; and keeps what is left over."""

from services.dispatcher.scheduler.ceilings import SendPolicy
from services.dispatcher.scheduler.guard import LOOK_S, Guard
from services.dispatcher.scheduler.keeper import RECONCILE_S, Keeper, Reconciler, keep
from services.dispatcher.scheduler.lane import BUDGET_S, Lane
from services.dispatcher.scheduler.loop import POLL_S, Bell
from services.dispatcher.scheduler.rota import Rota

__all__ = [
    "BUDGET_S",
    "LOOK_S",
    "POLL_S",
    "RECONCILE_S",
    "Bell",
    "Guard",
    "Keeper",
    "Lane",
    "Reconciler",
    "Rota",
    "SendPolicy",
    "keep",
]
