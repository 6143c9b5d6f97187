"""What this room brings to the support desk: how people come in, what was sent to them, what they
asked for under the law; sign-ups and messages that failed; people by address, id and key.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q
from django.db.models.functions import TruncDate
from django.urls import reverse

from accounts import api_keys
from accounts.models import ApiKey, Delivery, PushDevice, Session, User, WebhookEndpoint
from tracker import desk, gathering
from tracker.admin import Panel, list_url
from tracker.desk import Figure, Finder, Hit, Level, Section, Tile
from tracker.gathering import Rows, written

DAYS = 30
_DAY = timedelta(days=1)
_OF_PERSON = "user__id__exact"


# --- a person's page: coming in -----------------------------------------------------------------
_ACCESS = {
    "sessions": """
        SELECT s.device_name, s.platform, s.app_version, s.ip_address, s.created_at,
               s.refreshed_at, s.expires_at, s.ended_at, s.end_reason, seen.last_at
        FROM sessions s LEFT JOIN LATERAL (
            SELECT a.last_at FROM session_activity a
            WHERE a.session_id = s.id ORDER BY a.bucket_at DESC LIMIT 1
        ) seen ON true
        WHERE s.user_id = %(person)s ORDER BY s.ended_at IS NOT NULL, s.id DESC LIMIT 8""",
    "running": """
        SELECT count(*) AS number FROM sessions
        WHERE user_id = %(person)s AND ended_at IS NULL AND expires_at > %(now)s""",
    "apps": """
        SELECT confirmed, confirmed_at, last_used_at FROM totp_devices
        WHERE user_id = %(person)s ORDER BY confirmed DESC LIMIT 2""",
    "passkeys": """
        SELECT name, created_at, last_used_at FROM passkeys
        WHERE user_id = %(person)s ORDER BY id LIMIT 10""",
    "codes": """
        SELECT count(*) FILTER (WHERE used_at IS NULL) AS left, count(*) AS made
        FROM recovery_codes WHERE user_id = %(person)s""",
    "resets": """
        SELECT due_at FROM second_factor_resets
        WHERE user_id = %(person)s AND state = 'waiting' LIMIT 1""",
    "lets_look": """
        SELECT until FROM support_accesses
        WHERE user_id = %(person)s AND ended_at IS NULL AND until > %(now)s LIMIT 1""",
    "keys": """
        SELECT name, prefix, array_to_string(scopes, ', ') AS scopes, created_at, expires_at,
               last_used_at, revoked_at
        FROM api_keys WHERE user_id = %(person)s ORDER BY id DESC LIMIT 5""",
    "phones": """
        SELECT name, platform, registered_at, refused_at FROM push_devices
        WHERE user_id = %(person)s ORDER BY id DESC LIMIT 5""",
}  # fmt: skip


def access(*, person_id: UUID, now: datetime) -> dict[str, Any]:
    """Sessions, second factors, keys for programs, phones. One query."""
    found = gathering.rows_of(_ACCESS, {"person": person_id, "now": now})
    resets = [f"removed on {written(row['due_at'])}" for row in found["resets"]]
    looks = [f"until {written(row['until'])}" for row in found["lets_look"]]
    return {
        "facts": [
            *_second_factor(found), ("Reset of the second factor", ", ".join(resets) or "none"),
            ("Lets support see their app", ", ".join(looks) or "no"),
            ("Sessions that run", found["running"][0]["number"]),
        ],
        "panels": [
            Panel(
                "Sessions", list_url(Session, {_OF_PERSON: person_id}),
                ("Device", "App", "Signed in", "Last seen", "State", "Address"),
                [_session(row, now) for row in found["sessions"]],
            ),
            Panel(
                "API keys", list_url(ApiKey, {_OF_PERSON: person_id}),
                ("Name", "Prefix", "Scopes", "Made", "Last used", "State"),
                [_key(row, now) for row in found["keys"]],
            ),
            Panel(
                "Phones", list_url(PushDevice, {_OF_PERSON: person_id}),
                ("Name", "Platform", "Registered", "Refused"),
                [(row["name"] or "-", row["platform"] or "-", written(row["registered_at"]),
                  written(row["refused_at"], "no")) for row in found["phones"]],
            ),
        ],
    }  # fmt: skip


def _second_factor(found: dict[str, Rows]) -> Iterator[tuple[str, str]]:
    apps = [row for row in found["apps"] if row["confirmed"]]
    app = "none"
    if apps:
        used = written(apps[0]["last_used_at"], "never")
        app = f"since {written(apps[0]['confirmed_at'])}, last used {used}"
    yield "Authenticator app", app
    names = [f"{row['name']} (last used {written(row['last_used_at'], 'never')})"
             for row in found["passkeys"]]  # fmt: skip
    yield "Passkeys", ", ".join(names) or "none"
    codes = found["codes"][0]
    yield "Recovery codes", f"{codes['left']} of {codes['made']} left" if codes["made"] else "none"


def _session(row: dict[str, Any], now: datetime) -> tuple[str, ...]:
    state = "runs"
    if row["ended_at"]:
        state = f"ended {written(row['ended_at'])}: {row['end_reason'].replace('_', ' ')}"
    elif gathering.at(row["expires_at"]) < now:  # type: ignore[operator]
        state = f"ran out {written(row['expires_at'])}"
    return (
        row["device_name"] or "-", f"{row['platform']} {row['app_version']}".strip() or "-",
        written(row["created_at"]), written(row["last_at"] or row["refreshed_at"]), state,
        row["ip_address"] or "-",
    )  # fmt: skip


def _key(row: dict[str, Any], now: datetime) -> tuple[str, ...]:
    expires = gathering.at(row["expires_at"])
    state = "works"
    if row["revoked_at"]:
        state = f"revoked {written(row['revoked_at'])}"
    elif expires and expires < now:
        state = f"ran out {written(row['expires_at'])}"
    return (
        row["name"], f"{row['prefix']}…", row["scopes"], written(row["created_at"]),
        written(row["last_used_at"], "never"), state,
    )  # fmt: skip


# --- a person's page: messages ------------------------------------------------------------------
_MESSAGES = {
    "deliveries": """
        SELECT created_at, event, channel, state, held_back, sent_at, error FROM deliveries
        WHERE user_id = %(person)s AND channel <> 'live' ORDER BY created_at DESC LIMIT 15""",
    "spared": """
        SELECT reason, created_at FROM email_suppressions
        WHERE user_id = %(person)s AND lifted_at IS NULL LIMIT 5""",
    "webhooks": """
        SELECT host, last_success_at, failing_since, last_error, stopped_at
        FROM webhook_endpoints WHERE user_id = %(person)s ORDER BY id LIMIT 5""",
}  # fmt: skip


def messages(*, person_id: UUID, now: datetime) -> dict[str, Any]:
    """What was sent lately and what became of it. One query."""
    found = gathering.rows_of(_MESSAGES, {"person": person_id})
    spared = [f"{row['reason']} since {written(row['created_at'])}" for row in found["spared"]]
    return {
        "warning": f"An address takes no e-mail: {'; '.join(spared)}." if spared else "",
        "panels": [
            Panel(
                "E-mails and other messages", list_url(Delivery, {_OF_PERSON: person_id}),
                ("Written", "About", "By", "State", "Sent", "What went wrong"),
                [(written(row["created_at"]), row["event"].replace("_", " "), row["channel"],
                  f"{row['state']} {row['held_back']}".replace("_", " ").strip(),
                  written(row["sent_at"]), row["error"] or "-") for row in found["deliveries"]],
            ),
            Panel(
                "Webhooks of their programs", list_url(WebhookEndpoint, {_OF_PERSON: person_id}),
                ("Host", "Last success", "Failing since", "Last error", "Stopped"),
                [(row["host"], written(row["last_success_at"], "never"),
                  written(row["failing_since"], "no"), row["last_error"] or "-",
                  written(row["stopped_at"], "no")) for row in found["webhooks"]],
            ),
        ],
    }  # fmt: skip


# --- a person's page: privacy -------------------------------------------------------------------
_PRIVACY = {
    "exports": """
        SELECT requested_at, state, ready_at, expires_at, error FROM data_exports
        WHERE user_id = %(person)s ORDER BY id DESC LIMIT 5""",
    "consents": """
        SELECT document, version, agreed_at FROM consents
        WHERE user_id = %(person)s ORDER BY agreed_at DESC LIMIT 10""",
    "closing": "SELECT closes_at FROM users WHERE id = %(person)s",
}


def privacy(*, person_id: UUID, now: datetime) -> dict[str, Any]:
    """Copies and erasure they asked for, and what they agreed to. One query."""
    found = gathering.rows_of(_PRIVACY, {"person": person_id})
    closes = found["closing"][0]["closes_at"] if found["closing"] else None
    asked = f"everything is erased at {written(closes)} UTC" if closes else "not asked for"
    return {
        "facts": [("Erasure", asked)],
        "panels": [
            Panel(
                "Copies of their data", "",
                ("Asked for", "State", "Ready", "Kept until", "What went wrong"),
                [(written(row["requested_at"]), row["state"], written(row["ready_at"]),
                  written(row["expires_at"]), row["error"] or "-") for row in found["exports"]],
            ),
            Panel(
                "Agreed to", "", ("Document", "Version", "When"),
                [(row["document"], row["version"], written(row["agreed_at"]))
                 for row in found["consents"]],
            ),
        ],
    }  # fmt: skip


# --- the front page -----------------------------------------------------------------------------
def sign_ups(*, now: datetime) -> Tile:
    """How many people signed up on each of thirty days, by the index of newest people."""
    first = now.astimezone(UTC).date() - (DAYS - 1) * _DAY
    since = datetime(first.year, first.month, first.day, tzinfo=UTC)
    rows = User.objects.order_by().filter(created_at__gte=since)
    found = dict(rows.values_list(TruncDate("created_at", tzinfo=UTC)).annotate(Count("id")))
    days = [first + number * _DAY for number in range(DAYS)]
    values = [(f"{day:%-d %b}", float(found.get(day, 0))) for day in days]
    total = int(sum(value for _, value in values))
    return Tile(
        f"{int(values[-1][1]):,}", Level.PLAIN, f"signed up today; {total:,} in {DAYS} days.",
        values, f"People who signed up on each of the last {DAYS} days",
        url=reverse("admin:accounts_user_changelist"), link="People, newest first",
    )  # fmt: skip


def messages_failed(*, now: datetime) -> Tile:
    """Messages of the last day that did not go out, by channel, by the index of newest ones."""
    rows = Delivery.objects.order_by().filter(created_at__gt=now - _DAY)
    found = rows.values("channel").annotate(
        all=Count("id"), failed=Count("id", filter=Q(state=Delivery.State.FAILED))
    )
    failed = {row["channel"]: row["failed"] for row in found}
    written_, total = sum(row["all"] for row in found), sum(failed.values())
    return Tile(
        f"{total:,}", _of_share(total, written_),
        f"of {written_:,} messages of the last day failed.",
        tuple((name, float(number)) for name, number in sorted(failed.items())),
        "Failed messages of the last day by channel", by_name=True,
        url=list_url(Delivery, {"state": "failed"}), link="Messages that failed",
    )  # fmt: skip


def webhooks_failing(*, now: datetime) -> Tile:
    """Addresses of people's programs that take nothing; a row for each address there is."""
    rows = WebhookEndpoint.objects.order_by()
    failing = Q(failing_since__isnull=False, stopped_at=None)
    found = rows.aggregate(
        all=Count("id"), failing=Count("id", filter=failing),
        stopped=Count("id", filter=Q(stopped_at__isnull=False)),
    )  # fmt: skip
    return Tile(
        f"{found['failing']:,}", _of_share(found["failing"], found["all"]),
        f"of {found['all']:,} addresses of people's programs fail; {found['stopped']:,} were "
        "stopped for it.",
        (("works", float(found["all"] - found["failing"] - found["stopped"])),
         ("fails", float(found["failing"])), ("stopped", float(found["stopped"]))),
        "Addresses of people's programs by how they do", by_name=True,
        url=list_url(WebhookEndpoint, {}), link="Addresses of people's programs",
    )  # fmt: skip


