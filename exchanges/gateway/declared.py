"""What a dialect declares, for those who look at it from outside: its feeds and its pools."""

from collections.abc import Iterator

from exchanges.gateway.budget import Pool
from exchanges.gateway.dialects import table
from exchanges.gateway.dialects.base import Call, Dialect
from exchanges.gateway.errors import UnknownExchange
from exchanges.reports import FeedDescription


def feeds(exchange: str) -> list[FeedDescription]:
    """The feeds of an exchange in order. Raises UnknownExchange."""
    return [
        FeedDescription(feed.name, feed.launched, feed.horizon, feed.scoped)
        for feed in table.dialect(exchange).feeds
    ]


def pools(exchange: str) -> list[Pool]:
    """Every pool that calls of an exchange draw from, but those of single accounts; none for an
    exchange that ccxt has dropped."""
    try:
        calls = _calls(table.dialect(exchange))
    except UnknownExchange:
        return []
    found = {call.pool.name: call.pool for call in calls if not call.per_account}
    return [found[name] for name in sorted(found)]


def _calls(dialect: Dialect) -> Iterator[Call]:
    yield from (dialect.markets_call, dialect.tickers_call)
    for wallet in dialect.wallets:
        yield from (call for call in (wallet.call, wallet.otherwise) if call)
    yield from (feed.call for feed in dialect.feeds)
    if dialect.key_check:
        yield dialect.key_check.call
    if dialect.candles:
        yield dialect.candles.call
