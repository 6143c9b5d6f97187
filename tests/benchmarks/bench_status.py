"""The status page from its copy, what counting a request costs, and measuring a large fleet."""

from datetime import timedelta

from django.conf import settings
from django.test import Client

from audit import status_copy
from audit.models import ComponentDay, ComponentMinute, Health, StatusComponent
from exchanges.models import ExchangeConnection
from tests.benchmarks import rows
from tests.benchmarks.measure import Result, seconds
from tracker import clock, tenancy
from tracker.monitoring import measuring, pages, requests

PARTS, PEOPLE = 12, 50_000


def measure() -> list[Result]:
    rows.clear()
    now = clock.now()
    _history(now)
    status_copy.publish(now=now)
    pages.forget()
    client = Client(HTTP_HOST=settings.ALLOWED_HOSTS[0])
    page = 1000 * seconds(lambda: _get(client, "/status"), rounds=300)
    bare = 1000 * seconds(lambda: _get(client, "/healthz"), rounds=300)
    count = 1e6 * seconds(_count, rounds=2000)
    requests.write()
    rows.clear()
    people = rows.people(PEOPLE)
    rows.connections_of(people, now)
    with tenancy.as_system("benchmark"):
        ExchangeConnection.objects.update(next_sync_at=now, late_after=now + timedelta(days=1))
    fleet = seconds(lambda: measuring.measure(now=clock.now()), rounds=3)
    newest = ComponentMinute.objects.filter(component_id="sync.binance").latest("minute_at")
    assert newest.total == PEOPLE
    rows.clear()
    return [
        Result(f"/status from its copy, {PARTS} parts", page, "ms", f"/healthz {bare:.2f} ms",
               page / bare, "≤ 2 ms more", page - bare <= 2),
        Result("counting a request", count, "µs", "", None, "(no target)", True),
        Result(f"measuring {PEOPLE:,} accounts", fleet, "s", "", None, "≤ 2 s", fleet <= 2),
    ]  # fmt: skip


def _get(client: Client, path: str) -> None:
    assert client.get(path).status_code == 200


def _count() -> None:
    requests._pending.add(
        group="me", status=200, seconds=0.01, at=clock.now(), outcome=requests.GOOD
    )
    requests._pending.stir()


def _history(now) -> None:
    ComponentMinute.objects.all().delete()
    for number in range(PARTS):
        part, _ = StatusComponent.objects.get_or_create(key=f"sync.{number}", title=f"E{number}")
        ComponentDay.objects.bulk_create(
            [
                ComponentDay(component=part, day=now.date() - timedelta(days=ago), up=1400, down=9)
                for ago in range(status_copy.DAYS)
            ],
            ignore_conflicts=True,
        )
        ComponentMinute.objects.create(
            component=part, minute_at=now.replace(second=0, microsecond=0), health=Health.UP
        )
