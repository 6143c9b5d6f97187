"""Making, changing and removing alerts, and how they stand.

What is already true is no news. An alert that is told once is then refused; a repeating one waits,
unarmed, until the figure has gone back. What nobody knows just now is refused by nobody.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet

from accounts.models import User
from audit import log
from audit.actions import Action
from billing import entitlements
from exchanges.models import Asset
from portfolios.alerting import announcing, bounds, conditions, delisting, figures, wording
from portfolios.alerting.bounds import Wish
from portfolios.alerting.figures import Subject
from portfolios.alerting.worth import Figure
from portfolios.models import AlertFiring, AlertState, PriceAlert
from tracker import money, tenancy
from tracker.api import InvalidInput
from tracker.errors import DomainError, NotFound

# Of those that are over: the newest so many are kept to look at.
KEPT_TRIGGERED = 500
_SHOWN = Decimal(1).scaleb(-18)


class AlertLimit(DomainError):
    code = "alert_limit_reached"
    status = 403
    message = "Your plan includes no further alert."


class NotQuoted(DomainError):
    code = "asset_not_quoted"
    status = 409
    message = "No market that we read quotes this asset, so the alert could never come true."


class ChangedMeanwhile(DomainError):
    code = "changed_meanwhile"
    status = 409
    message = "The alert came true or was changed just now. Please look at it and try again."


# --- reading ------------------------------------------------------------------------------------
def of(user_id: UUID) -> QuerySet[Any]:
    """A person's alerts as plain rows."""
    return PriceAlert.objects.filter(user_id=user_id).values(
        "id", "kind", "asset", "threshold", "currency", "direction", "window", "repeats",
        "hysteresis", "note", "state", "armed", "told_count", "told_at", "created_at",
        "updated_at", code=F("asset__code"),
    )  # fmt: skip


def one(*, user_id: UUID, alert_id: UUID, now: datetime) -> dict[str, Any]:
    """An alert as the API tells it. Raises NotFound."""
    with tenancy.as_user(user_id):
        row = of(user_id).filter(id=alert_id).first()
    if row is None:
        raise NotFound
    return shown([row], user_id=user_id, now=now)[0]


