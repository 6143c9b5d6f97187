"""Every act of a person is logged: a table of all routes that change something.

The routes are the schema's, so a new one without a row here fails. What reads is counted, not
logged, and what stays out of the log says why.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import structlog
from django.conf import settings as project
from django.db import connection as database

from accounts import links
from accounts.models import EmailSuppression, TotpDevice
from accounts.second_factor import resets
from audit import log
from audit.actions import Action
from audit.alerts import raise_alert
from audit.models import ActivityLog
from tests import factories
from tests.api_client import ApiClient
from tests.authenticator import Authenticator
from tests.conftest import PASSWORD
from tests.second_factors import Phone, add_passkey, enrol, password_step
from tests.tracker.routes import every_route
from tracker import clock, ids, tenancy

API = "/api/v1"
NEW = "another correct horse battery"
ADDRESS = "203.0.113.7"
Answer = Any


@dataclass(frozen=True)
class Act:
    """How a route is called well, and what the log says then."""

    call: Callable[[Any, Any], Answer]  # (a signed-in client, its user) → the answer
    action: Action
    signed_in: bool = True  # whether it is a session that acts
    outcome: str = "ok"


# --- calls that need something first ------------------------------------------------------------
def link(user: Any, purpose: str, email: str = "") -> dict[str, str]:
    with tenancy.as_user(user.id):
        row = links.create(user.id, purpose, email or user.email, clock.now())
    return {"token": links.token_of(row)}


def second_step(api: Any, user: Any) -> Answer:
    phone, _ = enrol(user, clock.now() - timedelta(minutes=10))
    challenge = password_step(api, user)["challenge"]
    body = {"challenge": challenge, "totp": phone.code(clock.now())}
    return api.post("/auth/login/second-factor", body)


def passkey_sign_in(api: Any, user: Any) -> Answer:
    key, _ = add_passkey(user)
    options = api.post("/auth/passkey/options").json()
    return api.post("/auth/passkey", {"passkey": key.get(options)})


def new_passkey(api: Any, user: Any) -> Answer:
    options = api.post("/me/passkeys/options").json()
    return api.post("/me/passkeys", {"passkey": Authenticator().create(options)})


def confirm_totp(api: Any, user: Any) -> Answer:
    secret = api.post("/me/second-factor/totp").json()["secret"]
    return api.post("/me/second-factor/totp/confirm", {"code": Phone(secret).code(clock.now())})


def new_api_key(api: Any, user: Any) -> Answer:
    factories.put_on_plan(user, "enterprise")  # the plan that includes them
    return api.post("/api-keys", {"name": "script", "scopes": ["read_trades"]})


def new_webhook(api: Any, user: Any) -> Answer:
    factories.put_on_plan(user, "enterprise")  # the plan that includes them
    return api.post("/me/webhooks", {"url": "https://1.1.1.1/hook"})  # checked, and not called


def called_webhook(api: Any, user: Any) -> Answer:
    factories.put_on_plan(user, "enterprise")
    return api.post(f"/me/webhooks/{factories.webhook(user).id}/test")


def prove_email(api: Any, user: Any) -> Answer:
    with tenancy.as_user(user.id):
        EmailSuppression.objects.create(user=user, address=user.email, reason="bounced")
    return api.post("/me/email/prove")


def with_totp(path: str, method: str) -> Callable[[Any, Any], Answer]:
    def call(api: Any, user: Any) -> Answer:
        enrol(user, clock.now() - timedelta(minutes=10))  # which ends all other sessions
        api.headers["Authorization"] = ApiClient(user).headers["Authorization"]
        return api.call(method, path, {} if method == "POST" else None)

    return call


def alert(api: Any, user: Any) -> Answer:
    with tenancy.as_user(user.id):
        raised = raise_alert(
            kind="account.password_guessing", severity="low", user_id=user.id, evidence={},
            dedupe="x", now=clock.now(),
        )  # fmt: skip
    assert raised
    return api.post(f"/me/alerts/{raised.id}/acknowledge")


def deleting(path: str, make: Callable[[Any], Any]) -> Callable[[Any, Any], Answer]:
    return lambda api, user: api.delete(f"{path}/{make(user).id}")


def unanswering(path: str, method: str, body: Any = None) -> Callable[[Any, Any], Answer]:
    """Of a connection whose exchange does not answer: asking is an act all the same."""
    return lambda api, user: api.call(
        method, f"/connections/{factories.connection(user).id}{path}", body
    )


def matching(api: Any, user: Any) -> Answer:
    """Two transfers that are one move, said by their owner."""
    pair = factories.transfer_match(user)
    api.delete(f"/transfer-matches/{pair.id}")
    return api.post(
        "/transfer-matches",
        {"withdrawal": str(pair.withdrawal_id), "deposit": str(pair.deposit_id)},
    )


def dismissing(api: Any, user: Any) -> Answer:
    factories.discrepancy(user)
    problem, *_ = api.get("/problems").json()["results"]
    return api.post(f"/problems/{problem['id']}/dismiss")


def entering(kind: str, body: Any) -> Callable[[Any, Any], Answer]:
    """An entry by hand into an account of somebody's."""
    when = {"occurred_at": "2026-01-05T12:00:00Z"}
    return lambda api, user: api.post(
        f"/entries/{kind}", body | when | {"connection": str(factories.connection(user).id)}
    )


