"""Whatever an exchange does to its pages, the same rows come out."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.gateway import engine, pagination, rows
from exchanges.gateway.dialects.base import (
    Call,
    Cursor,
    Feed,
    Forward,
    Ids,
    Offsets,
    Windows,
    the_list,
)
from exchanges.gateway.pagination import Span

START = datetime(2024, 1, 1, tzinfo=UTC)
END = START + timedelta(days=400)
DAY = 86_400_000
FIRST = rows.millis(START)


def feed(paging: Any, **more: Any) -> Feed:
    return Feed(
        name="rows", call=Call("none"), paging=paging, launched=START, rows=the_list,
        when=lambda row: rows.milliseconds(row, "time"), **more,
    )  # fmt: skip


def collected(made: Feed, ask: Callable[..., Any], span: Span | None = None) -> set[str]:
    """Names of all rows, as the engine gives them."""
    found: set[str] = set()

    async def answer(**params: Any) -> Any:
        return ask(**params)

    async def read() -> None:
        async for page in pagination.pages(made, answer, span or Span(START, END)):
            assert not page.overfull
            counted: Counter[str] = Counter()
            found.update(engine.row_name(made, row, counted) for row in page.rows)

    asyncio.run(read())
    return found


moments = st.lists(st.integers(0, 399 * DAY), max_size=120)
tied = st.lists(st.integers(0, 12), max_size=60).map(lambda days: [d * 30 * DAY for d in days])


def in_window(told: list[dict[str, Any]], limit: int) -> Callable[..., list[dict[str, Any]]]:
    def ask(startTime: int, endTime: int, **_: Any) -> list[dict[str, Any]]:  # noqa: N803
        chosen = [row for row in told if startTime <= row["time"] <= endTime]
        return chosen[:limit]

    return ask


@settings(deadline=None, max_examples=60)
@given(times=moments | tied, limit=st.integers(2, 20), shuffled=st.randoms())
def test_windows_find_every_row_in_any_order(times: list[int], limit: int, shuffled: Any) -> None:
    """S40"""
    at_once = max((times.count(t) for t in times), default=0)
    told = [{"id": str(n), "time": FIRST + t} for n, t in enumerate(times)]
    shuffled.shuffle(told)
    made = feed(Windows(timedelta(days=90), limit + at_once))
    assert collected(made, in_window(told, limit + at_once)) == {row["id"] for row in told}


@settings(deadline=None, max_examples=60)
@given(times=tied, values=st.lists(st.integers(1, 2), min_size=60, max_size=60))
def test_twins_without_id_are_all_kept_and_none_twice(times: list[int], values: list[int]) -> None:
    """S40"""
    told = [{"time": FIRST + t, "amount": str(v)} for t, v in zip(times, values, strict=False)]
    made = feed(Windows(timedelta(days=30), 1000), id_field="id", stable=("time", "amount"))
    assert len(collected(made, in_window(told, 1000))) == len(told)


def test_more_rows_in_a_moment_than_a_page_holds_is_said() -> None:
    told = [{"id": str(n), "time": FIRST} for n in range(10)]
    pages: list[pagination.Page] = []

    async def read() -> None:
        async def ask(**params: Any) -> Any:
            return in_window(told, 4)(**params)

        made = feed(Windows(timedelta(days=90), 4))
        pages.extend([page async for page in pagination.pages(made, ask, Span(START, END))])

    asyncio.run(read())
    assert any(page.overfull for page in pages)


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(0, 300), limit=st.integers(2, 20), shuffled=st.randoms(),
    repeated=st.sets(st.integers(0, 20)),
)  # fmt: skip
def test_ids_survive_reordered_and_repeated_pages(
    count: int, limit: int, shuffled: Any, repeated: set[int]
) -> None:
    """S40"""
    told = [{"id": 3 * n + 1} for n in range(count)]
    last: list[Any] = [[]]
    calls = iter(range(10_000))

    def ask(fromId: int, limit: int) -> list[dict[str, Any]]:  # noqa: N803
        call = next(calls)
        if call in repeated and call - 1 not in repeated and len(last[0]) == limit:
            return list(last[0])
        page = [row for row in told if row["id"] >= fromId][:limit]
        shuffled.shuffle(page)
        last[0] = page
        return page

    assert collected(feed(Ids(limit)), ask) == {str(row["id"]) for row in told}


@settings(deadline=None, max_examples=40)
@given(count=st.integers(0, 700), size=st.integers(1, 50))
def test_offsets_go_beyond_ten_pages(count: int, size: int) -> None:
    told = [{"id": f"r{n}"} for n in range(count)]

    def ask(start: str, end: str, ofs: int = 0) -> list[dict[str, Any]]:
        return told[ofs : ofs + size]

    made = feed(Offsets("start", "end", "ofs", str))
    assert collected(made, ask) == {row["id"] for row in told}


@settings(deadline=None, max_examples=40)
@given(count=st.integers(1, 300), size=st.integers(1, 20), overlap=st.integers(0, 5))
def test_cursors_with_overlapping_pages(count: int, size: int, overlap: int) -> None:
    """S40"""
    told = [{"id": f"r{n}"} for n in range(count)]

    def ask(cursor: str = "0") -> Any:
        at = int(cursor)
        following = at + size if at + size < count else ""
        return {"rows": told[max(at - overlap, 0) : at + size], "next": str(following)}

    made = feed(Cursor("cursor", lambda answer: answer["next"]))
    made = Feed(**{name: getattr(made, name) for name in made.__slots__} | {"rows": _rows})
    assert collected(made, ask) == {row["id"] for row in told}


def _rows(answer: Any) -> Any:
    return answer["rows"]


@settings(deadline=None, max_examples=40)
@given(times=moments, limit=st.integers(5, 20))
def test_unified_pages_tied_at_their_edge(times: list[int], limit: int) -> None:
    """S40"""
    told = sorted(
        ({"id": str(n), "time": FIRST + t} for n, t in enumerate(times)),
        key=lambda row: row["time"],
    )
    at_once = max((times.count(t) for t in times), default=0)

    def ask(since: int, limit: int) -> list[dict[str, Any]]:
        return [row for row in told if row["time"] >= since][:limit]

    made = feed(Forward(limit + at_once))
    assert collected(made, ask) == {row["id"] for row in told}


def test_an_interrupted_reading_says_how_far_it_came() -> None:
    told = [{"id": str(n), "time": FIRST + n * DAY} for n in range(400)]
    read: list[datetime | None] = []

    async def interrupted() -> None:
        calls = 0

        async def ask(**params: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 4:
                raise ConnectionError
            return in_window(told, 1000)(**params)

        made = feed(Windows(timedelta(days=90), 1000))
        try:
            async for page in pagination.pages(made, ask, Span(START, END)):
                read.append(page.until)
        except ConnectionError:
            return

    asyncio.run(interrupted())
    assert read == [START + timedelta(days=90 * n) for n in (1, 2, 3)]
