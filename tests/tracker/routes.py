"""Every route and method of the API, as the OpenAPI schema tells."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the schema."""

    method: str
    path: str
    operation: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def has_id(self) -> bool:
        return "{" in self.path

    def parameters(self, place: str) -> list[str]:
        """Names of the parameters in ``query`` or ``path``."""
        return [row["name"] for row in self.operation.get("parameters", ()) if row["in"] == place]


@cache
def schema() -> dict[str, Any]:
    """The OpenAPI document of the API."""
    return SchemaGenerator().get_schema(request=None, public=True)


@cache
def every_route() -> tuple[Route, ...]:
    """All operations, in the order of the schema."""
    return tuple(
        Route(method.upper(), path, operation)
        for path, operations in schema()["paths"].items()
        for method, operation in operations.items()
        if method in METHODS
    )


def normalized(path: str) -> str:
    """An address with its ids unnamed, as the router and the schema both say it."""
    return "/" + re.sub(r"<[^>]+>|\{[^}]+\}", "{}", path).lstrip("/")
