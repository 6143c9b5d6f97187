"""Candles as arrays: what is refused, and what is cut off."""

import numpy as np
import pytest

from portfolios.strategies.market import BadMarket, Gap, Market
from tests.portfolios.strategies.markets import DAY, by_hand, noise

ONE = np.ones((1, 3))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"close": np.array([[1.0, np.nan, 1.0]])}, "close"),
        ({"open": np.array([[1.0, 0.0, 1.0]])}, "open"),
        ({"low": np.array([[1.0, -1.0, 1.0]])}, "low"),
        ({"high": np.array([[1.0, np.inf, 1.0]])}, "high"),
        ({"high": np.ones((1, 2))}, "high"),
        ({"close": np.ones(3)}, "close"),
        ({"volume": np.array([[1.0, -1.0, 1.0]])}, "volume"),
        ({"at": np.array([0, DAY, DAY])}, "follow"),
        ({"at": np.array([0, 2 * DAY, DAY])}, "follow"),
        ({"at": np.array([], dtype=int)}, "needs"),
        ({"assets": ()}, "needs"),
        ({"length": 0}, "needs"),
        ({"assets": ("A", "A")}, "twice"),
    ],
)
def test_what_no_market_has_is_refused(change, told):
    whole = {"at": np.arange(3) * DAY, "length": DAY, "assets": ("A",),
             "open": ONE, "high": ONE, "low": ONE, "close": ONE}  # fmt: skip
    Market(**whole)
    with pytest.raises(BadMarket, match=told):
        Market(**whole | change)


def test_the_head_of_a_market_has_its_first_bars_alone():
    market = noise(50, assets=2)
    head = market.head(20)
    assert (head.bars, head.assets, head.volume.shape) == (20, ("A", "B"), (2, 20))
    assert np.array_equal(head.close, market.close[:, :20])
    assert head.close.flags.c_contiguous  # as TA-Lib wants it


def test_gaps_are_told():
    at = np.array([0, 1, 2, 5, 6, 8]) * DAY
    market = Market(at, DAY, ("A",), *[np.ones((1, 6))] * 4)
    assert market.gaps() == [Gap(2 * DAY, 2), Gap(6 * DAY, 1)]
    assert by_hand([1, 2, 3]).gaps() == []
