"""Wrong passwords: many on one account, or one address that fails on many accounts."""

from dataclasses import dataclass
from datetime import datetime

from audit.detectors.findings import Finding, Kind
from audit.detectors.thresholds import Thresholds


@dataclass(frozen=True, slots=True)
class AccountFailures:
    """Failed attempts on one account, counted up to ``until``."""

    until: datetime
    passwords_hour: int
    passwords_day: int
    second_factors_hour: int = 0
    second_factors_day: int = 0
    addresses: tuple[str, ...] = ()
    signed_in: bool = False  # from one of these addresses, after they had failed


@dataclass(frozen=True, slots=True)
class AddressFailures:
    """On how many accounts one address failed and into how many it got, up to ``until``."""

    address: str
    until: datetime
    failed_hour: int
    failed_day: int
    signed_in_hour: int = 0
    signed_in_day: int = 0


def password_guessing(found: AccountFailures, thresholds: Thresholds) -> Finding | None:
    """More wrong attempts on one account than a person who forgot their password makes."""
    weight = thresholds.second_factor_weight
    hour = found.passwords_hour + weight * found.second_factors_hour
    day = found.passwords_day + weight * found.second_factors_day
    if hour < thresholds.guesses_an_hour and day < thresholds.guesses_a_day:
        return None
    knows_password = found.second_factors_day > 0
    return Finding(
        Kind.PASSWORD_GUESSING,
        "critical" if found.signed_in else "high" if knows_password else "medium",
        {
            "failures_last_hour": found.passwords_hour,
            "failures_last_day": found.passwords_day,
            "second_factor_failures_last_day": found.second_factors_day,
            "addresses": list(found.addresses[:10]),
            "addresses_in_all": len(found.addresses),
            "signed_in_afterwards": found.signed_in,
        },
        dedupe=found.until.date().isoformat() + (":in" if found.signed_in else ""),
    )


def credential_stuffing(found: AddressFailures, thresholds: Thresholds) -> Finding | None:
    """One address fails on many accounts. An office or a mobile network also signs many in."""
    ratio = thresholds.stuffed_per_sign_in
    in_an_hour = (
        found.failed_hour >= thresholds.stuffed_accounts_an_hour
        and found.failed_hour >= ratio * found.signed_in_hour
    )
    in_a_day = (
        found.failed_day >= thresholds.stuffed_accounts_a_day
        and found.failed_day >= ratio * found.signed_in_day
    )
    if not in_an_hour and not in_a_day:
        return None
    return Finding(
        Kind.CREDENTIAL_STUFFING,
        "high" if found.signed_in_day else "medium",
        {
            "address": found.address,
            "accounts_failed_last_hour": found.failed_hour,
            "accounts_failed_last_day": found.failed_day,
            "accounts_signed_in_last_day": found.signed_in_day,
        },
        dedupe=f"{found.address}:{found.until.date().isoformat()}",
    )
