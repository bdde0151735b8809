"""`EpochLedger` as Python sees it: reads at a checkpoint, calls to be sent. Its manual is the Solidity interface."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from contracts.binding import Contract, Reader, same
from contracts.calls import Call, View
from contracts.deployment import Deployment
from contracts.types import Checkpoint, Credit, Leaf, Payee, Report, RulesRecord, Timing, Totals
from contracts.views import EpochProgress, EpochRecord, EpochSettings, LedgerBooks

_leaf_values = attrgetter(*Leaf.__dataclass_fields__)
_total_values = attrgetter(*Totals.__dataclass_fields__)
_rule_values = attrgetter(*RulesRecord.__dataclass_fields__)
_TOTALS_AT = tuple(EpochRecord.__dataclass_fields__).index("totals")


class Epochs(Contract):
    """The epoch clock, the settlement rules, the reports and what they owe."""

    def __init__(self, source: Reader | Deployment) -> None:
        super().__init__(source, "EpochLedger")

    # ------------------------------------------------------------------------------------------------------- clock

    async def timing(self, at: Checkpoint) -> Timing:
        """Return the epoch clock; genesis is 0 until it is opened."""
        names = ("genesis", "slotSeconds", "slotsPerEpoch")
        return Timing(*await self.read_many([self.view(name, to=int) for name in names], at))

    async def settings(self, at: Checkpoint) -> EpochSettings:
        """Return what the ledger was deployed with."""
        numbers = ("reportDelay", "activationDelay")
        links = ("paymentToken", "escrow", "verifiers", "treasury")
        views = [self.view(name, to=int) for name in numbers]
        linked = [self.view(name, to=str) for name in links]
        return EpochSettings(await self.timing(at), *await self.read_many([*views, *linked], at))

    async def rules(self, epoch: int, at: Checkpoint) -> RulesRecord:
        """Return the rules in force for an epoch, as they stand at the checkpoint."""
        return await self.read(self.view("rulesFor", epoch, to=lambda raw: RulesRecord(*raw)), at)

    # ----------------------------------------------------------------------------------------------------- reports

    async def progress(self, at: Checkpoint) -> EpochProgress:
        """Return how far settlement has come."""
        names = ("nextEpoch", "nextActivation", "currentEpoch")
        return EpochProgress(*await self.read_many([self.view(name, to=int) for name in names], at))

    async def record(self, epoch: int, at: Checkpoint) -> EpochRecord | None:
        """Return what is kept of an epoch's report; None if there is none."""
        return await self.read(self.record_view(epoch), at)

    async def records(self, first: int, last: int, at: Checkpoint) -> list[EpochRecord | None]:
        """Return the records of epochs `first` to `last`, both included."""
        return await self.read_many([self.record_view(epoch) for epoch in range(first, last + 1)], at)

    def record_view(self, epoch: int) -> View[EpochRecord | None]:
        """Return the read behind `record`, to be put in a batch."""
        return self.view("record", epoch, to=_record)

    async def report_digest(self, report: Report, at: Checkpoint) -> bytes:
        """Let the contract compute what verifiers sign; `contracts.leaves` computes the same."""
        return bytes(await self.read(self.view("reportDigest", report_values(report), to=same), at))

    async def struct_hash(self, report: Report, at: Checkpoint) -> bytes:
        """Let the contract compute what the next report names as `previous`."""
        return bytes(await self.read(self.view("structHash", report_values(report), to=same), at))

    async def leaf_hash(self, epoch: int, leaf: Leaf, at: Checkpoint) -> bytes:
        """Let the contract hash a leaf."""
        return bytes(await self.read(self.view("leafHash", epoch, _leaf_values(leaf), to=same), at))

    async def verify_leaf(self, epoch: int, leaf: Leaf, proof: Sequence[bytes], at: Checkpoint) -> bool:
        """Say whether a leaf is in the root of an epoch's report."""
        return await self.read(self.view("verifyLeaf", epoch, _leaf_values(leaf), list(proof), to=bool), at)

    async def domain_separator(self, at: Checkpoint) -> bytes:
        """Return the EIP-712 domain separator as the contract has it."""
        return bytes(await self.read(self.view("domainSeparator", to=same), at))

    # ------------------------------------------------------------------------------------------------------- books

    async def books(self, at: Checkpoint) -> LedgerBooks:
        """Return what the payment tokens in the ledger are for."""
        return await self.read(self.view("books", to=lambda raw: LedgerBooks(*raw)), at)

    async def incentive_fund(self, at: Checkpoint) -> int:
        """Return what no report has reserved."""
        return await self.number(at, "incentiveFund")

    async def owed(self, payee: str, at: Checkpoint) -> int:
        """Return what a verifier or the treasury may take with `claim_owed`."""
        return await self.number(at, "owed", payee)

    async def claimed(self, provider: str, at: Checkpoint) -> tuple[int, int]:
        """Return the fees and the incentives a provider has claimed so far."""
        names = ("claimedFees", "claimedIncentive")
        fees, incentive = await self.read_many([self.view(name, provider, to=int) for name in names], at)
        return fees, incentive

    # ------------------------------------------------------------------------------------------------------- calls

    def open(self, genesis: int) -> Call:
        """Start the clock; by the access manager's permission, once."""
        return self.call("open", genesis)

    def set_rules(self, rules: RulesRecord) -> Call:
        """Set the rules from the next epoch on; by the access manager's permission."""
        return self.call("setRules", _rule_values(rules), rules=rules)

    def submit(self, report: Report, signatures: Sequence[bytes]) -> Call:
        """Hand in a report; signatures in ascending order of their signers."""
        return self.call(
            "submit",
            report_values(report),
            list(signatures),
            epoch=report.epoch,
            leaves=report.leaves,
            signatures=signatures,
        )

    def activate(self, epoch: int, credits: Sequence[Credit], payees: Sequence[Payee]) -> Call:
        """Give effect to a report; credits and payees exactly as in it."""
        return self.call("activate", epoch, _credits(credits), _payees(payees))

    def claim(self, leaf: Leaf, epoch: int, proof: Sequence[bytes]) -> Call:
        """Pay a leaf's provider what it has earned and not claimed."""
        return self.call("claim", _leaf_values(leaf), epoch, list(proof), provider=leaf.provider, epoch=epoch)

    def claim_owed(self) -> Call:
        """Pay the sender what it is owed as a verifier or the treasury."""
        return self.call("claimOwed")

    def fund_incentives(self, amount: int) -> Call:
        """Give payment tokens to the incentive fund."""
        return self.call("fundIncentives", amount)


def leaf_values(leaf: Leaf) -> tuple[Any, ...]:
    """Return a leaf as the ABI's tuple."""
    return tuple(_leaf_values(leaf))


def report_values(report: Report) -> tuple[Any, ...]:
    """Return a report as the ABI's tuple."""
    return (
        report.epoch,
        report.previous,
        report.evidence,
        report.state,
        report.rules,
        report.checkpoint_block,
        report.checkpoint_hash,
        _total_values(report.totals),
        [_leaf_values(leaf) for leaf in report.leaves],
        [(one.customer, one.amount) for one in report.charges],
        _credits(report.credits),
        _payees(report.payees),
    )


def _credits(credits: Sequence[Credit]) -> list[tuple[str, str, int]]:
    return [(one.customer, one.provider, one.amount) for one in credits]


def _payees(payees: Sequence[Payee]) -> list[tuple[str, int]]:
    return [(one.verifier, one.amount) for one in payees]


def _record(raw: Sequence[Any]) -> EpochRecord | None:
    values = list(raw)
    values[_TOTALS_AT] = Totals(*values[_TOTALS_AT])
    record = EpochRecord(*values)
    return record if record.submitted_at else None
