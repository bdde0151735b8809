"""Try a call before anything is stored or signed: would it be refused, what gas does it need, can the sender pay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from contracts.calls import Call
from contracts.chain import Chain
from contracts.errors import InsufficientFunds, RpcRefused
from contracts.fees import Market
from contracts.outbox import Draft
from contracts.revert import refusal

_MARGIN_GAS = 10_000


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a call would do: its gas limit (a quarter above the estimate), fees, what the function would return.

    `nonce`: transactions of the sender that are mined. `fee_wei`: what it would cost at the base fee and tip now.
    """

    gas: int
    market: Market
    nonce: int
    returned: bytes
    fee_wei: int


async def simulate(chain: Chain, sender: str, call: Call) -> Simulation:
    """Simulate a call at the head; raises ContractRefused with the contract's error, or RpcRefused."""
    transaction = {"from": sender, "to": call.to, "data": "0x" + call.data.hex(), "value": hex(call.value)}
    called, estimate, block, tip, nonce = await chain.batch(
        [
            ("eth_call", [transaction, "latest"]),
            ("eth_estimateGas", [transaction, "latest"]),
            ("eth_getBlockByNumber", ["latest", False]),
            ("eth_maxPriorityFeePerGas", []),
            ("eth_getTransactionCount", [sender, "latest"]),
        ]
    )
    for answer in (called, estimate):
        if isinstance(answer, RpcRefused):
            raise refusal(answer, call.contract, str(call)) or answer
    for answer in (block, nonce):
        if isinstance(answer, RpcRefused):
            raise answer
    needed = int(estimate, 16)
    gas = max(needed, min(needed + needed // 4 + _MARGIN_GAS, int(block["gasLimit"], 16)))
    market = _market(block, tip)
    return Simulation(
        gas=gas,
        market=market,
        nonce=int(nonce, 16),
        returned=bytes.fromhex(str(called)[2:]),
        fee_wei=needed * (market.base_fee_wei + market.tip_wei),
    )


async def read_market(chain: Chain) -> Market:
    """Return the fees as of the head."""
    block, tip = await chain.batch([("eth_getBlockByNumber", ["latest", False]), ("eth_maxPriorityFeePerGas", [])])
    if isinstance(block, RpcRefused):
        raise block
    return _market(block, tip)


async def check_funds(chain: Chain, sender: str, draft: Draft, most_fee_wei: int) -> None:
    """Refuse what the sender could not pay for in the worst case; raises InsufficientFunds."""
    balance, needed = await chain.balance(sender), draft.gas * most_fee_wei + draft.value
    if balance < needed:
        raise InsufficientFunds(sender, balance, needed)


def _market(block: Any, tip: Any) -> Market:
    # a node without a suggestion leaves the tip to the policy
    suggested = 0 if isinstance(tip, RpcRefused) else int(tip, 16)
    return Market(int(block.get("baseFeePerGas", "0x0"), 16), suggested)
