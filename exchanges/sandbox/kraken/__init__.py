"""Kraken's REST dialect: what the sandbox's books look like in Kraken's words."""
