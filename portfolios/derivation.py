"""Computing what is derived: pairs, lots, valuations, discrepancies, in that order.

Whoever changes what figures depend on says so in its own transaction (``books.changed``), which
raises the person's ``ledger_revision``. A worker then brings the derived rows up to it, step by
step, each step in a transaction of its own, holding a lease of 30 seconds that it renews. Nothing
is waited for while rows that a recording writes are locked: marks and state are touched last, just
before a step commits.

What arrives meanwhile raises the revision again. Marks are then left as they are, and the work is
queued once more, so that nothing that was marked is ever forgotten; a worker that died leaves its
lease to lapse, and a sweep finds whoever is behind.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from celery import current_app
from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Coalesce, Least

from audit import log as activity
from audit.actions import Action
from portfolios.cost import basis, lot_tables
from portfolios.ledger import books
from portfolios.models import AssetBasis, PortfolioState
from portfolios.reconciling import discrepancies
from portfolios.returns import valuations
from portfolios.transfers import matches
from tracker import clock, ids, tenancy
from tracker.logs import get_logger

log = get_logger(__name__)
BACKFILL_TASK = "portfolios.tasks.backfill_prices"
LEASE = timedelta(seconds=30)
RENEW_EVERY_SECONDS = 10.0
# One that was queued by the sweep is queued again after this, should its message have been lost.
QUEUE_AGAIN_AFTER = timedelta(seconds=30)
# One that failed is tried again after this; when the database was away, as soon as it is back.
AFTER_FAILURE = timedelta(minutes=5)
SWEEP_AT_MOST = 1_000


class LeaseLost(Exception):
    """Somebody else computes this person's figures now, or the person has gone."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What one run has taken upon itself: whose rows, by which token, up to which revision."""

    user_id: UUID
    token: UUID
    revision: int


def derive(*, user_id: UUID, now: datetime) -> bool:
    """Bring one person's derived rows up to the ledger; False when somebody else is at it.

    Also False when it was taken away midway. Does nothing for whom nothing has changed.
    """
    work = _claim(user_id, ids.new_id(), now)
    if work is None:
        return not _is_held(user_id, now)
    try:
        with _lease_kept(work):
            _run(work, now)
    except LeaseLost:
        log.info("derivation.lease_lost")
        return False
    except (OperationalError, InterfaceError):
        _release(work)
        raise
    except BaseException:
        _release(work, again_at=now + AFTER_FAILURE)
        raise
    if _release(work):
        books.enqueue(user_id)
    if _lacks_prices(user_id):
        current_app.send_task(BACKFILL_TASK)  # now, instead of within the minute
    return True


def rebuild(*, user_id: UUID, now: datetime) -> bool:
    """Compute everything of one person anew; False when a worker is at it and goes on with it."""
    with tenancy.as_user(user_id):
        _mark_everything(user_id, now)
    return derive(user_id=user_id, now=now)


def ask_to_rebuild(*, user_id: UUID, actor_id: UUID, now: datetime) -> None:
    """Have a worker compute everything of one person anew. Call inside ``as_user``."""
    _mark_everything(user_id, now)
    activity.record(Action.REBUILD_REQUESTED, user_id=user_id, actor_id=actor_id)


def _mark_everything(user_id: UUID, now: datetime) -> None:
    books.mark(user_id=user_id, touched=dict.fromkeys(lot_tables.assets(user_id=user_id), now))
    books.everything_changed(user_id=user_id, now=now)


def _run(work: _Work, now: datetime) -> None:
    user_id = work.user_id
    with _step(work):
        _mark_pairs(user_id, matches.pair_new(user_id=user_id, now=now))
    with _step(work):
        updated = basis.update(user_id=user_id)
        _clear_marks(work, updated)
    with _step(work):
        valuations.revalue(user_id=user_id, since=_revalue_from(user_id), now=now)
    with _step(work):
        discrepancies.refresh(user_id=user_id, now=now)
    with _step(work):
        _note_reached(work, now)


@contextmanager
def _step(work: _Work) -> Iterator[None]:
    """One transaction as the owner, committed only while the lease is ours."""
    with tenancy.as_user(work.user_id):
        yield
        _hold(work)


