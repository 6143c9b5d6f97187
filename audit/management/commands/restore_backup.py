from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from tracker import direct
from tracker.backups import progress, restoring
from tracker.backups.errors import BackupError


class Command(BaseCommand):
    help = (
        "Restore the newest backup into the database of DATABASE_URL, which must be empty. Then "
        "run replay_erasures and migrate, before anybody is let in."
    )
    requires_system_checks: list[str] = []  # they may ask for tables that are not there yet
    requires_migrations_checks = False

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--name", default="", help="Another backup than the newest.")
        parser.add_argument("--files", help="An empty folder for the private files.")

    def handle(self, *args: Any, **options: Any) -> None:
        with direct.connected():
            self._restore(options)

    def _restore(self, options: dict[str, Any]) -> None:
        try:
            with progress.shown() as told:
                made = restoring.find(options["name"])
                source, count = restoring.restore(made, told=told)
            if options["files"]:
                files = restoring.restore_files(made, into=Path(options["files"]))
                self.stdout.write(f"{files:,} private files were restored.")
        except BackupError as error:
            raise CommandError(f"{error}.") from None
        with connection.cursor() as cursor:  # a restored database knows nothing of its contents
            cursor.execute("SET statement_timeout = 0; ANALYZE; RESET statement_timeout")
        self.stdout.write(
            f"{made.name} was restored: {made.rows:,} rows, {count:,} data keys of {source}. Now "
            "run replay_erasures and migrate, before anybody is let in."
        )
