import signal
import threading
from argparse import ArgumentParser
from dataclasses import fields
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from exchanges.streaming import Pace, Streamer


class Command(BaseCommand):
    help = "Follow the prices of exchanges as they move, until stopped. Two at once do no harm."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("exchanges", nargs="*", help="Default: those of PRICE_EXCHANGES.")
        for pace in fields(Pace):
            name = "--" + pace.name.replace("_", "-")
            parser.add_argument(name, type=float, default=pace.default, help="Seconds.")

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        pace = Pace(**{item.name: options[item.name] for item in fields(Pace)})
        names = options["exchanges"] or settings.PRICE_EXCHANGES
        threads = [
            threading.Thread(target=Streamer(name, pace=pace, stop=stop).run, name=name)
            for name in dict.fromkeys(names)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
