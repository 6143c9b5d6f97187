"""Rows that a release cannot read: kept, told of, read again by the next one, and let go."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.management import call_command

from accounts import datakeys
from audit.actions import Action
from audit.models import ActivityLog, SecurityAlert, WebhookDelivery
from exchanges import drift, gateway, quarantine
from exchanges.gateway.dialects import binance, table
from exchanges.gateway.rows import BadRow
from exchanges.models import ConnectionState, Coverage, ExchangeConnection, QuarantinedPage
from exchanges.reports import Form, Quarantined
from portfolios.models import AssetBasis, PortfolioState, Transfer
from portfolios.sync import replaying
from tests.portfolios.test_sync import counts, fresh, holdings, ledger_sums, runs
from tracker import clock, ids, tenancy, vault

DEPOSITS = "/sapi/v1/capital/deposit/hisrec"


@pytest.fixture
def release(monkeypatch):
    """`release(deposits=parse)`: the dialect as a release had it that read a feed differently.

    `release()` is the one of today: the upgrade.
    """
    today = binance.DIALECT

    def put(**parsers):
        feeds = (
            replace(feed, parse=parsers[feed.name]) if feed.name in parsers else feed
            for feed in today.feeds
        )
        monkeypatch.setattr(binance, "DIALECT", replace(today, feeds=tuple(feeds)))
        table.dialect.cache_clear()

    yield put
    monkeypatch.undo()
    table.dialect.cache_clear()


def knows_no_such_status(row, name, around):
    raise BadRow("status is unknown")


def kept(connection, **fields):
    with tenancy.as_user(connection.user_id):
        rows = QuarantinedPage.objects.filter(connection=connection, **fields)
        return list(rows.order_by("id"))


def seal_again(row, content):
    """Put another payload into a kept row, as a visit would have sealed it."""
    with tenancy.as_user(row.user_id):
        row.payload = vault.seal(
            content if isinstance(content, str) else json.dumps(content),
            data_key=datakeys.obtain(row.user_id), user_id=row.user_id, row_id=row.id,
            field="payload",
        )  # fmt: skip
        row.save(update_fields=["payload"])


def opened(row):
    with tenancy.as_user(row.user_id):
        return vault.unseal(
            bytes(row.payload), data_key=datakeys.obtain(row.user_id), user_id=row.user_id,
            row_id=row.id, field="payload",
        )  # fmt: skip


def replay_all(**options):
    call_command("replay_quarantine", **options)


def told(action):
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.filter(action=action).order_by("id"))


def alarms():
    with tenancy.as_system("test"):
        return list(SecurityAlert.objects.filter(kind=drift.KIND).order_by("created_at", "id"))


# --- replaying ----------------------------------------------------------------------------------
def test_what_the_next_release_understands_is_booked_once(
    alice, connect, visit, sandbox, release, capsys
):
    """S39"""
    connection = connect(alice, 3)
    release(deposits=knows_no_such_status)
    assert visit(connection) == {"partial": 1}
    assert ledger_sums(connection) != sandbox.ledger_sums(3)
    waiting = kept(connection)
    assert {(row.feed, row.reason, row.form) for row in waiting} == {
        ("deposits", "status is unknown", "row")
    }
    assert waiting[0].ccxt_version == gateway.ccxt_version()
    with tenancy.as_user(alice.id):
        revision = PortfolioState.objects.get().ledger_revision
        AssetBasis.objects.all().delete()

    replay_all()
    assert len(kept(connection)) == len(waiting)  # the release is still the old one

    release()
    replay_all()
    assert f"{len(waiting)} understood, {len(waiting)} new facts, 0 left" in capsys.readouterr().out
    assert kept(connection) == []
    assert ledger_sums(connection) == sandbox.ledger_sums(3) == holdings(connection)
    found = fresh(connection)
    assert (found.state, found.reason) == (ConnectionState.OK, "")
    with tenancy.as_user(alice.id):
        assert PortfolioState.objects.get().ledger_revision > revision
        assert AssetBasis.objects.filter(dirty_from__isnull=False).exists()
    (act,) = told(Action.QUARANTINE_REPLAYED)
    assert (act.user_id, act.details["facts"]) == (alice.id, len(waiting))

    before = counts(connection)
    replay_all()
    assert counts(connection) == before
    assert len(told(Action.QUARANTINE_REPLAYED)) == 1
    assert visit(connection, now=clock.now() + timedelta(days=2)) == {"complete": 1}
    assert ledger_sums(connection) == sandbox.ledger_sums(3)


def test_a_dry_run_writes_nothing(alice, connect, visit, release, capsys):
    connection = connect(alice, 3)
    release(deposits=knows_no_such_status)
    visit(connection)
    release()
    before = counts(connection), len(kept(connection))
    replay_all(dry_run=True)
    assert f"{before[1]} would be understood" in capsys.readouterr().out
    assert (counts(connection), len(kept(connection))) == before
    assert not told(Action.QUARANTINE_REPLAYED)


def test_only_what_is_named_is_replayed(alice, connect, visit, release):
    connection = connect(alice, 3)
    release(deposits=knows_no_such_status, withdrawals=knows_no_such_status)
    visit(connection)
    release()
    replay_all(exchange="kraken")
    assert kept(connection, feed="deposits")
    replay_all(feed="withdrawals")
    assert kept(connection, feed="deposits")
    assert not kept(connection, feed="withdrawals")
    assert fresh(connection).state == ConnectionState.PARTIAL  # something waits still
    replay_all(exchange="binance")
    assert not kept(connection)
    assert fresh(connection).state == ConnectionState.OK


def test_what_is_still_not_understood_stays(alice, connect, visit, sandbox, release):
    connection = connect(alice, 7)
    release(deposits=knows_no_such_status)
    with sandbox.fault(path=DEPOSITS, kind="garbage"):
        visit(connection)
    release()
    replay_all()
    assert [row.reason for row in kept(connection)] == ["status is unknown"]  # the garbage row
    assert ledger_sums(connection) == sandbox.ledger_sums(7)
    assert fresh(connection).state == ConnectionState.PARTIAL
    assert fresh(connection).reason == "rows_quarantined"


def test_a_whole_page_is_replayed_row_by_row(alice, connect, visit, sandbox, release):
    """What a release took for another shape, today's reads; a bad row of it is kept alone."""
    connection = connect(alice, 3)
    release(deposits=knows_no_such_status)
    visit(connection)
    release()
    rows = kept(connection)
    page = [json.loads(opened(row)) for row in rows]
    seal_again(rows[0], [[*page, {"id": "broken", "coin": None}]])
    with tenancy.as_user(alice.id):
        QuarantinedPage.objects.filter(id=rows[0].id).update(form=Form.PAGE, name="")
        QuarantinedPage.objects.exclude(id=rows[0].id).delete()
    replay_all()
    (left,) = kept(connection)
    assert (left.form, left.name, left.reason) == ("row", "broken", "status is unknown")
    assert ledger_sums(connection) == sandbox.ledger_sums(3)


