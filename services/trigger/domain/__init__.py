"""Whom to ask, and why: pure, no I/O."""
