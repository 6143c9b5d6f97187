"""S56: a bad environment stops the start, with one clear sentence for each fault.

Each case runs in a process of its own with nothing but its environment.
"""

import os
import secrets
import subprocess
import sys

import pytest
from django.conf import settings

from tests.deploy import files

SECRETS = ("SECRET_KEY", "JWT_SECRET_KEY", "JWT_REFRESH_SECRET_KEY")
PRODUCTION = {
    "ENVIRONMENT": "production",
    "ALLOWED_HOSTS": "api.example.com",
    "DATABASE_URL": "postgresql://tracker:x@db.invalid/tracker?sslmode=require",
    "REDIS_URL": "rediss://cache.invalid/0",
    "ENCRYPTION_KEY": secrets.token_hex(32),
    "CORS_ORIGINS": "https://app.example.com",
    "TRUSTED_PROXY_COUNT": "1",
    "PUBLIC_URL": "https://api.example.com",
    "EMAIL_PROVIDER": "smtps://mail.example.com",
    "EMAIL_FROM": "tracker@example.com",
    "PRIVATE_FILES": "s3://bucket/files",
    "BACKUPS": "s3://vault/backups",
    "OPERATOR_NAME": "Example Ltd",
    "OPERATOR_ADDRESS": "1 Example Street",
    "OPERATOR_EMAIL": "ops@example.com",
    "OPERATOR_COUNTRY": "Switzerland",
} | {name: secrets.token_hex(32) for name in SECRETS}
DEVELOPMENT = PRODUCTION | {"ENVIRONMENT": "development", "ALLOWED_HOSTS": "localhost"}
SAME = secrets.token_hex(32)
USED_ELSEWHERE = (
    "JWT_PREVIOUS_SECRET_KEYS and JWT_PREVIOUS_REFRESH_SECRET_KEYS hold a secret that is also used "
    "elsewhere."
)

