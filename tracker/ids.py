"""Row identities: UUIDv7 (RFC 9562), made here because a row's id must exist before its secret
is encrypted for it. They grow with time, so indexes stay local; to others they are opaque."""

from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """A fresh time-ordered identity."""
    return uuid_utils.compat.uuid7()
