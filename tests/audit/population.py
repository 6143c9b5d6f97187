"""The simulated population on which the detectors are tuned, and the attacks they must find.

Parameters with a sentence each, most of them written down before the detectors were tuned; the
rare look-alikes of an attack (`EVENTFUL`) and the size of "trade it all" were set while tuning.
Everything is drawn from one seed. Nothing here knows a threshold: `tests/audit/simulate.py` shows
the people's events to the detectors, in the order in which they happen.

People are ordinary: 60 days of history, then the 90 days in which alerts are counted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from audit.detectors.places import Location

START = datetime(2026, 1, 1, tzinfo=UTC)  # the first day that counts
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Parameters:
    """What ordinary means. Shares are of people, unless they say otherwise."""

    people: int = 100
    days: int = 90
    history_days: int = 60

    # --- addresses: 3 to 10 new ones a month, apart from travel
    new_addresses_a_month: tuple[int, int] = (3, 10)
    new_at_home: float = 0.30  # the provider at home gives another address of its network
    new_on_mobile: float = 0.45  # the mobile carrier does, from any of its networks
    new_elsewhere: float = 0.25  # a café, friends, a train: any network of the country
    carrier_networks: int = 4
    shared_office: float = 0.30  # one address for all colleagues
    offices: int = 4
    vpn: float = 0.08  # of these, one use in ten goes out of another country
    vpn_use: float = 0.10
    # --- using the app
    opens_a_day: tuple[float, float] = (0.4, 3.0)
    browser_too: float = 0.5  # beside the phone
    log_out_a_month: float = 0.10
    session_days: int = 30
    idle_days: int = 7
    second_factor: float = 0.25
    # --- one new phone each, set up at home or on the carrier but for a few
    phone_set_up_elsewhere: float = 0.05
    same_model_again: float = 0.20
    # --- travel: number of trips in the 90 days, half of them abroad by air
    trips: tuple[tuple[int, float], ...] = ((0, 0.45), (1, 0.35), (2, 0.15), (3, 0.05))
    trip_days: tuple[int, int] = (3, 14)
    abroad: float = 0.5
    roaming_at_home: float = 0.5  # a phone abroad still goes out through its carrier at home
    air_kmh: float = 850.0
    airport_hours: float = 3.0
    # --- passwords, per sign-in
    mistyped: float = 0.20  # once, then again with even chance, and so on
    forgotten: float = 0.05  # 4 to 9 wrong ones within ten minutes, then the reset link
    sensitive_after: float = 0.03  # an API key, another e-mail address … within the hour
    # --- keys
    api_key: float = 0.20
    key_at_home: float = 0.15  # of those: on a computer at home; else on a server
    key_travels: float = 0.05  # … or on one that travels
    # --- trading: (share, orders a month, median size as a share of the portfolio)
    traders: tuple[tuple[float, float, float], ...] = (
        (0.40, 3, 0.04),
        (0.40, 20, 0.03),
        (0.20, 150, 0.007),
    )
    size_sigma: float = 0.9
    volatile_weeks: int = 2  # the same for all
    volatile_orders: tuple[float, float] = (3.0, 7.0)
    volatile_sizes: tuple[float, float] = (1.0, 2.0)
    new_asset: float = 0.04  # of buys
    holiday: float = 0.5  # two weeks without any trade
    withdrawals_a_month: tuple[float, float] = (0.0, 4.0)
    withdrawal_share: float = 0.08  # median, of the portfolio
    withdrawal_sigma: float = 0.6
    fresh_address: float = 0.25  # a wallet that shows a new address each time

    # --- rare things, none of them in the ordinary population: see EVENTFUL
    borrowed_computer: float = 0.0  # a sign-in on somebody else's
    server_moves: float = 0.0  # an API key's server, to another provider
    lost_refresh: float = 0.0  # the answer to a refresh is lost, and the app sends it again
    sells_nearly_all: float = 0.0  # once, in a volatile week, half to nearly all of it
    starts_a_bot: float = 0.0  # 60 to 150 orders a day from then on
    moves_to_new_wallet: float = 0.0  # once, most of it, to an address never used

    # --- attackers
    attacks: int = 100
    same_country: float = 0.35  # through a home address in the victim's country
    looks_alike: float = 0.30  # their device is of a kind that the victim uses (journeys)
    acts_at_once: float = 0.60  # a sensitive act within the hour
    unlocatable: float = 0.03  # addresses that the location database does not know


ORDINARY = Parameters()
# The same people with things that happen to some once in a while, and after which an alert is
# right, because a stranger would do exactly the same.
EVENTFUL = replace(
    ORDINARY, borrowed_computer=0.02, server_moves=0.04, lost_refresh=0.02, sells_nearly_all=0.03,
    starts_a_bot=0.01, moves_to_new_wallet=0.02,
)  # fmt: skip

# Country, latitude and longitude of where most of its people are.
COUNTRIES = (
    ("DE", 50.1, 8.7), ("GB", 51.5, -0.1), ("US", 40.7, -74.0), ("BR", -23.5, -46.6),
    ("JP", 35.7, 139.7), ("IN", 19.1, 72.9), ("AU", -33.9, 151.2), ("ES", 40.4, -3.7),
    ("NG", 6.5, 3.4), ("AE", 25.2, 55.3), ("CA", 43.7, -79.4), ("TR", 41.0, 29.0),
)  # fmt: skip
HOMES, CARRIERS, HOSTS = range(60), range(60, 80), range(80, 100)  # networks of a country
_PHONES = ("ios/iPhone", "ios/iPhone Pro", "android/Pixel", "android/Galaxy", "android/Xiaomi")
_BROWSERS = ("web/Firefox", "web/Chrome", "web/Safari", "web/Edg")
_ATTACKERS = ("web/Tor", "/python-requests", "/curl", "linux/HeadlessChrome", "/okhttp")
ASSETS = tuple(f"COIN{number}" for number in range(200))


@dataclass(frozen=True)
class Open:
    """The app was in use."""

    at: datetime
    address: str
    session_id: str


@dataclass(frozen=True)
class In:
    """A sign-in, with what went before and came after."""

    at: datetime
    address: str
    device: str
    session_id: str
    method: str = "password"
    failures: int = 0
    reset: bool = False
    sensitive: bool = False


@dataclass(frozen=True)
class KeyUsed:
    """The person's API key was used from an address."""

    at: datetime
    address: str


