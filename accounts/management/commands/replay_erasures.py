from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.progress import Progress

from accounts.privacy import closing, tombstones
from accounts.privacy.tombstones import ErasureLogUnusable
from tracker import clock


class Command(BaseCommand):
    help = (
        "After a restore: erase again whoever the erasure log names and the database holds. "
        "Killed midway, run it again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        total = sum(1 for _ in tombstones.read())
        erased = 0
        try:
            with Progress(transient=True) as progress:
                bar = progress.add_task("Replaying erasures", total=total or 1)
                for back in closing.replay(now=clock.now()):
                    erased += back
                    progress.advance(bar)
        except ErasureLogUnusable as error:
            raise CommandError(f"{error}.") from None
        self.stdout.write(f"{total} erasures in the log, {erased} people erased again.")
