"""The admin as support uses it: every page, who may see it, and what its actions leave behind."""

import base64
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import redis
import time_machine
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Group, Permission
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import (
    ApiKey,
    CannedReply,
    Consent,
    DataExport,
    DataKey,
    Delivery,
    EmailSuppression,
    NotificationChoice,
    NotificationSettings,
    Passkey,
    PushDevice,
    RecoveryCode,
    Session,
    TotpDevice,
    User,
)
from audit import log
from audit.actions import Action
from audit.models import (
    ActivityLog,
    ComponentDay,
    DrillResult,
    Incident,
    SecurityAlert,
    SecurityEvent,
    StatusComponent,
    UserMetric,
    WebhookDelivery,
)
from billing.models import PlanGrant
from exchanges import credentials
from exchanges.models import (
    Asset,
    ConnectionState,
    Coverage,
    Exchange,
    ExchangeConnection,
    ExchangeCredential,
    Price,
    PriceNeed,
    QuarantinedPage,
)
from exchanges.reports import Credential
from portfolios.models import (
    FileImport,
    Holding,
    HoldingChange,
    LedgerEntry,
    PortfolioSnapshot,
    Reward,
    SyncRun,
    Trade,
    Transfer,
)
from tests import factories
from tests.admin_client import signed_in
from tests.conftest import PASSWORD
from tracker import clock, tenancy

CANARY = Credential(
    api_key="canary-key-5f0d9c", api_secret="canary-secret-81be7a", passphrase="canary-phrase-c3d2"
)
QUARANTINED = b"canary-quarantined-page-77aa"
DIGEST = b"canary-digest-of-32-bytes-length"
PHONE = "canary-token-of-a-phone-3d1e"
MODELS = list(admin.site._registry)
WRITABLE = {
    User,
    Group,
    PlanGrant,
    Incident,
    CannedReply,
}  # a grant is given by a form, and then stands
READ_ONLY = [model for model in MODELS if model not in WRITABLE]


# --- people and data ----------------------------------------------------------------------------
@pytest.fixture
def staff(db):
    """A superuser."""
    with tenancy.as_system("test"):
        return User.objects.create_superuser("staff@example.com", PASSWORD)


@pytest.fixture
def supporter(db):
    """A member of staff without any permission, until a test gives some."""
    with tenancy.as_system("test"):
        return User.objects.create_user("supporter@example.com", PASSWORD, is_staff=True)


def permit(user: User, *codenames: str) -> None:
    with tenancy.as_system("test"):
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def connect(user: User, label: str, **fields) -> ExchangeConnection:
    Exchange.objects.get_or_create(id="binance", defaults={"name": "Binance", "ccxt_version": "1"})
    with tenancy.as_system("test"):
        return ExchangeConnection.objects.create(
            user=user, exchange_id="binance", label=label, state=ConnectionState.OK, **fields
        )


def coin(code: str) -> Asset:
    asset, _ = Asset.objects.get_or_create(slug=code.lower(), defaults={"code": code})
    Price.objects.get_or_create(
        asset=asset, defaults={"usd": Decimal("1.50"), "source": "test", "as_of": clock.now()}
    )
    since = datetime(2026, 1, 5, tzinfo=UTC)
    PriceNeed.objects.get_or_create(
        asset=asset, interval="1d", since=since, defaults={"until": since + timedelta(days=1)}
    )
    return asset


