"""Tests that share one running system stay in one worker, or each worker starts it anew."""

import os

import pytest


@pytest.mark.xdist_group("held")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="there is one worker only")
def test_groups_of_tests_are_kept_together(request):
    """xdist finds a group by what it adds to the name of a test, and says nothing without it."""
    assert request.node.nodeid.endswith("@held")
