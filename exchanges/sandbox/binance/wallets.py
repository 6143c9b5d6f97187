"""What an account holds: spot, funding, margin and futures wallets, and what a key may do."""

from decimal import Decimal
from typing import Any

from exchanges.sandbox import accounts, assets, facts, networks
from exchanges.sandbox.binance import endpoint
from exchanges.sandbox.binance.wording import amount, plain

registry = endpoint.Registry()
_FLEXIBLE_PREFIX = "LD"
_COMMISSION_RATE = "0.00100000"
_ZERO = Decimal(0)


@registry.add("/api/v3/account", weight=20, pool=endpoint.API)
def account(context: endpoint.Context) -> bytes:
    """Spot balances, flexible earn among them under LD… codes."""
    brief = context.params.flag("omitZeroBalances")
    return context.rendered(f"account {brief}", lambda: _spot_account(context, brief))


def _spot_account(context: endpoint.Context, brief: bool) -> dict[str, Any]:
    held = context.account
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": _COMMISSION_RATE,
            "taker": _COMMISSION_RATE,
            "buyer": "0.00000000",
            "seller": "0.00000000",
        },
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": held.changed_at,
        "accountType": "SPOT",
        "balances": _balances(held, [] if brief else context.exchange.world.codes),
        "permissions": ["SPOT"],
        "uid": _uid(held.number),
    }


def _balances(held: accounts.Account, listed: list[str]) -> list[dict[str, str]]:
    spot = held.balances[facts.SPOT]
    rows = [_balance(held, code) for code in (listed or spot)]
    rows += [_balance(held, code) for code in spot if listed and code not in listed]
    return rows + [_earning(code, quantity) for code, quantity in held.flexible.items()]


def _balance(held: accounts.Account, code: str) -> dict[str, str]:
    total = held.spot(code)
    locked = min(held.reserved.get(code, _ZERO), total)
    return {"asset": code, "free": amount(total - locked), "locked": amount(locked)}


def _earning(code: str, quantity: Decimal) -> dict[str, str]:
    return {"asset": _FLEXIBLE_PREFIX + code, "free": amount(quantity), "locked": amount(_ZERO)}


def _uid(number: int) -> int:
    return 350_000_000 + number


@registry.add(
    "/sapi/v1/asset/get-funding-asset",
    weight=1,
    pool=endpoint.SAPI_BY_ADDRESS,
    method="POST",
)
def funding(context: endpoint.Context) -> bytes:
    """The funding wallet, without assets of which there is nothing."""
    code = context.params.text("asset")
    return context.rendered(f"funding {code}", lambda: _funding_rows(context, code))


def _funding_rows(context: endpoint.Context, code: str) -> list[dict[str, str]]:
    held, world = context.account.balances[facts.FUNDING], context.exchange.world
    return [
        {
            "asset": asset,
            "free": plain(quantity),
            "locked": "0",
            "freeze": "0",
            "withdrawing": "0",
            "btcValuation": amount(quantity * world.rate(asset, "BTC", world.anchor)),
        }
        for asset, quantity in held.items()
        if code in ("", asset)
    ]


@registry.add(
    "/sapi/v1/account/apiRestrictions",
    weight=1,
    pool=endpoint.SAPI_BY_ADDRESS,
    any_key=True,
)
def restrictions(context: endpoint.Context) -> dict[str, Any]:
    """What the key may do; the only private endpoint that answers every key."""
    holder = context.caller
    return {
        "ipRestrict": False,
        "createTime": context.exchange.anchor,
        "enableReading": holder.may_read,
        "enableSpotAndMarginTrading": holder.may_trade,
        "enableWithdrawals": holder.may_withdraw,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
        "enablePortfolioMarginTrading": False,
    }


@registry.add("/sapi/v1/capital/config/getall", weight=10, pool=endpoint.SAPI_BY_ADDRESS)
def coins(context: endpoint.Context) -> list[dict[str, Any]]:
    """Every coin with its network and what the account holds of it."""
    world, held = context.exchange.world, context.account
    return [_coin(world.asset(code), held) for code in world.codes]


