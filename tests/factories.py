"""Rows for tests, made through the models and under the identity of their owner."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection as database
from djstripe import models as djstripe

from accounts import datakeys, webhooks
from accounts.helpdesk import references
from accounts.models import (
    AccountLink,
    ApiKey,
    Consent,
    DataExport,
    Delivery,
    EmailSuppression,
    IdempotencyRecord,
    NotificationChoice,
    NotificationSettings,
    Passkey,
    PushDevice,
    RecoveryCode,
    SecondFactorReset,
    Session,
    SupportAccess,
    SupportMessage,
    SupportRequest,
    SupportViewing,
    TotpDevice,
    User,
    WebhookEndpoint,
)
from audit.actions import Action
from audit.models import ActivityLog, OutboxEntry, SecurityAlert, SessionActivity, UserMetric
from billing import plans
from billing.models import (
    BillingAccount,
    Invoice,
    MeterReport,
    PlanGrant,
    StripeEvent,
    StripeRequest,
    Subscription,
    UsageDay,
    UsageMonth,
)
from exchanges import credentials
from exchanges.models import Asset, Coverage, Exchange, ExchangeConnection, QuarantinedPage
from exchanges.reports import Credential
from portfolios.importing import imports
from portfolios.models import (
    Adjustment,
    AlertFiring,
    AssetBasis,
    Backtest,
    DailyValuation,
    Discrepancy,
    Disposal,
    FileExport,
    FileImport,
    Holding,
    HoldingChange,
    Income,
    LedgerEntry,
    Lot,
    ManualPrice,
    PortfolioSnapshot,
    PortfolioState,
    PriceAlert,
    ProblemDismissal,
    Reward,
    Strategy,
    StrategySignal,
    StrategyWatch,
    SyncRun,
    SyncState,
    Trade,
    Transfer,
    TransferMatch,
    TransferNote,
)
from portfolios.reconciling import discrepancies
from tracker import clock, ids, tenancy

EARLIER = datetime(2026, 1, 5, 12, tzinfo=UTC)
API_KEY = Credential(api_key="k" * 64, api_secret="s" * 64)


def person(email: str, **fields: Any) -> User:
    """A user who cannot sign in with a password: making one costs no bcrypt."""
    user = User(email=email, password="!", **fields)
    with tenancy.as_user(user.id):
        user.save(force_insert=True)
    if user.subscription_tier != plans.DEFAULT_TIER:
        put_on_plan(user, user.subscription_tier)
    return user


def put_on_plan(user: User, tier: str) -> None:
    """Somebody is on a plan, as if it were granted long ago: nothing is logged or told."""
    now = clock.now()
    with tenancy.as_system("test"):
        BillingAccount.objects.filter(user_id=user.id).delete()
        PlanGrant.objects.filter(user_id=user.id).delete()
        if tier != plans.DEFAULT_TIER:
            ends = now + timedelta(days=36_500)
            PlanGrant.objects.create(
                user_id=user.id, tier=tier, reason="test", starts_at=EARLIER, ends_at=ends
            )
            BillingAccount.objects.create(
                user_id=user.id, tier=tier, reason="grant", until=ends, next_tier="free"
            )
        User.objects.filter(id=user.id).update(subscription_tier=tier)
    user.subscription_tier = tier
    user.__dict__.pop("_billing_account", None)


def billed(user: User) -> None:
    """A row of hers in every table of billing, and in dj-stripe's copies."""
    ends = EARLIER + timedelta(days=30)
    tag = user.id.hex[-12:]
    with tenancy.as_user(user.id):
        BillingAccount.objects.update_or_create(
            user_id=user.id, defaults={"tier": "pro", "stripe_customer_id": f"cus_{tag}"}
        )
        PlanGrant.objects.create(user=user, tier="pro", reason="r", starts_at=EARLIER, ends_at=ends)
        Subscription.objects.create(
            user=user, stripe_id=f"sub_{tag}", tier="pro", status="canceled", currency="usd",
            price=Decimal("19.99"), started_at=EARLIER, ended_at=ends, read_at=ends,
        )  # fmt: skip
        Invoice.objects.create(
            user=user, stripe_id=f"in_{tag}", number=f"N-{tag}", status="paid", currency="usd",
            total=Decimal("19.99"), paid=Decimal("19.99"), created_at=EARLIER,
        )  # fmt: skip
        StripeRequest.objects.create(user=user, purpose="customer")
        StripeEvent.objects.create(
            user=user, id=f"evt_{tag}", type="invoice.paid", customer_id=f"cus_{tag}",
            created_at=EARLIER, state="done",
        )  # fmt: skip
        UsageDay.objects.create(user=user, day=EARLIER.date(), group="portfolio", calls=3)
        UsageMonth.objects.create(user=user, month=EARLIER.date().replace(day=1), calls=3)
        MeterReport.objects.create(user=user, month=EARLIER.date().replace(day=1), calls=3)
    _copied(user, tag)


