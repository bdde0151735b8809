"""A copy of the tree in which contracts are replaced by their mutants, with limits of size lifted."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.mutation.mutants import Mutant, Node, Source
from scripts.mutation.schema import blamed, render, twin_of

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "build" / "mutation"
AT = HOME / "tree"
LINKED = (".venv", ".venv-contracts")
WITHOUT_LIMITS = {"gas_limit: 60000000": "gas_limit: 900000000"}


class DoesNotCompile(Exception):
    """The mutated contracts do not compile, and no mutant is to blame: read the compiler's words above."""


# ------------------------------------------------------------------------------------------------------------ the copy


def prepare() -> None:
    """Make the copy from what is in the checkout, committed or not, and give it tools without limits of size."""
    shutil.rmtree(AT, ignore_errors=True)
    AT.mkdir(parents=True)
    sync(".")
    for name in LINKED:
        (AT / name).symlink_to(ROOT / name)
    modules = AT / "node_modules"
    modules.mkdir()
    for entry in (ROOT / "node_modules").iterdir():
        if entry.name == "@openzeppelin":
            shutil.copytree(entry, modules / entry.name)
        else:
            (modules / entry.name).symlink_to(entry.resolve())
    for built in ("contracts", "interfaces"):
        if (ROOT / "build" / built).exists():
            shutil.copytree(ROOT / "build" / built, AT / "build" / built)
    _lift_limits()


def sync(*below: str) -> None:
    """Copy the files of the checkout that lie in these folders."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z", "--", *below], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, AT / name
        if source.exists() and not source.is_dir():  # a clone may borrow its environments by links
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def _lift_limits() -> None:
    settings = AT / "foundry.toml"
    text = settings.read_text().replace('deny = "warnings"', 'deny = "never"\ncode_size_limit = 10000000')
    settings.write_text(text.replace("[lint]", "[lint]\nlint_on_build = false"))
    brownie = AT / "scripts" / "brownie"
    text = brownie.read_text()
    for before, after in WITHOUT_LIMITS.items():
        assert before in text, (
            f"scripts/brownie has no {before!r} any more: say in scripts/mutation/tree.py what it has"
        )
        text = text.replace(before, after)
    brownie.write_text(text)
    _tool("scripts/anvil", f'exec "{ROOT}/scripts/anvil" --disable-code-size-limit "$@"')
    _tool("scripts/forge", f'exec "{ROOT}/scripts/forge" "$@"')
    # forge asks for the version at every start, and loading the compiler to answer takes longer than most tests
    version = subprocess.run(
        [ROOT / "scripts" / "solc", "--version"], capture_output=True, text=True, check=True
    ).stdout
    (AT / "scripts" / "solc.version").write_text(version)
    solc = f'[ "${{1:-}}" = --version ] && exec cat "{AT}/scripts/solc.version"\nexec "{ROOT}/scripts/solc" "$@"'
    _tool("scripts/solc", solc)
    for compiler in (ROOT / ".solcx").iterdir():  # where brownie looks
        _tool(f".solcx/{compiler.name}", f'exec "{AT}/scripts/solc" "$@"')


def _tool(name: str, command: str) -> None:
    path = AT / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


# -------------------------------------------------------------------------------------------------------- the compiler


def analysed(paths: Iterable[str]) -> dict[str, Any]:
    """Return what the compiler says of these files of the copy without making code: `sources` with trees, `errors`."""
    question = {
        "language": "Solidity",
        "sources": {path: {"content": (AT / path).read_text()} for path in paths},
        "settings": {
            "remappings": ["@openzeppelin/=node_modules/@openzeppelin/"],
            "evmVersion": "prague",
            "outputSelection": {"*": {"": ["ast"]}},
        },
    }
    command = [ROOT / "scripts" / "solc", "--standard-json", "--base-path", "."]
    answer = subprocess.run(command, input=json.dumps(question), cwd=AT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def errors_in(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the compiler's errors, without its warnings."""
    return [error for error in answer.get("errors", []) if error["severity"] == "error"]


def _nodes(value: Any) -> Iterator[Node]:
    if isinstance(value, dict):
        if "nodeType" in value:
            yield value
        for child in value.values():
            yield from _nodes(child)
    elif isinstance(value, list):
        for child in value:
            yield from _nodes(child)


# --------------------------------------------------------------------------------------------------------- the schema


