"""charge: what the ledger may take, and what it may not."""

import pytest
from brownie import web3

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused


def charges(*pairs):
    return sorted(((who.address, amount) for who, amount in pairs), key=lambda pair: int(pair[0], 16))


def test_refuses_everybody_but_the_ledger(market):
    for caller in (market.admin, market.alice, market.court):
        found = refused(market.escrow.charge, 0, [], sender=caller)
        assert found == ("NotLedger", str(caller).lower())


def test_refuses_a_charge_of_nothing(market, as_ledger):
    assert refused(market.escrow.charge, 0, charges((market.alice, 0)), sender=as_ledger) == ("ZeroAmount",)


def test_refuses_a_charge_above_the_cap_of_that_epoch(market, as_ledger):
    found = refused(market.escrow.charge, 0, charges((market.alice, 100 * PAY + 1)), sender=as_ledger)
    assert found == ("ChargeAboveCap", market.alice.address.lower(), 100 * PAY + 1, 100 * PAY)
    found = refused(market.escrow.charge, 0, charges((market.fresh, 1)), sender=as_ledger)
    assert found == ("ChargeAboveCap", market.fresh.address.lower(), 1, 0)


def test_refuses_a_charge_above_the_balance(market, as_ledger):
    market.escrow.setCap(5000 * PAY, {"from": market.alice})
    found = refused(market.escrow.charge, 0, charges((market.alice, 1000 * PAY + 1)), sender=as_ledger)
    assert found == ("ChargeAboveBalance", market.alice.address.lower(), 1000 * PAY + 1, 1000 * PAY)


def test_refuses_a_customer_twice_or_out_of_order(market, as_ledger):
    (first, _), (second, _) = charges((market.alice, 1), (market.bob, 1))
    found = refused(market.escrow.charge, 0, [(first, 50 * PAY), (first, 50 * PAY)], sender=as_ledger)
    assert found == ("ChargesNotAscending", first.lower(), first.lower())
    found = refused(market.escrow.charge, 0, [(second, 1), (first, 1)], sender=as_ledger)
    assert found == ("ChargesNotAscending", second.lower(), first.lower())


def test_refuses_a_whole_batch_for_one_customer_who_cannot_pay(market, as_ledger):
    batch = charges((market.alice, PAY), (market.bob, 50 * PAY + 1))
    assert refused(market.escrow.charge, 0, batch, sender=as_ledger)[0] == "ChargeAboveCap"
    assert market.escrow.totalBalances() == 1500 * PAY


def test_uses_the_cap_that_held_in_the_epoch_charged(market, as_ledger):
    market.escrow.setCap(1, {"from": market.alice})
    market.end_of(1)
    found = refused(market.escrow.charge, 2, charges((market.alice, 2)), sender=as_ledger)
    assert found == ("ChargeAboveCap", market.alice.address.lower(), 2, 1)
    for epoch in (0, 1):
        assert market.escrow.charge.call(epoch, charges((market.alice, 100 * PAY)), {"from": as_ledger}) == 100 * PAY


def test_uses_caps_of_long_ago_for_a_report_that_is_late(market, as_ledger):
    for epoch, cap in enumerate((90, 70, 60, 40, 20, 10)):
        market.escrow.setCap(cap * PAY, {"from": market.alice})
        market.end_of(epoch)
    for epoch, cap in enumerate((100, 100, 90, 70, 60, 40, 20, 10)):
        found = refused(market.escrow.charge, epoch, charges((market.alice, cap * PAY + 1)), sender=as_ledger)
        assert found == ("ChargeAboveCap", market.alice.address.lower(), cap * PAY + 1, cap * PAY)


