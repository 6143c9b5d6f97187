"""What people are told of, by which channels unless they choose otherwise, and how urgent."""

from collections.abc import Mapping
from enum import StrEnum

from accounts.models.notifications import Channel


class Event(StrEnum):
    """Something that a person is told. A name is that of its templates, too."""

    CONFIRM_EMAIL = "confirm_email"
    ALREADY_REGISTERED = "already_registered"
    WELCOME = "welcome"
    CONFIRM_NEW_EMAIL = "confirm_new_email"
    EMAIL_CHANGE_ANNOUNCED = "email_change_announced"
    PASSWORD_RESET = "password_reset"  # noqa: S105
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    SECOND_FACTOR_CHANGED = "second_factor_changed"
    SECOND_FACTOR_RESET = "second_factor_reset"
    SUPPORT_ACCESS = "support_access"
    SECURITY_ALERT = "security_alert"
    EXPORT_READY = "export_ready"
    ACCOUNT_CLOSING = "account_closing"
    ACCOUNT_CLOSED = "account_closed"
    API_KEY_CREATED = "api_key_created"
    CONNECTION_STOPPED = "connection_stopped"
    SYNC_INCOMPLETE = "sync_incomplete"
    PLAN_CHANGED = "plan_changed"
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_WITHDRAWN = "payment_withdrawn"
    USAGE_WARNING = "usage_warning"
    PRICE_ALERT = "price_alert"
    STRATEGY_SIGNAL = "strategy_signal"
    FILE_EXPORT_READY = "file_export_ready"
    FILE_EXPORT_FAILED = "file_export_failed"
    BACKTEST_FINISHED = "backtest_finished"
    WEEKLY_SUMMARY = "weekly_summary"
    WEBHOOK_STOPPED = "webhook_stopped"
    SUPPORT_OPENED = "support_opened"
    SUPPORT_ANSWERED = "support_answered"
    SUPPORT_CLOSED = "support_closed"


class Rule(StrEnum):
    """Whether an event goes by a channel."""

    ALWAYS = "always"
    ON = "on"
    OFF = "off"
    NEVER = "never"

    @property
    def locked(self) -> bool:
        return self in (Rule.ALWAYS, Rule.NEVER)

    @property
    def default(self) -> bool:
        return self in (Rule.ALWAYS, Rule.ON)


def _rules(email: Rule, push: Rule, live: Rule, webhook: Rule) -> Mapping[Channel, Rule]:
    return {
        Channel.EMAIL: email, Channel.PUSH: push, Channel.LIVE: live, Channel.WEBHOOK: webhook
    }  # fmt: skip


