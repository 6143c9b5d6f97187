"""The demo of ``make run``: a person with history, a member of staff, and keys for the reader."""

import json
import urllib.request
from datetime import datetime, timedelta

from django.conf import settings

from accounts.models import User
from billing import catalogue, grants, plans
from billing.models import PlanGrant
from exchanges import connections, prices
from exchanges.models import ExchangeConnection
from exchanges.reports import Credential
from tracker import clock, local, tenancy
from tracker.local_environment import Ports

DEMO, STAFF = "demo@example.com", "staff@example.com"
_EXCHANGES = ("binance", "kraken")
_DEMO_ACCOUNT, _READER_ACCOUNT = 0, 1


def introduce(where: Ports) -> str:
    """Make sure that the demo exists; returns the lines that ``make run`` prints."""
    logins = local.demo_logins()
    for _ in catalogue.sync():  # the sandbox Stripe forgets all when it ends
        pass
    seed(where, logins=logins, now=clock.now())
    reader = _sandbox_key(where, "binance", _READER_ACCOUNT)
    at_kraken = _sandbox_key(where, "kraken", _READER_ACCOUNT)
    return "\n".join([
        "",
        f"API:              {where.web_url}/api/v1",
        f"Docs:             {where.web_url}/api/docs",
        f"Admin:            {settings.PUBLIC_URL}{settings.ADMIN_PREFIX}",
        f"Sandbox exchange: {where.sandbox_url}",
        f"Sandbox Stripe:   {where.stripe_url}",
        f"Live prices:      {where.web_url}/live",
        f"Demo login:       {DEMO}  {logins['demo']}",
        f"Staff login:      {STAFF}  {logins['staff']}",
        "",
        "A sandbox account that nobody has connected yet, for your own sign-up:",
        f"API key: {reader.api_key}",
        f"API secret: {reader.api_secret}",
        "The same person's account at the sandbox's Kraken:",
        f"Kraken API key: {at_kraken.api_key}",
        f"Kraken API secret: {at_kraken.api_secret}",
        "",
    ])  # fmt: skip


def seed(where: Ports, *, logins: dict[str, str], now: datetime) -> None:
    """Create the demo person with two connected accounts, and a member of staff. Idempotent.

    What was withdrawn from one of the accounts arrives at the other.
    """
    with tenancy.as_system("seed demo"):
        demo = User.objects.filter(email=DEMO).first()
        if demo is None:
            demo = User.objects.create_user(DEMO, logins["demo"])
        if not PlanGrant.objects.filter(user_id=demo.id).exists():
            grants.grant(
                user_id=demo.id, tier=plans.with_live_prices(), until=now + timedelta(days=3650),
                reason="the demo", actor_id=None, now=now,
            )  # fmt: skip
        if not User.objects.filter(email=STAFF).exists():
            User.objects.create_superuser(STAFF, logins["staff"])
        connected = ExchangeConnection.objects.filter(user_id=demo.id).exists()
    if not connected:
        prices.refresh_due(now=now)
        for exchange in _EXCHANGES:
            connections.create(
                user=demo, exchange=exchange, label="",
                credential=_sandbox_key(where, exchange, _DEMO_ACCOUNT), now=now,
            )  # fmt: skip


def _sandbox_key(where: Ports, exchange: str, number: int) -> Credential:
    """The read-only key of a sandbox account, as the sandbox hands it out."""
    url = f"{where.sandbox_url}/sandbox/{exchange}/accounts/{number}"
    with urllib.request.urlopen(url, timeout=timedelta(seconds=10).seconds) as answer:  # noqa: S310
        key = json.load(answer)["keys"]["read"]
    return Credential(api_key=key["api_key"], api_secret=key["api_secret"])
