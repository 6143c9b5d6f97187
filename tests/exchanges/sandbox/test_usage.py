"""What was used of what is allowed, by address; and Kraken's call counters."""

import http.client
from urllib.parse import urlsplit

import pytest

from exchanges.sandbox import config, limits, testing, usage
from tests.exchanges.sandbox import callers, krakens

NOON = 1_760_000_400_000 // usage.MINUTE * usage.MINUTE
MINUTE = usage.MINUTE
PRICES, ALL_PRICES_WEIGHT = "/api/v3/ticker/price", 4


@pytest.fixture(scope="module")
def limited():
    with testing.start(config.Config(accounts=3, trades=60)) as process:
        yield process


@pytest.fixture(autouse=True)
def usual(request):
    """Every test begins with the usual limits and no violation."""
    if "limited" in request.fixturenames:
        process = request.getfixturevalue("limited")
        addresses = callers.control(process, "GET", "limits").json["addresses"]
        usual = {"weight": 6000, "tier": "intermediate", "addresses": dict.fromkeys(addresses)}
        callers.control(process, "POST", "limits", usual)
        callers.control(process, "DELETE", "violations")


def ask(process, address: str, path: str = PRICES) -> tuple[int, dict[str, str]]:
    """Status and headers of a GET from one of this machine's addresses."""
    at = urlsplit(process.url)
    connection = http.client.HTTPConnection(at.hostname, at.port, source_address=(address, 0))
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status, dict(answer.getheaders())
    finally:
        connection.close()


def told(process, minutes: int = 30):
    return callers.control(process, "GET", f"limits?minutes={minutes}").json


# --- counting -----------------------------------------------------------------------------------


def test_weights_of_the_last_minutes_are_told_apart():
    used = usage.Usage()
    for minute, weight in ((0, 10), (0, 20), (2, 5), (3, 40)):
        used.note(
            subject="127.0.0.1", pool="api", weight=weight, limit=100, now=NOON + minute * MINUTE
        )
    found = used.told(minutes=4, now=NOON + 3 * MINUTE)["127.0.0.1"]["api"]
    assert found["used_per_minute"] == [30, 0, 5, 40]
    assert (found["used"], found["most_in_a_minute"], found["part_used"]) == (75, 40, 0.1875)
    assert used.told(minutes=1, now=NOON + 3 * MINUTE)["127.0.0.1"]["api"]["used"] == 40
    assert used.told(minutes=1, now=NOON + 9 * MINUTE) == {}


def test_half_an_hour_is_remembered_and_no_more():
    used = usage.Usage()
    for minute in range(100):
        used.note(subject="a", pool="api", weight=1, limit=0, now=NOON + minute * MINUTE)
    found = used.told(minutes=usage.KEPT_MINUTES, now=NOON + 99 * MINUTE)["a"]["api"]
    assert found["used_per_minute"] == [1] * 30
    assert (found["limit_per_minute"], found["part_used"]) == (None, None)
    assert len(used._minutes) == usage.KEPT_MINUTES


# --- addresses ----------------------------------------------------------------------------------


def test_every_address_has_a_budget_of_its_own(limited):
    callers.control(limited, "POST", "limits", {"addresses": {"127.0.0.2": 3, "127.0.0.3": 100}})
    statuses = {
        address: [ask(limited, address)[0] for _ in range(4)]
        for address in ("127.0.0.2", "127.0.0.3", "127.0.0.4")
    }

    assert statuses["127.0.0.2"] == [429] * 4
    assert statuses["127.0.0.3"] == statuses["127.0.0.4"] == [200] * 4
    found = told(limited)
    assert found["addresses"] == {"127.0.0.2": 3, "127.0.0.3": 100}
    for address, limit in (("127.0.0.2", 3), ("127.0.0.3", 100), ("127.0.0.4", 6000)):
        row = found["used"][address]["api"]
        assert (row["used"], row["limit_per_minute"]) == (4 * ALL_PRICES_WEIGHT, limit)
        assert sum(row["used_per_minute"]) == row["used"]
        assert row["part_used"] == pytest.approx(row["used"] / limit / 30, abs=1e-6)
    assert set(found["violations"]) == {"127.0.0.2"}
    assert found["violations"]["127.0.0.2"]["over_limit"] >= 1


