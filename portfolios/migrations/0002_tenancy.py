"""Row-level security, composite foreign keys, and monthly partitions of the snapshots.

SQL because the ORM can declare none of them. The plain table of snapshots that 0001 made is
empty at this point and is replaced by a partitioned one of the same columns.
"""

from datetime import date, timedelta

from django.db import migrations

from tracker import clock, partitions, tenancy

_OF_CONNECTIONS = (
    "trades", "transfers", "rewards", "ledger_entries", "holdings", "holding_changes", "sync_runs",
)  # fmt: skip
_FACTS = {"trade_id": "trades", "transfer_id": "transfers", "reward_id": "rewards"}
_TODAY = clock.now().date()


class Migration(migrations.Migration):
    dependencies = [("portfolios", "0001_initial"), ("exchanges", "0002_tenancy")]

    operations = [
        migrations.RunSQL(
            sql=[
                "CREATE TABLE portfolio_snapshots_by_month "
                "(LIKE portfolio_snapshots INCLUDING DEFAULTS) PARTITION BY RANGE (taken_at)",
                "DROP TABLE portfolio_snapshots",
                "ALTER TABLE portfolio_snapshots_by_month RENAME TO portfolio_snapshots",
                "ALTER TABLE portfolio_snapshots ADD PRIMARY KEY (id, taken_at)",
                "ALTER TABLE portfolio_snapshots ADD CONSTRAINT portfolio_snapshots_user_fk "
                "FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE "
                "DEFERRABLE INITIALLY DEFERRED",
                "CREATE INDEX snapshots_by_user ON portfolio_snapshots (user_id, taken_at DESC)",
                "CREATE INDEX snapshots_newest ON portfolio_snapshots (taken_at DESC)",
                # Faster than the default, where the server was built with it.
                "DO $$ BEGIN ALTER TABLE portfolio_snapshots ALTER COLUMN snapshot_data "
                "SET COMPRESSION lz4; EXCEPTION WHEN feature_not_supported THEN NULL; END $$",
                "CREATE TABLE portfolio_snapshots_other PARTITION OF portfolio_snapshots DEFAULT",
                "ALTER TABLE portfolio_snapshots_other ENABLE ROW LEVEL SECURITY",
                "ALTER TABLE portfolio_snapshots_other FORCE ROW LEVEL SECURITY",
            ],
            # 0001's reverse drops the table whatever its shape
            reverse_sql=migrations.RunSQL.noop,
        ),
        partitions.initial(
            "portfolio_snapshots",
            first=date(2026, 1, 1),
            last=_TODAY + timedelta(days=31 * partitions.MONTHS_AHEAD),
        ),
        *(tenancy.protect(table) for table in (*_OF_CONNECTIONS, "portfolio_states")),
        tenancy.protect("portfolio_snapshots"),
        *(
            tenancy.same_owner(table, "connection_id", "exchange_connections")
            for table in _OF_CONNECTIONS
        ),
        *(tenancy.same_owner("ledger_entries", column, table) for column, table in _FACTS.items()),
    ]
