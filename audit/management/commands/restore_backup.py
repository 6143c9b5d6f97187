from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from tracker import direct
from tracker.backups import progress, restoring
from tracker.backups.errors import BackupError

_NO_KEYS = (
    "no data keys: exchange keys, authenticator apps and all else that was sealed cannot be read, "
    "and people must enter their credentials anew"
)


class Command(BaseCommand):
    help = (
        "Restore the newest backup into the database of DATABASE_URL, which must be empty. Then "
        "run migrate and then replay_erasures, before anybody is let in."
    )
    requires_system_checks: list[str] = []  # they may ask for tables that are not there yet
    requires_migrations_checks = False

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--name", default="", help="Another backup than the newest.")
        parser.add_argument("--files", help="An empty folder for the private files.")
        keys = parser.add_mutually_exclusive_group()
        keys.add_argument(
            "--without-keys", action="store_true",
            help="Restore although no copy of data keys is left: what is sealed stays unreadable.",
        )  # fmt: skip
        keys.add_argument(
            "--only-keys", action="store_true",
            help="Bring data keys into a database that is restored, when that failed before.",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        with direct.connected():
            self._restore(options)

    def _restore(self, options: dict[str, Any]) -> None:
        try:
            if options["only_keys"]:
                source, count = restoring.restore_keys()
                self.stdout.write(f"{count:,} data keys of {source} were restored.")
                return
            with progress.shown() as told:
                made = restoring.find(options["name"])
                source, count = restoring.restore(
                    made, told=told, without_keys=options["without_keys"]
                )
            if options["files"]:
                files = restoring.restore_files(made, into=Path(options["files"]))
                self.stdout.write(f"{files:,} private files were restored.")
        except BackupError as error:
            raise CommandError(f"{error}.") from None
        with connection.cursor() as cursor:  # a restored database knows nothing of its contents
            cursor.execute("SET statement_timeout = 0; ANALYZE; RESET statement_timeout")
        found = f"{count:,} data keys of {source}" if source else _NO_KEYS
        self.stdout.write(
            f"{made.name} was restored: {made.rows:,} rows, {found}. Now run migrate and then "
            "replay_erasures, before anybody is let in."
        )
