"""Candles as a chart asks for them: what is stored, as bytes; what is not is queued.

No request waits for an exchange. A chart that polls while it is ``updating`` sees what a worker
brings, and a candle that is still growing anew every minute.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from celery import current_app
from django.db import transaction
from django.utils.dateparse import parse_datetime

from exchanges import candles, history, intervals, spans
from exchanges.candles import Gap, Reason, Series, Standing
from exchanges.history import Want
from exchanges.intervals import LENGTHS
from exchanges.models import Asset, NeedKind, NeedState
from tracker.api import InvalidInput, to_json
from tracker.errors import NotFound

DEFAULT_CANDLES, MOST_CANDLES = 300, 2_000
FETCH_TASK = "exchanges.tasks.fetch_candles"
REFRESH_AFTER = timedelta(minutes=1)  # how old a growing candle may be
_EARLIEST = datetime(2009, 1, 1, tzinfo=UTC)  # no coin is older than the first block
_KNOWN = {"interval", "from", "to"}


def answer(*, asset_id: UUID, query: Mapping[str, str], now: datetime) -> bytes:
    """The JSON of one asset's candles; what is missing or old is queued to be fetched.

    Raises InvalidInput, NotFound.
    """
    series = _series(asset_id, query, now)
    code = Asset.objects.filter(id=asset_id).values_list("code", flat=True).first()
    if code is None:
        raise NotFound
    told = candles.standing(series)
    refreshing = _queue(series, told, now)
    missing = candles.gaps(series, told=told, held=candles.held(series))
    updating = refreshing or any(gap.reason != Reason.NO_MARKET for gap in missing)
    head = _head(series, code, missing) | {"complete": not missing, "updating": updating}
    return to_json(head)[:-1] + b',"results":' + candles.as_json(series, told=told) + b"}"


def _head(series: Series, code: str, missing: Sequence[Gap]) -> dict[str, Any]:
    return {
        "asset": series.asset_id, "code": code, "currency": "USD", "interval": series.interval,
        "from": series.since, "to": series.until,
        "gaps": [{"from": gap.since, "to": gap.until, "reason": gap.reason} for gap in missing],
    }  # fmt: skip


# --- queueing -----------------------------------------------------------------------------------
def _queue(series: Series, told: Sequence[Standing], now: datetime) -> bool:
    """Note what was never wanted and have grown candles fetched anew; whether any is to come."""
    old = any(_is_old(known, now) for known in told)
    wanted = spans.without(series.knowable, [known.span for known in told])
    if wanted:
        needs = [Want(series.asset_id, series.stored, *span) for span in wanted]
        history.want(needs=needs, kind=NeedKind.CANDLE)
    if wanted or (old and candles.ask_again(series, now=now)):
        transaction.on_commit(enqueue, robust=True)
    return old


def _is_old(known: Standing, now: datetime) -> bool:
    """Whether a stretch that is not over was last told too long ago."""
    if known.state != NeedState.OPEN or known.asked_at is None:
        return False
    return known.asked_at + REFRESH_AFTER <= now


def enqueue() -> None:
    """Hand the work to a worker now; should this fail, it is found within the minute."""
    current_app.send_task(FETCH_TASK)


# --- what is asked ------------------------------------------------------------------------------
def _series(asset_id: UUID, query: Mapping[str, str], now: datetime) -> Series:
    for name in sorted(set(query) - _KNOWN):
        raise InvalidInput.of(name, "This parameter is not known here.", code="unknown_field")
    interval = query.get("interval", "")
    if interval not in LENGTHS:
        raise InvalidInput.of("interval", f"Use one of {', '.join(LENGTHS)}.")
    latest = intervals.ends(now, interval)
    until = _instant(query, "to", latest) or latest
    since = _instant(query, "from", now) or _default_since(until, interval)
    if since >= until:
        raise InvalidInput.of("from", "This does not lie before the end of the range.")
    return _bounded(
        candles.series_of(asset_id=asset_id, interval=interval, since=since, until=until, now=now)
    )


def _default_since(until: datetime, interval: str) -> datetime:
    end = intervals.widened((until, until), interval)[1]
    return max(_EARLIEST, end - DEFAULT_CANDLES * LENGTHS[interval])


def _bounded(series: Series) -> Series:
    count = (series.until - series.since) // LENGTHS[series.interval]
    if count > MOST_CANDLES:
        raise InvalidInput.of(
            "from",
            f"One answer holds at most {MOST_CANDLES:,} candles, and these are {count:,}. "
            "Ask for a shorter range or a longer interval.",
        )
    return series


def _instant(query: Mapping[str, str], name: str, latest: datetime) -> datetime | None:
    text = query.get(name)
    if not text:
        return None
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidInput.of(name, "Use an instant with its zone, such as 2026-01-31T12:00:00Z.")
    if found < _EARLIEST:
        raise InvalidInput.of(name, "This lies before 2009, when there were no coins.")
    if found > latest:
        raise InvalidInput.of(name, "This lies in the future.")
    return found.astimezone(UTC)
