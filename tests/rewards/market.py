"""A small market on a real chain: everybody registered, bonded and funded, epochs settled, signed and submitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from contracts.calls import Call
from contracts.chain import Chain
from contracts.clock import Clock
from contracts.delegation import Delegation
from contracts.devnet import Devnet
from contracts.epochs import Epochs
from contracts.escrow import Escrow
from contracts.leaves import report_digest
from contracts.operators import Operators
from contracts.signing import keccak
from contracts.staking import Staking
from contracts.testing import AnvilControl
from contracts.tokens import Token
from contracts.types import Checkpoint, Report
from rewards.blobs import FolderStore
from rewards.chain_inputs import collect
from rewards.evidence import write_bundle
from rewards.gather import assemble
from rewards.settlement import settle
from rewards.state import GENESIS
from rewards.testing import STAKE, Network
from rewards.types import Attempt, EpochInputs, EpochState, Settlement

SLOTS = 60
BOND = 5_000 * 10**18
BEHIND = 600 * 10**18
COMMISSION_PPM = 100_000
DEPOSIT = 10**9


class Market:
    """Four providers, two customers, three verifiers and a gateway, with the keys of `rewards.testing.Network`.

    The third provider rests in the seconds 20 to 40 of epoch 1, the fourth is backed by the first customer.
    """

    def __init__(self, devnet: Devnet, chain: Chain, folder: Path) -> None:
        self.devnet, self.chain = devnet, chain
        self.control = AnvilControl(devnet)
        self.store = FolderStore(folder / "evidence")
        self.epochs, self.escrow, self.staking = Epochs(chain), Escrow(chain), Staking(chain)
        self.clock, self.delegation = Clock(chain), Delegation(chain)
        self.verifiers, self.gateways = Operators(chain, "Verifiers"), Operators(chain, "Gateways")
        self.stake_token, self.payment_token = Token(chain, "StakeToken"), Token(chain, "PaymentToken")
        self.opening: EpochState = GENESIS
        self.net = Network()

    def send(self, sender: str, call: Call) -> None:
        """Send a call as anybody and expect it to succeed."""
        self.devnet.rpc("anvil_impersonateAccount", sender)
        self.control.give(sender, 10**20)
        sent = self.devnet.rpc(
            "eth_sendTransaction",
            {"from": sender, "to": call.to, "data": "0x" + call.data.hex(), "gas": hex(10_000_000)},
        )
        self.control.mine_pending()
        receipt: dict[str, Any] = self.devnet.rpc("eth_getTransactionReceipt", sent)
        assert receipt["status"] == "0x1", f"{call} failed"

    async def set_up(self) -> None:
        """Register, bond and fund everybody, commit the seeds of three epochs, open the clock."""
        deployer = self.devnet.accounts[0].address
        head = await self.chain.head()
        genesis = head.time + 600
        self.net = net = Network(
            slots=SLOTS,
            slot_s=1,
            chain_id=self.chain.chain_id,
            epoch_ledger=self.chain.deployment.address("EpochLedger"),
            genesis=genesis,
        )
        for name in net.provider_names:
            record = net.records[name]
            self._fund(name, self.stake_token, "ProviderStaking", STAKE)
            self.send(
                name,
                self.staking.register(record.signer, 0, 1, record.offer_digest, "local", record.endpoint),
            )
            self.send(name, self.staking.stake(STAKE))
        for customer in net.customer_names:
            self._fund(customer, self.payment_token, "JobEscrow", DEPOSIT)
            self.send(customer, self.escrow.deposit(customer, DEPOSIT))
            self.send(customer, self.escrow.set_cap(DEPOSIT))
        for operators, name, keys in (
            (self.verifiers, "Verifiers", net.verifier_keys),
            (self.gateways, "Gateways", [net.gateway]),
        ):
            for key in keys:
                self._fund(key.address, self.stake_token, name, BOND)
                self.send(key.address, operators.join(f"http://127.0.0.1/{key.address}"))
        self._fund(deployer, self.payment_token, "EpochLedger", 10**9)
        self.send(deployer, self.epochs.fund_incentives(10**9))
        self.send(deployer, self.clock.open(genesis))
        resting, backed, behind = net.provider_names[2], net.provider_names[3], net.customer_names[0]
        rest = net.window(1, 20, 40)
        self.send(resting, self.staking.declare_maintenance(rest.starts_at, rest.ends_at))
        self._fund(behind, self.stake_token, "Delegation", BEHIND)
        self.send(behind, self.delegation.delegate(backed, BEHIND))
        self.send(backed, self.delegation.set_commission(COMMISSION_PPM))
        for epoch in range(3):
            for reveal in net.seeds(epoch):
                self.send(reveal.verifier, self.verifiers.commit_seed(epoch, keccak(reveal.seed)))

    def _fund(self, who: str, token: Token, spender: str, amount: int) -> None:
        self.send(who, token.mint(who, amount))
        self.send(who, token.approve(self.chain.deployment.address(spender), amount))

    async def end_of(self, epoch: int) -> Checkpoint:
        """Let time pass to the end of an epoch; return a final block after it."""
        head = await self.chain.head()
        self.control.pass_time(max(self.net.timing.epoch_end(epoch) - head.time, 0) + 1)
        self.control.mine(3)
        return await self.chain.checkpoint()

    async def inputs(
        self, epoch: int, attempts: Iterable[Attempt], down: Mapping[str, Iterable[int]], at: Checkpoint
    ) -> EpochInputs:
        """Gather an epoch as settlement does: the chain's part at the checkpoint, the rest from those who signed it."""
        view = await collect(self.chain, epoch, at)
        return assemble(
            view.inputs,
            self.opening,
            attempts=attempts,
            probe_days=self.net.probe_days(epoch, down),
            canary_days=(),
            seeds={reveal.verifier: reveal.seed for reveal in self.net.seeds(epoch)},
            commitments=view.commitments,
        )

    def publish(self, inputs: EpochInputs, report: Report, *, whole: bool = True) -> Report:
        """Write the evidence, let a quorum sign whatever the report says, submit it, and complete it if `whole`."""
        report = write_bundle(self.store, inputs, report)
        digest = report_digest(report, self.chain.deployment.domain()).digest(self.net.separator)
        signatures = [key.sign(digest) for key in self.net.verifier_keys[:2]]
        sender = self.devnet.accounts[0].address
        calls = self.epochs.submission(report, signatures) if whole else (self.epochs.submit(report, signatures),)
        for call in calls:
            self.send(sender, call)
        self.control.mine(3)
        return report

    async def activate(self, report: Report) -> None:
        """Let the activation delay pass, activate a report, and push what it moves."""
        self.control.pass_time(5)
        for call in self.epochs.activation(report):
            self.send(self.devnet.accounts[0].address, call)
        self.control.mine(3)

    async def run_epoch(
        self, epoch: int, count: int = 20, down: Mapping[str, Iterable[int]] | None = None
    ) -> Settlement:
        """Settle an epoch and submit its report; the closing state opens the next."""
        at = await self.end_of(epoch)
        inputs = await self.inputs(epoch, self.net.attempts(epoch, count, epoch, most_atto=10**17), down or {}, at)
        settled = settle(inputs)
        report = self.publish(inputs, settled.report)
        struct_hash = report_digest(report, self.chain.deployment.domain()).struct_hash()
        self.opening = replace(settled.closing, report=struct_hash)
        return replace(settled, report=report)