def test_takes_exactly_what_is_charged_even_from_what_thaws(market, as_ledger):
    market.escrow.requestWithdrawal(980 * PAY, {"from": market.alice})
    held, at_ledger = market.payment_token.balanceOf(market.escrow), market.payment_token.balanceOf(as_ledger)
    total = market.escrow.totalBalances()
    tx = market.escrow.charge(0, charges((market.alice, 100 * PAY), (market.bob, 7)), {"from": as_ledger})
    assert tx.return_value == 100 * PAY + 7
    by_customer = {event["customer"]: event for event in tx.events["Charged"]}
    assert dict(by_customer[market.alice]) == {
        "customer": market.alice,
        "epoch": 0,
        "amount": 100 * PAY,
        "balanceAfter": 900 * PAY,
    }
    assert by_customer[market.bob]["balanceAfter"] == 500 * PAY - 7
    view = market.escrow.customer(market.alice).dict()
    assert (view["balance"], view["thawing"]) == (900 * PAY, 900 * PAY), "nobody has more thawing than balance"
    assert market.payment_token.balanceOf(market.escrow) == held - 100 * PAY - 7
    assert market.payment_token.balanceOf(as_ledger) == at_ledger + 100 * PAY + 7
    assert market.escrow.totalBalances() == total - 100 * PAY - 7
    market.wait(131)
    assert market.escrow.withdraw.call({"from": market.alice}) == 900 * PAY


def test_leaves_what_thaws_alone_while_the_rest_of_the_balance_pays(market, as_ledger):
    tx = market.escrow.requestWithdrawal(900 * PAY, {"from": market.alice})
    market.escrow.charge(0, charges((market.alice, 100 * PAY)), {"from": as_ledger})
    view = market.escrow.customer(market.alice).dict()
    assert (view["balance"], view["thawing"], view["thawedAt"]) == (900 * PAY, 900 * PAY, tx.timestamp + 130)


def test_a_charge_of_everything_ends_the_thaw(market, as_ledger):
    market.escrow.requestWithdrawal(1000 * PAY, {"from": market.alice})
    market.escrow.setCap(1000 * PAY, {"from": market.alice})
    market.escrow.charge(0, charges((market.alice, 1000 * PAY)), {"from": as_ledger})
    assert tuple(market.escrow.customer(market.alice))[:3] == (0, 0, 0)
    assert refused(market.escrow.withdraw, sender=market.alice) == ("NothingThawing", market.alice.address.lower())


def test_takes_nothing_for_an_empty_batch(market, as_ledger):
    tx = market.escrow.charge(0, [], {"from": as_ledger})
    assert tx.return_value == 0 and "Charged" not in tx.events and "Transfer" not in tx.events


@pytest.mark.parametrize("amount", [1, 2, PAY - 1])
def test_charges_dust_to_the_unit(market, as_ledger, amount):
    market.escrow.charge(0, charges((market.bob, amount)), {"from": as_ledger})
    assert market.escrow.customer(market.bob)["balance"] == 500 * PAY - amount


def test_charges_1000_customers_within_a_block_at_12000_gas_each_at_most(market, built, as_ledger, capsys):
    crowd = built.Crowd.deploy({"from": market.fresh})
    market.payment_token.transfer(crowd, 1000 * PAY, {"from": market.fresh})
    gather = {"from": market.fresh.address, "to": crowd.address, "gas": 20_000_000, "gasPrice": 0}
    for _ in range(10):
        # the node's word is waited for: brownie gives up on a block that takes long
        sent = web3.eth.send_transaction(gather | {"data": crowd.gather.encode_input(market.escrow, 100, PAY, PAY)})
        assert web3.eth.wait_for_transaction_receipt(sent)["status"] == 1
    people = sorted(crowd.people(), key=lambda address: int(address, 16))
    assert len(people) == 1000 and market.escrow.customerCount() == 1002
    total, held = market.escrow.totalBalances(), market.payment_token.balanceOf(as_ledger)
    batch = [(who, PAY // 2 + i) for i, who in enumerate(people)]
    charged = sum(amount for _, amount in batch)
    # as the ledger does it: two chunks, one after the other
    first = market.escrow.charge(0, batch[:500], {"from": as_ledger})
    second = market.escrow.charge(0, batch[500:], {"from": as_ledger})
    assert first.return_value + second.return_value == charged
    assert market.escrow.totalBalances() == total - charged
    assert market.payment_token.balanceOf(as_ledger) == held + charged
    assert [market.escrow.customer(who)["balance"] for who in people[::333]] == [
        PAY // 2 - i for i in range(0, 1000, 333)
    ]
    with capsys.disabled():
        print(f"\n    charge, per customer of 500 {second.gas_used // 500:>9,} gas")
    assert max(first.gas_used, second.gas_used) <= 500 * 12_000
    assert first.gas_used + second.gas_used <= 30_000_000, "a block of any chain in use"
