"""What a person is told arrives on the devices that are open now."""

import json

import redis

from accounts import notifications
from accounts.events import Event
from accounts.models import Delivery
from tracker import clock, ids, live, tenancy


def price_alert(user, **more):
    with tenancy.as_user(user.id):
        notifications.notify(
            user_id=user.id, event=Event.PRICE_ALERT, dedupe=str(ids.new_id()), now=clock.now(),
            **{"alert_id": "a-1", "title": "BTC is above 10 USD", "value": "11 USD", "code": "BTC",
               "note": "", **more},
        )  # fmt: skip


def test_a_notice_arrives_on_the_devices_that_want_notices_and_nowhere_else(listen, alice, bob):
    hers, unasked, his = listen(alice), listen(alice), listen(bob)
    for listener in (hers, his):
        listener.subscribe("notices")
    price_alert(alice)
    said = hers.next("notice")
    with tenancy.as_user(alice.id):
        row = Delivery.objects.get(channel="live")
    assert said == {
        "type": "notice", "delivery": str(row.id), "event": "price_alert",
        "title": "BTC is above 10 USD", "text": "Now: 11 USD", "data": {"alert_id": "a-1"},
        "at": row.created_at.isoformat().replace("+00:00", "Z"),
    }  # fmt: skip
    assert his.hears_nothing("notice", seconds=0.3)
    assert unasked.hears_nothing("notice", seconds=0.3)


def test_nothing_but_the_id_of_a_notice_passes_through_redis(alice, settings):
    client = redis.Redis.from_url(settings.REDIS_URL)
    heard = client.pubsub()
    heard.subscribe(live.user_channel(alice.id))
    assert heard.get_message(timeout=5)["type"] == "subscribe"
    price_alert(alice, note="my secret plan")
    message = heard.get_message(timeout=5)
    with tenancy.as_user(alice.id):
        key = Delivery.objects.get(channel="live").id
    assert json.loads(message["data"]) == {"topic": "notice", "payload": {"delivery": str(key)}}


def test_an_unreadable_or_unknown_notice_does_no_harm(listen, alice, bob):
    listener = listen(alice)
    listener.subscribe("notices")
    price_alert(bob)
    with tenancy.as_user(bob.id):
        of_bob = str(Delivery.objects.get(channel="live").id)
    for payload in ({}, {"delivery": "x"}, {"delivery": str(ids.new_id())}, {"delivery": of_bob}):
        live.publish(user_id=alice.id, topic=live.NOTICE, payload=payload)
    price_alert(alice, title="good")
    assert listener.next("notice")["title"] == "good"
