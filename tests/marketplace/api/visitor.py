"""Somebody in front of the gateway: a browser that keeps cookies, or a program with a bearer token."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import httpx2
from eth_account import Account
from eth_account.messages import encode_defunct

from contracts.signing import Signer

# what HTML closes by itself
_VOID = {"meta", "link", "input", "br", "img", "hr"}


def sign_in_message(signer: Signer, host: str, nonce: str, chain_id: int = 31337) -> str:
    """Write an EIP-4361 message as a wallet would show it."""
    address = Account.from_key(signer.secret()).address
    return (
        f"{host} wants you to sign in with your Ethereum account:\n{address}\n\nSign in to Bonded.\n\n"
        f"URI: http://{host}\nVersion: 1\nChain ID: {chain_id}\nNonce: {nonce}\n"
        f"Issued At: {datetime.now(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"
    )


def wallet_signature(signer: Signer, text: str) -> str:
    """Sign text as a wallet does, by somebody else's code."""
    return "0x" + bytes(Account.sign_message(encode_defunct(text=text), signer.secret()).signature).hex()


class Visitor(httpx2.Client):
    """A client of one gateway."""

    def __init__(self, url: str) -> None:
        super().__init__(base_url=url, trust_env=False, timeout=20)
        self.host = url.split("://")[1]

    def sign_in(self, signer: Signer) -> httpx2.Response:
        """Sign in with a real signature; the cookie stays in the jar."""
        nonce = self.post("/api/auth/nonce").json()["nonce"]
        text = sign_in_message(signer, self.host, nonce)
        return self.post("/api/auth/session", json={"message": text, "signature": wallet_signature(signer, text)})

    def form_token(self) -> str:
        """Return the token that the forms of this session carry."""
        found = re.search(r'name="token" value="([0-9a-f]{64})"', self.get("/dashboard/keys").text)
        assert found, "the page has no form"
        return found[1]

    def wait_for(self, path: str, wanted: Any) -> Any:
        """Ask until an answer is as wanted; the pytest timeout is the limit."""
        while not wanted(answer := self.get(path).json()):
            pass
        return answer


def program(url: str, signer: Signer) -> Visitor:
    """Return a signed-in client that shows its token as a bearer and keeps no cookies."""
    visitor = Visitor(url)
    token = visitor.sign_in(signer).json()["token"]
    visitor.cookies.clear()
    visitor.headers["authorization"] = f"Bearer {token}"
    return visitor


class Page(HTMLParser):
    """A page's elements and text; fails on tags that are left open or closed in the wrong order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == [], f"left open: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1] == tag, f"</{tag}> closes {self._open[-1:]}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.scripts.append(data)
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        """Return what is read."""
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]
