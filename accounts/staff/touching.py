"""On whom a member of staff may act."""

from typing import Any

from accounts.models import User


def may_touch(request: Any, person: User) -> bool:
    """Whether a person is not above the member of staff: only superusers change other staff."""
    return request.user.is_superuser or not (person.is_staff or person.is_superuser)


def may_act_on(request: Any, person: User) -> bool:
    """The same, and nobody acts on themself: that is what the app is for."""
    return person.pk != request.user.pk and may_touch(request, person)
