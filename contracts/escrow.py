"""`JobEscrow` as Python sees it: reads at a checkpoint, calls to be sent. Its manual is the Solidity interface."""

from __future__ import annotations

from contracts.binding import Contract, Reader
from contracts.calls import Call, View
from contracts.deployment import Deployment
from contracts.types import Checkpoint, CustomerRecord
from contracts.views import CustomerView, EscrowFunds, SessionView


class Escrow(Contract):
    """What customers have paid in and what may be charged to them."""

    def __init__(self, source: Reader | Deployment) -> None:
        super().__init__(source, "JobEscrow")

    # ------------------------------------------------------------------------------------------------------- reads

    async def customer(self, address: str, at: Checkpoint) -> CustomerView:
        """Return one customer; all zero for a stranger."""
        return await self.read(self.customer_view(address), at)

    def customer_view(self, address: str) -> View[CustomerView]:
        """Return the read behind `customer`, to be put in a batch."""
        return self.view("customer", address, to=lambda raw: CustomerView(address, *raw))

    async def customers(self, at: Checkpoint) -> tuple[CustomerView, ...]:
        """Return every customer who ever received a deposit, in ascending order of address."""
        found = await self.pages(
            at,
            "customerCount",
            "customers",
            lambda names, raws: [CustomerView(name, *raw) for name, raw in zip(names, raws, strict=True)],
        )
        return tuple(sorted(found, key=lambda one: one.customer))

    async def records(self, epoch: int, at: Checkpoint) -> tuple[CustomerRecord, ...]:
        """Return every customer as settlement reads it, with what the contract says may be charged for `epoch`."""
        customers = await self.customers(at)
        caps = await self.read_many([self.view("capFor", one.customer, epoch, to=int) for one in customers], at)
        return tuple(
            CustomerRecord(one.customer, one.balance, one.thawing, cap)
            for one, cap in zip(customers, caps, strict=True)
        )

    async def cap_for(self, address: str, epoch: int, at: Checkpoint) -> int:
        """Return what may be charged to a customer for an epoch."""
        return await self.number(at, "capFor", address, epoch)

    async def session_of(self, key: str, at: Checkpoint) -> SessionView | None:
        """Return whose session key an address is; None for nobody's, or after it expired."""
        found = await self.read(self.session_view(key), at)
        return found if found.expires_at else None

    def session_view(self, key: str) -> View[SessionView]:
        """Return the read behind `session_of`, to be put in a batch; all zero for nobody's."""
        return self.view("sessionOf", key, to=lambda *found: SessionView(key, *found))

    async def funds(self, at: Checkpoint) -> EscrowFunds:
        """Return the books."""
        names = ("totalBalances", "slaFund", "totalCompensation", "stakeSlaFund")
        return EscrowFunds(*await self.read_many([self.view(name, to=int) for name in names], at))

    async def thaw_s(self, at: Checkpoint) -> int:
        """Return the seconds from a request to the withdrawal."""
        return await self.number(at, "thawSeconds")

    # ------------------------------------------------------------------------------------------------------- calls

    def deposit(self, customer: str, amount: int) -> Call:
        """Add payment tokens of the sender to a customer's balance; needs an allowance for `address`."""
        return self.call("deposit", customer, amount)

    def deposit_with_permit(self, customer: str, amount: int, deadline: int, v: int, r: bytes, s: bytes) -> Call:
        """Deposit with an EIP-2612 permit instead of an allowance."""
        return self.call("depositWithPermit", customer, amount, deadline, v, r, s)

    def set_cap(self, cap_per_epoch: int) -> Call:
        """Set what may be charged to the sender per epoch: a raise at once, a cut from the epoch after the next."""
        return self.call("setCap", cap_per_epoch)

    def set_session(self, key: str, expires_at: int, most_cap: int) -> Call:
        """Let a key act for the sender until a time, with caps up to `most_cap`; `expires_at` 0 ends that at once."""
        return self.call("setSession", key, expires_at, most_cap)

    def set_cap_by_session(self, cap_per_epoch: int) -> Call:
        """Set what may be charged per epoch to the customer whose session key the sender is."""
        return self.call("setCapBySession", cap_per_epoch)

    def request_withdrawal(self, amount: int) -> Call:
        """Move more of the sender's balance into the thaw; restarts it."""
        return self.call("requestWithdrawal", amount)

    def cancel_withdrawal(self) -> Call:
        """Take everything of the sender out of the thaw."""
        return self.call("cancelWithdrawal")

    def withdraw(self) -> Call:
        """Pay what has thawed to the sender."""
        return self.call("withdraw")

    def withdraw_compensation(self) -> Call:
        """Pay the sender's compensation, in stake tokens."""
        return self.call("withdrawCompensation")

    def fund_sla(self, amount: int) -> Call:
        """Give payment tokens to the SLA fund."""
        return self.call("fundSla", amount)

    def fund_sla_stake(self, amount: int) -> Call:
        """Give stake tokens to the SLA fund."""
        return self.call("fundSlaStake", amount)

    def burn_sla_stake(self) -> Call:
        """Burn the stake tokens of the SLA fund; anybody may."""
        return self.call("burnSlaStake")
