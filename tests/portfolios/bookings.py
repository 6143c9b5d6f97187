"""Facts for tests, stored as recording stores them, and what was derived of them."""

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

from accounts.models import User
from exchanges.assets import DatedAsset
from exchanges.models import ExchangeConnection
from exchanges.reports import Direction, Reward, Trade, TradeKind, Transfer
from portfolios.ledger import books, facts
from portfolios.ledger.legs import Fact
from portfolios.models import AssetBasis, Disposal, Income, Lot
from tests import factories
from tracker import clock, tenancy

START = datetime(2024, 1, 1, 12, tzinfo=UTC)
_numbers = itertools.count()


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def trade(side: str, units: str, paid: str, at: datetime, **fields: Any) -> Trade:
    """Bitcoin against dollars, without a fee."""
    defaults = {
        "feed": "trades", "exchange_id": f"t{next(_numbers)}", "kind": TradeKind.FILL,
        "symbol": "BTC/USD", "base_code": "BTC", "quote_code": "USD", "fee_code": None,
        "fee_quantity": None, "wallet": "spot", "order_id": "",
    }  # fmt: skip
    return Trade(
        side=side, base_quantity=D(units), quote_quantity=D(paid), occurred_at=at,
        price=D(paid) / D(units), **defaults | fields,
    )  # fmt: skip


def buy(units: str, paid: str, at: datetime, **fields: Any) -> Trade:
    return trade("buy", units, paid, at, **fields)


def sell(units: str, paid: str, at: datetime, **fields: Any) -> Trade:
    return trade("sell", units, paid, at, **fields)


def transfer(direction: str, units: str, at: datetime, code: str = "BTC") -> Transfer:
    return Transfer(
        feed=f"{direction}s", exchange_id=f"m{next(_numbers)}", direction=Direction(direction),
        code=code, quantity=D(units), fee_code=None, fee_quantity=None, wallet="spot",
        counter_wallet="", settled=True, txid="", address="", network="", occurred_at=at,
    )  # fmt: skip


def reward(units: str, at: datetime, code: str = "BTC") -> Reward:
    return Reward("rewards", f"r{next(_numbers)}", "interest", code, D(units), "spot", at)


def book(user: User, connected: ExchangeConnection, *found: Fact) -> None:
    """Store facts and tell the books, in one transaction as recording does."""
    meanings = {code: _meaning(code) for code in facts.codes(found)}
    with tenancy.as_user(user.id):
        stored = facts.store(
            user_id=user.id, connection_id=connected.id, facts=found, meanings=meanings
        )
        books.changed(user_id=user.id, touched=stored.touched, now=clock.now())


def _meaning(code: str) -> DatedAsset:
    row = factories.asset(code)
    if code in ("USD", "EUR") and not row.is_fiat:
        row.is_fiat = True
        row.save(update_fields=["is_fiat"])
    return DatedAsset(((None, None, row.id),))


def derived(user: User) -> dict[str, list[dict[str, Any]]]:
    """Every lot, disposal and income of a person, all columns, in order."""
    with tenancy.as_user(user.id):
        return {
            model.__name__: list(model.objects.filter(user=user).order_by("id").values())
            for model in (Lot, Disposal, Income)
        }


def gains(user: User) -> list[tuple[str, ...]]:
    """Units, cost, proceeds and gain of each piece, in order."""
    with tenancy.as_user(user.id):
        rows = Disposal.objects.filter(user=user).order_by("asset__code", "position")
        return [_told(row) for row in rows.values_list("quantity", "cost", "proceeds", "gain")]


def open_lots(user: User) -> list[tuple[str, ...]]:
    """Units and cost of what is left of each lot, in order."""
    with tenancy.as_user(user.id):
        rows = Lot.objects.filter(user=user, remaining__gt=0).order_by("asset__code", "position")
        return [_told(row) for row in rows.values_list("remaining", "remaining_cost")]


def marks(user: User) -> set[str]:
    """Codes of the assets whose lots are to be computed anew."""
    with tenancy.as_user(user.id):
        rows = AssetBasis.objects.filter(user=user, dirty_from__isnull=False)
        return set(rows.values_list("asset__code", flat=True))


def _told(numbers: Iterable[D | None]) -> tuple[str, ...]:
    return tuple("?" if number is None else f"{number.normalize():f}" for number in numbers)
