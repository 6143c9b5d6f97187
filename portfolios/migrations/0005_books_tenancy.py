"""Row-level security and composite foreign keys of the books.

SQL because the ORM can declare neither. Derived tables have no composite keys: their rows are
computed anew whenever what they came from changes.
"""

from django.db import migrations

from tracker import tenancy

_OWNED = (
    "adjustments", "transfer_matches", "transfer_notes", "manual_prices", "problem_dismissals",
    "file_imports", "asset_bases", "lots", "disposals", "incomes", "daily_valuations",
    "discrepancies",
)  # fmt: skip
_REFERENCES = (
    ("adjustments", "connection_id", "exchange_connections"),
    ("ledger_entries", "adjustment_id", "adjustments"),
    ("transfer_matches", "withdrawal_id", "transfers"),
    ("transfer_matches", "deposit_id", "transfers"),
    ("transfer_notes", "transfer_id", "transfers"),
    ("file_imports", "connection_id", "exchange_connections"),
    ("discrepancies", "connection_id", "exchange_connections"),
)


class Migration(migrations.Migration):
    dependencies = [("portfolios", "0004_books")]

    operations = [
        *(tenancy.protect(table) for table in _OWNED),
        *(tenancy.same_owner(*reference) for reference in _REFERENCES),
    ]
