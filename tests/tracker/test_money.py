"""Exact numbers: what fits a column, and how a number is written."""

from decimal import Decimal, localcontext
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from tracker import money

WHOLE = money.UNIT_DIGITS - money.UNIT_DECIMALS


def decimals(**limits: Any) -> Any:
    return st.decimals(allow_nan=False, allow_infinity=False, **limits)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0", "0"), ("-0", "0"), ("0.000", "0"), ("-0.000", "0"), ("0E-30", "0"), ("0E+30", "0"),
        ("1", "1"), ("1.0", "1"), ("1.50", "1.5"), ("-1.50", "-1.5"), ("100", "100"),
        ("1E+2", "100"), ("1E-8", "0.00000001"), ("1.10E-8", "0.000000011"),
        ("-1E-30", "-0." + "0" * 29 + "1"),
        ("120E+3", "120000"), ("0.10", "0.1"), ("10.00", "10"), ("9" * 60, "9" * 60),
        ("123456789012345678.123456789012345678", "123456789012345678.123456789012345678"),
    ],
)  # fmt: skip
def test_a_number_is_written_plainly(number, text):
    """S46: no exponent, no zeros at its end, no negative zero."""
    assert money.to_text(Decimal(number)) == text


@given(decimals(places=30, min_value=-(10**29), max_value=10**29))
def test_what_is_written_reads_back_as_the_same_number(number):
    """S46"""
    text = money.to_text(number)
    assert Decimal(text) == number
    assert "e" not in text.lower()
    assert "." not in text or text[-1] not in "0."


@given(decimals())
def test_two_spellings_of_one_number_are_written_alike(number):
    with localcontext(prec=2000):
        assert money.to_text(number) == money.to_text(number.normalize())


@pytest.mark.parametrize(
    ("number", "fits"),
    [
        ("0", True), ("-0", True), ("0E-100", True), ("1", True), ("1E+29", True), ("1E+30", False),
        ("9" * 30, True), ("1" + "0" * 30, False), ("1E-30", True), ("1E-31", False),
        ("1.0E-30", True), ("1.5E-30", False), ("0." + "1" * 30, True), ("0." + "1" * 31, False),
        ("9" * 30 + "." + "9" * 30, True), ("1.10000000000000000000000000000000", True),
        ("-" + "9" * 30, True), ("-1E+30", False), ("NaN", False), ("sNaN", False),
        ("Infinity", False), ("-Infinity", False), ("1E+999999", False), ("1E-999999", False),
    ],
)  # fmt: skip
def test_a_number_fits_when_no_digit_would_be_lost(number, fits):
    """S46"""
    assert money.fits_units(Decimal(number)) is fits


@given(decimals())
def test_what_fits_is_what_the_column_keeps_to_the_last_digit(number):
    """S46: the digits decide, whatever the spelling."""
    text = format(number.copy_abs(), "f")
    whole, _, part = text.partition(".")
    expected = len(whole.lstrip("0")) <= WHOLE and len(part.rstrip("0")) <= money.UNIT_DECIMALS
    assert money.fits_units(number) is expected


@pytest.mark.django_db
@pytest.mark.parametrize(
    "number",
    ["9" * 30 + "." + "9" * 30, "-" + "9" * 30 + "." + "9" * 30, "1E-30", "0", "1E+29",
     "123456789012345678.123456789012345678"],
)  # fmt: skip
def test_the_database_agrees_about_what_fits(number):
    """S46: numeric(60, 30) in PostgreSQL, there and back."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT %s::numeric({money.UNIT_DIGITS}, {money.UNIT_DECIMALS})", [Decimal(number)]
        )
        assert cursor.fetchone() == (Decimal(number),)


@given(
    st.integers(0, 10**20).map(lambda units: Decimal(units).scaleb(-2)),
    st.integers(0, 10**18).map(lambda units: Decimal(units).scaleb(-18)),
)
def test_the_product_of_a_quantity_and_a_price_is_exact(quantity, price):
    """S46: Python's own 28 digits would lose its tail."""
    with localcontext(prec=500):
        exact = quantity * price
    assert quantity * price == exact


def test_every_thread_computes_with_sixty_digits():
    import threading
    from decimal import getcontext

    found = []
    thread = threading.Thread(target=lambda: found.append(getcontext().prec))
    thread.start()
    thread.join()
    assert found == [getcontext().prec] == [money.DIGITS]
