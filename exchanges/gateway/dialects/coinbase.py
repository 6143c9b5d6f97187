"""Coinbase: accounts and fills of Advanced Trade, and each account's list of transactions.

Amounts are gross: what a withdrawal shows includes the network fee. Fills of futures move no
coins. What is staked leaves the account that is read for earn, whose own list mirrors it. The
two halves of a conversion lie in two lists, and share an id, or else their second.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from exchanges.gateway import errors, rows
from exchanges.gateway.budget import Pool
from exchanges.gateway.dialects import generic, shapes
from exchanges.gateway.dialects.base import (
    Bad,
    Batch,
    Call,
    CandleCall,
    Cursor,
    Dialect,
    Feed,
    Holding,
    KeyCheck,
    Surroundings,
    WalletCall,
    at,
    load_with_ccxt,
    the_list,
    under,
    unified_candles,
)
from exchanges.gateway.rows import BadRow, Row
from exchanges.reports import (
    Direction,
    Fact,
    Privileges,
    Reward,
    Trade,
    TradeKind,
    Transfer,
    Wallet,
)

V3 = Pool("v3", 600)
V2 = Pool("v2", 160)
CODES = {"CGLD": "CELO"}
_REWARDS = {
    "staking_reward", "inflation_reward", "interest", "earn_payout", "incentives_rewards_payout",
    "incentives_shared_clawback", "learning_reward", "airdrop", "coinbase_rewards",
    "credit_card_reward", "reward_income", "subscription_rebate",
}  # fmt: skip
_CHARGES = {  # what came or went without a counterpart that is told
    "subscription": "fee", "clawback": "clawback", "retail_simple_dust": "adjustment",
    "derivatives_settlement": "settlement",
}  # fmt: skip
_STAKES = {"staking_transfer": -1, "unstaking_transfer": 1}  # sign in the account that is read
_WRAPS = {"wrap_asset", "unwrap_asset", "retail_eth2_deprecation"}
_SETTLED = {"completed": True, "pending": False, "created": False, "waiting_for_clearing": False}
_IN_FILLS = "advanced_trade_fill"


def balances(answer: Any, around: Surroundings) -> Iterator[Holding]:
    """Available and on hold; remembers each account's id, under which transactions are asked."""
    for account in answer["accounts"]:
        try:
            code = _code(account, "currency")
            available, hold = account["available_balance"], account.get("hold") or {}
            total = rows.quantity(available, "value") + rows.quantity_or_zero(hold, "value")
            around.accounts[rows.text(account, "uuid")] = code
        except (BadRow, AttributeError, KeyError, TypeError) as problem:
            around.bad.append((str(problem), account))
            continue
        if total:
            yield Holding(code, total)


def _code(row: Row, field: str) -> str:
    found = rows.code(row, field)
    return CODES.get(found, found)


def fill(row: Row, name: str, around: Surroundings) -> Iterator[Fact]:
    """A fill; ``size`` is in quote when it says so. The commission is in quote."""
    base, dash, quote = rows.code(row, "product_id").partition("-")
    if "-" in quote:
        return
    base, quote = CODES.get(base, base), CODES.get(quote, quote)
    if not (base and dash and quote) or row.get("side") not in ("BUY", "SELL"):
        raise BadRow("product or side is unknown")
    price = rows.positive(rows.quantity(row, "price"), field="price")
    size = rows.positive(rows.quantity(row, "size"), field="size")
    in_quote = row.get("size_in_quote") is True
    fee_code, fee = rows.fee(quote, rows.quantity_or_zero(row, "commission"))
    yield Trade(
        feed="trades", exchange_id=name, kind=TradeKind.FILL, symbol=f"{base}/{quote}",
        side=row["side"].lower(), base_code=base,
        base_quantity=rows.quotient(size, price) if in_quote else size, quote_code=quote,
        quote_quantity=size if in_quote else rows.product(size, price), price=price,
        fee_code=fee_code, fee_quantity=fee, wallet=Wallet.SPOT,
        order_id=rows.text(row, "order_id"), occurred_at=rows.moment(row, "trade_time"),
    )  # fmt: skip


