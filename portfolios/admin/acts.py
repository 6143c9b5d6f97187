"""What staff does for a person's portfolio, and the pages of the app that they may be shown."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django import forms

from accounts.models import User
from billing import entitlements
from exchanges import querysets as exchange_reads
from exchanges.models import ExchangeConnection
from exchanges.serializers import ConnectionSerializer
from portfolios import derivation, querysets
from portfolios.reconciling import problems
from portfolios.sync import support
from portfolios.valuing import valuation
from tracker import desk, tenancy
from tracker.desk import PersonAct, PersonForm, Screen

# So many rows of a list a page shows: the newest.
NEWEST = 100


# --- acts ---------------------------------------------------------------------------------------
class SyncForm(PersonForm):
    """All connections, or one of them."""

    connection = forms.ChoiceField(required=False)

    def prepare(self, person_id: UUID) -> None:
        rows = ExchangeConnection.objects.filter(user_id=person_id).order_by("id")
        named = [(str(row.id), f"{row.exchange_id} {row.label}".strip()) for row in rows]
        self.fields["connection"].choices = [("", "All"), *named]  # type: ignore[attr-defined]


def _sync(*, person_id: UUID, actor_id: UUID, now: datetime, connection: str) -> str:
    rows = ExchangeConnection.objects.filter(user_id=person_id)
    if connection:
        rows = rows.filter(id=connection)
    keys = list(rows.values_list("id", flat=True))
    done = support.sync_now(connection_ids=keys, actor_id=actor_id, now=now)
    return f"Syncs queued: {done.done}. Paused or without a valid key: {done.skipped}."


def _rebuild(*, person_id: UUID, actor_id: UUID, now: datetime) -> str:
    with tenancy.narrowed_to(person_id):
        derivation.ask_to_rebuild(user_id=person_id, actor_id=actor_id, now=now)
    return "A worker computes everything anew; the figures stay until it is done."


desk.add_act(
    PersonAct(
        "sync-now", "Sync now",
        "Reads the person's exchanges at once, without the pause that their plan asks for.",
        "portfolios.sync_now", _sync, SyncForm,
    )
)  # fmt: skip
desk.add_act(
    PersonAct(
        "rebuild", "Compute the portfolio anew",
        "Computes pairs, lots, gains, valuations and differences again from the ledger. The "
        "result is the same, unless something was wrong.",
        "portfolios.rebuild", _rebuild,
    )
)  # fmt: skip


# --- pages of the app ---------------------------------------------------------------------------
def _home(*, person_id: UUID, now: datetime) -> Mapping[str, Any]:
    currency = User.objects.values_list("base_currency", flat=True).get(id=person_id)
    body = valuation.home_screen(user_id=person_id, currency=currency, now=now)
    return orjson.loads(body)


def _connections(*, person_id: UUID, now: datetime) -> Mapping[str, Any]:
    granted = entitlements.for_user(User.objects.get(id=person_id), now=now)
    rows = exchange_reads.connections_of(person_id)
    shown = ConnectionSerializer(rows, many=True, context={"granted": granted}).data
    return {"results": [dict(row) for row in shown]}


def _problems(*, person_id: UUID, now: datetime) -> Mapping[str, Any]:
    return problems.inbox(user_id=person_id, now=now)


def _newest(read: Callable[[UUID], Any], *order: str) -> Callable[..., Mapping[str, Any]]:
    def screen(*, person_id: UUID, now: datetime) -> Mapping[str, Any]:
        return {"results": list(read(person_id).order_by(*order)[:NEWEST])}

    return screen


_BY_TIME = ("-occurred_at", "-id")
for _screen in (
    Screen("home", "Home", _home, rank=10),
    Screen("holdings", "Holdings", _newest(querysets.holdings_of, "id"), rank=20),
    Screen("trades", "Trades", _newest(querysets.trades_of, *_BY_TIME), rank=30),
    Screen("transfers", "Transfers", _newest(querysets.transfers_of, *_BY_TIME), rank=40),
    Screen("connections", "Connections", _connections, rank=50),
    Screen("problems", "Problems", _problems, rank=60),
):
    desk.add_screen(_screen)
