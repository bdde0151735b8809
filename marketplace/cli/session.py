"""A signed-in client of a gateway's control API.

The keystore signs an EIP-4361 message, the session answers as bearer token.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketplace.cli.keys import open_keystore
from marketplace.cli.output import ExitCode, fail

if TYPE_CHECKING:
    from contracts.signing import Signer


class Session:
    """A signed-in client of the gateway's control API."""

    def __init__(
        self, gateway: str, keystore: Path | None, password_file: Path | None, signer: Signer | None = None
    ) -> None:
        import httpx2

        self._gateway = gateway.rstrip("/")
        self._signer = signer or open_keystore(keystore, password_file)
        self._client = httpx2.AsyncClient(base_url=self._gateway, timeout=30.0, trust_env=False)

    async def __aenter__(self) -> Any:
        try:
            status = await ask(self._client, "GET", "/api/status")
            nonce = (await ask(self._client, "POST", "/api/auth/nonce"))["nonce"]
            message = _sign_in_message(self._gateway, self._signer.address, int(status["chain_id"]), nonce)
            session = await ask(
                self._client,
                "POST",
                "/api/auth/session",
                {"message": message, "signature": _personal_signature(self._signer, message)},
            )
        except BaseException:
            await self._client.aclose()
            raise
        self._client.headers["authorization"] = f"Bearer {session['token']}"
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()


async def ask(client: Any, method: str, path: str, body: dict[str, Any] | None = None, **form: Any) -> Any:
    """Send one request to the gateway, with a JSON body or a form; fails the command with the gateway's own words."""
    import httpx2

    try:
        answer = await client.request(method, path, json=body, **form)
    except httpx2.HTTPError as error:
        fail(
            f"the gateway at {client.base_url} cannot be reached: {error or type(error).__name__}",
            "check --gateway (BONDED_GATEWAY) and that it runs",
            ExitCode.UNREACHABLE,
        )
    if answer.status_code >= 400:
        try:
            words = answer.json()["error"]["message"]
        except (ValueError, KeyError, TypeError):
            words = answer.text[:200]
        fail(f"the gateway refused: {words}")
    return answer.json()


def _sign_in_message(gateway: str, address: str, chain_id: int, nonce: str) -> str:
    """Write the EIP-4361 message for this gateway."""
    from contracts.signing import checksum_address

    host = gateway.split("://", 1)[-1].split("/")[0]
    issued = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return (
        f"{host} wants you to sign in with your Ethereum account:\n{checksum_address(address)}\n\n"
        "Sign in to Bonded. This costs nothing and moves nothing.\n\n"
        f"URI: {gateway}\nVersion: 1\nChain ID: {chain_id}\nNonce: {nonce}\nIssued At: {issued}"
    )


def _personal_signature(signer: Signer, message: str) -> str:
    """Sign text as wallets do (EIP-191, version 0x45)."""
    from contracts.signing import keccak

    raw = message.encode()
    return "0x" + signer.sign(keccak(b"\x19Ethereum Signed Message:\n" + str(len(raw)).encode() + raw)).hex()
