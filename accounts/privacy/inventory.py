"""Every field of every table, by what it says about a person (S48).

One entry for each model of each installed app, ours and third-party, as plain data: rooms above
are named by strings and found through Django's registry. Export, erasure, retention and the
record of Art. 30 read this and nothing else, so a table that is forgotten here is a failing test
and not a leak.

- **personal**: given by the person or observed about them; exported.
- **derived**: computed from that; exported.
- **operational**: bookkeeping that says nothing about the person; not exported.
- **secret**: keys, hashes, digests; named in the export as held, never part of it.
"""

# ruff: noqa: S106  (names of what is secret, not secrets)
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from graphlib import TopologicalSorter
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db.models import Field, ForeignKey, Model, Q, QuerySet


class Erasure(StrEnum):
    """What becomes of somebody's rows when they are erased."""

    DELETE = "delete"
    ANONYMISE = "anonymise"
    KEEP = "keep"
    NOBODY = "about nobody"


CONTRACT = "contract, Art. 6(1)(b)"
SECURITY = "legitimate interest in security, Art. 6(1)(f)"
ACCOUNTABILITY = "legal obligation to show what was done, Art. 6(1)(c) with Art. 5(2)"
NONE = "no personal data"


@dataclass(frozen=True, slots=True)
class Expiry:
    """Rows outlive their purpose so long after the first of these moments; ``None`` elsewhere."""

    fields: tuple[str, ...]
    after: timedelta
    setting: str = ""  # the name of a setting that says it instead

    @property
    def period(self) -> timedelta:
        return getattr(settings, self.setting) if self.setting else self.after

    def __str__(self) -> str:
        days = self.period // timedelta(days=1)
        moments = " or ".join(name.removesuffix("_at").replace("_", " ") for name in self.fields)
        unit = "day" if days == 1 else "days"
        return f"{days} {unit} after: {moments}" if days else f"until: {moments}"


@dataclass(frozen=True, slots=True)
class Table:
    """One model: what it is for and what its fields are."""

    purpose: str
    basis: str
    erasure: Erasure
    why: str
    owner: str  # lookup of the person's id from a row; empty where rows are about nobody
    fields: Mapping[str, tuple[str, ...]]
    order: tuple[str, ...]  # unique, and in the order of an index that begins with the person
    expiry: Expiry | None
    kept: str

    @property
    def exported(self) -> tuple[str, ...]:
        return (*self.fields["personal"], *self.fields["derived"])

    @property
    def retention(self) -> str:
        return self.kept or str(self.expiry or "as long as the account exists")


CLASSES = ("personal", "derived", "operational", "secret")


def _table(
    purpose: str,
    basis: str = CONTRACT,
    *,
    owner: str = "user_id",
    erasure: Erasure = Erasure.DELETE,
    why: str = "nothing needs it without the person",
    order: str = "pk",
    expiry: Expiry | None = None,
    kept: str = "",
    **fields: str,
) -> Table:
    return Table(
        purpose=purpose, basis=basis, erasure=erasure, why=why, owner=owner, expiry=expiry,
        kept=kept, order=tuple(order.split()),
        fields={kind: tuple(fields.pop(kind, "").split()) for kind in CLASSES},
    )  # fmt: skip


def _shared(purpose: str, *fields: str) -> Table:
    """A catalogue: the same for everybody."""
    return _table(
        purpose, NONE, owner="", erasure=Erasure.NOBODY, why="it is about nobody",
        kept="as long as the service runs", operational=" ".join(fields),
    )  # fmt: skip


def _after(days: int, *fields: str) -> Expiry:
    return Expiry(fields, timedelta(days=days))


_FACT = "id user connection feed exchange_id wallet occurred_at"