def record_facts(connection: ExchangeConnection, *, number: int = 0) -> None:
    """One row in every table that the admin shows of a connection."""
    now = clock.now() - timedelta(minutes=number)
    owner = {"user_id": connection.user_id, "connection": connection}
    fact = {**owner, "feed": "spot", "wallet": "spot", "occurred_at": now}
    btc, usdt = coin("BTC"), coin("USDT")
    part, _ = StatusComponent.objects.get_or_create(key="api", defaults={"title": "API"})
    ComponentDay.objects.get_or_create(component=part, day=now.date() - timedelta(days=number))
    Incident.objects.create(title=f"incident {number}")
    DrillResult.objects.create(ran_at=now, ok=True, steps=[])
    CannedReply.objects.create(title=f"reply {number}", language="en", text="Thank you.")
    with tenancy.as_system("test"):
        trade = Trade.objects.create(
            **fact, exchange_id=f"trade-{number}", kind="fill", symbol="BTC/USDT", side="buy",
            base_asset=btc, base_quantity=Decimal("0.012300"), quote_asset=usdt,
            quote_quantity=Decimal("123.00"), price=Decimal("10000"), fee_asset=usdt,
            fee_quantity=Decimal("0.1"),
        )  # fmt: skip
        Transfer.objects.create(
            **fact, exchange_id=f"transfer-{number}", direction="deposit", asset=usdt, quantity=5
        )
        Reward.objects.create(
            **fact, exchange_id=f"reward-{number}", kind="staking", asset=btc, quantity=1
        )
        LedgerEntry.objects.create(
            **owner, asset=btc, wallet="spot", kind="trade", quantity=Decimal("0.0123"),
            occurred_at=now, trade=trade, leg=0,
        )  # fmt: skip
        held = {**owner, "wallet": "spot", "asset": btc, "exchange_code": f"BTC{number}"}
        Holding.objects.create(**held, quantity=1, changed_at=now, last_confirmed_at=now)
        HoldingChange.objects.create(**held, quantity=1, reported_at=now)
        Coverage.objects.create(**owner, feed="spot", scope=f"S{number}", since=now, until=now)
        QuarantinedPage.objects.create(
            **owner, feed="spot", reason="not_json", payload=QUARANTINED,
            payload_digest=b"%032d" % number,
        )  # fmt: skip
        SyncRun.objects.create(
            **owner, trigger="schedule", state="partial", finished_at=now, error="rate_limited",
            problems=[{"feed": "spot", "code": "rate_limited"}],
        )  # fmt: skip
        PortfolioSnapshot.objects.create(
            user_id=connection.user_id, taken_at=now, total_value=Decimal("123.45"),
            currency="USD", status="complete", snapshot_data={"holdings": []},
        )  # fmt: skip
        Session.objects.create(
            user_id=connection.user_id, refresh_digest=DIGEST, expires_at=now, user_agent="app/1"
        )
        record_second_factors(connection.user, number=number)
        record_messages(connection.user, number=number)
        record_watching(connection.user, number=number)
        log.record(Action.SYNC_FINISHED, user_id=connection.user_id, note="seen")
    factories.books(connection.user, connection, number=number)
    factories.alert_firing(factories.price_alert(connection.user))
    factories.strategy_signal(factories.strategy_watch(connection.user))
    factories.drawn_backtest(connection.user)
    factories.webhook(connection.user)
    factories.file_export(connection.user)
    factories.support_request(connection.user)
    with tenancy.as_system("test"):
        FileImport.objects.update(content=QUARANTINED)


def record_second_factors(user: User, *, number: int) -> None:
    digest = b"%032d" % number
    RecoveryCode.objects.create(user=user, digest=digest)
    Passkey.objects.create(
        user=user, name="phone", credential_id=DIGEST, credential_digest=digest,
        public_key=QUARANTINED,
    )  # fmt: skip
    factories.supported(user)


def record_messages(user: User, *, number: int) -> None:
    """What was sent, what is wanted, phones and keys for programs, consents and copies of data."""
    Delivery.objects.create(
        user=user, event="password_changed", channel="email", dedupe_key=str(number)
    )
    NotificationChoice.objects.create(
        user=user, event=f"event_{number}", channel="push", enabled=False
    )
    PushDevice.objects.create(user=user, token=f"{PHONE}-{number}")
    ApiKey.objects.create(
        user=user, name="script", prefix=f"prefix{number}", digest=DIGEST, scopes=["sync"]
    )
    NotificationSettings.objects.get_or_create(user=user)
    EmailSuppression.objects.create(
        user=user, address=f"old-{number}@example.com", reason="bounced"
    )
    Consent.objects.create(user=user, document="terms", version=str(number))
    DataExport.objects.create(user=user, state="ready")


def record_watching(user: User, *, number: int) -> None:
    """Alerts with where they came from and went to, and a day of metrics."""
    alert = SecurityAlert.objects.create(
        user=user, kind="account.strange_sign_in", severity="low", dedupe_key=str(number)
    )
    SecurityEvent.objects.create(message_id=str(number), kind="waf.blocked", alert=alert)
    WebhookDelivery.objects.create(alert=alert, endpoint="ops", host="ops.example.com")
    UserMetric.objects.create(
        user=user, date=clock.now().date() - timedelta(days=number), daily_active=True,
        session_duration=timedelta(minutes=5),
    )  # fmt: skip


def furnish(user: User, *, number: int = 0) -> ExchangeConnection:
    """A connection with a sealed key and one row of everything."""
    connection = connect(user, f"wallet {number}")
    with tenancy.as_system("test"):
        key = replace(CANARY, api_key=CANARY.api_key + connection.id.hex)  # of its own, as all are
        credentials.store(user_id=user.id, connection_id=connection.id, credential=key)
    record_facts(connection, number=number)
    return connection


