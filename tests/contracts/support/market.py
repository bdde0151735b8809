"""A deployed marketplace with people in it, and the acts that several tests share; each act checks what it did.

Everybody's tokens come from the dev tokens' open mint. Amounts: STAKE is one whole stake token, PAY one payment token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from brownie import accounts, chain, project, web3
from eth_utils import keccak

from contracts.types import Leaf, Report
from tests.contracts.support import reports

STAKE = 10**18
PAY = 10**6
PLENTY = 10**30
BURN_ADDRESS = "0x000000000000000000000000000000000000dEaD"
VERIFIER_KEYS = [keccak(text=f"verifier {i}") for i in range(4)]
CPU, T4 = 0, 1
EXECUTED = 4  # ISlashingCourt.Stage
NOTHING, JAIL, JAIL_UNTIL_MEASURED, REMOVAL = range(4)  # IProviderStaking.Consequence
NO_LEAF = ("0x" + 40 * "0", *(0,) * 10, False)


def rpc(method: str, *parameters: Any) -> Any:
    """Ask the devnet for something outside the Ethereum interface."""
    answer = web3.provider.make_request(method, list(parameters))
    assert "error" not in answer, answer
    return answer["result"]


class Market:
    """The contracts of one deployment, and who is who among brownie's accounts."""

    def __init__(self, contracts: dict[str, Any], parameters: dict[str, Any]) -> None:
        self.parameters, self.contracts = parameters, contracts
        self.authority, self.timelock, self.guardian = (contracts[n] for n in ("Authority", "Timelock", "Guardian"))
        self.stake_token, self.payment_token = contracts["StakeToken"], contracts["PaymentToken"]
        self.clock, self.ledger = contracts["EpochClock"], contracts["EpochLedger"]
        self.staking, self.delegation = contracts["ProviderStaking"], contracts["Delegation"]
        self.escrow = contracts["JobEscrow"]
        self.verifiers, self.gateways = contracts["Verifiers"], contracts["Gateways"]
        self.court, self.challenges = contracts["SlashingCourt"], contracts["ChallengeCourt"]
        self.admin = accounts[0]  # deployer and treasury; holds every role
        self.stranger = accounts[1]
        self.alice, self.bob = accounts[2], accounts[3]  # customers
        self.small, self.large = accounts[4], accounts[5]  # providers
        self.fresh = accounts[6]  # holds tokens, did nothing yet
        self.dora, self.egon = accounts[7], accounts[8]  # to delegate; did nothing yet
        self.verifier_accounts = [accounts.add(key) for key in VERIFIER_KEYS]
        self.reader = self.stranger.deploy(project.get_loaded_projects()[0]["BooksReader"], silent=True)
        self.beginning: Any = None
        self.begin()

    def begin(self) -> None:
        """Forget what a test did: no report yet, and every role is the administrator's."""
        self.last_report: Report | None = None
        self.arbitrator = self.parameter_setter = self.pauser = self.admin

    def separate_roles(self) -> None:
        """Give the roles to three accounts of their own; the administrator keeps only its own."""
        holders = {1: accounts[10], 2: accounts[11], 3: accounts[12]}
        for role, holder in holders.items():
            self.authority.grantRole(role, holder, 0, {"from": self.admin})
            self.authority.revokeRole(role, self.admin, {"from": self.admin})
        self.parameter_setter, self.pauser, self.arbitrator = holders.values()

    # ------------------------------------------------------------------------------------------------------ set-up

    def people(self) -> list[Any]:
        """Return everybody who holds tokens."""
        return [
            self.admin,
            self.stranger,
            self.alice,
            self.bob,
            self.small,
            self.large,
            self.fresh,
            self.dora,
            self.egon,
            *self.verifier_accounts,
        ]

    def settle_in(self) -> None:
        """Give everybody tokens, bond two providers and three verifiers, and let two customers deposit."""
        for person in self.people():
            self.furnish(person)
        self.register(self.small, CPU, 1)
        self.staking.stake(300 * STAKE, {"from": self.small})
        self.register(self.large, T4, 2)
        self.staking.stake(600 * STAKE, {"from": self.large})
        for verifier in self.verifier_accounts[:3]:
            self.verifiers.join(f"http://{verifier.address}", {"from": verifier})
        self.escrow.deposit(self.alice, 1000 * PAY, {"from": self.alice})
        self.escrow.setCap(100 * PAY, {"from": self.alice})
        self.escrow.deposit(self.bob, 500 * PAY, {"from": self.bob})
        self.escrow.setCap(50 * PAY, {"from": self.bob})
        self.escrow.fundSla(10 * PAY, {"from": self.stranger})
        self.ledger.fundIncentives(50 * PAY, {"from": self.stranger})

    def furnish(self, person: Any) -> None:
        """Give somebody plenty of both tokens, and every contract that takes any an allowance."""
        self.stake_token.mint(person, PLENTY, {"from": person})
        self.payment_token.mint(person, PLENTY, {"from": person})
        for spender in (
            self.staking,
            self.delegation,
            self.verifiers,
            self.gateways,
            self.escrow,
            self.court,
        ):
            self.stake_token.approve(spender, PLENTY, {"from": person})
        for spender in (self.escrow, self.ledger):
            self.payment_token.approve(spender, PLENTY, {"from": person})

    def register(self, who: Any, hardware_class: int, units: int) -> Any:
        """Register a provider whose signer is derived from its address."""
        signer = accounts.add(keccak(text=f"signer of {who.address}")).address
        digest = keccak(text=f"offer of {who.address}")
        endpoint = f"http://{who.address}"
        return self.staking.register(signer, hardware_class, units, digest, "local", endpoint, {"from": who})

    # --------------------------------------------------------------------------------------------------- beginnings

    def remember(self) -> None:
        """Make this block the one from which tests start."""
        chain.snapshot()
        self.beginning = chain._snapshot_id

    def rewind(self) -> None:
        """Go back to where tests start, whatever snapshots property tests and state machines took meanwhile."""
        chain._snapshot_id = self.beginning
        chain.revert()
        self.beginning = chain._snapshot_id
        self.begin()

    # -------------------------------------------------------------------------------------------------------- time

    def now(self) -> int:
        """Return the time of the newest block."""
        return int(web3.eth.get_block("latest")["timestamp"])

    def keep_time_itself(self) -> None:
        """Let no time pass on the chain but what a test waits: a slow moment of this machine is none there."""
        rpc("anvil_setBlockTimestampInterval", 0)

    def next_block_at(self, moment: int) -> None:
        """Decide the time of the block that the next transaction mines."""
        rpc("evm_setNextBlockTimestamp", moment)

    def open_clock(self) -> None:
        """Let epoch 0 begin with the block in which the clock is opened."""
        genesis = self.now() + 5
        self.next_block_at(genesis)
        self.clock.open(genesis, {"from": self.admin})

    def wait(self, seconds: int) -> None:
        """Let time pass and mine a block at its end."""
        self.next_block_at(self.now() + seconds)
        rpc("evm_mine")

    def wait_until(self, moment: int) -> None:
        """Let time pass until a block at `moment`, unless it has passed."""
        if self.now() < moment:
            self.wait(moment - self.now())

    def end_of(self, epoch: int) -> None:
        """Wait until the report of an epoch may be submitted."""
        self.wait_until(self.clock.epochEnd(epoch) + self.clock.reportDelay())

    # ------------------------------------------------------------------------------------------------------ reports

    @property
    def ground(self) -> tuple[int, str]:
        """Chain id and ledger, to which leaves and signatures are bound."""
        return web3.eth.chain_id, self.ledger.address

    def next_report(self, leaves: Sequence[Leaf] = (), **parts: Any) -> Report:
        """Return a correct report that follows the last one submitted through this market."""
        last = self.last_report
        epoch = 0 if last is None else last.epoch + 1
        previous = reports.ZERO32 if last is None else reports.struct_hash(*self.ground, last)
        before = () if last is None else last.leaves
        return reports.make_report(epoch, leaves, previous=previous, before=before, ground=self.ground, **parts)

    def sign(self, report: Report, signers: Sequence[int] = (0, 1)) -> list[bytes]:
        """Return the signatures of some verifiers, given by their numbers."""
        return reports.signatures(*self.ground, report, [VERIFIER_KEYS[i] for i in signers])

    def submit(self, report: Report, signers: Sequence[int] = (0, 1)) -> Any:
        """Wait for the epoch's end and submit the signed part; checks that only incentive and pools were reserved."""
        self.end_of(report.epoch)
        held = self._payment_tokens()
        books_before = self.ledger.books().dict()
        signed = reports.signed(*self.ground, report)
        tx = self.ledger.submit(signed, self.sign(report, signers), {"from": self.stranger})
        reserved = report.totals.incentive + report.totals.pools
        assert self._payment_tokens() == held
        assert self.ledger.books().dict() == books_before | {
            "pending": books_before["pending"] + reserved,
            "incentiveFund": books_before["incentiveFund"] - reserved,
        }
        self.last_report = report
        return tx

    def complete(self, report: Report) -> Any:
        """Bring in all leaves and charges of a submitted report; checks that only the charges moved."""
        ledger_before, escrow_before = self._payment_tokens()
        pending = self.ledger.books()["pending"]
        tx = None
        for number, packed in enumerate(reports.packed(report)):
            roots = reports.chunk_roots(*self.ground, report)
            tx = self.ledger.publishLeaves(report.epoch, roots, number, packed, {"from": self.stranger})
        for number, chunk in enumerate(reports.chunks(report.charges)):
            tx = self.ledger.takeCharges(
                report.epoch,
                reports.movements(report),
                number,
                [reports.plain(each) for each in chunk],
                {"from": self.stranger},
            )
        charged = report.totals.charged
        assert self._payment_tokens() == (ledger_before + charged, escrow_before - charged)
        assert self.ledger.books()["pending"] == pending + charged
        assert self.ledger.record(report.epoch)["completedAt"] != 0
        return tx

    def activate(self, report: Report) -> Any:
        """Wait out the activation delay and activate; checks what became of what was pending."""
        self.wait_until(self.ledger.record(report.epoch)["activatesAt"])
        fund_before = self.escrow.slaFund()
        books_before = self.ledger.books().dict()
        tx = self.ledger.activate(*self.activation(report), {"from": self.stranger})
        totals = report.totals
        assert self.escrow.slaFund() == fund_before + totals.sla_fund_in - totals.credits_from_fund
        assert self.ledger.books().dict() == books_before | {
            "pending": books_before["pending"] - totals.charged - totals.incentive - totals.pools,
            "credits": books_before["credits"] + totals.credits,
            "pools": books_before["pools"] + totals.pools,
            "fees": books_before["fees"] + totals.provider_fees,
            "incentives": books_before["incentives"] + totals.incentive,
            "owed": books_before["owed"] + totals.verifier_fees + totals.treasury,
        }
        return tx

    def push(self, report: Report) -> None:
        """Push all credits and pools of an activated report; checks that they arrived."""
        balances, rewards = self.escrow.totalBalances(), self.delegation.totalRewards()
        movements = reports.movements(report)
        for number, chunk in enumerate(reports.chunks(report.credits)):
            plain = [reports.plain(each) for each in chunk]
            self.ledger.pushCredits(report.epoch, movements, number, plain, {"from": self.stranger})
        for number, chunk in enumerate(reports.chunks(report.pools)):
            plain = [reports.plain(each) for each in chunk]
            self.ledger.pushPools(report.epoch, movements, number, plain, {"from": self.stranger})
        assert self.escrow.totalBalances() == balances + report.totals.credits
        assert self.delegation.totalRewards() == rewards + report.totals.pools

    def activation(self, report: Report) -> tuple[int, Any, list[Any]]:
        """Return the arguments of `activate`."""
        return report.epoch, reports.movements(report), [reports.plain(p) for p in report.payees]

    def _payment_tokens(self) -> tuple[int, int]:
        """Return the payment tokens of ledger and escrow."""
        balance = self.payment_token.balanceOf
        return balance(self.ledger), balance(self.escrow)

    def settle(self, leaves: Sequence[Leaf] = (), **parts: Any) -> Report:
        """Take the next report through all of its steps; returns it."""
        report = self.submitted(leaves, **parts)
        self.activate(report)
        self.push(report)
        return report

    def submitted(self, leaves: Sequence[Leaf] = (), **parts: Any) -> Report:
        """Submit and complete the next report, so that its activation delay runs; returns it."""
        report = self.next_report(leaves, **parts)
        self.submit(report)
        self.complete(report)
        return report

    def proof(self, report: Report, provider: Any) -> tuple[Leaf, list[bytes]]:
        """Return a provider's leaf in a report and its proof."""
        leaf = next(leaf for leaf in report.leaves if leaf.provider == str(provider).lower())
        return leaf, reports.proof_of(*self.ground, report, leaf)

    def claim_arguments(self, report: Report, provider: Any) -> tuple[int, list[bytes], list[bytes]]:
        """Return the arguments of `claim`."""
        leaf, proof = self.proof(report, provider)
        return report.epoch, reports.words(leaf), proof

    def slash_arguments(self, report: Report, provider: Any) -> tuple[Any, ...]:
        """Return the arguments of `propose`."""
        leaf, proof = self.proof(report, provider)
        return report.epoch, reports.plain(leaf), proof

    def signers(self, numbers: Sequence[int] = (0, 1)) -> list[str]:
        """Return the addresses of some verifiers, ascending, as `Record.signers` hashes them."""
        return sorted((self.verifier_accounts[i].address for i in numbers), key=lambda address: int(address, 16))

    def target(self, report: Report, provider: Any, signers: Sequence[int] = (0, 1)) -> tuple[Any, ...]:
        """Return an `IChallengeCourt.Target`."""
        leaf, proof = self.proof(report, provider)
        return report.epoch, reports.plain(leaf), proof, self.signers(signers)

    def risk(self, provider: Any, newest: Report | None = None, closed: Report | None = None) -> tuple[Any, ...]:
        """Return a `FeesAtRisk`: the provider's leaf in the newest report and in a closed one, if given."""
        shown = [(NO_LEAF, []) if r is None else self._shown(r, provider) for r in (newest, closed)]
        return *shown[0], 0 if closed is None else closed.epoch, *shown[1]

    def _shown(self, report: Report, provider: Any) -> tuple[Any, list[bytes]]:
        leaf, proof = self.proof(report, provider)
        return reports.plain(leaf), proof

    # ------------------------------------------------------------------------------------------------------- slashes

    def propose(self, report: Report, provider: Any, proposer: Any = None) -> int:
        """Open a slash from a leaf; checks the bond; returns its id."""
        proposer = proposer or self.stranger
        held, bonds = self.stake_token.balanceOf(proposer), self.court.totalBonds()
        tx = self.court.propose(*self.slash_arguments(report, provider), {"from": proposer})
        slash_id = int(tx.return_value)
        bond = self.court.slash(slash_id)["bond"]
        assert self.court.slashOf(provider, report.epoch) == slash_id
        assert self.stake_token.balanceOf(proposer) == held - bond and self.court.totalBonds() == bonds + bond
        return slash_id

    def execute(self, slash_id: int) -> Any:
        """Wait out the challenge window and carry a slash out; checks where what was taken went and the bond."""
        before = self.court.slash(slash_id)
        self.wait_until(before["executableAt"])
        burned, fund = self.stake_token.balanceOf(BURN_ADDRESS), self.escrow.stakeSlaFund()
        bonds, harmed = self.court.totalBonds(), self.court.totalHarmed()
        tx = self.court.execute(slash_id, {"from": self.stranger})
        slash = self.court.slash(slash_id)
        assert slash["stage"] == EXECUTED and slash["taken"] <= slash["amount"]
        assert self.court.totalHarmed() == harmed + slash["harmedPart"]
        gone = self.stake_token.balanceOf(BURN_ADDRESS) - burned + self.escrow.stakeSlaFund() - fund
        assert gone == slash["taken"] - slash["harmedPart"]
        assert self.court.totalBonds() == bonds - before["bond"]
        return tx

    def pause(self, seconds: int | None = None) -> None:
        """Pause the market, for as long as may be if nothing is said; checks that it is."""
        seconds = self.guardian.mostPauseSeconds() if seconds is None else seconds
        self.guardian.pause(seconds, {"from": self.pauser})
        assert self.guardian.paused() and self.guardian.pausedUntil() == self.now() + seconds

    # -------------------------------------------------------------------------------------------------------- books

    def check_books(self) -> None:
        """Check that in every contract the tokens are exactly what the books say: nobody sent any unasked.

        One call of a contract of the tests: read one by one, the forty figures would cost more than most tests.
        """
        holders = (self.staking, self.delegation, self.escrow, self.verifiers, self.gateways, self.court, self.ledger)
        empty = [self.clock, self.ledger, self.challenges, self.guardian, self.timelock, self.authority]
        pairs, thaw_fits = self.reader.read([self.stake_token, self.payment_token, *holders], empty)
        held = [
            "stake",
            "verifiers",
            "gateways",
            "escrow-stake",
            "delegation",
            "court",
            "escrow",
            "rewards",
            "ledger",
            "customers",
            "customers listed",
            "keepers of nothing",
        ]
        assert {name: pair[0] for name, pair in zip(held, pairs, strict=True)} == {
            name: pair[1] for name, pair in zip(held, pairs, strict=True)
        }
        assert thaw_fits, "nobody has more thawing than balance"
