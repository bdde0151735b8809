"""Stake, own and delegated, through any order of acts, mirrored in plain numbers.

Every act is either carried out by contracts and mirror alike or refused with the error that the mirror expects. After
each of them all that can be read of providers, exits, pools, positions and tokens is compared, to the unit.
"""

from brownie.test import state_machine, strategy
from hypothesis import Phase

from tests.contracts.stateful.stake_mirror import MOST_EXITS, SCALE, Provider
from tests.contracts.support.market import JAIL, NOTHING, STAKE
from tests.contracts.support.refusals import refused

REQUIRED = {0: 200 * STAKE, 1: 600 * STAKE}


class StakingMachine:
    """Two providers, two delegators, a court and a ledger that act as those contracts do."""

    st_provider = strategy("uint8", max_value=1)
    st_who = strategy("uint8", max_value=1)
    st_amount = strategy("uint256", max_value=400 * STAKE)
    st_dust = strategy("uint8", max_value=3)
    st_ppm = strategy("uint32", min_value=1, max_value=1_000_000)
    st_reward = strategy("uint64", max_value=10**9)
    st_time = strategy("uint8", min_value=1, max_value=70)
    st_jail = strategy("bool")

    def __init__(self, market, court, ledger):
        self.market, self.court, self.ledger = market, court, ledger
        self.staking, self.delegation = market.staking, market.delegation
        self.names, self.people = [market.small, market.large], [market.dora, market.egon]
        market.payment_token.approve(market.delegation, 2**255, {"from": ledger})
        market.payment_token.mint(ledger, 10**15, {"from": ledger})

    def setup(self):
        self.providers = [Provider(300 * STAKE), Provider(600 * STAKE)]
        self.rewards = 0
        self.reached = set()
        for p, name in zip(self.providers, self.names, strict=True):
            for who in self.people:
                p.position(who).shares = p.bonded.enter(7 * STAKE + 1)
                self.delegation.delegate(name, 7 * STAKE + 1, {"from": who})

    def _begin(self, st_provider):
        """Decide the second of the next act, for contract and mirror alike, and for what is refused."""
        self.market.wait(1)
        now = self.market.now()
        self.market.next_block_at(now)
        return self.providers[st_provider], self.names[st_provider], now

    # --------------------------------------------------------------------------------------------------- own stake

    def rule_stake(self, st_provider, st_amount, st_dust):
        amount = st_dust or st_amount
        p, name, _ = self._begin(st_provider)
        if amount == 0:
            assert refused(self.staking.stake, 0, sender=name) == ("ZeroAmount",)
            return
        self.staking.stake(amount, {"from": name})
        p.stake += amount

    def rule_unbond(self, st_provider, st_ppm, st_dust):
        p, name, now = self._begin(st_provider)
        amount = st_dust or p.stake * st_ppm // 1_000_000
        empty = self.market.risk(name)
        if amount == 0:
            assert refused(self.staking.unbond, 0, empty, sender=name) == ("ZeroAmount",)
        elif amount > p.stake:
            found = refused(self.staking.unbond, amount, empty, sender=name)
            assert found == ("InsufficientStake", p.stake, amount)
        elif len([one for one in p.exits if one.release > now]) == MOST_EXITS:
            assert refused(self.staking.unbond, amount, empty, sender=name) == ("TooManyUnbonds", 10, 10)
            self.reached.add("ten unbonds")
        else:
            p.unbond(amount, now)
            assert self.staking.unbond(amount, empty, {"from": name}).return_value == p.exits[-1].id

    def rule_unbond_dust_again(self, st_provider, st_dust):
        for _ in range(2):
            self.rule_unbond(st_provider, 1, st_dust + 1)

    def rule_rebond(self, st_provider, st_ppm, st_dust):
        if not self.providers[st_provider].exits:
            self.rule_unbond(st_provider, st_ppm, 0)
        p, name, now = self._begin(st_provider)
        p.mature(now)
        amount = st_dust or p.pool.tokens * st_ppm // 1_000_000
        if amount == 0:
            assert refused(self.staking.rebond, 0, sender=name) == ("ZeroAmount",)
        elif amount > p.pool.tokens:
            found = refused(self.staking.rebond, amount, sender=name)
            assert found == ("InsufficientUnbonding", p.pool.tokens, amount)
        else:
            self.staking.rebond(amount, {"from": name})
            p.rebond(amount)
            self.reached.add("rebond")

    def rule_withdraw(self, st_provider):
        p, name, now = self._begin(st_provider)
        p.mature(now)
        if p.matured == 0:
            release = p.exits[0].release if p.exits else 0
            assert refused(self.staking.withdraw, sender=name) == ("NothingToWithdraw", release)
            if not release:
                return
            self.market.wait_until(release)
            p.mature(release)
        assert self.staking.withdraw({"from": name}).return_value == p.matured
        p.matured = 0
        self.reached.add("withdraw")

    def rule_unjail(self, st_provider):
        p, name, _ = self._begin(st_provider)
        if not p.jailed:
            assert refused(self.staking.unjail, sender=name) == ("NotJailed", name.address.lower())
        elif p.stake < REQUIRED[st_provider]:
            found = refused(self.staking.unjail, sender=name)
            assert found == ("InsufficientStake", p.stake, REQUIRED[st_provider])
        else:
            self.staking.unjail({"from": name})
            p.jailed = False

    def rule_slash_a_part(self, st_provider, st_ppm, st_jail):
        self._slash(st_provider, st_ppm * st_ppm, st_jail)

    def rule_slash_nearly_all(self, st_provider, st_dust):
        self._slash(st_provider, 10**12, False, short_by=st_dust)

    def _slash(self, st_provider, of_a_trillion, jail, short_by=0):
        p, name, now = self._begin(st_provider)
        p.mature(now)
        p.mature_batches(now)
        there = p.stake + p.pool.tokens + p.bonded.tokens + p.unbonding_behind()
        amount = max(0, there * of_a_trillion // 10**12 - short_by)
        if p.stake + p.pool.tokens < amount:
            self.reached.add("delegation slashed")
        taken = p.slash(amount, now)
        assert (
            self.staking.slash(name, amount, JAIL if jail else NOTHING, {"from": self.court}).return_value
            == taken
            == amount
        )
        p.jailed = p.jailed or jail

    # -------------------------------------------------------------------------------------------------- delegators

    def rule_delegate(self, st_provider, st_who, st_amount, st_dust):
        amount = st_dust or st_amount
        p, name, _ = self._begin(st_provider)
        who = self.people[st_who]
        if amount == 0:
            assert refused(self.delegation.delegate, name, 0, sender=who) == ("ZeroAmount",)
        elif p.jailed:
            assert refused(self.delegation.delegate, name, amount, sender=who) == ("NotActive", name.address.lower())
        elif p.bonded.tokens + amount > 16 * p.stake:
            found = refused(self.delegation.delegate, name, amount, sender=who)
            assert found == ("DelegationAboveLimit", p.bonded.tokens + amount, 16 * p.stake)
        else:
            position = p.settled(who)
            shares = p.bonded.enter(amount)
            position.shares += shares
            assert self.delegation.delegate(name, amount, {"from": who}).return_value == shares

    def rule_undelegate(self, st_provider, st_who, st_ppm, st_dust):
        p, name, now = self._begin(st_provider)
        who = self.people[st_who]
        held = p.position(who).shares
        shares = st_dust or held * st_ppm // 1_000_000
        call = (self.delegation.undelegate, name, shares)
        release = -(-(now + 120) // 15) * 15
        if shares == 0:
            assert refused(*call, sender=who) == ("ZeroAmount",)
        elif shares > held:
            assert refused(*call, sender=who) == ("InsufficientShares", held, shares)
        elif p.bonded.worth(shares) == 0:
            assert refused(*call, sender=who) == ("AmountTooSmall", shares)
            self.reached.add("too small")
        elif len(p.position(who).exits) == MOST_EXITS and not self._merges(p, who, release):
            assert refused(*call, sender=who) == ("TooManyExits", 10, 10)
        else:
            p.undelegate(who, shares, now)
            assert self.delegation.undelegate(name, shares, {"from": who}).return_value == p.open[-1]
            assert len(p.open) <= 9

    def _merges(self, p, who, release):
        last = p.position(who).exits[-1][0]
        return p.open and p.open[-1] == last and p.batches[last].release == release

    def rule_withdraw_delegation(self, st_provider, st_who):
        who = self.people[st_who]
        if not self.providers[st_provider].position(who).exits:
            self.rule_undelegate(st_provider, st_who, 700_000, 0)
        p, name, now = self._begin(st_provider)
        if not p.gone(who, now):
            exits = p.position(who).exits
            release = p.batches[exits[0][0]].release if exits else 0
            found = refused(self.delegation.withdraw, name, sender=who)
            assert found == ("NothingToWithdraw", release)
            if not release:
                return
            self.market.wait_until(release)
            now = release
        paid = p.withdraw_behind(who, now)
        assert self.delegation.withdraw(name, {"from": who}).return_value == paid
        self.reached.add("withdraw behind")

    def rule_reward(self, st_provider, st_reward):
        p, name, _ = self._begin(st_provider)
        if st_reward == 0:
            assert refused(self.delegation.reward, [(name, 0)], sender=self.ledger) == ("ZeroAmount",)
            return
        if p.bonded.shares:
            p.earned += st_reward * SCALE // p.bonded.shares
        else:
            p.position(name).rewards += st_reward
        self.rewards += st_reward
        self.delegation.reward([(name, st_reward)], {"from": self.ledger})

    def rule_claim(self, st_provider, st_who):
        who = self.people[st_who]
        if self.providers[st_provider].position(who).shares:
            self.rule_reward(st_provider, 10**9)
        p, name, _ = self._begin(st_provider)
        position = p.settled(who)
        if position.rewards == 0:
            found = refused(self.delegation.claimRewards, name, sender=who)
            assert found == ("NothingToClaim", who.address.lower())
            return
        assert self.delegation.claimRewards(name, {"from": who}).return_value == position.rewards
        self.rewards -= position.rewards
        position.rewards = 0
        self.reached.add("claim")

    def rule_mature(self, st_provider):
        p, name, now = self._begin(st_provider)
        p.mature_batches(now)
        self.delegation.mature(name, {"from": self.market.stranger})

    def rule_wait(self, st_time):
        self.market.wait(st_time)

    # -------------------------------------------------------------------------------------------------- invariants

    def invariant_providers_and_their_exits_are_as_mirrored(self):
        now = self.market.now()
        for p, name in zip(self.providers, self.names, strict=True):
            pool, matured, rows = type(p.pool)(p.pool.tokens, p.pool.shares), p.matured, []
            for one in p.exits:
                ripe = one.release <= now
                rows.append((one.id, pool.worth(one.shares), one.release, ripe))
                if ripe:
                    matured += pool.leave(one.shares)
            view = self.staking.provider(name).dict()
            assert (view["stake"], view["unbonding"], view["slashedTotal"]) == (p.stake, pool.tokens, p.slashed)
            assert view["status"] == (2 if p.jailed else 1)
            assert [tuple(row) for row in self.staking.unbonds(name)] == rows
            assert self.staking.withdrawable(name) == matured

    def invariant_pools_and_positions_are_as_mirrored(self):
        now = self.market.now()
        for p, name in zip(self.providers, self.names, strict=True):
            leaving = sum(p.batches[i].pool.tokens for i in p.open if p.batches[i].release > now)
            pool = self.delegation.pool(name)
            assert tuple(pool[:3]) == (p.bonded.tokens, p.bonded.shares, leaving)
            for who in (*self.people, name):
                position = p.position(who)
                worth = [(p.batches[i].release, p.batches[i].pool.worth(shares)) for i, shares in position.exits]
                waiting = [one for one in worth if one[0] > now]
                assert self.delegation.position(name, who) == (
                    position.shares,
                    p.bonded.worth(position.shares),
                    sum(amount for _, amount in waiting),
                    sum(amount for release, amount in worth if release <= now),
                    min((release for release, amount in waiting if amount), default=0),
                    p.due(who),
                )

    def invariant_no_share_is_worth_more_than_a_unit(self):
        for p in self.providers:
            for pool in (p.pool, p.bonded, *(batch.pool for batch in p.batches)):
                assert pool.tokens <= pool.shares
            assert (p.pool.tokens == 0) == (p.pool.shares == 0) and (p.bonded.tokens == 0) == (p.bonded.shares == 0)

    def invariant_tokens_are_as_mirrored(self):
        own = sum(p.stake + p.pool.tokens + p.matured for p in self.providers)
        behind = sum(p.bonded.tokens + p.unbonding_behind() + p.delegations_matured for p in self.providers)
        assert self.market.stake_token.balanceOf(self.staking) == own
        assert self.staking.totalStake() == sum(p.stake for p in self.providers)
        assert self.market.stake_token.balanceOf(self.delegation) == behind
        assert self.delegation.totalDelegated() == sum(p.bonded.tokens for p in self.providers)
        assert self.market.payment_token.balanceOf(self.delegation) == self.delegation.totalRewards() == self.rewards

    def teardown(self):
        type(self).ever = getattr(type(self), "ever", set()) | self.reached

    def teardown_final(self):
        if self._failed:
            return
        expected = {"rebond", "withdraw", "delegation slashed", "withdraw behind", "claim"}
        assert expected <= self.ever, "acts that this run never carried out"


def test_any_order_of_acts_leaves_the_stake_where_the_mirror_has_it(market, as_court, as_ledger):
    # the first ten examples are short; a failure of forty acts is not worth an hour of shrinking
    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    settings = {"max_examples": 16, "stateful_step_count": 30, "derandomize": True, "phases": phases}
    state_machine(StakingMachine, market, as_court, as_ledger, settings=settings)