def test_a_visit_that_reads_the_page_lets_it_go(alice, connect, visit, sandbox):
    """S39: a page that could not be read left its coverage where it was."""
    connection = connect(alice, 3)
    broken = {"kind": "status", "status": 200, "body": '{"rows": "moved"}'}
    with sandbox.fault(path=DEPOSITS, **broken):
        assert visit(connection) == {"partial": 1}
    (page,) = kept(connection)
    assert (page.feed, page.form) == ("deposits", "page")
    replay_all()
    assert len(kept(connection)) == 1  # it says nothing, and nothing is made up
    assert visit(connection) == {"complete": 1}
    assert kept(connection) == []
    assert fresh(connection).state == ConnectionState.OK
    assert ledger_sums(connection) == sandbox.ledger_sums(3)


@pytest.mark.parametrize("kind", ["truncate", "status", "garbage"])
def test_an_answer_that_breaks_off_heals_by_itself(alice, connect, visit, sandbox, kind):
    connection = connect(alice, 3)
    with sandbox.fault(path=DEPOSITS, kind=kind, broken="json"):
        assert visit(connection) == {"partial": 1}
    assert visit(connection) == {"complete": 1}
    assert kept(connection) == []
    assert ledger_sums(connection) == sandbox.ledger_sums(3)


def test_an_unreadable_balance_is_not_replayed_and_goes_when_its_wallet_was_read(
    alice, connect, visit, sandbox
):
    connection = connect(alice, 8)
    with sandbox.fault(path="/api/v3/account", kind="garbage"):
        assert visit(connection) == {"partial": 1}
    (row,) = kept(connection)
    assert (row.feed, row.scope, row.form) == ("balances", "spot", "balance")
    replay_all()
    assert len(kept(connection)) == 1
    with sandbox.fault(path="/api/v3/account", kind="status", status=500):
        visit(connection)
    assert len(kept(connection)) == 1  # that wallet was not read
    assert visit(connection) == {"complete": 1}
    assert kept(connection) == []


