"""Performs due steps, one loop per channel so that a slow provider delays nobody else; and keeps what is left over."""

from services.dispatcher.scheduler.ceilings import SendPolicy
from services.dispatcher.scheduler.keeper import Keeper, Reconciler, keep
from services.dispatcher.scheduler.lane import BUDGET_S, Lane
from services.dispatcher.scheduler.loop import Bell, run
from services.dispatcher.scheduler.rota import Rota

__all__ = ["BUDGET_S", "Bell", "Keeper", "Lane", "Reconciler", "Rota", "SendPolicy", "keep", "run"]
