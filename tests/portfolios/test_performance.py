"""Returns and risk as pure functions: known figures, laws, and what is said when there is none."""

from datetime import date, timedelta
from decimal import Decimal as D
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolios.returns import performance

unhurried = settings(deadline=None)
NAN = float("nan")
START = date(2024, 1, 1)
factors = st.lists(st.floats(0.5, 2.0), min_size=2, max_size=60)


def twr(growth):
    """The time-weighted return that is told, or None where there is none."""
    found = performance.risk(growth)
    return found.twr if found else None


def risk(*growth, **options):
    return performance.risk(performance.returns(growth), **options)


# --- time-weighted ------------------------------------------------------------------------------
@unhurried
@given(st.lists(st.floats(0.01, 1e6), min_size=2, max_size=60))
def test_without_flows_the_return_is_the_plain_one(values):
    growth = performance.returns([b / a for a, b in pairwise(values)])
    plain = values[-1] / values[0]
    assert twr(growth) + 1 == pytest.approx(plain, rel=1e-9)


@unhurried
@given(factors, st.integers(1, 59))
def test_the_return_of_two_stretches_is_their_product(growth, place):
    one, two = growth[:place], growth[place:]
    parts = [twr(performance.returns(part)) or 0.0 for part in (one, two)]
    whole = twr(performance.returns(growth))
    assert whole + 1 == pytest.approx((parts[0] + 1) * (parts[1] + 1), rel=1e-9)


def test_days_without_anything_count_nowhere():
    assert twr(performance.returns([None, 1.1, None, 1.1])) == pytest.approx(0.21)
    assert twr(performance.returns([None, None])) is None
    assert risk(None, None) is None
    assert risk(None, 1.1, None, 0.9).best == 1


@pytest.mark.parametrize(
    ("total", "days", "expected"),
    [(0.21, 730, 0.1), (0.1, 365, 0.1), (0.1, 364, None), (-1.0, 730, None)],
)
def test_less_than_a_year_is_not_extrapolated(total, days, expected):
    found = performance.annualised(total, days=days)
    assert found == (None if expected is None else pytest.approx(expected))


# --- risk ---------------------------------------------------------------------------------------
def test_volatility_sharpe_and_sortino_of_a_short_series():
    found = risk(1.01, 0.98, 1.03, 1.00)
    daily = [0.01, -0.02, 0.03, 0.0]
    mean = sum(daily) / 4
    spread = (sum((r - mean) ** 2 for r in daily) / 3) ** 0.5
    downside = (0.02**2 / 4) ** 0.5
    assert found.volatility == pytest.approx(spread * 365**0.5)
    assert found.sharpe == pytest.approx(mean / spread * 365**0.5)
    assert found.sortino == pytest.approx(mean / downside * 365**0.5)
    assert (found.best, found.worst) == (2, 1)


def test_a_free_rate_lowers_the_ratios_and_leaves_volatility():
    plain, less = risk(1.01, 0.98, 1.03), risk(1.01, 0.98, 1.03, risk_free=0.05)
    assert less.volatility == pytest.approx(plain.volatility)
    assert less.sharpe < plain.sharpe
    assert less.sortino < plain.sortino


@pytest.mark.parametrize(
    ("growth", "undefined"),
    [
        ((1.05,), {"volatility", "sharpe", "sortino"}),
        ((1.05, 1.05), {"sharpe", "sortino"}),
        ((1.05, 1.06), {"sortino"}),
    ],
)
def test_what_is_not_defined_is_none_never_infinite(growth, undefined):
    found = risk(*growth)
    assert {
        n for n in ("volatility", "sharpe", "sortino") if getattr(found, n) is None
    } == undefined


@pytest.mark.parametrize(
    ("growth", "expected"),
    [
        ((1.1, 0.5, 1.2, 2.0), (-0.5, 0, 1, 3)),
        ((0.8, 0.9), (-0.28, -1, 1, None)),
        ((1.1, 1.0, 0.9, 0.9), (-0.19, 1, 3, None)),
        ((1.1, 1.1), (0.0, -1, -1, None)),
    ],
)
def test_the_deepest_fall_and_when_it_was(growth, expected):
    found = risk(*growth).drawdown
    assert found.depth == pytest.approx(expected[0])
    assert (found.peak, found.trough, found.recovered) == expected[1:]


