"""Finding a person for staff at the command line."""

from uuid import UUID

from accounts.models import User
from tracker import tenancy


def find(email: str) -> UUID | None:
    """Whose address this is."""
    with tenancy.as_lookup(email=email):
        return User.objects.filter(email=email).values_list("id", flat=True).first()


def get(user_id: UUID) -> User:
    """The person. Raises User.DoesNotExist."""
    with tenancy.as_user(user_id):
        return User.objects.get(id=user_id)
