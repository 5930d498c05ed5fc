"""Rules of scoring for answers, scores and calls. No I/O."""
