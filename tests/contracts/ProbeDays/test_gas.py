"""What computing a provider's day on chain costs, with every signature, calldata and the transaction included."""

import random

import pytest
from brownie import accounts, web3
from eth_abi import encode
from eth_account import Account
from eth_utils import keccak

from tests.contracts.ChallengeCourt.attested import probe_day, sign_day, words
from tests.contracts.support.refusals import refused

SLOTS, QUORUM = 1440, 2
FULL = (1 << SLOTS) - 1
MOST_GAS = 90_000
"""The design's goal for three verifiers."""


@pytest.fixture(scope="module")
def harness(built):
    return built.ProbeDaysHarness.deploy({"from": accounts[0]})


def arguments(harness, verifiers, rng):
    """Return a day that was mostly up, with some slots that served customers and a few that were void."""
    ground = (web3.eth.chain_id, harness.address)
    separator = keccak_separator(ground)
    outage = ((1 << 90) - 1) << rng.randrange(SLOTS - 90)
    days = []
    for number in range(verifiers):
        key = keccak(text=f"probing {number}")
        day = probe_day(accounts[1], 7, FULL & ~outage & ~(1 << rng.randrange(SLOTS)), rng.getrandbits(256))
        days.append((Account.from_key(key).address, day[2], day[3], sign_day(ground, key, day)))
    served, void = rng.getrandbits(SLOTS) & rng.getrandbits(SLOTS), 0b111 << 700
    return separator, 7, (accounts[1].address, words(FULL), words(served), words(void), days), SLOTS, QUORUM


def keccak_separator(ground):
    kind = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    values = [keccak(kind), keccak(b"Bonded"), keccak(b"1"), ground[0], ground[1]]
    return keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], values))


def test_a_day_of_three_verifiers_costs_at_most_ninety_thousand(harness):
    tx = harness.checkAndCompute.transact(*arguments(harness, 3, random.Random(1)), {"from": accounts[0]})
    print(f"\nuptime and p95 of a provider-day, three signatures checked: {tx.gas_used} gas")
    assert tx.gas_used <= MOST_GAS


def test_a_day_of_64_verifiers_fits_in_a_part_of_a_block(harness):
    tx = harness.checkAndCompute.transact(*arguments(harness, 64, random.Random(2)), {"from": accounts[0]})
    print(f"\nuptime and p95 of a provider-day, sixty-four signatures checked: {tx.gas_used} gas")
    assert tx.gas_used < 2_000_000


def test_the_gas_is_of_signatures_that_are_really_checked(harness):
    separator, epoch, measured, slots, quorum = arguments(harness, 3, random.Random(3))
    forged = (*measured[:4], [*measured[4][:2], (*measured[4][2][:3], measured[4][1][3])])
    found = refused(harness.checkAndCompute, separator, epoch, forged, slots, quorum, sender=accounts[0])
    assert found == ("NotSigned", 2)