@dataclass(frozen=True)
class Replayed:
    """A spent refresh token came back."""

    at: datetime
    address: str
    last_used_from: str
    session_id: str


@dataclass(frozen=True)
class Order:
    """An order that was filled, in US dollars."""

    at: datetime
    asset: str
    value: Decimal


@dataclass(frozen=True)
class Withdrawal:
    """Coins that left to an address."""

    at: datetime
    to: str
    value: Decimal


@dataclass
class Person:
    """Somebody, and everything that they do in the time that is simulated."""

    number: int
    country: int
    worth: Decimal
    home: int
    carriers: list[int]
    office: str
    has_second_factor: bool
    devices: list[str] = field(default_factory=list)
    events: list[In | Open | KeyUsed | Replayed] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    withdrawals: list[Withdrawal] = field(default_factory=list)
    has_key: bool = False

    def __post_init__(self) -> None:
        self.assets = {f"COIN{(self.number * 7 + step) % 40}" for step in range(8)}


def address(rng: Random, country: int, number: int) -> str:
    """Any address of one of a country's networks."""
    network = country * 100 + number
    return f"{20 + network // 256}.{network % 256}.{rng.randrange(256)}.{rng.randrange(1, 255)}"


def locator(parameters: Parameters = ORDINARY) -> Callable[[str], Location | None]:
    """A location database that does not know every address and is off by some kilometres."""

    def locate(text: str) -> Location | None:
        first, second, third, last = (int(part) for part in text.split("."))
        if (third * 256 + last) % 1000 < parameters.unlocatable * 1000:
            return None
        code, latitude, longitude = COUNTRIES[((first - 20) * 256 + second) // 100]
        return Location(latitude + third % 10 / 10, longitude + last % 10 / 10, code, 100.0)

    return locate


def people(seed: int, parameters: Parameters = ORDINARY) -> list[Person]:
    """Everybody, with their events in order."""
    rng = Random(f"people {seed}")
    offices = [
        address(rng, rng.randrange(12), rng.choice(HOMES)) for _ in range(parameters.offices)
    ]
    weeks = rng.sample(range(parameters.days // 7), parameters.volatile_weeks)
    volatile = [START + DAY * 7 * week for week in weeks]
    return [
        _Life(Random(f"{seed} {number}"), parameters, offices, volatile).live(number)
        for number in range(parameters.people)
    ]


class _Life:
    """Draws one person's days."""

    def __init__(
        self, rng: Random, parameters: Parameters, offices: list[str], volatile: list[datetime]
    ) -> None:
        self.rng, self.p, self.offices, self.volatile = rng, parameters, offices, volatile
        self.begin = START - DAY * parameters.history_days
        self.end = START + DAY * parameters.days

    def live(self, number: int) -> Person:
        rng, p = self.rng, self.p
        self.who = Person(
            number, country := rng.randrange(12),
            worth=max(Decimal(500), Decimal(str(round(rng.lognormvariate(9.0, 1.2), 2)))),
            home=rng.choice(HOMES), carriers=rng.sample(CARRIERS, p.carrier_networks),
            office=rng.choice(self.offices) if rng.random() < p.shared_office else "",
            has_second_factor=rng.random() < p.second_factor,
        )  # fmt: skip
        self.here = {
            "home": address(rng, country, self.who.home),
            "mobile": address(rng, country, self.who.carriers[0]),
            "elsewhere": address(rng, country, rng.choice(HOMES)),
        }
        self.vpn = [address(rng, rng.randrange(12), rng.choice(HOSTS)) for _ in range(3)]
        self.uses_vpn = rng.random() < p.vpn
        self._use_the_app()
        self._use_a_key()
        self._lose_an_answer()
        self._trade()
        self._withdraw()
        self.who.events.sort(key=lambda event: event.at)
        return self.who

    # --- the app ------------------------------------------------------------------------------
    def _use_the_app(self) -> None:
        rng, p, who = self.rng, self.p, self.who
        who.devices = [f"{rng.choice(_PHONES)}"]
        if rng.random() < p.browser_too:
            who.devices.append(rng.choice(_BROWSERS))
        self.sessions: dict[str, tuple[str, datetime, datetime]] = {}
        self.counter = 0
        change = self._moment(START, self.end)
        borrowed = self._moment(START, self.end) if rng.random() < p.borrowed_computer else None
        self.trips = list(self._trips())
        news = sorted(self._new_addresses())
        rate = rng.uniform(*p.opens_a_day)
        for at in self._moments(rate):
            while news and news[0] <= at:
                news.pop(0)
                self._get_new_address()
            if self._in_the_air(at):
                continue
            if at >= change and len(who.devices) and not getattr(self, "changed", False):
                self.changed = True
                self._new_phone(at)
                continue
            if borrowed and at >= borrowed:
                borrowed = None
                self._sign_in(at, "web/Chrome (borrowed)", self._place(at))
                continue
            device = rng.choice(who.devices) if rng.random() < 0.4 else who.devices[0]
            self._open(at, device, self._place(at))

    def _new_addresses(self) -> Iterator[datetime]:
        for month in range((self.p.history_days + self.p.days) // 30):
            first = self.begin + DAY * 30 * month
            for _ in range(self.rng.randint(*self.p.new_addresses_a_month)):
                yield self._moment(first, first + DAY * 30)

    def _get_new_address(self) -> None:
        rng, p, who = self.rng, self.p, self.who
        drawn = rng.random()
        if drawn < p.new_at_home:
            self.here["home"] = address(rng, who.country, who.home)
        elif drawn < p.new_at_home + p.new_on_mobile:
            self.here["mobile"] = address(rng, who.country, rng.choice(who.carriers))
        else:
            self.here["elsewhere"] = address(rng, who.country, rng.choice(HOMES))

    def _trips(self) -> Iterator[tuple[datetime, datetime, int, str, str, float]]:
        """From, until, country, address of the hotel and of a mobile there, hours of travel."""
        rng, p = self.rng, self.p
        drawn, number = rng.random(), 0
        for number, share in p.trips:  # noqa: B007
            drawn -= share
            if drawn < 0:
                break
        for _ in range(number):
            begins = self._moment(START - DAY * 10, self.end - DAY * 4)
            country = rng.randrange(12) if rng.random() < p.abroad else self.who.country
            hours = 2.0
            if country != self.who.country:
                hours = p.airport_hours + self._kilometres(country) / p.air_kmh
            mobile = (
                self.here["mobile"] if rng.random() < p.roaming_at_home
                else address(rng, country, rng.choice(CARRIERS))
            )  # fmt: skip
            ends = begins + DAY * rng.randint(*p.trip_days)
            hotel = address(rng, country, rng.choice(HOMES))
            yield begins, ends, country, hotel, mobile, hours

    def _kilometres(self, country: int) -> float:
        from audit.detectors.places import distance_km

        one, other = COUNTRIES[self.who.country], COUNTRIES[country]
        return distance_km(Location(one[1], one[2]), Location(other[1], other[2]))

    def _in_the_air(self, at: datetime) -> bool:
        return any(
            moment <= at <= moment + timedelta(hours=hours)
            for begins, ends, *_, hours in self.trips
            for moment in (begins, ends)
        )

    def _place(self, at: datetime) -> str:
        rng = self.rng
        if self.uses_vpn and rng.random() < self.p.vpn_use:
            return rng.choice(self.vpn)
        for begins, ends, _, hotel, mobile, _ in self.trips:
            if begins <= at <= ends:
                return hotel if rng.random() < 0.5 else mobile
        drawn = rng.random()
        if self.who.office and 9 <= at.hour < 17 and drawn < 0.6:
            return self.who.office
        return self.here["home" if drawn < 0.55 else "mobile" if drawn < 0.9 else "elsewhere"]

    def _new_phone(self, at: datetime) -> None:
        rng, p, who = self.rng, self.p, self.who
        if rng.random() >= p.same_model_again:
            who.devices[0] = rng.choice([name for name in _PHONES if name != who.devices[0]])
        self.sessions.pop(who.devices[0], None)
        if rng.random() < p.phone_set_up_elsewhere:
            place = address(rng, who.country, rng.choice(HOMES))
        else:
            place = self.here[rng.choice(["home", "mobile"])]
        self._sign_in(at, who.devices[0], place, sensitive=2 * p.sensitive_after)

    def _open(self, at: datetime, device: str, place: str) -> None:
        p = self.p
        found = self.sessions.get(device)
        if (
            found is None
            or at - found[1] > DAY * p.session_days
            or at - found[2] > DAY * p.idle_days
            or self.rng.random() < p.log_out_a_month / 30
        ):  # fmt: skip
            self._sign_in(at, device, place)
            return
        self.sessions[device] = (found[0], found[1], at)
        self.who.events.append(Open(at, place, found[0]))

    def _sign_in(
        self, at: datetime, device: str, place: str, *, sensitive: float | None = None
    ) -> None:
        rng, p = self.rng, self.p
        self.counter += 1
        session_id = f"{self.who.number}-{self.counter}"
        failures, reset = 0, rng.random() < p.forgotten
        if reset:
            failures = rng.randint(4, 9)
        elif rng.random() < p.mistyped:
            failures = 1
            while rng.random() < 0.5:
                failures += 1
        self.sessions[device] = (session_id, at, at)
        acts = rng.random() < (p.sensitive_after if sensitive is None else sensitive)
        method = "second_factor" if self.who.has_second_factor else "password"
        self.who.events.append(
            In(at, place, device, session_id, method, failures, reset, sensitive=acts)
        )
        self.who.events.append(Open(at + timedelta(seconds=5), place, session_id))

    # --- keys ---------------------------------------------------------------------------------
    def _use_a_key(self) -> None:
        rng, p, who = self.rng, self.p, self.who
        who.has_key = rng.random() < p.api_key
        if not who.has_key:
            return
        drawn = rng.random()
        own = [event for event in who.events if isinstance(event, Open)]
        if drawn < p.key_travels:
            places = [(event.at + timedelta(minutes=20), event.address) for event in own]
        elif drawn < p.key_travels + p.key_at_home:
            homes = [event for event in own if self._is_home(event.address)]
            places = [(event.at + timedelta(minutes=20), event.address) for event in homes]
        else:
            server = address(rng, who.country, rng.choice(HOSTS))
            moves = self._moment(START, self.end) if rng.random() < p.server_moves else None
            other = address(rng, rng.randrange(12), rng.choice(HOSTS))
            days = [self.begin + DAY * number for number in range(p.history_days + p.days)]
            places = [(day, other if moves and day >= moves else server) for day in days]
        who.events += [KeyUsed(at, place) for at, place in places]

    def _is_home(self, text: str) -> bool:
        first, second = text.split(".")[:2]
        return (int(first) - 20) * 256 + int(second) == self.who.country * 100 + self.who.home

    def _lose_an_answer(self) -> None:
        if self.rng.random() >= self.p.lost_refresh:
            return
        opens = [e for e in self.who.events if isinstance(e, Open) and e.at >= START]
        if opens:
            lost = self.rng.choice(opens)
            self.who.events.append(
                Replayed(
                    lost.at + timedelta(seconds=30), lost.address, lost.address, lost.session_id
                )
            )

    # --- money --------------------------------------------------------------------------------
    def _trade(self) -> None:
        rng, p, who = self.rng, self.p, self.who
        drawn = rng.random()
        for share, per_month, size in p.traders:  # noqa: B007
            drawn -= share
            if drawn < 0:
                break
        known = set(who.assets)
        away = self._moment(START, self.end) if rng.random() < p.holiday else self.end
        for day in range(p.history_days + p.days):
            morning = self.begin + DAY * day
            wild = any(week <= morning < week + DAY * 7 for week in self.volatile)
            if away <= morning < away + DAY * 14:
                continue
            mean = per_month / 30 * (rng.uniform(*p.volatile_orders) if wild else 1)
            for _ in range(_poisson(rng, mean)):
                factor = rng.uniform(*p.volatile_sizes) if wild else 1
                share = min(0.9, rng.lognormvariate(_log(size), p.size_sigma) * factor)
                asset = rng.choice(sorted(known))
                if rng.random() < p.new_asset:
                    asset = rng.choice(ASSETS)
                    known.add(asset)
                self._order(morning, asset, share)
        who.assets = known
        if rng.random() < p.sells_nearly_all:
            total, number = rng.uniform(0.5, 0.95), rng.randint(5, 15)
            morning = rng.choice(self.volatile) + DAY * rng.randrange(7)
            for _ in range(number):
                self._order(morning, "USDT", total / number)
        if rng.random() < p.starts_a_bot:
            first = rng.randrange(p.days)
            for day in range(first, p.days):
                for _ in range(rng.randint(60, 150)):
                    self._order(START + DAY * day, rng.choice(sorted(known)), 0.002)
        who.orders.sort(key=lambda order: order.at)

    def _order(self, morning: datetime, asset: str, share: float) -> None:
        at = morning + timedelta(seconds=self.rng.randrange(86_400))
        self.who.orders.append(Order(at, asset, self.who.worth * Decimal(str(round(share, 6)))))

    def _withdraw(self) -> None:
        rng, p, who = self.rng, self.p, self.who
        own = [f"own-{who.number}-{number}" for number in range(rng.randint(1, 3))]
        rate = rng.uniform(*p.withdrawals_a_month) / 30
        for at in self._moments(rate):
            share = min(0.95, rng.lognormvariate(_log(p.withdrawal_share), p.withdrawal_sigma))
            fresh = rng.random() < p.fresh_address
            to = f"fresh-{who.number}-{at.timestamp()}" if fresh else rng.choice(own)
            self._withdrawal(at, to, share)
        if rng.random() < p.moves_to_new_wallet:
            at = self._moment(START, self.end)
            self._withdrawal(at, f"new-{who.number}", rng.uniform(0.6, 0.95))
        who.withdrawals.sort(key=lambda item: item.at)

    def _withdrawal(self, at: datetime, to: str, share: float) -> None:
        value = self.who.worth * Decimal(str(round(share, 6)))
        self.who.withdrawals.append(Withdrawal(at, to, value))

    # --- drawing ------------------------------------------------------------------------------
    def _moment(self, first: datetime, last: datetime) -> datetime:
        return first + (last - first) * self.rng.random()

    def _moments(self, per_day: float) -> list[datetime]:
        days = self.p.history_days + self.p.days
        number = _poisson(self.rng, per_day * days)
        return sorted(self._moment(self.begin, self.end) for _ in range(number))


def _log(value: float) -> float:
    import math

    return math.log(value)


def _poisson(rng: Random, mean: float) -> int:
    """Exponential waits until they exceed the mean."""
    count, waited = 0, rng.expovariate(1.0)
    while waited < mean:
        count += 1
        waited += rng.expovariate(1.0)
    return count


def attackers_address(rng: Random, victim: Person, parameters: Parameters = ORDINARY) -> str:
    """Through somebody's home in the victim's country, or from anywhere, often a hosted server."""
    if rng.random() < parameters.same_country:
        return address(rng, victim.country, rng.choice(HOMES))
    return address(rng, rng.randrange(12), rng.choice((*HOSTS, *HOMES)))


def attackers_device(rng: Random, victim: Person) -> str:
    """A kind of device that the victim never used."""
    used = {event.device for event in victim.events if isinstance(event, In)}
    pool = [*_ATTACKERS, *_BROWSERS, *_PHONES]
    return rng.choice([name for name in pool if name not in used])