# Who took an account over must not be able to silence what says so: these e-mails always go.
_BY_EMAIL_ALONE = _rules(Rule.ALWAYS, Rule.NEVER, Rule.NEVER, Rule.NEVER)
_PUSH_AS_WELL = _rules(Rule.ALWAYS, Rule.ON, Rule.ALWAYS, Rule.NEVER)
_ALL_BY_CHOICE = _rules(Rule.ON, Rule.ON, Rule.ON, Rule.ON)
RULES: Mapping[Event, Mapping[Channel, Rule]] = {
    Event.CONFIRM_EMAIL: _BY_EMAIL_ALONE,
    Event.ALREADY_REGISTERED: _BY_EMAIL_ALONE,
    Event.WELCOME: _BY_EMAIL_ALONE,
    Event.CONFIRM_NEW_EMAIL: _BY_EMAIL_ALONE,
    Event.EMAIL_CHANGE_ANNOUNCED: _PUSH_AS_WELL,
    Event.PASSWORD_RESET: _BY_EMAIL_ALONE,
    Event.PASSWORD_CHANGED: _PUSH_AS_WELL,
    Event.SECOND_FACTOR_CHANGED: _PUSH_AS_WELL,
    Event.SECOND_FACTOR_RESET: _PUSH_AS_WELL,
    Event.SUPPORT_ACCESS: _PUSH_AS_WELL,
    Event.SECURITY_ALERT: _rules(Rule.ON, Rule.ON, Rule.ALWAYS, Rule.OFF),
    Event.EXPORT_READY: _rules(Rule.ON, Rule.ON, Rule.ON, Rule.NEVER),
    Event.ACCOUNT_CLOSING: _PUSH_AS_WELL,
    Event.ACCOUNT_CLOSED: _BY_EMAIL_ALONE,
    Event.API_KEY_CREATED: _PUSH_AS_WELL,
    Event.CONNECTION_STOPPED: _ALL_BY_CHOICE,
    Event.SYNC_INCOMPLETE: _ALL_BY_CHOICE,
    Event.PLAN_CHANGED: _PUSH_AS_WELL,
    Event.PAYMENT_FAILED: _PUSH_AS_WELL,
    Event.PAYMENT_WITHDRAWN: _PUSH_AS_WELL,
    Event.USAGE_WARNING: _ALL_BY_CHOICE,
    Event.PRICE_ALERT: _ALL_BY_CHOICE,
    Event.STRATEGY_SIGNAL: _ALL_BY_CHOICE,
    Event.FILE_EXPORT_READY: _ALL_BY_CHOICE,
    Event.FILE_EXPORT_FAILED: _ALL_BY_CHOICE,
    Event.BACKTEST_FINISHED: _rules(Rule.OFF, Rule.ON, Rule.ON, Rule.OFF),
    Event.WEEKLY_SUMMARY: _rules(Rule.ON, Rule.OFF, Rule.ON, Rule.OFF),
    # Not by webhook: that is what has stopped.
    Event.WEBHOOK_STOPPED: _rules(Rule.ALWAYS, Rule.OFF, Rule.ALWAYS, Rule.NEVER),
    # Who asked gets the answer; programs are not told what somebody writes with support.
    Event.SUPPORT_OPENED: _BY_EMAIL_ALONE,
    Event.SUPPORT_ANSWERED: _PUSH_AS_WELL,
    Event.SUPPORT_CLOSED: _rules(Rule.ALWAYS, Rule.OFF, Rule.ALWAYS, Rule.NEVER),
}


# --- how urgent ---------------------------------------------------------------------------------
class Urgency(StrEnum):
    """Which messages share a limit, and whether they may wait."""

    SECURITY = "security"  # never limited, never held back
    ALERT = "alert"
    SERVICE = "service"


_SECURITY = frozenset({
    Event.CONFIRM_EMAIL, Event.ALREADY_REGISTERED, Event.WELCOME, Event.CONFIRM_NEW_EMAIL,
    Event.EMAIL_CHANGE_ANNOUNCED, Event.PASSWORD_RESET, Event.PASSWORD_CHANGED,
    Event.SECOND_FACTOR_CHANGED, Event.SECURITY_ALERT, Event.ACCOUNT_CLOSING, Event.ACCOUNT_CLOSED,
    Event.API_KEY_CREATED, Event.SECOND_FACTOR_RESET, Event.SUPPORT_ACCESS,
})  # fmt: skip
# Whoever took an account over could switch e-mail off; alerts of these severities always go.
SERIOUS = frozenset({"high", "critical"})
_ALERTS = frozenset({Event.PRICE_ALERT, Event.STRATEGY_SIGNAL})


def urgency_of(event: Event) -> Urgency:
    """How urgent the messages of an event are."""
    if event in _SECURITY:
        return Urgency.SECURITY
    return Urgency.ALERT if event in _ALERTS else Urgency.SERVICE


def alike(event: Event) -> list[Event]:
    """The events that share a limit with this one, itself included."""
    return [other for other in Event if urgency_of(other) == urgency_of(event)]


def can_be_switched_off(event: Event, channel: Channel) -> bool:
    """Whether a person may choose to be told of this no more by that channel."""
    return not RULES[event][channel].locked


# What those e-mails are called that can be switched off: "no more e-mails about …".
TITLES: Mapping[Event, str] = {
    Event.SECURITY_ALERT: "unusual things that are not serious",
    Event.EXPORT_READY: "copies of your data that are ready",
    Event.CONNECTION_STOPPED: "exchanges that are not read any more",
    Event.SYNC_INCOMPLETE: "exchanges that can be read only in part",
    Event.USAGE_WARNING: "how many calls of your plan are used",
    Event.PRICE_ALERT: "price alerts",
    Event.STRATEGY_SIGNAL: "signals of your strategies",
    Event.FILE_EXPORT_READY: "files that are ready",
    Event.FILE_EXPORT_FAILED: "files that could not be made",
    Event.BACKTEST_FINISHED: "backtests that are finished",
    Event.WEEKLY_SUMMARY: "how your week was",
}
