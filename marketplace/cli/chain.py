"""Options and connections shared by every group that reads or writes the chain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from contracts.chain import Chain
    from contracts.signing import Signer
    from contracts.transactions import Sender

RpcOption = Annotated[
    str,
    typer.Option(
        "--rpc", envvar="BONDED_RPC_URLS", help="RPC endpoints, separated by commas; the first that is up is used."
    ),
]
DeploymentOption = Annotated[
    Path | None,
    typer.Option("--deployment", envvar="BONDED_DEPLOYMENT", help="The deployment file (addresses of the contracts)."),
]
FinalityOption = Annotated[
    str,
    typer.Option("--finality", envvar="BONDED_FINALITY", help="`finalized`, or a number of blocks."),
]
RPC_DEFAULT = "http://127.0.0.1:8545"
FINALITY_DEFAULT = "finalized"


@asynccontextmanager
async def open_chain(rpc: str, deployment: Path | None, finality: str = FINALITY_DEFAULT) -> AsyncIterator[Chain]:
    """Connect to the first endpoint that is up; raises ChainUnavailable, WrongChain or BadDeployment."""
    from contracts.chain import Chain, Finality
    from contracts.deployment import Deployment

    urls = [url.strip() for url in rpc.split(",") if url.strip()]
    async with await Chain.connect(urls, Deployment.find(deployment, None), finality=Finality.parse(finality)) as chain:
        yield chain


@asynccontextmanager
async def open_sender(chain: Chain, signer: Signer, folder: Path) -> AsyncIterator[Sender]:
    """Open the outbox of one key on one chain.

    It lies beside the keystore, so that a retried command never pays twice.
    """
    from contracts.file_outbox import FileOutbox
    from contracts.transactions import Sender

    outbox = FileOutbox.open(folder, sender=signer.address, chain_key=chain.key)
    try:
        yield Sender(chain, signer, outbox)
    finally:
        await outbox.close()
