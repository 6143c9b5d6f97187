"""Simple Earn: positions, and the history of what went in, came out and was earned."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from exchanges.sandbox import accounts, facts
from exchanges.sandbox.binance import endpoint, errors, feeds
from exchanges.sandbox.binance.parameters import DAY
from exchanges.sandbox.binance.wording import amount, plain

registry = endpoint.Registry()

_WEIGHT = 150
_LONGEST, _DEFAULT = 90 * DAY, 30 * DAY
_REWARD_TYPES = {"realtime": "REALTIME", "bonus": "BONUS"}
_ASKED_TYPES = ("ALL", "REALTIME", "BONUS", "REWARDS")
_FLEXIBLE, _LOCKED = "/sapi/v1/simple-earn/flexible", "/sapi/v1/simple-earn/locked"


def _add(path: str) -> Callable[[endpoint.Answerer], endpoint.Answerer]:
    return registry.add(path, weight=_WEIGHT, pool=endpoint.SAPI_BY_ADDRESS)


def _product(asset: str) -> str:
    return f"{asset}001"


def _term(asset: str, days: int) -> str:
    return f"{asset.title()}*{days}"


@_add(f"{_FLEXIBLE}/position")
def flexible_positions(context: endpoint.Context) -> bytes:
    """What is in flexible earn, a page at a time."""
    params, page = context.params, context.params.page()
    asset = params.text("asset")
    name = f"flexible {asset} {page.number} {page.size}"
    return context.rendered(name, lambda: _paged(page, _flexible_rows(context.account, asset)))


def _paged(page: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"total": len(rows), "rows": page.of(rows)}


def _flexible_rows(held: accounts.Account, asset: str) -> list[dict[str, Any]]:
    rewards = held.feed(facts.EarnReward.feed)
    return [
        _flexible_row(code, quantity, _earned(rewards, code))
        for code, quantity in held.flexible.items()
        if asset in ("", code)
    ]


def _earned(rewards: list[facts.Fact], code: str) -> dict[str, Decimal]:
    earned = {"realtime": Decimal(0), "bonus": Decimal(0)}
    for reward in rewards:
        if isinstance(reward, facts.EarnReward) and reward.asset == code:
            earned[reward.type] += reward.quantity
    return earned


def _flexible_row(code: str, quantity: Decimal, earned: dict[str, Decimal]) -> dict[str, Any]:
    return {
        "totalAmount": amount(quantity),
        "tierAnnualPercentageRate": {},
        "latestAnnualPercentageRate": "0.02310000",
        "yesterdayAirdropPercentageRate": "0",
        "asset": code,
        "airDropAsset": "",
        "canRedeem": True,
        "collateralAmount": "0",
        "productId": _product(code),
        "yesterdayRealTimeRewards": "0",
        "cumulativeBonusRewards": amount(earned["bonus"]),
        "cumulativeRealTimeRewards": amount(earned["realtime"]),
        "cumulativeTotalRewards": amount(earned["bonus"] + earned["realtime"]),
        "autoSubscribe": False,
    }


@_add(f"{_LOCKED}/position")
def locked_positions(context: endpoint.Context) -> bytes:
    """What is locked, a page at a time."""
    params, page = context.params, context.params.page()
    asset, day = params.text("asset"), context.now // DAY
    name = f"locked {asset} {page.number} {page.size} {day}"
    return context.rendered(name, lambda: _paged(page, _locked_rows(context, asset)))


def _locked_rows(context: endpoint.Context, asset: str) -> list[dict[str, Any]]:
    held = [position for position in context.account.locked if asset in ("", position.asset)]
    return [_locked_row(position, context.now) for position in held]


def _locked_row(position: accounts.LockedPosition, now: int) -> dict[str, Any]:
    ends = position.opened_at + position.days * DAY
    return {
        "positionId": int(position.position_id),
        "parentPositionId": 0,
        "projectId": _term(position.asset, position.days),
        "asset": position.asset,
        "amount": amount(position.quantity),
        "purchaseTime": str(position.opened_at),
        "duration": str(position.days),
        "accrualDays": str((now - position.opened_at) // DAY),
        "rewardAsset": position.asset,
        "APY": "0.0412",
        "rewardAmt": "0",
        "nextPay": "0",
        "nextPayDate": str(ends),
        "payPeriod": "1",
        "redeemAmountEarly": amount(position.quantity),
        "rewardsEndDate": str(ends),
        "deliverDate": str(ends),
        "redeemPeriod": "1",
        "redeemingAmt": "0",
        "redeemTo": "SPOT",
        "canRedeemEarly": True,
        "canFastRedemption": True,
        "autoSubscribe": False,
        "type": "NORMAL",
        "status": "HOLDING",
        "canReStake": False,
    }


def _history(
    context: endpoint.Context,
    kind: type[feeds.Kind],
    row: Callable[[feeds.Kind], dict[str, Any]],
    *,
    only: Callable[[feeds.Kind], bool] = lambda fact: True,
) -> dict[str, Any]:
    """A page of facts within 3 months; a lone start or end reaches over 30 days."""
    params = context.params
    window = params.window(now=context.now, default=_DEFAULT, longest=_LONGEST, open_span=_DEFAULT)
    found = feeds.of_asset(feeds.newest(context.account, kind, window), params.text("asset"))
    return _paged(params.page(), [row(fact) for fact in found if only(fact)])


@_add(f"{_FLEXIBLE}/history/subscriptionRecord")
def flexible_subscriptions(context: endpoint.Context) -> dict[str, Any]:
    """What went into flexible earn."""
    return _history(context, facts.EarnSubscription, _flexible_subscription)


def _flexible_subscription(fact: facts.EarnSubscription) -> dict[str, Any]:
    return {
        "amount": plain(fact.quantity),
        "asset": fact.asset,
        "time": fact.occurred_at,
        "purchaseId": int(fact.id),
        "productId": _product(fact.asset),
        "type": "NORMAL",
        "sourceAccount": "SPOT",
        "amtFromSpot": plain(fact.quantity),
        "amtFromFunding": "0",
        "status": "SUCCESS",
    }


@_add(f"{_FLEXIBLE}/history/redemptionRecord")
def flexible_redemptions(context: endpoint.Context) -> dict[str, Any]:
    """What came back from flexible earn."""
    return _history(context, facts.EarnRedemption, _flexible_redemption)


def _flexible_redemption(fact: facts.EarnRedemption) -> dict[str, Any]:
    return {
        "amount": plain(fact.quantity),
        "asset": fact.asset,
        "time": fact.occurred_at,
        "projectId": _product(fact.asset),
        "redeemId": int(fact.id),
        "destAccount": "SPOT",
        "status": "PAID",
    }


@_add(f"{_FLEXIBLE}/history/rewardsRecord")
def flexible_rewards(context: endpoint.Context) -> dict[str, Any]:
    """What flexible earn paid: REALTIME into the position, BONUS into spot."""
    asked = context.params.needed("type")
    if asked not in _ASKED_TYPES:
        raise errors.invalid("type")
    return _history(context, facts.EarnReward, _flexible_reward, only=_paid_as(asked))


def _paid_as(asked: str) -> Callable[[facts.EarnReward], bool]:
    return lambda fact: asked in ("ALL", _REWARD_TYPES[fact.type])


def _flexible_reward(fact: facts.EarnReward) -> dict[str, Any]:
    return {
        "asset": fact.asset,
        "rewards": plain(fact.quantity),
        "projectId": _product(fact.asset),
        "type": _REWARD_TYPES[fact.type],
        "time": fact.occurred_at,
    }


@_add(f"{_LOCKED}/history/subscriptionRecord")
def locked_subscriptions(context: endpoint.Context) -> dict[str, Any]:
    """What was locked."""
    return _history(context, facts.LockedSubscription, _locked_subscription)


def _locked_subscription(fact: facts.LockedSubscription) -> dict[str, Any]:
    return {
        "positionId": int(fact.position_id),
        "purchaseId": int(fact.id),
        "projectId": _term(fact.asset, fact.days),
        "time": fact.occurred_at,
        "asset": fact.asset,
        "amount": plain(fact.quantity),
        "lockPeriod": str(fact.days),
        "type": "NORMAL",
        "sourceAccount": "SPOT",
        "amtFromSpot": plain(fact.quantity),
        "amtFromFunding": "0",
        "status": "SUCCESS",
    }


@_add(f"{_LOCKED}/history/redemptionRecord")
def locked_redemptions(context: endpoint.Context) -> dict[str, Any]:
    """What came due."""
    return _history(context, facts.LockedRedemption, _locked_redemption)


def _locked_redemption(fact: facts.LockedRedemption) -> dict[str, Any]:
    return {
        "positionId": int(fact.position_id),
        "redeemId": int(fact.id),
        "time": fact.occurred_at,
        "asset": fact.asset,
        "lockPeriod": str(fact.days),
        "amount": plain(fact.quantity),
        "originalAmount": plain(fact.quantity),
        "type": "MATURE",
        "deliverDate": str(fact.occurred_at),
        "lossAmount": "0",
        "isComplete": True,
        "rewardAsset": fact.asset,
        "rewardAmt": "0",
        "status": "PAID",
    }


@_add(f"{_LOCKED}/history/rewardsRecord")
def locked_rewards(context: endpoint.Context) -> dict[str, Any]:
    """What locked positions paid."""
    return _history(context, facts.LockedReward, _locked_reward)


def _locked_reward(fact: facts.LockedReward) -> dict[str, Any]:
    return {
        "positionId": int(fact.position_id),
        "time": fact.occurred_at,
        "asset": fact.asset,
        "lockPeriod": str(fact.days),
        "amount": plain(fact.quantity),
        "type": "Locked Rewards",
    }
