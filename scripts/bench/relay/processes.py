"""Processes of a benchmark: started pinned to a core, their CPU counted from /proc, stopped by pid."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TICKS = os.sysconf("SC_CLK_TCK")
STOP_S = 20.0


class Missing(Exception):
    """A peer cannot be found on this machine; the message says how to get it. The benchmark goes on without it."""


class Leavings:
    """The moments that an engine process prints, read by a thread."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._lines: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._process = process
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(float(line))

    def after(self, moment: float, most_s: float = 10.0) -> float | None:
        """Return the next moment after a given one, None if none comes in time; earlier ones are forgotten."""
        try:
            while (seen := self._lines.get(timeout=most_s)) < moment:
                pass
            return seen
        except queue.Empty:
            return None


@dataclass
class System:
    """One thing to measure: where it listens, with which key, and the processes whose CPU counts.

    `aside` are processes that work for it elsewhere, such as its database; they are counted apart. `leavings` tells
    when its engines noticed that a caller had left.
    """

    name: str
    port: int
    key: str = "sk-bench"
    pids: list[int] = field(default_factory=list)
    aside: list[int] = field(default_factory=list)
    leavings: Leavings | None = None

    def cpu_s(self) -> tuple[float, float]:
        """Return the CPU seconds so far: of its processes with their children, and aside."""
        return sum(map(tree_cpu_s, self.pids)), sum(map(tree_cpu_s, self.aside))

    def memory_mb(self) -> float:
        """Return what its processes with their children keep in memory, in megabytes; its database is not counted."""
        return sum(map(tree_memory_mb, self.pids))

    def rest(self, most_s: float = 30.0) -> None:
        """Wait until it has done what it put off, so that this is counted for it and does not hit the next.

        It rests when it uses less than a twentieth of a core for half a second.
        """
        deadline = time.monotonic() + most_s
        before = sum(self.cpu_s())
        while time.monotonic() < deadline:
            time.sleep(0.5)
            at = sum(self.cpu_s())
            if at - before < 0.025:
                return
            before = at


class Processes:
    """Everything that was started. `folder` holds logs and data, and is removed when all is stopped."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bonded-bench-"))
        self.folder.chmod(0o755)  # run by root, the database has a user of its own
        self._running: list[subprocess.Popen[bytes]] = []
        self._databases: list[int] = []

    def start(
        self, name: str, command: list[str], core: int, env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process pinned to a core; its first line can be read from stdout, errors go to a log file.

        It sees none of this shell's BONDED_… settings.
        """
        clean = {key: value for key, value in os.environ.items() if not key.startswith("BONDED_")}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=clean | (env or {}),
                cwd=ROOT,
            )
        self._running.append(process)
        return process

    def keep_database(self, pid: int) -> None:
        """Remember a database that one of the processes started, in case that one cannot stop it."""
        self._databases.append(pid)

    def words(self, name: str, process: subprocess.Popen[bytes]) -> list[str]:
        """Return the words of the first line that a process prints; raises RuntimeError with its log if it ends."""
        words = process.stdout.readline().decode().split() if process.stdout else []
        if not words:
            log = (self.folder / f"{name}.log").read_text(errors="replace")
            raise RuntimeError(f"{name} ended with {process.wait()}:\n{log[-2_000:]}")
        return words

    def stop(self) -> None:
        """Stop everything, last started first, and remove the folder."""
        for process in reversed(self._running):
            process.terminate()
        for process in reversed(self._running):
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in self._databases:
            if Path(f"/proc/{pid}").exists() and str(self.folder) in _command(pid):
                os.kill(pid, signal.SIGINT)
                _wait_gone(pid)
        shutil.rmtree(self.folder, ignore_errors=True)


def tree_cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, its threads and its descendants, dead children included."""
    total = 0.0
    for one in [pid, *_descendants(pid)]:
        try:
            stat = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, stat[11:15])) / TICKS
    return total


def tree_memory_mb(pid: int) -> float:
    """Return the resident memory of a process and its descendants, in megabytes."""
    total = 0
    for one in [pid, *_descendants(pid)]:
        try:
            lines = Path(f"/proc/{one}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return total / 1024


def _descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += children
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _wait_gone(pid: int) -> None:
    deadline = time.monotonic() + STOP_S
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