def _copied(user: User, tag: str) -> None:
    with tenancy.as_system("test"):
        customer = djstripe.Customer.objects.create(
            id=f"cus_{tag}", subscriber=user, email=user.email, livemode=False, stripe_data={}
        )
        bought = djstripe.Subscription.objects.create(
            id=f"sub_{tag}", customer=customer, livemode=False, stripe_data={}
        )
        product, _ = djstripe.Product.objects.get_or_create(
            id="tracker_pro", defaults={"name": "Pro", "livemode": False, "stripe_data": {}}
        )
        price, _ = djstripe.Price.objects.get_or_create(
            id="price_test", defaults={"product": product, "active": True, "livemode": False,
                                       "stripe_data": {}},
        )  # fmt: skip
        djstripe.SubscriptionItem.objects.create(
            id=f"si_{tag}", subscription=bought, price=price, livemode=False, stripe_data={}
        )


def check_references() -> None:
    """Have deferred foreign keys speak now, as they would at the commit."""
    with database.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def exchange(exchange_id: str = "binance") -> Exchange:
    row, _ = Exchange.objects.get_or_create(
        id=exchange_id,
        defaults={
            "name": exchange_id.title(),
            "required_fields": ["api_key", "api_secret"],
            "ccxt_version": "0",
        },
    )
    return row


def asset(code: str = "BTC") -> Asset:
    row, _ = Asset.objects.get_or_create(slug=code.lower(), defaults={"code": code})
    return row


def connection(user: User, label: str = "") -> ExchangeConnection:
    """A connection with a stored key; nothing is asked of any exchange."""
    row = ExchangeConnection(user=user, exchange=exchange(), label=label)
    row.late_after = row.created_at + timedelta(days=1)
    with tenancy.as_user(user.id):
        row.save(force_insert=True)
        key = API_KEY
        if credentials.is_connected(user_id=user.id, api_key=key.api_key):
            key = replace(key, api_key=row.id.hex * 2)  # one key is one connection
        credentials.store(user_id=user.id, connection_id=row.id, credential=key)
    return row


def trade(user: User, connected: ExchangeConnection, number: int = 1, **fields: Any) -> Trade:
    """A trade that is not saved yet."""
    defaults = {
        "feed": "trades", "exchange_id": f"{number}", "kind": "fill", "symbol": "BTC/USDT",
        "side": "buy", "base_asset": asset("BTC"), "base_quantity": Decimal(1),
        "quote_asset": asset("USDT"), "quote_quantity": Decimal(60_000), "price": Decimal(60_000),
        "wallet": "spot", "occurred_at": EARLIER + timedelta(seconds=number),
    }  # fmt: skip
    return Trade(user=user, connection=connected, **defaults | fields)


def something_everywhere(user: User) -> ExchangeConnection:
    """At least one row of this user in every table that has a user."""
    connected = connection(user, label="everything")
    with tenancy.as_user(user.id):
        _accounts_rows(user)
        _audit_rows(user)
        _exchanges_rows(user, connected)
        _portfolios_rows(user, connected)
    billed(user)
    return connected


