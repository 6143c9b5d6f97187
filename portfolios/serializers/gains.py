"""Shapes of lots, gains and the explanation of an asset."""

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.models import CostBasisMethod, CostBasisScope
from portfolios.models import Basis, DisposalKind, Term
from portfolios.serializers.coverage import CompletenessSerializer
from portfolios.serializers.fields import ExactDecimalField

GAINS_STATUS = ["complete", "partial", "updating"]
TOTALS_STATUS = ["complete", "partial"]
_SOURCE = "Where the price came from; empty when there is none."


class _PageSerializer(serializers.Serializer):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


class StandingSerializer(serializers.Serializer):
    """By which rules figures were computed, and how up to date they are."""

    status = serializers.ChoiceField(
        GAINS_STATUS, help_text="`updating` while later changes are still being computed."
    )
    currency = serializers.CharField()
    method = serializers.ChoiceField(CostBasisMethod.choices)
    scope = serializers.ChoiceField(CostBasisScope.choices)
    long_term_days = serializers.IntegerField()
    time_zone = serializers.CharField()
    derived_at = serializers.DateTimeField(allow_null=True)


# --- lots ---------------------------------------------------------------------------------------
class _LotFiguresSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    kind = serializers.CharField(help_text="What the acquisition was.")
    acquired_at = serializers.DateTimeField()
    quantity = ExactDecimalField()
    cost = ExactDecimalField(allow_null=True, help_text="Of all units; null when unknown.")
    remaining = ExactDecimalField()
    remaining_cost = ExactDecimalField(allow_null=True)
    basis = serializers.ChoiceField(Basis.choices)
    source = serializers.CharField(allow_blank=True, help_text=_SOURCE)  # type: ignore[assignment]


class LotSerializer(_LotFiguresSerializer):
    """An acquisition and what is left of it."""

    asset = serializers.UUIDField()
    code = serializers.CharField()
    connection = serializers.UUIDField()
    entry = serializers.UUIDField(help_text="The ledger entry that brought the units.")
    position = serializers.IntegerField(help_text="Order among the asset's lots.")


@extend_schema_serializer(many=False)
class LotsSerializer(_PageSerializer, StandingSerializer):
    """Lots, newest first."""

    results = LotSerializer(many=True)


# --- gains --------------------------------------------------------------------------------------
class _PieceFiguresSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    lot = serializers.UUIDField(allow_null=True, help_text="Null when no lot covers the units.")
    kind = serializers.ChoiceField(DisposalKind.choices)
    acquired_at = serializers.DateTimeField(allow_null=True)
    quantity = ExactDecimalField()
    cost = ExactDecimalField(allow_null=True)
    proceeds = ExactDecimalField(allow_null=True)
    gain = ExactDecimalField(allow_null=True, help_text="Null when unknown, never zero for it.")
    held_days = serializers.IntegerField(allow_null=True)
    term = serializers.ChoiceField(Term.choices)
    basis = serializers.ChoiceField(Basis.choices)
    source = serializers.CharField(allow_blank=True, help_text=_SOURCE)  # type: ignore[assignment]


class DisposalSerializer(_PieceFiguresSerializer):
    """A part of one lot given up."""

    asset = serializers.UUIDField()
    code = serializers.CharField()
    connection = serializers.UUIDField()
    entry = serializers.UUIDField(help_text="The ledger entry by which the units went.")
    position = serializers.IntegerField(help_text="Order among the asset's disposals.")
    disposed_at = serializers.DateTimeField()


class TotalsSerializer(serializers.Serializer):
    """Sums over what is known, and what they leave out."""

    status = serializers.ChoiceField(TOTALS_STATUS)
    depends_on = serializers.ListField(
        child=serializers.CharField(), help_text="Counters below that make the sums less certain."
    )
    pieces = serializers.IntegerField(help_text="All parts of lots given up.")
    proceeds = ExactDecimalField(help_text="Of pieces whose gain is known.")
    cost = ExactDecimalField(help_text="Of pieces whose gain is known.")
    gain = ExactDecimalField(help_text="`proceeds` less `cost`.")
    income = ExactDecimalField(help_text="Rewards, interest, airdrops when they came in.")
    unknown_basis = serializers.IntegerField(help_text="Pieces sold whose cost is unknown.")
    unknown_basis_proceeds = ExactDecimalField(help_text="What those brought in.")
    unpriced = serializers.IntegerField(help_text="Pieces sold without a known price.")
    unpriced_income = serializers.IntegerField(help_text="Income without a known price.")
    unexplained_withdrawals = serializers.IntegerField(
        help_text="Withdrawals that are neither paired nor explained, taken for no sale."
    )
    without_gain = serializers.IntegerField(
        help_text="Pieces of which no gain is computed: gifts, donations, withdrawals."
    )
    without_gain_cost = ExactDecimalField(help_text="What those had cost, where known.")


