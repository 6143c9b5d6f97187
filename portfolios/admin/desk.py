"""What this room and that of the exchanges bring to the support desk: connections, value and
problems of a person; visits that failed and rows nobody understood; whose fact or connection it is.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection as database
from django.urls import reverse
from django.utils.html import format_html

from exchanges import remedies
from exchanges.models import ExchangeConnection, QuarantinedPage
from portfolios.models import PortfolioSnapshot, SyncRun, Trade, Transfer
from portfolios.reconciling import problems as inbox
from tracker import charts, desk, gathering, ids, money
from tracker.admin import Panel, list_url
from tracker.desk import Figure, Finder, Hit, Level, Section, Tile
from tracker.gathering import written

DAYS = 90  # of the value over time
_DAY = timedelta(days=1)
_COUNTED = 10_000  # rows of a tile at most; beyond them it says "or more"
_OF_PERSON = "user__id__exact"


# --- a person's page: connections ---------------------------------------------------------------
_CONNECTIONS = {
    "connections": """
        SELECT c.id, e.name, c.kind, c.label, c.state, c.reason, c.privileges, c.failures,
               c.last_synced_at, c.last_complete_at, c.next_sync_at,
               read.feeds, read.scopes, read.since, read.until, waiting.rows AS quarantined,
               run.state AS run, run.error, run.requested_at
        FROM exchange_connections c JOIN exchanges e ON e.id = c.exchange_id
        LEFT JOIN LATERAL (
            SELECT count(DISTINCT v.feed) AS feeds, count(*) AS scopes, min(v.since) AS since,
                   min(v.until) AS until
            FROM exchange_coverage v
            WHERE v.user_id = c.user_id AND v.connection_id = c.id
              AND v.cursor NOT LIKE 'delisted%%'
        ) read ON true
        LEFT JOIN LATERAL (
            SELECT count(*) AS rows FROM (
                SELECT FROM quarantined_pages q
                WHERE q.user_id = c.user_id AND q.connection_id = c.id LIMIT 10000
            ) q
        ) waiting ON true
        LEFT JOIN LATERAL (
            SELECT r.state, r.error, r.requested_at FROM sync_runs r
            WHERE r.user_id = c.user_id AND r.connection_id = c.id
            ORDER BY r.requested_at DESC LIMIT 1
        ) run ON true
        WHERE c.user_id = %(person)s ORDER BY c.position, c.id LIMIT 20""",
}


def connections(*, person_id: UUID, now: datetime) -> dict[str, Any]:
    """Accounts at exchanges: how they do, why, and how far they were read. One query."""
    rows = gathering.rows_of(_CONNECTIONS, {"person": person_id})["connections"]
    ill = [
        row for row in rows if row["kind"] == "exchange" and row["state"] not in ("ok", "pending")
    ]
    words = [f"{row['name']} {row['label']}".strip() for row in ill]
    return {
        "warning": f"Not read as it should be: {', '.join(words)}." if ill else "",
        "panels": [
            Panel(
                "Connections", list_url(ExchangeConnection, {_OF_PERSON: person_id}),
                ("Account", "State", "It means", "Last visit", "Last complete", "Next", "Read",
                 "Rows not understood", "Key"),
                [_connection(row) for row in rows],
            )
        ],
    }  # fmt: skip


def _connection(row: dict[str, Any]) -> tuple[Any, ...]:
    name = f"{row['name']} {row['label']}".strip()
    if row["kind"] != "exchange":
        return (name, "kept by hand", "-", "-", "-", "-", "-", "-", "none")
    state = f"{row['state']} ({row['reason']})" if row["reason"] else row["state"]
    failed = f"; {row['failures']} failures in a row" if row["failures"] else ""
    url = reverse("admin:exchanges_exchangeconnection_doctor", args=[row["id"]])
    return (
        format_html('<a href="{}">{}</a>', url, name), f"{state.replace('_', ' ')}{failed}",
        remedies.of(row["reason"]).meaning, _visit(row), written(row["last_complete_at"], "never"),
        written(row["next_sync_at"], "none: stopped"), _coverage(row),
        f"{row['quarantined']:,}", row["privileges"].replace("_", " "),
    )  # fmt: skip


def _coverage(row: dict[str, Any]) -> str:
    if not row["feeds"]:
        return "nothing yet"
    return (
        f"feeds: {row['feeds']}; all of them from {written(row['since'])[:10]} to "
        f"{written(row['until'])}"
    )


def _visit(row: dict[str, Any]) -> str:
    if row["run"] is None:
        return written(row["last_synced_at"], "never")
    error = f", {row['error'].replace('_', ' ')}" if row["error"] else ""
    return f"{written(row['requested_at'])}: {row['run']}{error}"


# --- a person's page: value ---------------------------------------------------------------------
# Of each day the last one: a probe of the index in one month's partition.
_VALUES = """
SELECT day::date AS day, s.total_value::text, s.currency, s.status, s.taken_at
FROM generate_series(%(first)s::timestamptz, %(last)s::timestamptz, interval '1 day') AS days (day)
LEFT JOIN LATERAL (
    SELECT total_value, currency, status, taken_at FROM portfolio_snapshots
    WHERE user_id = %(person)s AND taken_at >= day AND taken_at < day + interval '1 day'
    ORDER BY taken_at DESC LIMIT 1
) s ON true ORDER BY day
"""


def value(*, person_id: UUID, now: datetime) -> dict[str, Any]:
    """The portfolio as it was shown, by the last snapshot of each day. One query."""
    last = datetime(now.year, now.month, now.day, tzinfo=UTC)
    with database.cursor() as cursor:
        cursor.execute(
            _VALUES, {"person": person_id, "first": last - (DAYS - 1) * _DAY, "last": last}
        )
        rows = cursor.fetchall()
    taken = [row for row in rows if row[4] is not None]
    if not taken:
        return {"facts": [("Snapshots", f"none in {DAYS} days")]}
    _, total, currency, status, at = taken[-1]
    # What was shown in another currency cannot stand on the same line.
    days = [
        (f"{day:%-d %b %Y}", Decimal(shown) if shown and code == currency else None)
        for day, shown, code, _, _ in rows
    ]
    return {
        "facts": [
            ("Shown last", f"{_amount(total)} {currency} ({status}), {at:%Y-%m-%d %H:%M} UTC"),
        ],
        "curve": charts.curve(
            days, key="value", unit=currency,
            title=f"Portfolio value in {currency}, the last snapshot of each of {DAYS} days",
        ),
        "curve_rows": [
            (f"{day:%Y-%m-%d}", f"{_amount(shown)} {code}", state)
            for day, shown, code, state, _ in reversed(taken)
        ],
        "panels": [Panel("All snapshots", list_url(PortfolioSnapshot, {_OF_PERSON: person_id}))],
    }  # fmt: skip


def _amount(text: str | None) -> str:
    return "unpriced" if text is None else money.to_text(Decimal(text))


# --- a person's page: problems ------------------------------------------------------------------
def problems(*, person_id: UUID, now: datetime) -> dict[str, Any]:
    """What makes a figure of theirs less than certain, in their own words. One query."""
    found = inbox.for_staff(user_id=person_id, now=now)
    grave = sum(problem["severity"] == "high" for problem in found)
    return {
        "warning": f"{grave} grave: a total or a gain is wrong." if grave else "",
        "note": "Transfers that may be one move are not looked for here; the app asks about them.",
        "panels": [
            Panel(
                "Open problems", "", ("How grave", "What", "Since", "What helps", "Kind"),
                [(problem["severity"], problem["sentence"],
                  f"{problem['since']:%Y-%m-%d %H:%M}" if problem["since"] else "-",
                  problem["remedy"]["action"].replace("_", " "), problem["kind"])
                 for problem in found[:20]],
            )
        ],
    }  # fmt: skip


# --- the front page -----------------------------------------------------------------------------
# By the index of visits that failed, whose ids grow with time.
_FAILED = """
SELECT c.exchange_id, coalesce(nullif(r.error, ''), 'unknown'), count(*)
FROM (
    SELECT connection_id, error FROM sync_runs
    WHERE state = 'failed' AND id >= %s ORDER BY id DESC LIMIT %s
) r JOIN exchange_connections c ON c.id = r.connection_id GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""


