"""Metrics for Prometheus, for who brings the token; and the alert rules that read them."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import redis
import yaml
from celery import current_app
from django.conf import settings
from django.db import connection
from django.test import override_settings
from prometheus_client.parser import text_string_to_metric_families

from audit.models import ComponentMinute, StatusComponent, WebhookDelivery
from billing.models import StripeEvent
from exchanges import ticks
from exchanges.models import ExchangeCircuit, ExchangeConnection, Price
from exchanges.prices import Quote
from tests import factories
from tests.tracker.test_outage import database_gone, redis_gone
from tracker import clock, tenancy
from tracker.monitoring import requests

TOKEN = "t" * 40
RULES = settings.BASE_DIR / "docs" / "deploy" / "prometheus" / "alerts.yml"


@pytest.fixture(autouse=True)
def _token():
    requests.write()  # what requests of earlier tests left in memory would be written later
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
    with override_settings(METRICS_TOKEN=TOKEN):
        yield


def read(client) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample by name and values of labels, as Prometheus's own parser reads it."""
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


# --- who may read -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {TOKEN}x"},
               {"Authorization": "Bearer "}, {"Authorization": "Bearer tökén"}],
)  # fmt: skip
def test_without_the_token_there_is_no_such_page(client, db, header):
    answer = client.get("/metrics", headers=header)
    assert answer.status_code == 404
    assert b"tracker_" not in answer.content


def test_without_the_setting_nobody_reads(client, db):
    with override_settings(METRICS_TOKEN=""):
        for header in ({}, {"Authorization": "Bearer "}):
            assert client.get("/metrics", headers=header).status_code == 404


# --- what is read -------------------------------------------------------------------------------
def test_requests_are_told_by_group_and_status_with_their_seconds(client, db):
    at = datetime(2026, 3, 10, 12, tzinfo=UTC)
    for seconds, status in ((0.004, 200), (0.02, 200), (0.02, 500), (60.0, 503)):
        requests._pending.add(
            group="portfolio", status=status, seconds=seconds, at=at, outcome=requests.GOOD
        )
    requests.write()
    found = read(client)
    assert found["tracker_requests_total", ("portfolio", "200")] == 2
    assert found["tracker_requests_total", ("portfolio", "500")] == 1
    by_bound = {
        labels[1]: value
        for (name, labels), value in found.items()
        if name == "tracker_request_seconds_bucket"
    }
    assert (by_bound["0.005"], by_bound["0.025"], by_bound["10.0"], by_bound["+Inf"]) == (
        1,
        3,
        3,
        4,
    )
    assert found["tracker_request_seconds_count", ("portfolio",)] == 4
    assert found["tracker_request_seconds_sum", ("portfolio",)] == pytest.approx(60.044)


def test_queues_are_told_with_their_length_and_the_wait_of_the_next_task(client, db):
    current_app.send_task("tests.nothing", queue="exports", headers={"x": 1})
    current_app.send_task("tests.nothing", queue="exports")
    found = read(client)
    assert found["tracker_queue_tasks", ("exports",)] == 2
    assert 0 < found["tracker_queue_age_seconds", ("exports",)] < 60
    assert found["tracker_queue_tasks", ("imports",)] == 0
    assert found["tracker_queue_age_seconds", ("imports",)] == 0


def everything(client) -> None:
    """Something of each source, so that every metric has a sample."""
    now = clock.now()
    user = factories.person("a@example.com")
    late, alert = factories.connection(user), factories.alert(user)
    with tenancy.as_system("test"):
        ExchangeConnection.objects.filter(id=late.id).update(
            next_sync_at=now, late_after=now - timedelta(days=2)
        )
        ExchangeCircuit.objects.create(exchange=factories.exchange(), openings=1, open_until=now)
        Price.objects.create(
            asset=factories.asset(), usd=1, source="binance: BTC/USDT", as_of=now,
            fetched_at=now - timedelta(minutes=20),
        )  # fmt: skip
        StripeEvent.objects.create(
            id="evt_1", type="x", created_at=now, next_attempt_at=now,
            received_at=now - timedelta(hours=1),
        )  # fmt: skip
        WebhookDelivery.objects.create(
            alert=alert, endpoint="ops", host="ops.example.com",
            created_at=now - timedelta(hours=2),
        )  # fmt: skip
        part = StatusComponent.objects.create(key="api", title="API")
        ComponentMinute.objects.create(
            component=part, minute_at=now - timedelta(minutes=9), health="up"
        )
    client.get("/api/v1/nothing-of-this-name")
    requests.write()


