"""Texts as they are kept: without characters that hide or reorder what is read."""

import re
import unicodedata

# Control characters but for tab and line end; marks that turn the direction of what follows.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")


def cleaned(text: str) -> str:
    """The text with line ends as ``\\n`` and nothing that reorders it; empty where none shows."""
    text = _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    return text if _shows(text) else ""


def on_one_line(text: str) -> str:
    """The same on one line, for a subject."""
    return " ".join(cleaned(text).split())


def _shows(text: str) -> bool:
    """Whether anything of it is seen: not only spaces, joiners and marks of zero width."""
    return any(unicodedata.category(letter)[0] not in "CZ" for letter in text)
