"""What can go wrong between measurements and a settled epoch; each message names the offender and says what to do."""

from __future__ import annotations


class RewardsError(Exception):
    """Root of every error raised by the `rewards` package."""


class BadProbe(RewardsError):
    """A probe or a ProbeDay cannot be a measurement: mend the verifier's store or leave the day out."""


class InputsRefused(RewardsError):
    """Root of what makes an epoch impossible to settle: leave the named input out, or read the chain again."""


class OutOfOrder(InputsRefused):
    """A list is not in ascending order or names one thing twice: pass it through `rewards.epoch.canonical`."""

    def __init__(self, what: str, at: str) -> None:
        super().__init__(
            f"{what}: {at} does not come after the entry before it; the order is ascending and nothing is named twice"
        )


class UnknownProvider(InputsRefused):
    """Something refers to a provider that the staking contract does not list at the checkpoint."""

    def __init__(self, provider: str, where: str) -> None:
        super().__init__(f"{where} names the provider {provider}, which is not registered at the checkpoint")
        self.provider = provider


class UnknownCustomer(InputsRefused):
    """A charge would fall on somebody who has no escrow at the checkpoint."""

    def __init__(self, customer: str) -> None:
        super().__init__(f"customer {customer} is charged but has no escrow at the checkpoint; leave its attempts out")
        self.customer = customer


class NotBonded(InputsRefused):
    """A gateway or verifier signed something without being an active member of its set at the checkpoint."""

    def __init__(self, role: str, operator: str, where: str) -> None:
        super().__init__(f"{where}: {operator} is not an active {role} at the checkpoint; leave what it signed out")
        self.operator = operator


class OutsideEpoch(InputsRefused):
    """An attempt or attestation belongs to another epoch."""

    def __init__(self, where: str, found: int, first: int, last: int) -> None:
        super().__init__(f"{where} lies at {found}, outside {first} to {last}; it belongs to another epoch")


class BadAttempt(InputsRefused):
    """An attempt contradicts itself, like a charge for a failure or without a signature: leave it out."""

    def __init__(self, job: bytes, attempt: int, why: str) -> None:
        super().__init__(f"attempt {attempt} of job 0x{job.hex()}: {why}")
        self.job, self.attempt = job, attempt


class ChargeAboveEscrow(InputsRefused):
    """A customer owes more than its escrow or its cap allows, so the contract would refuse the report."""

    def __init__(self, customer: str, charge: int, balance: int, cap: int) -> None:
        super().__init__(f"customer {customer} owes {charge} units; balance {balance}, cap {cap}: leave attempts out")
        self.customer = customer


class BadOpening(InputsRefused):
    """The opening state does not fit the epoch: take the closing state of the report before."""


class BadParameters(InputsRefused):
    """The rules or the clock of the deployment make no sense: read them from the chain again."""


class EvidenceError(RewardsError):
    """Root of what is wrong with an evidence bundle."""


class EvidenceMissing(EvidenceError):
    """A blob of the bundle is nowhere to be had: ask another operator or verifier for it by its digest."""

    def __init__(self, file: str, digest: bytes, where: str) -> None:
        super().__init__(
            f"{file}: no blob {digest.hex()} in {where}; fetch it by this digest from another operator or verifier"
        )
        self.file, self.digest = file, digest


class EvidenceDamaged(EvidenceError):
    """A blob is not what its digest or its format demands: fetch it again from somebody else."""

    def __init__(
        self, file: str, why: str, *, expected: bytes | None = None, found: bytes | None = None, line: int | None = None
    ) -> None:
        place = file if line is None else f"{file}, line {line}"
        digests = (
            "" if expected is None or found is None else f" (sha256 expected {expected.hex()}, found {found.hex()})"
        )
        super().__init__(f"{place}: {why}{digests}")
        self.file, self.why, self.line, self.expected, self.found = file, why, line, expected, found


class ReplayError(RewardsError):
    """A replay cannot even begin: the chain holds no such report, or its history does not go back that far."""


class CheckpointRefused(ReplayError):
    """A block cannot be an epoch's checkpoint: take a final one after its end, the report before, and all refunds."""
