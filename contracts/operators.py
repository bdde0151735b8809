"""`BondedOperators` as Python sees it, once for the verifiers and once for the gateways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from contracts.binding import Contract, Reader, same
from contracts.calls import Call, View
from contracts.deployment import Deployment
from contracts.types import Checkpoint, OperatorRecord
from contracts.views import MemberView, OperatorSettings


class Operators(Contract):
    """A bounded set of operators that have posted the same bond."""

    def __init__(self, source: Reader | Deployment, name: Literal["Verifiers", "Gateways"]) -> None:
        super().__init__(source, name)

    # ------------------------------------------------------------------------------------------------------- reads

    async def members(self, at: Checkpoint) -> tuple[OperatorRecord, ...]:
        """Return the members of the set, in ascending order of address."""
        names: list[str] = await self.read(self.view("members", to=list), at)
        found: list[MemberView] = await self.read_many([self.member_view(name) for name in sorted(names)], at)
        return tuple(OperatorRecord(one.operator, one.endpoint, one.bond, one.active) for one in found)

    async def member(self, address: str, at: Checkpoint) -> MemberView | None:
        """Return an operator that is or was a member and has a bond here; None for a stranger."""
        found = await self.read(self.member_view(address), at)
        return found if found.bond else None

    def member_view(self, address: str) -> View[MemberView]:
        """Return the read behind `member`, to be put in a batch; all zero for a stranger."""
        return self.view("member", address, to=lambda raw: MemberView(address, *raw))

    async def is_member(self, address: str, at: Checkpoint) -> bool:
        """Say whether an address is in the set."""
        return await self.read(self.view("isMember", address, to=bool), at)

    async def was_member(self, address: str, start: int, end: int, at: Checkpoint) -> bool:
        """Say whether an address was in the set at some second of `[start, end)`, whatever became of its bond."""
        return await self.read(self.view("wasMember", address, start, end, to=bool), at)

    async def quorum(self, at: Checkpoint) -> int:
        """Return how many members must agree."""
        return await self.number(at, "quorum")

    async def settings(self, at: Checkpoint) -> OperatorSettings:
        """Return what the set was deployed with."""
        names = ("bond", "most", "least", "quorum", "unbondingSeconds")
        return OperatorSettings(*await self.read_many([self.view(name, to=int) for name in names], at))

    async def seed_commitment(self, address: str, epoch: int, at: Checkpoint) -> bytes:
        """Return what an operator committed for an epoch; 32 zero bytes for nothing."""
        return (await self.seed_commitments([address], epoch, at))[address]

    async def seed_commitments(self, addresses: Sequence[str], epoch: int, at: Checkpoint) -> dict[str, bytes]:
        """Return the seed that each operator committed to for an epoch; 32 zero bytes for nothing."""
        return await self._commitments("seedCommitment", addresses, epoch, at)

    async def days_commitments(self, addresses: Sequence[str], epoch: int, at: Checkpoint) -> dict[str, bytes]:
        """Return the attestation that each operator committed to for an epoch; 32 zero bytes for nothing."""
        return await self._commitments("daysCommitment", addresses, epoch, at)

    async def total_bonds(self, at: Checkpoint) -> int:
        """Return the books: the stake-token balance covers this."""
        return await self.number(at, "totalBonds")

    # ------------------------------------------------------------------------------------------------------- calls

    def join(self, endpoint: str) -> Call:
        """Make the sender a member; pulls the bond, needs an allowance for `address`."""
        return self.call("join", endpoint)

    def set_endpoint(self, endpoint: str) -> Call:
        """Change where the sender can be reached."""
        return self.call("setEndpoint", endpoint)

    def leave(self) -> Call:
        """End the sender's membership and begin to unbond."""
        return self.call("leave")

    def withdraw(self) -> Call:
        """Pay the sender's bond once its time has passed."""
        return self.call("withdraw")

    def commit_seed(self, epoch: int, commitment: bytes) -> Call:
        """Bind the sender to the secret behind its plan for an epoch that has not begun."""
        return self.call("commitSeed", epoch, commitment)

    def commit_days(self, epoch: int, commitment: bytes) -> Call:
        """Bind the sender to what it measured in an epoch that has ended: SHA-256 of its attestation."""
        return self.call("commitDays", epoch, commitment)

    async def _commitments(
        self, function: str, addresses: Sequence[str], epoch: int, at: Checkpoint
    ) -> dict[str, bytes]:
        views: list[View[bytes]] = [self.view(function, one, epoch, to=same) for one in addresses]
        return dict(zip(addresses, await self.read_many(list(views), at), strict=True))
