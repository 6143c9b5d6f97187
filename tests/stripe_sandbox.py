"""A running Stripe sandbox for tests: its client, its controls, and a listener for events."""

import json
import os
import queue
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import stripe

from tests.servers import PROJECT

STOP_SECONDS = 10
WAIT_SECONDS = 10
_POLL_SECONDS = 0.02
SECRET_KEY = "sk_test_sandboxsandboxsandboxsandbox"
PUBLIC_KEY = "pk_test_sandboxsandboxsandboxsandbox"
WEBHOOK_SECRET = "whsec_sandboxsandboxsandbox"


class NoEvent(AssertionError):
    """An event was waited for and did not come."""


class StripeSandbox:
    """`sandbox.client.v1.customers.create({...})`, `sandbox.subscription(id, "renew")`."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process, self.port = process, port
        self.url = f"http://127.0.0.1:{port}"
        self.client = self.client_of(SECRET_KEY)
        self.phone = self.client_of(PUBLIC_KEY)

    def client_of(self, key: str, *, retries: int = 0, timeout: float = 30) -> stripe.StripeClient:
        """Stripe's own client on the sandbox."""
        return stripe.StripeClient(
            key,
            base_addresses={"api": self.url},
            max_network_retries=retries,
            http_client=stripe.RequestsClient(timeout=timeout),
        )

    def reset(self) -> None:
        """Forget everything, listeners too."""
        self.call("DELETE", "")

    def listen(self, url: str, secret: str = WEBHOOK_SECRET) -> None:
        self.call("POST", "/webhooks", url=url, secret=secret)

    def pay(self, secret: str, method: str = "pm_card_visa") -> stripe.PaymentIntent:
        """What the payment sheet of a phone does with the secret of a payment intent."""
        params: Any = {"client_secret": secret, "payment_method": method}
        return self.phone.v1.payment_intents.confirm(secret.partition("_secret_")[0], params)

    def set_up(self, secret: str, method: str = "pm_card_visa") -> stripe.SetupIntent:
        """The same with the secret of a setup intent."""
        params: Any = {"client_secret": secret, "payment_method": method}
        return self.phone.v1.setup_intents.confirm(secret.partition("_secret_")[0], params)

    def authenticate(self, intent: str, *, success: bool = True) -> Any:
        return self.call("POST", f"/payment_intents/{intent}/authenticate", success=success)

    def subscription(self, named: str, act: str, **sent: Any) -> Any:
        """`renew`, `retry`, `expire`, `end_trial`, `end_period`, `warn_of_trial_end`."""
        return self.call("POST", f"/subscriptions/{named}/{act}", **sent)

    def dispute(self, charge: str) -> Any:
        return self.call("POST", f"/charges/{charge}/dispute", status="needs_response")

    def close_dispute(self, named: str, status: str) -> Any:
        return self.call("POST", f"/disputes/{named}", status=status)

    def complete_checkout(self, session: str, method: str = "pm_card_visa") -> Any:
        return self.call("POST", f"/checkout/{session}/complete", payment_method=method)

    def pause_deliveries(self, paused: bool = True) -> None:
        self.call("POST", "/deliveries", paused=paused)

    def events(self) -> list[Any]:
        """Every event so far, oldest first, whether delivered or not."""
        return self.call("GET", "/events")["data"]

    def deliver(self, event: str) -> int:
        """Deliver an event once more; the status that came back."""
        return self.call("POST", f"/events/{event}/deliver")["status"]

    def requests(self) -> dict[str, int]:
        """How often each endpoint was called: `{"POST /v1/customers": 1}`."""
        return self.call("GET", "/state")["requests"]

    @contextmanager
    def fault(self, **fault: Any) -> Iterator[None]:
        """`with sandbox.fault(path="customers", kind="status", status=503, times=1):`"""
        self.call("POST", "/faults", **fault)
        try:
            yield
        finally:
            self.call("DELETE", "/faults")

    def call(self, method: str, path: str, /, **sent: Any) -> Any:
        """One of the sandbox's own controls. Raises urllib.error.HTTPError."""
        return json.loads(self.fetch(method, f"/_sandbox{path}", json.dumps(sent).encode()))

    def press(self, url: str, form: bytes) -> bytes:
        """Send a form of one of the sandbox's pages, and follow nothing.

        Raises urllib.error.HTTPError, also for a redirect.
        """
        return urllib.request.build_opener(_Unfollowing).open(url, form, timeout=30).read()

    def fetch(self, method: str, path: str, body: bytes | None = None) -> bytes:
        url = path if path.startswith("http") else self.url + path
        request = urllib.request.Request(url, method=method, data=body)  # noqa: S310  (loopback)
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.read()


class _Unfollowing(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None


class _Server(ThreadingHTTPServer):
    # Many events come at once, and a connection that finds no room is tried again a second later.
    request_queue_size = 128


class Listener:
    """Takes webhooks on a thread of its own, checks their signature, and queues the events."""

    def __init__(self, secret: str = WEBHOOK_SECRET) -> None:
        self.secret = secret
        self.answers: queue.SimpleQueue[int] = queue.SimpleQueue()  # instead of 200, in order
        self.arrived: queue.Queue[stripe.Event] = queue.Queue()
        self.seen: list[stripe.Event] = []
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/stripe"

    def wait_for(self, *kinds: str) -> list[stripe.Event]:
        """One event of each kind, those that came already included. Raises NoEvent."""
        missing = [kind for kind in kinds if not self._of(kind)]
        while missing:
            try:
                self.seen.append(self.arrived.get(timeout=WAIT_SECONDS))
            except queue.Empty:
                had = [event.type for event in self.seen]
                raise NoEvent(f"no {missing}, only {had}") from None
            missing = [kind for kind in missing if not self._of(kind)]
        return [self._of(kind)[-1] for kind in kinds]

    def forget(self) -> None:
        """From here on only what comes later counts."""
        while not self.arrived.empty():
            self.arrived.get()
        self.seen.clear()

    def _of(self, kind: str) -> list[stripe.Event]:
        return [event for event in self.seen if event.type == kind]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(listener.take(body, self.headers["Stripe-Signature"]))
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler

    def take(self, body: bytes, signature: str) -> int:
        """The status to answer with; only what is answered with 200 is queued."""
        event = stripe.Webhook.construct_event(body, signature, self.secret)
        status = 200 if self.answers.empty() else self.answers.get()
        if status == 200:
            self.arrived.put(event)
        return status

    def __enter__(self) -> "Listener":
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(_POLL_SECONDS,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def running(*flags: str) -> Iterator[StripeSandbox]:
    """A sandbox in a process of its own on a free port, stopped at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "billing.sandbox", "--port", "0", *flags],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )
    try:
        # The first line says that it listens and where, so nothing has to be polled.
        line = process.stdout.readline() if process.stdout else ""
        yield StripeSandbox(process, int(line.split()[-1]))
    finally:
        stop(process)


def stop(process: "subprocess.Popen[str]") -> int:
    """End it as SIGTERM does; its exit code."""
    if process.poll() is None:
        process.terminate()
    try:
        code = process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    if process.stdout:
        process.stdout.close()
    return code
