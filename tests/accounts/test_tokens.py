"""Tokens: what was forged is refused, and signing keys rotate with an overlap."""

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
import time_machine
from django.conf import settings
from django.test import override_settings

from accounts.tokens import LONGEST, AccessToken, InvalidToken, RefreshToken
from tests import factories
from tests.api_client import ApiClient
from tracker import clock, ids

STRANGE = secrets.token_hex(32)
ABSENT = "(absent)"


@pytest.fixture
def signed_in(db) -> ApiClient:
    return ApiClient(factories.person("alice@example.com"))


def access_token(api: ApiClient) -> str:
    return api.headers["Authorization"].removeprefix("Bearer ")


# --- forged -------------------------------------------------------------------------------------
def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def changed(token: str, key: str, **claims: Any) -> str:
    """The token with other claims, properly signed by ``key``; ABSENT leaves a claim out.

    Signed as bytes, because PyJWT itself refuses to sign claims of a wrong type.
    """
    merged = {name: value for name, value in (claims_of(token) | claims).items() if value != ABSENT}
    return jwt.api_jws.encode(
        json.dumps(merged).encode(), key, "HS256", headers=jwt.get_unverified_header(token)
    )


def moment(**offset: float) -> int:
    return int((clock.now() + timedelta(**offset)).timestamp())


# Every claim that is required: what it may not be, besides missing. All are signed by our own key,
# so that nothing but the claim can be the reason to refuse.
WRONG_CLAIMS: dict[str, list[Any]] = {
    "iss": ["evil", "", 1, ["tracker"]],
    "aud": ["evil", "", [], ["other"], 1],
    "typ": ["", "Access", "sliding", 1],
    "exp": [0, -1, "soon", {}, 10**30],
    "sub": ["", "1; DROP TABLE users", 1, [], str(ids.new_id())],
    "sid": ["", "session", 1, [], str(ids.new_id())],
    "jti": [1, []],
}


def wrong_claims(token: str, key: str) -> Iterator[tuple[str, str]]:
    for claim, values in WRONG_CLAIMS.items():
        for value in [ABSENT, None, *values]:
            yield f"{claim} = {value!r}", changed(token, key, **{claim: value})
    yield "expired a second ago", changed(token, key, exp=moment(seconds=-1))
    yield "not valid before tomorrow", changed(token, key, nbf=moment(days=1))
    yield "issued tomorrow", changed(token, key, iat=moment(days=1))


def wrong_signatures(token: str, key: str, other_key: str) -> Iterator[tuple[str, str]]:
    header, payload, signature = token.split(".")
    named, claims = jwt.get_unverified_header(token), claims_of(token)
    fields = {"kid": named["kid"]}
    yield "alg none, no signature", f"{part(named | {'alg': 'none'})}.{payload}."
    yield "alg NONE, old signature", f"{part(named | {'alg': 'NONE'})}.{payload}.{signature}"
    yield "signature cut off", f"{header}.{payload}."
    yield (
        "signature of other claims",
        (f"{header}.{part(claims | {'sub': str(ids.new_id())})}.{signature}"),
    )
    yield "a bit of the signature", f"{header}.{payload}.{'A' * len(signature)}"
    for algorithm in ("HS384", "HS512"):
        yield algorithm, jwt.encode(claims, key, algorithm=algorithm, headers=fields)
    yield (
        "HS512 that says HS256",
        ".".join([header, *jwt.encode(claims, key, algorithm="HS512").split(".")[1:]]),
    )
    for name, wrong in {
        "key of the other kind": other_key,
        "Django's key": settings.SECRET_KEY,
        "a stranger's key": STRANGE,
        "the name of the key": named["kid"] * 4,
    }.items():
        yield name, jwt.encode(claims, wrong, headers=fields)
    yield "no key named", jwt.encode(claims, key)
    for kid in ("", "0" * 16, "../../dev/null", named["kid"].upper() + "x"):
        yield f"kid = {kid!r}", jwt.encode(claims, key, headers={"kid": kid})
    for wrong_kid in (1, [], {}, None):
        yield f"kid = {wrong_kid!r}", f"{part(named | {'kid': wrong_kid})}.{payload}.{signature}"
    yield (
        "key brought along",
        jwt.encode(claims, STRANGE, headers=fields | {"jwk": {"kty": "oct", "k": part(STRANGE)}}),
    )


