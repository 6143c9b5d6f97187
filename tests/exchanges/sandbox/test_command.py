"""Starting and stopping it."""

import subprocess
import sys

import pytest

from exchanges.sandbox import config, testing
from tests.exchanges.sandbox import callers


def test_sigterm_ends_it_cleanly():
    process = testing.start(config.Config(accounts=1, trades=1))
    assert callers.control(process, "GET", "health").status == 200
    assert process.stop() == 0


def test_sigterm_ends_it_while_a_request_hangs():
    process = testing.start(config.Config(accounts=1, trades=1))
    callers.control(process, "POST", "faults", {"kind": "hang", "path": "/api/v3/ping"})
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import urllib.request as r; r.urlopen('{process.url}/api/v3/ping')",
        ],
        stderr=subprocess.DEVNULL,
    ):
        while not callers.control(process, "GET", "stats").json["requests"]:
            pass
        assert process.stop() == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])  # noqa: S104
def test_other_machines_are_kept_out_unless_asked_for(host):
    with pytest.raises(config.ConfigError, match="--allow-remote"):
        config.Config(host=host).check()
    config.Config(host=host, allow_remote=True).check()


@pytest.mark.parametrize("flags", [{"accounts": 0}, {"trades": -1}, {"weight_limit": -1}])
def test_settings_that_cannot_work_are_refused(flags):
    with pytest.raises(testing.SandboxError, match="must be"):
        testing.start(config.Config(**flags))


def test_a_port_that_is_taken_is_named(sandbox):
    port = int(sandbox.url.rsplit(":", 1)[1])
    with pytest.raises(testing.SandboxError, match=str(port)):
        testing.start(config.Config(), port=port)


def test_neither_django_nor_ccxt_is_imported():
    code = (
        "import sys; from exchanges.sandbox import commands, testing; "
        "sys.exit(bool({'django', 'ccxt'} & set(sys.modules)))"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )


def test_flags_say_the_settings_again(tmp_path):
    settings = config.Config(
        port=1,
        seed=2,
        accounts=3,
        assets=4,
        trades=5,
        days=60,
        anchor=1_704_067_200_000,
        market_data=tmp_path,
        weight_limit=0,
        state=tmp_path / "state.json",
        allow_remote=True,
    )
    assert config.parsed(settings.flags()) == settings
