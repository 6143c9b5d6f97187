"""Which kinds of history an exchange has, by the names under which coverage notes them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from exchanges.gateway.dialects import table
from exchanges.models import Exchange

# What a feed tells of, by words in its name; the first that fits.
_KINDS = (
    ("conversions", re.compile(r"conver|swap")),
    ("dust", re.compile(r"dust|small")),
    ("rewards", re.compile(r"reward|interest|dividend|staking|airdrop|payout|earn|savings|rebate")),
    ("deposits", re.compile(r"deposit|payments_buy|funding_in")),
    ("withdrawals", re.compile(r"withdraw|payments_sell")),
    ("trades", re.compile(r"trade|fill|execution|orders")),
    ("ledger", re.compile(r"ledger|transactions|bills|account_log|movements")),
)
KINDS = ("trades", "deposits", "withdrawals", "conversions", "dust", "rewards")


@dataclass(frozen=True, slots=True)
class Declared:
    """A feed that visits ask for: since when it exists, and how far back it answers."""

    name: str
    launched: datetime
    horizon: timedelta | None = None

    @property
    def kind(self) -> str:
        return kind_of(self.name)


def declared(exchange: str) -> tuple[Declared, ...]:
    """Every feed that a visit asks for, in their order.

    Of exchanges without a dialect of their own the catalogue says what the library behind the
    gateway offers; reading it asks nobody and imports nothing dear.
    """
    if exchange in table.OWN:
        return tuple(
            Declared(feed.name, feed.launched, feed.horizon)
            for feed in table.dialect(exchange).feeds
        )
    row = Exchange.objects.filter(id=exchange).values_list("feeds", flat=True).first()
    return tuple(_from_catalogue(item) for item in row or ())


def launched(exchange: str) -> dict[str, datetime]:
    """The day from which each feed is read; empty where nobody declared any."""
    return {feed.name: feed.launched for feed in declared(exchange)}


def kind_of(name: str) -> str:
    """One of KINDS; ``ledger`` where a feed tells of several, ``other`` where of moves alone."""
    return next((kind for kind, words in _KINDS if words.search(name)), "other")


def missing_kinds(found: Iterable[Declared]) -> list[str]:
    """Kinds of history that nothing tells of. A ledger tells of all."""
    kinds = {feed.kind for feed in found}
    return [] if "ledger" in kinds else [kind for kind in KINDS if kind not in kinds]


def _from_catalogue(item: Mapping[str, str | int | None]) -> Declared:
    days = item.get("horizon_days")
    return Declared(
        str(item["name"]), datetime.fromisoformat(str(item["launched"])),
        timedelta(days=int(days)) if days else None,
    )  # fmt: skip
