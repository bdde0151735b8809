"""Leave out what no verifier would accept: one bad record must not hold up everybody's epoch.

The same checks as `rewards.epoch.Admission` and `rewards.signatures` make; a report is signed only if all of it
passes them. A provider that replaced its key twice within an epoch, say, left receipts that nobody can check any
more.
"""

from __future__ import annotations

from collections.abc import Sequence

from rewards.epoch import Admission
from rewards.signatures import check_attempt, register
from rewards.types import Attempt, ChainInputs, EpochState


def admitted(inputs: ChainInputs, opening: EpochState, attempts: Sequence[Attempt]) -> tuple[list[Attempt], list[str]]:
    """Return the attempts that can be settled, and in words why each of the others cannot."""
    admission, who = Admission(inputs), register(inputs, opening)
    good: list[Attempt] = []
    refused: list[str] = []
    for index, one in enumerate(attempts):
        refusal = admission.refusal(one)
        difference = None if refusal is not None else check_attempt(one, who, index)
        if refusal is not None:
            refused.append(str(refusal))
        elif difference is not None:
            job = one.receipt.job.hex()
            refused.append(f"job 0x{job}: {difference.where}: {difference.theirs} instead of {difference.ours}")
        else:
            good.append(one)
    return good, refused
