"""S57: a POST that is sent again has one effect and one answer."""

import threading

import pytest
from django.db import connection

from accounts.models import IdempotencyRecord, User
from tests.conftest import PASSWORD
from tracker import tenancy

NEW = {"email": "new@example.com", "password": PASSWORD}
KEY = {"Idempotency-Key": "0f0e0d0c-once"}


@pytest.fixture
def api(client_of):
    return client_of()


def count_users() -> int:
    with tenancy.as_system("test"):
        return User.objects.filter(email=NEW["email"]).count()


def test_the_same_key_and_body_give_the_same_answer(api):
    """S57"""
    first = api.post("/auth/register", NEW, **KEY)
    second = api.post("/auth/register", NEW, **KEY)
    assert first.status_code == second.status_code == 202
    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert count_users() == 1


def test_another_body_under_the_same_key_is_refused(api):
    """S57"""
    api.post("/auth/register", NEW, **KEY)
    answer = api.post("/auth/register", NEW | {"base_currency": "EUR"}, **KEY)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_a_refused_request_can_be_corrected_under_its_key(api):
    refused = api.post("/auth/register", NEW | {"password": "short"}, **KEY)
    assert refused.status_code == 400
    assert api.post("/auth/register", NEW, **KEY).status_code == 202


def test_the_stored_answer_is_sealed(api):
    """S06"""
    body = api.post("/auth/register", NEW, **KEY).json()
    with tenancy.as_system("test"):
        sealed = bytes(IdempotencyRecord.objects.get().sealed_answer)
    assert body["message"].encode() not in sealed
    assert b"accepted" not in sealed


@pytest.mark.parametrize("key", ["short", "x" * 201, "with space inside"])
def test_malformed_keys_are_refused(api, key):
    answer = api.post("/auth/register", NEW, **{"Idempotency-Key": key})
    assert answer.status_code == 400


@pytest.mark.django_db(transaction=True)
def test_two_at_once_have_one_effect(client_of):
    """S57"""
    barrier, answers = threading.Barrier(4), []

    def post() -> None:
        barrier.wait()
        answers.append(client_of().post("/auth/register", NEW, **KEY))
        connection.close()

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = sorted(answer.status_code for answer in answers)
    assert codes.count(202) >= 1
    assert set(codes) <= {202, 409}
    assert count_users() == 1
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {
        "idempotency_in_progress"
    }
