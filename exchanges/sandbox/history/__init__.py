"""Two years of one account, drawn from the seed.

Events are played in order of time against running balances, and each takes only what is there,
so no balance is ever negative. The same seed, account and market give the same facts.
"""

from collections.abc import Iterable

from exchanges.sandbox import facts, houses, market
from exchanges.sandbox.history import kraken, schedule, story


def draw(
    *,
    world: market.Market,
    account: int,
    plan: story.Plan,
    house: houses.House = houses.BINANCE,
    sent: Iterable[facts.Withdrawal] = (),
) -> list[facts.Fact]:
    """The account's facts in order of time, all before the market's anchor.

    `sent` is what the same person withdrew at another house; some of it arrives here.
    """
    told = story.Story(world=world, account=account, plan=plan, house=house)
    if house is houses.KRAKEN:
        kraken.play(told, sent)
    else:
        schedule.play(told)
    return sorted(told.facts, key=lambda fact: fact.occurred_at)
