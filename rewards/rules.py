"""The version of the settlement rules: a digest of the code and of the parameters (docs/protocol.md, section 7).

Rules also have a number, which says how messages, states and evidence look; an epoch of an earlier number replays as
`rewards.former` knows it.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from rewards import former
from rewards.canonical import canonical_json
from rewards.types import EpochInputs

CODE_FILES = (
    "epoch.py",
    "fees.py",
    "honesty.py",
    "incentive.py",
    "measured.py",
    "measurement.py",
    "missing.py",
    "penalty.py",
    "scarcity.py",
    "score.py",
    "service.py",
    "settlement.py",
    "tenure.py",
    "types.py",
)


@cache
def code_digest() -> bytes:
    """Return the SHA-256 over the source bytes of the files that decide amounts, in name order."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for name in CODE_FILES:
        digest.update((folder / name).read_bytes())
    return digest.digest()


def parameters(inputs: EpochInputs) -> dict[str, Any]:
    """Return the parameters of an epoch by name: the ledger's rules and what is fixed at deployment."""
    return {
        **asdict(inputs.rules),
        **asdict(inputs.timing),
        "chain_id": inputs.chain_id,
        "decimals": inputs.decimals,
        "epoch_ledger": inputs.epoch_ledger,
        "quorum": inputs.quorum,
        "stake_decimals": inputs.stake_decimals,
    }


def rules_version(inputs: EpochInputs) -> bytes:
    """Return the digest that a report carries as `rules`."""
    code = former.CODE if inputs.rules_number == former.NUMBER else code_digest()
    body = {"code": "0x" + code.hex(), "parameters": parameters(inputs)}
    return hashlib.sha256(canonical_json(body)).digest()
