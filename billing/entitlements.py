"""What a user may do, asked at every gate."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any
from uuid import UUID

from billing import plans
from billing.models import BillingAccount
from billing.plans import Plan
from tracker import clock, tenancy

BILLED = "subscription"  # the reason of an account for whose plan somebody pays
_LOADED = "_billing_account"  # on a user object: their account, or None where there is none
# For reads that fetch a user anyway: the account comes with them and costs no query of its own.
FIELDS = [field.attname for field in BillingAccount._meta.concrete_fields]
COLUMNS = ", ".join(f'b."{field.column}"' for field in BillingAccount._meta.concrete_fields)
# The tier in force at an instant, a parameter named ``now``; for statements over everybody.
TIER = f"""CASE WHEN b.tier IS NULL THEN '{plans.DEFAULT_TIER}'
    WHEN b.until <= %(now)s THEN b.next_tier ELSE b.tier END"""
JOIN = "LEFT JOIN billing_accounts b ON b.user_id = u.id"


@dataclass(frozen=True, slots=True)
class Entitlements:
    """What is in force for one person at one moment; limits of ``None`` do not limit."""

    tier: str
    plan: Plan
    spending_cap: Decimal | None = None  # USD a month beyond the plan's price
    is_billed: bool = False  # a subscription that is paid for gives the plan

    @property
    def call_price(self) -> Decimal | None:
        """USD of each call beyond the included ones; None refuses them, as for who is not billed:
        a plan that was granted, or one for which a payment is owed."""
        return self.plan.call_price if self.is_billed else None

    def __getattr__(self, name: str) -> Any:
        """Everything that the plan says is said here too."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.plan, name)

    @property
    def cap(self) -> Decimal:
        """USD that calls beyond the included ones may cost in a month: what the person set, else
        once more the price of the plan."""
        return self.plan.price if self.spending_cap is None else self.spending_cap

    @property
    def most_calls(self) -> int:
        """Calls of a month after which they are refused."""
        return self.plan.calls_per_month + self.most_beyond(self.cap)

    def most_beyond(self, cap: Decimal) -> int:
        """Calls beyond the included ones that cost no more than a cap."""
        if self.call_price is None:
            return 0
        if not self.call_price:
            return 10**9
        return int((cap / self.call_price).to_integral_value(ROUND_DOWN))


def for_user(user: Any, *, now: datetime | None = None) -> Entitlements:
    """What is in force for a user; an anonymous caller has the default plan.

    A user who came with a request brings their account along; otherwise it is one query, the
    first time.
    """
    if not getattr(user, "pk", None):
        return of_account(None, now=now or clock.now())
    if not hasattr(user, _LOADED):
        if tenancy.current().system:
            account = BillingAccount.objects.filter(user_id=user.pk).first()
        else:
            with tenancy.as_user(user.pk):
                account = BillingAccount.objects.filter(user_id=user.pk).first()
        attach(user, account)
    return of_account(getattr(user, _LOADED), now=now or clock.now())


def of_users(user_ids: Collection[UUID], *, now: datetime) -> Mapping[UUID, Entitlements]:
    """Of many people in one query. Call inside ``as_system``."""
    found = {row.user_id: row for row in BillingAccount.objects.filter(user_id__in=user_ids)}
    return {user_id: of_account(found.get(user_id), now=now) for user_id in user_ids}


def of_account(account: BillingAccount | None, *, now: datetime) -> Entitlements:
    """What an account says at a moment: a plan whose time is over has given way."""
    if account is None:
        return _of_tier(plans.DEFAULT_TIER)
    if account.until is not None and account.until <= now:
        return _of_tier(account.next_tier, account.spending_cap)
    return _of_tier(account.tier, account.spending_cap, is_billed=account.reason == BILLED)


def attach(user: Any, account: BillingAccount | None) -> None:
    """Let a user object bring its account along."""
    setattr(user, _LOADED, account)


def attach_row(user: Any, row: tuple[Any, ...]) -> None:
    """The same for the columns of ``COLUMNS``, which are all null where there is no account."""
    attach(user, BillingAccount.from_db("default", FIELDS, row) if row[0] else None)


def _of_tier(
    tier: str, spending_cap: Decimal | None = None, *, is_billed: bool = False
) -> Entitlements:
    known = plans.known(tier)
    return Entitlements(known, plans.plan(known), spending_cap, is_billed and known == tier)
