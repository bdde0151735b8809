"""Read and check a Sign in with Ethereum message (EIP-4361), signed as wallets sign texts (EIP-191).

The form is the standard's, line by line; what it leaves optional may be there. A message holds when it names this site
and this chain, its times include the present, and the account it names signed it. Wallets that are contracts sign
nothing that can be checked without asking the chain: they name a session key in `JobEscrow` and sign in with that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.errors import BadSignature
from contracts.signing import checksum_address, keccak, recover
from marketplace.errors import BondedError

_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
_AUTHORITY = r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
_CHAR = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_TAIL = rf"(?:{_CHAR}|[/?])*"
_URI = rf"{_SCHEME}:(?://{_AUTHORITY}(?:/(?:{_CHAR}|/)*)?|(?!//)(?:{_CHAR}|/)+)(?:\?{_TAIL})?(?:#{_TAIL})?"
_FORM = re.compile(
    rf"(?:{_SCHEME}://)?(?P<domain>{_AUTHORITY}) wants you to sign in with your Ethereum account:\n"
    r"(?P<address>0x[0-9a-fA-F]{40})\n"
    r"\n"
    r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;= -]+\n)?"
    r"\n"
    rf"URI: {_URI}\n"
    r"Version: 1\n"
    r"Chain ID: (?P<chain>\d{1,18})\n"
    r"Nonce: (?P<nonce>[A-Za-z0-9]{8,128})\n"
    rf"Issued At: (?P<issued>{_TIME})"
    rf"(?:\nExpiration Time: (?P<expires>{_TIME}))?"
    rf"(?:\nNot Before: (?P<begins>{_TIME}))?"
    rf"(?:\nRequest ID: {_CHAR}*)?"
    rf"(?:\nResources:(?:\n- {_URI})*)?",
    re.ASCII,
)
_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}", re.ASCII)


class BadSignIn(BondedError):
    """The message or its signature does not hold: ask for a new nonce and sign the message it belongs to."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A message that was read. Times are unix seconds, None where it names none; `address` is in lower case."""

    text: str
    domain: str
    address: str
    chain_id: int
    nonce: str
    expires: float | None
    begins: float | None

    def check(self, signature: str, domain: str, chain_id: int, now: float) -> None:
        """Raise BadSignIn unless the message is for this site and chain, at this time, and its account signed it."""
        if self.domain != domain:
            raise BadSignIn(f"it is for {self.domain}, this is {domain}")
        if self.chain_id != chain_id:
            raise BadSignIn(f"it is for chain {self.chain_id}, this is {chain_id}")
        if self.expires is not None and now >= self.expires:
            raise BadSignIn("it has expired")
        if self.begins is not None and now < self.begins:
            raise BadSignIn("it does not hold yet")
        try:
            signer = recover(_digest(self.text), _read_signature(signature))
        except BadSignature as error:
            raise BadSignIn(str(error)) from None
        if signer != self.address:
            raise BadSignIn(f"it was signed by {signer}, not by {self.address}")


def read_sign_in(text: str) -> SignIn:
    """Read a message; raises BadSignIn for a text of another form."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise BadSignIn("its lines are not those of EIP-4361")
    address = found["address"]
    if address not in (checksum_address(address), address.lower()):
        raise BadSignIn("the capitals of its address are not those of EIP-55")
    _read_time(found["issued"])
    expires, begins = (_read_time(found[name]) if found[name] else None for name in ("expires", "begins"))
    return SignIn(text, found["domain"], address.lower(), int(found["chain"]), found["nonce"], expires, begins)


def _read_time(text: str) -> float:
    """Return the unix time of RFC 3339; more than six digits of a second are cut."""
    cut = re.sub(r"(\.\d{1,6})\d*", r"\1", text)
    try:
        return datetime.fromisoformat(cut).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise BadSignIn(f"{text} is no time") from None


def _digest(text: str) -> bytes:
    data = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n%d%b" % (len(data), data))


def _read_signature(text: str) -> bytes:
    """Return r ‖ s ‖ v; some wallets write the recovery byte as 0 or 1."""
    if not _SIGNATURE.fullmatch(text):
        raise BadSignIn("the signature is not 0x and 130 hexadecimal digits")
    raw = bytes.fromhex(text[2:])
    return raw[:64] + bytes((raw[64] + 27 if raw[64] < 2 else raw[64],))
