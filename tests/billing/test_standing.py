"""Which plan is in force: the decision alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import plans, standing
from billing.models import PlanGrant, Subscription
from billing.standing import Claim, Standing

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRACE = timedelta(days=7)


def after(days: float) -> datetime:
    return NOW + timedelta(days=days)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ([], Standing("free")),
        ([Claim("pro", None, "subscription")], Standing("pro", "subscription")),
        ([Claim("pro", after(3), "grant")], Standing("pro", "grant", after(3), "free")),
        # the larger one for its time, then the other
        (
            [Claim("pro", None, "subscription"), Claim("enterprise", after(3), "grant")],
            Standing("enterprise", "grant", after(3), "pro"),
        ),
        # a grant of what is paid for ends nothing
        (
            [Claim("pro", None, "subscription"), Claim("pro", after(3), "grant")],
            Standing("pro", "subscription"),
        ),
        (
            [Claim("pro", after(1), "grant"), Claim("pro", after(9), "grant")],
            Standing("pro", "grant", after(9), "free"),
        ),
        # what is over gives nothing, also to the second
        ([Claim("pro", NOW, "grant")], Standing("free")),
        ([Claim("pro", after(-1), "grace")], Standing("free")),
        # what follows must still be there when it is to follow
        (
            [Claim("enterprise", after(3), "grant"), Claim("pro", after(2), "grace")],
            Standing("enterprise", "grant", after(3), "free"),
        ),
        # a plan that the table no longer has
        ([Claim("gone", None, "subscription")], Standing("free", "subscription")),
        (
            [Claim("gone", None, "subscription"), Claim("pro", after(1), "grant")],
            Standing("pro", "grant", after(1), "free"),
        ),
    ],
)
def test_the_largest_claim_wins_and_says_what_follows(claims, expected):
    assert standing.decide(claims, now=NOW) == expected
    assert standing.decide(reversed(claims), now=NOW) == expected


claims = st.lists(
    st.builds(
        Claim,
        st.sampled_from(["free", "pro", "enterprise"]),
        st.none() | st.integers(-5, 5).map(after),
        st.sampled_from(["subscription", "grant", "grace"]),
    ),
    max_size=5,
)


@given(claims)
def test_nobody_has_less_than_any_claim_gives_nor_anything_that_none_does(found):
    decided = standing.decide(found, now=NOW)
    live = [claim for claim in found if claim.until is None or claim.until > NOW]
    assert plans.rank(decided.tier) == max([plans.rank(c.tier) for c in live], default=0)
    if decided.until is None:
        assert decided.next_tier == ""
    else:
        later = standing.decide(found, now=decided.until)
        assert later.tier == decided.next_tier


def subscription(**fields):
    return Subscription(**{"tier": "pro", "status": "active", "current_period_end": after(20),
                           **fields})  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "claim"),
    [
        ({}, Claim("pro", None, "subscription")),
        ({"status": "trialing"}, Claim("pro", None, "subscription")),
        ({"cancel_at_period_end": True}, Claim("pro", after(20), "subscription")),
        ({"status": "incomplete"}, None),
        ({"status": "incomplete_expired"}, None),
        ({"status": "canceled"}, None),
        ({"status": "paused"}, None),
        ({"ended_at": NOW}, None),
        ({"withdrawn": "refunded"}, None),
        ({"withdrawn": "disputed"}, None),
        ({"status": "past_due", "past_due_since": after(-2)}, Claim("pro", after(5), "grace")),
        ({"status": "unpaid", "past_due_since": after(-9)}, Claim("pro", after(-2), "grace")),
        ({"status": "past_due"}, None),
    ],
)
def test_what_a_subscription_gives(fields, claim):
    assert standing.claim_of_subscription(subscription(**fields), grace=GRACE) == claim


@pytest.mark.parametrize(
    ("fields", "claim"),
    [
        ({}, Claim("pro", after(9), "grant")),
        ({"revoked_at": NOW}, None),
        ({"starts_at": after(1)}, None),
    ],
)
def test_what_a_grant_gives(fields, claim):
    row = PlanGrant(**{"tier": "pro", "starts_at": after(-1), "ends_at": after(9), **fields})
    assert standing.claim_of_grant(row, now=NOW) == claim
