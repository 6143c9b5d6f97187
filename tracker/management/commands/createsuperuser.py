"""Django's ``createsuperuser`` as system: nobody is signed in yet, so row-level security would
refuse the new row."""

from typing import Any

from django.contrib.auth.management.commands import createsuperuser

from tracker import tenancy


class Command(createsuperuser.Command):
    def execute(self, *args: Any, **options: Any) -> Any:
        with tenancy.as_system("createsuperuser"):
            return super().execute(*args, **options)
