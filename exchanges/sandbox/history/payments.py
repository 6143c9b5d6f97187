"""Coins and money that come, go, or change wallets."""

from decimal import ROUND_DOWN, Decimal

from exchanges.sandbox import facts, networks
from exchanges.sandbox.history.story import CENT, Story, floor

_CANCELLED_PERCENT, _FAILED_PERCENT = 8, 10
_BANK_FEE = Decimal("0.80")
_CARD_FEE_PERCENT = 2
_CHARGES = ("rollover", "margin", "settled")


def deposit(story: Story, instant: int, code: str, quantity: Decimal) -> None:
    """Coins arrive."""
    network = networks.of(code)
    story.add(
        facts.Deposit(
            id=story.ids.next(instant),
            occurred_at=instant,
            asset=code,
            quantity=quantity,
            network=network.code,
            address=network.address(story.random.getrandbits(256)),
            tx_id=network.transaction(story.random.getrandbits(256)),
        )
    )


def coins_in(story: Story, instant: int) -> None:
    """Some coin arrives."""
    code = story.random.choice(story.codes)
    deposit(story, instant, code, story.worth(story.between(200, 5000), code, instant))


def coins_out(story: Story, instant: int) -> None:
    """Part of a holding is sent away; now and then that is cancelled."""
    code = story.holding(instant, usd=200)
    if code is None:
        return
    network, cancelled = networks.of(code), story.chance(_CANCELLED_PERCENT)
    story.add(
        facts.Withdrawal(
            id=story.token(),
            occurred_at=instant,
            asset=code,
            quantity=story.share(story.spot(code), 5, 20),
            fee=networks.withdrawal_fee(story.world.asset(code)),
            network=network.code,
            address=network.address(story.random.getrandbits(256)),
            tx_id="" if cancelled else network.transaction(story.random.getrandbits(256)),
            status=facts.CANCELLED if cancelled else facts.COMPLETED,
        )
    )


def bank(
    story: Story,
    instant: int,
    direction: str,
    quantity: Decimal,
    *,
    code: str = "EUR",
    fee: Decimal = Decimal(0),
    status: str = facts.COMPLETED,
) -> None:
    """Money comes from a bank or goes to one."""
    story.add(
        facts.FiatOrder(
            id=story.token(),
            occurred_at=instant,
            asset=code,
            direction=direction,
            quantity=quantity,
            fee=fee,
            method="BankAccount",
            status=status,
        )
    )


def fiat_in(story: Story, instant: int) -> None:
    """Euros are paid in; now and then the bank refuses."""
    status = facts.FAILED if story.chance(_FAILED_PERCENT) else facts.COMPLETED
    bank(story, instant, "deposit", story.money(100, 3000), status=status)


def fiat_out(story: Story, instant: int) -> None:
    """Some of the euros are paid out."""
    held = story.spot("EUR")
    if held > 50:
        quantity = story.share(held, 10, 30).quantize(CENT, ROUND_DOWN)
        bank(story, instant, "withdrawal", quantity, fee=_BANK_FEE)


def card_payment(story: Story, instant: int) -> None:
    """Coins are bought by card."""
    code, source = story.random.choice(("BTC", "ETH")), story.money(50, 500)
    fee = (source * _CARD_FEE_PERCENT / 100).quantize(CENT)
    price = story.world.rate(code, "EUR", instant)
    story.add(
        facts.FiatPayment(
            id=story.token(),
            occurred_at=instant,
            fiat="EUR",
            source_quantity=source,
            asset=code,
            quantity=floor((source - fee) / price),
            fee=fee,
            price=price,
            method="Credit Card",
        )
    )


def charge(story: Story, instant: int) -> None:
    """Something costs about a dollar: keeping a margin position open, say."""
    if code := story.holding(instant, usd=100):
        story.add(
            facts.Charge(
                id=story.ids.next(instant),
                occurred_at=instant,
                asset=code,
                quantity=min(story.worth(1, code, instant), story.share(story.spot(code), 1, 5)),
                reason=story.random.choice(_CHARGES),
            )
        )


def to_funding(story: Story, instant: int) -> None:
    """Coins move from spot to funding."""
    if code := story.holding(instant, usd=100):
        _move(story, instant, code, story.share(story.spot(code), 5, 25), facts.SPOT, facts.FUNDING)


def from_funding(story: Story, instant: int) -> None:
    """Coins move back from funding to spot."""
    for code in story.codes:
        if held := story.funding(code):
            _move(story, instant, code, story.share(held, 10, 50), facts.FUNDING, facts.SPOT)
            return


def _move(
    story: Story, instant: int, code: str, quantity: Decimal, source: str, target: str
) -> None:
    story.add(
        facts.Transfer(
            id=story.ids.next(instant),
            occurred_at=instant,
            asset=code,
            quantity=quantity,
            from_wallet=source,
            to_wallet=target,
        )
    )
