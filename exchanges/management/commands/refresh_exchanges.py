from typing import Any

from django.core.management.base import BaseCommand

from exchanges import catalogue
from tracker import clock


class Command(BaseCommand):
    help = "Refresh the catalogue of exchanges from the installed ccxt. Run at each release."

    def handle(self, *args: Any, **options: Any) -> None:
        count = catalogue.refresh(now=clock.now())
        self.stdout.write(f"{count} exchanges can be connected.")
