"""reportDigest, structHash, domainSeparator: the words that verifiers sign."""

from eth_utils import keccak

from tests.contracts.support import reports
from tests.contracts.support.market import PAY
from tests.contracts.support.reports import make_leaf, plain


def full(market):
    return market.next_report(
        [make_leaf(market.small, 60 * PAY, PAY, 3, keccak(text="harmed")), make_leaf(market.large, 1)],
        charges={market.alice: 70 * PAY, market.bob: 3},
        credits={(market.alice, market.small): 4 * PAY},
        payees={market.verifier_accounts[0]: PAY},
        treasury=PAY,
        from_fund=PAY,
    )


def test_agrees_with_a_general_typed_data_encoder(market):
    for report in (full(market), market.next_report()):
        assert market.ledger.structHash(plain(report)) == "0x" + reports.struct_hash(*market.ground, report).hex()
        assert market.ledger.reportDigest(plain(report)) == "0x" + reports.digest(*market.ground, report).hex()


def test_binds_the_domain_to_this_chain_and_this_ledger(market):
    header = reports.typed_data(*market.ground, market.next_report()).header
    assert market.ledger.domainSeparator() == "0x" + header.hex()
    fields = market.ledger.eip712Domain()
    assert tuple(fields)[1:5] == ("Bonded", "1", market.ground[0], market.ledger.address)


def test_tells_its_links(market):
    ledger = market.ledger
    assert ledger.paymentToken() == market.payment_token and ledger.escrow() == market.escrow
    assert ledger.verifiers() == market.verifiers and ledger.treasury() == market.admin
    assert ledger.authority() == market.authority
    assert (ledger.slotSeconds(), ledger.slotsPerEpoch(), ledger.reportDelay(), ledger.activationDelay()) == (
        1,
        60,
        0,
        4,
    )
