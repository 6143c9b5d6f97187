"""Tables of `exchanges`: the catalogue, assets and prices (shared by all), connections and keys
(owned by one user)."""

from django.conf import settings
from django.db import models

from exchanges.reports import Form, Privileges
from tracker import clock, ids
from tracker.money import UnitsField


class Exchange(models.Model):
    """One exchange that can be connected; refreshed from ccxt by ``refresh_exchanges``."""

    id = models.CharField(primary_key=True, max_length=32)
    name = models.CharField(max_length=64)
    required_fields = models.JSONField(default=list)
    supports = models.JSONField(default=list)
    feeds = models.JSONField(default=list, help_text="Feeds that visits ask for, as declared.")
    website = models.URLField(max_length=255, default="", blank=True)
    ccxt_version = models.CharField(max_length=16)
    is_available = models.BooleanField(default=True)
    updated_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "exchanges"

    def __str__(self) -> str:
        return self.name


class ExchangeCircuit(models.Model):
    """Whether an exchange answers at all, as all workers see it; absent where it always did."""

    exchange = models.OneToOneField(
        Exchange, models.CASCADE, primary_key=True, related_name="circuit"
    )
    failures = models.PositiveIntegerField(default=0, help_text="Accounts without any answer.")
    openings = models.PositiveIntegerField(default=0, help_text="In a row; 0 while it answers.")
    open_until = models.DateTimeField(null=True, blank=True)
    trying_until = models.DateTimeField(null=True, blank=True, help_text="One account tries.")
    failing_since = models.DateTimeField(null=True, blank=True)
    held_until = models.DateTimeField(null=True, blank=True, help_text="Left alone by hand.")

    class Meta:
        db_table = "exchange_circuits"

    def __str__(self) -> str:
        return self.exchange_id


