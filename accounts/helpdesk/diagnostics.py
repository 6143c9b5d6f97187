"""What a phone may tell about itself, and that no key gets in with it.

Fields and sizes are those of the serializer; here every text is looked through for what has the
shape of a secret. A false alarm costs a word in a support request, a miss costs an account.
"""

import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import available_timezones

REDACTED = "[redacted]"
# Our own ids are UUIDs of version 7. Other UUIDs may be secrets: KuCoin's are.
_OURS = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
# A run of what hexadecimal, Base64 and tokens are made of. Dots join the parts of a JWT.
_RUN = re.compile(rf"(?<![\w+/=.-])({_OURS})(?![\w+/=-])|[A-Za-z0-9+/=_.-]{{20,}}")
_WORDS = re.compile(r"[A-Z]?[a-z]+(?:[._/-][A-Z]?[a-z]+[0-9]{0,3})*|[A-Z]+(?:_[A-Z]+)*")
_LONGEST_WORD = 16


def redacted(text: str) -> str:
    """The text with everything that looks like a key replaced; ids of ours stay."""
    clear = _RUN.sub(lambda found: found[0] if _is_harmless(found) else REDACTED, text)
    return text if clear != text and text in available_timezones() else clear


def _is_harmless(found: re.Match[str]) -> bool:
    """An id of ours, or words with dots, dashes, slashes or underscores between them."""
    if found[1]:
        return True
    is_words = _WORDS.fullmatch(found[0])
    return bool(is_words) and max(map(len, re.split(r"[._/-]", found[0]))) <= _LONGEST_WORD


def kept(told: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored of what the app told: redacted, without what is empty."""
    cleared = {name: _cleared(value) for name, value in told.items()}
    return {name: value for name, value in cleared.items() if value not in ("", [], None)}


def _cleared(value: Any) -> Any:
    if isinstance(value, list):
        return [_cleared(item) for item in value]
    return redacted(value) if isinstance(value, str) else str(value)
