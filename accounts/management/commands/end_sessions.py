from typing import Any

from django.contrib.sessions.models import Session as StaffSession
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import sessions
from accounts.models import Session
from audit import log
from audit.actions import Action
from tracker import clock, tenancy


class Command(BaseCommand):
    help = (
        "Sign everybody out, staff included: after a signing key, a copy of the database or a "
        "backup leaked. API keys of people stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--everybody", action="store_true", help="Say that you mean it.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["everybody"]:
            raise CommandError("Say --everybody. One person's sessions end on their admin page.")
        with tenancy.as_system("end every session"):
            ended = sessions.end(
                Session.objects.all(), reason="ended_by_operators", now=clock.now()
            )
            staff, _ = StaffSession.objects.all().delete()
            log.record(Action.EVERY_SESSION_ENDED, user_id=None, ended=ended, staff=staff)
        self.stdout.write(f"{ended:,} sessions and {staff:,} of staff were ended.")
