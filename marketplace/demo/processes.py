"""Start, watch and stop the processes of a demonstration; each writes its own log and is stopped by its own pid."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from marketplace.errors import BondedError

_GRACE_S = 20.0


class DemoFailed(BondedError):
    """The demonstration did not come out as it must; the message says at which step, and the logs are kept."""


@dataclass
class Processes:
    """All processes of one run.

    `folder` receives `logs/<name>.log`; names are unique, a restart appends to the same log.
    """

    folder: Path
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> int:
        """Start a process in a session of its own, so that a signal to the terminal reaches only the demonstration.

        Returns its pid.
        """
        log = self.log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,
            )
        self._running[name] = process
        return process.pid

    def log(self, name: str) -> Path:
        """Return where a process writes."""
        return self.folder / "logs" / f"{name}.log"

    def pid(self, name: str) -> int:
        """Return the pid of a running process."""
        return self._running[name].pid

    def kill(self, name: str) -> None:
        """Kill a process at once (SIGKILL): nothing in it gets to tidy up."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def check(self) -> None:
        """Raise DemoFailed when a process that should be running has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise DemoFailed(f"{name} ended with status {process.returncode}\n{self.tail(name)}")

    def tail(self, name: str, lines: int = 15) -> str:
        """Return the last lines of a process's log."""
        path = self.log(name)
        text = path.read_text(errors="replace").splitlines() if path.exists() else []
        return "\n".join(["  " + line for line in text[-lines:]] + [f"  (whole log: {path})"])

    async def wait_for(self, name: str, url: str, seconds: float) -> None:
        """Wait until a URL of a process answers 200.

        Raises DemoFailed with the log's tail when it ends or stays silent.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            self.check()
            if await asyncio.to_thread(_answers, url):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise DemoFailed(f"{name} did not answer at {url} within {seconds:.0f} s\n{self.tail(name)}")
            await asyncio.sleep(0.2)

    def stop_all(self) -> None:
        """Stop everything, last started first: SIGTERM to all, SIGKILL to what has not ended after its grace."""
        order = list(self._running.items())[::-1]
        for _, process in order:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for _, process in order:
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def addresses(self) -> dict[str, int]:
        """Return name → pid of everything still running."""
        return {name: process.pid for name, process in self._running.items() if process.poll() is None}


async def run(
    command: Sequence[str],
    env: Mapping[str, str],
    seconds: float,
    accept: Sequence[int] = (0,),
    cwd: Path | None = None,
) -> tuple[int, str, str]:
    """Run a command to its end; returns (status, stdout, stderr), raises DemoFailed for a status not in `accept`."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
        cwd=cwd,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise DemoFailed(f"{_readable(command)} took longer than {seconds:.0f} s") from None
    status = process.returncode or 0
    if status not in accept:
        raise DemoFailed(f"{_readable(command)} ended with status {status}\n{out.decode()}{err.decode()}".rstrip())
    return status, out.decode(), err.decode()


def bonded(*arguments: str) -> list[str]:
    """Return the command line of a `bonded` subcommand, run by this interpreter."""
    return [sys.executable, "-m", "marketplace.cli", *arguments]


def _readable(command: Sequence[str]) -> str:
    words = list(command)
    if words[:3] == [sys.executable, "-m", "marketplace.cli"]:
        words = ["bonded", *words[3:]]
    return " ".join(words)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - a loopback address of our own
            return bool(answer.status == 200)
    except OSError:
        return False
