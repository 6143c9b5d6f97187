"""What this room looks at before a launch: texts, e-mail, the shield of sign-in, staff."""

import re
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from requests import RequestException

from accounts import legal
from accounts.models import Passkey, TotpDevice, User
from tracker import launch, tenancy
from tracker.launch import Missing, Occasion

_NOBODY = "The operator"  # what settings call an operator without a name
# What a text of ours is not meant to hold when strangers read it.
_PLACEHOLDER = re.compile(
    r"\bTODO\b|\bTBD\b|\bFIXME\b|lorem ipsum|\bexample\.(?:com|org|net)\b|@localhost|"
    r"\[[^\]\n]{2,60}\]|<(?:name|address|e-?mail|company)>",
    re.IGNORECASE,
)
_UNSENT = ("console", "locmem", "dummy", "filebased")


def register() -> None:
    """Take part in the checklist."""
    launch.add("legal", "Terms and privacy policy", look_at_texts, rank=50)
    launch.add("email", "E-mail leaves", look_at_mail, rank=51)
    launch.add("support", "Support inbox", look_at_support, rank=52)
    launch.add("staff", "Second factor of all staff", look_at_staff, rank=70)


def look_at_texts(occasion: Occasion) -> str:
    """Who is responsible is named, and no placeholder is left. Raises Missing."""
    operator = settings.OPERATOR
    lacking = [f"OPERATOR_{key.upper()}" for key, value in operator.items() if not value.strip()]
    if operator["name"] == _NOBODY:
        lacking.append("OPERATOR_NAME")
    if lacking:
        remedy = "Set it; an imprint without it is void."
        raise Missing(f"not set: {', '.join(sorted(lacking))}", remedy=remedy)
    for name, page in (("terms", legal.terms), ("privacy", legal.privacy)):
        if found := _PLACEHOLDER.search(_text_of(page)):
            remedy = f"Fill it in: settings OPERATOR_…, or templates/public/{name}.html."
            raise Missing(f"/{name} still says {found[0]!r}", remedy=remedy)
    return f"{operator['name']}; terms {settings.TERMS_VERSION}, policy {settings.PRIVACY_VERSION}"


def look_at_mail(occasion: Occasion) -> str:
    """The mail server lets us in; with ``send_to`` it takes an e-mail. Raises Missing."""
    kind = settings.EMAIL_BACKEND
    if any(word in kind for word in _UNSENT):
        said = f"{kind.rsplit('.', 2)[-2]} sends nothing"
        raise Missing(said, remedy="Set EMAIL_PROVIDER.")
    try:
        with get_connection() as server:
            if not occasion.send_to:
                return _opened(kind)
            EmailMessage(
                "Launch checklist", "E-mail leaves.", to=[occasion.send_to], connection=server
            ).send()
    except (OSError, SMTPException, RequestException) as error:  # anymail's errors are OSErrors too
        said = f"the mail server did not take it ({type(error).__name__})"
        raise Missing(said, remedy="Check EMAIL_PROVIDER and its key.") from None
    return f"an e-mail to {occasion.send_to} was taken; see that it arrives"


def look_at_support(occasion: Occasion) -> str:
    """People who need help have somewhere to write to. Raises Missing."""
    address = settings.SUPPORT_EMAIL
    if "@" not in address or _PLACEHOLDER.search(address):
        said = f"SUPPORT_EMAIL is {address!r}" if address else "SUPPORT_EMAIL is not set"
        raise Missing(said, remedy="Set SUPPORT_EMAIL to an inbox that somebody reads.")
    return address


def look_at_staff(occasion: Occasion) -> str:
    """Everybody who may enter the admin has a second factor. Raises Missing."""
    with tenancy.as_system("launch checklist"):
        staff = User.objects.filter(is_staff=True, is_active=True)
        total, without = staff.count(), staff.exclude(_has(TotpDevice)).exclude(_has(Passkey))
        lacking = without.count()
    if not total:
        raise Missing("there is no staff", remedy="Run manage.py createsuperuser.")
    if lacking:
        said = f"{lacking} of {total} have none"
        raise Missing(said, remedy="Let them sign in to the admin and enrol, or deactivate them.")
    return f"all {total} have one"


def _has(kind: type[TotpDevice] | type[Passkey]) -> Exists:
    return Exists(kind._default_manager.filter(user=OuterRef("pk"), confirmed=True))


def _text_of(page) -> str:
    """A public page without its markup, as it is served."""
    request = HttpRequest()
    request.method = "GET"
    return re.sub(r"<[^>]*>|\s+", " ", page(request).content.decode())


def _opened(kind: str) -> str:
    if "anymail" in kind:  # nothing is opened before something is sent
        return f"{kind.split('.')[2]}; not tried (--send-to tries it)"
    return f"{settings.EMAIL_HOST} lets us in; nothing was sent (--send-to sends)"
