"""Matching lots, beside rp2's engine and beside what one would write by hand, exactly."""

from decimal import Decimal

from tests.benchmarks import matching, trades
from tests.benchmarks.matching import Matched
from tests.benchmarks.measure import Result

COUNT, MANY, FEW = 100_000, 1_000_000, 10_000
METHODS = ("fifo", "lifo", "hifo", "average")
# By hand the context has 28 digits.
_AS_GOOD_AS_EQUAL = Decimal("1e-20")
_RP2 = {"fifo", "lifo", "hifo"}
_MEGABYTE = 1_000_000


def measure() -> list[Result]:
    assert trades.digest(COUNT) == trades.DIGEST
    results: list[Result] = []
    for method in METHODS:
        ours = matching.run("ours", method, COUNT)
        results += _beside_by_hand(method, ours)
        if method in _RP2:
            results.append(_beside_rp2(method, ours))
        if method in ("fifo", "hifo"):
            results.append(_growth(method, ours))
    return results


def _beside_by_hand(method: str, ours: Matched) -> list[Result]:
    plain = matching.run("hand", method, COUNT)
    assert abs(ours.gain / plain.gain - 1) < _AS_GOOD_AS_EQUAL, (ours.gain, plain.gain)
    ratio, memory = ours.seconds / plain.seconds, ours.memory / _MEGABYTE
    return [
        Result(f"{method}: {COUNT:,} trades", 1000 * ours.seconds, "ms",
               f"plain Decimal {1000 * plain.seconds:.0f} ms", ratio, "≤ 2×", ratio <= 2),
        Result(f"{method}: {COUNT:,} trades, memory", memory, "MB",
               f"plain Decimal {plain.memory / _MEGABYTE:.0f} MB", memory * _MEGABYTE
               / plain.memory, "≤ 150 MB", memory <= 150),
    ]  # fmt: skip


def _beside_rp2(method: str, ours: Matched) -> Result:
    """rp2 on the first trades only, for it takes long; it leaves the fees of sales out."""
    theirs = matching.run("rp2", method, FEW, rounds=1)
    gain = matching.run("ours", method, FEW, rounds=1).gain + _sale_fees(FEW)
    assert abs(gain / theirs.gain - 1) < _AS_GOOD_AS_EQUAL, (gain, theirs.gain)
    rate, reference = COUNT / ours.seconds, FEW / theirs.seconds
    times = rate / reference
    return Result(f"{method}: trades a second", rate, "/s", f"rp2 {reference:,.0f} /s", times,
                  "≥ 50×", times >= 50)  # fmt: skip


def _growth(method: str, ours: Matched) -> Result:
    """Ten times as many trades."""
    growth = matching.run("ours", method, MANY, rounds=2).seconds / ours.seconds
    target = 20 if method == "hifo" else 14
    return Result(f"{method}: time of {MANY:,} over {COUNT:,}", growth, "×", "", None,
                  f"≤ {target}", growth <= target)  # fmt: skip


def _sale_fees(count: int) -> Decimal:
    rows = trades.decimals(count)
    return sum((fee for _, side, _, _, fee in rows if side == "S"), Decimal(0))
