from typing import Any

from django.core.management.base import BaseCommand
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from exchanges import history
from portfolios import derivation
from tracker import clock


class Command(BaseCommand):
    help = "Fetch the past prices that figures wait for, now, instead of little by little."

    def handle(self, *args: Any, **options: Any) -> None:
        now = clock.now()
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, transient=True) as progress:
            bar = progress.add_task("prices", total=history.outstanding(now=now))
            answered = history.backfill_due(
                now=now, limit=1_000_000, report=lambda done: progress.advance(bar, done)
            )
        derivation.prices_arrived(assets=answered, now=now)
        self.stdout.write(f"Assets with news: {len(answered)}.")
        if waiting := history.waiting():
            self.stdout.write(f"Stretches that wait for an exchange: {waiting}.")
