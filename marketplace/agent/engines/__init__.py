"""Engines: what answers the prompts. `make_engine` builds the one a provider file names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from marketplace.agent.config import ProviderConfig
from marketplace.agent.engines.base import Engine
from marketplace.agent.errors import BadProviderFile
from marketplace.agent.weights import find_weights

__all__ = ["Engine", "make_engine"]

_OPTIONS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "llamacpp": {"threads": int, "first_token_s": (int, float), "gap_s": (int, float), "cache_mib": int},
    "openai": {"base_url": str, "api_key_file": str, "first_token_s": (int, float), "gap_s": (int, float)},
    "testing:slow": {"first_token_delay_s": (int, float), "token_delay_s": (int, float)},
    "testing:dies": {"after_events": int, "every": int},
    "testing:lies": {"usage_factor": int},
}


def make_engine(config: ProviderConfig) -> Engine:
    """Build the engine of a provider file without starting it; raises BadProviderFile on options it does not know."""
    kind = config.engine_kind
    options = dict(config.engine_options)
    if not kind.startswith("testing:"):
        return _real(config, kind, _known(config, kind, options))
    from marketplace.agent import testing

    inner_kind = options.pop("inner", "llamacpp")
    own = {key: options.pop(key) for key in list(options) if key in _OPTIONS[kind]}
    inner = _real(config, inner_kind, _known(config, inner_kind, options))
    wrapper: Any = {
        "testing:slow": testing.SlowEngine,
        "testing:dies": testing.DyingEngine,
        "testing:lies": testing.LyingEngine,
    }[kind]
    engine: Engine = wrapper(inner, **_known(config, kind, own))
    return engine


def _known(config: ProviderConfig, kind: str, options: dict[str, Any]) -> dict[str, Any]:
    known = _OPTIONS[kind]
    mistakes = [f"[engine] knows no {key!r} for {kind}" for key in options if key not in known]
    for key, value in options.items():
        wanted = known.get(key)
        if wanted is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
            mistakes.append(f"[engine] {key} has the wrong kind of value: {value!r}")
    if mistakes:
        raise BadProviderFile(str(config.path), mistakes)
    return options


def _real(config: ProviderConfig, kind: str, options: dict[str, Any]) -> Engine:
    if kind == "llamacpp":
        return _llamacpp(config, options)
    from marketplace.agent.engines.openai import OpenAIEngine

    if not options.get("base_url"):
        raise BadProviderFile(str(config.path), ["[engine] base_url is missing: http://127.0.0.1:8000/v1 for example"])
    key_file = options.pop("api_key_file", "")
    key = (
        (config.path.parent / Path(key_file)).read_text().strip()
        if key_file
        else os.environ.get("BONDED_ENGINE_KEY", "")
    )
    return OpenAIEngine(api_key=key, connections=sum(model.slots for model in config.models) + 8, **options)


def _llamacpp(config: ProviderConfig, options: dict[str, Any]) -> Engine:
    from marketplace.agent.engines.llamacpp import LlamaCppEngine

    if len(config.models) != 1 or not config.models[0].weights:
        raise BadProviderFile(str(config.path), ["the engine llamacpp serves exactly one [[models]], with `weights`"])
    model = config.models[0]
    return LlamaCppEngine(
        weights=find_weights(model.weights, config.path.parent),
        name=model.id,
        slots=model.slots,
        context_length=model.context_length,
        threads=options.pop("threads", max(1, (os.cpu_count() or 2) - 1)),
        embeddings="embeddings" in model.features,
        **options,
    )
