"""Crypto.com Exchange's answers in their full shapes: staked coins, windows of a day, rewards."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from exchanges import gateway
from exchanges.gateway import errors
from exchanges.reports import (
    AccountReport,
    Balance,
    Covered,
    Credential,
    Privileges,
    Trade,
    Transfer,
)
from tests.exchanges.gateway.conftest import NOW
from tests.exchanges.gateway.ledger import net
from tests.exchanges.gateway.replay import ReplayServer, Status

D = Decimal
Replay = Callable[..., AccountReport]
KEY = Credential("key-of-the-test", "secret-of-the-test")
V1 = "/exchange/v1"
DAY = timedelta(days=1)
POSITION: dict[str, Any] = {
    "quantity": "0.00016915", "reserved_qty": "0.0001", "collateral_amount": "18.55145541",
    "haircut": "0.0625", "collateral_eligible": True, "market_value": "19.78821911",
    "max_withdrawal_balance": "0.00016915", "instrument_name": "BTC", "hourly_interest_rate": "0",
}  # fmt: skip
FILL: dict[str, Any] = {
    "account_id": "REDACTED", "event_date": "2026-01-04", "journal_type": "TRADING", "side": "BUY",
    "instrument_name": "SOL_USD", "fees": "-0.00025", "trade_id": "6242909981674131791",
    "trade_match_id": "4311686018497604499", "create_time": 1767500000063,
    "traded_price": "199.17", "traded_quantity": "0.050", "fee_instrument_name": "SOL",
    "client_oid": "REDACTED", "taker_side": "TAKER", "order_id": "6142909939312653446",
    "match_count": 1, "create_time_ns": "1767500000063684632",
    "transact_time_ns": "1767500000063937846",
}  # fmt: skip
DEPOSIT: dict[str, Any] = {
    "currency": "USDC", "fee": 0, "create_time": 1755883811000, "id": "8626791",
    "update_time": 1755884808000, "amount": 100, "address": "REDACTED", "status": "1",
    "txid": "0xa6fc2f/27",
}  # fmt: skip
WITHDRAWAL: dict[str, Any] = {
    "currency": "USDT", "client_wid": "my_withdrawal_002", "fee": 1.0,
    "create_time": 1607063412000, "id": "2220", "update_time": 1607063460000,
    "amount": 25.123456789, "address": "REDACTED", "status": "5", "txid": "0xfeed",
    "network_id": None,
}  # fmt: skip


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def result(**found: Any) -> dict[str, Any]:
    return {"id": 1, "method": "private/any", "code": 0, "result": found}


def between(
    rows: list[Any], field: str, since: str, until: str, limit: int
) -> Callable[[Any], list[Any]]:
    def found(params: dict[str, str]) -> list[Any]:
        first, last = int(params[since]), int(params[until])
        return [row for row in rows if first <= int(row[field]) <= last][:limit]

    return found


@pytest.fixture
def replay(server: ReplayServer, read: Callable[..., AccountReport]) -> Replay:
    def run(
        positions: Any = (), fills: Any = (), deposits: Any = (), withdrawals: Any = (),
        rewards: Any = (), stakes: Any = (), converts: Any = (), **visit: Any,
    ) -> AccountReport:  # fmt: skip
        trades = between(list(fills), "create_time", "start_time", "end_time", 100)
        came = between(list(deposits), "create_time", "start_ts", "end_ts", 200)
        went = between(list(withdrawals), "create_time", "start_ts", "end_ts", 200)
        account = {
            "total_available_balance": "98.7", "total_cash_balance": "99.9",
            "instrument_name": "USD", "position_balances": list(positions), "credit_limits": [],
        }  # fmt: skip
        answers = {
            "user-balance": result(data=[account]),
            "get-trades": lambda p: result(data=trades(p)),
            "get-deposit-history": lambda p: result(deposit_list=came(p)),
            "get-withdrawal-history": lambda p: result(withdrawal_list=went(p)),
            "staking/get-reward-history": result(data=list(rewards)),
            "staking/get-stake-history": result(data=list(stakes)),
            "staking/get-convert-history": result(data=list(converts)),
        }
        server.answers |= {f"{V1}/private/{name}": answer for name, answer in answers.items()}
        recent = {("trades", ""): Covered("trades", "", NOW - 9 * DAY, NOW - 5 * DAY)}
        return read("cryptocom", **{"known": recent, **visit})

    return run


def test_staked_coins_lie_in_earn(replay: Replay) -> None:
    staked = POSITION | {"instrument_name": "SOL.staked", "quantity": "12.000000000000000001"}
    dollars = POSITION | {"instrument_name": "USD_Stable_Coin".upper(), "quantity": "80.1508"}
    none = POSITION | {"instrument_name": "CRO", "quantity": "0"}
    report = replay(positions=[POSITION, staked, dollars, none])
    assert set(report.balances) == {
        Balance("spot", "BTC", D("0.00016915")),
        Balance("earn", "SOL", D("12.000000000000000001")),
        Balance("spot", "USDC", D("80.1508")),
    }
    assert report.failures == ()


def test_an_empty_account_is_read_to_its_end(replay: Replay) -> None:
    report = replay()
    assert (report.balances, report.wallets) == ((), {"spot", "earn"})


def test_a_result_leaves_out_what_it_has_none_of(replay: Replay, server: ReplayServer) -> None:
    replay()
    for name in ("get-trades", "get-deposit-history", "get-withdrawal-history"):
        server.answers[f"{V1}/private/{name}"] = result()
    report = replay_again(server)
    assert (report.facts, report.failures) == ((), ())


def test_an_unreadable_row_leaves_the_wallet_unknown(replay: Replay) -> None:
    report = replay(positions=[POSITION, POSITION | {"quantity": "x"}, {"reserved_qty": "1"}])
    assert report.wallets == frozenset()
    assert [f.scope for f in report.failures] == ["spot"]
    assert len(report.quarantined) == 2


def test_fees_of_fills_are_below_zero_and_rebates_above(replay: Replay) -> None:
    third = FILL | {"trade_id": "2", "fees": "-0.1", "fee_instrument_name": "CRO", "side": "SELL"}
    rebate = FILL | {"trade_id": "3", "fees": "0.002", "fee_instrument_name": "USD"}
    free = FILL | {"trade_id": "4", "fees": "", "fee_instrument_name": ""}
    future = FILL | {"trade_id": "5", "instrument_name": "SOLUSD-PERP"}
    report = replay(fills=[FILL, third, rebate, free, future])
    fills = {f.exchange_id: f for f in report.facts if isinstance(f, Trade)}
    first = fills["6242909981674131791"]
    assert (first.symbol, first.side, first.base_quantity, first.quote_quantity) == (
        "SOL/USD", "buy", D("0.050"), D("9.95850"),
    )  # fmt: skip
    assert first.occurred_at == datetime(2026, 1, 4, 4, 13, 20, 63000, tzinfo=UTC)
    assert {name: (f.fee_code, f.fee_quantity) for name, f in fills.items()} == {
        "6242909981674131791": ("SOL", D("0.00025")), "2": ("CRO", D("0.1")),
        "3": ("USD", D("-0.002")), "4": (None, None),
    }  # fmt: skip
    assert fills["2"].side == "sell"


def test_fills_come_in_days_and_each_once(replay: Replay, server: ReplayServer) -> None:
    edges = [FILL | {"trade_id": str(n), "create_time": ms(NOW - n * DAY)} for n in range(5)]
    many = [FILL | {"trade_id": f"m{n}", "create_time": ms(NOW) - 999 - n} for n in range(450)]
    report = replay(fills=edges + many)
    assert len(report.facts) == 455
    asked = server.of(f"{V1}/private/get-trades")
    assert all(int(p["end_time"]) - int(p["start_time"]) <= 86_400_000 for p in asked)
    assert report.quarantined == ()


def test_what_was_read_stands_when_time_runs_out(replay: Replay, server: ReplayServer) -> None:
    """Years of days take more than one visit; the next one goes on where this one ended."""

    def until_told_to_stop(params: dict[str, str]) -> Any:
        late = int(params["start_time"]) > ms(NOW - 3 * DAY)
        return Status(429, {"code": 42901, "message": "SLOW"}) if late else result(data=[])

    replay()
    server.answers[f"{V1}/private/get-trades"] = until_told_to_stop
    report = replay_again(server)
    (covered,) = (c for c in report.covered if c.feed == "trades")
    assert covered.until >= NOW - 4 * DAY
    assert [(f.feed, f.code) for f in report.failures] == [("trades", "exchange_rate_limited")]


def replay_again(server: ReplayServer) -> AccountReport:
    """The same answers as they stand now."""
    from uuid import uuid4

    from exchanges.reports import Visit

    known = {("trades", ""): Covered("trades", "", NOW - 9 * DAY, NOW - 5 * DAY)}
    visit = Visit(uuid4(), "cryptocom", KEY, NOW, known, {}, frozenset(), everything=True)
    (report,) = gateway.visit_accounts([visit], deadline_seconds=60)
    assert isinstance(report, AccountReport)
    return report


def test_transfers_are_net_with_the_fee_on_top(replay: Replay) -> None:
    report = replay(
        deposits=[DEPOSIT] + [
            DEPOSIT | {"id": number, "status": status}
            for number, status in (("2", "0"), ("3", "2"), ("4", "9"))
        ],
        withdrawals=[WITHDRAWAL] + [
            WITHDRAWAL | {"id": number, "status": status, "txid": txid}
            for number, status, txid in (("5", "1", ""), ("6", "3", "0xfeed"), ("7", "6", "0xfeed"))
        ],
    )  # fmt: skip
    moves = {f.exchange_id: f for f in report.facts if isinstance(f, Transfer)}
    assert {name: move.settled for name, move in moves.items()} == {
        "8626791": True, "2": False, "2220": True, "5": False, "6": True,
    }  # fmt: skip
    came, sent = moves["8626791"], moves["2220"]
    assert (came.code, came.quantity, came.txid) == ("USDC", D(100), "0xa6fc2f")
    assert (sent.quantity, sent.fee_code, sent.fee_quantity) == (D("25.123456789"), "USDT", D(1))
    assert [kept.reason for kept in report.quarantined] == ["status is unknown"]


def test_rewards_stakes_and_conversions(replay: Replay) -> None:
    when = str(ms(NOW - DAY))
    report = replay(
        rewards=[{"staking_inst_name": "SOL.staked", "underlying_inst_name": "SOL",
                  "reward_inst_name": "SOL.staked", "reward_quantity": "0.123456789",
                  "staked_balance": "12", "event_timestamp_ms": when},
                 {"staking_inst_name": "DYDX.staked", "underlying_inst_name": "DYDX",
                  "reward_inst_name": "USDC", "reward_quantity": "2", "staked_balance": "9",
                  "event_timestamp_ms": when}],
        stakes=[{"staking_id": "1", "instrument_name": "SOL.staked", "status": "COMPLETED",
                 "account": "x", "quantity": "10", "side": "STAKE", "create_timestamp_ms": when},
                {"staking_id": "2", "instrument_name": "SOL.staked", "status": "COMPLETED",
                 "quantity": "3", "side": "UNSTAKE", "create_timestamp_ms": when},
                {"staking_id": "3", "instrument_name": "SOL.staked", "status": "REJECTED",
                 "quantity": "7", "side": "STAKE", "create_timestamp_ms": when}],
        converts=[{"from_instrument_name": "ETH.staked", "to_instrument_name": "CDCETH",
                   "expected_rate": "1.0203", "from_quantity": "3", "to_quantity": "2.9",
                   "slippage_tolerance_bps": "3", "actual_rate": "1.0203", "convert_id": "1",
                   "status": "COMPLETED", "create_timestamp_ms": when}],
    )  # fmt: skip
    assert net(report.facts) == {
        ("earn", "SOL"): D("7.123456789"), ("spot", "SOL"): D(-7), ("spot", "USDC"): D(2),
        ("earn", "ETH"): D(-3), ("spot", "CDCETH"): D("2.9"),
    }  # fmt: skip


def test_an_account_without_staking_is_complete(replay: Replay, server: ReplayServer) -> None:
    replay()
    for name in ("get-reward-history", "get-stake-history", "get-convert-history"):
        refused = Status(401, {"code": 10005, "message": "PERMISSION"})
        server.answers[f"{V1}/private/staking/{name}"] = refused
    assert replay_again(server).failures == ()


def test_what_a_key_may_do_is_not_told(server: ReplayServer) -> None:
    server.answers[f"{V1}/private/user-balance"] = result(data=[])
    assert gateway.check_key("cryptocom", KEY) is Privileges.UNVERIFIED


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        (40101, 401, errors.WrongKey), (10002, 401, errors.WrongKey),
        (40103, 401, errors.AddressNotAllowed), (10003, 401, errors.AddressNotAllowed),
        (40102, 400, errors.WrongClock), (10007, 400, errors.WrongClock),
        (42901, 429, errors.RateLimited), (9010001, 503, errors.OnMaintenance),
        (40801, 408, errors.TimedOut), (40004, 400, errors.GatewayError),
    ],
)  # fmt: skip
def test_error_codes(
    server: ReplayServer, code: int, status: int, error: type[errors.GatewayError]
) -> None:
    body = {"id": 1, "method": "private/user-balance", "code": code, "message": "key-of-the-test"}
    server.answers[f"{V1}/private/user-balance"] = Status(status, body)
    with pytest.raises(errors.GatewayError) as caught:
        gateway.check_key("cryptocom", KEY)
    assert type(caught.value) is error
    assert "key-of-the-test" not in repr(caught.value)


INSTRUMENTS = result(data=[
    {"symbol": "BTC_USDT", "inst_type": "CCY_PAIR", "base_ccy": "BTC", "quote_ccy": "USDT"},
    {"symbol": "RUNEUSD-PERP", "inst_type": "PERPETUAL_SWAP", "base_ccy": "RUNE",
     "quote_ccy": "USD"},
])  # fmt: skip


def test_prices_of_spot_instruments(server: ReplayServer) -> None:
    row = {"i": "BTC_USDT", "h": "1", "l": "1", "a": "30446.00", "v": "1", "vv": "1", "c": "0.0583",
           "b": "30442.00", "k": "30447.66", "t": 1687403045415}  # fmt: skip
    rows = [row, row | {"i": "RUNEUSD-PERP"}, row | {"a": None}]
    server.answers |= {
        f"{V1}/public/get-instruments": INSTRUMENTS,
        f"{V1}/public/get-tickers": result(data=rows),
    }
    (found,) = gateway.fetch_tickers("cryptocom")
    assert (found.base_code, found.quote_code, found.last) == ("BTC", "USDT", D("30446.00"))


def test_candles(server: ReplayServer) -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)

    def candlestick(params: dict[str, str]) -> Any:
        assert (params["instrument_name"], params["timeframe"]) == ("BTC_USDT", "1D")
        first, end = int(params["start_ts"]) + 1, int(params["end_ts"])
        rows = [
            {"o": "1", "h": "2", "l": "0.5", "c": f"{n}.25", "v": "1", "t": n}
            for n in range(first, end, 86_400_000)
        ]
        return result(interval="1D", data=rows[: int(params["count"])])

    server.answers |= {
        f"{V1}/public/get-instruments": INSTRUMENTS,
        f"{V1}/public/get-candlestick": candlestick,
    }
    found = gateway.fetch_candles(
        "cryptocom", market="BTC_USDT", interval="1d", since=start, until=start + 700 * DAY
    )
    assert len(found) == 700
    assert (found[0].close, found[0].high, found[0].volume) == (D(f"{ms(start)}.25"), D(2), D(1))


def test_a_first_visit_reads_every_day_since_the_exchange_opened(
    replay: Replay, server: ReplayServer
) -> None:
    old = FILL | {"create_time": ms(datetime(2019, 12, 1, tzinfo=UTC))}
    report = replay(fills=[old, FILL | {"trade_id": "2"}], known={})
    assert len(report.facts) == 2
    (covered,) = (c for c in report.covered if c.feed == "trades")
    assert (covered.since, covered.until) == (datetime(2019, 11, 1, tzinfo=UTC), NOW)


def test_fills_are_asked_for_since_the_account_was_opened(
    replay: Replay, server: ReplayServer
) -> None:
    opened = NOW - 40 * DAY
    master = {"uuid": "a1", "enabled": True, "name": "x", "create_time": ms(opened)}
    server.answers[f"{V1}/private/get-accounts"] = result(
        master_account=master, sub_account_list=[]
    )
    report = replay(fills=[FILL], known={})
    assert len(report.facts) == 1
    (covered,) = (c for c in report.covered if c.feed == "trades")
    assert covered.since == opened - DAY
    assert len(server.of(f"{V1}/private/get-trades")) == 41
