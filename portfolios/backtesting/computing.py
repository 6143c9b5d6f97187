"""A backtest computed: one simulation, a sweep, a walk forward, or an audit for look-ahead."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from exchanges.models import Asset
from portfolios.backtesting import asking, comparing, definitions, markets, results
from portfolios.backtesting.markets import Found
from portfolios.models import Backtest, BacktestKind
from portfolios.strategies import hashing, look_ahead, measuring, running, sweeping, walking
from portfolios.strategies.errors import Stop, Told
from portfolios.strategies.filling import Costs
from portfolios.strategies.market import Market
from portfolios.strategies.overfitting import Overfitting
from portfolios.strategies.running import Definition
from tracker import tenancy

MOST_ROWS = 500  # trials that are told, the best first


@dataclass(frozen=True, slots=True)
class Computed:
    """``result`` has figures and warnings, ``details`` what is large."""

    result: dict[str, Any]
    details: dict[str, Any]
    result_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What every kind of backtest needs."""

    row: Backtest
    market: Market
    definition: Definition
    cash: float
    costs: Costs
    names: Mapping[str, str]
    told: Told
    stop: Stop

    @property
    def money(self) -> dict[str, float]:
        return {"cash": self.cash, "fee": self.costs.fee, "slippage": self.costs.slippage}


def compute(row: Backtest, found: Found, *, told: Told, stop: Stop) -> Computed:
    """Everything that is asked of a row. Raises StrategyInvalid, Stopped."""
    costs = Costs(float(row.fee), float(row.slippage))
    job = _Job(
        row=row, market=found.market, definition=definitions.stored(row.definition),
        cash=float(row.cash), costs=costs, told=told, stop=stop,
        names={str(asset): code for asset, code in codes_of(row).items()},
    )  # fmt: skip
    computed = _KINDS[BacktestKind(row.kind)](job)
    computed.result["range"] = _range(found.market)
    computed.result["warnings"] = _warnings(row, found) + computed.result.get("warnings", [])
    computed.result["filled_gaps"] = markets.told(found.filled, codes_of(row))
    return computed


def codes_of(row: Backtest) -> dict[UUID, str]:
    """What people call the assets of a backtest."""
    return dict(Asset.objects.filter(id__in=row.assets).values_list("id", "code"))


def _range(market: Market) -> dict[str, Any]:
    return {
        "from": results.instant(int(market.at[0])),
        "to": results.instant(int(market.at[-1]) + market.length), "bars": market.bars,
    }  # fmt: skip


def _warnings(row: Backtest, found: Found) -> list[dict[str, str]]:
    market, told = found.market, []
    began, ended = int(market.at[0]), int(market.at[-1]) + market.length
    if began > row.since.timestamp() or ended < row.until.timestamp():
        told.append({"code": "range_shortened", "message": (
            f"There are candles from {results.instant(began)} to {results.instant(ended)} only."
        )})  # fmt: skip
    if found.filled:
        told.append({"code": "gaps_filled", "message": (
            f"Candles were missing in {len(found.filled)} places. The last price stands still "
            "there, which no market did."
        )})  # fmt: skip
    return told


# --- the kinds ----------------------------------------------------------------------------------
def _run(job: _Job) -> Computed:
    market = job.market
    outcome = running.simulate(
        market, job.definition, cash=job.cash, fee=job.costs.fee, slippage=job.costs.slippage,
        told=job.told, stop=job.stop,
    )  # fmt: skip
    held, held_curve = comparing.with_holding(market, cash=job.cash, costs=job.costs)
    with tenancy.as_user(job.row.user_id):
        own, own_curve = comparing.with_own_history(market, user_id=job.row.user_id, cash=job.cash)
    result: dict[str, Any] = {
        "metrics": results.summary(outcome, market),
        "compared": {"buy_and_hold": held, "own_history": own},
    }
    if market.bars <= job.definition.warm_up():
        result["warnings"] = [{"code": "warming_up", "message": (
            f"The range has {market.bars:,} bars, and this strategy decides nothing in the first "
            f"{job.definition.warm_up():,}."
        )}]  # fmt: skip
    details = results.details(outcome, market, job.names)
    details |= {"buy_and_hold": held_curve, "own_history": own_curve}
    digest = hashing.result_hash(market, job.definition, outcome, **job.money)
    return Computed(result, details, digest)


