"""From the activity log to alerts: gathers what the detectors judge, and raises what they find.

What a person did is judged as it happens, through the outbox, by a worker: nobody waits for it
while signing in. Failed attempts are counted once a minute by one statement instead: strangers can
make any number of them, and each would be a row in the outbox. Everything may run twice; an
alert's ``dedupe`` makes it one.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.db import connection

from audit import alerts, geoip, log, metrics
from audit.actions import Action
from audit.detectors import guessing, keys, signing_in
from audit.detectors.findings import Finding, Kind
from audit.detectors.places import Seen, networks, own_networks
from audit.detectors.thresholds import Thresholds
from audit.log import Happening
from audit.models import ActivityLog, SecurityAlert
from tracker import clock, tenancy

MEMORY = timedelta(days=90)
LATE = timedelta(hours=24)  # an outbox row may be delivered so late
AFTER = timedelta(hours=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AT_ONCE = 20  # newest acts of one kind that are judged at a time
MOST_ROWS = 500  # newest acts of the past that a judgement knows
JUDGE_TASK = "audit.tasks.judge"

# What somebody does at once who took an account over.
SENSITIVE = (
    Action.API_KEY_CREATED, Action.EMAIL_CHANGE_REQUESTED, Action.PASSWORD_CHANGED,
    Action.TOTP_REMOVED, Action.PASSKEY_REMOVED, Action.EXPORT_REQUESTED,
    Action.FILE_REQUESTED,
)  # fmt: skip


def subscribe() -> None:
    """Called once as the app is ready."""
    for action in (
        Action.USER_SIGNED_IN, *SENSITIVE, Action.SESSION_REPLAYED, Action.API_KEY_MOVED
    ):  # fmt: skip
        log.subscribe(action, _judge_later)
    log.subscribe(Action.CONNECTION_PRIVILEGES_CHANGED, judge_exchange_key)


def _judge_later(happening: Happening) -> None:
    """Subscriber. By name: the task calls this module, which cannot import it."""
    told = {"user_id": str(happening.owner), "action": str(happening.action)}
    current_app.send_task(JUDGE_TASK, kwargs=told)


def judge(*, user_id: UUID, action: str, now: datetime) -> None:
    """Judge what a person did of late, after an act of this name."""
    judges = {Action.SESSION_REPLAYED: judge_replays, Action.API_KEY_MOVED: judge_api_keys}
    judges.get(Action(action), judge_sign_ins)(user_id, now)


def thresholds() -> Thresholds:
    """The numbers of the moment; a system check has seen that they are sound."""
    return Thresholds.of(settings.ALERT_THRESHOLDS)


def _raise_once(finding: Finding, user_id: UUID, now: datetime) -> None:
    """Raise what was found about one event. It is judged again and again for a day, and does not
    come back because somebody has resolved it meanwhile, unless it has become graver."""
    alerts.raise_finding(
        finding, user_id=user_id, now=now, quiet=LATE + AFTER, incident=finding.dedupe
    )


# --- signing in ---------------------------------------------------------------------------------
def judge_sign_ins(user_id: UUID, now: datetime) -> None:
    """Looks at the newest sign-ins of a person, and at what was done after them."""
    suspects = _stuffing_addresses(now)
    with tenancy.as_user(user_id):
        for row in _rows(user_id, [Action.USER_SIGNED_IN], since=now - LATE, most=AT_ONCE):
            finding = _judged_sign_in(user_id, row, suspects) if row.ip_address else None
            if finding:
                _raise_once(finding, user_id, now)


def _judged_sign_in(user_id: UUID, row: ActivityLog, suspects: frozenset[str]) -> Finding | None:
    at, address, session = row.created_at, str(row.ip_address), row.session_id
    before = _rows(user_id, _PAST, since=at - MEMORY, until=at)
    signed_in = [item for item in before if item.action == Action.USER_SIGNED_IN]
    resets = [item.created_at for item in before if item.action == Action.PASSWORD_RESET]
    past = signing_in.Past(
        devices=frozenset(_device(item) for item in signed_in),
        seen=_seen(user_id, signed_in, until=at, without=session),
        failures_from_here=_failures(user_id, address, since=at - HOUR, until=at),
        stuffing=address in suspects,
        reset_at=max(resets, default=None),
        sensitive=_acts_after(user_id, row),
    )
    sign_in = signing_in.SignIn(
        at, address, _device(row), str(row.details.get("method", "password")), str(session)
    )
    return signing_in.strange_sign_in(sign_in, past, thresholds(), geoip.locator())


_PAST = [Action.USER_SIGNED_IN, Action.PASSWORD_RESET]


def _failures(user_id: UUID, address: str, *, since: datetime, until: datetime) -> int:
    """Counted by the database: strangers may have made any number of them."""
    return ActivityLog.objects.filter(
        user_id=user_id, action=Action.USER_SIGN_IN_FAILED, ip_address=address,
        created_at__gte=since, created_at__lt=until,
    ).count()  # fmt: skip


def _device(row: ActivityLog) -> str:
    """What kind of device signed in. Versions are not part of it: they change every week."""
    parts = (str(row.details.get(name, "")) for name in ("platform", "device_name", "user_agent"))
    return "/".join(parts)


def _acts_after(user_id: UUID, row: ActivityLog) -> tuple[str, ...]:
    if row.session_id is None:
        return ()
    acts = _rows(user_id, SENSITIVE, since=row.created_at, until=row.created_at + AFTER)
    return tuple(sorted({act.action for act in acts if act.session_id == row.session_id}))


_PLACES = """
    SELECT host(ip_address), max(last_at) FROM session_activity
    WHERE user_id = %(user)s AND bucket_at > %(since)s AND last_at < %(until)s
      AND session_id = ANY(%(sessions)s) AND ip_address IS NOT NULL
    GROUP BY ip_address, bucket_at::date
