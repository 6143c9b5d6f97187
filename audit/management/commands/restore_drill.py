from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import drills
from tracker import clock, direct
from tracker.backups import progress
from tracker.backups.errors import BackupError


class Command(BaseCommand):
    help = (
        "Restore the newest backup into a scratch database on the same server, look at it "
        "closely, replay erasures in it, and drop it. Exits with 1 when anything was wrong."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--name", default="", help="Another backup than the newest.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with direct.connected(), progress.shown() as told:
                result = drills.run(now=clock.now(), name=options["name"], told=told)
        except BackupError as error:
            raise CommandError(f"No drill was run: {error}.") from None
        for step in result.steps:
            verdict = "ok    " if step["ok"] else "FAILED"
            self.stdout.write(f"{verdict} {step['name']}: {step['said']} ({step['seconds']} s)")
        if not result.ok:
            raise CommandError("The restore drill failed.")
        self.stdout.write(f"First verified query after {result.seconds} s.")