def _hold(work: _Work) -> int:
    """Lock the person's state for the moment until the commit; returns the ledger's revision.

    The person's own row is locked as well: whoever erases them first marks it, and from there on
    nothing is derived that would stay behind. What this transaction wrote and the database would
    check at the commit is checked before, so that everybody takes these locks last.

    Raises LeaseLost.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        cursor.execute("SELECT FROM users WHERE id = %s AND is_active FOR SHARE", [work.user_id])
        if not cursor.fetchall():
            raise LeaseLost
        cursor.execute(
            "SELECT ledger_revision FROM portfolio_states "
            "WHERE user_id = %s AND derive_claimed_by = %s FOR UPDATE",
            [work.user_id, work.token],
        )
        for (revision,) in cursor.fetchall():
            return revision
    raise LeaseLost


# --- marks --------------------------------------------------------------------------------------
def _mark_pairs(user_id: UUID, touched: Mapping[UUID, datetime]) -> None:
    """What became a move between own accounts changes lots and flows since the withdrawal."""
    if not touched:
        return
    books.mark(user_id=user_id, touched=touched)
    since = min(touched.values()).astimezone(UTC).date()
    PortfolioState.objects.filter(user_id=user_id).update(
        revalue_from=Least(Coalesce("revalue_from", since), since)
    )


def _clear_marks(work: _Work, updated: Sequence[basis.Reached]) -> None:
    """Note how far lots are computed, and take back the marks unless something came meanwhile."""
    basis.lock(user_id=work.user_id, assets=[item.asset_id for item in updated])
    unchanged = _hold(work) == work.revision
    basis.note(user_id=work.user_id, reached=updated, clean=unchanged)


def _revalue_from(user_id: UUID) -> date | None:
    found = PortfolioState.objects.filter(user_id=user_id).values_list("revalue_from", flat=True)
    return found.first()


def _note_reached(work: _Work, now: datetime) -> None:
    unchanged = _hold(work) == work.revision
    state = PortfolioState.objects.filter(user_id=work.user_id)
    state.update(derived_revision=work.revision, derived_at=now, behind_since=None)
    if unchanged:
        state.update(revalue_from=None)


# --- the lease ----------------------------------------------------------------------------------
def _claim(user_id: UUID, token: UUID, now: datetime) -> _Work | None:
    with tenancy.as_user(user_id), connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE portfolio_states SET derive_claimed_by = %s, derive_lease_until = %s,
                behind_since = coalesce(behind_since, %s)
            WHERE user_id = %s AND ledger_revision > derived_revision
              AND (derive_claimed_by IS NULL OR derive_lease_until < %s)
              AND EXISTS (SELECT FROM users WHERE id = user_id AND is_active)
            RETURNING ledger_revision
            """,
            [token, now + LEASE, now, user_id, now],
        )
        for (revision,) in cursor.fetchall():
            return _Work(user_id=user_id, token=token, revision=revision)
    return None


def _is_held(user_id: UUID, now: datetime) -> bool:
    with tenancy.as_user(user_id):
        held = PortfolioState.objects.filter(
            user_id=user_id, derive_claimed_by__isnull=False, derive_lease_until__gte=now
        )
        return held.exists()


def _release(work: _Work, *, again_at: datetime | None = None) -> bool:
    """Let go; returns whether something came meanwhile, whose own message found us at work.

    In one statement: who changes something afterwards finds the lease free.
    """
    with tenancy.as_user(work.user_id), connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE portfolio_states SET derive_claimed_by = NULL, derive_lease_until = %s
            WHERE user_id = %s AND derive_claimed_by = %s
            RETURNING ledger_revision > derived_revision
            """,
            [again_at, work.user_id, work.token],
        )
        return any(behind for (behind,) in cursor.fetchall())


@contextmanager
def _lease_kept(work: _Work) -> Iterator[None]:
    """Renew the lease until the work is done."""
    done = threading.Event()
    thread = threading.Thread(target=_renew_until, args=(done, work), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _renew_until(done: threading.Event, work: _Work) -> None:
    try:
        while not done.wait(RENEW_EVERY_SECONDS):
            _renew(work)
    finally:
        connection.close()  # this thread's own


def _renew(work: _Work) -> None:
    try:
        with tenancy.as_user(work.user_id):
            PortfolioState.objects.filter(
                user_id=work.user_id, derive_claimed_by=work.token
            ).update(derive_lease_until=clock.now() + LEASE)
    except Exception as error:  # the database may be away; the next renewal tries again
        log.warning("derivation.lease_not_renewed", error=type(error).__name__)
        connection.close()


# --- who is behind ------------------------------------------------------------------------------
def sweep(*, now: datetime) -> int:
    """Queue whoever is behind and in nobody's hands; returns how many.

    Each is marked as queued for half a minute in the statement that picks them, so two sweeps at
    once queue them once, and one whose message was lost comes up again.
    """
    with tenancy.as_system("derive who is behind"), connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE portfolio_states SET derive_claimed_by = NULL, derive_lease_until = %s,
                behind_since = coalesce(behind_since, %s)
            WHERE user_id = ANY(ARRAY(
                SELECT states.user_id FROM portfolio_states AS states
                JOIN users ON users.id = states.user_id
                WHERE states.ledger_revision > states.derived_revision
                  AND (states.derive_lease_until IS NULL OR states.derive_lease_until < %s)
                  AND users.is_active
                LIMIT %s FOR UPDATE OF states SKIP LOCKED
            )) RETURNING user_id
            """,
            [now + QUEUE_AGAIN_AFTER, now, now, SWEEP_AT_MOST],
        )
        behind = [row[0] for row in cursor.fetchall()]
    for user_id in behind:
        books.enqueue(user_id)
    return len(behind)


# --- prices -------------------------------------------------------------------------------------
def _lacks_prices(user_id: UUID) -> bool:
    with tenancy.as_user(user_id):
        valued = PortfolioState.objects.filter(user_id=user_id, waits_for_prices=True)
        bought = AssetBasis.objects.filter(user_id=user_id, waits_for__isnull=False)
        return valued.exists() or bought.exists()


