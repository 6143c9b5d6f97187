from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import drills
from tracker import clock, direct
from tracker.backups import progress, store
from tracker.backups.errors import BackupError


class Command(BaseCommand):
    help = (
        "Make an encrypted backup of the database and of private files in BACKUPS, read it back "
        "and count it, then remove those whose time is over (7 daily, 4 weekly, 12 monthly)."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--list", action="store_true", help="Name the backups there are.")
        parser.add_argument("--if-due", action="store_true", help="Only if today has none yet.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            for name in store.copies():
                self.stdout.write(name)
            return
        try:
            with direct.connected(), progress.shown() as told:
                back_up = drills.back_up_if_due if options["if_due"] else drills.back_up
                made = back_up(now=clock.now(), told=told)
        except BackupError as error:
            raise CommandError(f"No backup was made: {error}.") from None
        if made is None:
            self.stdout.write("Today's backup is there, or being made.")
            return
        files = "private files are in a bucket, not in it"
        if made.files is not None:
            files = f"{made.files:,} private files"
        self.stdout.write(
            f"{made.name}: {made.rows:,} rows in {len(made.tables)} tables, {files}, "
            f"{made.size:,} bytes, {made.seconds:.1f} s; read back and counted."
        )
