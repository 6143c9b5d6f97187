import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.progress import Progress

from accounts.models import normalize_email
from accounts.privacy import archive, people
from audit import log
from audit.actions import Action
from tracker import clock, tenancy


class Command(BaseCommand):
    help = "Write everything about a person into one zip: a JSON and a CSV per table, an index."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("email")
        parser.add_argument("--output", type=Path, help="Default: ./export-<user id>.zip")

    def handle(self, *args: Any, **options: Any) -> None:
        user_id = people.find(normalize_email(options["email"]))
        if user_id is None:
            raise CommandError("There is nobody with this e-mail address.")
        path: Path = options["output"] or Path(f"export-{user_id}.zip")
        try:
            rows = self._write(path, user_id)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}") from None
        with tenancy.as_system("export by staff"):
            log.record(Action.EXPORT_DOWNLOADED, user_id=user_id, by="command")
        self.stdout.write(f"{rows} rows, {path.stat().st_size:,} bytes: {path}")

    def _write(self, path: Path, user_id: Any) -> int:
        """For the owner's eyes only, and under its name only when it is whole."""
        part = path.with_name(path.name + ".part")
        try:
            with Progress(transient=True) as progress:
                bar = progress.add_task("Exporting", total=archive.count(user_id) or 1)
                with open(part, "wb", opener=_only_mine) as target:
                    rows = archive.write(
                        target, user_id=user_id, now=clock.now(),
                        told=lambda done: progress.update(bar, completed=done),
                    )  # fmt: skip
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return rows


def _only_mine(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
