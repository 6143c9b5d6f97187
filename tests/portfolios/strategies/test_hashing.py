"""The same inputs have the same hash, and any other input another."""

from dataclasses import replace

import numpy as np
import pytest

from portfolios.strategies import hashing, running
from portfolios.strategies.running import Definition
from tests.portfolios.strategies.markets import by_hand, noise
from tests.portfolios.strategies.test_rules import WHOLE

MARKET = noise(300, assets=2)
MACD = Definition("macd", {"fast": 5})
COSTS = {"cash": 1_000.0, "fee": 0.001, "slippage": 0.0}


def fingerprint(market=MARKET, definition=MACD, **costs):
    costs = COSTS | costs
    outcome = running.simulate(market, definition, **costs)
    return hashing.result_hash(market, definition, outcome, **costs)


def test_the_same_run_has_the_same_hash():
    one, other = fingerprint(), fingerprint(noise(300, assets=2))
    assert one == other
    assert len(one) == 64
    assert fingerprint(definition=Definition("macd", {"slow": 26, "fast": 5.0})) == one


def test_the_hash_of_a_plain_run_never_changes():
    """Sums, products and quotients only: the same on every machine."""
    market = by_hand([10, 11, 9.9, 11, 12.1, 9.075])
    assert fingerprint(market, Definition("buy_and_hold")) == (
        "285affde0aa023972a5da87eb2b6cc66c1ace36d835d505d831dead5032693f3"
    )


@pytest.mark.parametrize("name", ["at", "open", "high", "low", "close", "volume"])
def test_any_other_candle_is_another_hash(name):
    values = getattr(MARKET, name).copy()
    values[..., -1] = np.nextafter(values[..., -1], np.inf) if name != "at" else values[-1] + 1
    assert fingerprint(replace(MARKET, **{name: values})) != fingerprint()


def test_any_other_input_is_another_hash():
    found = [
        fingerprint(), fingerprint(cash=1_000.01), fingerprint(fee=0.002),
        fingerprint(slippage=1e-9), fingerprint(definition=Definition("macd", {"fast": 6})),
        fingerprint(definition=Definition("ema_crossover", {"fast": 5})),
        fingerprint(replace(MARKET, assets=("A", "C"))), fingerprint(replace(MARKET, volume=None)),
        fingerprint(replace(MARKET, length=3_600)), fingerprint(MARKET.head(299)),
        fingerprint(definition=Definition("custom", rules=WHOLE)),
        fingerprint(definition=Definition("custom", rules=WHOLE | {"stops": {"max_bars": 41}})),
    ]  # fmt: skip
    assert len(set(found)) == len(found)


def test_any_other_digit_of_the_run_is_another_hash():
    outcome = running.simulate(MARKET, MACD, **COSTS)
    equity = outcome.equity.copy()
    equity[100] = np.nextafter(equity[100], np.inf)
    other = replace(outcome, equity=equity)
    assert hashing.result_hash(MARKET, MACD, other, **COSTS) != fingerprint()
