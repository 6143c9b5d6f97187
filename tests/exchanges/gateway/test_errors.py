"""Every way in which an exchange fails becomes one of our errors, with nothing of its text."""

from collections.abc import Callable
from typing import Any

import pytest

from exchanges import gateway
from exchanges.gateway import errors
from exchanges.reports import AccountReport, Credential, Privileges
from tests.exchanges.gateway.conftest import NOW
from tests.exchanges.gateway.replay import Hang, ReplayServer, Status

KEY = Credential("key-of-the-test", "secret-of-the-test")
RESTRICTIONS = "/sapi/v1/account/apiRestrictions"
CLOCK = {"/api/v3/time": {"serverTime": int(NOW.timestamp() * 1000)}}
READ_ONLY = {"enableReading": True, "enableWithdrawals": False, "enableSpotAndMarginTrading": False}


def check(server: ReplayServer, answer: Any, *, timeout: float = 10) -> Privileges:
    server.answers |= {**CLOCK, RESTRICTIONS: answer}
    return gateway.check_key("binance", KEY, timeout=timeout)


def binance_error(code: int, status: int = 400, **headers: str) -> Status:
    return Status(status, {"code": code, "msg": "no"}, headers)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (binance_error(-2014, 401), errors.WrongKey),
        (binance_error(-2015, 401), errors.WrongKey),
        (binance_error(-1022), errors.WrongKey),
        (binance_error(-1021), errors.WrongClock),
        (binance_error(-1002, 401), errors.MissingPermission),
        (binance_error(-1003, 429), errors.RateLimited),
        (binance_error(-1003, 418), errors.RateLimited),
        (Status(500, "boom"), errors.Unreachable),
        (Status(502, "<html>bad gateway</html>"), errors.Unreachable),
        (Status(503, "unavailable"), errors.Unreachable),
        (Status(504, "too late"), errors.TimedOut),
        (Status(401, "who?"), errors.WrongKey),
        (Status(404, "no such thing"), errors.GatewayError),
        ("<html>garbage</html>", errors.Malformed),
        ("[1, 2", errors.Malformed),
        ("", errors.Malformed),
        ([], errors.Malformed),
        (7, errors.Malformed),
    ],
)
def test_answers_become_our_errors(
    server: ReplayServer, answer: Any, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        check(server, answer)
    assert type(caught.value) is error
    assert caught.value.__context__ is None


def test_retry_after_is_passed_on(server: ReplayServer) -> None:
    limited = Status(429, {"code": -1003, "msg": "slow down"}, {"Retry-After": "17"})
    with pytest.raises(errors.RateLimited) as caught:
        check(server, limited)
    assert caught.value.retry_after == 17


def test_the_clock_is_measured_again_once(server: ReplayServer) -> None:
    answers = iter([binance_error(-1021), READ_ONLY])
    assert check(server, lambda _: next(answers)) is Privileges.READ_ONLY
    assert server.paths().count("/api/v3/time") == 2


def test_a_hanging_exchange_times_out(server: ReplayServer) -> None:
    with pytest.raises(errors.TimedOut):
        check(server, Hang, timeout=0.5)


def test_a_closed_port_is_unreachable(
    server: ReplayServer, gateway_settings: dict[str, str]
) -> None:
    gateway_settings["binance"] = "http://127.0.0.1:9"
    with pytest.raises(errors.Unreachable):
        gateway.check_key("binance", KEY, timeout=5)


@pytest.mark.parametrize(
    ("restrictions", "outcome"),
    [
        (READ_ONLY, Privileges.READ_ONLY),
        (READ_ONLY | {"enableWithdrawals": True}, errors.KeyTooPowerful),
        (READ_ONLY | {"enableSpotAndMarginTrading": True}, errors.KeyTooPowerful),
        (READ_ONLY | {"enableFutures": True}, errors.KeyTooPowerful),
        (READ_ONLY | {"enableReading": False}, errors.MissingPermission),
    ],
)
def test_what_a_binance_key_may_do(server: ReplayServer, restrictions: Any, outcome: Any) -> None:
    """S27"""
    if isinstance(outcome, Privileges):
        assert check(server, restrictions) is outcome
    else:
        with pytest.raises(outcome):
            check(server, restrictions)


@pytest.mark.parametrize(
    ("exchange", "path", "answer", "outcome"),
    [
        ("kraken", "/0/private/GetApiKeyInfo",
         {"error": [], "result": {"permissions": ["query-funds", "query-ledger"]}}, None),
        ("kraken", "/0/private/GetApiKeyInfo",
         {"error": [], "result": {"permissions": ["query-funds", "withdraw-funds"]}},
         errors.KeyTooPowerful),
        ("kraken", "/0/private/GetApiKeyInfo", {"error": ["EAPI:Invalid key"]}, errors.WrongKey),
        ("kraken", "/0/private/GetApiKeyInfo", {"error": ["EAPI:Invalid nonce"]},
         errors.WrongClock),
        ("kraken", "/0/private/GetApiKeyInfo", {"error": ["EGeneral:Permission denied"]},
         errors.MissingPermission),
        ("coinbase", "/api/v3/brokerage/key_permissions",
         {"can_view": True, "can_trade": False, "can_transfer": False}, None),
        ("coinbase", "/api/v3/brokerage/key_permissions",
         {"can_view": True, "can_trade": True, "can_transfer": False}, errors.KeyTooPowerful),
        ("okx", "/api/v5/account/config", {"code": "0", "data": [{"perm": "read_only"}]}, None),
        ("okx", "/api/v5/account/config", {"code": "0", "data": [{"perm": "read_only,trade"}]},
         errors.KeyTooPowerful),
        ("bybit", "/v5/user/query-api", {"retCode": 0, "result": {"readOnly": 1}}, None),
        ("bybit", "/v5/user/query-api",
         {"retCode": 0, "result": {"readOnly": 0, "permissions": {"Wallet": ["Withdraw"]}}},
         errors.KeyTooPowerful),
    ],
)  # fmt: skip
def test_what_other_keys_may_do(
    server: ReplayServer, exchange: str, path: str, answer: Any, outcome: Any
) -> None:
    """S27"""
    server.answers |= {path: answer}
    credential = Credential("key", "c2VjcmV0LW9mLXRoZS10ZXN0", "passphrase")
    if outcome is None:
        assert gateway.check_key(exchange, credential, timeout=10) is Privileges.READ_ONLY
    else:
        with pytest.raises(outcome):
            gateway.check_key(exchange, credential, timeout=10)


def test_where_nothing_is_told_a_balance_proves_that_the_key_reads(server: ReplayServer) -> None:
    server.answers["/api/v2/account_balances/"] = []
    assert gateway.check_key("bitstamp", KEY, timeout=10) is Privileges.UNVERIFIED
    assert server.paths() == ["/api/v2/account_balances/"]


def test_an_unknown_exchange_is_said_to_be_unknown() -> None:
    with pytest.raises(errors.UnknownExchange):
        gateway.check_key("mtgox", KEY, timeout=10)


# --- visits --------------------------------------------------------------------------------------


def spot(**quantities: str) -> dict[str, Any]:
    return {"balances": [{"asset": a, "free": q, "locked": "0"} for a, q in quantities.items()]}


@pytest.fixture
def account(server: ReplayServer) -> ReplayServer:
    """A Binance account with nothing but a spot and a funding balance."""
    listed = {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT"}
    server.answers |= {
        **CLOCK,
        "/api/v3/exchangeInfo": {"symbols": [listed]},
        "/api/v3/account": spot(BTC="1"),
        "/sapi/v1/asset/get-funding-asset": [{"asset": "USDT", "free": "1"}],
        "/sapi/v1/simple-earn/flexible/position": {"rows": [], "total": 0},
        "/sapi/v1/simple-earn/locked/position": {"rows": [], "total": 0},
    }
    return server


def test_a_failing_wallet_is_missing_and_the_others_are_there(
    account: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    account.answers["/sapi/v1/asset/get-funding-asset"] = Status(500, "boom")
    report = read(everything=False, held={("spot", "BTC"): 1})
    assert report.wallets == {"spot"}
    (failure,) = report.failures
    assert (failure.scope, failure.code, failure.permanent) == (
        "funding",
        "exchange_unreachable",
        False,
    )


def test_a_garbage_wallet_is_kept_and_not_believed(
    account: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    """S39"""
    account.answers["/api/v3/account"] = spot(BTC="1", ETH="one")
    report = read(everything=False, held={("funding", "USDT"): 1})
    assert report.wallets == {"funding"}
    (kept,) = report.quarantined
    assert (kept.scope, kept.reason) == ("spot", "free is not a number")


def test_a_wrong_key_ends_the_visit(
    account: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    account.answers["/api/v3/account"] = binance_error(-2015, 401)
    with pytest.raises(errors.WrongKey):
        read()
    assert "/sapi/v1/asset/get-funding-asset" not in account.paths()


def test_one_failing_feed_leaves_the_others_and_its_coverage(
    account: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    account.answers |= {
        "/sapi/v1/capital/deposit/hisrec": Status(400, {"code": -1100, "msg": "no"}),
        "/sapi/v1/capital/withdraw/history": [],
    }
    report = read(held={})
    codes = {failure.feed: failure.code for failure in report.failures}
    assert codes["deposits"] == "exchange_answer_malformed"
    covered = {c.feed for c in report.covered}
    assert "withdrawals" in covered
    assert "deposits" not in covered


def test_a_ban_ends_all_asking(
    account: ReplayServer, read: Callable[..., AccountReport], gateway_settings: Any
) -> None:
    account.answers["/sapi/v1/capital/deposit/hisrec"] = Status(418, "banned", {"Retry-After": "1"})
    report = read()
    assert account.paths()[-1] == "/sapi/v1/capital/deposit/hisrec"
    assert {failure.code for failure in report.failures} == {"exchange_rate_limited"}
    assert report.complete_history is False


def test_a_page_of_garbage_is_quarantined(
    account: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    """S39"""
    account.answers["/api/v3/myTrades"] = {"unexpected": "shape", "signature": "canary"}
    report = read()
    (kept,) = (q for q in report.quarantined if q.feed == "trades")
    assert kept.scope == "BTCUSDT"
    assert "canary" not in kept.payload
    assert "unexpected" in kept.payload


def test_a_delisted_symbol_is_noted_and_rests(
    account: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    account.answers["/api/v3/myTrades"] = binance_error(-1121)
    report = read()
    (failure,) = (f for f in report.failures if f.feed == "trades")
    assert (failure.scope, failure.code) == ("BTCUSDT", "exchange_symbol_unknown")
    known = {(c.feed, c.scope): c for c in report.covered}
    account.calls.clear()
    again = read(known=known)
    assert "/api/v3/myTrades" not in account.paths()
    assert not [f for f in again.failures if f.feed == "trades"]


def test_thirty_digits_and_unknown_coins_survive(
    account: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    digits = "123456789012.123456789012345678"
    account.answers["/api/v3/account"] = (
        f'{{"balances": [{{"asset": "NOBODYKNOWS", "free": {digits}, "locked": "0"}}]}}'
    )
    report = read(everything=False)
    (balance,) = (b for b in report.balances if b.wallet == "spot")
    assert (balance.code, str(balance.quantity)) == ("NOBODYKNOWS", digits)


def test_a_pending_transfer_holds_its_coverage_back(
    account: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    at = int(NOW.timestamp() * 1000) - 7_200_000
    row = {"id": "d1", "amount": "1", "coin": "BTC", "status": 0, "insertTime": at, "txId": ""}
    account.answers["/sapi/v1/capital/deposit/hisrec"] = lambda p: (
        [row] if int(p["startTime"]) <= at <= int(p["endTime"]) else []
    )
    report = read()
    (covered,) = (c for c in report.covered if c.feed == "deposits")
    assert int(covered.until.timestamp() * 1000) == at
    (fact,) = report.facts
    assert fact.settled is False  # type: ignore[union-attr]


def test_one_account_never_touches_another(
    account: ReplayServer, visit: Callable[..., Any]
) -> None:
    calls = iter(range(100))
    account.answers["/api/v3/account"] = lambda _: (
        binance_error(-2015, 401) if next(calls) % 2 else spot(BTC="1")
    )
    visits = [visit(everything=False, held={("spot", "BTC"): 1}) for _ in range(10)]
    results = list(gateway.visit_accounts(iter(visits), concurrency=1, deadline_seconds=60))
    failed = [r for r in results if isinstance(r, tuple)]
    assert len(results) == 10
    assert len(failed) == 5
    assert {type(error) for _, error in failed} == {errors.WrongKey}


def test_a_deadline_yields_what_was_read(account: ReplayServer, visit: Callable[..., Any]) -> None:
    account.answers["/sapi/v1/capital/deposit/hisrec"] = Hang
    (report,) = gateway.visit_accounts([visit()], deadline_seconds=1)
    assert isinstance(report, AccountReport)
    assert report.wallets >= {"spot", "funding"}
    assert {f.code for f in report.failures} == {"exchange_timeout"}
