"""The first fence: who may call which route with whose id. The table of routes is the schema's.

A route with an id that has no row in ``BODIES`` or no factory for its id fails a test, so that
nobody adds one without saying how it keeps others out.
"""

from typing import Any

import pytest

from tests import factories
from tests.tracker.routes import Route, every_route
from tracker import ids, tenancy

# What can be called without a token. Everything else answers 401.
PUBLIC = {
    "POST /api/v1/auth/register",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/logout",
    "POST /api/v1/auth/email/confirm",
    "POST /api/v1/auth/email/confirm-new",
    "POST /api/v1/auth/login/second-factor",
    "POST /api/v1/auth/passkey",
    "POST /api/v1/auth/passkey/options",
    "POST /api/v1/auth/password/forgot",
    "POST /api/v1/auth/password/reset",
}


def _called_back(user: Any) -> Any:
    factories.put_on_plan(user, "enterprise")  # the plan that includes webhooks
    return factories.webhook(user)


# What stands before the id → what makes such an object for a user.
FACTORIES = {
    "connections": lambda user: factories.connection(user),
    "sessions": lambda user: factories.session(user),
    "api-keys": lambda user: factories.api_key(user),
    "devices": lambda user: factories.push_device(user),
    "me/passkeys": lambda user: factories.passkey(user),
    "me/webhooks": _called_back,
    "me/alerts": lambda user: factories.alert(user),
    "me/export": lambda user: factories.data_export(user),
    "explain": lambda user: factories.explainable(user),
    "entries": lambda user: factories.entry_by_hand(user),
    "imports": lambda user: factories.file_import(user),
    "alerts": lambda user: factories.price_alert(user),
    "strategies": lambda user: factories.strategy_watch(user).strategy,
    "backtests": lambda user: factories.drawn_backtest(user),
    "exports": lambda user: factories.file_export(user),
    "prices/manual": lambda user: factories.manual_price(user),
    "transfer-matches": lambda user: factories.transfer_match(user),
    "transfers": lambda user: factories.noted_transfer(user),
    "reconciliation": lambda user: factories.discrepancy(user),
    "support/requests": lambda user: factories.support_request(user),
    "problems": lambda user: factories.dismissed_problem(user),
}

# A valid body for each route with an id, so that the id alone decides. None where there is none.
BODIES: dict[str, Any] = {
    "GET /api/v1/connections/{id}": None,
    "PATCH /api/v1/connections/{id}": {"label": "renamed"},
    "DELETE /api/v1/connections/{id}": None,
    "POST /api/v1/connections/{id}/test": None,
    "POST /api/v1/connections/{id}/sync": None,
    "GET /api/v1/connections/{id}/coverage": None,
    "GET /api/v1/connections/{id}/sync-runs": None,
    "DELETE /api/v1/sessions/{id}": None,
    "DELETE /api/v1/api-keys/{id}": None,
    "DELETE /api/v1/devices/{id}": None,
    "DELETE /api/v1/me/passkeys/{id}": None,
    "DELETE /api/v1/me/webhooks/{id}": None,
    "POST /api/v1/me/webhooks/{id}/secret": None,
    "POST /api/v1/me/webhooks/{id}/test": None,
    "GET /api/v1/me/export/{id}/download": None,
    "POST /api/v1/me/alerts/{id}/acknowledge": None,
    "GET /api/v1/explain/{asset}": None,
    "DELETE /api/v1/entries/{id}": None,
    "GET /api/v1/imports/{id}": None,
    "PATCH /api/v1/imports/{id}": {"time_zone": "Europe/Vienna"},
    "DELETE /api/v1/imports/{id}": None,
    "POST /api/v1/imports/{id}/apply": None,
    "GET /api/v1/alerts/{id}": None,
    "PATCH /api/v1/alerts/{id}": {"note": "renamed"},
    "DELETE /api/v1/alerts/{id}": None,
    "GET /api/v1/alerts/{id}/firings": None,
    "GET /api/v1/strategies/{id}": None,
    "PATCH /api/v1/strategies/{id}": {"name": "renamed"},
    "DELETE /api/v1/strategies/{id}": None,
    "PUT /api/v1/strategies/{id}/watch": {"interval": "1h"},
    "DELETE /api/v1/strategies/{id}/watch": None,
    "GET /api/v1/backtests/{id}": None,
    "GET /api/v1/backtests/{id}/chart.svg": None,
    "POST /api/v1/backtests/{id}/cancel": None,
    "DELETE /api/v1/backtests/{id}": None,
    "GET /api/v1/exports/{id}": None,
    "DELETE /api/v1/exports/{id}": None,
    "POST /api/v1/exports/{id}/cancel": None,
    "DELETE /api/v1/prices/manual/{id}": None,
    "DELETE /api/v1/transfer-matches/{id}": None,
    "POST /api/v1/transfer-matches/{id}/confirm": None,
    "PUT /api/v1/transfers/{id}/note": {"meaning": "own_deposit"},
    "DELETE /api/v1/transfers/{id}/note": None,
    "POST /api/v1/reconciliation/{id}/repair": {"action": "book_adjustment"},
    "GET /api/v1/support/requests/{id}": None,
    "POST /api/v1/support/requests/{id}/messages": {"text": "And this."},
    "POST /api/v1/support/requests/{id}/close": None,
    "POST /api/v1/support/requests/{id}/rating": {"rating": 5},
    "POST /api/v1/problems/{id}/dismiss": None,
    "DELETE /api/v1/problems/{id}/dismiss": None,
}

