"""A p-value that an auditor computes again from the answers, and what it says when they are another's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from contracts.messages import CheckDay
from marketplace.cli.honesty import Compared, _compare
from rewards.blobs import FolderStore
from rewards.testing import Network
from rewards.types import SignedCheckDay
from rewards.verifier.samples import Compared as Answers
from rewards.verifier.samples import Samples

NET = Network(providers=1, customers=1)
VERIFIER, PROVIDER = NET.verifier_keys[0].address, NET.provider_names[0]
SAMPLES = Samples(VERIFIER, PROVIDER, 0, b"\x06" * 32, (Answers("{}", ("b",), ("a", "a", "a")),))


def compared(store: FolderStore, model_ppb: int) -> Compared:
    day = CheckDay(PROVIDER, 0, SAMPLES.weights, 1, model_ppb, 0, 0, 0, 0, 0, SAMPLES.seal()[1])
    signed = SignedCheckDay(VERIFIER, day, b"")
    return _compare(signed, replace(NET.inputs(), check_days=(signed,)), store)


def test_the_answers_give_the_p_value_that_was_signed_or_the_difference_shows(tmp_path: Path):
    store = FolderStore(tmp_path)
    store.put((SAMPLES.seal()[0],))
    assert compared(store, 250_000_000).holds
    lied = compared(store, 1)
    assert not lied.holds and lied.again_ppb == 250_000_000


def test_where_nobody_has_the_answers_that_is_said_and_nothing_else(tmp_path: Path):
    missing = compared(FolderStore(tmp_path), 1)
    assert missing.again_ppb is None and missing.holds
