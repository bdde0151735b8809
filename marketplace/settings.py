"""Every setting of the operator's processes, each once: environment variable, type, unit, default and reason.

`load(Kind)` reads a class from the environment and reports all mistakes together. Empty variables count as unset.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from marketplace.errors import BondedError

S = TypeVar("S", bound="CommonSettings")


class BadSettings(BondedError):
    """Some settings cannot be used; each line names one environment variable and what is wrong with it."""


class CommonSettings(BaseSettings):
    """What gateway and settlement share."""

    model_config = SettingsConfigDict(env_prefix="BONDED_", env_ignore_empty=True, extra="ignore")

    database_url: str = Field(
        default="", description="PostgreSQL URL; without one an embedded server is started in the data folder."
    )
    data_folder: Path = Field(
        default=Path(".bonded/data"), description="Journal, evidence and the embedded database lie here."
    )
    deployment: Path | None = Field(
        default=None, description="Deployment file; without one the committed file of the chain's id."
    )
    rpc_urls: str = Field(
        default="http://127.0.0.1:8545", description="RPC endpoints, separated by commas; two or more give fail-over."
    )
    finality: str = Field(
        default="finalized", description="`finalized` or a number of blocks; money moves only on final events."
    )
    keystore: Path | None = Field(default=None, description="Encrypted keystore of this process's key.")
    password_file: Path | None = Field(default=None, description="File with the keystore's password.")
    devnet: bool = Field(default=False, description="Open http and loopback endpoints and public devnet accounts.")

    def urls(self) -> list[str]:
        """Return the RPC endpoints."""
        return [url.strip() for url in self.rpc_urls.split(",") if url.strip()]


class GatewaySettings(CommonSettings):
    """`bonded operator gateway`."""

    listen: str = Field(default="127.0.0.1:8080", description="host:port of inference, control API and dashboard.")
    refresh_s: float = Field(default=1.0, gt=0, description="How often deposits and keys of other processes are read.")
    drain_every_s: float = Field(default=0.25, gt=0, description="How often the journal is copied into the database.")
    stop_s: float = Field(default=20.0, ge=0, description="How long running answers may take when stopping.")
    public_url: str = Field(default="", description="How customers reach the gateway; default: the listening address.")
    evidence: str = Field(
        default="",
        description="Folder or URL of the epochs' evidence, for the pages of providers; default: data folder.",
    )
    directory_s: float = Field(default=2.0, gt=0, description="How often providers are read from the chain.")
    default_output_tokens: int = Field(
        default=1024, gt=0, description="Tokens ordered for a request that sets no limit; they decide its hold."
    )
    first_byte_s: float = Field(default=30.0, gt=0, description="How long a provider may take to its first byte.")
    gap_floor_s: float = Field(
        default=2.0, gt=0, description="A stream's gap may last twenty expected ones, but at least so long."
    )
    answer_s: float = Field(default=600.0, gt=0, description="How long a whole answer may take.")
    receipt_s: int = Field(default=120, gt=0, description="After the longest answer, how long a receipt is waited for.")
    active_most: int = Field(default=2048, gt=0, description="Requests served at once.")
    active_per_key: int = Field(default=128, gt=0, description="Requests served at once for one API key.")
    signing_process: bool | None = Field(
        default=None,
        description="Check and countersign receipts in a second process; default: if there is more than one core.",
    )
    queued_most: int = Field(default=1024, gt=0, description="Requests that may wait for a place at a provider.")
    queued_per_key: int = Field(default=96, gt=0, description="Requests of one API key that may wait for a place.")
    fallback_engine: str = Field(
        default="",
        description="Origin of an own OpenAI-compatible engine (http://127.0.0.1:8000) for when nobody is left.",
    )
    fallback_models: str = Field(default="", description="Models it serves, under these names, separated by commas.")
    fallback_at_once: int = Field(default=4, gt=0, description="Requests it serves at once; more are refused.")
    fallback_key_file: Path | None = Field(default=None, description="File with that engine's key, if it wants one.")

    def session_secret(self) -> bytes:
        """Return the key of session tokens, made on the first start and kept, so that sessions survive restarts."""
        path = self.data_folder / "session-secret"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(secrets.token_bytes(32))
        return path.read_bytes()


class SettlementSettings(CommonSettings):
    """`bonded operator settle`."""

    evidence_listen: str = Field(default="127.0.0.1:8085", description="host:port of the evidence server.")
    tick_s: float = Field(default=1.0, gt=0, description="How often indexer and settlement look for work.")
    attestation_wait_s: float = Field(
        default=10.0, ge=0, description="After an epoch's end, how long missing attestations are waited for."
    )
    watermark_wait_s: float = Field(
        default=30.0,
        ge=0,
        description="How long a silent gateway's watermark is waited for before settling without it.",
    )
    index_chunk: int = Field(default=2000, gt=0, description="Blocks per request for events.")


def load(kind: type[S], **given: object) -> S:
    """Read settings from the environment, `given` values first; raises BadSettings naming every mistake."""
    try:
        return kind(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [f"BONDED_{'_'.join(str(p) for p in e['loc']).upper()}: {e['msg']}" for e in error.errors()]
        raise BadSettings("these settings cannot be used:\n" + "\n".join(lines)) from error
