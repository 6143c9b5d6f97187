"""Running the sandbox from a command line, for `python -m` and for manage.py alike."""

import sys
from argparse import ArgumentParser
from typing import Any

from billing.sandbox import server
from billing.sandbox.events import Hook
from billing.sandbox.wire import StripeError

DEFAULT_PORT = 12111
SettingsError = (OSError, RuntimeError, StripeError)


def add_arguments(parser: ArgumentParser) -> None:
    """The flags of both commands."""
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0: any that is free")
    parser.add_argument("--webhook-url", help="an address of this machine that is told events")
    parser.add_argument("--webhook-secret", help="what signs them")


def run(options: dict[str, Any]) -> None:
    """Serve until stopped; one line on stdout says where. Raises one of SettingsError."""
    url, secret = options.get("webhook_url"), options.get("webhook_secret")
    hook = Hook(url, secret or "") if url else None
    server.run(port=options["port"], hook=hook, listening=_announce)


def _announce(port: int) -> None:
    sys.stdout.write(f"Stripe sandbox on port {port}\n")
    sys.stdout.flush()
