"""Shows the simulated population, and the attacks on it, to the detectors."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from audit.detectors import guessing, keys, signing_in, trading
from audit.detectors.findings import Finding
from audit.detectors.places import Locate, Seen, networks, nowhere, own_networks
from audit.detectors.thresholds import Thresholds
from audit.detectors.trading import Bought, Habit, Withdrawn
from tests.audit import population
from tests.audit.population import (
    DAY,
    HOMES,
    HOSTS,
    ORDINARY,
    START,
    In,
    KeyUsed,
    Open,
    Order,
    Parameters,
    Person,
    Replayed,
    Withdrawal,
)

HOUR = timedelta(hours=1)
SYNC = timedelta(hours=6)  # how often new trades are looked at


# --- ordinary people ----------------------------------------------------------------------------
def alerts_of(person: Person, thresholds: Thresholds, locate: Locate) -> list[Finding]:
    """Every alert that this person gets in the 90 days, the same incident once."""
    raised = list(_by_events(person, thresholds, locate))
    raised += _by_trading(person, thresholds)
    return raised


def _by_events(person: Person, thresholds: Thresholds, locate: Locate) -> Iterable[Finding]:
    once: set[tuple[str, str]] = set()
    for event in person.events:
        if event.at < START:
            continue
        finding = _judged(person, event, thresholds, locate)
        if finding and (finding.kind, finding.dedupe) not in once:
            once.add((finding.kind, finding.dedupe))
            yield finding


def _judged(
    person: Person, event: object, thresholds: Thresholds, locate: Locate
) -> Finding | None:
    if isinstance(event, In):
        return sign_in(person, event, thresholds, locate) or guessing.password_guessing(
            guessing.AccountFailures(event.at, event.failures, _failures_of_a_day(person, event)),
            thresholds,
        )
    if isinstance(event, KeyUsed):
        return key_use(person, event, thresholds)
    if isinstance(event, Replayed):
        return replay(person, event)
    return None


def _failures_of_a_day(person: Person, event: In) -> int:
    return sum(
        other.failures for other in person.events
        if isinstance(other, In) and event.at - DAY < other.at <= event.at
    )  # fmt: skip


def sign_in(
    person: Person, event: In, thresholds: Thresholds, locate: Locate, *, stuffing: bool = False
) -> Finding | None:
    before = [e for e in person.events if event.at - 90 * DAY <= e.at < event.at]
    past = signing_in.Past(
        devices=frozenset(e.device for e in before if isinstance(e, In)),
        seen=tuple(
            Seen(e.at, e.address) for e in before
            if isinstance(e, (In, Open)) and e.session_id != event.session_id
        ),
        failures_from_here=event.failures, stuffing=stuffing,
        reset_at=event.at - timedelta(minutes=5) if event.reset else None,
        sensitive=("api_key.created",) if event.sensitive else (),
    )  # fmt: skip
    this = signing_in.SignIn(event.at, event.address, event.device, event.method, event.session_id)
    return signing_in.strange_sign_in(this, past, thresholds, locate)


def key_use(person: Person, event: KeyUsed, thresholds: Thresholds) -> Finding | None:
    before = [e for e in person.events if e.at < event.at]
    uses = [e for e in before if isinstance(e, KeyUsed) and event.at - e.at <= 30 * DAY]
    if uses and uses[-1].address == event.address:
        return None  # the log speaks of new addresses only
    own = [
        Seen(e.at, e.address) for e in before
        if isinstance(e, (In, Open)) and event.at - e.at <= 90 * DAY
    ]  # fmt: skip
    use = keys.KeyUse(
        event.at, f"key-{person.number}", event.address,
        tuple({e.address for e in uses}),

        own_networks(own, at=event.at, days=thresholds.key_familiar_days),
    )  # fmt: skip
    return keys.api_key_elsewhere(use)


def replay(person: Person, event: Replayed) -> Finding:
    own = {
        e.address for e in person.events
        if isinstance(e, (In, Open)) and e.at < event.at and e.session_id != event.session_id
    }  # fmt: skip
    return keys.session_replayed(
        keys.Replay(event.at, event.session_id, event.address, event.last_used_from, networks(own))
    )


# --- trading ------------------------------------------------------------------------------------
def _by_trading(person: Person, thresholds: Thresholds) -> Iterable[Finding]:
    quiet: dict[str, tuple[datetime, int]] = {}
    for until in _moments_of_sync(person):
        for finding in judged_at(person, until, thresholds):
            gravity = ["low", "medium", "high", "critical"].index(finding.severity)
            last = quiet.get(finding.kind)
            known = last and until - last[0] < trading.SAME_INCIDENT and gravity <= last[1]
            if not known:
                quiet[finding.kind] = until, gravity
                yield finding


def _moments_of_sync(person: Person) -> list[datetime]:
    facts = [*person.orders, *person.withdrawals]
    slots = {(fact.at - START) // SYNC for fact in facts if fact.at >= START}
    return [START + SYNC * (slot + 1) for slot in sorted(slots)]


def judged_at(
    person: Person,
    until: datetime,
    thresholds: Thresholds,
    more: Iterable[Order | Withdrawal] = (),
) -> list[Finding]:
    """What the trading detector says at a sync, with ``more`` facts than the person's own."""
    extra = list(more)
    begins = until - DAY
    orders = _within(person.orders, begins, until)
    orders += [fact for fact in extra if isinstance(fact, Order)]
    out = _within(person.withdrawals, begins, until)
    out += [fact for fact in extra if isinstance(fact, Withdrawal)]
    day = trading.Day(
        until, len(orders), sum((order.value for order in orders), Decimal(0)),
        tuple(Bought(order.asset, order.value) for order in _summed(orders)),
        tuple(Withdrawn(item.to, item.value) for item in out), person.worth,
    )  # fmt: skip
    return trading.judge(day, _habit(person, begins), thresholds)


