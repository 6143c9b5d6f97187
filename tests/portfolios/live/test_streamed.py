"""From an exchange's stream to a listener, through all processes, while the exchange comes and
goes."""

import json
import urllib.request
from typing import Any

import pytest

from exchanges.models import Asset
from tests import processes
from tests import sandbox as sandboxes
from tests.exchange_fixtures import UNLIMITED
from tests.portfolios.live.listening import eventually, holding


@pytest.fixture
def moving():
    with sandboxes.running(weight_limit=0, accounts=1) as running:
        yield running


def pace(moving: sandboxes.Sandbox, **changes: Any) -> None:
    request = urllib.request.Request(  # noqa: S310  (loopback)
        f"{moving.url}/sandbox/stream", json.dumps(changes).encode(), method="POST"
    )
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


def test_values_go_stale_when_the_exchange_is_gone_and_move_again_when_it_is_back(
    listen, alice, moving
):
    asset = holding(alice, "BTC", 2)
    environment = {
        "EXCHANGE_BASE_URLS": json.dumps({"binance": moving.url}),
        "EXCHANGE_BUDGETS": json.dumps({"binance": UNLIMITED}),
    }
    arguments = ["stream_prices", "binance", "--first-wait", "0.1", "--longest-wait", "0.5"]
    with (
        processes.managed(*arguments, "--record", "0.5", **environment),
        processes.managed(*arguments, **environment),  # a second one does no harm
    ):
        eventually(lambda: Asset.objects.filter(code="ETH").exists(), "what it streams", seconds=90)
        listener = listen(alice)
        listener.subscribe("prices", assets=[str(asset.id)])
        listener.subscribe("portfolio")
        before = listener.price_of("BTC", status="complete")
        assert before["source"] == "binance: BTC/USDT, USDT pegged to USD"
        with moving.fault(path="/", kind="status", status=503):  # so that nothing can be polled
            pace(moving, refusing=True, close=True)
            stale = listener.price_of("BTC", status="stale")
            assert listener.worth(status="stale")
        pace(moving, refusing=False)
        after = listener.price_of("BTC", status="complete")
        assert after["price"] != stale["price"]
        assert after["as_of"] > stale["as_of"]
        assert listener.worth(status="complete")
