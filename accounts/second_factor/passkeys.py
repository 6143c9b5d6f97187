"""Passkeys (WebAuthn): discoverable, always with user verification, for both ways of signing in.

py_webauthn checks the bytes. What is ours: whose passkey it is, that a nonce is used once, and
that its counter never goes back. The nonce that is signed says by itself whether it is ours
(`challenges`), so no ceremony needs a session, which an app has not.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import webauthn
from django.conf import settings
from django.db.models import Q
from webauthn.helpers import (
    bytes_to_base64url,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from accounts.models import Passkey, User
from accounts.second_factor import challenges, keeping
from accounts.second_factor.errors import (
    PasskeyKnown,
    PasskeyRejected,
    SecondFactorRejected,
    TooManyPasskeys,
)
from tracker.logs import get_logger

log = get_logger(__name__)
MOST = 20
RP_NAME = "Portfolio tracker"
_TRANSPORTS = {"usb", "nfc", "ble", "smart-card", "hybrid", "internal"}


def rp_id() -> str:
    """The domain that passkeys are made for."""
    return urlsplit(settings.PUBLIC_URL).hostname or ""


def origins() -> list[str]:
    """From where they may be used: our address, and the apps that the settings name."""
    prints = [text for row in settings.ANDROID_APPS.values() for text in row]
    android = [
        f"android:apk-key-hash:{bytes_to_base64url(bytes.fromhex(text.replace(':', '')))}"
        for text in prints
    ]
    return [settings.PUBLIC_URL, *settings.WEBAUTHN_ORIGINS, *android]


# --- adding one ---------------------------------------------------------------------------------
def registration_options(*, user: User, now: datetime) -> dict[str, Any]:
    """What ``navigator.credentials.create`` takes. Call inside as_user or as_system."""
    options = webauthn.generate_registration_options(
        rp_id=rp_id(), rp_name=RP_NAME,
        user_id=user.id.bytes, user_name=user.email, user_display_name=user.email,
        challenge=challenges.new_nonce("register", user_id=user.id, now=now),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=_descriptors(user.id),
    )  # fmt: skip
    return json.loads(webauthn.options_to_json(options))


@dataclass(frozen=True, slots=True)
class NewKey:
    """A credential that an authenticator made for us, not yet stored."""

    credential_id: bytes = field(repr=False)
    public_key: bytes = field(repr=False)
    sign_count: int
    aaguid: str
    backed_up: bool
    transports: list[str]


def read_new(credential: dict[str, Any], *, user_id: UUID, now: datetime) -> NewKey:
    """Check what an authenticator answered to registration options. Uses up the nonce.

    Call before the transaction. Raises PasskeyRejected, ChallengeRejected, OutOfOrder.
    """
    try:
        parsed = parse_registration_credential_json(credential)
        nonce = parse_client_data_json(parsed.response.client_data_json).challenge
    except Exception:  # a library reads a stranger's bytes: whatever it stumbles over is refused
        raise PasskeyRejected from None
    challenges.spend_nonce(nonce, "register", user_id=user_id, now=now)
    try:
        made = webauthn.verify_registration_response(
            credential=parsed, expected_challenge=nonce, expected_rp_id=rp_id(),
            expected_origin=origins(), require_user_verification=True,
        )  # fmt: skip
    except Exception as problem:
        log.warning("passkey.registration_refused", error=type(problem).__name__)
        raise PasskeyRejected from None
    if len(made.credential_id) > 1023 or len(made.credential_public_key) > 1023:
        raise PasskeyRejected
    return NewKey(
        made.credential_id, made.credential_public_key, made.sign_count, made.aaguid,
        made.credential_backed_up, _transports(credential),
    )  # fmt: skip


def store(key: NewKey, *, user_id: UUID, name: str, now: datetime) -> Passkey:
    """Keep a new passkey. Call inside as_user or as_system, with the person's row locked.

    Raises PasskeyKnown, TooManyPasskeys.
    """
    waits = keeping.lock(user_id=user_id)
    digest = _digest(key.credential_id)
    mine = Passkey.objects.filter(user_id=user_id)
    if mine.filter(credential_digest=digest).exists():
        raise PasskeyKnown
    if mine.count() >= MOST:
        raise TooManyPasskeys
    passkey = Passkey(
        user_id=user_id, name=name or "Passkey", credential_id=key.credential_id,
        credential_digest=digest, public_key=key.public_key, sign_count=key.sign_count,
        transports=key.transports, aaguid=key.aaguid, backed_up=key.backed_up, created_at=now,
    )  # fmt: skip
    passkey.save(force_insert=True)
    keeping.shown(waits, now=now)
    return passkey


# --- using one ----------------------------------------------------------------------------------
def authentication_options(*, user_id: UUID | None, now: datetime) -> dict[str, Any]:
    """What ``navigator.credentials.get`` takes; without a person, for whoever holds a passkey.

    Call inside as_user or as_system when there is a person.
    """
    options = webauthn.generate_authentication_options(
        rp_id=rp_id(), challenge=challenges.new_nonce("authenticate", user_id=user_id, now=now),
        allow_credentials=_descriptors(user_id) if user_id else [],
        user_verification=UserVerificationRequirement.REQUIRED,
    )  # fmt: skip
    return json.loads(webauthn.options_to_json(options))


@dataclass(frozen=True, slots=True)
class Answer:
    """What an authenticator signed; its nonce is used up, its signature not yet checked."""

    parsed: Any = field(repr=False)
    nonce: bytes = field(repr=False)
    user_id: UUID


def read_answer(credential: Any, *, user_id: UUID | None, now: datetime) -> Answer:
    """Read what an authenticator answered and use up its nonce. Call before the transaction.

    Without ``user_id`` the answer itself says whose it is, which the signature then must prove.
    Raises SecondFactorRejected, ChallengeRejected, OutOfOrder.
    """
    try:
        parsed = parse_authentication_credential_json(credential)
        nonce = parse_client_data_json(parsed.response.client_data_json).challenge
        handle = parsed.response.user_handle
        named = UUID(bytes=handle) if handle else None
    except Exception:  # as above
        raise SecondFactorRejected from None
    owner = user_id or named
    if owner is None or (named and named != owner):
        raise SecondFactorRejected
    challenges.spend_nonce(nonce, "authenticate", user_id=owner, now=now)
    return Answer(parsed, nonce, owner)


def accept(answer: Answer, *, now: datetime) -> Passkey | None:
    """The passkey if it is this person's and the signature is good. Inside as_user or as_system."""
    waits = keeping.lock(user_id=answer.user_id)
    digest = _digest(answer.parsed.raw_id)
    found = Passkey.objects.filter(user_id=answer.user_id, credential_digest=digest).first()
    if found is None:
        return None
    try:
        verified = webauthn.verify_authentication_response(
            credential=answer.parsed, expected_challenge=answer.nonce, expected_rp_id=rp_id(),
            expected_origin=origins(), credential_public_key=bytes(found.public_key),
            credential_current_sign_count=0, require_user_verification=True,
        )  # fmt: skip
    except Exception as problem:
        log.warning("passkey.refused", passkey=str(found.id), error=type(problem).__name__)
        return None
    if not _count_up(found, verified, now):
        return None
    keeping.shown(waits, now=now)
    return found


def _count_up(found: Passkey, verified: Any, now: datetime) -> bool:
    """Move the counter forward; one that does not count stays at zero.

    A counter that went back means that somebody copied the key: refused, and said in the log.
    """
    count = verified.new_sign_count
    forward = Q(sign_count__lt=count) if count else Q(sign_count=0)
    moved = Passkey.objects.filter(forward, id=found.id, user_id=found.user_id).update(
        sign_count=count, backed_up=verified.credential_backed_up, last_used_at=now
    )
    if not moved:
        log.warning("passkey.counter_went_back", passkey=str(found.id), count=count)
    return moved == 1


def _descriptors(user_id: UUID) -> list[PublicKeyCredentialDescriptor]:
    known = Passkey.objects.filter(user_id=user_id).values_list("credential_id", flat=True)
    return [PublicKeyCredentialDescriptor(id=bytes(credential_id)) for credential_id in known]


def _transports(credential: dict[str, Any]) -> list[str]:
    given = credential["response"].get("transports")
    names = given if isinstance(given, list) else []
    return sorted({name for name in names if isinstance(name, str)} & _TRANSPORTS)


def _digest(credential_id: bytes) -> bytes:
    return hashlib.sha256(credential_id).digest()
