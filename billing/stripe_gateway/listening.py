"""Which addresses Stripe tells what happens."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from billing.stripe_gateway.asking import PAGE, ask


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """An endpoint as Stripe has it; its secret is told by nobody after it was made."""

    url: str
    enabled: bool
    events: tuple[str, ...]

    def tells(self, kind: str) -> bool:
        """Whether events of a kind are sent there."""
        return any(fnmatchcase(kind, pattern) for pattern in self.events)


def webhook_endpoints() -> list[WebhookEndpoint]:
    """The newest hundred endpoints of the account, of the mode of our key."""
    found = ask(lambda c: c.v1.webhook_endpoints.list({"limit": PAGE}))
    return [
        WebhookEndpoint(str(row.url), row.status == "enabled", tuple(row.enabled_events))
        for row in found.data
    ]
