"""The pages that links in e-mails open."""

import re

import pytest
from django.test import Client

from accounts import links, registration, tasks
from tests.conftest import PASSWORD
from tests.mail import find, newest_link, reread, token_for
from tracker import clock

NEW = "another horse battery staple"
PAGES = ["/confirm-email", "/confirm-new-email", "/reset-password"]


@pytest.fixture
def browser():
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def newcomer(db):
    registration.register(email="new@example.com", password=PASSWORD, now=clock.now())
    return find("new@example.com")


def opened(browser, purpose, user):
    """The page behind the newest link, by the address that stands in the e-mail."""
    address = links.url(newest_link(user, purpose))
    assert address.startswith("http://localhost:8000/")
    return browser.get(address.removeprefix("http://localhost:8000"))


def sent(browser, page, **fields):
    """Fill the page's form in and send it as a browser does."""
    text = page.content.decode()
    action = re.search(r'<form method="post" action="([^"]+)"', text).group(1)
    hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]+)"', text))
    return browser.post(action, hidden | fields)


def heading(page) -> str:
    return re.search(r"<h1>(.*?)</h1>", page.content.decode()).group(1)


def test_opening_a_confirmation_link_changes_nothing_and_the_button_does(browser, newcomer):
    """Mail scanners open every link."""
    for _ in range(3):
        page = opened(browser, "confirm_email", newcomer)
        assert (page.status_code, heading(page)) == (200, "Confirm your e-mail address")
        assert "new@example.com" in page.content.decode()
    assert reread(newcomer).email_confirmed_at is None
    done = sent(browser, page)
    assert (done.status_code, heading(done)) == (200, "Thank you")
    assert reread(newcomer).email_confirmed_at is not None


def test_a_confirmation_link_used_twice_says_that_all_is_well(browser, newcomer):
    page = opened(browser, "confirm_email", newcomer)
    sent(browser, page)
    for again in (sent(browser, page), opened(browser, "confirm_email", newcomer)):
        assert (again.status_code, heading(again)) == (410, "Already confirmed")


def test_a_new_address_is_confirmed_by_the_button(browser, client_of, alice):
    client_of(alice).post("/me/email", {"email": "alice.new@example.com"})
    page = opened(browser, "change_email", alice)
    assert "alice.new@example.com" in page.content.decode()
    assert reread(alice).email == "alice@example.com"
    assert heading(sent(browser, page)) == "Address changed"
    assert reread(alice).email == "alice.new@example.com"


def test_a_password_is_reset_on_the_page(browser, client_of, alice):
    tasks.mail_reset_link(user_id=str(alice.id))
    page = opened(browser, "reset_password", alice)
    assert heading(page) == "Set a new password"
    done = sent(browser, page, new_password=NEW, repeated=NEW)
    assert (done.status_code, heading(done)) == (200, "Password set")
    body = {"email": alice.email, "password": NEW}
    assert client_of().post("/auth/login", body).status_code == 200


@pytest.mark.parametrize(
    ("new", "repeated", "problem"),
    [("short", "short", "too short"), (NEW, f"{NEW}!", "differ"), ("", "", "too short"),
     ("alice@example.com", "alice@example.com", "similar")],
)  # fmt: skip
def test_a_refused_password_is_explained_and_the_link_still_works(
    browser, alice, new, repeated, problem
):
    """S01"""
    tasks.mail_reset_link(user_id=str(alice.id))
    page = opened(browser, "reset_password", alice)
    refused = sent(browser, page, new_password=new, repeated=repeated)
    assert refused.status_code == 400
    text = refused.content.decode()
    assert 'role="alert"' in text
    assert problem in text
    assert not new or f'value="{new}"' not in text.replace('value="alice@example.com" auto', "")
    assert heading(sent(browser, refused, new_password=NEW, repeated=NEW)) == "Password set"


@pytest.mark.parametrize("address", PAGES)
@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "%00", "%ff", "ü", "x" * 3000])
def test_forged_links_are_one_sentence_and_never_an_error_of_ours(browser, db, address, token):
    for answer in (
        browser.get(f"{address}?token={token}"),
        Client().post(address, {"token": token}),
    ):
        assert answer.status_code == 410
        assert "Please ask for a new one." in answer.content.decode()


@pytest.mark.parametrize("address", PAGES)
def test_other_methods_are_refused(browser, db, address):
    for method in ("put", "delete", "patch"):
        assert getattr(Client(), method)(address).status_code == 405


def test_a_form_from_elsewhere_does_nothing(browser, newcomer):
    """CSRF"""
    token = token_for(newcomer, "confirm_email")
    assert browser.post("/confirm-email", {"token": token}).status_code == 403
    assert reread(newcomer).email_confirmed_at is None


def test_the_token_leaves_by_no_way(browser, newcomer, capfd):
    """Not by a referrer, a cache, a log, nor anything that the page loads."""
    page = opened(browser, "confirm_email", newcomer)
    token = token_for(newcomer, "confirm_email")
    done = sent(browser, page)
    for answer in (page, done):
        assert answer.headers["Referrer-Policy"] == "strict-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "<script" not in answer.content.decode()
        loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.content.decode())
        assert loaded
        assert all(address.startswith("/") for address in loaded)
    assert token not in done.content.decode()
    assert token not in "".join(capfd.readouterr())


def test_the_style_sheet_is_served(browser, newcomer):
    page = opened(browser, "confirm_email", newcomer)
    (sheet,) = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page.content.decode())
    assert browser.get(sheet).status_code == 200


def test_guessing_links_is_slowed_down(db, settings):
    """S29"""
    settings.AUTH_SHIELD_RATES = ["3/m"]
    statuses = [Client().get("/reset-password?token=x").status_code for _ in range(4)]
    assert statuses == [410, 410, 410, 429]


def test_what_an_address_holds_is_shown_as_text(browser, db):
    """S20: an address may hold almost anything."""
    strange = '"<b>\'&"@example.com'
    registration.register(email=strange, password=PASSWORD, now=clock.now())
    page = opened(browser, "confirm_email", find(strange))
    assert "<b>" not in page.content.decode()
    assert "&lt;b&gt;" in page.content.decode()
