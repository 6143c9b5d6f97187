"""Where addresses are, from the MaxMind database that ``GEOIP_PATH`` names; nowhere without one."""

from functools import cache
from typing import Any

from django.conf import settings

from audit.detectors.places import Locate, Location, nowhere
from tracker.logs import get_logger

log = get_logger(__name__)


def locator() -> Locate:
    """What tells places apart, by the settings of the moment."""
    if not settings.GEOIP_PATH:
        return nowhere
    reader = _reader(settings.GEOIP_PATH)
    return nowhere if reader is None else reading(reader)


def reading(reader: Any) -> Locate:
    """Places as a reader of the database knows them."""

    def locate(address: str) -> Location | None:
        try:
            found = reader.get(address)
        except ValueError:
            return None
        place = found.get("location", {}) if isinstance(found, dict) else {}
        if "latitude" not in place or "longitude" not in place:
            return None
        return Location(
            float(place["latitude"]), float(place["longitude"]),
            country=str(found.get("country", {}).get("iso_code", "")),
            within_km=float(place.get("accuracy_radius", 100)),
        )  # fmt: skip

    return locate


@cache
def _reader(path: str) -> Any:
    """One reader per process. A file that cannot be read switches journeys off, and says so."""
    import maxminddb

    try:
        return maxminddb.open_database(path)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        log.error("geoip.unreadable", error=type(error).__name__)
        return None
