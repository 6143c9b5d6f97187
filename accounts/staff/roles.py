"""What each role of staff may do: one table, from which groups are made and which tests read.

A row for each model of the admin says what a role may do with it: ``view``, ``add``, ``change``,
``delete``, or the name of a permission that the model declares in its ``Meta``. The lead may do
what support may, and what stands under ``lead``. Auditors look at everything and touch nothing.
Whoever registers a model adds its row; a test fails until then.

After each migration the five groups hold exactly what stands here. Rights beyond it belong into a
group of another name, which nothing here touches.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.models import Group, Permission
from django.db.models import Q

SUPPORT, LEAD, FINANCE = "Support", "Support lead", "Finance"
OPERATIONS, AUDITOR = "Operations", "Auditor"
ROLES = (SUPPORT, LEAD, FINANCE, OPERATIONS, AUDITOR)
_PLAIN = ("view", "add", "change", "delete")


@dataclass(frozen=True, slots=True)
class Row:
    """What each role may do with one model."""

    support: tuple[str, ...]
    lead: tuple[str, ...]
    finance: tuple[str, ...]
    operations: tuple[str, ...]
    auditor: tuple[str, ...]

    def of(self, role: str) -> frozenset[str]:
        """What one role may do."""
        return frozenset({
            SUPPORT: self.support, LEAD: (*self.support, *self.lead), FINANCE: self.finance,
            OPERATIONS: self.operations, AUDITOR: self.auditor,
        }[role])  # fmt: skip


def _row(
    support: str = "", *, lead: str = "", finance: str = "", operations: str = "",
    auditor: str = "view",
) -> Row:  # fmt: skip
    return Row(
        tuple(support.split()), tuple(lead.split()), tuple(finance.split()),
        tuple(operations.split()), tuple(auditor.split()),
    )  # fmt: skip


_NOBODY_ELSE = _row()  # auditors alone
_OF_A_PERSON = _row("view")  # what a ticket is about
_MONEY = _row("view", finance="view")
_ACCOUNTING = _row(finance="view")
_MACHINERY = _row(operations="view")
_BOTH = _row("view", operations="view")

TABLE: Mapping[str, Row] = {
    # --- people ---------------------------------------------------------------------------------
    # Nobody but superusers changes an address or sets a password: who can, can become anybody.
    "accounts.User": _row(
        "view resend_confirmation end_sessions",
        lead="lock_out ask_reset_second_factor view_as start_export start_erasure",
        finance="view",
    ),
    "accounts.Session": _OF_A_PERSON,
    "accounts.TotpDevice": _OF_A_PERSON,
    "accounts.Passkey": _OF_A_PERSON,
    "accounts.RecoveryCode": _OF_A_PERSON,
    "accounts.SecondFactorReset": _OF_A_PERSON,
    "accounts.SupportAccess": _OF_A_PERSON,
    "accounts.SupportViewing": _OF_A_PERSON,
    "accounts.SupportRequest": _row("view answer_supportrequest", lead="assign_supportrequest"),
    "accounts.CannedReply": _row("view", lead="add change delete"),
    "accounts.Consent": _OF_A_PERSON,
    "accounts.ApiKey": _OF_A_PERSON,
    "accounts.PushDevice": _OF_A_PERSON,
    "accounts.NotificationChoice": _OF_A_PERSON,
    "accounts.NotificationSettings": _OF_A_PERSON,
    "accounts.Delivery": _row("view", operations="view change"),  # change: send again
    "accounts.EmailSuppression": _row("view change", operations="view change"),  # change: lift
    "accounts.WebhookEndpoint": _BOTH,
    "accounts.DataExport": _BOTH,
    "auth.Group": _NOBODY_ELSE,
    # --- what happened --------------------------------------------------------------------------
    "audit.ActivityLog": _OF_A_PERSON,
    "audit.SecurityAlert": _row("view", lead="change", operations="view change"),
    "audit.SecurityEvent": _MACHINERY,
    "audit.WebhookDelivery": _row(operations="view change"),  # change: deliver again
    "audit.UserMetric": _NOBODY_ELSE,
    "audit.Incident": _row("view", operations="view add change"),
    "audit.IncidentUpdate": _row("view", operations="view add change"),  # on an incident's page
    "audit.ComponentDay": _BOTH,
    "audit.DrillResult": _MACHINERY,
    # --- billing --------------------------------------------------------------------------------
    "billing.BillingAccount": _MONEY,
    # view_revenue: what all of them are worth together
    "billing.Subscription": _row("view", finance="view view_revenue", auditor="view view_revenue"),
    "billing.Invoice": _MONEY,
    "billing.PlanGrant": _row("view", lead="add", finance="view add"),
    "billing.MeterReport": _ACCOUNTING,
    "billing.StripeEvent": _row(finance="view change"),  # change: work on it again
    "djstripe.Customer": _ACCOUNTING,
    "djstripe.Subscription": _ACCOUNTING,
    "djstripe.Product": _ACCOUNTING,
    "djstripe.Price": _ACCOUNTING,
    # --- exchanges ------------------------------------------------------------------------------
    "exchanges.Exchange": _BOTH,
    "exchanges.Asset": _BOTH,
    "exchanges.Price": _BOTH,
    "exchanges.PriceNeed": _MACHINERY,
    # change: sync now, pause, resume
    "exchanges.ExchangeConnection": _row("view change", operations="view change"),
    "exchanges.Coverage": _BOTH,
    "exchanges.QuarantinedPage": _row("view", operations="view change"),  # change: replay
    # --- what a person owns ---------------------------------------------------------------------
    "portfolios.SyncRun": _row("view sync_now", operations="view"),
    "portfolios.PortfolioState": _row("view rebuild", operations="view"),
    "portfolios.Trade": _OF_A_PERSON,
    "portfolios.Transfer": _OF_A_PERSON,
    "portfolios.Reward": _OF_A_PERSON,
    "portfolios.Adjustment": _OF_A_PERSON,
    "portfolios.LedgerEntry": _OF_A_PERSON,
    "portfolios.Holding": _OF_A_PERSON,
    "portfolios.HoldingChange": _OF_A_PERSON,
    "portfolios.PortfolioSnapshot": _OF_A_PERSON,
    "portfolios.AssetBasis": _OF_A_PERSON,
    "portfolios.Lot": _OF_A_PERSON,
    "portfolios.Disposal": _OF_A_PERSON,
    "portfolios.Income": _OF_A_PERSON,
    "portfolios.DailyValuation": _OF_A_PERSON,
    "portfolios.Discrepancy": _OF_A_PERSON,
    "portfolios.TransferMatch": _OF_A_PERSON,
    "portfolios.TransferNote": _OF_A_PERSON,
    "portfolios.ProblemDismissal": _OF_A_PERSON,
    "portfolios.ManualPrice": _OF_A_PERSON,
    "portfolios.PriceAlert": _OF_A_PERSON,
    "portfolios.AlertFiring": _OF_A_PERSON,
    "portfolios.Strategy": _OF_A_PERSON,
    "portfolios.StrategyWatch": _OF_A_PERSON,
    "portfolios.StrategySignal": _OF_A_PERSON,
    # Queues, with what stands in them.
    "portfolios.Backtest": _BOTH,
    "portfolios.FileImport": _BOTH,
    "portfolios.FileExport": _BOTH,
}


def permissions_of(role: str) -> frozenset[str]:
    """Full names of the permissions of a role, as Django asks for them: "accounts.view_user"."""
    return frozenset(name for label, row in TABLE.items() for name in _named(label, row.of(role)))


def _named(label: str, actions: frozenset[str]) -> Iterator[str]:
    room, model = label.split(".")
    for action in actions:
        yield f"{room}.{action}_{model.lower()}" if action in _PLAIN else f"{room}.{action}"


# --- groups -------------------------------------------------------------------------------------
def sync() -> None:
    """Make the five groups hold what the table says and nothing else. Safe to run again."""
    held = Group.permissions.through.objects
    groups = {role: Group.objects.get_or_create(name=role)[0].pk for role in ROLES}
    known = _known()
    wanted = {
        (groups[role], known[name])
        for role in ROLES for name in permissions_of(role) if name in known
    }  # fmt: skip
    rows = held.filter(group_id__in=groups.values()).values_list("group_id", "permission_id")
    found = set(rows)
    held.bulk_create(
        [held.model(group_id=group, permission_id=right) for group, right in wanted - found],
        ignore_conflicts=True,
    )
    surplus = Q(pk__in=[])
    for group, right in found - wanted:
        surplus |= Q(group_id=group, permission_id=right)
    held.filter(surplus).delete()


def _known() -> dict[str, int]:
    rows = Permission.objects.filter(
        content_type__app_label__in={label.split(".")[0] for label in TABLE}
    )
    found = rows.values_list("content_type__app_label", "codename", "pk")
    return {f"{room}.{codename}": key for room, codename, key in found}


def sync_after_migrating(sender: AppConfig, **kwargs: Any) -> None:
    """Receiver of ``post_migrate``, which comes once for each app: the last has all permissions."""
    last = [config for config in apps.get_app_configs() if config.models_module][-1]
    if sender.label == last.label:
        sync()
