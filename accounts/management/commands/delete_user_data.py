from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from rich.progress import Progress
from rich.table import Table

from accounts.models import User, normalize_email
from accounts.privacy import erasure, people, record
from accounts.privacy.tombstones import ErasureLogUnusable
from billing import erasure as billing
from billing.erasure import SubscriptionActive
from tracker import clock, tenancy
from tracker.errors import DomainError


class Command(BaseCommand):
    help = (
        "Erase a person: say table by table what is deleted, anonymised or kept, ask, and do it. "
        "Killed midway, run it again."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("email")
        parser.add_argument("--dry-run", action="store_true", help="Only say what would happen.")
        parser.add_argument("--yes", action="store_true", help="Do not ask.")
        parser.add_argument(
            "--end-subscription", action="store_true", help="End a plan that costs money first."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user_id = people.find(normalize_email(options["email"]))
        if user_id is None:
            raise CommandError("There is nobody with this e-mail address.")
        user = people.get(user_id)
        rows = self._show(user_id)
        if options["dry_run"]:
            self.stdout.write("Nothing was changed.")
            return
        self._refuse_or_end(user, end=options["end_subscription"])
        if not options["yes"] and input("Erase this person for good? Type yes: ") != "yes":
            raise CommandError("Nothing was changed.")
        self._erase(user, rows)

    def _show(self, user_id: UUID) -> int:
        table = Table("what", "rows", "becomes", "why")
        lines = erasure.plan(user_id)
        for line in lines:
            table.add_row(line.name, str(line.rows), line.action, line.why)
        self.stdout.write(record.printed(table, width=140))
        return sum(line.rows for line in lines)

    def _refuse_or_end(self, user: User, *, end: bool) -> None:
        try:
            with tenancy.as_user(user.id):
                billing.refuse_while_subscribed(user)
        except SubscriptionActive:
            if not end:
                raise CommandError(
                    "This person has a plan that costs money. End the subscription first, or have "
                    "it ended here: --end-subscription. Nothing was changed."
                ) from None
            self._end(user)

    def _end(self, user: User) -> None:
        try:
            billing.end_subscription(user)
        except DomainError as error:
            raise CommandError(
                f"The subscription could not be ended: {error.text} Nothing was changed."
            ) from None

    def _erase(self, user: User, rows: int) -> None:
        now = clock.now()
        if not erasure.say_goodbye(user_id=user.id, now=now):
            self.stderr.write("The last e-mail could not be handed over just now; going on.")
        try:
            with Progress(transient=True) as progress:
                bar = progress.add_task("Erasing", total=rows or 1)
                done = erasure.erase(
                    user_id=user.id, now=now,
                    told=lambda name, count: progress.update(bar, advance=count, description=name),
                )  # fmt: skip
        except (ErasureLogUnusable, erasure.StillWritten, DomainError) as error:
            why = str(error) or "rows kept coming"
            raise CommandError(f"Not finished, run it again: {why}.") from None
        self.stdout.write(
            f"Erased: {done} rows. Backups made before hold the data, encrypted, for at most 12 "
            "months; after a restore run `manage.py replay_erasures`."
        )
