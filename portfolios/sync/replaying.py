"""Reading the quarantine again after an upgrade, without asking any account and without any key.

What today's dialects understand goes the way of a visit's facts: stored once, booked, told to
the books and logged; its rows leave the quarantine, all others stay. Stopped at any point and
run again, it goes on with what is left; run twice, it changes nothing the second time.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from django.db.models.functions import Greatest

from audit import log
from audit.actions import Action
from exchanges import assets, gateway, quarantine
from exchanges.gateway.errors import GatewayError
from exchanges.models import ConnectionState, Coverage, ExchangeConnection, QuarantinedPage
from exchanges.reports import Kept, Reread, Transfer
from portfolios import models
from portfolios.ledger import books, facts
from portfolios.models import Holding, LedgerEntry
from portfolios.sync import recording
from tracker import tenancy
from tracker.logs import get_logger

logger = get_logger(__name__)
_Part = tuple[str, str, Reread]  # feed, scope, and what was made of its payloads


@dataclass(frozen=True, slots=True)
class Account:
    """A connection with something in quarantine that can be read again."""

    user_id: UUID
    connection_id: UUID
    exchange: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Payloads that are understood now, those that are not, and facts that were new."""

    understood: int = 0
    left: int = 0
    facts: int = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.understood + other.understood, self.left + other.left, self.facts + other.facts
        )


def accounts(
    *,
    exchange: str = "",
    feed: str = "",
    connection_id: UUID | None = None,
    page_ids: Collection[UUID] | None = None,
) -> list[Account]:
    """Every connection with payloads that can be read again, in the order of their owners."""
    with tenancy.as_system("replay the quarantine"):
        rows = _replayable(feed=feed, page_ids=page_ids)
        if exchange:
            rows = rows.filter(connection__exchange_id=exchange)
        if connection_id:
            rows = rows.filter(connection_id=connection_id)
        found = rows.order_by("user_id", "connection_id").distinct()
        names = ("user_id", "connection_id", "connection__exchange_id")
        return [Account(*row) for row in found.values_list(*names)]


