"""What people call a request: short, said over a telephone, and not in any order."""

import re
import secrets

from accounts.models import SupportRequest

# Without what is taken for something else when it is read out or written by hand: 0 O 1 I L.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
LENGTH = 6  # of 31 characters: 887 million
_SHAPE = re.compile(rf"SR-?([{ALPHABET}]{{{LENGTH}}})")
ATTEMPTS = 5


class NoneFree(RuntimeError):
    """So many references are taken that chance found no other one: make them longer."""


def drawn() -> str:
    """One by chance, such as ``SR-7F3K2M``."""
    return "SR-" + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def meant(text: str) -> str:
    """The reference that somebody typed, however they wrote it; empty for anything else."""
    found = _SHAPE.fullmatch(text.strip().upper())
    return f"SR-{found[1]}" if found else ""


def insert(request: SupportRequest) -> SupportRequest:
    """Store a new request under a reference that nobody has. Raises NoneFree.

    Row-level security hides others' references, so the constraint decides and not a look.
    """
    for _ in range(ATTEMPTS):
        request.reference = drawn()
        SupportRequest.objects.bulk_create([request], ignore_conflicts=True)
        if SupportRequest.objects.filter(id=request.id).exists():
            return request
    raise NoneFree
