from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.progress import Progress

from billing import reconciling
from tracker import clock
from tracker.errors import DomainError


class Command(BaseCommand):
    help = "Compare every subscription with Stripe, repair what differs, and say what that was."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with Progress(transient=True) as progress:
                bar = progress.add_task("Reading customers", total=None)
                report = reconciling.reconcile(
                    now=clock.now(),
                    told=lambda n, of: progress.update(bar, completed=n, total=of),
                )
        except DomainError as error:
            raise CommandError(f"{error.text} ({error.code})") from None
        self.stdout.write(
            f"Customers read: {report.read}. Repaired: {report.repaired}. Could not be read: "
            f"{report.failed}. Customers of nobody here: {report.strangers}."
        )
        for tier, people in report.unknown_tiers:
            self.stdout.write(f"{people} people are on {tier!r}, which is not in the table.")