def _accounts_rows(user: User) -> None:
    now = clock.now()
    datakeys.obtain(user.id)
    user.groups.add(Group.objects.get_or_create(name="support")[0])
    user.user_permissions.add(Permission.objects.order_by("id")[0])
    Session.objects.create(user=user, refresh_digest=bytes(32), expires_at=now)
    IdempotencyRecord.objects.create(
        user=user, key_digest=user.id.bytes, body_digest=bytes(32), locked_until=now
    )
    LogEntry.objects.create(
        user=user, content_type=ContentType.objects.get_for_model(User), object_id=str(user.id),
        object_repr="somebody", action_flag=ADDITION,
    )  # fmt: skip
    AccountLink.objects.create(user=user, purpose="confirm_email", email=user.email, expires_at=now)
    TotpDevice.objects.create(user=user, name="phone", sealed_seed=b"sealed")
    RecoveryCode.objects.create(user=user, digest=bytes(32))
    Passkey.objects.create(
        user=user, name="phone", credential_id=b"1", credential_digest=bytes(32), public_key=b"2"
    )
    Consent.objects.create(user=user, document="terms", version="1")
    DataExport.objects.create(user=user)
    NotificationChoice.objects.create(
        user=user, event="security_alert", channel="push", enabled=False
    )
    api_key(user)
    NotificationSettings.objects.create(user=user)
    EmailSuppression.objects.create(user=user, address="old@example.com", reason="bounced")
    webhook(user)
    push_device(user)
    delivery(user)
    support_answer(user)
    supported(user)


def supported(user: User) -> None:
    """Support once looked on and was asked for a reset; both are over. Inside ``as_user``."""
    once, staff_id = {"began_at": EARLIER, "ends_at": EARLIER, "ended_at": EARLIER}, ids.new_id()
    access = SupportAccess.objects.create(
        user=user, given_at=EARLIER, until=EARLIER, ended_at=EARLIER
    )
    SupportViewing.objects.create(
        user=user, access=access, actor_id=staff_id, reason="a ticket", **once
    )
    SecondFactorReset.objects.create(
        user=user, state="done", reason="lost phone", asked_by=staff_id, asked_at=EARLIER,
        due_at=EARLIER, ended_at=EARLIER,
    )  # fmt: skip


def session(user: User) -> Session:
    """A device on which this person is signed in."""
    with tenancy.as_user(user.id):
        return Session.objects.create(
            user=user, refresh_digest=bytes(32), expires_at=clock.now() + timedelta(days=1)
        )


def passkey(user: User) -> Passkey:
    """A passkey that nobody can use."""
    digest = ids.new_id().bytes * 2
    with tenancy.as_user(user.id):
        return Passkey.objects.create(
            user=user, name="phone", credential_id=digest, credential_digest=digest,
            public_key=b"2",
        )  # fmt: skip


def data_export(user: User) -> DataExport:
    """A copy of somebody's data that is still being made."""
    with tenancy.as_user(user.id):
        return DataExport.objects.create(user=user)


def alert(user: User) -> SecurityAlert:
    """Something that this person should look at."""
    with tenancy.as_user(user.id):
        return SecurityAlert.objects.create(
            user=user, kind="account.strange_sign_in", severity="low", dedupe_key=str(ids.new_id())
        )


def api_key(user: User) -> ApiKey:
    """A key that nobody knows the text of."""
    with tenancy.as_user(user.id):
        return ApiKey.objects.create(
            user=user, name="script", prefix=ids.new_id().hex[-12:], digest=bytes(32),
            scopes=["read_portfolio"], expires_at=clock.now() + timedelta(days=1),
        )  # fmt: skip


def webhook(user: User) -> WebhookEndpoint:
    """An address that is for documentation, so that nobody is ever called."""
    row = WebhookEndpoint(user=user, host="192.0.2.1")
    with tenancy.as_user(user.id):
        row.sealed_url = webhooks.seal(row, "url", "https://192.0.2.1/hook")
        row.sealed_secret = webhooks.seal(row, "secret", "whsec_" + "A" * 43 + "=")
        row.save(force_insert=True)
    return row


