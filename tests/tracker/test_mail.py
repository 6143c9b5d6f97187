"""One setting says how e-mail leaves."""

from importlib.resources import files

import anymail.backends
import pytest
from django.core.mail import get_connection

from tracker import mail
from tracker.mail import MailSettings, UnknownProvider

# What a provider needs beside its one secret, as anymail calls it.
MORE = {
    "mailjet": {"MAILJET_API_KEY": "a", "MAILJET_SECRET_KEY": "b"},
    "postal": {"POSTAL_API_URL": "https://postal.example.com"},
    "scaleway": {"SCALEWAY_PROJECT_ID": "p"},
    "unisender_go": {"UNISENDER_GO_API_URL": "https://go.example.com"},
}
NO_PROVIDERS = {"__init__", *mail._NO_PROVIDERS}
PROVIDERS = sorted(
    {
        item.name.removesuffix(".py")
        for item in files(anymail.backends).iterdir()
        if item.name.endswith(".py")
    }
    - NO_PROVIDERS
)


def read(provider: str, **options: str) -> MailSettings:
    return mail.read(provider, api_key="the-key", options=options)


def test_the_console_is_a_backend_of_ours():
    assert read("console").backend == "accounts.console_mail.EmailBackend"


@pytest.mark.parametrize(
    ("url", "host", "port", "starttls", "tls"),
    [
        ("smtp://mail.example.com", "mail.example.com", 587, True, False),
        ("smtp://mail.example.com:2525", "mail.example.com", 2525, True, False),
        ("smtps://mail.example.com", "mail.example.com", 465, False, True),
        ("smtp://localhost:1025", "localhost", 1025, False, False),
        ("smtp://127.0.0.1:1025", "127.0.0.1", 1025, False, False),
        ("smtps://[::1]:465", "::1", 465, False, True),
    ],
)
def test_a_mail_server_is_named_by_a_url_and_spoken_to_in_the_clear_only_at_home(
    url, host, port, starttls, tls
):
    found = read(url)
    assert (found.host, found.port, found.starttls, found.tls) == (host, port, starttls, tls)
    assert found.backend == "django.core.mail.backends.smtp.EmailBackend"


def test_user_and_password_of_a_mail_server_may_hold_any_character():
    found = read("smtp://post%40example.com:p%2Fa$s%3Aword@mail.example.com")
    assert (found.user, found.password) == ("post@example.com", "p/a$s:word")


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_can_be_named_and_given_its_key(settings, name):
    """anymail itself says whether something is missing, when the connection is made."""
    found = read(name.upper(), **MORE.get(name, {}))
    settings.EMAIL_BACKEND, settings.ANYMAIL = found.backend, dict(found.anymail)
    made = get_connection()
    has_other_keys = name in ("amazon_ses", "mailjet")  # the first one uses the host's identity
    assert "the-key" in vars(made).values() or has_other_keys
    assert found.anymail["REQUESTS_TIMEOUT"] == 10


@pytest.mark.parametrize(
    "provider",
    [
        "pigeon", "base", "test", "os.path", "../x", "http://mail.example.com", "smtp://",
        "smtp://u:secret@mail.example.com:port", "smtp://[", " ",
    ],
)  # fmt: skip
def test_what_is_no_way_to_send_is_refused_without_repeating_it(provider):
    """S21"""
    with pytest.raises(UnknownProvider) as problem:
        read(provider)
    assert str(problem.value).startswith("EMAIL_PROVIDER is ")
    assert "secret" not in str(problem.value)
