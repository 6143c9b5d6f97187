"""Conversions, dust sweeps, and coins that are given."""

from decimal import Decimal

from exchanges.sandbox import facts
from exchanges.sandbox.history.story import Story, floor

_SPREAD = Decimal("0.998")
_CHARGE_PERCENT = 2


def convert(story: Story, instant: int) -> None:
    """Part of one holding becomes another asset."""
    source, target = story.holding(instant, usd=100), story.random.choice(story.codes)
    if source is None or source == target:
        return
    quantity = story.share(story.spot(source), 5, 20)
    rate = story.world.rate(source, target, instant) * _SPREAD
    story.add(
        facts.Conversion(
            id=story.ids.next(instant),
            occurred_at=instant,
            quote_id=story.token(),
            from_asset=source,
            from_quantity=quantity,
            to_asset=target,
            to_quantity=floor(quantity * rate),
        )
    )


def sweep_dust(story: Story, instant: int) -> None:
    """About a dollar each of a few coins becomes BNB, in one batch."""
    batch = story.ids.next(instant)
    coins = [code for code in story.codes if code not in ("BNB", "USDT") and story.spot(code)]
    for code in story.random.sample(coins, min(len(coins), story.between(2, 5))):
        quantity = min(story.worth(1, code, instant), story.share(story.spot(code), 10, 50))
        received = floor(quantity * story.world.rate(code, "BNB", instant))
        story.add(
            facts.Dust(
                id=f"{batch}-{code}",
                occurred_at=instant,
                batch_id=batch,
                from_asset=code,
                from_quantity=quantity,
                to_asset="BNB",
                to_quantity=received,
                service_charge=floor(received * _CHARGE_PERCENT / 100),
            )
        )


def dividend(story: Story, instant: int) -> None:
    """Some coins are given."""
    code = story.random.choice(story.codes)
    story.add(
        facts.Dividend(
            id=story.ids.next(instant),
            occurred_at=instant,
            asset=code,
            quantity=story.worth(story.between(1, 25), code, instant),
            reason=story.random.choice(story.house.reasons),
        )
    )
