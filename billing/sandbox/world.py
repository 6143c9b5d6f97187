"""What the sandbox remembers beside localstripe, all of it in memory."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from billing.sandbox.events import Events
from billing.sandbox.inner import Inner, InnerError
from billing.sandbox.wire import Object, missing

ByKey = dict[str, Object]


@dataclass
class Beside:
    """What goes with a subscription and is not part of its object."""

    base: int  # what localstripe's own line of it amounts to
    pending: list[Object] = field(default_factory=list)  # lines of its next invoice


@dataclass
class Call:
    """A request: its parameters, typed, and the identifiers in its path."""

    asked: dict[str, Any]
    ids: dict[str, str]
    version: str = ""
    is_public: bool = False  # with a publishable key, as a phone sends

    @property
    def id(self) -> str:
        """The object that the path names."""
        return self.ids["id"]


class World:
    """The objects of one sandbox."""

    def __init__(self, inner: Inner, events: Events) -> None:
        self.inner, self.events = inner, events
        self.url = ""
        self.requests: Counter[str] = Counter()
        self._begin()

    def _begin(self) -> None:
        self.prices: ByKey = {}
        self.meters: ByKey = {}
        self.usage: ByKey = {}
        self.billed: set[str] = set()  # usage that some invoice has
        self.names: dict[str, str] = {}  # of products
        self.subscriptions: ByKey = {}
        self.beside: dict[str, Beside] = {}
        self.discounts: ByKey = {}
        self.promotions: ByKey = {}
        self.invoices: ByKey = {}
        self.disputes: ByKey = {}
        self.sessions: ByKey = {}
        self.portals: ByKey = {}
        self.deleted: set[str] = set()  # customers that were
        self.extras: defaultdict[str, Object] = defaultdict(dict)  # fields localstripe lacks

    async def forget(self) -> None:
        """Start again with nothing."""
        await self.events.forget()
        await self.inner.forget()
        self.requests.clear()
        self._begin()

    async def known(self, kind: str, named: str, *, param: str | None = None) -> Object:
        """An object of localstripe's. Raises StripeError where there is none."""
        try:
            return await self.inner.get(f"{kind}s/{named}")
        except InnerError as error:
            if error.status != 404:
                raise
            raise missing(kind, named, param=param) from None


def kept(objects: ByKey, noun: str, named: str, *, param: str | None = None) -> Object:
    """An object of ours. Raises StripeError where there is none."""
    if named not in objects:
        raise missing(noun, named, param=param)
    return objects[named]
