"""How numbers are told: as text, because JSON's own numbers lose digits on the way."""

from typing import Any

from rest_framework import serializers


class ExactDecimalField(serializers.CharField):
    """A decimal as a string, in plain notation."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("help_text", "Decimal as a string, exact.")
        super().__init__(**kwargs)