def failed_syncs(*, now: datetime) -> Tile:
    """Visits of the last day that failed, by exchange and cause."""
    found = _rows(_FAILED, [ids.first_of(now - _DAY), _COUNTED])
    total = sum(number for _, _, number in found)
    widest = f" Most: {found[0][0]}, {_words(found[0][1])}." if found else ""
    level = Level.FINE if total < 3 else Level.WATCH if total < 100 else Level.BAD
    return Tile(
        _or_more(total), level, f"syncs of the last day failed.{widest}",
        tuple((f"{exchange}: {_words(error)}", float(number)) for exchange, error, number in found),
        "Failed syncs of the last day by exchange and cause", by_name=True,
        url=list_url(SyncRun, {"state__exact": "failed"}), link="Syncs that failed",
    )  # fmt: skip


_QUARANTINED = """
SELECT c.exchange_id, count(*), count(DISTINCT q.connection_id),
       count(*) FILTER (WHERE q.created_at > %s)
FROM (SELECT connection_id, created_at FROM quarantined_pages ORDER BY created_at DESC LIMIT %s) q
JOIN exchange_connections c ON c.id = q.connection_id GROUP BY 1 ORDER BY 2 DESC, 1
"""


def quarantined(*, now: datetime) -> Tile:
    """Rows and pages that nobody understood, by exchange, the newest first."""
    found = _rows(_QUARANTINED, [now - _DAY, _COUNTED])
    total, fresh = sum(row[1] for row in found), sum(row[3] for row in found)
    level = Level.FINE if not total else Level.BAD if fresh >= 100 else Level.WATCH
    return Tile(
        _or_more(total), level,
        f"rows of {sum(row[2] for row in found):,} accounts wait in quarantine, "
        f"{fresh:,} of them since yesterday.",
        tuple((row[0], float(row[1])) for row in found), "Rows in quarantine by exchange",
        by_name=True, url=list_url(QuarantinedPage, {}), link="Quarantine, newest first",
    )  # fmt: skip


