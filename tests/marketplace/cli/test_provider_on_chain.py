"""The provider's commands on a real chain with the real contracts, from the first key to the withdrawal."""

from __future__ import annotations

import json

import pytest

from contracts.testing import AnvilControl
from tests.marketplace.cli.provider_chain import PASSWORD, Provider, free_port, make_provider, open_market

pytestmark = pytest.mark.chain


@pytest.fixture
def market(tmp_path):
    market = open_market(tmp_path)
    yield market
    market.devnet.stop()


@pytest.fixture
def provider(tmp_path, market):
    provider = make_provider(tmp_path, market)
    (tmp_path / "owner.txt").write_text(provider.owner.secret().hex())
    return provider


@pytest.fixture
def bonded(provider, capsys, monkeypatch):
    """Run a provider command and return its JSON."""

    def run(*arguments: str, code: int = 0):
        return provider.run(capsys, monkeypatch, *arguments, code=code)

    return run


def make_keys(provider, bonded) -> str:
    imported = bonded("keys", "import", "owner", "--light", "--private-key-file", str(provider.folder / "owner.txt"))
    assert imported["address"] == provider.owner.address
    return bonded("keys", "new", "signer", "--light")["address"]


def test_a_provider_registers_stakes_is_matched_leaves_and_gets_everything_back(provider, bonded, market):
    signer = make_keys(provider, bonded)
    assert bonded("keys", "show")["signer"]["address"] == signer

    error = bonded("stake", "200", "--yes", code=1)["error"]
    assert "bonded provider register" in error["mend"]

    dry = bonded("register", "--dry-run")
    assert dry["dry_run"] and dry["steps"][0]["gas"] > 0 and dry["required stake"] == "200 DSTK"
    assert bonded("status", code=1)["error"]["mend"] == "bonded provider register"

    assert "moves money" in bonded("register", code=2)["error"]["message"]
    done = bonded("register", "--yes")
    assert done["steps"][0]["sent_by_this_run"] and done["signer"] == signer
    assert "is registered" in bonded("register", "--yes", code=1)["error"]["message"]

    assert "holds 0 stake tokens" in bonded("stake", "200", "--yes", code=1)["error"]["message"]
    market.give_stake(provider.owner.address, 500)
    before = bonded("status")
    assert not before["matched"] and before["stake"] == "0" and before["stake_balance"] == "500"
    dry = bonded("stake", "200", "--dry-run")
    assert [step["step"] for step in dry["steps"]] == ["approve the stake token", "stake"]
    staked = bonded("stake", "200", "--yes")
    assert [step["step"] for step in staked["steps"]] == ["approve the stake token", "stake"]
    after = bonded("status")
    assert after["matched"] and after["stake"] == "200" and after["stake_balance"] == "300"
    assert after["status"] == "active" and after["hardware"] == "1 × CPU"

    bonded("stake", "200", "--yes")
    assert bonded("status")["stake"] == "400", "the same command again is a new deed once its result was shown"

    error = bonded("unbond", "401", "--yes", code=1)["error"]
    assert "400" in error["message"]
    unbonded = bonded("unbond", "300", "--yes")
    assert unbonded["still matched"].startswith("no")
    state = bonded("status")
    assert not state["matched"] and state["stake"] == "100" and state["unbonds"][0]["amount"] == "300"
    assert "nothing can be withdrawn yet" in bonded("withdraw", "--yes", code=1)["error"]["message"]
    AnvilControl(market.devnet).pass_time(121)
    assert bonded("status")["withdrawable"] == "300"
    bonded("withdraw", "--yes")
    state = bonded("status")
    assert (state["stake"], state["stake_balance"], state["withdrawable"]) == ("100", "400", "0")
    assert bonded("earnings")["epochs"] == []
    assert "no activated report" in bonded("claim", "--yes", code=1)["error"]["message"]


def test_a_named_intent_is_never_carried_out_twice(provider, bonded, market):
    make_keys(provider, bonded)
    bonded("register", "--yes")
    market.give_stake(provider.owner.address, 500)
    first = bonded("stake", "100", "--yes", "--intent", "monday")
    again = bonded("stake", "100", "--yes", "--intent", "monday")
    assert bonded("status")["stake"] == "100"
    assert again["steps"][-1]["transaction"] == first["steps"][-1]["transaction"]
    assert not again["steps"][-1]["sent_by_this_run"]


def test_a_deed_whose_result_was_never_shown_is_taken_up_and_not_repeated(provider, bonded, market, monkeypatch):
    from marketplace.cli.provider import sending

    make_keys(provider, bonded)
    bonded("register", "--yes")
    market.give_stake(provider.owner.address, 500)

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sending, "_show", dies)
        bonded("stake", "100", "--yes", code=130)
    again = bonded("stake", "100", "--yes")
    assert not again["steps"][-1]["sent_by_this_run"]
    assert bonded("status")["stake"] == "100"


