"""A local exchange with accounts, histories and books of its own, drawn from a seed.

Imports neither Django nor ccxt: it is the other side of the wire. `market`, `history` and
`books` know no wire format; each dialect is a package beside them (`binance`, `kraken`).
"""
