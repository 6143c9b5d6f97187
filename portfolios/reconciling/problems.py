"""One inbox of everything that makes a number less than certain.

A problem's id is made of what it is about, so it stays the same while the problem lasts, and a
dismissed one stays dismissed. A dismissed problem still counts in every figure; it is only put
aside. One query reads everything that is counted; possible pairs of transfers are looked at
besides, because which of them are open is not stored.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from django.db import connection

from audit import log
from audit.actions import Action
from portfolios.ledger import books
from portfolios.models import ProblemDismissal
from portfolios.transfers import matches
from tracker import money, tenancy
from tracker.errors import NotFound

# Each kind: how grave it is, its sentence, and what to do: method and address, filled in from
# the problem's subject. ``high``: a total is wrong or a gain is; ``medium``: something cannot be
# computed; ``low``: worth knowing.
_KINDS: dict[str, tuple[str, str, str, tuple[str, str] | None]] = {
    "not_computed": (
        "high", "Your figures could not be computed; what is shown is from before.", "wait", None,
    ),
    "connection_stopped": (
        "high", "{name} is no longer read: {detail}.", "give_new_key",
        ("PATCH", "/connections/{connection}"),
    ),
    "connection_partial": (
        "high", "Part of {name} could not be read: {detail}.", "sync",
        ("POST", "/connections/{connection}/sync"),
    ),
    "rows_not_understood": (
        "high", "{count} rows from {name} could not be understood and are kept.", "sync",
        ("POST", "/connections/{connection}/sync"),
    ),
    "discrepancy": (
        "high", "{name} reports {units} {code} more than the books in {wallet}. {detail}",
        "repair", ("POST", "/reconciliation/{subject}/repair"),
    ),
    "shortage": (
        "high", "{name} gives {units} {code} more than came in, in {wallet}. {detail}", "repair",
        ("POST", "/reconciliation/{subject}/repair"),
    ),
    "unknown_basis": (
        "high", "{units} {code} were disposed of without a known purchase ({count} disposals).",
        "add_purchase", ("POST", "/entries/trades"),
    ),
    "deposit_without_cost": (
        "medium", "What {units} {code} that came in by deposit cost is unknown ({count} lots).",
        "explain_transfer", ("PUT", "/transfers/{transfer}/note"),
    ),
    "unexplained_withdrawal": (
        "medium", "Withdrawals of {units} {code} have no explanation yet ({count}).",
        "explain_transfer", ("PUT", "/transfers/{transfer}/note"),
    ),
    "possible_match": (
        "medium", "A withdrawal and a deposit of {units} {code} may be one move of your own.",
        "match_transfers", ("POST", "/transfer-matches"),
    ),
    "unpriced_asset": (
        "medium", "No price is known for {units} {code}.", "set_price", ("PUT", "/prices/manual"),
    ),
    "unpriced_assets": (
        "medium", "No price is known for {count} more coins that you hold.", "set_price",
        ("PUT", "/prices/manual"),
    ),
    "unpriced_entries": (
        "medium", "{count} purchases, disposals or rewards of {code} have no price for their day.",
        "set_price", ("PUT", "/prices/manual"),
    ),
    "import_rows_refused": (
        "medium", "{count} rows of {name} could not be booked.", "look",
        ("GET", "/imports/{subject}"),
    ),
    "waiting_for_prices": (
        "low", "Prices of the past are still being fetched; some values will be filled in.",
        "wait", None,
    ),
    "late_data": (
        "low",
        "{count} days since {detail} that were complete have other figures now, because entries, "
        "prices or settings behind them came or changed later.",
        "look", ("GET", "/attribution"),
    ),
}  # fmt: skip
_COMPUTED_WITHIN = timedelta(minutes=15)  # what takes longer has failed, or does not end
_GRAVITY = {"high": 0, "medium": 1, "low": 2}

_FOUND = """
WITH unpriced AS (
    SELECT a.id, a.code, x.units, row_number() OVER (ORDER BY a.code, a.id) AS place
    FROM (
        SELECT asset_id, sum(quantity) AS units FROM holdings
        WHERE user_id = %(user)s AND quantity <> 0 GROUP BY 1
    ) x JOIN assets a ON a.id = x.asset_id
    WHERE NOT EXISTS (SELECT 1 FROM prices p WHERE p.asset_id = x.asset_id)
        AND NOT EXISTS (
            SELECT 1 FROM manual_prices m WHERE m.user_id = %(user)s AND m.asset_id = x.asset_id
        )
        AND a.code <> 'USD'
)
    SELECT 'connection_stopped', c.id, c.id, NULL::uuid, '', NULL::numeric, 1::bigint,
        coalesce(nullif(c.label, ''), c.exchange_id), replace(c.reason, '_', ' '), '',
        c.last_synced_at, NULL::uuid
    FROM exchange_connections c
    WHERE c.user_id = %(user)s AND c.kind = 'exchange' AND c.state IN ('paused', 'needs_new_key')
  UNION ALL
    SELECT 'connection_partial', c.id, c.id, NULL, '', NULL, 1,
        coalesce(nullif(c.label, ''), c.exchange_id), replace(c.reason, '_', ' '), '',
        c.last_complete_at, NULL
    FROM exchange_connections c
    WHERE c.user_id = %(user)s AND c.kind = 'exchange'
        AND (c.state = 'partial' OR (c.state IN ('ok', 'pending') AND c.failures > 2))
  UNION ALL
    SELECT 'rows_not_understood', c.id, c.id, NULL, '', NULL, count(*),
        coalesce(nullif(c.label, ''), c.exchange_id), '', '', min(q.created_at), NULL
    FROM quarantined_pages q JOIN exchange_connections c ON c.id = q.connection_id
    WHERE q.user_id = %(user)s GROUP BY c.id
  UNION ALL
    SELECT CASE c.kind WHEN 'manual' THEN 'shortage' ELSE 'discrepancy' END, d.id,
        d.connection_id, d.asset_id, a.code, d.difference, 1,
        coalesce(nullif(c.label, ''), c.exchange_id), coalesce(d.causes -> 0 ->> 'sentence', ''),
        d.wallet, d.appeared_at, NULL
    FROM discrepancies d JOIN exchange_connections c ON c.id = d.connection_id
        JOIN assets a ON a.id = d.asset_id
    WHERE d.user_id = %(user)s
  UNION ALL
    SELECT 'unknown_basis', a.id, NULL, a.id, a.code, x.units, x.found, '', '', '', x.since, NULL
    FROM (
        SELECT asset_id, sum(quantity) AS units, count(*) AS found, min(disposed_at) AS since
        FROM disposals WHERE user_id = %(user)s AND lot_id IS NULL GROUP BY 1
    ) x JOIN assets a ON a.id = x.asset_id
  UNION ALL
    SELECT 'deposit_without_cost', a.id, NULL, a.id, a.code, x.units, x.found, '', '', '', x.since,
        (SELECT e.transfer_id FROM ledger_entries e
            WHERE e.user_id = %(user)s AND e.id = x.entry)
    FROM (
        SELECT asset_id, sum(quantity) AS units, count(*) AS found, min(acquired_at) AS since,
            (array_agg(entry_id ORDER BY position))[1] AS entry
        FROM lots WHERE user_id = %(user)s AND basis = 'unknown'
            AND kind IN ('deposit', 'purchase', 'gift', 'own_deposit') GROUP BY 1
    ) x JOIN assets a ON a.id = x.asset_id
  UNION ALL
    SELECT 'unexplained_withdrawal', a.id, NULL, a.id, a.code, x.units, x.found, '', '', '',
        x.since,
        (SELECT e.transfer_id FROM ledger_entries e
            WHERE e.user_id = %(user)s AND e.id = x.entry)
    FROM (
        SELECT asset_id, sum(d.quantity) AS units, count(DISTINCT entry_id) AS found,
            min(disposed_at) AS since, (array_agg(entry_id ORDER BY position))[1] AS entry
        FROM disposals d WHERE d.user_id = %(user)s AND d.kind = 'withdrawal'
            AND NOT EXISTS (
                SELECT 1 FROM ledger_entries e
                    JOIN transfer_notes n ON n.user_id = e.user_id AND n.transfer_id = e.transfer_id
                WHERE e.user_id = d.user_id AND e.id = d.entry_id
            )
        GROUP BY 1
    ) x JOIN assets a ON a.id = x.asset_id
  UNION ALL
    SELECT 'unpriced_asset', u.id, NULL, u.id, u.code, u.units, 1, '', '', '', NULL, NULL
    FROM unpriced u WHERE u.place <= 50
  UNION ALL
    SELECT 'unpriced_assets', %(user)s::uuid, NULL, NULL, '', NULL, count(*), '', '', '', NULL, NULL
    FROM unpriced u WHERE u.place > 50 HAVING count(*) > 0
  UNION ALL
    SELECT 'unpriced_entries', a.id, NULL, a.id, a.code, NULL, x.found, '', '', '', x.since, NULL
    FROM (
        SELECT asset_id, sum(found) AS found, min(since) AS since FROM (
            SELECT asset_id, count(*) AS found, min(disposed_at) AS since FROM disposals
            WHERE user_id = %(user)s AND proceeds IS NULL
                AND kind IN ('sale', 'fee', 'payment') GROUP BY 1
            UNION ALL
            SELECT asset_id, count(*), min(received_at) FROM incomes
            WHERE user_id = %(user)s AND value IS NULL GROUP BY 1
            UNION ALL
            SELECT asset_id, count(*), min(acquired_at) FROM lots
            WHERE user_id = %(user)s AND basis = 'unknown' AND kind IN ('trade', 'conversion')
            GROUP BY 1
        ) each GROUP BY 1
    ) x JOIN assets a ON a.id = x.asset_id
    WHERE NOT EXISTS (  -- what is still being fetched is said once, below
        SELECT 1 FROM portfolio_states s WHERE s.user_id = %(user)s AND s.waits_for_prices
    )
  UNION ALL
    SELECT 'import_rows_refused', f.id, f.connection_id, NULL, '', NULL, f.rows_refused,
        f.file_name, '', '', f.created_at, NULL
    FROM file_imports f
    WHERE f.user_id = %(user)s AND f.state = 'applied' AND f.rows_refused > 0
  UNION ALL
    SELECT 'not_computed', s.user_id, NULL, NULL, '', NULL, 1, '', '', '', s.behind_since, NULL
    FROM portfolio_states s
    WHERE s.user_id = %(user)s AND s.ledger_revision > s.derived_revision
        AND s.behind_since < %(not_computed_since)s
  UNION ALL
    SELECT 'waiting_for_prices', s.user_id, NULL, NULL, '', NULL, 1, '', '', '', NULL, NULL
    FROM portfolio_states s WHERE s.user_id = %(user)s AND s.waits_for_prices
  UNION ALL
    SELECT 'late_data', v.user_id, NULL, NULL, '', NULL, count(*), '', min(v.day)::text, '',
        max(v.restated_at), NULL
    FROM daily_valuations v
    WHERE v.user_id = %(user)s AND v.scope_id = %(user)s
        AND v.restated_at > %(now)s - interval '7 days' GROUP BY v.user_id
