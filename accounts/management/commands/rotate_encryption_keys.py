from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.progress import Progress

from accounts import datakeys
from audit import log
from audit.actions import Action
from tracker import tenancy
from tracker.vault import VaultError


class Command(BaseCommand):
    help = (
        "Wrap every data key with the first key of ENCRYPTION_KEY. Online and resumable; when it "
        "has finished, the other keys can be taken out of ENCRYPTION_KEY."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        done = total = 0
        try:
            with Progress(transient=True) as progress:
                bar = progress.add_task("Wrapping data keys")
                for state in datakeys.rotate():
                    done, total = state.done, state.total
                    progress.update(bar, completed=done, total=total)
        except VaultError as error:
            raise CommandError(
                f"Stopped after {done} of {total} data keys, because {error}; "
                "run this again when that is mended."
            ) from None
        if left := datakeys.left():
            raise CommandError(
                f"{done} of {done + left} data keys were wrapped, {left} are in other hands now; "
                "run this again before a key is taken out of ENCRYPTION_KEY."
            )
        with tenancy.as_system("key rotation"):
            log.record(Action.KEYS_ROTATED, user_id=None, count=done)
        self.stdout.write(f"{done} data keys are now wrapped by the current key.")
