"""A person's own webhooks: where their programs are told, signed with a secret of each address.

The address and the secret are sealed with the person's data key. ``accounts.delivery`` calls them.
"""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from django.db.models import Q

from accounts import datakeys
from accounts.models import User, WebhookEndpoint
from audit import log
from audit.actions import Action
from audit.webhooks import signatures
from billing import entitlements
from billing.models import BillingAccount
from tracker import ids, outgoing, tenancy, vault
from tracker.api import InvalidInput
from tracker.errors import DomainError, NotFound
from tracker.logs import get_logger
from tracker.outgoing import OutgoingError

logger = get_logger(__name__)

MOST = 5
LONGEST_URL = 2000
# Short, because whoever calls waits: a worker, or the person who tests it.
SECONDS, TEST_PAUSE = 5.0, timedelta(seconds=10)
# So long may an address fail before it is called no more.
PATIENCE = timedelta(days=3)
GONE = 410
_SECRET_BYTES = 32
_REFUSALS: Mapping[str, str] = {
    "bad_address": "This is no https:// address.",
    "private_address": "This address is not on the public internet.",
    "unreachable": "This name is not known on the internet.",
}


class PlanHasNoWebhooks(DomainError):
    code = "webhooks_not_in_plan"
    status = 403
    message = "Your plan does not include webhooks."


class TooManyWebhooks(DomainError):
    code = "too_many_webhooks"
    status = 409
    message = f"You have {MOST} webhooks. Please remove one that you no longer use."


class WebhookKnown(DomainError):
    code = "webhook_known"
    status = 409
    message = "You have a webhook with this address already."


class TestedJustNow(DomainError):
    code = "webhook_tested_just_now"
    status = 429
    message = "This webhook was tested a moment ago. Please wait ten seconds."


class NotTaken(Exception):
    """The address was called and did not take the message. ``code`` is stable and says why."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address as its owner sees it."""

    row: WebhookEndpoint
    url: str
    secret: str = ""  # told once, when it was made


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a test went."""

    delivered: bool
    error: str


# --- keeping ------------------------------------------------------------------------------------
def endpoints_of(user_id: UUID) -> list[Endpoint]:
    """A person's addresses, oldest first. Call inside ``as_user``."""
    rows = WebhookEndpoint.objects.filter(user_id=user_id).order_by("id")
    return [Endpoint(row, _open(row, "url")) for row in rows]


def create(*, user: User, url: str, now: datetime) -> Endpoint:
    """Call this address from now on; its secret is in the answer and never told again.

    Raises PlanHasNoWebhooks, InvalidInput, TooManyWebhooks, WebhookKnown.
    """
    if not _plan_allows(user.id, now):
        raise PlanHasNoWebhooks
    _check(url)
    row, secret = WebhookEndpoint(id=ids.new_id(), user_id=user.id, created_at=now), _new_secret()
    with tenancy.as_user(user.id):
        User.objects.select_for_update(no_key=True).get(id=user.id)  # counts are exact this way
        known = endpoints_of(user.id)
        if len(known) >= MOST:
            raise TooManyWebhooks
        if any(endpoint.url == url for endpoint in known):
            raise WebhookKnown
        row.host = str(urlsplit(url).hostname)[:255]
        row.sealed_url, row.sealed_secret = seal(row, "url", url), seal(row, "secret", secret)
        row.save(force_insert=True)
        log.record(Action.WEBHOOK_ADDED, user_id=user.id, webhook_id=str(row.id), host=row.host)
    return Endpoint(row, url, secret)


def remove(*, user_id: UUID, endpoint_id: UUID) -> None:
    """Call it no more. Raises NotFound."""
    with tenancy.as_user(user_id):
        if not WebhookEndpoint.objects.filter(user_id=user_id, id=endpoint_id).delete()[0]:
            raise NotFound
        log.record(Action.WEBHOOK_REMOVED, user_id=user_id, webhook_id=str(endpoint_id))


def rotate(*, user_id: UUID, endpoint_id: UUID) -> Endpoint:
    """Sign with a new secret from now on. Raises NotFound."""
    secret = _new_secret()
    with tenancy.as_user(user_id):
        row = _found(user_id, endpoint_id)
        row.sealed_secret = seal(row, "secret", secret)
        row.save(update_fields=["sealed_secret"])
        log.record(Action.WEBHOOK_SECRET_ROTATED, user_id=user_id, webhook_id=str(row.id))
        return Endpoint(row, _open(row, "url"), secret)


def test(*, user_id: UUID, endpoint_id: UUID, now: datetime) -> Outcome:
    """Call it once with a test message; one that was stopped and answers goes on.

    Raises NotFound, PlanHasNoWebhooks, TestedJustNow.
    """
    with tenancy.as_user(user_id):
        row = _found(user_id, endpoint_id)
        if not _includes(user_id, now):
            raise PlanHasNoWebhooks
        rows = WebhookEndpoint.objects.filter(user_id=user_id, id=row.id)
        rested = rows.filter(Q(tested_at=None) | Q(tested_at__lte=now - TEST_PAUSE))
        if not rested.update(tested_at=now):
            raise TestedJustNow(retry_after=int(TEST_PAUSE.total_seconds()))
        log.record(Action.WEBHOOK_TESTED, user_id=user_id, webhook_id=str(row.id))
    body = written("test", at=now, data={"title": "Test", "text": "This is a test."})
    try:
        call(row, message_id=str(ids.new_id()), body=body, now=now)
    except (NotTaken, OutgoingError) as problem:
        return Outcome(False, problem.code)
    note_success(row, now)
    return Outcome(True, "")


