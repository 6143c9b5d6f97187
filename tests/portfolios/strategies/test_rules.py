"""The rule language: what it refuses, exactly where, and that nothing else ever happens."""

import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolios.strategies import language, rules
from portfolios.strategies.errors import StrategyInvalid

unhurried = settings(deadline=None, max_examples=200)
TRUE = {"left": "close", "is": "gt", "right": 1}
SMA = {"indicator": "sma", "bars": 5}
WHOLE = {
    "enter": {"all": [
        {"left": {"indicator": "rsi", "bars": 14, "of": "high"}, "is": "lt", "right": 30},
        {"any": [{"not": {"left": "close", "is": "crosses_below", "right": SMA}},
                 {"left": {"indicator": "bollinger", "part": "lower", "lag": 3}, "is": "lte",
                  "right": {"indicator": "macd", "fast": 3, "slow": 9, "part": "signal"}}]},
    ]},
    "exit": {"left": "volume", "is": "gte", "right": {"indicator": "constant", "value": 5}},
    "size": {"volatility_target": 30, "window": 20, "most": 0.5},
    "stops": {"stop_loss": 5, "take_profit": 20, "trailing_stop": 9, "max_bars": 40},
}  # fmt: skip


def problems(document):
    with pytest.raises(StrategyInvalid) as caught:
        rules.checked(document)
    return {(one.pointer, one.code) for one in caught.value.problems}


def nested(depth, *, kind="not"):
    found = TRUE
    for _ in range(depth):
        found = {kind: found if kind == "not" else [found]}
    return found


# --- what it takes ------------------------------------------------------------------------------
def test_a_whole_document_is_read():
    found = rules.checked(WHOLE)
    assert len(found.comparisons) == 4
    assert found.size == rules.Size(0.5, 0.3, 20)
    assert found.stops == rules.Stops(5, 20, 9, 40)
    assert found.operands[0].options == (("bars", 14), ("of", "high"))
    assert found.operands[4].lag == 3
    assert found.operands[4].pointer == "/rules/enter/all/1/any/1/left"
    assert hash(found) == hash(rules.checked(json.loads(json.dumps(WHOLE))))


def test_what_is_left_out_is_default():
    found = rules.checked({"enter": TRUE, "exit": TRUE})
    assert found.size == rules.Size(1.0)
    assert found.stops == rules.Stops()
    assert rules.checked({"enter": TRUE, "stops": {"max_bars": 1}}).exit is None


def test_the_same_indicator_written_otherwise_is_the_same():
    plain, full = (
        rules.checked({"enter": {"left": left, "is": "gt", "right": 1}, "exit": TRUE})
        for left in ("sma", {"indicator": "sma", "bars": 20.0, "of": "close", "lag": 0})
    )
    assert plain == full


@pytest.mark.parametrize(
    ("left", "how", "expected"),
    [
        ("close", "gt", 0), ("close", "crosses_above", 1),
        ({"indicator": "close", "lag": 4}, "gt", 4), (SMA, "gt", 4),
        ({"indicator": "sma", "bars": 5, "lag": 2}, "crosses_below", 7),
        ({"indicator": "rsi", "bars": 14}, "gt", 14), ({"indicator": "roc", "bars": 3}, "gt", 3),
        ({"indicator": "atr", "bars": 7}, "gt", 7), ("macd", "gt", 33),
        ({"indicator": "donchian", "bars": 9}, "gt", 8), ("bollinger", "gt", 19),
    ],
)  # fmt: skip
def test_the_warm_up_is_that_of_the_longest_look_back(left, how, expected):
    found = rules.checked({"enter": {"left": left, "is": how, "right": 1}, "exit": TRUE})
    assert rules.warm_up(found) == expected


