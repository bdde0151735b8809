"""`bonded verifier`: bond, probe providers, sign what was seen, and sign reports that recompute."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketplace.cli.chain import (
    FINALITY_DEFAULT,
    RPC_DEFAULT,
    DeploymentOption,
    FinalityOption,
    RpcOption,
    open_chain,
)
from marketplace.cli.keys import KeystoreOption, PasswordFileOption, open_keystore
from marketplace.cli.output import (
    DryRunFlag,
    JsonFlag,
    YesFlag,
    fail,
    print_facts,
    print_json,
    print_line,
    whole,
)
from marketplace.cli.payment import pay

if TYPE_CHECKING:
    from contracts.calls import Call

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Measure providers and sign what was seen.")

FolderOption = Annotated[
    Path,
    typer.Option("--folder", envvar="BONDED_VERIFIER_FOLDER", help="Where measurements and the secret seed are kept."),
]


@app.command()
def join(
    endpoint: Annotated[str, typer.Argument(help="The URL at which others fetch this verifier's attestations.")],
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Post the bond and enter the set of verifiers."""

    async def work() -> None:
        from contracts.operators import Operators
        from contracts.tokens import Token

        signer = open_keystore(keystore, password_file)
        async with open_chain(rpc, deployment, finality) as chain:
            head = await chain.head()
            operators, token = Operators(chain, "Verifiers"), Token(chain, "StakeToken")
            if await operators.is_member(signer.address, head):
                _say(as_json, {"verifier": signer.address, "member": True}, "this key is a verifier already")
                return
            bond = (await operators.settings(head)).bond
            decimals, symbol = await token.decimals(head), await token.symbol(head)
            held = await token.balance(signer.address, head)
            if held < bond:
                fail(
                    f"the bond is {whole(bond, decimals, symbol)}, {signer.address} holds {whole(held, decimals)}",
                    "send stake tokens to this address first",
                )
            facts = {"verifier": signer.address, "bond": whole(bond, decimals, symbol), "endpoint": endpoint}
            calls: list[tuple[str, Call]] = []
            if await token.allowance(signer.address, chain.deployment.address("Verifiers"), head) < bond:
                calls.append(("approve", token.approve(chain.deployment.address("Verifiers"), bond)))
            calls.append(("join", operators.join(endpoint)))
            await pay(chain, signer, keystore, calls, facts, None, dry_run, yes, as_json)

    asyncio.run(work())


@app.command()
def leave(
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Leave the set at once; the bond can be withdrawn after the unbonding time."""
    asyncio.run(_simple("leave", keystore, password_file, rpc, deployment, finality, dry_run, yes, as_json))


@app.command()
def withdraw(
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Take the bond back after leaving."""
    asyncio.run(_simple("withdraw", keystore, password_file, rpc, deployment, finality, dry_run, yes, as_json))


@app.command()
def claim(
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    dry_run: DryRunFlag = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Take the verifier fees that activated epochs brought; a running verifier does it by itself."""

    async def work() -> None:
        from contracts.epochs import Epochs
        from contracts.tokens import Token

        signer = open_keystore(keystore, password_file)
        async with open_chain(rpc, deployment, finality) as chain:
            head = await chain.head()
            token, epochs = Token(chain, "PaymentToken"), Epochs(chain)
            owed = await epochs.owed(signer.address, head)
            if not owed:
                _say(as_json, {"verifier": signer.address, "owed": 0}, "nothing is owed")
                return
            facts = {
                "verifier": signer.address,
                "owed": whole(owed, await token.decimals(head), await token.symbol(head)),
            }
            await pay(chain, signer, keystore, [("claim", epochs.claim_owed())], facts, None, dry_run, yes, as_json)

    asyncio.run(work())


@app.command()
def status(
    keystore: KeystoreOption = None,
    rpc: RpcOption = RPC_DEFAULT,
    deployment: DeploymentOption = None,
    finality: FinalityOption = FINALITY_DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """Show membership, bond, what is owed and the seed commitments of this epoch and the next."""

    async def work() -> None:
        from contracts.epochs import Epochs
        from contracts.keystore import address_of
        from contracts.operators import Operators

        if keystore is None:
            fail("which key?", "give --keystore")
        address = address_of(keystore)
        async with open_chain(rpc, deployment, finality) as chain:
            head = await chain.head()
            operators, epochs = Operators(chain, "Verifiers"), Epochs(chain)
            member = await operators.member(address, head)
            running = (await epochs.progress(head)).current_epoch
            facts = {
                "verifier": address,
                "member": bool(member and member.active),
                "bond": member.bond if member else 0,
                "endpoint": member.endpoint if member else "",
                "owed": await epochs.owed(address, head),
                "epoch": running,
                "seed committed": (await operators.seed_commitment(address, running, head)) != bytes(32),
                "next seed committed": (await operators.seed_commitment(address, running + 1, head)) != bytes(32),
            }
        _say(as_json, facts, "")

    asyncio.run(work())


@app.command()
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


async def _simple(
    function: str,
    keystore: Path | None,
    password_file: Path | None,
    rpc: str,
    deployment: Path | None,
    finality: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    from contracts.operators import Operators

    signer = open_keystore(keystore, password_file)
    async with open_chain(rpc, deployment, finality) as chain:
        call: Call = getattr(Operators(chain, "Verifiers"), function)()
        facts = {"verifier": signer.address}
        await pay(chain, signer, keystore, [(function, call)], facts, None, dry_run, yes, as_json)


def _say(as_json: bool, facts: dict[str, Any], words: str) -> None:
    if as_json:
        print_json(facts)
    elif words:
        print_line(words)
    else:
        print_facts("Verifier", facts)
