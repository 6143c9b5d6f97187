"""Both sides of the detectors on the simulated population: they leave ordinary people in peace, and
find the attacks.

Of the seeds 1 to 40, two (31, 36) have one person in a hundred with a second alert; in the other
38 nobody has. docs/operations.md has the figures.
"""

from functools import cache

import pytest

from audit.detectors.places import nowhere
from audit.detectors.thresholds import Thresholds
from tests.audit import population, simulate
from tests.audit.population import EVENTFUL, ORDINARY, Person

SEEDS = (1, 2, 3)
THRESHOLDS = Thresholds()


@cache
def people(seed: int, parameters: population.Parameters = ORDINARY) -> list[Person]:
    return population.people(seed, parameters)


def alerts_per_person(seed: int, parameters: population.Parameters = ORDINARY) -> list[int]:
    locate = population.locator(parameters)
    return [
        len(simulate.alerts_of(person, THRESHOLDS, locate)) for person in people(seed, parameters)
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_an_ordinary_person_gets_at_most_one_alert_in_90_days(seed):
    counts = alerts_per_person(seed)
    assert len(counts) == 100
    assert max(counts) <= 1
    assert sum(counts) <= 12


def test_in_the_worst_of_forty_seeds_one_person_in_a_hundred_gets_a_second_one():
    counts = alerts_per_person(31)
    assert sum(count > 1 for count in counts) <= 1
    assert max(counts) <= 2


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_without_a_location_database_ordinary_people_are_left_in_peace_as_well(seed):
    found = [simulate.alerts_of(person, THRESHOLDS, nowhere) for person in people(seed)]
    assert max(map(len, found)) <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_no_address_that_people_share_is_taken_for_an_attackers(seed):
    assert simulate.alerts_of_addresses(people(seed), THRESHOLDS) == []


@pytest.mark.parametrize("attack", simulate.ATTACKS)
@pytest.mark.parametrize("seed", SEEDS)
def test_at_least_95_of_100_attacks_of_each_kind_are_found(seed, attack):
    assert simulate.found_of(attack, people(seed), seed, THRESHOLDS) >= 95


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_rare_things_that_look_like_an_attack_raise_few_alerts(seed):
    """A new wallet, a bot, a server that moved: an alert is right, and seldom a second."""
    counts = alerts_per_person(seed, EVENTFUL)
    assert sum(count > 1 for count in counts) <= 2
    assert sum(counts) <= 20


def test_the_population_is_as_it_is_described():
    """3 to 10 new addresses a month, a new phone each, trips, and trading in bursts."""
    everybody = people(SEEDS[0])
    phones = [
        {e.device for e in person.events if isinstance(e, population.In) and "/" in e.device}
        for person in everybody
    ]
    assert sum(len(devices) >= 2 for devices in phones) > 75
    addresses = [
        len({e.address for e in person.events if isinstance(e, population.Open)})
        for person in everybody
    ]
    assert 15 < sum(addresses) / len(addresses) < 60
    orders = sum(len(person.orders) for person in everybody)
    assert orders > 5_000
    assert people(SEEDS[0])[3].orders == population.people(SEEDS[0])[3].orders


@pytest.mark.parametrize(
    ("weaker", "attack"),
    [
        ({"alert_points": 1000}, "use a stolen password"),
        ({"guesses_an_hour": 10_000, "guesses_a_day": 10_000}, "guess a password"),
        ({"withdrawal_share": 50.0}, "withdraw it"),
    ],
)
def test_the_simulation_notices_detectors_that_sleep(weaker, attack):
    thresholds = Thresholds.of(weaker)
    assert simulate.found_of(attack, people(SEEDS[0]), SEEDS[0], thresholds) < 95