# --- what it refuses, and where -----------------------------------------------------------------
@pytest.mark.parametrize(
    ("enter", "expected"),
    [
        (None, {("", "wrong_type")}),
        ([TRUE], {("", "wrong_type")}),
        ({}, {("", "no_condition")}),
        ({"al": [TRUE]}, {("/al", "unknown"), ("", "no_condition")}),
        ({"all": []}, {("/all", "wrong_type")}),
        ({"all": TRUE}, {("/all", "wrong_type")}),
        ({"all": [TRUE, 5]}, {("/all/1", "wrong_type")}),
        ({"all": [TRUE], "any": [TRUE]}, {("/any", "unknown")}),
        ({"not": [TRUE]}, {("/not", "wrong_type")}),
        ({"left": 1, "is": "gt"}, {("/right", "missing")}),
        ({"is": "gt"}, {("/left", "missing"), ("/right", "missing")}),
        (TRUE | {"is": "eq"}, {("/is", "not_a_choice")}),
        (TRUE | {"is": ["gt"]}, {("/is", "not_a_choice")}),
        ({"left": 1, "right": 2}, {("/is", "missing")}),
        (TRUE | {"more": 1}, {("/more", "unknown")}),
        (TRUE | {"left": None}, {("/left", "wrong_type")}),
        (TRUE | {"left": True}, {("/left", "wrong_type")}),
        (TRUE | {"left": float("nan")}, {("/left", "wrong_type")}),
        (TRUE | {"left": 10**5000}, {("/left", "out_of_range")}),
        (TRUE | {"left": "__import__('os')"}, {("/left", "not_a_choice")}),
        (TRUE | {"left": {}}, {("/left/indicator", "missing")}),
        (TRUE | {"left": {"indicator": {}}}, {("/left/indicator", "not_a_choice")}),
        (TRUE | {"left": {"indicator": "sma", "bars": 1}}, {("/left/bars", "out_of_range")}),
        (TRUE | {"left": {"indicator": "sma", "bars": 5001}}, {("/left/bars", "out_of_range")}),
        (TRUE | {"left": {"indicator": "sma", "lag": -1}}, {("/left/lag", "out_of_range")}),
        (TRUE | {"left": {"indicator": "sma", "of": "price"}}, {("/left/of", "not_a_choice")}),
        (TRUE | {"left": {"indicator": "constant", "lag": 1}}, {("/left/lag", "unknown")}),
        (TRUE | {"left": {"indicator": "macd", "fast": 9, "slow": 9}},
         {("/left/fast", "not_less")}),
        (TRUE | {"left": {"indicator": "sma", "a/b": 1}}, {("/left/a~1b", "unknown")}),
        ({"any": [{"all": [TRUE, TRUE | {"left": "x"}]}, {"not": TRUE | {"right": "y"}}]},
         {("/any/0/all/1/left", "not_a_choice"), ("/any/1/not/right", "not_a_choice")}),
    ],
)  # fmt: skip
def test_every_problem_of_a_condition_has_its_place(enter, expected):
    found = problems({"enter": enter, "exit": TRUE})
    assert found == {(f"/rules/enter{place}", code) for place, code in expected}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"exit": {"all": [TRUE, {}]}}, {("/rules/exit/all/1", "no_condition")}),
        ({"size": 1}, {("/rules/size", "wrong_type")}),
        ({"size": {"fraction": 1.1}}, {("/rules/size/fraction", "out_of_range")}),
        ({"size": {"fraction": 1, "volatility_target": 5}}, {("/rules/size/fraction", "unknown")}),
        ({"size": {"volatility_target": "5"}}, {("/rules/size/volatility_target", "wrong_type")}),
        ({"stops": []}, {("/rules/stops", "wrong_type")}),
        ({"stops": {"stop_loss": 100}}, {("/rules/stops/stop_loss", "out_of_range")}),
        ({"stops": {"max_bars": 0.5}}, {("/rules/stops/max_bars", "wrong_type")}),
        ({"stop": {}}, {("/rules/stop", "unknown")}),
        ({"enter": 5, "size": 5, "stops": 5},
         {("/rules/enter", "wrong_type"), ("/rules/size", "wrong_type"),
          ("/rules/stops", "wrong_type")}),
    ],
)  # fmt: skip
def test_every_problem_of_the_rest_has_its_place(change, expected):
    assert problems({"enter": TRUE, "exit": TRUE} | change) == expected


@pytest.mark.parametrize("document", [None, 5, "rules", [], [TRUE], True])
def test_what_is_no_object_is_refused(document):
    assert problems(document) == {("/rules", "wrong_type")}


def test_something_must_say_when_to_enter_and_when_to_leave():
    assert problems({}) == {("/rules/enter", "missing"), ("/rules/exit", "missing")}
    assert problems({"enter": TRUE, "stops": {}}) == {("/rules/exit", "missing")}


