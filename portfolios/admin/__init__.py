"""What support sees of `portfolios`; importing a module registers its classes."""

from portfolios.admin import (
    acts,
    alerts,
    derived,
    desk,
    entries,
    exports,
    facts,
    quarantine,
    reconciliation,
    strategies,
)

__all__ = [
    "acts", "alerts", "derived", "desk", "entries", "exports", "facts", "quarantine",
    "reconciliation",
    "strategies",
]  # fmt: skip