class Schema:
    """The contracts under test with the parts they inherit, as they are in the checkout, and their mutants."""

    def __init__(self, contracts: Iterable[str]) -> None:
        paths = [f"contracts/{name}.sol" for name in contracts]
        answer = analysed(paths)
        if errors_in(answer):
            raise DoesNotCompile("\n".join(error["formattedMessage"] for error in errors_in(answer)))
        self.trees: dict[str, Node] = {path: source["ast"] for path, source in answer["sources"].items()}
        self.texts = {path: (AT / path).read_bytes() for path in self.trees}
        self.nodes: dict[int, tuple[str, Node]] = {}
        for path, tree in self.trees.items():
            for node in _nodes(tree):
                if "id" in node:
                    self.nodes[node["id"]] = (path, node)
        self.files = {name: self._files(name) for name in contracts}
        self._make_views()

    def _files(self, contract: str) -> list[str]:
        """Return the files of this project that make up a contract: its own, and those of contracts it inherits."""
        tree = self.trees[f"contracts/{contract}.sol"]
        node = next(n for n in tree["nodes"] if n.get("name") == contract)
        parts = [self.nodes[base] for base in node["linearizedBaseContracts"]]
        return [path for path, part in parts if path.startswith("contracts/") and part["contractKind"] == "contract"]

    def _make_views(self) -> None:
        """Call every pure function a view, there and in its interface: a switch reads the block."""
        mutated = {path for paths in self.files.values() for path in paths}
        for path in mutated:
            for node in _nodes(self.trees[path]):
                if node["nodeType"] == "FunctionDefinition" and node["stateMutability"] == "pure":
                    self._make_view(path, node)
                    for base in node.get("baseFunctions", ()):
                        self._make_view(*self.nodes[base])

    def _make_view(self, path: str, node: Node) -> None:
        start, length, _ = (int(part) for part in node["src"].split(":"))
        end = int(node["body"]["src"].split(":")[0]) if node.get("body") else start + length
        text = self.texts[path]
        self.texts[path] = text[:start] + re.sub(rb"\bpure\b", b"view", text[start:end]) + text[end:]

    def mutants(self) -> list[Mutant]:
        """Return the mutants of every contract, without numbers; a part that two contracts inherit is the first's."""
        constants = {
            node["id"]
            for _, node in self.nodes.values()
            if node["nodeType"] == "VariableDeclaration"
            and node["constant"]
            and node["typeDescriptions"]["typeString"].startswith(("uint", "int"))
        }
        seen: set[str] = set()
        found: list[Mutant] = []
        for contract, paths in self.files.items():
            for path in paths:
                if path not in seen:
                    seen.add(path)
                    found += Source(contract, path, self.texts[path], self.trees[path], constants).mutants()
        return found

    def write(self, mutants: list[Mutant]) -> dict[str, bytes]:
        """Write all files with these mutants into the copy; returns the files that hold any, by path."""
        insertions: dict[str, list[tuple[int, str]]] = {}
        for mutant in mutants:
            if mutant.kind == "modifier":
                path, at, definition = self._twin(mutant)
                insertions.setdefault(path, []).append((at, definition))
        written = {}
        for path, text in self.texts.items():
            here = [mutant for mutant in mutants if mutant.path == path]
            rendered = render(text, here, insertions.get(path, []))
            if rendered != (AT / path).read_bytes():
                (AT / path).write_bytes(rendered)
            if here:
                written[path] = rendered
        return written

    def blamed_in(self, said: str, mutants: list[Mutant]) -> set[int]:
        """Return the numbers of the mutants at the places that forge names in its complaint."""
        known = {mutant.number for mutant in mutants}
        guilty: set[int] = set()
        for path, line, column in re.findall(r"--> (contracts/\S+?\.sol):(\d+):(\d+)", said):
            rendered = (AT / path).read_bytes()
            at = sum(len(each) for each in rendered.splitlines(keepends=True)[: int(line) - 1]) + int(column) - 1
            number = blamed(rendered, at)
            guilty |= {number} & known if number is not None else set()
        return guilty

    def _twin(self, mutant: Mutant) -> tuple[str, int, str]:
        """Return where the twin of a modifier that a mutant takes off is to be defined, and its definition."""
        invocation = next(
            node
            for node in _nodes(self.trees[mutant.path])
            if node["nodeType"] == "ModifierInvocation" and node["src"].startswith(f"{mutant.span[0]}:")
        )
        path, modifier = self.nodes[invocation["modifierName"]["referencedDeclaration"]]
        contract = next(n for n in self.trees[path]["nodes"] if modifier in n.get("nodes", ()))
        start, length, _ = (int(part) for part in contract["src"].split(":"))
        return path, start + length - 1, twin_of(modifier, self.texts[path], mutant.number)


def numbered(mutants: Iterable[Mutant]) -> list[Mutant]:
    """Give the mutants their numbers, from 1 on."""
    return [replace(mutant, number=number) for number, mutant in enumerate(mutants, start=1)]


def compiling(schema: Schema, mutants: list[Mutant]) -> tuple[list[Mutant], list[Mutant]]:
    """Write the mutants that compile into the copy; returns them and those that were dropped because they do not."""
    kept, dropped = list(mutants), []
    while True:
        written = schema.write(kept)
        errors = errors_in(analysed(written))
        if not errors:
            return kept, dropped
        guilty = set()
        for error in errors:
            place = error.get("sourceLocation") or {}
            if place.get("file") in written:
                guilty.add(blamed(written[place["file"]], place["start"]))
        bad = [mutant for mutant in kept if mutant.number in guilty]
        if not bad:
            raise DoesNotCompile("\n".join(error["formattedMessage"] for error in errors))
        dropped += bad
        kept = [mutant for mutant in kept if mutant.number not in guilty]


def environment(**added: str) -> dict[str, str]:
    """Return this process's environment with more in it."""
    return {**os.environ, **added}
