"""Senders over a devnet's accounts, and a deed whose every repetition shows: minting one unit to a fresh address."""

from __future__ import annotations

from pathlib import Path

from contracts.calls import Call
from contracts.chain import Chain, Finality
from contracts.devnet import Devnet
from contracts.fees import FeePolicy
from contracts.file_outbox import FileOutbox
from contracts.outbox import Outbox
from contracts.signing import Signer
from contracts.testing import AnvilControl
from contracts.tokens import Token
from contracts.transactions import Outcome, Sender


class World:
    """A devnet, a chain, and senders that are closed at the end."""

    def __init__(self, devnet: Devnet, chain: Chain, folder: Path) -> None:
        self.devnet = devnet
        self.chain = chain
        self.control = AnvilControl(devnet)
        self.payment = Token(chain, "PaymentToken")
        self.stake = Token(chain, "StakeToken")
        self._folder = folder
        self._outboxes: dict[str, FileOutbox] = {}
        self._intents = 0

    def outbox(self, signer: Signer) -> FileOutbox:
        """Open the outbox of a key, or return it open."""
        if signer.address not in self._outboxes:
            self._outboxes[signer.address] = FileOutbox.open(
                self._folder, sender=signer.address, chain_key=self.chain.key
            )
        return self._outboxes[signer.address]

    def sender(
        self,
        signer: Signer,
        *,
        outbox: Outbox | None = None,
        fees: FeePolicy | None = None,
        finality: Finality | None = None,
        chain: Chain | None = None,
    ) -> Sender:
        """Return a sender that polls fast."""
        return Sender(
            chain or self.chain, signer, outbox or self.outbox(signer), fees=fees, finality=finality, poll_s=0.02
        )

    async def do(self, signer: Signer, call: Call) -> Outcome:
        """Send a call under an id of its own and expect it to be mined."""
        self._intents += 1
        return await self.sender(signer).submit(f"do-{self._intents}", call, timeout_s=20)

    def mint(self, number: int) -> tuple[Call, str]:
        """Return a call that mints one unit to a fresh address, and that address."""
        to = "0x" + (0xBEEF0000 + number).to_bytes(20).hex()
        return self.payment.mint(to, 1), to

    async def minted(self, to: str) -> int:
        """Return how often the call of `mint` took effect."""
        return await self.payment.balance(to, await self.chain.head())

    async def restart(self, signer: Signer) -> None:
        """Let go of a key's outbox, as the end of a process does."""
        outbox = self._outboxes.pop(signer.address, None)
        if outbox is not None:
            await outbox.close()

    async def close(self) -> None:
        """Close all outboxes."""
        for outbox in self._outboxes.values():
            await outbox.close()
