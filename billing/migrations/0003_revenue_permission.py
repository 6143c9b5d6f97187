"""Seeing revenue is a permission of its own."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_tenancy")]

    operations = [
        migrations.AlterModelOptions(
            name="subscription",
            options={
                "permissions": [
                    ("view_revenue", "Can see what all subscriptions are worth together")
                ]
            },
        ),
    ]
