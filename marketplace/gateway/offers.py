"""Read a provider's offer: what it sells, exactly as hashed on chain."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from marketplace.errors import BondedError
from rewards.canonical import Unreadable, read_json

OFFER_BYTES_MOST = 64 * 1024
_MODELS_MOST = 64
_UINT128_MOST = 2**128 - 1
_UINT32_MOST = 2**32 - 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,31}|")
_SIZE = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)([mb])(?![A-Za-z0-9])", re.IGNORECASE)
_UNKNOWN_SIZE_M = 7_000


class BadOffer(BondedError):
    """The offer cannot be used; the message names the field. The provider mends it and registers its new digest."""


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """One model of an offer; prices in atto per token."""

    id: str
    weights_digest: bytes
    context_length: int
    slots: int
    features: frozenset[str]
    price_in_atto: int
    price_cached_atto: int
    price_out_atto: int
    template_digest: bytes = bytes(32)

    @property
    def params_m(self) -> int:
        """Guess the size in millions of parameters from the name, for the latency prior alone."""
        found = _SIZE.search(self.id)
        if found is None:
            return _UNKNOWN_SIZE_M
        return max(1, int(float(found[1]) * (1_000 if found[2] in "bB" else 1)))


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider's offer."""

    provider: str
    region: str
    models: tuple[OfferedModel, ...]


def read_offer(body: bytes, provider: str) -> Offer:
    """Read the bytes of `/bonded/offer`; raises BadOffer. `provider` is whose offer it must be."""
    try:
        value = read_json(body)
    except Unreadable as error:
        raise BadOffer(str(error)) from None
    if not isinstance(value, dict) or value.get("version") != 1:
        raise BadOffer("it is not an offer of version 1")
    if value.get("provider") != provider:
        raise BadOffer(f"it is the offer of {value.get('provider')!r}, not of {provider}")
    region, models = value.get("region"), value.get("models")
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise BadOffer("region must be letters, digits and dashes")
    if not isinstance(models, list) or not 0 < len(models) <= _MODELS_MOST:
        raise BadOffer(f"models must be a list of 1 to {_MODELS_MOST}")
    read = tuple(_read_model(model, f"models[{at}]") for at, model in enumerate(models))
    if len({model.id for model in read}) != len(read):
        raise BadOffer("a model is offered twice")
    return Offer(provider, region, read)


def _read_model(value: Any, where: str) -> OfferedModel:
    if not isinstance(value, dict):
        raise BadOffer(f"{where} must be an object")
    name, features = value.get("id"), value.get("features")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadOffer(f"{where}.id must be a model's name")
    if not isinstance(features, list) or not all(isinstance(one, str) and len(one) <= 32 for one in features):
        raise BadOffer(f"{where}.features must be a list of names")
    return OfferedModel(
        id=name,
        weights_digest=_digest(value, where, "weights_digest"),
        context_length=_integer(value, where, "context_length", 1, _UINT32_MOST),
        slots=_integer(value, where, "slots", 1, 100_000),
        features=frozenset(features),
        price_in_atto=_integer(value, where, "price_in_atto", 0, _UINT128_MOST >> 32),
        price_cached_atto=_integer(value, where, "price_cached_atto", 0, _UINT128_MOST >> 32),
        price_out_atto=_integer(value, where, "price_out_atto", 0, _UINT128_MOST >> 32),
        template_digest=_digest(value, where, "template_digest", "0x" + "00" * 32),
    )


def _digest(value: dict[str, Any], where: str, name: str, default: str | None = None) -> bytes:
    digest = value.get(name, default)
    if not isinstance(digest, str) or not re.fullmatch(r"0x[0-9a-f]{64}", digest):
        raise BadOffer(f"{where}.{name} must be 0x and 64 hexadecimal digits")
    return bytes.fromhex(digest[2:])


def _integer(value: dict[str, Any], where: str, name: str, least: int, most: int) -> int:
    number = value.get(name)
    if type(number) is not int or not least <= number <= most:
        raise BadOffer(f"{where}.{name} must be a whole number from {least} to {most}")
    return number
