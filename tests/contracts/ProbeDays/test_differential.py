"""Solidity and Python measure bit for bit the same: a thousand random cases, a hundred thousand with BONDED_LONG=1."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from brownie import accounts

ROOT = Path(__file__).resolve().parents[3]
SERVER_PYTHON = ROOT / ".venv" / Path(sys.executable).relative_to(Path(sys.prefix))
CASES = 100_000 if os.environ.get("BONDED_LONG") == "1" else 1_000
BATCH = 50
NOBODY = "0x" + 40 * "0"


@pytest.fixture(scope="module")
def harness(built):
    return built.ProbeDaysHarness.deploy({"from": accounts[0]})


def draw(seed, count):
    """Return random cases with what settlement makes of them."""
    done = subprocess.run(
        [SERVER_PYTHON, "-m", "tests.contracts.ProbeDays.measurement_side"],
        input=pickle.dumps({"seed": seed, "count": count}),
        capture_output=True,
        cwd=ROOT,
        check=True,
    )
    return pickle.loads(done.stdout)


def as_measured(case):
    """Return a case as the contract's struct; who signed does not matter here."""
    (duty, served, void), ups, histograms = case[:3]
    days = [(NOBODY, up, histogram, b"") for up, histogram in zip(ups, histograms, strict=True)]
    return (NOBODY, duty, served, void, days)


@pytest.mark.parametrize("seed", range(CASES // 500))
def test_uptime_bucket_and_majority_agree_on_random_days(harness, seed):
    cases = draw(seed, 500)
    assert {case[7] for case in cases} == {True, False}, "cases with and without a measurement were drawn"
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        structs = [as_measured(case) for case in batch]
        found = harness.computeMany(structs, [case[3] for case in batch], [case[4] for case in batch])
        assert list(zip(*found, strict=True)) == [case[5:8] for case in batch]
        assert list(harness.downMany(structs)) == [case[8] for case in batch]