# --- calling ------------------------------------------------------------------------------------
def reachable(user_id: UUID, now: datetime) -> list[UUID]:
    """The addresses to call for a person, if the plan includes it. Call inside an identity."""
    rows = WebhookEndpoint.objects.filter(user_id=user_id, stopped_at=None)
    found = list(rows.order_by("id").values_list("id", flat=True))
    return found if found and _includes(user_id, now) else []


def written(kind: str, *, at: datetime, data: Mapping[str, Any]) -> bytes:
    """What is sent: the same bytes at every attempt."""
    message = {"type": kind, "timestamp": at, "data": dict(data)}
    return orjson.dumps(message, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)


def call(row: WebhookEndpoint, *, message_id: str, body: bytes, now: datetime) -> None:
    """Make one attempt, outside of a transaction. Raises NotTaken, OutgoingError."""
    with tenancy.as_user(row.user_id):
        url, secret = _open(row, "url"), _open(row, "secret")
    if not url or not secret:
        raise NotTaken("unreadable")
    headers = {"Content-Type": "application/json", "User-Agent": "tracker-webhooks/1"}
    signed = signatures.headers_for(secret, message_id=message_id, body=body, now=now)
    status = outgoing.post(url, body=body, headers=headers | signed, seconds=SECONDS)
    if 300 <= status < 400:
        raise NotTaken("redirect_refused")
    if not 200 <= status < 300:
        raise NotTaken(f"status_{status}")


def note_success(row: WebhookEndpoint, now: datetime) -> None:
    """It took a message; if it had been stopped, it goes on."""
    with tenancy.as_user(row.user_id):
        rows = WebhookEndpoint.objects.filter(user_id=row.user_id, id=row.id)
        if rows.filter(stopped_at__isnull=False).update(stopped_at=None):
            log.record(Action.WEBHOOK_RESUMED, user_id=row.user_id, webhook_id=str(row.id))
        rows.update(last_success_at=now, failing_since=None, last_error="")


def note_failure(row: WebhookEndpoint, code: str, now: datetime) -> bool:
    """It did not; returns whether that was once too often. Call inside ``as_user``."""
    rows = WebhookEndpoint.objects.filter(user_id=row.user_id, id=row.id, stopped_at=None)
    rows.update(last_error=code[:64])
    rows.filter(failing_since=None).update(failing_since=now)
    given_up = rows if code == f"status_{GONE}" else rows.filter(failing_since__lte=now - PATIENCE)
    if not given_up.update(stopped_at=now):
        return False
    log.record(Action.WEBHOOK_STOPPED, user_id=row.user_id, webhook_id=str(row.id), reason=code)
    return True


# --- parts --------------------------------------------------------------------------------------
def _check(url: str) -> None:
    """Raises InvalidInput for what we will not call."""
    try:
        outgoing.target_of(url)
    except OutgoingError as problem:
        text = _REFUSALS.get(problem.code, _REFUSALS["bad_address"])
        raise InvalidInput.of("url", text, code=problem.code) from None


def _found(user_id: UUID, endpoint_id: UUID) -> WebhookEndpoint:
    row = WebhookEndpoint.objects.filter(user_id=user_id, id=endpoint_id).first()
    if row is None:
        raise NotFound
    return row


def _plan_allows(user_id: UUID, now: datetime) -> bool:
    with tenancy.as_user(user_id):
        return _includes(user_id, now)


def _includes(user_id: UUID, now: datetime) -> bool:
    """Whoever may use the API by program may be called back."""
    account = BillingAccount.objects.filter(user_id=user_id).first()
    return entitlements.of_account(account, now=now).plan.api_keys


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def seal(row: WebhookEndpoint, what: str, text: str) -> bytes:
    """``url`` or ``secret`` of a row, bound to it. Call inside ``as_user``."""
    return vault.seal(
        text, data_key=datakeys.obtain(row.user_id), user_id=row.user_id, row_id=row.id,
        field=f"webhook_{what}",
    )  # fmt: skip


def _open(row: WebhookEndpoint, what: str) -> str:
    """Empty where it cannot be opened any more: a new address and a new secret cost little."""
    try:
        return vault.unseal(
            bytes(getattr(row, f"sealed_{what}")), data_key=datakeys.obtain(row.user_id),
            user_id=row.user_id, row_id=row.id, field=f"webhook_{what}",
        )  # fmt: skip
    except vault.VaultError as problem:
        logger.error("webhook.unreadable", webhook=str(row.id), error=type(problem).__name__)
        return ""
