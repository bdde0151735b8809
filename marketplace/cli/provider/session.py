"""What every provider command starts from: the provider file, its keys, the chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from marketplace.cli.chain import RPC_DEFAULT, DeploymentOption, open_chain, open_sender
from marketplace.cli.keys import KeystoreOption, PasswordFileOption, open_keystore
from marketplace.cli.output import ExitCode, fail

if TYPE_CHECKING:
    from contracts.chain import Chain
    from contracts.signing import Signer
    from contracts.transactions import Sender
    from marketplace.agent.config import ProviderConfig

__all__ = [
    "ConfigOption",
    "DeploymentOption",
    "KeystoreOption",
    "PasswordFileOption",
    "ProviderAccess",
    "RpcOption",
    "Session",
    "load_session",
]

T = TypeVar("T")

ConfigOption = Annotated[
    Path,
    typer.Option("--config", "-c", envvar="BONDED_PROVIDER_FILE", help="The provider file (bonded provider init)."),
]
RpcOption = Annotated[
    str, typer.Option("--rpc", envvar="BONDED_RPC_URLS", help="RPC endpoints, separated by commas; else the file's.")
]
CONFIG_DEFAULT = Path("provider.toml")


@dataclass(frozen=True, slots=True)
class Session:
    """A provider file (if there is one) with what the command line said beside it; options win over the file."""

    config: ProviderConfig | None
    keystore: Path | None
    password_file: Path | None
    rpc: str
    deployment: Path | None

    @property
    def file(self) -> ProviderConfig:
        """Return the provider file, or end the command."""
        if self.config is None:
            fail(
                "this command needs a provider file",
                "bonded provider init writes one; --config names it",
                ExitCode.USAGE,
            )
        return self.config

    @property
    def owner(self) -> str:
        """Return the owner's address without opening its key."""
        if self.config is not None:
            return self.config.owner
        from contracts import keystore as keystores

        if self.keystore is None:
            fail("nobody is named", "give --config with a provider file, or --keystore", ExitCode.USAGE)
        return keystores.address_of(self.keystore)

    @property
    def state_folder(self) -> Path:
        """Return the folder for outboxes and marks of this provider's commands."""
        if self.config is not None:
            return self.config.state_folder
        return (self.keystore or Path("state/none")).parent

    def open_owner(self) -> Signer:
        """Open the owner's key; ends the command when it is another than the file's owner."""
        config = self.config
        path = self.keystore or (config.owner_keystore if config else None)
        password = self.password_file or (config.owner_password_file if config else None)
        signer = open_keystore(path, password, "owner's key")
        if config is not None and signer.address != config.owner:
            fail(
                f"{path} holds {signer.address}, the provider file says the owner is {config.owner}",
                "give the owner's keystore, or correct [provider] owner",
            )
        return signer

    def open_signer(self) -> Signer:
        """Open the hot key that signs receipts."""
        config = self.file
        path = self.keystore or config.signer_keystore
        return open_keystore(path, self.password_file or config.signer_password_file, "signer's key")

    def signer_address(self) -> str:
        """Return the signer's address without opening its key."""
        from contracts import keystore as keystores

        path = self.file.signer_keystore
        if path is None:
            fail("the provider file names no signer", "set [keys] signer, or make one: bonded provider keys new signer")
        return keystores.address_of(path)

    @property
    def rpc_urls(self) -> str:
        """Return the RPC endpoints: the option's, else the file's, else this machine's."""
        return self.rpc or ",".join(self.config.rpc_urls if self.config else ()) or RPC_DEFAULT

    @property
    def deployment_file(self) -> Path | None:
        """Return the deployment file: the option's, else the file's."""
        return self.deployment or (self.config.deployment if self.config else None)

    def chain(self) -> AbstractAsyncContextManager[Chain]:
        """Connect to the chain."""
        # the newest block counts here: a person who just sent something wants to see it
        return open_chain(self.rpc_urls, self.deployment_file, "0")

    @asynccontextmanager
    async def sender(self, chain: Chain, signer: Signer) -> AsyncIterator[Sender]:
        """Open the outbox of a key."""
        async with open_sender(chain, signer, self.state_folder / "outbox") as sender:
            yield sender


@dataclass(frozen=True, slots=True)
class ProviderAccess:
    """The provider file, and what may be said beside it."""

    config: ConfigOption = CONFIG_DEFAULT
    keystore: KeystoreOption = None
    password_file: PasswordFileOption = None
    rpc: RpcOption = ""
    deployment: DeploymentOption = None

    def load(self) -> Session:
        """Read the provider file if it is there; a named one that is missing ends the command."""
        return load_session(self.config, self.keystore, self.password_file, self.rpc, self.deployment)


def load_session(
    config: Path, keystore: Path | None, password_file: Path | None, rpc: str, deployment: Path | None
) -> Session:
    """Read the provider file if it is there; a named one that is missing ends the command."""
    from marketplace.agent.config import read_provider_file

    if not config.exists() and config == CONFIG_DEFAULT:
        return Session(None, keystore, password_file, rpc, deployment)
    return Session(read_provider_file(config), keystore, password_file, rpc, deployment)


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run a command's asynchronous part."""

    async def main() -> T:
        return await work()

    return asyncio.run(main())
