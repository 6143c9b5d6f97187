"""What support sees of `portfolios`; importing a module registers its classes."""

from portfolios.admin import derived, entries, facts, quarantine, reconciliation, strategies

__all__ = ["derived", "entries", "facts", "quarantine", "reconciliation", "strategies"]
