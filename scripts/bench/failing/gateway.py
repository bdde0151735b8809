"""Our gateway before real agents as a process: `gateway.py PORT COUNT AGENTS_FOLDER FOLDER`.

The process of relay/ours.py, which see; here the providers are those whose files lie in AGENTS_FOLDER/<number>.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from contracts.types import Checkpoint
from marketplace.gateway.reading import Reading
from scripts.bench.failing.agent import record_of
from scripts.bench.relay import ours


class AgentsSource:
    """The same reading for ever: the agents, all with the same score."""

    def __init__(self, count: int, folder: Path) -> None:
        records = tuple(record_of(folder / str(number), number) for number in range(count))
        scores = {record.provider: 950_000 for record in records}
        self._reading = Reading(Checkpoint(1, bytes(32), 0), records, scores, 10**12, 6, 0)

    async def read(self) -> Reading:
        """Return the reading."""
        return self._reading


def main() -> None:
    """Serve until SIGTERM."""
    source = AgentsSource(int(sys.argv[2]), Path(sys.argv[3]))
    parts: Any = ours
    parts.FixedSource = lambda _: source
    sys.argv[1:] = [sys.argv[1], "[]", sys.argv[4]]
    ours.main()


if __name__ == "__main__":
    main()