TABLES: Mapping[str, Table] = {
    # --- accounts -------------------------------------------------------------------------------
    "accounts.User": _table(
        "the account: signing in, preferences, plan", owner="id", order="id",
        why="last of all, after a tombstone was written outside the database",
        personal="id email email_confirmed_at created_at last_login is_active closes_at is_staff "
        "is_superuser subscription_tier base_currency time_zone locale theme cost_basis_method "
        "cost_basis_scope long_term_days",
        secret="password",
    ),
    "accounts.User_groups": _table("roles of staff", personal="id user group"),
    "accounts.User_user_permissions": _table("rights of staff", personal="id user permission"),
    "accounts.Session": _table(
        "staying signed in on a device, and seeing on which", expiry=_after(
            90, "ended_at", "expires_at"),
        personal="id user user_agent device_name platform app_version ip_address created_at "
        "authenticated_at refreshed_at expires_at ended_at end_reason",
        secret="refresh_digest",
    ),
    "accounts.AccountLink": _table(
        "confirming an address, resetting a password", expiry=_after(30, "expires_at"),
        personal="id user purpose email created_at expires_at used_at",
    ),
    "accounts.DataKey": _table(
        "encrypting what is secret of this person",
        why="first of all: without it everything sealed is unreadable, in backups too, 7 days "
        "later at the latest",
        personal="user created_at", operational="key_id", secret="wrapped_key",
    ),
    "accounts.IdempotencyRecord": _table(
        "answering a request that was sent twice once",
        expiry=Expiry(("created_at",), timedelta(days=1), "IDEMPOTENCY_LIFETIME"),
        personal="id user created_at", operational="status locked_until",
        secret="key_digest body_digest sealed_answer",
    ),
    "accounts.ApiKey": _table(
        "programmatic access", expiry=_after(90, "revoked_at", "expires_at"),
        personal="id user name prefix scopes created_at expires_at last_used_at "
        "last_used_address known_addresses revoked_at",
        secret="digest",
    ),
    "accounts.SecondFactorReset": _table(
        "removing the second factors of who lost them, after a day", SECURITY,
        expiry=_after(365, "ended_at"),
        personal="id user state reason asked_at due_at ended_at",
        operational="asked_by cancelled_by",
    ),
    "accounts.SupportAccess": _table(
        "letting support see what the app shows", expiry=_after(365, "until"),
        personal="id user given_at until ended_at",
    ),
    "accounts.SupportViewing": _table(
        "who of support looked on, and when", ACCOUNTABILITY, expiry=_after(365, "ends_at"),
        personal="id user access reason began_at ends_at ended_at pages",
        operational="actor_id",
    ),
    "accounts.NotificationChoice": _table(
        "which messages the person wants", personal="id user event channel enabled"
    ),
    "accounts.PushDevice": _table(
        "push messages", expiry=_after(30, "refused_at"),
        personal="id user session_id name platform created_at registered_at refused_at",
        secret="token",
    ),
    "accounts.Delivery": _table(
        "sending messages, once each", expiry=_after(90, "created_at"),
        personal="id user event channel address parameters state created_at sent_at read_at",
        operational="dedupe_key attempts next_attempt_at held_back error receipt",
    ),
    "accounts.NotificationSettings": _table(
        "when the person wants to be told",
        personal="user quiet_from quiet_until weekly_summary_day", operational="summary_due_at",
    ),
    "accounts.EmailSuppression": _table(
        "sending no e-mail to addresses that take none", expiry=_after(365, "lifted_at"),
        personal="id user address reason created_at lifted_at",
    ),
    "accounts.WebhookEndpoint": _table(
        "telling the person's own programs",
        personal="id user host created_at last_success_at failing_since last_error stopped_at",
        operational="tested_at", secret="sealed_url sealed_secret",
    ),
    "accounts.Consent": _table(
        "showing to which terms somebody agreed", ACCOUNTABILITY,
        personal="id user document version agreed_at ip_address",
    ),
    "accounts.DataExport": _table(
        "copies of their data that people asked for", ACCOUNTABILITY,
        expiry=_after(90, "requested_at"),
        kept="the file 7 days, the row 90 days after: requested",
        personal="id user state bytes rows_total requested_at ready_at expires_at",
        operational="file_name rows_done error leased_until attempts",
    ),
    "accounts.TotpDevice": _table(
        "second factor: authenticator app", SECURITY,
        personal="id user name confirmed created_at confirmed_at last_used_at",
        operational="last_step", secret="sealed_seed",
    ),
    "accounts.RecoveryCode": _table(
        "second factor: recovery codes", SECURITY, personal="id user created_at used_at",
        secret="digest",
    ),
    "accounts.Passkey": _table(
        "second factor and signing in: passkeys", SECURITY,
        personal="id user name confirmed transports aaguid backed_up created_at last_used_at",
        operational="sign_count", secret="credential_id credential_digest public_key",
    ),
    "accounts.SupportRequest": _table(
        "helping people who ask", expiry=_after(1095, "closed_at"),
        personal="id user reference category subject state connection_id diagnostics snapshot "
        "consented_at opened_at waiting_since first_answered_at answered_at last_message_at "
        "closed_at closed_by rating rating_comment rated_at",
        operational="assigned_to version",
    ),
    # With the notes that staff left each other: they are about the person (Art. 15). Without who
    # of staff wrote what: that is about somebody else.
    "accounts.SupportMessage": _table(
        "helping people who ask", order="request id", kept="with the request",
        personal="id user request kind text created_at", operational="author",
    ),
    "accounts.CannedReply": _shared(
        "answers that are written once for many", "id", "title", "language", "category", "text",
        "created_at",
    ),
    # --- audit ----------------------------------------------------------------------------------
    "audit.ActivityLog": _table(
        "knowing who did what and when", SECURITY, erasure=Erasure.ANONYMISE,
        why="that something happened stays in the sealed chain; who and what is emptied",
        order="created_at id",
        expiry=Expiry((), timedelta(days=730), "ACTIVITY_RETENTION"),
        kept="ACTIVITY_RETENTION_DAYS, by whole months",
        personal="id user action outcome details ip_address session_id request_id created_at",
        operational="actor erased_at", secret="salt",
    ),
    "audit.OutboxEntry": _table(
        "telling other parts of the program what happened", kept="until told, usually at once",
        personal="id user action details created_at", operational="request_id attempts",
    ),
    "audit.UnsealedActivity": _shared(
        "rows of the log that wait for their seal", "log_id", "created_at", "commitment"
    ),
    "audit.ActivitySeal": _shared(
        "proof that the log was not changed (salted commitments; the salt goes with the row)",
        "number", "sealed_at", "members", "previous", "digest", "key_id", "mac",
    ),
    "audit.DrillResult": _shared(
        "whether the newest backup could be restored", "id", "ran_at", "backup", "backup_made_at",
        "ok", "seconds", "steps",
    ),
    "audit.SecretInUse": _shared(
        "since when each of our own secrets is in force", "id", "name", "fingerprint",
        "first_seen_at",
    ),
    "audit.SecurityAlert": _table(
        "noticing abuse of an account", SECURITY, expiry=_after(730, "resolved_at"),
        personal="id user kind severity evidence state created_at acknowledged_at resolved_at",
        operational="dedupe_key handled_by note",
    ),
    "audit.SecurityEvent": _table(
        "security messages from the host or a firewall", SECURITY, owner="alert__user_id",
        expiry=_after(365, "received_at"),
        personal="id kind source payload alert received_at", operational="message_id",
    ),
    "audit.WebhookDelivery": _table(
        "telling operators of alerts", SECURITY, owner="alert__user_id",
        expiry=_after(90, "created_at"),
        operational="id alert endpoint host state attempts next_attempt_at last_status "
        "last_error attempts_log created_at delivered_at",
    ),
    "audit.SessionActivity": _table(
        "when and from where a device was last used", SECURITY, order="bucket_at session_id",
        expiry=_after(90, "bucket_at"),
        personal="session_id bucket_at user last_at ip_address features",
    ),
    "audit.UserMetric": _table(
        "how much the service is used",
        "legitimate interest in improving the service, Art. 6(1)(f)", order="date id",
        expiry=_after(730, "date"),
        derived="id user date daily_active features_used session_duration",
        operational="rolled_up_at",
    ),
    "audit.StatusComponent": _shared("what the status page lists", "key", "title", "position"),
    "audit.ComponentMinute": _shared(
        "how parts of the service did", "component", "minute_at", "health", "good", "total"
    ),
    "audit.ComponentDay": _shared(
        "how parts of the service did", "id", "component", "day", "up", "degraded", "down", "good",
        "total",
    ),
    "audit.Incident": _shared(
        "telling everybody of disturbances", "id", "title", "impact", "state", "started_at",
        "resolved_at",
    ),
    "audit.Incident_components": _shared(
        "which parts a disturbance concerns", "id", "incident", "statuscomponent"
    ),
    "audit.IncidentUpdate": _shared(
        "telling everybody of disturbances", "id", "incident", "state", "text", "created_at"
    ),
    # --- billing --------------------------------------------------------------------------------
    "billing.BillingAccount": _table(
        "the plan in force", why="Stripe is told to delete its customer first; it keeps the "
        "payments that were made, as tax law asks",
        personal="user tier until next_tier reason stripe_customer_id spending_cap created_at",
        operational="revision refreshed_at begins_until",
    ),
    "billing.Subscription": _table(
        "which plan was bought", why="Stripe keeps the payments that were made, as tax law asks",
        personal="id user stripe_id tier status price currency current_period_start "
        "current_period_end cancel_at_period_end trial_end ended_at past_due_since withdrawn "
        "started_at",
        operational="read_at",
    ),
    "billing.Invoice": _table(
        "what was charged", why="Stripe keeps the invoices, as tax law asks",
        personal="id user stripe_id number status total paid currency created_at period_start "
        "period_end",
    ),
    "billing.PlanGrant": _table(
        "plans that support gave somebody for a time",
        personal="id user tier reason starts_at ends_at revoked_at", operational="granted_by",
    ),
    "billing.StripeRequest": _table(
        "asking Stripe for one thing once", expiry=_after(90, "closed_at"),
        operational="id user purpose created_at closed_at",
    ),
    "billing.StripeEvent": _table(
        "following what Stripe says about a subscription", order="received_at id",
        expiry=_after(90, "received_at"),
        personal="id user type object_id customer_id created_at received_at",
        operational="api_version state reason attempts next_attempt_at done_at",
    ),
    "billing.UsageDay": _table(
        "counting calls, for the plan's included ones and for what is billed",
        order="user day group", expiry=_after(730, "day"), personal="user day group calls",
    ),
    "billing.UsageMonth": _table(
        "counting calls, for the plan's included ones and for what is billed", order="user month",
        expiry=_after(730, "month"), personal="user month calls beyond let_through",
        operational="judged reported warned",
    ),
    "billing.UsageBatch": _table(
        "writing counted calls once", NONE, owner="", erasure=Erasure.NOBODY,
        why="it is about nobody", kept="7 days", operational="id flushed_at",
    ),
    "billing.MeterReport": _table(
        "telling Stripe of calls beyond the included ones",
        personal="id user month calls created_at sent_at", operational="attempts",
    ),
    # dj-stripe's copies; Stripe itself has the originals.
    "djstripe.Customer": _table(
        "looking up who pays", owner="subscriber_id", why="a copy; Stripe is told to delete it",
        personal="id subscriber created livemode metadata email stripe_data date_purged "
        "default_payment_method",
        operational="djstripe_created djstripe_updated djstripe_id djstripe_owner_account",
    ),
    "djstripe.Subscription": _table(
        "looking up what was bought", owner="customer__subscriber_id", why="a copy",
        personal="id customer created livemode metadata stripe_data",
        operational="djstripe_created djstripe_updated djstripe_id djstripe_owner_account",
    ),
    "djstripe.SubscriptionItem": _table(
        "looking up what was bought", owner="subscription__customer__subscriber_id", why="a copy",
        personal="id subscription price created livemode metadata stripe_data",
        operational="djstripe_created djstripe_updated djstripe_id djstripe_owner_account",
    ),
    # --- exchanges ------------------------------------------------------------------------------
    "exchanges.Exchange": _shared(
        "which exchanges can be connected", "id", "name", "required_fields", "supports", "feeds",
        "website", "ccxt_version", "is_available", "updated_at",
    ),
    "exchanges.ExchangeCircuit": _shared(
        "leaving an exchange alone that does not answer", "exchange", "failures", "openings",
        "open_until", "trying_until", "failing_since", "held_until",
    ),
    "exchanges.Asset": _shared(
        "coins and currencies", "id", "slug", "code", "name", "is_fiat", "created_at"
    ),
    "exchanges.ExchangeAsset": _shared(
        "what an exchange's code means", "id", "exchange", "code", "asset", "valid_from",
        "valid_until",
    ),
    "exchanges.Price": _shared(
        "prices", "asset", "usd", "usd_24h_ago", "source", "as_of", "fetched_at"
    ),
    "exchanges.HistoricPrice": _shared(
        "prices of the past", "id", "asset", "interval", "at", "usd", "source", "fetched_at"
    ),
    "exchanges.Candle": _shared(
        "prices of the past, for charts", "asset", "interval", "at", "open", "high", "low",
        "close", "volume", "source", "closed", "fetched_at",
    ),
    "exchanges.PriceNeed": _shared(
        "which prices of the past are to be fetched", "id", "asset", "kind", "interval", "since",
        "until", "state", "attempts", "next_try_at", "leased_until", "error", "asked_at",
        "created_at",
    ),
    "exchanges.ExchangeConnection": _table(
        "reading an exchange account that the person connected",
        personal="id user exchange kind label position state reason privileges privileges_read_at "
        "address_restricted created_at last_synced_at last_complete_at last_full_at",
        operational="next_sync_at late_after claimed_by lease_until failures",
    ),
    "exchanges.ExchangeCredential": _table(
        "reading an exchange account: its read-only API key, encrypted",
        personal="id user connection created_at",
        secret="api_key api_secret passphrase fingerprint",
    ),
    "exchanges.Coverage": _table(
        "knowing what was read completely", personal="id user connection feed scope since until",
        operational="cursor",
    ),
    "exchanges.QuarantinedPage": _table(
        "rows of an exchange that could not be read yet, encrypted",
        personal="id user connection feed scope reason name payload created_at",
        operational="ccxt_version form is_whole", secret="payload_digest",
    ),
    # --- portfolios -----------------------------------------------------------------------------
    "portfolios.Trade": _table(
        "showing trades as the exchange reported them", order="occurred_at id",
        personal=f"{_FACT} order_id kind symbol side base_asset base_quantity quote_asset "
        "quote_quantity price fee_asset fee_quantity recorded_at",
    ),
    "portfolios.Transfer": _table(
        "showing deposits and withdrawals as the exchange reported them", order="occurred_at id",
        personal=f"{_FACT} direction asset quantity fee_asset fee_quantity counter_wallet "
        "is_settled txid address network recorded_at",
    ),
    "portfolios.Reward": _table(
        "showing rewards as the exchange reported them",
        personal=f"{_FACT} kind asset quantity recorded_at",
    ),
    "portfolios.LedgerEntry": _table(
        "computing every figure that is shown", order="occurred_at id",
        derived="id user connection asset wallet kind quantity occurred_at trade transfer reward "
        "adjustment leg",
    ),
    "portfolios.Adjustment": _table(
        "units that the person booked by hand", order="occurred_at id",
        personal=f"{_FACT} reason asset quantity cost_asset cost_quantity note recorded_at",
    ),
    "portfolios.TransferMatch": _table(
        "knowing which transfers are moves between own accounts",
        personal="id user withdrawal deposit origin is_pair evidence created_at confirmed_at",
    ),
    "portfolios.TransferNote": _table(
        "what the person says a transfer was",
        personal="id user transfer meaning cost_asset cost_quantity acquired_at note created_at",
    ),
    "portfolios.ManualPrice": _table(
        "prices that the person set", personal="id user asset day price currency created_at"
    ),
    "portfolios.ProblemDismissal": _table(
        "problems that the person put aside", personal="id user problem dismissed_at"
    ),
    "portfolios.FileImport": _table(
        "booking files of entries; the file is forgotten once it is booked, or after 7 days",
        expiry=_after(90, "created_at"),
        personal="id user connection format file_name content mapping time_zone state rows_total "
        "rows_booked rows_known rows_skipped rows_refused issues created_at finished_at",
        operational="error leased_until attempts", secret="content_digest",
    ),
    "portfolios.AssetBasis": _table(
        "knowing whose lots must be computed anew", personal="id user asset",
        operational="dirty_from derived_through derived_with waits_for waits_from",
    ),
    "portfolios.Lot": _table(
        "showing what units cost", order="position id",
        derived="id user asset connection entry kind position acquired_at quantity cost remaining "
        "remaining_cost price basis price_source",
    ),
    "portfolios.Disposal": _table(
        "showing gains", order="position id",
        derived="id user asset connection entry lot kind position disposed_at acquired_at "
        "quantity cost proceeds gain held_days term basis price_source",
    ),
    "portfolios.Income": _table(
        "showing income", order="received_at id",
        derived="id user asset connection entry kind received_at quantity value price_source",
    ),
    "portfolios.DailyValuation": _table(
        "showing how value moved and why",
        derived="id user scope scope_id day value cost value_without_cost deposits withdrawals "
        "income fees realized price_effect currency_effect traded trade_effect corrections growth "
        "unpriced is_partial restated_at",
    ),
    "portfolios.Discrepancy": _table(
        "showing where reported balances differ from the ledger",
        derived="id user connection wallet asset reported ledger difference reported_at agreed_at "
        "appeared_at causes computed_at",
    ),
    "portfolios.Holding": _table(
        "showing what the person owns",
        personal="id user connection wallet asset exchange_code quantity changed_at "
        "last_confirmed_at",
    ),
    "portfolios.HoldingChange": _table(
        "checking trades against reported balances",
        personal="id user connection wallet asset exchange_code quantity previous reported_at",
    ),
    "portfolios.SyncRun": _table(
        "saying when an account was read and what was found", expiry=_after(365, "finished_at"),
        kept="scheduled ones 14 days, others 365 days after: finished",
        personal="id user connection trigger state requested_at started_at finished_at "
        "new_trades new_transfers new_rewards quarantined problems error",
        operational="phase visits calls_done calls_left seconds_left timeline",
    ),
    "portfolios.PortfolioState": _table(
        "knowing what must be computed anew", personal="user",
        operational="ledger_revision derived_revision derived_at derive_claimed_by "
        "derive_lease_until behind_since revalue_from valued_through valued_in waits_for_prices "
        "next_snapshot_at",
    ),
    "portfolios.PortfolioSnapshot": _table(
        "showing how the total value moved", order="taken_at id",
        derived="id user taken_at total_value currency status snapshot_data",
    ),
    "portfolios.Strategy": _table(
        "ways to trade that the person keeps",
        personal="id user name kind parameters rules created_at updated_at",
    ),
    "portfolios.StrategyWatch": _table(
        "telling what a strategy would do at each new candle",
        personal="id user strategy assets interval judged_through wanted created_at",
        operational="next_check_at error",
    ),
    "portfolios.StrategySignal": _table(
        "showing what a strategy would have done", order="at id", expiry=_after(730, "created_at"),
        derived="id user strategy asset interval at action share_before share_wanted price "
        "created_at",
    ),
    "portfolios.Backtest": _table(
        "showing what a strategy would have done in the past", order="created_at id",
        personal="id user strategy_id strategy_name definition kind options assets interval since "
        "until cash fee fee_source slippage fills_gaps state error message result details "
        "result_hash created_at finished_at",
        operational="cancel_asked done planned leased_until attempts looked_after awaited_since "
        "swept_at",
    ),
    "portfolios.PriceAlert": _table(
        "telling of prices and worth that the person waits for", order="created_at id",
        personal="id user kind asset threshold currency direction window repeats hysteresis note "
        "state told_count told_at created_at updated_at",
        operational="armed judged_at",
    ),
    "portfolios.PriceRange": _shared(
        "how far prices moved within a window; minutes of a day, hours of a month", "id", "asset",
        "currency", "step", "at", "low", "high",
    ),
    "portfolios.AlertFiring": _table(
        "showing when an alert came true", order="at id", expiry=_after(365, "created_at"),
        derived="id user alert at value created_at",
    ),
    "portfolios.FileExport": _table(
        "files of their data that the person had made", order="requested_at id",
        expiry=_after(90, "requested_at"),
        personal="id user contents format since until state rows_done rows_total file_name bytes "
        "digest error requested_at ready_at expires_at",
        operational="cancel_asked leased_until attempts",
    ),
    # --- third-party ----------------------------------------------------------------------------
    "admin.LogEntry": _table(
        "what staff changed in the admin", SECURITY, order="id",
        why="entries by the person are deleted; in entries of others about the person the name "
        "of the thing is emptied", expiry=_after(730, "action_time"),
        personal="id action_time user content_type object_id object_repr action_flag "
        "change_message",
    ),
    "auth.Permission": _shared("rights of staff", "id", "name", "content_type", "codename"),
    "auth.Group": _shared("roles of staff", "id", "name"),
    "auth.Group_permissions": _shared("rights of roles", "id", "group", "permission"),
    "contenttypes.ContentType": _shared("tables, for Django", "id", "app_label", "model"),
    "sessions.Session": _table(
        "staff staying signed in to the admin", SECURITY, owner="",
        why="found by what is signed inside", expiry=_after(0, "expire_date"),
        personal="expire_date", secret="session_key session_data",
    ),
    "django_celery_beat.SolarSchedule": _shared(
        "schedule of background work", "id", "event", "latitude", "longitude"
    ),
    "django_celery_beat.IntervalSchedule": _shared(
        "schedule of background work", "id", "every", "period"
    ),
    "django_celery_beat.ClockedSchedule": _shared(
        "schedule of background work", "id", "clocked_time"
    ),
    "django_celery_beat.CrontabSchedule": _shared(
        "schedule of background work", "id", "minute", "hour", "day_of_month", "month_of_year",
        "day_of_week", "timezone",
    ),
    "django_celery_beat.PeriodicTasks": _shared(
        "schedule of background work", "ident", "last_update"
    ),
    "django_celery_beat.PeriodicTask": _shared(
        "schedule of background work", "id", "name", "task", "interval", "crontab", "solar",
        "clocked", "args", "kwargs", "queue", "exchange", "routing_key", "headers", "priority",
        "expires", "expire_seconds", "one_off", "start_time", "enabled", "last_run_at",
        "total_run_count", "date_changed", "description",
    ),
}  # fmt: skip

