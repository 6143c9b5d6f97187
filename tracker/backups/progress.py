"""A bar for who makes or restores a copy by hand."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tracker.backups.content import Told


@contextmanager
def shown() -> Iterator[Told]:
    """What is told moves a bar; without a known total it says how much there was so far."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, transient=True) as progress:
        bar = progress.add_task("Beginning", total=None)

        def told(text: str, done: int, total: int) -> None:
            progress.update(bar, description=text, completed=done, total=total or None)

        yield told
