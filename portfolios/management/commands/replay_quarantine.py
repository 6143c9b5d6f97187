from typing import Any

from django.core.management.base import BaseCommand
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from exchanges.gateway.errors import GatewayError
from portfolios.sync import replaying
from portfolios.sync.replaying import Account, Outcome
from tracker import clock


class Command(BaseCommand):
    help = (
        "After an upgrade: read again what exchanges sent and could not be understood. No key is "
        "used. Killed midway, run it again."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--exchange", default="", help="only of this exchange, by its id")
        parser.add_argument("--feed", default="", help="only of this feed")
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would be understood, write nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = replaying.accounts(exchange=options["exchange"], feed=options["feed"])
        total, away = Outcome(), dict[str, str]()
        with Progress(
            "{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            transient=True,
        ) as progress:  # fmt: skip
            for account in progress.track(found, description="accounts"):
                if account.exchange not in away:
                    total += self._replay(account, options, away)
        self._tell(total, len(found), away, dry_run=options["dry_run"])

    def _replay(self, account: Account, options: Any, away: dict[str, str]) -> Outcome:
        """An exchange whose markets cannot be had is not asked again for each account."""
        try:
            return replaying.replay(
                account, feed=options["feed"], dry_run=options["dry_run"], now=clock.now()
            )
        except GatewayError as error:
            away[account.exchange] = error.code
            return Outcome()

    def _tell(self, total: Outcome, accounts: int, away: dict[str, str], *, dry_run: bool) -> None:
        would = " would be" if dry_run else ""
        facts = "facts" if dry_run else "new facts"
        self.stdout.write(
            f"{accounts} accounts: {total.understood}{would} understood, {total.facts} {facts}, "
            f"{total.left} left."
        )
        for exchange, code in sorted(away.items()):
            self.stdout.write(f"Not read, {exchange}: {code}. Please run it again later.")
