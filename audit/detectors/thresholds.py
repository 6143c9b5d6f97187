"""From where on something is unusual. The defaults are tuned on the simulated population."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


class BadThresholds(ValueError):
    """``ALERT_THRESHOLDS`` names something unknown, or gives it a value that makes no sense."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Every number that a detector compares with; each can be set in ``ALERT_THRESHOLDS``."""

    # Wrong passwords on one account. A wrong second factor counts for several, because whoever
    # gives one knows the password.
    guesses_an_hour: int = 15
    guesses_a_day: int = 30
    second_factor_weight: int = 4
    # Accounts on which one address failed, and how many of them per account that it got into.
    stuffed_accounts_an_hour: int = 10
    stuffed_accounts_a_day: int = 25
    stuffed_per_sign_in: float = 2.0
    # A sign-in: points for what is strange about it; an alert from `alert_points` on.
    alert_points: int = 60
    high_points: int = 85
    new_device_points: int = 35
    new_network_points: int = 25
    failures_points: int = 15
    stuffing_points: int = 50
    reset_points: int = 15
    sensitive_points: int = 20
    journey_points: int = 45
    second_factor_points: int = -60
    failures_before: int = 5
    # A network is a person's own when they were there on so many of the last 90 days.
    familiar_days: int = 2
    # The same for an API key that turns up in a network of its owner: it seldom moves.
    key_familiar_days: int = 10
    # A journey is impossible when it is far, and faster than an airliner over the ground: with a
    # tail wind that is 1,100 km/h, and databases place addresses a good hour's drive off.
    journey_km: float = 500.0
    journey_kmh: float = 1200.0
    # Who made so many before, in 90 days, uses a VPN; then it is no sign.
    journeys_before: int = 40
    # Trading in 24 hours, against the person's own 30 days and what the portfolio is worth.
    habit_days: int = 14
    trades_at_least: int = 40
    trades_factor: float = 7.0
    size_share: float = 1.4
    size_factor: float = 2.0
    new_asset_share: float = 0.45
    withdrawal_share: float = 0.45
    withdrawal_factor: float = 1.5
    # Below this worth, in US dollars, trading and withdrawals are not judged.
    worth_at_least: float = 200.0

    @classmethod
    def of(cls, overrides: Mapping[str, Any]) -> "Thresholds":
        """The defaults with some numbers replaced. Raises BadThresholds."""
        kinds = {field.name: field.type for field in fields(cls)}
        for name, value in overrides.items():
            if name not in kinds:
                raise BadThresholds(f"ALERT_THRESHOLDS names {name!r}, which is no threshold")
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise BadThresholds(f"ALERT_THRESHOLDS gives {name} no number")
            if kinds[name] is int and not isinstance(value, int):
                raise BadThresholds(f"ALERT_THRESHOLDS gives {name} no whole number")
            if value < 0 and name != "second_factor_points":
                raise BadThresholds(f"ALERT_THRESHOLDS gives {name} a number below 0")
        return cls(**overrides)
