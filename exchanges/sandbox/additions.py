"""Facts added by hand: what the caller leaves out is filled in as the exchange would."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from exchanges.sandbox import accounts, facts, identifiers, market, networks, prices, symbols

Plain = dict[str, Any]

_EIGHT_PLACES = Decimal("0.00000001")
_TAKER_FEE = Decimal("0.001")
_DUST_CHARGE = Decimal("0.02")


def completed(
    plain: Plain, *, account: accounts.Account, world: market.Market, now: int
) -> facts.Fact:
    """The fact that `plain` means, at `now` unless it says when. Raises FactError."""
    given: Plain = {"occurred_at": now} | plain
    instant = given["occurred_at"]
    if type(instant) is not int:
        raise facts.FactError("occurred_at must be an integer of milliseconds")
    if given.get("feed") == facts.Withdrawal.feed:
        given["occurred_at"] = instant // 1000 * 1000
    given = _with_numbers(given, account)
    if fill := _DEFAULTS.get(str(given.get("feed"))):
        given = fill(given, world) | given
    fact = facts.from_plain(_without_symbol(given))
    if any(old.id == fact.id for old in account.all_facts() if old.feed == fact.feed):
        raise facts.FactError(f"{fact.feed} already holds a fact {fact.id}")
    return fact


def _with_numbers(given: Plain, account: accounts.Account) -> Plain:
    """The next free ids, for those not given."""
    taken = {fact.id for fact in account.all_facts()}
    series, instant = identifiers.Series(account.number), given["occurred_at"]
    number = series.next(instant)
    while number in taken:
        number = series.next(instant)
    numbers = {"id": number}
    match given.get("feed"):
        case facts.Trade.feed:
            numbers["order_id"] = number
        case facts.Conversion.feed:
            numbers["quote_id"] = number
        case facts.Dust.feed:
            numbers["batch_id"] = number
        case facts.LockedSubscription.feed:
            numbers["position_id"] = number
    return numbers | given


def _without_symbol(given: Plain) -> Plain:
    return {name: value for name, value in given.items() if name != "symbol"}


def _trade(given: Plain, world: market.Market) -> Plain:
    symbol = _symbol(given, world)
    quantity = _number(given, "quantity")
    price = world.price(symbol, given["occurred_at"])
    if "price" in given:
        price = _number(given, "price")
    cost = (price * quantity).quantize(_EIGHT_PLACES)
    received = quantity if given.get("side") == "buy" else cost
    return {
        "base": symbol.base,
        "quote": symbol.quote,
        "price": f"{price:f}",
        "quote_quantity": f"{cost:f}",
        "commission": f"{(received * _TAKER_FEE).quantize(_EIGHT_PLACES):f}",
        "commission_asset": symbol.base if given.get("side") == "buy" else symbol.quote,
    }


def _symbol(given: Plain, world: market.Market) -> symbols.Symbol:
    name = given.get("symbol") or f"{given.get('base')}{given.get('quote')}"
    if name not in world.symbols:
        raise facts.FactError(f"symbol {name} is not listed")
    return world.symbols[name]


def _number(given: Plain, name: str) -> Decimal:
    return facts.quantity(name, given.get(name))


def _deposit(given: Plain, world: market.Market) -> Plain:
    return _on_chain(given)


def _withdrawal(given: Plain, world: market.Market) -> Plain:
    fee = networks.withdrawal_fee(world.asset(str(given.get("asset"))))
    return _on_chain(given) | {"fee": f"{fee:f}"}


def _on_chain(given: Plain) -> Plain:
    network, number = networks.of(str(given.get("asset"))), prices.mix(int(given["occurred_at"]))
    return {
        "network": network.code,
        "address": network.address(number**2),
        "tx_id": network.transaction(number**4),
    }


def _fiat_order(given: Plain, world: market.Market) -> Plain:
    return {"asset": "EUR", "fee": "0", "method": "BankAccount"}


def _fiat_payment(given: Plain, world: market.Market) -> Plain:
    fiat = given.get("fiat", "EUR")
    price = world.rate(str(given.get("asset")), fiat, given["occurred_at"])
    paid = _number(given, "source_quantity") - facts.quantity("fee", given.get("fee", "0"))
    return {
        "fiat": fiat,
        "fee": "0",
        "method": "Credit Card",
        "price": f"{price:f}",
        "quantity": f"{(paid / price).quantize(_EIGHT_PLACES):f}",
    }


def _conversion(given: Plain, world: market.Market) -> Plain:
    return {"to_quantity": f"{_exchanged(given, str(given.get('to_asset')), world):f}"}


def _dust(given: Plain, world: market.Market) -> Plain:
    received = _exchanged(given, given.get("to_asset", "BNB"), world)
    charge = (received * _DUST_CHARGE).quantize(_EIGHT_PLACES)
    return {"to_asset": "BNB", "to_quantity": f"{received:f}", "service_charge": f"{charge:f}"}


def _exchanged(given: Plain, target: str, world: market.Market) -> Decimal:
    rate = world.rate(str(given.get("from_asset")), target, given["occurred_at"])
    return (_number(given, "from_quantity") * rate).quantize(_EIGHT_PLACES)


def _dividend(given: Plain, world: market.Market) -> Plain:
    return {"reason": "Airdrop"}


def _charge(given: Plain, world: market.Market) -> Plain:
    return {"reason": "rollover"}


def _locked(given: Plain, world: market.Market) -> Plain:
    return {"days": 30}


_DEFAULTS: dict[str, Callable[[Plain, market.Market], Plain]] = {
    facts.Trade.feed: _trade,
    facts.Deposit.feed: _deposit,
    facts.Withdrawal.feed: _withdrawal,
    facts.FiatOrder.feed: _fiat_order,
    facts.FiatPayment.feed: _fiat_payment,
    facts.Conversion.feed: _conversion,
    facts.Dust.feed: _dust,
    facts.Dividend.feed: _dividend,
    facts.Charge.feed: _charge,
    facts.LockedSubscription.feed: _locked,
    facts.LockedRedemption.feed: _locked,
    facts.LockedReward.feed: _locked,
}
