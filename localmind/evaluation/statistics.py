"""How sure one may be of a mean, and of the difference of two: percentile bootstrap. Pure.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; over questions, which are what another dataset would have others of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
AT_ONCE = 500
SEED = 7
"""The same figures give the same interval."""


class Interval(NamedTuple):
    """A mean and the bounds between which it lies with 95% confidence."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Of a difference: better, worse, or no difference that these questions can show."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference"


def bootstrap(values: Sequence[float]) -> Interval:
    """Of the mean of the values; without any all are 0."""
    if not values:
        return Interval(0.0, 0.0, 0.0)
    sample = np.asarray(values, np.float64)
    means = np.empty(RESAMPLES)
    random = np.random.default_rng(SEED)
    for at in range(0, RESAMPLES, AT_ONCE):
        means[at : at + AT_ONCE] = sample[random.integers(0, len(sample), (AT_ONCE, len(sample)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(sample.mean()), float(low), float(high))


def paired(before: Sequence[float], after: Sequence[float]) -> Interval:
    """Of the mean difference after - before, question by question: what all questions share cancels out."""
    return bootstrap([b - a for a, b in zip(before, after, strict=True)])


def percentile(values: Sequence[float], share: float) -> float:
    """share: 50 for the median. Without values 0."""
    return float(np.percentile(values, share)) if values else 0.0