# What is wrong, the environment, and the sentence. None means that the variable is not set.
BAD: dict[str, tuple[dict[str, str | None], str]] = {
    "METRICS_TOKEN short": (
        PRODUCTION | {"METRICS_TOKEN": "x" * 31},
        "METRICS_TOKEN is shorter than 32 characters.",
    ),
    **{f"{name} missing": (PRODUCTION | {name: None}, f"{name} is not set.") for name in SECRETS},
    **{f"{name} empty": (PRODUCTION | {name: "   "}, f"{name} is not set.") for name in SECRETS},
    **{
        f"{name} short": (PRODUCTION | {name: "x" * 31}, f"{name} is shorter than 32 characters.")
        for name in SECRETS
    },
    "two secrets equal": (
        PRODUCTION | {"JWT_SECRET_KEY": SAME, "JWT_REFRESH_SECRET_KEY": SAME},
        "SECRET_KEY, JWT_SECRET_KEY and JWT_REFRESH_SECRET_KEY must be three different secrets.",
    ),
    "a token key is Django's": (
        PRODUCTION | {"SECRET_KEY": SAME, "JWT_SECRET_KEY": SAME},
        "SECRET_KEY, JWT_SECRET_KEY and JWT_REFRESH_SECRET_KEY must be three different secrets.",
    ),
    "a previous key short": (
        PRODUCTION | {"JWT_PREVIOUS_SECRET_KEYS": f"{secrets.token_hex(32)},short"},
        "JWT_PREVIOUS_SECRET_KEYS holds a secret shorter than 32 characters.",
    ),
    "a previous refresh key short": (
        PRODUCTION | {"JWT_PREVIOUS_REFRESH_SECRET_KEYS": "x" * 31},
        "JWT_PREVIOUS_REFRESH_SECRET_KEYS holds a secret shorter than 32 characters.",
    ),
    "a previous key is the current one": (
        PRODUCTION | {"JWT_SECRET_KEY": SAME, "JWT_PREVIOUS_SECRET_KEYS": SAME},
        USED_ELSEWHERE,
    ),
    "a previous key of both kinds": (
        PRODUCTION | {"JWT_PREVIOUS_SECRET_KEYS": SAME, "JWT_PREVIOUS_REFRESH_SECRET_KEYS": SAME},
        USED_ELSEWHERE,
    ),
    "no way to send e-mail": (
        PRODUCTION | {"EMAIL_PROVIDER": None},
        "EMAIL_PROVIDER is not set: smtp://…, smtps://… or a provider's name.",
    ),
    "e-mail to the console in production": (
        PRODUCTION | {"EMAIL_PROVIDER": "console"},
        "EMAIL_PROVIDER is 'console', which prints links that sign people in.",
    ),
    "an unknown provider of e-mail": (
        PRODUCTION | {"EMAIL_PROVIDER": "pigeon"},
        "EMAIL_PROVIDER is no provider that django-anymail knows.",
    ),
    "a mail server by another protocol": (
        PRODUCTION | {"EMAIL_PROVIDER": "http://user:secret@mail.example.com"},
        "EMAIL_PROVIDER is neither an smtp:// nor an smtps:// URL.",
    ),
    "no sender": (PRODUCTION | {"EMAIL_FROM": None}, "EMAIL_FROM is not set."),
    "EMAIL_WEBHOOK_SECRET that is too short": (
        PRODUCTION | {"EMAIL_PROVIDER": "postmark", "EMAIL_WEBHOOK_SECRET": "user:short"},
        "EMAIL_WEBHOOK_SECRET is not user:password with 16 characters or more.",
    ),
    "EMAIL_WEBHOOK_SECRET without a provider": (
        PRODUCTION | {"EMAIL_WEBHOOK_SECRET": "user:long-enough-password"},
        "EMAIL_WEBHOOK_SECRET is set, but EMAIL_PROVIDER is no provider.",
    ),
    "EMAIL_OPTIONS not JSON": (
        PRODUCTION | {"EMAIL_OPTIONS": "{"},
        "EMAIL_OPTIONS is not a JSON object.",
    ),
    "ENCRYPTION_KEY missing": (
        PRODUCTION | {"ENCRYPTION_KEY": None},
        "ENCRYPTION_KEY holds no key.",
    ),
    "ENCRYPTION_KEY short": (
        PRODUCTION | {"ENCRYPTION_KEY": "ab" * 31},
        "key 1 of ENCRYPTION_KEY is not 32 bytes in hex or base64.",
    ),
    "second ENCRYPTION_KEY bad": (
        PRODUCTION | {"ENCRYPTION_KEY": f"{secrets.token_hex(32)},nonsense"},
        "key 2 of ENCRYPTION_KEY is not 32 bytes in hex or base64.",
    ),
    "ENCRYPTION_KEY weak": (
        PRODUCTION | {"ENCRYPTION_KEY": "00" * 32},
        "key 1 of ENCRYPTION_KEY is not random.",
    ),
    "DATABASE_URL missing": (
        PRODUCTION | {"DATABASE_URL": None},
        "DATABASE_URL is not set or cannot be read.",
    ),
    "DATABASE_URL garbage": (
        PRODUCTION | {"DATABASE_URL": "postgresql://host:port/x"},
        "DATABASE_URL is not set or cannot be read.",
    ),
    "DATABASE_URL without scheme": (
        PRODUCTION | {"DATABASE_URL": "db.example.com/tracker"},
        "DATABASE_URL is not a PostgreSQL URL.",
    ),
    "DATABASE_URL of another database": (
        PRODUCTION | {"DATABASE_URL": "sqlite:///db.sqlite3"},
        "DATABASE_URL is not a PostgreSQL URL.",
    ),
    "DATABASE_URL that may be unencrypted": (
        PRODUCTION | {"DATABASE_URL": "postgresql://t:x@db.invalid/t?sslmode=prefer"},
        "DATABASE_URL asks for sslmode prefer, which may be unencrypted: use require, or "
        "verify-full with sslrootcert.",
    ),
    "DATABASE_POOLER nonsense": (
        PRODUCTION | {"DATABASE_POOLER": "session"},
        "DATABASE_POOLER is neither 'none' nor 'transaction'.",
    ),
    "a pooler and no way past it": (
        PRODUCTION | {"DATABASE_POOLER": "transaction"},
        "DATABASE_POOLER is 'transaction' without DIRECT_DATABASE_URL, which leads migrations and "
        "backups past it.",
    ),
    "REDIS_URL unencrypted": (
        PRODUCTION | {"REDIS_URL": "redis://:x@cache.invalid/0"},
        "REDIS_URL is not encrypted: use rediss://, or name its host in PRIVATE_NETWORK_HOSTS if "
        "the way to it is your own.",
    ),
    "LIVE_URL not encrypted": (
        PRODUCTION | {"LIVE_URL": "ws://live.example.com"},
        "LIVE_URL is not a wss:// address without a path.",
    ),
    "LIVE_URL with a path": (
        PRODUCTION | {"LIVE_URL": "wss://live.example.com/ws/v1/stream"},
        "LIVE_URL is not a wss:// address without a path.",
    ),
    "REDIS_URL missing": (
        PRODUCTION | {"REDIS_URL": None},
        "REDIS_URL is not set or is not a redis:// URL.",
    ),
    "REDIS_URL of another scheme": (
        PRODUCTION | {"REDIS_URL": "https://cache.example.com"},
        "REDIS_URL is not set or is not a redis:// URL.",
    ),
    "ENVIRONMENT nonsense": (
        PRODUCTION | {"ENVIRONMENT": "staging"},
        "ENVIRONMENT is neither 'development' nor 'production'.",
    ),
    "a public host while debugging": (
        DEVELOPMENT | {"ALLOWED_HOSTS": "localhost,api.example.com"},
        "ALLOWED_HOSTS names a public host while ENVIRONMENT is 'development', which turns "
        "debugging on. Set ENVIRONMENT to 'production'.",
    ),
    "every host while debugging": (
        DEVELOPMENT | {"ALLOWED_HOSTS": "*"},
        "ALLOWED_HOSTS names a public host while ENVIRONMENT is 'development', which turns "
        "debugging on. Set ENVIRONMENT to 'production'.",
    ),
    "no public host in production": (
        PRODUCTION | {"ALLOWED_HOSTS": "localhost"},
        "ALLOWED_HOSTS names no public host.",
    ),
    "every host in production": (
        PRODUCTION | {"ALLOWED_HOSTS": "*"},
        "ALLOWED_HOSTS allows every host; name yours.",
    ),
    "CORS for everybody": (
        PRODUCTION | {"CORS_ORIGINS": "*"},
        "CORS_ORIGINS holds '*', which is not an exact origin.",
    ),
    "CORS for every subdomain": (
        PRODUCTION | {"CORS_ORIGINS": "https://*.example.com"},
        "CORS_ORIGINS holds 'https://*.example.com', which is not an exact origin.",
    ),
    "CORS with a path": (
        PRODUCTION | {"CORS_ORIGINS": "https://app.example.com,https://b.example.com/app"},
        "CORS_ORIGINS holds 'https://b.example.com/app', which is not an exact origin.",
    ),
    "EXCHANGE_BASE_URLS no JSON": (
        PRODUCTION | {"EXCHANGE_BASE_URLS": "binance=http://x"},
        "EXCHANGE_BASE_URLS is not a JSON object.",
    ),
    "EXCHANGE_BASE_URLS a list": (
        PRODUCTION | {"EXCHANGE_BASE_URLS": "[]"},
        "EXCHANGE_BASE_URLS is not a JSON object.",
    ),
    "TRUSTED_PROXY_COUNT a word": (
        PRODUCTION | {"TRUSTED_PROXY_COUNT": "one"},
        "TRUSTED_PROXY_COUNT is not a whole number.",
    ),
    "STATEMENT_TIMEOUT_MS a word": (
        PRODUCTION | {"STATEMENT_TIMEOUT_MS": "30s"},
        "STATEMENT_TIMEOUT_MS is not a whole number.",
    ),
    **{
        f"{name} missing": (PRODUCTION | {name: None}, f"{name} is not set.")
        for name in PRODUCTION
        if name.startswith("OPERATOR_")
    },
    "BURST_LIMITS a word": (
        PRODUCTION | {"BURST_LIMITS": "perhaps"},
        "BURST_LIMITS is neither 'on' nor 'off'.",
    ),
}


