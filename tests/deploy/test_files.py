"""The files of a deployment say the same as the Procfile, and the programs they are for take them.

S55: requirements are pinned with hashes, audited in CI, and their bill of materials is whole.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import sbom
from tests.deploy import files, nginx
from tests.servers import PROJECT

LONG_RUNNING = files.LONG_RUNNING
# Of one machine's development or of the platform, nothing that an operator sets.
NOT_SET_BY_OPERATORS = {
    "DJANGO_SETTINGS_MODULE", "PROCESS_KIND", "DATA_DIR", "SANDBOX_PORT", "STRIPE_PORT",
    "PYTHONPATH", "UTC",
}  # fmt: skip
ACTION = re.compile(r"[\w.-]+/[\w./-]+@v\d+")


# --- the processes ------------------------------------------------------------------------------
def test_the_procfile_has_these_processes():
    assert files.procfile().keys() == {"release", *LONG_RUNNING}


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_process_is_a_systemd_unit(name):
    unit = files.unit(files.SYSTEMD / f"tracker-{name}.service")
    assert [files.words(command) for command in unit["ExecStart"]] == [files.procfile()[name]]
    assert unit["Restart"] == ["always"]
    assert f"tracker-{name}.service" in files.unit(files.SYSTEMD / "tracker.target")["Wants"][0]


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_process_is_a_compose_service(name):
    assert files.words(files.compose()[name]["command"]) == files.procfile()[name]


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_every_process_is_a_service_of_railway(name):
    path = PROJECT / "railway.json"
    if name != "web":
        path = files.DEPLOY / "railway" / f"{name}.json"
    deploy = json.loads(path.read_text())["deploy"]
    assert files.words(deploy["startCommand"]) == files.procfile()[name]
    assert deploy.keys() <= {
        "startCommand", "preDeployCommand", "healthcheckPath", "healthcheckTimeout",
        "overlapSeconds", "drainingSeconds", "restartPolicyType",
    }  # fmt: skip


def test_a_release_is_the_same_everywhere():
    release = files.procfile()["release"]
    unit = files.unit(files.SYSTEMD / "tracker-release.service")["ExecStart"]
    assert files.words(" && ".join(unit)) == release
    (railway,) = json.loads((PROJECT / "railway.json").read_text())["deploy"]["preDeployCommand"]
    # Neither gives a command to a shell by itself, and && is the shell's.
    for command in (railway, files.compose()["release"]["command"]):
        shell, flag, script = files.words(command)
        assert (shell, flag, files.words(script)) == ("sh", "-c", release)
        assert script.count(" && ") == len(unit) - 1


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_nothing_starts_in_compose_before_the_release(name):
    needed = files.compose()[name]["depends_on"]
    assert needed == {"release": {"condition": "service_completed_successfully"}}


def test_the_container_runs_as_nobody_in_particular_and_installs_by_hash():
    lines = (files.DEPLOY / "Dockerfile").read_text().splitlines()
    assert "USER tracker" in lines
    assert any("--require-hashes -r requirements/production.txt" in line for line in lines)


@pytest.mark.parametrize(
    ("path", "kept_out"),
    [
        (".env", True), (".env.example", True), ("docs/deploy/.env", True),
        ("docs/deploy/.env.production", True), (".git/config", True), (".venv/bin/python", True),
        ("var/secrets.env", True), (".mypy_cache/3.13/x.json", True), (".hypothesis/x", True),
        ("accounts/__pycache__/tokens.pyc", True), ("tests/factories.py", True),
        ("manage.py", False), ("requirements/production.txt", False),
        ("requirements/audited.json", False), ("exchanges/environment.py", False),
        ("templates/public/terms.html", False),
    ],
)  # fmt: skip
def test_no_secret_and_nothing_superfluous_gets_into_the_container(path, kept_out):
    lines = (files.DEPLOY / "Dockerfile.dockerignore").read_text().split()
    parts = Path(path).parts
    above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    found = any(re.fullmatch(_as_docker_reads(line), name) for line in lines for name in above)
    assert found == kept_out


def _as_docker_reads(pattern: str) -> str:
    """``**/`` is any number of folders, ``*`` anything within one name."""
    text = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?")
    return text.replace(r"\*", "[^/]*")


def test_what_herokus_build_looks_for_at_the_top_leads_to_the_pinned_requirements():
    lines = (PROJECT / "requirements.txt").read_text().splitlines()
    said = [line for line in lines if line and not line.startswith("#")]
    assert said == ["-r requirements/production.txt"]


def test_commands_on_the_machine_run_as_the_services_do(tmp_path):
    """The same person, environment and folder as in the units."""
    wrapper = (files.DEPLOY / "manage").read_text()
    common = files.unit(files.SYSTEMD / "tracker-.service.d" / "common.conf")
    for name in ("User", "Group", "EnvironmentFile", "WorkingDirectory", "StateDirectory", "UMask"):
        assert f"--property={name}={common[name][0]}" in wrapper
    checked = subprocess.run(["sh", "-n", files.DEPLOY / "manage"], check=False)
    assert checked.returncode == 0


# --- the environment ----------------------------------------------------------------------------
def test_every_variable_is_in_the_template_and_in_the_table():
    read = files.read_by_code() - NOT_SET_BY_OPERATORS
    assert len(read) > 70
    assert read - files.template() == set()
    assert read - files.documented() == set()


def test_the_template_and_the_table_name_nothing_that_is_not_read():
    only_in_compose = {"DATABASE_PASSWORD", "DATABASE_ADMIN_PASSWORD"}
    by_libraries = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    read = files.read_by_code() | only_in_compose | by_libraries
    assert files.template() - read == set()
    assert files.documented() - read == set()


def test_what_compose_sets_is_known():
    environment = files.compose()["web"]["environment"]
    assert environment.keys() - files.template() == set()
    text = (files.DEPLOY / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{([A-Z_]+)", text)) - {"TRACKER_VERSION"}
    assert asked - files.template() == set()


# --- the programs themselves --------------------------------------------------------------------
def test_nginx_takes_its_configuration(tmp_path):
    program = nginx.program()
    nginx.lay_out(tmp_path, web=8000, live=8020, plain=8080, tls=8443)
    command = [program, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "[warn]" not in result.stderr
    assert "[emerg]" not in result.stderr


def test_systemd_takes_the_units(tmp_path):
    program = shutil.which("systemd-analyze")
    if not program:
        pytest.skip("systemd-analyze is not installed")
    _units_for_this_machine(tmp_path)
    units = sorted(str(path) for path in tmp_path.glob("tracker*.*") if path.is_file())
    result = subprocess.run(
        [program, "verify", "--man=no", "--recursive-errors=no", *units],
        capture_output=True, text=True, check=False,
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )  # fmt: skip
    ours = [line for line in result.stderr.splitlines() if "tracker" in line]
    assert (result.returncode, ours) == (0, [])


def _units_for_this_machine(folder: Path) -> None:
    """The same units, with our programs where they are here: systemd looks whether they exist."""
    shutil.copytree(files.SYSTEMD, folder, dirs_exist_ok=True)
    for path in folder.rglob("*.*"):
        if path.is_file():
            text = path.read_text().replace(
                "/srv/tracker/.venv/bin", str(Path(sys.executable).parent)
            )
            path.write_text(text.replace("/srv/tracker", str(PROJECT)))


def test_compose_takes_its_file(tmp_path):
    program = shutil.which("docker-compose")
    if not program:
        pytest.skip("docker-compose is not installed")
    folder = tmp_path / "docs" / "deploy"
    shutil.copytree(files.DEPLOY, folder)
    template = (PROJECT / ".env.example").read_text()
    for name, value in (("DATABASE_PASSWORD", "a"), ("DATABASE_ADMIN_PASSWORD", "b")):
        template = template.replace(f"# {name}=", f"{name}={value}")
    (folder / ".env").write_text(template)
    command = [program, "--project-name", "tracker", "--file", "docs/deploy/compose.yaml"]
    assert shlex.join(command[1:]) in (files.DEPLOY / "README.md").read_text()
    result = subprocess.run(
        [*command, "config"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    environment = yaml.safe_load(result.stdout)["services"]["web"]["environment"]
    assert environment["DATABASE_URL"] == "postgresql://tracker:a@database:5432/tracker"
    assert environment["BACKUPS"] == "/var/lib/tracker/backups"
    assert environment["EMAIL_FROM"] == "Portfolio tracker <hello@example.com>"


# --- workflows ----------------------------------------------------------------------------------
@pytest.mark.parametrize("path", sorted(files.WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_a_workflow_calls_what_there_is(path):
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for step in files.steps(path.name):
        assert ("run" in step) != ("uses" in step)
        assert set(re.findall(r"\bmake ([a-z]+)", step.get("run", ""))) <= targets
        for script in re.findall(r"\.ci/\w+", step.get("run", "")):
            assert (PROJECT / script).is_file()
        assert "uses" not in step or ACTION.fullmatch(step["uses"])
    assert files.workflow(path.name)["permissions"] == {"contents": "read"}


def test_ci_checks_and_tests_on_every_version_that_is_promised():
    """S55"""
    runs = {step.get("run") for step in files.steps("ci.yml")}
    assert {"make check", "make test", "make sbom"} <= runs
    matrix = files.workflow("ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix == {"python": ["3.11", "3.12", "3.13"], "postgresql": ["15", "18"]}
    assert "make audit" in {step.get("run") for step in files.steps("audit.yml")}
    assert (PROJECT / ".python-version").read_text().strip() in matrix["python"]


def test_only_what_was_tested_on_main_is_deployed():
    deploy = files.workflow("deploy.yml")
    assert deploy["on"] == {
        "workflow_run": {"workflows": ["CI"], "types": ["completed"], "branches": ["main"]}
    }
    (job,) = deploy["jobs"].values()
    assert "conclusion == 'success'" in job["if"]
    # Its condition is looked at before the environment's own variables are there.
    assert "repository variable" in (files.WORKFLOWS / "deploy.yml").read_text()
    assert job["steps"][0]["with"]["ref"] == "${{ github.event.workflow_run.head_sha }}"


def test_dependencies_are_looked_at_monthly():
    found = yaml.safe_load((PROJECT / ".github" / "dependabot.yml").read_text())["updates"]
    assert {row["package-ecosystem"] for row in found} >= {"pip", "github-actions"}
    assert {row["schedule"]["interval"] for row in found} == {"monthly"}


# --- what we are made of ------------------------------------------------------------------------
def test_every_requirement_is_pinned_with_hashes():
    """S55"""
    for name in ("base", "production", "development", "bench"):
        text = (PROJECT / "requirements" / f"{name}.txt").read_text()
        blocks = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
        assert all("==" in block and "--hash=sha256:" in block for block in blocks), name


def test_the_bill_of_materials_lists_every_pinned_package_with_its_licence():
    """S55"""
    listed = {part["name"]: part for part in sbom.bill()["components"]}
    names = {sbom.canonicalize_name(name): part["version"] for name, part in listed.items()}
    assert names == sbom.pinned()
    assert all(sbom.licences(part) for part in listed.values())
    assert "pytest" not in names
