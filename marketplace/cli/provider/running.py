"""`bonded provider serve`: the agent, in the foreground, until SIGTERM."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from marketplace.cli.output import ExitCode, JsonFlag, fail, print_line
from marketplace.cli.provider.session import (
    CONFIG_DEFAULT,
    ConfigOption,
    DeploymentOption,
    KeystoreOption,
    PasswordFileOption,
    RpcOption,
    load_session,
)


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the group."""
    app.command()(serve)


def serve(
    config: ConfigOption = CONFIG_DEFAULT,
    keystore: KeystoreOption = None,
    password_file: PasswordFileOption = None,
    rpc: RpcOption = "",
    deployment: DeploymentOption = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Write the log as JSON lines.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Serve the provider file's offer. SIGTERM drains: running answers finish, new work is refused.

    A second one exits.
    """
    import json

    import uvloop

    from contracts.deployment import Deployment
    from marketplace.agent.chain_reader import ChainReader
    from marketplace.agent.errors import NotRegistered, OfferDiffers
    from marketplace.agent.run import serve as serve_agent

    session = load_session(config, keystore, password_file, rpc, deployment)
    file, signer = session.file, session.open_signer()
    _log_to_stderr(log_json or as_json)
    reader = ChainReader(
        [url.strip() for url in session.rpc_urls.split(",") if url.strip()],
        Deployment.find(session.deployment_file, None),
        file.owner,
    )

    def ready(url: str) -> None:
        if as_json:
            sys.stdout.write(json.dumps({"listening": url, "provider": file.owner, "signer": signer.address}) + "\n")
            sys.stdout.flush()
        else:
            print_line(f"{file.owner} serves at {url}")

    async def main() -> None:
        try:
            await serve_agent(file, signer, reader, ready)
        finally:
            await reader.close()

    try:
        uvloop.run(main())
    except (OfferDiffers, NotRegistered) as error:
        fail(str(error), error.mend, ExitCode.CHECK_FAILED)


def _log_to_stderr(as_json: bool) -> None:
    import structlog

    renderer = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        # standard error as it is when something is said: a program that runs this command may have put another there
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