def test_accounts_prices_messages_and_connections_are_told(client, db):
    everything(client)
    found = read(client)
    near = pytest.approx
    assert found["tracker_sync_accounts", ("binance",)] == 1
    assert found["tracker_sync_accounts_late", ("binance",)] == 1
    assert found["tracker_sync_lag_seconds", ("binance",)] == near(2 * 86_400, abs=60)
    assert found["tracker_exchange_circuit_open", ("binance",)] == 1
    assert found["tracker_price_age_seconds", ("binance",)] == near(1200, abs=60)
    assert found["tracker_webhook_age_seconds", ("stripe",)] == near(3600, abs=60)
    assert found["tracker_webhook_age_seconds", ("alerts",)] == near(7200, abs=60)
    assert found["tracker_measured_age_seconds", ()] == near(540, abs=60)
    assert found["tracker_database_connections", ("active",)] >= 1
    assert found["tracker_database_connections_max", ()] >= 10
    assert any(name == "tracker_exchange_budget_used_ratio" for name, _ in found)


def test_ticks_are_counted_by_exchange(client, db):
    now = clock.now()
    for usd in (1, 2, 2):
        quote = Quote(factories.asset().id, "BTC", Decimal(usd), None, "kraken: BTC/USD", now)
        with redis.Redis.from_url(settings.REDIS_URL) as there:
            ticks.offer(there, [quote], exchange="kraken", preferred=())
    found = read(client)
    assert found["tracker_ticks_total", ("kraken",)] == 2
    assert found["tracker_ticks_total", ("binance",)] == 0


def test_what_was_never_heard_of_is_older_than_any_limit(client, db):
    found = read(client)
    assert found["tracker_measured_age_seconds", ()] == float("inf")
    assert found["tracker_price_age_seconds", ("kraken",)] == float("inf")


def test_a_circuit_is_told_where_there_are_accounts(client, db):
    user = factories.person("a@example.com")
    connected = factories.connection(user)
    now = clock.now()
    with tenancy.as_system("test"):
        ExchangeConnection.objects.filter(id=connected.id).update(next_sync_at=now)
        ExchangeCircuit.objects.create(
            exchange=factories.exchange("kraken"), openings=1, open_until=now
        )
    found = read(client)
    assert found["tracker_exchange_circuit_open", ("binance",)] == 0
    assert ("tracker_exchange_circuit_open", ("kraken",)) not in found


def test_connections_to_other_databases_of_the_server_count(client, transactional_db):
    """Within one transaction the server would tell the same twice."""

    def taken() -> float:
        found = read(client)
        return sum(n for (name, _), n in found.items() if name == "tracker_database_connections")

    other = connection.copy("other")
    other.settings_dict["NAME"] = "postgres"
    before = taken()
    with other.cursor():
        assert taken() == before + 1
    other.close()


def test_a_source_that_is_gone_leaves_the_others(client, transactional_db):
    with database_gone():
        found = read(client)
    assert found["tracker_source_up", ("database",)] == 0
    assert found["tracker_queue_tasks", ("default",)] == 0
    with redis_gone():
        found = read(client)
    assert (found["tracker_source_up", ("redis",)], found["tracker_source_up", ("database",)]) == (
        0, 1,
    )  # fmt: skip
    assert found["tracker_database_connections_max", ()] >= 10


# --- alert rules --------------------------------------------------------------------------------
def rules() -> list[dict]:
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


def test_every_metric_that_an_alert_reads_is_told(client, db):
    everything(client)
    told = {name for name, _ in read(client)}
    for rule in rules():
        named = set(re.findall(r"\btracker_\w+", rule["expr"]))
        assert named or "up{" in rule["expr"]
        assert named <= told, rule["alert"]


def test_labels_and_queues_that_alerts_name_exist(client, db):
    everything(client)
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()
    for queue in re.findall(r'queue=~"([^"]+)"', RULES.read_text()):
        for name in queue.split("|"):
            assert f'tracker_queue_tasks{{queue="{name}"}}' in answer
    labels = set(re.findall(r"\$labels\.(\w+)", RULES.read_text()))
    assert labels <= set(re.findall(r'(\w+)="', answer))


def test_every_alert_waits_is_weighed_and_says_what_is_wrong():
    found = rules()
    assert len({rule["alert"] for rule in found}) == len(found)
    for rule in found:
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")
