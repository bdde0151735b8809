"""`bonded verifier run`: probe, attest and sign until stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from marketplace.cli.chain import FINALITY_DEFAULT, RPC_DEFAULT, DeploymentOption, FinalityOption, RpcOption, open_chain
from marketplace.cli.keys import KeystoreOption, PasswordFileOption, open_keystore
from marketplace.cli.output import fail

FolderOption = Annotated[
    Path,
    typer.Option("--folder", envvar="BONDED_VERIFIER_FOLDER", help="Where measurements and the secret seed are kept."),
]


def add_to(app: typer.Typer) -> None:
    """Add this module's command to the group."""
    app.command()(run)


def run(
    folder: FolderOption,
    gateway: Annotated[
        str, typer.Option("--gateway", envvar="BONDED_GATEWAY", help="The gateway to buy tickets from.")
    ],
    api_key_file: Annotated[
        Path, typer.Option("--api-key-file", envvar="BONDED_API_KEY_FILE", help="A file with this verifier's API key.")
    ],
    evidence: Annotated[
        str, typer.Option("--evidence", envvar="BONDED_EVIDENCE", help="Folder or URL of the evidence of reports.")
    ],
    listen: Annotated[str, typer.Option("--listen", help="host:port of the attestation server.")] = "127.0.0.1:8090",
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference", help="Weights for canaries: a path or package:<name>. Without it no canaries are asked."
        ),
    ] = None,
    reference_model: Annotated[str, typer.Option("--reference-model", help="The model's name in offers.")] = "",
    greedy: Annotated[
        int, typer.Option("--greedy", min=0, help="Requests with one right answer that are prepared for an epoch.")
    ] = 8,
    sampled: Annotated[
        int, typer.Option("--sampled", min=0, max=64, help="Requests whose sampled answers are compared in an epoch.")
    ] = 24,
    answers: Annotated[
        int, typer.Option("--answers", min=2, max=64, help="The reference's answers to each of those.")
    ] = 8,
    prompts: Annotated[
        Path | None, typer.Option("--prompts", help="A file with prompts that only this verifier knows, one a line.")
    ] = None,
    bursts: Annotated[
        int, typer.Option("--bursts", min=0, max=24, help="How often an epoch all providers are loaded at once.")
    ] = 0,
    burst_requests: Annotated[
        int, typer.Option("--burst-requests", min=1, max=64, help="Requests of a burst, to each provider.")
    ] = 4,
    most_input: Annotated[
        int, typer.Option("--most-input", min=1, help="How long a probe's prompt is at most, in tokens.")
    ] = 160,
    most_output: Annotated[
        int, typer.Option("--most-output", min=4, max=32, help="How many tokens a probe asks for at most.")
    ] = 32,
    devnet: Annotated[bool, typer.Option("--devnet", envvar="BONDED_DEVNET", help="Allow loopback and http.")] = False,
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
) -> None:
    """Probe, attest and sign until stopped."""

    async def work() -> None:
        from marketplace.verifier.process import VerifierOptions, run_verifier
        from rewards.verifier.challenge import Wanted

        signer = open_keystore(keystore, password_file)
        options = VerifierOptions(
            folder,
            keystore.parent if keystore else folder,
            gateway,
            _read_key(api_key_file),
            evidence,
            listen,
            reference,
            reference_model,
            Wanted(greedy, sampled, answers),
            prompts,
            bursts,
            burst_requests,
            most_input,
            most_output,
            devnet,
        )
        async with open_chain(rpc, deployment, finality) as chain:
            await run_verifier(chain, signer, options)

    asyncio.run(work())


def _read_key(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        fail(f"the API key cannot be read: {error}", "make one with `bonded customer keys create verifier`")
