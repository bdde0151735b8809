"""The provider file (provider.toml): read once, every mistake reported together.

Paths in it are relative to the file. `provider_file.py` writes a commented one.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from contracts.errors import BadAddress
from contracts.signing import normal_address
from contracts.types import HardwareClass
from marketplace.agent.errors import AgentError, BadProviderFile
from marketplace.agent.prices import atto_per_token

FEATURES = ("chat", "completions", "continue", "embeddings", "vision")
ENGINES = ("llamacpp", "openai", "testing:slow", "testing:dies", "testing:lies")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model of the offer. Prices in atto per token; `slots` is how many requests run at once.

    `weights` is a path or `package:<import name>` (the GGUF inside an installed package); digests given by hand win
    over computed ones. `engine_model` is the name the engine knows the model by.
    """

    id: str
    context_length: int
    slots: int
    features: tuple[str, ...]
    price_in_atto: int
    price_cached_atto: int
    price_out_atto: int
    weights: str
    weights_digest: bytes | None
    template_digest: bytes | None
    engine_model: str


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """Everything one provider file says."""

    path: Path
    owner: str
    endpoint: str
    listen_host: str
    listen_port: int
    region: str
    hardware_class: HardwareClass
    units: int
    state_folder: Path
    max_body_bytes: int
    drain_s: float
    engine_kind: str
    engine_options: dict[str, Any]
    models: tuple[ModelConfig, ...]
    owner_keystore: Path | None = None
    signer_keystore: Path | None = None
    owner_password_file: Path | None = None
    signer_password_file: Path | None = None
    deployment: Path | None = None
    rpc_urls: tuple[str, ...] = ()