def shown(
    rows: Sequence[Mapping[str, Any]], *, user_id: UUID, now: datetime
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows of ``of`` as the API tells them, each with its figure of now."""
    subjects = {row["id"]: _subject_of(row, user_id) for row in rows}
    known = figures.now_of(set(subjects.values()), user_id=user_id, now=now) if rows else {}
    return [_told(row, known[subjects[row["id"]]]) for row in rows]


def firings_of(user_id: UUID, alert_id: UUID) -> QuerySet[Any]:
    """When an alert came true. Raises NotFound. Call inside ``as_user``."""
    if not PriceAlert.objects.filter(user_id=user_id, id=alert_id).exists():
        raise NotFound
    return AlertFiring.objects.filter(user_id=user_id, alert_id=alert_id).values(
        "id", "at", "value"
    )


def _told(row: Mapping[str, Any], figure: Figure) -> dict[str, Any]:
    window = row["window"]
    value = None if figure.value is None else money.to_text(figure.value.quantize(_SHOWN))
    return {
        **{name: row[name] for name in row if name != "window"},
        "code": row["code"] or "",
        "direction": row["direction"] or None,
        "window_seconds": None if window is None else int(window.total_seconds()),
        "current": {"value": value, "as_of": figure.as_of, "status": figure.status},
    }


def _subject_of(row: Mapping[str, Any], user_id: UUID) -> Subject:
    subject = Subject(
        row["kind"], row["asset"], row["currency"], row["direction"], row["window"], None
    )
    return figures.personal(subject, user_id)


# --- writing ------------------------------------------------------------------------------------
def create(*, user: User, wish: Wish, now: datetime) -> UUID:
    """Make an alert; returns its id. Raises InvalidInput, NotQuoted, AlertLimit."""
    wish = bounds.checked(wish)
    if wish.kind == conditions.DRAWDOWN and wish.currency != user.base_currency:
        raise InvalidInput.of("currency", "Drawdowns are in your base currency.")
    _require_priced(wish, now)
    armed = _may_be_armed(wish, user.id, now)
    with tenancy.as_user(user.id):
        _require_room(user, now)
        alert = PriceAlert.objects.create(
            user_id=user.id, kind=wish.kind, asset_id=wish.asset_id, threshold=wish.threshold,
            currency=wish.currency, direction=wish.direction, window=wish.window,
            repeats=wish.repeats, hysteresis=wish.hysteresis, note=wish.note, armed=armed,
            judged_at=now, created_at=now, updated_at=now,
        )  # fmt: skip
        _forget_triggered(user.id)
        log.record(Action.PRICE_ALERT_MADE, user_id=user.id, alert=str(alert.id), kind=wish.kind)
        announcing.changed(alert.id)
    return alert.id


def change(*, user: User, alert_id: UUID, now: datetime, **changes: Any) -> None:
    """Pause, resume, or alter ``threshold``, ``repeats``, ``hysteresis`` or ``note``.

    Whoever resumes an alert, or moves its threshold, has it judged anew as when it was made.
    Raises NotFound, InvalidInput, NotQuoted, AlertLimit.
    """
    with tenancy.as_user(user.id):
        before = _find(user.id, alert_id)
    wish = bounds.checked(_changed_wish(before, changes))
    state = changes.get("state", before.state)
    resumes = state == AlertState.ACTIVE and before.state != AlertState.ACTIVE
    anew = resumes or (state == AlertState.ACTIVE and wish.threshold != before.threshold)
    armed = before.armed
    if anew:
        _require_priced(wish, now)
        armed = _may_be_armed(wish, user.id, now)
    after = {
        "threshold": wish.threshold, "repeats": wish.repeats, "hysteresis": wish.hysteresis,
        "note": wish.note, "state": state, "updated_at": now,
    }  # fmt: skip
    with tenancy.as_user(user.id):
        if before.state == AlertState.TRIGGERED and state != AlertState.TRIGGERED:
            _require_room(user, now)
        _write(before, after | ({"armed": armed, "judged_at": now} if anew else {}))
        log.record(
            Action.PRICE_ALERT_CHANGED, user_id=user.id, alert=str(alert_id),
            changed=sorted(changes),
        )  # fmt: skip
        announcing.changed(alert_id)


def _write(before: PriceAlert, after: Mapping[str, Any]) -> None:
    """As it was read: whatever came between is not written over."""
    rows = PriceAlert.objects.filter(
        user_id=before.user_id, id=before.id, updated_at=before.updated_at
    )
    if not rows.update(**after):
        raise ChangedMeanwhile


def remove(*, user_id: UUID, alert_id: UUID) -> None:
    """Forget an alert and when it came true. Raises NotFound."""
    with tenancy.as_user(user_id):
        _find(user_id, alert_id).delete()
        log.record(Action.PRICE_ALERT_REMOVED, user_id=user_id, alert=str(alert_id))
        announcing.changed(alert_id)


def _find(user_id: UUID, alert_id: UUID) -> PriceAlert:
    found = PriceAlert.objects.filter(user_id=user_id, id=alert_id).first()
    if found is None:
        raise NotFound
    return found


def _changed_wish(before: PriceAlert, changes: Mapping[str, Any]) -> Wish:
    repeats = changes.get("repeats", before.repeats)
    kept = before.hysteresis if before.repeats else Decimal(0)
    return Wish(
        kind=before.kind, threshold=changes.get("threshold", before.threshold),
        currency=before.currency, asset_id=before.asset_id, direction=before.direction,
        window=before.window, repeats=repeats, hysteresis=changes.get("hysteresis", kept),
        note=changes.get("note", before.note),
    )  # fmt: skip


# --- what stands in the way ---------------------------------------------------------------------
def _require_priced(wish: Wish, now: datetime) -> None:
    if wish.asset_id is None:
        return
    if not Asset.objects.filter(id=wish.asset_id).exists():
        raise InvalidInput.of("asset", "There is no asset of this id.", code="does_not_exist")
    if not delisting.is_quoted(wish.asset_id, now=now):
        raise NotQuoted


def _may_be_armed(wish: Wish, user_id: UUID, now: datetime) -> bool:
    """False of a repeating one that is true already. Raises InvalidInput of one told once."""
    subject = figures.personal(
        Subject(wish.kind, wish.asset_id, wish.currency, wish.direction, wish.window, None),
        user_id,
    )
    figure = figures.now_of({subject}, user_id=user_id, now=now)[subject]
    if figure.value is None or figure.status != "complete":
        return True
    moved = abs(figure.value) if wish.kind == conditions.PRICE_CHANGE else figure.value
    rises = wish.kind in conditions.RISING
    if not conditions.reached(moved, threshold=wish.threshold, rises=rises):
        return True
    if wish.repeats:
        return False
    value = wording.value(kind=wish.kind, currency=wish.currency, shown=figure.value)
    text = f"This is true already: it stands at {value}."
    raise InvalidInput.of("threshold", text, code="already_true")


def _require_room(user: User, now: datetime) -> None:
    """The person's own row lets two at once take turns. What is over does not count."""
    granted = entitlements.for_user(user, now=now)
    most = granted.plan.alerts
    if most is None:
        return
    User.objects.select_for_update(no_key=True).get(id=user.id)
    counted = PriceAlert.objects.filter(user_id=user.id).exclude(state=AlertState.TRIGGERED)
    if counted.count() < most:
        return
    raise AlertLimit(
        f"Your {granted.plan.name} plan includes {most:,} alerts. Remove one, or choose a larger "
        "plan.", details={"plan": granted.tier, "limit": most},
    )  # fmt: skip


def _forget_triggered(user_id: UUID) -> None:
    over = PriceAlert.objects.filter(user_id=user_id, state=AlertState.TRIGGERED)
    oldest = over.order_by("-created_at", "-id").values("id")[KEPT_TRIGGERED:]
    over.filter(id__in=list(oldest.values_list("id", flat=True))).delete()


def window_of(seconds: int | None) -> timedelta | None:
    """A window as the API names it."""
    return None if seconds is None else timedelta(seconds=seconds)
