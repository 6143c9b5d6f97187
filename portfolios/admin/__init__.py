"""What support sees of `portfolios`; importing a module registers its classes."""

from portfolios.admin import (
    acts,
    alerts,
    derived,
    entries,
    exports,
    facts,
    quarantine,
    reconciliation,
    strategies,
)

__all__ = [
    "acts", "alerts", "derived", "entries", "exports", "facts", "quarantine", "reconciliation",
    "strategies",
]  # fmt: skip
