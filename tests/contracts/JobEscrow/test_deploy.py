"""The constructor: what it refuses to be deployed with."""

from tests.contracts.adversarial_tokens.alone import ledger_for, next_address
from tests.contracts.support.refusals import deployment_refused

ZERO = "0x" + "00" * 20
MONTH = 30 * 24 * 3600


def arguments(market, **others):
    links = {
        "payment": market.payment_token,
        "stake": market.stake_token,
        "clock": market.clock,
        "ledger": market.ledger,
        "court": market.court,
        "guardian": market.guardian,
    }
    return *(links | others).values(), (130,)


def test_refuses_an_address_that_is_not_known(market, built):
    for link in ("clock", "court", "guardian"):
        found = deployment_refused(built.JobEscrow, *arguments(market, **{link: ZERO}), sender=market.admin)
        assert found == ("ZeroAddress", link)
    found = deployment_refused(built.JobEscrow, *arguments(market, ledger=ZERO), sender=market.admin)
    assert found == ("ZeroAddress", "epochLedger")


def test_refuses_a_token_without_code_at_its_address(market, built):
    nobody = market.fresh.address
    found = deployment_refused(built.JobEscrow, *arguments(market, payment=nobody), sender=market.admin)
    assert found == ("NoToken", "paymentToken", nobody.lower())
    found = deployment_refused(built.JobEscrow, *arguments(market, stake=nobody), sender=market.admin)
    assert found == ("NoToken", "stakeToken", nobody.lower())


def test_refuses_an_address_the_ledger_does_not_know(market, built, deploy_script):
    at = next_address(deploy_script, market.stranger)
    found = deployment_refused(built.JobEscrow, *arguments(market), sender=market.stranger)
    assert found == ("WrongLink", "ledger.escrow", market.escrow.address.lower(), at.lower())


def test_refuses_another_token_or_clock_than_the_ledgers(market, built, deploy_script):
    ledger = ledger_for(market, built, market.payment_token, next_address(deploy_script, market.admin, ahead=1))
    links = {"payment": market.stake_token, "ledger": ledger}
    found = deployment_refused(built.JobEscrow, *arguments(market, **links), sender=market.admin)
    assert found[:2] == ("WrongLink", "ledger.paymentToken")
    links = {"clock": market.ledger, "ledger": ledger}
    found = deployment_refused(built.JobEscrow, *arguments(market, **links), sender=market.admin)
    assert found == ("WrongLink", "ledger.clock", market.clock.address.lower(), market.ledger.address.lower())


def test_refuses_a_thaw_shorter_than_an_epoch_takes_to_be_charged(market, built, deploy_script):
    ledger = ledger_for(market, built, market.payment_token, next_address(deploy_script, market.admin, ahead=1))
    links = arguments(market, ledger=ledger)[:-1]
    for thaw in (71, MONTH + 1):
        found = deployment_refused(built.JobEscrow, *links, (thaw,), sender=market.admin)
        assert found == ("OutOfBounds", "thawSeconds", thaw, 72, MONTH)
    escrow = built.JobEscrow.deploy(*links, (72,), {"from": market.admin})
    assert escrow == ledger.escrow() and escrow.thawSeconds() == 72


def test_counts_the_report_delay_into_what_a_thaw_must_outlast(market, built, deploy_script):
    sender = {"from": market.admin}
    rules, limits = tuple(market.clock.rules()), tuple(market.clock.limits())
    clock = built.EpochClock.deploy(market.authority, (1, 60, 4, 40), rules, limits, sender)
    at = next_address(deploy_script, market.admin, ahead=1)
    ledger = ledger_for(market, built, market.payment_token, at, clock)
    links = arguments(market, ledger=ledger, clock=clock)[:-1]
    found = deployment_refused(built.JobEscrow, *links, (119,), sender=market.admin)
    assert found == ("OutOfBounds", "thawSeconds", 119, 120, MONTH)
