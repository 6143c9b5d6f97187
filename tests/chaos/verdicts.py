"""What must be true again once a fault is over; each check names what is not right yet."""

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tests.chaos.system import System

_UNSETTLED = """
SELECT 'open sync runs', count(*) FROM sync_runs WHERE state IN ('queued', 'running')
UNION ALL SELECT 'claimed connections', count(*) FROM exchange_connections
    WHERE claimed_by IS NOT NULL
UNION ALL SELECT 'people whose figures are behind', count(*) FROM portfolio_states
    WHERE ledger_revision > derived_revision OR derive_claimed_by IS NOT NULL
UNION ALL SELECT 'unfinished exports', count(*) FROM data_exports
    WHERE state IN ('waiting', 'running')
UNION ALL SELECT 'leased price needs', count(*) FROM price_needs WHERE leased_until > now()
UNION ALL SELECT 'rows in the outbox', count(*) FROM outbox
"""

_LEGS = """
SELECT assets.code, legs.wallet, trim_scale(legs.quantity)::text
FROM ledger_entries AS legs JOIN assets ON assets.id = legs.asset_id
WHERE legs.connection_id = %s
"""

_HELD = """
SELECT wallet, exchange_code, trim_scale(quantity)::text FROM holdings
WHERE connection_id = %s AND quantity <> 0
"""


def unsettled(system: System) -> list[str]:
    """What is still open, held or behind, of anybody."""
    return [f"{count} {what}" for what, count in system.rows(_UNSETTLED) if count]


def books(system: System, connection_id: Any, truth: Mapping[str, Any]) -> list[str]:
    """How the ledger and the holdings of an account differ from the exchange's own books."""
    wrong = []
    ours = Counter(system.rows(_LEGS, connection_id))
    theirs = Counter(
        (leg["asset"], leg["wallet"], _plain(leg["quantity"])) for leg in truth["ledger"]
    )
    if ours != theirs:
        missing, extra = (theirs - ours).total(), (ours - theirs).total()
        wrong.append(f"{missing} ledger entries are missing and {extra} are too many")
    held = {(wallet, code): units for wallet, code, units in system.rows(_HELD, connection_id)}
    if held != _balances(truth):
        wrong.append("the holdings are not the exchange's balances")
    return wrong


def account(system: System, connection_id: Any) -> list[str]:
    """Whether the last visit of a connection went well; what was put aside stays partial."""
    rows = system.rows(
        """
        SELECT state, reason, failures, EXISTS (
            SELECT FROM quarantined_pages WHERE connection_id = connections.id)
        FROM exchange_connections AS connections WHERE id = %s
        """,
        connection_id,
    )
    if not rows:
        return ["the connection is gone"]
    state, reason, failures, quarantined = rows[0]
    if failures or state != ("partial" if quarantined else "ok"):
        return [f"the connection is {state} ({reason}, {failures} failures)"]
    return []


def chain(system: System) -> list[str]:
    """What the verification of the activity log finds."""
    answer = system.ask("chain")
    return answer["found"] if "found" in answer else [answer["error"]]


def _balances(truth: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    return {
        (wallet, code): _plain(units)
        for wallet, held in truth["balances"].items()
        for code, units in held.items()
        if Decimal(units)
    }


def _plain(number: str) -> str:
    """As PostgreSQL's trim_scale writes it."""
    value = Decimal(number)
    return f"{value:f}".rstrip("0").rstrip(".") if "." in f"{value:f}" else f"{value:f}"
