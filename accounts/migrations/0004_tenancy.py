"""Row-level security on what 0003 made. An API key may also be found by its prefix alone."""

from django.db import migrations

from tracker import tenancy


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_accounts_complete")]

    operations = [
        tenancy.protect("account_links"),
        tenancy.protect("totp_devices"),
        tenancy.protect("recovery_codes"),
        tenancy.protect("passkeys"),
        tenancy.protect("api_keys", lookup_column="prefix", lookup_setting=tenancy.LOOKUP_API_KEY),
        tenancy.protect("notification_choices"),
        tenancy.protect("push_devices"),
        tenancy.protect("deliveries"),
        tenancy.protect("consents"),
        tenancy.protect("data_exports"),
    ]