@pytest.fixture
def connection(alice):
    Group.objects.create(name="support")
    factories.billed(alice)
    return furnish(alice)


# --- addresses ----------------------------------------------------------------------------------
def page(model, name: str = "changelist", *args, **query) -> str:
    opts = model._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_{name}", args=args, query=query)


def a_row(model):
    with tenancy.as_system("test"):
        return model._default_manager.order_by("pk").first()


def pages_of(model) -> list[str]:
    row = a_row(model)
    return [
        page(model),
        page(model, q="alice@example.com"),
        *(page(model, name, quote(row.pk)) for name in ("change", "history", "delete")),
        page(model, "add"),
    ]


def readable_pages_of(model) -> list[str]:
    return pages_of(model)[:4]


def every_address() -> list[str]:
    apps = {model._meta.app_label for model in MODELS}
    own = [reverse("admin:index"), *(reverse("admin:app_list", args=[app]) for app in apps)]
    return own + [address for model in MODELS for address in pages_of(model)]


def shown(response) -> str:
    assert response.status_code == 200, response
    return response.content.decode()


def acts(*actions: Action) -> list[ActivityLog]:
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.filter(action__in=actions).order_by("id"))


# --- every page ---------------------------------------------------------------------------------
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_page_answers_with_data_on_it(connection, staff, model):
    client = signed_in(staff)
    for address in readable_pages_of(model):
        shown(client.get(address))
    assert 'name="q"' in shown(client.get(page(model)))


def test_signing_in_takes_the_email_in_any_spelling(staff):
    answer = Client().post(
        reverse("admin:login"), {"username": "Staff@Example.com", "password": PASSWORD}
    )
    assert answer.status_code == 302
    assert answer.cookies["sessionid"].value


def test_people_who_are_not_staff_are_refused_everywhere(connection, alice):
    """S19"""
    login = reverse("admin:login")
    for client in (Client(), signed_in(alice)):
        for address in every_address():
            answer = client.get(address)
            assert answer.status_code == 302, address
            assert answer["Location"].startswith(login), address
    refused = Client().post(login, {"username": alice.email, "password": PASSWORD})
    assert refused.status_code == 200
    assert "sessionid" not in refused.cookies


def test_staff_without_permissions_sees_nothing(connection, supporter):
    """S19"""
    client = signed_in(supporter)
    home = shown(client.get(reverse("admin:index")))
    assert "/admin/exchanges/" not in home
    for model in MODELS:
        for address in pages_of(model):
            assert client.get(address).status_code == 403, address


def test_links_and_panels_show_only_what_the_reader_may_see(connection, supporter):
    """S19"""
    permit(supporter, "view_exchangeconnection", "view_holding")
    body = shown(signed_in(supporter).get(page(ExchangeConnection, "change", connection.id)))
    assert page(Holding) in body
    assert page(SyncRun) not in body
    assert "rate_limited" not in body


@pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model.__name__)
def test_what_was_reported_cannot_be_added_changed_or_deleted(connection, staff, model):
    client, row = signed_in(staff), a_row(model)
    for name, args in (("add", ()), ("change", (quote(row.pk),)), ("delete", (quote(row.pk),))):
        assert client.post(page(model, name, *args), {"post": "yes"}).status_code == 403, name
    client.post(page(model), {"action": "delete_selected", "_selected_action": [row.pk]})
    assert a_row(model) is not None
    assert not acts(Action.STAFF_ACTED)


# --- secrets ------------------------------------------------------------------------------------
def sealed_needles() -> list[bytes]:
    with tenancy.as_system("test"):
        sealed = [bytes(row.wrapped_key) for row in DataKey.objects.all()]
        for row in ExchangeCredential.objects.all():
            sealed += [bytes(row.api_key), bytes(row.api_secret), bytes(row.passphrase)]
    assert len(sealed) == 4
    plain = [CANARY.api_key.encode(), CANARY.api_secret.encode(), CANARY.passphrase.encode()]
    raw = [*plain, *sealed, QUARANTINED, DIGEST, PHONE.encode()]
    encoders = (base64.b64encode, base64.urlsafe_b64encode, lambda b: b.hex().encode(), bytes)
    return [encode(needle).rstrip(b"=") for needle in raw for encode in encoders]


