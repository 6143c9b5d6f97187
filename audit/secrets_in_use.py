"""How long each secret of the environment has been in force, as far as this system has seen.

The environment does not say when a secret was made, so the day on which it was first seen is
remembered, by a digest (SHA-256 over its name and itself, 128 bits kept). All secrets here are
random and 32 characters or longer, so a digest helps nobody to guess one. A secret may be older
than it was seen, never younger.
"""

import hashlib
from datetime import datetime

from django.conf import settings

from audit.models import SecretInUse
from tracker import tenancy


def note(*, now: datetime) -> None:
    """Remember those that were never seen before. May run twice, and at once."""
    rows = [SecretInUse(name=name, fingerprint=print_, first_seen_at=now)
            for name, print_ in _in_force().items()]  # fmt: skip
    with tenancy.as_system("note secrets"):
        SecretInUse.objects.bulk_create(rows, ignore_conflicts=True)


def since() -> dict[str, datetime]:
    """When each secret in force was first seen; call `note` before, inside a tenancy context."""
    seen = {(row.name, row.fingerprint): row.first_seen_at for row in SecretInUse.objects.all()}
    return {name: seen[name, print_] for name, print_ in _in_force().items()}


def _in_force() -> dict[str, str]:
    """Of keys that rotate with an overlap only the current one counts."""
    found = {
        "SECRET_KEY": settings.SECRET_KEY,
        "JWT_SECRET_KEY": settings.JWT_SECRET_KEY,
        "JWT_REFRESH_SECRET_KEY": settings.JWT_REFRESH_SECRET_KEY,
        "ENCRYPTION_KEY": settings.ENCRYPTION_KEYRING.current_id,
        "BACKUP_KEY": settings.BACKUP_KEYRING.current_id,
        "METRICS_TOKEN": settings.METRICS_TOKEN,
        "STRIPE_API_KEY": settings.STRIPE_API_KEY,
        "STRIPE_WEBHOOK_SECRETS": next(iter(settings.STRIPE_WEBHOOK_SECRETS), ""),
    }
    return {name: _fingerprint(name, secret) for name, secret in found.items() if secret}


def _fingerprint(name: str, secret: str) -> str:
    text = f"tracker/v1\0secret in use\0{name}\0{secret}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]
