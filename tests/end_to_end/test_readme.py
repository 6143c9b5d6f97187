"""What the README and the pages under docs say: its commands are run, its names are looked up."""

import ast
import json
import re
import subprocess
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.end_to_end import system as systems
from tests.servers import PROJECT

pytestmark = [pytest.mark.xdist_group("end_to_end"), pytest.mark.timeout(600)]

README = PROJECT / "README.md"
PAGES = [README, *sorted((PROJECT / "docs").rglob("*.md"))]
PATHS = (
    "## The main path, with curl", "## Numbers you can trust, with curl", "## A plan, with curl",
    "## Two exchanges, and one that is away, with curl",
    "## Strategies, alerts and files, with curl", "## Secure your account, with curl",
)  # fmt: skip
_BLOCK = re.compile(r"^### \d+\. (?P<title>.+?)\n(?P<text>.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
_END_OF_STEP = "\x1e"
KEYS = ("API key", "API secret", "Kraken API key", "Kraken API secret")


@dataclass(frozen=True)
class Step:
    """One step of the main path: what to run, what the README shows, what really came out."""

    commands: str
    shown: str
    printed: str = ""


def section(page: str, heading: str) -> str:
    _, _, rest = page.partition(f"\n{heading}\n")
    assert rest, f"{heading} is gone"
    return re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def written() -> dict[str, Step]:
    """The steps of both paths by title, in their order."""
    found = {}
    page = README.read_text()
    for match in _BLOCK.finditer("".join(section(page, path) for path in PATHS)):
        fences = _FENCE.findall(match["text"])
        commands = [body for language, body in fences if language == "bash"]
        shown = "".join(body for language, body in fences if language == "json")
        assert len(commands) == 1, match["title"]
        found[match["title"]] = Step(commands[0], shown)
    return found


def script(
    steps: dict[str, Step], *, port: int, sandbox: str, stripe: str, keys: dict[str, str]
) -> str:
    """All blocks in their order, for one shell, with what a reader would fill in."""
    joined = f"printf '{_END_OF_STEP}'\n".join(step.commands for step in steps.values())
    fillings = {
        "http://127.0.0.1:8000/": f"http://127.0.0.1:{port}/",
        "http://127.0.0.1:8010": sandbox,
        "http://127.0.0.1:8030": stripe,
    } | {f"'the {name}'": f"'{value}'" for name, value in keys.items()}
    for placeholder, value in fillings.items():
        assert joined.count(placeholder) == 1, placeholder
        joined = joined.replace(placeholder, value)
    return "set -u\n" + joined


@pytest.fixture(scope="module")
def steps(tmp_path_factory) -> dict[str, Step]:
    """The README's blocks, run one after the other against a running system."""
    with systems.running(tmp_path_factory.mktemp("readme")) as system:
        text = script(
            written(), port=system.port, sandbox=system.printed("Sandbox exchange:"),
            stripe=system.printed("Sandbox Stripe:"),
            keys={name: system.printed(f"{name}:") for name in KEYS},
        )  # fmt: skip
        ran = subprocess.run(
            ["bash", "-c", text], capture_output=True, text=True, check=False, timeout=400
        )
    assert (ran.returncode, ran.stderr) == (0, "")
    printed = ran.stdout.split(_END_OF_STEP)
    return {
        title: Step(step.commands, step.shown, output)
        for (title, step), output in zip(written().items(), printed, strict=True)
    }


def answer(step: Step) -> tuple[dict, str]:
    """The JSON that a step printed, and the status where it printed one."""
    body, _, status = step.printed.strip().partition("\n")
    return json.loads(body), status


def test_signing_up_is_accepted(steps):
    body, _ = answer(steps["Sign up"])
    assert body["status"] == "accepted"


def test_signing_in_gives_tokens_and_the_person(steps):
    body, _ = answer(steps["Sign in"])
    assert body["access"].count(".") == body["refresh"].count(".") == 2
    assert body["user"]["email"] == "you@example.com"


def test_the_exchanges_are_listed_with_what_they_need(steps):
    body, _ = answer(steps["Which exchanges there are"])
    rows = {row["id"]: row for row in body["results"]}
    assert rows["binance"]["required_fields"] == ["api_key", "api_secret"]
    # the text beside the block says how many there are
    assert f"\n{len(rows)} with ccxt " in README.read_text()


def test_a_wrong_key_is_refused(steps):
    body, status = answer(steps["A wrong key"])
    assert (status, body["code"]) == ("400", "exchange_key_rejected")


def test_the_right_key_connects(steps):
    body, _ = answer(steps["Connect the account"])
    assert (body["exchange"], body["privileges"]) == ("binance", "read_only")


def test_a_sync_is_accepted_and_ends(steps):
    asked, status = answer(steps["Sync"])
    assert status == "202"
    (run,) = answer(steps["Wait for it"])[0]["results"]
    assert (run["id"], run["state"]) == (asked["id"], "complete")
    assert run["new_trades"] > 0


def test_the_portfolio_is_complete(steps):
    body, _ = answer(steps["The portfolio"])
    assert (body["status"], body["currency"]) == ("complete", "USD")
    assert body["holdings"]
    assert [row["state"] for row in body["connections"]] == ["ok"]


def test_trades_and_prices_answer(steps):
    (trade,) = answer(steps["The trades behind it"])[0]["results"]
    assert trade["exchange"] == "binance"
    prices, _ = answer(steps["Prices"])
    assert {row["code"]: row["status"] for row in prices["results"]} == {
        "BTC": "complete", "EUR": "complete",
    }  # fmt: skip


def test_snapshots_answer_also_before_the_first_one(steps):
    body, _ = answer(steps["The total over time"])
    assert isinstance(body["results"], list)


def test_what_is_computed_is_there_once_the_books_are_done(steps):
    body, _ = answer(steps["Wait until the books are done"])
    assert (body["updating"], body["status"], body["unpriced"]) == (False, "complete", 0)
    assert body["returns"]["twr"] is not None


def test_the_gains_of_a_year_say_what_they_depend_on(steps):
    body, _ = answer(steps["The gains of a year"])
    assert (body["status"], body["method"]) == ("partial", "fifo")
    assert "unknown_basis" in body["totals"]["depends_on"]
    totals = body["totals"]
    assert Decimal(totals["gain"]) == Decimal(totals["proceeds"]) - Decimal(totals["cost"])


def test_a_figure_is_explained_down_to_an_entry(steps):
    body, _ = answer(steps["Where a figure comes from"])
    (entry,) = body["results"]
    assert body["code"] == "BTC"
    assert entry["fact"]["id"]


def test_the_reasons_of_a_change_add_up_to_it(steps):
    body, _ = answer(steps["Why the value changed"])
    parts = sum(Decimal(part) for part in body["parts"].values())
    assert parts == Decimal(body["change"])
    assert Decimal(body["closing"]) - Decimal(body["opening"]) == parts


def test_a_day_that_does_not_exist_is_refused(steps):
    body, _ = answer(steps["A day that does not exist"])
    assert [row["field"] for row in body["details"]["fields"]] == ["from"]


def test_what_the_exchange_keeps_to_itself_is_found_and_repaired(steps):
    hidden, found = map(
        json.loads, steps["Something the exchange does not tell"].printed.strip().split("\n")
    )
    assert hidden["hidden"]["feed"] == "dividends"
    (difference,) = found["results"]
    assert (difference["code"], difference["difference"]) == ("BTC", "0.02")
    assert difference["causes"][0]["remedies"]
    done, after = map(json.loads, steps["Repair it"].printed.strip().split("\n"))
    assert done["adjustment"]
    assert after["results"] == []


def test_an_entry_by_hand_is_booked(steps):
    body, _ = answer(steps["A purchase from before you kept books"])
    assert (body["exchange"], body["source"]) == ("manual", "manual")


def test_a_larger_plan_is_bought_and_includes_the_second_connection(steps):
    refused, status = answer(steps["A second connection needs a larger plan"])
    assert (status, refused["code"]) == ("403", "connection_limit_reached")
    assert answer(steps["Subscribe"])[0]["subscription"]["status"] == "incomplete"
    declined, still = map(json.loads, steps["A card that is declined"].printed.strip().split("\n"))
    assert (declined["declined"], still["tier"]) == ("card_declined", "free")
    standing, _ = answer(steps["The test card"])
    assert (standing["tier"], standing["subscription"]["status"]) == ("pro", "active")
    assert answer(steps["What was used"])[0]["included"] == 10_000


def test_a_plan_is_ended_before_one_leaves(steps):
    assert answer(steps["End the plan"])[0]["status"] == "canceled"
    assert answer(steps["Leave"])[1] == "202"


def test_a_second_exchange_is_read_completely(steps):
    body, _ = answer(steps["Connect the second exchange"])
    assert (body["exchange"], body["privileges"]) == ("kraken", "read_only")
    told, _ = answer(steps["Since when it is complete, and except for what"])
    assert told["plan"] is None
    assert {feed["state"] for feed in told["feeds"]} == {"complete"}


def test_what_left_one_account_and_reached_the_other_is_one_move(steps):
    body, _ = answer(steps["One move, seen from both sides"])
    assert body["results"]


def test_an_exchange_that_is_away_is_said_and_comes_back(steps):
    _, run, connection = map(
        json.loads, steps["The exchange goes away"].printed.strip().split("\n")
    )
    (failed,) = run["results"]
    assert (failed["state"], failed["error"]) == ("failed", "exchange_unreachable")
    assert (connection["state"], connection["reason"]) == ("ok", "exchange_unreachable")
    (back,) = answer(steps["And comes back"])[0]["results"]
    assert back["state"] == "complete"


def test_a_chart_is_fetched_and_told(steps):
    printed = steps["A chart"].printed
    assert '"interval":"1d"' in printed.replace(": ", ":")
    assert '"updating":false' in printed.replace(": ", ":")


def test_the_catalogue_shows_strategies_with_their_forms(steps):
    shown = steps["Which strategies there are"].printed.strip().split("\n")
    assert [json.loads(line)["key"] for line in shown] == [
        "buy_and_hold", "dollar_cost_averaging", "sma_crossover",
    ]  # fmt: skip


def test_a_strategy_is_kept_unless_its_parameters_cannot_be(steps):
    refused, status = answer(steps["Parameters that cannot be"])
    assert (status, refused["code"]) == ("400", "invalid_input")
    assert refused["details"]["fields"][0]["pointer"] == "/parameters/fast"
    assert answer(steps["Keep a strategy"])[0]["parameters"] == {"fast": 20, "slow": 50}


def test_a_backtest_on_2017_to_2019_is_computed_and_drawn(steps):
    body, _ = answer(steps["Try it on 2017 to 2019"])
    assert (body["state"], body["fee_source"]) == ("done", "own_fills")
    assert body["result"]["range"]["from"] == "2017-08-17T00:00:00Z"
    chart, _ = answer(steps["Read the chart"])
    assert chart["title"].startswith("Crossing averages: 2017-08-18 to 2020-01-01")
    assert "Buy and hold" in chart["desc"]


def test_a_sweep_warns_of_luck(steps):
    body, _ = answer(steps["How much of the best is luck"])
    assert body["trials"] == 12
    assert "overfitting" in {warning["code"] for warning in body["warnings"]}


def test_a_strategy_watches_and_a_price_is_waited_for(steps):
    assert answer(steps["Have it watch"])[0]["interval"] == "1d"
    assert answer(steps["Be told of a price"])[0]["state"] == "active"


def test_a_file_is_made_and_fetched_by_its_link(steps):
    body, names = steps["A file of the ledger"].printed.strip().split("\n", 1)
    assert json.loads(body)["state"] == "ready"
    assert "ledger.csv" in names


def test_an_authenticator_app_is_added_with_the_right_code_only(steps):
    enrolment, _ = answer(steps["Add an authenticator app"])
    assert enrolment["qr_svg"].startswith("<svg")
    refused, status = answer(steps["A wrong code"])
    assert (status, refused["code"]) == ("400", "totp_rejected")
    assert len(answer(steps["The right one"])[0]["recovery_codes"]) == 10


def test_signing_in_then_takes_two_steps(steps):
    refused, _ = answer(steps["Sign in: the password alone is not enough"])
    assert refused["code"] == "second_factor_required"
    body, _ = answer(steps["Sign in: the second step"])
    assert body["user"]["email"] == "you@example.com"


def test_devices_and_acts_are_listed(steps):
    listed, ended = steps["Which devices are signed in"].printed.strip().split("\n")
    assert [row["current"] for row in json.loads(listed)["results"]].count(True) == 1
    assert json.loads(ended)["ended"] == len(json.loads(listed)["results"]) - 1
    acts, _ = answer(steps["What happened to the account"])
    assert acts["results"][0]["action"] == "session.all_ended"


def test_support_is_asked(steps):
    asked, _ = answer(steps["Ask support"])
    assert (asked["state"], asked["category"]) == ("open", "figures")
    assert asked["reference"].startswith("SR-")


def test_a_copy_of_the_data_is_made_and_the_account_closed(steps):
    export, _ = answer(steps["A copy of everything"])
    assert export["state"] == "waiting"
    closing, status = answer(steps["Leave"])
    assert (status, "closes_at" in closing) == ("202", True)


def test_the_answers_in_the_readme_have_the_fields_of_real_ones(steps):
    named = re.compile(r'"(\w+)"\s*:')
    for title, step in steps.items():
        if '"results":[]' in step.printed:  # no snapshot yet
            continue
        assert set(named.findall(step.shown)) <= set(named.findall(step.printed)), title


# --- names and links ----------------------------------------------------------------------------
def code_of(page: Path) -> list[str]:
    """Code blocks and code spans of a page."""
    text = page.read_text()
    blocks = [match["body"] for match in _FENCE.finditer(text)]
    return blocks + re.findall(r"`([^`\n]+)`", _FENCE.sub("", text))


def named_in_code(pattern: str) -> set[str]:
    return {name for page in PAGES for code in code_of(page) for name in re.findall(pattern, code)}


def test_every_make_target_that_a_page_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = named_in_code(r"(?:^|\s)make ([a-z-]+)")
    assert {"run", "test", "check", "bench"} <= named
    assert named <= targets


def test_every_management_command_that_a_page_names_exists():
    named = named_in_code(r"manage\.py ([a-z_]+)")
    assert {"migrate", "rotate_encryption_keys", "sandbox_exchange"} <= named
    assert named <= set(get_commands())


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", page.read_text())):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_the_tables_of_settings_name_every_variable_that_is_read():
    sources = ("settings", "embedded", "local_environment", "local", "gunicorn")
    read = {
        name
        for source in sources
        for groups in re.findall(
            r"(?:env\.\w+|_secret|_json|_int|_switch|environ\.get)\(\s*['\"]([A-Z_]+)['\"]"
            r'|\("--[a-z-]+", "([A-Z_]+)"\)',
            (PROJECT / "tracker" / f"{source}.py").read_text(),
        )
        for name in groups
        if name
    } | {"ENCRYPTION_KEY"}
    read.discard("PROCESS_KIND")  # set by gunicorn's configuration
    row = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)
    developing = set(row.findall(section(README.read_text(), "## Settings")))
    everywhere = set(row.findall((PROJECT / "docs" / "deploy" / "environment.md").read_text()))
    assert not developing & everywhere
    assert read <= developing | everywhere


