"""Shapes of signing up and in, of passwords and links, and of the signed-in person."""

import re
from typing import Any
from zoneinfo import available_timezones

from rest_framework import serializers

from accounts.models import (
    BaseCurrency,
    CostBasisMethod,
    CostBasisScope,
    Theme,
    User,
    normalize_email,
)
from billing import entitlements
from tracker.api import StrictSerializer


class TimeZoneField(serializers.CharField):
    """An IANA time zone name, such as ``Europe/Zurich``."""

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if name not in available_timezones():
            raise serializers.ValidationError("This time zone is not known.", code="unknown")
        return name


class LocaleField(serializers.CharField):
    """Language, and perhaps script and region, as in BCP 47: ``en``, ``de-CH``, ``zh-Hant-TW``."""

    _PATTERN = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?", re.ASCII)

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if not self._PATTERN.fullmatch(name):
            raise serializers.ValidationError(
                "Give a language such as en or de-CH.", code="unknown"
            )
        return name


class AddressField(serializers.EmailField):
    """An e-mail address that is one, and short enough, as it is spelled and as it is stored.

    Under NFKC one letter may become eighteen.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=254, **options)

    def run_validators(self, value: Any) -> None:
        super().run_validators(value)
        super().run_validators(normalize_email(value))


def _password(**options: Any) -> serializers.CharField:
    return serializers.CharField(max_length=1024, trim_whitespace=False, write_only=True, **options)


_NEW = "12 to 128 characters."


class PreferencesSerializer(StrictSerializer):
    """What a person can choose; every field is optional."""

    base_currency = serializers.ChoiceField(BaseCurrency.choices, required=False)
    time_zone = TimeZoneField(required=False, max_length=64)
    locale = LocaleField(required=False, max_length=16)
    theme = serializers.ChoiceField(Theme.choices, required=False)
    cost_basis_method = serializers.ChoiceField(CostBasisMethod.choices, required=False)
    cost_basis_scope = serializers.ChoiceField(CostBasisScope.choices, required=False)
    long_term_days = serializers.IntegerField(min_value=0, max_value=10_000, required=False)


class AgreedSerializer(StrictSerializer):
    """Which versions of which documents a person agrees to."""

    terms = serializers.CharField(required=False, max_length=32)
    privacy = serializers.CharField(required=False, max_length=32)


class RegistrationSerializer(PreferencesSerializer):
    """Sign-up."""

    email = AddressField()
    password = _password(help_text=_NEW)
    consents = AgreedSerializer(required=False, help_text="Versions, as `GET /me/consents` has.")


class DeviceSerializer(StrictSerializer):
    """What the app says about the device, for the list of sessions."""

    device_name = serializers.CharField(required=False, allow_blank=True, max_length=64)
    platform = serializers.CharField(required=False, allow_blank=True, max_length=16)
    app_version = serializers.CharField(required=False, allow_blank=True, max_length=32)


class CredentialsSerializer(StrictSerializer):
    """Sign-in."""

    email = serializers.CharField(max_length=254)
    password = _password()
    device = DeviceSerializer(required=False)


class RefreshSerializer(StrictSerializer):
    """A refresh token."""

    refresh = serializers.CharField(max_length=4096)


class EmailSerializer(StrictSerializer):
    """An e-mail address."""

    email = AddressField()


class LinkSerializer(StrictSerializer):
    """The ``token`` of a link that was mailed."""

    token = serializers.CharField(max_length=256)


class PasswordChangeSerializer(StrictSerializer):
    """The password in force and the one to come."""

    current_password = _password()
    new_password = _password(help_text=_NEW)


class PasswordResetSerializer(LinkSerializer):
    """A mailed link and the password to come."""

    new_password = _password(help_text=_NEW)


class ReauthenticationSerializer(StrictSerializer):
    """Password, and a second factor where there is one; or a passkey alone."""

    password = _password(required=False)
    totp = serializers.CharField(required=False, max_length=16)
    recovery_code = serializers.CharField(required=False, max_length=64)
    passkey = serializers.JSONField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if sum(name in attrs for name in ("totp", "recovery_code", "passkey")) > 1:
            raise serializers.ValidationError(
                "Send one of totp, recovery_code and passkey.", code="one_proof"
            )
        return attrs


class MeSerializer(serializers.ModelSerializer):
    """The signed-in person."""

    subscription_tier = serializers.SerializerMethodField(help_text="The plan in force.")

    class Meta:
        model = User
        fields = [
            "id", "email", "email_confirmed_at", "created_at", "closes_at", "subscription_tier",
            "base_currency", "time_zone", "locale", "theme", "cost_basis_method",
            "cost_basis_scope", "long_term_days",
        ]  # fmt: skip
        read_only_fields = fields

    def get_subscription_tier(self, user: User) -> str:
        return entitlements.for_user(user).tier


class TokensSerializer(serializers.Serializer):
    """A fresh pair of tokens."""

    access = serializers.CharField(help_text="Bearer token, 15 minutes.")
    refresh = serializers.CharField(help_text="Single use, 7 days; rotates at every refresh.")


class SignedInSerializer(TokensSerializer):
    """Tokens and whose they are."""

    user = MeSerializer()


class AcceptedSerializer(serializers.Serializer):
    """Something is on its way. The same whether or not there is such an account."""

    status = serializers.ChoiceField(["accepted"])
    message = serializers.CharField()
