"""What is left of a level is computed alike in Solidity and in Python, bit for bit, on random days."""

import pickle
import subprocess

import pytest
from brownie import accounts

from tests.contracts.ProbeDays.test_differential import BATCH, CASES, NOBODY, ROOT, SERVER_PYTHON


@pytest.fixture(scope="module")
def harness(built):
    return built.ProbeDaysHarness.deploy({"from": accounts[0]})


def draw(seed, count):
    """Return random cases with what `rewards.served` makes of them."""
    done = subprocess.run(
        [SERVER_PYTHON, "-m", "tests.contracts.ProbeDays.levels_side"],
        input=pickle.dumps({"seed": seed, "count": count}),
        capture_output=True,
        cwd=ROOT,
        check=True,
    )
    return pickle.loads(done.stdout)


@pytest.mark.parametrize("seed", range(CASES // 500))
def test_uptime_and_level_agree_on_random_days(harness, seed):
    cases = draw(seed, 500)
    for level in range(2, 7):
        assert {case[4] for case in cases if case[2][4] == level} == {True, False}, "both answers were drawn"
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        structs = [(NOBODY, *case[0], [(NOBODY, up, 0, b"") for up in case[1]]) for case in batch]
        found = harness.againMany(structs, [case[2] for case in batch])
        assert list(zip(*found, strict=True)) == [case[3:5] for case in batch]
