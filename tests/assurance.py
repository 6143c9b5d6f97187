"""Which promise is held by which test: `make assurance`, or `python -m tests.assurance`.

A test names the promises it holds by their numbers, in its name (`test_s07_…`) or its docstring
(`S07: …`). A module's docstring speaks for every test in it. `--markdown` prints the table that
stands in docs/security.md between its two marks; `--write` puts it there.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

TESTS = Path(__file__).resolve().parent
PROJECT = TESTS.parent
PAGE = PROJECT / "docs" / "security.md"
BEGIN, END = "<!-- assurance: begin -->", "<!-- assurance: end -->"

PROMISES = {
    "S01": "weak passwords are refused, long ones welcome",
    "S02": "bcrypt, hashed anew at sign-in when the cost changed",
    "S03": "of many refreshes with one token, one succeeds",
    "S04": "a spent refresh token that returns ends its session",
    "S05": "15 minutes, 7 days, and 30 days for the whole session",
    "S06": "no issued token can be found in a dump",
    "S07": "forged tokens of every kind are refused",
    "S08": "signing keys rotate with an overlap",
    "S09": "what ends a session ends both its tokens at the next call",
    "S10": "a one-time code works once, also when sent many times at once",
    "S11": "recovery codes: hashed, each works once",
    "S12": "a fresh sign-in before what cannot be taken back",
    "S13": "nobody learns who has an account",
    "S14": "an id of somebody else is as good as none, on every route",
    "S15": "row-level security on every table with a user; a weak role",
    "S16": "SQL past the code reaches nothing of others",
    "S17": "an identity lasts as long as its transaction",
    "S18": "what may not be written is not written",
    "S19": "staff pages are for staff, and support sees no keys",
    "S20": "a task acts for one person at a time",
    "S21": "sealed per person, row and field; moved, it does not open",
    "S22": "master keys rotate online, and go on after a crash",
    "S23": "nothing stored can run as code",
    "S24": "every changed byte is noticed; nonces never repeat",
    "S25": "a secret is shown once or never",
    "S26": "secrets are in no log, error, cache, task or other table",
    "S27": "exchange keys that can do more than read are refused",
    "S28": "limits hold in every window; guessing gets slower",
    "S29": "limits count accounts and true addresses",
    "S30": "without Redis nobody signs in, and reads go on",
    "S31": "too large, too deep, too slow: refused early",
    "S32": "a refusal says when to come back",
    "S33": "outgoing calls reach no private address",
    "S34": "an unsigned webhook writes nothing",
    "S35": "one event fifty times has one effect",
    "S36": "events in any order end in the payer's true state",
    "S37": "a crash before the answer costs nothing and doubles nothing",
    "S38": "calls to the payment provider can be repeated safely",
    "S39": "malformed pages are put aside and the rest goes on",
    "S40": "the same facts make the same ledger, however they arrive",
    "S41": "killed anywhere: nothing lost, nothing twice",
    "S42": "a task that kills its workers is put aside",
    "S43": "a lost queue is found again",
    "S44": "two schedulers have one effect",
    "S45": "one budget per exchange, over all processes",
    "S46": "exact numbers, and rules of money that the database keeps",
    "S47": "encrypted backups that have been restored once",
    "S48": "an export holds all that is personal",
    "S49": "erasure leaves nothing behind, also after a restore",
    "S50": "headers and deployment checks are clean",
    "S51": "browsers: exact origins only",
    "S52": "the admin: second factor, idle limit, no sealed fields",
    "S53": "documented is what answers, and it is not public unless told",
    "S54": "the activity log cannot be changed unnoticed; requests can be followed",
    "S55": "pinned, audited, listed dependencies",
    "S56": "a bad setting stops the start and says why",
    "S57": "a POST that is sent again has one effect",
}
# Held by its tests as far as it goes, and what is missing.
IN_PART = {
    "S01": "no online breach check",
    "S13": "who signs up and then in with the same password learns that the address was free",
}
_NUMBER = re.compile(r"\bS(\d\d)\b")
_IN_NAME = re.compile(r"(?<=_)s(\d\d)(?=_|$)")


@dataclass(frozen=True, slots=True)
class Holder:
    """A test, as pytest names it."""

    path: str
    name: str


def covered(root: Path = TESTS) -> dict[str, list[Holder]]:
    """Every number that some test names, with those tests in their order."""
    found: dict[str, list[Holder]] = {}
    for path in sorted(root.rglob("test_*.py")):
        tree = ast.parse(path.read_text())
        module = _numbers(ast.get_docstring(tree))
        for test in _tests(tree):
            said = _numbers(ast.get_docstring(test)) | set(_IN_NAME.findall(test.name))
            place = path.relative_to(root.parent).as_posix()
            for number in module | said:
                found.setdefault(f"S{number}", []).append(Holder(place, test.name))
    return found


def _numbers(text: str | None) -> set[str]:
    return set(_NUMBER.findall(text or ""))


def _tests(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


# --- what is printed ------------------------------------------------------------------------------
def table() -> Table:
    """For a terminal: every promise with all its tests."""
    shown = Table("", "promise", "tests", title="Which test holds which promise")
    shown.add_column("held by", overflow="fold")
    found = covered()
    for number, promise in PROMISES.items():
        tests = found.get(number, [])
        missing = f"\n[yellow]in part: {IN_PART[number]}[/yellow]" if _partly(number, tests) else ""
        names = _listed(tests) or "[yellow]not yet[/yellow]"
        shown.add_row(number, promise + missing, str(len(tests)), names, end_section=True)
    return shown


def markdown() -> str:
    """For docs/security.md: every promise with one test of each file, and what is missing."""
    rows = ["| | promise | tests | held by |", "|---|---|---|---|"]
    found = covered()
    for number, promise in PROMISES.items():
        tests = found.get(number, [])
        missing = f"In part: {IN_PART[number]}. " if _partly(number, tests) else ""
        names = missing + (_counted(tests) or "not yet")
        rows.append(f"| {number} | {promise} | {len(tests)} | {names} |")
    return "\n".join(rows)


def _partly(number: str, tests: list[Holder]) -> bool:
    return bool(tests) and number in IN_PART


def _by_file(tests: list[Holder]) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    for test in tests:
        files.setdefault(test.path, []).append(test.name)
    return files


def _listed(tests: list[Holder]) -> str:
    return "\n".join(
        f"[bold]{path}[/bold]\n" + "\n".join(f"  {name}" for name in names)
        for path, names in _by_file(tests).items()
    )


def _counted(tests: list[Holder]) -> str:
    return ", ".join(
        f"`{path}::{names[0]}`" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        for path, names in _by_file(tests).items()
    )


def summary() -> str:
    held = len(PROMISES.keys() & covered().keys())
    return f"{held} of {len(PROMISES)} promises are named by at least one test."


# --- docs/security.md -----------------------------------------------------------------------------
def block(page: str) -> str:
    """The generated part of the page."""
    return _split(page)[1].strip("\n")


def _split(page: str) -> tuple[str, str, str]:
    before, begin, rest = page.partition(BEGIN)
    text, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no generated part")
    return before, text, after


def claimed(page: str) -> set[str]:
    """Every number that the page speaks of, but for the rows that say that it is not held."""
    lines = [line for line in page.splitlines() if not line.endswith("| not yet |")]
    return {f"S{number}" for number in _NUMBER.findall("\n".join(lines))}


def write() -> None:
    before, _, after = _split(PAGE.read_text())
    PAGE.write_text(f"{before}{BEGIN}\n{markdown()}\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.assurance", description=__doc__)
    parser.add_argument("--markdown", action="store_true", help="print the table of the docs")
    parser.add_argument("--write", action="store_true", help="put it into docs/security.md")
    asked = parser.parse_args()
    if asked.write:
        write()
    elif asked.markdown:
        print(markdown())
    else:
        Console(width=None if sys.stdout.isatty() else 140).print(table())
    if not asked.markdown:
        print(summary())


if __name__ == "__main__":
    main()
