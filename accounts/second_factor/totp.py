"""Authenticator apps: RFC 6238 with SHA-1, 30 seconds and six digits, as every app knows it.

A code works once. Which one was used last is moved forward by one conditional UPDATE, so of
twelve callers with the same code exactly one is let in; codes before it never count again.

RFC 6238 (5.2) lets a verifier look beyond the present step. We look two steps either way, because
a phone whose clock is 60 seconds off must still get its owner in: a code can be used for at most
two and a half minutes, and five of a million codes are right at any moment. The waits after wrong
codes (`accounts.shield`) make that no help to a guesser.
"""

import base64
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode
from uuid import UUID

import segno
from django.db.models import QuerySet
from django_otp.oath import TOTP

from accounts.models import TotpDevice
from accounts.second_factor import keeping, sealing
from accounts.second_factor.errors import CodeRejected
from tracker import ids

STEP, DIGITS, TOLERANCE = 30, 6, 2
WAITS = timedelta(minutes=15)  # so long a seed that was begun can be confirmed
SEED_BYTES = 20  # RFC 4226 (4): as long as SHA-1's output
ISSUER = "Portfolio tracker"
_CODE = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app needs, shown once."""

    secret: str = field(repr=False)
    otpauth_uri: str = field(repr=False)
    qr_svg: str = field(repr=False)
    device_id: UUID


def begin(*, user_id: UUID, email: str, now: datetime) -> Enrolment:
    """A fresh seed that does not count until it is confirmed. Call inside as_user or as_system."""
    seed = base64.b32encode(secrets.token_bytes(SEED_BYTES)).decode()
    device = TotpDevice(
        id=ids.new_id(), user_id=user_id, name="authenticator app", confirmed=False, created_at=now
    )
    device.sealed_seed = sealing.seal_seed(seed, user_id=user_id, device_id=device.id)
    TotpDevice.objects.filter(user_id=user_id, confirmed=False).delete()
    device.save(force_insert=True)
    return enrolment(seed, email, device.id)


def waiting(*, user_id: UUID, device_id: UUID, email: str, now: datetime) -> Enrolment | None:
    """The seed that was begun under this id and not yet confirmed, to be shown again."""
    device = _begun(user_id, now).filter(id=device_id).first()
    return device and enrolment(_seed(device), email, device.id)


def confirm(*, user_id: UUID, code: str, now: datetime) -> TotpDevice:
    """From now on this app counts, instead of the one before. Raises CodeRejected.

    Call inside as_user or as_system, with the person's row locked.
    """
    waits = keeping.lock(user_id=user_id)
    device = _begun(user_id, now).order_by("-id").first()
    step = device and _matching_step(device, code, now)
    if device is None or step is None:
        raise CodeRejected
    TotpDevice.objects.filter(user_id=user_id, confirmed=True).delete()
    TotpDevice.objects.filter(id=device.id).update(
        confirmed=True, confirmed_at=now, last_step=step, last_used_at=now
    )
    keeping.shown(waits, now=now)
    return device


def accept(*, user_id: UUID, code: str, now: datetime) -> bool:
    """Whether the code is right and was not used; it is now. Raises SecondFactorUnreadable."""
    waits = keeping.lock(user_id=user_id)
    device = TotpDevice.objects.filter(user_id=user_id, confirmed=True).first()
    step = device and _matching_step(device, code, now)
    if device is None or step is None or not _spend(device, step, now):
        return False
    keeping.shown(waits, now=now)
    return True


def enrolment(seed: str, email: str, device_id: UUID) -> Enrolment:
    label = quote(f"{ISSUER}:{email}")
    parameters = {
        "secret": seed, "issuer": ISSUER, "algorithm": "SHA1", "digits": DIGITS, "period": STEP,
    }  # fmt: skip
    uri = f"otpauth://totp/{label}?{urlencode(parameters, quote_via=quote)}"
    picture = segno.make(uri, error="m", micro=False).svg_inline(scale=5, border=4, light="#fff")
    return Enrolment(seed, uri, picture, device_id)


def _begun(user_id: UUID, now: datetime) -> QuerySet[TotpDevice]:
    """What waits for its confirmation, and not for too long."""
    return TotpDevice.objects.filter(user_id=user_id, confirmed=False, created_at__gt=now - WAITS)


def _matching_step(device: TotpDevice, code: str, now: datetime) -> int | None:
    """The step whose code this is, later than the last one that was used."""
    if not _CODE.fullmatch(code):
        return None
    clock = TOTP(base64.b32decode(_seed(device)), STEP, 0, DIGITS)
    clock.time = now.timestamp()
    if clock.verify(int(code), tolerance=TOLERANCE, min_t=device.last_step + 1):
        return clock.t()
    return None


def _spend(device: TotpDevice, step: int, now: datetime) -> bool:
    # One statement without a join: PostgreSQL asks its condition again after waiting for the row.
    unused = TotpDevice.objects.filter(id=device.id, user_id=device.user_id, last_step__lt=step)
    return unused.update(last_step=step, last_used_at=now) == 1


def _seed(device: TotpDevice) -> str:
    return sealing.open_seed(bytes(device.sealed_seed), user_id=device.user_id, device_id=device.id)
