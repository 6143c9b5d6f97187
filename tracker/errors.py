"""The root of every error that a person can be told about.

A domain error names a stable machine ``code``, an HTTP ``status`` and one sentence that the app
can show. Each module defines its own beside the function that raises them; one exception handler
(``tracker.api``) turns them into answers.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class DomainError(Exception):
    """Base class. ``details`` is machine-readable and holds nothing secret."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 400
    message: ClassVar[str] = "Something is wrong with this request."
    ours: ClassVar[bool] = True  # with a 5xx: an error of ours, which counts against availability

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.text = message or self.message
        self.details = dict(details or {})
        self.retry_after = retry_after
        super().__init__(self.text)


class NotFound(DomainError):
    """The thing does not exist, or is not this person's: deliberately the same answer."""

    code = "not_found"
    status = 404
    message = "There is nothing here with this id."