def support_request(user: User, **more: Any) -> SupportRequest:
    """Something that this person asked support, and that waits for an answer."""
    row = SupportRequest(user=user, **{"category": "app", "subject": "A question"} | more)
    with tenancy.as_user(user.id):
        references.insert(row)
        SupportMessage.objects.create(user=user, request=row, kind="person", text="How?")
    return row


def support_answer(user: User, text: str = "Like this.") -> SupportMessage:
    """What support answered such a question."""
    now = clock.now()
    row = support_request(user, state="answered", waiting_since=None, answered_at=now,
                          first_answered_at=now)  # fmt: skip
    with tenancy.as_user(user.id):
        return SupportMessage.objects.create(user=user, request=row, kind="answer", text=text)


def push_device(user: User, session_id: UUID | None = None) -> PushDevice:
    """A phone of this person, whether or not anybody is signed in on it."""
    token = f"ExponentPushToken[{ids.new_id().hex}]"
    with tenancy.as_user(user.id):
        return PushDevice.objects.create(user=user, token=token, session_id=session_id)


def delivery(user: User) -> Delivery:
    """A message that waits to be sent."""
    with tenancy.as_user(user.id):
        return Delivery.objects.create(
            user=user, event="password_changed", channel="email", dedupe_key=str(ids.new_id())
        )


def _audit_rows(user: User) -> None:
    now = clock.now()
    ActivityLog.objects.bulk_create([ActivityLog(user=user, action=Action.USER_SIGNED_IN)])
    OutboxEntry.objects.create(user=user, action=Action.CONNECTION_CREATED)
    SecurityAlert.objects.create(
        user=user, kind="account.strange_sign_in", severity="low", dedupe_key=str(user.id)
    )
    SessionActivity.objects.create(
        user=user, session_id=user.id, bucket_at=now, last_at=now, features=["portfolio"]
    )
    UserMetric.objects.create(
        user=user, date=now.date(), daily_active=True, session_duration=timedelta(minutes=5)
    )


def _exchanges_rows(user: User, connected: ExchangeConnection) -> None:
    Coverage.objects.create(
        user=user, connection=connected, feed="trades", since=EARLIER, until=EARLIER
    )
    QuarantinedPage.objects.create(
        user=user, connection=connected, feed="trades", reason="malformed", payload=b"sealed",
        payload_digest=bytes(32),
    )  # fmt: skip


def _portfolios_rows(user: User, connected: ExchangeConnection) -> None:
    owner: dict[str, Any] = {"user": user, "connection": connected}
    place = {"wallet": "spot", "asset": asset(), "quantity": Decimal(1)}
    fact = trade(user, connected)
    fact.save(force_insert=True)
    transfer = Transfer.objects.create(
        **owner, **place, feed="deposits", exchange_id="1", direction="deposit",
        occurred_at=EARLIER,
    )  # fmt: skip
    reward = Reward.objects.create(
        **owner, **place, feed="rewards", exchange_id="1", kind="interest", occurred_at=EARLIER
    )
    for kind, source in (("trade", fact), ("deposit", transfer), ("reward", reward)):
        LedgerEntry.objects.create(
            **owner, **place, kind=kind, occurred_at=EARLIER, leg=0,
            **{type(source).__name__.lower(): source},
        )  # fmt: skip
    Holding.objects.create(
        **owner, **place, exchange_code="BTC", changed_at=EARLIER, last_confirmed_at=EARLIER
    )
    HoldingChange.objects.create(**owner, **place, exchange_code="BTC", reported_at=EARLIER)
    SyncRun.objects.create(**owner, trigger="manual", state=SyncState.COMPLETE)
    books(user, connected)
    snapshot(user)
    plans_of_their_own(user)


def strategy(user: User, name: str = "crossing averages", **fields: Any) -> Strategy:
    """A strategy with the parameters that it has by default."""
    with tenancy.as_user(user.id):
        return Strategy.objects.create(
            user=user, name=name, **{"kind": "sma_crossover", "parameters": {}} | fields
        )


