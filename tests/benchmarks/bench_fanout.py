"""Fan-out to 2,000 clients by one process, against the websockets library's bare broadcast.

Both servers are told of the same ticks over Redis, in turn. A round is over when the last client
has its message.
"""

import statistics

from exchanges import ticks
from tests.benchmarks import live_processes, rows
from tests.benchmarks.measure import Result
from tracker import clock

CLIENTS, PEOPLE, ASSETS = 2_000, 100, 300
TURNS, ROUNDS = 21, 12


def measure() -> list[Result]:
    now = clock.now()
    rows.clear()
    assets = rows.priced_assets(ASSETS, now)
    people, tokens = live_processes.tokens(PEOPLE)
    rows.holdings(rows.connections_of(people, now), assets, ASSETS, now)
    setup = {"channel": ticks.channel(), "assets": [str(asset.id) for asset in assets[1:]]}
    with (
        live_processes.live_server() as ours_at,
        live_processes.bare_server(ticks.channel() + ":bare") as bare_at,
        live_processes.crowd(ours_at, CLIENTS, tokens=tokens, **setup) as ours,
        live_processes.crowd(
            bare_at, CLIENTS, **setup | {"tokens": [], "channel": ticks.channel() + ":bare"}
        ) as bare,
    ):
        times = _in_turn(ours, bare)
    ratio = statistics.median(
        sum(reference) / sum(measured) for measured, reference in zip(*times, strict=True)
    )
    rates = [ROUNDS * CLIENTS / sum(turn) for turn in times[0]]
    rate, last = statistics.median(rates), _p99(times[0])
    return [
        Result("fan-out to 2,000 clients", rate, "messages/s",
               f"bare broadcast {rate / ratio:,.0f}", ratio, "≥ 0.7", ratio >= 0.7),
        Result("fan-out to 2,000 clients, last one p99", last, "ms",
               f"bare broadcast {_p99(times[1]):.1f} ms", None, "≤ 25 ms", last <= 25),
    ]  # fmt: skip


Times = list[list[float]]


def _in_turn(ours: live_processes.Crowd, bare: live_processes.Crowd) -> tuple[Times, Times]:
    """Both in turn, because the machine's speed drifts."""
    for crowd in (ours, bare):
        crowd.ask("rounds 20")
    pairs = [(ours.ask(f"rounds {ROUNDS}"), bare.ask(f"rounds {ROUNDS}")) for _ in range(TURNS)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _p99(turns: Times) -> float:
    return statistics.quantiles([one for turn in turns for one in turn], n=100)[98] * 1000
