"""ASVS 5.0, levels 1 and 2: `python -m tests.asvs` checks docs/asvs.csv and writes docs/asvs.md.

The data file is ours: one row per requirement, in our words, or one for a whole section or chapter
that does not apply. `covered_by` names promises (S07), tests and places, separated by spaces. The
standard itself stands beside the checkout; where it is absent, completeness is not checked.
"""

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import assurance

PROJECT = assurance.PROJECT
OURS, PAGE = PROJECT / "docs" / "asvs.csv", PROJECT / "docs" / "asvs.md"
STANDARD = PROJECT.parent / "shared" / "data" / "asvs-5.0.csv"
STATES = {
    "held": "the code does it, and a test or the named place shows it",
    "part": "something is missing, and the note says what",
    "not yet": "missing",
    "elsewhere": "for the proxy, the host or the app in front; not in this repository",
}
CHAPTERS = {
    "V1": "Encoding and sanitization", "V2": "Validation and business logic",
    "V3": "Web frontend", "V4": "API and web service", "V5": "Files", "V6": "Authentication",
    "V7": "Sessions", "V8": "Authorization", "V9": "Self-contained tokens",
    "V10": "OAuth and OIDC", "V11": "Cryptography", "V12": "Secure communication",
    "V13": "Configuration", "V14": "Data protection", "V15": "Coding and architecture",
    "V16": "Logs and errors", "V17": "WebRTC",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A requirement (V1.2.3), or a section (V1.2) or chapter (V1) that does not apply."""

    id: str
    level: str
    title: str
    applicable: str
    state: str
    covered_by: str
    note: str

    def covers(self, requirement: str) -> bool:
        return requirement == self.id or requirement.startswith(f"{self.id}.")

    @property
    def chapter(self) -> str:
        return self.id.partition(".")[0]


def rows() -> list[Row]:
    with OURS.open(newline="") as file:
        return [Row(**row) for row in csv.DictReader(file)]


def required(path: Path = STANDARD) -> dict[str, str]:
    """The level of each requirement of level 1 and 2 in the standard."""
    with path.open(newline="") as file:
        return {row["req_id"]: row["L"] for row in csv.DictReader(file) if row["L"] in "12"}


# --- what can be wrong ----------------------------------------------------------------------------
def problems(table: list[Row]) -> Iterator[str]:
    """What is wrong with our rows by themselves."""
    promises = assurance.covered()
    for row in table:
        if row.applicable == "no":
            if row.state or row.covered_by or not row.note:
                yield f"{row.id} does not apply: a note, and nothing else"
            continue
        if row.state not in STATES:
            yield f"{row.id} is in no known state"
        if (row.state == "not yet") == bool(row.covered_by):
            yield f"{row.id} is covered by something, or not yet"
        if row.state == "part" and not row.note:
            yield f"{row.id} does not say what is missing"
        for name in row.covered_by.split():
            if not _exists(name, promises):
                yield f"{row.id} is said to be covered by {name}, which does not exist"


def _exists(name: str, promises: dict[str, list[assurance.Holder]]) -> bool:
    if name in assurance.PROMISES:
        return name in promises
    path, _, test = name.partition("::")
    file = PROJECT / path
    return file.exists() and (not test or f"def {test}(" in file.read_text())


def incomplete(table: list[Row], standard: dict[str, str]) -> Iterator[str]:
    """What is wrong with our rows beside the standard."""
    for requirement, level in standard.items():
        found = [row for row in table if row.covers(requirement)]
        if len(found) != 1:
            yield f"{requirement} has {len(found)} rows"
        elif found[0].id == requirement and found[0].level != level:
            yield f"{requirement} is of level {level}"
    for row in table:
        if not any(row.covers(requirement) for requirement in standard):
            yield f"{row.id} is not in the standard"


# --- what is printed ------------------------------------------------------------------------------
def markdown(table: list[Row]) -> str:
    parts = [_HEAD, _counts(table)]
    for chapter, title in CHAPTERS.items():
        parts.append(f"## {chapter} {title}\n")
        parts.append(_chapter([row for row in table if row.chapter == chapter]))
    return "\n".join(parts)


_HEAD = """# ASVS 5.0

The requirements of levels 1 and 2 of OWASP's Application Security Verification Standard 5.0, by their numbers and in words of our own (the standard is published under CC BY-SA 4.0), and what becomes of each here. Made by `python -m tests.asvs` from `docs/asvs.csv`; tests check that every number is there and that everything named exists. `S07` and its like are promises: [which test holds which](security.md#which-test-holds-which-promise).

This is a self-assessment by who wrote the code. *Held* with nothing but a place means that the code does it and no test of ours would notice its end.
"""  # noqa: E501


def _counts(table: list[Row]) -> str:
    counted = Counter(row.state or "does not apply" for row in table)
    meaning = STATES | {"does not apply": "with the reason; a whole section or chapter is one row"}
    lines = ["| state | rows | |", "|---|---|---|"]
    lines += [f"| {state} | {counted[state]} | {text} |" for state, text in meaning.items()]
    return "\n".join(lines) + "\n"


def _chapter(table: list[Row]) -> str:
    lines = ["| | level | requirement | state | covered by | note |", "|---|---|---|---|---|---|"]
    for row in table:
        state = row.state or "does not apply"
        names = ", ".join(_shown(name) for name in row.covered_by.split())
        lines.append(f"| {row.id} | {row.level} | {row.title} | {state} | {names} | {row.note} |")
    return "\n".join(lines) + "\n"


def _shown(name: str) -> str:
    return name if name in assurance.PROMISES else f"`{name}`"


def main() -> int:
    table = rows()
    found = list(problems(table))
    if STANDARD.exists():
        found += incomplete(table, required())
    else:
        print(f"{STANDARD.name} is not beside the checkout: completeness was not checked.")
    PAGE.write_text(markdown(table))
    print(*found, f"{PAGE.name} has {len(table)} rows.", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
