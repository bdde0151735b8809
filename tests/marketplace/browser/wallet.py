"""A wallet in the browser: EIP-6963 announces it, EIP-1193 speaks to it, and its key signs real transactions."""

from __future__ import annotations

import json
from typing import Any

import httpx2
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_utils import to_checksum_address
from playwright.sync_api import Page

from contracts.signing import Signer

_REFUSED = {"code": 4001, "message": "User rejected the request."}
ANNOUNCE = """
(() => {
  const provider = {
    async request({ method, params }) {
      const answer = await window.askWallet(method, params ?? []);
      if (answer.error) throw Object.assign(new Error(answer.error.message), { code: answer.error.code });
      return answer.result;
    },
  };
  const uuid = "00000000-0000-4000-8000-000000000001";
  const info = { uuid, name: "Scripted wallet", rdns: "test.wallet", icon: "data:," };
  const announce = () =>
    dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }));
  addEventListener("eip6963:requestProvider", announce);
  announce();
})();
"""


class Wallet:
    """One account on one chain. `asked`: the methods a page called; `refuse`: those that its owner declines."""

    def __init__(self, signer: Signer, rpc_url: str) -> None:
        self._key = signer.secret()
        self.address = Account.from_key(self._key).address
        self._rpc = httpx2.Client(base_url=rpc_url, trust_env=False, timeout=30)
        self.asked: list[str] = []
        self.refuse: set[str] = set()

    def install(self, page: Page) -> None:
        """Put the wallet into a page, as an extension would, before any of the page's own scripts runs."""
        page.expose_function("askWallet", self.answer)
        page.add_init_script(ANNOUNCE)

    def answer(self, method: str, params: list[Any]) -> dict[str, Any]:
        """Answer one request of the page."""
        self.asked.append(method)
        if method in self.refuse:
            return {"error": _REFUSED}
        match method:
            case "eth_requestAccounts" | "eth_accounts":
                return {"result": [self.address.lower()]}
            case "personal_sign":
                return {"result": self._sign(encode_defunct(hexstr=params[0]))}
            case "eth_signTypedData_v4":
                return {"result": self._sign(encode_typed_data(full_message=json.loads(params[1])))}
            case "eth_sendTransaction":
                return self._send(params[0])
        return self._call(method, params)

    def _sign(self, message: Any) -> str:
        return "0x" + bytes(Account.sign_message(message, self._key).signature).hex()

    def _send(self, wanted: dict[str, str]) -> dict[str, Any]:
        assert wanted["from"].lower() == self.address.lower(), "a page asked for somebody else's transaction"
        gas = self._call("eth_estimateGas", [wanted])
        if "error" in gas:
            return gas
        transaction = {
            "to": to_checksum_address(wanted["to"]),
            "data": wanted.get("data", "0x"),
            "value": int(wanted.get("value", "0x0"), 16),
            "gas": int(gas["result"], 16) * 2,
            "gasPrice": int(self._call("eth_gasPrice", [])["result"], 16),
            "nonce": int(self._call("eth_getTransactionCount", [self.address, "pending"])["result"], 16),
            "chainId": int(self._call("eth_chainId", [])["result"], 16),
        }
        raw = Account.sign_transaction(transaction, self._key).raw_transaction
        return self._call("eth_sendRawTransaction", ["0x" + bytes(raw).hex()])

    def _call(self, method: str, params: list[Any]) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self._rpc.post("/", json=body).json()
        return {key: answer[key] for key in ("result", "error") if key in answer}
