"""What the reason of a connection or a run means to support, and what is to be done about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remedy:
    """One reason in words: what it means, and what helps."""

    meaning: str
    action: str


_BY_ITSELF = "Nothing: it is tried again by itself, after 2 minutes and then ever more rarely."
_UNKNOWN = Remedy("No explanation is written for this code.", "Look at the run and at the log.")

_REMEDIES = {
    "": Remedy("Nothing is wrong.", "Nothing."),
    "exchange_key_rejected": Remedy(
        "The exchange refused the key: it was deleted, has run out, or was mistyped.",
        "The person makes a new key that may only read, and enters it. Nothing else helps.",
    ),
    "exchange_permission_missing": Remedy(
        "The key may not read the account.",
        "The person allows reading for it at the exchange, then resumes or enters it again.",
    ),
    "exchange_key_too_powerful": Remedy(
        "The key may trade or withdraw, so it is not used.",
        "The person makes a key that may only read, and enters that one.",
    ),
    "exchange_address_not_allowed": Remedy(
        "The key is bound to addresses, and ours is not among them.",
        "Tell the person our addresses; when they are allowed, resume the connection.",
    ),
    "exchange_credential_unreadable": Remedy(
        "The stored key does not open: the master key is gone, or the row was changed.",
        "Look at ENCRYPTION_KEY first. If it is one person only, they enter the key again.",
    ),
    "exchange_unreachable": Remedy("The exchange or our way to it was away.", _BY_ITSELF),
    "exchange_timeout": Remedy(
        "The exchange answered too late, or the visit's time was over before its turn came.",
        f"{_BY_ITSELF} If it stays so, look at the waiting times below and at the rate budget.",
    ),
    "exchange_maintenance": Remedy("The exchange is under maintenance.", _BY_ITSELF),
    "exchange_rate_limited": Remedy(
        "The exchange asked us to slow down, or our own budget had no room in time.",
        "Nothing for one account. On many: see “Exchange bans” in the operations guide.",
    ),
    "exchange_clock_skew": Remedy(
        "The exchange's clock and ours disagree.",
        "Nothing for one account. On many: check the time synchronisation of the hosts.",
    ),
    "exchange_feed_unsupported": Remedy(
        "The exchange does not offer what was asked.", "Look at which feed it is in the run below."
    ),
    "exchange_unknown": Remedy(
        "The installed release of ccxt does not know this exchange.",
        "Run refresh_exchanges; if it is gone for good, tell the person.",
    ),
    "exchange_answer_malformed": Remedy(
        "The exchange sent something that could not be read.",
        "Look at the quarantine below. After an upgrade that reads it, replay it.",
    ),
    "exchange_symbol_unknown": Remedy(
        "The exchange no longer answers for a market; older trades in it are out of reach.",
        "Nothing. The person can enter or import what is missing.",
    ),
    "exchange_error": Remedy(
        "The exchange refused a call in a way that we have no word for.",
        f"{_BY_ITSELF} If it stays so, its code belongs into the exchange's dialect.",
    ),
    "rows_quarantined": Remedy(
        "Some rows could not be understood and wait in quarantine; everything else is read.",
        "Look at their reasons below. After an upgrade that reads them, replay them.",
    ),
    "paused_by_plan": Remedy(
        "The person's plan includes fewer connections than they have; this one comes after those.",
        "Nothing: it goes on by itself after an upgrade, or when the person moves it up.",
    ),
    "paused_by_user": Remedy("The person paused the connection.", "Nothing, unless they ask."),
    "paused_by_staff": Remedy(
        "Support paused the connection.", "Resume it when the cause is gone: see the activity log."
    ),
}


def of(code: str) -> Remedy:
    """The words for a reason; a code without any says that."""
    return _REMEDIES.get(code, _UNKNOWN)