def garbage(token: str) -> Iterator[tuple[str, str]]:
    header, payload, signature = token.split(".")
    for text in (
        "garbage", ".", "..", "...", "a.b.c", "null", "{}", "e30.e30.", "e30.e30.e30", "=.=.=",
        f"{header}.{payload}", f"{token}.{signature}", f"{payload}.{header}.{signature}",
        f"{header}..{signature}", f".{payload}.{signature}", "é.é.é", "%00.%00.%00",
    ):  # fmt: skip
        yield repr(text[:20]), text
    yield "overly long", "A" * 5000
    yield "overly long, in three parts", f"{header}.{'A' * 5000}.{signature}"


def forged(kind: str, token: str, other_token: str) -> Iterator[tuple[str, str]]:
    key, other_key = settings.JWT_SECRET_KEY, settings.JWT_REFRESH_SECRET_KEY
    if kind == "refresh":
        key, other_key = other_key, key
    yield from wrong_signatures(token, key, other_key)
    yield from wrong_claims(token, key)
    yield from garbage(token)
    yield "a true token of the other kind", other_token
    other_name = jwt.get_unverified_header(other_token)["kid"]
    yield "the other kind by its own key", changed(other_token, other_key)
    yield (
        "this kind by the key of the other, named so",
        jwt.encode(claims_of(token), other_key, headers={"kid": other_name}),
    )


def refused(answer: Any, name: str) -> None:
    assert answer.status_code == 401, name
    assert answer.json()["code"] == "token_invalid", name


def test_forged_access_tokens_all_get_401(signed_in):
    """S07: and the true one still works afterwards."""
    true = access_token(signed_in)
    for name, token in forged("access", true, signed_in.refresh_token):
        refused(ApiClient().get("/me", Authorization=f"Bearer {token}"), name)
    assert signed_in.get("/me").status_code == 200


def test_forged_refresh_tokens_all_get_401_and_end_no_session(signed_in):
    """S07: a stranger's forgery is no replay, so the person stays signed in."""
    true = signed_in.refresh_token
    for path in ("/auth/refresh", "/auth/logout"):
        for name, token in forged("refresh", true, access_token(signed_in)):
            answer = ApiClient().post(path, {"refresh": token})
            # what signing out accepts of a token whose session is not there is that it is not there
            if path == "/auth/logout" and answer.status_code == 204:
                assert name.startswith(("sub = '0", "sid = '0")), name
                continue
            if len(token) > LONGEST:  # the form of the body already says no
                assert answer.status_code == 400, name
                continue
            refused(answer, f"{path}: {name}")
        assert signed_in.get("/me").status_code == 200, path
    assert signed_in.post("/auth/refresh", {"refresh": true}).status_code == 200


def test_the_unchanged_token_of_the_matrix_is_accepted(signed_in):
    """S07: the matrix is no matrix of tokens that are broken in some other way."""
    key, refresh_key = settings.JWT_SECRET_KEY, settings.JWT_REFRESH_SECRET_KEY
    same = changed(access_token(signed_in), key)
    assert ApiClient().get("/me", Authorization=f"Bearer {same}").status_code == 200
    same = changed(signed_in.refresh_token, refresh_key)
    assert ApiClient().post("/auth/refresh", {"refresh": same}).status_code == 200


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer ", "bearer x y z"])
def test_a_header_without_one_token_is_a_401(db, header):
    """S07"""
    assert ApiClient().get("/me", Authorization=header).status_code == 401


def test_a_token_that_was_accepted_is_refused_once_it_has_run_out(signed_in):
    """S07: what is remembered of a token is all but the time."""
    text = access_token(signed_in)
    runs_out = datetime.fromtimestamp(claims_of(text)["exp"], UTC)
    first = AccessToken.read(text)
    first["sub"] = "changed by whoever was given it"
    assert AccessToken.read(text)["sub"] == claims_of(text)["sub"]
    with time_machine.travel(runs_out - timedelta(seconds=1), tick=False):
        assert AccessToken.read(text).user_id == UUID(claims_of(text)["sub"])
    with (
        time_machine.travel(runs_out + timedelta(seconds=1), tick=False),
        pytest.raises(InvalidToken),
    ):
        AccessToken.read(text)