def test_the_weight_of_all_can_be_set_and_lifted(limited):
    callers.control(limited, "POST", "limits", {"weight": 3})
    status, headers = ask(limited, "127.0.0.5")
    assert status == 429
    assert int(headers["Retry-After"]) <= 60
    info = callers.send("GET", f"{limited.url}/api/v3/exchangeInfo?symbol=BTCUSDT")
    assert info.status == 429
    callers.control(limited, "POST", "limits", {"weight": 0})
    assert [ask(limited, "127.0.0.5")[0] for _ in range(3)] == [200] * 3
    assert told(limited)["used"]["127.0.0.5"]["api"]["limit_per_minute"] is None


@pytest.mark.parametrize(
    "unreadable",
    [
        {"weight": -1},
        {"weight": "much"},
        {"addresses": []},
        {"addresses": {"a": True}},
        {"x": 1},
        {"tier": "vip"},
    ],
)
def test_unreadable_limits_are_refused(limited, unreadable):
    before = told(limited)["weight"]
    assert callers.control(limited, "POST", "limits", unreadable).status == 400
    assert told(limited)["weight"] == before


@pytest.mark.parametrize("minutes", ["0", "31", "many"])
def test_no_more_than_half_an_hour_can_be_asked_for(limited, minutes):
    assert callers.control(limited, "GET", f"limits?minutes={minutes}").status == 400


# --- Kraken's counters --------------------------------------------------------------------------


def charge(counter: limits.CallCounter, now: int, weight: float = 2) -> limits.Verdict:
    return counter.charge(subject="key", weight=weight, most=15, per_second=0.33, now=now)


def test_a_counter_fills_up_and_falls_with_time():
    counter = limits.CallCounter()
    assert [charge(counter, NOON).status for _ in range(8)] == [200] * 7 + [429]
    refused = charge(counter, NOON + 3_000)
    assert (refused.status, refused.carried_on, refused.retry_after) == (429, True, 1)
    assert charge(counter, NOON + 3_100).status == 200
    assert charge(counter, NOON + 60_000).status == 200


def test_who_carries_on_is_locked_out_for_a_quarter_of_an_hour():
    counter = limits.CallCounter()
    verdicts = [charge(counter, NOON, weight=16) for _ in range(limits.TOLERATED + 1)]
    assert [verdict.status for verdict in verdicts] == [429] * limits.TOLERATED + [418]
    assert verdicts[-1].retry_after == 900
    assert charge(counter, NOON + 899_000, weight=1).status == 418
    assert charge(counter, NOON + 900_000, weight=1).status == 200


def test_a_key_of_kraken_is_told_to_slow_down_and_others_are_not(limited):
    callers.control(limited, "POST", "limits", {"tier": "starter"})
    answers = [krakens.signed(limited, "Ledgers", account=1).json["error"] for _ in range(11)]
    assert answers[:7] == [[]] * 7
    assert ["EAPI:Rate limit exceeded"] in answers
    assert krakens.signed(limited, "Ledgers", account=2).json["error"] == []
    found = told(limited)
    (row,) = found["used"]["kraken key read 1"].values()
    assert row["used"] == 22
    assert row["limit_per_minute"] == pytest.approx(19.8)
    assert found["violations"]["127.0.0.1"]["over_limit"] >= 1


def test_public_calls_of_kraken_are_counted_by_address(limited):
    answers = [krakens.public(limited, "Time")["error"] for _ in range(60)]
    assert answers[:30] == [[]] * 30
    assert ["EAPI:Rate limit exceeded"] in answers
    assert "kraken public" in told(limited)["used"]["127.0.0.1"]
