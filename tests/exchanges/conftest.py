from tests.exchange_fixtures import connect, exchange, priced, sandbox, visit

__all__ = ["connect", "exchange", "priced", "sandbox", "visit"]