def backtest(user: User, **fields: Any) -> Backtest:
    """A backtest of a year of days of one asset that waits."""
    defaults: dict[str, Any] = {
        "strategy_id": ids.new_id(), "strategy_name": "crossing averages", "kind": "run",
        "definition": {"kind": "sma_crossover", "parameters": {}}, "assets": [asset().id],
        "interval": "1d", "since": EARLIER, "until": EARLIER + timedelta(days=365),
        "cash": Decimal(10_000), "fee": Decimal("0.001"), "fee_source": "default",
        "slippage": Decimal(0),
    }  # fmt: skip
    with tenancy.as_user(user.id):
        return Backtest.objects.create(user=user, **defaults | fields)


def drawn_backtest(user: User) -> Backtest:
    """One that was stopped and has a curve all the same: it can be read, drawn and forgotten."""
    curve = [["2026-01-06T00:00:00Z", "10000"], ["2026-01-07T00:00:00Z", "10100"]]
    return backtest(user, state="cancelled", details={"equity": curve})


def strategy_watch(user: User) -> StrategyWatch:
    """A strategy that watches what its owner has."""
    kept = strategy(user, ids.new_id().hex)
    with tenancy.as_user(user.id):
        # It has the id of its strategy, by which it is addressed.
        return StrategyWatch.objects.create(id=kept.id, user=user, strategy=kept, interval="1d")


def price_alert(user: User, **fields: Any) -> PriceAlert:
    """Whoever waits for a bitcoin to cost more than 100,000 dollars."""
    defaults: dict[str, Any] = {
        "kind": "price_above", "asset": asset(), "threshold": Decimal(100_000), "currency": "USD",
    }  # fmt: skip
    with tenancy.as_user(user.id):
        return PriceAlert.objects.create(user=user, **defaults | fields)


def alert_firing(alert: PriceAlert) -> AlertFiring:
    """A price alert came true."""
    with tenancy.as_user(alert.user_id):
        return AlertFiring.objects.create(
            user_id=alert.user_id, alert=alert, at=EARLIER, value=Decimal(100_001)
        )


def file_export(user: User, **fields: Any) -> FileExport:
    """A file of trades that waits to be made."""
    with tenancy.as_user(user.id):
        return FileExport.objects.create(
            user=user, **{"contents": ["trades"], "format": "csv"} | fields
        )


def strategy_signal(watch: StrategyWatch) -> StrategySignal:
    """It would have bought."""
    with tenancy.as_user(watch.user_id):
        return StrategySignal.objects.create(
            user_id=watch.user_id, strategy_id=watch.strategy_id, asset=asset(), interval="1d",
            at=EARLIER, action="buy", share_before=Decimal(0), share_wanted=Decimal(1),
            price=Decimal(100),
        )  # fmt: skip


def ready_file(user: User) -> FileExport:
    """A file that can be fetched, as far as its row says."""
    now = clock.now()
    return file_export(
        user, state="ready", file_name="exports/1.zip", ready_at=now,
        expires_at=now + timedelta(days=7),
    )  # fmt: skip


def plans_of_their_own(user: User) -> None:
    """A row of everything that a person does with their figures."""
    strategy_signal(strategy_watch(user))
    backtest(user)
    file_export(user)
    alert_firing(price_alert(user))


def books(user: User, connected: ExchangeConnection, *, number: int = 0) -> None:
    """A row of everything that a person decides about their facts, and that is computed of them.

    Rows of another number stand beside those of this one.
    """
    with tenancy.as_user(user.id):
        _decisions(user, connected, number)
        _derived(user, connected, number)


def transfer(
    user: User, connected: ExchangeConnection, direction: str, exchange_id: str, **fields: Any
) -> Transfer:
    """A settled transfer of one bitcoin, without its ledger entry."""
    defaults = {
        "feed": f"{direction}s", "exchange_id": exchange_id, "direction": direction,
        "asset": asset(), "quantity": Decimal(1), "wallet": "spot", "occurred_at": EARLIER,
    }  # fmt: skip
    with tenancy.as_user(user.id):
        return Transfer.objects.create(user=user, connection=connected, **defaults | fields)


