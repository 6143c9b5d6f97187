"""Who may hold a live connection, what their plan allows, and when it ends."""

import threading
import urllib.error
import urllib.request

import pytest
from websockets.exceptions import InvalidStatus

from accounts import passwords, sessions
from accounts.models import Session, User
from accounts.tokens import AccessToken, RefreshToken
from tests import factories
from tests.conftest import PASSWORD
from tests.portfolios.live import listening
from tests.portfolios.live.conftest import url_of
from tests.portfolios.live.listening import opened, sign_in, tick
from tracker import clock, tenancy


def refused(url: str, message: str) -> tuple[str, int | None]:
    """With which error and close code a first message is turned away."""
    listener = opened(url)
    listener.socket.send(message)
    error = listener.any()
    assert error["type"] == "error"
    return error["code"], listener.close_code()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('{"type": "authenticate", "token": "nonsense"}', "token_invalid"),
        ('{"type": "subscribe", "channel": "sync"}', "not_authenticated"),
        ("not json", "message_malformed"),
        ('{"type": "authenticate"}', "message_invalid"),
    ],
)
def test_a_first_message_that_is_no_token_of_ours_ends_the_connection(url, message, code):
    assert refused(url, message) == (code, 4401)


def test_a_refresh_token_is_no_access_token(url, alice):
    token = sign_in(alice).refresh
    assert RefreshToken.read(token)
    assert refused(url, f'{{"type": "authenticate", "token": "{token}"}}') == (
        "token_invalid",
        4401,
    )


def test_the_token_of_an_ended_session_is_refused(url, alice):
    signed_in = sign_in(alice)
    sessions.sign_out(token=signed_in.refresh, now=clock.now())
    message = f'{{"type": "authenticate", "token": "{signed_in.access}"}}'
    assert refused(url, message) == ("token_invalid", 4401)


def test_who_says_nothing_is_closed_after_ten_seconds(url):
    assert opened(url).close_code(seconds=14) == 4408


def test_other_paths_are_not_found_and_health_is_told(server, url):
    with pytest.raises(InvalidStatus) as answer:
        opened(url.replace("/ws/v1/stream", "/ws/v2/stream"))
    assert answer.value.response.status_code == 404
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/healthz", timeout=5) as health:
        assert health.status == 200


def test_a_full_process_turns_further_connections_away(url):
    held = [opened(url) for _ in range(40)]
    with pytest.raises(InvalidStatus) as answer:
        opened(url)
    assert answer.value.response.status_code == 503
    for listener in held:
        listener.socket.close()


@pytest.mark.parametrize("channel", ["prices", "portfolio"])
def test_the_free_plan_has_no_live_prices_and_is_told_what_it_has(listen, charlie, channel):
    listener = listen(charlie)
    listener.send("subscribe", channel=channel, id="a")
    error = listener.next("error")
    assert (error["code"], error["id"]) == ("live_prices_not_in_plan", "a")
    assert "GET /api/v1/prices" in error["message"]
    assert listener.subscribe("sync")["channel"] == "sync"


def test_more_assets_than_the_plan_allows_are_refused(listen, alice):
    from exchanges.models import Asset

    rows = [Asset(slug=f"c{number}", code=f"C{number}") for number in range(301)]
    Asset.objects.bulk_create(rows)
    ids = [str(row.id) for row in Asset.objects.filter(slug__startswith="c")[:301]]
    listener = listen(alice)
    listener.send("subscribe", channel="prices", assets=ids)
    assert listener.next("error")["code"] == "too_many_assets"
    assert len(listener.subscribe("prices", assets=ids[:300])["assets"]) == 300
    listener.send("subscribe", channel="prices", assets=ids[300:])
    assert listener.next("error")["code"] == "too_many_assets"


def test_a_person_has_no_more_connections_than_their_plan_allows(listen, url, alice, bob):
    held = [listen(alice) for _ in range(5)]
    token = sign_in(alice).access
    message = f'{{"type": "authenticate", "token": "{token}"}}'
    assert refused(url, message) == ("too_many_connections", 4429)
    listen(bob)
    held[0].socket.close()

    def comes_in() -> bool:
        listener = opened(url)
        listener.socket.send(message)
        return listener.any()["type"] == "authenticated"

    assert listening.eventually(comes_in, "a free place")


@pytest.mark.parametrize("how", ["signed out", "ended elsewhere", "password", "deactivated"])
def test_the_end_of_a_session_ends_its_connection_within_a_moment(listen, alice, how):
    signed_in, other = sign_in(alice), sign_in(alice)
    listener, stays = listen(alice, signed_in.access), listen(alice, other.access)
    now, session_id = clock.now(), AccessToken.read(signed_in.access).session_id
    if how == "signed out":
        sessions.sign_out(token=signed_in.refresh, now=now)
    elif how == "ended elsewhere":
        sessions.end_one(user_id=alice.id, session_id=session_id, now=now)
    elif how == "password":
        passwords.change(
            user=alice, session_id=AccessToken.read(other.access).session_id,
            current_password=PASSWORD, new_password="another horse battery staple", now=now,
        )  # fmt: skip
    else:
        with tenancy.as_user(alice.id):
            User.objects.filter(id=alice.id).update(is_active=False)
            theirs = Session.objects.filter(id=session_id)
            sessions.end(theirs, reason="deactivated", now=now)
    assert listener.close_code(seconds=5) == 4403
    if how != "deactivated":
        assert stays.subscribe("sync")


def test_a_session_that_ended_without_a_word_is_found_by_the_next_check(listen, alice):
    signed_in = sign_in(alice)
    listener = listen(alice, signed_in.access)
    with tenancy.as_user(alice.id):
        Session.objects.update(ended_at=clock.now())
    assert listener.close_code(seconds=20) == 4403


def test_a_connection_ends_with_its_token(listen, alice):
    signed_in = sign_in(alice)
    listener = listen(alice, listening.token_that_lives(signed_in, 2))
    assert listener.close_code(seconds=6) == 4407


def test_a_fresh_token_keeps_the_connection(listen, alice):
    signed_in = sign_in(alice)
    listener = listen(alice, listening.token_that_lives(signed_in, 2))
    listener.send("authenticate", token=signed_in.access, id="again")
    assert listener.next("authenticated")["id"] == "again"
    assert listener.hears_nothing("error", seconds=3)
    found = tick("BTC", 1)
    assert listener.subscribe("prices", assets=[str(found.asset_id)])


def test_a_token_of_somebody_else_is_refused_on_a_connection(listen, alice, bob):
    listener = listen(alice)
    listener.send("authenticate", token=sign_in(bob).access)
    assert listener.next("error")["code"] == "other_person"
    listener.send("authenticate", token="nonsense")
    assert listener.next("error")["code"] == "token_invalid"
    assert listener.subscribe("sync")


def test_a_plan_that_ends_takes_live_prices_away(listen, alice):
    found = tick("BTC", 1)
    listener = listen(alice)
    listener.subscribe("prices", assets=[str(found.asset_id)])
    factories.put_on_plan(alice, "free")
    assert listener.next("error", seconds=20)["code"] == "live_prices_not_in_plan"
    tick("BTC", 2)
    assert listener.hears_nothing("price")


def test_a_server_that_stops_says_so_to_everybody(own_server, listen, alice, bob):
    server, at = own_server, url_of(own_server)
    held = [listen(alice, at=at), listen(bob, at=at)]
    threading.Thread(target=server.stop).start()
    assert [listener.close_code() for listener in held] == [1001, 1001]
    assert server.process.wait(15) == 0
    assert "Traceback" not in server.output()
    assert "live.counts" in server.output()
