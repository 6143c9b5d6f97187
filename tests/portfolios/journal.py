"""A person's history written down line by line, in dollars, and derived as a worker would."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from accounts.models import User
from exchanges import assets
from exchanges.reports import Direction, Reward, Trade, TradeKind, Transfer
from portfolios import derivation
from portfolios.ledger import books, facts
from portfolios.models import LedgerEntry
from tests import factories
from tracker import clock, tenancy


class Journal:
    """``Journal(alice).buy("BTC", 1, 100, at)``: one bitcoin for 100 dollars in all."""

    def __init__(self, user: User, label: str = "") -> None:
        self.user = user
        self.connection = factories.connection(user, label)
        self.lines = 0

    def buy(self, code: str, units: Any, dollars: Any, at: datetime, **fee: Any) -> None:
        self._write(self._trade("buy", code, units, dollars, at, **fee))

    def sell(self, code: str, units: Any, dollars: Any, at: datetime, **fee: Any) -> None:
        self._write(self._trade("sell", code, units, dollars, at, **fee))

    def receive(self, code: str, units: Any, at: datetime) -> None:
        """Units that came from nowhere known."""
        self._write(self._transfer(Direction.DEPOSIT, code, units, at))

    def withdraw(self, code: str, units: Any, at: datetime) -> None:
        self._write(self._transfer(Direction.WITHDRAWAL, code, units, at))

    def earn(self, code: str, units: Any, at: datetime, kind: str = "interest") -> None:
        self.lines += 1
        self._write(Reward("rewards", f"{self.lines}", kind, code, Decimal(units), "spot", at))

    def derive(self) -> None:
        """Everything that follows, as after a sync."""
        assert derivation.derive(user_id=self.user.id, now=clock.now())

    def asset_id(self, code: str) -> Any:
        return assets.resolve("binance", [code])[code].at(clock.now())

    def entries(self, code: str) -> list[LedgerEntry]:
        """The entries of an asset, oldest first."""
        with tenancy.as_user(self.user.id):
            rows = LedgerEntry.objects.filter(user=self.user, asset_id=self.asset_id(code))
            return list(rows.order_by("occurred_at", "id"))

    def _trade(
        self, side: str, code: str, units: Any, dollars: Any, at: datetime, *,
        fee: Any = None, fee_code: str = "USD",
    ) -> Trade:  # fmt: skip
        self.lines += 1
        base, quote = Decimal(units), Decimal(dollars)
        return Trade(
            "trades", f"{self.lines}", TradeKind.FILL, f"{code}/USD", side, code, base, "USD",
            quote, quote / base, None if fee is None else fee_code,
            None if fee is None else Decimal(fee), "spot", "", at,
        )  # fmt: skip

    def _transfer(self, direction: Direction, code: str, units: Any, at: datetime) -> Transfer:
        self.lines += 1
        return Transfer(
            f"{direction}s", f"{self.lines}", direction, code, Decimal(units), None, None, "spot",
            "", True, "", "", "", at,
        )  # fmt: skip

    def _write(self, fact: Any) -> None:
        meanings = assets.resolve("binance", facts.codes([fact]))
        with tenancy.as_user(self.user.id):
            stored = facts.store(
                user_id=self.user.id, connection_id=self.connection.id, facts=[fact],
                meanings=meanings,
            )  # fmt: skip
            books.changed(user_id=self.user.id, touched=stored.touched, now=clock.now())
