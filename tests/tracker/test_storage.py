"""S23: nothing that is stored or sent can run code when it is read: no pickle anywhere."""

import json
import pickle
from typing import Any

import pytest
import redis
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.backends.cached_db import SessionStore
from django.contrib.sessions.models import Session
from django.core.cache import caches

from tracker.celery import app

PICKLED = b"\x80"  # how every pickle of protocol 2 and later begins


def raw_values() -> dict[bytes, bytes]:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        return {key: client.get(key) for key in client.scan_iter(_type="string")}


@pytest.mark.parametrize("alias", sorted(settings.CACHES))
@pytest.mark.parametrize("value", ["text", 7, None, [1, "two"], {"a": {"b": [1.5, True]}}])
def test_the_cache_stores_json(alias, value):
    """S23: seen in the server itself; what comes back is what went in."""
    caches[alias].set("some-key", value)
    assert caches[alias].get("some-key") == value
    (raw,) = raw_values().values()
    assert not raw.startswith(PICKLED)
    assert json.loads(raw) == value


class Bomb:
    """Tells when somebody unpickles it."""

    exploded = False

    def __reduce__(self) -> Any:
        return (setattr, (Bomb, "exploded", True))


@pytest.mark.parametrize("alias", sorted(settings.CACHES))
def test_a_pickle_that_somebody_put_into_the_cache_is_not_run(alias):
    """S23: who can write to Redis cannot run code here."""
    caches[alias].set("some-key", "harmless")
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.set(next(iter(raw_values())), pickle.dumps(Bomb()))
    try:
        caches[alias].get("some-key")
    except Exception as refused:
        assert not isinstance(refused, AssertionError)
    assert not Bomb.exploded


@pytest.mark.parametrize("alias", sorted(settings.CACHES))
def test_what_json_cannot_say_is_refused_by_the_cache(alias):
    """S23: rather than pickled behind our back."""
    with pytest.raises(TypeError):
        caches[alias].set("some-key", object())


def test_sessions_are_json_in_the_database_and_in_the_cache(db):
    """S23"""
    store = SessionStore()
    store["somebody"] = {"seen": [1, 2]}
    store.save()
    assert Session.objects.get(session_key=store.session_key).get_decoded() == {
        "somebody": {"seen": [1, 2]}
    }
    (raw,) = raw_values().values()
    assert json.loads(raw) == {"somebody": {"seen": [1, 2]}}
    assert SessionStore(store.session_key)["somebody"] == {"seen": [1, 2]}
    assert settings.SESSION_SERIALIZER.endswith("JSONSerializer")


def test_celery_sends_and_accepts_json_alone():
    """S23"""
    assert app.conf.accept_content == ["json"]
    assert {app.conf.task_serializer, app.conf.result_serializer} == {"json"}
    assert app.conf.result_accept_content in (None, ["json"])
    assert app.conf.task_ignore_result


def test_a_task_in_the_broker_is_json(db):
    """S23: as it lies in the server."""
    app.send_task("audit.tasks.sweep_outbox", kwargs={"marked": "yes"})
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        message = json.loads(client.lindex("default", 0))
    assert message["content-type"] == "application/json"
    assert message["headers"]["task"] == "audit.tasks.sweep_outbox"


def test_no_column_holds_a_pickled_field():
    """S23: the library that seals has a pickling field of its own, which we do not use."""
    kinds = {
        f"{model._meta.label}.{field.name}": type(field).__module__
        for model in apps.get_models()
        for field in model._meta.concrete_fields
    }
    assert [name for name, module in kinds.items() if "cryptography" in module] == []