# --- docs/api.md and docs/security.md ------------------------------------------------------------
def test_every_error_code_of_the_code_is_in_the_table_of_errors():
    raised = set()
    for room in ("tracker", "accounts", "audit", "billing", "exchanges", "portfolios"):
        for path in (PROJECT / room).rglob("*.py"):
            raised |= set(_error_codes(ast.parse(path.read_text())))
    table = (PROJECT / "docs" / "api.md").read_text()
    told = set(re.findall(r"^\| `([a-z_]+)` \| \d{3} \|", table, re.MULTILINE))
    assert raised - told == set()


def _error_codes(tree: ast.Module):
    """The codes of classes that have a code and a status, as every error of ours does."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        given = {
            item.targets[0].id: item.value
            for item in node.body
            if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name)
        }
        if {"code", "status", "message"} <= given.keys():
            yield given["code"].value


def test_the_table_of_endpoints_is_the_schema_s():
    from drf_spectacular.generators import SchemaGenerator

    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    declared = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in paths.items()
        for method in methods
    }
    table = (PROJECT / "docs" / "api.md").read_text()
    told = re.findall(r"^\| `(GET|POST|PATCH|PUT|DELETE) (/[^`]*)` \|", table, re.MULTILINE)
    assert set(told) == declared


def test_every_test_that_the_pages_name_exists():
    for name in named_in_code(r"(tests/[\w/]+\.py)"):
        assert (PROJECT / name).exists(), name
    for path, test in named_in_code(r"(tests/[\w/]+\.py)::(test_\w+)"):
        assert f"def {test}(" in (PROJECT / path).read_text(), test
