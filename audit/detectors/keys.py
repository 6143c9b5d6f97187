"""Tokens and keys in the wrong hands: spent refresh tokens, API keys, keys of exchanges."""

from dataclasses import dataclass
from datetime import datetime

from audit.detectors.findings import Finding, Kind, Severity
from audit.detectors.places import network, networks


@dataclass(frozen=True, slots=True)
class Replay:
    """A spent refresh token that came back, which ended its session."""

    at: datetime
    session_id: str
    address: str | None
    last_used_from: str | None  # the session, by whoever held its successor
    known: frozenset[str]  # networks of the person's other sessions


@dataclass(frozen=True, slots=True)
class KeyUse:
    """An API key used from an address from which it was not used before."""

    at: datetime
    key_id: str
    address: str
    before: tuple[str, ...]  # addresses from which this key was used
    person: frozenset[str]  # the person's own networks, as `places.own_networks` says


@dataclass(frozen=True, slots=True)
class ExchangeKey:
    """What an exchange says about a key. None where it does not tell."""

    privileges: str
    address_restricted: bool | None = None


def session_replayed(found: Replay) -> Finding:
    """Every replay is an alert: two had the same token. It is less grave at home."""
    places = {address for address in (found.address, found.last_used_from) if address}
    at_home = bool(places) and networks(places) <= found.known
    one_place = len(places) == 1
    return Finding(
        Kind.SESSION_REPLAYED,
        "low" if at_home and one_place else "medium" if at_home else "high",
        {
            "session_id": found.session_id,
            "address": found.address,
            "session_last_used_from": found.last_used_from,
            "addresses_known": at_home,
            "at": found.at.isoformat(),
        },
        dedupe=found.session_id,
    )


def api_key_elsewhere(use: KeyUse) -> Finding | None:
    """A key used from a network in which neither it nor its owner was seen.

    A key on a computer that travels goes where its owner's other devices go.
    """
    here = network(use.address)
    before = networks(use.before)
    if not before or here in before or here in use.person:
        return None
    return Finding(
        Kind.API_KEY_ELSEWHERE,
        "high",
        {
            "api_key_id": use.key_id,
            "address": use.address,
            "networks_before": len(before),
            "at": use.at.isoformat(),
        },
        dedupe=f"{use.key_id}:{here}",
    )


_POWER = {"read_only": 0, "unverified": 0, "trade": 1, "withdraw": 2}


def exchange_key_changed(before: ExchangeKey, after: ExchangeKey) -> Finding | None:
    """A key that may do more than when it was given, or from anywhere.

    Less power is the person's own good work and only logged.
    """
    more = _POWER.get(after.privileges, 2) > _POWER.get(before.privileges, 0)
    opened = before.address_restricted is True and after.address_restricted is False
    if not more and not opened:
        return None
    severity: Severity = "critical" if more and after.privileges != "trade" else "high"
    return Finding(
        Kind.EXCHANGE_KEY_CHANGED,
        severity,
        {
            "privileges_before": before.privileges,
            "privileges_now": after.privileges,
            "address_restriction_removed": opened,
        },
        dedupe=f"{after.privileges}:{'open' if opened else 'same'}",
    )
