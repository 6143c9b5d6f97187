"""The fills of one symbol, with Binance's rules on how they may be asked for."""

from typing import Any

from exchanges.sandbox import facts
from exchanges.sandbox.binance import endpoint, errors, parameters
from exchanges.sandbox.binance.wording import amount

registry = endpoint.Registry()

_HOURS = 24
_LONGEST = _HOURS * 3_600_000
_DEFAULT_LIMIT, _MOST = 500, 1000
_WEIGHT, _WEIGHT_OF_ONE_ORDER = 20, 5
_ALLOWED: tuple[set[str], ...] = (
    set(),
    {"orderId"},
    {"startTime"},
    {"endTime"},
    {"fromId"},
    {"startTime", "endTime"},
    {"orderId", "fromId"},
)


def _weigh(params: parameters.Parameters) -> int:
    return _WEIGHT_OF_ONE_ORDER if params.has("orderId") else _WEIGHT


@registry.add("/api/v3/myTrades", weight=_weigh, pool=endpoint.API)
def my_trades(context: endpoint.Context) -> list[dict[str, Any]]:
    """Fills in the order of their ids: from an id on, within a day, or the latest."""
    params = context.params
    symbol = params.needed("symbol")
    if symbol not in context.exchange.world.symbols:
        raise errors.symbol()
    if {name for name in _names() if params.has(name)} not in _ALLOWED:
        raise errors.combination()
    limit = params.limit(default=_DEFAULT_LIMIT, most=_MOST)
    return [_row(fill) for fill in _page(params, context.account.trades(symbol), limit)]


def _names() -> set[str]:
    return set().union(*_ALLOWED)


def _page(params: parameters.Parameters, fills: list[facts.Trade], limit: int) -> list[facts.Trade]:
    if params.has("orderId"):
        fills = [fill for fill in fills if int(fill.order_id) == params.number("orderId")]
    if params.has("fromId"):
        first = params.needed_number("fromId")
        return [fill for fill in fills if int(fill.id) >= first][:limit]
    if params.has("startTime") or params.has("endTime"):
        window = _window(params)
        return [fill for fill in fills if window.holds(fill.occurred_at)][:limit]
    return fills[-limit:]


def _window(params: parameters.Parameters) -> parameters.Window:
    """At most a day; with only one end sent, a day from there."""
    start, end = params.number("startTime"), params.number("endTime")
    if start is None:
        start = (end or 0) - _LONGEST
    if end is None:
        end = start + _LONGEST
    if start > end:
        raise errors.turned_window()
    if end - start > _LONGEST:
        raise errors.too_many_hours(_HOURS)
    return parameters.Window(start, end)


def _row(fill: facts.Trade) -> dict[str, Any]:
    return {
        "symbol": fill.symbol,
        "id": int(fill.id),
        "orderId": int(fill.order_id),
        "orderListId": -1,
        "price": amount(fill.price),
        "qty": amount(fill.quantity),
        "quoteQty": amount(fill.quote_quantity),
        "commission": amount(fill.commission),
        "commissionAsset": fill.commission_asset,
        "time": fill.occurred_at,
        "isBuyer": fill.side == "buy",
        "isMaker": fill.maker,
        "isBestMatch": True,
    }