def test_no_page_holds_key_material(connection, staff):
    """S25"""
    client = signed_in(staff)
    act(client, "pause", connection)
    act(client, "resume", connection)
    seen = b"".join(client.get(address, follow=True).content for address in every_address())
    seen += b"".join(client.get(page(model)).content for model in MODELS)
    assert connection.label.encode() in seen  # the scan does read the pages
    assert b"memory at 0x" not in seen
    for needle in sealed_needles():
        assert needle not in seen
    with tenancy.as_system("test"):
        assert User.objects.get(id=connection.user_id).password.encode() not in seen


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        (Session, "refresh_digest"),
        (Session, "refresh_digest__contains"),
        (TotpDevice, "sealed_seed"),
        (RecoveryCode, "digest__gt"),
        (QuarantinedPage, "payload"),
        (QuarantinedPage, "payload_digest__gt"),
        (ExchangeConnection, "credential__api_key"),
        (ExchangeConnection, "user__password__startswith"),
        (User, "password__startswith"),
        (User, "data_key__wrapped_key"),
    ],
)
def test_hidden_columns_cannot_be_asked_about(connection, staff, model, lookup):
    """S25"""
    assert signed_in(staff).get(page(model, **{lookup: "a"})).status_code == 400


# --- searching and lists ------------------------------------------------------------------------
@pytest.mark.parametrize("model", [Trade, Transfer, Holding, SyncRun, ExchangeConnection])
def test_a_search_finds_by_email_label_and_id(connection, bob, staff, model):
    furnish(bob, number=1)
    client = signed_in(staff)
    for words in ("alice@example.com", "ALICE", "0", str(connection.user_id), "alice wallet"):
        body = shown(client.get(page(model, q=words)))
        assert "alice@example.com" in body, words
        assert "bob@example.com" not in body, words
    assert "alice@example.com" not in shown(client.get(page(model, q="alice bob")))


def test_a_trade_is_found_by_the_exchange_s_id_and_by_its_coin(connection, staff):
    client = signed_in(staff)
    for words in ("trade-0", "btc", "USDT alice"):
        assert "trade-0" in shown(client.get(page(Trade, q=words)))
    for words in ("trade", "trade-", "DOGE"):
        assert "alice@example.com" not in shown(client.get(page(Trade, q=words)))


def test_filters_answer(connection, staff):
    client = signed_in(staff)
    for model, wanted, other in [
        (ExchangeConnection, {"state": "ok"}, {"state": "paused"}),
        (Holding, {"wallet": "spot"}, {"wallet": "earn"}),
        (SyncRun, {"trigger": "schedule"}, {"state__exact": "failed"}),
        (ActivityLog, {"action": Action.SYNC_FINISHED}, {"outcome": "refused"}),
        (Trade, {"user__id__exact": connection.user_id}, {"side__exact": "sell"}),
    ]:
        assert "alice@example.com" in shown(client.get(page(model, **wanted)))
        assert "alice@example.com" not in shown(client.get(page(model, **other)))


def test_numbers_and_instants_are_written_out(connection, staff):
    row = a_row(Trade)
    for address in (page(Trade), page(Trade, "change", row.pk)):
        body = shown(signed_in(staff).get(address))
        assert ">0.0123<" in body
        assert f"{row.occurred_at:%Y-%m-%d %H:%M:%S} UTC" in body


