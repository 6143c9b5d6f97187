"""The calls of a visit: all of a short one, both ends of a long one, and nothing secret."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from exchanges import gateway
from exchanges.gateway import timeline
from exchanges.gateway.timeline import CallLog, count_rows
from exchanges.reports import AccountReport, Asked, Credential, Visit
from tests.exchanges.gateway.conftest import NOW
from tests.exchanges.gateway.replay import ReplayServer, Status


def call(number: int) -> Asked:
    return Asked(number, "method", 1, "ip", 0, 0, 200, 0, "")


@pytest.mark.parametrize("calls", [0, 1, 100, 101, 300, 301, 5000])
def test_a_log_is_bounded_and_counts_what_it_left_out(calls: int) -> None:
    log = CallLog()
    for number in range(calls):
        log.note(call(number))
    kept = log.timeline()
    numbers = [asked.at for asked in (*kept.first, *kept.last)]
    assert len(numbers) + kept.left_out == calls
    assert len(numbers) == min(calls, timeline.FIRST + timeline.LAST)
    ends = [*range(min(calls, 100)), *range(max(100, calls - 200), calls)]
    assert numbers == ends


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([1, 2], 2), ({"rows": [1, 2, 3], "total": 9}, 3), ({"result": {"list": [1]}}, 1),
        ({"code": 0}, -1), ("text", -1), (None, -1), ({"data": {}}, -1),
    ],
)  # fmt: skip
def test_rows_of_an_answer(answer: Any, expected: int) -> None:
    assert count_rows(answer) == expected


def test_a_visit_says_what_it_asked(
    server: ReplayServer, read: Callable[..., AccountReport]
) -> None:
    server.answers |= {
        "/api/v3/exchangeInfo": {"symbols": []},
        "/api/v3/account": {"balances": []},
        "/sapi/v1/capital/deposit/hisrec": Status(400, {"code": -1100, "msg": "no"}),
    }
    told = {asked.method: asked for asked in read().timeline.first}
    assert told["privateGetAccount"].status == 200
    assert (told["privateGetAccount"].pool, told["privateGetAccount"].rows) == ("ip", 0)
    failed = told["sapiGetCapitalDepositHisrec"]
    assert (failed.status, failed.code) == (400, "exchange_answer_malformed")
    assert all(asked.waited >= 0 and asked.took >= 0 for asked in told.values())


def test_a_visit_that_failed_says_what_it_asked(server: ReplayServer) -> None:
    server.answers |= {
        "/api/v3/exchangeInfo": {"symbols": []},
        "/api/v3/account": Status(401, {"code": -2015, "msg": "no"}),
    }
    key = Credential("key-of-the-test", "secret-of-the-test")
    visit = Visit(uuid4(), "binance", key, NOW, {}, {}, frozenset(), everything=True)
    (result,) = gateway.visit_accounts([visit], deadline_seconds=10)
    assert isinstance(result, tuple)
    last = result[1].timeline.first[-1]
    assert (last.method, last.status, last.code) == (
        "privateGetAccount", 401, "exchange_key_rejected",
    )  # fmt: skip
