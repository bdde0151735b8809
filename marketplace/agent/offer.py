"""The offer: what a provider sells, as canonical JSON whose SHA-256 is registered on chain."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from marketplace.agent.config import ModelConfig, ProviderConfig
from marketplace.agent.errors import AgentError
from marketplace.agent.gguf import chat_template
from marketplace.agent.weights import find_weights, weights_digest


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model of the offer with its digests: `weights_digest` is what tickets name."""

    config: ModelConfig
    weights_digest: bytes
    template_digest: bytes


@dataclass(frozen=True, slots=True)
class Offer:
    """The offer's document, its bytes exactly as served, and the digest of those bytes."""

    document: dict[str, Any]
    body: bytes
    digest: bytes
    models: tuple[OfferedModel, ...]


def make_offer(config: ProviderConfig) -> Offer:
    """Make the offer of a provider file; hashes weights files that were not hashed before."""
    models = tuple(_offered(config, model) for model in config.models)
    document = {
        "version": 1,
        "provider": config.owner,
        "hardware_class": config.hardware_class.name,
        "units": config.units,
        "region": config.region,
        "models": [_document(model) for model in models],
    }
    body = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return Offer(document, body, hashlib.sha256(body).digest(), models)


def _offered(config: ProviderConfig, model: ModelConfig) -> OfferedModel:
    weights, template = model.weights_digest, model.template_digest
    if weights is None or (template is None and model.weights):
        if not model.weights:
            raise AgentError(
                f"the weights of model {model.id} are unknown",
                "give `weights` (a path or package:<name>) or `weights_digest` for it in the provider file",
            )
        path = find_weights(model.weights, config.path.parent)
        weights = weights or weights_digest(path, config.state_folder)
        template = template or hashlib.sha256(chat_template(path).encode()).digest()
    return OfferedModel(model, weights, template or hashlib.sha256(b"").digest())


def _document(model: OfferedModel) -> dict[str, Any]:
    return {
        "id": model.config.id,
        "context_length": model.config.context_length,
        "slots": model.config.slots,
        "features": list(model.config.features),
        "price_in_atto": model.config.price_in_atto,
        "price_cached_atto": model.config.price_cached_atto,
        "price_out_atto": model.config.price_out_atto,
        "weights_digest": "0x" + model.weights_digest.hex(),
        "template_digest": "0x" + model.template_digest.hex(),
    }
