"""Two years of one account, drawn from the seed.

Events are played in order of time against running balances, and each takes only what is there,
so no balance is ever negative. The same seed, account and market give the same facts.
"""

from exchanges.sandbox import facts, market
from exchanges.sandbox.history import schedule, story


def draw(*, world: market.Market, account: int, plan: story.Plan) -> list[facts.Fact]:
    """The account's facts in order of time, all before the market's anchor."""
    told = story.Story(world=world, account=account, plan=plan)
    schedule.play(told)
    return sorted(told.facts, key=lambda fact: fact.occurred_at)
