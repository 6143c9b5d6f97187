"""From an exchange's code to our asset. The ticker is only a label: who is behind it depends on
the exchange and on the date."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.db import connection

from exchanges.models import Asset, ExchangeAsset

# Money of states, by ISO 4217. A code of this list is that money at every exchange.
_FIAT_CODES = (
    "AED ARS AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EUR GBP HKD HUF IDR ILS INR JPY KES KRW KZT "
    "MXN MYR NGN NOK NZD PEN PHP PLN RON RUB SAR SEK SGD THB TRY TWD UAH UGX USD VND ZAR"
)
FIAT = frozenset(_FIAT_CODES.split(" "))
_TERRA_RENAMED = datetime(2022, 5, 28, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code stood for during a time; open ends are None."""

    slug: str
    code: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None


# Codes whose meaning is not simply "the asset of that name"; every exchange unless named.
_EVERYWHERE: dict[str, tuple[Meaning, ...]] = {
    "XBT": (Meaning("btc", "BTC"),),
    "XDG": (Meaning("doge", "DOGE"),),
    "BCC": (Meaning("bch", "BCH"),),
    "LUNA": (
        Meaning("lunc", "LUNC", valid_until=_TERRA_RENAMED),
        Meaning("luna", "LUNA", valid_from=_TERRA_RENAMED),
    ),
    "UST": (Meaning("ustc", "USTC"),),
}
Meanings = tuple[tuple[datetime | None, datetime | None, UUID], ...]
_resolved: dict[tuple[str, str], Meanings] = {}


def resolve(exchange: str, codes: Iterable[str]) -> dict[str, "DatedAsset"]:
    """What each code of an exchange means; unknown codes become new assets of that label.

    Assets are shared by all users. What was read outside of any transaction is remembered by the
    process: meanings are only ever added, and nothing remembered can be rolled back.
    """
    wanted = set(codes)
    known = {code: _resolved[exchange, code] for code in wanted if (exchange, code) in _resolved}
    if missing := wanted - known.keys():
        learned = _learn(exchange, missing)
        known |= learned
        if not connection.in_atomic_block:
            _resolved.update({(exchange, code): rows for code, rows in learned.items()})
    return {code: DatedAsset(rows) for code, rows in known.items()}


def unknown(exchange: str, codes: Iterable[str]) -> set[str]:
    """The codes of which ``resolve`` would make an asset that there was not before."""
    wanted = {code for code in codes if (exchange, code) not in _resolved}
    wanted -= set(_read(exchange, wanted))
    slugs = {code: {meaning.slug for meaning in _meanings_of(code)} for code in wanted}
    known = set(
        Asset.objects.filter(slug__in=set().union(*slugs.values())).values_list("slug", flat=True)
    )
    return {code for code, needed in slugs.items() if needed - known}


@dataclass(frozen=True, slots=True)
class DatedAsset:
    """The meanings of one code, by time."""

    meanings: Meanings

    def at(self, instant: datetime) -> UUID:
        """The asset that the code stood for at an instant; the latest meaning as a fallback."""
        for start, end, asset_id in self.meanings:
            if (start is None or start <= instant) and (end is None or instant < end):
                return asset_id
        return self.meanings[-1][2]


def _learn(exchange: str, codes: set[str]) -> dict[str, Meanings]:
    found = _read(exchange, codes)
    if unknown := codes - found.keys():
        _create(exchange, unknown)
        found = _read(exchange, codes)
    return {code: tuple(rows) for code, rows in found.items()}


def _read(exchange: str, codes: set[str]) -> dict[str, list]:
    found: dict[str, list] = {}
    rows = ExchangeAsset.objects.filter(exchange=exchange, code__in=codes)
    for row in rows.order_by("code", "valid_from"):
        found.setdefault(row.code, []).append((row.valid_from, row.valid_until, row.asset_id))
    return found


def _meanings_of(code: str) -> tuple[Meaning, ...]:
    return _EVERYWHERE.get(code) or (Meaning(code.lower(), code),)


def _create(exchange: str, codes: set[str]) -> None:
    meanings = {code: _meanings_of(code) for code in sorted(codes)}
    by_slug = {meaning.slug: meaning.code for group in meanings.values() for meaning in group}
    Asset.objects.bulk_create(
        [
            Asset(slug=slug, code=code, is_fiat=code in FIAT)
            for slug, code in sorted(by_slug.items())
        ],
        ignore_conflicts=True,
    )
    assets = dict(Asset.objects.filter(slug__in=by_slug).values_list("slug", "id"))
    ExchangeAsset.objects.bulk_create(
        [
            ExchangeAsset(
                exchange=exchange, code=code, asset_id=assets[meaning.slug],
                valid_from=meaning.valid_from, valid_until=meaning.valid_until,
            )
            for code, group in meanings.items()
            for meaning in group
        ],
        ignore_conflicts=True,
    )  # fmt: skip