class Asset(models.Model):
    """Our own identity of a coin or currency. The code is only a label; ``slug`` is unique."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    slug = models.CharField(max_length=80, unique=True)
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=128, default="", blank=True)
    is_fiat = models.BooleanField(
        default=False, help_text="Money of a state: without lots; its moves are currency effects."
    )
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "assets"
        indexes = [
            # looking an asset up by the label people use (filters, prices?assets=)
            models.Index(fields=["code"], name="assets_by_code"),
        ]

    def __str__(self) -> str:
        return self.code


class ExchangeAsset(models.Model):
    """What an exchange's code meant, and when: [valid_from, valid_until)."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    exchange = models.CharField(max_length=32)
    code = models.CharField(max_length=64)
    asset = models.ForeignKey(Asset, models.CASCADE, related_name="+")
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "exchange_assets"
        constraints = [
            models.UniqueConstraint(
                fields=["exchange", "code", "valid_from"], nulls_distinct=False,
                name="exchange_assets_once",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.code} at {self.exchange}"


class Price(models.Model):
    """The latest known price of an asset in US dollars; kept when its source falls silent."""

    asset = models.OneToOneField(Asset, models.CASCADE, primary_key=True, related_name="price")
    usd = UnitsField(help_text="US dollars for one unit.")
    usd_24h_ago = UnitsField(null=True, blank=True)
    source = models.CharField(max_length=96, help_text="Exchange and the markets crossed.")
    as_of = models.DateTimeField()
    fetched_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "prices"
        constraints = [
            models.CheckConstraint(condition=models.Q(usd__gt=0), name="prices_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.usd} USD"


class PriceInterval(models.TextChoices):
    """How long one historic price stands for."""

    DAY = "1d", "close of a UTC day"
    HOUR = "1h", "close of an hour"


class HistoricPrice(models.Model):
    """What one unit cost in US dollars when a day or an hour ended; the same for everybody.

    Only what a market really quoted. ``at`` is the first instant of the interval.
    """

    id = models.BigAutoField(primary_key=True)
    asset = models.ForeignKey(Asset, models.CASCADE, related_name="+", db_index=False)
    interval = models.CharField(max_length=2, choices=PriceInterval.choices)
    at = models.DateTimeField()
    usd = UnitsField(help_text="US dollars for one unit.")
    source = models.CharField(max_length=96, help_text="Exchange and the markets crossed.")
    fetched_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "historic_prices"
        constraints = [
            # Also how a series is read: one asset's intervals in order.
            models.UniqueConstraint(
                fields=["asset", "interval", "at"], name="historic_prices_once"
            ),
            models.CheckConstraint(condition=models.Q(usd__gt=0), name="historic_prices_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.usd} USD"


class CandleInterval(models.TextChoices):
    """How long one stored candle stands for; longer ones are added up (``intervals``)."""

    FIVE_MINUTES = "5m", "five minutes"
    QUARTER = "15m", "fifteen minutes"
    HOUR = "1h", "an hour"
    DAY = "1d", "a UTC day"


class Candle(models.Model):
    """What one unit cost in US dollars while an interval lasted; the same for everybody.

    Only what a market really quoted. ``at`` is the first instant of the interval. The table is
    partitioned by month of ``at``. It has no foreign key in the database: assets are never
    deleted, and each new month would have to lock them.
    """

    pk = models.CompositePrimaryKey("asset_id", "interval", "at")
    asset = models.ForeignKey(
        Asset, models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    interval = models.CharField(max_length=3, choices=CandleInterval.choices)
    at = models.DateTimeField()
    open = UnitsField(help_text="US dollars for one unit.")
    high = UnitsField(help_text="Certainly reached; see bars.py.")
    low = UnitsField()
    close = UnitsField()
    volume = UnitsField(null=True, blank=True, help_text="Units; null where no market tells.")
    source = models.CharField(max_length=96, help_text="Exchange and the markets crossed.")
    closed = models.BooleanField(help_text="Over when it was fetched, so that it stays as it is.")
    fetched_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "candles"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(low__gt=0, low__lte=models.F("open"), high__gte=models.F("open"))
                & models.Q(low__lte=models.F("close"), high__gte=models.F("close")),
                name="candles_in_order",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.interval} {self.close} USD"


class NeedKind(models.TextChoices):
    """What is to be fetched."""

    CLOSE = "close", "closes, for the books"
    CANDLE = "candle", "candles, for charts"


class NeedState(models.TextChoices):
    """How far a wanted stretch of prices is."""

    OPEN = "open", "to be fetched"
    DONE = "done", "fetched; what is absent no market has"
    NOWHERE = "nowhere", "no market quotes this asset"


class PriceNeed(models.Model):
    """A stretch of one asset's prices that somebody's figures or charts want. Names no person."""

    id = models.BigAutoField(primary_key=True)
    asset = models.ForeignKey(Asset, models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=6, choices=NeedKind.choices, default=NeedKind.CLOSE)
    interval = models.CharField(max_length=3, choices=CandleInterval.choices)
    since = models.DateTimeField()
    until = models.DateTimeField(help_text="Not included.")
    state = models.CharField(max_length=8, choices=NeedState.choices, default=NeedState.OPEN)
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(default=clock.now)
    leased_until = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=48, default="", blank=True)
    asked_at = models.DateTimeField(
        null=True, blank=True, help_text="When markets last told all they had so far."
    )
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "price_needs"
        constraints = [
            # Also how the needs of one asset and interval are read.
            models.UniqueConstraint(
                fields=["asset", "kind", "interval", "since"], name="price_needs_once"
            ),
            models.CheckConstraint(
                condition=models.Q(since__lt=models.F("until")), name="price_needs_forward"
            ),
        ]
        indexes = [
            # history.backfill_due: what is due, and what is to be looked for again
            models.Index(
                fields=["next_try_at"], name="price_needs_due",
                condition=models.Q(state__in=["open", "nowhere"]),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.interval} {self.state}"


class ConnectionKind(models.TextChoices):
    """Who fills an account with entries."""

    EXCHANGE = "exchange", "read from an exchange"
    MANUAL = "manual", "by hand and from files"


class ConnectionState(models.TextChoices):
    """Health of a connection, as the person sees it."""

    PENDING = "pending", "first sync to come"
    OK = "ok", "everything read"
    PARTIAL = "partial", "something could not be read"
    PAUSED = "paused", "paused"
    NEEDS_NEW_KEY = "needs_new_key", "needs a new key"


class ExchangeConnection(models.Model):
    """One account at one exchange, owned by one user; or one that they keep by hand.

    An account kept by hand has no key and is never due; its exchange is ``manual``.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="connections", db_index=False
    )
    exchange = models.ForeignKey(Exchange, models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(
        max_length=8, choices=ConnectionKind.choices, default=ConnectionKind.EXCHANGE
    )
    label = models.CharField(max_length=64, default="", blank=True)
    position = models.PositiveSmallIntegerField(
        default=0, help_text="The person's own order; where a plan includes so many, the first."
    )
    state = models.CharField(
        max_length=16, choices=ConnectionState.choices, default=ConnectionState.PENDING
    )
    reason = models.CharField(max_length=48, default="", blank=True, help_text="Stable code.")
    privileges = models.CharField(max_length=16, default=Privileges.UNVERIFIED)
    address_restricted = models.BooleanField(
        null=True, blank=True, help_text="Whether the key works from some addresses only."
    )
    privileges_read_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    last_synced_at = models.DateTimeField(null=True, blank=True)
    last_complete_at = models.DateTimeField(null=True, blank=True)
    last_full_at = models.DateTimeField(null=True, blank=True)
    next_sync_at = models.DateTimeField(null=True, blank=True)
    late_after = models.DateTimeField(
        null=True, blank=True,
        help_text="Not up to date from then on, unless it is read before (exchanges.lateness).",
    )  # fmt: skip
    claimed_by = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="Failed syncs in a row.")

    class Meta:
        db_table = "exchange_connections"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "exchange", "label"], name="exchange_connections_once"
            ),
            models.UniqueConstraint(fields=["user", "id"], name="exchange_connections_owner"),
        ]
        indexes = [
            # portfolios.sync.claim_due: what is due and not in anybody's hands
            models.Index(
                fields=["next_sync_at"], name="connections_due",
                condition=models.Q(next_sync_at__isnull=False),
            ),
            # exchanges.lateness.counts, at each scrape: from the index alone, in which row security
            # finds the user too
            models.Index(
                fields=["exchange", "late_after"], include=["user"], name="connections_late",
                condition=models.Q(next_sync_at__isnull=False, late_after__isnull=False),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.exchange_id} {self.label}".strip()


class ExchangeCredential(models.Model):
    """The API key of a connection, each field sealed for this user, row and field (S21)."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    connection = models.OneToOneField(ExchangeConnection, models.CASCADE, related_name="credential")
    api_key = models.BinaryField()
    api_secret = models.BinaryField()
    passphrase = models.BinaryField(default=b"")
    # Of the key, under the person's data key: says that two of theirs are the same, nothing else.
    fingerprint = models.BinaryField(null=True, max_length=16, editable=False)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "exchange_credentials"
        constraints = [
            models.UniqueConstraint(fields=["user", "id"], name="exchange_credentials_owner"),
            # One key is one stream of nonces (S45): two connections would break each other's.
            models.UniqueConstraint(
                fields=["user", "fingerprint"], name="exchange_credentials_key_once"
            ),
        ]

    def __str__(self) -> str:
        return "credential"


class Coverage(models.Model):
    """An interval of one feed (and symbol) of a connection that was read to its end."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    connection = models.ForeignKey(ExchangeConnection, models.CASCADE, related_name="coverage")
    feed = models.CharField(max_length=32)
    scope = models.CharField(max_length=64, default="", blank=True)
    since = models.DateTimeField()
    until = models.DateTimeField()
    cursor = models.CharField(max_length=128, default="", blank=True)

    class Meta:
        db_table = "exchange_coverage"
        verbose_name_plural = "coverage"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "connection", "feed", "scope"], name="exchange_coverage_once"
            ),
            models.CheckConstraint(
                condition=models.Q(since__lte=models.F("until")), name="exchange_coverage_forward"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.feed} {self.scope}".strip()


class QuarantinedPage(models.Model):
    """What an exchange sent and we could not read, sealed for its user, kept for a replay."""

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    connection = models.ForeignKey(ExchangeConnection, models.CASCADE, related_name="quarantine")
    feed = models.CharField(max_length=32)
    scope = models.CharField(max_length=64, default="", blank=True)
    reason = models.CharField(max_length=64)
    form = models.CharField(
        max_length=8, choices=[(str(form), str(form)) for form in Form], default=Form.ROW
    )
    name = models.CharField(max_length=128, default="", blank=True, help_text="Id of the row.")
    is_whole = models.BooleanField(
        default=True, help_text="No: it was cut off, and is too large to replay."
    )
    payload = models.BinaryField(help_text="Sealed with the user's data key.")
    payload_digest = models.BinaryField(max_length=32)
    ccxt_version = models.CharField(max_length=16, default="")
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "quarantined_pages"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "connection", "feed", "payload_digest"],
                name="quarantined_pages_once",
            ),
        ]
        indexes = [
            # drift.watch: what began to fail within the hour
            models.Index(fields=["created_at"], name="quarantined_pages_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.feed}: {self.reason}"
