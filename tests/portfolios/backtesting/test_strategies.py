"""Strategies as people keep them: the catalogue, creating, changing, and what a plan includes."""

import jsonschema
import pytest

from portfolios.strategies import catalogue
from tests import factories
from tests.portfolios.backtesting.conftest import keep, store, wanted, waves
from tracker import ids

ENTER = {"left": {"indicator": "rsi", "bars": 14}, "is": "lt", "right": 30}
RULES = {"enter": ENTER, "exit": {"left": {"indicator": "rsi", "bars": 14}, "is": "gt",
                                  "right": 70}}  # fmt: skip


def fields(answer):
    return {row["pointer"]: row["code"] for row in answer.json()["details"]["fields"]}


def test_the_catalogue_has_a_form_for_each_strategy_and_says_what_the_plan_includes(api, alice):
    found = api.get("/strategies/catalogue").json()
    assert [row["key"] for row in found["results"]] == list(catalogue.CATALOGUE)
    for row in found["results"]:
        jsonschema.Draft202012Validator.check_schema(row["schema"])
        defaults = {name: one["default"] for name, one in row["schema"]["properties"].items()}
        jsonschema.validate(defaults, row["schema"])
    assert [row["included"] for row in found["results"]] == [True] * 5 + [False] * 7
    assert found["custom"]["included"] is False
    factories.put_on_plan(alice, "enterprise")
    again = api.get("/strategies/catalogue").json()
    assert all(row["included"] for row in again["results"])
    assert again["custom"]["included"] is True


def test_the_form_and_the_language_of_rules_agree_with_what_is_taken(api):
    schema = api.get("/strategies/catalogue").json()["custom"]["schema"]
    jsonschema.validate(RULES, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"enter": {"left": 1}}, schema)


def test_a_strategy_is_kept_complete_with_defaults_and_changed_whole(api):
    strategy = keep(api, parameters={})
    found = api.get(f"/strategies/{strategy}").json()
    assert found["parameters"] == {"fast": 20, "slow": 50}
    assert found["watch"] is None
    changed = api.patch(f"/strategies/{strategy}", {"parameters": {"fast": 10}, "name": "other"})
    assert changed.json()["parameters"] == {"fast": 10, "slow": 50}
    assert [row["name"] for row in api.get("/strategies").json()["results"]] == ["other"]
    assert api.delete(f"/strategies/{strategy}").status_code == 204
    assert api.get("/strategies").json()["results"] == []
    assert api.get(f"/strategies/{strategy}").status_code == 404


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"fast": 50, "slow": 20}, {"/parameters/fast": "not_less"}),
        ({"fast": 0}, {"/parameters/fast": "out_of_range"}),
        ({"fast": "many", "slow": 10**40}, {"/parameters/fast": "wrong_type",
                                            "/parameters/slow": "out_of_range"}),
        ({"fast": 2.5}, {"/parameters/fast": "wrong_type"}),
        ({"speed": 1}, {"/parameters/speed": "unknown"}),
    ],
)  # fmt: skip
def test_impossible_parameters_are_refused_at_their_place(api, parameters, expected):
    answer = api.post(
        "/strategies", {"name": "mine", "kind": "sma_crossover", "parameters": parameters}
    )
    assert answer.status_code == 400
    assert fields(answer) == expected


def test_a_plan_refuses_what_it_does_not_include(api, alice):
    macd = {"name": "mine", "kind": "macd"}
    assert api.post("/strategies", macd).json()["code"] == "strategy_not_in_plan"
    own = {"name": "mine", "kind": "custom", "rules": RULES}
    assert api.post("/strategies", own).json()["code"] == "custom_strategies_not_in_plan"
    factories.put_on_plan(alice, "pro")
    assert api.post("/strategies", macd).status_code == 201
    assert api.post("/strategies", own).json()["code"] == "custom_strategies_not_in_plan"
    factories.put_on_plan(alice, "enterprise")
    answer = api.post("/strategies", own | {"name": "my rules"})
    assert answer.status_code == 201
    assert answer.json()["rules"] == RULES


def test_a_smaller_plan_keeps_strategies_and_tries_them_no_more(api, alice):
    asset = store("BTC", waves(100))
    factories.put_on_plan(alice, "pro")
    strategy = keep(api, kind="macd", parameters={})
    factories.put_on_plan(alice, "free")
    assert api.get(f"/strategies/{strategy}").status_code == 200
    answer = api.post("/backtests", wanted(strategy, asset, bars=100))
    assert answer.json()["code"] == "strategy_not_in_plan"


def test_rules_are_refused_at_the_place_of_each_fault(api, alice):
    factories.put_on_plan(alice, "enterprise")
    rules = {"enter": {"all": [ENTER, {"left": "moon", "is": "gt", "right": 1}]},
             "exit": {"left": "close", "is": "near", "right": 1.5},
             "size": {"fraction": 2}}  # fmt: skip
    answer = api.post("/strategies", {"name": "mine", "kind": "custom", "rules": rules})
    assert answer.status_code == 400
    assert set(fields(answer)) == {"/rules/enter/all/1/left", "/rules/exit/is",
                                   "/rules/size/fraction"}  # fmt: skip


@pytest.mark.parametrize("depth", [30, 100, 20_000])
def test_rules_nested_deep_are_refused(api, alice, depth):
    factories.put_on_plan(alice, "enterprise")
    nested = '{"not":' * depth + '{"left":"close","is":"gt","right":1}' + "}" * depth
    head = '{"name":"deep","kind":"custom","rules":{"exit":'
    body = f'{head}{nested},"enter":{nested}}}}}'
    answer = api.post("/strategies", body)
    assert answer.status_code in (400, 413)
    assert answer.json()["code"] in ("invalid_input", "parse_error", "body_too_large")


def test_a_name_is_given_once_and_a_builtin_has_no_rules(api):
    keep(api)
    again = api.post("/strategies", {"name": "mine", "kind": "buy_and_hold"})
    assert again.json()["details"]["fields"][0]["field"] == "name"
    mixed = api.post("/strategies", {"name": "b", "kind": "buy_and_hold", "rules": RULES})
    assert fields(mixed) == {"/rules": "unknown"}
    assert api.post("/strategies", {"name": "c", "kind": "magic"}).status_code == 400


def test_strategies_are_their_owners_alone(api, client_of, bob, charlie):
    strategy = keep(api)
    for other in (bob, charlie):
        stranger = client_of(other)
        assert stranger.get("/strategies").json()["results"] == []
        for answer in (
            stranger.get(f"/strategies/{strategy}"),
            stranger.patch(f"/strategies/{strategy}", {"name": "stolen"}),
            stranger.delete(f"/strategies/{strategy}"),
            stranger.put(f"/strategies/{strategy}/watch", {"interval": "1d"}),
            stranger.delete(f"/strategies/{strategy}/watch"),
            stranger.post("/backtests", wanted(strategy, factories.asset())),
        ):
            assert answer.status_code == 404, answer.content
    assert api.get(f"/strategies/{strategy}").json()["name"] == "mine"


def test_what_does_not_exist_is_not_found(api):
    assert api.delete(f"/strategies/{ids.new_id()}").status_code == 404
    assert api.delete(f"/strategies/{keep(api)}/watch").status_code == 404


def test_a_repeated_request_keeps_one_strategy(api):
    body = {"name": "mine", "kind": "buy_and_hold"}
    first = api.post("/strategies", body, **{"Idempotency-Key": "12345678"})
    again = api.post("/strategies", body, **{"Idempotency-Key": "12345678"})
    assert first.json() == again.json()
    assert len(api.get("/strategies").json()["results"]) == 1
