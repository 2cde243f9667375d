"""Intervals hold what they promise, and verdicts follow from them."""

from __future__ import annotations

import numpy as np
import pytest

from localmind.evaluation.statistics import Interval, bootstrap, paired, percentile


def test_an_interval_is_about_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(1).random(400).tolist()
    mean, low, high = bootstrap(values)

    error = 1.96 * np.std(values) / 20
    assert mean == pytest.approx(np.mean(values))
    assert (mean - low, high - mean) == (pytest.approx(error, rel=0.1), pytest.approx(error, rel=0.1))
    assert bootstrap(values) == (mean, low, high)


def test_nineteen_of_twenty_intervals_hold_the_mean() -> None:
    random = np.random.default_rng(2)
    held = 0
    for _ in range(60):
        _, low, high = bootstrap(random.random(60).tolist())
        held += low <= 0.5 <= high
    assert held >= 51


def test_pairs_show_a_difference_that_the_means_alone_hide() -> None:
    random = np.random.default_rng(3)
    before = random.random(100)
    after = before + 0.02 + 0.01 * random.standard_normal(100)
    one, other = bootstrap(before.tolist()), bootstrap(after.tolist())

    assert one.high > other.low
    assert paired(before.tolist(), after.tolist()).verdict == "better"
    assert paired(after.tolist(), before.tolist()).verdict == "worse"


def test_what_may_be_chance_is_no_difference() -> None:
    assert paired([0, 1, 0, 1], [1, 0, 0, 1]).verdict == "no difference"
    assert Interval(0.0, 0.0, 0.0).verdict == "no difference"


def test_without_values_there_is_nothing() -> None:
    assert bootstrap([]) == (0.0, 0.0, 0.0)
    assert percentile([], 95) == 0.0
    assert percentile([1, 2, 3], 50) == 2.0
