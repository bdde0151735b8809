"""measureHardware: what a quorum of verifiers found replaces what was declared."""

from eth_account import Account

from tests.contracts.support.market import CPU, JAIL_UNTIL_MEASURED, STAKE, T4, VERIFIER_KEYS
from tests.contracts.support.refusals import refused
from tests.contracts.support.statements import sign

A100 = 4


def signed(market, provider, epoch, hardware_class, units, numbers=(0, 1), ledger=None):
    """Return the arguments of `measureHardware` with signatures of these verifiers in ascending order."""
    values = (str(provider).lower(), epoch, hardware_class, units)
    keys = sorted((VERIFIER_KEYS[i] for i in numbers), key=lambda key: int(Account.from_key(key).address, 16))
    return *values, [sign(key, ledger or market.ledger.address, "Hardware", values) for key in keys]


def measure(market, provider, epoch, hardware_class, units):
    """Measure; checks that hardware and requirement change and nothing else does."""
    before = market.staking.provider(provider).dict()
    arguments = signed(market, provider, epoch, hardware_class, units)
    tx = market.staking.measureHardware(*arguments, {"from": market.stranger})
    after = market.staking.provider(provider).dict()
    assert (after["hardwareClass"], after["units"]) == (hardware_class, units)
    assert after["requiredStake"] == market.staking.requiredStake(hardware_class, units)
    changed = {name for name in after if after[name] != before[name]}
    assert changed <= {"hardwareClass", "units", "weight", "requiredStake"}
    event = tx.events["HardwareMeasured"]
    assert (event["provider"], event["epoch"]) == (provider, epoch)
    assert (event["hardwareClass"], event["units"]) == (hardware_class, units)
    return tx


def refusal(market, *arguments):
    return refused(market.staking.measureHardware, *arguments, sender=market.stranger)


def test_refuses_who_is_no_provider(market):
    found = refusal(market, *signed(market, market.fresh, 0, T4, 1))
    assert found == ("NotRegistered", str(market.fresh).lower())


def test_refuses_hardware_that_nobody_can_declare(market):
    assert refusal(market, *signed(market, market.small, 0, 6, 1)) == ("UnknownHardwareClass", 6, 5)
    assert refusal(market, *signed(market, market.small, 0, T4, 0)) == ("OutOfBounds", "units", 0, 1, 10_000)
    assert refusal(market, *signed(market, market.small, 0, T4, 10_001)) == ("OutOfBounds", "units", 10_001, 1, 10_000)


def test_refuses_an_epoch_that_has_not_begun(market):
    assert refusal(market, *signed(market, market.small, 1, T4, 1)) == ("OutOfBounds", "epoch", 1, 0, 0)


def test_refuses_less_than_a_quorum_and_the_same_verifier_twice(market):
    assert refusal(market, *signed(market, market.small, 0, T4, 1, (0,))) == ("TooFewSigners", 1, 2)
    name, before, signer = refusal(market, *signed(market, market.small, 0, T4, 1, (0, 0)))
    assert name == "SignersNotAscending" and before == signer


def test_refuses_signatures_in_another_order(market):
    *values, signatures = signed(market, market.small, 0, T4, 1)
    assert refusal(market, *values, signatures[::-1])[0] == "SignersNotAscending"


def test_refuses_who_is_no_verifier(market):
    arguments = signed(market, market.small, 0, T4, 1, (0, 3))
    assert refusal(market, *arguments) == ("NotMember", market.verifier_accounts[3].address.lower())


def test_refuses_a_signature_that_was_given_for_something_else(market):
    for arguments in (
        signed(market, market.large, 0, T4, 1),
        signed(market, market.small, 0, T4, 2),
        signed(market, market.small, 0, A100, 1),
        signed(market, market.small, 0, T4, 1, ledger=market.staking.address),
    ):
        found = refusal(market, str(market.small).lower(), 0, T4, 1, arguments[-1])
        assert found[0] in ("NotMember", "SignersNotAscending")


def test_refuses_a_signature_of_another_form(market):
    *values, signatures = signed(market, market.small, 0, T4, 1)
    r, s, v = signatures[0][:32], int.from_bytes(signatures[0][32:64], "big"), signatures[0][64]
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    flipped = r + (order - s).to_bytes(32, "big") + bytes([55 - v])
    assert refusal(market, *values, [flipped, signatures[1]])[0] == "ECDSAInvalidSignatureS"
    assert refusal(market, *values, [signatures[0][:64], signatures[1]])[0] == "ECDSAInvalidSignatureLength"
    assert refusal(market, *values, [bytes(65), signatures[1]])[0] == "ECDSAInvalidSignature"


def test_refuses_an_older_measurement_and_another_of_the_same_epoch(market):
    market.wait_until(market.clock.epochStart(2))
    measure(market, market.small, 1, T4, 1)
    assert refusal(market, *signed(market, market.small, 1, CPU, 1)) == ("MeasurementTooOld", 1, 1)
    assert refusal(market, *signed(market, market.small, 0, CPU, 1)) == ("MeasurementTooOld", 0, 1)
    measure(market, market.small, 2, CPU, 1)


def test_raises_the_required_stake_at_once(market):
    measure(market, market.small, 0, A100, 2)
    assert market.staking.provider(market.small)["requiredStake"] == 200 * 11 * STAKE
    assert not market.staking.isActive(market.small)
    market.staking.stake(1900 * STAKE, {"from": market.small})
    assert market.staking.isActive(market.small)


def test_lists_a_provider_whose_stake_reaches_the_lowered_requirement(market):
    market.register(market.fresh, T4, 4)
    market.staking.stake(400 * STAKE, {"from": market.fresh})
    assert market.staking.providerCount() == 2 and not market.staking.isActive(market.fresh)
    tx = measure(market, market.fresh, 0, T4, 1)
    assert tx.events["ProviderListed"] == {"provider": market.fresh, "index": 2}
    assert market.staking.isActive(market.fresh) and market.staking.providerAt(2) == market.fresh


def test_lets_a_provider_that_was_jailed_for_its_hardware_come_back_with_what_it_has(market, as_court):
    market.staking.slash(market.large, 60 * STAKE, JAIL_UNTIL_MEASURED, {"from": as_court})
    assert refused(market.staking.unjail, sender=market.large)[0] == "InsufficientStake"
    market.wait_until(market.clock.epochStart(1))
    measure(market, market.large, 1, T4, 1)
    market.staking.unjail({"from": market.large})
    assert market.staking.isActive(market.large)


def test_works_while_paused(market):
    market.pause()
    measure(market, market.small, 0, T4, 1)
