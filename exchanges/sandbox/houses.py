"""The exchanges that the sandbox plays: what is usual at each. Nothing here knows a wire format."""

from dataclasses import dataclass
from decimal import Decimal

from exchanges.sandbox import facts


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """One exchange as far as histories differ from one to another.

    `home` is what most is bought with, `core` the coins that every account holds, `crosses` the
    other quotes. Fees are paid in `fee_coin` now and then, where there is one; otherwise from
    what was received, or (`fees_in_quote`) mostly from the quote. `terms` are the days of locked
    positions, `reasons` why coins are given, `feeds` what can happen at all.
    """

    name: str
    home: str
    core: tuple[str, ...]
    crosses: tuple[str, ...]
    taker_fee: Decimal
    fee_coin: str = ""
    fees_in_quote: bool = False
    terms: tuple[int, ...]
    reasons: tuple[str, ...]
    feeds: tuple[str, ...]


BINANCE = House(
    name="binance",
    home="USDT",
    core=("USDT", "BTC", "ETH", "BNB", "LDO", "LTC"),
    crosses=("BTC", "ETH", "BNB", "EUR"),
    taker_fee=Decimal("0.001"),
    fee_coin="BNB",
    terms=(30, 60, 90, 120),
    reasons=("Launchpool", "Airdrop", "Staking Rewards", "HODLer Airdrops"),
    feeds=tuple(feed for feed in facts.FEEDS if feed != facts.Charge.feed),
)
KRAKEN = House(
    name="kraken",
    home="USD",
    core=("BTC", "ETH", "SOL", "DOT", "LTC", "USDT"),
    crosses=("EUR", "BTC", "ETH", "USDT"),
    taker_fee=Decimal("0.0026"),
    fees_in_quote=True,
    terms=(7, 14, 28, 90),
    reasons=(
        *("staking", "airdrop", "reward", "dividend"),
        *("credit", "nft_rebate", "invite bonus", "adjustment"),
    ),
    feeds=tuple(f for f in facts.FEEDS if f not in (facts.Transfer.feed, facts.Dust.feed)),
)
ALL = {house.name: house for house in (BINANCE, KRAKEN)}
