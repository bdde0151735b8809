"""reportDigest, structHash, domainSeparator, leafHash: the words that verifiers sign, and the links of the ledger."""

from dataclasses import replace

import pytest
from eth_utils import keccak

from contracts.types import Harm
from tests.contracts.support import reports
from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import deployment_refused
from tests.contracts.support.reports import make_leaf

LINKS = ("clock", "paymentToken", "escrow", "verifiers", "delegation", "treasury", "challengeCourt", "guardian")


def full(market):
    report = market.next_report(
        [make_leaf(market.small, 60 * PAY, PAY, 3, standing=1, strikes=2), make_leaf(market.large, 1)],
        charges={market.alice: 70 * PAY, market.bob: 3},
        credits={(market.alice, market.small): 4 * PAY},
        payees={market.verifier_accounts[0]: PAY},
        pools={market.small: 5},
        harms={market.small: keccak(text="pages")},
        treasury=PAY,
        from_fund=PAY,
    )
    return replace(report, measurements=keccak(text="measured"))


def test_agrees_with_a_general_typed_data_encoder(market):
    for report in (full(market), market.next_report()):
        signed = reports.signed(*market.ground, report)
        assert market.ledger.structHash(signed) == "0x" + reports.struct_hash(*market.ground, report).hex()
        assert market.ledger.reportDigest(signed) == "0x" + reports.digest(*market.ground, report).hex()


def test_every_field_of_a_report_changes_what_is_signed(market):
    signed = list(reports.signed(*market.ground, full(market)))
    seen = {str(market.ledger.structHash(tuple(signed)))}
    for place, value in enumerate(signed):
        if isinstance(value, int):
            altered = value + 1
        elif isinstance(value, bytes):
            altered = keccak(value)
        elif place == 7:
            altered = (*value[:8], value[8] + 1)
        else:
            provider, root = value[0]
            altered = [(provider, keccak(root))]
        seen.add(str(market.ledger.structHash((*signed[:place], altered, *signed[place + 1 :]))))
    assert len(seen) == len(signed) + 1 == 14


def test_binds_the_domain_to_this_chain_and_this_ledger(market):
    header = reports.typed_data(*market.ground, market.next_report()).header
    assert market.ledger.domainSeparator() == "0x" + header.hex()


def test_binds_a_leaf_to_its_epoch(market):
    leaf = make_leaf(market.small, 1, 2, 3, strikes=4, standing=2, ttft_p95_bucket=5, measured=False)
    hashes = {str(market.ledger.leafHash(epoch, reports.plain(leaf))) for epoch in (0, 1, 2**64 - 1)}
    assert hashes == {"0x" + reports.leaf_hash(*market.ground, epoch, leaf).hex() for epoch in (0, 1, 2**64 - 1)}
    assert len(hashes) == 3


def test_a_harm_is_looked_up_by_the_report_that_names_it(market):
    harms = (
        Harm(market.small.address.lower(), keccak(text="one")),
        Harm(market.large.address.lower(), keccak(text="two")),
    )
    ordered = tuple(sorted(harms, key=lambda harm: harm.provider))
    first = replace(market.next_report(), harms=ordered)
    market.submit(first)
    market.submit(market.next_report())
    for harm in harms:
        assert market.ledger.harmedRoot(0, harm.provider) == "0x" + harm.root.hex()
        assert market.ledger.harmedRoot(1, harm.provider) == "0x" + bytes(32).hex()


def test_tells_its_links(market):
    ledger = market.ledger
    expected = (
        market.clock,
        market.payment_token,
        market.escrow,
        market.verifiers,
        market.delegation,
        market.admin,
        market.challenges,
        market.guardian,
    )
    assert [getattr(ledger, name)() for name in LINKS] == [one.address for one in expected]


@pytest.mark.parametrize("place", range(len(LINKS)), ids=LINKS)
def test_refuses_to_be_deployed_without_a_link(market, built, place):
    links = [getattr(market.ledger, name)() for name in LINKS]
    links[place] = "0x" + "00" * 20
    found = deployment_refused(built.EpochLedger, *links, sender=market.admin)
    assert found == ("ZeroAddress", LINKS[place])


def test_its_code_fits_the_limit_of_every_chain(built):
    assert len(bytes.fromhex(built.EpochLedger._build["deployedBytecode"])) < 24_576
