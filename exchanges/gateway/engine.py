"""One visit to one account: reads what a dialect declares, and says exactly what it got.

Calls go out one after the other, because exchanges want one ordered stream of nonces per key.
Nothing here knows an exchange by name.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from exchanges.gateway import pagination, planning, rows
from exchanges.gateway.dialects.base import (
    Batch,
    Call,
    Feed,
    Holding,
    Interpret,
    Surroundings,
    WalletCall,
)
from exchanges.gateway.errors import (
    AddressNotAllowed,
    GatewayError,
    Malformed,
    MissingPermission,
    OnMaintenance,
    RateLimited,
    SymbolUnknown,
    TimedOut,
    Unreachable,
    Unsupported,
    WrongClock,
    WrongKey,
)
from exchanges.gateway.line import Line, answered
from exchanges.gateway.markets import Markets
from exchanges.gateway.reading import DELISTED, Reading, arguments, beginning, row_name
from exchanges.gateway.rows import BadRow
from exchanges.reports import (
    AccountReport,
    Balance,
    Covered,
    Credential,
    Fact,
    Failure,
    Form,
    Quarantined,
    Trade,
    Transfer,
    Visit,
)

Watch = planning.Watch


FUTURE = timedelta(days=2)  # a row dated further ahead than this is not believed


OPENING_MARGIN = timedelta(days=1)  # nothing is lost where clocks or time zones differ


SLICED_FROM = timedelta(days=60)  # shorter histories are read in one go


SLICE_ROWS = 150  # of one stretch, three times as many where an account was busy


DELISTED_REST = timedelta(days=30)


ANSWER_FAULTS = (KeyError, TypeError, IndexError, ValueError, AttributeError)


_NOT_ENABLED = (MissingPermission, WrongKey, Unsupported)  # for what is optional


_HOPELESS = (RateLimited, OnMaintenance, TimedOut, WrongKey, AddressNotAllowed, WrongClock)


def _not_enabled(error: GatewayError) -> bool:
    """Whether an optional part is simply not there for this account: a plain refusal."""
    return isinstance(error, _NOT_ENABLED) or type(error) is GatewayError


def _is_other_account(feed: Feed, error: GatewayError) -> bool:
    """Whether this feed belongs to another kind of account than the one that is read."""
    return feed.other_account and isinstance(error, Unsupported)


class AccountVisit:
    """Collects the report of one account."""

    def __init__(
        self,
        visit: Visit,
        line: Line,
        client: Any,
        credential: Credential,
        watch: Watch | None = None,
    ) -> None:
        self.visit, self.line, self.client = visit, line, client
        self._plan = planning.Running(visit, line, watch)
        self.dialect = line.dialect
        self._secrets = (credential.api_key, credential.api_secret, credential.passphrase)
        self.markets = Markets(())
        self.surroundings = Surroundings(self.markets, visit.codes)
        self.wallets: set[str] = set()
        self.balances: dict[tuple[str, str], Decimal] = {}
        self.facts: dict[tuple[str, str], Fact] = {}
        self.covered: dict[tuple[str, str], Covered] = {}
        self._until = visit.now
        self.failures: list[Failure] = []
        self.put_off: list[Failure] = []  # for lack of time or weight, and nothing else
        self.quarantined: list[Quarantined] = []
        self.moved: frozenset[str] = frozenset()
        self.given_up: GatewayError | None = None
        self._gave_up_for_time = self._refused_for_time = False
        self.markets_missing = False
        self._last_error: GatewayError | None = None
        self._unreachable = 0
        self._account = str(visit.connection_id)
        self._resume_after = 0

    async def report(self) -> AccountReport:
        """Balances first, then the feeds that can have changed. Raises GatewayError when
        not even a balance could be read."""
        await self._prepare()
        await self._read_wallets()
        self.moved = self._moved_codes()
        self._plan.begin([feed for feed in self.dialect.feeds if self._wanted(feed)], self._left)
        for until in await self._slice_ends():
            self._until, before = until, dict(self.covered)
            self.surroundings.noted.clear()
            await self._read_feeds()
            if self.dialect.sliced_by and (self.given_up or self.put_off):
                self.covered = before  # what several feeds tell together is read together
                break
        return self._finished()

    async def _read_feeds(self) -> None:
        for feed in self.dialect.feeds:
            if self._wanted(feed):  # earlier ones may have shown that there is earn to read
                if not self.given_up:
                    self._plan.next(feed)
                await self._read_feed(feed)

    async def _slice_ends(self) -> list[datetime]:
        """Where to pause in a long history whose feed can only be read whole.

        An offset moves when rows are added, so such a reading cannot be taken up where it broke
        off. It is cut into stretches of about as many rows as one visit has the time for.
        """
        now = self.visit.now
        feed = next((f for f in self.dialect.feeds if f.name == self.dialect.sliced_by), None)
        if feed is None or not self._wanted(feed):
            return [now]
        start = beginning(feed, self.known(feed.name, ""), now)
        if now - start < SLICED_FROM:
            return [now]
        try:
            first, parts = await self._stretches(feed, start)
        except (GatewayError, BadRow, *ANSWER_FAULTS):
            return [now]  # reading it will say why
        return [first + (now - first) * part / parts for part in range(1, parts)] + [now]

    async def _stretches(self, feed: Feed, start: datetime) -> tuple[datetime, int]:
        """When the first row after an instant was, and into how many parts what follows is cut.

        An exchange is years older than most accounts, so time alone says little of rows.
        """
        paging: Any = feed.paging
        times = {paging.since: paging.stamp(start), paging.until: paging.stamp(self.visit.now)}
        total = paging.total(await self._ask(feed.call, **times))
        parts = max(math.ceil(total / SLICE_ROWS), 1)
        if parts == 1 or feed.when is None:
            return start, parts
        oldest = await self._ask(feed.call, **times, **{paging.param: total - 1})
        return min(map(feed.when, feed.rows(oldest)), default=start), parts

    def known(self, feed: str, scope: str) -> Covered | None:
        """How far a scope was read, by earlier visits or by this one."""
        return self.covered.get((feed, scope)) or self.visit.known.get((feed, scope))

    def _left(self, feed: Feed) -> list[str]:
        """The scopes that a feed has, as far as is known before it is read."""
        return self._scopes(()) if feed.scoped else [""]

    # --- preparation ----------------------------------------------------------------------------

    async def _prepare(self) -> None:
        await self.line.clock()
        options = self.line.exchange.template.options
        if "timeDifference" in options:
            self.client.options["timeDifference"] = options["timeDifference"]
        if self.dialect.needs_markets:
            self.markets = await self._load_markets()
            self._share_markets()
        known = self.markets.codes | self.visit.codes
        self.surroundings = Surroundings(self.markets, known)

    async def _load_markets(self) -> Markets:
        try:
            return await self.line.markets()
        except GatewayError as error:
            if not self.dialect.markets_optional or isinstance(error, _HOPELESS):
                raise
            self.markets_missing = True
            self.failures.append(Failure("markets", "", error.code, error.permanent))
        return Markets(())

    def _share_markets(self) -> None:
        template = self.line.exchange.template
        if template.markets:
            self.client.set_markets_from_exchange(template)

    async def _ask(self, call: Call, *args: Any, **params: Any) -> Any:
        if self.given_up:
            self._refused_for_time = self._gave_up_for_time
            raise type(self.given_up)(retry_after=self.given_up.retry_after)
        self._plan.count()
        try:
            answer = await self.line.ask(self.client, call, *args, account=self._account, **params)
        except GatewayError as error:
            waits = isinstance(error, RateLimited) and not answered(self.client)
            self._refused_for_time = waits or self.line.left <= 0
            if not (waits and call.per_account):  # other pools have weight left
                self._consider_giving_up(error)
            raise
        self._unreachable = 0
        return answer

    def _consider_giving_up(self, error: GatewayError) -> None:
        """After a ban or two dead calls in a row, asking on would only make it worse."""
        self._unreachable += isinstance(error, Unreachable)
        out_of_time = self.line.left <= 0
        if isinstance(error, (RateLimited, OnMaintenance)) or self._unreachable > 1 or out_of_time:
            self.given_up, self._gave_up_for_time = error, self._refused_for_time

    # --- balances -------------------------------------------------------------------------------

    async def _read_wallets(self) -> None:
        first: GatewayError | None = None
        for wallet in dict.fromkeys(call.wallet for call in self.dialect.wallets):
            calls = [c for c in self.dialect.wallets if c.wallet == wallet and self._due(c)]
            try:
                parts = await self._account_calls(calls)
            except GatewayError as error:
                self._wallet_failed(wallet, error)
                first = first or error
                continue
            for name in dict.fromkeys(part.wallet for part in parts):
                problem = await self._try_wallet(name, [p for p in parts if p.wallet == name])
                first = first or problem
        if not self.wallets and first and not self.quarantined:
            raise type(first)(retry_after=first.retry_after)

    async def _try_wallet(self, wallet: str, calls: Iterable[WalletCall]) -> GatewayError | None:
        try:
            await self._read_wallet(wallet, calls)
        except GatewayError as error:
            self._wallet_failed(wallet, error)
            return error
        return None

    async def _account_calls(self, calls: Iterable[WalletCall]) -> list[WalletCall]:
        """The calls themselves; instead of one that lists accounts, one for each of these."""
        parts: list[WalletCall] = []
        for call in calls:
            parts += [call] if call.accounts is None else await self._listed_accounts(call)
        return parts

    async def _listed_accounts(self, call: WalletCall) -> list[WalletCall]:
        answer = await self._ask(call.call)
        try:
            return list(call.accounts(answer, self.surroundings))  # type: ignore[misc]
        except ANSWER_FAULTS:
            self._quarantine(
                "balances", call.wallet, "the answer has another shape", answer, form=Form.BALANCE
            )
        raise Malformed

    def _due(self, call: WalletCall) -> bool:
        if self.visit.everything:
            return True
        return not call.rarely and (not call.needs_earn or self._earn_seen())

    def _earn_seen(self) -> bool:
        held = any(wallet == "earn" and amount for (wallet, _), amount in self.visit.held.items())
        return held or self.surroundings.earn_seen

    async def _read_wallet(self, wallet: str, calls: Iterable[WalletCall]) -> None:
        found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        read = False
        for call in calls:
            try:
                holdings = await self._read_part(call)
            except GatewayError as error:
                if not self._does_without(call, error):
                    raise
                continue
            read = True
            self.wallets |= call.tells
            for holding in holdings:
                found[holding.wallet or wallet, holding.code] += holding.quantity
        if read:
            self.wallets.add(wallet)
            self.wallets |= {name for name, _ in found}
            self.balances |= {key: amount for key, amount in found.items() if amount}

    def _does_without(self, call: WalletCall, error: GatewayError) -> bool:
        """Whether a refusal says that there is no such wallet; not where it held something."""
        held = any(wallet == call.wallet and q for (wallet, _), q in self.visit.held.items())
        return bool(call.optional and self.wallets and _not_enabled(error) and not held)

    async def _read_part(self, call: WalletCall) -> list[Any]:
        holdings: list[Holding] = []
        page, cursor = 1, ""
        while True:
            params: dict[str, Any] = {call.page: page} if call.page else {}
            params |= {"cursor": cursor} if cursor else {}
            answer = await self._ask_balances(call, params)
            got = self._parse_balances(call, answer)
            holdings += got
            more, cursor = _more(call, answer, page, cursor)
            if not more or not got:
                return holdings
            page += 1

    async def _ask_balances(self, call: WalletCall, params: Mapping[str, Any]) -> Any:
        if call.otherwise is None:
            return await self._ask(call.call, **params)
        try:
            return await self._ask(call.call, **params)
        except (*_HOPELESS, MissingPermission):
            raise
        except GatewayError:
            pass
        return await self._ask(call.otherwise, **params)

    def _parse_balances(self, call: WalletCall, answer: Any) -> list[Any]:
        before = len(self.surroundings.bad)
        try:
            holdings = list(call.parse(answer, self.surroundings))
        except ANSWER_FAULTS:
            reason = "the answer has another shape"
            self._quarantine("balances", call.wallet, reason, answer, form=Form.BALANCE)
            raise Malformed from None
        for reason, row in self.surroundings.bad[before:]:
            self._quarantine("balances", call.wallet, reason, row, form=Form.BALANCE)
        if len(self.surroundings.bad) > before:
            raise Malformed  # a wallet with an unreadable row is not known to its end
        return holdings

    def _wallet_failed(self, wallet: str, error: GatewayError) -> None:
        if not self.wallets and isinstance(error, _HOPELESS):
            raise type(error)(retry_after=error.retry_after) from None
        self.failures.append(Failure("balances", wallet, error.code, error.permanent))

    # --- what to ask ----------------------------------------------------------------------------

    def _moved_codes(self) -> frozenset[str]:
        """Codes whose balance differs from what was last recorded, in the wallets just read."""
        before = {key: q for key, q in self.visit.held.items() if key[0] in self.wallets and q}
        keys = before.keys() | self.balances.keys()
        return frozenset(c for w, c in keys if before.get((w, c)) != self.balances.get((w, c)))

    def _wanted(self, feed: Feed) -> bool:
        if not self.visit.history:
            return False
        if feed.needs_earn and not (self._earn_seen() or self.visit.everything):
            return False
        if self._is_replaced(feed):
            self.surroundings.refused.add(feed.name)
            return False
        if feed.instead_of and feed.instead_of not in self.surroundings.refused:
            return False
        return self.visit.everything or bool(self.moved and feed.concerns(self.moved))

    def _is_replaced(self, feed: Feed) -> bool:
        """Whether another feed has told this one's facts before: then it goes on doing so."""
        return any(f.instead_of == feed.name and self._was_read(f) for f in self.dialect.feeds)

    def _was_read(self, feed: Feed) -> bool:
        now_read = any(name == feed.name for name, _ in self.covered)
        return now_read or any(name == feed.name for name, _ in self.visit.known)

    def _codes_seen(self) -> set[str]:
        codes = {code for _, code in self.balances} | {code for _, code in self.visit.held}
        codes |= self.visit.codes | self.surroundings.seen
        for fact in self.facts.values():
            codes |= {fact.base_code, fact.quote_code} if isinstance(fact, Trade) else {fact.code}
        return codes

    def _scopes(self, asked: Collection[str]) -> list[str]:
        """Symbols or accounts still to ask of a scoped feed."""
        found = self._symbols() if self.dialect.symbols else self._accounts()
        return [scope for scope in found if scope not in asked]

    def _symbols(self) -> list[str]:
        codes = self._codes_seen()
        first_time = not any(feed == "trades" for feed, _ in self.visit.known)
        quotes = None if first_time else codes | self.dialect.major_quotes
        between = self.markets.between(codes, quotes)
        if not self.visit.everything:
            moved = self.moved
            between = [m for m in between if m.base in moved or m.quote in moved]
        known = [scope for feed, scope in self.visit.known if feed == "trades" and scope]
        again = [s for s in known if self.visit.everything and self._had_rows(s)]
        return list(dict.fromkeys([market.id for market in between] + again))

    def _had_rows(self, symbol: str) -> bool:
        cursor = self.visit.known["trades", symbol].cursor
        return bool(cursor) and not cursor.startswith(DELISTED)

    def _accounts(self) -> list[str]:
        return [
            account
            for account, code in self.surroundings.accounts.items()
            if self.visit.everything or not code or code in self.moved
        ]

    # --- history --------------------------------------------------------------------------------

    async def _read_feed(self, feed: Feed) -> None:
        collected: dict[str, Any] = {}
        failed, covered = len(self.failures) + len(self.put_off), dict(self.covered)
        if not feed.scoped:
            await self._read_scope(feed, "", collected)
        else:
            await self._read_scopes(feed, collected)
        if feed.interpret:
            now_failed = len(self.failures) + len(self.put_off)
            broke = self._last_error if now_failed > failed else None
            known = {**self.visit.known, **covered}
            self._interpret(feed, feed.interpret, collected, broke, known)
            if broke and feed.scoped:
                self.covered = covered  # a fact's other half may lie in the missing part

    async def _read_scopes(self, feed: Feed, collected: dict[str, Any]) -> None:
        """Each round may reveal codes whose markets were not asked yet."""
        asked: set[str] = set()
        while scopes := self._scopes(asked):
            if not self.given_up:
                self._plan.found(feed, scopes)
            for scope in scopes:
                asked.add(scope)
                if feed.name not in self.surroundings.refused and not self._rests(feed, scope):
                    await self._read_scope(feed, scope, collected)

    def _rests(self, feed: Feed, scope: str) -> bool:
        known = self.known(feed.name, scope)
        delisted = known is not None and known.cursor.startswith(DELISTED)
        return delisted and self.visit.now - known.until < DELISTED_REST  # type: ignore[union-attr]

    async def _read_scope(self, feed: Feed, scope: str, collected: dict[str, Any]) -> None:
        known = self.known(feed.name, scope)
        opened = await self._opened() if feed.from_opening and known is None else None
        progress = Reading(feed, scope, known, self._until, opened)
        try:
            try:
                await self._read_pages(feed, scope, progress, collected)
            except GatewayError as error:
                if not progress.refused_as_too_old(error):
                    raise
                await self._read_pages(feed, scope, progress, collected)
        except SymbolUnknown as error:
            progress.cursor = f"{DELISTED} {progress.cursor}".strip()
            progress.until = self._until
            self._failed(feed, scope, error)
        except GatewayError as error:
            if not (self._is_refusal(feed, error) or _is_other_account(feed, error)):
                self._failed(feed, scope, error)
        except ANSWER_FAULTS:
            self._failed(feed, scope, Malformed())
        if covered := progress.covered(self.visit.now):
            self.covered[feed.name, scope] = covered

    async def _opened(self) -> datetime | None:
        """When the account was opened, where the exchange tells this key."""
        opening = self.dialect.opening
        if opening is None:
            return None
        try:
            return opening.read(await self._ask(opening.call)) - OPENING_MARGIN
        except (GatewayError, *ANSWER_FAULTS):
            return None

    def _is_refusal(self, feed: Feed, error: GatewayError) -> bool:
        """Whether an optional feed is simply not there for this key. One that has a substitute
        and was read before is expected: asking the substitute would tell everything twice."""
        if not (feed.optional and _not_enabled(error)):
            return False
        if self._was_read(feed) and any(f.instead_of == feed.name for f in self.dialect.feeds):
            return False
        self.surroundings.refused.add(feed.name)
        return True

    async def _read_pages(
        self, feed: Feed, scope: str, progress: "Reading", collected: dict[str, Any]
    ) -> None:
        last: list[Any] = []

        async def ask(**params: Any) -> Any:
            last[:] = [await self._ask(feed.call, *arguments(feed, scope, params), **params)]
            return last[0]

        try:
            async for page in pagination.pages(feed, ask, progress.span):
                pending = self._take(feed, scope, page.rows, collected)
                if page.overfull:
                    reason = "more rows than one page can hold"
                    self._quarantine(feed.name, scope, reason, [], form=Form.GAP)
                progress.move(page, pending)
        except ANSWER_FAULTS:
            reason = "the page has another shape"
            self._quarantine(feed.name, scope, reason, last, form=Form.PAGE)
            raise Malformed from None

    def _take(
        self, feed: Feed, scope: str, page: Iterable[Any], collected: dict[str, Any]
    ) -> datetime | None:
        """Turn a page into facts; the result is the oldest transfer that is still pending."""
        counted: Counter[str] = Counter()
        pending: list[datetime] = []
        self.surroundings.scope = scope
        for row in page:
            name = ""
            try:
                name = row_name(feed, row, counted)
                if feed.interpret:
                    collected.setdefault(name, row)
                    continue
                facts = list(feed.parse(row, name, self.surroundings)) if feed.parse else []
                pending += self._add(facts)
            except BadRow as problem:
                self._quarantine(feed.name, scope, str(problem), row, name=name)
            except ANSWER_FAULTS:
                self._quarantine(feed.name, scope, "the row has another shape", row, name=name)
        return min(pending, default=None)

    def _add(self, facts: Iterable[Fact]) -> list[datetime]:
        pending = []
        for fact in facts:
            if fact.occurred_at > self.visit.now + FUTURE:
                raise BadRow("the time lies in the future")
            self.facts.setdefault((fact.feed, fact.exchange_id), fact)
            if isinstance(fact, Transfer) and not fact.settled:
                pending.append(fact.occurred_at)
        return pending

    def _interpret(
        self,
        feed: Feed,
        interpret: Interpret,
        collected: Mapping[str, Any],
        broke: GatewayError | None,
        known_before: Mapping[tuple[str, str], Covered],
    ) -> None:
        known = [c for (name, _), c in known_before.items() if name == feed.name]
        known_until = min((c.until for c in known), default=None)
        since = known_until - feed.overlap if known_until else feed.launched
        batch = Batch(since, self._until, known_until, broke)
        facts, bad = interpret(collected, batch, self.surroundings)
        for fact in facts:
            try:
                self._add([fact])
            except BadRow as problem:
                bad.append((str(problem), fact.exchange_id))
        names = {id(row): name for name, row in collected.items()}
        for reason, row in bad:
            self._quarantine(feed.name, "", reason, row, name=names.get(id(row), ""))

    # --- outcome --------------------------------------------------------------------------------

    def _failed(self, feed: Feed, scope: str, error: GatewayError) -> None:
        self._last_error = error
        failure = Failure(feed.name, scope, error.code, error.permanent)
        if self._refused_for_time:
            self.put_off.append(failure)
            self._resume_after = max(self._resume_after, error.retry_after or 0)
        else:
            self.failures.append(failure)

    def _quarantine(
        self, feed: str, scope: str, reason: str, row: Any, *, form: Form = Form.ROW, name: str = ""
    ) -> None:
        payload, is_whole = rows.payload(row, secrets=self._secrets)
        kept = Quarantined(feed, scope, reason, payload, form, name, is_whole)
        if kept not in self.quarantined:  # windows share their edges
            self.quarantined.append(kept)

    def _finished(self) -> AccountReport:
        unfinished = bool(self.put_off) and self._got_further()
        return AccountReport(
            connection_id=self.visit.connection_id,
            read_at=self.visit.now,
            wallets=frozenset(self.wallets),
            balances=tuple(Balance(w, c, amount) for (w, c), amount in self.balances.items()),
            facts=tuple(self.facts.values()),
            covered=tuple(self.covered.values()),
            failures=tuple(self.failures if unfinished else self.failures + self.put_off),
            quarantined=tuple(self.quarantined),
            complete_history=self._complete_history(),
            unfinished=unfinished,
            resume_after=self._resume_after,
            timeline=self.line.calls.timeline(),
        )

    def _complete_history(self) -> bool:
        whole = self.given_up is None and not self.put_off and not self.markets_missing
        return self.visit.history and self.visit.everything and whole

    def _got_further(self) -> bool:
        """Whether this visit read anything that was put off, or for the first time.

        Without that it would begin the same again and again: then it has failed.
        """
        waiting = {(item.feed, item.scope) for item in self.put_off}
        for item in self.covered.values():
            before = self.visit.known.get((item.feed, item.scope))
            moved = before is None or (item.until, item.cursor) > (before.until, before.cursor)
            if moved and (before is None or (item.feed, item.scope) in waiting):
                return True
        return False


def _more(call: WalletCall, answer: Any, page: int, before: str) -> tuple[bool, str]:
    """Whether a paged balance goes on, and the cursor of its next page."""
    if call.following:
        cursor = call.following(answer)
        return bool(cursor) and cursor != before, cursor
    return bool(call.total) and page * call.page_size < call.total(answer), ""  # type: ignore[misc]
