"""Which formats there are, and which of them a file is in. Pure."""

from collections.abc import Sequence

from portfolios.importing.formats import (
    binance_statement,
    coinbase,
    cointracking,
    koinly,
    kraken_ledgers,
    own,
)
from portfolios.importing.reading import Format

# The most particular first: the first one whose columns are all there is taken.
FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        binance_statement.FORMAT, kraken_ledgers.FORMAT, coinbase.FORMAT, cointracking.FORMAT,
        koinly.FORMAT, own.FORMAT,
    )
}  # fmt: skip


def detect(header: Sequence[str]) -> Format | None:
    """The format of a header, or none when it fits no format whole."""
    for format in FORMATS.values():
        if format.fits(header):
            return format
    return None
