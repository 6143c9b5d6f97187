"""The hash chain over the activity log: what makes a change of the past visible.

Inserting a row notes a salted commitment to it (a trigger, so nobody waits for anybody). Once a
minute one sealer takes what was noted and writes a seal: the commitments, chained to the seal
before by a digest and signed with a key that is not in the database. The digest also goes to the
structured log, so that a chain cut short can be told by whoever keeps those lines.
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import connection

from audit.models import ActivitySeal
from tracker import tenancy
from tracker.logs import get_logger

log = get_logger(__name__)
MOST_ROWS = 10_000  # in one seal
MEMBER_BYTES = 16 + 8 + 32
GENESIS = bytes(32)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCK = "audit.sealing"

_TAKE = """
    WITH taken AS (
        DELETE FROM activity_unsealed WHERE log_id IN (
            SELECT log_id FROM activity_unsealed ORDER BY log_id LIMIT %s)
        RETURNING log_id, created_at, commitment
    )
    SELECT string_agg(
        uuid_send(log_id) || int8send((extract(epoch FROM created_at) * 1000000)::bigint)
        || commitment, ''::bytea ORDER BY log_id)
    FROM taken
"""

# What was erased at one moment from one month: how many rows, and a digest of their ids. Markers
# say the same; by month, because retention drops whole months.
ERASED_GROUPS = """
    SELECT to_char(erased_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM'), count(*),
           encode(sha256(string_agg(uuid_send(id), ''::bytea ORDER BY id)), 'hex')
    FROM {rows} WHERE erased_at IS NOT NULL GROUP BY 1, 2
"""


def seal_all(*, now: datetime) -> int:
    """Seal whatever waits; returns how many rows that were. Two sealers at once take turns."""
    done = 0
    while seal := _seal_some(now):
        done += len(seal.members) // MEMBER_BYTES
    return done


def head() -> ActivitySeal | None:
    """The newest seal. Under the caller's identity; seals belong to nobody."""
    return ActivitySeal.objects.order_by("-number").first()


def digest_of(seal: ActivitySeal) -> bytes:
    """What the next seal must name as its previous."""
    head = b"activity-seal/1\0" + _eight(seal.number) + _eight(micros(seal.sealed_at))
    return hashlib.sha256(head + bytes(seal.previous) + bytes(seal.members)).digest()


def mac_of(digest: bytes, key_id: str) -> bytes | None:
    """The code that only we can make; None when the key is no longer in ``ENCRYPTION_KEY``."""
    master = settings.ENCRYPTION_KEYRING.by_id.get(key_id)
    return None if master is None else hmac.digest(_sealing_key(master), digest, "sha256")


def micros(instant: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _seal_some(now: datetime) -> ActivitySeal | None:
    with tenancy.as_system("seal the activity log"), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_LOCK])
        cursor.execute(_TAKE, [MOST_ROWS])
        (members,) = cursor.fetchone()
        if members is None:
            return None
        seal = _next(bytes(members), now)
        seal.save(force_insert=True)
    # The line is the anchor outside the database: it names a head that really is committed.
    log.info(
        "activity.sealed", number=seal.number, digest=seal.digest.hex(),
        rows=len(seal.members) // MEMBER_BYTES,
    )  # fmt: skip
    return seal


def _next(members: bytes, now: datetime) -> ActivitySeal:
    last = head()
    seal = ActivitySeal(
        number=last.number + 1 if last else 1, sealed_at=now, members=members,
        previous=bytes(last.digest) if last else GENESIS,
        key_id=settings.ENCRYPTION_KEYRING.current_id,
    )  # fmt: skip
    seal.digest = digest_of(seal)
    seal.mac = mac_of(seal.digest, seal.key_id)
    return seal


@cache
def _sealing_key(master: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"tracker/v1\0activity-seal").derive(master)


def _eight(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)
