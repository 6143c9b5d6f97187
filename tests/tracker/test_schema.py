"""The schema is the router: what is documented is what answers, and nothing else does."""

import re
from io import StringIO
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver

from tests.contract import tables
from tests.tracker.routes import every_route, normalized, schema
from tracker.contract import errors, examples

API = "api/v1/"


def patterns(resolver: Any, prefix: str = "") -> dict[str, Any]:
    """Every URL pattern by its full address."""
    found: dict[str, Any] = {}
    for item in resolver.url_patterns:
        path = prefix + str(item.pattern)
        if isinstance(item, URLResolver):
            found |= patterns(item, path)
        elif isinstance(item, URLPattern):
            found.setdefault(path, []).append(item.callback)
    return found


def methods_of(view: Any) -> set[str]:
    actions = getattr(view, "actions", None)
    names = actions or [name for name in view.cls.http_method_names if hasattr(view.cls, name)]
    return {name.upper() for name in names} - {"OPTIONS", "HEAD"}


def test_every_address_and_method_of_the_api_is_in_the_schema_and_nothing_else_is():
    """S53"""
    routed = {
        (method, normalized(path))
        for path, views in patterns(get_resolver()).items()
        if path.startswith(API)
        for view in views
        for method in methods_of(view)
    }
    documented = {(route.method, normalized(route.path)) for route in every_route()}
    assert documented == routed
    assert len(routed) > 15


def test_nothing_outside_the_api_is_in_the_schema():
    assert all(route.path.startswith(f"/{API}") for route in every_route())


def test_no_address_ends_in_a_slash():
    assert [route.path for route in every_route() if route.path.endswith("/")] == []


def test_the_schema_is_valid_and_made_without_a_warning(capsys):
    """S53: as `manage.py spectacular --validate --fail-on-warn` says."""
    out = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=out)
    assert yaml.safe_load(out.getvalue())["info"]["title"] == "Portfolio tracker API"
    assert "Warning" not in capsys.readouterr().err


def test_operation_ids_are_unique_and_said_by_us():
    """S53: programs are generated from them."""
    names = [route.operation["operationId"] for route in every_route()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+", name) for name in names)
    assert [name for name in names if name.startswith("api_v1_")] == []


def operation_id(route: Any) -> str:
    return route.operation["operationId"]


@pytest.mark.parametrize("route", every_route(), ids=operation_id)
def test_every_operation_says_what_it_does_and_every_error_that_it_can_give(route):
    """Codes of its own stand in tracker/contract/codes.json; `make examples` records them."""
    assert route.operation["summary"]
    assert route.operation["description"]
    assert route.operation["tags"]
    said = tables.codes_of(route)
    assert {"500", "503"} <= set(said)
    assert all(said.values())
    if {} not in route.operation["security"]:
        assert {"401", "403"} <= set(said)
    if "requestBody" in route.operation:
        assert {"400", "413", "415"} <= set(said)
    if route.has_id:
        assert "not_found" in said["404"]


def test_an_error_has_one_format_everywhere():
    error = schema()["components"]["schemas"]["Error"]
    assert set(error["properties"]) == {"code", "message", "details", "request_id"}
    for route in every_route():
        for status, response in route.operation["responses"].items():
            if status[0] in "45":
                shape = tables.resolved(response)["content"]["application/json"]["schema"]
                assert shape["allOf"] == [{"$ref": "#/components/schemas/Error"}], (route, status)


@pytest.mark.parametrize("route", every_route(), ids=operation_id)
def test_every_operation_has_a_real_example_that_is_as_its_schema_says(route):
    """A new operation: `make examples` records one from the tests that call it."""
    example = examples.recorded().get(operation_id(route), {})
    assert list(tables.faults(route, example)) == []


def test_examples_and_codes_are_of_operations_that_are_there():
    names = {operation_id(route) for route in every_route()}
    assert set(examples.recorded()) <= names
    assert set(errors.own()) <= names


@pytest.mark.django_db
def test_schema_and_docs_need_no_token_and_no_foreign_host(client):
    """S53: the page's scripts and styles are served by ourselves."""
    page = client.get("/api/docs")
    assert page.status_code == 200
    html = page.content.decode().replace("&amp;", "&")
    assert re.findall(r"<script(?![^>]*src=)", html) == []  # S50: none stands in the page
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)["']""", html)
    loaded = [address.removeprefix("http://testserver") for address in loaded]
    assert len(loaded) >= 3
    assert [
        address for address in loaded if not address.startswith(("/static/", "/api/docs?"))
    ] == []
    assert re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", html.lower()) == []
    for address in loaded:
        answer = client.get(address)
        assert answer.status_code == 200, address
    document = client.get("/api/schema")
    assert document.status_code == 200
    assert set(yaml.safe_load(document.content)["paths"]) == set(schema()["paths"])


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/schema", "/api/docs", "/api/live-schema"])
def test_schema_and_docs_are_not_shown_unless_told(client, settings, path):
    """S53"""
    settings.API_DOCS = True
    assert client.get(path).status_code == 200
    settings.API_DOCS = False
    assert client.get(path).status_code == 404
    assert client.get("/").headers["Location"] == "/status"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/docs", "/status", "/admin/login/", "/terms", "/healthz"])
def test_no_page_lets_in_scripts_that_are_no_file_of_ours(client, path):
    """S50"""
    policy = client.get(path, follow=True).headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    scripts = rules.get("script-src", rules["default-src"]).split()
    assert set(scripts) <= {"'self'", "'none'"}
    assert rules["frame-ancestors"] == "'none'"
    assert rules["base-uri"] == "'none'"