def _sweep(job: _Job) -> Computed:
    found = sweeping.sweep(
        job.market, job.definition.kind, _grid(job), **job.money, told=job.told, stop=job.stop
    )
    rows = sorted(found.rows(), key=lambda one: (one["sharpe"] is None, -(one["sharpe"] or 0.0)))
    trials = [_trial(one) for one in rows[:MOST_ROWS]]
    result = {
        "best": trials[0] if trials and found.best is not None else None,
        "trials": len(rows), "skipped": found.skipped,
        **_luck(found.overfitting),
    }  # fmt: skip
    return Computed(result, {"trials": trials}, "")


def _walk_forward(job: _Job) -> Computed:
    options = job.row.options
    found = walking.walk_forward(
        job.market, job.definition.kind, _grid(job),
        folds=int(options.get("folds", asking.FOLDS)),
        train_share=float(options.get("train_share", asking.TRAIN_SHARE)),
        **job.money, told=job.told, stop=job.stop,
    )  # fmt: skip
    figures = results.figures(measuring.metrics(found.outcome, found.market))
    result = {
        "metrics": figures, "trials": found.trials,
        "efficiency": results.number(found.efficiency),
        "folds": [_fold(one, job.market) for one in found.folds],
    }  # fmt: skip
    return Computed(result, results.details(found.outcome, found.market, job.names), "")


def _look_ahead(job: _Job) -> Computed:
    found = look_ahead.audit(job.market, job.definition, told=job.told, stop=job.stop)
    first = found.first_difference
    result = {
        "ok": found.ok, "cuts": len(found.cuts),
        "first_difference": None if first is None else {
            "at": results.instant(first.at), "future": first.future,
            "decided": _shares(first.decided), "otherwise": _shares(first.otherwise),
        },
    }  # fmt: skip
    return Computed(result, {}, "")


_KINDS = {
    BacktestKind.RUN: _run,
    BacktestKind.SWEEP: _sweep,
    BacktestKind.WALK_FORWARD: _walk_forward,
    BacktestKind.LOOK_AHEAD: _look_ahead,
}


def _grid(job: _Job) -> Mapping[str, Any]:
    return job.row.options.get("grid", {})


def _trial(one: Mapping[str, Any]) -> dict[str, Any]:
    figures = {
        name: results.number(one[name])
        for name in ("total_return", "sharpe", "max_drawdown", "fees")
    }
    return {"parameters": one["parameters"], "fills": one["fills"], **figures}


def _luck(found: Overfitting) -> dict[str, Any]:
    return {
        "overfitting": {
            "deflated_sharpe": results.number(found.deflated_sharpe),
            "probability": results.number(found.probability), "source": found.source,
        },
        "warnings": [{"code": "overfitting", "message": found.message}],
    }  # fmt: skip


def _fold(one: walking.Fold, market: Market) -> dict[str, Any]:
    return {
        "train_from": results.instant(int(market.at[one.train_start])),
        "test_from": results.instant(int(market.at[one.test_start])),
        "test_to": results.instant(int(market.at[one.test_end - 1]) + market.length),
        "parameters": one.parameters,
        "train_return": results.number(one.train_return),
        "train_sharpe": results.number(one.train_sharpe),
        "test_return": results.number(one.test_return),
        "test_sharpe": results.number(one.test_sharpe),
        "test_drawdown": results.number(one.test_drawdown),
    }  # fmt: skip


def _shares(values: tuple[float | None, ...] | None) -> list[str | None] | None:
    return None if values is None else [results.number(value) for value in values]
