"""Shapes of pairs of transfers, differences, remedies and problems."""

from typing import Any

from rest_framework import serializers

from portfolios.models import AdjustmentReason, MatchOrigin, TransferMeaning
from portfolios.reconciling import problems, remedies
from portfolios.reconciling.account import Fact
from portfolios.reconciling.causes import Code
from portfolios.serializers.fields import ExactDecimalField
from tracker.api import StrictSerializer
from tracker.money import MOST_UNITS, UNIT_DECIMALS, UNIT_DIGITS


class _GivenUnits(serializers.DecimalField):
    """Units that a person gives, exactly."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=UNIT_DIGITS, decimal_places=UNIT_DECIMALS, **kwargs)


# --- pairs --------------------------------------------------------------------------------------
class MatchEvidenceSerializer(serializers.Serializer):
    """What speaks for a pair."""

    seconds_apart = serializers.IntegerField()
    units_apart = ExactDecimalField()
    same_txid = serializers.BooleanField()
    certainty = ExactDecimalField(help_text="0 to 1.")


class _PairSerializer(serializers.Serializer):
    withdrawal = serializers.UUIDField()
    deposit = serializers.UUIDField()
    asset = serializers.UUIDField()
    sent = ExactDecimalField()
    received = ExactDecimalField()
    occurred_at = serializers.DateTimeField(help_text="Of the withdrawal.")
    received_at = serializers.DateTimeField()
    evidence = MatchEvidenceSerializer()


class TransferMatchSerializer(_PairSerializer):
    """A withdrawal and a deposit that are one move between own accounts."""

    id = serializers.UUIDField()
    code = serializers.CharField()
    origin = serializers.ChoiceField(MatchOrigin.choices)
    confirmed_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    from_connection = serializers.UUIDField()
    to_connection = serializers.UUIDField()


class MatchSuggestionSerializer(_PairSerializer):
    """A pair that is possible and left to the person."""


class NewMatchSerializer(StrictSerializer):
    """Two transfers that are one move."""

    withdrawal = serializers.UUIDField()
    deposit = serializers.UUIDField()


class TransferNoteInputSerializer(StrictSerializer):
    """What a transfer was, and for units that came in what they cost and since when."""

    meaning = serializers.ChoiceField(TransferMeaning.choices)
    cost_asset = serializers.UUIDField(required=False, allow_null=True)
    cost_quantity = _GivenUnits(required=False, allow_null=True, min_value=0, max_value=MOST_UNITS)
    acquired_at = serializers.DateTimeField(required=False, allow_null=True)
    note = serializers.CharField(required=False, allow_blank=True, max_length=200)


class TransferNoteSerializer(serializers.Serializer):
    """What was said about a transfer."""

    transfer = serializers.UUIDField()
    meaning = serializers.ChoiceField(TransferMeaning.choices)
    cost_asset = serializers.UUIDField(allow_null=True)
    cost_code = serializers.CharField(allow_null=True)
    cost_quantity = ExactDecimalField(allow_null=True)
    acquired_at = serializers.DateTimeField(allow_null=True)
    note = serializers.CharField(allow_blank=True)


# --- differences --------------------------------------------------------------------------------
class CausePartSerializer(serializers.Serializer):
    """A difference that a cause explains."""

    wallet = serializers.CharField()
    asset = serializers.UUIDField()
    code = serializers.CharField()
    units = ExactDecimalField()


class CauseSerializer(serializers.Serializer):
    """What may have happened, with what speaks for it and what can be done."""

    code = serializers.ChoiceField([item.value for item in Code])
    fact = serializers.ChoiceField([item.value for item in Fact], allow_null=True)
    likelihood = ExactDecimalField(help_text="0 to 1; against the other causes of this difference.")
    sentence = serializers.CharField()
    evidence = serializers.ListField(child=serializers.CharField())
    parts = CausePartSerializer(many=True)
    feeds = serializers.ListField(child=serializers.CharField())
    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True)
    transfer = serializers.UUIDField(allow_null=True, help_text="The half that is known.")
    entries = serializers.ListField(
        child=serializers.UUIDField(), help_text="Entries of your own that are too much."
    )
    remedies = serializers.ListField(child=serializers.ChoiceField(remedies.ACTIONS))


class DiscrepancySerializer(serializers.Serializer):
    """Reported units less the ledger's, of one asset in one wallet."""

    id = serializers.UUIDField()
    connection = serializers.UUIDField()
    exchange = serializers.CharField()
    label = serializers.CharField(allow_blank=True)  # type: ignore[assignment]
    wallet = serializers.CharField()
    asset = serializers.UUIDField()
    code = serializers.CharField()
    reported = ExactDecimalField()
    ledger = ExactDecimalField()
    difference = ExactDecimalField(help_text="Reported less the ledger.")
    reported_at = serializers.DateTimeField()
    agreed_at = serializers.DateTimeField(
        allow_null=True, help_text="The last report that still agreed; null when none did."
    )
    appeared_at = serializers.DateTimeField(help_text="The first report that did not.")
    causes = CauseSerializer(many=True)
    computed_at = serializers.DateTimeField()


