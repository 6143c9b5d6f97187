"""Why a value changed: the parts add up, and what was shown stays apart from what is known."""

from decimal import Decimal as D

from hypothesis import given
from hypothesis import strategies as st

from portfolios.returns import attribution
from portfolios.returns.attribution import Sums

money = st.decimals(-(10**12), 10**12, places=8)
sums = st.builds(Sums, *([money] * len(Sums.__dataclass_fields__)))


@given(money, money, sums, st.none() | money)
def test_the_parts_add_up_to_the_change_exactly(opening, closing, found, shown):
    parts = attribution.explain(opening=opening, closing=closing, sums=found, shown=shown)
    assert parts.total == closing - (opening if shown is None else shown)


@given(money, sums)
def test_days_that_explain_everything_leave_no_correction(opening, found):
    closing = opening + found.profit + found.net_flows
    parts = attribution.explain(opening=opening, closing=closing, sums=found)
    assert parts.corrections == found.corrections
    assert parts.late_data == 0


def test_what_left_is_negative_and_late_data_is_what_was_not_shown():
    found = Sums(deposits=D(100), withdrawals=D(30), fees=D(2), income=D(5), price_effect=D(7))
    parts = attribution.explain(opening=D(50), closing=D(130), sums=found, shown=D(45))
    assert (parts.deposits, parts.withdrawals, parts.fees, parts.income) == (100, -30, -2, 5)
    assert (parts.price, parts.corrections, parts.late_data) == (7, 0, 5)
    assert parts.total == 85
