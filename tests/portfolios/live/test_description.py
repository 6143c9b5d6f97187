"""The AsyncAPI description is what is spoken: no message more, none less."""

import json

import pytest
from jsonschema import Draft202012Validator

from portfolios.live import asyncapi, messages
from portfolios.live.messages import Refused
from tests.portfolios.live import listening
from tests.portfolios.live.listening import holding, tick
from tests.portfolios.live.test_notices import price_alert
from tracker import ids, live

DOCUMENT = asyncapi.document(url="wss://api.example.com")
EXAMPLES = {
    "authenticate": {"type": "authenticate", "token": "x"},
    "subscribe": {"type": "subscribe", "channel": "prices", "assets": "own"},
    "unsubscribe": {"type": "unsubscribe", "channel": "sync"},
}


def test_every_message_is_described_with_a_valid_schema():
    described = DOCUMENT["components"]["messages"]
    assert set(described) == {*messages.FROM_APP, *messages.FROM_SERVER}
    for message in described.values():
        Draft202012Validator.check_schema(message["payload"])
        assert message["payload"]["additionalProperties"] is False
    assert DOCUMENT["servers"]["live"] == {"host": "api.example.com", "protocol": "wss"}
    assert DOCUMENT["channels"]["stream"]["address"] == "/ws/v1/stream"


def test_every_reference_leads_somewhere():
    def follow(reference: str):
        found = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        return found

    def references(node):
        if isinstance(node, dict):
            yield from [node["$ref"]] if "$ref" in node else ()
            node = list(node.values())
        for item in node if isinstance(node, list) else ():
            yield from references(item)

    found = list(references(DOCUMENT))
    assert len(found) > 10
    assert all(follow(reference) for reference in found)


@pytest.mark.parametrize("kind", list(messages.FROM_APP))
def test_what_the_description_allows_is_read_and_what_it_does_not_is_refused(kind):
    example = EXAMPLES[kind]
    listening.DESCRIBED[kind].validate(example)
    assert messages.read(json.dumps(example)) == example
    required = DOCUMENT["components"]["messages"][kind]["payload"]["required"]
    for broken in [
        example | {"unknown": 1},
        *({k: v for k, v in example.items() if k != name} for name in required if name != "type"),
    ]:
        assert not listening.DESCRIBED[kind].is_valid(broken)
        with pytest.raises(Refused):
            messages.read(json.dumps(broken))


def test_errors_and_close_codes_stand_in_the_description():
    text = DOCUMENT["info"]["description"]
    assert all(f"`{code}`" in text for code in [*messages.ERRORS, *messages.CLOSE_CODES])


def test_the_server_says_each_message_of_the_description_and_no_other(listen, alice):
    """Each is checked against its schema as it arrives."""
    holding(alice, "BTC", 1)
    tick("BTC", 1)
    listener, seen = listen(alice), {"authenticated"}
    for channel in ("prices", "portfolio", "sync", "notices", "jobs"):
        listener.send("subscribe", channel=channel)
    listener.send("unsubscribe", channel="portfolio")
    listener.send("nonsense")
    while seen != set(messages.FROM_SERVER):
        if "subscribed" in seen:  # what nobody waits for any more would only pile up
            _have_told(alice, set(messages.FROM_SERVER) - seen)
        seen.add(listener.any(seconds=25)["type"])
        assert seen <= set(messages.FROM_SERVER)


def _have_told(user, kinds):
    if "sync" in kinds:
        told = {"connection": ids.new_id(), "state": "running"}
        live.publish(user_id=user.id, topic=live.SYNC, payload=told)
    if "job" in kinds:
        told = {"kind": "export", "id": ids.new_id(), "state": "running", "done": 1, "total": 2}
        live.publish(user_id=user.id, topic=live.JOB, payload=told)
    if "notice" in kinds:
        price_alert(user)


@pytest.mark.parametrize("debug", [True, False])
def test_it_is_served_to_anybody_beside_the_description_of_the_api(client, settings, debug):
    settings.DEBUG, settings.LIVE_URL = debug, "wss://live.example.com"
    answer = client.get("/api/live-schema")
    assert answer.status_code == 200
    assert answer.json() == asyncapi.document(url="wss://live.example.com")


def test_the_page_to_try_it_is_there_only_when_switched_on(client, settings):
    settings.LIVE_PAGE = False
    assert client.get("/live").status_code == 404
    settings.LIVE_PAGE, settings.LIVE_URL = True, "wss://live.example.com"
    page = client.get("/live")
    assert page.status_code == 200
    policy = page["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "connect-src 'self' wss://live.example.com;" in policy
    assert "unsafe" not in policy
    assert 'data-stream="wss://live.example.com/ws/v1/stream"' in page.content.decode()
    assert client.get("/static/public/live.js").status_code == 200
