"""Row-level security on what 0006 made."""

from django.db import migrations

from tracker import tenancy


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_notices")]

    operations = [
        tenancy.protect("notification_settings"),
        tenancy.protect("email_suppressions"),
        tenancy.protect("webhook_endpoints"),
    ]