def _rows(statement: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with database.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def _or_more(number: int) -> str:
    return f"{number:,}+" if number >= _COUNTED else f"{number:,}"


def _words(code: str) -> str:
    return code.replace("_", " ")


# --- finding ------------------------------------------------------------------------------------
def facts(text: str) -> Iterator[Hit]:
    """By the exchange's id of a trade or transfer, or by the chain's of a transfer."""
    trades = Trade.objects.filter(exchange_id=text)
    for owner, symbol in trades.values_list("user_id", "symbol")[: desk.MOST_HITS]:
        yield Hit(f"a trade of {symbol} with this id of the exchange's", owner)
    for column in ("exchange_id", "txid"):
        moved = Transfer.objects.filter(**{column: text})
        for owner, way in moved.values_list("user_id", "direction")[: desk.MOST_HITS]:
            yield Hit(f"a {way} with this id", owner)


def own_ids(text: str) -> Iterator[Hit]:
    """By our own id of a connection, a visit, a trade or a transfer."""
    key = desk.as_id(text)
    if key is None:
        return
    for model in (ExchangeConnection, SyncRun, Trade, Transfer):
        rows = model._default_manager.filter(pk=key).values_list("user_id", flat=True)
        yield from (Hit(f"the id of a {model._meta.verbose_name}", owner) for owner in rows)


desk.add_section(
    Section("Connections", "exchanges.view_exchangeconnection", desk.PARTS, connections, rank=40)
)
desk.add_section(
    Section("Portfolio value", "portfolios.view_portfoliosnapshot", desk.PARTS, value, rank=45)
)
desk.add_section(
    Section("Open problems", "portfolios.view_discrepancy", desk.PARTS, problems, rank=50)
)
desk.add_figure(Figure("Failed syncs", "portfolios.view_syncrun", failed_syncs, rank=20))
desk.add_figure(Figure("Quarantine", "exchanges.view_quarantinedpage", quarantined, rank=30))
desk.add_finder(Finder("exchange's id of a trade or transfer, or the chain's (txid)",
                       "portfolios.view_trade", facts, rank=40))  # fmt: skip
desk.add_finder(Finder("id of a connection, a sync, a trade or a transfer",
                       "exchanges.view_exchangeconnection", own_ids, rank=50))  # fmt: skip
