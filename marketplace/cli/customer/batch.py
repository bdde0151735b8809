"""`bonded customer batch submit|status|results|cancel`: work that has a day's time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from marketplace.cli.customer.account import GATEWAY_DEFAULT, GatewayOption
from marketplace.cli.keys import KeystoreOption, PasswordFileOption
from marketplace.cli.options import with_options
from marketplace.cli.output import ExitCode, JsonFlag, fail, print_facts, print_json, print_line, print_table, working
from marketplace.cli.session import Session, ask

batch = typer.Typer(no_args_is_help=True, help="Many requests in one file, answered within 24 hours.")
BatchArgument = Annotated[str, typer.Argument(help="The batch's id, as `batch status` lists it.")]
_ENDED = ("completed", "failed", "expired", "cancelled")
_SHOWN_ERRORS = 10


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks which gateway, and how the answer is printed."""

    keystore: KeystoreOption = None
    password_file: PasswordFileOption = None
    gateway: GatewayOption = GATEWAY_DEFAULT
    as_json: JsonFlag = False

    def session(self) -> Session:
        """Sign in."""
        return Session(self.gateway, self.keystore, self.password_file)


def add_to(app: typer.Typer) -> None:
    """Add this module's commands to the group."""
    app.add_typer(batch, name="batch")


@batch.command()
@with_options
def submit(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="JSONL, one request a line.")
    ],
    asking: Asking,
    endpoint: Annotated[
        str, typer.Option("--endpoint", help="What every line asks: its `url`.")
    ] = "/v1/chat/completions",
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", help="name=value, kept with the batch; may be repeated.")
    ] = None,
) -> None:
    """Upload FILE and have its lines answered; what is wrong with a line is said by `batch status`."""
    pairs = dict(_pair(one) for one in metadata or [])

    async def work() -> None:
        async with asking.session() as client:
            with file.open("rb") as raw, working(f"uploading {file.name}", asking.as_json):
                form: dict[str, Any] = {"data": {"purpose": "batch"}, "files": {"file": (file.name, raw)}}
                uploaded = await ask(client, "POST", "/v1/files", **form)
            order = {"input_file_id": uploaded["id"], "endpoint": endpoint, "completion_window": "24h"}
            made = await ask(client, "POST", "/v1/batches", order | ({"metadata": pairs} if pairs else {}))
        _show(made, asking.as_json)

    asyncio.run(work())


@batch.command()
@with_options
def status(
    asking: Asking,
    name: Annotated[str | None, typer.Argument(metavar="BATCH", help="One batch; without it, the newest.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many, newest first.")] = 20,
) -> None:
    """Show how far a batch is and what is wrong with it, or list the newest batches."""

    async def work() -> None:
        async with asking.session() as client:
            if name is not None:
                _show(await ask(client, "GET", f"/v1/batches/{name}"), asking.as_json)
                return
            found = (await ask(client, "GET", f"/v1/batches?limit={limit}"))["data"]
        if asking.as_json:
            print_json({"batches": found})
        elif not found:
            print_line("no batches yet", "dim")
        else:
            rows = [
                [one["id"], _status(one), one["model"] or "", _counts(one), _time(one["created_at"])] for one in found
            ]
            print_table("batches", ["batch", "status", "model", "answered", "created"], rows)

    asyncio.run(work())


@batch.command()
@with_options
def results(
    name: BatchArgument,
    asking: Asking,
    into: Annotated[
        Path, typer.Option("--into", exists=True, file_okay=False, writable=True, help="The folder to write to.")
    ] = Path(),
) -> None:
    """Write a batch's answers and errors to BATCH_output.jsonl and BATCH_error.jsonl, each if there are any."""

    async def work() -> None:
        async with asking.session() as client:
            found = await ask(client, "GET", f"/v1/batches/{name}")
            if found["status"] not in _ENDED:
                fail(f"the batch is {found['status']}: {_counts(found)} answered", "ask again later")
            written: dict[str, str | None] = {"batch": found["id"], "status": found["status"]}
            for kind in ("output", "error"):
                file, path = found[f"{kind}_file_id"], into / f"{found['id']}_{kind}.jsonl"
                if file is not None:
                    await _download(client, file, path)
                written[kind] = str(path) if file is not None else None
        if asking.as_json:
            print_json(written)
        else:
            print_facts("Results", {key: value or "none" for key, value in written.items()})

    asyncio.run(work())


@batch.command()
@with_options
def cancel(name: BatchArgument, asking: Asking) -> None:
    """Take no more lines of a batch; what is answered is kept and paid."""

    async def work() -> None:
        async with asking.session() as client:
            _show(await ask(client, "POST", f"/v1/batches/{name}/cancel"), asking.as_json)

    asyncio.run(work())


async def _download(client: Any, file: str, path: Path) -> None:
    """Write a file piece by piece; it bears its name once it is whole."""
    import httpx2

    part = path.with_name(path.name + ".part")
    try:
        async with client.stream("GET", f"/v1/files/{file}/content") as answer:
            if answer.status_code != 200:
                fail(f"the gateway does not have {file} any more", "results are removed after their time")
            with part.open("wb") as out:
                async for piece in answer.aiter_bytes():
                    out.write(piece)
    except httpx2.HTTPError as error:
        part.unlink(missing_ok=True)
        fail(f"the download of {file} broke off: {error}", "run this again", ExitCode.UNREACHABLE)
    part.replace(path)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        fail(f"{text!r} is no metadata", "write it like night=1", ExitCode.USAGE)
    return name, value


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    errors = (found["errors"] or {"data": []})["data"]
    facts = {
        "batch": found["id"],
        "status": _status(found),
        "answered": _counts(found),
        "failed": found["request_counts"]["failed"],
        "created": _time(found["created_at"]),
        "expires": _time(found["expires_at"]),
    }
    print_facts("Batch", facts | ({"paused": found["bonded_paused"]} if found["bonded_paused"] else {}))
    for error in errors[:_SHOWN_ERRORS]:
        where = f"line {error['line']}: " if error["line"] else ""
        print_line(f"{where}{error['message']} ({error['code']})")
    if len(errors) > _SHOWN_ERRORS:
        print_line(f"and {len(errors) - _SHOWN_ERRORS} more; --json shows them", "dim")


def _status(found: dict[str, Any]) -> str:
    return f"{found['status']} (paused)" if found["bonded_paused"] else str(found["status"])


def _counts(found: dict[str, Any]) -> str:
    counts = found["request_counts"]
    return f"{counts['completed']} of {counts['total']}"


def _time(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))
