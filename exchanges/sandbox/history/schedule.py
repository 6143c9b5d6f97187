"""When things happen to an account, and how often."""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import partial
from itertools import zip_longest

from exchanges.sandbox.history import conversions, earn, orders, payments
from exchanges.sandbox.history.story import DAY, SLOT, Story

Event = Callable[[Story, int], None]
Entry = tuple[int, Event]

_FILLS = (1, 1, 1, 1, 1, 1, 2, 2, 3, 4)
# The exchange shows transfers between wallets for half a year only.
_TRANSFERS_SHOWN = 150 * DAY
# The first slots hold the opening deposits, and the last minutes stay quiet.
_OPENING, _QUIET = 10, 60


def play(story: Story) -> None:
    """Let the whole history happen, in order of time."""
    _open(story)
    tell(story, _agenda(story))


def tell(story: Story, agenda: Iterable[Entry]) -> None:
    """Let everything on an agenda happen, in order of time."""
    for instant, event in sorted(agenda, key=lambda entry: entry[0]):
        event(story, instant)


def _open(story: Story) -> None:
    payments.bank(story, story.start, "deposit", Decimal(2500))
    usdt = story.worth(350 * len(story.codes), "USDT", story.start)
    payments.deposit(story, story.start + SLOT, "USDT", usdt)
    for number, code in enumerate(("BTC", "BNB", "ETH"), start=2):
        instant = story.start + number * SLOT
        payments.deposit(story, instant, code, story.worth(4000, code, instant))


def _agenda(story: Story) -> Iterator[Entry]:
    yield from trading(story)
    yield from _occasions(story)
    yield from locks(story)


def trading(story: Story) -> Iterator[Entry]:
    """Orders of one to four fills; each asset's first is a purchase, so that it is held."""
    sizes = list(_sizes(story))
    wanted = [story.listed(code, story.house.home) for code in story.codes]
    bought_first = [symbol for symbol in wanted if symbol][: len(sizes)]
    for instant, fills, symbol in zip_longest(moments(story, len(sizes)), sizes, bought_first):
        yield instant, partial(orders.order, fills=fills, bought=symbol)


def _sizes(story: Story) -> Iterator[int]:
    left = story.plan.trades
    while left:
        fills = min(story.random.choice(_FILLS), left)
        left -= fills
        yield fills


def _occasions(story: Story) -> Iterator[Entry]:
    trades = story.plan.trades
    for event, times in (
        (payments.coins_in, 3 + trades // 20),
        (payments.coins_out, 3 + trades // 30),
        (payments.fiat_in, 3 + trades // 60),
        (payments.fiat_out, 1 + trades // 120),
        (payments.card_payment, 1 + trades // 80),
        (conversions.convert, 2 + trades // 25),
        (conversions.sweep_dust, 1 + trades // 100),
        (conversions.dividend, 4 + trades // 15),
        (earn.subscribe, 3 + trades // 100),
        (earn.reward, 10 + trades // 12),
        (earn.redeem, 1 + trades // 150),
    ):
        yield from ((instant, event) for instant in moments(story, times))
    span = min(_TRANSFERS_SHOWN, story.plan.days * DAY // 2)
    for event, times in ((payments.to_funding, 3), (payments.from_funding, 1)):
        yield from ((instant, event) for instant in moments(story, times, span))


def locks(story: Story) -> Iterator[Entry]:
    """One locked position of any age, and one that has not come due."""
    anchor = story.world.anchor
    for span in (story.plan.days * DAY * 9 // 10, 20 * DAY):
        lock = earn.Lock(days=story.random.choice(story.house.terms))
        start = moments(story, 1, min(span, story.plan.days * DAY // 2))[0]
        events = [(start, lock.subscribe), (start + lock.days * DAY + SLOT, lock.redeem)]
        quarters = (start + number * lock.days * DAY // 4 for number in range(1, 5))
        events += [(instant, lock.reward) for instant in quarters]
        yield from (entry for entry in events if entry[0] < anchor)


def moments(story: Story, count: int, span: int | None = None) -> list[int]:
    """So many moments in order, each in a slot of its own, within the last `span` of time."""
    first = story.start + _OPENING * SLOT
    start = first if span is None else max(story.world.anchor - span, first)
    slots = range((story.world.anchor - start) // SLOT - _QUIET)
    return [start + slot * SLOT for slot in sorted(story.random.sample(slots, count))]
