"""Prices of the past: wanted, fetched in the background, stored once for everybody."""
