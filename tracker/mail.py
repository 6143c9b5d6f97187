"""How e-mail leaves, read from one setting; free of Django, because settings call it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any
from urllib.parse import unquote, urlsplit

CONSOLE = "accounts.console_mail.EmailBackend"
SMTP = "django.core.mail.backends.smtp.EmailBackend"
_HERE = {"localhost", "127.0.0.1", "::1"}
# What each provider calls the one secret that it asks for; the others call it an API key.
_KEY_NAMES = {
    "mailersend": "API_TOKEN",
    "mailtrap": "API_TOKEN",
    "postmark": "SERVER_TOKEN",
    "scaleway": "SECRET_KEY",
}
# Deprecated by django-anymail stand here too: it gives no security fixes for them.
_NO_PROVIDERS = {"base", "base_requests", "console", "test", "sendgrid", "sendinblue"}


class UnknownProvider(ValueError):
    """The setting names no way to send e-mail; the text says so without repeating a secret."""


@dataclass(frozen=True, slots=True)
class MailSettings:
    """What Django and django-anymail call the parts."""

    backend: str = CONSOLE
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""
    starttls: bool = False
    tls: bool = False
    anymail: Mapping[str, Any] = field(default_factory=dict)


def read(provider: str, *, api_key: str, options: Mapping[str, Any]) -> MailSettings:
    """``console``, ``smtp://user:password@host:587``, ``smtps://…`` or a provider's name.

    ``smtp://`` begins in the clear and must change to TLS before anything is said, except to a
    server on this very machine. Raises UnknownProvider.
    """
    if provider == "console":
        return MailSettings()
    if "://" in provider:
        return _server(provider)
    return _provider(provider.lower(), api_key, options)


def _server(url: str) -> MailSettings:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UnknownProvider("EMAIL_PROVIDER is a URL that cannot be read.") from None
    if parts.scheme not in ("smtp", "smtps") or not host:
        raise UnknownProvider("EMAIL_PROVIDER is neither an smtp:// nor an smtps:// URL.")
    tls = parts.scheme == "smtps"
    return MailSettings(
        backend=SMTP, host=host, port=port or (465 if tls else 587),
        user=unquote(parts.username or ""), password=unquote(parts.password or ""),
        tls=tls, starttls=not tls and host not in _HERE,
    )  # fmt: skip


def _provider(name: str, api_key: str, options: Mapping[str, Any]) -> MailSettings:
    if not name.isidentifier() or name in _NO_PROVIDERS or not _is_known(name):
        raise UnknownProvider("EMAIL_PROVIDER is no provider that django-anymail knows.")
    found = {f"{name.upper()}_{_KEY_NAMES.get(name, 'API_KEY')}": api_key} if api_key else {}
    return MailSettings(
        backend=f"anymail.backends.{name}.EmailBackend",
        anymail={"REQUESTS_TIMEOUT": 10} | found | dict(options),
    )


def _is_known(name: str) -> bool:
    return find_spec(f"anymail.backends.{name}") is not None
