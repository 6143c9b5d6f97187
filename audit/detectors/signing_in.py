"""A sign-in that does not look like its person: several signs together, never one alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from audit.detectors.findings import Finding, Kind
from audit.detectors.places import Locate, Seen, network, own_networks, speed_kmh
from audit.detectors.thresholds import Thresholds

STRONG_METHODS = ("second_factor", "totp", "passkey", "recovery_code")
RESET_BEFORE = timedelta(hours=1)
JOURNEY_WITHIN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a sign-in tells about itself. ``device`` names its kind, without versions."""

    at: datetime
    address: str
    device: str
    method: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Past:
    """What was known of the person just before: 90 days, without this session itself."""

    devices: frozenset[str]
    seen: tuple[Seen, ...]
    failures_from_here: int = 0  # wrong passwords from this address within the hour
    stuffing: bool = False  # this address failed on many accounts
    reset_at: datetime | None = None
    sensitive: tuple[str, ...] = ()  # what was done with this session within the hour after


def strange_sign_in(
    sign_in: SignIn, past: Past, thresholds: Thresholds, locate: Locate
) -> Finding | None:
    """Adds up what is strange. The first sign-in of all has nothing to be compared with."""
    if not past.devices and not past.seen:
        return None
    journey = _impossible_journey(sign_in, past, thresholds, locate)
    signs = dict(_signs(sign_in, past, thresholds))
    if journey:
        signs["impossible_journey"] = thresholds.journey_points
    points = sum(signs.values())
    if points < thresholds.alert_points:
        return None
    return Finding(
        Kind.IMPOSSIBLE_JOURNEY if journey else Kind.STRANGE_SIGN_IN,
        "high" if points >= thresholds.high_points else "medium",
        {
            "address": sign_in.address, "device": sign_in.device, "method": sign_in.method,
            "at": sign_in.at.isoformat(), "signs": sorted(signs), "points": points,
            "session_id": sign_in.session_id, **journey,
        },
        dedupe=sign_in.session_id,
    )  # fmt: skip


def _signs(sign_in: SignIn, past: Past, thresholds: Thresholds) -> Iterator[tuple[str, int]]:
    if sign_in.device not in past.devices:
        yield "new_device", thresholds.new_device_points
    if past.stuffing:
        yield "address_tried_many_accounts", thresholds.stuffing_points
    if sign_in.method in STRONG_METHODS:
        yield "second_factor", thresholds.second_factor_points
    own = own_networks(past.seen, at=sign_in.at, days=thresholds.familiar_days)
    if network(sign_in.address) in own:
        return  # what follows happens to everybody at home
    yield "unfamiliar_network", thresholds.new_network_points
    if past.failures_from_here >= thresholds.failures_before:
        yield "failures_before", thresholds.failures_points
    if past.reset_at and sign_in.at - past.reset_at <= RESET_BEFORE:
        yield "password_reset_before", thresholds.reset_points
    if past.sensitive:
        yield "sensitive_act_after", thresholds.sensitive_points


def _impossible_journey(
    sign_in: SignIn, past: Past, thresholds: Thresholds, locate: Locate
) -> dict[str, object]:
    """How the person would have had to travel, if nobody can; empty otherwise.

    A network that they used before is left out, and so is who travels like this again and again:
    a VPN goes out anywhere, and a phone abroad goes out at home.
    """
    here = network(sign_in.address)
    recent = [
        seen for seen in past.seen
        if sign_in.at - seen.at <= JOURNEY_WITHIN and locate(seen.address)
    ]  # fmt: skip
    if not recent or any(network(seen.address) == here for seen in past.seen):
        return {}
    last = max(recent, key=lambda seen: seen.at)
    travelled = _jump(last, Seen(sign_in.at, sign_in.address), thresholds, locate)
    if travelled is None or _jumps(past, thresholds, locate) >= thresholds.journeys_before:
        return {}
    distance, speed = travelled
    return {
        "last_address": last.address,
        "last_at": last.at.isoformat(),
        "distance_km": round(distance),
        "speed_kmh": round(speed),
    }


def _jump(
    before: Seen, after: Seen, thresholds: Thresholds, locate: Locate
) -> tuple[float, float] | None:
    """Distance and speed of what nobody can travel; None when it can be, or nobody knows."""
    travelled = speed_kmh(before, after, locate)
    if travelled is None:
        return None
    far = travelled[0] >= thresholds.journey_km and travelled[1] >= thresholds.journey_kmh
    return travelled if far else None


def _jumps(past: Past, thresholds: Thresholds, locate: Locate) -> int:
    """How often the person was in two such places before."""
    order = sorted(past.seen, key=lambda seen: seen.at)
    return sum(
        one.address != two.address and _jump(one, two, thresholds, locate) is not None
        for one, two in pairwise(order)
    )
