"""How somebody's week was: what the message says, when it is due, and to whom none is sent."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from io import BytesIO

import pytest
import time_machine
from django.core import mail
from PIL import Image

from accounts import delivery
from accounts.models import Delivery, NotificationSettings, User
from exchanges.models import ExchangeConnection, HistoricPrice, Price
from portfolios import derivation, summaries, tasks
from portfolios.models import Holding, HoldingChange
from tests import factories
from tests.broker import work_off
from tests.portfolios.bookings import book, buy, day, sell, transfer
from tracker import tenancy

# Monday, 8:00 in Zurich; books begin on 1 January, day 0.
MONDAY = datetime(2024, 1, 15, 7, tzinfo=UTC)
BTC = [100, 100, 100, 100, 100, 100, 100, 110, 120, 110, 130, 125, 140, 150, 150]
WEEK = timedelta(days=7)


def holds(user, connected, units, code):
    what = {
        "user": user, "connection": connected, "wallet": "spot", "exchange_code": code,
        "asset": factories.asset(code), "quantity": D(units),
    }  # fmt: skip
    with tenancy.as_user(user.id):
        Holding.objects.create(**what, changed_at=MONDAY, last_confirmed_at=MONDAY)
        HoldingChange.objects.create(**what, reported_at=MONDAY)


def prices(**now):
    for code, usd in now.items():
        Price.objects.create(
            asset=factories.asset(code), usd=D(usd), usd_24h_ago=D(usd), source="test",
            as_of=MONDAY, fetched_at=MONDAY,
        )  # fmt: skip


@pytest.fixture
def invested(db):
    """A thousand dollars; eight coins bought at 100, one sold at 120 within the week."""
    alice = factories.person("alice@example.com", time_zone="Europe/Zurich")
    connected = factories.connection(alice)
    for code in ("USD", "BTC"):
        factories.asset(code)
    coin = factories.asset("BTC")
    HistoricPrice.objects.bulk_create(
        HistoricPrice(asset=coin, interval="1d", usd=D(usd), source="test",
                      at=day(number).replace(hour=0))
        for number, usd in enumerate(BTC)
    )  # fmt: skip
    with tenancy.as_system("test"):
        factories.Asset.objects.filter(code="USD").update(is_fiat=True)
        ExchangeConnection.objects.update(last_synced_at=MONDAY, last_complete_at=MONDAY)
    book(
        alice, connected, transfer("deposit", "1000", day(0), "USD"),
        buy("8", "800", day(1)), sell("1", "120", day(8)),
    )  # fmt: skip
    prices(USD=1, BTC=150)
    holds(alice, connected, "320", "USD")
    holds(alice, connected, "7", "BTC")
    with time_machine.travel(MONDAY, tick=False):
        assert derivation.derive(user_id=alice.id, now=MONDAY)
    return alice


def planned(user, at=MONDAY):
    with tenancy.as_user(user.id):
        NotificationSettings.objects.update_or_create(user=user, defaults={"summary_due_at": at})


def due_at(user):
    with tenancy.as_user(user.id):
        return NotificationSettings.objects.get(user=user).summary_due_at


def run(now):
    """The hourly task, and what it queues."""
    with time_machine.travel(now, tick=False):
        tasks.queue_weekly_summaries()
        return work_off(tasks.send_weekly_summary, queue="exports")


def told(user):
    with tenancy.as_user(user.id):
        return list(Delivery.objects.filter(event="weekly_summary").order_by("channel"))


# --- what ---------------------------------------------------------------------------------------
def test_the_week_in_figures(invested):
    planned(invested)
    run(MONDAY)
    row = told(invested)[0]
    said = dict(row.parameters)
    days = said.pop("days")
    assert said == {
        "week_from": "2024-01-08", "week_until": "2024-01-15", "partial": False, "stale": False,
        # 200 dollars and eight coins at 100; then 320 dollars and seven at 150.
        "total_before": "1,000.00 USD", "total": "1,370.00 USD", "change": "+370.00 USD",
        "change_percent": "+37.00 %", "twr": "+37.00 %", "gains": "+20.00 USD",
        "movers": [{"code": "BTC", "change": "+50.00 %"}], "problems": said["problems"],
    }  # fmt: skip
    assert [point["shown"] for point in days] == [
        # The close before Monday begins in Zurich is that of Saturday in Greenwich.
        "1,000.00 USD", "1,000.00 USD", "1,080.00 USD", "1,160.00 USD", "1,090.00 USD",
        "1,230.00 USD", "1,195.00 USD", "1,300.00 USD", "1,370.00 USD", "1,370.00 USD",
    ]  # fmt: skip


def mailed(user):
    [row] = [row for row in told(user) if row.channel == "email"]
    assert delivery.send(delivery_id=row.id, now=MONDAY)
    return mail.outbox[-1]


def test_the_email_says_it_in_words_and_shows_a_picture_that_it_carries_along(invested):
    planned(invested)
    run(MONDAY)
    message = mailed(invested)
    assert message.subject == "Your week: 1,370.00 USD (+37.00 %)"
    [(html, _)] = message.alternatives
    for text in (message.body, html):
        assert "8 January to 15 January 2024 (Europe/Zurich)" in text
        for figure in ("1,370.00 USD", "1,000.00 USD", "+370.00 USD", "+37.00 %", "+20.00 USD"):
            assert figure in text
        assert "1,090.00 USD" in text  # of one of the days: the numbers stand beside the picture
    [image] = message.attachments
    assert re.search(r'<img[^>]+src="cid:week"[^>]+alt="[^"]*1,090\.00 USD', html)
    assert image["Content-ID"] == "<week>"
    assert image.get_content_disposition() == "inline"
    picture = Image.open(BytesIO(image.get_payload(decode=True)))
    assert (picture.format, picture.size) == ("PNG", (1040, 260))
    assert "http" not in html.replace("http://localhost:8000", "")


def test_a_picture_rises_where_the_values_rise():
    from accounts import charts

    png = charts.of_days([{"value": "1"}, {"value": "2"}, {"value": "3"}])
    picture = Image.open(BytesIO(png)).convert("RGBA")
    tops = []
    for x in (30, 520, 1010):
        column = [picture.getpixel((x, y))[3] > 200 for y in range(picture.height)]
        tops.append(column.index(True))
    assert tops == sorted(tops, reverse=True)
    assert tops[0] - tops[2] > 150


def test_no_picture_is_drawn_of_less_than_two_values():
    from accounts import charts

    assert charts.of_days([]) is None
    assert charts.of_days([{"value": "1"}, {"value": None}]) is None
    assert charts.of_days([{"value": "5"}, {"value": "5"}]) is not None
    assert charts.of_days([{"value": "5"}, {"value": None}, {"value": "6", "partial": True}])


def test_what_is_missing_or_old_is_said(invested):
    with tenancy.as_system("test"):
        Price.objects.filter(asset__code="BTC").update(
            as_of=MONDAY - timedelta(days=1), fetched_at=MONDAY - timedelta(days=1)
        )
    planned(invested)
    run(MONDAY)
    assert "not up to date" in mailed(invested).body
    with tenancy.as_system("test"):
        Price.objects.filter(asset__code="BTC").delete()
    planned(invested, MONDAY + WEEK)
    run(MONDAY + WEEK)
    newest = max(told(invested), key=lambda row: row.id)
    assert newest.parameters["partial"] is True


# --- when and to whom ---------------------------------------------------------------------------
def test_it_is_told_once_a_week_however_often_the_task_runs(invested):
    planned(invested)
    assert [run(MONDAY + timedelta(hours=hours)) for hours in (0, 0, 1)] == [1, 0, 0]
    assert [row.channel for row in told(invested)] == ["email", "live"]
    assert due_at(invested) == MONDAY + WEEK
    with time_machine.travel(MONDAY, tick=False):
        tasks.send_weekly_summary(user_id=str(invested.id))  # a task that is delivered twice
    assert len(told(invested)) == 2


def test_it_comes_not_before_eight_where_the_person_lives(invested):
    planned(invested)
    assert run(MONDAY - timedelta(minutes=1)) == 0


def test_a_moment_that_was_not_known_is_worked_out_and_nothing_is_told_for_the_past(invested):
    assert run(MONDAY + timedelta(hours=2)) == 1
    assert due_at(invested) == MONDAY + WEEK
    assert told(invested) == []


def test_another_day_is_followed(invested, client_of):
    planned(invested)
    client_of(invested).patch("/me/notifications/settings", {"weekly_summary_day": 2})
    run(MONDAY)
    assert due_at(invested) == MONDAY + timedelta(days=2)
    assert told(invested) == []
    run(MONDAY + timedelta(days=2))
    assert len(told(invested)) == 2


@pytest.mark.parametrize(
    ("zone", "is_told", "following"),
    [
        # On the Monday itself the day has begun in Tokyo, and not yet in New York.
        ("Asia/Tokyo", True, datetime(2024, 1, 21, 23, tzinfo=UTC)),
        ("America/New_York", False, datetime(2024, 1, 15, 13, tzinfo=UTC)),
    ],
)
def test_who_moved_is_told_by_the_clock_of_where_they_are(invested, zone, is_told, following):
    planned(invested)
    with tenancy.as_user(invested.id):
        User.objects.update(time_zone=zone)
    run(MONDAY)
    assert bool(told(invested)) is is_told
    assert due_at(invested) == following


def test_what_is_more_than_a_day_late_is_left_out(invested):
    planned(invested)
    assert run(MONDAY + timedelta(hours=25)) == 1
    assert told(invested) == []
    assert due_at(invested) == MONDAY + WEEK


def test_who_has_switched_it_off_gets_none(invested, client_of):
    planned(invested)
    choices = [
        {"event": "weekly_summary", "channel": channel, "enabled": False}
        for channel in ("email", "live")
    ]
    client_of(invested).patch("/me/notifications", {"choices": choices})
    run(MONDAY)
    assert told(invested) == []


def test_who_has_no_connection_or_no_value_gets_none(db):
    empty = factories.person("empty@example.com")
    planned(empty)
    assert run(MONDAY) == 1
    factories.connection(empty)
    planned(empty)
    assert run(MONDAY) == 1
    assert told(empty) == []


@pytest.mark.parametrize("change", [{"closes_at": MONDAY + WEEK}, {"is_active": False}])
def test_who_is_leaving_gets_none(invested, change):
    planned(invested)
    with tenancy.as_user(invested.id):
        User.objects.update(**change)
    assert run(MONDAY) == 0
    with time_machine.travel(MONDAY, tick=False):
        tasks.send_weekly_summary(user_id=str(invested.id))
    assert told(invested) == []


def test_who_is_gone_is_no_trouble(db):
    assert not summaries.send(user_id=factories.person("x@example.com").id, now=MONDAY)


# --- numbers as texts ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [("0", "USD", "0.00 USD"), ("1234567.891", "EUR", "1,234,567.89 EUR"),
     ("-0.5", "USD", "−0.50 USD"), ("0.12345678", "BTC", "0.12345678 BTC"),
     ("12345.6", "JPY", "12,346 JPY")],
)  # fmt: skip
def test_money_is_told_with_its_currency_and_as_many_digits_as_it_has(value, currency, text):
    assert summaries.money(D(value), currency) == text
