"""The ledger and the Python that settles, signs and replays agree bit for bit."""

import json
import pickle
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from eth_utils import keccak

from contracts.types import Harm, Leaf
from tests.contracts.support import reports
from tests.contracts.support.market import PAY, VERIFIER_KEYS
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import plain

ROOT = Path(__file__).resolve().parents[3]
SERVER_PYTHON = ROOT / ".venv" / Path(sys.executable).relative_to(Path(sys.prefix))


def python_side(market, report):
    """Return what the server's Python computes for a report."""
    done = subprocess.run(
        [SERVER_PYTHON, "-m", "tests.contracts.support.python_side"],
        input=pickle.dumps((*market.ground, report, VERIFIER_KEYS[:2])),
        capture_output=True,
        cwd=ROOT,
        check=True,
    )
    return json.loads(done.stdout)


def address(rng):
    return "0x" + rng.randbytes(20).hex()


def random_leaf(rng):
    """Return a leaf of extremes: every field is as often at an end of its range as between."""

    def up_to(most):
        return rng.choice([0, 1, most, rng.randint(0, most)])

    money = (up_to(2**96 - 1), up_to(2**96 - 1))
    shares = [up_to(1_000_000) for _ in range(4)]
    return Leaf(address(rng), *money, *shares, up_to(255), up_to(255), up_to(2), up_to(255), rng.random() < 0.5)


def random_report(market, rng, count, chunked=False):
    lists = 530 if chunked else 4
    report = reports.make_report(
        rng.getrandbits(64),
        [random_leaf(rng) for _ in range(count)],
        charges={address(rng): rng.getrandbits(100) for _ in range(rng.randrange(lists))},
        credits={(address(rng), address(rng)): rng.getrandbits(90) for _ in range(rng.randrange(lists))},
        pools={address(rng): rng.getrandbits(90) for _ in range(rng.randrange(lists))},
        payees={address(rng): rng.getrandbits(90) for _ in range(rng.randrange(4))},
        previous=rng.randbytes(32),
        from_fund=2**115,
    )
    harms = [Harm(address(rng), rng.randbytes(32)) for _ in range(rng.randrange(4))]
    return replace(report, measurements=rng.randbytes(32), harms=tuple(sorted(harms, key=lambda harm: harm.provider)))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 33])
def test_leaf_hashes_roots_and_digests_agree(market, count):
    rng = random.Random(count)
    report = random_report(market, rng, count)
    found = python_side(market, report)
    signed = reports.signed(*market.ground, report)
    assert found["leaves"] == [str(market.ledger.leafHash(report.epoch, plain(leaf))) for leaf in report.leaves]
    assert found["separator"] == market.ledger.domainSeparator()
    assert found["structHash"] == market.ledger.structHash(signed)
    assert found["digest"] == market.ledger.reportDigest(signed)
    assert found["root"] == "0x" + reports.root_of(*market.ground, report).hex()


def test_reports_of_several_chunks_agree(market):
    rng = random.Random(2)
    report = random_report(market, rng, 1030, chunked=True)
    assert max(len(report.charges), len(report.credits), len(report.pools)) > 100
    found = python_side(market, report)
    assert found["digest"] == market.ledger.reportDigest(reports.signed(*market.ground, report))
    roots = reports.chunk_roots(*market.ground, report)
    assert len(roots) == 3 and found["root"] == "0x" + reports.root(roots).hex()


def test_the_ledger_takes_a_report_that_python_hashed_proved_and_signed(market):
    rng = random.Random(7)
    leaves = [reports.make_leaf(address(rng), incentive=i) for i in range(11)]
    people = {market.alice: 70 * PAY, market.bob: 30 * PAY}
    payees = {market.verifier_accounts[0]: 2 * PAY}
    report = market.next_report(leaves, charges=people, payees=payees, credits={(market.alice, market.small): 5 * PAY})
    found = python_side(market, report)
    market.end_of(0)
    market.ledger.submit(reports.signed(*market.ground, report), found["signatures"], {"from": market.stranger})
    record = market.ledger.record(0).dict()
    assert (record["root"], record["digest"]) == (found["root"], found["digest"])
    market.complete(report)
    for leaf, proof in zip(report.leaves, found["proofs"], strict=True):
        assert market.ledger.verifyLeaf(0, plain(leaf), proof)
    wrong = [keccak(text="no"), *found["proofs"][0][1:]]
    assert not market.ledger.verifyLeaf(0, plain(report.leaves[0]), wrong)


def test_the_ledger_refuses_what_python_signed_for_another_report(market):
    report = market.next_report()
    market.end_of(0)
    done = python_side(market, reports.make_report(1))
    signed = reports.signed(*market.ground, report)
    found = refused(market.ledger.submit, signed, done["signatures"], sender=market.stranger)
    assert found[0] in ("NotMember", "SignersNotAscending")
