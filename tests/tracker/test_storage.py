"""S23: nothing that is stored or sent can run code when it is read; sessions of staff."""

import base64
import hashlib
import json
import pickle
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.core.management import call_command

from tests.admin_client import signed_in
from tracker import clock, tenancy
from tracker.celery import app
from tracker.staff_sessions import SessionStore, stored_key

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


# --- sessions of staff --------------------------------------------------------------------------
def a_session() -> SessionStore:
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store["somebody"] = {"seen": [1, 2]}
    store.save()
    return store


def stored_keys() -> list[str]:
    return list(Session.objects.values_list("session_key", flat=True))


def test_sessions_are_json_in_the_database(db):
    """S23"""
    store = a_session()
    (row,) = Session.objects.all()
    assert row.get_decoded() == {"somebody": {"seen": [1, 2]}}
    assert SessionStore(store.session_key)["somebody"] == {"seen": [1, 2]}
    assert settings.SESSION_SERIALIZER.endswith("JSONSerializer")


def test_the_key_in_the_cookie_is_stored_nowhere(db, alice):
    """S06: a dump or Redis holds nothing that opens the admin."""
    with tenancy.as_system("test"):
        type(alice).objects.filter(id=alice.id).update(is_staff=True, is_superuser=True)
    client = signed_in(alice)
    assert client.get("/admin/").status_code == 200
    key = client.cookies["sessionid"].value
    (stored,) = stored_keys()
    digest = hashlib.sha256(key.encode()).digest()
    assert base64.b85decode(stored) == digest
    with redis.Redis.from_url(settings.REDIS_URL) as redis_client:
        for name in redis_client.scan_iter():
            assert key.encode() not in name + (redis_client.dump(name) or b"")
    client.cookies["sessionid"] = stored
    assert client.get("/admin/").status_code == 302


def test_a_session_that_gets_a_new_key_leaves_the_old_one_behind(db):
    store = a_session()
    before = store.session_key
    store.cycle_key()
    assert stored_keys() == [stored_key(store.session_key)] != [stored_key(before)]
    assert SessionStore(store.session_key)["somebody"] == {"seen": [1, 2]}
    assert SessionStore(before).get("somebody") is None
    store["more"] = 1
    store.save()
    assert len(stored_keys()) == 1


def test_a_session_that_is_flushed_or_over_is_gone(db):
    store, kept = a_session(), a_session()
    store.flush()
    assert stored_keys() == [stored_key(kept.session_key)]
    assert kept.exists(kept.session_key)
    assert not kept.exists(stored_key(kept.session_key))
    Session.objects.update(expire_date=clock.now() - timedelta(seconds=1))
    late = SessionStore(kept.session_key)
    assert (late.get("somebody"), late.session_key) == (None, None)
    call_command("clearsessions")
    assert stored_keys() == []


def test_a_key_that_nobody_handed_out_is_not_taken_over(db):
    """Session fixation."""
    chosen = "a" * 32
    store = SessionStore(chosen)
    store["somebody"] = 1
    store.save()
    assert store.session_key != chosen
    assert not store.exists(chosen)


def test_asynchronous_code_would_find_the_same_sessions(db):
    """S06: no way to the table goes by the key itself."""
    store = SessionStore()

    async def use() -> tuple[bool, Any]:
        await store.aset("somebody", 1)
        await store.asave()
        again = SessionStore(store.session_key)
        return await store.aexists(store.session_key), await again.aget("somebody")

    assert async_to_sync(use)() == (True, 1)
    assert stored_keys() == [stored_key(store.session_key)]
    async_to_sync(store.adelete)()
    assert stored_keys() == []


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
