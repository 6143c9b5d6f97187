"""What the explanation of differences leans on: what an account did so far, and what was read.

Read only for accounts whose books differ from their reports; the newest facts speak for all.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Max, Min

from exchanges import feeds, history, prices
from exchanges.models import (
    Asset,
    ConnectionKind,
    Coverage,
    ExchangeConnection,
    HistoricPrice,
    Price,
    QuarantinedPage,
)
from exchanges.reports import Direction, TradeKind
from portfolios.models import (
    HoldingChange,
    LedgerEntry,
    Reward,
    SyncRun,
    Trade,
    Transfer,
    TransferMatch,
)
from portfolios.reconciling.account import Account, Fact, FeedState, Habit, OtherSide, Rate
from portfolios.reconciling.differences import Difference, Place

NEWEST = 2_000  # facts of a kind that are looked at
DOLLARS = frozenset({"USD", "USDT", "USDC", "BUSD", "FDUSD", "TUSD", "USDP", "DAI"})
_FEW_RATES = 4
_DELISTED = "delisted"
# How far a price may have been from the only one that is known.
_UNKNOWN_SPAN, _TRADED_SPAN, _DAILY_SPAN = Decimal(4), Decimal("1.4"), Decimal("1.1")
_CARRIED = timedelta(days=7)  # how old a close may be that stands for a day without one
Prices = dict[UUID, tuple[Decimal, Decimal]]
# The same amount in one asset or another: a trade by what was paid, or what was traded.
_Size = list[tuple[UUID, Decimal]]

_OF_TRADE = {
    TradeKind.FILL: Fact.TRADE,
    TradeKind.CONVERSION: Fact.CONVERSION,
    TradeKind.DUST: Fact.DUST,
}
# The feeds that tell of each fact; where an exchange has none of the first, those behind it.
_GENERAL = ("ledger", "transactions")
_FEEDS_OF: Mapping[Fact, tuple[str, ...]] = {
    Fact.TRADE: ("trades",),
    Fact.FEE: ("trades",),
    Fact.CONVERSION: ("conversions",),
    Fact.DUST: ("dust",),
    Fact.PURCHASE: ("fiat_payments_buy",),
    Fact.SALE: ("fiat_payments_sell",),
    Fact.DEPOSIT: ("deposits", "fiat_deposits"),
    Fact.WITHDRAWAL: ("withdrawals", "fiat_withdrawals"),
    Fact.REWARD: ("rewards", "earn_rewards", "locked_rewards"),
    Fact.EARN: (
        "earn_subscriptions", "earn_redemptions", "locked_subscriptions", "locked_redemptions",
    ),
    Fact.MOVE: ("transfers_to_funding", "transfers_from_funding"),
}  # fmt: skip


def account(
    *, connection: ExchangeConnection, differences: Collection[Difference], now: datetime
) -> Account:
    """What is known of one account whose books differ as told. Call inside ``as_user``."""
    assets = {item.place.asset for item in differences}
    appeared = {(item.place.asset, item.appeared_at) for item in differences}
    newest = max((at for _, at in appeared), default=now)
    owner = {"user_id": connection.user_id, "connection_id": connection.id}
    trades = _newest(Trade, owner, _TRADE_COLUMNS)
    transfers = _newest(Transfer, owner, _TRANSFER_COLUMNS)
    rewards = _newest(Reward, owner, ("asset_id", "quantity", "wallet"))
    booked = _booked(owner)
    known = {*assets, *booked}
    named = {row.id: row for row in Asset.objects.filter(id__in=known)}
    codes = {key: row.code for key, row in named.items()}
    first_at = min(booked.values(), default=None)
    ranges = _prices(codes, trades, first_at, now)
    middles = {asset: (low * high).sqrt() for asset, (low, high) in ranges.items()}
    then = _rates({(asset, newest) for asset in codes})
    worths = {asset: rate.usd for (asset, _), rate in then.items()}
    states = _feed_states(owner, connection.exchange_id)
    return Account(
        by_hand=connection.kind == ConnectionKind.MANUAL, codes=codes, prices=ranges,
        fiat=frozenset(key for key, row in named.items() if row.is_fiat),
        rates=_rates(appeared), priced_on=newest.astimezone(UTC).date(),
        habits=_habits(_sizes(trades, transfers, rewards), middles, worths),
        markets=_markets(trades), fee_rates=_fee_rates(trades), booked=frozenset(booked),
        first_at=first_at,
        fee_assets=frozenset(t.fee_asset for t in trades if t.fee_is_in_a_third),
        dust_targets=frozenset(t.quote for t in trades if t.kind == TradeKind.DUST),
        feeds=states, feeds_of=_feeds_of(states), delisted=_delisted(owner, codes),
        other_sides=_other_sides(connection, assets), pending=_pending(owner, assets),
        steps=_steps(owner, assets),
    )  # fmt: skip


# --- facts --------------------------------------------------------------------------------------
_TRADE_COLUMNS = (
    "kind", "side", "base_asset_id", "base_quantity", "quote_asset_id", "quote_quantity",
    "fee_asset_id", "fee_quantity", "wallet",
)  # fmt: skip
_TRANSFER_COLUMNS = ("direction", "asset_id", "quantity", "wallet", "counter_wallet")


class _Trade:
    """One trade as the habits see it."""

    __slots__ = (
        "base", "base_quantity", "fee", "fee_asset", "kind", "quote", "quote_quantity", "side",
        "wallet",
    )  # fmt: skip

    def __init__(self, row: Sequence[Any]) -> None:
        (
            self.kind, self.side, self.base, self.base_quantity, self.quote, self.quote_quantity,
            self.fee_asset, self.fee, self.wallet,
        ) = row  # fmt: skip

    @property
    def fee_is_in_a_third(self) -> bool:
        return bool(self.fee) and self.fee_asset not in (self.base, self.quote)


def _newest(model: Any, owner: Mapping[str, UUID], columns: Sequence[str]) -> list[Any]:
    rows = model.objects.filter(**owner).order_by("-occurred_at").values_list(*columns)[:NEWEST]
    return [_Trade(row) for row in rows] if model is Trade else list(rows)


def _booked(owner: Mapping[str, UUID]) -> dict[UUID, datetime]:
    """Assets that have entries, and the first instant of each."""
    rows = LedgerEntry.objects.filter(**owner).order_by().values_list("asset_id")
    return dict(rows.annotate(first=Min("occurred_at")))


def _sizes(
    trades: Iterable[_Trade], transfers: Iterable[Any], rewards: Iterable[Any]
) -> dict[tuple[Fact, str], list[_Size]]:
    """How big every fact was, by its kind and wallet."""
    sizes: dict[tuple[Fact, str], list[_Size]] = defaultdict(list)
    for trade in trades:
        fact = _OF_TRADE.get(trade.kind) or (Fact.PURCHASE if trade.side == "buy" else Fact.SALE)
        sizes[fact, trade.wallet].append(
            [(trade.quote, trade.quote_quantity), (trade.base, trade.base_quantity)]
        )
        if trade.fee_is_in_a_third:
            sizes[Fact.FEE, trade.wallet].append([(trade.fee_asset, trade.fee)])
    for direction, asset, quantity, wallet, counter_wallet in transfers:
        if direction == Direction.INTERNAL:
            fact = Fact.EARN if "earn" in (wallet, counter_wallet) else Fact.MOVE
        else:
            fact = Fact.DEPOSIT if direction == Direction.DEPOSIT else Fact.WITHDRAWAL
        sizes[fact, wallet].append([(asset, quantity)])
    for asset, quantity, wallet in rewards:
        sizes[Fact.REWARD, wallet].append([(asset, abs(quantity))])
    return sizes


def _habits(
    sizes: Mapping[tuple[Fact, str], list[_Size]],
    middles: Mapping[UUID, Decimal],
    worths: Mapping[UUID, Decimal],
) -> dict[tuple[Fact, str], Habit]:
    return {
        key: Habit(len(found), _valued(found, middles), _valued(found, worths))
        for key, found in sizes.items()
    }


def _valued(sizes: Iterable[_Size], prices: Mapping[UUID, Decimal]) -> tuple[float, ...]:
    """Of each the amount that has a price; none of what has no price or no value."""
    values = (
        next((float(units * prices[asset]) for asset, units in size if asset in prices), 0.0)
        for size in sizes
    )
    return tuple(value for value in values if value)


def _markets(trades: Iterable[_Trade]) -> dict[tuple[UUID, UUID], int]:
    """Markets traded in, with the most decimals of the units traded."""
    found: dict[tuple[UUID, UUID], int] = {}
    for trade in trades:
        if trade.kind == TradeKind.FILL:
            market = (trade.base, trade.quote)
            found[market] = max(found.get(market, 0), _decimals(trade.base_quantity))
    return found


def _decimals(number: Decimal) -> int:
    return max(0, -int(number.normalize().as_tuple().exponent))


def _fee_rates(trades: Iterable[_Trade]) -> tuple[Decimal, ...]:
    """The commonest shares of what was received that went as a fee."""
    seen: dict[Decimal, int] = defaultdict(int)
    for trade in trades:
        received = trade.base_quantity if trade.side == "buy" else trade.quote_quantity
        asset = trade.base if trade.side == "buy" else trade.quote
        if trade.kind == TradeKind.FILL and trade.fee and trade.fee_asset == asset and received:
            seen[(trade.fee / received).quantize(Decimal("1e-5"))] += 1
    often = sorted(seen, key=lambda rate: (-seen[rate], rate))
    return tuple(often[:_FEW_RATES])


# --- prices -------------------------------------------------------------------------------------
def _prices(
    codes: Mapping[UUID, str], trades: Iterable[_Trade], first_at: datetime | None, now: datetime
) -> Prices:
    """The range in US dollars in which each asset was since the account began."""
    found: dict[UUID, list[Decimal]] = defaultdict(list)
    latest = Price.objects.filter(asset_id__in=codes).values_list("asset_id", "usd")
    daily = (
        HistoricPrice.objects.filter(asset_id__in=codes, at__gte=first_at or now)
        .order_by()
        .values_list("asset_id")
        .annotate(low=Min("usd"), high=Max("usd"))
    )
    for asset, low, high in daily:
        found[asset] += [low / _DAILY_SPAN, high * _DAILY_SPAN]
    for trade in trades:
        if codes.get(trade.quote) in DOLLARS and trade.quote_quantity:
            price = trade.quote_quantity / trade.base_quantity
            found[trade.base] += [price / _TRADED_SPAN, price * _TRADED_SPAN]
    for asset, usd in latest:
        span = Decimal(1) if asset in found else _UNKNOWN_SPAN
        found[asset] += [usd / span, usd * span]
    ranges = {asset: (min(seen), max(seen)) for asset, seen in found.items()}
    dollars = (Decimal("0.97"), Decimal("1.03"))
    return ranges | {key: dollars for key, code in codes.items() if code in DOLLARS}


def _rates(wanted: Collection[tuple[UUID, datetime]]) -> dict[tuple[UUID, datetime], Rate]:
    """The price of an asset at an instant: the latest one if that is of the same day, else the
    close of the UTC day, else that of one of the seven days before."""
    if not wanted:
        return {}
    assets = {asset for asset, _ in wanted}
    first, last = (pick(at.astimezone(UTC).date() for _, at in wanted) for pick in (min, max))
    closes = history.days(asset_ids=assets, since=first - _CARRIED, until=last)
    latest = {quote.asset_id: quote for quote in prices.latest(sorted(assets, key=str))}
    found = {
        (asset, at): _rate(at.astimezone(UTC).date(), closes.get(asset, {}), latest.get(asset))
        for asset, at in wanted
    }
    return {key: rate for key, rate in found.items() if rate}


def _rate(
    day: date, closes: Mapping[date, history.Priced], latest: prices.Quote | None
) -> Rate | None:
    if latest and latest.as_of.astimezone(UTC).date() == day:
        return Rate(latest.usd, day)
    known = [each for each in closes if day - _CARRIED <= each <= day]
    return Rate(closes[max(known)][0], max(known)) if known else None


# --- what was read ------------------------------------------------------------------------------
def _feed_states(owner: Mapping[str, UUID], exchange: str) -> dict[str, FeedState]:
    launched = feeds.launched(exchange)
    covered: dict[str, tuple[datetime, datetime | None]] = {}
    for name, since, until, cursor in Coverage.objects.filter(**owner).values_list(
        "feed", "since", "until", "cursor"
    ):
        before = covered.get(name, (since, until))
        told = None if cursor else until  # read by id: no instant says how far
        ends = [end for end in (before[1], told) if end]
        covered[name] = (min(before[0], since), None if cursor else max(ends, default=None))
    failed = _failed_feeds(owner)
    unread: dict[str, int] = defaultdict(int)
    for name in QuarantinedPage.objects.filter(**owner).values_list("feed", flat=True):
        unread[name] += 1
    names = {*launched, *covered, *failed, *unread} - {"balances"}
    return {name: _state(name, covered, failed, unread, launched) for name in names}


def _state(
    name: str,
    covered: Mapping[str, tuple[datetime, datetime | None]],
    failed: Mapping[str, str],
    unread: Mapping[str, int],
    launched: Mapping[str, datetime],
) -> FeedState:
    since, until = covered.get(name, (None, None))
    return FeedState(since, until, failed.get(name, ""), unread.get(name, 0), launched.get(name))


def _failed_feeds(owner: Mapping[str, UUID]) -> dict[str, str]:
    """Feeds that the last finished visit could not read, with the code of the error."""
    last = (
        SyncRun.objects.filter(**owner)
        .exclude(finished_at=None)
        .order_by("-finished_at")
        .values_list("problems", flat=True)
        .first()
    )
    closed = "symbol_unknown"
    return {item["feed"]: item["code"] for item in last or [] if item.get("code") != closed}


def _feeds_of(states: Mapping[str, FeedState]) -> dict[Fact, tuple[str, ...]]:
    general = tuple(name for name in _GENERAL if name in states)
    return {
        fact: tuple(name for name in names if name in states) or general
        for fact, names in _FEEDS_OF.items()
    }


def _delisted(owner: Mapping[str, UUID], codes: Mapping[UUID, str]) -> dict[UUID, str]:
    """Assets that are the base of a market for which the exchange no longer answers."""
    closed = Coverage.objects.filter(**owner, cursor__startswith=_DELISTED)
    symbols = sorted(closed.values_list("scope", flat=True))
    return {
        asset: symbol
        for asset, code in codes.items()
        for symbol in symbols
        if symbol.startswith(code)
    }


def _steps(owner: Mapping[str, UUID], assets: Collection[UUID]) -> dict[Place, Decimal]:
    """The smallest unit in which each place was ever reported; 8 decimals at least."""
    found: dict[Place, int] = {}
    rows = HoldingChange.objects.filter(**owner, asset_id__in=assets)
    for wallet, asset, quantity in rows.values_list("wallet", "asset_id", "quantity"):
        place = Place(wallet, asset)
        found[place] = max(found.get(place, 8), _decimals(quantity))
    return {place: Decimal(1).scaleb(-places) for place, places in found.items()}


# --- other halves -------------------------------------------------------------------------------
_SIDE = (
    "id", "connection_id", "asset_id", "direction", "quantity", "fee_quantity", "fee_asset_id",
    "occurred_at",
)  # fmt: skip


def _other_sides(connection: ExchangeConnection, assets: Collection[UUID]) -> tuple[OtherSide, ...]:
    """Unmatched transfers of the person's other accounts."""
    matched: set[UUID] = set()
    pairs = TransferMatch.objects.filter(user_id=connection.user_id, is_pair=True)
    for pair in pairs.values_list("withdrawal_id", "deposit_id"):
        matched |= set(pair)
    rows = Transfer.objects.filter(
        user_id=connection.user_id, asset_id__in=assets, is_settled=True,
        direction__in=[Direction.DEPOSIT, Direction.WITHDRAWAL],
    ).exclude(connection_id=connection.id)  # fmt: skip
    newest = rows.order_by("-occurred_at").values_list(*_SIDE)[:NEWEST]
    return tuple(_side(row) for row in newest if row[0] not in matched)


def _pending(owner: Mapping[str, UUID], assets: Collection[UUID]) -> tuple[OtherSide, ...]:
    rows = Transfer.objects.filter(**owner, asset_id__in=assets, is_settled=False)
    recent = rows.order_by("-occurred_at").exclude(direction=Direction.INTERNAL)
    return tuple(_side(row) for row in recent.values_list(*_SIDE)[:NEWEST])


def _side(row: Sequence[Any]) -> OtherSide:
    key, account_id, asset, direction, quantity, fee, fee_asset, at = row
    own_fee = fee if fee and fee_asset == asset else Decimal(0)
    return OtherSide(key, account_id, asset, direction == Direction.DEPOSIT, quantity, own_fee, at)
