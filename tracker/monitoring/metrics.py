"""``/metrics`` for Prometheus: what all processes together do, read when it is asked for.

Any web process may answer, because nothing is counted in its own memory: requests are added up in
Redis (``tracker.monitoring.requests``), everything else is looked up. A source that does not answer
leaves its metrics out and says so in ``tracker_source_up``, so that the others still arrive.
"""

import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from django.db.models import Max, Min
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from audit.models import ComponentMinute, WebhookDelivery
from exchanges import circuits, gateway, lateness, ticks
from tracker import clock, tenancy
from tracker.monitoring import measuring, queues, requests

Families = list[Metric]


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """``/metrics``: only for who brings ``METRICS_TOKEN``; for others, and without it, 404."""
    if not _is_allowed(request):
        raise Http404
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(clock.now()))
    answer = HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)
    answer["Cache-Control"] = "no-store"
    return answer


def _is_allowed(request: HttpRequest) -> bool:
    given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
    wanted = settings.METRICS_TOKEN.encode()
    return bool(wanted) and hmac.compare_digest(given, wanted)


class Collector:
    """All metrics at one instant."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Every family that can be read, and which sources could be."""
        up = GaugeMetricFamily("tracker_source_up", "Whether it answers.", labels=["source"])
        for source, read in (("redis", self._of_redis), ("database", self._of_database)):
            found = _safely(read)
            up.add_metric([source], float(found is not None))
            yield from found or []
        yield up

    # --- Redis ------------------------------------------------------------------------------
    def _of_redis(self) -> Families:
        return [*_requests(requests.totals()), *_queues(self._now), _ticks()]

    # --- the database -----------------------------------------------------------------------
    def _of_database(self) -> Families:
        with tenancy.as_system("metrics"):
            paces = lateness.counts(now=self._now)
            families = [*_syncs(paces, self._now), *_ages(self._now), *_connections()]
        budgets = _budgets(pace.exchange for pace in paces)  # asks Redis: no transaction is open
        return [*families, budgets]


def _safely(read: Callable[[], Families]) -> Families | None:
    try:
        return read()
    except (DatabaseError, InterfaceError):
        close_old_connections()
    except (redis.RedisError, OSError):
        pass
    return None


def _requests(totals: dict[str, float]) -> Families:
    count = CounterMetricFamily(
        "tracker_requests", "Requests answered.", labels=["group", "status"]
    )
    seconds = HistogramMetricFamily(
        "tracker_request_seconds", "How long answers took.", labels=["group"]
    )
    for name, value in sorted(totals.items()):
        kind, *labels = name.split(" ")
        if kind == "n":
            count.add_metric(labels, value)
        if kind == "s":
            seconds.add_metric(labels, _buckets(labels[0], totals), sum_value=value)
    return [count, seconds]


def _buckets(group: str, totals: dict[str, float]) -> list[tuple[str, float]]:
    """Cumulative, as Prometheus wants them."""
    bounds = [*(str(bound) for bound in requests.BOUNDS), "+Inf"]
    found, so_far = [], 0.0
    for place, bound in enumerate(bounds):
        so_far += totals.get(f"le {group} {place}", 0.0)
        found.append((bound, so_far))
    return found


def _queues(now: datetime) -> Families:
    length = GaugeMetricFamily("tracker_queue_tasks", "Tasks that wait.", labels=["queue"])
    age = GaugeMetricFamily(
        "tracker_queue_age_seconds", "How long the next task has waited.", labels=["queue"]
    )
    for row in queues.standing(now=now):
        length.add_metric([row.name], row.waiting)
        age.add_metric([row.name], row.age)
    return [length, age]


def _ticks() -> Metric:
    told = CounterMetricFamily(
        "tracker_ticks", "Prices that were news, as told to who watches.", labels=["exchange"]
    )
    with redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=1.0, socket_connect_timeout=1.0
    ) as client:
        found = ticks.counts(client)
    for exchange in {*settings.PRICE_EXCHANGES, *found}:
        told.add_metric([exchange], found.get(exchange, 0))
    return told


