"""Files of entries: reading them, showing what would be booked, and booking it.

``table`` turns bytes into rows, one module for each format turns rows into facts, ``identity``
names the facts so that the same file twice changes nothing. Those are pure. ``imports`` keeps
files and books them.
"""
