"""Which tables a file can hold, with their columns, and by which instant a range narrows each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from portfolios.exporting.columns import Column, Kind, asset, instant, key, place, text, units, word


class Content(StrEnum):
    """What somebody can ask for."""

    TRADES = "trades"
    TRANSFERS = "transfers"
    LEDGER = "ledger"
    LOTS = "lots"
    GAINS = "gains"
    SNAPSHOTS = "snapshots"
    BACKTESTS = "backtests"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Loose:
    """JSON whose names nobody knows beforehand: each name that occurs becomes a column.

    ``each`` is an expression of objects (jsonb) over ``source``.
    """

    prefix: str
    each: str


@dataclass(frozen=True, slots=True)
class Table:
    """One file of an export. ``owner`` and ``at`` are expressions over ``source``."""

    name: str
    meaning: str
    source: str
    owner: str
    at: str
    range_by: str  # the name of what a range is by, as it is told
    order: str
    columns: Sequence[Column]
    loose: Loose | None = None


_PLACE = "LEFT JOIN exchange_connections c ON c.user_id = f.user_id AND c.id = f.connection_id"
_ASSET = "LEFT JOIN assets a ON a.id = f.asset_id"
_FEE = "LEFT JOIN assets fee ON fee.id = f.fee_asset_id"

TRADES = Table(
    name="trades",
    meaning="Fills, conversions and dust sweeps as the exchanges reported them, or as entered.",
    source="trades f LEFT JOIN assets base ON base.id = f.base_asset_id "
    f"LEFT JOIN assets quote ON quote.id = f.quote_asset_id {_FEE} {_PLACE}",
    owner="f.user_id", at="f.occurred_at", range_by="occurred_at", order="f.occurred_at, f.id",
    columns=(
        key("id", "f.id", "Our id of the trade"),
        instant("occurred_at", "f.occurred_at", "When it happened"),
        *place(),
        word("wallet", "f.wallet", "Wallet of the account"),
        word("kind", "f.kind", "fill, conversion, dust or fiat"),
        text("symbol", "f.symbol", "The market as the exchange calls it"),
        word("side", "f.side", "buy or sell, seen from the base"),
        *asset("base", "base", "What was bought or sold"),
        units("base_quantity", "f.base_quantity", "Units of the base"),
        *asset("quote", "quote", "What was paid or received"),
        units("quote_quantity", "f.quote_quantity", "Units of the quote"),
        units("price", "f.price", "Units of the quote for one unit of the base"),
        *asset("fee", "fee", "What the fee was paid in; empty without one"),
        units("fee_quantity", "f.fee_quantity", "Units of the fee; below zero is a rebate"),
        text("exchange_trade_id", "f.exchange_id", "The exchange's id of the trade"),
        text("exchange_order_id", "f.order_id", "The exchange's id of the order, where told"),
    ),
)  # fmt: skip

TRANSFERS = Table(
    name="transfers",
    meaning="Deposits, withdrawals and internal moves. Those that are not settled are no part of "
    "the ledger.",
    source=f"transfers f {_ASSET} {_FEE} {_PLACE}",
    owner="f.user_id", at="f.occurred_at", range_by="occurred_at", order="f.occurred_at, f.id",
    columns=(
        key("id", "f.id", "Our id of the transfer"),
        instant("occurred_at", "f.occurred_at", "When it happened"),
        *place(),
        word("wallet", "f.wallet", "Wallet of the account"),
        word("counter_wallet", "f.counter_wallet", "The other wallet of an internal move"),
        word("direction", "f.direction", "deposit, withdrawal or internal"),
        *asset("asset", "a", "What moved"),
        units("quantity", "f.quantity", "Units that moved, without the fee"),
        *asset("fee", "fee", "What the fee was paid in; empty without one"),
        units("fee_quantity", "f.fee_quantity", "Units of the fee"),
        Column("is_settled", Kind.BOOLEAN, "f.is_settled", "Whether the exchange calls it done"),
        text("txid", "f.txid", "Transaction on the chain, where told"),
        text("address", "f.address", "Address, where told"),
        text("network", "f.network", "Network, where told"),
        text("exchange_transfer_id", "f.exchange_id", "The exchange's id of the transfer"),
    ),
)  # fmt: skip

LEDGER = Table(
    name="ledger",
    meaning="The signed legs that every figure is computed from. Exactly one of trade_id, "
    "transfer_id, reward_id and adjustment_id says what a leg belongs to.",
    source=f"ledger_entries f {_ASSET} {_PLACE}",
    owner="f.user_id", at="f.occurred_at", range_by="occurred_at", order="f.occurred_at, f.id",
    columns=(
        key("id", "f.id", "Our id of the leg"),
        instant("occurred_at", "f.occurred_at", "When it happened"),
        *place(),
        word("wallet", "f.wallet", "Wallet of the account"),
        word("kind", "f.kind", "trade, fee, deposit, withdrawal, reward, conversion, transfer or "
             "adjustment"),
        *asset("asset", "a", "What came or went"),
        units("quantity", "f.quantity", "Units; above zero came in, below zero went out"),
        Column("leg", Kind.INTEGER, "f.leg", "Number of the leg within what it belongs to"),
        key("trade_id", "f.trade_id", "The trade it belongs to"),
        key("transfer_id", "f.transfer_id", "The transfer it belongs to"),
        key("reward_id", "f.reward_id", "The reward it belongs to"),
        key("adjustment_id", "f.adjustment_id", "The entry by hand it belongs to"),
    ),
)  # fmt: skip

LOTS = Table(
    name="lots",
    meaning="Acquisitions and what is left of each, by the rules under “figures” in the manifest.",
    source=f"lots f {_ASSET} {_PLACE}",
    owner="f.user_id", at="f.acquired_at", range_by="acquired_at",
    order="f.acquired_at, f.position, f.id",
    columns=(
        key("id", "f.id", "Our id of the lot; lots that are computed anew get others"),
        instant("acquired_at", "f.acquired_at", "When the units were acquired"),
        *place(),
        *asset("asset", "a", "What was acquired"),
        word("kind", "f.kind", "How: trade, reward, deposit, transfer …"),
        Column("position", Kind.INTEGER, "f.position", "Order of acquisition within the asset"),
        units("quantity", "f.quantity", "Units acquired"),
        units("cost", "f.cost", "What all of them cost, in the base currency; empty if unknown"),
        units("remaining", "f.remaining", "Units left"),
        units("remaining_cost", "f.remaining_cost", "What those left cost; empty if unknown"),
        word("basis", "f.basis", "known or unknown: whether the cost is"),
        text("price_source", "f.price_source", "Where the price came from"),
        key("entry_id", "f.entry_id", "The leg of the ledger that opened it"),
    ),
)  # fmt: skip

DISPOSALS = Table(
    name="disposals",
    meaning="Parts of lots given up and what was gained by each, by the rules under “figures” in "
    "the manifest.",
    source=f"disposals f {_ASSET} {_PLACE}",
    owner="f.user_id", at="f.disposed_at", range_by="disposed_at",
    order="f.disposed_at, f.position, f.id",
    columns=(
        key("id", "f.id", "Our id of the disposal; those computed anew get others"),
        instant("disposed_at", "f.disposed_at", "When the units were given up"),
        instant("acquired_at", "f.acquired_at", "When they were acquired; empty if unknown"),
        *place(),
        *asset("asset", "a", "What was given up"),
        word("kind", "f.kind", "sale, fee, gift, donation, payment, lost, withdrawal, adjustment"),
        Column("position", Kind.INTEGER, "f.position", "Order within the asset"),
        units("quantity", "f.quantity", "Units given up"),
        units("cost", "f.cost", "What they cost, in the base currency; empty if unknown"),
        units("proceeds", "f.proceeds", "What they brought; empty if unpriced or no sale"),
        units("gain", "f.gain", "Proceeds less cost; empty where one of them is"),
        Column("held_days", Kind.INTEGER, "f.held_days", "Days held; empty if unknown"),
        word("term", "f.term", "short, long or unknown"),
        word("basis", "f.basis", "known or unknown: whether the cost is"),
        text("price_source", "f.price_source", "Where the price came from"),
        key("lot_id", "f.lot_id", "The lot they were taken from; empty if none is known"),
        key("entry_id", "f.entry_id", "The leg of the ledger that gave them up"),
    ),
)  # fmt: skip

INCOMES = Table(
    name="incomes",
    meaning="What rewards, interest and airdrops were worth when they came in. No part of gains.",
    source=f"incomes f {_ASSET} {_PLACE}",
    owner="f.user_id", at="f.received_at", range_by="received_at", order="f.received_at, f.id",
    columns=(
        key("id", "f.id", "Our id of the income; those computed anew get others"),
        instant("received_at", "f.received_at", "When it came in"),
        *place(),
        *asset("asset", "a", "What came in"),
        text("kind", "f.kind", "interest, staking, airdrop …, as the exchange calls it"),
        units("quantity", "f.quantity", "Units"),
        units("value", "f.value", "What they were worth, in the base currency; empty if unpriced"),
        text("price_source", "f.price_source", "Where the price came from"),
        key("entry_id", "f.entry_id", "The leg of the ledger that it was"),
    ),
)  # fmt: skip

SNAPSHOTS = Table(
    name="snapshots",
    meaning="The total of the portfolio as it was shown at an instant, never restated.",
    source="portfolio_snapshots f",
    owner="f.user_id", at="f.taken_at", range_by="taken_at", order="f.taken_at, f.id",
    columns=(
        key("id", "f.id", "Our id of the snapshot"),
        instant("taken_at", "f.taken_at", "When it was taken"),
        Column("total_value", Kind.MONEY, "f.total_value", "The total; empty if it had no price"),
        word("currency", "f.currency", "Currency of the total"),
        word("status", "f.status", "complete, stale or partial"),
    ),
)  # fmt: skip

_TESTED = "ARRAY(SELECT code FROM assets WHERE id = ANY(f.assets) ORDER BY code)"
BACKTESTS = Table(
    name="backtests",
    meaning="What strategies would have done in the past, simulated, each as it was defined then. "
    "Columns “result.…” are the figures that a backtest came to.",
    source="backtests f", owner="f.user_id", at="f.created_at", range_by="created_at",
    order="f.created_at, f.id", loose=Loose("result", "f.result"),
    columns=(
        key("id", "f.id", "Our id of the backtest"),
        instant("created_at", "f.created_at", "When it was asked for"),
        instant("finished_at", "f.finished_at", "When it was done; empty before"),
        key("strategy_id", "f.strategy_id", "The strategy, which may be gone or another by now"),
        text("strategy_name", "f.strategy_name", "Its name then"),
        Column("definition", Kind.JSON, "f.definition", "Kind, parameters and rules as they were"),
        word("kind", "f.kind", "run, sweep, walk_forward or look_ahead"),
        Column("options", Kind.JSON, "f.options", "Of sweeps and walk-forward tests"),
        text("asset_codes", f"array_to_string({_TESTED}, ' ')", "Codes of the assets, by name"),
        word("interval", "f.interval", "Length of a candle"),
        instant("since", "f.since", "Beginning of what was simulated"),
        instant("until", "f.until", "End of it, not included"),
        Column("cash", Kind.MONEY, "f.cash", "US dollars at the beginning"),
        units("fee", "f.fee", "Fee, a share of what is traded"),
        word("fee_source", "f.fee_source", "given, own_fills or default"),
        units("slippage", "f.slippage", "Slippage, a share of the price"),
        Column("fills_gaps", Kind.BOOLEAN, "f.fills_gaps", "Whether prices were carried on"),
        word("state", "f.state", "waiting, running, done, failed or cancelled"),
        word("error", "f.error", "Code of what failed"),
        text("message", "f.message", "The same as a sentence"),
        word("result_hash", "f.result_hash", "Same inputs, same hash"),
    ),
)  # fmt: skip

_TRADES_OF = (
    "CASE WHEN jsonb_typeof(f.details -> 'trades') = 'array' THEN f.details -> 'trades' "
    "WHEN jsonb_typeof(f.result -> 'trades') = 'array' THEN f.result -> 'trades' "
    "ELSE '[]'::jsonb END"
)
BACKTEST_TRADES = Table(
    name="backtest_trades",
    meaning="The trades that backtests simulated. Columns “trade.…” are what is said of each.",
    source=f"backtests f CROSS JOIN LATERAL jsonb_array_elements({_TRADES_OF}) "
    "WITH ORDINALITY AS t (trade, number)",
    owner="f.user_id", at="f.created_at", range_by="created_at of the backtest",
    order="f.created_at, f.id, t.number", loose=Loose("trade", "t.trade"),
    columns=(
        key("backtest_id", "f.id", "The backtest"),
        text("strategy_name", "f.strategy_name", "Its strategy's name then"),
        Column("number", Kind.INTEGER, "t.number", "Number of the trade within the backtest"),
    ),
)  # fmt: skip

_OF: Mapping[Content, Sequence[Table]] = {
    Content.TRADES: (TRADES,),
    Content.TRANSFERS: (TRANSFERS,),
    Content.LEDGER: (LEDGER,),
    Content.LOTS: (LOTS,),
    Content.GAINS: (DISPOSALS, INCOMES),
    Content.SNAPSHOTS: (SNAPSHOTS,),
    Content.BACKTESTS: (BACKTESTS, BACKTEST_TRADES),
}


def of(contents: Iterable[str]) -> list[Table]:
    """The tables that were asked for, each once, in the order of ``Content``."""
    wanted = set(contents)
    chosen = set(_OF) if Content.EVERYTHING in wanted else wanted
    return [table for content, tables in _OF.items() if content in chosen for table in tables]
