import orjson
import pytest

from tests import sandbox as sandboxes
from tests.exchange_fixtures import connect, exchange, priced, sandbox, visit

__all__ = ["connect", "exchange", "halted", "priced", "sandbox", "visit"]


@pytest.fixture
def halted(tmp_path, settings, exchange):
    """A sandbox in which LTC stopped trading 400 days ago, as `exchangeInfo` says."""
    entry = {
        "symbol": "LTCUSDT", "status": "BREAK", "baseAsset": "LTC", "quoteAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001"},
        ],
    }  # fmt: skip
    entries = [entry, entry | {"symbol": "LTCBTC", "quoteAsset": "BTC"}]
    listing = tmp_path / "exchangeInfo.json"
    listing.write_bytes(orjson.dumps({"symbols": entries}))
    with sandboxes.running(weight_limit=0, assets=2, trades=0, exchange_info=listing) as running:
        settings.EXCHANGE_BASE_URLS = {"binance": running.url}
        yield running
