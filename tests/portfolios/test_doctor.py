"""The doctor's page of a connection: what it says, to whom, and its one button."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import User
from audit.actions import Action
from audit.models import ActivityLog
from exchanges import remedies
from exchanges.gateway import errors
from exchanges.models import (
    ConnectionKind,
    Coverage,
    Exchange,
    ExchangeConnection,
    QuarantinedPage,
)
from portfolios import tasks
from portfolios.models import SyncRun
from tests.admin_client import signed_in
from tests.broker import work_off
from tests.conftest import PASSWORD
from tests.portfolios.test_quarantine import kept, knows_no_such_status, release
from tests.portfolios.test_sync import fresh, ledger_sums
from tracker import clock, ids, tenancy

__all__ = ["release"]

EVERYTHING = (
    "view_exchangeconnection", "view_coverage", "view_quarantinedpage", "view_syncrun",
)  # fmt: skip


@pytest.fixture
def supporter(db):
    """A member of staff without any permission, until a test gives some."""
    with tenancy.as_system("test"):
        return User.objects.create_user("supporter@example.com", PASSWORD, is_staff=True)


def permit(user: User, *codenames: str) -> Client:
    with tenancy.as_system("test"):
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return signed_in(user)


def doctor(connection) -> str:
    return reverse("admin:exchanges_exchangeconnection_doctor", args=[connection.id])


def replay(connection) -> str:
    return reverse("admin:exchanges_exchangeconnection_replay", args=[connection.id])


def shown(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer
    return answer.content.decode()


@pytest.fixture
def ailing(alice, connect, visit, sandbox, release):
    """Her connection after a visit whose deposits could not be read and whose funding failed."""
    connection = connect(alice, 3)
    release(deposits=knows_no_such_status)
    fault = {"path": "/sapi/v1/asset/get-funding-asset", "kind": "status", "status": 500}
    with sandbox.fault(**fault):
        visit(connection)
    release()
    return connection


def test_it_says_what_ails_a_connection_and_what_to_do(ailing, supporter):
    client = permit(supporter, *EVERYTHING)
    body = shown(client, doctor(ailing))
    for words in (
        "alice@example.com", "something could not be read", "exchange_unreachable",
        remedies.of("exchange_unreachable").action, "read_only",
        "enterprise: synced every 5 minutes",
        "in nobody's hands", "Not stopped.", "status is unknown", "can be replayed",
        "sapiPostAssetGetFundingAsset", "privateGetMyTrades", "balances funding",
    ):  # fmt: skip
        assert words in body, words
    assert ">500<" in body  # the status of the call that failed
    assert 'type="submit" class="button"' not in body  # may read, and nothing else
    page = reverse("admin:exchanges_exchangeconnection_change", args=[ailing.id])
    assert doctor(ailing) in shown(client, page)


def test_gaps_of_the_coverage_are_said(ailing, supporter):
    later = clock.now() + timedelta(days=9)
    with tenancy.as_system("test"):
        ExchangeConnection.objects.filter(id=ailing.id).update(last_synced_at=later)
        Coverage.objects.filter(connection=ailing, feed="dust").delete()
    body = shown(permit(supporter, *EVERYTHING), doctor(ailing))
    assert "ends 9 days before the last visit" in body
    assert "nothing read yet" in body


@pytest.mark.parametrize(
    ("lease", "words"),
    [(timedelta(seconds=20), "a worker has it until"), (timedelta(seconds=-20), "its worker died")],
)
def test_it_says_in_whose_hands_a_connection_is(ailing, supporter, lease, words):
    with tenancy.as_system("test"):
        ExchangeConnection.objects.filter(id=ailing.id).update(
            claimed_by=ids.new_id(), lease_until=clock.now() + lease
        )
    assert words in shown(permit(supporter, *EVERYTHING), doctor(ailing))


# --- who may ------------------------------------------------------------------------------------
def test_people_who_are_not_staff_are_sent_away(ailing, alice):
    """S19"""
    for client in (Client(), signed_in(alice)):
        assert client.get(doctor(ailing)).status_code == 302
        assert client.post(replay(ailing)).status_code == 302
    assert len(kept(ailing)) > 0


def test_staff_without_permission_sees_nothing(ailing, supporter):
    """S19"""
    client = signed_in(supporter)
    assert client.get(doctor(ailing)).status_code == 403
    assert client.post(replay(ailing)).status_code == 403
    counts = reverse("admin:exchanges_quarantinedpage_counts")
    assert client.get(counts).status_code == 403


def test_each_part_is_shown_to_those_who_may_see_what_it_is_made_of(ailing, supporter):
    """S19"""
    client = permit(supporter, "view_exchangeconnection")
    body = shown(client, doctor(ailing))
    assert "alice@example.com" in body
    for hidden in ("Newest visits", "What was read", "Quarantine</h2>", "privateGetMyTrades"):
        assert hidden not in body, hidden
    assert client.post(replay(ailing)).status_code == 403


def test_the_button_needs_the_permission_to_act_and_a_post(ailing, supporter):
    """S19"""
    client = permit(supporter, *EVERYTHING)
    assert client.post(replay(ailing)).status_code == 403
    client = permit(supporter, "change_quarantinedpage")
    assert client.get(replay(ailing)).status_code == 403
    assert not acts(Action.REPLAY_REQUESTED)


def test_an_account_kept_by_hand_has_no_doctor(ailing, supporter):
    with tenancy.as_system("test"):
        ExchangeConnection.objects.filter(id=ailing.id).update(kind=ConnectionKind.MANUAL)
    client = permit(supporter, *EVERYTHING)
    assert client.get(doctor(ailing)).status_code == 404


def test_an_exchange_that_ccxt_has_dropped_keeps_its_doctor(ailing, supporter):
    Exchange.objects.create(id="gone", name="Gone", ccxt_version="1")
    with tenancy.as_system("test"):
        ExchangeConnection.objects.filter(id=ailing.id).update(exchange_id="gone")
    assert "no longer asked" in shown(permit(supporter, *EVERYTHING), doctor(ailing))


# --- replaying ----------------------------------------------------------------------------------
def acts(action):
    with tenancy.as_system("test"):
        return list(ActivityLog.objects.filter(action=action).order_by("id"))


def test_the_button_has_a_worker_read_the_rows_again(
    ailing, supporter, sandbox, django_capture_on_commit_callbacks
):
    client = permit(supporter, *EVERYTHING, "change_quarantinedpage")
    waiting = len(kept(ailing))
    assert f"Replay {waiting} row" in shown(client, doctor(ailing))
    with django_capture_on_commit_callbacks(execute=True):
        body = client.post(replay(ailing), follow=True).content.decode()
    assert f"Rows to be read again by a worker: {waiting}." in body
    assert work_off(tasks.replay_quarantine, queue="exports") == 1
    assert kept(ailing) == []
    assert ledger_sums(ailing) == sandbox.ledger_sums(3)
    (asked,), (done,) = acts(Action.REPLAY_REQUESTED), acts(Action.QUARANTINE_REPLAYED)
    assert asked.user_id == done.user_id == ailing.user_id
    assert asked.actor_id == done.actor_id == supporter.id
    # what else was wrong with the visit is wrong still
    assert fresh(ailing).reason == "exchange_unreachable"
    with django_capture_on_commit_callbacks(execute=True):
        body = client.post(replay(ailing), follow=True).content.decode()
    assert "Rows to be read again by a worker: 0." in body
    assert work_off(tasks.replay_quarantine, queue="exports") == 0


def test_chosen_rows_are_replayed_and_no_others(
    ailing, supporter, django_capture_on_commit_callbacks
):
    client = permit(supporter, "view_quarantinedpage", "change_quarantinedpage")
    first, second, *others = kept(ailing)
    with tenancy.as_system("test"):
        QuarantinedPage.objects.filter(id=second.id).update(is_whole=False)
    listed = reverse("admin:exchanges_quarantinedpage_changelist")
    assert "too large to replay" in shown(client, listed)
    page = reverse("admin:exchanges_quarantinedpage_change", args=[second.id])
    assert "too large to replay" in shown(client, page)
    chosen = {"action": "replay", "_selected_action": [str(first.id), str(second.id)]}
    with django_capture_on_commit_callbacks(execute=True):
        body = client.post(listed, chosen, follow=True).content.decode()
    assert "Replays queued: 1. Not possible for 1." in body
    work_off(tasks.replay_quarantine, queue="exports")
    assert [row.id for row in kept(ailing)] == [second.id, *(row.id for row in others)]
    (asked,) = acts(Action.REPLAY_REQUESTED)
    assert (asked.user_id, asked.actor_id) == (ailing.user_id, supporter.id)


def test_what_waits_is_counted_on_a_page(ailing, supporter):
    client = permit(supporter, "view_quarantinedpage")
    listed = reverse("admin:exchanges_quarantinedpage_changelist")
    counts = reverse("admin:exchanges_quarantinedpage_counts")
    assert counts in shown(client, listed)
    body = shown(client, counts)
    for words in ("binance", "deposits", "status is unknown", f"{len(kept(ailing))}, of 1 kind."):
        assert words in body, words


# --- words --------------------------------------------------------------------------------------
def test_every_reason_has_words():
    codes = {kind.code for kind in errors.GatewayError.__subclasses__()}
    codes |= {errors.GatewayError.code, errors.TimedOut.code, errors.OnMaintenance.code}
    codes |= {"", "rows_quarantined", "paused_by_user", "paused_by_staff"}
    unknown = remedies.of("no such code")
    assert [code for code in codes if remedies.of(code) == unknown] == []


def test_a_run_of_before_has_no_calls_and_says_so(ailing, supporter):
    with tenancy.as_system("test"):
        SyncRun.objects.update(timeline={})
    assert "no calls kept" in shown(permit(supporter, *EVERYTHING), doctor(ailing))
