"""The table of promises: collected from the tests themselves, and the same in the docs."""

import pytest

from tests import assurance

FOUND = '''"""Something else."""


def test_one():
    """{number}: it holds."""


def helper():
    """{number}: no test."""


class TestGroup:
    def test_{name}_two(self):
        ...
'''


@pytest.fixture
def tree(tmp_path):
    """A folder of tests of our own making."""
    root = tmp_path / "tests"
    root.mkdir()

    def add(name: str, text: str):
        (root / name).write_text(text)
        return assurance.covered(root)

    return add


def names(found, number):
    return [holder.name for holder in found.get(number, [])]


def test_a_number_is_found_in_docstrings_and_names_of_tests_alone(tree):
    found = tree("test_some.py", FOUND.format(number="S" + "07", name="s" + "08"))
    assert names(found, "S" + "07") == ["test_one"]
    assert names(found, "S" + "08") == ["test_s08_two"]
    assert len(found) == 2


def test_the_docstring_of_a_module_speaks_for_all_its_tests(tree):
    number = "S" + "07"
    found = tree("test_some.py", f'"""{number}: all."""\ndef test_a(): ...\ndef test_b(): ...\n')
    assert names(found, number) == ["test_a", "test_b"]
    assert tree("helpers.py", f'"""{number}"""\ndef test_c(): ...\n') == found


def test_every_number_that_a_test_names_is_a_promise():
    assert assurance.covered().keys() <= assurance.PROMISES.keys()


def test_what_is_missing_is_said_of_promises_alone():
    assert assurance.IN_PART.keys() <= assurance.PROMISES.keys()


def test_every_promise_that_the_docs_claim_is_named_by_a_test():
    claimed = assurance.claimed(assurance.PAGE.read_text())
    assert claimed - assurance.covered().keys() == set()


def test_a_number_that_no_test_names_is_noticed_as_a_claim():
    page = "Held: S" + "98.\n| S" + "99 | something | 0 | not yet |\n"
    assert assurance.claimed(page) == {"S" + "98"}


def test_the_table_in_the_docs_is_the_one_that_is_made():
    """To write it anew: `python -m tests.assurance --write`."""
    assert assurance.block(assurance.PAGE.read_text()) == assurance.markdown()
