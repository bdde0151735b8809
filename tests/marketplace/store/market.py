"""A market on a devnet whose verifiers answer over HTTP, with an epoch's work and measurements, ready to be settled."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from contracts.calls import Call
from contracts.chain import Chain, Finality
from contracts.devnet import Devnet
from contracts.epochs import Epochs
from contracts.escrow import Escrow
from contracts.file_outbox import FileOutbox
from contracts.messages import Receipt, Status
from contracts.operators import Operators
from contracts.signing import Signer, keccak
from contracts.staking import Staking
from contracts.testing import AnvilControl, deploy
from contracts.tokens import Token
from contracts.transactions import Outcome, Sender
from contracts.types import HardwareClass, Timing
from marketplace.attestations import Verifiers
from marketplace.db import Database
from marketplace.drain import attempt_row
from marketplace.epoch_steps import EpochSteps
from marketplace.gateway.acceptance import Witness
from marketplace.gateway.server import HttpServer
from marketplace.gateway.upstream import Upstream
from marketplace.ledger import Transfer, account, post
from marketplace.models import attempts, watermarks
from marketplace.outbox import PostgresOutbox
from marketplace.settings import SettlementSettings
from marketplace.settled import SettledEpochs
from marketplace.settlement import Settler
from marketplace.verifier.server import create_server
from marketplace.verifier.signing import ReportSigner
from rewards.blobs import FolderStore
from rewards.types import Attempt
from rewards.verifier.probe import Verdict
from rewards.verifier.service import Verifier
from rewards.verifier.store import Measurement, MeasurementStore

WHOLE = 10**18
UNIT = 10**12
_intents = itertools.count(1)


@dataclass
class _Chain:
    """What a verifier that only attests and signs needs of its surroundings."""

    timing: Timing
    separator: bytes
    gap_slots: int = 4


@dataclass
class Market:
    """Everything of one test. The third of four providers is dead; the last devnet account settles.

    Of fewer than four, one that is down would be more than the 30 % that make a slot void.
    """

    devnet: Devnet
    chain: Chain
    database: Database
    folder: Path
    control: AnvilControl
    deployer: Signer
    gateway: Signer
    settler_key: Signer
    providers: list[Signer]
    hot: dict[str, Signer]
    customers: list[Signer]
    verifier_keys: list[Signer]
    lead_s: int = 30
    timing: Timing = field(default_factory=lambda: Timing(0, 1, 60))
    verifiers: list[Verifier] = field(default_factory=list)
    servers: list[HttpServer] = field(default_factory=list)
    time: float = 0.0

    @property
    def dead(self) -> str:
        """Return the provider that was never up."""
        return self.providers[2].address

    @property
    def store(self) -> FolderStore:
        """Return the folder of evidence."""
        return FolderStore(self.folder / "evidence")

    async def do(self, signer: Signer, call: Call) -> Outcome:
        """Send a call as somebody."""
        outbox = FileOutbox.open(self.folder, sender=signer.address, chain_key=self.chain.key)
        try:
            return await Sender(self.chain, signer, outbox, poll_s=0.02).submit(
                f"do-{next(_intents)}", call, timeout_s=20
            )
        finally:
            await outbox.close()

    async def build(self) -> None:
        """Stake, deposit, bond, open the clock and start the verifiers."""
        stake, pay = Token(self.chain, "StakeToken"), Token(self.chain, "PaymentToken")
        staking, escrow, epochs = Staking(self.chain), Escrow(self.chain), Epochs(self.chain)
        for number, provider in enumerate(self.providers):
            await self.do(provider, stake.mint(provider.address, 500 * WHOLE))
            await self.do(provider, stake.approve(staking.address, 500 * WHOLE))
            hot = self.hot[provider.address]
            await self.do(
                provider,
                staking.register(
                    hot.address, HardwareClass.CPU, 1, keccak(b"offer"), "local", f"http://127.0.0.1:{number + 1}"
                ),
            )
            await self.do(provider, staking.stake(300 * WHOLE))
        for customer in self.customers:
            await self.do(customer, pay.mint(customer.address, 10**9))
            await self.do(customer, pay.approve(escrow.address, 10**9))
            await self.do(customer, escrow.deposit(customer.address, 10**8))
            await self.do(customer, escrow.set_cap(10**8))
        await self.do(self.deployer, pay.mint(self.deployer.address, 10**9))
        await self.do(self.deployer, pay.approve(epochs.address, 10**8))
        await self.do(self.deployer, epochs.fund_incentives(10**8))
        await self.do(self.deployer, stake.mint(self.settler_key.address, 5_000 * WHOLE))
        await self._bond(self.gateway, "Gateways", "http://127.0.0.1:1")
        for key in self.verifier_keys:
            await self.recruit(key)
        genesis = (await self.chain.head()).time + self.lead_s
        await self.do(self.deployer, epochs.clock.open(genesis))
        self.timing = await epochs.clock.timing(await self.chain.head())
        for verifier in self.verifiers:
            verifier.surroundings = _Chain(self.timing, self.chain.deployment.domain().separator())  # type: ignore[assignment]

    async def recruit(self, key: Signer) -> None:
        """Start a verifier that answers over HTTP, and let it post its bond."""
        verifier = Verifier(
            key,
            keccak(key.address.encode()),
            MeasurementStore(self.folder / key.address),
            _Chain(self.timing, self.chain.deployment.domain().separator()),  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            {},
            now=self.now,
        )
        server = await self._serve(verifier, 0)
        self.verifiers.append(verifier)
        self.servers.append(server)
        await self._bond(key, "Verifiers", f"http://127.0.0.1:{server.port}")

    async def _serve(self, verifier: Verifier, port: int) -> HttpServer:
        application = create_server(verifier, ReportSigner(self.chain, verifier.signer, verifier, self.store))
        server = HttpServer(application, "127.0.0.1", port)
        await server.start()
        return server

    async def serve_again(self) -> None:
        """Bring the verifiers back at the addresses they registered."""
        for number, verifier in enumerate(self.verifiers):
            old = self.servers[number]
            await old.stop(0.1)
            self.servers[number] = await self._serve(verifier, old.port)

    async def _bond(self, key: Signer, group: str, endpoint: str) -> None:
        stake, operators = Token(self.chain, "StakeToken"), Operators(self.chain, group)
        await self.do(key, stake.mint(key.address, 5_000 * WHOLE))
        await self.do(key, stake.approve(operators.address, 5_000 * WHOLE))
        await self.do(key, operators.join(endpoint))

    def now(self) -> float:
        """Return the time, which is the chain's."""
        return self.time

    async def pass_time(self, seconds: int) -> None:
        """Let time pass on the chain and for everybody."""
        self.control.pass_time(seconds)
        self.time = (await self.chain.head()).time

    async def live_through(self, epoch: int) -> None:
        """Let an epoch happen: work, probes, a drained journal; afterwards it is over."""
        await self.work(epoch)
        head = await self.chain.head()
        await self.pass_time(max(1, self.timing.epoch_end(epoch) + 1 - head.time))

    async def work(self, epoch: int) -> None:
        """Enter what happens in an epoch, all at once."""
        first = epoch * self.timing.slots_per_epoch
        made = [
            self.attempt(first + number % self.timing.slots_per_epoch, provider, customer, (number + 1) * 7 * UNIT // 3)
            for number, (provider, customer) in enumerate(
                itertools.product((one.address for one in self.providers), (one.address for one in self.customers))
            )
        ]
        await self.enter(made, first + self.timing.slots_per_epoch)
        for verifier in self.verifiers:
            for provider in self.providers:
                up = provider.address != self.dead
                for slot in range(2, self.timing.slots_per_epoch, 4):
                    verdict = Verdict.SERVED if up else Verdict.UNREACHABLE
                    verifier.store.append(
                        epoch, Measurement(provider.address, slot, verdict, 100 if up else None, None)
                    )

    async def enter(self, made: Iterable[Attempt], slot: int) -> None:
        """Put attempts and what they cost where the drainer puts them, and set the watermark."""
        async with self.database.begin() as connection:
            for one in made:
                customer, charge = one.countersignature.customer, one.receipt.charge_atto
                await connection.execute(insert(attempts).values(**attempt_row(one, self.timing)))
                entry = Transfer(
                    f"post:{one.receipt.job.hex()}",
                    account(customer, "available"),
                    account(customer, "accrued"),
                    charge,
                )
                await post(connection, [entry])
            changed = await connection.execute(update(watermarks).values(slot=slot))
            if not changed.rowcount:
                await connection.execute(insert(watermarks).values(gateway=self.gateway.address, slot=slot))

    def attempt(self, slot: int, provider: str, customer: str, charge_atto: int) -> Attempt:
        """Sign a served attempt as provider and gateway."""
        separator = self.chain.deployment.domain().separator()
        job = keccak(f"{slot} {provider} {customer} {charge_atto}".encode())
        receipt = Receipt(
            job=job,
            attempt=0,
            provider=provider,
            model=bytes(32),
            slot=slot,
            input_tokens=10,
            cached_tokens=0,
            output_tokens=20,
            ttft_ms=100,
            itl_us=5_000,
            charge_atto=charge_atto,
            request_digest=bytes(32),
            response_digest=bytes(32),
            status=Status.SERVED,
        )
        signature = self.hot[provider].sign(receipt.digest(separator))
        return Witness(self.gateway, separator).countersign(receipt, signature, customer, slot, 100, 5_000)

    @asynccontextmanager
    async def settler(self, bend: Callable[[Settler], Any] = lambda settler: None) -> AsyncIterator[Settler]:
        """Start what a settlement process starts, with fresh objects; `bend` may spoil them."""
        outbox = await PostgresOutbox.open(self.database, sender=self.settler_key.address, chain_key=self.chain.key)
        upstream = Upstream(True)
        settings = SettlementSettings(attestation_wait_s=3600.0, watermark_wait_s=3600.0)
        separator = self.chain.deployment.domain().separator()

        async def lead() -> None:
            return None

        settler = Settler(
            self.chain,
            Sender(self.chain, self.settler_key, outbox, poll_s=0.02),
            EpochSteps(self.database),
            Verifiers(upstream, separator, True),
            SettledEpochs(self.store),
            settings,
            lead,
            self.now,
        )
        bend(settler)
        try:
            yield settler
        finally:
            upstream.close()
            await outbox.close()


@asynccontextmanager
async def market(
    devnet: Devnet,
    database: Database,
    folder: Path,
    slots_per_epoch: int = 60,
    lead_s: int = 30,
    changes: dict[str, dict[str, Any]] | None = None,
) -> AsyncIterator[Market]:
    """Build a market whose clock starts `lead_s` after it is opened; its servers are stopped at the end.

    `changes` replace single parameters of the deployment.
    """
    accounts = list(devnet.accounts)
    deployment = deploy(devnet, changes or {"clock": {"slots_per_epoch": slots_per_epoch}})
    async with await Chain.connect([devnet.url], deployment, finality=Finality.depth(0)) as chain:
        providers = sorted(accounts[2:6], key=lambda one: one.address)
        made = Market(
            devnet=devnet,
            chain=chain,
            database=database,
            folder=folder,
            control=AnvilControl(devnet),
            deployer=accounts[0],
            gateway=accounts[1],
            settler_key=accounts[19],
            providers=providers,
            hot={one.address: key for one, key in zip(providers, accounts[6:10], strict=True)},
            customers=accounts[14:16],
            verifier_keys=accounts[10:13],
            lead_s=lead_s,
        )
        try:
            await made.build()
            yield made
        finally:
            for server in made.servers:
                await server.stop(0.1)
