"""Flexible and locked earn."""

from decimal import Decimal

from exchanges.sandbox import facts
from exchanges.sandbox.history.story import EIGHT_PLACES, Story, floor

_BONUS_PERCENT = 25
_MILLION = 1_000_000


def subscribe(story: Story, instant: int) -> None:
    """Part of a holding goes into flexible earn."""
    if code := story.holding(instant, usd=150):
        quantity = story.share(story.spot(code), 10, 40)
        _add(story, facts.EarnSubscription, instant, asset=code, quantity=quantity)


def redeem(story: Story, instant: int) -> None:
    """Part of a flexible position comes back."""
    if code := _position(story):
        quantity = story.share(story.flexible(code), 20, 60)
        _add(story, facts.EarnRedemption, instant, asset=code, quantity=quantity)


def reward(story: Story, instant: int) -> None:
    """A flexible position earns; most of it grows the position, a bonus goes to spot."""
    if code := _position(story):
        quantity = _interest(story, story.flexible(code))
        kind = "bonus" if story.chance(_BONUS_PERCENT) else "realtime"
        _add(story, facts.EarnReward, instant, asset=code, quantity=quantity, type=kind)


def _position(story: Story) -> str | None:
    codes = [code for code in story.codes if story.flexible(code)]
    return story.random.choice(codes) if codes else None


def _interest(story: Story, quantity: Decimal) -> Decimal:
    earned = floor(quantity * story.between(50, 900) / _MILLION)
    return max(earned, EIGHT_PLACES)


def _add(story: Story, fact_type: type[facts.Fact], instant: int, **fields: object) -> None:
    story.add(fact_type(id=story.ids.next(instant), occurred_at=instant, **fields))


class Lock:
    """One locked position from its purchase to its end."""

    def __init__(self, *, days: int) -> None:
        self.days = days
        self._position: dict[str, object] = {}
        self._quantity = Decimal(0)

    def subscribe(self, story: Story, instant: int) -> None:
        """Part of a holding is locked, if there is a holding."""
        if code := story.holding(instant, usd=200):
            self._quantity = story.share(story.spot(code), 10, 30)
            position_id = story.ids.next(instant)
            self._position = {"position_id": position_id, "asset": code, "days": self.days}
            self._add(story, facts.LockedSubscription, instant, self._quantity)

    def reward(self, story: Story, instant: int) -> None:
        """The position earns, into spot."""
        if self._position:
            self._add(story, facts.LockedReward, instant, _interest(story, self._quantity))

    def redeem(self, story: Story, instant: int) -> None:
        """The term is over and the coins come back."""
        if self._position:
            self._add(story, facts.LockedRedemption, instant, self._quantity)

    def _add(
        self, story: Story, fact_type: type[facts.Fact], instant: int, quantity: Decimal
    ) -> None:
        _add(story, fact_type, instant, quantity=quantity, **self._position)
