from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from accounts.models import User, normalize_email
from portfolios import derivation
from tracker import clock, tenancy


class Command(BaseCommand):
    help = (
        "Compute everything derived again from the ledger: pairs, lots, gains, valuations, "
        "discrepancies. The result is the same, to the digit. Without addresses: everybody's."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("emails", nargs="*", metavar="EMAIL")

    def handle(self, *args: Any, **options: Any) -> None:
        people = _people([normalize_email(email) for email in options["emails"]])
        busy = 0
        with Progress(
            "{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        ) as progress:
            for user_id in progress.track(people, description="portfolios"):
                busy += not derivation.rebuild(user_id=user_id, now=clock.now())
        self.stdout.write(f"Computed anew: {len(people) - busy}.")
        if busy:
            self.stdout.write(f"Left to the workers that are computing them just now: {busy}.")


def _people(emails: Sequence[str]) -> list[UUID]:
    with tenancy.as_system("rebuild portfolios"):
        rows = User.objects.filter(is_active=True).order_by("id")
        if not emails:
            return list(rows.values_list("id", flat=True))
        found = dict(rows.filter(email__in=emails).values_list("email", "id"))
    if missing := sorted(set(emails) - found.keys()):
        raise CommandError(f"There is nobody with this address: {', '.join(missing)}.")
    return list(found.values())
