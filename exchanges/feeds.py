"""Which kinds of history an exchange has, by the names under which coverage notes them."""

from datetime import datetime

from exchanges.gateway.dialects import table


def launched(exchange: str) -> dict[str, datetime]:
    """Every feed that a visit asks for, and the day from which it is read.

    Empty where only the library behind the gateway knows. Reads the declarations of our own
    dialects, which is cheap and asks nobody.
    """
    if exchange not in table.OWN:
        return {}
    return {feed.name: feed.launched for feed in table.dialect(exchange).feeds}