# --- bounds -------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["not", "all", "any"])
def test_rules_nested_a_hundred_deep_are_refused_with_the_place(kind):
    ((place, code),) = problems({"enter": nested(100, kind=kind), "exit": TRUE})
    assert code == "too_deep"
    assert place == "/rules/enter" + (f"/{kind}" * 24 if kind == "not" else f"/{kind}/0" * 12)


def test_rules_nested_a_hundred_thousand_deep_are_refused_just_so():
    ((place, code),) = problems({"enter": nested(100_000), "exit": TRUE})
    assert (place, code) == ("/rules/enter" + "/not" * 24, "too_deep")
    assert rules.checked({"enter": nested(22), "exit": TRUE})


def test_too_many_values_or_bytes_are_refused():
    many = {"enter": {"any": [TRUE] * 400}, "exit": TRUE}
    assert {code for _, code in problems(many)} == {"too_many"}
    assert problems({"enter": TRUE, "x" * 30_000: 1}) == {("/rules", "too_large")}
    assert problems({"enter": TRUE, "exit": "x" * 30_000}) == {("/rules/exit", "too_large")}
    assert problems({"enter": TRUE, "exit": 10**90_000}) == {("/rules/exit", "too_large")}


def test_too_many_different_indicators_are_refused_at_the_first_too_many():
    def with_(count):
        each = [TRUE | {"left": {"indicator": "sma", "bars": 2 + n}} for n in range(count)]
        return {"enter": {"any": [TRUE | {"left": SMA}, *each]}, "exit": TRUE | {"left": SMA}}

    assert rules.checked(with_(20))
    assert problems(with_(21)) == {("/rules/enter/any/21/left", "too_many")}


def test_a_run_that_calculates_too_much_is_refused_with_the_limit():
    found = rules.checked(WHOLE)
    rules.check_work(found, bars=1_000_000, assets=5)
    with pytest.raises(StrategyInvalid) as caught:
        rules.check_work(found, bars=1_000_000, assets=10)
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.code) == ("/rules", "too_costly")
    assert f"{rules.MOST_WORK:,}" in problem.message


# --- anything at all ----------------------------------------------------------------------------
WORDS = [*language.INDICATORS, *language.COMPARISONS, "all", "any", "not", "left", "is", "right",
         "enter", "exit", "size", "stops", "indicator", "bars", "lag", "of", "part", "fraction",
         "stop_loss", "max_bars", "volatility_target"]  # fmt: skip
words = st.sampled_from(WORDS) | st.text(max_size=5)
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.integers(10**300, 10**400)
)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4)
)
operands = words | st.floats() | st.dictionaries(st.sampled_from(WORDS), leaves, max_size=3)
comparisons = st.fixed_dictionaries(
    {"left": operands, "is": st.sampled_from([*language.COMPARISONS, "x"]), "right": operands}
)
conditions = st.recursive(
    comparisons,
    lambda inner: (
        st.fixed_dictionaries({"all": st.lists(inner, max_size=3)})
        | st.fixed_dictionaries({"any": st.lists(inner, max_size=3)})
        | st.fixed_dictionaries({"not": inner})
    ),
    max_leaves=6,
)
nearly = st.fixed_dictionaries(
    {"enter": conditions}, optional={"exit": conditions, "size": anything, "stops": anything}
)


@unhurried
@given(anything | nearly)
def test_whatever_comes_is_rules_or_refused_and_the_schema_agrees(document):
    try:
        found = rules.checked(document)
    except StrategyInvalid as error:
        assert error.problems
        for problem in error.problems:
            assert problem.pointer.startswith("/rules")
            assert problem.message.endswith(".")
            json.dumps(problem.pointer, ensure_ascii=False).encode()
    else:
        assert isinstance(found, rules.Rules)
        JUDGE.validate(document)


JUDGE = jsonschema.Draft202012Validator(rules.schema())


def test_the_schema_is_one_and_takes_what_is_taken():
    jsonschema.Draft202012Validator.check_schema(rules.schema())
    JUDGE.validate(WHOLE)
    for document in ({}, {"enter": TRUE}, {"enter": {}, "exit": TRUE},
                     {"enter": TRUE | {"is": "eq"}, "exit": TRUE},
                     {"enter": TRUE | {"left": {"indicator": "sma", "x": 1}}, "exit": TRUE},
                     {"enter": TRUE, "exit": TRUE, "stops": {"max_bars": 0}}):  # fmt: skip
        assert not JUDGE.is_valid(document)
