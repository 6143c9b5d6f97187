"""What support sees of `portfolios`; importing a module registers its classes."""

from portfolios.admin import derived, entries, exports, facts, quarantine, reconciliation

__all__ = ["derived", "entries", "exports", "facts", "quarantine", "reconciliation"]
