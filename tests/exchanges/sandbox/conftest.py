from collections.abc import Iterator

import pytest

from exchanges.sandbox import config, testing


@pytest.fixture(scope="session")
def sandbox() -> Iterator[testing.SandboxProcess]:
    """A sandbox without limits, shared by tests that leave it as they found it."""
    settings = config.Config(accounts=40, assets=8, trades=150, weight_limit=0)
    with testing.start(settings) as process:
        yield process
