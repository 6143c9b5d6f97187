from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from exchanges import holding
from tracker import clock


class Command(BaseCommand):
    help = (
        "Have nobody ask an exchange for a while: no visits, no tests of keys, no prices that are "
        "asked for. Streams of prices go on. A longer time that is set already stays. Without a "
        "name say which are left alone, by hand or because they asked for it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("exchange", nargs="?")
        parser.add_argument("--minutes", type=int, default=60, help="For how long (60).")
        parser.add_argument("--release", action="store_true", help="Ask it again.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(self._done(**options))
        except holding.NotHeld as problem:
            raise CommandError(f"{problem}.") from None

    def _done(self, *, exchange: str | None, minutes: int, release: bool, **options: Any) -> str:
        if exchange is None:
            rows = (f"{name}: {left}" for name, left in sorted(holding.held().items()))
            return "\n".join(rows) or "No exchange is left alone."
        if release:
            was_held = holding.release(exchange=exchange, now=clock.now())
            return f"{exchange} is asked again." if was_held else f"{exchange} was not held."
        until = holding.hold(
            exchange=exchange, lasting=timedelta(minutes=minutes), now=clock.now()
        )  # fmt: skip
        return f"Nobody asks {exchange} until {until:%Y-%m-%d %H:%M:%S} UTC."
