import signal
import threading
from argparse import ArgumentParser
from dataclasses import fields
from typing import Any

from django.core.management.base import BaseCommand

from portfolios.alerting.watching import Pace, Watcher


class Command(BaseCommand):
    help = "Tell of price alerts as prices move, until stopped. Two at once do no harm."

    def add_arguments(self, parser: ArgumentParser) -> None:
        for pace in fields(Pace):
            parser.add_argument(f"--{pace.name}", type=float, default=pace.default, help="Seconds.")

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        pace = Pace(**{item.name: options[item.name] for item in fields(Pace)})
        Watcher(pace=pace, stop=stop, on_ready=self._announce).run()

    def _announce(self, alerts: int) -> None:
        self.stdout.write(f"Watching {alerts} price alerts")
        self.stdout.flush()
