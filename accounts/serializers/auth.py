"""Shapes of what `accounts` reads and writes."""

from typing import Any
from zoneinfo import available_timezones

from rest_framework import serializers

from accounts.models import BaseCurrency, CostBasisMethod, User
from tracker.api import StrictSerializer


class TimeZoneField(serializers.CharField):
    """An IANA time zone name, such as ``Europe/Zurich``."""

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if name not in available_timezones():
            raise serializers.ValidationError("This time zone is not known.", code="unknown")
        return name


class PreferencesSerializer(StrictSerializer):
    """What a person can choose; every field is optional."""

    base_currency = serializers.ChoiceField(BaseCurrency.choices, required=False)
    time_zone = TimeZoneField(required=False, max_length=64)
    cost_basis_method = serializers.ChoiceField(CostBasisMethod.choices, required=False)


class RegistrationSerializer(PreferencesSerializer):
    """Sign-up."""

    email = serializers.EmailField(max_length=254)
    password = serializers.CharField(
        max_length=1024, trim_whitespace=False, write_only=True, help_text="12 to 128 characters."
    )


class CredentialsSerializer(StrictSerializer):
    """Sign-in."""

    email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=1024, trim_whitespace=False, write_only=True)


class RefreshSerializer(StrictSerializer):
    """A refresh token."""

    refresh = serializers.CharField(max_length=4096)


class MeSerializer(serializers.ModelSerializer):
    """The signed-in person."""

    class Meta:
        model = User
        fields = [
            "id", "email", "created_at", "subscription_tier",
            "base_currency", "time_zone", "cost_basis_method",
        ]  # fmt: skip
        read_only_fields = fields


class TokensSerializer(serializers.Serializer):
    """A fresh pair of tokens."""

    access = serializers.CharField(help_text="Bearer token, 15 minutes.")
    refresh = serializers.CharField(help_text="Single use, 7 days; rotates at every refresh.")


class SignedInSerializer(TokensSerializer):
    """Tokens and whose they are."""

    user = MeSerializer()
