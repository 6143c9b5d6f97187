"""How PostgreSQL and Redis are reached: encrypted, pooled or not, how long a statement may run.

Pure: `tracker.settings` hands in what the environment says and reports the problems. A server on
this machine, or one whose host is named in ``PRIVATE_NETWORK_HOSTS``, may be spoken to in the
clear; every other one must be encrypted.
"""

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import environ

TRANSACTION = "transaction"
# What libpq calls encrypted. The last two also check who answers.
ENCRYPTED = ("require", "verify-ca", "verify-full")
_UNSET = {"ENGINE": "django.db.backends.postgresql", "NAME": "unset"}


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every server: in production, encryption but for these hosts."""

    production: bool
    private_hosts: Collection[str] = ()

    def in_the_clear(self, host: str) -> bool:
        """Whether a host may be spoken to without encryption."""
        return not self.production or is_local(host) or host in self.private_hosts


@dataclass(slots=True)
class Reached:
    """A server's settings, and a sentence for each thing that is wrong with them."""

    settings: dict[str, Any]
    problems: list[str] = field(default_factory=list)


def is_local(host: str) -> bool:
    """A socket in the file system, or this machine's own address."""
    if not host or host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def database(name: str, url: str, rules: Rules) -> Reached:
    """A database of Django's from the URL in the variable ``name``.

    An encrypted connection is asked for where the URL says nothing, because managed PostgreSQL
    hands out URLs that say nothing; a URL that says otherwise is a problem.
    """
    try:
        found: dict[str, Any] = dict(environ.Env.db_url_config(url)) if url else {}
    except (environ.ImproperlyConfigured, ValueError):
        url = ""
    if not url:
        return Reached(dict(_UNSET), [f"{name} is not set or cannot be read."])
    if "postgresql" not in found.get("ENGINE", ""):
        return Reached(dict(_UNSET), [f"{name} is not a PostgreSQL URL."])
    options = found.setdefault("OPTIONS", {})
    if rules.in_the_clear(str(options.get("host") or found.get("HOST") or "")):
        return Reached(found)
    if options.setdefault("sslmode", ENCRYPTED[0]) not in ENCRYPTED:
        sentence = f"{name} asks for sslmode {options['sslmode']}, which may be unencrypted: use "
        return Reached(found, [sentence + "require, or verify-full with sslrootcert."])
    return Reached(found)


def options(*, pooler: str, statement_timeout_ms: int) -> dict[str, Any]:
    """Options of a connection.

    A pooler in transaction mode takes no start-up options, and what one transaction sets for its
    session would hold for somebody else's: there the limit stands at the role (`migrate` sets it).
    """
    if pooler == TRANSACTION:
        return {"connect_timeout": 5}
    return {"connect_timeout": 5, "options": f"-c statement_timeout={statement_timeout_ms}"}


def redis(url: str, rules: Rules, *, verify: bool = True) -> tuple[str, list[str]]:
    """The URL of Redis as its clients take it, and what is wrong with it.

    ``verify`` off encrypts without asking who answers, which is all that a server with a
    certificate of its own making allows.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss"):
        return url, ["REDIS_URL is not set or is not a redis:// URL."]
    if parts.scheme == "redis" and not rules.in_the_clear(parts.hostname or ""):
        return url, ["REDIS_URL is not encrypted: use rediss://, or name its host in "
                     "PRIVATE_NETWORK_HOSTS if the way to it is your own."]  # fmt: skip
    if parts.scheme == "rediss" and not verify and "ssl_cert_reqs" not in parse_qs(parts.query):
        query = f"{parts.query}&ssl_cert_reqs=none".lstrip("&")
        return parts._replace(query=query).geturl(), []
    return url, []