class CheckedSerializer(serializers.Serializer):
    """How one account's books stand against its reports."""

    connection = serializers.UUIDField()
    exchange = serializers.CharField()
    label = serializers.CharField(allow_blank=True)  # type: ignore[assignment]
    places = serializers.IntegerField(help_text="Assets in wallets that were compared.")
    differing = serializers.IntegerField()
    reported_at = serializers.DateTimeField(allow_null=True)


class ReconciliationSerializer(serializers.Serializer):
    """Where reports and books differ, newest first, and what was compared."""

    updating = serializers.BooleanField(help_text="Newer entries are being worked in.")
    checked = CheckedSerializer(many=True)
    results = DiscrepancySerializer(many=True)


class RepairSerializer(StrictSerializer):
    """What to do about a difference."""

    action = serializers.ChoiceField(remedies.ACTIONS)
    feeds = serializers.ListField(
        child=serializers.CharField(max_length=32), required=False, max_length=50
    )
    reason = serializers.ChoiceField(AdjustmentReason.choices, required=False)
    note = serializers.CharField(required=False, allow_blank=True, max_length=200)
    transfer = serializers.UUIDField(required=False)
    cost_asset = serializers.UUIDField(required=False)
    cost_quantity = _GivenUnits(required=False, min_value=0)


class DoneSerializer(serializers.Serializer):
    """What was done."""

    action = serializers.ChoiceField(remedies.ACTIONS)
    sync_run = serializers.UUIDField(allow_null=True)
    feeds = serializers.ListField(child=serializers.CharField())
    adjustment = serializers.UUIDField(allow_null=True)
    transfer = serializers.UUIDField(allow_null=True)
    entries = serializers.ListField(child=serializers.UUIDField())


# --- problems -----------------------------------------------------------------------------------
class RemedySerializer(serializers.Serializer):
    """The call that does something about a problem."""

    action = serializers.CharField()
    method = serializers.CharField(allow_null=True)
    path = serializers.CharField(allow_null=True)
    body = serializers.DictField(allow_null=True)


class ProblemSerializer(serializers.Serializer):
    """Something that makes a number less than certain."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(problems.kinds())
    severity = serializers.ChoiceField(["high", "medium", "low"])
    sentence = serializers.CharField()
    connection = serializers.UUIDField(allow_null=True)
    asset = serializers.UUIDField(allow_null=True)
    code = serializers.CharField(allow_blank=True)
    units = ExactDecimalField(allow_null=True)
    count = serializers.IntegerField()
    since = serializers.DateTimeField(allow_null=True)
    remedy = RemedySerializer()
    is_dismissed = serializers.BooleanField()


class ProblemInboxSerializer(serializers.Serializer):
    """All problems, gravest first."""

    open = serializers.IntegerField(help_text="How many are not put aside.")
    updating = serializers.BooleanField()
    results = ProblemSerializer(many=True)
