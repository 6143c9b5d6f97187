"""`manage.py sandbox_exchange`: a local exchange in the dialects of Binance and Kraken."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from exchanges.sandbox import commands, config


class Command(BaseCommand):
    """Serve the sandbox; needs neither the database nor any other service."""

    help = "Run a local exchange with many accounts whose histories are drawn from a seed."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The same flags as `python -m exchanges.sandbox`."""
        config.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until SIGINT or SIGTERM."""
        try:
            commands.run(config.from_options(options))
        except commands.SettingsError as error:
            raise CommandError(str(error)) from None