def _syncs(paces: Sequence[lateness.Count], now: datetime) -> Families:
    accounts = GaugeMetricFamily(
        "tracker_sync_accounts", "Accounts that are read by themselves.", labels=["exchange"]
    )
    late = GaugeMetricFamily(
        "tracker_sync_accounts_late", "Of them, not read in time.", labels=["exchange"]
    )
    lag = GaugeMetricFamily(
        "tracker_sync_lag_seconds",
        "How long the latest of them has been late.",
        labels=["exchange"],
    )
    for pace in paces:
        accounts.add_metric([pace.exchange], pace.accounts)
        late.add_metric([pace.exchange], pace.accounts - pace.in_time)
        lag.add_metric([pace.exchange], pace.lag)
    circuit = GaugeMetricFamily(
        "tracker_exchange_circuit_open", "1 while an exchange answers nobody.", labels=["exchange"]
    )
    standing = circuits.standing(now=now)
    for pace in paces:  # a circuit that nobody's account can close any more is nobody's alarm
        circuit.add_metric([pace.exchange], float(pace.exchange in standing))
    return [accounts, late, lag, circuit]


def _ages(now: datetime) -> Families:
    prices = GaugeMetricFamily(
        "tracker_price_age_seconds", "Age of the freshest price of a source.", labels=["source"]
    )
    ages = measuring.price_ages(now=now)
    for source in settings.PRICE_EXCHANGES:
        prices.add_metric([source], _old(ages.get(source)))
    webhooks = GaugeMetricFamily(
        "tracker_webhook_age_seconds", "How long the oldest waiting message has waited.",
        labels=["webhook"],
    )  # fmt: skip
    webhooks.add_metric(["stripe"], _seconds(measuring.oldest_event(now=now)))
    webhooks.add_metric(["alerts"], _seconds(_oldest_delivery(now)))
    measured = GaugeMetricFamily(
        "tracker_measured_age_seconds", "Since the service was last measured."
    )
    last = ComponentMinute.objects.aggregate(last=Max("minute_at"))["last"]
    measured.add_metric([], _old(now - last if last else None))
    return [prices, webhooks, measured]


def _oldest_delivery(now: datetime) -> timedelta | None:
    waiting = WebhookDelivery.objects.filter(state=WebhookDelivery.State.WAITING)
    at = waiting.aggregate(oldest=Min("created_at"))["oldest"]
    return now - at if at else None


def _old(age: timedelta | None) -> float:
    """What was never heard of is as old as can be: an alert on its age must not keep silent."""
    return age.total_seconds() if age is not None else float("inf")


def _seconds(age: timedelta | None) -> float:
    return age.total_seconds() if age else 0.0


def _connections() -> Families:
    """Those to other databases of the server too: they take from the same number."""
    used = GaugeMetricFamily(
        "tracker_database_connections", "Connections to the database server.", labels=["state"]
    )
    most = GaugeMetricFamily(
        "tracker_database_connections_max", "How many connections the server takes."
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(state, 'unknown'), count(*) FROM pg_stat_activity"
            " WHERE datname IS NOT NULL GROUP BY 1 ORDER BY 1"
        )
        for state, count in cursor.fetchall():
            used.add_metric([state], count)
        cursor.execute("SELECT current_setting('max_connections')::int")
        most.add_metric([], cursor.fetchone()[0])
    return [used, most]


def _budgets(exchanges: Iterable[str]) -> Metric:
    used = GaugeMetricFamily(
        "tracker_exchange_budget_used_ratio", "Part of the rate budget that was granted lately.",
        labels=["exchange", "pool"],
    )  # fmt: skip
    for exchange in exchanges:
        state = gateway.budget_state(exchange)
        for pool in state.pools if state else ():
            if pool.allowed > 0:
                used.add_metric([exchange, pool.name], pool.used / pool.allowed)
    return used
