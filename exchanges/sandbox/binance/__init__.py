"""Binance's REST dialect: what the sandbox's books look like in Binance's words."""
