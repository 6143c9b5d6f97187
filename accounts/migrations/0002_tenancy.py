"""Row-level security from the first day on, admin's log and the join tables included.

SQL because the ORM has no notion of policies. A user row may also be read by its e-mail address
alone, which is how signing in finds it before there is an identity.
"""

from django.db import migrations

from tracker import tenancy


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("admin", "0003_logentry_add_action_flag_choices"),
    ]

    operations = [
        tenancy.protect("users", user_column="id", lookup_column="email"),
        tenancy.protect("users_groups"),
        tenancy.protect("users_user_permissions"),
        tenancy.protect("sessions"),
        tenancy.protect("user_data_keys"),
        tenancy.protect("idempotency_records"),
        tenancy.protect("django_admin_log"),
    ]
