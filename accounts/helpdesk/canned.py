"""Answers that are written once for many: which are offered, and what is filled in."""

import re
from collections.abc import Sequence

from django.db.models import Q

from accounts.models import CannedReply, SupportRequest

PLACEHOLDERS = ("reference", "subject", "category")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
MOST_OFFERED = 200


def unknown_placeholders(text: str) -> list[str]:
    """What stands in braces and would not be filled in."""
    return sorted({name for name in _PLACEHOLDER.findall(text) if name not in PLACEHOLDERS})


def offered(request: SupportRequest) -> Sequence[CannedReply]:
    """Those of this category and those for all; in the person's language first."""
    language = request.user.locale.split("-")[0].lower()
    found = CannedReply.objects.filter(Q(category="") | Q(category=request.category))
    rows = list(found.order_by("title")[:MOST_OFFERED])
    return sorted(rows, key=lambda row: row.language.split("-")[0].lower() != language)


def filled(reply: CannedReply, request: SupportRequest) -> str:
    """Its text for one request. What people wrote is put in as it is and never filled in again."""
    facts = {
        "reference": request.reference, "subject": request.subject,
        "category": request.get_category_display(),
    }  # fmt: skip
    return _PLACEHOLDER.sub(lambda found: facts.get(found[1], found[0]), reply.text)
