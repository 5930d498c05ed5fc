"""A share and its confidence interval.

E. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of the American Statistical
Association 22 (1927).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from services.scoring.domain.score import CONFIDENCE, deviations


@dataclass(frozen=True, slots=True)
class Share:
    """`part` of `whole` cases; `whole` need not be a whole number, as some of the cases may be estimated."""

    part: int
    whole: float

    @property
    def value(self) -> float | None:
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The bounds of Wilson's interval, 0 to 1."""
        if not self.whole:
            return None
        z, p, n = deviations(CONFIDENCE), self.part / self.whole, self.whole
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(middle - half, 0.0), min(middle + half, 1.0)
