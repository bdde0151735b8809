"""Encode calls and decode answers, errors and logs, with codecs built once per ABI entry.

`eth_abi` finds its encoders by parsing type strings; done once per entry instead of once per call this takes a read
from a hundred microseconds to about ten. No web3 here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from eth_abi.codec import ABICodec
from eth_abi.decoding import ContextFramesBytesIO
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.registry import registry

from contracts.abi import artifact, signature, type_of
from contracts.errors import BadArgument
from contracts.signing import keccak

_CODEC = ABICodec(registry)


class Words:
    """A list of ABI types with the encoder and decoder of the tuple they make."""

    __slots__ = ("_decoder", "_encoder", "names", "types")

    def __init__(self, parameters: Sequence[Mapping[str, Any]]) -> None:
        self.names = tuple(str(one.get("name", "")) for one in parameters)
        self.types = tuple(type_of(one) for one in parameters)
        whole = f"({','.join(self.types)})"
        # the library knows no empty tuple
        self._encoder: Any = registry.get_encoder(whole) if self.types else None
        self._decoder: Any = registry.get_decoder(whole) if self.types else None

    def encode(self, values: Sequence[Any]) -> bytes:
        """Encode values in their order; raises `eth_abi` and arithmetic errors."""
        if self._encoder is None and not values:
            return b""
        if len(values) != len(self.types):
            raise ValueError(f"{len(values)} values for {len(self.types)} parameters")
        return bytes(self._encoder(values))

    def decode(self, data: bytes) -> tuple[Any, ...]:
        """Decode into a tuple, structs as tuples; raises `eth_abi`'s DecodingError."""
        if self._decoder is None:
            return ()
        return tuple(self._decoder(ContextFramesBytesIO(data)))  # type: ignore[no-untyped-call]


class FunctionCodec:
    """One function of a contract: its selector, arguments and results."""

    __slots__ = ("inputs", "name", "outputs", "selector")

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.name = str(entry["name"])
        self.selector = keccak(signature(entry).encode())[:4]
        self.inputs = Words(entry["inputs"])
        self.outputs = Words(entry["outputs"])

    def encode(self, arguments: Sequence[Any]) -> bytes:
        """Return call data; raises BadArgument naming the function."""
        try:
            return self.selector + self.inputs.encode(arguments)
        except (EncodingError, ValueError, TypeError) as error:
            raise BadArgument(f"{self.name}{self.inputs.types}: {error}") from error


@cache
def function(contract: str, name: str) -> FunctionCodec:
    """Return the codec of a contract's function."""
    return FunctionCodec(artifact(contract).entry("function", name))


def constructor_data(contract: str, arguments: Sequence[Any]) -> bytes:
    """Return the creation code of a contract with its constructor's arguments."""
    entries = artifact(contract).entries("constructor")
    words = Words(entries[0]["inputs"] if entries else [])
    try:
        return artifact(contract).bytecode + words.encode(arguments)
    except (EncodingError, ValueError, TypeError) as error:
        raise BadArgument(f"{contract}.constructor{words.types}: {error}") from error


def decode_one(kind: str, data: bytes) -> Any:
    """Decode a single value of a type, such as the indexed value in a topic."""
    return _CODEC.decode([kind], data)[0]


__all__ = ["DecodingError", "FunctionCodec", "Words", "constructor_data", "decode_one", "function"]
