"""References between rows of one person are held by the composite foreign keys alone.

Django's own, over one column, have no index to be checked by: each row deleted read the whole
table of everybody's, so erasing a person with many trades did not end.
"""

import django.db.models.deletion
from django.db import migrations, models

_REFERENCES = {
    "holding": {"connection": "exchanges.exchangeconnection"},
    "holdingchange": {"connection": "exchanges.exchangeconnection"},
    "trade": {"connection": "exchanges.exchangeconnection"},
    "transfer": {"connection": "exchanges.exchangeconnection"},
    "reward": {"connection": "exchanges.exchangeconnection"},
    "ledgerentry": {
        "connection": "exchanges.exchangeconnection",
        "trade": "portfolios.trade",
        "transfer": "portfolios.transfer",
        "reward": "portfolios.reward",
    },
}


class Migration(migrations.Migration):
    dependencies = [("exchanges", "0002_tenancy"), ("portfolios", "0002_tenancy")]

    operations = [
        migrations.AlterField(
            model,
            name,
            models.ForeignKey(
                to=target, on_delete=django.db.models.deletion.CASCADE, related_name="+",
                db_index=False, db_constraint=False, null=name != "connection",
            ),
        )
        for model, references in _REFERENCES.items()
        for name, target in references.items()
    ]  # fmt: skip