@unhurried
@given(factors)
def test_a_fall_lies_between_all_and_nothing_and_its_dates_are_in_order(growth):
    found = risk(*growth).drawdown
    assert -1 <= found.depth <= 0
    assert found.peak <= found.trough
    assert found.recovered is None or found.recovered > found.trough
    index = np.cumprod(growth)
    best_before = max([1.0, *index[: found.trough + 1]]) if found.trough >= 0 else 1.0
    if found.trough >= 0:
        assert found.depth == pytest.approx(index[found.trough] / best_before - 1)


@unhurried
@given(factors, st.randoms())
def test_the_order_of_days_changes_dates_and_not_return_or_volatility(growth, random):
    shuffled = random.sample(growth, len(growth))
    one, two = risk(*growth), risk(*shuffled)
    assert one.twr == pytest.approx(two.twr, rel=1e-9, abs=1e-12)
    assert one.volatility == pytest.approx(two.volatility, rel=1e-6, abs=1e-9)


# --- money-weighted -----------------------------------------------------------------------------
def rate(*flows):
    days = [START + timedelta(days=day) for day, _ in flows]
    return performance.money_weighted(days, [amount for _, amount in flows])


def test_money_that_grew_by_a_tenth_in_a_year():
    assert rate((0, -100.0), (365, 110.0)).value == pytest.approx(0.1)


def test_money_put_in_late_weighs_less():
    # 100 for two years and 100 for one, at 10 % a year
    assert rate((0, -100.0), (365, -100.0), (730, 121.0 + 110.0)).value == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("flows", "code"),
    [
        (((0, -100.0), (30, -50.0), (60, 0.0)), "no_sign_change"),
        (((0, 0.0), (60, 100.0)), "no_sign_change"),
        (((0, 0.0), (0, 0.0)), "no_sign_change"),
        (((5, -100.0), (5, 101.0)), "too_short"),
        (((5, -100.0), (6, 110.0)), "too_large"),
    ],
)
def test_without_a_change_of_sign_or_time_there_is_no_rate_and_the_reason_is_said(flows, code):
    assert rate(*flows) == performance.Rate(None, code)


@unhurried
@given(
    st.lists(st.tuples(st.integers(0, 700), st.floats(1, 1e6)), min_size=1, max_size=20),
    st.floats(1, 1e7), st.sampled_from([0.001, 7.0, 1e6]),
)  # fmt: skip
def test_a_rate_makes_the_present_value_nothing_whatever_the_unit_of_money(flows, end, factor):
    rows = [*((day, -amount) for day, amount in flows), (800, end)]
    found = rate(*rows)
    scaled = rate(*((day, amount * factor) for day, amount in rows))
    if found.value is None:
        assert found.code in ("not_found", "too_large")
        return
    if not -0.9 < found.value < 10:  # powers so large that floats say little of their sum
        return
    first = min(day for day, _ in rows)
    terms = [amount / (1 + found.value) ** ((day - first) / 365) for day, amount in rows]
    assert abs(sum(terms)) <= 1e-6 * sum(map(abs, terms))
    assert scaled.value == pytest.approx(found.value, rel=1e-6, abs=1e-9)


# --- concentration and drawing ------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "index"),
    [([100], 1), ([50, 50], "0.5"), ([25] * 4, "0.25"), ([60, 30, 10, -5], "0.46"), ([], None)],
)
def test_concentration_is_the_sum_of_squared_shares(values, index):
    found = performance.concentration([D(value) for value in values])
    assert found == (None if index is None else D(index))


@unhurried
@given(
    st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=900), st.integers(10, 200)
)  # fmt: skip
def test_a_thinned_line_keeps_its_ends_and_every_extreme(values, points):
    line = np.array(values)
    kept = performance.extremes(line, points=points)
    assert len(kept) <= points or len(values) <= points
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    assert line[kept].max() == line.max()
    assert line[kept].min() == line.min()
    assert list(kept) == sorted(set(kept))