def _of_share(failed: int, total: int) -> Level:
    """One in twenty is worth a look, one in four is not chance; fewer than three prove nothing."""
    if failed < 3:
        return Level.FINE
    if failed * 4 >= total:
        return Level.BAD
    return Level.WATCH if failed * 20 >= total else Level.FINE


# --- finding ------------------------------------------------------------------------------------
def people(text: str) -> Iterator[Hit]:
    """By the whole address, else by how addresses begin; by the id of a person or a session."""
    key = desk.as_id(text)
    if key is not None:
        rows = User.objects.filter(id=key)
        yield from (Hit("the id of a person", found) for found in rows.values_list("id", flat=True))
        sessions = Session.objects.filter(id=key).values_list("user_id", flat=True)
        yield from (Hit("the id of a session", found) for found in sessions)
        return
    email = text.lower()
    whole = User.objects.filter(email=email).values_list("id", flat=True).first()
    if whole is not None:
        yield Hit("the e-mail address", whole)
        return
    for found in _beginning_with(email):
        yield Hit("an e-mail address that begins so", found)


def _beginning_with(text: str) -> Iterable[UUID]:
    rows = User.objects.filter(email__startswith=text).order_by("email")
    return rows.values_list("id", flat=True)[: desk.MOST_HITS]


def keys(text: str) -> Iterator[Hit]:
    """By the prefix of an API key; of a whole key nothing else is looked at."""
    prefix = text.removeprefix(api_keys.MARK).partition("_")[0].removesuffix("…")
    rows = ApiKey.objects.filter(prefix=prefix).values_list("user_id", "name")
    yield from (Hit(f"the API key “{name}”", owner) for owner, name in rows)


desk.add_section(Section("Signing in", "accounts.view_session", desk.PARTS, access, rank=20))
desk.add_section(Section("Messages", "accounts.view_delivery", desk.PARTS, messages, rank=80))
desk.add_section(Section("Privacy", "accounts.view_consent", desk.PARTS, privacy, rank=90))
desk.add_figure(Figure("Sign-ups", "accounts.view_user", sign_ups, rank=80))
desk.add_figure(Figure("Messages", "accounts.view_delivery", messages_failed, rank=60))
desk.add_figure(
    Figure("People's webhooks", "accounts.view_webhookendpoint", webhooks_failing, rank=55)
)
desk.add_finder(Finder("e-mail address or its beginning, id of a person or a session",
                       "accounts.view_user", people, rank=10))  # fmt: skip
desk.add_finder(Finder("prefix of an API key (trk_…)", "accounts.view_apikey", keys, rank=20))
