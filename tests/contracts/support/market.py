"""A deployed marketplace with people in it, and the acts that several tests share; each act checks what it did.

Everybody's tokens come from the dev tokens' open mint. Amounts: STAKE is one whole stake token, PAY one payment token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from brownie import accounts, web3
from eth_utils import keccak

from contracts.types import Leaf, Report
from tests.contracts.support import reports

STAKE = 10**18
PAY = 10**6
PLENTY = 10**30
BURN_ADDRESS = "0x000000000000000000000000000000000000dEaD"
VERIFIER_KEYS = [keccak(text=f"verifier {i}") for i in range(4)]
CPU, T4 = 0, 1


def rpc(method: str, *parameters: Any) -> Any:
    """Ask the devnet for something outside the Ethereum interface."""
    answer = web3.provider.make_request(method, list(parameters))
    assert "error" not in answer, answer
    return answer["result"]


class Market:
    """The contracts of one deployment, and who is who among brownie's accounts."""

    def __init__(self, contracts: dict[str, Any], parameters: dict[str, Any]) -> None:
        self.parameters = parameters
        self.authority = contracts["Authority"]
        self.stake_token, self.payment_token = contracts["StakeToken"], contracts["PaymentToken"]
        self.ledger, self.staking, self.escrow = (
            contracts[name] for name in ("EpochLedger", "ProviderStaking", "JobEscrow")
        )
        self.verifiers, self.gateways = contracts["Verifiers"], contracts["Gateways"]
        self.court = contracts["SlashingCourt"]
        self.admin = accounts[0]  # deployer, administrator and treasury
        self.stranger = accounts[1]
        self.alice, self.bob = accounts[2], accounts[3]  # customers
        self.small, self.large = accounts[4], accounts[5]  # providers
        self.fresh = accounts[6]  # holds tokens, did nothing yet
        self.verifier_accounts = [accounts.add(key) for key in VERIFIER_KEYS]
        self.last_report: Report | None = None

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
            *self.verifier_accounts,
        ]

    def settle_in(self) -> None:
        """Give everybody tokens, bond two providers and three verifiers, and let two customers deposit."""
        for person in self.people():
            self.stake_token.mint(person, PLENTY, {"from": person})
            self.payment_token.mint(person, PLENTY, {"from": person})
            for spender in (self.staking, self.verifiers, self.gateways, self.escrow):
                self.stake_token.approve(spender, PLENTY, {"from": person})
            for spender in (self.escrow, self.ledger):
                self.payment_token.approve(spender, PLENTY, {"from": person})
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

    def register(self, who: Any, hardware_class: int, units: int) -> Any:
        """Register a provider whose signer is derived from its address."""
        signer = accounts.add(keccak(text=f"signer of {who.address}")).address
        digest = keccak(text=f"offer of {who.address}")
        endpoint = f"http://{who.address}"
        return self.staking.register(signer, hardware_class, units, digest, "local", endpoint, {"from": who})

    # -------------------------------------------------------------------------------------------------------- time

    def now(self) -> int:
        """Return the time of the newest block."""
        return int(web3.eth.get_block("latest")["timestamp"])

    def next_block_at(self, moment: int) -> None:
        """Decide the time of the block that the next transaction mines."""
        rpc("evm_setNextBlockTimestamp", moment)

    def open_clock(self) -> None:
        """Let epoch 0 begin with the block in which the clock is opened."""
        genesis = self.now() + 5
        self.next_block_at(genesis)
        self.ledger.open(genesis, {"from": self.admin})

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
        self.wait_until(self.ledger.epochEnd(epoch) + self.ledger.reportDelay())

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
        return reports.make_report(epoch, leaves, previous=previous, before=before, **parts)

    def sign(self, report: Report, signers: Sequence[int] = (0, 1)) -> list[bytes]:
        """Return the signatures of some verifiers, given by their numbers."""
        return reports.signatures(*self.ground, report, [VERIFIER_KEYS[i] for i in signers])

    def submit(self, report: Report, signers: Sequence[int] = (0, 1)) -> Any:
        """Wait for the epoch's end and submit its report; checks that only the charges and the incentive moved."""
        self.end_of(report.epoch)
        ledger_before = self.payment_token.balanceOf(self.ledger)
        escrow_before = self.payment_token.balanceOf(self.escrow)
        books_before = self.ledger.books().dict()
        tx = self.ledger.submit(reports.plain(report), self.sign(report, signers), {"from": self.stranger})
        totals = report.totals
        assert self.payment_token.balanceOf(self.ledger) == ledger_before + totals.charged
        assert self.payment_token.balanceOf(self.escrow) == escrow_before - totals.charged
        books = self.ledger.books().dict()
        assert books["pending"] == books_before["pending"] + totals.charged + totals.incentive
        assert books["incentiveFund"] == books_before["incentiveFund"] - totals.incentive
        assert (books["fees"], books["incentives"], books["owed"]) == (
            books_before["fees"],
            books_before["incentives"],
            books_before["owed"],
        )
        self.last_report = report
        return tx

    def activate(self, report: Report) -> Any:
        """Wait out the activation delay and activate; checks what became of what was pending."""
        self.wait_until(self.ledger.record(report.epoch)["activatesAt"])
        fund_before, balances_before = self.escrow.slaFund(), self.escrow.totalBalances()
        books_before = self.ledger.books().dict()
        tx = self.ledger.activate(*self.movements(report), {"from": self.stranger})
        totals, books = report.totals, self.ledger.books().dict()
        assert self.escrow.slaFund() == fund_before + totals.sla_fund_in - totals.credits_from_fund
        assert self.escrow.totalBalances() == balances_before + totals.credits
        assert books["pending"] == books_before["pending"] - totals.charged - totals.incentive
        assert books["fees"] == books_before["fees"] + totals.provider_fees
        assert books["incentives"] == books_before["incentives"] + totals.incentive
        assert books["owed"] == books_before["owed"] + totals.verifier_fees + totals.treasury
        return tx

    def movements(self, report: Report) -> tuple[int, list[Any], list[Any]]:
        """Return the arguments of `activate`."""
        return report.epoch, [reports.plain(c) for c in report.credits], [reports.plain(p) for p in report.payees]

    def settle(self, leaves: Sequence[Leaf] = (), **parts: Any) -> Report:
        """Submit and activate the next report; returns it."""
        report = self.next_report(leaves, **parts)
        self.submit(report)
        self.activate(report)
        return report

    def proof(self, report: Report, provider: Any) -> tuple[Leaf, list[bytes]]:
        """Return a provider's leaf in a report and its proof."""
        leaf = next(leaf for leaf in report.leaves if leaf.provider == str(provider).lower())
        return leaf, reports.proof_of(*self.ground, report, leaf)

    def claim_arguments(self, report: Report, provider: Any) -> tuple[Any, int, list[bytes]]:
        """Return the arguments of `claim`."""
        leaf, proof = self.proof(report, provider)
        return reports.plain(leaf), report.epoch, proof

    def slash_arguments(
        self, report: Report, provider: Any, customers: Sequence[Any] = (), weights: Sequence[int] = ()
    ) -> tuple[Any, ...]:
        """Return the arguments of `propose`."""
        leaf, proof = self.proof(report, provider)
        return report.epoch, reports.plain(leaf), proof, [str(c) for c in customers], list(weights)

    # -------------------------------------------------------------------------------------------------------- books

    def check_books(self) -> None:
        """Check that in every contract the tokens are exactly what the books say: nobody sent any unasked."""
        stake, pay = self.stake_token.balanceOf, self.payment_token.balanceOf
        staking, escrow = self.staking, self.escrow
        assert stake(staking) == staking.totalStake() + staking.totalUnbonding() + staking.totalMatured()
        assert stake(self.verifiers) == self.verifiers.totalBonds()
        assert stake(self.gateways) == self.gateways.totalBonds()
        assert stake(escrow) == escrow.totalCompensation() + escrow.stakeSlaFund()
        assert stake(self.court) == 0
        assert pay(escrow) == escrow.totalBalances() + escrow.slaFund()
        assert pay(self.ledger) == sum(self.ledger.books())
        addresses, views = escrow.customers(0, 100)
        assert sum(view[0] for view in views) == escrow.totalBalances()
        assert all(view[1] <= view[0] for view in views), "nobody has more thawing than balance"
        assert len(addresses) == escrow.customerCount()
