"""The stake token and the payment token as Python sees them: ERC-20, and on a devnet `mint`."""

from __future__ import annotations

from typing import Literal

from contracts.binding import Contract, Reader
from contracts.calls import Call, View
from contracts.deployment import Deployment
from contracts.types import Checkpoint


class Token(Contract):
    """One of the two tokens of a deployment."""

    def __init__(self, source: Reader | Deployment, name: Literal["StakeToken", "PaymentToken"]) -> None:
        super().__init__(source, name)

    async def balance(self, address: str, at: Checkpoint) -> int:
        """Return what an address holds."""
        return await self.read(self.balance_view(address), at)

    def balance_view(self, address: str) -> View[int]:
        """Return the read behind `balance`, to be put in a batch."""
        return self.view("balanceOf", address, to=int)

    async def allowance(self, owner: str, spender: str, at: Checkpoint) -> int:
        """Return what `spender` may take from `owner`."""
        return await self.number(at, "allowance", owner, spender)

    async def decimals(self, at: Checkpoint) -> int:
        """Return how many decimals a unit has."""
        return await self.number(at, "decimals")

    async def symbol(self, at: Checkpoint) -> str:
        """Return the token's short name."""
        return await self.read(self.view("symbol", to=str), at)

    async def total_supply(self, at: Checkpoint) -> int:
        """Return how much of the token there is."""
        return await self.number(at, "totalSupply")

    def approve(self, spender: str, amount: int) -> Call:
        """Let a contract take up to `amount` from the sender."""
        return self.call("approve", spender, amount)

    def transfer(self, to: str, amount: int) -> Call:
        """Send tokens."""
        return self.call("transfer", to, amount)

    def mint(self, to: str, amount: int) -> Call:
        """Make tokens out of nothing; a devnet's token permits it to anybody."""
        return self.call("mint", to, amount)