def test_what_the_chain_refuses_has_its_own_exit_code(provider, bonded, market):
    make_keys(provider, bonded)
    bonded("register", "--yes")
    # another provider with the same signer: a signer belongs to one provider for ever
    other = market.devnet.accounts[6]
    (provider.folder / "owner.txt").write_text(other.secret().hex())
    (provider.folder / "keys" / "owner.json").unlink()
    text = (provider.folder / "provider.toml").read_text()
    (provider.folder / "provider.toml").write_text(text.replace(provider.owner.address, other.address))
    bonded("keys", "import", "owner", "--light", "--private-key-file", str(provider.folder / "owner.txt"))
    error = bonded("register", "--yes", code=3)["error"]
    assert "Signer" in error["message"]


def test_a_changed_offer_must_be_put_on_chain_before_serving(provider, bonded, market):
    make_keys(provider, bonded)
    bonded("register", "--yes")
    before = bonded("status")["offer_digest"]
    text = (provider.folder / "provider.toml").read_text()
    (provider.folder / "provider.toml").write_text(text.replace("price_out_atto = 11", "price_out_atto = 12"))
    error = bonded("serve", code=5)["error"]
    assert "bonded provider update" in error["mend"]
    done = bonded("update", "--yes")
    assert done["offer digest"] == bonded("status")["offer_digest"] == bonded("offer")["offer_digest"] != before
    assert bonded("update", "--yes") == {"steps": []}


def test_serving_without_registration_or_with_another_key_is_refused(provider, bonded, market):
    make_keys(provider, bonded)
    assert "bonded provider register" in bonded("serve", code=5)["error"]["mend"]
    bonded("register", "--yes")
    (provider.folder / "keys" / "signer.json").unlink()
    bonded("keys", "new", "signer", "--light")
    assert "signer" in bonded("serve", code=5)["error"]["message"]


def test_the_doctor_finds_everything_in_order_and_each_thing_that_is_not(provider, bonded, market):
    def faults(code: int) -> dict[str, str]:
        found = bonded("doctor", code=code)
        assert found["healthy"] is (code == 0)
        return {one["check"]: one["mend"] for one in found["checks"] if one["verdict"] == "failed"}

    use_fixed_port(provider)
    make_keys(provider, bonded)
    assert faults(5) == {"registration": "bonded provider register"}
    bonded("register", "--yes")
    market.give_stake(provider.owner.address, 500)
    assert faults(5) == {"stake": "bonded provider stake 200"}
    bonded("stake", "200", "--yes")
    assert faults(0) == {}
    text = (provider.folder / "provider.toml").read_text()
    (provider.folder / "provider.toml").write_text(text.replace("price_out_atto = 11", "price_out_atto = 12"))
    assert set(faults(5)) == {"offer"}


def test_the_doctor_says_what_is_wrong_with_chain_and_keys(provider, bonded, market, monkeypatch):
    make_keys(provider, bonded)
    market.devnet.stop()
    found = bonded("doctor", "--skip-engine", code=5)
    faults = {one["check"]: one["mend"] for one in found["checks"] if one["verdict"] == "failed"}
    assert "BONDED_RPC_URLS" in faults["chain"]
    (provider.folder / "keys" / "signer.json").unlink()
    found = bonded("doctor", "--skip-engine", code=5)
    faults = {one["check"]: one["mend"] for one in found["checks"] if one["verdict"] == "failed"}
    assert "keys new" in faults["signer's keystore"]


def test_a_chain_that_is_away_has_its_own_exit_code(provider, bonded, market):
    make_keys(provider, bonded)
    market.devnet.stop()
    assert "cannot be reached" in bonded("status", code=4)["error"]["message"]
    assert bonded("serve", code=4)["error"]["mend"]


def test_keys_are_encrypted_never_overwritten_and_open_with_their_password_only(provider, bonded, monkeypatch, capsys):
    make_keys(provider, bonded)
    stored = json.loads((provider.folder / "keys" / "owner.json").read_text())
    assert stored["version"] == 3
    assert provider.owner.secret().hex() not in json.dumps(stored)
    assert "not overwritten" in bonded("keys", "new", "owner", "--light", code=1)["error"]["message"]
    wrong = provider.folder / "wrong.txt"
    wrong.write_text(PASSWORD + "x\n")
    error = bonded("register", "--yes", "--password-file", str(wrong), code=1)["error"]
    assert "password" in error["message"]


def test_a_key_that_is_no_key_is_refused(provider, bonded):
    (provider.folder / "bad.txt").write_text("zz")
    error = bonded("keys", "import", "owner", "--private-key-file", str(provider.folder / "bad.txt"), code=2)["error"]
    assert "private key" in error["message"]


def use_fixed_port(provider: Provider) -> None:
    """Let file and endpoint name one free port of this machine, as a real provider's would."""
    port = free_port()
    path = provider.folder / "provider.toml"
    text = path.read_text().replace("http://127.0.0.1:9100", f"http://127.0.0.1:{port}")
    path.write_text(text.replace('listen = "127.0.0.1:0"', f'listen = "127.0.0.1:{port}"'))
