"""On whom a member of staff may act: the one rule for every page, button and action of the admin.

A leaf: staff and superusers are told by the two columns that Django gives every user.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model

REFUSED = "Only superusers act on staff, and nobody acts on themself"


def may_act_on(request: Any, person: Any) -> bool:
    """Nobody acts on themself: that is what the app is for. Only superusers act on staff."""
    if person.pk == request.user.pk:
        return False
    return request.user.is_superuser or not (person.is_staff or person.is_superuser)


def among(request: Any, keys: Iterable[UUID]) -> set[UUID]:
    """Those of these people on whom may be acted. One query; call inside ``as_system``."""
    people = get_user_model().objects.filter(pk__in=set(keys))
    people = people.only("pk", "is_staff", "is_superuser")
    return {person.pk for person in people if may_act_on(request, person)}


def may_act_on_key(request: Any, key: UUID) -> bool:
    """`may_act_on` where only the id of the person is at hand. Call inside ``as_system``."""
    return key in among(request, [key])