def posting(path: str, body: Any = None) -> Callable[[Any, Any], Answer]:
    return lambda api, user: api.post(path, body)


def ending_access(api: Any, user: Any) -> Answer:
    api.post("/me/support-access", {"hours": 1})
    return api.delete("/me/support-access")


def keeping_factors(api: Any, user: Any) -> Answer:
    with tenancy.as_system("test"):
        TotpDevice.objects.create(user=user, name="phone", sealed_seed=b"sealed", confirmed=True)
        resets.ask(user_id=user.id, actor_id=ids.new_id(), reason="#1", now=clock.now())
    return api.delete("/me/second-factor/reset")


def about_request(what: str, body: dict[str, Any]) -> Callable[[Any, Any], Answer]:
    """On a request of theirs that support has answered."""

    def call(api: Any, user: Any) -> Answer:
        answered = factories.support_answer(user).request_id
        return api.post(f"/support/requests/{answered}/{what}", body)

    return call


ACTS: dict[str, Act] = {
    "POST /auth/register": Act(
        posting("/auth/register", {"email": "new@example.com", "password": NEW}),
        Action.USER_REGISTERED, signed_in=False,
    ),
    "POST /auth/login": Act(
        lambda api, user: api.post("/auth/login", {"email": user.email, "password": PASSWORD}),
        Action.USER_SIGNED_IN,
    ),
    "POST /auth/login/second-factor": Act(second_step, Action.USER_SIGNED_IN),
    "POST /auth/passkey": Act(passkey_sign_in, Action.USER_SIGNED_IN),
    "POST /auth/logout": Act(
        lambda api, user: api.post("/auth/logout", {"refresh": api.refresh_token}),
        Action.USER_SIGNED_OUT,
    ),
    "POST /auth/email/resend": Act(
        lambda api, user: api.post("/auth/email/resend"), Action.EMAIL_CONFIRMATION_SENT
    ),
    "POST /auth/email/confirm": Act(
        lambda api, user: api.post("/auth/email/confirm", link(user, "confirm_email")),
        Action.EMAIL_CONFIRMED, signed_in=False,
    ),
    "POST /auth/email/confirm-new": Act(
        lambda api, user: api.post(
            "/auth/email/confirm-new", link(user, "change_email", "elsewhere@example.com")
        ),
        Action.EMAIL_CHANGED, signed_in=False,
    ),
    "POST /auth/password/forgot": Act(
        lambda api, user: api.post("/auth/password/forgot", {"email": user.email}),
        Action.PASSWORD_RESET_REQUESTED, signed_in=False,
    ),
    "POST /auth/password/reset": Act(
        lambda api, user: api.post(
            "/auth/password/reset", link(user, "reset_password") | {"new_password": NEW}
        ),
        Action.PASSWORD_RESET, signed_in=False,
    ),
    "POST /auth/reauthenticate": Act(
        posting("/auth/reauthenticate", {"password": PASSWORD}), Action.REAUTHENTICATED
    ),
    "DELETE /sessions": Act(lambda api, user: api.delete("/sessions"), Action.SESSIONS_ENDED),
    "DELETE /sessions/{id}": Act(deleting("/sessions", factories.session), Action.SESSION_ENDED),
    "PATCH /me": Act(
        lambda api, user: api.patch("/me", {"theme": "dark"}), Action.USER_PREFERENCES_CHANGED
    ),
    "DELETE /me": Act(lambda api, user: api.delete("/me"), Action.USER_CLOSING),
    "POST /me/email": Act(
        posting("/me/email", {"email": "elsewhere@example.com"}), Action.EMAIL_CHANGE_REQUESTED
    ),
    "POST /me/password": Act(
        posting("/me/password", {"current_password": PASSWORD, "new_password": NEW}),
        Action.PASSWORD_CHANGED,
    ),
    "POST /me/export": Act(posting("/me/export"), Action.EXPORT_REQUESTED),
    "POST /me/consents": Act(
        lambda api, user: api.post("/me/consents", {"terms": project.TERMS_VERSION}),
        Action.CONSENT_GIVEN,
    ),
    "PATCH /me/notifications": Act(
        lambda api, user: api.patch("/me/notifications", {"choices": [
            {"event": "export_ready", "channel": "push", "enabled": False}]}),
        Action.NOTIFICATIONS_CHANGED,
    ),
    "PATCH /me/notifications/settings": Act(
        lambda api, user: api.patch("/me/notifications/settings", {"weekly_summary_day": 3}),
        Action.NOTIFICATION_SETTINGS_CHANGED,
    ),
    "POST /me/email/prove": Act(prove_email, Action.EMAIL_CONFIRMATION_SENT),
    "POST /me/webhooks": Act(new_webhook, Action.WEBHOOK_ADDED),
    "DELETE /me/webhooks/{id}": Act(
        deleting("/me/webhooks", factories.webhook), Action.WEBHOOK_REMOVED
    ),
    "POST /me/webhooks/{id}/secret": Act(
        lambda api, user: api.post(f"/me/webhooks/{factories.webhook(user).id}/secret"),
        Action.WEBHOOK_SECRET_ROTATED,
    ),
    "POST /me/webhooks/{id}/test": Act(called_webhook, Action.WEBHOOK_TESTED),
    "POST /me/alerts/{id}/acknowledge": Act(alert, Action.ALERT_ACKNOWLEDGED),
    "POST /me/second-factor/totp/confirm": Act(confirm_totp, Action.TOTP_ENROLLED),
    "DELETE /me/second-factor/totp": Act(
        with_totp("/me/second-factor/totp", "DELETE"), Action.TOTP_REMOVED
    ),
    "POST /me/second-factor/recovery-codes": Act(
        with_totp("/me/second-factor/recovery-codes", "POST"), Action.RECOVERY_CODES_MADE
    ),
    "POST /me/passkeys": Act(new_passkey, Action.PASSKEY_ADDED),
    "DELETE /me/passkeys/{id}": Act(
        deleting("/me/passkeys", factories.passkey), Action.PASSKEY_REMOVED
    ),
    "POST /devices": Act(
        posting("/devices", {"token": "ExponentPushToken[xxxxxxxxxxxxxxxxxxxxxx]"}),
        Action.DEVICE_REGISTERED,
    ),
    "DELETE /devices/{id}": Act(
        deleting("/devices", factories.push_device), Action.DEVICE_REMOVED
    ),
    "POST /api-keys": Act(new_api_key, Action.API_KEY_CREATED),
    "DELETE /api-keys/{id}": Act(deleting("/api-keys", factories.api_key), Action.API_KEY_REVOKED),
    "POST /connections": Act(
        lambda api, user: factories.exchange() and api.post(
            "/connections", {"exchange": "binance", "api_key": "a" * 64, "api_secret": "b" * 64}
        ),
        Action.CONNECTION_REFUSED, outcome="refused",
    ),
    "PATCH /connections/{id}": Act(
        unanswering("", "PATCH", {"label": "new"}), Action.CONNECTION_CHANGED
    ),
    "DELETE /connections/{id}": Act(unanswering("", "DELETE"), Action.CONNECTION_REMOVED),
    "POST /manual-accounts": Act(
        posting("/manual-accounts", {"label": "safe"}), Action.ACCOUNT_OPENED
    ),
    "POST /entries/trades": Act(
        entering("trades", {"side": "buy", "base": "BTC", "base_quantity": "1", "quote": "USD",
                            "quote_quantity": "9000"}),
        Action.ENTRY_ADDED,
    ),
    "POST /entries/transfers": Act(
        entering("transfers", {"direction": "deposit", "asset": "BTC", "quantity": "1"}),
        Action.ENTRY_ADDED,
    ),
    "POST /entries/rewards": Act(
        entering("rewards", {"kind": "staking", "asset": "BTC", "quantity": "1"}),
        Action.ENTRY_ADDED,
    ),
    "POST /entries/adjustments": Act(
        entering("adjustments", {"reason": "opening", "asset": "BTC", "quantity": "1"}),
        Action.ENTRY_ADDED,
    ),
    "DELETE /entries/{id}": Act(
        deleting("/entries", factories.entry_by_hand), Action.ENTRY_REMOVED
    ),
    "POST /imports": Act(
        lambda api, user: api.send_file(
            "/imports", factories.FILE, connection=str(factories.connection(user).id)
        ),
        Action.IMPORT_UPLOADED,
    ),
    "PATCH /imports/{id}": Act(
        lambda api, user: api.patch(
            f"/imports/{factories.file_import(user).id}", {"time_zone": "Europe/Vienna"}
        ),
        Action.IMPORT_CHANGED,
    ),
    "POST /imports/{id}/apply": Act(
        lambda api, user: api.post(f"/imports/{factories.file_import(user).id}/apply"),
        Action.IMPORT_CONFIRMED,
    ),
    "DELETE /imports/{id}": Act(
        deleting("/imports", factories.file_import), Action.IMPORT_REMOVED
    ),
    "POST /strategies": Act(
        posting("/strategies", {"name": "mine", "kind": "buy_and_hold"}), Action.STRATEGY_CREATED
    ),
    "PATCH /strategies/{id}": Act(
        lambda api, user: api.patch(
            f"/strategies/{factories.strategy(user).id}", {"name": "renamed"}
        ),
        Action.STRATEGY_CHANGED,
    ),
    "DELETE /strategies/{id}": Act(
        deleting("/strategies", factories.strategy), Action.STRATEGY_REMOVED
    ),
    "PUT /strategies/{id}/watch": Act(
        lambda api, user: api.put(
            f"/strategies/{factories.strategy(user).id}/watch", {"interval": "1d"}
        ),
        Action.STRATEGY_WATCHED,
    ),
    "DELETE /strategies/{id}/watch": Act(
        lambda api, user: api.delete(
            f"/strategies/{factories.strategy_watch(user).strategy_id}/watch"
        ),
        Action.STRATEGY_UNWATCHED,
    ),
    "POST /backtests": Act(
        lambda api, user: api.post("/backtests", {
            "strategy": str(factories.strategy(user).id), "assets": [str(factories.asset().id)],
            "interval": "1d", "from": "2020-01-01T00:00:00Z", "to": "2021-01-01T00:00:00Z"}),
        Action.BACKTEST_REQUESTED,
    ),
    "POST /backtests/{id}/cancel": Act(
        lambda api, user: api.post(f"/backtests/{factories.backtest(user).id}/cancel"),
        Action.BACKTEST_CANCELLED,
    ),
    "DELETE /backtests/{id}": Act(
        deleting("/backtests", factories.backtest), Action.BACKTEST_REMOVED
    ),
    "POST /exports": Act(
        posting("/exports", {"contents": ["trades"], "format": "csv"}), Action.FILE_REQUESTED
    ),
    "POST /exports/{id}/cancel": Act(
        lambda api, user: api.post(f"/exports/{factories.file_export(user).id}/cancel"),
        Action.FILE_CANCELLED,
    ),
    "DELETE /exports/{id}": Act(
        deleting("/exports", factories.file_export), Action.FILE_REMOVED
    ),
    "POST /alerts": Act(
        lambda api, user: api.post("/alerts", {"kind": "value_above", "threshold": "1000"}),
        Action.PRICE_ALERT_MADE,
    ),
    "PATCH /alerts/{id}": Act(
        lambda api, user: api.patch(
            f"/alerts/{factories.price_alert(user).id}", {"note": "renamed"}
        ),
        Action.PRICE_ALERT_CHANGED,
    ),
    "DELETE /alerts/{id}": Act(
        deleting("/alerts", factories.price_alert), Action.PRICE_ALERT_REMOVED
    ),
    "PUT /prices/manual": Act(
        lambda api, user: api.put("/prices/manual", {
            "asset": str(factories.asset("COIN").id), "day": "2026-01-05", "price": "2"}),
        Action.PRICE_SET,
    ),
    "DELETE /prices/manual/{id}": Act(
        deleting("/prices/manual", factories.manual_price), Action.PRICE_REMOVED
    ),
    "POST /transfer-matches": Act(matching, Action.TRANSFERS_MATCHED),
    "POST /transfer-matches/{id}/confirm": Act(
        lambda api, user: api.post(
            f"/transfer-matches/{factories.transfer_match(user).id}/confirm"
        ),
        Action.TRANSFERS_MATCHED,
    ),
    "DELETE /transfer-matches/{id}": Act(
        deleting("/transfer-matches", factories.transfer_match), Action.TRANSFERS_UNMATCHED
    ),
    "PUT /transfers/{id}/note": Act(
        lambda api, user: api.put(
            f"/transfers/{factories.noted_transfer(user).id}/note", {"meaning": "gift_received"}
        ),
        Action.TRANSFER_NOTED,
    ),
    "DELETE /transfers/{id}/note": Act(
        lambda api, user: api.delete(f"/transfers/{factories.noted_transfer(user).id}/note"),
        Action.TRANSFER_NOTED,
    ),
    "POST /reconciliation/{id}/repair": Act(
        lambda api, user: api.post(
            f"/reconciliation/{factories.discrepancy(user).id}/repair",
            {"action": "book_adjustment"},
        ),
        Action.DISCREPANCY_REPAIRED,
    ),
    "POST /problems/{id}/dismiss": Act(dismissing, Action.PROBLEM_DISMISSED),
    "DELETE /problems/{id}/dismiss": Act(
        lambda api, user: api.delete(
            f"/problems/{factories.dismissed_problem(user).id}/dismiss"
        ),
        Action.PROBLEM_RESTORED,
    ),
    "PATCH /billing/usage": Act(
        lambda api, user: api.patch("/billing/usage", {"spending_cap": "5.00"}),
        Action.SPENDING_CAP_SET,
    ),
    "POST /me/support-access": Act(
        lambda api, user: api.post("/me/support-access", {"hours": 1}), Action.SUPPORT_ACCESS_GIVEN
    ),
    "DELETE /me/support-access": Act(ending_access, Action.SUPPORT_ACCESS_ENDED),
    "DELETE /me/second-factor/reset": Act(keeping_factors, Action.SECOND_FACTOR_RESET_CANCELLED),
    "POST /support/requests": Act(
        lambda api, user: api.post(
            "/support/requests", {"category": "app", "subject": "A question", "text": "How?"}
        ),
        Action.SUPPORT_REQUEST_OPENED,
    ),
    "POST /support/requests/{id}/messages": Act(
        about_request("messages", {"text": "And why?"}), Action.SUPPORT_REQUEST_WRITTEN
    ),
    "POST /support/requests/{id}/close": Act(
        about_request("close", {}), Action.SUPPORT_REQUEST_CLOSED
    ),
    "POST /support/requests/{id}/rating": Act(
        about_request("rating", {"rating": 5}), Action.SUPPORT_REQUEST_RATED
    ),
    "POST /connections/{id}/sync": Act(unanswering("/sync", "POST"), Action.SYNC_REQUESTED),
    "POST /connections/{id}/test": Act(
        unanswering("/test", "POST"), Action.CONNECTION_REFUSED, outcome="refused"
    ),
}  # fmt: skip

