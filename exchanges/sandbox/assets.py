"""The coins and currencies the sandbox knows without any file, and what they cost."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset with the USD price around which its seeded path moves.

    `swing` scales that movement: 0 is a peg, 100 a coin, 4 a national currency.
    """

    code: str
    name: str
    usd: Decimal
    swing: int = 100
    fiat: bool = False


_COINS = """
BTC:Bitcoin:61250, ETH:Ethereum:2870, BNB:BNB:545, LTC:Litecoin:78.5, XRP:XRP:0.62,
ADA:Cardano:0.47, SOL:Solana:148, DOT:Polkadot:6.4, LINK:Chainlink:14.2, AVAX:Avalanche:29.5,
ATOM:Cosmos:7.8, UNI:Uniswap:8.6, AAVE:Aave:112, DOGE:Dogecoin:0.136, TRX:TRON:0.142,
XLM:Stellar:0.113, ETC:Ethereum Classic:22.4, BCH:Bitcoin Cash:368, FIL:Filecoin:4.6,
NEAR:NEAR Protocol:5.1, ALGO:Algorand:0.162, VET:VeChain:0.027, ICP:Internet Computer:9.2,
LDO:Lido DAO:1.46, ARB:Arbitrum:0.72, OP:Optimism:1.83, INJ:Injective:21.7, APT:Aptos:8.4,
SUI:Sui:1.34, GRT:The Graph:0.187, MKR:Maker:2140, CRV:Curve:0.34, SNX:Synthetix:1.72,
SAND:The Sandbox:0.33, MANA:Decentraland:0.36, AXS:Axie Infinity:5.9, GALA:Gala:0.023,
EGLD:MultiversX:33.5, XTZ:Tezos:0.74, SHIB:Shiba Inu:0.0000181, ZEC:Zcash:31.4
"""

_PEGGED = """
USDT:Tether:1:0, USDC:USD Coin:1:1, BUSD:Binance USD:1:1, TUSD:TrueUSD:1:1,
PAX:Paxos Standard:1:1, USDS:StableUSD:1:1, FDUSD:First Digital USD:1:1
"""

_FIAT = """
EUR:Euro:1.085, GBP:Pound Sterling:1.27, AUD:Australian Dollar:0.661,
CAD:Canadian Dollar:0.731, CHF:Swiss Franc:1.124, JPY:Japanese Yen:0.00667,
TRY:Turkish Lira:0.0307, BRL:Brazilian Real:0.182, RUB:Russian Rouble:0.0109,
ZAR:South African Rand:0.0547, NGN:Nigerian Naira:0.00068
"""

_FIAT_SWING = 4


def _entries(table: str) -> list[list[str]]:
    return [entry.strip().split(":") for entry in table.split(",")]


def _coin(code: str, name: str, usd: str) -> Asset:
    return Asset(code, name, Decimal(usd))


def _pegged(code: str, name: str, usd: str, swing: str) -> Asset:
    return Asset(code, name, Decimal(usd), int(swing))


def _fiat(code: str, name: str, usd: str) -> Asset:
    return Asset(code, name, Decimal(usd), _FIAT_SWING, True)


COINS = tuple(_coin(*row) for row in _entries(_COINS))
PEGGED = tuple(_pegged(*row) for row in _entries(_PEGGED))
FIAT = tuple(_fiat(*row) for row in _entries(_FIAT))
DOLLAR = Asset("USD", "US Dollar", Decimal(1), swing=0, fiat=True)

KNOWN = {asset.code: asset for asset in (*COINS, *PEGGED, *FIAT, DOLLAR)}
