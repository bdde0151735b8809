"""A wallet for people who look around on a development chain: its keys are public, so the gateway may use them.

Only on a devnet, only for the account that is signed in, and only what a wallet does: it never exists anywhere else.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from contracts.errors import RpcRefused
from contracts.rpc import Endpoint, EndpointFailed
from marketplace.errors import BondedError

_READS = frozenset(
    ("eth_chainId", "eth_call", "eth_getTransactionReceipt", "eth_estimateGas", "eth_blockNumber", "eth_getBalance")
)


class WalletRefused(BondedError):
    """The devnet's wallet does not do this."""


class WalletCall(BaseModel):
    """One request of EIP-1193."""

    method: str
    params: list[Any] = []


class DevnetWallet:
    """The accounts of the devnet's node, which signs for them itself."""

    def __init__(self, rpc_url: str) -> None:
        self._rpc_url = rpc_url

    async def answer(self, customer: str, call: WalletCall) -> Any:
        """Answer for a customer who is one of the devnet's accounts; raises WalletRefused with the chain's reason."""
        match call.method, call.params:
            case (("eth_requestAccounts" | "eth_accounts"), _):
                return [customer]
            case "eth_sendTransaction", [{"from": str(sender)}] if sender.lower() == customer:
                pass
            case "eth_signTypedData_v4", [str(signer), str()] if signer.lower() == customer:
                pass
            case method, _ if method in _READS:
                pass
            case _:
                raise WalletRefused(f"the devnet's wallet does not do {call.method[:40]} for {customer}")
        node = Endpoint(self._rpc_url, 30.0)
        try:
            return await node.request(call.method, call.params)
        except (RpcRefused, EndpointFailed) as error:
            raise WalletRefused(str(error)) from error
        finally:
            await node.close()
