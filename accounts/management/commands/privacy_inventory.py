from typing import Any

from django.core.management.base import BaseCommand

from accounts.privacy import record


class Command(BaseCommand):
    help = "Print the record of processing activities (Art. 30 GDPR), made from the inventory."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--format", choices=record.FORMATS, default="text")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(record.FORMATS[options["format"]]())