WITH_STRIPE = {  # what these log, and that it is logged, stands in tests.billing
    "POST /billing/subscription",
    "PATCH /billing/subscription",
    "DELETE /billing/subscription",
    "POST /billing/checkout",
    "POST /billing/portal",
}

NOT_ACTS = {
    "POST /auth/refresh": "a device goes on; only the return of a used token is logged",
    "POST /auth/passkey/options": "a challenge; nothing changes",
    "POST /me/passkeys/options": "a challenge; nothing changes",
    "POST /notifications/read": "what a person has seen of what they were told",
    "POST /me/second-factor/totp": "a secret that counts for nothing until it is confirmed",
}


@pytest.fixture
def ann(transactional_db, settings):
    settings.EXCHANGE_BASE_URLS = {"binance": "http://127.0.0.1:9"}
    with tenancy.as_system("test"):
        return factories.User.objects.create_user("ann@example.com", PASSWORD)


def acts(*actions: Action) -> list[ActivityLog]:
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.filter(action__in=actions).order_by("created_at", "id"))


def test_every_route_that_changes_something_has_its_row():
    """S54: a new route without a row fails here."""
    changing = {
        f"{r.method} {r.path.removeprefix(API)}" for r in every_route() if r.method != "GET"
    }
    assert changing == set(ACTS) | set(NOT_ACTS) | WITH_STRIPE


