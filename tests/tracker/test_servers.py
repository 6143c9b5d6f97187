"""S56: in production nothing travels in the clear but to this machine and to hosts named so."""

import pytest

from tracker import servers

RULES = servers.Rules(production=True, private_hosts=["private.invalid"])
DEVELOPMENT = servers.Rules(production=False)


@pytest.mark.parametrize(
    ("url", "sslmode"),
    [
        ("postgresql://t:x@db.invalid/t", "require"),  # as managed PostgreSQL hands it out
        ("postgres://t:x@db.invalid:6543/t", "require"),
        ("postgresql://t:x@db.invalid/t?sslmode=require", "require"),
        ("postgresql://t:x@db.invalid/t?sslmode=verify-ca&sslrootcert=/x", "verify-ca"),
        ("postgresql://t:x@db.invalid/t?sslmode=verify-full", "verify-full"),
        ("postgresql://t:x@10.0.0.5/t", "require"),
        ("postgresql://t:x@127.0.0.1/t", None),
        ("postgresql://t:x@[::1]/t", None),
        ("postgresql://t:x@localhost/t", None),
        ("postgresql://t@/t?host=/run/postgresql", None),
        ("postgresql://t:x@private.invalid/t", None),
        ("postgresql://t:x@private.invalid/t?sslmode=disable", "disable"),
    ],
)
def test_a_database_elsewhere_is_spoken_to_encrypted(url, sslmode):
    found = servers.database("DATABASE_URL", url, RULES)
    assert (found.problems, found.settings["OPTIONS"].get("sslmode")) == ([], sslmode)


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "nonsense"])
@pytest.mark.parametrize("host", ["db.invalid", "localhost.db.invalid", "10.0.0.5"])
def test_a_database_elsewhere_that_may_be_unencrypted_is_refused(host, mode):
    found = servers.database(
        "DIRECT_DATABASE_URL", f"postgres://t:x@{host}/t?sslmode={mode}", RULES
    )
    (problem,) = found.problems
    assert problem.startswith(f"DIRECT_DATABASE_URL asks for sslmode {mode}, which may be")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "X is not set or cannot be read."),
        ("postgresql://host:port/x", "X is not set or cannot be read."),
        ("db.example.com/tracker", "X is not a PostgreSQL URL."),
        ("sqlite:///db.sqlite3", "X is not a PostgreSQL URL."),
    ],
)
def test_what_is_no_database_is_said(url, sentence):
    assert servers.database("X", url, RULES).problems == [sentence]


def test_development_may_speak_in_the_clear():
    url = "postgresql://t:x@db.invalid/t?sslmode=disable"
    assert servers.database("X", url, DEVELOPMENT).problems == []
    assert servers.redis("redis://cache.invalid", DEVELOPMENT) == ("redis://cache.invalid", [])


@pytest.mark.parametrize(
    ("url", "verify", "expected"),
    [
        ("rediss://:x@cache.invalid/0", True, "rediss://:x@cache.invalid/0"),
        ("rediss://:x@cache.invalid/0", False, "rediss://:x@cache.invalid/0?ssl_cert_reqs=none"),
        (
            "rediss://cache.invalid/0?ssl_cert_reqs=required",
            False,
            "rediss://cache.invalid/0?ssl_cert_reqs=required",
        ),
        ("redis://127.0.0.1:6379/0", False, "redis://127.0.0.1:6379/0"),
        ("redis://:pa$HOME@private.invalid:6379", True, "redis://:pa$HOME@private.invalid:6379"),
    ],
)
def test_redis_elsewhere_is_spoken_to_encrypted(url, verify, expected):
    assert servers.redis(url, RULES, verify=verify) == (expected, [])


@pytest.mark.parametrize("url", ["redis://:x@cache.invalid/0", "redis://10.0.0.5:6379"])
def test_redis_elsewhere_in_the_clear_is_refused(url):
    (problem,) = servers.redis(url, RULES)[1]
    assert problem.startswith("REDIS_URL is not encrypted: use rediss://")
    assert ":x@" not in problem


@pytest.mark.parametrize("url", ["", "https://cache.example.com", "unix:///run/redis.sock"])
def test_what_is_no_redis_is_said(url):
    """Celery takes no unix:// address."""
    assert servers.redis(url, RULES)[1] == ["REDIS_URL is not set or is not a redis:// URL."]
