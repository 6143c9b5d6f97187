"""Deposits and withdrawals as their own endpoints tell them: with address and transaction."""

from typing import Any

from exchanges.sandbox import facts
from exchanges.sandbox.kraken import endpoint, entries, names

registry = endpoint.Registry(endpoint.PRIVATE)

_PAGE = 500
_STATUS = {facts.COMPLETED: "Success", facts.CANCELLED: "Failure", facts.FAILED: "Failure"}


@registry.add("DepositStatus", permission=endpoint.FUNDS)
def deposits(context: endpoint.Context) -> list[dict[str, Any]]:
    """Coins and money that came, the newest first."""
    return _rows(context, facts.Deposit, "deposit")


@registry.add("WithdrawStatus", permission=endpoint.FUNDS)
def withdrawals(context: endpoint.Context) -> list[dict[str, Any]]:
    """Coins and money that went, the newest first."""
    return _rows(context, facts.Withdrawal, "withdrawal")


def _rows(
    context: endpoint.Context, on_chain: type[facts.Fact], direction: str
) -> list[dict[str, Any]]:
    params, account = context.params, context.account
    start, end = params.instant("start"), params.instant("end")
    wanted = params.texts("asset")
    banks = [
        fact
        for fact in account.feed(facts.FiatOrder.feed)
        if isinstance(fact, facts.FiatOrder) and fact.direction == direction
    ]
    found = sorted(
        [*account.feed(on_chain.feed), *banks], key=lambda fact: fact.occurred_at, reverse=True
    )
    rows = [
        _row(fact)
        for fact in found
        if (start is None or fact.occurred_at >= start) and (end is None or fact.occurred_at <= end)
    ]
    return [row for row in rows if not wanted or row["asset"] in wanted][:_PAGE]


def _row(fact: Any) -> dict[str, Any]:
    fee = fact.quantity - fact.quantity if isinstance(fact, facts.Deposit) else fact.fee
    row = {
        "method": fact.method if isinstance(fact, facts.FiatOrder) else fact.network,
        "aclass": "currency",
        "asset": names.asset_id(fact.asset),
        "refid": entries.refid(fact),
        "txid": fact.id if isinstance(fact, facts.FiatOrder) else fact.tx_id,
        "info": "" if isinstance(fact, facts.FiatOrder) else fact.address,
        "amount": names.amount(fact.asset, fact.quantity),
        "fee": names.amount(fact.asset, fee),
        "time": fact.occurred_at // 1000,
        "status": _STATUS[fact.status],
    }
    if isinstance(fact, facts.Withdrawal):
        row |= {"key": "own wallet", "network": fact.network}
    return row
