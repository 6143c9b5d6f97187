from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import catalogue
from tracker.errors import DomainError


class Command(BaseCommand):
    help = (
        "Make Stripe's products, prices and meter those of the table of plans. Safe to run again; "
        "a price that changed is replaced, and who has the old one keeps it."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be done.")

    def handle(self, *args: Any, **options: Any) -> None:
        steps = 0
        try:
            for step in catalogue.sync(dry_run=options["dry_run"]):
                steps += 1
                self.stdout.write(("" if step.done else "would do: ") + step.what)
        except DomainError as error:
            raise CommandError(f"{error.text} ({error.code})") from None
        if not steps:
            self.stdout.write("Everything is as the table says.")
        for tier, people in catalogue.unknown_tiers():
            self.stderr.write(
                f"{people} people have subscribed to {tier!r}, which is not in the table: they "
                "have the plan that costs nothing. Put it back, or move them."
            )