"""
_ASIDE = "put_aside"
_PUT_ASIDE = f"""
    SELECT '{_ASIDE}', problem, NULL, NULL, '', NULL, 1, '', '', '', NULL, NULL
    FROM problem_dismissals WHERE user_id = %(user)s
"""  # noqa: S608  (fixed text)
_DISMISSED = "SELECT problem FROM problem_dismissals WHERE user_id = %(user)s"


def inbox(*, user_id: UUID, now: datetime) -> dict[str, Any]:
    """Every problem of a person, gravest and newest first, and how many are not put aside.

    Call inside ``as_user``.
    """
    dismissed = {row[0] for row in tenancy.read_as_user(user_id, _DISMISSED, {"user": user_id})}
    found = [*_counted(user_id, now), *_possible_matches(user_id)]
    for problem in found:
        problem["is_dismissed"] = problem["id"] in dismissed
    found.sort(key=lambda item: (_GRAVITY[item["severity"]], item["kind"], _oldest_last(item)))
    return {
        "open": sum(not problem["is_dismissed"] for problem in found),
        "updating": books.freshness(user_id=user_id).updating,
        "results": found,
    }


def for_staff(*, user_id: UUID, now: datetime) -> list[dict[str, Any]]:
    """Problems that are counted and not put aside, gravest first, by one query: support reads
    them among much else. Possible pairs of transfers, a question to the person, are not among
    them. Call inside ``as_system``."""
    statement = f"{_FOUND} UNION ALL {_PUT_ASIDE}"
    with connection.cursor() as cursor:
        cursor.execute(statement, _parameters(user_id, now))
        rows = cursor.fetchall()
    dismissed = {row[1] for row in rows if row[0] == _ASIDE}
    found = [_read(user_id, row) for row in rows if row[0] != _ASIDE]
    found = [problem for problem in found if problem["id"] not in dismissed]
    return sorted(found, key=lambda item: (_GRAVITY[item["severity"]], item["kind"]))


def _oldest_last(problem: dict[str, Any]) -> tuple[float, str]:
    since = problem["since"]
    return (-since.timestamp() if since else 0.0, str(problem["id"]))


def _counted(user_id: UUID, now: datetime) -> list[dict[str, Any]]:
    rows = tenancy.read_as_user(user_id, _FOUND, _parameters(user_id, now))
    return [_read(user_id, row) for row in rows]


def _parameters(user_id: UUID, now: datetime) -> dict[str, Any]:
    return {"user": user_id, "now": now, "not_computed_since": now - _COMPUTED_WITHIN}


def _read(user_id: UUID, row: Sequence[Any]) -> dict[str, Any]:
    kind, subject, account, asset, code, units, count, name, detail, wallet, since, transfer = row
    return _problem(
        user_id, kind, subject,
        connection=account, asset=asset, code=code, units=units, count=int(count),
        name=name, detail=detail, wallet=wallet, since=since, transfer=transfer,
    )  # fmt: skip


def _possible_matches(user_id: UUID) -> list[dict[str, Any]]:
    codes: dict[UUID, str] = {}
    found = matches.suggestions(user_id=user_id)
    if found:
        codes = matches.codes_of({row["asset"] for row in found})
    return [
        _problem(
            user_id, "possible_match", f"{row['withdrawal']}/{row['deposit']}",
            asset=row["asset"], code=codes[row["asset"]], units=row["received"],
            since=row["occurred_at"], transfer=row["withdrawal"],
            body={"withdrawal": row["withdrawal"], "deposit": row["deposit"]},
        )
        for row in found
    ]  # fmt: skip


def _problem(user_id: UUID, kind: str, subject: Any, **given: Any) -> dict[str, Any]:
    severity, sentence, action, call = _KINDS[kind]
    units: Decimal | None = given.get("units")
    words = {
        "subject": subject, "name": given.get("name", ""), "detail": given.get("detail", ""),
        "code": given.get("code", ""), "wallet": given.get("wallet", ""),
        "count": given.get("count", 1), "connection": given.get("connection"),
        "transfer": given.get("transfer"), "units": "" if units is None else money.to_text(units),
    }  # fmt: skip
    if kind == "discrepancy" and units is not None and units < 0:
        sentence = sentence.replace("more", "less")
        words["units"] = money.to_text(-units)
    return {
        "id": uuid5(user_id, f"{kind}/{subject}"),
        "kind": kind,
        "severity": severity,
        "sentence": sentence.format(**words).replace(": .", ".").strip(),
        "connection": given.get("connection"),
        "asset": given.get("asset"),
        "code": given.get("code", ""),
        "units": units,
        "count": given.get("count", 1),
        "since": given.get("since"),
        "remedy": _remedy(action, call, words, given.get("body")),
        "is_dismissed": False,
    }


def _remedy(
    action: str, call: tuple[str, str] | None, words: dict[str, Any], body: Any
) -> dict[str, Any]:
    if call is None or ("{transfer}" in call[1] and not words["transfer"]):
        return {"action": action, "method": None, "path": None, "body": None}
    return {
        "action": action, "method": call[0], "path": "/api/v1" + call[1].format(**words),
        "body": body,
    }  # fmt: skip


# --- putting aside ------------------------------------------------------------------------------
def dismiss(*, user_id: UUID, problem_id: UUID, now: datetime) -> None:
    """Put a problem aside; twice is once. Raises NotFound. Call inside ``as_user``."""
    found = inbox(user_id=user_id, now=now)["results"]
    kinds = [problem["kind"] for problem in found if problem["id"] == problem_id]
    if not kinds:
        raise NotFound
    _, made = ProblemDismissal.objects.get_or_create(
        user_id=user_id, problem=problem_id, defaults={"dismissed_at": now}
    )
    if made:
        log.record(Action.PROBLEM_DISMISSED, user_id=user_id, kind=kinds[0])


def restore(*, user_id: UUID, problem_id: UUID) -> None:
    """Take a problem up again. Raises NotFound. Call inside ``as_user``."""
    rows = ProblemDismissal.objects.filter(user_id=user_id, problem=problem_id)
    deleted, _ = rows.delete()
    if not deleted:
        raise NotFound
    log.record(Action.PROBLEM_RESTORED, user_id=user_id, problem=str(problem_id))


def kinds() -> Sequence[str]:
    """Every kind of problem, for the schema."""
    return tuple(_KINDS)
