"""Each detector by itself: tables of what is found, and what holds for any input."""

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.detectors import guessing, keys, places, signing_in, trading
from audit.detectors.findings import Kind
from audit.detectors.places import Location, Seen, nowhere
from audit.detectors.thresholds import BadThresholds, Thresholds

T = Thresholds()
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOME, AWAY = "203.0.113.7", "81.2.69.142"
BERLIN, SYDNEY = Location(52.5, 13.4, "DE"), Location(-33.9, 151.2, "AU")


def locate(address: str) -> Location | None:
    return {HOME: BERLIN, AWAY: SYDNEY}.get(address)


# --- places -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.7", "203.0.0.0/16"), ("2001:db8:1:2::", "2001:db8::/32")],
)
def test_the_network_of_an_address(address, network):
    assert places.network(address) == network


def test_the_distance_from_berlin_to_sydney():
    assert 15_900 < places.distance_km(BERLIN, SYDNEY) < 16_300
    assert places.distance_km(BERLIN, BERLIN) == 0


coordinates = st.builds(
    Location, latitude=st.floats(-90, 90), longitude=st.floats(-180, 180), country=st.just("")
)


@given(coordinates, coordinates)
def test_a_distance_is_the_same_both_ways_and_never_beyond_half_the_earth(one, other):
    there, back = places.distance_km(one, other), places.distance_km(other, one)
    assert abs(there - back) < 1e-6
    assert 0 <= there <= 20_040


def test_a_network_is_ones_own_after_some_days_or_right_now():
    def own(*days_ago: float) -> bool:
        seen = [Seen(NOW - timedelta(days=ago), HOME) for ago in days_ago]
        return places.network(HOME) in places.own_networks(seen, at=NOW, days=3)

    assert own(0.5)
    assert not own(2)
    assert not own(2, 2.01, 2.02)
    assert own(2, 3, 4)


# --- guessing -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("hour", "day", "second", "entered", "severity"),
    [
        (14, 29, 0, False, None), (15, 15, 0, False, "medium"), (0, 30, 0, False, "medium"),
        (3, 3, 3, False, "high"), (2, 2, 3, False, None), (20, 20, 0, True, "critical"),
    ],
)  # fmt: skip
def test_how_many_wrong_passwords_are_too_many(hour, day, second, entered, severity):
    found = guessing.AccountFailures(NOW, hour, day, second, second, ("a",), signed_in=entered)
    finding = guessing.password_guessing(found, T)
    assert (finding and finding.severity) == severity


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_more_failures_never_make_an_account_less_suspicious(hour, more, second):
    def found(number: int) -> bool:
        counted = guessing.AccountFailures(NOW, number, number, second, second)
        return guessing.password_guessing(counted, T) is not None

    assert found(hour + more) or not found(hour)


@pytest.mark.parametrize(
    ("failed", "entered", "found"),
    [(9, 0, False), (10, 0, True), (10, 5, True), (10, 6, False), (200, 1, True)],
)
def test_an_office_signs_in_as_well_and_a_thief_mostly_fails(failed, entered, found):
    counted = guessing.AddressFailures(HOME, NOW, failed, failed, entered, entered)
    assert (guessing.credential_stuffing(counted, T) is not None) == found


# --- signing in ---------------------------------------------------------------------------------
PAST = signing_in.Past(
    devices=frozenset({"phone"}),
    seen=tuple(Seen(NOW - timedelta(days=day, hours=2), HOME) for day in range(10)),
)


def judged(address=HOME, device="phone", method="password", where=nowhere, **past):
    sign_in = signing_in.SignIn(NOW, address, device, method, "s1")
    return signing_in.strange_sign_in(sign_in, dataclasses.replace(PAST, **past), T, where)


@pytest.mark.parametrize(
    ("given", "kind", "severity"),
    [
        ({}, None, None),
        ({"device": "new"}, None, None),
        ({"address": AWAY}, None, None),
        ({"address": AWAY, "device": "new"}, Kind.STRANGE_SIGN_IN, "medium"),
        ({"address": AWAY, "device": "new", "sensitive": ("x",), "failures_from_here": 5},
         Kind.STRANGE_SIGN_IN, "high"),
        ({"address": AWAY, "device": "new", "method": "passkey"}, None, None),
        ({"device": "new", "sensitive": ("x",), "failures_from_here": 9, "reset_at": NOW - HOUR},
         None, None),
        ({"address": AWAY, "sensitive": ("x",), "reset_at": NOW - HOUR / 2}, Kind.STRANGE_SIGN_IN,
         "medium"),
        ({"address": AWAY, "stuffing": True}, Kind.STRANGE_SIGN_IN, "medium"),
        ({"address": AWAY, "where": locate}, Kind.IMPOSSIBLE_JOURNEY, "medium"),
        ({"address": AWAY, "device": "new", "where": locate}, Kind.IMPOSSIBLE_JOURNEY, "high"),
        ({"address": AWAY, "device": "new", "devices": frozenset(), "seen": ()}, None, None),
    ],
)  # fmt: skip
def test_what_makes_a_sign_in_strange(given, kind, severity):
    finding = judged(**given)
    assert (finding and finding.kind, finding and finding.severity) == (kind, severity)


def test_who_had_the_time_to_fly_has_made_no_impossible_journey():
    flown = tuple(Seen(seen.at - 20 * HOUR, seen.address) for seen in PAST.seen)
    assert judged(address=AWAY, where=locate, seen=flown) is None