class YearTotalsSerializer(TotalsSerializer):
    year = serializers.IntegerField()


class AssetTotalsSerializer(TotalsSerializer):
    asset = serializers.UUIDField()
    code = serializers.CharField()


class TermTotalsSerializer(TotalsSerializer):
    term = serializers.ChoiceField(Term.choices)


class KindTotalsSerializer(TotalsSerializer):
    kind = serializers.ChoiceField(DisposalKind.choices)


class IncomeTotalsSerializer(serializers.Serializer):
    """Income of one kind."""

    kind = serializers.CharField()
    income = ExactDecimalField()
    unpriced_income = serializers.IntegerField()


@extend_schema_serializer(many=False)
class GainsSerializer(_PageSerializer, StandingSerializer):
    """Totals of a year, an asset, a connection or everything; and its pieces, newest first."""

    year = serializers.IntegerField(allow_null=True)
    totals = TotalsSerializer()
    by_year = YearTotalsSerializer(many=True)
    by_asset = AssetTotalsSerializer(many=True)
    by_term = TermTotalsSerializer(many=True)
    by_kind = KindTotalsSerializer(many=True)
    income_by_kind = IncomeTotalsSerializer(many=True)
    coverage = CompletenessSerializer()
    results = DisposalSerializer(many=True)


# --- explain ------------------------------------------------------------------------------------
_PRICE = "Of one unit, to 30 decimals."


class OpenedLotSerializer(_LotFiguresSerializer):
    """A lot that an entry opened."""

    price = ExactDecimalField(allow_null=True, help_text=_PRICE)


class GivenUpSerializer(_PieceFiguresSerializer):
    """A part of a lot that an entry gave up."""

    price = ExactDecimalField(allow_null=True, help_text=_PRICE)


class EarnedSerializer(serializers.Serializer):
    """What an entry was worth as income."""

    kind = serializers.CharField()
    quantity = ExactDecimalField()
    value = ExactDecimalField(allow_null=True)
    price = ExactDecimalField(allow_null=True, help_text=_PRICE)
    source = serializers.CharField(allow_blank=True, help_text=_SOURCE)  # type: ignore[assignment]


_FACT = {
    "type": "object",
    "description": "A trade, transfer, reward or adjustment; `type` says which.",
    "properties": {
        "type": {"type": "string", "enum": ["trade", "transfer", "reward", "adjustment"]},
        "id": {"type": "string", "format": "uuid"},
    },
    "required": ["type", "id"],
    "additionalProperties": True,
    "nullable": True,
}


@extend_schema_field(_FACT)
class FactField(serializers.DictField):
    """What an entry came from."""


class ExplainedEntrySerializer(serializers.Serializer):
    """A ledger entry and what followed from it."""

    id = serializers.UUIDField()
    occurred_at = serializers.DateTimeField()
    kind = serializers.CharField()
    quantity = ExactDecimalField(help_text="Positive came in, negative went out.")
    wallet = serializers.CharField()
    connection = serializers.UUIDField()
    fact = FactField(allow_null=True)
    lots = OpenedLotSerializer(many=True)
    disposals = GivenUpSerializer(many=True, help_text="The first 50 pieces.")
    disposals_in_all = serializers.IntegerField(help_text="The others: `GET /gains?entry=`.")
    income = EarnedSerializer(allow_null=True)


@extend_schema_serializer(many=False)
class ExplanationSerializer(_PageSerializer, StandingSerializer):
    """One asset's chain from entries to lots to gain, newest first."""

    asset = serializers.UUIDField()
    code = serializers.CharField()
    remaining = ExactDecimalField(help_text="Units in open lots.")
    remaining_cost = ExactDecimalField(help_text="What those cost, where known.")
    remaining_of_unknown_basis = ExactDecimalField()
    totals = TotalsSerializer()
    results = ExplainedEntrySerializer(many=True)
