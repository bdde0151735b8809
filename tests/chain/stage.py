"""A small market on a devnet: a provider, two customers, a delegator, three verifiers, and epochs' reports of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from contracts import leaves, measured
from contracts.challenges import Challenges
from contracts.court import Court
from contracts.delegation import Delegation
from contracts.epochs import Clock, Epochs
from contracts.escrow import Escrow
from contracts.guardian import Guardian
from contracts.messages import Domain, ProbeDay
from contracts.operators import Operators
from contracts.signing import Signer
from contracts.staking import Staking
from contracts.types import (
    ChallengeTarget,
    Charge,
    Credit,
    HardwareClass,
    Harm,
    Harmed,
    Leaf,
    MeasuredDay,
    MeasuredLeaf,
    Payee,
    Pool,
    Report,
    Totals,
)

from .world import World

UNIT = 10**18
OFFER = b"\x0f" * 32
NO_SLOTS = (0, 0, 0, 0, 0, 0)
ALL_SLOTS = (2**60 - 1, 0, 0, 0, 0, 0)


@dataclass
class Stage:
    """The actors and the contracts, set up and with the epoch clock running."""

    world: World
    deployer: Signer
    provider: Signer
    hot: Signer
    delegator: Signer
    customers: list[Signer]
    verifiers: list[Signer]
    staking: Staking
    delegation: Delegation
    escrow: Escrow
    clock: Clock
    epochs: Epochs
    court: Court
    challenges: Challenges
    guardian: Guardian
    operators: Operators
    harmed: Harmed

    @classmethod
    async def build(cls, world: World) -> Stage:
        """Register, stake, delegate, deposit, join and open the clock; checks nothing, the tests do."""
        accounts = world.devnet.accounts
        chain = world.chain
        customers = sorted(accounts[3:5], key=lambda one: one.address)
        stage = cls(
            world=world,
            deployer=accounts[0],
            provider=accounts[1],
            hot=accounts[2],
            delegator=accounts[8],
            customers=customers,
            verifiers=sorted(accounts[5:8], key=lambda one: one.address),
            staking=Staking(chain),
            delegation=Delegation(chain),
            escrow=Escrow(chain),
            clock=Clock(chain),
            epochs=Epochs(chain),
            court=Court(chain),
            challenges=Challenges(chain),
            guardian=Guardian(chain),
            operators=Operators(chain, "Verifiers"),
            harmed=Harmed(accounts[1].address, tuple(one.address for one in customers), (600, 400)),
        )
        await stage._bring_providers()
        await stage._bring_customers()
        await stage._bring_verifiers()
        head = await chain.head()
        do, payment = world.do, world.payment
        await do(stage.deployer, payment.mint(stage.deployer.address, 10_000_000))
        await do(stage.deployer, payment.approve(stage.epochs.address, 10_000_000))
        await do(stage.deployer, stage.epochs.fund_incentives(9_000_000))
        await do(stage.deployer, stage.clock.open(head.time + 60))
        return stage

    async def _bring_providers(self) -> None:
        do, stake = self.world.do, self.world.stake
        await do(self.provider, stake.mint(self.provider.address, 500 * UNIT))
        await do(self.provider, stake.approve(self.staking.address, 500 * UNIT))
        register = self.staking.register(self.hot.address, HardwareClass.CPU, 1, OFFER, "local", "http://127.0.0.1:1")
        await do(self.provider, register)
        await do(self.provider, self.staking.stake(300 * UNIT))
        await do(self.delegator, stake.mint(self.delegator.address, 100 * UNIT))
        await do(self.delegator, stake.approve(self.delegation.address, 100 * UNIT))
        await do(self.delegator, self.delegation.delegate(self.provider.address, 100 * UNIT))

    async def _bring_customers(self) -> None:
        do, payment = self.world.do, self.world.payment
        for customer in self.customers:
            await do(customer, payment.mint(customer.address, 10_000))
            await do(customer, payment.approve(self.escrow.address, 10_000))
            await do(customer, self.escrow.deposit(customer.address, 5_000))
            await do(customer, self.escrow.set_cap(2_000))

    async def _bring_verifiers(self) -> None:
        do, stake, bond = self.world.do, self.world.stake, 5_000 * UNIT
        for number, verifier in enumerate(self.verifiers):
            await do(verifier, stake.mint(verifier.address, bond))
            await do(verifier, stake.approve(self.operators.address, bond))
            await do(verifier, self.operators.join(f"http://127.0.0.1:{number + 2}"))

    @property
    def domain(self) -> Domain:
        """The domain that everything is signed in."""
        return self.world.chain.deployment.domain()

    async def end_epoch(self, epoch: int) -> None:
        """Move the clock behind the end of an epoch."""
        head = await self.world.chain.head()
        timing = await self.clock.timing(head)
        self.world.control.pass_time(max(1, timing.epoch_end(epoch) + 1 - head.time))

    def measured(self, epoch: int) -> MeasuredLeaf:
        """Return what the verifiers measured of the provider: the first 36 of 60 slots down by two of three."""
        down, mixed = ((2**24 - 1) << 36, 0, 0, 0, 0, 0), (2**60 - 1, 0, 0, 0, 0, 0)
        days = []
        for verifier, up in zip(self.verifiers, (down, down, mixed), strict=True):
            day = ProbeDay(self.provider.address, epoch, up, 100 << 16 * 4)
            signature = verifier.sign(day.digest(self.domain.separator()))
            days.append(MeasuredDay(verifier.address, up, day.histogram, signature))
        return MeasuredLeaf(self.provider.address, ALL_SLOTS, NO_SLOTS, NO_SLOTS, tuple(days))

    async def report(self, epoch: int) -> Report:
        """Return a report of an epoch: a thousand charged, a hundred credited, an outage of level 5."""
        at = await self.world.chain.checkpoint()
        before = await self.epochs.record(epoch - 1, await self.world.chain.head()) if epoch else None
        done = epoch + 1
        leaf = Leaf(
            provider=self.provider.address,
            cumulative_fees=840 * done,
            cumulative_incentive=7 * done,
            uptime_ppm=400_000,
            success_ppm=990_000,
            verification_ppm=1_000_000,
            score_ppm=700_000 - epoch,
            ttft_p95_bucket=4,
            strikes=1,
            standing=2,
            slash_level=5,
            measured=True,
        )
        return Report(
            epoch=epoch,
            previous=before.struct_hash if before else bytes(32),
            evidence=b"\xe1" * 32,
            state=b"\x57" * 32,
            rules=b"\x12" * 32,
            checkpoint_block=at.number,
            checkpoint_hash=at.hash,
            totals=Totals(
                charged=1_000,
                provider_fees=840,
                verifier_fees=20,
                treasury=20,
                sla_fund_in=20,
                credits=100,
                credits_from_fund=0,
                incentive=7,
                pools=3,
            ),
            leaves=(leaf,),
            measurements=measured.measured_root(
                self.domain.chain_id, self.domain.epoch_ledger, epoch, [self.measured(epoch)]
            ),
            charges=tuple(Charge(one.address, amount) for one, amount in zip(self.customers, (600, 400), strict=True)),
            credits=tuple(
                Credit(one.address, self.provider.address, amount)
                for one, amount in zip(self.customers, (60, 40), strict=True)
            ),
            pools=(Pool(self.provider.address, 3),),
            payees=tuple(Payee(one.address, 10) for one in self.verifiers[:2]),
            harms=(Harm(self.provider.address, leaves.harm_root(self.harmed)),),
        )

    async def crowded(self, epoch: int, count: int) -> Report:
        """Return a report of an epoch in which many more providers, who earn nothing, have leaves too."""
        report = await self.report(epoch)
        (own,) = report.leaves
        idle = replace(
            own, cumulative_fees=0, cumulative_incentive=0, slash_level=0, measured=False, uptime_ppm=1_000_000
        )
        names = ("0x" + (0xC0FFEE << 128 | number).to_bytes(20).hex() for number in range(count - 1))
        many = sorted([own, *(replace(idle, provider=name) for name in names)], key=lambda leaf: leaf.provider)
        return replace(report, leaves=tuple(many))

    def signatures(self, report: Report) -> list[bytes]:
        """Let a quorum of verifiers sign, in ascending order of their addresses."""
        digest = leaves.report_digest(report, self.domain).digest(self.domain.separator())
        return [verifier.sign(digest) for verifier in self.verifiers[:2]]

    def target(self, report: Report, index: int = 0) -> ChallengeTarget:
        """Return a leaf of a report as it is challenged."""
        hashes = leaves.leaf_hashes(self.domain.chain_id, self.domain.epoch_ledger, report)
        signers = tuple(one.address for one in self.verifiers[:2])
        return ChallengeTarget(report.epoch, report.leaves[index], leaves.proof(hashes, index), signers)

    async def submit(self, epoch: int) -> Report:
        """End an epoch and hand in its report whole."""
        await self.end_epoch(epoch)
        report = await self.report(epoch)
        (call,) = self.epochs.submission(report, self.signatures(report))
        await self.world.do(self.deployer, call)
        return report

    async def activate(self, report: Report) -> None:
        """Wait for the activation delay and give effect to a report, whole."""
        self.world.control.pass_time(5)
        (call,) = self.epochs.activation(report)
        await self.world.do(self.deployer, call)

    async def bond(self) -> None:
        """Let the deployer have and approve what a proposer posts."""
        await self.world.do(self.deployer, self.world.stake.mint(self.deployer.address, 100 * UNIT))
        await self.world.do(self.deployer, self.world.stake.approve(self.court.address, 100 * UNIT))