# The id of something that is the same for everybody, and what such a route cannot do without.
SHARED = {"GET /api/v1/prices/{asset}/candles": "?interval=1d"}

# What a list cannot do without.
NEEDED = {
    "/api/v1/prices": "?assets=BTC",
    "/api/v1/gains/report": "?format=csv&form=generic",
}

# Figures that a worker computes: nothing stands here until it has.
COMPUTED = {f"/api/v1/{name}" for name in ("performance", "allocation", "series", "attribution")}

# Bodies of the same routes with everything that may be changed in them.
MORE_BODIES = [
    ("PATCH /api/v1/connections/{id}", {}),
    ("PATCH /api/v1/connections/{id}", {"paused": True}),
    ("PATCH /api/v1/connections/{id}", {"api_key": "a" * 64, "api_secret": "b" * 64}),
]


def with_ids() -> list[Route]:
    return [route for route in every_route() if route.has_id and str(route) not in SHARED]


def address(route: Route, found: Any) -> str:
    name = route.path[route.path.index("{") : route.path.index("}") + 1]
    return route.path.replace(name, str(found.id))


def kind_of(route: Route) -> str:
    return route.path.removeprefix("/api/v1/").partition("/{")[0]


def owned_by(user: Any, route: Route) -> Any:
    if str(route) in SHARED:
        return factories.asset()
    return FACTORIES[kind_of(route)](user)


def row_of(found: Any) -> dict[str, Any]:
    with tenancy.as_system("test"):
        return type(found).objects.filter(id=found.id).values().get()


@pytest.fixture
def alice(db):
    return factories.person("alice@example.com")


@pytest.fixture
def charlie(db):
    return factories.person("charlie@example.com")


def test_each_route_with_an_id_has_its_row():
    """S14: a new route without a row fails here."""
    assert {str(route) for route in with_ids()} == set(BODIES)
    assert {kind_of(route) for route in with_ids()} == set(FACTORIES)


def calls() -> list[tuple[Route, Any]]:
    by_name = {str(route): route for route in with_ids()}
    rows = list(BODIES.items()) + MORE_BODIES
    return [(by_name[name], body) for name, body in rows if name in by_name]


@pytest.mark.parametrize(("route", "body"), calls(), ids=str)
def test_the_id_of_another_user_is_not_found(client_of, alice, charlie, route, body):
    """S14: and nothing happens to what it names."""
    found = owned_by(alice, route)
    before = row_of(found)
    answer = client_of(charlie).call(route.method, address(route, found), body)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert str(found.id) not in answer.content.decode()
    assert row_of(found) == before


