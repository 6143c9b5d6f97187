"""Row-level security, and composite foreign keys that refuse another user's connection.

SQL because the ORM can declare neither.
"""

from django.db import migrations

from tracker import tenancy

_OWNED = ("exchange_credentials", "exchange_coverage", "quarantined_pages")


class Migration(migrations.Migration):
    dependencies = [("exchanges", "0001_initial")]

    operations = [
        *(tenancy.protect(table) for table in ("exchange_connections", *_OWNED)),
        *(tenancy.same_owner(table, "connection_id", "exchange_connections") for table in _OWNED),
    ]