def test_a_payload_that_was_cut_off_says_so_and_is_left_alone(alice, connect, visit, sandbox):
    connection = connect(alice, 3)
    body = json.dumps({"rows": ["x" * 100] * 300})
    with sandbox.fault(path=DEPOSITS, kind="status", status=200, body=body):
        visit(connection)
    (page,) = kept(connection)
    assert not page.is_whole
    assert replaying.accounts() == []
    replay_all()
    assert len(kept(connection)) == 1


def test_a_fact_whose_words_were_blotted_out_is_not_booked(alice, connect, visit, release):
    connection = connect(alice, 3)
    release(deposits=knows_no_such_status)
    visit(connection)
    release()
    first, *others = kept(connection)
    row = json.loads(opened(first))
    seal_again(first, row | {"coin": "…"})
    replay_all()
    assert [page.id for page in kept(connection)] == [first.id]
    with tenancy.as_user(alice.id):
        assert Transfer.objects.filter(feed="deposits").count() == len(others)


def test_a_row_that_was_pending_is_asked_again(alice, connect, visit, sandbox, release):
    """A kept row says what was true then; coverage has moved on meanwhile."""
    connection = connect(alice, 3)
    release(deposits=knows_no_such_status)
    visit(connection)
    release()
    first = kept(connection)[0]
    row = json.loads(opened(first))
    seal_again(first, row | {"status": "0"})
    replay_all()
    with tenancy.as_user(alice.id):
        pending = Transfer.objects.get(feed="deposits", is_settled=False)
        assert Coverage.objects.get(feed="deposits").until == pending.occurred_at
    assert ledger_sums(connection) != sandbox.ledger_sums(3)
    with tenancy.as_system("test"):
        ExchangeConnection.objects.update(last_full_at=None)
    assert visit(connection) == {"complete": 1}
    assert ledger_sums(connection) == sandbox.ledger_sums(3)


def test_a_number_too_long_stays_kept_after_a_replay(alice, connect, visit, release):
    connection = connect(alice, 3)
    release(deposits=knows_no_such_status)
    visit(connection)
    release()
    first = kept(connection)[0]
    row = json.loads(opened(first))
    seal_again(first, row | {"amount": "0." + "1" * 31})
    replay_all()
    assert [(page.reason, page.form) for page in kept(connection)] == [
        ("number_too_long", "number")
    ]
    assert fresh(connection).state == ConnectionState.PARTIAL


def test_other_people_s_rows_are_never_touched(alice, bob, connect, visit, sandbox, release):
    """S20"""
    hers, his = connect(alice, 3), connect(bob, 4)
    release(deposits=knows_no_such_status)
    visit(hers, his)
    release()
    his_before = counts(his), [row.id for row in kept(his)]
    mine = [row.id for row in kept(hers)]
    staff = ids.new_id()
    outcome = replaying.replay_for_staff(page_ids=mine, actor_id=staff, now=clock.now())
    assert outcome == replaying.Outcome(len(mine), 0, len(mine))
    assert (counts(his), [row.id for row in kept(his)]) == his_before
    assert fresh(his).state == ConnectionState.PARTIAL
    assert ledger_sums(hers) == sandbox.ledger_sums(3)
    (act,) = told(Action.QUARANTINE_REPLAYED)
    assert (act.user_id, act.actor_id) == (alice.id, staff)


def test_a_payload_sealed_for_somebody_else_stays_shut(alice, bob, connect, visit, release):
    """S21"""
    hers, his = connect(alice, 3), connect(bob, 4)
    release(deposits=knows_no_such_status)
    visit(hers, his)
    release()
    first, stolen = kept(hers)[0], kept(his)[0]
    with tenancy.as_user(alice.id):
        QuarantinedPage.objects.filter(id=first.id).update(payload=bytes(stolen.payload))
    replay_all()
    assert [row.id for row in kept(hers)] == [first.id]


