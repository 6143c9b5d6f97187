"""Weights, 429 and 418."""

import asyncio

import ccxt
import pytest

from exchanges.sandbox import config, limits, testing
from tests.exchanges.sandbox import callers

MINUTE = limits.MINUTE
NOON = 1_760_000_400_000 // MINUTE * MINUTE


def charge(limiter: limits.Limiter, now: int, **changes) -> limits.Verdict:
    request = {"pool": "api", "subject": "127.0.0.1", "weight": 20, "limit": 40} | changes
    return limiter.charge(now=now, **request)


def test_weights_add_up_within_a_minute_and_start_again_with_the_next():
    limiter = limits.Limiter()
    used = [charge(limiter, NOON + second * 1000).used for second in (0, 10, 59, 60)]
    assert used == [20, 40, 60, 20]


def test_over_the_limit_means_waiting_for_the_next_minute():
    limiter = limits.Limiter()
    charge(limiter, NOON)
    charge(limiter, NOON)
    refused = charge(limiter, NOON + 18_500)
    assert (refused.status, refused.retry_after, refused.carried_on) == (429, 42, False)
    assert charge(limiter, NOON + MINUTE).status == 200


def test_pools_and_subjects_are_counted_apart():
    limiter = limits.Limiter()
    charge(limiter, NOON, weight=40)
    assert charge(limiter, NOON, pool="/sapi/v1/asset/transfer").status == 200
    assert charge(limiter, NOON, subject="127.0.0.2").status == 200
    assert charge(limiter, NOON).status == 429


def test_no_limit_counts_only():
    limiter = limits.Limiter()
    verdicts = [charge(limiter, NOON, limit=0) for _ in range(100)]
    assert {verdict.status for verdict in verdicts} == {200}
    assert verdicts[-1].used == 2000


def carry_on_until_banned(limiter: limits.Limiter, now: int) -> limits.Verdict:
    while (verdict := charge(limiter, now, weight=41)).status != 418:
        pass
    return verdict


def test_carrying_on_is_a_ban_that_doubles():
    limiter, now, lengths = limits.Limiter(), NOON, []
    for _ in range(3):
        verdict = carry_on_until_banned(limiter, now)
        lengths.append(verdict.retry_after)
        now += verdict.retry_after * 1000
    assert lengths == [120, 240, 480]


def test_bans_end_at_three_days():
    limiter, now = limits.Limiter(), NOON
    for _ in range(20):
        verdict = carry_on_until_banned(limiter, now)
        now += verdict.retry_after * 1000
    assert verdict.retry_after == 3 * 24 * 3600


def test_a_ban_ends():
    limiter = limits.Limiter()
    verdict = carry_on_until_banned(limiter, NOON)
    end = NOON + verdict.retry_after * 1000
    assert limiter.ban(subject="127.0.0.1", now=end - 1)
    assert limiter.ban(subject="127.0.0.1", now=end) is None
    assert limiter.ban(subject="127.0.0.2", now=NOON) is None


def test_a_stop_that_is_heeded_is_forgotten():
    limiter = limits.Limiter()
    for minute in range(2 * limits.TOLERATED):
        now = NOON + minute * MINUTE
        assert charge(limiter, now).status == 200
        assert charge(limiter, now, weight=41).status == 429


@pytest.fixture
def narrow():
    """A sandbox in which any request for an account is too much."""
    with testing.start(config.Config(accounts=2, trades=10, weight_limit=19)) as process:
        yield process


def test_ccxt_sees_429_then_418(narrow):
    async def fetch():
        async with callers.binance(narrow) as exchange:
            return await exchange.private_get_account()

    # ccxt 4.5 calls both DDoSProtection; RateLimitExceeded is what other exchanges raise.
    for status in (429, 418):
        with pytest.raises((ccxt.DDoSProtection, ccxt.RateLimitExceeded), match=str(status)):
            asyncio.run(fetch())
        for _ in range(limits.TOLERATED):
            answer = callers.signed(narrow, "/api/v3/account")
    assert answer.status == 418
    assert 0 < int(answer.headers["Retry-After"]) <= 120
    assert callers.signed(narrow, "/api/v3/account").json["code"] == -1003
    counts = callers.control(narrow, "GET", "violations").json["by_kind"]
    assert counts["over_limit"] == 1
    assert counts["over_limit_after_429"] == limits.TOLERATED - 1
    assert counts["request_during_ban"] > 0


def test_headers_tell_the_weight_used(sandbox):
    answer = callers.signed(sandbox, "/api/v3/account")
    assert int(answer.headers["X-MBX-USED-WEIGHT-1M"]) >= 20
    answer = callers.signed(sandbox, "/sapi/v1/simple-earn/locked/position")
    assert int(answer.headers["X-SAPI-USED-IP-WEIGHT-1M"]) >= 150
    answer = callers.signed(sandbox, "/sapi/v1/capital/withdraw/history")
    assert int(answer.headers["X-SAPI-USED-UID-WEIGHT-1M"]) >= 18_000


def test_statistics_count_requests_and_weight():
    with testing.start(config.Config(accounts=1, trades=10)) as process:
        callers.signed(process, "/api/v3/account")
        callers.signed(process, "/api/v3/myTrades", {"symbol": "BTCUSDT"})
        found = callers.control(process, "GET", "stats").json
    assert found["requests"] == {"/api/v3/account": 1, "/api/v3/myTrades": 1}
    assert found["total_weight"] == 40