def test_who_jumps_all_the_time_uses_a_vpn():
    vpn = "198.51.100.1"

    def where(address: str) -> Location | None:
        return SYDNEY if address == vpn else locate(address)

    jumps = tuple(
        Seen(NOW - timedelta(hours=2, minutes=number), HOME if number % 2 else vpn)
        for number in range(T.journeys_before + 2)
    )
    assert judged(address=AWAY, where=where, seen=jumps + PAST.seen) is None


# --- keys ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("address", "last", "severity"),
    [(HOME, HOME, "low"), (HOME, "203.0.9.9", "medium"), (AWAY, HOME, "high"),
     (HOME, AWAY, "high"), (None, None, "high")],
)  # fmt: skip
def test_every_replay_is_found_and_less_grave_at_home(address, last, severity):
    known = places.networks([HOME])
    found = keys.session_replayed(keys.Replay(NOW, "s1", address, last, known))
    assert found.severity == severity


@pytest.mark.parametrize(
    ("before", "person", "found"),
    [((HOME,), (), True), ((), (), False), (("81.2.1.1",), (), False), ((HOME,), (AWAY,), False)],
)
def test_where_an_api_key_is_at_home(before, person, found):
    use = keys.KeyUse(NOW, "k", AWAY, before, places.networks(person))
    assert (keys.api_key_elsewhere(use) is not None) == found


@pytest.mark.parametrize(
    ("before", "after", "severity"),
    [
        (("read_only", True), ("read_only", True), None),
        (("read_only", None), ("trade", None), "high"),
        (("read_only", None), ("withdraw", None), "critical"),
        (("unverified", None), ("withdraw", None), "critical"),
        (("read_only", True), ("read_only", False), "high"),
        (("read_only", False), ("read_only", True), None),
        (("read_only", True), ("read_only", None), None),
        (("trade", None), ("read_only", None), None),
        (("read_only", None), ("unverified", None), None),
        (("read_only", None), ("something new", None), "critical"),
    ],
)
def test_a_key_that_may_do_more_is_found(before, after, severity):
    finding = keys.exchange_key_changed(keys.ExchangeKey(*before), keys.ExchangeKey(*after))
    assert (finding and finding.severity) == severity


# --- trading ------------------------------------------------------------------------------------
HABIT = trading.Habit(
    days=30, most_orders_a_day=5, most_traded_a_day=Decimal(1000),
    most_withdrawn_a_day=Decimal(500), assets=frozenset({"BTC"}), addresses=frozenset({"mine"}),
)  # fmt: skip
QUIET = trading.Day(NOW, 3, Decimal(500), (), (), Decimal(10_000))


def signs(**day):
    found = trading.judge(dataclasses.replace(QUIET, **day), HABIT, T)
    return [finding.evidence.get("signs", finding.kind) for finding in found]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ({}, []),
        ({"orders": 39}, []),
        ({"orders": 40}, [["frequency"]]),
        ({"traded": Decimal(13_999)}, []),
        ({"traded": Decimal(14_000)}, [["size"]]),
        ({"bought": (trading.Bought("SCAM", Decimal(4500)),)}, [["asset"]]),
        ({"bought": (trading.Bought("BTC", Decimal(9000)),)}, []),
        ({"bought": (trading.Bought("USDT", Decimal(9000)),)}, []),
        ({"withdrawn": (trading.Withdrawn("new", Decimal(4500)),)}, [Kind.UNEXPECTED_WITHDRAWAL]),
        ({"withdrawn": (trading.Withdrawn("new", Decimal(4400)),)}, []),
        ({"withdrawn": (trading.Withdrawn("mine", Decimal(9000)),)}, []),
        ({"withdrawn": tuple(trading.Withdrawn(to, Decimal(3000)) for to in "ab")},
         [Kind.UNEXPECTED_WITHDRAWAL]),
        ({"orders": 900, "worth": Decimal(199)}, []),
    ],
)  # fmt: skip
def test_what_is_unusual_about_a_day(day, expected):
    assert signs(**day) == expected


def test_without_a_history_nothing_is_unusual():
    busy = dataclasses.replace(QUIET, orders=1000)
    assert trading.judge(busy, dataclasses.replace(HABIT, days=13), T) == []
    assert trading.judge(busy, dataclasses.replace(HABIT, days=14), T) != []


money = st.decimals(min_value=0, max_value=10**9, places=2)


@given(money, money, money, st.integers(0, 10_000))
def test_any_day_can_be_judged_and_the_evidence_can_be_stored(traded, worth, value, orders):
    import json

    day = dataclasses.replace(
        QUIET, traded=traded, worth=worth, orders=orders,
        bought=(trading.Bought("X", value),), withdrawn=(trading.Withdrawn("y", value),),
    )  # fmt: skip
    for finding in trading.judge(day, HABIT, T):
        assert json.loads(json.dumps(dict(finding.evidence)))
        assert len(finding.kind) <= 48


# --- thresholds ---------------------------------------------------------------------------------
def test_thresholds_can_be_replaced_one_by_one():
    assert Thresholds.of({"journey_km": 100, "second_factor_points": -10}).journey_km == 100
    assert Thresholds.of({}) == T


@pytest.mark.parametrize(
    "bad", [{"x": 1}, {"alert_points": "1"}, {"alert_points": True}, {"alert_points": -1}]
)
def test_a_threshold_that_makes_no_sense_is_refused(bad):
    with pytest.raises(BadThresholds):
        Thresholds.of(bad)
