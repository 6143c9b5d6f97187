"""Connecting an exchange account: test the key first, then store it sealed, or store nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import BoundedSemaphore
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError

from accounts.models import User
from audit import log
from audit.actions import Action
from exchanges import allotment, credentials, gateway, lateness, querysets
from exchanges.gateway.errors import CredentialUnreadable, GatewayError
from exchanges.models import ConnectionKind, ConnectionState, Exchange, ExchangeConnection
from exchanges.reports import Credential, Privileges, SealedCredential
from tracker import ids, tenancy
from tracker.api import InvalidInput
from tracker.errors import DomainError, NotFound

# A test may wait ten seconds for an exchange; the rest of a web process's threads stay free.
_tests_at_once = BoundedSemaphore(8)


class UnknownExchange(DomainError):
    code = "exchange_unknown"
    status = 400
    message = "We do not know this exchange."


class LabelTaken(DomainError):
    code = "connection_label_taken"
    status = 409
    message = "You already have a connection to this exchange with this label."


class KeyConnected(DomainError):
    code = "exchange_key_connected"
    status = 409
    message = (
        "This API key is connected already. One key can be used by one connection; please create "
        "another key at the exchange."
    )


class BeingRead(DomainError):
    code = "connection_being_read"
    status = 409
    message = "This account is being read right now, so the key works. Please try again later."


class KeptByHand(DomainError):
    code = "account_kept_by_hand"
    status = 409
    message = "You keep this account by hand, so there is no exchange to ask."


class Busy(DomainError):
    code = "connection_tests_busy"
    status = 503
    message = "Many people are connecting right now. Please try again in a few seconds."


def create(
    *, user: User, exchange: str, label: str, credential: Credential, now: datetime
) -> ExchangeConnection:
    """Test a key against its exchange and connect the account.

    Raises ConnectionLimit (by plan), UnknownExchange, InvalidInput (a required field is missing),
    LabelTaken, KeyConnected, or what the gateway says about the key; nothing is stored then. The
    first sync follows from the log.
    """
    user_id = user.id
    with tenancy.as_user(user_id):
        allotment.require_room(user, now=now)
        _check_offer(user_id, exchange, label, credential)
        late_after = lateness.from_now(user_id, now=now)
    connection_id = ids.new_id()
    privileges = _test(user_id, exchange, credential, connection_id)
    connection = ExchangeConnection(
        id=connection_id, user_id=user_id, exchange_id=exchange, label=label,
        privileges=privileges, privileges_read_at=now, created_at=now, next_sync_at=now,
        late_after=late_after,
    )  # fmt: skip
    try:
        with tenancy.as_user(user_id):
            allotment.require_room(user, now=now, lock=True)
            connection.save(force_insert=True)
            credentials.store(user_id=user_id, connection_id=connection.id, credential=credential)
            log.record(
                Action.CONNECTION_CREATED, user_id=user_id, exchange=exchange,
                connection_id=str(connection.id), privileges=privileges,
            )  # fmt: skip
            return querysets.connections_of(user_id).get(id=connection.id)
    except IntegrityError as error:
        raise _taken(error) from None


def test(*, user_id: UUID, connection_id: UUID, now: datetime) -> Privileges:
    """Test the stored key of a connection.

    Raises NotFound, BeingRead (a key is one stream of nonces, which a visit has now), or what the
    gateway says.
    """
    with tenancy.as_user(user_id):
        connection = find(user_id=user_id, connection_id=connection_id, lock=True)
        require_exchange(connection)
        sealed = credentials.load([connection_id]).get(connection_id)
        if sealed is None:
            raise CredentialUnreadable
        held = _hold(connection, now)
    try:
        privileges = _test(user_id, connection.exchange_id, sealed, connection_id)
    finally:
        with tenancy.as_user(user_id):
            ExchangeConnection.objects.filter(id=connection_id, claimed_by=held).update(
                claimed_by=None, lease_until=None
            )
    with tenancy.as_user(user_id):
        ExchangeConnection.objects.filter(id=connection_id).update(
            privileges=privileges, privileges_read_at=now
        )
        log.record(
            Action.CONNECTION_TESTED, user_id=user_id, connection_id=str(connection_id),
            privileges=privileges,
        )  # fmt: skip
    return privileges


def change(
    *,
    user_id: UUID,
    connection_id: UUID,
    label: str | None = None,
    paused: bool | None = None,
    position: int | None = None,
    credential: Credential | None = None,
    now: datetime,
) -> ExchangeConnection:
    """Rename, move, pause, resume, or give a new key (tested first). Raises as ``create`` does."""
    with tenancy.as_user(user_id):
        connection = find(user_id=user_id, connection_id=connection_id)
        if credential is not None or paused is not None:
            require_exchange(connection)
        if credential is not None:
            _check_fields(connection.exchange, credential)
            _check_key_is_free(user_id, credential, but=connection_id)
    privileges = None
    if credential is not None:
        privileges = _test(user_id, connection.exchange_id, credential, connection_id)
    try:
        with tenancy.as_user(user_id):
            return _apply(
                user_id, connection_id, label=label, paused=paused, position=position,
                credential=credential,
                privileges=privileges, now=now,
            )  # fmt: skip
    except IntegrityError as error:
        raise _taken(error) from None


def remove(*, user_id: UUID, connection_id: UUID) -> None:
    """Forget a connection: its key at once, and everything that was read through it."""
    with tenancy.as_user(user_id):
        connection = find(user_id=user_id, connection_id=connection_id, lock=True)
        log.record(
            Action.CONNECTION_REMOVED, user_id=user_id, exchange=connection.exchange_id,
            connection_id=str(connection_id),
        )  # fmt: skip
        # The composite foreign keys cascade in the database; collecting 100,000 rows in Python
        # to delete them one table at a time would hold the request for seconds.
        rows = ExchangeConnection.objects.filter(id=connection_id)
        rows._raw_delete(rows.db)


def pause(*, user_id: UUID, connection_id: UUID, reason: str, actor_id: UUID | None = None) -> None:
    """Stop syncing until somebody resumes. Call inside a tenancy context."""
    changed = ExchangeConnection.objects.filter(id=connection_id, user_id=user_id).update(
        state=ConnectionState.PAUSED, reason=reason, next_sync_at=None
    )
    if changed:
        log.record(
            Action.CONNECTION_PAUSED, user_id=user_id, actor_id=actor_id, reason=reason,
            connection_id=str(connection_id),
        )  # fmt: skip


def resume(
    *, user_id: UUID, connection_id: UUID, now: datetime, actor_id: UUID | None = None
) -> None:
    """Sync again, starting now. Call inside a tenancy context."""
    changed = ExchangeConnection.objects.filter(id=connection_id, user_id=user_id).update(
        state=ConnectionState.PENDING, reason="", next_sync_at=now, failures=0,
        late_after=lateness.from_now(user_id, now=now),
    )  # fmt: skip
    if changed:
        log.record(
            Action.CONNECTION_RESUMED, user_id=user_id, actor_id=actor_id,
            connection_id=str(connection_id),
        )  # fmt: skip


def find(*, user_id: UUID, connection_id: UUID, lock: bool = False) -> ExchangeConnection:
    """One connection of this user. Raises NotFound. Call inside a tenancy context."""
    rows = querysets.connections_of(user_id)
    if lock:
        rows = rows.select_for_update(of=("self",))
    connection = rows.filter(id=connection_id).first()
    if connection is None:
        raise NotFound
    return connection


def require_exchange(connection: ExchangeConnection) -> None:
    """Raises KeptByHand for an account that no exchange stands behind."""
    if connection.kind == ConnectionKind.MANUAL:
        raise KeptByHand


def _check_offer(user_id: UUID, exchange_id: str, label: str, credential: Credential) -> None:
    exchange = Exchange.objects.filter(id=exchange_id, is_available=True).first()
    if exchange is None:
        raise UnknownExchange(details={"exchange": exchange_id})
    _check_fields(exchange, credential)
    if ExchangeConnection.objects.filter(
        user_id=user_id, exchange_id=exchange_id, label=label
    ).exists():
        raise LabelTaken
    _check_key_is_free(user_id, credential)


def _check_key_is_free(user_id: UUID, credential: Credential, but: UUID | None = None) -> None:
    if credentials.is_connected(user_id=user_id, api_key=credential.api_key, but=but):
        raise KeyConnected


def _taken(error: IntegrityError) -> DomainError:
    """What two at once both wanted: told apart by the constraint that refused the second."""
    diagnosis = getattr(error.__cause__, "diag", None)
    name = getattr(diagnosis, "constraint_name", "") or ""
    return KeyConnected() if name == "exchange_credentials_key_once" else LabelTaken()


def _hold(connection: ExchangeConnection, now: datetime) -> UUID:
    """Take the account into one's hands for as long as a test may take, as a visit does."""
    if connection.lease_until and connection.lease_until > now:
        raise BeingRead(retry_after=30)
    token = ids.new_id()
    until = now + timedelta(seconds=settings.CONNECTION_TEST_SECONDS + 5)
    ExchangeConnection.objects.filter(id=connection.id).update(claimed_by=token, lease_until=until)
    return token


