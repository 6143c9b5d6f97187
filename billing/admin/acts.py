"""What staff does for a person's plan, offered on the person's page."""

from datetime import datetime, timedelta
from uuid import UUID

from django import forms

from billing import grants, plans
from tracker import desk
from tracker.desk import PersonAct, PersonForm


class GrantActForm(PersonForm):
    """Which plan, for how long, and why."""

    tier = forms.ChoiceField(label="plan")
    days = forms.IntegerField(min_value=1, max_value=3650)
    reason = forms.CharField(max_length=200)

    def prepare(self, person_id: UUID) -> None:
        table = plans.table().items()
        self.fields["tier"].choices = [  # type: ignore[attr-defined]
            (tier, plan.name or tier) for tier, plan in table if tier != plans.DEFAULT_TIER
        ]


def _grant(
    *, person_id: UUID, actor_id: UUID, now: datetime, tier: str, days: int, reason: str
) -> str:
    row = grants.grant(
        user_id=person_id, tier=tier, until=now + timedelta(days=days), reason=reason,
        actor_id=actor_id, now=now,
    )  # fmt: skip
    return f"They have {tier} until {row.ends_at:%Y-%m-%d %H:%M} UTC."


desk.add_act(
    PersonAct(
        "grant-plan", "Grant a plan",
        "Gives a plan from now on for some days, beside what they pay for. It ends by itself.",
        "billing.add_plangrant", _grant, GrantActForm,
    )
)  # fmt: skip
