"""Visiting exchange accounts and recording what they tell."""