def _check_fields(exchange: Exchange, credential: Credential) -> None:
    missing = [name for name in exchange.required_fields if not getattr(credential, name)]
    if missing:
        raise InvalidInput(details={"fields": [
            {"field": name, "code": "required", "message": f"{exchange.name} needs this field."}
            for name in missing
        ]})  # fmt: skip


def _test(
    user_id: UUID, exchange: str, credential: Credential | SealedCredential, connection_id: UUID
) -> Privileges:
    """Ask the exchange, outside any transaction; a refusal is logged without the key."""
    with _room_for_a_test():
        try:
            return gateway.check_key(
                exchange, credential, timeout=settings.CONNECTION_TEST_SECONDS,
                account=connection_id,
            )  # fmt: skip
        except GatewayError as error:
            with tenancy.as_user(user_id):
                log.record(
                    Action.CONNECTION_REFUSED, user_id=user_id, exchange=exchange,
                    outcome="refused", code=error.code,
                )  # fmt: skip
            raise


@contextmanager
def _room_for_a_test() -> Iterator[None]:
    if not _tests_at_once.acquire(blocking=False):
        raise Busy(retry_after=5)
    try:
        yield
    finally:
        _tests_at_once.release()


def _apply(
    user_id: UUID,
    connection_id: UUID,
    *,
    label: str | None,
    paused: bool | None,
    position: int | None,
    credential: Credential | None,
    privileges: Privileges | None,
    now: datetime,
) -> ExchangeConnection:
    connection = find(user_id=user_id, connection_id=connection_id, lock=True)
    changes: dict[str, object] = {}
    if label is not None and label != connection.label:
        changes["label"] = label
    if position is not None and position != connection.position:
        changes["position"] = position
    if credential is not None:
        credentials.store(user_id=user_id, connection_id=connection_id, credential=credential)
        changes |= {"privileges": privileges, "privileges_read_at": now}
        changes |= {"next_sync_at": now, "failures": 0}
        changes |= {"late_after": lateness.from_now(user_id, now=now)}
        changes |= {"address_restricted": None}  # read with the next full visit
        changes |= {"state": ConnectionState.PENDING, "reason": ""}
    if changes:
        _save(connection, changes)
        log.record(
            Action.CONNECTION_CHANGED, user_id=user_id, connection_id=str(connection_id),
            changed=sorted({"label", "position", "privileges"} & changes.keys()),
        )  # fmt: skip
    if "position" in changes:
        allotment.look_now(user_id=user_id, now=now)  # others may count now
    if paused is True:
        pause(user_id=user_id, connection_id=connection_id, reason="paused_by_user")
    elif paused is False and connection.state == ConnectionState.PAUSED:
        resume(user_id=user_id, connection_id=connection_id, now=now)
    return find(user_id=user_id, connection_id=connection_id)


def _save(connection: ExchangeConnection, changes: Mapping[str, object]) -> None:
    for name, value in changes.items():
        setattr(connection, name, value)
    connection.save(update_fields=list(changes))
