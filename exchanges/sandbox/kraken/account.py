"""What an account holds, what happened on it, and what its key may do."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from exchanges.sandbox import accounts, facts
from exchanges.sandbox.kraken import endpoint, entries, errors, names, security

registry = endpoint.Registry(endpoint.PRIVATE)

_PAGE = 50
_MOST_IDS = 20
_NOTHING = Decimal(0)


@registry.add("Balance", permission=endpoint.FUNDS)
def balance(context: endpoint.Context) -> dict[str, str]:
    """What there is of every asset that was ever held, by Kraken's ids."""
    return {asset: text for asset, (text, _) in _held(context).items()}


@registry.add("BalanceEx", permission=endpoint.FUNDS)
def extended_balance(context: endpoint.Context) -> dict[str, dict[str, str]]:
    """The same with what open orders hold back."""
    return {
        asset: {"balance": text, "hold_trade": hold}
        for asset, (text, hold) in _held(context).items()
    }


def _held(context: endpoint.Context) -> dict[str, tuple[str, str]]:
    """Balance and hold by asset id; what is gone is told as zero."""
    account = context.account
    held = {entry.asset: (entry.code, _NOTHING) for entry in context.ledger()}
    for asset, code, quantity in _parts(account):
        held[asset] = code, held.get(asset, (code, _NOTHING))[1] + quantity
    reserved = {names.asset_id(code): hold for code, hold in account.reserved.items()}
    return {
        asset: (
            names.amount(code, quantity),
            names.amount(code, min(reserved.get(asset, _NOTHING), quantity)),
        )
        for asset, (code, quantity) in sorted(held.items())
    }


def _parts(account: accounts.Account) -> list[tuple[str, str, Decimal]]:
    """(asset id, code, quantity) of spot, of flexible earn, and of each locked position."""
    spot, flexible = account.balances[facts.SPOT], account.flexible
    return [
        *((names.asset_id(code), code, quantity) for code, quantity in spot.items()),
        *((names.flexible_id(code), code, quantity) for code, quantity in flexible.items()),
        *(
            (names.bonded_id(lock.asset, lock.days), lock.asset, lock.quantity)
            for lock in account.locked
        ),
    ]


@registry.add("Ledgers", weight=2, permission=endpoint.LEDGER)
def ledgers(context: endpoint.Context) -> dict[str, Any]:
    """Entries within a window, the newest first, fifty at a time."""
    params = context.params
    kind, wanted = params.text("type") or "all", params.texts("asset")
    found = [
        entry
        for entry in reversed(context.ledger())
        if kind in ("all", entry.type) and (not wanted or _is_asked(entry, wanted))
    ]
    return _page(context, "ledger", [(e.id, e.occurred_at, e) for e in found], _entry_row)


def _is_asked(entry: entries.Entry, wanted: Sequence[str]) -> bool:
    return entry.asset in wanted or names.altname(entry.code) in wanted


def _entry_row(entry: entries.Entry) -> dict[str, Any]:
    return entry.plain()


@registry.add("QueryLedgers", weight=2, permission=endpoint.LEDGER)
def chosen_ledgers(context: endpoint.Context) -> dict[str, Any]:
    """Entries by their ids."""
    wanted = _ids(context)
    return {entry.id: entry.plain() for entry in context.ledger() if entry.id in wanted}


@registry.add("TradesHistory", weight=2, permission=endpoint.CLOSED_TRADES)
def trades(context: endpoint.Context) -> dict[str, Any]:
    """Fills within a window, the newest first, fifty at a time."""
    found = [(entries.refid(f), f.occurred_at, f) for f in reversed(_fills(context))]
    return _page(context, "trades", found, _fill_row)


@registry.add("QueryTrades", weight=2, permission=endpoint.CLOSED_TRADES)
def chosen_trades(context: endpoint.Context) -> dict[str, Any]:
    """Fills by their ids."""
    wanted = _ids(context)
    found = {entries.refid(fill): fill for fill in _fills(context)}
    return {name: _fill_row(fill) for name, fill in found.items() if name in wanted}


def _ids(context: endpoint.Context) -> list[str]:
    found = context.params.texts("id") or context.params.texts("txid")
    if not 0 < len(found) <= _MOST_IDS:
        raise errors.arguments("id")
    return found


def _fills(context: endpoint.Context) -> list[facts.Trade]:
    found = context.account.feed(facts.Trade.feed)
    return [fact for fact in found if isinstance(fact, facts.Trade)]


def _fill_row(fill: facts.Trade) -> dict[str, Any]:
    """A fill; its fee is told in the quote, wherever it was taken from."""
    fee = fill.commission
    if fill.commission_asset == fill.base:
        fee *= fill.price
    return {
        "ordertxid": names.made("O", fill.order_id),
        "postxid": names.made("P", fill.order_id),
        "pair": names.pair_id_of(fill.base, fill.quote),
        "time": names.seconds(fill.occurred_at),
        "type": fill.side,
        "ordertype": "limit" if fill.maker else "market",
        "price": names.price(fill.price),
        "cost": names.price(fill.quote_quantity),
        "fee": names.price(fee),
        "vol": names.price(fill.quantity),
        "margin": names.price(_NOTHING),
        "leverage": "0",
        "misc": "",
        "trade_id": int(fill.id) % 1_000_000_000,
        "maker": fill.maker,
    }


def _page(
    context: endpoint.Context, name: str, found: list[tuple[str, int, Any]], row: Any
) -> dict[str, Any]:
    """After `start`, until `end`, from offset `ofs`; each may be an id instead of an instant."""
    params, instants = context.params, {fact_id: at for fact_id, at, _ in found}
    start = _instant(context, "start", instants)
    end = _instant(context, "end", instants)
    within = [
        (fact_id, fact)
        for fact_id, at, fact in found
        if (start is None or at > start) and (end is None or at <= end)
    ]
    first = params.number("ofs") or 0
    rows = {fact_id: row(fact) for fact_id, fact in within[first : first + _PAGE]}
    return {name: rows, "count": len(within)}


def _instant(context: endpoint.Context, name: str, instants: dict[str, int]) -> int | None:
    text = context.params.text(name)
    return instants[text] if text in instants else context.params.instant(name)


@registry.add("GetApiKeyInfo")
def key_info(context: endpoint.Context) -> dict[str, Any]:
    """What the key may do; the only private endpoint that answers every key."""
    caller = context.caller
    return {
        "api_key_name": f"{caller.role} {caller.account}",
        "api_key": context.books.api_key(caller.account, caller.role),
        "nonce": str(context.nonces.last(context.books.api_key(caller.account, caller.role))),
        "nonce_window": 0,
        "permissions": list(security.PERMISSIONS[caller.role]),
        "iban": None,
        "valid_until": "0",
        "query_from": "0",
        "query_to": "0",
        "created_time": str(context.exchange.anchor // 1000),
        "modified_time": str(context.exchange.anchor // 1000),
        "ip_allowlist": [],
        "last_used": str(context.now // 1000),
    }