def run(environment: dict[str, str | None], *command: str) -> "subprocess.CompletedProcess[str]":
    given = {name: value for name, value in environment.items() if value is not None}
    return subprocess.run(
        [sys.executable, *command],
        env={"PATH": os.environ["PATH"]} | given,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("what", BAD)
def test_each_bad_setting_stops_the_start_with_its_one_sentence(what):
    """S56: and the sentence repeats no secret."""
    environment, sentence = BAD[what]
    result = run(environment, "manage.py", "check")
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    complaints = [line for line in result.stderr.splitlines() if line.startswith("?: ")]
    assert [line.partition(") ")[2] for line in complaints] == [sentence]
    for name in (*SECRETS, "ENCRYPTION_KEY", "JWT_PREVIOUS_SECRET_KEYS"):
        value = (environment.get(name) or "").strip()
        assert not value or value not in result.stderr + result.stdout


def test_several_faults_are_told_at_once():
    """S56"""
    result = run({"ENVIRONMENT": "production"}, "manage.py", "check")
    for sentence in (
        "SECRET_KEY is not set.",
        "DATABASE_URL is not set or cannot be read.",
        "REDIS_URL is not set or is not a redis:// URL.",
        "ENCRYPTION_KEY holds no key.",
        "ALLOWED_HOSTS names no public host.",
    ):
        assert sentence in result.stderr


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"SECRET_KEY": "x"}, "SECRET_KEY is shorter than 32 characters."),
        ({"ENCRYPTION_KEY": "x"}, "key 1 of ENCRYPTION_KEY is not 32 bytes in hex or base64."),
        ({"ENVIRONMENT": "x"}, "ENVIRONMENT is neither 'development' nor 'production'."),
    ],
)
def test_the_web_server_refuses_to_start_too(changes, sentence):
    """S56: gunicorn imports tracker.wsgi and runs no command of ours."""
    result = run(PRODUCTION | changes, "-c", "import tracker.wsgi")
    assert result.returncode != 0
    assert result.stderr.strip().endswith(sentence)