# dj-stripe brings tables for everything that Stripe has. Products and prices are filled, which are
# the same for everybody; the others stay empty, which a test holds.
FILLED_COPIES = frozenset(
    f"djstripe.{name}"
    for name in (
        "Account",
        "APIKey",
        "Product",
        "Price",
        "Customer",
        "Subscription",
        "SubscriptionItem",
    )
)


def _others_of(app: str) -> dict[str, Table]:
    models = apps.get_app_config(app).get_models(include_auto_created=True)
    return {
        found._meta.label: _shared(
            "the payment provider's catalogue", *(f.name for f in found._meta.concrete_fields)
        )
        for found in models
        if not found._meta.proxy and found._meta.label not in TABLES
    }


TABLES = {**TABLES, **_others_of("djstripe")}

# What backups hold of people who are gone, as they are told.
BACKUPS = (
    "Backups that were made before keep your data, encrypted, for at most 12 months (7 daily, "
    "4 weekly and 12 monthly copies). If one is ever restored, your data is deleted from it "
    "before it is used."
)
# What is held outside the tables.
STORES: Mapping[str, str] = {
    "Redis": "counters of calls under the person's id (up to 40 days), counters of wrong "
    "passwords and trusted addresses under keyed digests (up to 30 days), prices, queued work "
    "with ids only. Erasure removes what stands under the person's id and the digests of known "
    "addresses; the other digests lapse by themselves.",
    "Private files": "copies that people asked for, 7 days. Erasure removes them.",
    "Process logs": "request and user ids, client addresses, paths, status, times; no content, no "
    "e-mail addresses, no secrets. Kept as long as the operator's log store keeps them (30 days "
    "are enough).",
    "Erasure log": "user id and time of each erasure, outside the database, so that a restored "
    "backup is cleaned again. Kept as long as backups exist.",
    "Backups": "7 daily, 4 weekly and 12 monthly copies, encrypted. What was erased is gone from "
    "them when the oldest has run out, after 12 months; a restored one is cleaned before use. "
    "Wrapped data keys lie apart for 7 days, so what was sealed is unreadable in them after that.",
}
RECIPIENTS: Mapping[str, str] = {
    "Hosting provider": "everything, encrypted in transit and at rest",
    "E-mail provider": "address and text of the messages we send",
    "Expo (push messages)": "push token, title and text of messages; only who turned push on",
    "Sentry (errors)": "types and places of errors, request and user ids; no content",
    "Stripe (payments)": "only who pays: e-mail address and the user id, calls beyond the "
    "included ones; name, payment details and address are given to Stripe directly. When an "
    "account is erased the customer is deleted there; invoices and payments are kept, as tax law "
    "asks",
    "Exchanges": "the read-only key of the person's own account there, to read that account",
}
MEASURES: tuple[str, ...] = (
    "Row-level security in the database: each request sees one person's rows",
    "Exchange keys, authenticator seeds and unreadable rows encrypted with AES-256 under a key "
    "of each person, which is encrypted under a master key outside the database",
    "Passwords as bcrypt, tokens, API keys and recovery codes as digests only",
    "TLS, short-lived tokens, second factor, limits on guessing",
    "Every act of people and staff in an append-only log, sealed into a hash chain",
    "Logs and error reports without content or secrets",
    "Encrypted backups; erasures are repeated after a restore",
)