def transactions(
    found: Mapping[str, Row], batch: Batch, around: Surroundings
) -> tuple[list[Fact], list[Bad]]:
    """Everything but fills; the two halves of a conversion lie in two accounts' lists."""
    facts: list[Fact] = []
    bad: list[Bad] = []
    halves: dict[str, list[Row]] = defaultdict(list)
    wraps: dict[str, dict[str, Row]] = defaultdict(dict)
    for name, row in found.items():
        try:
            if row.get("type") == "trade" and _settled(row):
                halves[rows.text(row.get("trade") or {}, "id") or name].append(row)
            elif row.get("type") in _WRAPS and _settled(row):
                wraps[f"{row['type']}:{row['created_at']}"][name] = row
            else:
                facts += _transaction(row, name)
        except (BadRow, AttributeError, KeyError, TypeError) as problem:
            bad.append((str(problem), row))
    for name, rows_of_one in halves.items():
        _convert(name, rows_of_one, batch, facts, bad)
    for name, ends in wraps.items():
        _wrap(name, ends, batch, facts, bad)
    return facts, bad


def _wrap(
    name: str, ends: Mapping[str, Row], batch: Batch, facts: list[Fact], bad: list[Bad]
) -> None:
    """A coin turned into its wrapped form; ends that fit nothing came from, or went, elsewhere."""
    try:
        facts.append(_conversion(name, list(ends.values())))
        return
    except (BadRow, AttributeError, KeyError, TypeError):
        if batch.error is not None:
            return
    for end, row in ends.items():
        try:
            facts.append(_transfer(row, end, *_money(row["amount"]), settled=True))
        except (BadRow, AttributeError, KeyError, TypeError) as problem:
            bad.append((str(problem), row))


def _convert(name: str, halves: list[Row], batch: Batch, facts: list[Fact], bad: list[Bad]) -> None:
    try:
        facts.append(_conversion(name, halves))
    except (BadRow, AttributeError, KeyError, TypeError) as problem:
        if batch.error is None:
            bad.append((str(problem), halves))


def _transaction(row: Row, name: str) -> Iterator[Fact]:
    kind, settled = rows.text(row, "type"), _settled(row)
    if settled is None or kind == _IN_FILLS:
        return
    code, amount = _money(row["amount"])
    if kind in ("buy", "sell"):
        if settled:
            yield _card(row, name, kind, code, amount)
    elif kind in _REWARDS or kind in _CHARGES:
        if settled:
            word = _CHARGES.get(kind, kind)[:32]
            yield Reward("rewards", name, word, code, amount, Wallet.SPOT, _when(row))
    elif kind in _STAKES:
        if settled and amount * _STAKES[kind] > 0:
            yield _stake(row, name, code, amount)
    else:
        yield _transfer(row, name, code, amount, settled)


def _stake(row: Row, name: str, code: str, amount: Decimal) -> Transfer:
    wallets = (Wallet.SPOT, Wallet.EARN) if amount < 0 else (Wallet.EARN, Wallet.SPOT)
    return shapes.transfer(
        "transfers", name, Direction.INTERNAL, code, abs(amount), wallet=wallets[0],
        counter_wallet=wallets[1], occurred_at=_when(row),
    )  # fmt: skip


def _settled(row: Row) -> bool | None:
    return _SETTLED.get(rows.text(row, "status") or "completed")


def _money(part: Row) -> tuple[str, Decimal]:
    return _code(part, "currency"), rows.quantity(part, "amount")


def _when(row: Row) -> datetime:
    return rows.moment(row, "created_at")


def _transfer(row: Row, name: str, code: str, gross: Decimal, settled: bool) -> Transfer:
    """Sends, bank transfers, moves to other Coinbase products: the sign tells the way."""
    leaving = gross < 0
    network = row.get("network") or {}
    fee = _network_fee(network, code) if leaving else Decimal()
    fee_code, fee_quantity = rows.fee(code, fee)
    return Transfer(
        feed="transfers", exchange_id=name,
        direction=Direction.WITHDRAWAL if leaving else Direction.DEPOSIT, code=code,
        quantity=rows.positive(abs(gross) - fee, field="amount"), fee_code=fee_code,
        fee_quantity=fee_quantity, wallet=Wallet.SPOT, counter_wallet="", settled=settled,
        txid=rows.text(network, "hash"), address=rows.text(row.get("to") or {}, "address"),
        network=rows.text(network, "network_name"), occurred_at=_when(row),
    )  # fmt: skip


