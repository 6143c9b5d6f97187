"""S31: too much, too deep or absurd is refused with a reason; nothing of it is ever a 500."""

import json
from base64 import b64encode
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.conf import settings as project
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import factories
from tests.api_client import ApiClient
from tests.tracker.routes import Route, every_route

ERROR = {"code", "message", "details", "request_id"}
FIT = project.DATA_UPLOAD_MAX_MEMORY_SIZE


@pytest.fixture(autouse=True)
def no_limits(settings):
    settings.BURST_LIMITS_ENABLED = False
    settings.RATELIMIT_ENABLE = False


@pytest.fixture
def alice(db):
    user = factories.person("alice@example.com")
    factories.something_everywhere(user)
    return user


# --- bodies -------------------------------------------------------------------------------------
def of_size(size: int) -> str:
    frame = len('{"label": ""}')
    return '{"label": "' + "x" * (size - frame) + '"}'


def with_bodies() -> list[Route]:
    return [route for route in every_route() if "requestBody" in route.operation]


@pytest.mark.parametrize("route", with_bodies(), ids=str)
@pytest.mark.parametrize("size", [FIT + 1, 4 * FIT, 20 * FIT])
def test_a_body_beyond_the_cap_is_refused_before_it_is_read(alice, route, size):
    """S31"""
    path = route.path.replace("{id}", str(alice.connections.model().id))
    answer = ApiClient(alice).call(route.method, path, of_size(size))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert set(answer.json()) == ERROR


def test_a_body_at_the_cap_is_read(alice):
    answer = ApiClient(alice).patch("/me", of_size(FIT))
    assert answer.json()["details"]["fields"][0] == {
        "field": "label", "code": "unknown_field", "message": "This field is not known here.",
    }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        '{"label": ' + "[" * 33 + "]" * 33 + "}",
        '{"label": ' + '{"a":' * 33 + "1" + "}" * 34,
        '{"label": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "[" * 100_000,
        '{"a":' * 40_000,
    ],
    ids=["lists", "objects", "very deep", "deep and open", "objects, deep and open"],
)
def test_json_that_is_nested_too_deeply_is_a_400(alice, body):
    """S31"""
    answer = ApiClient(alice).patch("/me", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "parse_error")


ABSURD_JSON = [
    "", " ", "null", "true", "1", '"x"', "[]", "{]", "{'a': 1}", '{"a": 1,}', '{"a": Infinity}',
    '{"a": -NaN}', '{"a": 1e999999999}', '{"a": 1e9999999999999999999}',
    '{"a": ' + "9" * 5000 + "}", '{"a": 1.' + "9" * 9999 + "}",
    '{"label": "\\ud800"}', '{"\\ud800": 1}', '{"label": "\\u0000"}', '{"": ""}', '{"a": "\x01"}',
    '{"label": {"a": 1}}', '{"label": [1]}', '{"label": 1e400}', '{"label": true}',
    '{"label": null}',
    '{"base_currency": ["USD"]}', '{"time_zone": 1}', '{"time_zone": "../etc/passwd"}',
    '{"paused": "perhaps"}', '{"paused": 1e99}', '{"api_key": {}, "api_secret": []}',
    '{"exchange": 1}', '{"exchange": "\\u202e"}', '{"email": {"a": 1}, "password": []}',
    '{"refresh": null}', '{"refresh": "' + "a." * 3000 + '"}', '{"refresh": "a.b.c"}',
    b"\xff", b"\xef\xbb\xbf{}", b"\x00", "{}".encode("utf-16"),
]  # fmt: skip


@pytest.mark.parametrize("route", with_bodies(), ids=str)
def test_no_body_is_ever_a_500(alice, route):
    """S31: each absurd document to each route that reads one, with and without a key."""
    with_key = {"Idempotency-Key": "0f0e0d0c-absurd"}
    path = route.path.replace("{id}", str(alice.connections.model().id))
    api = ApiClient(alice)
    for body in ABSURD_JSON:
        for headers in ({}, with_key):
            answer = api.call(route.method, path, body, **headers)
            assert answer.status_code < 500, (body, answer.content)
            if answer.status_code != 200:  # an empty PATCH changes nothing
                assert set(answer.json()) == ERROR, body


