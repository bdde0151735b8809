"""Write a contract that holds all its mutants, each behind a switch that a block's coinbase turns on.

One compilation then serves every mutant: the test network is told another coinbase instead. Without one of these
coinbases the contract does what the original does.

An expression becomes `(on(1) ? (fault) : on(2) ? (other fault) : (original))`, where the original may hold further
mutants and the faults hold none, so the text grows with the number of mutants. A statement becomes `if (!on(3)) ...`,
a modifier a twin of itself that does nothing under its mutant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from scripts.mutation.mutants import Mutant, Node

BASE = 0xB0DE0000
SWITCH = re.compile(rb"0x(b0de[0-9a-f]{4})\b")


def switch(number: int) -> str:
    """Return the condition under which a mutant is on."""
    return f"block.coinbase == address(uint160(0x{BASE + number:08x}))"


def coinbase(number: int) -> str:
    """Return the address that turns a mutant on; number 0 is nobody's."""
    return f"0x{BASE + number:040x}"


@dataclass
class Place:
    """A stretch of the source with its mutants, and the places within it."""

    span: tuple[int, int]
    kind: str
    mutants: list[Mutant] = field(default_factory=list)
    inner: list[Place] = field(default_factory=list)


def render(text: bytes, mutants: Iterable[Mutant], insertions: Sequence[tuple[int, str]] = ()) -> bytes:
    """Return the source with all of `mutants` in it; `insertions` are texts to put in at offsets outside of them."""
    places: dict[tuple[tuple[int, int], str], Place] = {}
    for mutant in mutants:
        key = (mutant.span, mutant.kind)
        places.setdefault(key, Place(*key)).mutants.append(mutant)
    for offset in {at for at, _ in insertions}:
        kind = "insertion " + "".join(added for at, added in insertions if at == offset)
        places[((offset, offset), kind)] = Place((offset, offset), kind)
    root = Place((0, len(text)), "file")
    stack = [root]
    # outer before inner; a statement is never the same stretch as an expression, for its semicolon belongs to it
    for place in sorted(places.values(), key=lambda p: (p.span[0], -p.span[1])):
        while not (stack[-1].span[0] <= place.span[0] and place.span[1] <= stack[-1].span[1]):
            stack.pop()
        stack[-1].inner.append(place)
        stack.append(place)
    return _rendered(text, root).encode()


def _rendered(text: bytes, place: Place) -> str:
    parts, at = [], place.span[0]
    for inner in place.inner:
        parts += [text[at : inner.span[0]].decode(), _rendered(text, inner)]
        at = inner.span[1]
    body = "".join([*parts, text[at : place.span[1]].decode()])
    if place.kind == "expression":
        faults = "".join(f"{switch(m.number)}\n? ({m.text})\n: " for m in place.mutants)
        return f"({faults}({body}))"
    if place.kind == "statement":
        (only,) = place.mutants
        return f"{{ if ({switch(only.number)}) {{}} else\n{body} }}"
    if place.kind == "modifier":
        (only,) = place.mutants
        return twin(body, only.number)
    return place.kind.removeprefix("insertion ") if place.kind.startswith("insertion ") else body


def twin(name: str, number: int) -> str:
    """Return what a modifier is called where a mutant takes it off."""
    return f"{name}_{BASE + number:08x}"


def twin_of(modifier: Node, text: bytes, number: int) -> str:
    """Return the definition of a modifier that does under a mutant nothing but run the function."""
    lines = []
    for statement in modifier["body"]["statements"]:
        start, length, _ = (int(part) for part in statement["src"].split(":"))
        one = text[start : start + length].decode()
        if statement["nodeType"] == "PlaceholderStatement":
            lines.append("_;")
        else:
            lines.append(f"if ({switch(number)}) {{}} else {{ {one if one[-1] in ';}' else one + ';'} }}")
    return f"modifier {twin(modifier['name'], number)}() {{ {' '.join(lines)} }}\n"


def blamed(rendered: bytes, at: int) -> int | None:
    """Return the number of the mutant nearest to an offset that the compiler complained of: the next, else the last."""
    found = SWITCH.search(rendered, at)
    if found is None or rendered.count(b"\n", at, found.start()) > 2:
        before = list(SWITCH.finditer(rendered, 0, at))
        found = before[-1] if before else found
    return int(found[1], 16) - BASE if found else None
