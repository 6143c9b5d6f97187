"""People whose accounts were read before the first fault."""

import time
from dataclasses import dataclass
from typing import Any

from tests.chaos import verdicts
from tests.chaos.system import System, wait_until

SETTLED = 6  # accounts 0 to 5 belong to them
KEYS = 1_200  # people of whom there is nothing but a data key: three batches of a rotation
START_SECONDS = 120


@dataclass(frozen=True)
class Person:
    """Somebody with one connected account of the exchange."""

    email: str
    user_id: Any
    connection_id: Any
    account: int


def settle(system: System, count: int = SETTLED) -> list[Person]:
    """Sign people up, connect them, and wait until everything about them is computed."""
    people = [_connected(system, number) for number in range(count)]
    system.send("exchanges.tasks.refresh_prices")
    done = wait_until(lambda: _is_quiet(system, people), START_SECONDS, every=0.5)
    assert done, verdicts.unsettled(system)
    answer = system.ask("people", count=KEYS)
    assert answer == {"made": KEYS}, answer
    return people


def connect(system: System, email: str, account: int) -> Person:
    """A new person with a connection whose first sync has only just been asked for."""
    headers = system.person(email)
    status, answer = system.call("POST", "/connections", offer(system, account), headers=headers)
    assert status == 201, answer
    return Person(email, user_of(system, email), answer["id"], account)


def offer(system: System, account: int) -> dict[str, str]:
    return {"exchange": "binance", "label": "chaos", **system.key(account)}


def user_of(system: System, email: str) -> Any:
    return system.rows("SELECT id FROM users WHERE email = %s", email)[0][0]


def _connected(system: System, number: int) -> Person:
    return connect(system, f"settled-{number}@example.com", number)


def _is_quiet(system: System, people: list[Person]) -> bool:
    """Every account read, every price of the past fetched, every figure computed; and it stays
    so for a second, since one thing leads to another."""
    for _ in range(3):
        if verdicts.unsettled(system) or waiting(system):
            return False
        if any(verdicts.account(system, person.connection_id) for person in people):
            return False
        time.sleep(0.5)
    return True


def waiting(system: System) -> list[str]:
    """Prices that are due to be fetched, and figures that wait for one although all were.

    An hour that has not ended is waited for, and rightly so.
    """
    rows = system.rows("""
        SELECT 'prices wanted', count(*) FROM price_needs
            WHERE state = 'open' AND next_try_at <= now()
        UNION ALL SELECT 'figures that wait in vain', count(*) FROM asset_bases AS bases
            WHERE waits_for IS NOT NULL AND NOT EXISTS (
                SELECT FROM price_needs AS needs
                WHERE needs.asset_id = ANY(bases.waits_for) AND needs.state = 'open')
        UNION ALL SELECT 'valuations without a price', count(*) FROM portfolio_states
            WHERE waits_for_prices
    """)
    return [f"{count} {what}" for what, count in rows if count]
