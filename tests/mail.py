"""What was written to people, and the links in it."""

from accounts import links
from accounts.models import AccountLink, Delivery, User
from tracker import tenancy


def written_to(user: User) -> list[tuple[str, str]]:
    """Event and address of every e-mail to somebody, oldest first; no address means their own."""
    with tenancy.as_system("test"):
        rows = Delivery.objects.filter(user=user, channel="email").order_by("id")
        return list(rows.values_list("event", "address"))


def newest_link(user: User, purpose: str) -> AccountLink:
    with tenancy.as_system("test"):
        return AccountLink.objects.filter(user=user, purpose=purpose).order_by("id").last()


def token_for(user: User, purpose: str) -> str:
    """What stands in the newest e-mail of this purpose."""
    return links.token_of(newest_link(user, purpose))


def find(email: str) -> User:
    with tenancy.as_system("test"):
        return User.objects.get(email=email)


def reread(user: User) -> User:
    with tenancy.as_system("test"):
        return User.objects.get(id=user.id)
