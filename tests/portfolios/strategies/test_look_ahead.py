"""No strategy knows the future, and one that does is caught."""

import numpy as np
import pytest

from portfolios.strategies import look_ahead
from portfolios.strategies.catalogue import CATALOGUE
from portfolios.strategies.decisions import Decisions
from portfolios.strategies.errors import Stopped
from portfolios.strategies.running import Definition
from tests.portfolios.strategies.markets import noise, real
from tests.portfolios.strategies.test_rules import WHOLE

MARKET = noise(600, assets=3)


@pytest.mark.parametrize("key", CATALOGUE)
def test_no_built_in_strategy_looks_ahead(key, shared_data):
    for market in (MARKET, real(shared_data, "BTC", "ETH", "LTC")):
        found = look_ahead.audit(market, Definition(key), cuts=24)
        assert found.ok
        assert found.first_difference is None
        assert len(found.cuts) > 5


def test_no_rules_look_ahead():
    assert look_ahead.audit(MARKET, Definition("custom", rules=WHOLE)).ok
    busy = {"enter": {"left": "close", "is": "gt", "right": "ema"},
            "stops": {"trailing_stop": 3, "take_profit": 9}}  # fmt: skip
    assert look_ahead.audit(MARKET, Definition("custom", rules=busy)).ok


# --- those that cheat ---------------------------------------------------------------------------
def held_while(state):
    at = np.concatenate(([0], np.flatnonzero(state[1:] != state[:-1]) + 1))
    return Decisions(state.size, at, state[np.newaxis, at].astype(float))


def next_close(market):
    """In whenever the next close is higher."""
    close = market.close[0]
    return held_while(np.append(close[1:], close[-1]) > close)


def above_the_mean_of_all(market):
    return held_while(market.close[0] > market.close[0].mean())


def knows_how_long_it_lasts(market):
    return Decisions(market.bars, np.array([market.bars // 2]), np.ones((3, 1)) / 3)


def at_the_top(market):
    return Decisions(market.bars, np.array([0, market.high[0].argmax()]), np.array([[1.0, 0.0]]))


def spends_by_what_comes(market):
    at = np.arange(0, market.bars, 10)
    spend = np.full((1, at.size), 0.01) * market.close[0, -1] / market.close[0, 0]
    return Decisions(market.bars, at, np.full((1, at.size), np.nan), spend)


@pytest.mark.parametrize(
    "cheat",
    [next_close, above_the_mean_of_all, knows_how_long_it_lasts, at_the_top, spends_by_what_comes],
)
def test_a_strategy_that_peeks_is_caught_where_it_first_did(cheat):
    found = look_ahead.of(MARKET, cheat)
    assert not found.ok
    first = found.first_difference
    assert first.bar < first.cut
    assert first.at == MARKET.at[first.bar]
    assert first.decided != first.otherwise


def test_an_audit_of_one_bar_has_nothing_to_cut():
    found = look_ahead.audit(MARKET.head(1), Definition("buy_and_hold"))
    assert (found.ok, found.cuts) == (True, ())


def test_an_audit_tells_and_stops():
    told = []
    look_ahead.audit(MARKET, Definition("macd"), cuts=6, told=lambda *now: told.append(now))
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1] == len(told) - 1
    with pytest.raises(Stopped):
        look_ahead.audit(MARKET, Definition("macd"), stop=lambda: True)


def test_the_future_of_an_audit_does_not_depend_on_when_it_runs():
    one, other = (look_ahead.of(MARKET, next_close) for _ in range(2))
    assert one == other
