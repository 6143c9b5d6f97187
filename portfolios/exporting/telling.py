"""How a file that is being written says how far it is, and learns that nobody wants it any more."""

from collections.abc import Callable

BATCH = 10_000  # rows between two tellings

# Hears how many rows of a table are written. Whatever it raises ends the writing.
Told = Callable[[int], None]
