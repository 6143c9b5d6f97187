"""A fingerprint of a run: the same inputs and the same digits, or another hash."""

import hashlib
import json

import numpy as np

from portfolios.strategies.market import Market
from portfolios.strategies.outcome import Outcome
from portfolios.strategies.running import Definition

_VERSION = b"backtest 1"


def result_hash(
    market: Market, definition: Definition, outcome: Outcome, *,
    cash: float, fee: float, slippage: float,
) -> str:  # fmt: skip
    """SHA-256 in hexadecimal over the candles, the strategy, the costs and every digit of the run.

    The strategy counts with all its parameters, so that a default and the same value written out
    are one. What is summed, multiplied and divided here has the same digits everywhere; TA-Lib's
    digits are those of its build. Raises StrategyInvalid when it is not valid.
    """
    digest = hashlib.sha256(_VERSION)
    for text in (_told(definition), *(float(one).hex() for one in (cash, fee, slippage)),
                 json.dumps([market.length, market.assets])):  # fmt: skip
        _add(digest, text.encode())
    for array in (market.at, market.open, market.high, market.low, market.close, market.volume):
        _add_array(digest, array)
    fills = outcome.fills
    for array in (outcome.at, outcome.units_after, outcome.cash_after, outcome.equity, fills.bar,
                  fills.asset, fills.side, fills.units, fills.price, fills.fee):  # fmt: skip
        _add_array(digest, array)
    return digest.hexdigest()


def _told(definition: Definition) -> str:
    checked = definition.checked()
    return json.dumps([checked.kind, dict(checked.parameters), checked.rules], sort_keys=True)


def _add_array(digest: "hashlib._Hash", array: np.ndarray | None) -> None:
    """With its shape, in one byte order on every machine."""
    if array is None:
        return _add(digest, b"none")
    _add(digest, repr(array.shape).encode())
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return _add(digest, little.tobytes())


def _add(digest: "hashlib._Hash", data: bytes) -> None:
    """After its length, so that no two inputs run into one another."""
    digest.update(len(data).to_bytes(8, "little"))
    digest.update(data)