"""


def _seen(
    user_id: UUID, signed_in: Sequence[ActivityLog], *, until: datetime, without: UUID | None
) -> tuple[Seen, ...]:
    """Where the person's sessions were used, once per address and day. An API key is no person,
    which is why only sessions count that somebody signed in to."""
    own = [row for row in signed_in if row.session_id != without]
    sessions = list({row.session_id for row in own if row.session_id})
    parameters: dict[str, Any] = {
        "user": user_id,
        "since": until - MEMORY,
        "until": until,
        "sessions": sessions,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PLACES, parameters)
        used = [Seen(at, address) for address, at in cursor.fetchall()]
    entered = [Seen(row.created_at, str(row.ip_address)) for row in own if row.ip_address]
    return tuple(used + entered)


# --- tokens and keys ----------------------------------------------------------------------------
def judge_replays(user_id: UUID, now: datetime) -> None:
    """A spent refresh token came back."""
    with tenancy.as_user(user_id):
        for row in _rows(user_id, [Action.SESSION_REPLAYED], since=now - LATE, most=AT_ONCE):
            _raise_once(_judged_replay(user_id, row), user_id, now)


def _judged_replay(user_id: UUID, row: ActivityLog) -> Finding:
    at, session = row.created_at, row.session_id
    signed_in = _rows(user_id, [Action.USER_SIGNED_IN], since=at - MEMORY, until=at)
    last = metrics.last_seen(user_id, [session]).get(session) if session else None
    started = next((item.ip_address for item in signed_in if item.session_id == session), None)
    seen = _seen(user_id, signed_in, until=at, without=session)
    return keys.session_replayed(
        keys.Replay(
            at, str(session), row.ip_address, (last and last.ip_address) or started,
            networks(item.address for item in seen),
        )
    )  # fmt: skip


def judge_api_keys(user_id: UUID, now: datetime) -> None:
    """An API key was used from an address from which it was not used before."""
    with tenancy.as_user(user_id):
        for row in _rows(user_id, [Action.API_KEY_MOVED], since=now - LATE, most=AT_ONCE):
            finding = keys.api_key_elsewhere(_key_use(user_id, row)) if row.ip_address else None
            if finding:
                _raise_once(finding, user_id, now)


def _key_use(user_id: UUID, row: ActivityLog) -> keys.KeyUse:
    at = row.created_at
    signed_in = _rows(user_id, [Action.USER_SIGNED_IN], since=at - MEMORY, until=at)
    seen = _seen(user_id, signed_in, until=at, without=None)
    return keys.KeyUse(
        at, str(row.details.get("key_id", "")), str(row.ip_address),
        before=tuple(str(address) for address in row.details.get("known", ())),
        person=own_networks(seen, at=at, days=thresholds().key_familiar_days),
    )  # fmt: skip


def judge_exchange_key(happening: Happening) -> None:
    """Subscriber: an exchange says something else about a key than when it was given."""
    told = happening.details
    finding = keys.exchange_key_changed(
        keys.ExchangeKey(str(told["before"]), told.get("restricted_before")),
        keys.ExchangeKey(str(told["after"]), told.get("restricted_after")),
    )
    if finding is None:
        return
    with tenancy.as_user(happening.owner):
        alerts.raise_alert(
            kind=finding.kind, severity=finding.severity, user_id=happening.owner,
            evidence={"connection_id": told["connection_id"], **finding.evidence},
            dedupe=f"{told['connection_id']}:{finding.dedupe}", now=clock.now(),
        )  # fmt: skip


# --- failed attempts ----------------------------------------------------------------------------
def scan_failures(*, now: datetime) -> int:
    """Judge the accounts and addresses with failures in the last minutes; returns new alerts."""
    numbers = thresholds()
    with tenancy.as_system("scan failed sign-ins"):
        raised = [
            alerts.raise_finding(finding, user_id=user_id, now=now)
            for user_id, found in _failing_accounts(now)
            if (finding := guessing.password_guessing(found, numbers))
        ]
        raised += [
            alerts.raise_finding(finding, user_id=None, now=now)
            for found in _failing_addresses(now)
            if (finding := guessing.credential_stuffing(found, numbers))
        ]
    return sum(alert is not None for alert in raised)


# A scan that was missed is made good: it looks back further than to the one before.
_LOOK_BACK = timedelta(minutes=15)
_FAILED = [Action.USER_SIGN_IN_FAILED, Action.SECOND_FACTOR_FAILED, Action.REAUTHENTICATION_FAILED]

_ACCOUNTS = """
    SELECT user_id,
           count(*) FILTER (WHERE action <> %(second)s AND created_at > %(hour)s),
           count(*) FILTER (WHERE action <> %(second)s),
           count(*) FILTER (WHERE action = %(second)s AND created_at > %(hour)s),
           count(*) FILTER (WHERE action = %(second)s),
           array_remove(array_agg(DISTINCT host(ip_address)), NULL)
    FROM activity_logs
    WHERE action = ANY(%(failed)s) AND created_at > %(day)s AND created_at <= %(now)s
      AND user_id IN (
        SELECT user_id FROM activity_logs
        WHERE action = ANY(%(failed)s) AND created_at > %(recent)s AND created_at <= %(now)s)
    GROUP BY user_id HAVING count(*) >= 5
