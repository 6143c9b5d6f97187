"""Shapes of what `accounts` reads and writes."""
