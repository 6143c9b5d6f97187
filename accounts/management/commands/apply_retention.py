from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.table import Table

from accounts.privacy import record, retention
from tracker import clock


class Command(BaseCommand):
    help = "Delete what has outlived its purpose, as the inventory says. Runs daily by itself."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only count.")

    def handle(self, *args: Any, **options: Any) -> None:
        dry_run = options["dry_run"]
        table = Table("table", "rule", "would go" if dry_run else "gone")
        console = Console(stderr=True)
        with console.status("Applying retention") as status:
            for line in retention.apply(now=clock.now(), dry_run=dry_run):
                status.update(line.name)
                table.add_row(line.name, line.rule, str(line.rows))
        self.stdout.write(record.printed(table, width=120))
