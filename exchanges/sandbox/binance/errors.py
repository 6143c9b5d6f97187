"""Binance's errors, in its codes, sentences and HTTP statuses."""

from exchanges.sandbox import violations


class BinanceError(Exception):
    """A refusal as Binance words it; `violation` is what it counts as, if anything."""

    def __init__(
        self, code: int, message: str, *, status: int = 400, violation: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.violation = violation

    @property
    def body(self) -> dict[str, object]:
        """The error's JSON."""
        return {"code": self.code, "msg": self.message}


def key_format() -> BinanceError:
    """No key, or nothing that could be one."""
    return BinanceError(-2014, "API-key format invalid.", status=401, violation=violations.BAD_KEY)


def key_refused(violation: str) -> BinanceError:
    """A key that nobody holds, or that may not do this."""
    message = "Invalid API-key, IP, or permissions for action."
    return BinanceError(-2015, message, status=401, violation=violation)


def signature() -> BinanceError:
    """The signature does not fit what was sent."""
    message = "Signature for this request is not valid."
    return BinanceError(-1022, message, violation=violations.BAD_SIGNATURE)


def ahead_of_time() -> BinanceError:
    """The caller's clock is ahead."""
    message = "Timestamp for this request was 1000ms ahead of the server's time."
    return BinanceError(-1021, message, violation=violations.STALE_TIMESTAMP)


def out_of_time() -> BinanceError:
    """The caller's clock is behind, or the request was under way too long."""
    message = "Timestamp for this request is outside of the recvWindow."
    return BinanceError(-1021, message, violation=violations.STALE_TIMESTAMP)


def receive_window() -> BinanceError:
    """A recvWindow beyond what is allowed."""
    message = "recvWindow must be less than 60000."
    return BinanceError(-1131, message, violation=violations.MALFORMED_PARAMETER)


def missing(name: str) -> BinanceError:
    """A parameter that must be there is not."""
    message = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    kind = violations.MISSING_SYMBOL if name == "symbol" else violations.MISSING_PARAMETER
    return BinanceError(-1102, message, violation=kind)


def malformed(name: str) -> BinanceError:
    """A parameter of the wrong form."""
    message = f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
    return BinanceError(-1100, message, violation=violations.MALFORMED_PARAMETER)


def invalid(name: str, violation: str = violations.MALFORMED_PARAMETER) -> BinanceError:
    """A parameter of the right form with a value that is not allowed."""
    message = f"Data sent for parameter '{name}' is not valid."
    return BinanceError(-1130, message, violation=violation)


def page_too_large(name: str) -> BinanceError:
    """More rows asked for than a page may hold."""
    return invalid(name, violations.PAGE_LIMIT_EXCEEDED)


def symbol() -> BinanceError:
    """No such symbol."""
    return BinanceError(-1121, "Invalid symbol.", violation=violations.UNKNOWN_SYMBOL)


def interval() -> BinanceError:
    """No such candle length."""
    return BinanceError(-1120, "Invalid interval.", violation=violations.MALFORMED_PARAMETER)


def combination() -> BinanceError:
    """Parameters that exclude each other."""
    message = "Combination of optional parameters invalid."
    return BinanceError(-1128, message, violation=violations.ILLEGAL_COMBINATION)


def too_many_hours(hours: int) -> BinanceError:
    """A window longer than so many hours."""
    message = f"More than {hours} hours between startTime and endTime."
    return BinanceError(-1127, message, violation=violations.WINDOW_TOO_LONG)


def window_too_long() -> BinanceError:
    """A window longer than allowed, on the endpoints that count days."""
    return BinanceError(-1127, "Lookup interval is too big.", violation=violations.WINDOW_TOO_LONG)


def turned_window() -> BinanceError:
    """A window that ends before it starts."""
    message = "Start time is greater than end time."
    return BinanceError(-1023, message, violation=violations.MALFORMED_PARAMETER)


def too_much_weight(limit: int) -> BinanceError:
    """Over the limit of the minute."""
    message = (
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
    )
    return BinanceError(-1003, message, status=429, violation=violations.OVER_LIMIT)


def banned(until: int) -> BinanceError:
    """Carried on over the limit for too long."""
    message = (
        f"Way too much request weight used; IP banned until {until}. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )
    return BinanceError(-1003, message, status=418, violation=violations.REQUEST_DURING_BAN)


def endpoint() -> BinanceError:
    """No such path."""
    message = "The requested endpoint does not exist."
    return BinanceError(-1000, message, status=404, violation=violations.UNKNOWN_ENDPOINT)
