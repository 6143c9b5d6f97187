"""The alert rules for Prometheus: read by its own promtool, and about metrics that we tell."""

import re
import shutil
import subprocess

import pytest

from tests.servers import PROJECT

RULES = PROJECT / "docs" / "deploy" / "prometheus" / "alerts.yml"
CONFIG = RULES.with_name("prometheus.yml")
PROMTOOL = shutil.which("promtool")
TOLD = PROJECT / "tracker" / "monitoring" / "metrics.py"


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool (Debian's package prometheus)")
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "--lint-fatal", RULES), ("check", "config", "--syntax-only", CONFIG)],
)
def test_prometheus_itself_reads_the_rules_and_the_configuration(arguments):
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_is_about_a_metric_that_is_told():
    """A renamed metric would leave a rule that never fires."""
    told = TOLD.read_text()
    named = set(re.findall(r"\btracker_[a-z_]+", RULES.read_text()))
    assert len(named) > 8
    for name in named:
        bare = re.sub(r"_(bucket|total)$", "", name)
        assert bare in told, name