def replay(
    account: Account,
    *,
    now: datetime,
    feed: str = "",
    page_ids: Collection[UUID] | None = None,
    actor_id: UUID | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Read one connection's quarantine again; returns what came of it.

    With ``dry_run`` nothing is written, and ``facts`` counts those that would be looked at.
    Raises GatewayError when the exchange's list of markets is needed and cannot be had.
    """
    with tenancy.as_user(account.user_id):
        rows = list(_replayable(feed=feed, page_ids=page_ids).filter(**_owner(account)))
        parts = _parts(rows)
        codes = _codes_seen(account)
    read = [
        (name, scope, gateway.replay(
            account.exchange, feed=name, scope=scope, rows=kept, codes=codes, now=now
        ))
        for name, scope, kept in parts
    ]  # fmt: skip
    understood = {key for _, _, part in read for key in part.understood}
    found = [fact for _, _, part in read for fact in part.facts]
    if dry_run or not understood:
        return Outcome(len(understood), len(rows) - len(understood), len(found))
    new = _record(account, read, actor_id, now)
    return Outcome(len(understood), len(rows) - len(understood), new)


def replay_for_staff(
    *,
    actor_id: UUID,
    now: datetime,
    connection_id: UUID | None = None,
    page_ids: Collection[UUID] | None = None,
) -> Outcome:
    """Read one connection's payloads again, or those named, for a member of staff.

    An exchange whose markets cannot be had is left out; staff see that the rows are still there.
    """
    total = Outcome()
    for account in accounts(connection_id=connection_id, page_ids=page_ids):
        try:
            total += replay(account, page_ids=page_ids, actor_id=actor_id, now=now)
        except GatewayError as error:
            logger.warning("quarantine.not_replayed", exchange=account.exchange, code=error.code)
    return total


# --- what is there ------------------------------------------------------------------------------
def _replayable(
    *, feed: str = "", page_ids: Collection[UUID] | None = None
) -> QuerySet[QuarantinedPage]:
    rows = QuarantinedPage.objects.filter(is_whole=True, form__in=quarantine.REPLAYED)
    if feed:
        rows = rows.filter(feed=feed)
    return rows if page_ids is None else rows.filter(id__in=page_ids)


def _owner(account: Account) -> dict[str, UUID]:
    return {"user_id": account.user_id, "connection_id": account.connection_id}


def _parts(rows: Iterable[QuarantinedPage]) -> list[tuple[str, str, list[Kept]]]:
    """Payloads by feed and scope, each in the order in which they came."""
    ordered = sorted(rows, key=lambda row: (row.feed, row.scope, row.id))
    return [
        (feed, scope, quarantine.opened(list(together)))
        for (feed, scope), together in groupby(ordered, key=lambda row: (row.feed, row.scope))
    ]


def _codes_seen(account: Account) -> set[str]:
    held = Holding.objects.filter(**_owner(account)).values_list("exchange_code", flat=True)
    booked = LedgerEntry.objects.filter(**_owner(account)).order_by()
    return {*held, *booked.values_list("asset__code", flat=True).distinct()}


# --- what becomes of it -------------------------------------------------------------------------
def _record(account: Account, read: Sequence[_Part], actor_id: UUID | None, now: datetime) -> int:
    """Store what is understood in one transaction under its owner; returns how much was new."""
    found = [fact for _, _, part in read for fact in part.facts]
    fitting = [fact for fact in found if recording.storable(fact)]
    left = [item for _, _, part in read for item in part.left]
    left += [recording.too_long(fact) for fact in found if not recording.storable(fact)]
    meanings = assets.resolve(account.exchange, facts.codes(fitting))
    with tenancy.as_user(account.user_id):
        connection = _locked(account)
        gone = QuarantinedPage.objects.filter(
            **_owner(account), id__in=[key for _, _, part in read for key in part.understood]
        ).delete()[0]
        if connection is None or not gone:  # somebody else was quicker
            return 0
        stored = facts.store(**_owner(account), facts=fitting, meanings=meanings)
        quarantine.keep(**_owner(account), items=left, now=now)
        for feed, scope, part in read:
            _read_pending_again(account, feed, scope, part)
        turned = _settle(account, connection)
        if stored.touched or turned:
            books.changed(user_id=account.user_id, touched=stored.touched, now=now)
        new = sum(stored.counts.values())
        log.record(
            Action.QUARANTINE_REPLAYED, user_id=account.user_id, actor_id=actor_id,
            connection_id=str(account.connection_id), rows=gone, facts=new,
        )  # fmt: skip
        return new


def _locked(account: Account) -> ExchangeConnection | None:
    """The connection, after a visit that is being recorded just now."""
    rows = ExchangeConnection.objects.select_for_update()
    return rows.filter(id=account.connection_id, user_id=account.user_id).first()


def _read_pending_again(account: Account, feed: str, scope: str, part: Reread) -> None:
    """A stored row says what was true then: what was pending is asked again by the next visit."""
    waiting = models.Transfer.objects.filter(
        **_owner(account), is_settled=False,
        exchange_id__in=[
            fact.exchange_id
            for fact in part.facts
            if isinstance(fact, Transfer) and not fact.settled
        ],
    )  # fmt: skip
    earliest = min(waiting.values_list("occurred_at", flat=True), default=None)
    if earliest:
        Coverage.objects.filter(
            **_owner(account), feed=feed, scope=scope, until__gt=earliest
        ).update(until=Greatest(F("since"), earliest))


def _settle(account: Account, connection: ExchangeConnection) -> bool:
    """A connection that was partial for its quarantine alone, and has none any more, is well."""
    told = (connection.state, connection.reason)
    if told != (ConnectionState.PARTIAL, recording.ROWS_QUARANTINED) or quarantine.waits(
        **_owner(account)
    ):
        return False
    changes: dict[str, Any] = {"state": ConnectionState.OK, "reason": ""}
    ExchangeConnection.objects.filter(id=connection.id).update(**changes)
    return True
