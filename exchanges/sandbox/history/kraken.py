"""How an account at Kraken goes: dollars and euros from banks, and coins from the owner's other
exchange."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import partial

from exchanges.sandbox import facts
from exchanges.sandbox.history import conversions, earn, payments, schedule
from exchanges.sandbox.history.schedule import Entry
from exchanges.sandbox.history.story import SECOND, SLOT, Story

# How many of the owner's latest withdrawals elsewhere arrive here.
_ARRIVING = 2
_LEAST_MINUTES, _MOST_MINUTES = 3, 35


def play(story: Story, sent: Iterable[facts.Withdrawal]) -> None:
    """Let the whole history happen, in order of time."""
    _open(story)
    schedule.tell(story, [*_agenda(story), *_arrivals(story, sent)])


def _open(story: Story) -> None:
    payments.bank(story, story.start, "deposit", Decimal(3000))
    dollars = Decimal(350 * len(story.codes))
    payments.bank(story, story.start + SLOT, "deposit", dollars, code="USD")
    for number, code in enumerate(("BTC", "ETH", "USDT"), start=2):
        instant = story.start + number * SLOT
        payments.deposit(story, instant, code, story.worth(4000, code, instant))


def _agenda(story: Story) -> Iterator[Entry]:
    yield from schedule.trading(story)
    yield from _occasions(story)
    yield from schedule.locks(story)


def _occasions(story: Story) -> Iterator[Entry]:
    trades = story.plan.trades
    for event, times in (
        (payments.coins_in, 3 + trades // 30),
        (payments.coins_out, 4 + trades // 30),
        (payments.fiat_in, 3 + trades // 60),
        (payments.fiat_out, 2 + trades // 80),
        (payments.card_payment, 1 + trades // 80),
        (payments.charge, 2 + trades // 50),
        (conversions.convert, 3 + trades // 25),
        (conversions.dividend, 7 + trades // 15),
        (earn.subscribe, 3 + trades // 60),
        (earn.reward, 10 + trades // 12),
        (earn.redeem, 1 + trades // 100),
    ):
        yield from ((instant, event) for instant in schedule.moments(story, times))


def _arrivals(story: Story, sent: Iterable[facts.Withdrawal]) -> Iterator[Entry]:
    """The latest withdrawals of coins that are traded here, some minutes later."""
    known = [
        fact for fact in sent if fact.status == facts.COMPLETED and fact.asset in story.world.codes
    ]
    for fact in known[-_ARRIVING:]:
        # A second off, so that it never falls on the slot of something else.
        later = story.between(_LEAST_MINUTES, _MOST_MINUTES) * 60 * SECOND + SECOND
        if fact.occurred_at + later < story.world.anchor:
            yield fact.occurred_at + later, partial(_arrive, sent=fact)


def _arrive(story: Story, instant: int, *, sent: facts.Withdrawal) -> None:
    story.add(
        facts.Deposit(
            id=story.ids.next(instant),
            occurred_at=instant,
            asset=sent.asset,
            quantity=sent.quantity,
            network=sent.network,
            address=sent.address,
            tx_id=sent.tx_id,
        )
    )
