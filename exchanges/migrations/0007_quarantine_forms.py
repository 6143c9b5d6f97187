"""What a payload in quarantine is, what its row is called, and whether it was cut off; when an
exchange was last asked what a key may do.

SQL for the rows that are there, because their form can be told by feed and reason, and that a
payload was cut off by its length.
"""

from django.db import migrations, models

from exchanges.reports import Form

_TELL = """
    UPDATE quarantined_pages SET
        form = CASE
            WHEN reason = 'number_too_long' THEN 'number'
            WHEN feed = 'balances' THEN 'balance'
            WHEN reason = 'the page has another shape' THEN 'page'
            WHEN reason = 'more rows than one page can hold' THEN 'gap'
            ELSE 'row' END,
        is_whole = octet_length(payload) <= 20000
"""


class Migration(migrations.Migration):
    dependencies = [("exchanges", "0006_circuits_feeds_fingerprints")]

    operations = [
        migrations.AddField(
            model_name="quarantinedpage",
            name="form",
            field=models.CharField(
                choices=[(str(form), str(form)) for form in Form], default=Form.ROW, max_length=8
            ),
        ),
        migrations.AddField(
            model_name="quarantinedpage",
            name="name",
            field=models.CharField(
                blank=True, default="", help_text="Id of the row.", max_length=128
            ),
        ),
        migrations.AddField(
            model_name="quarantinedpage",
            name="is_whole",
            field=models.BooleanField(
                default=True, help_text="No: it was cut off, and is too large to replay."
            ),
        ),
        migrations.RunSQL(sql=_TELL, reverse_sql=migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="quarantinedpage",
            index=models.Index(fields=["created_at"], name="quarantined_pages_by_age"),
        ),
        migrations.AddField(
            model_name="exchangeconnection",
            name="privileges_read_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
