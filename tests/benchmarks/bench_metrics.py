"""The roll-up of a day with a million acts of 10,000 people, and what the log's seals cost."""

from datetime import UTC, datetime

from django.db import connection

from audit import metrics, sealing, verification
from audit.models import ActivityLog
from tests.benchmarks import rows
from tests.benchmarks.measure import Result, seconds
from tracker import clock, tenancy

PEOPLE, ACTS, INSERTS = 10_000, 1_000_000, 3_000


def measure() -> list[Result]:
    now = clock.now()
    noon = datetime(now.year, now.month, 1, 12, tzinfo=UTC)
    rows.clear()
    users = rows.people(PEOPLE)
    bare, noted = _inserts(users[0])
    _fill(noon)
    rolled = seconds(lambda: metrics.roll_up(noon.date(), now=now), rounds=3)
    sealed = seconds(lambda: sealing.seal_all(now=now))
    verified = seconds(_verify)
    ratio = noted / bare
    return [
        Result(f"roll-up of {PEOPLE:,} people with {ACTS:,} acts", rolled, "s", "", None,
               "≤ 10 s", rolled <= 10),
        Result("an act written to the sealed log", noted, "ms", f"without trigger {bare:.2f} ms",
               ratio, "(no target)", True),
        Result(f"sealing {ACTS:,} acts", sealed, "s", "", None, "(no target)", True),
        Result(f"verifying {ACTS:,} acts", verified, "s", "", None, "(no target)", True),
    ]  # fmt: skip


def _verify() -> None:
    report = verification.verify()
    assert report.rows >= ACTS, report.rows
    assert report.total == 0, report.findings[:3]


def _inserts(user) -> tuple[float, float]:
    """Milliseconds of an act in a transaction of its own, without and with the trigger."""

    def one() -> None:
        with tenancy.as_user(user.id):
            ActivityLog.objects.bulk_create([ActivityLog(user_id=user.id, action="user.acted")])

    def many() -> float:
        return 1000 * seconds(one, rounds=INSERTS)

    many()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE activity_logs DISABLE TRIGGER note")
        bare = many()
        cursor.execute("ALTER TABLE activity_logs ENABLE TRIGGER note")
    noted = many()
    rows.clear()
    rows.people(PEOPLE)
    return bare, noted


def _fill(noon: datetime) -> None:
    """A day: a hundred acts each in ten hours, and twelve spans of five minutes."""
    with tenancy.as_system("benchmark"), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(
            """
            INSERT INTO activity_logs (id, user_id, action, outcome, details, ip_address,
                                       session_id, request_id, created_at, salt)
            SELECT gen_random_uuid(), id,
                   (ARRAY['user.signed_in', 'exchange.connection.tested',
                          'portfolio.sync.requested', 'portfolio.sync.finished'])[1 + n %% 4],
                   'ok', '{}', '203.0.113.7', id, 'benchmark',
                   %s - interval '5 hours' + n * interval '6 minutes', gen_random_uuid()
            FROM users, generate_series(0, %s - 1) AS n
            """,
            [noon, ACTS // PEOPLE],
        )
        cursor.execute(
            """
            INSERT INTO session_activity (session_id, bucket_at, user_id, last_at, features)
            SELECT id, at, id, at, ARRAY['portfolio', 'trades']
            FROM users, generate_series(%s, %s + interval '55 minutes', interval '5 minutes') AS at
            """,
            [noon, noon],
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
