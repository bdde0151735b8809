"""Customers' money through any order of acts, mirrored in plain dicts.

Every act is either carried out by contract and mirror alike or refused with the error that the mirror expects. After
each of them all that can be read of customers, caps, sessions, funds and tokens is compared.
"""

from brownie.test import state_machine, strategy

from tests.contracts.support.market import PAY
from tests.contracts.support.refusals import refused

THAW_S = 130
NOBODY = "0x" + "00" * 20


class EscrowMachine:
    """Four customers, one key, a ledger and a court that act as those contracts do."""

    st_who = strategy("uint8", max_value=3)
    st_other = strategy("uint8", max_value=3)
    st_amount = strategy("uint64", max_value=120)
    st_share = strategy("uint8", max_value=120)
    st_cap = strategy("uint8", max_value=200)
    st_time = strategy("uint8", min_value=1, max_value=150)
    st_back = strategy("uint8", max_value=3)

    def __init__(self, market, ledger, court, key):
        self.market, self.escrow, self.ledger, self.court, self.key = market, market.escrow, ledger, court, key
        self.people = [market.alice, market.bob, market.dora, market.egon]
        market.payment_token.approve(market.escrow, 2**255, {"from": ledger})
        market.stake_token.mint(court, 10**6, {"from": court})
        market.stake_token.approve(market.escrow, 2**255, {"from": court})

    def setup(self):
        self.balance = {who: 0 for who in self.people} | {self.people[0]: 1000 * PAY, self.people[1]: 500 * PAY}
        self.thawing = dict.fromkeys(self.people, 0)
        self.thawed_at = dict.fromkeys(self.people, 0)
        # a cap for each epoch, as far as this run can reach
        self.caps = {who: [0] * 80 for who in self.people}
        self.caps[self.people[0]] = [100 * PAY] * 80
        self.caps[self.people[1]] = [50 * PAY] * 80
        self.compensation = dict.fromkeys(self.people, 0)
        self.listed = list(self.people[:2])
        self.fund, self.stake_fund = 10 * PAY, 0
        self.session = None  # (customer, until, most)
        self.charged = []  # (epoch, [(customer, amount)]) that may be returned
        self.reached = set()

    # -------------------------------------------------------------------------------------------------------- acts

    def rule_deposit(self, st_who, st_other, st_amount):
        payer, customer = self.people[st_who], self.people[st_other]
        if st_amount == 0:
            assert refused(self.escrow.deposit, customer, 0, sender=payer) == ("ZeroAmount",)
            return
        self.escrow.deposit(customer, st_amount * PAY, {"from": payer})
        self.balance[customer] += st_amount * PAY
        self._list(customer)

    def rule_set_cap(self, st_who, st_cap):
        who = self.people[st_who]
        tx = self.escrow.setCap(st_cap * PAY, {"from": who})
        self._plan(who, st_cap * PAY, tx)

    def rule_name_key(self, st_who, st_time, st_cap):
        who, until = self.people[st_who], self.market.now() + 1 + st_time
        if self._session_is_live() and self.session[0] != who:
            name, _, holder = refused(self.escrow.setSession, self.key, until, 0, sender=who)
            assert (name, holder) == ("KeyTaken", self.session[0].address.lower())
            return
        self.escrow.setSession(self.key, until, st_cap * PAY, {"from": who})
        self.session = (who, until, st_cap * PAY)

    def rule_set_cap_by_key(self, st_cap):
        if not self._session_is_live(self.market.now() + 1):
            # within the last second of a session the simulation and the next block may differ
            if not self._session_is_live():
                assert refused(self.escrow.setCapBySession, 1, sender=self.key)[0] == "NoSession"
            return
        customer, _, most = self.session
        if st_cap * PAY > most:
            found = refused(self.escrow.setCapBySession, st_cap * PAY, sender=self.key)
            assert found == ("CapAboveSession", st_cap * PAY, most)
            return
        self.market.next_block_at(self.market.now() + 1)
        tx = self.escrow.setCapBySession(st_cap * PAY, {"from": self.key})
        self._plan(customer, st_cap * PAY, tx)

    def rule_request_withdrawal(self, st_who, st_share):
        who = self.people[st_who]
        amount = self.balance[who] * st_share // 100
        thawing = self.thawing[who] + amount
        if amount == 0 or thawing > self.balance[who]:
            found = refused(self.escrow.requestWithdrawal, amount, sender=who)
            assert found == (("WithdrawalAboveBalance", thawing, self.balance[who]) if amount else ("ZeroAmount",))
            return
        tx = self.escrow.requestWithdrawal(amount, {"from": who})
        self.thawing[who], self.thawed_at[who] = thawing, tx.timestamp + THAW_S

    def rule_cancel_withdrawal(self, st_who):
        who = self.people[st_who]
        if self.thawing[who] == 0:
            assert refused(self.escrow.cancelWithdrawal, sender=who)[0] == "NothingThawing"
            return
        self.escrow.cancelWithdrawal({"from": who})
        self.thawing[who] = 0

    def rule_withdraw(self, st_who):
        who = self.people[st_who]
        if self.thawing[who] == 0:
            assert refused(self.escrow.withdraw, sender=who)[0] == "NothingThawing"
            self.rule_request_withdrawal(st_who, 50)
            if self.thawing[who] == 0:
                return
        if self.market.now() < self.thawed_at[who]:
            assert refused(self.escrow.withdraw, sender=who)[:2] == ("StillThawing", self.thawed_at[who])
            self.market.wait_until(self.thawed_at[who])
        held = self.market.payment_token.balanceOf(who)
        amount = self.thawing[who]
        assert self.escrow.withdraw({"from": who}).return_value == amount
        assert self.market.payment_token.balanceOf(who) == held + amount
        self.balance[who] -= amount
        self.thawing[who] = 0
        self.reached.add("withdraw")

    def rule_charge(self, st_who, st_other, st_share, st_back):
        epoch = max(0, self._running() - st_back)
        people = sorted({self.people[st_who], self.people[st_other]}, key=lambda who: int(who.address, 16))
        batch = [(who, max(1, self.caps[who][epoch] * st_share // 100)) for who in people]
        plain = [(who.address, amount) for who, amount in batch]
        for who, amount in batch:
            cap, balance = self.caps[who][epoch], self.balance[who]
            if amount > cap or amount > balance:
                name, bound = ("ChargeAboveCap", cap) if amount > cap else ("ChargeAboveBalance", balance)
                found = refused(self.escrow.charge, epoch, plain, sender=self.ledger)
                assert found == (name, who.address.lower(), amount, bound)
                return
        total = sum(amount for _, amount in batch)
        assert self.escrow.charge(epoch, plain, {"from": self.ledger}).return_value == total
        for who, amount in batch:
            self.balance[who] -= amount
            self.thawing[who] = min(self.thawing[who], self.balance[who])
        self.charged.append((epoch, batch))
        self.reached.add("charge")

    def rule_return_charges(self):
        if not self.charged:
            self.rule_charge(0, 1, 1, 0)
        if not self.charged:
            return
        epoch, batch = self.charged.pop()
        self.escrow.returnCharges(epoch, [(who.address, amount) for who, amount in batch], {"from": self.ledger})
        for who, amount in batch:
            self.balance[who] += amount
        self.reached.add("return")

    def rule_credit(self, st_who, st_amount):
        who = self.people[st_who]
        if st_amount == 0:
            found = refused(self.escrow.credit, [(who, self.market.small, 0)], sender=self.ledger)
            assert found == ("ZeroAmount",)
            return
        self.escrow.credit([(who, self.market.small, st_amount)], {"from": self.ledger})
        self.balance[who] += st_amount
        self._list(who)

    def rule_settle_fund(self, st_amount, st_share):
        inflow, outflow = st_amount, (self.fund + st_amount) * st_share // 100
        if outflow > self.fund + inflow:
            found = refused(self.escrow.settleFund, inflow, outflow, sender=self.ledger)
            assert found == ("SlaFundShort", self.fund + inflow, outflow)
            return
        self.escrow.settleFund(inflow, outflow, {"from": self.ledger})
        self.fund += inflow - outflow

    def rule_give(self, st_who, st_amount):
        if st_amount == 0:
            return
        self.escrow.fundSla(st_amount, {"from": self.people[st_who]})
        self.escrow.fundSlaStake(st_amount, {"from": self.people[st_who]})
        self.fund += st_amount
        self.stake_fund += st_amount

    def rule_burn(self, st_who):
        if self.stake_fund:
            self.escrow.burnSlaStake({"from": self.people[st_who]})
        else:
            assert refused(self.escrow.burnSlaStake, sender=self.people[st_who]) == ("ZeroAmount",)
        self.stake_fund = 0

    def rule_compensate(self, st_who, st_other, st_amount):
        one, other = self.people[st_who], self.people[st_other]
        self.escrow.compensate([one, other], [st_amount, 1], {"from": self.court})
        self.compensation[one] += st_amount
        self.compensation[other] += 1

    def rule_withdraw_compensation(self, st_who):
        who = self.people[st_who]
        if self.compensation[who] == 0:
            assert refused(self.escrow.withdrawCompensation, sender=who)[0] == "NothingToWithdraw"
            return
        assert self.escrow.withdrawCompensation({"from": who}).return_value == self.compensation[who]
        self.compensation[who] = 0

    def rule_wait(self, st_time):
        self.market.wait(st_time)

    # ------------------------------------------------------------------------------------------------------ mirror

    def _running(self):
        return self.market.clock.currentEpoch()

    def _session_is_live(self, at=None):
        return self.session is not None and (at or self.market.now()) < self.session[1]

    def _list(self, who):
        if who not in self.listed:
            self.listed.append(who)

    def _plan(self, who, cap, tx):
        """Apply a cap: a raise at once, a lowering from the epoch after the next, for each epoch by itself."""
        genesis, length = self.market.clock.genesis(), self.market.clock.epochSeconds()
        running, plan = (tx.timestamp - genesis) // length, self.caps[who]
        for epoch in range(running, len(plan)):
            plan[epoch] = max(plan[epoch], cap) if epoch < running + 2 else cap

    # -------------------------------------------------------------------------------------------------- invariants

    def invariant_customers_are_as_mirrored(self):
        for who in self.people:
            view = self.escrow.customer(who).dict()
            assert (view["balance"], view["thawing"]) == (self.balance[who], self.thawing[who])
            assert view["thawedAt"] == (self.thawed_at[who] if self.thawing[who] else 0)
            assert view["compensation"] == self.compensation[who]

    def invariant_caps_are_as_mirrored(self):
        running = self._running()
        for who in self.people:
            for epoch in range(max(0, running - 4), running + 4):
                assert self.escrow.capFor(who, epoch) == self.caps[who][epoch]

    def invariant_the_key_stands_for_whom_the_mirror_says(self):
        expected = self.session if self._session_is_live() else (NOBODY, 0, 0)
        assert tuple(self.escrow.sessionOf(self.key)) == tuple(expected)

    def invariant_sums_and_tokens_are_as_mirrored(self):
        escrow = self.escrow
        assert escrow.totalBalances() == sum(self.balance.values())
        assert escrow.totalCompensation() == sum(self.compensation.values())
        assert (escrow.slaFund(), escrow.stakeSlaFund()) == (self.fund, self.stake_fund)
        assert self.market.payment_token.balanceOf(escrow) == sum(self.balance.values()) + self.fund
        assert self.market.stake_token.balanceOf(escrow) == sum(self.compensation.values()) + self.stake_fund
        assert [escrow.customerAt(i) for i in range(escrow.customerCount())] == self.listed

    def teardown(self):
        type(self).ever = getattr(type(self), "ever", set()) | self.reached

    def teardown_final(self):
        assert {"charge", "return", "withdraw"} <= self.ever, "acts that this run never carried out"


def test_any_order_of_acts_leaves_the_money_where_the_mirror_has_it(market, as_ledger, as_court):
    settings = {"max_examples": 16, "stateful_step_count": 30, "derandomize": True}
    state_machine(EscrowMachine, market, as_ledger, as_court, market.fresh, settings=settings)