# --- rotation -----------------------------------------------------------------------------------
# Kind, the setting of the key that signs, the setting of those that are still accepted.
KINDS = [
    (AccessToken, "JWT_SECRET_KEY", "JWT_PREVIOUS_SECRET_KEYS"),
    (RefreshToken, "JWT_REFRESH_SECRET_KEY", "JWT_PREVIOUS_REFRESH_SECRET_KEYS"),
]


def use(api: ApiClient, kind: type) -> int:
    """The status of the one call that needs this kind of token."""
    if kind is AccessToken:
        return api.get("/me").status_code
    return api.post("/auth/refresh", {"refresh": api.refresh_token}).status_code


@pytest.fixture
def rotated() -> Callable[..., Any]:
    """Settings after a rotation: a new key signs, and these old ones are accepted."""

    def change(signing: str, previous: str, *accepted: str) -> Any:
        return override_settings(**{signing: secrets.token_hex(32), previous: accepted})

    return change


@pytest.mark.parametrize(("kind", "signing", "previous"), KINDS)
def test_a_token_of_the_previous_key_is_accepted_until_the_key_is_removed(
    signed_in, rotated, kind, signing, previous
):
    """S08"""
    old = getattr(settings, signing)
    with rotated(signing, previous):
        assert use(signed_in, kind) == 401
    with rotated(signing, previous, STRANGE):
        assert use(signed_in, kind) == 401
    with rotated(signing, previous, STRANGE, old):
        assert use(signed_in, kind) == 200


@pytest.mark.parametrize(("kind", "signing", "previous"), KINDS)
def test_only_the_current_key_signs(rotated, kind, signing, previous):
    """S08: whatever is still accepted, nothing new is made with it."""
    old = getattr(settings, signing)
    with rotated(signing, previous, old):
        new = str(kind.issue(user_id=ids.new_id(), session_id=ids.new_id()))
        assert kind.read(new)
        jwt.decode(new, getattr(settings, signing), ["HS256"], audience="tracker-api")
        with pytest.raises(jwt.InvalidSignatureError):
            jwt.decode(new, old, ["HS256"], audience="tracker-api")
    with pytest.raises(InvalidToken):
        kind.read(new)


def test_a_previous_key_of_one_kind_does_not_open_the_other(signed_in, rotated):
    """S08, S07: overlap does not blur the two kinds."""
    old = settings.JWT_SECRET_KEY
    with rotated("JWT_REFRESH_SECRET_KEY", "JWT_PREVIOUS_REFRESH_SECRET_KEYS", old):
        made_with_old = jwt.encode(
            claims_of(signed_in.refresh_token), old,
            headers={"kid": jwt.get_unverified_header(access_token(signed_in))["kid"]},
        )  # fmt: skip
        answer = ApiClient().post("/auth/refresh", {"refresh": access_token(signed_in)})
        assert answer.status_code == 401
        assert ApiClient().get("/me", Authorization=f"Bearer {made_with_old}").status_code == 401


def test_a_session_goes_on_over_a_rotation_of_both_keys(signed_in, rotated):
    """S08: the person notices nothing; afterwards the old keys can go."""
    access, refresh = settings.JWT_SECRET_KEY, settings.JWT_REFRESH_SECRET_KEY
    new = {
        "JWT_SECRET_KEY": secrets.token_hex(32),
        "JWT_REFRESH_SECRET_KEY": secrets.token_hex(32),
    }
    overlap = {
        "JWT_PREVIOUS_SECRET_KEYS": (access,),
        "JWT_PREVIOUS_REFRESH_SECRET_KEYS": (refresh,),
    }
    with override_settings(**new, **overlap):
        assert signed_in.get("/me").status_code == 200
        pair = signed_in.post("/auth/refresh", {"refresh": signed_in.refresh_token}).json()
    with override_settings(**new):
        assert signed_in.get("/me").status_code == 401
        me = ApiClient().get("/me", Authorization=f"Bearer {pair['access']}")
        again = ApiClient().post("/auth/refresh", {"refresh": pair["refresh"]})
    assert (me.status_code, again.status_code) == (200, 200)


def test_the_name_of_a_key_does_not_give_the_key_away(signed_in):
    """S08: it is in every token, which people can read."""
    for token, key in (
        (access_token(signed_in), settings.JWT_SECRET_KEY),
        (signed_in.refresh_token, settings.JWT_REFRESH_SECRET_KEY),
    ):
        name = jwt.get_unverified_header(token)["kid"]
        assert len(name) == 16
        assert name not in key