def test_twins_of_a_page_are_kept_both_and_once(alice, connect):
    """S40: two rows that say the same differ by the names that the visit gave them."""
    owner = {"user_id": alice.id, "connection_id": connect(alice, 3).id}
    twins = [
        Quarantined("deposits", "", "status is unknown", '{"amount": "1"}', name=name)
        for name in ("h1-1", "h1-2")
    ]
    for _ in range(2):
        with tenancy.as_user(alice.id):
            quarantine.keep(**owner, items=twins, now=clock.now())
            assert set(QuarantinedPage.objects.values_list("name", flat=True)) == {"h1-1", "h1-2"}
            assert QuarantinedPage.objects.count() == 2


# --- the alarm ----------------------------------------------------------------------------------
def test_operators_are_told_once_when_several_accounts_fail(
    alice, bob, charlie, connect, visit, release, settings
):
    settings.ALERT_WEBHOOKS = {"ops": {"url": "https://ops.example.com", "secret": "unused"}}
    mine = [connect(person, 3 + n) for n, person in enumerate((alice, bob, charlie))]
    release(deposits=knows_no_such_status)
    visit(*mine[:2])
    assert drift.watch(now=clock.now()) == 0  # two accounts may be a coincidence
    visit(mine[2])
    now = clock.now()
    assert drift.watch(now=now) == 1
    assert drift.watch(now=now) == 0
    (alarm,) = alarms()
    assert (alarm.user_id, alarm.severity) == (None, "medium")
    assert (alarm.evidence["exchange"], alarm.evidence["feed"]) == ("binance", "deposits")
    assert alarm.evidence["accounts"] == 3
    assert alarm.evidence["reasons"] == ["status is unknown"]
    assert [row.endpoint for row in WebhookDelivery.objects.filter(alert=alarm)] == ["ops"]


def test_the_same_drift_is_told_again_after_a_day_or_when_it_grew_tenfold(
    alice, bob, charlie, connect, visit, release, settings
):
    settings.QUARANTINE_ALARM_ACCOUNTS = 1
    mine = [connect(alice, number) for number in range(10, 20)]
    release(deposits=knows_no_such_status)
    visit(mine[0])
    now = clock.now()
    assert drift.watch(now=now) == 1
    with tenancy.as_system("test"):
        SecurityAlert.objects.update(state="resolved")
    assert drift.watch(now=now + timedelta(minutes=5)) == 0  # dealt with, and no wider
    visit(*mine[1:9])
    assert drift.watch(now=now + timedelta(minutes=6)) == 0  # nine times
    visit(mine[9])
    assert drift.watch(now=now + timedelta(minutes=7)) == 1
    assert alarms()[-1].severity == "high"
    later = now + timedelta(days=1, minutes=10)
    assert drift.watch(now=later) == 0  # nothing new within the hour
    with tenancy.as_system("test"):
        QuarantinedPage.objects.update(created_at=later - timedelta(minutes=1))
    assert drift.watch(now=later) == 1


def test_what_waits_is_counted_by_exchange_feed_reason_and_release(
    alice, bob, connect, visit, release
):
    release(deposits=knows_no_such_status)
    hers, his = connect(alice, 3), connect(bob, 4)
    visit(hers, his)
    with tenancy.as_system("test"):
        QuarantinedPage.objects.filter(user=bob).update(ccxt_version="4.0.0")
        found = drift.counts()
    assert {(c.exchange, c.feed, c.reason, c.ccxt_version, c.rows, c.accounts) for c in found} == {
        ("binance", "deposits", "status is unknown", gateway.ccxt_version(), len(kept(hers)), 1),
        ("binance", "deposits", "status is unknown", "4.0.0", len(kept(his)), 1),
    }


# --- the calls of a visit -----------------------------------------------------------------------
def test_a_run_keeps_its_calls_and_older_runs_lose_theirs(alice, connect, visit, sandbox):
    connection = connect(alice, 3)
    visit(connection)
    calls = runs(connection)[-1].timeline["first"]
    assert "privateGetAccount" in {call[1] for call in calls}
    assert all(call[6] == 200 for call in calls)
    with sandbox.fault(path="/", kind="status", status=503):
        assert visit(connection) == {"failed": 1}
    failed = runs(connection)[-1].timeline["first"]
    assert failed[-1][6] == 503
    assert failed[-1][8].startswith("exchange_")
    for _ in range(10):
        visit(connection)
    told = [bool(run.timeline) for run in runs(connection)]
    assert told == [False, False] + [True] * 10
