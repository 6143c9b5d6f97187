"""A sandbox that is stopped and started comes back the same."""

import json

import pytest

from exchanges.sandbox import config, state, testing
from tests.exchanges.sandbox import callers

SMALL = {"accounts": 3, "trades": 40, "assets": 6, "weight_limit": 0}


def test_restart_with_a_state_file_changes_nothing(tmp_path):
    settings = config.Config(state=tmp_path / "kept" / "sandbox.json", **SMALL)
    with testing.start(settings) as first:
        fact = {"feed": "deposits", "asset": "LTC", "quantity": "3.5"}
        callers.control(first, "POST", "accounts/1/facts", fact)
        hidden = callers.books(first, 2)["facts"]["deposits"][0]["id"]
        callers.control(first, "DELETE", f"accounts/2/facts/deposits/{hidden}")
        before = [callers.books(first, number) for number in range(3)]
        anchor = callers.control(first, "GET", "health").json["anchor"]
    with testing.start(settings) as second:
        assert [callers.books(second, number) for number in range(3)] == before
        assert callers.control(second, "GET", "health").json["anchor"] == anchor
        assert callers.signed(second, "/api/v3/account").status == 200


def test_anchor_can_be_chosen():
    settings = config.Config(anchor=1_704_067_200_000, **SMALL)
    with testing.start(settings) as process:
        assert callers.control(process, "GET", "health").json["anchor"] == 1_704_067_200_000
        assert max(leg["occurred_at"] for leg in callers.books(process, 0)["ledger"]) < (
            1_704_067_200_000
        )


def test_state_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "sandbox.json"
    testing.start(config.Config(state=path, **SMALL)).stop()
    with pytest.raises(testing.SandboxError, match="other settings: seed"):
        testing.start(config.Config(state=path, seed=2, **SMALL))
    with pytest.raises(testing.SandboxError, match="another anchor"):
        testing.start(config.Config(state=path, anchor=1_704_067_200_000, **SMALL))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"version": 9}', json.dumps({"version": 1, "added": []})]
)
def test_unreadable_state_is_refused(tmp_path, text):
    path = tmp_path / "sandbox.json"
    path.write_text(text)
    with pytest.raises(state.StateError, match=r"sandbox\.json"):
        state.opened(path, identity={}, anchor=0, moved=False)


def test_a_file_from_before_there_were_houses_is_binances(tmp_path):
    path, plain = tmp_path / "sandbox.json", {"feed": "deposits"}
    old = {"version": 1, "identity": {}, "anchor": 7, "added": {"3": [plain]},
           "hidden": {"4": [["trades", "9"]]}}  # fmt: skip
    path.write_text(json.dumps(old))
    read = state.opened(path, identity={}, anchor=0, moved=False)
    assert (read.anchor, read.of("binance").added) == (7, {3: [plain]})
    assert read.of("binance").hidden == {4: [("trades", "9")]}
    assert read.of("kraken").added == {}
    read.save()
    assert state.opened(path, identity={}, anchor=0, moved=False) == read
