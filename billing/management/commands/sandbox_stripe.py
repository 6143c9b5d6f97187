"""`manage.py sandbox_stripe`: a local Stripe, beside localstripe."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.sandbox import commands


class Command(BaseCommand):
    """Serve the sandbox; needs neither the database nor any other service."""

    help = "Run a local Stripe whose subscriptions, payments and webhooks live in memory."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The same flags as `python -m billing.sandbox`."""
        commands.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until SIGINT or SIGTERM."""
        try:
            commands.run(options)
        except commands.SettingsError as error:
            raise CommandError(str(error)) from None
