"""What became of every mutant: kept in a file, counted by contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scripts.mutation.mutants import Mutant

EQUIVALENT = Path(__file__).resolve().parent / "equivalent.txt"
COLUMNS = (
    "contract",
    "mutants",
    "tried",
    "killed by forge",
    "by brownie",
    "survived",
    "of them equivalent",
    "score",
    "without equivalents",
)


@dataclass
class Outcomes:
    """The mutants of one choice, how many were made and dropped by contract, and who killed which."""

    path: Path
    choice: dict[str, Any]
    made: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    mutants: list[Mutant] = field(default_factory=list)
    killed_by: dict[int, str] = field(default_factory=dict)
    passed_forge: set[int] = field(default_factory=set)

    @classmethod
    def load(cls, path: Path) -> Outcomes:
        """Return what the file holds; without a file, the outcomes of no choice."""
        if not path.exists():
            return cls(path, {})
        raw = json.loads(path.read_text())
        mutants = [Mutant(**{**each, "span": tuple(each["span"])}) for each in raw["mutants"]]
        killed_by = {int(number): killer for number, killer in raw["killed_by"].items()}
        return cls(path, raw["choice"], raw["made"], raw["dropped"], mutants, killed_by, set(raw["passed_forge"]))

    def save(self) -> None:
        """Write the file."""
        raw = {
            "choice": self.choice,
            "made": self.made,
            "dropped": self.dropped,
            "mutants": [asdict(mutant) for mutant in self.mutants],
            "killed_by": self.killed_by,
            "passed_forge": sorted(self.passed_forge),
        }
        self.path.write_text(json.dumps(raw, indent=1))

    def living(self) -> list[Mutant]:
        """Return the mutants that no test killed so far."""
        return [mutant for mutant in self.mutants if mutant.number not in self.killed_by]

    def told(self, number: int, killer: str | None) -> None:
        """Note what a suite said of a mutant."""
        if killer is not None:
            self.killed_by[number] = killer
        self.save()

    def told_by_forge(self, number: int, killer: str | None) -> None:
        """Note what forge's suite said of a mutant; it is not asked again."""
        if killer is None:
            self.passed_forge.add(number)
        self.told(number, killer)


def equivalents() -> dict[str, str]:
    """Return the mutants that are no faults, as `described` without the line, with the reason."""
    found = {}
    if EQUIVALENT.exists():
        for block in EQUIVALENT.read_text().split("\n\n"):
            lines = [line for line in block.splitlines() if line and not line.startswith("#")]
            if lines:
                found[lines[0]] = " ".join(lines[1:]).strip()
    return found


def name(mutant: Mutant) -> str:
    """Return what a mutant is called in the list of equivalents: its description without the line's number."""
    where, _, rest = mutant.described().partition(" ")
    return f"{where.partition(':')[0]} {rest}"


def table(outcomes: Outcomes, equivalent: Mapping[str, str]) -> str:
    """Return the score by contract, and every survivor."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "| --- |" + (len(COLUMNS) - 1) * " ---: |"]
    names = sorted({mutant.contract for mutant in outcomes.mutants})
    for one in [*names, "all"]:
        its = [mutant for mutant in outcomes.mutants if one in (mutant.contract, "all")]
        made = sum(count for contract, count in outcomes.made.items() if one in (contract, "all"))
        killers = [outcomes.killed_by.get(mutant.number) for mutant in its]
        forge, brownie = (sum((k or "").startswith(tool) for k in killers) for tool in ("forge", "brownie"))
        lives = [mutant for mutant, killer in zip(its, killers, strict=True) if killer is None]
        same = sum(name(mutant) in equivalent for mutant in lives)
        score, cleared = _percent(forge + brownie, len(its)), _percent(forge + brownie, len(its) - same)
        cells = (one, made, len(its), forge, brownie, len(lives), same, score, cleared)
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    lines.append("")
    for mutant in outcomes.living():
        reason = equivalent.get(name(mutant))
        lines.append(f"{'equivalent' if reason else 'SURVIVES'} {mutant.number}: {mutant.described()}")
    return "\n".join(lines)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"
