"""What is known about one connection, gathered for whoever has to find out what ails it.

Reads only, and nothing secret: names of feeds and endpoints, numbers, instants, our own codes.
Call inside ``as_system``.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q

from billing import entitlements
from exchanges import gateway, remedies
from exchanges.gateway.errors import GatewayError
from exchanges.models import Coverage, ExchangeConnection, QuarantinedPage
from exchanges.quarantine import FATES, REPLAYED
from exchanges.remedies import Remedy
from exchanges.reports import Asked, FeedDescription, Form
from portfolios.models import SyncRun
from portfolios.sync import timelines
from portfolios.sync.timelines import KEPT_RUNS, Stretch

BEHIND = timedelta(hours=26)  # a feed where nothing moved is asked once a day
_DELISTED = "delisted"  # how the cursor of a closed market begins


@dataclass(frozen=True, slots=True)
class Health:
    """State and reason in words, and what the plan and the schedule say."""

    remedy: Remedy
    plan: str
    cadence: str
    is_leased: bool


@dataclass(frozen=True, slots=True)
class FeedCoverage:
    """How far one feed was read: over all its symbols, from ``since`` to at least ``until``.

    ``reached`` is how far the most advanced of them is. All three are None where nothing was read.
    ``horizon`` is the earliest moment that the exchange still answers for.
    """

    name: str
    scopes: int
    closed: int  # markets that the exchange no longer answers for
    since: datetime | None
    until: datetime | None
    reached: datetime | None
    horizon: datetime | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in quarantine for one reason."""

    feed: str
    reason: str
    form: str
    rows: int
    too_large: int
    since: datetime

    @property
    def replayable(self) -> int:
        """How many of them a replay would look at."""
        return self.rows - self.too_large if self.form in REPLAYED else 0

    @property
    def fate(self) -> str:
        """What can become of them, in words."""
        return FATES[Form(self.form)]


@dataclass(frozen=True, slots=True)
class Visited:
    """A run with the calls that it kept; weight and milliseconds are those of the kept ones."""

    run: SyncRun
    remedy: Remedy | None
    stretches: Sequence[Stretch]
    calls: int
    weight: float
    waited: int
    took: int


def health(connection: ExchangeConnection, *, now: datetime) -> Health:
    """The connection itself."""
    granted = entitlements.for_user(connection.user, now=now)
    return Health(
        remedies.of(connection.reason), granted.tier, _length(granted.plan.sync_every),
        is_leased=bool(connection.lease_until and connection.lease_until > now),
    )  # fmt: skip


# --- coverage -----------------------------------------------------------------------------------
def coverage(connection: ExchangeConnection, *, now: datetime) -> list[FeedCoverage]:
    """Each feed that the exchange has, and each that was read and is no longer asked."""
    found: dict[str, list[Coverage]] = defaultdict(list)
    for row in Coverage.objects.filter(user_id=connection.user_id, connection=connection):
        found[row.feed].append(row)
    declared = {feed.name: feed for feed in _feeds(connection.exchange_id)}
    names = [*declared, *sorted(found.keys() - declared.keys())]
    return [
        _feed_coverage(name, found.get(name, []), declared.get(name), connection, now)
        for name in names
    ]


def _feeds(exchange: str) -> list[FeedDescription]:
    try:
        return gateway.describe_feeds(exchange)
    except GatewayError:  # ccxt has dropped the exchange
        return []


def _feed_coverage(
    name: str,
    rows: list[Coverage],
    declared: FeedDescription | None,
    connection: ExchangeConnection,
    now: datetime,
) -> FeedCoverage:
    answering = [row for row in rows if not row.cursor.startswith(_DELISTED)]
    horizon = now - declared.horizon if declared and declared.horizon else None
    since = min((row.since for row in answering), default=None)
    until = min((row.until for row in answering), default=None)
    return FeedCoverage(
        name=name, scopes=len([row for row in rows if row.scope]),
        closed=len(rows) - len(answering), since=since, until=until,
        reached=max((row.until for row in answering), default=None), horizon=horizon,
        notes=tuple(_notes(since, until, declared, horizon, connection)),
    )  # fmt: skip


def _notes(
    since: datetime | None,
    until: datetime | None,
    declared: FeedDescription | None,
    horizon: datetime | None,
    connection: ExchangeConnection,
) -> Iterable[str]:
    """The gaps in words."""
    if declared is None:
        yield "no longer asked"
    if since is None or until is None:
        yield "nothing read yet"
        return
    last = connection.last_synced_at
    if last and last - until > BEHIND:
        yield f"ends {_length(last - until)} before the last visit"
    if declared and since - declared.launched > timedelta(days=1):
        yield "not asked from the beginning"
    if horizon and since < horizon:
        yield "begins before what the exchange still answers for"


def _length(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    if hours < 2:
        return f"{hours * 60:.0f} minutes"
    return f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} hours"


# --- quarantine ---------------------------------------------------------------------------------
def waiting(connection: ExchangeConnection) -> list[Waiting]:
    """What waits in quarantine, counted by feed, reason and form; the most first."""
    rows = (
        QuarantinedPage.objects.filter(user_id=connection.user_id, connection=connection)
        .order_by()
        .values_list("feed", "reason", "form")
        .annotate(
            rows=Count("id"), too_large=Count("id", filter=Q(is_whole=False)),
            since=Min("created_at"),
        )
        .order_by("-rows", "feed", "reason")
    )  # fmt: skip
    return [Waiting(*row) for row in rows]


# --- runs ---------------------------------------------------------------------------------------
def runs(connection: ExchangeConnection) -> list[Visited]:
    """The newest runs, those whose calls are kept."""
    rows = SyncRun.objects.filter(user_id=connection.user_id, connection=connection)
    return [_visited(run) for run in rows.order_by("-requested_at")[:KEPT_RUNS]]


def _visited(run: SyncRun) -> Visited:
    stretches = timelines.from_plain(run.timeline)
    calls: list[Asked] = [call for stretch in stretches for call in stretch.calls]
    return Visited(
        run, remedies.of(run.error) if run.error else None, stretches,
        calls=len(calls) + sum(stretch.left_out for stretch in stretches),
        weight=sum(call.weight for call in calls), waited=sum(call.waited for call in calls),
        took=sum(call.took for call in calls),
    )  # fmt: skip
