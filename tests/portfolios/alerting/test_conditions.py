"""When an alert comes true, and when it is armed again."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios.alerting import conditions
from portfolios.alerting.extremes import Extremes, step_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PRICES = st.decimals("0.01", "1000", places=2)
PERCENT = st.decimals("0", "50", places=1)


@pytest.mark.parametrize(
    ("figure", "threshold", "rises", "told"),
    [
        ("99.99", "100", True, False),
        ("100", "100", True, True),
        ("100.01", "100", True, True),
        ("100.01", "100", False, False),
        ("100", "100", False, True),
        ("99.99", "100", False, True),
    ],
)
def test_a_threshold_is_reached_at_it_and_beyond(figure, threshold, rises, told):
    assert conditions.reached(D(figure), threshold=D(threshold), rises=rises) is told


@pytest.mark.parametrize(
    ("figure", "hysteresis", "rises", "again"),
    [
        ("100", "0", True, False),
        ("99.99", "0", True, True),
        ("99", "1", True, False),
        ("98.99", "1", True, True),
        ("100", "0", False, False),
        ("100.01", "0", False, True),
        ("101", "1", False, False),
        ("101.01", "1", False, True),
    ],
)
def test_it_is_armed_again_beyond_the_hysteresis(figure, hysteresis, rises, again):
    gone = conditions.gone_back(D(figure), threshold=D(100), hysteresis=D(hysteresis), rises=rises)
    assert gone is again


@given(figure=PRICES, threshold=PRICES, hysteresis=PERCENT, rises=st.booleans())
def test_a_figure_never_tells_and_arms_at_once(figure, threshold, hysteresis, rises):
    gone = conditions.gone_back(figure, threshold=threshold, hysteresis=hysteresis, rises=rises)
    assert not (gone and conditions.reached(figure, threshold=threshold, rises=rises))


@pytest.mark.parametrize(
    ("direction", "figure", "shown"),
    [("up", "25", "25"), ("down", "50", "-50"), ("any", "50", "-50")],
)
def test_a_move_is_measured_from_the_extreme_of_its_direction(direction, figure, shown):
    move = conditions.moved(D(100), low=D(80), high=D(200), direction=direction)
    assert move == (D(figure), D(shown))


def test_of_both_directions_the_larger_move_counts():
    assert conditions.moved(D(100), low=D(50), high=D(101), direction="any").shown == 100


@given(st.lists(PRICES, min_size=1, max_size=30), st.sampled_from(["up", "down", "any"]))
def test_a_fall_never_exceeds_all_there_is_and_no_move_is_negative(prices, direction):
    move = conditions.moved(prices[-1], low=min(prices), high=max(prices), direction=direction)
    assert move.figure >= 0
    if direction == "down":
        assert move.figure < 100


@pytest.mark.parametrize(
    ("growth", "fallen"),
    [
        ([], "0"),
        ([1.1, 1.1], "0"),
        ([0.5], "50"),  # below the beginning
        ([2.0, 0.5], "50"),
        ([2.0, None, 0.5, 1.5], "25"),
        ([0.0], "100"),
    ],
)
def test_a_drawdown_is_below_the_highest_so_far(growth, fallen):
    assert conditions.drawdown(growth) == D(fallen)


@given(st.lists(st.floats(0.01, 3), max_size=40))
def test_a_drawdown_is_a_part_of_the_whole_and_nought_at_a_new_height(growth):
    assert 0 <= conditions.drawdown(growth) <= 100
    highest = 1.0
    for factor in growth:
        highest *= max(factor, 1.0)
    assert conditions.drawdown([*growth, highest * 1e6]) == 0


# --- windows ------------------------------------------------------------------------------------
@given(
    st.lists(st.tuples(st.integers(0, 7200), PRICES), min_size=1, max_size=80),
    st.sampled_from([timedelta(minutes=5), timedelta(hours=1), timedelta(days=2)]),
)
def test_extremes_are_those_of_the_steps_within_the_window(told, window):
    """Against keeping every price."""
    told = sorted((NOON + timedelta(seconds=seconds), price) for seconds, price in told)
    extremes, step = Extremes(window), step_of(window)
    for at, price in told:
        extremes.add(at, price)
    now = told[-1][0]
    inside = [
        price
        for at, price in told
        if NOON + (at - NOON) // step * step >= now - window
    ]  # fmt: skip
    assert extremes.within(now) == (min(inside), max(inside))


def test_a_window_that_has_gone_by_says_nothing():
    extremes = Extremes(timedelta(minutes=5))
    extremes.add(NOON, D(100))
    assert extremes.within(NOON + timedelta(minutes=5)) is not None
    assert extremes.within(NOON + timedelta(minutes=6)) is None


def test_what_a_window_holds_is_bounded_by_its_steps():
    """Prices that only rise, each a new height, ten a second for three hours."""
    extremes = Extremes(timedelta(hours=1))
    for tenth in range(3 * 36_000):
        extremes.add(NOON + timedelta(seconds=tenth / 10), D(tenth + 1))
    assert len(extremes) <= 200  # until somebody asks what is within the window
    extremes.within(NOON + timedelta(hours=3))
    assert len(extremes) <= 63