def test_a_list_stops_counting(staff, alice):
    """Ten thousand and one sessions are “10000+”, and the page after the last does not exist."""
    with tenancy.as_system("test"):
        Session.objects.bulk_create(
            Session(user=alice, refresh_digest=DIGEST, expires_at=clock.now())
            for _ in range(10_001)
        )
    client = signed_in(staff)
    with CaptureQueriesContext(database) as seen:
        assert "10000+ sessions" in " ".join(shown(client.get(page(Session))).split())
    counts = [query["sql"] for query in seen if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT 10001" in sql for sql in counts)
    assert client.get(page(Session, p=101)).status_code == 302


def queries_of(client: Client, address: str) -> int:
    with CaptureQueriesContext(database) as seen:
        shown(client.get(address))
    return len(seen)


def test_the_queries_of_a_list_do_not_grow_with_its_rows(connection, staff, bob):
    with time_machine.travel(clock.now(), tick=False):  # sessions are written anew as time goes by
        client = signed_in(staff)
        addresses = [address for model in MODELS for address in pages_of(model)[:3]]
        for address in addresses:
            client.get(address)  # content types and the like are remembered after the first time
        few = {address: queries_of(client, address) for address in addresses}
        for number in range(1, 12):
            furnish(bob, number=number)
            record_facts(connection, number=100 + number)
        many = {address: queries_of(client, address) for address in addresses}
        assert many == few
    assert max(few.values()) <= 20


# --- what support does for a connection ---------------------------------------------------------
def act(client: Client, action: str, *connections: ExchangeConnection) -> str:
    keys = [str(connection.id) for connection in connections]
    answer = client.post(
        page(ExchangeConnection), {"action": action, "_selected_action": keys}, follow=True
    )
    return shown(answer)


def state_of(connection: ExchangeConnection) -> tuple[str, str]:
    with tenancy.as_system("test"):
        connection.refresh_from_db()
    return connection.state, connection.reason


def test_pausing_and_resuming(connection, staff):
    client = signed_in(staff)
    assert "Paused: 1." in act(client, "pause", connection)
    assert state_of(connection) == (ConnectionState.PAUSED, "paused_by_staff")
    assert connection.next_sync_at is None
    assert "Not possible for 1." in act(client, "pause", connection)
    assert "Resumed: 1." in act(client, "resume", connection)
    assert state_of(connection) == (ConnectionState.PENDING, "")
    assert connection.next_sync_at is not None
    assert "Not possible for 1." in act(client, "resume", connection)
    written = acts(Action.CONNECTION_PAUSED, Action.CONNECTION_RESUMED)
    assert [entry.action for entry in written] == [
        Action.CONNECTION_PAUSED, Action.CONNECTION_RESUMED,
    ]  # fmt: skip
    for entry in written:
        assert (entry.actor_id, entry.user_id) == (staff.id, connection.user_id)
        assert entry.details["connection_id"] == str(connection.id)
    body = shown(client.get(page(ExchangeConnection, "change", connection.id)))
    assert Action.CONNECTION_PAUSED in body  # who did what stands beside the connection
    links = {"details__connection_id": connection.id, "user__id__exact": connection.user_id}
    listed = shown(client.get(page(ActivityLog, **links)))
    assert listed.count("staff@example.com</a></td>") == 2


def test_sync_now_queues_one_run_after_the_commit(
    connection, staff, django_capture_on_commit_callbacks
):
    client = signed_in(staff)
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as broker:
        with django_capture_on_commit_callbacks(execute=True):
            assert "Syncs queued: 1." in act(client, "sync_now", connection)
            assert broker.llen("sync") == 0
        assert broker.llen("sync") == 1
    act(client, "sync_now", connection)
    with tenancy.as_system("test"):
        run = SyncRun.objects.get(connection=connection, state="queued")
    assert run.trigger == "staff"
    first, second = acts(Action.SYNC_REQUESTED)
    assert first.actor_id == second.actor_id == staff.id
    assert first.user_id == connection.user_id
    assert first.details == {"connection_id": str(connection.id), "trigger": "staff"}


def test_how_far_a_first_import_is_stands_in_the_list_of_runs(staff, alice):
    connection = factories.connection(alice)
    with tenancy.as_system("test"):
        SyncRun.objects.create(
            user=alice, connection=connection, trigger="first", state="running",
            phase="withdrawals", calls_done=140, calls_left=300, seconds_left=1840,
        )  # fmt: skip
    body = signed_in(staff).get(page(SyncRun)).content.decode()
    assert "withdrawals: 140 of 440 calls, about 31 min left" in body


@pytest.mark.parametrize("state", [ConnectionState.PAUSED, ConnectionState.NEEDS_NEW_KEY])
def test_what_stopped_is_not_synced(alice, staff, state):
    """A run of it would stay open for ever, since no worker claims it."""
    stopped, running = connect(alice, "stopped"), connect(alice, "running")
    with tenancy.as_system("test"):
        ExchangeConnection.objects.filter(id=stopped.id).update(state=state)
    body = act(signed_in(staff), "sync_now", stopped, running)
    assert "Syncs queued: 1. Not possible for 1." in body
    with tenancy.as_system("test"):
        assert SyncRun.objects.get().connection_id == running.id


def test_actions_need_the_permission_to_change(connection, supporter):
    """S19"""
    permit(supporter, "view_exchangeconnection")
    client = signed_in(supporter)
    assert "Sync now" not in shown(client.get(page(ExchangeConnection)))
    for action in ("sync_now", "pause", "resume"):
        act(client, action, connection)
    assert state_of(connection) == (ConnectionState.OK, "")
    assert not acts(Action.SYNC_REQUESTED, Action.CONNECTION_PAUSED, Action.CONNECTION_RESUMED)
    permit(supporter, "change_exchangeconnection")
    assert "Paused: 1." in act(signed_in(supporter), "pause", connection)


def test_too_many_at_once_are_refused(staff, alice):
    for number in range(201):
        connect(alice, f"{number}")
    answer = signed_in(staff).post(
        page(ExchangeConnection),
        {"action": "pause", "select_across": "1", "_selected_action": ["1"]},
        follow=True,
    )
    assert "at most 200" in shown(answer)
    assert not acts(Action.CONNECTION_PAUSED)