def _coin(asset: assets.Asset, held: accounts.Account) -> dict[str, Any]:
    balance = _balance(held, asset.code)
    return {
        "coin": asset.code,
        "depositAllEnable": True,
        "withdrawAllEnable": True,
        "name": asset.name,
        "free": balance["free"],
        "locked": balance["locked"],
        "freeze": "0",
        "withdrawing": "0",
        "ipoing": "0",
        "ipoable": "0",
        "storage": "0",
        "isLegalMoney": asset.fiat,
        "trading": True,
        "networkList": [] if asset.fiat else [_network(asset)],
    }


def _network(asset: assets.Asset) -> dict[str, Any]:
    network, fee = networks.of(asset.code), networks.withdrawal_fee(asset)
    return {
        "network": network.code,
        "coin": asset.code,
        "withdrawIntegerMultiple": "0.00000001",
        "isDefault": True,
        "depositEnable": True,
        "withdrawEnable": True,
        "depositDesc": "",
        "withdrawDesc": "",
        "specialTips": "",
        "name": network.code,
        "resetAddressStatus": False,
        "addressRegex": "",
        "memoRegex": "",
        "withdrawFee": plain(fee),
        "withdrawMin": plain(fee * 2),
        "withdrawMax": "9999999999.99999999",
        "minConfirm": 6,
        "unLockConfirm": 12,
        "sameAddress": False,
    }


@registry.add("/sapi/v1/margin/account", weight=10, pool=endpoint.SAPI_BY_ADDRESS)
def cross_margin(context: endpoint.Context) -> dict[str, Any]:
    """Cross margin, which no sandbox account uses."""
    return {
        "created": True,
        "borrowEnabled": True,
        "marginLevel": "999.00000000",
        "collateralMarginLevel": "999.00000000",
        "totalAssetOfBtc": "0.00000000",
        "totalLiabilityOfBtc": "0.00000000",
        "totalNetAssetOfBtc": "0.00000000",
        "tradeEnabled": True,
        "transferInEnabled": True,
        "transferOutEnabled": True,
        "accountType": "MARGIN_1",
        "userAssets": [],
    }


@registry.add("/sapi/v1/margin/isolated/account", weight=10, pool=endpoint.SAPI_BY_ADDRESS)
def isolated_margin(context: endpoint.Context) -> dict[str, Any]:
    """Isolated margin, which no sandbox account uses."""
    return {
        "assets": [],
        "totalAssetOfBtc": "0",
        "totalLiabilityOfBtc": "0",
        "totalNetAssetOfBtc": "0",
    }


@registry.add("/sapi/v1/margin/allPairs", weight=1, pool=endpoint.SAPI_BY_ADDRESS)
@registry.add("/sapi/v1/margin/isolated/allPairs", weight=10, pool=endpoint.SAPI_BY_ADDRESS)
@registry.add("/fapi/v2/balance", weight=5, pool=endpoint.FUTURES)
@registry.add("/fapi/v3/balance", weight=5, pool=endpoint.FUTURES)
@registry.add("/dapi/v1/balance", weight=1, pool=endpoint.COIN_FUTURES)
def nothing(context: endpoint.Context) -> list[Any]:
    """Lists that are empty for every sandbox account."""
    return []


@registry.add("/fapi/v2/account", weight=5, pool=endpoint.FUTURES)
@registry.add("/fapi/v3/account", weight=5, pool=endpoint.FUTURES)
@registry.add("/dapi/v1/account", weight=5, pool=endpoint.COIN_FUTURES)
def futures(context: endpoint.Context) -> dict[str, Any]:
    """A futures account that was never used."""
    return {
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "feeTier": 0,
        "updateTime": 0,
        "totalWalletBalance": "0.00000000",
        "availableBalance": "0.00000000",
        "assets": [],
        "positions": [],
    }