# --- looking things up --------------------------------------------------------------------------
def labels() -> Iterator[str]:
    """Every model there is, the tables between models included."""
    for model in apps.get_models(include_auto_created=True):
        if not model._meta.proxy:
            yield model._meta.label


def model(label: str) -> type[Model]:
    """The model of an entry."""
    return apps.get_model(label)


def problems(tables: Mapping[str, Table] = TABLES) -> list[str]:
    """What is not classified, classified twice, or names something that does not exist."""
    found = [f"{label} is not in the inventory" for label in labels() if label not in tables]
    found += [f"{label} does not exist" for label in tables if label not in set(labels())]
    for label in set(tables) & set(labels()):
        found += _problems_of(label, tables[label])
    return sorted(found)


def _problems_of(label: str, table: Table) -> Iterator[str]:
    named = [name for kind in CLASSES for name in table.fields[kind]]
    actual = {field.name for field in model(label)._meta.concrete_fields}
    yield from (f"{label}.{name} is not classified" for name in actual - set(named))
    yield from (f"{label}.{name} does not exist" for name in set(named) - actual)
    yield from (f"{label}.{name} is classified twice" for name in named if named.count(name) > 1)
    if table.expiry:
        gone = set(table.expiry.fields) - actual
        yield from (f"{label}.{name} says when it expires and does not exist" for name in gone)


def rows_of(label: str, user_id: UUID) -> QuerySet[Any]:
    """A person's rows of one table. Only for tables with an owner; inside a tenancy context."""
    return model(label)._base_manager.filter(**{TABLES[label].owner: user_id}).order_by()


@cache
def owned() -> tuple[str, ...]:
    """Tables with rows of a person, those that refer to others before the others."""
    tables = [label for label, table in TABLES.items() if table.owner]
    graph: dict[str, list[str]] = {label: [] for label in tables}
    for label in tables:
        for field in _references(label):
            if (target := field.related_model._meta.label) in graph and target != label:  # type: ignore[union-attr]
                graph[target].append(label)
    return tuple(TopologicalSorter(graph).static_order())


def _references(label: str) -> Iterator[Field]:
    return (f for f in model(label)._meta.concrete_fields if isinstance(f, ForeignKey))


def expired(expiry: Expiry, now: datetime) -> Q:
    """Which rows have outlived their purpose."""
    condition = Q()
    for name in expiry.fields:
        condition |= Q(**{f"{name}__lt": now - expiry.period})
    return condition
