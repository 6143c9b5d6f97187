from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User, normalize_email
from accounts.second_factor import changes
from tracker import clock, tenancy


class Command(BaseCommand):
    help = (
        "Remove every second factor of somebody who lost them all. Make sure first that it is them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        email = normalize_email(options["email"])
        with tenancy.as_lookup(email=email):
            user_id = User.objects.filter(email=email).values_list("id", flat=True).first()
        if user_id is None:
            raise CommandError(f"There is nobody with the address {email}.")
        removed = changes.reset(user_id=user_id, now=clock.now())
        listed = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in removed.items())
        self.stdout.write(f"Removed: {listed}. All sessions were ended, and {email} is told.")
