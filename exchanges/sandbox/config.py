"""Settings of a sandbox exchange, and their command-line flags."""

import argparse
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DEFAULT_WEIGHT_LIMIT = 6000


class ConfigError(Exception):
    """Settings that cannot be used together; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How to run a sandbox; port 0 takes a free one, a weight limit of 0 means none.

    `anchor` is the instant in milliseconds at which the drawn histories end; None means the
    state file's, or the start of the current hour.
    """

    host: str = "127.0.0.1"
    port: int = 8010
    seed: int = 1
    accounts: int = 50
    assets: int = 12
    trades: int = 120
    days: int = 730
    anchor: int | None = None
    market_data: Path | None = None
    exchange_info: Path | None = None
    weight_limit: int = DEFAULT_WEIGHT_LIMIT
    state: Path | None = None
    allow_remote: bool = False

    def check(self) -> None:
        """Raise ConfigError where the settings cannot work."""
        if not self.allow_remote and not _is_loopback(self.host):
            raise ConfigError(f"{self.host} is not a loopback address; say --allow-remote if meant")
        for name, least in (("accounts", 1), ("assets", 2), ("trades", 0), ("days", 10)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be {least} or more")
        if self.weight_limit < 0:
            raise ConfigError("weight limit must be 0 or more")

    def flags(self) -> list[str]:
        """The command line that makes these settings."""
        words = []
        for name in _VALUES:
            value = getattr(self, name)
            if value is not None:
                words += [_flag(name), str(value)]
        if self.anchor is not None:
            moment = datetime.fromtimestamp(self.anchor / 1000, UTC)
            words += ["--anchor", moment.isoformat()]
        return [*words, "--allow-remote"] if self.allow_remote else words


_VALUES = {
    "host": (str, "address to listen on"),
    "port": (int, "port to listen on; 0 takes a free one"),
    "seed": (int, "what all accounts, keys and prices are drawn from"),
    "accounts": (int, "how many accounts there are"),
    "assets": (int, "assets in each account"),
    "trades": (int, "trades in each account"),
    "days": (int, "length of the history before the anchor"),
    "market_data": (Path, "folder of recorded candles, as BTC-USD-1d.csv"),
    "exchange_info": (Path, "file with Binance's list of symbols"),
    "weight_limit": (int, "request weight per minute and address; 0 is unlimited"),
    "state": (Path, "file that remembers the anchor and added facts"),
}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Teach a parser the flags, with the defaults of Config."""
    defaults = Config()
    for name, (kind, meaning) in _VALUES.items():
        parser.add_argument(_flag(name), type=kind, help=meaning, default=getattr(defaults, name))
    parser.add_argument("--anchor", type=_instant, help="ISO instant at which histories end")
    parser.add_argument("--allow-remote", action="store_true", help="listen beyond this machine")


def from_options(options: dict[str, object]) -> Config:
    """The settings that parsed flags mean; others among the options are left alone."""
    names = (*_VALUES, "anchor", "allow_remote")
    return Config(**{name: options[name] for name in names})  # type: ignore[arg-type]


def parsed(words: Sequence[str] | None = None) -> Config:
    """The settings of a command line; of this process's own if none is given."""
    parser = argparse.ArgumentParser(prog="python -m exchanges.sandbox")
    add_arguments(parser)
    return from_options(vars(parser.parse_args(words)))


def _instant(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1000


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
