"""What the billing page tells the wallet: which contracts, and the selectors of what it may call there."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.abi import artifact, signature
from contracts.codec import function
from contracts.signing import keccak
from contracts.tokens import Token
from marketplace.gateway.services import Services

_ESCROW = ("deposit", "depositWithPermit", "setCap", "requestWithdrawal", "cancelWithdrawal", "withdraw",
           "withdrawCompensation")  # fmt: skip
_WORDS = {
    "StillThawing": "It is still thawing. The time from which it can be taken out stands above.",
    "NothingThawing": "Nothing is thawing.",
    "WithdrawalAboveBalance": "That is more than is in escrow.",
    "NothingToWithdraw": "There is nothing to take out.",
    "ZeroAmount": "The amount is zero.",
    "ERC20InsufficientBalance": "The wallet holds less than that.",
    "ERC20InsufficientAllowance": "The escrow may not take that much: approve it first.",
    "ERC2612ExpiredSignature": "The permit has expired: deposit again.",
    "ERC2612InvalidSigner": "This token does not take the permit: choose to approve instead.",
}
"""Why the escrow or the token refuses a call, for people. What is not here is shown by the contract's own name."""
_TOKEN = ("balanceOf", "allowance", "approve", "nonces", "name")


@dataclass(frozen=True, slots=True)
class MoneyFacts:
    """Addresses, `0x` selectors by name, and what the contracts' errors mean by `0x` selector."""

    chain_id: int
    escrow: str
    token: str
    thaw_s: int
    calls: dict[str, str]
    refusals: dict[str, str]


def money_facts(services: Services) -> MoneyFacts:
    """Return the facts of one deployment; they never change."""
    deployment = services.chain.deployment
    calls = {name: function("JobEscrow", name).selector for name in _ESCROW}
    calls |= {name: function("DevToken", name).selector for name in _TOKEN}
    return MoneyFacts(
        services.domain.chain_id,
        deployment.address("JobEscrow"),
        Token(deployment, "PaymentToken").address,
        int(deployment.parameters.get("escrow", {}).get("thaw_seconds", 0)),
        {name: "0x" + selector.hex() for name, selector in calls.items()},
        {**_refusals("DevToken"), **_refusals("JobEscrow")},
    )


def _refusals(contract: str) -> dict[str, str]:
    """Return the errors of a contract in words, by `0x` selector."""
    return {
        "0x" + keccak(signature(entry).encode())[:4].hex(): _WORDS.get(
            entry["name"], f"The contract refused: {entry['name']}."
        )
        for entry in artifact(contract).entries("error")
    }
