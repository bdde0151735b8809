"""A small market on a devnet: one provider, two customers, three verifiers, and an epoch's report about them."""

from __future__ import annotations

from dataclasses import dataclass

from contracts import leaves
from contracts.court import Court
from contracts.epochs import Epochs
from contracts.escrow import Escrow
from contracts.operators import Operators
from contracts.signing import Signer
from contracts.staking import Staking
from contracts.types import Charge, Credit, HardwareClass, Harmed, Leaf, Payee, Report, Totals

from .world import World

UNIT = 10**18
OFFER = b"\x0f" * 32


@dataclass
class Stage:
    """The actors and the contracts, set up and with the epoch clock running."""

    world: World
    deployer: Signer
    provider: Signer
    hot: Signer
    customers: list[Signer]
    verifiers: list[Signer]
    staking: Staking
    escrow: Escrow
    epochs: Epochs
    court: Court
    operators: Operators
    harmed: Harmed

    @classmethod
    async def build(cls, world: World) -> Stage:
        """Register, stake, deposit, join and open the clock; checks nothing, the tests do."""
        accounts = world.devnet.accounts
        chain = world.chain
        customers = sorted(accounts[3:5], key=lambda one: one.address)
        stage = cls(
            world=world,
            deployer=accounts[0],
            provider=accounts[1],
            hot=accounts[2],
            customers=customers,
            verifiers=sorted(accounts[5:8], key=lambda one: one.address),
            staking=Staking(chain),
            escrow=Escrow(chain),
            epochs=Epochs(chain),
            court=Court(chain),
            operators=Operators(chain, "Verifiers"),
            harmed=Harmed(accounts[1].address, tuple(one.address for one in customers), (600, 400)),
        )
        do, stake, payment = world.do, world.stake, world.payment
        await do(stage.provider, stake.mint(stage.provider.address, 500 * UNIT))
        await do(stage.provider, stake.approve(stage.staking.address, 500 * UNIT))
        register = stage.staking.register(stage.hot.address, HardwareClass.CPU, 1, OFFER, "local", "http://127.0.0.1:1")
        await do(stage.provider, register)
        await do(stage.provider, stage.staking.stake(300 * UNIT))
        for customer in stage.customers:
            await do(customer, payment.mint(customer.address, 10_000))
            await do(customer, payment.approve(stage.escrow.address, 10_000))
            await do(customer, stage.escrow.deposit(customer.address, 5_000))
            await do(customer, stage.escrow.set_cap(2_000))
        bond = 5_000 * UNIT
        for number, verifier in enumerate(stage.verifiers):
            await do(verifier, stake.mint(verifier.address, bond))
            await do(verifier, stake.approve(stage.operators.address, bond))
            await do(verifier, stage.operators.join(f"http://127.0.0.1:{number + 2}"))
        head = await chain.head()
        await do(stage.deployer, payment.mint(stage.deployer.address, 10_000_000))
        await do(stage.deployer, payment.approve(stage.epochs.address, 10_000_000))
        await do(stage.deployer, stage.epochs.fund_incentives(9_000_000))
        await do(stage.deployer, stage.epochs.open(head.time + 60))
        return stage

    async def end_epoch(self, epoch: int) -> None:
        """Move the clock behind the end of an epoch."""
        head = await self.world.chain.head()
        timing = await self.epochs.timing(head)
        self.world.control.pass_time(max(1, timing.epoch_end(epoch) + 1 - head.time))

    async def report(self, epoch: int) -> Report:
        """Return a report of an epoch: a thousand charged, a hundred credited, an outage of level 5."""
        at = await self.world.chain.checkpoint()
        before = await self.epochs.record(epoch - 1, at) if epoch else None
        done = epoch + 1
        leaf = Leaf(
            provider=self.provider.address,
            cumulative_fees=840 * done,
            cumulative_incentive=7 * done,
            uptime_ppm=400_000,
            ttft_p95_bucket=4,
            success_ppm=990_000,
            verification_ppm=1_000_000,
            score_ppm=700_000,
            strikes=1,
            slash_level=5,
            harmed=leaves.harmed_digest(self.harmed.customers, self.harmed.weights),
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
            ),
            leaves=(leaf,),
            charges=tuple(Charge(one.address, amount) for one, amount in zip(self.customers, (600, 400), strict=True)),
            credits=tuple(
                Credit(one.address, self.provider.address, amount)
                for one, amount in zip(self.customers, (60, 40), strict=True)
            ),
            payees=tuple(Payee(one.address, 10) for one in self.verifiers[:2]),
        )

    def signatures(self, report: Report) -> list[bytes]:
        """Let a quorum of verifiers sign, in ascending order of their addresses."""
        domain = self.world.chain.deployment.domain()
        digest = leaves.report_digest(report, domain).digest(domain.separator())
        return [verifier.sign(digest) for verifier in self.verifiers[:2]]

    async def submit(self, epoch: int) -> Report:
        """End an epoch and hand in its report."""
        await self.end_epoch(epoch)
        report = await self.report(epoch)
        await self.world.do(self.deployer, self.epochs.submit(report, self.signatures(report)))
        return report

    async def activate(self, report: Report) -> None:
        """Wait for the activation delay and give effect to a report."""
        self.world.control.pass_time(5)
        call = self.epochs.activate(report.epoch, report.credits, report.payees)
        await self.world.do(self.deployer, call)