_EARLIER_DAY = EARLIER.date()


def manual_price(user: User, code: str = "COIN", day: date = _EARLIER_DAY) -> ManualPrice:
    with tenancy.as_user(user.id):
        return ManualPrice.objects.create(
            user=user, asset=asset(code), day=day, price=Decimal(2), currency="USD"
        )


_EVIDENCE = {"seconds_apart": 0, "units_apart": "0", "same_txid": False, "certainty": "0.9"}


def transfer_match(user: User) -> TransferMatch:
    """A pair that was found and not confirmed yet."""
    connected = connection(user, label=ids.new_id().hex)
    out = transfer(user, connected, "withdrawal", "out")
    back = transfer(user, connected, "deposit", "back")
    with tenancy.as_user(user.id):
        return TransferMatch.objects.create(
            user=user, withdrawal=out, deposit=back, origin="automatic", evidence=_EVIDENCE
        )


def noted_transfer(user: User) -> Transfer:
    """A deposit of which its owner said what it was."""
    row = transfer(user, connection(user, label=ids.new_id().hex), "deposit", "noted")
    with tenancy.as_user(user.id):
        TransferNote.objects.create(user=user, transfer=row, meaning="income")
    return row


def discrepancy(user: User) -> Discrepancy:
    """A bitcoin that an exchange reports and the books do not know of."""
    connected = connection(user, label=ids.new_id().hex)
    where = {
        "user": user, "connection": connected, "wallet": "spot", "asset": asset(),
        "exchange_code": "BTC", "quantity": Decimal(1),
    }  # fmt: skip
    with tenancy.as_user(user.id):
        Holding.objects.create(**where, changed_at=EARLIER, last_confirmed_at=EARLIER)
        HoldingChange.objects.create(**where, reported_at=EARLIER)
        discrepancies.refresh(user_id=user.id, now=clock.now())
        return Discrepancy.objects.get(connection=connected)


def dismissed_problem(user: User) -> ProblemDismissal:
    """A difference that was put aside; the row has the id of the problem."""
    about = uuid5(user.id, f"discrepancy/{discrepancy(user).id}")
    with tenancy.as_user(user.id):
        return ProblemDismissal.objects.create(id=about, user=user, problem=about)


def _decisions(user: User, connected: ExchangeConnection, number: int) -> None:
    out = transfer(user, connected, "withdrawal", f"out-{number}")
    back = transfer(user, connected, "deposit", f"back-{number}")
    TransferMatch.objects.create(
        user=user, withdrawal=out, deposit=back, origin="person", evidence=_EVIDENCE
    )
    noted = transfer(user, connected, "deposit", f"noted-{number}")
    TransferNote.objects.create(user=user, transfer=noted, meaning="purchase")
    ManualPrice.objects.create(
        user=user, asset=asset(), day=EARLIER.date() + timedelta(days=number), price=Decimal(2),
        currency="USD",
    )  # fmt: skip
    ProblemDismissal.objects.create(user=user, problem=ids.new_id())
    FileImport.objects.create(
        user=user, connection=connected, format="own", file_name="entries.csv",
        content=b"sealed", content_digest=bytes(32),
    )  # fmt: skip


def adjustment(user: User, connected: ExchangeConnection, number: int = 0) -> Adjustment:
    """One bitcoin booked by hand, with its ledger entry."""
    place = {"wallet": "spot", "asset": asset(), "quantity": Decimal(1), "occurred_at": EARLIER}
    owner: dict[str, Any] = {"user": user, "connection": connected}
    with tenancy.as_user(user.id):
        booked = Adjustment.objects.create(
            **owner, **place, feed="manual", exchange_id=f"{number}", reason="opening"
        )
        LedgerEntry.objects.create(**owner, **place, kind="adjustment", leg=0, adjustment=booked)
    return booked


def entry_by_hand(user: User) -> Adjustment:
    """An entry that its owner may remove."""
    return adjustment(user, connection(user, label=ids.new_id().hex))