@pytest.mark.parametrize(("route", "body"), calls(), ids=str)
def test_the_id_of_another_user_and_an_id_of_nothing_look_alike(
    client_of, alice, charlie, route, body
):
    """S14: the answer does not tell that the thing exists."""
    found = owned_by(alice, route)
    nothing = type(found)(id=ids.new_id())
    stranger = client_of(charlie)
    answers = [
        stranger.call(route.method, address(route, thing), body).json()
        for thing in (found, nothing)
    ]
    for answer in answers:
        answer.pop("request_id")
    assert answers[0] == answers[1]


@pytest.mark.parametrize(("route", "body"), calls(), ids=str)
def test_the_owner_finds_it(client_of, alice, route, body, settings):
    """Without this, a route that finds nothing for anybody would pass."""
    settings.EXCHANGE_BASE_URLS = {"binance": "http://127.0.0.1:9"}
    answer = client_of(alice).call(route.method, address(route, owned_by(alice, route)), body)
    assert answer.status_code not in (401, 403, 404, 405, 500)


@pytest.mark.parametrize("route", every_route(), ids=str)
def test_without_a_token_nothing_but_the_public_routes_answers(client_of, alice, route):
    """S14"""
    path = address(route, owned_by(alice, route)) if route.has_id else route.path
    answer = client_of().call(route.method, path, None if route.method == "GET" else {})
    if str(route) in PUBLIC:
        # the empty body, not the caller, is refused; options for a passkey need none
        assert answer.status_code == (200 if route.path.endswith("/options") else 400)
        return
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("name", SHARED)
def test_what_is_shared_is_the_same_for_everybody_and_says_nothing_of_anybody(
    client_of, alice, charlie, name
):
    """S14: also when only one of them has some of it."""
    (route,) = [route for route in every_route() if str(route) == name]
    path = address(route, factories.explainable(alice)) + SHARED[name]
    first = client_of(alice).get(path)
    answers = [client_of(user).get(path).content for user in (alice, charlie)]
    assert first.status_code == 200
    assert answers[0] == answers[1]
    nothing = route.path.replace("{asset}", str(ids.new_id())) + SHARED[name]
    assert client_of(alice).get(nothing).json()["code"] == "not_found"


def test_the_public_and_the_shared_routes_are_routes():
    assert {str(route) for route in every_route()} >= set(SHARED)
    assert {str(route) for route in every_route()} >= PUBLIC


def test_lists_hold_nothing_of_anybody_else(client_of, alice, charlie):
    """S14: every GET without an id, over somebody's full tables."""
    connected = factories.something_everywhere(alice)
    stranger, owner = client_of(charlie), client_of(alice)
    for route in every_route():
        if route.method != "GET" or route.has_id:
            continue
        path = route.path + NEEDED.get(route.path, "")
        answer = stranger.get(path)
        assert answer.status_code == 200, route
        body = b"".join(answer).decode()  # some answers are streamed
        for secret in (str(connected.id), str(alice.id), alice.email):
            assert secret not in body, route
        assert owner.get(path).status_code == 200, route
    assert str(connected.id) in owner.get("/trades").content.decode()


def test_filtering_by_another_users_connection_finds_nothing(client_of, alice, charlie):
    """S14: the id of somebody else as a query parameter."""
    connected = factories.something_everywhere(alice)
    filtered = [route for route in every_route() if "connection" in route.parameters("query")]
    assert len(filtered) >= 4
    for route in filtered:
        if route.path in NEEDED:  # a file; test_reports has it
            continue
        path = f"{route.path}?connection={connected.id}"
        stranger, owner = client_of(charlie).get(path), client_of(alice).get(path)
        assert stranger.status_code == 404 or stranger.json()["results"] == [], route
        assert owner.status_code == 200, route
        if route.path not in COMPUTED:
            assert owner.json()["results"] != [], route
