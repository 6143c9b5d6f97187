"""Row-level security on what 0009 made, and a group for each role of staff.

What the groups may do is filled in when all migrations are through (accounts.staff.roles): on a
fresh database no permission exists before.
"""

from django.db import migrations

from tracker import tenancy

_ROLES = ("Support", "Support lead", "Finance", "Operations", "Auditor")


def _make_groups(apps, schema_editor):
    groups = apps.get_model("auth", "Group").objects
    for name in _ROLES:
        groups.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0009_support_desk"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        tenancy.protect("second_factor_resets"),
        tenancy.protect("support_accesses"),
        tenancy.protect("support_viewings"),
        tenancy.same_owner("support_viewings", "access_id", "support_accesses"),
        migrations.RunPython(_make_groups, migrations.RunPython.noop),
    ]