"""

# Accounts that do not exist are no rows of anybody; two tries of one are taken for one account.
_ADDRESSES = """
    SELECT host(ip_address),
           count(DISTINCT user_id) FILTER (WHERE failed AND created_at > %(hour)s)
             + ceil(count(*) FILTER (WHERE user_id IS NULL AND created_at > %(hour)s) / 2.0)::int,
           count(DISTINCT user_id) FILTER (WHERE failed)
             + ceil(count(*) FILTER (WHERE user_id IS NULL) / 2.0)::int,
           count(DISTINCT user_id) FILTER (WHERE NOT failed AND created_at > %(hour)s),
           count(DISTINCT user_id) FILTER (WHERE NOT failed)
    FROM (
        SELECT ip_address, user_id, created_at, action <> %(signed_in)s AS failed
        FROM activity_logs
        WHERE action = ANY(%(attempts)s) AND created_at > %(day)s AND created_at <= %(now)s
          AND ip_address IN (
            SELECT ip_address FROM activity_logs
            WHERE action = %(wrong)s AND created_at > %(recent)s AND created_at <= %(now)s)
    ) AS attempts
    GROUP BY ip_address HAVING count(*) FILTER (WHERE failed) >= 5
"""


def _failing_accounts(now: datetime) -> list[tuple[UUID, guessing.AccountFailures]]:
    rows = _counted(
        _ACCOUNTS, now, second=str(Action.SECOND_FACTOR_FAILED), failed=[str(a) for a in _FAILED]
    )
    return [
        (
            user_id,
            guessing.AccountFailures(
                now, hour, day, second_hour, second_day, tuple(addresses),
                signed_in=_got_in(user_id, addresses, now),
            ),
        )
        for user_id, hour, day, second_hour, second_day, addresses in rows
    ]  # fmt: skip


def _failing_addresses(now: datetime) -> list[guessing.AddressFailures]:
    wrong, entered = str(Action.USER_SIGN_IN_FAILED), str(Action.USER_SIGNED_IN)
    rows = _counted(_ADDRESSES, now, wrong=wrong, signed_in=entered, attempts=[wrong, entered])
    return [
        guessing.AddressFailures(address, now, *(int(count) for count in counts))
        for address, *counts in rows
    ]


def _counted(statement: str, now: datetime, **names: Any) -> list[tuple[Any, ...]]:
    moments = {"now": now, "recent": now - _LOOK_BACK, "hour": now - HOUR, "day": now - DAY}
    with connection.cursor() as cursor:
        cursor.execute(statement, names | moments)
        return cursor.fetchall()


_GUESSES = 10  # of one address before it got in: fewer are a person's own typing errors


def _got_in(user_id: UUID, addresses: Iterable[str], now: datetime) -> bool:
    """Whether an address that guessed has signed in since: then the password was found."""
    acts = _rows(
        user_id, [Action.USER_SIGN_IN_FAILED, Action.USER_SIGNED_IN], since=now - DAY, until=now,
        most=5000,
    )  # fmt: skip
    guesses = dict.fromkeys(addresses, 0)
    for act in reversed(acts):  # the oldest first
        if act.ip_address not in guesses:
            continue
        if act.action == Action.USER_SIGN_IN_FAILED:
            guesses[act.ip_address] += 1
        elif guesses[act.ip_address] >= _GUESSES:
            return True
    return False


def _stuffing_addresses(now: datetime) -> frozenset[str]:
    """Addresses that tried many accounts in the last day, as the scan found them."""
    with tenancy.as_system("addresses under suspicion"):
        found = SecurityAlert.objects.filter(
            kind=Kind.CREDENTIAL_STUFFING, user__isnull=True, created_at__gt=now - DAY
        )
        return frozenset(str(row.evidence.get("address")) for row in found[:1000])


def _rows(
    user_id: UUID, actions: Sequence[Action], *, since: datetime, until: datetime | None = None,
    most: int = MOST_ROWS,
) -> list[ActivityLog]:  # fmt: skip
    """Acts of a person, newest first; ``until`` itself is not among them."""
    rows = ActivityLog.objects.filter(
        user_id=user_id, action__in=[str(action) for action in actions], created_at__gt=since,
        erased_at=None,
    )  # fmt: skip
    if until is not None:
        rows = rows.filter(created_at__lt=until)
    return list(rows.order_by("-created_at")[:most])