@pytest.mark.parametrize(
    ("kind", "status"),
    [("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("multipart/form-data", 415),
     ("application/json; charset=latin-1", 200), ("nonsense", 415), ("", 415)],
)  # fmt: skip
def test_only_json_is_read(alice, kind, status):
    api = ApiClient(alice)
    answer = api.django.generic(
        "PATCH", "/api/v1/me", b'{"base_currency": "CHF"}', content_type=kind, headers=api.headers
    )
    assert answer.status_code == status
    if status != 200:
        assert set(answer.json()) == ERROR


# --- pages --------------------------------------------------------------------------------------
def paged() -> list[Route]:
    return [route for route in every_route() if "page_size" in route.parameters("query")]


def test_there_are_paged_lists():
    assert len(paged()) >= 5


@pytest.mark.parametrize("size", ["501", "100000", "9" * 30])
def test_a_page_is_never_larger_than_the_cap(alice, size):
    """S31"""
    connected = alice.connections.model(id=_connection_of(alice))
    numbers = range(1000, 1000 + project.MAX_PAGE_SIZE + 5)
    _insert([factories.trade(alice, connected, number) for number in numbers], alice)
    page = ApiClient(alice).get(f"/trades?page_size={size}").json()
    assert len(page["results"]) == project.MAX_PAGE_SIZE
    assert page["next"]


@pytest.mark.parametrize("size", ["0", "-1", "x", "1.5", "", "%00", "١"])
def test_a_page_size_that_is_none_gives_the_usual_page(alice, size):
    answer = ApiClient(alice).get(f"/trades?page_size={size}")
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == 1


def _connection_of(user: Any) -> Any:
    return ApiClient(user).get("/connections").json()["results"][0]["id"]


def _insert(rows: list[Any], user: Any) -> None:
    from tracker import bulk, tenancy

    with tenancy.as_user(user.id):
        bulk.insert_new(rows)


# --- query parameters ---------------------------------------------------------------------------
def cursor(text: str) -> str:
    return b64encode(text.encode()).decode()


ABSURD = [
    "", " ", "\x00", "a\x00b", "9" * 400, "-" + "9" * 40, "1e309", "NaN", "Infinity", "null",
    "not-a-uuid", "00000000-0000-0000-0000-000000000000", "{}", "[]", "'; DROP TABLE users; --",
    "2026-13-45", "0000-00-00T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "99999-01-01T00:00:00Z", "2026-01-01",
    "2026-01-01T00:00:00", "2026-01-01T00:00:00+99:99", "١٢٣", "\u202e", "💰" * 200, "%", "%00",
    "a,b,,c," * 300, "../../etc/passwd", "true", "🇨🇭", "\r\nSet-Cookie: a=b", "x" * 5000,
]  # fmt: skip
ABSURD_CURSORS = [
    "x", "====", "é", cursor("p=garbage"), cursor("p="), cursor("p=\x00"), cursor("p=2026"),
    cursor("p=not-a-uuid"), cursor("p=9999-12-31T23:59:59-23:59"), cursor("o=-1"), cursor("o=x"),
    cursor("o=" + "9" * 50), cursor("r=x"), cursor("r=" + "9" * 5000), cursor("r=1"),
    cursor("p=2026-01-01T00:00:00Z&r=1&o=5"), cursor("p=0001-01-01T00:00:00%2B23:59"),
    cursor("p=01890a5d-ac96-774b-bcce-b302099a8057"), cursor("p=" + "9" * 9999), cursor("p=%F0"),
]  # fmt: skip


def reads() -> list[Route]:
    return [route for route in every_route() if route.method == "GET"]


def test_every_read_is_known_here():
    """So that a list without parameters in the schema does not slip through below."""
    assert len(reads()) >= 12


@pytest.mark.parametrize("route", reads(), ids=str)
def test_no_query_is_ever_a_500(alice, route):
    """S31: each parameter of each read, and one that it does not know, with each absurd value."""
    api = ApiClient(alice)
    path = route.path.replace("{id}", str(_connection_of(alice)))
    for name in {*route.parameters("query"), "unknown", "cursor", "page_size"}:
        for value in ABSURD + ABSURD_CURSORS * (name == "cursor"):
            answer = api.get(f"{path}?{urlencode({name: value})}")
            assert answer.status_code in (200, 400, 404), (name, value[:60], answer.content[:300])
            if answer.status_code != 200:
                assert set(answer.json()) == ERROR, (name, value)


@pytest.mark.parametrize("route", reads(), ids=str)
def test_a_query_that_is_no_text_is_never_a_500(alice, route):
    """S31: bytes that are not UTF-8, repeated names, names without a value."""
    api = ApiClient(alice)
    path = route.path.replace("{id}", str(_connection_of(alice)))
    for query in ("%ff", "assets=%ff%fe", "cursor=%ff", "=", "&&&", "a&a&a", "from=%ff",
                  "page_size=1&page_size=2", "code=%ed%a0%80", "connection=%C3%28"):  # fmt: skip
        answer = api.get(f"{path}?{query}")
        assert answer.status_code in (200, 400, 404), (query, answer.content[:300])


@settings(
    max_examples=150, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(data=st.data())
def test_no_generated_query_is_a_500(alice, data):
    """S31"""
    route = data.draw(st.sampled_from(reads()))
    names = [*route.parameters("query"), "cursor"]
    values = st.one_of(
        st.text(alphabet=st.characters(codec="utf-8"), max_size=60),
        st.integers().map(str),
        st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
        st.uuids().map(str),
        st.text(alphabet="por=&%0123456789-:TZ", max_size=40).map(cursor),
    )
    query = data.draw(st.dictionaries(st.sampled_from(names), values, max_size=4))
    path = route.path.replace("{id}", str(_connection_of(alice)))
    answer = ApiClient(alice).get(f"{path}?{urlencode(query)}")
    assert answer.status_code in (200, 400, 404)


# --- addresses ----------------------------------------------------------------------------------
# What a route needs before it looks at the address.
BODIES = {
    "/api/v1/reconciliation/{id}/repair": {"action": "fetch_window"},
    "/api/v1/transfers/{id}/note": {"meaning": "lost"},
    "/api/v1/strategies/{id}/watch": {"interval": "1d"},
    "/api/v1/support/requests/{id}/messages": {"text": "How?"},
    "/api/v1/support/requests/{id}/rating": {"rating": 5},
}


@pytest.mark.parametrize(
    "segment",
    ["x", "0", "-1", "\x00", "%00", "not-a-uuid", "00000000-0000-0000-0000-000000000000", "..",
     "9" * 3000, "é", "01890A5D-AC96-774B-BCCE-B302099A8057", "{id}", "'"],
)  # fmt: skip
def test_an_address_with_an_absurd_id_is_a_404(alice, segment):
    """S31"""
    api = ApiClient(alice)
    for route in every_route():
        if route.has_id:
            path = route.path.replace("{id}", quote(segment, safe=""))
            body = None if route.method == "GET" else BODIES.get(route.path, {})
            answer = api.call(route.method, path, body)
            assert answer.status_code == 404, (route, answer.content)
            assert set(json.loads(answer.content)) == ERROR


@pytest.mark.parametrize("name", ["If-None-Match", "Authorization", "Accept", "Idempotency-Key",
                                  "X-Forwarded-For", "User-Agent", "Accept-Language"])  # fmt: skip
@pytest.mark.parametrize(
    "value", ["", "\x7f", "é", '"' * 999, "," * 999, "*", "9" * 3000, "Bearer"]
)
def test_no_header_is_ever_a_500(alice, name, value):
    """S31"""
    api = ApiClient(alice)
    for method, path in (("GET", "/portfolio"), ("GET", "/trades"), ("POST", "/auth/login")):
        body = {} if method == "POST" else None
        answer = api.call(method, path, body, **{name: value})
        assert answer.status_code < 500, (path, answer.content)
