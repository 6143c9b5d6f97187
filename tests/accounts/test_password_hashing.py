"""S02: bcrypt, and hashed anew at the next sign-in when its cost was raised meanwhile."""

import pytest
from django.contrib.auth.hashers import make_password

from accounts.models import User
from tests.conftest import PASSWORD
from tracker import tenancy

WRONG = "wrong horse battery staple"


@pytest.fixture
def long_ago(alice, real_hashing):
    """Somebody whose password was hashed at a lower cost."""
    return alice


def store(user: User, hashed: str) -> None:
    with tenancy.as_user(user.id):
        User.objects.filter(id=user.id).update(password=hashed)


def stored(user: User) -> str:
    with tenancy.as_user(user.id):
        return User.objects.get(id=user.id).password


def sign_in(client_of, password: str) -> int:
    body = {"email": "alice@example.com", "password": password}
    return client_of().post("/auth/login", body).status_code


def test_signing_in_hashes_the_password_anew_at_the_present_cost(long_ago, client_of):
    assert stored(long_ago).startswith("bcrypt_sha256$$2b$04$")
    assert sign_in(client_of, PASSWORD) == 200
    after = stored(long_ago)
    assert after.startswith("bcrypt_sha256$$2b$12$")
    assert sign_in(client_of, PASSWORD) == 200
    assert stored(long_ago) == after
    assert sign_in(client_of, WRONG) == 401


def test_a_wrong_password_hashes_nothing_anew(long_ago, client_of):
    before = stored(long_ago)
    assert sign_in(client_of, WRONG) == 401
    assert stored(long_ago) == before


def test_long_passwords_are_not_cut_off(long_ago, client_of):
    """bcrypt itself looks at 72 bytes only."""
    store(long_ago, make_password("x" * 100 + "a"))
    assert sign_in(client_of, "x" * 100 + "b") == 401
    assert sign_in(client_of, "x" * 100 + "a") == 200
