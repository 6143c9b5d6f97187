"""Why an exchange's report and our books differ: possible causes, ranked. Pure, no Django.

A fact that is missing leaves a print of its own in the differences of an account. A trade leaves
two of opposite sign and equal value, and a third where its fee was paid in a third asset; a move
between wallets two of the same asset that cancel out; a reward or a deposit a single one, of a
size that the account's other rewards or deposits make likely. Each cause that could have made a
difference gets a weight, which is how likely its print is against that of the others: counts of
what the account is known to do, the spread of the sizes (a kernel density over the logarithm of
the value), how well two values agree, and whether the units fit the steps in which the market
trades. The weights of a difference add up to 1 and are its ``likelihood``. They order causes;
they are no probabilities of anything.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from portfolios.reconciling.account import Account
from portfolios.reconciling.causes import MOST_CAUSES, Cause, Code, signed_number
from portfolios.reconciling.differences import Difference, Place
from portfolios.reconciling.joint_causes import joint_causes
from portfolios.reconciling.single_causes import causes_of_one

_ZERO = Decimal(0)


_LEAST_LIKELY = 0.002  # what is less likely is not listed


def explain(
    differences: Sequence[Difference], account: Account
) -> dict[Place, list[tuple[Cause, float]]]:
    """Causes of each difference of one account with their likelihood, the likeliest first."""
    joint = list(joint_causes(differences, account))
    return {
        item.place: _ranked([*_of(item, joint), *causes_of_one(item, account)], item)
        for item in differences
    }


def _ranked(causes: Iterable[Cause], of: Difference) -> list[tuple[Cause, float]]:
    found = sorted(causes, key=lambda cause: (-cause.weight, cause.code, cause.sentence))
    total = sum(cause.weight for cause in found) or 1.0
    ranked = [(cause, cause.weight / total) for cause in found]
    likely = [item for item in ranked if item[1] >= _LEAST_LIKELY]
    return (likely or ranked)[:MOST_CAUSES]


def _of(item: Difference, joint: Iterable[Cause]) -> list[Cause]:
    return [cause for cause in joint if any(place == item.place for place, _ in cause.parts)]


def as_rows(ranked: Sequence[tuple[Cause, float]], account: Account) -> list[dict[str, Any]]:
    """Causes as JSON: code, sentence, likelihood, evidence, the missing fact, and remedies."""
    return [_row(cause, likelihood, account) for cause, likelihood in ranked]


def _row(cause: Cause, likelihood: float, account: Account) -> dict[str, Any]:
    return {
        "code": str(cause.code),
        "fact": str(cause.fact) if cause.fact else None,
        "likelihood": f"{likelihood:.4f}",
        "sentence": cause.sentence,
        "evidence": list(cause.evidence),
        "parts": [
            {
                "wallet": place.wallet,
                "asset": str(place.asset),
                "code": account.codes.get(place.asset, ""),
                "units": signed_number(units),
            }
            for place, units in cause.parts
        ],
        "feeds": list(cause.feeds),
        "since": cause.since.isoformat() if cause.since else None,
        "until": cause.until.isoformat() if cause.until else None,
        "transfer": str(cause.counterpart) if cause.counterpart else None,
        "entries": [str(entry) for entry in cause.entries],
        "remedies": _remedies(cause, account),
    }


def _remedies(cause: Cause, account: Account) -> list[str]:
    """What one call can do about it, the best first."""
    found = []
    if cause.code == Code.ENTERED_OR_IMPORTED:
        return ["delete_entries"]
    if cause.code == Code.UNMATCHED_TRANSFER:
        found.append("match_transfer")
    if cause.feeds and not account.by_hand:
        found.append("fetch_window")
    return [*found, "book_adjustment"]
