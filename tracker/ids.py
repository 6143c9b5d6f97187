"""Row identities: UUIDv7 (RFC 9562), made here because a row's id must exist before its secret
is encrypted for it. They grow with time, so indexes stay local; to others they are opaque."""

from datetime import datetime
from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """A fresh time-ordered identity."""
    return uuid_utils.compat.uuid7()


def first_of(instant: datetime) -> UUID:
    """The smallest identity of an instant: what was made from then on is greater, what was made
    before is smaller. So the index of ids finds what is younger than something."""
    return UUID(int=int(instant.timestamp() * 1000) << 80)
