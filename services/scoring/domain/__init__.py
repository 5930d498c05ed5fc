"""Rules of scoring: what an answer is, what a score says, when a call is due. No I/O."""
