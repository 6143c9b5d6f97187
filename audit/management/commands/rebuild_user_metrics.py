from datetime import date, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.progress import Progress

from audit import metrics
from tracker import clock


class Command(BaseCommand):
    help = "Roll up user metrics anew from the counters and the activity log, day by day."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--from", dest="first", help="First day; the oldest with counters.")
        parser.add_argument("--to", dest="last", help="Last day; today.")

    def handle(self, *args: Any, **options: Any) -> None:
        now = clock.now()
        oldest = metrics.oldest_day() or now.date()
        first = _day(options["first"]) or oldest
        last = min(_day(options["last"]) or now.date(), now.date())
        if first < oldest:
            self.stdout.write(f"Counters before {oldest} are gone; earlier days stay as they are.")
            first = oldest
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        done = 0
        with Progress(transient=True) as progress:
            for day in progress.track(days, description="Rolling up"):
                done += metrics.roll_up(day, now=now)
        self.stdout.write(f"{done} rows of {len(days)} days were written.")


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise CommandError("A day looks like 2026-03-01.") from None
