"""The engine of rp2 on the workload, without its parser and its reports.

It leaves the fee of a sale out of account; so is it here.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

from prezzemolo.avl_tree import AVLTree
from rp2.accounting_engine import AccountingEngine
from rp2.configuration import Configuration
from rp2.in_transaction import InTransaction
from rp2.input_data import InputData
from rp2.out_transaction import OutTransaction
from rp2.plugin.country.us import US
from rp2.rp2_decimal import RP2Decimal
from rp2.tax_engine import compute_tax
from rp2.transaction_set import TransactionSet

from tests.benchmarks import trades

_COLUMNS = {
    "in_header": "timestamp asset exchange holder transaction_type spot_price crypto_in",
    "out_header": "timestamp asset exchange holder transaction_type spot_price "
    "crypto_out_no_fee crypto_fee",
    "intra_header": "timestamp asset from_exchange from_holder to_exchange to_holder spot_price "
    "crypto_sent crypto_received",
}


def prepare(count: int, method: str) -> Callable[[], Any]:
    """What matches every trade. Writes its settings, and rp2 a log, into the current directory."""
    configuration = _configuration(method)
    content = _input(configuration, count)
    plugin = import_module(f"rp2.plugin.accounting_method.{method}")
    methods: Any = AVLTree()
    methods.insert_node(1970, plugin.AccountingMethod())

    def match() -> Any:
        engine = AccountingEngine(years_2_methods=methods)
        return compute_tax(configuration, engine, content)

    return match


def gain(found: Any) -> Decimal:
    total = sum((piece.fiat_gain for piece in found.gain_loss_set), RP2Decimal("0"))
    return Decimal(str(total))


def _configuration(method: str) -> Configuration:
    lines = ["[general]", "assets = BTC", "exchanges = E", "holders = H"]
    for header, columns in _COLUMNS.items():
        lines.append(f"[{header}]")
        lines += [f"{name} = {number}" for number, name in enumerate(columns.split())]
    path = Path("rp2.ini")
    path.write_text("\n".join([*lines, "[accounting_methods]", f"1970 = {method}\n"]))
    return Configuration(str(path), US())


def _input(configuration: Configuration, count: int) -> InputData:
    sets = [TransactionSet(configuration, kind, "BTC") for kind in ("IN", "OUT", "INTRA")]
    for number, (at, side, units, price, fee) in enumerate(trades.decimals(count), 1):
        place = (configuration, datetime.fromtimestamp(at, UTC).isoformat(), "BTC", "E", "H")
        spot, amount = RP2Decimal(str(price)), RP2Decimal(str(units))
        if side == "B":
            charge = RP2Decimal(str(fee))
            sets[0].add_entry(
                InTransaction(*place, "Buy", spot, amount, fiat_fee=charge, row=number)
            )
        else:
            sets[1].add_entry(
                OutTransaction(*place, "Sell", spot, amount, RP2Decimal("0"), row=number)
            )
    return InputData("BTC", *sets)
