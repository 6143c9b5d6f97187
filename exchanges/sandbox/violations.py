"""A count of everything callers did that the protocol forbids, by kind and address."""

from collections import Counter, defaultdict

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
INVALID_NONCE = "invalid_nonce"


class Violations:
    """Counts, until they are reset."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._by_address: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def note(self, kind: str, address: str) -> None:
        """Count one more of a kind."""
        self._counts[kind] += 1
        self._by_address[address][kind] += 1

    def counts(self) -> dict[str, int]:
        """How often each kind happened; kinds that did not are left out."""
        return dict(sorted(self._counts.items()))

    def by_address(self) -> dict[str, dict[str, int]]:
        """The same by address."""
        found = sorted(self._by_address.items())
        return {address: dict(sorted(counts.items())) for address, counts in found}

    def reset(self) -> None:
        """Start from nothing."""
        self._counts.clear()
        self._by_address.clear()
