"""Staff in the admin: signed in, with a second factor shown, as the pages before it leave them."""

from types import SimpleNamespace

from django.test import Client
from django_otp import DEVICE_ID_SESSION_KEY

from accounts.models import TotpDevice, User
from accounts.staff import idle
from tracker import clock, tenancy


def signed_in(user: User, *, verified: bool = True) -> Client:
    """A client in the admin as this person; without ``verified`` only the password was given."""
    client = Client()
    with tenancy.as_system("test"):
        client.force_login(user)
        session = client.session
        if verified:
            session[DEVICE_ID_SESSION_KEY] = device_of(user).persistent_id
        idle.begin(SimpleNamespace(session=session))
        session.save()
    return client


def device_of(user: User) -> TotpDevice:
    """The authenticator app of this person, made if there is none. Nobody knows its seed."""
    now = clock.now()
    found, _ = TotpDevice.objects.get_or_create(
        user=user, confirmed=True,
        defaults={"name": "test", "sealed_seed": b"sealed", "confirmed_at": now},
    )  # fmt: skip
    return found
