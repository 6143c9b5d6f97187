"""Running a sandbox from a command line, for `python -m` and for manage.py alike."""

import sys

from exchanges.sandbox import candles, config, server, state
from exchanges.sandbox.binance import exchange_info

SettingsError = (
    config.ConfigError,
    state.StateError,
    candles.MarketDataError,
    exchange_info.ExchangeInfoError,
    OSError,
)


def run(settings: config.Config) -> None:
    """Serve until stopped; one line on stdout says where. Raises one of SettingsError."""
    server.run_app(settings, listening=_announce)


def _announce(address: str) -> None:
    sys.stdout.write(f"Sandbox exchange listening on {address}\n")
    sys.stdout.flush()
