"""Gains as files for a person or their tax adviser: which rows, in which form, in which format."""