def _network_fee(network: Row, code: str) -> Decimal:
    part = network.get("transaction_fee") or {}
    same = rows.text(part, "currency") in ("", code)
    return rows.quantity_or_zero(part, "amount") if same else Decimal()


def _card(row: Row, name: str, kind: str, code: str, amount: Decimal) -> Trade:
    """A purchase or sale outside the order book, paid by card, bank or a fiat account."""
    details = row.get(kind) or {}
    quote, total = _money(details.get("subtotal") or row["native_amount"])
    fee = _money(details["fee"])[1] if details.get("subtotal") and details.get("fee") else Decimal()
    fee_code, fee_quantity = rows.fee(quote, fee)
    base_quantity = rows.positive(abs(amount), field="amount")
    return Trade(
        feed="purchases", exchange_id=name, kind=TradeKind.FIAT, symbol=f"{code}/{quote}",
        side=kind, base_code=code, base_quantity=base_quantity, quote_code=quote,
        quote_quantity=abs(total), price=abs(total) / base_quantity, fee_code=fee_code,
        fee_quantity=fee_quantity, wallet=Wallet.SPOT,
        order_id=rows.text(details, "id"), occurred_at=_when(row),
    )  # fmt: skip


def _conversion(name: str, halves: Sequence[Row]) -> Trade:
    if len(halves) != 2:
        raise BadRow("the other half of the conversion is missing")
    (sold, given), (bought, received) = sorted(
        (_money(half["amount"]) for half in halves), key=lambda money: money[1]
    )
    if not given < 0 < received:
        raise BadRow("the halves of the conversion do not fit")
    return Trade(
        feed="conversions", exchange_id=name, kind=TradeKind.CONVERSION,
        symbol=f"{sold}/{bought}", side="sell", base_code=sold, base_quantity=-given,
        quote_code=bought, quote_quantity=received, price=received / -given, fee_code=None,
        fee_quantity=None, wallet=Wallet.SPOT, order_id=name,
        occurred_at=min(_when(half) for half in halves),
    )  # fmt: skip


def privileges(answer: Mapping[str, Any]) -> Privileges:
    """What ``key_permissions`` says. Raises MissingPermission when it may not even view."""
    if answer.get("can_transfer") is True:
        return Privileges.WITHDRAW
    if answer.get("can_trade") is True:
        return Privileges.TRADE
    if answer.get("can_view") is not True:
        raise errors.MissingPermission
    return Privileges.READ_ONLY


def _next_account(answer: Any) -> str:
    return str(answer.get("cursor") or "") if answer.get("has_next") else ""


def _next_transaction(answer: Any) -> str:
    return str((answer.get("pagination") or {}).get("next_starting_after") or "")


def _iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


DIALECT = Dialect(
    id="coinbase",
    wallets=(
        WalletCall(
            wallet=Wallet.SPOT, parse=balances, following=_next_account,
            call=Call("v3PrivateGetBrokerageAccounts", 1, V3, fixed={"limit": 250}),
        ),
    ),
    feeds=(
        Feed(
            name="trades",
            call=Call("v3PrivateGetBrokerageOrdersHistoricalFills", 1, V3, fixed={"limit": 250}),
            paging=Cursor("cursor", lambda answer: str(answer.get("cursor") or ""),
                          since="start_sequence_timestamp", stamp=_iso),
            launched=at(2015), rows=under("fills"), parse=fill, id_field="entry_id",
            stable=("trade_id", "order_id", "price", "size", "trade_time"),
        ),
        Feed(
            name="transactions",
            call=Call("v2PrivateGetAccountsAccountIdTransactions", 1, V2, fixed={"limit": 100}),
            paging=Cursor("starting_after", _next_transaction), launched=at(2012),
            rows=under("data"), interpret=transactions, scoped=True, scope_param="account_id",
        ),
    ),
    key_check=KeyCheck(call=Call("v3PrivateGetBrokerageKeyPermissions", 1, V3), read=privileges),
    load_markets=load_with_ccxt,
    tickers_args=(None,),
    read_tickers=generic.tickers,
    candles=CandleCall(
        call=Call("fetch_ohlcv", 1, V3), limit=300, asking=unified_candles, rows=the_list
    ),
)  # fmt: skip
