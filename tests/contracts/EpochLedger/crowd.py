"""Hundreds of customers, for reports of more than one chunk."""

from __future__ import annotations

from typing import Any

from brownie import web3

from tests.contracts.support.market import PAY


def gather(market: Any, built: Any, count: int) -> list[str]:
    """Let `count` customers, a multiple of 100, deposit one payment token each; returns them in ascending order."""
    crowd = built.Crowd.deploy({"from": market.fresh})
    market.payment_token.transfer(crowd, count * PAY, {"from": market.fresh})
    call = {"from": market.fresh.address, "to": crowd.address, "gas": 20_000_000, "gasPrice": 0}
    for _ in range(count // 100):
        # the node's word is waited for: brownie gives up on a block that takes long
        sent = web3.eth.send_transaction(call | {"data": crowd.gather.encode_input(market.escrow, 100, PAY, PAY)})
        assert web3.eth.wait_for_transaction_receipt(sent)["status"] == 1
    return sorted(crowd.people(), key=lambda address: int(address, 16))
