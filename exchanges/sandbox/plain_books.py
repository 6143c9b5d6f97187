"""Books as the controls show them: plain JSON."""

from typing import Any

from exchanges.sandbox import accounts, facts


def of(account: accounts.Account) -> dict[str, Any]:
    """Balances by wallet, facts by feed, and every leg of an account."""
    return {
        "account": account.number,
        "balances": {wallet: _texts(held) for wallet, held in account.balances.items()},
        "flexible_earn": _texts(account.flexible),
        "locked_earn": [_position(position) for position in account.locked],
        "reserved": _texts(account.reserved),
        "facts": _shown(account),
        "hidden": [facts.to_plain(fact) for fact in account.hidden()],
        "ledger": [leg(moved) for moved in account.ledger()],
    }


def _shown(account: accounts.Account) -> dict[str, list[dict[str, Any]]]:
    return {feed: [facts.to_plain(fact) for fact in account.feed(feed)] for feed in facts.FEEDS}


def _texts(held: dict[str, Any]) -> dict[str, str]:
    return {code: f"{quantity:f}" for code, quantity in held.items()}


def _position(position: accounts.LockedPosition) -> dict[str, Any]:
    return {
        "position_id": position.position_id,
        "asset": position.asset,
        "quantity": f"{position.quantity:f}",
        "days": position.days,
        "opened_at": position.opened_at,
    }


def leg(moved: facts.Leg) -> dict[str, Any]:
    """One movement."""
    return {
        "asset": moved.asset,
        "wallet": moved.wallet,
        "quantity": f"{moved.quantity:f}",
        "kind": moved.kind,
        "occurred_at": moved.occurred_at,
        "fact_id": moved.fact_id,
        "feed": moved.feed,
    }
