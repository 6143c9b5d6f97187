"""docs/asvs.csv: complete, and everything that it names exists."""

from dataclasses import replace

import pytest

from tests import asvs

ROW = asvs.Row("V1.1.1", "2", "something", "yes", "held", "tests/asvs.py", "")


def test_every_requirement_of_levels_one_and_two_has_its_row(shared_data):
    standard = asvs.required(shared_data / "asvs-5.0.csv")
    assert len(standard) > 200
    assert list(asvs.incomplete(asvs.rows(), standard)) == []


def test_everything_that_is_named_exists():
    assert list(asvs.problems(asvs.rows())) == []


def test_the_page_is_the_one_that_is_made():
    """To write it anew: `python -m tests.asvs`."""
    assert asvs.PAGE.read_text() == asvs.markdown(asvs.rows())


def test_a_requirement_without_a_row_or_with_two_is_noticed():
    standard = {"V1.1.1": "2", "V1.1.2": "2", "V2.1.1": "1"}
    whole = replace(ROW, id="V1", applicable="no")
    assert list(asvs.incomplete([whole, ROW], standard)) == [
        "V1.1.1 has 2 rows",
        "V2.1.1 has 0 rows",
    ]
    other = replace(ROW, id="V2.1.1")
    assert list(asvs.incomplete([whole, other], standard)) == ["V2.1.1 is of level 1"]
    strange = replace(ROW, id="V3.1.1")
    assert "V3.1.1 is not in the standard" in list(asvs.incomplete([strange], standard))


@pytest.mark.parametrize(
    "changes",
    [
        {"covered_by": "tests/gone.py"},
        {"covered_by": "tests/test_asvs.py::test_that_is_gone"},
        {"covered_by": ""},
        {"state": "not yet"},
        {"state": "perhaps"},
        {"state": "part"},
        {"applicable": "no"},
        {"applicable": "no", "state": "", "covered_by": ""},
    ],
)
def test_a_row_that_claims_what_is_not_there_is_noticed(changes):
    assert list(asvs.problems([ROW])) == []
    assert len(list(asvs.problems([replace(ROW, **changes)]))) == 1
