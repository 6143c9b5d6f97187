"""Networks and places: where an address belongs, and how far it is from another."""

import ipaddress
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

EARTH_KM = 6371.0
BESIDE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Location:
    """Where a location database puts an address; it may be off by ``within_km``."""

    latitude: float
    longitude: float
    country: str = ""
    within_km: float = 50.0


@dataclass(frozen=True, slots=True)
class Seen:
    """That a person was at an address at an instant."""

    at: datetime
    address: str


Locate = Callable[[str], Location | None]


def nowhere(address: str) -> None:
    """The location of any address where no database is configured."""


@lru_cache(maxsize=16_384)
def network(address: str) -> str:
    """The larger network of an address: /16 of IPv4, /32 of IPv6, as providers are given them.

    An address of the same network is most often the same provider's in the same region.
    """
    parsed = ipaddress.ip_address(address)
    length = 16 if parsed.version == 4 else 32
    return str(ipaddress.ip_network((parsed, length), strict=False))


def networks(addresses: Iterable[str]) -> frozenset[str]:
    """The networks of some addresses."""
    return frozenset(network(address) for address in addresses)


def own_networks(seen: Sequence[Seen], *, at: datetime, days: int) -> frozenset[str]:
    """Where a person is at home: in a network on so many days, or in one within the last day.

    A café of last month is not home; but a new phone is set up beside the old one, and a computer
    travels with a phone.
    """
    found: dict[str, set[date]] = {}
    for item in seen:
        found.setdefault(network(item.address), set()).add(item.at.date())
    often = {name for name, when in found.items() if len(when) >= days}
    return frozenset(often) | networks(item.address for item in seen if at - item.at <= BESIDE)


def distance_km(one: Location, other: Location) -> float:
    """Along the surface of the earth."""
    lat1, lat2 = math.radians(one.latitude), math.radians(other.latitude)
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * (
        math.sin(math.radians(other.longitude - one.longitude) / 2) ** 2
    )
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, half)))


def speed_kmh(before: Seen, after: Seen, locate: Locate) -> tuple[float, float] | None:
    """Distance and the speed that it takes, both at least; None when a place is not known."""
    one, other = locate(before.address), locate(after.address)
    if one is None or other is None:
        return None
    distance = max(0.0, distance_km(one, other) - one.within_km - other.within_km)
    hours = max((after.at - before.at).total_seconds() / 3600, 1 / 60)
    return distance, distance / hours
