"""No answer outside of the schema, whatever is sent: schemathesis makes it up.

Each operation is called by somebody who has something everywhere, a third of the time with what
its schema allows, a third with what it does not, and a third with a real request (the example of
the schema) of which a field or two are made up. Nothing is left out: what ends sessions or removes
the account is undone after its answer, and what asks exchanges, payment providers or webhooks gets
the refusal of a machine without a network, which the schema must know as well.

``EXAMPLES`` says how many per operation; the same ones are made up each time.
"""

import json
import os
from collections import Counter
from functools import cache
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core import NOT_SET
from schemathesis.specs.openapi import checks as openapi

from tests.contract import world as worlds
from tests.tracker.routes import Route, every_route, schema
from tracker.api import to_json
from tracker.contract import examples
from tracker.wsgi import application

pytestmark = pytest.mark.django_db
EXAMPLES = int(os.environ.get("EXAMPLES", "25"))
# What a machine without a network answers where others would be asked. All else that is a fault
# of a server fails, and so does one of these from an operation that does not say it.
REFUSED_OUTSIDE = {
    "billing_not_configured", "connection_tests_busy", "exchange_unreachable",
}  # fmt: skip
CHECKS = [
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
]
QUIET = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate], report_multiple_bugs=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def world(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), worlds.built() as built:
        yield built


@cache
def contract() -> Any:
    """The schema as a client reads it."""
    document = schemathesis.openapi.from_dict(json.loads(to_json(schema())))
    document.app = application
    return document


def name_of(route: Route) -> str:
    return route.operation["operationId"]


@pytest.mark.parametrize("route", every_route(), ids=name_of)
def test_every_answer_is_in_the_schema(world, route):
    """S31, S53"""
    statuses: Counter[int] = Counter()

    @QUIET
    @given(case=cases(route, world))
    def judge(case: Any) -> None:
        with worlds.undone():
            response = case.call(headers=world.headers)
        statuses[response.status_code] += 1
        refuse_faults(case, response)
        case.validate_response(response, checks=CHECKS, headers=world.headers)

    judge()
    print(name_of(route), dict(statuses))


def refuse_faults(case: Any, response: Any) -> None:
    if response.status_code >= 500 and response.json()["code"] not in REFUSED_OUTSIDE:
        case.validate_response(response, checks=[not_a_server_error])


# --- what is sent -------------------------------------------------------------------------------
@st.composite
def cases(draw: Any, route: Route, world: Any) -> Any:
    """A call of one operation; most of those with an id have one of this person's."""
    operation = contract()[route.path][route.method]
    kind = draw(st.sampled_from(["allowed", "refused", "real"]))
    mode = GenerationMode.NEGATIVE if kind == "refused" else GenerationMode.POSITIVE
    case = draw(operation.as_strategy(generation_mode=mode))
    if case.path_parameters and draw(st.integers(0, 3)):
        case.path_parameters = {name: world.id_for(route) for name in case.path_parameters}
    if kind == "real":
        _make_real(draw, route, world, case)
    return case


def _make_real(draw: Any, route: Route, world: Any, case: Any) -> None:
    example = examples.recorded().get(name_of(route), {})
    real = example.get("request")
    if isinstance(real, dict) and isinstance(case.body, dict):
        real = {name: world.named.get(name, value) for name, value in real.items()}
        made_up = sorted(case.body)
        kept = draw(st.sets(st.sampled_from(made_up), max_size=2)) if made_up else ()
        case.body = {**real, **{name: case.body[name] for name in kept}}
    elif real is not None and case.body is NOT_SET:
        case.body = real
    if "connection" in (case.query or {}):
        case.query["connection"] = world.named["connection"]
