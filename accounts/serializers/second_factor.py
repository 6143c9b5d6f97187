"""Shapes of the second factor."""

from typing import Any

from rest_framework import serializers

from accounts.models import Passkey
from accounts.second_factor import challenges
from accounts.serializers.auth import DeviceSerializer
from tracker.api import StrictSerializer


class TotpCodeField(serializers.RegexField):
    """Six digits."""

    def __init__(self, **options: Any) -> None:
        super().__init__(r"^[0-9]{6}$", max_length=6, **options)


class PasskeyField(serializers.DictField):
    """A WebAuthn credential as JSON: what the browser's ``toJSON()`` or the app's library gives."""


class ProofSerializer(StrictSerializer):
    """One second factor: exactly one of the three."""

    totp = TotpCodeField(required=False)
    recovery_code = serializers.CharField(max_length=64, required=False)
    passkey = PasskeyField(required=False)

    PROOFS = ("totp", "recovery_code", "passkey")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if sum(name in attrs for name in self.PROOFS) != 1:
            raise serializers.ValidationError(
                "Send one of totp, recovery_code and passkey.", code="one_proof"
            )
        return attrs


class SecondFactorSignInSerializer(ProofSerializer):
    """The second step of signing in."""

    challenge = serializers.CharField(max_length=challenges.LONGEST)


class PasskeyOptionsRequestSerializer(StrictSerializer):
    """With the challenge of a sign-in: as its second step. Without: to sign in with no password."""

    challenge = serializers.CharField(max_length=challenges.LONGEST, required=False)


class PasskeySignInSerializer(StrictSerializer):
    """Signing in with a passkey alone."""

    passkey = PasskeyField()
    device = DeviceSerializer(required=False)


class NewPasskeySerializer(StrictSerializer):
    """What the authenticator answered to the options."""

    name = serializers.CharField(max_length=64, required=False, default="", allow_blank=True)
    passkey = PasskeyField()


class TotpConfirmSerializer(StrictSerializer):
    """A code that the app shows."""

    code = TotpCodeField()


class PasskeySerializer(serializers.ModelSerializer):
    """A passkey, without its key."""

    class Meta:
        model = Passkey
        fields = ["id", "name", "created_at", "last_used_at", "backed_up", "transports"]
        read_only_fields = fields


class SecondFactorSerializer(serializers.Serializer):
    """What a person has."""

    methods = serializers.ListField(child=serializers.CharField())
    totp_confirmed_at = serializers.DateTimeField(allow_null=True)
    recovery_codes_left = serializers.IntegerField()
    passkeys = PasskeySerializer(many=True)


class EnrolmentSerializer(serializers.Serializer):
    """What an authenticator app needs, shown once."""

    secret = serializers.CharField(help_text="Base32, for typing in.")
    otpauth_uri = serializers.CharField(help_text="For opening the authenticator app.")
    qr_svg = serializers.CharField(help_text="The same as a picture.")


class RecoveryCodesSerializer(serializers.Serializer):
    """Shown this once."""

    recovery_codes = serializers.ListField(
        child=serializers.CharField(), help_text="Empty when unused ones exist already."
    )


class NewPasskeyAnswerSerializer(PasskeySerializer):
    """The new passkey, and recovery codes with the first second factor."""

    recovery_codes = serializers.ListField(
        child=serializers.CharField(), read_only=True,
        help_text="Shown this once; empty when unused ones exist already.",
    )  # fmt: skip

    class Meta(PasskeySerializer.Meta):
        fields = [*PasskeySerializer.Meta.fields, "recovery_codes"]
        read_only_fields = fields
