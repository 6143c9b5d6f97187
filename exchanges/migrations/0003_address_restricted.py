from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("exchanges", "0002_tenancy")]

    operations = [
        migrations.AddField(
            model_name="exchangeconnection",
            name="address_restricted",
            field=models.BooleanField(
                blank=True,
                help_text="Whether the key works from some addresses only.",
                null=True,
            ),
        ),
    ]
