"""Turning an account's facts into rows: newest first, within a window, of one asset if asked."""

from collections.abc import Iterable
from typing import TypeVar

from exchanges.sandbox import accounts, facts
from exchanges.sandbox.binance import parameters

Kind = TypeVar("Kind", bound=facts.Fact)


def newest(account: accounts.Account, kind: type[Kind], window: parameters.Window) -> list[Kind]:
    """The account's facts of a kind within a window, the newest first."""
    found = [fact for fact in account.feed(kind.feed) if isinstance(fact, kind)]
    return [fact for fact in reversed(found) if window.holds(fact.occurred_at)]


def of_asset(found: Iterable[Kind], asset: str) -> list[Kind]:
    """Those of one asset; all if none is named."""
    return [fact for fact in found if asset in ("", getattr(fact, "asset", ""))]