def _summed(orders: list[Order]) -> list[Order]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for order in orders:
        sums[order.asset] += order.value
    return [Order(START, asset, value) for asset, value in sums.items()]


def _within(facts: list, begins: datetime, until: datetime) -> list:
    low = bisect_right(facts, begins, key=lambda fact: fact.at)
    return facts[low : bisect_right(facts, until, key=lambda fact: fact.at)]


def _habit(person: Person, until: datetime) -> Habit:
    orders, traded, out = Counter(), defaultdict(Decimal), defaultdict(Decimal)
    for order in _within(person.orders, until - 30 * DAY, until):
        orders[(until - order.at) // DAY] += 1
        traded[(until - order.at) // DAY] += order.value
    for item in _within(person.withdrawals, until - 30 * DAY, until):
        out[(until - item.at) // DAY] += item.value
    before = person.withdrawals[: bisect_left(person.withdrawals, until, key=lambda w: w.at)]
    known = person.orders[: bisect_right(person.orders, until, key=lambda o: o.at)]
    return Habit(
        days=30, most_orders_a_day=max(orders.values(), default=0),
        most_traded_a_day=max(traded.values(), default=Decimal(0)),
        most_withdrawn_a_day=max(out.values(), default=Decimal(0)),
        assets=frozenset(order.asset for order in known) | {f"COIN{n}" for n in range(40)},
        addresses=frozenset(item.to for item in before),
    )  # fmt: skip


# --- shared addresses ---------------------------------------------------------------------------
def alerts_of_addresses(everybody: list[Person], thresholds: Thresholds) -> list[Finding]:
    """Whether any address that people share looks as if it tried many accounts."""
    at: dict[str, list[tuple[datetime, int, bool]]] = defaultdict(list)
    for person in everybody:
        for event in person.events:
            if isinstance(event, In) and event.at >= START:
                at[event.address].append((event.at, person.number, event.failures > 0))
    found = []
    for place, events in at.items():
        for moment, *_ in events:
            finding = guessing.credential_stuffing(_counted(place, events, moment), thresholds)
            found += [finding] if finding else []
    return found


def _counted(
    place: str, events: list[tuple[datetime, int, bool]], until: datetime
) -> guessing.AddressFailures:
    def accounts(span: timedelta, *, failed: bool) -> int:
        recent = [e for e in events if until - span < e[0] <= until]
        return len({number for _, number, wrong in recent if wrong or not failed})

    return guessing.AddressFailures(
        place, until, accounts(HOUR, failed=True), accounts(DAY, failed=True),
        accounts(HOUR, failed=False), accounts(DAY, failed=False),
    )  # fmt: skip


# --- attacks ------------------------------------------------------------------------------------
Attack = Callable[[Random, Person, Thresholds, Parameters], bool]


def _moment(rng: Random) -> datetime:
    return START + DAY * rng.uniform(1, 89)


def guess_a_password(rng: Random, victim: Person, thresholds: Thresholds, p: Parameters) -> bool:
    """15 to 50 an hour, as fast as the shield lets; one in five slowly, over days."""
    per_hour = rng.uniform(15, 50) if rng.random() < 0.8 else rng.uniform(1.5, 5)
    hours = rng.uniform(1, 24) if per_hour >= 15 else rng.uniform(24, 72)
    failures = guessing.AccountFailures(
        _moment(rng), int(per_hour), int(per_hour * min(24, hours)),
        addresses=tuple(
            population.attackers_address(rng, victim, p) for _ in range(rng.randint(1, 20))
        ),
    )  # fmt: skip
    return guessing.password_guessing(failures, thresholds) is not None


def stuff_credentials(rng: Random, victim: Person, thresholds: Thresholds, p: Parameters) -> bool:
    """20 to 500 accounts an hour, or 2 to 6; one in 200 fits. Sometimes from a shared address."""
    fast = rng.random() < 0.8
    per_hour = rng.uniform(20, 500) if fast else rng.uniform(2, 6)
    hours = rng.uniform(0.5, 6) if fast else rng.uniform(14, 48)
    shared = rng.randint(0, 4) if rng.random() < 0.1 else 0  # honest sign-ins an hour
    in_a_day = per_hour * min(24, hours)
    found = guessing.AddressFailures(
        victim.office or population.attackers_address(rng, victim, p), _moment(rng),
        int(per_hour * min(1, hours)), int(in_a_day),
        int(shared + per_hour / 200), int(shared * 8 + in_a_day / 200),
    )  # fmt: skip
    return guessing.credential_stuffing(found, thresholds) is not None


def use_a_stolen_password(
    rng: Random, victim: Person, thresholds: Thresholds, p: Parameters
) -> bool:
    """From a device and an address that are new; without a second factor to stop it."""
    event = In(
        _moment(rng), population.attackers_address(rng, victim, p),
        population.attackers_device(rng, victim), "stolen",
        failures=rng.choice([0, 0, 0, 1, 3]), sensitive=rng.random() < p.acts_at_once,
    )  # fmt: skip
    return sign_in(victim, event, thresholds, nowhere) is not None


def sign_in_from_far_away(
    rng: Random, victim: Person, thresholds: Thresholds, p: Parameters
) -> bool:
    """Within three hours of the person's own last use, 3,500 km away or more."""
    opens = [e for e in victim.events if isinstance(e, Open) and e.at >= START]
    last = rng.choice(opens)
    first, second = (int(part) for part in last.address.split(".")[:2])
    here = ((first - 20) * 256 + second) // 100
    far = [number for number in range(12) if _far(here, number)]
    device = victim.devices[0] if rng.random() < p.looks_alike else (
        population.attackers_device(rng, victim)
    )  # fmt: skip
    place = population.address(rng, rng.choice(far), rng.choice((*HOSTS, *HOMES)))
    event = In(last.at + HOUR * rng.uniform(0.01, 3), place, device, "far")
    return sign_in(victim, event, thresholds, population.locator(p)) is not None


def _far(one: int, other: int) -> bool:
    from audit.detectors.places import Location, distance_km

    a, b = population.COUNTRIES[one], population.COUNTRIES[other]
    return distance_km(Location(a[1], a[2]), Location(b[1], b[2])) >= 3500


def use_a_stolen_key(rng: Random, victim: Person, thresholds: Thresholds, p: Parameters) -> bool:
    """Once an hour for a day, beside its owner."""
    place, begins = population.attackers_address(rng, victim, p), _moment(rng)
    uses = [KeyUsed(begins + HOUR * number, place) for number in range(24)]
    stolen = Person(**{name: getattr(victim, name) for name in victim.__dataclass_fields__})
    stolen.events = sorted([*victim.events, *uses], key=lambda event: event.at)
    return any(key_use(stolen, use, thresholds) for use in uses)


def replay_a_token(rng: Random, victim: Person, thresholds: Thresholds, p: Parameters) -> bool:
    """The thief or the person comes second, with the token that the other has spent."""
    opens = [e for e in victim.events if isinstance(e, Open) and e.at >= START]
    last, place = rng.choice(opens), population.attackers_address(rng, victim, p)
    pair = (place, last.address) if rng.random() < 0.5 else (last.address, place)
    found = replay(victim, Replayed(last.at + HOUR, *pair, last.session_id))
    return found.severity in ("medium", "high")


def change_an_exchange_key(
    rng: Random, victim: Person, thresholds: Thresholds, p: Parameters
) -> bool:
    """More power, or the restriction to addresses lifted; where the exchange tells."""
    before = keys.ExchangeKey("read_only", address_restricted=rng.choice([True, False, None]))
    if before.address_restricted and rng.random() < 0.5:
        after = keys.ExchangeKey("read_only", address_restricted=False)
    else:
        after = keys.ExchangeKey(rng.choice(["trade", "withdraw"]), before.address_restricted)
    return keys.exchange_key_changed(before, after) is not None


def trade_it_all(rng: Random, victim: Person, thresholds: Thresholds, p: Parameters) -> bool:
    """Size: nearly all is sold and spent again: 1.5 to 3 times the portfolio turns over."""
    number, until = rng.randint(4, 20), _moment(rng)
    value = victim.worth * Decimal(str(round(rng.uniform(1.5, 3.0) / number, 4)))
    asset = sorted(victim.assets)[0]
    orders = [Order(until - HOUR * rng.random(), asset, value) for _ in range(number)]
    return bool(judged_at(victim, until, thresholds, orders))


def churn(rng: Random, victim: Person, thresholds: Thresholds, p: Parameters) -> bool:
    """Frequency: 100 to 1,000 orders within hours, 1 to 5 % of the portfolio each."""
    number, until = rng.randint(100, 1000), _moment(rng)
    value = victim.worth * Decimal(str(round(rng.uniform(0.01, 0.05), 4)))
    asset = sorted(victim.assets)[0]
    orders = [Order(until - HOUR * 6 * rng.random(), asset, value) for _ in range(number)]
    return bool(judged_at(victim, until, thresholds, orders))


def buy_a_worthless_coin(
    rng: Random, victim: Person, thresholds: Thresholds, p: Parameters
) -> bool:
    """Asset: half to all of the portfolio into a coin that the person never had."""
    until = _moment(rng)
    value = victim.worth * Decimal(str(round(rng.uniform(0.5, 1.0), 4)))
    return bool(judged_at(victim, until, thresholds, [Order(until - HOUR, "SCAM", value)]))


def withdraw_it(rng: Random, victim: Person, thresholds: Thresholds, p: Parameters) -> bool:
    """Half to all of the portfolio to an address never used, in 1 to 4 withdrawals."""
    number, until = rng.randint(1, 4), _moment(rng)
    value = victim.worth * Decimal(str(round(rng.uniform(0.5, 1.0) / number, 4)))
    out = [Withdrawal(until - HOUR * rng.random(), "thief", value) for _ in range(number)]
    return bool(judged_at(victim, until, thresholds, out))


ATTACKS: dict[str, Attack] = {
    "guess a password": guess_a_password,
    "stuff credentials": stuff_credentials,
    "use a stolen password": use_a_stolen_password,
    "sign in from far away": sign_in_from_far_away,
    "use a stolen API key": use_a_stolen_key,
    "replay a refresh token": replay_a_token,
    "change an exchange key": change_an_exchange_key,
    "trade it all": trade_it_all,
    "churn": churn,
    "buy a worthless coin": buy_a_worthless_coin,
    "withdraw it": withdraw_it,
}


def found_of(
    name: str, everybody: list[Person], seed: int, thresholds: Thresholds, p: Parameters = ORDINARY
) -> int:
    """How many of the attacks of one kind are found."""
    rng = Random(f"{name} {seed}")
    victims = [person for person in everybody if _can_be_victim(name, person)]
    return sum(ATTACKS[name](rng, rng.choice(victims), thresholds, p) for _ in range(p.attacks))


def _can_be_victim(name: str, person: Person) -> bool:
    if name == "use a stolen API key":
        return person.has_key
    if name in ("sign in from far away", "replay a refresh token"):
        return any(isinstance(e, Open) and e.at >= START for e in person.events)
    return True
