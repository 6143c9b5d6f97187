"""Rows of a dump are counted as they are, wherever the stream is cut."""

from hypothesis import given
from hypothesis import strategies as st

from tracker.backups import rows

names = st.sampled_from(["trades", "users", '"Odd ""name"" ("', "partition_2026_01"])
lines = st.text("ab\\\t.N0", max_size=6).filter(lambda line: line != "\\.")
blocks = st.dictionaries(names, st.lists(lines, max_size=8), max_size=4)


def text_of(tables: dict[str, list[str]]) -> bytes:
    parts = ["--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\n"]
    for name, content in tables.items():
        body = "".join(line + "\n" for line in content)
        parts.append(f"--\n\nCOPY public.{name} (a, b) FROM stdin;\n{body}\\.\n\n\n")
    return "".join([*parts, "SELECT 1;\n"]).encode()


@given(blocks, st.integers(1, 40))
def test_every_row_counts_once(tables, size):
    text = text_of(tables)
    cut = (text[at : at + size] for at in range(0, len(text), size))
    expected = {
        name.strip('"').replace('""', '"'): len(content) for name, content in tables.items()
    }
    assert rows.count(cut) == expected


def test_a_dump_of_nothing_has_no_tables():
    assert rows.count(iter([])) == {}
