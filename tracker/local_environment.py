"""The environment of ``make run``: where things listen, and the sandbox instead of exchanges.

Applied by ``manage.py`` before settings load, therefore free of Django.
"""

import json
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

FASTER = 10
_LIMITS = {
    "binance": {"ip": 6_000, "sapi": 12_000, "uid": 180_000},
    "kraken": {"account": 20, "public": 60},
}


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the servers that a person talks to listen."""

    web: int
    sandbox: int
    live: int
    stripe: int

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.web}"

    @property
    def sandbox_url(self) -> str:
        return f"http://127.0.0.1:{self.sandbox}"

    @property
    def stripe_url(self) -> str:
        return f"http://127.0.0.1:{self.stripe}"


def ports(environ: Mapping[str, str]) -> Ports:
    """``PORT`` (8000 unless set), ``SANDBOX_PORT`` (ten above), ``LIVE_PORT`` (twenty above) and
    ``STRIPE_PORT`` (thirty above)."""
    web = int(environ.get("PORT") or 8000)
    return Ports(
        web=web,
        sandbox=int(environ.get("SANDBOX_PORT") or web + 10),
        live=int(environ.get("LIVE_PORT") or web + 20),
        stripe=int(environ.get("STRIPE_PORT") or web + 30),
    )


def apply(environ: MutableMapping[str, str]) -> None:
    """Fill in what ``make run`` and its processes see; anything already set is left as it is."""
    where = ports(environ)
    demo = {
        "PORT": str(where.web),
        # By name, because browsers make no passkeys for an address in numbers.
        "PUBLIC_URL": f"http://localhost:{where.web}",
        "LIVE_PORT": str(where.live),
        "LIVE_URL": f"ws://localhost:{where.live}",
        # A Stripe that is only here, which takes any key of the right form.
        "STRIPE_API_URL": where.stripe_url,
        "STRIPE_API_KEY": "sk_test_onlyThisMachine0000000000",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_onlyThisMachine0000000000",
        "STRIPE_WEBHOOK_SECRETS": "whsec_onlyThisMachine0000000000",
        "BURST_LIMITS": "off",
        "PRICE_EXCHANGES": "binance",
        "EXCHANGE_BASE_URLS": json.dumps(dict.fromkeys(_LIMITS, where.sandbox_url)),
        # Ten times the exchanges' limits, at the sandbox and here: a first import takes seconds.
        "EXCHANGE_BUDGETS": json.dumps(
            {
                exchange: {pool: limit * FASTER for pool, limit in pools.items()}
                for exchange, pools in _LIMITS.items()
            }
        ),
        "PYTHONUNBUFFERED": "1",
    }
    for name, value in demo.items():
        environ.setdefault(name, value)
