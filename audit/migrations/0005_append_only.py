"""The activity log takes rows and gives none back; each row is noted for the next seal.

SQL because the ORM knows no triggers:

- ``activity_commitment`` is the one definition of what a seal says about a row. It must not
  depend on a setting of the connection (time zone), and tells every column apart.
- Inserting notes the commitment in ``activity_unsealed``, by statement and on the parent only: a
  row that somebody slips into a partition past the parent is noted nowhere and so found out.
- UPDATE, DELETE and TRUNCATE are refused. The exception is erasure: a transaction that names a
  person in ``app.erasing`` may empty that person's rows, and nothing else of them.
- TRUNCATE needs a trigger on each partition; ``tracker.partitions`` gives it to later ones.

Rows from before get a salt of their own and wait for the first seal.
"""

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations, models

COMMITMENT = """
CREATE FUNCTION activity_commitment(
    salt uuid, id uuid, created_at timestamptz, user_id uuid, actor_id uuid, action text,
    outcome text, details jsonb, ip_address inet, session_id uuid, request_id text
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE RETURN sha256(convert_to(
    jsonb_build_array(
        'activity/1', salt, id, (extract(epoch FROM created_at) * 1000000)::bigint, user_id,
        actor_id, action, outcome, details, ip_address::text, session_id, request_id
    )::text, 'UTF8'))
"""

NOTE = """
CREATE FUNCTION activity_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO activity_unsealed (log_id, created_at, commitment)
    SELECT id, created_at, activity_commitment(
        salt, id, created_at, user_id, actor_id, action, outcome, details, ip_address,
        session_id, request_id)
    FROM fresh;
    RETURN NULL;
END $$
"""

REFUSE = """
CREATE FUNCTION activity_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: it is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$
"""

ONLY_ERASURE = """
CREATE FUNCTION activity_only_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    person uuid := nullif(current_setting('app.erasing', true), '')::uuid;
BEGIN
    IF person IS NOT NULL
       AND NEW.erased_at IS NOT NULL AND NEW.erased_at = coalesce(OLD.erased_at, NEW.erased_at)
       AND (OLD.user_id = person OR OLD.actor_id = person)
       AND NEW.user_id IS NOT DISTINCT FROM nullif(OLD.user_id, person)
       AND NEW.actor_id IS NOT DISTINCT FROM nullif(OLD.actor_id, person)
       AND (NEW.id, NEW.created_at, NEW.action, NEW.outcome)
         = (OLD.id, OLD.created_at, OLD.action, OLD.outcome)
       AND NEW.details = '{}' AND NEW.ip_address IS NULL AND NEW.session_id IS NULL
       AND NEW.request_id = '' AND NEW.salt IS NULL
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'UPDATE of % is refused: it is append-only', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$
"""

BACKFILL = [
    "UPDATE activity_logs SET salt = gen_random_uuid() WHERE erased_at IS NULL",
    """
    INSERT INTO activity_unsealed (log_id, created_at, commitment)
    SELECT id, created_at, activity_commitment(
        salt, id, created_at, user_id, actor_id, action, outcome, details, ip_address,
        session_id, request_id)
    FROM activity_logs
    """,
]

TRUNCATE_ON_PARTITIONS = """
DO $$
DECLARE part regclass;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'activity_logs'::regclass LOOP
        EXECUTE format('CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION activity_refuse()', part);
    END LOOP;
END $$
"""

TRIGGERS = [
    "CREATE TRIGGER note AFTER INSERT ON activity_logs REFERENCING NEW TABLE AS fresh "
    "FOR EACH STATEMENT EXECUTE FUNCTION activity_note()",
    "CREATE TRIGGER only_erasure BEFORE UPDATE ON activity_logs "
    "FOR EACH ROW EXECUTE FUNCTION activity_only_erasure()",
    "CREATE TRIGGER refuse_delete BEFORE DELETE ON activity_logs "
    "FOR EACH ROW EXECUTE FUNCTION activity_refuse()",
    "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON activity_seals "
    "FOR EACH ROW EXECUTE FUNCTION activity_refuse()",
    "CREATE TRIGGER refuse_change BEFORE UPDATE ON activity_unsealed "
    "FOR EACH ROW EXECUTE FUNCTION activity_refuse()",
    *(
        f"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION activity_refuse()"
        for table in ("activity_logs", "activity_seals", "activity_unsealed")
    ),
    TRUNCATE_ON_PARTITIONS,
]

UNDO = [
    "DELETE FROM activity_unsealed",
    "DROP FUNCTION activity_note CASCADE",
    "DROP FUNCTION activity_only_erasure CASCADE",
    "DROP FUNCTION activity_refuse CASCADE",
    "DROP FUNCTION activity_commitment",
]


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0004_tenancy"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(
            sql=[COMMITMENT, NOTE, REFUSE, ONLY_ERASURE, *BACKFILL, *TRIGGERS], reverse_sql=UNDO
        ),
        migrations.AddIndex(
            model_name="activitylog",
            index=models.Index(
                condition=models.Q(("actor__isnull", False)),
                fields=["actor", "-created_at"],
                name="activity_by_actor",
            ),
        ),
        migrations.AddIndex(
            model_name="activitylog",
            index=BrinIndex(fields=["created_at"], name="activity_by_time"),
        ),
    ]