@pytest.mark.parametrize("route", ACTS)
def test_each_act_is_logged_with_who_where_and_how_it_ended(client_of, ann, route):
    """S54: with the request's id, the session and the address."""
    act, api = ACTS[route], client_of(ann)
    api.django.defaults["REMOTE_ADDR"] = ADDRESS
    request_id = str(ids.new_id())
    api.headers["X-Request-ID"] = request_id
    answer = act.call(api, ann)
    assert answer.status_code < 300 or act.outcome == "refused", answer.content
    (row,) = [row for row in acts(act.action) if row.request_id == request_id]
    assert (row.ip_address, row.outcome) == (ADDRESS, act.outcome)
    if route != "POST /auth/register":
        assert row.user_id == ann.id
    assert (row.session_id is not None) == act.signed_in
    for secret in (PASSWORD, NEW, "b" * 64, getattr(api, "refresh_token", PASSWORD)):
        assert secret not in str(row.details)


@pytest.mark.parametrize("route", NOT_ACTS)
def test_what_is_no_act_changes_nothing_in_the_log(client_of, ann, route):
    api = client_of(ann)
    before = len(acts(*Action))
    bodies = {
        "POST /auth/refresh": {"refresh": api.refresh_token},
        "POST /notifications/read": {"until": "2026-01-01T00:00:00Z"},
    }
    body = bodies.get(route, {})
    assert api.post(route.removeprefix("POST "), body).status_code < 300
    assert len(acts(*Action)) == before


