import re
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.progress import Progress

from audit import verification
from audit.verification import Report

_HEAD = re.compile(r"\d{1,18}:[0-9a-fA-F]{64}")


class Command(BaseCommand):
    help = (
        "Compare the activity log with its seals. Names every row that was changed, moved, taken "
        "out or slipped in, and every seal that is not ours. Exits with 1 when it finds one."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--since", help="A day, 2026-03-01: leave out what was sealed before.")
        parser.add_argument(
            "--head",
            help="NUMBER:DIGEST of a seal as the structured log or a digest e-mail kept it; it "
            "must still be in the chain.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        since, head = _day(options["since"]), options["head"] or ""
        if head and not _HEAD.fullmatch(head):
            raise CommandError("--head is a seal's number, a colon and its digest in hex.")
        with Progress(transient=True) as progress:
            bar = progress.add_task("Comparing rows", total=verification.count(since))
            report = verification.verify(
                since=since, head=head, told=lambda rows: progress.update(bar, advance=rows)
            )
        for line in _lines(report):
            self.stdout.write(line)
        if report.total:
            raise CommandError(f"{report.total} findings: the activity log was tampered with.")
        self.stdout.write("The activity log is what was sealed.")


def _day(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise CommandError("--since is a day such as 2026-03-01.") from None


def _lines(report: Report) -> list[str]:
    lines = [
        f"{report.rows:,} rows under {report.seals:,} seals; {report.erased:,} of them erased, "
        f"{report.retired:,} retired; {report.unsealed:,} wait for their seal."
    ]
    if report.retired_before:
        lines.append(f"Retention has dropped the months before {report.retired_before:%Y-%m-%d}.")
    if report.oldest_unsealed:
        lines.append(f"The oldest that waits is of {report.oldest_unsealed:%Y-%m-%d %H:%M:%S}.")
    if report.head:
        lines.append(f"Newest seal: {report.head}")
    for finding in report.findings:
        seal = f" (seal {finding.seal})" if finding.log_id and finding.seal else ""
        lines.append(f"{finding.kind}: {finding.text}{seal}")
    if report.total > len(report.findings):
        lines.append(f"… and {report.total - len(report.findings):,} more.")
    return lines