def test_good_settings_start():
    for environment in (PRODUCTION, DEVELOPMENT):
        result = run(environment, "-c", "import tracker.wsgi")
        assert result.returncode == 0, result.stderr


def test_a_line_of_the_template_that_is_left_empty_means_the_default():
    """Everything that production does not need, empty: it starts, and gunicorn's file is read."""
    empty = dict.fromkeys(files.template() - PRODUCTION.keys(), "")
    for program in ("tracker.wsgi", "tracker.gunicorn"):
        result = run(PRODUCTION | empty, "-c", f"import {program}")
        assert result.returncode == 0, result.stderr
    shown = "s.EXPO_URL, s.PRICE_EXCHANGES, s.TERMS_VERSION, s.AUTH_SHIELD_RATES"
    assert _shown(PRODUCTION | empty, shown) == _shown(PRODUCTION, shown)


def _shown(environment: dict[str, str | None], expression: str) -> str:
    show = (
        f"import django; django.setup(); from django.conf import settings as s; print({expression})"
    )
    result = run(environment | {"DJANGO_SETTINGS_MODULE": "tracker.settings"}, "-c", show)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize(
    ("changes", "options", "limit"),
    [
        ({"PROCESS_KIND": "web"}, "-c statement_timeout=15000", "15000"),
        (
            {"DATABASE_POOLER": "transaction", "DIRECT_DATABASE_URL": "postgres://t@db.invalid/t"},
            "None",
            "30000",
        ),
    ],
)
def test_each_kind_of_process_limits_its_statements(changes, options, limit):
    """Behind a pooler in transaction mode no start-up option does it."""
    expression = "s.DATABASES['default']['OPTIONS'].get('options'), s.STATEMENT_TIMEOUT_MS"
    assert _shown(PRODUCTION | changes, expression) == f"{options} {limit}"


def test_production_settings_pass_the_deployment_check():
    """S50"""
    result = run(PRODUCTION, "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert result.returncode == 0, result.stderr
    assert "no issues" in result.stdout


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"BURST_LIMITS": "off"}, "BURST_LIMITS is off: anyone may call without limit."),
        (
            {"EXCHANGE_BASE_URLS": '{"binance": "http://x"}'},
            "EXCHANGE_BASE_URLS sends exchange traffic elsewhere.",
        ),
        ({"PRIVATE_FILES": None}, "PRIVATE_FILES is not set"),
        ({"BACKUPS": None}, "BACKUPS is not set"),
    ],
)
def test_the_deployment_check_warns_of_what_only_suits_development(changes, sentence):
    result = run(PRODUCTION | changes, "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert result.returncode != 0
    assert sentence in result.stderr


AWKWARD = "$HOME-$SECRET_KEY-${PATH}-$$-#-'-\"-%s-" + "x" * 20


def test_a_dollar_sign_inside_a_secret_survives():
    """S56: no library expands it."""
    environment = PRODUCTION | {
        "SECRET_KEY": AWKWARD + "1",
        "JWT_SECRET_KEY": "$" + AWKWARD,
        "JWT_REFRESH_SECRET_KEY": AWKWARD + "$",
    }
    show = (
        "import django; django.setup(); from django.conf import settings as s;"
        "print(s.SECRET_KEY, s.JWT_SECRET_KEY, s.JWT_REFRESH_SECRET_KEY, sep='\\n')"
    )
    environment["DJANGO_SETTINGS_MODULE"] = "tracker.settings"
    result = run(environment, "-c", show)
    assert result.stdout.splitlines() == [environment[name] for name in SECRETS]


def test_a_dollar_sign_in_the_passwords_of_the_servers_survives():
    """S56: %24 in the URL is a dollar sign in the password."""
    environment = PRODUCTION | {
        "DATABASE_URL": "postgresql://tracker:pa%24HOME@db.invalid/tracker",
        "REDIS_URL": "rediss://:pa$HOME@cache.invalid/0",
        "DJANGO_SETTINGS_MODULE": "tracker.settings",
    }
    show = (
        "import django; django.setup(); from django.conf import settings as s;"
        "print(s.DATABASES['default']['PASSWORD'], s.REDIS_URL)"
    )
    result = run(environment, "-c", show)
    assert result.stdout.split() == ["pa$HOME", "rediss://:pa$HOME@cache.invalid/0"]
