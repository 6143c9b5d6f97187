"""Deposits, withdrawals, and what went through banks and cards."""

from typing import Any

from exchanges.sandbox import facts
from exchanges.sandbox.binance import endpoint, errors, feeds
from exchanges.sandbox.binance.parameters import DAY
from exchanges.sandbox.binance.wording import amount, moment, plain

registry = endpoint.Registry()

_LONGEST = 90 * DAY
_MOST = 1000
_FIAT_DEFAULT, _FIAT_MOST = 100, 500
_TRANSFER_TIME = 11 * 60_000

_DEPOSIT_STATUS = {facts.COMPLETED: 1, facts.CANCELLED: 7, facts.FAILED: 7}
_WITHDRAWAL_STATUS = {facts.COMPLETED: 6, facts.CANCELLED: 1, facts.FAILED: 5}
_FIAT_STATUS = {facts.COMPLETED: "Successful", facts.CANCELLED: "Refunded", facts.FAILED: "Failed"}
_PAYMENT_STATUS = _FIAT_STATUS | {facts.COMPLETED: "Completed"}
_BUYING, _SELLING = 0, 1


@registry.add("/sapi/v1/capital/deposit/hisrec", weight=1, pool=endpoint.SAPI_BY_ADDRESS)
def deposits(context: endpoint.Context) -> list[dict[str, Any]]:
    """Coins that arrived within 90 days."""
    rows = [_deposit(fact) for fact in _within(context, facts.Deposit)]
    return _page(context, rows)


@registry.add("/sapi/v1/capital/withdraw/history", weight=18_000, pool=endpoint.SAPI_BY_ACCOUNT)
def withdrawals(context: endpoint.Context) -> list[dict[str, Any]]:
    """Coins sent away within 90 days."""
    rows = [_withdrawal(fact) for fact in _within(context, facts.Withdrawal)]
    return _page(context, rows)


def _within(context: endpoint.Context, kind: type[feeds.Kind]) -> list[feeds.Kind]:
    window = context.params.window(now=context.now, default=_LONGEST, longest=_LONGEST)
    found = feeds.newest(context.account, kind, window)
    return feeds.of_asset(found, context.params.text("coin"))


def _page(context: endpoint.Context, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    params = context.params
    limit, offset = params.limit(default=_MOST, most=_MOST), params.number("offset") or 0
    if params.has("status"):
        rows = [row for row in rows if row["status"] == params.number("status")]
    return rows[offset : offset + limit]


def _deposit(fact: facts.Deposit) -> dict[str, Any]:
    return {
        "id": fact.id,
        "amount": plain(fact.quantity),
        "coin": fact.asset,
        "network": fact.network,
        "status": _DEPOSIT_STATUS[fact.status],
        "address": fact.address,
        "addressTag": "",
        "txId": fact.tx_id,
        "insertTime": fact.occurred_at,
        "completeTime": fact.occurred_at + _TRANSFER_TIME,
        "transferType": 0,
        "confirmTimes": "12/12",
        "unlockConfirm": 12,
        "walletType": 0,
    }


def _withdrawal(fact: facts.Withdrawal) -> dict[str, Any]:
    row = {
        "id": fact.id,
        "amount": plain(fact.quantity),
        "transactionFee": plain(fact.fee),
        "coin": fact.asset,
        "status": _WITHDRAWAL_STATUS[fact.status],
        "address": fact.address,
        "addressTag": "",
        "txId": fact.tx_id,
        "applyTime": moment(fact.occurred_at),
        "network": fact.network,
        "transferType": 0,
        "info": "",
        "confirmNo": 12,
        "walletType": 0,
        "txKey": "",
    }
    if fact.status == facts.COMPLETED:
        row["completeTime"] = moment(fact.occurred_at + _TRANSFER_TIME)
    return row


@registry.add("/sapi/v1/fiat/orders", weight=90_000, pool=endpoint.SAPI_BY_ACCOUNT)
def fiat_orders(context: endpoint.Context) -> dict[str, Any]:
    """Bank transfers in (transactionType 0) or out (1)."""
    wanted = "deposit" if _transaction_type(context) == _BUYING else "withdrawal"
    found = _fiat_window(context, facts.FiatOrder)
    return _fiat_page(context, [_bank(fact) for fact in found if fact.direction == wanted])


@registry.add("/sapi/v1/fiat/payments", weight=1, pool=endpoint.SAPI_BY_ADDRESS)
def fiat_payments(context: endpoint.Context) -> dict[str, Any]:
    """Purchases (transactionType 0) and sales (1) by card; nobody here sells."""
    buying = _transaction_type(context) == _BUYING
    found = _fiat_window(context, facts.FiatPayment) if buying else []
    return _fiat_page(context, [_payment(fact) for fact in found])


def _transaction_type(context: endpoint.Context) -> int:
    number = context.params.needed_number("transactionType")
    if number not in (_BUYING, _SELLING):
        raise errors.invalid("transactionType")
    return number


def _fiat_window(context: endpoint.Context, kind: type[feeds.Kind]) -> list[feeds.Kind]:
    window = context.params.window(now=context.now, default=30 * DAY, start="beginTime")
    return feeds.newest(context.account, kind, window)


def _fiat_page(context: endpoint.Context, rows: list[dict[str, Any]]) -> dict[str, Any]:
    page = context.params.page(default=_FIAT_DEFAULT, most=_FIAT_MOST, number="page", size="rows")
    return {
        "code": "000000",
        "message": "success",
        "data": page.of(rows),
        "total": len(rows),
        "success": True,
    }


def _bank(fact: facts.FiatOrder) -> dict[str, Any]:
    return {
        "orderNo": fact.id,
        "fiatCurrency": fact.asset,
        "indicatedAmount": f"{fact.quantity + fact.fee:.2f}",
        "amount": f"{fact.quantity:.2f}",
        "totalFee": f"{fact.fee:.2f}",
        "method": fact.method,
        "status": _FIAT_STATUS[fact.status],
        "createTime": fact.occurred_at,
        "updateTime": fact.occurred_at + _TRANSFER_TIME,
    }


def _payment(fact: facts.FiatPayment) -> dict[str, Any]:
    return {
        "orderNo": fact.id,
        "sourceAmount": plain(fact.source_quantity),
        "fiatCurrency": fact.fiat,
        "obtainAmount": amount(fact.quantity),
        "cryptoCurrency": fact.asset,
        "totalFee": plain(fact.fee),
        "price": amount(fact.price),
        "status": _PAYMENT_STATUS[fact.status],
        "paymentMethod": fact.method,
        "createTime": fact.occurred_at,
        "updateTime": fact.occurred_at + _TRANSFER_TIME,
    }
