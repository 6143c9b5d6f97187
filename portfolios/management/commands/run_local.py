import os
import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portfolios import demo
from tracker import local, local_environment


class Command(BaseCommand):
    help = "Run everything on this machine: web, worker, beat and the sandbox exchange."

    def handle(self, *args: Any, **options: Any) -> None:
        where = local_environment.ports(os.environ)
        local.prepare()
        processes = local.manager(where, os.environ)
        local.announce(where, on_ready=lambda: demo.introduce(where))
        local.stop_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
        processes.loop()
        if processes.returncode not in (0, 130, 143, None):
            raise CommandError("A process ended by itself; its last lines are above.")
        sys.exit(0)
