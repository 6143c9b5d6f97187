"""Whatever an exchange does to its pages, the same rows come out."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.gateway import pagination, reading, rows
from exchanges.gateway.dialects.base import (
    Call,
    Cursor,
    Feed,
    Forward,
    Ids,
    Offsets,
    Windows,
    by_cursor,
    by_number,
    by_offset,
    by_oldest,
    by_total,
    the_list,
    under,
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
            found.update(reading.row_name(made, row, counted) for row in page.rows)

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


def chosen(told: list[dict[str, Any]], params: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the asked window, newest first, as most exchanges answer."""
    inside = [row for row in told if params["startTime"] <= row["time"] <= params["endTime"]]
    return sorted(inside, key=lambda row: int(row["id"]), reverse=True)


def by_page_number(told: list[dict[str, Any]], limit: int) -> Callable[..., Any]:
    def ask(**params: Any) -> Any:
        first = (params.get("page", 1) - 1) * limit
        return chosen(told, params)[first : first + limit]

    return ask


def by_row_number(told: list[dict[str, Any]], limit: int) -> Callable[..., Any]:
    def ask(**params: Any) -> Any:
        first = params.get("page", 0)
        return chosen(told, params)[first : first + limit]

    return ask


def below_an_id(told: list[dict[str, Any]], limit: int) -> Callable[..., Any]:
    def ask(**params: Any) -> Any:
        below = int(params.get("page", 10**9))
        return [row for row in chosen(told, params) if int(row["id"]) < below][:limit]

    return ask


def named_and_counted(told: list[dict[str, Any]], limit: int) -> Callable[..., Any]:
    """Names the next page and counts all; repeats the last row of a page on the next."""

    def ask(**params: Any) -> Any:
        rows_of_window = chosen(told, params)
        number = int(params.get("page", 1))
        first = max((number - 1) * limit - 1, 0)
        pages = -(-len(rows_of_window) // limit)
        more = str(number + 1) if number < pages else ""
        return {
            "data": {"items": rows_of_window[first : number * limit], "next": more, "all": pages}
        }

    return ask


@settings(deadline=None, max_examples=40)
@given(times=moments | tied, limit=st.integers(1, 9))
def test_pages_inside_a_window_are_read_to_the_last(times: list[int], limit: int) -> None:
    """S40"""
    told = [{"id": str(n), "time": FIRST + t} for n, t in enumerate(sorted(times))]
    ways: list[tuple[Any, Any, Any]] = [
        (by_number(limit), by_page_number, the_list),
        (by_offset(limit), by_row_number, the_list),
        (by_oldest("id", limit), below_an_id, the_list),
        (by_cursor("data", "next"), named_and_counted, under("data", "items")),
        (by_total("data", "all"), named_and_counted, under("data", "items")),
    ]
    for following, server, listed in ways:
        paging = Windows(timedelta(days=90), limit, page="page", following=following)
        made = replace(feed(paging), rows=listed)
        assert collected(made, server(told, limit)) == {row["id"] for row in told}


@settings(deadline=None, max_examples=40)
@given(times=tied)
def test_edges_that_the_exchange_leaves_out_are_not_lost(times: list[int]) -> None:
    """S40"""
    told = [{"id": str(n), "time": FIRST + t} for n, t in enumerate(times)]

    def ask(before: int, after: int, **_: Any) -> list[dict[str, Any]]:
        return [row for row in told if before < row["time"] < after]

    paging = Windows(timedelta(days=30), 1000, since="before", until="after", exclusive=True)
    assert collected(feed(paging), ask) == {row["id"] for row in told}


def test_a_window_ends_only_when_its_last_page_was_read() -> None:
    told = [{"id": str(n), "time": FIRST + n} for n in range(5)]
    paging = Windows(timedelta(days=400), 2, page="page", following=by_number(2))
    ends: list[datetime | None] = []

    async def answer(**params: Any) -> Any:
        return by_page_number(told, 2)(**params)

    async def read() -> None:
        async for page in pagination.pages(feed(paging), answer, Span(START, END)):
            ends.append(page.until)

    asyncio.run(read())
    assert ends == [None, None, None, END]


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