def test_reading_is_counted_and_not_logged(client_of, ann):
    api = client_of(ann)
    before = len(acts(*Action))
    for path in ("/portfolio", "/trades", "/me", "/me/activity", "/sessions"):
        assert api.get(path).status_code == 200
    assert len(acts(*Action)) == before
    with tenancy.as_user(ann.id), database.cursor() as cursor:
        cursor.execute("SELECT array_agg(DISTINCT f) FROM session_activity, unnest(features) AS f")
        assert set(cursor.fetchone()[0]) == {"portfolio", "trades", "me", "sessions"}


def test_what_the_caller_knows_better_stands_before_the_requests(ann):
    session, other = ids.new_id(), ids.new_id()
    with (
        structlog.contextvars.bound_contextvars(
            session_id=str(other), client_address=ADDRESS, request_id="r" * 8
        ),
        tenancy.as_user(ann.id),
    ):
        log.record(Action.USER_SIGNED_OUT, user_id=ann.id)
        log.record(Action.USER_SIGNED_OUT, user_id=ann.id, session_id=session, ip_address="::1")
    first, second = acts(Action.USER_SIGNED_OUT)
    assert (first.session_id, first.ip_address, first.request_id) == (other, ADDRESS, "r" * 8)
    assert (second.session_id, second.ip_address) == (session, "::1")
