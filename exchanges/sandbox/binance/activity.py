"""Conversions, dust, dividends, and transfers between the account's own wallets."""

from decimal import Decimal
from itertools import groupby
from typing import Any

from exchanges.sandbox import facts
from exchanges.sandbox.binance import endpoint, errors, feeds
from exchanges.sandbox.binance.parameters import DAY
from exchanges.sandbox.binance.wording import amount, plain

registry = endpoint.Registry()

_CONVERSION_WINDOW = 30 * DAY
_DIVIDEND_WINDOW = 180 * DAY
_NOTHING = Decimal(0)
_DUST_BATCHES = 100
_ALL_TIME = 100 * 365 * DAY
_WALLETS = {"MAIN": facts.SPOT, "FUNDING": facts.FUNDING}


@registry.add("/sapi/v1/convert/tradeFlow", weight=3000, pool=endpoint.SAPI_BY_ACCOUNT)
def conversions(context: endpoint.Context) -> dict[str, Any]:
    """Conversions within 30 days; both ends of the window must be sent."""
    params = context.params
    start, end = params.needed_number("startTime"), params.needed_number("endTime")
    window = params.window(now=context.now, default=0, longest=_CONVERSION_WINDOW)
    limit = params.limit(default=100, most=1000)
    found = feeds.newest(context.account, facts.Conversion, window)
    return {
        "list": [_conversion(fact) for fact in found[:limit]],
        "startTime": start,
        "endTime": end,
        "limit": limit,
        "moreData": len(found) > limit,
    }


def _conversion(fact: facts.Conversion) -> dict[str, Any]:
    return {
        "quoteId": fact.quote_id,
        "orderId": int(fact.id),
        "orderStatus": "SUCCESS",
        "fromAsset": fact.from_asset,
        "fromAmount": amount(fact.from_quantity),
        "toAsset": fact.to_asset,
        "toAmount": amount(fact.to_quantity),
        "ratio": amount(fact.to_quantity / fact.from_quantity),
        "inverseRatio": amount(fact.from_quantity / fact.to_quantity),
        "createTime": fact.occurred_at,
    }


@registry.add("/sapi/v1/asset/dribblet", weight=1, pool=endpoint.SAPI_BY_ADDRESS)
def dust(context: endpoint.Context) -> dict[str, Any]:
    """The latest 100 batches of dust."""
    window = context.params.window(now=context.now, default=_ALL_TIME)
    found = feeds.newest(context.account, facts.Dust, window)
    batches = [list(batch) for _, batch in groupby(found, key=lambda fact: fact.batch_id)]
    rows = [_batch(batch) for batch in batches[:_DUST_BATCHES]]
    return {"total": len(rows), "userAssetDribblets": rows}


def _batch(batch: list[facts.Dust]) -> dict[str, Any]:
    return {
        "operateTime": batch[0].occurred_at,
        "totalTransferedAmount": plain(sum((fact.to_quantity for fact in batch), _NOTHING)),
        "totalServiceChargeAmount": plain(sum((fact.service_charge for fact in batch), _NOTHING)),
        "transId": int(batch[0].batch_id),
        "userAssetDribbletDetails": [_swept(fact) for fact in batch],
    }


def _swept(fact: facts.Dust) -> dict[str, Any]:
    return {
        "transId": int(fact.batch_id),
        "serviceChargeAmount": plain(fact.service_charge),
        "amount": plain(fact.from_quantity),
        "operateTime": fact.occurred_at,
        "transferedAmount": plain(fact.to_quantity),
        "fromAsset": fact.from_asset,
    }


@registry.add("/sapi/v1/asset/assetDividend", weight=10, pool=endpoint.SAPI_BY_ADDRESS)
def dividends(context: endpoint.Context) -> dict[str, Any]:
    """Coins given within 180 days."""
    params = context.params
    window = params.window(
        now=context.now,
        default=_DIVIDEND_WINDOW,
        longest=_DIVIDEND_WINDOW,
        open_span=_DIVIDEND_WINDOW,
    )
    limit = params.limit(default=20, most=500)
    found = feeds.newest(context.account, facts.Dividend, window)
    rows = [_dividend(fact) for fact in feeds.of_asset(found, params.text("asset"))]
    return {"rows": rows[:limit], "total": len(rows)}


def _dividend(fact: facts.Dividend) -> dict[str, Any]:
    return {
        "id": int(fact.id),
        "tranId": int(fact.id),
        "asset": fact.asset,
        "amount": plain(fact.quantity),
        "divTime": fact.occurred_at,
        "enInfo": fact.reason,
        "direction": 1,
    }


@registry.add("/sapi/v1/asset/transfer", weight=1, pool=endpoint.SAPI_BY_ADDRESS)
def transfers(context: endpoint.Context) -> dict[str, Any]:
    """Transfers of one direction, as MAIN_FUNDING; of the last 7 days unless told otherwise."""
    params = context.params
    direction = params.needed("type")
    source, _, target = direction.partition("_")
    if not (source.isalpha() and target):
        raise errors.invalid("type")
    wallets = _WALLETS.get(source), _WALLETS.get(target)
    window = params.window(now=context.now, default=7 * DAY)
    found = feeds.newest(context.account, facts.Transfer, window)
    chosen = [fact for fact in found if (fact.from_wallet, fact.to_wallet) == wallets]
    rows = [_transfer(fact, direction) for fact in chosen]
    return {"total": len(rows), "rows": params.page().of(rows)}


def _transfer(fact: facts.Transfer, direction: str) -> dict[str, Any]:
    return {
        "asset": fact.asset,
        "amount": plain(fact.quantity),
        "type": direction,
        "status": "CONFIRMED",
        "tranId": int(fact.id),
        "timestamp": fact.occurred_at,
    }