@dataclass
class _Reader:
    """Take values out of nested tables, collecting mistakes instead of stopping at the first."""

    folder: Path
    mistakes: list[str] = field(default_factory=list)

    def table(self, data: dict[str, Any], name: str, known: tuple[str, ...] | None) -> dict[str, Any]:
        value = data.get(name, {})
        if not isinstance(value, dict):
            self.mistakes.append(f"[{name}] is not a table")
            return {}
        self.no_strangers(value, f"[{name}]", known)
        return value

    def no_strangers(self, value: dict[str, Any], where: str, known: tuple[str, ...] | None) -> None:
        for key in value if known is not None else ():
            if key not in (known or ()):
                self.mistakes.append(f"{where} knows no {key!r}")

    def text(self, table: dict[str, Any], where: str, key: str, default: str | None = None) -> str:
        value = table.get(key, default)
        if not isinstance(value, str) or (not value and default is None):
            self.mistakes.append(f"{where} {key} is missing" if value in (None, "") else f"{where} {key} is not text")
            return ""
        return value

    def integer(self, table: dict[str, Any], where: str, key: str, least: int, default: int | None = None) -> int:
        value = table.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            self.mistakes.append(f"{where} {key} must be a whole number of at least {least}, not {value!r}")
            return least
        return value

    def seconds(self, table: dict[str, Any], where: str, key: str, default: float) -> float:
        value = table.get(key, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            self.mistakes.append(f"{where} {key} must be seconds, not {value!r}")
            return default
        return float(value)

    def path(self, table: dict[str, Any], where: str, key: str) -> Path | None:
        value = self.text(table, where, key, "")
        return (self.folder / value).resolve() if value else None

    def digest(self, table: dict[str, Any], where: str, key: str) -> bytes | None:
        value = self.text(table, where, key, "")
        if not value:
            return None
        try:
            raw = bytes.fromhex(value.removeprefix("0x"))
        except ValueError:
            raw = b""
        if len(raw) != 32:
            self.mistakes.append(f"{where} {key} must be 0x and 64 hexadecimal digits")
            return None
        return raw

    def price(self, table: dict[str, Any], where: str, name: str, default: int | None = None) -> int:
        atto, human = table.get(f"price_{name}_atto"), table.get(f"price_{name}_per_million")
        if atto is not None and human is not None:
            self.mistakes.append(f"{where} gives price_{name}_atto and price_{name}_per_million: keep one")
        if isinstance(atto, int) and not isinstance(atto, bool) and 0 <= atto < 1 << 128:
            return atto
        if atto is not None:
            self.mistakes.append(f"{where} price_{name}_atto must be a whole number of atto, not {atto!r}")
        elif isinstance(human, str):
            try:
                return atto_per_token(human)
            except ValueError as error:
                self.mistakes.append(f"{where} price_{name}_per_million: {error}")
        elif human is not None:
            self.mistakes.append(f"{where} price_{name}_per_million must be text in quotes, so that it is read exactly")
        elif default is None:
            self.mistakes.append(f"{where} needs price_{name}_per_million or price_{name}_atto")
        return default or 0


_PROVIDER_KEYS = (
    "owner", "endpoint", "listen", "region", "hardware_class", "units", "state_folder", "max_body_bytes", "drain_s",
)  # fmt: skip
_KEY_KEYS = ("owner", "owner_password_file", "signer", "signer_password_file")
_MODEL_KEYS = (
    "id", "context_length", "slots", "features", "weights", "weights_digest", "template_digest", "engine_model",
    "price_in_atto", "price_cached_atto", "price_out_atto",
    "price_in_per_million", "price_cached_per_million", "price_out_per_million",
)  # fmt: skip


def read_provider_file(path: Path) -> ProviderConfig:
    """Read a provider file; raises BadProviderFile with every mistake in it."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AgentError(f"there is no provider file {path}", f"bonded provider init --config {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadProviderFile(str(path), [f"it is not TOML: {error}"]) from None
    read = _Reader(path.resolve().parent)
    read.no_strangers(data, "the file", ("provider", "engine", "models", "keys", "chain"))
    provider = read.table(data, "provider", _PROVIDER_KEYS)
    keys = read.table(data, "keys", _KEY_KEYS)
    chain = read.table(data, "chain", ("deployment", "rpc_urls"))
    engine = read.table(data, "engine", None)
    host, port = _listen(read, provider)
    config = ProviderConfig(
        path=path.resolve(),
        owner=_owner(read, provider),
        endpoint=_endpoint(read, provider),
        listen_host=host,
        listen_port=port,
        region=read.text(provider, "[provider]", "region", "local"),
        hardware_class=_hardware_class(read, provider),
        units=read.integer(provider, "[provider]", "units", 1, 1),
        state_folder=read.path(provider, "[provider]", "state_folder") or read.folder / "state",
        max_body_bytes=read.integer(provider, "[provider]", "max_body_bytes", 1024, 4 << 20),
        drain_s=read.seconds(provider, "[provider]", "drain_s", 60.0),
        engine_kind=_engine_kind(read, engine),
        engine_options={key: value for key, value in engine.items() if key != "kind"},
        models=_models(read, data.get("models", [])),
        owner_keystore=read.path(keys, "[keys]", "owner"),
        signer_keystore=read.path(keys, "[keys]", "signer"),
        owner_password_file=read.path(keys, "[keys]", "owner_password_file"),
        signer_password_file=read.path(keys, "[keys]", "signer_password_file"),
        deployment=read.path(chain, "[chain]", "deployment"),
        rpc_urls=_urls(read, chain),
    )
    if read.mistakes:
        raise BadProviderFile(str(path), read.mistakes)
    return config


def _owner(read: _Reader, provider: dict[str, Any]) -> str:
    value = read.text(provider, "[provider]", "owner")
    try:
        return normal_address(value) if value else ""
    except BadAddress as error:
        read.mistakes.append(f"[provider] owner: {error}")
        return ""


def _endpoint(read: _Reader, provider: dict[str, Any]) -> str:
    value = read.text(provider, "[provider]", "endpoint").rstrip("/")
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        read.mistakes.append(f"[provider] endpoint must be like https://gpu.example.org:9100, not {value!r}")
    return value


def _listen(read: _Reader, provider: dict[str, Any]) -> tuple[str, int]:
    value = read.text(provider, "[provider]", "listen", "127.0.0.1:9100")
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        read.mistakes.append(f"[provider] listen must be like 0.0.0.0:9100, not {value!r}")
        return "127.0.0.1", 0
    return host.strip("[]"), int(port)


def _hardware_class(read: _Reader, provider: dict[str, Any]) -> HardwareClass:
    value = read.text(provider, "[provider]", "hardware_class", "CPU")
    if value not in HardwareClass.__members__:
        read.mistakes.append(
            f"[provider] hardware_class is one of {', '.join(HardwareClass.__members__)}, not {value!r}"
        )
        return HardwareClass.CPU
    return HardwareClass[value]


def _engine_kind(read: _Reader, engine: dict[str, Any]) -> str:
    kind = read.text(engine, "[engine]", "kind", "llamacpp")
    inner = engine.get("inner", "llamacpp") if kind.startswith("testing:") else kind
    for name in dict.fromkeys((kind, inner)):
        if name not in ENGINES:
            read.mistakes.append(f"[engine] kind is one of {', '.join(ENGINES)}, not {name!r}")
    return kind


def _urls(read: _Reader, chain: dict[str, Any]) -> tuple[str, ...]:
    value = chain.get("rpc_urls", [])
    if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
        read.mistakes.append("[chain] rpc_urls is a list of URLs")
        return ()
    return tuple(value)


def _models(read: _Reader, value: Any) -> tuple[ModelConfig, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(model, dict) for model in value):
        read.mistakes.append("the file needs at least one [[models]]")
        return ()
    models = tuple(_model(read, model, f"[[models]] {number}") for number, model in enumerate(value, 1))
    names = [model.id for model in models]
    for name in {name for name in names if names.count(name) > 1}:
        read.mistakes.append(f"two [[models]] have the id {name!r}")
    return models


def _model(read: _Reader, model: dict[str, Any], where: str) -> ModelConfig:
    read.no_strangers(model, where, _MODEL_KEYS)
    features = model.get("features", ["chat", "completions"])
    if not isinstance(features, list) or not features or any(feature not in FEATURES for feature in features):
        read.mistakes.append(f"{where} features is a list of {', '.join(FEATURES)}, not {features!r}")
        features = ["chat"]
    name = read.text(model, where, "id")
    price_in = read.price(model, where, "in")
    return ModelConfig(
        id=name,
        context_length=read.integer(model, where, "context_length", 16),
        slots=read.integer(model, where, "slots", 1, 1),
        features=tuple(sorted(set(features))),
        price_in_atto=price_in,
        price_cached_atto=read.price(model, where, "cached", price_in),
        price_out_atto=read.price(model, where, "out"),
        weights=read.text(model, where, "weights", ""),
        weights_digest=read.digest(model, where, "weights_digest"),
        template_digest=read.digest(model, where, "template_digest"),
        engine_model=read.text(model, where, "engine_model", name),
    )
