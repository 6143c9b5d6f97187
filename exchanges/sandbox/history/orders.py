"""Spot orders and their fills."""

from dataclasses import dataclass
from decimal import Decimal

from exchanges.sandbox import facts, symbols
from exchanges.sandbox.history import payments
from exchanges.sandbox.history.story import CENT, SECOND, Story, floor

_FEE_IN_FEE_COIN = Decimal("0.00075")
_SELL_PERCENT, _FEE_COIN_PERCENT, _MAKER_PERCENT, _LATER_FILL_PERCENT = 45, 50, 40, 30
_FEE_IN_QUOTE_PERCENT = 80
_TOP_UP_LEAD = 60 * SECOND


@dataclass(frozen=True, slots=True)
class _Order:
    id: str
    symbol: symbols.Symbol
    side: str
    price: Decimal
    steps: int


def order(story: Story, instant: int, *, fills: int, bought: symbols.Symbol | None) -> None:
    """An order of so many fills: of `bought` if given, else a purchase or sale of anything."""
    symbol = bought or story.random.choice(story.symbols)
    price = story.world.price(symbol, instant)
    least = max(symbol.min_notional * fills, symbol.step * price * fills) * 3
    side, quantity = "buy", Decimal(0)
    if bought is None and story.chance(_SELL_PERCENT):
        quantity = story.share(story.spot(symbol.base), 5, 40)
        side = "sell" if quantity * price > least else "buy"
    if side == "buy":
        quantity = _budget(story, instant, symbol, least) / price
    steps = int(quantity // symbol.step)
    _fill_all(story, instant, _Order(story.ids.order(instant), symbol, side, price, steps), fills)


def _budget(story: Story, instant: int, symbol: symbols.Symbol, least: Decimal) -> Decimal:
    """What to spend; where there is too little, a deposit arrives a minute earlier."""
    budget = story.share(story.spot(symbol.quote), 3, 12)
    if budget >= least:
        return budget
    missing = floor(max(least * 8, story.worth(500, symbol.quote, instant)))
    if story.world.asset(symbol.quote).fiat:
        arrived = missing.quantize(CENT)
        payments.bank(story, instant - _TOP_UP_LEAD, "deposit", arrived, code=symbol.quote)
    else:
        payments.deposit(story, instant - _TOP_UP_LEAD, symbol.quote, missing)
    return max(story.share(story.spot(symbol.quote), 3, 12), least)


def _fill_all(story: Story, instant: int, placed: _Order, fills: int) -> None:
    """Fills at about the order's price, most of them in the same millisecond."""
    price = placed.price
    for steps in _portions(story, placed.steps, fills):
        _fill(story, instant, placed, price, placed.symbol.step * steps)
        price += placed.symbol.tick * story.between(0, 3)
        if story.chance(_LATER_FILL_PERCENT):
            instant += story.between(1, 300)


def _portions(story: Story, steps: int, fills: int) -> list[int]:
    """A whole number split in so many parts, each at least one."""
    if fills == 1:
        return [steps]
    cuts = sorted(story.random.sample(range(1, steps), fills - 1))
    return [b - a for a, b in zip([0, *cuts], [*cuts, steps], strict=True)]


def _fill(story: Story, instant: int, placed: _Order, price: Decimal, quantity: Decimal) -> None:
    symbol, cost = placed.symbol, floor(price * quantity)
    commission, commission_asset = _commission(story, instant, placed, quantity, cost)
    story.add(
        facts.Trade(
            id=story.ids.trade(symbol.name, instant),
            occurred_at=instant,
            base=symbol.base,
            quote=symbol.quote,
            order_id=placed.id,
            side=placed.side,
            price=price,
            quantity=quantity,
            quote_quantity=cost,
            commission=commission,
            commission_asset=commission_asset,
            maker=story.chance(_MAKER_PERCENT),
        )
    )


def _commission(
    story: Story, instant: int, placed: _Order, quantity: Decimal, cost: Decimal
) -> tuple[Decimal, str]:
    """The fee in the house's own coin where there is some to spare, else in what was traded."""
    symbol, house = placed.symbol, story.house
    coin = house.fee_coin
    if coin and coin not in (symbol.base, symbol.quote) and story.chance(_FEE_COIN_PERCENT):
        rate = story.world.rate(symbol.quote, coin, instant)
        fee = floor(cost * rate * _FEE_IN_FEE_COIN)
        if story.spot(coin) > fee:
            return fee, coin
    if placed.side == "buy" and not (house.fees_in_quote and story.chance(_FEE_IN_QUOTE_PERCENT)):
        return floor(quantity * house.taker_fee), symbol.base
    return floor(cost * house.taker_fee), symbol.quote
