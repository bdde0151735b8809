"""What can be read of providers."""

from tests.contracts.support.market import STAKE
from tests.contracts.support.refusals import refused

H100 = 5


def test_weighs_hardware_classes_as_published(market):
    assert [market.staking.classWeight(i) for i in range(6)] == [0, 1, 2, 2, 5, 10]
    assert refused(market.staking.classWeight, 6, sender=market.stranger) == ("UnknownHardwareClass", 6, 5)
    assert market.staking.requiredStake(H100, 8) == 200 * STAKE * 81
    assert market.staking.requiredStake(0, 10_000) == 200 * STAKE


def test_pages_through_the_list_and_stops_at_its_end(market):
    addresses, views = market.staking.providers(0, 100)
    assert addresses == [market.small, market.large]
    assert views[0] == market.staking.provider(market.small)
    assert market.staking.providers(1, 1)[0] == [market.large]
    assert market.staking.providers(1, 2**256 - 1)[0] == [market.large]
    assert market.staking.providers(2, 1) == ((), ())
    assert market.staking.providers(2**256 - 1, 2**256 - 1) == ((), ())
    assert [market.staking.providerAt(i) for i in range(market.staking.providerCount())] == list(addresses)


def test_shows_nothing_of_a_stranger(market):
    view = market.staking.provider(market.fresh).dict()
    assert view["status"] == 0 and view["requiredStake"] == 0 and view["weight"] == 0
    assert not market.staking.isActive(market.fresh)
    assert market.staking.unbonds(market.fresh) == [] and market.staking.withdrawable(market.fresh) == 0


def test_tells_its_links_and_parameters(market):
    staking = market.staking
    links = {
        "stakeToken": market.stake_token,
        "clock": market.clock,
        "epochLedger": market.ledger,
        "court": market.court,
        "delegation": market.delegation,
        "verifiers": market.verifiers,
        "guardian": market.guardian,
    }
    assert {name: getattr(staking, name)() for name in links} == links
    assert (staking.unbondingSeconds(), staking.baseStake()) == (120, 200 * STAKE)
    assert (staking.noticeSeconds(), staking.maintenanceSeconds()) == (10, 600)
