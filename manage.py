#!/usr/bin/env python
"""Django's command line. In development it brings its own PostgreSQL and Valkey."""

import os
import sys
from pathlib import Path

import environ

SERVERLESS = {
    "sandbox_exchange", "sandbox_stripe", "makemessages", "compilemessages", "collectstatic",
    "help",
}  # fmt: skip


def main() -> None:
    environ.Env.read_env(Path(__file__).resolve().parent / ".env")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracker.settings")
    if len(sys.argv) < 2 or sys.argv[1] not in SERVERLESS:
        from tracker.embedded import use_embedded_servers

        use_embedded_servers(os.environ)
    if sys.argv[1:2] == ["run_local"]:
        from tracker import local_environment

        local_environment.apply(os.environ)
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
