"""The newest price of each asset in Redis, for who watches: written and told in one step.

A tick is a ``Quote``. One script decides for each whether it is news, writes it, and publishes
those that are, so that streamers of several exchanges, or two of one, write over each other by the
same rules as in PostgreSQL: never back in time, and a preferred exchange gives way only after an
hour of its silence. After that hour a tick is forgotten.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import redis

from exchanges.prices import Quote, freeze, thaw
from tracker import live

LIFETIME_SECONDS = 3600
_KEY = "live:price:{}"
_COUNTS = "live:ticks"  # by exchange; the script below writes it

_OFFER = """
local news = {}
for i = 1, #KEYS do
  local as_of, exchange, payload = ARGV[i * 3 + 1], ARGV[i * 3 + 2], ARGV[i * 3 + 3]
  local held = redis.call('GET', KEYS[i])
  local is_news = true
  if held then
    local held_as_of, held_exchange, held_payload = string.match(held, '^(%d+) (%S+) (.*)$')
    if tonumber(held_as_of) > tonumber(as_of) or held_payload == payload then is_news = false end
    if string.find(ARGV[3], ' ' .. held_exchange .. ' ', 1, true) then is_news = false end
  end
  if is_news then
    redis.call('SET', KEYS[i], as_of .. ' ' .. exchange .. ' ' .. payload, 'EX', ARGV[2])
    news[#news + 1] = payload
  end
end
if #news > 0 then
  redis.call('PUBLISH', ARGV[1], '[' .. table.concat(news, ',') .. ']')
  redis.call('HINCRBY', 'live:ticks', ARGV[5], #news)
end
return #news
"""


def channel() -> str:
    """Where ticks are told: each message is a JSON list of quotes."""
    return live.channel("prices")


def offer(
    client: redis.Redis, quotes: Sequence[Quote], *, exchange: str, preferred: Iterable[str]
) -> int:
    """Write and publish those quotes of an exchange that are news; returns how many were.

    ``preferred`` are the exchanges whose ticks stay while they live. Raises redis.RedisError.
    """
    arguments: list[Any] = [channel(), LIFETIME_SECONDS, f" {' '.join(preferred)} "]
    for quote in quotes:
        arguments += [_microseconds(quote.as_of), exchange, orjson.dumps(freeze(quote))]
    keys = [_KEY.format(quote.asset_id) for quote in quotes]
    return int(client.register_script(_OFFER)(keys=keys, args=arguments)) if keys else 0


def counts(client: redis.Redis) -> dict[str, int]:
    """How many ticks of each exchange were news since Redis began. Raises redis.RedisError."""
    found: Any = client.hgetall(_COUNTS)
    return {exchange.decode(): int(count) for exchange, count in found.items()}


def keys_of(asset_ids: Iterable[UUID]) -> list[str]:
    """Where the newest ticks of some assets are."""
    return [_KEY.format(asset_id) for asset_id in asset_ids]


def read(held: bytes) -> Quote:
    """The tick behind one of those keys."""
    return thaw(orjson.loads(held.split(b" ", 2)[2]))


def read_message(message: bytes) -> list[Quote]:
    """The ticks of one message on the channel."""
    return [thaw(row) for row in orjson.loads(message)]


def _microseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1_000_000)
