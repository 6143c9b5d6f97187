from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tracker.monitoring import dropping


class Command(BaseCommand):
    help = (
        "Say which tasks wait in a queue of the broker, or drop them. Syncs and sweeps come up "
        "again by themselves, because what is due stands in the database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue")
        parser.add_argument("--task", default="", help="Of this task only.")
        parser.add_argument("--drop", action="store_true", help="Drop them; otherwise only look.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = dropping.counts(options["queue"])
            for task, waiting in found.items():
                self.stdout.write(f"{waiting:>8,} {task}")
            if options["drop"]:
                dropped = dropping.drop(options["queue"], task=options["task"])
                self.stdout.write(f"{dropped:,} messages were dropped.")
            elif not found:
                self.stdout.write("Nothing waits.")
        except dropping.NoSuchQueue as problem:
            raise CommandError(str(problem)) from None
