"""What the acts of an epoch cost, printed as a table and held below limits."""

from dataclasses import replace

from brownie import accounts

from tests.contracts.support.market import PAY, STAKE
from tests.contracts.support.reports import harmed_digest, make_leaf, plain

# the limit of each act: what was measured when it was written, and a tenth more
LIMITS = {
    "stake": 67_000,
    "unbond": 166_000,
    "deposit": 67_000,
    "setCap, lowered": 67_000,
    "submit, empty": 362_000,
    "submit, per provider": 9_500,
    "submit, per charge": 22_200,
    "submit, per credit": 2_650,
    "activate, empty": 77_500,
    "activate, per credit": 12_900,
    "claim, first, tree of 100": 138_500,
    "claim, later, tree of 100": 82_100,
    "propose": 321_500,
    "execute, one customer": 301_200,
}


def busy_leaf(number, incentive, level=1):
    """Return a leaf in which every field is in use, as calldata is cheaper where it is zero."""
    provider = "0x" + f"{(number + 1) * 0x0123456789ABCDEF0123456789ABCDEF:040x}"[-40:]
    leaf = make_leaf(provider, incentive=incentive, level=level, harmed=harmed_digest([provider], [1]))
    return replace(leaf, uptime_ppm=987_654, ttft_p95_bucket=9, success_ppm=998_877, score_ppm=956_789, strikes=2)


def test_the_acts_of_an_epoch_stay_below_their_limits(market, capsys):
    gas = {
        "stake": market.staking.stake(STAKE, {"from": market.small}).gas_used,
        "unbond": market.staking.unbond(STAKE, {"from": market.small}).gas_used,
        "deposit": market.escrow.deposit(market.alice, PAY, {"from": market.alice}).gas_used,
        "setCap, lowered": market.escrow.setCap(99 * PAY, {"from": market.alice}).gas_used,
    }
    crowd = [accounts.at("0x" + f"{(i + 1) << 80:040x}", force=True) for i in range(20)]
    for customer in crowd:
        market.escrow.deposit(customer, 90 * PAY, {"from": market.stranger})
        market.escrow.setCap(20 * PAY, {"from": customer})

    def settle(leaves, charges=None, credits=None):
        """Return the report and the gas of its submission and its activation."""
        report = market.next_report(leaves, charges=charges or {}, credits=credits or {})
        submitted = market.submit(report).gas_used
        return report, submitted, market.activate(report).gas_used

    _, gas["submit, empty"], gas["activate, empty"] = settle([])
    fifty = [busy_leaf(i, 40_000) for i in range(50)]
    _, few, _ = settle(fifty)
    hundred = [busy_leaf(i, 40_000) for i in range(100)]
    first, many, quiet = settle(hundred)
    gas["submit, per provider"] = (many - few) // 50
    provider = first.leaves[40].provider
    gas["claim, first, tree of 100"] = market.ledger.claim(
        *market.claim_arguments(first, provider), {"from": market.stranger}
    ).gas_used
    more = [replace(leaf, cumulative_incentive=50_000) for leaf in hundred]
    charges = {customer: 10 * PAY for customer in crowd}
    credits = {(customer, market.small): PAY for customer in crowd}
    second, charged, _ = settle(more, charges)
    gas["submit, per charge"] = (charged - many) // 20
    _, returned, credited = settle(more, charges, credits)
    gas["submit, per credit"] = (returned - charged) // 20
    gas["activate, per credit"] = (credited - quiet) // 20
    gas["claim, later, tree of 100"] = market.ledger.claim(
        *market.claim_arguments(second, provider), {"from": market.stranger}
    ).gas_used

    leaf = make_leaf(market.large, level=4, harmed=harmed_digest([market.alice], [1]))
    last, _, _ = settle([*more, leaf])
    arguments = market.slash_arguments(last, market.large, [market.alice], [1])
    gas["propose"] = market.court.propose(*arguments, {"from": market.stranger}).gas_used
    market.wait(7)
    gas["execute, one customer"] = market.court.execute(
        1, [market.alice.address], [1], {"from": market.stranger}
    ).gas_used

    with capsys.disabled():
        print("\n\n" + "\n".join(f"    {name:<28}{used:>9,} gas" for name, used in gas.items()))
    assert plain(last.totals)[0] == 0
    assert gas.keys() == LIMITS.keys()
    assert {name: used for name, used in gas.items() if used > LIMITS[name]} == {}