FILE = b"time,type,received_quantity,received_asset\n2026-01-05T12:00:00Z,deposit,1,BTC\n"


def file_import(user: User) -> FileImport:
    """A file of one deposit that waits to be booked."""
    connected = connection(user, label=ids.new_id().hex)
    with tenancy.as_user(user.id):
        ExchangeConnection.objects.filter(id=connected.id).update(last_synced_at=EARLIER)
    shown = imports.upload(
        user_id=user.id, connection_id=connected.id, file_name="entries.csv", content=FILE,
        format="own", now=clock.now(),
    )  # fmt: skip
    with tenancy.as_user(user.id):
        return FileImport.objects.get(id=shown["id"])


def explainable(user: User) -> Asset:
    """An asset of which this person had some, and perhaps nobody else."""
    adjustment(user, connection(user, label="explained"))
    return asset()


def lot(entry: LedgerEntry, **fields: Any) -> Lot:
    """A lot that an entry opened, not saved yet: 100 dollars a unit, nothing of it given up."""
    quantity = fields.get("quantity", entry.quantity)
    defaults = {
        "kind": entry.kind, "position": 1, "acquired_at": entry.occurred_at, "quantity": quantity,
        "cost": quantity * 100, "remaining": quantity, "remaining_cost": quantity * 100,
        "basis": "known", "price_source": "paid in USD",
    }  # fmt: skip
    return Lot(
        user_id=entry.user_id, asset_id=entry.asset_id, connection_id=entry.connection_id,
        entry=entry, **defaults | fields,
    )  # fmt: skip


def disposal(entry: LedgerEntry, lot_id: UUID | None = None, **fields: Any) -> Disposal:
    """A piece that an entry gave up, not saved yet: bought for 100 dollars, sold for 150."""
    defaults = {
        "kind": "sale", "position": 1, "disposed_at": entry.occurred_at,
        "acquired_at": entry.occurred_at, "quantity": abs(entry.quantity), "cost": Decimal(100),
        "proceeds": Decimal(150), "gain": Decimal(50), "held_days": 0, "term": "short",
        "basis": "known", "price_source": "paid in USD",
    }  # fmt: skip
    return Disposal(
        user_id=entry.user_id, asset_id=entry.asset_id, connection_id=entry.connection_id,
        entry=entry, lot_id=lot_id, **defaults | fields,
    )  # fmt: skip


def _derived(user: User, connected: ExchangeConnection, number: int) -> None:
    owner: dict[str, Any] = {"user": user, "connection": connected}
    entry = LedgerEntry.objects.get(adjustment=adjustment(user, connected, number))
    opened = lot(entry, position=number)
    opened.save(force_insert=True)
    disposal(entry, opened.id, position=number).save(force_insert=True)
    Income.objects.create(
        **owner, asset=asset(), entry=entry, kind="interest", received_at=EARLIER,
        quantity=Decimal(1), value=Decimal(100), price_source="binance: BTC/USDT, 1d",
    )  # fmt: skip
    AssetBasis.objects.get_or_create(user=user, asset=asset(), defaults={"dirty_from": EARLIER})
    DailyValuation.objects.create(
        user=user, scope="portfolio", scope_id=user.id, value=Decimal(1), cost=Decimal(1),
        day=EARLIER.date() + timedelta(days=number),
    )  # fmt: skip
    Discrepancy.objects.create(
        **owner, wallet=f"spot{number}", asset=asset(), reported=Decimal(2), ledger=Decimal(1),
        difference=Decimal(1), reported_at=EARLIER, appeared_at=EARLIER, computed_at=EARLIER,
    )  # fmt: skip
    PortfolioState.objects.get_or_create(user=user)


def snapshot(user: User, taken_at: datetime = EARLIER) -> UUID:
    row = PortfolioSnapshot(
        id=ids.new_id(), user=user, taken_at=taken_at, total_value=Decimal(1), currency="USD",
        status="complete", snapshot_data={"holdings": []},
    )  # fmt: skip
    with tenancy.as_user(user.id):
        row.save(force_insert=True)
    return row.id
