"""Slashes through any order of acts, mirrored in plain dicts.

Every act is either carried out by contract and mirror alike or refused with the error that the mirror expects. After
each of them every slash, bond, part of the harmed, window, breaker and token is compared.
"""

from brownie.test import state_machine, strategy

from tests.contracts.ChallengeCourt.attested import receipt, sign_receipt, signer_key
from tests.contracts.SlashingCourt.acts import (
    ARBITRATION,
    BOND,
    CANCELLED,
    CHALLENGE,
    CONTESTED,
    DAY,
    EXECUTED,
    OPEN,
    UPHELD,
)
from tests.contracts.support import reports
from tests.contracts.support.market import BURN_ADDRESS, STAKE
from tests.contracts.support.refusals import refused
from tests.contracts.support.reports import make_leaf

LEVELS = ((4, 6), (4, 2), (6, 5), (4, 4), (3, 7), (2, 8), (1, 4), (5, 3))
"""Of the small and the large provider, by epoch."""
PPM = {2: 10_000, 3: 20_000, 4: 40_000, 5: 100_000, 6: 200_000, 7: 100_000, 8: 100_000, 9: 250_000}
STATUTE, WINDOW = 28 * DAY, 30 * DAY
FINAL = (EXECUTED, CANCELLED)


class CourtMachine:
    """Two providers with a leaf in eight reports, and everybody who may act on their slashes."""

    st_epoch = strategy("uint8", max_value=len(LEVELS) - 1)
    st_large = strategy("bool")
    st_pick = strategy("uint8")
    st_yes = strategy("bool")
    st_blame = strategy("uint8", max_value=3)
    st_page = strategy("uint8", max_value=1)
    st_wait = strategy("uint8", min_value=1, max_value=14)
    st_days = strategy("uint8", min_value=1, max_value=12)

    def __init__(self, market, challenges):
        self.market, self.court, self.challenges = market, market.court, challenges
        self.pages = reports.harm_pages({market.alice: 2, market.bob: 1}, 1)
        root = reports.harm_root(self.pages)
        self.reports = []
        for small, large in LEVELS:
            leaves = [make_leaf(market.small, level=small), make_leaf(market.large, level=large)]
            self.reports.append(market.settle(leaves, harms={market.small: root}))
        self.activated_at = [market.ledger.record(epoch)["activatesAt"] for epoch in range(len(LEVELS))]
        self.required = {market.small: 200 * STAKE, market.large: 600 * STAKE}

    def setup(self):
        market = self.market
        self.slashes = {}
        self.stake = {market.small: 300 * STAKE, market.large: 600 * STAKE}
        self.uses = {market.small: [], market.large: []}
        self.opened = {}
        self.of = {}
        self.shown = set()
        self.verifiers = {signer: 5_000 * STAKE for signer in market.signers()}
        self.punished = set()
        self.burned = market.stake_token.balanceOf(BURN_ADDRESS)
        self.fund = market.escrow.stakeSlaFund()
        self.compensation = {market.alice: 0, market.bob: 0}
        self.reached = set()
        for epoch, large in ((0, False), (1, True), (3, False)):
            self.rule_propose(epoch, large)
        self.rule_contest(1)  # the first of the three

    # ------------------------------------------------------------------------------------------------------- mirror

    def act(self, name, verdict, function, arguments, sender):
        """Carry an act out or see it refused as the mirror expects; do nothing where the next second may differ."""
        now = self.market.now()
        expected, next_expected = verdict(now), verdict(now + 1)
        if (expected is None) != (next_expected is None):
            return None
        if expected is not None:
            assert refused(function, *arguments, sender=sender) == expected
            return None
        self.market.next_block_at(now + 1)
        self.reached.add(name)
        return function(*arguments, {"from": sender})

    def pick(self, st_pick, *stages):
        """Return one of the slashes at some stages where there are any, one time in eight any id, known or not."""
        fitting = [slash_id for slash_id, slash in self.slashes.items() if slash["stage"] in stages]
        if st_pick % 8 and fitting:
            return fitting[st_pick // 8 % len(fitting)]
        return st_pick // 8 % (len(self.slashes) + 1) + 1

    def wait_for(self, slash_id, moment):
        """Wait for a moment of a slash, if there is such a slash and the moment is to come."""
        if slash_id in self.slashes:
            self.market.wait_until(self.slashes[slash_id][moment])

    def expect_stage(self, slash_id, stages):
        """Return the error for a slash that is unknown or at another stage."""
        if slash_id not in self.slashes:
            return "UnknownSlash", slash_id
        stage = self.slashes[slash_id]["stage"]
        return None if stage in stages else ("WrongStage", slash_id, stage)

    def left(self, provider, now):
        return 100_000 - sum(ppm for at, _, ppm in self.uses[provider] if now - at < WINDOW)

    def open_sum(self, now):
        return sum(self.opened.get(now // DAY - i, 0) for i in range(8))

    def limit(self):
        return sum(self.stake.values()) * 5 // 100

    def cancel(self, slash, now):
        slash["stage"] = CANCELLED
        uses = self.uses[slash["provider"]]
        self.uses[slash["provider"]] = [u for u in uses if u[1] != slash["epoch"] or now - u[0] >= WINDOW]

    def carry_out(self, slash, prover_ppm=0):
        provider = slash["provider"]
        taken = min(slash["amount"], self.stake[provider])
        self.stake[provider] -= taken
        harmed = taken // 2 if slash["harmed"] else 0
        burned, to_prover = taken * 3 // 10, taken * prover_ppm // 1_000_000
        self.burned += burned
        self.fund += taken - harmed - burned - to_prover
        slash |= {"stage": EXECUTED, "taken": taken, "harmedPart": harmed}

    # --------------------------------------------------------------------------------------------------------- acts

    def rule_propose(self, st_epoch, st_large):
        provider = self.market.large if st_large else self.market.small
        level, key = LEVELS[st_epoch][st_large], (provider, st_epoch)
        deadline = self.activated_at[st_epoch] + STATUTE

        def verdict(now):
            if level < 2:
                return "NothingToSlash", level, 2
            if now > deadline:
                return "OutOfStatute", deadline, now
            return ("AlreadyProposed", self.of[key]) if key in self.of else None

        arguments = self.market.slash_arguments(self.reports[st_epoch], provider)
        tx = self.act("propose", verdict, self.court.propose, arguments, self.market.fresh)
        if tx is None:
            return
        now, ppm = tx.timestamp, PPM[level]
        if level <= 4:
            ppm = min(ppm, self.left(provider, now))
            if ppm:
                self.uses[provider].append((now, st_epoch, ppm))
        amount = self.required[provider] * ppm // 1_000_000
        opened = self.open_sum(now)
        self.opened[now // DAY] = self.opened.get(now // DAY, 0) + amount
        self.of[key] = tx.return_value
        self.slashes[tx.return_value] = {
            "provider": provider,
            "epoch": st_epoch,
            "code": level,
            "stage": OPEN,
            "queued": opened + amount > self.limit(),
            "proposedAt": now,
            "executableAt": now + CHALLENGE,
            "ruleBy": 0,
            "amount": amount,
            "taken": 0,
            "harmed": not st_large,
            "harmedPart": 0,
            "harmedGiven": 0,
            "given": set(),
        }

    rule_propose_another = rule_propose

    def rule_contest(self, st_pick):
        slash_id = self.pick(st_pick, OPEN)

        def verdict(now):
            wrong = self.expect_stage(slash_id, (OPEN,))
            closes = self.slashes[slash_id]["executableAt"] if wrong is None else 0
            return wrong or (("ChallengeWindowClosed", slash_id, closes, now) if now >= closes else None)

        tx = self.act("contest", verdict, self.court.contest, (slash_id, bytes(32)), self.market.bob)
        if tx is not None:
            self.slashes[slash_id] |= {"stage": CONTESTED, "ruleBy": tx.timestamp + ARBITRATION}

    def rule_rule(self, st_pick, st_yes, st_blame):
        slash_id = self.pick(st_pick, CONTESTED)
        blamed = self.market.signers() if st_blame == 0 and not st_yes else []

        def verdict(now):
            wrong = self.expect_stage(slash_id, (CONTESTED,))
            until = self.slashes[slash_id]["ruleBy"] if wrong is None else 0
            return wrong or (("RulingLate", slash_id, until, now) if now >= until else None)

        tx = self.act("rule", verdict, self.court.rule, (slash_id, st_yes, blamed), self.market.admin)
        if tx is None:
            return
        slash = self.slashes[slash_id]
        self.burned += BOND // 2
        if st_yes:
            slash["stage"] = UPHELD
            return
        self.cancel(slash, tx.timestamp)
        self.blame(blamed, slash["epoch"], slash["amount"])

    rule_rule_another = rule_rule

    def blame(self, signers, epoch, lost):
        taken = 0
        for signer in signers:
            if (signer, epoch) not in self.punished and self.verifiers[signer]:
                part = -(-self.verifiers[signer] // 10)
                self.verifiers[signer] -= part
                self.punished.add((signer, epoch))
                taken += part
        rest = taken - min(taken, lost)
        self.burned += rest * 3 // 10
        self.fund += rest - rest * 3 // 10

    def rule_release(self, st_pick):
        slash_id = self.pick(st_pick, OPEN, UPHELD)

        def verdict(now):
            wrong = self.expect_stage(slash_id, (OPEN, CONTESTED, UPHELD))
            return wrong or (None if self.slashes[slash_id]["queued"] else ("NotQueued", slash_id))

        if self.act("release", verdict, self.court.release, (slash_id,), self.market.admin) is not None:
            self.slashes[slash_id]["queued"] = False

    def rule_lapse(self, st_pick, st_yes):
        slash_id = self.pick(st_pick, CONTESTED)
        if st_yes:
            self.wait_for(slash_id, "ruleBy")

        def verdict(now):
            slash = self.slashes.get(slash_id)
            waits = slash is not None and slash["queued"]
            wrong = self.expect_stage(slash_id, (OPEN, CONTESTED, UPHELD) if waits else (CONTESTED,))
            if wrong:
                return wrong
            until = slash["ruleBy"] if slash["stage"] == CONTESTED else slash["proposedAt"] + STATUTE
            return ("RulingPending", slash_id, until, now) if now < until else None

        tx = self.act("lapse", verdict, self.court.lapse, (slash_id,), self.market.stranger)
        if tx is not None:
            self.cancel(self.slashes[slash_id], tx.timestamp)

    def rule_cancel_on_a_proof(self, st_pick, st_blame):
        if st_blame:  # seldom: it ends a slash whatever its stage
            return
        slash_id = self.pick(st_pick, OPEN, CONTESTED, UPHELD)

        def verdict(now):
            return self.expect_stage(slash_id, (OPEN, CONTESTED, UPHELD))

        tx = self.act("cancel", verdict, self.court.cancel, (slash_id, self.market.egon), self.challenges)
        if tx is not None:
            self.burned += BOND // 2
            self.cancel(self.slashes[slash_id], tx.timestamp)

    def rule_execute(self, st_pick, st_yes):
        slash_id = self.pick(st_pick, OPEN, UPHELD)
        if st_yes:
            self.wait_for(slash_id, "executableAt")

        def verdict(now):
            wrong = self.expect_stage(slash_id, (OPEN, UPHELD))
            if wrong:
                return wrong
            slash = self.slashes[slash_id]
            if now < slash["executableAt"]:
                return "ChallengeWindowOpen", slash_id, slash["executableAt"], now
            return ("Queued", slash_id) if slash["queued"] else None

        tx = self.act("execute", verdict, self.court.execute, (slash_id,), self.market.stranger)
        if tx is not None:
            self.carry_out(self.slashes[slash_id])
            assert tx.return_value == self.slashes[slash_id]["taken"]

    rule_execute_another = rule_execute

    def rule_compensate(self, st_pick, st_page):
        slash_id, page = self.pick(st_pick, EXECUTED), self.pages[st_page]

        def verdict(now):
            wrong = self.expect_stage(slash_id, (EXECUTED,))
            if wrong:
                return wrong
            slash = self.slashes[slash_id]
            if not slash["harmed"]:
                return "WrongPage", slash_id, reports.page_hash(page), bytes(32)
            return ("PageGiven", slash_id, st_page) if st_page in slash["given"] else None

        arguments = (slash_id, page, reports.page_proof(self.pages, st_page))
        if self.act("compensate", verdict, self.court.compensate, arguments, self.market.stranger) is None:
            return
        slash, (customer, weight) = self.slashes[slash_id], (page[3][0], page[4][0])
        part = slash["harmedPart"] * weight // 3
        who = next(one for one in self.compensation if one.address.lower() == customer)
        self.compensation[who] += part
        slash["harmedGiven"] += part
        slash["given"].add(st_page)
        if len(slash["given"]) == 2:
            self.fund += slash["harmedPart"] - slash["harmedGiven"]
            slash["harmedGiven"] = slash["harmedPart"]

    def rule_prove_receipts(self, st_epoch, st_large, st_blame):
        if st_blame:
            return
        provider, slot = self.market.large if st_large else self.market.small, 60 * st_epoch
        begins = self.market.clock.genesis() + slot
        shown = []
        for one in (receipt(provider, slot, attempt=st_epoch), receipt(provider, slot + 1, attempt=st_epoch)):
            shown += [one, sign_receipt(self.market.ground, signer_key(provider), one)]

        def verdict(now):
            if now > begins + STATUTE:
                return "OutOfStatute", begins + STATUTE, now
            return None if (provider, st_epoch) not in self.shown else "AlreadyPunished"

        if verdict(self.market.now()) == "AlreadyPunished":
            assert refused(self.court.proveReceipts, *shown, sender=self.market.egon)[0] == "AlreadyPunished"
            return
        tx = self.act("receipts", verdict, self.court.proveReceipts, shown, self.market.egon)
        if tx is None:
            return
        self.shown.add((provider, st_epoch))
        amount = self.required[provider] // 4
        slash = {"provider": provider, "epoch": st_epoch, "code": 9, "queued": False, "amount": amount}
        slash |= {"proposedAt": tx.timestamp, "executableAt": tx.timestamp, "ruleBy": 0, "given": set()}
        slash |= {"harmed": False, "harmedPart": 0, "harmedGiven": 0}
        self.slashes[tx.return_value] = slash
        self.carry_out(slash, prover_ppm=200_000)
        self.opened[tx.timestamp // DAY] = self.opened.get(tx.timestamp // DAY, 0) + slash["taken"]

    def rule_wait(self, st_wait):
        self.market.wait(st_wait)

    def rule_wait_for_days(self, st_days, st_blame):
        if st_blame == 0:
            self.market.wait(st_days * DAY)

    # --------------------------------------------------------------------------------------------------- invariants

    def invariant_slashes_are_as_mirrored(self):
        assert self.court.slashCount() == len(self.slashes)
        names = ("provider", "epoch", "code", "stage", "queued", "proposedAt", "executableAt", "ruleBy", "amount")
        for slash_id, mirrored in self.slashes.items():
            slash = self.court.slash(slash_id)
            for name in (*names, "taken", "harmedPart", "harmedGiven"):
                assert slash[name] == mirrored[name], (slash_id, name)
            assert slash["pagesGiven"] == len(mirrored["given"])

    def invariant_bonds_and_parts_are_as_mirrored(self):
        bonds = sum(
            BOND * (2 if s["stage"] == CONTESTED else 1) for s in self.slashes.values() if s["stage"] not in FINAL
        )
        harmed = sum(s["harmedPart"] - s["harmedGiven"] for s in self.slashes.values())
        assert (self.court.totalBonds(), self.court.totalHarmed()) == (bonds, harmed)
        assert self.market.stake_token.balanceOf(self.court) == bonds + harmed

    def invariant_windows_and_breaker_are_as_mirrored(self):
        now = self.market.now()
        assert self.court.breaker() == (self.open_sum(now), self.limit())
        for provider in self.uses:
            assert self.court.availabilityLeftPpm(provider) == self.left(provider, now)

    def invariant_money_is_where_the_mirror_has_it(self):
        market = self.market
        assert {who: market.staking.provider(who)["stake"] for who in self.stake} == self.stake
        assert market.stake_token.balanceOf(BURN_ADDRESS) == self.burned
        assert market.escrow.stakeSlaFund() == self.fund
        assert {s: market.verifiers.member(s)["bond"] for s in self.verifiers} == self.verifiers
        compensation = {who: market.escrow.customer(who)["compensation"] for who in self.compensation}
        assert compensation == self.compensation

    def invariant_nobody_loses_more_than_it_had(self):
        for provider, stake in self.stake.items():
            taken = sum(s["taken"] for s in self.slashes.values() if s["provider"] == provider)
            assert self.market.staking.provider(provider)["slashedTotal"] == taken and stake >= 0

    def teardown(self):
        type(self).ever = getattr(type(self), "ever", set()) | self.reached

    def teardown_final(self):
        expected = {"propose", "contest", "rule", "release", "lapse", "cancel", "execute", "compensate", "receipts"}
        assert expected <= self.ever, "acts that this run never carried out"


def test_any_order_of_acts_leaves_slashes_and_money_where_the_mirror_has_them(market, as_challenges):
    settings = {"max_examples": 20, "stateful_step_count": 40, "derandomize": True}
    state_machine(CourtMachine, market, as_challenges, settings=settings)