def prices_arrived(*, assets: Collection[UUID], now: datetime) -> int:
    """Prices of these assets were fetched: whoever waited for them is told; returns how many.

    The fleet is read for ids alone; each person's marks are set as themselves.
    """
    if not assets:
        return 0
    waiting = _waiting_for(sorted(assets))
    for user_id, touched in waiting.items():
        with tenancy.as_user(user_id):
            books.changed(user_id=user_id, touched=touched, now=now)
            _revalue_what_waits(user_id)
    return len(waiting)


def tell_who_waits_in_vain(*, now: datetime) -> int:
    """Whoever waits for prices although all of theirs were fetched is told; returns how many.

    A worker can die after it stored prices and before it told of them; and who began to wait
    while they were being stored was not seen by whoever told. Loops for nobody: figures wait only
    for what is still to be fetched.
    """
    with tenancy.as_system("who waits in vain"), connection.cursor() as cursor:
        cursor.execute(_IN_VAIN)
        found: dict[UUID, dict[UUID, datetime]] = {}
        for user_id, asset_id, since in cursor.fetchall():
            found.setdefault(user_id, {}).update({asset_id: since} if asset_id else {})
    for user_id, touched in found.items():
        with tenancy.as_user(user_id):
            books.changed(user_id=user_id, touched=touched, now=now)
            _revalue_what_waits(user_id)
    return len(found)


# Lots of which every price was answered, and valuations of which no price is open.
_IN_VAIN = """
SELECT bases.user_id, bases.asset_id, bases.waits_from FROM asset_bases AS bases
JOIN portfolio_states AS states USING (user_id)
WHERE states.ledger_revision = states.derived_revision AND bases.waits_for IS NOT NULL
  AND NOT EXISTS (
    SELECT FROM price_needs AS needs
    WHERE needs.asset_id = ANY(bases.waits_for) AND needs.state <> 'done')
UNION ALL
SELECT states.user_id, NULL, NULL FROM portfolio_states AS states
JOIN users ON users.id = states.user_id
WHERE states.ledger_revision = states.derived_revision AND states.waits_for_prices
  AND NOT EXISTS (
    SELECT FROM price_needs AS needs WHERE needs.state = 'open' AND needs.asset_id IN (
        SELECT asset_id FROM asset_bases WHERE user_id = states.user_id
        UNION SELECT asset_id FROM holdings WHERE user_id = states.user_id
        UNION SELECT assets.id FROM assets
              WHERE assets.slug = lower(users.base_currency) OR assets.slug IN (
                  SELECT lower(currency) FROM manual_prices WHERE user_id = states.user_id)))
"""


def _waiting_for(assets: Sequence[UUID]) -> dict[UUID, dict[UUID, datetime]]:
    """By person, the assets whose lots want these prices, and those whose valuations alone do."""
    found: dict[UUID, dict[UUID, datetime]] = {}
    with tenancy.as_system("who waits for prices"), connection.cursor() as cursor:
        cursor.execute(
            "SELECT user_id, asset_id, waits_from FROM asset_bases WHERE waits_for && %s::uuid[]",
            [list(assets)],
        )
        for user_id, asset_id, since in cursor.fetchall():
            found.setdefault(user_id, {})[asset_id] = since
        cursor.execute(_VALUED_WITHOUT, {"assets": list(assets)})
        for (user_id,) in cursor.fetchall():
            found.setdefault(user_id, {})
    return found


# An asset that never had a price has no days of its own.
_VALUED_WITHOUT = """
SELECT states.user_id FROM portfolio_states AS states JOIN users ON users.id = states.user_id
WHERE EXISTS (
    SELECT FROM daily_valuations AS days
    WHERE days.user_id = states.user_id AND days.scope_id = ANY(%(assets)s) AND days.unpriced > 0)
OR EXISTS (
    SELECT FROM asset_bases AS held
    WHERE held.user_id = states.user_id AND held.asset_id = ANY(%(assets)s) AND NOT EXISTS (
        SELECT FROM daily_valuations AS days
        WHERE days.user_id = held.user_id AND days.scope_id = held.asset_id))
OR states.waits_for_prices AND (
    EXISTS (SELECT FROM ledger_entries AS entries
            WHERE entries.user_id = states.user_id AND entries.asset_id = ANY(%(assets)s))
    OR EXISTS (SELECT FROM holdings
               WHERE holdings.user_id = states.user_id AND holdings.asset_id = ANY(%(assets)s))
    OR EXISTS (SELECT FROM assets
               WHERE assets.id = ANY(%(assets)s) AND assets.slug = lower(users.base_currency)))
"""


def _revalue_what_waits(user_id: UUID) -> None:
    """From the first day on that was valued without some price."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE portfolio_states SET revalue_from = least(revalue_from, (
                SELECT min(day) FROM daily_valuations
                WHERE user_id = %s AND (unpriced > 0 OR is_partial)))
            WHERE user_id = %s
            """,
            [user_id, user_id],
        )
