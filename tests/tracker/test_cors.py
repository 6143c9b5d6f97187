"""S51: browsers are told about exact origins and no other."""

import pytest

ORIGIN = "https://app.example.com"


@pytest.fixture(autouse=True)
def origins(settings):
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN, "http://localhost:8081"]


@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:8081"])
def test_a_listed_origin_may_read(client, origin):
    answer = client.get("/api/schema", headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "origin" in answer.headers["Vary"].lower()
    assert "Access-Control-Allow-Credentials" not in answer.headers
    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert {"ETag", "Retry-After", "RateLimit", "X-Request-ID"} <= set(exposed.split(", "))


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com.evil.com", "https://evil-app.example.com",
        "https://app.example.comevil.com", "https://evil.com/https://app.example.com",
        "https://app.example.com:444", "https://app.example.com:443", "http://app.example.com",
        "https://app-example.com", "https://appXexample.com",
        "https://APP.example.com.", "https://user@app.example.com", "https://example.com", "null",
        "*", "", "https://app.example.com, https://evil.com", "https://localhost:8081",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["get", "options"])
def test_an_origin_that_only_looks_like_one_gets_no_header(client, origin, method):
    """S51"""
    ask = {"Access-Control-Request-Method": "POST"} if method == "options" else {}
    answer = getattr(client, method)("/api/schema", headers={"Origin": origin} | ask)
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_browser_may_ask_first_for_every_method_and_header_of_the_app(client):
    answer = client.options(
        "/api/v1/connections",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization, idempotency-key",
        },
    )
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    assert {"authorization", "idempotency-key", "if-none-match"} <= set(
        answer.headers["Access-Control-Allow-Headers"].split(", ")
    )


@pytest.mark.parametrize("path", ["/admin/login/", "/healthz"])
def test_nothing_outside_the_api_is_opened_to_other_origins(client, db, path):
    """S51"""
    answer = client.get(path, headers={"Origin": ORIGIN})
    assert "Access-Control-Allow-Origin" not in answer.headers
