"""The Celery application with a Binance of spot wallets alone (`-A tests.benchmarks.spot_worker`).

What bounds a fleet then is the weight of the address, and no endpoint of its own.
"""

from dataclasses import replace

from exchanges.gateway.dialects import binance
from tracker.celery import app

__all__ = ["app"]
binance.DIALECT = replace(
    binance.DIALECT,
    wallets=tuple(
        wallet for wallet in binance.DIALECT.wallets if wallet.call.method == "privateGetAccount"
    ),
)
