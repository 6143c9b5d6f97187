"""What an exchange sent and we could not read: kept sealed, read again, and let go.

Call everything here inside ``as_user``: a payload is sealed with its person's data key.
"""

import hashlib
from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from accounts import datakeys
from exchanges import gateway
from exchanges.models import QuarantinedPage
from exchanges.reports import AccountReport, Form, Kept, Quarantined
from tracker import bulk, ids, vault

REPLAYED = (Form.ROW, Form.PAGE)
TOO_LARGE = "too large to replay"
FATES = {
    Form.ROW: "can be replayed",
    Form.PAGE: "can be replayed; goes when the feed is read well",
    Form.BALANCE: "goes when the wallet is read well",
    Form.NUMBER: "understood, but too long to store exactly",
    Form.GAP: "rows that the exchange did not hand out",
}
_LONGEST_NAME = 128


def keep(
    *, user_id: UUID, connection_id: UUID, items: Iterable[Quarantined], now: datetime
) -> None:
    """Seal and store what is not there yet."""
    rows = []
    for item in items:
        row = QuarantinedPage(
            id=ids.new_id(), user_id=user_id, connection_id=connection_id, feed=item.feed,
            scope=item.scope, reason=item.reason[:64], form=item.form, is_whole=item.is_whole,
            name=item.name if len(item.name) <= _LONGEST_NAME else "",
            ccxt_version=gateway.ccxt_version(), created_at=now,
        )  # fmt: skip
        data_key = datakeys.obtain(user_id)
        row.payload = vault.seal(
            item.payload, data_key=data_key, user_id=user_id, row_id=row.id, field="payload"
        )
        row.payload_digest = _digest(item, data_key)
        rows.append(row)
    bulk.insert_new(rows)


def _digest(item: Quarantined, data_key: bytes) -> bytes:
    """Twins, two rows of one page that say the same, differ by the names that they were given."""
    told = f"{item.name}\0{item.payload}" if item.name else item.payload
    return hashlib.blake2b(told.encode(), key=data_key, digest_size=32).digest()


def opened(rows: Iterable[QuarantinedPage]) -> list[Kept]:
    """The payloads of one person's rows; one that does not open is left out, and stays."""
    return [kept for row in rows if (kept := _opened(row))]


def _opened(row: QuarantinedPage) -> Kept | None:
    data_key = datakeys.obtain(row.user_id)
    try:
        payload = vault.unseal(
            bytes(row.payload), data_key=data_key, user_id=row.user_id, row_id=row.id,
            field="payload",
        )  # fmt: skip
    except vault.Tampered:
        return None
    return Kept(row.id, Form(row.form), row.name, payload)


def drop_read_again(*, user_id: UUID, report: AccountReport) -> int:
    """Let go what a visit has read well by now; returns how many.

    A balance is what it is today, so a wallet that was read to its end needs no older answer. A
    page that could not be read at all left its coverage where it was; a visit that covered its
    feed without failing there has asked for the same rows again.
    """
    kept = QuarantinedPage.objects.filter(user_id=user_id, connection_id=report.connection_id)
    kept = kept.filter(form__in=[Form.BALANCE, Form.PAGE])
    wallets = report.wallets - _scopes(report, "balances")
    again = [row.id for row in kept.defer("payload") if _was_read(row, report, wallets)]
    return QuarantinedPage.objects.filter(id__in=again).delete()[0] if again else 0


def _was_read(row: QuarantinedPage, report: AccountReport, wallets: Collection[str]) -> bool:
    if row.form == Form.BALANCE:
        return row.scope in wallets
    reached = any((item.feed, item.scope) == (row.feed, row.scope) for item in report.covered)
    return reached and row.scope not in _scopes(report, row.feed)


def _scopes(report: AccountReport, feed: str) -> set[str]:
    """Where the visit failed, or could not read something, of a feed."""
    failed = {item.scope for item in report.failures if item.feed == feed}
    return failed | {item.scope for item in report.quarantined if item.feed == feed}


def waits(*, user_id: UUID, connection_id: UUID) -> bool:
    """Whether anything of a connection waits to be understood; balances are asked anew anyway."""
    kept = QuarantinedPage.objects.filter(user_id=user_id, connection_id=connection_id)
    return kept.exclude(feed="balances").exists()
