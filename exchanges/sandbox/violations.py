"""A count of everything callers did that the protocol forbids, by kind."""

from collections import Counter

BAD_KEY = "bad_key"
NO_PERMISSION = "no_permission"
BAD_SIGNATURE = "bad_signature"
STALE_TIMESTAMP = "stale_timestamp"
OVER_LIMIT = "over_limit"
OVER_LIMIT_AFTER_429 = "over_limit_after_429"
REQUEST_DURING_BAN = "request_during_ban"
WINDOW_TOO_LONG = "window_too_long"
ILLEGAL_COMBINATION = "illegal_parameter_combination"
PAGE_LIMIT_EXCEEDED = "page_limit_exceeded"
MISSING_PARAMETER = "missing_parameter"
MISSING_SYMBOL = "missing_symbol"
UNKNOWN_SYMBOL = "unknown_symbol"
MALFORMED_PARAMETER = "malformed_parameter"
UNKNOWN_ENDPOINT = "unknown_endpoint"


class Violations:
    """Counts, until they are reset."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def note(self, kind: str) -> None:
        """Count one more of a kind."""
        self._counts[kind] += 1

    def counts(self) -> dict[str, int]:
        """How often each kind happened; kinds that did not are left out."""
        return dict(sorted(self._counts.items()))

    def reset(self) -> None:
        """Start from nothing."""
        self._counts.clear()
