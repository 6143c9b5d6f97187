import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tracker import clock, launch
from tracker.launch import Finding, Occasion

_MARKS = {True: "[green]✓[/green]", False: "[red]✗[/red]", None: "[dim]–[/dim]"}


class Command(BaseCommand):
    help = (
        "Look at everything that must be true before people are let in: a tick, or the remedy. "
        "Exits with 1 when something is missing."
    )
    requires_system_checks: list[str] = []  # bad settings are one of the things to be told

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--send", action="store_true", help="Send Sentry an event.")
        parser.add_argument("--send-to", default="", metavar="ADDRESS", help="Send an e-mail.")
        parser.add_argument("--json", action="store_true", help="For programs.")
        parser.add_argument(
            "--without", action="append", default=[], metavar="ITEM",
            help=f"Leave one out: {', '.join(item.slug for item in launch.items())}.",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        without = frozenset(options["without"])
        if unknown := without - {item.slug for item in launch.items()}:
            raise CommandError(f"There is no item {', '.join(sorted(unknown))}.")
        occasion = Occasion(clock.now(), send=options["send"], send_to=options["send_to"])
        found = list(launch.findings(occasion, without=without))
        self.stdout.write(_as_json(found) if options["json"] else self._as_table(found))
        missing = sum(finding.ok is False for finding in found)
        if missing:
            raise CommandError(f"{missing} of {len(found)} are missing.")

    def _as_table(self, found: list[Finding]) -> str:
        table = Table(title="Launch checklist", show_lines=False)
        for column in ("", "item", "seen", "remedy"):
            table.add_column(column, overflow="fold")
        for finding in found:
            title = f"{finding.item.title} [dim]({finding.item.slug})[/dim]"
            table.add_row(_MARKS[finding.ok], title, escape(finding.said), escape(finding.remedy))
        console = Console(force_terminal=None if self.stdout.isatty() else False)
        with console.capture() as written:
            console.print(table)
        return written.get()


def _as_json(found: list[Finding]) -> str:
    rows = [
        {"item": row.item.slug, "title": row.item.title, "ok": row.ok, "said": row.said,
         "remedy": row.remedy}
        for row in found
    ]  # fmt: skip
    return json.dumps({"ok": all(row.ok is not False for row in found), "items": rows})
