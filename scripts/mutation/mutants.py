"""Find what could be wrong in a contract: every small fault that the operators below can make in its syntax tree.

A mutant replaces one expression by another of the same type, or leaves out one statement, or takes one modifier off one
function. The tree is the compiler's, with types; offsets are bytes of the source file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

Node = dict[str, Any]

# the neighbour at the boundary, the opposite, and what agrees on one side only
RELATIONS = {
    "<": ("<=", ">=", "!="),
    "<=": ("<", ">", "=="),
    ">": (">=", "<=", "!="),
    ">=": (">", "<", "=="),
    "==": ("!=", "<=", ">="),
    "!=": ("==", "<", ">"),
}
ARITHMETIC = {
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
    "%": "*",
    "**": "*",
    "<<": ">>",
    ">>": "<<",
    "&": "|",
    "|": "&",
    "^": "&",
}
NO_CODE = (
    "ElementaryTypeName",
    "ArrayTypeName",
    "UserDefinedTypeName",
    "Mapping",
    "InlineAssembly",
    "OverrideSpecifier",
)
# of zero, no unsigned number is less: these are the same comparison or none
SAME_AT_ZERO = {("==", "<="), ("!=", ">"), (">", "!="), ("<=", "=="), ("!=", "<"), ("<", "<=")}


@dataclass(frozen=True)
class Mutant:
    """One fault. `kind` says how it is switched: an expression, a statement left out, or a modifier taken off.

    `span` is what is replaced, `text` by what (for a statement nothing). `number` is what switches it on.
    """

    contract: str
    path: str
    function: str
    kind: str
    operator: str
    span: tuple[int, int]
    text: str
    original: str
    line: int
    number: int = 0

    def described(self) -> str:
        """Return where it is and what it does, in one line."""
        short = " ".join(self.original.split())
        instead = " ".join(self.text.split()) or "nothing"
        return f"{self.path}:{self.line} {self.function}: {self.operator}: {short} -> {instead}"

    @property
    def deploys(self) -> bool:
        """Whether it shows only in a contract that was deployed under it."""
        return self.function == "constructor"


class Source:
    """A file with its tree; `constants` are the ids of constant numbers of all files."""

    def __init__(self, contract: str, path: str, text: bytes, tree: Node, constants: set[int]) -> None:
        self.contract, self.path, self.text, self.tree, self.constants = contract, path, text, tree, constants

    def mutants(self) -> list[Mutant]:
        """Return all mutants of all functions and modifiers of the file, in order of their place, each once."""
        found: dict[tuple[Any, ...], Mutant] = {}
        for definition in self._definitions():
            name = definition["name"] or definition["kind"]  # a constructor has no name
            for mutant in self._of_function(definition):
                mutant = replace(mutant, function=name)
                found.setdefault((mutant.span, mutant.text, mutant.kind), mutant)
        return sorted(found.values(), key=lambda m: (m.span, m.text))

    def _definitions(self) -> Iterator[Node]:
        for contract in self.tree["nodes"]:
            if contract["nodeType"] == "ContractDefinition":
                for node in contract["nodes"]:
                    if node["nodeType"] in ("FunctionDefinition", "ModifierDefinition") and node.get("body"):
                        yield node

    def _of_function(self, definition: Node) -> Iterator[Mutant]:
        for invocation in definition.get("modifiers", ()):
            if invocation.get("kind") == "modifierInvocation" and not invocation.get("arguments"):
                yield self._mutant(invocation, "modifier", "modifier taken off", "")
        yield from self._visit(definition["body"], None)

    def _visit(self, node: Any, parent: Node | None) -> Iterator[Mutant]:
        if isinstance(node, list):
            for each in node:
                yield from self._visit(each, parent)
            return
        if not isinstance(node, dict) or "nodeType" not in node or node["nodeType"] in NO_CODE:
            return
        act = getattr(self, "_" + node["nodeType"], None)
        if act is not None:
            yield from act(node, parent)
        if node["nodeType"] == "FunctionCall" and node.get("kind") == "typeConversion" and not _is_number(node):
            return
        for key, child in node.items():
            if key != "loopExpression":
                yield from self._visit(child, node)
        # the step of a loop is no statement of its own
        if node.get("loopExpression"):
            yield from self._visit(node["loopExpression"]["expression"], node["loopExpression"])

    # -------------------------------------------------------------------------------------------------- expressions

    def _BinaryOperation(self, node: Node, parent: Node | None) -> Iterator[Mutant]:
        operator, left, right = node["operator"], node["leftExpression"], node["rightExpression"]
        if _is_literal(node):
            return
        if operator in RELATIONS:
            for other in RELATIONS[operator]:
                # two addresses or digests that differ, differ in no direction that means anything
                if operator in ("==", "!=") and other not in ("==", "!=") and not _is_of_numbers(node):
                    continue
                if _is_zero(right) and (operator, other) in SAME_AT_ZERO:
                    continue
                # a loop that counts in steps of one ends at the same number
                if _is_loop(parent) and (operator, other) == ("<", "!="):
                    continue
                yield self._binary(node, "relation", other)
        elif operator in ("&&", "||"):
            yield self._binary(node, "and and or", "||" if operator == "&&" else "&&")
            for side in (left, right):
                yield from self._negated(side)
        elif operator in ARITHMETIC:
            yield self._binary(node, "arithmetic", ARITHMETIC[operator])

    def _binary(self, node: Node, name: str, other: str) -> Mutant:
        left, right = self._text(node["leftExpression"]), self._text(node["rightExpression"])
        return self._mutant(node, "expression", name, f"({left}) {other} ({right})")

    def _Assignment(self, node: Node, parent: Node | None) -> Iterator[Mutant]:
        operator = node["operator"].removesuffix("=")
        if operator in ARITHMETIC:
            left, right = self._text(node["leftHandSide"]), self._text(node["rightHandSide"])
            yield self._mutant(node, "expression", "arithmetic", f"{left} {ARITHMETIC[operator]}= {right}")

    def _UnaryOperation(self, node: Node, parent: Node | None) -> Iterator[Mutant]:
        operand = self._text(node["subExpression"])
        if node["operator"] in ("++", "--"):
            other = "--" if node["operator"] == "++" else "++"
            yield self._mutant(node, "expression", "arithmetic", other + operand if node["prefix"] else operand + other)
        elif node["operator"] == "!":
            yield self._mutant(node, "expression", "negation", operand)
        elif node["operator"] == "-" and not _is_literal(node):
            yield self._mutant(node, "expression", "arithmetic", operand)

    def _Literal(self, node: Node, parent: Node | None) -> Iterator[Mutant]:
        if node["kind"] == "bool":
            yield self._mutant(node, "expression", "true and false", "false" if node["value"] == "true" else "true")
        elif node["kind"] == "number" and _counts(node, parent):
            text, value = self._text(node), _value(node)
            others = [f"{text} + 1"] if value is None or value > 9 else [str(value + 1)]
            if value is None or value > 0:
                others.append(f"{text} - 1" if value is None or value > 9 else str(value - 1))
            if value is None or value > 1:
                others.append("0")
            for other in others:
                cast = _cast(node, parent)
                yield self._mutant(node, "expression", "constant", f"{cast}({other})" if cast else other)

    def _Identifier(self, node: Node, parent: Node | None) -> Iterator[Mutant]:
        if node.get("referencedDeclaration") in self.constants:
            for other in ("+ 1", "- 1"):
                yield self._mutant(node, "expression", "constant", f"{node['name']} {other}")

    # --------------------------------------------------------------------------------------------------- conditions

    def _IfStatement(self, node: Node, parent: Node | None) -> Iterator[Mutant]:
        yield from self._negated(node["condition"])

    _Conditional = _WhileStatement = _IfStatement

    def _ForStatement(self, node: Node, parent: Node | None) -> Iterator[Mutant]:
        if node.get("condition"):
            yield from self._negated(node["condition"])

    def _negated(self, condition: Node) -> Iterator[Mutant]:
        """Negate a condition, unless another operator does: a relation has its opposite, `!x` its operand."""
        inner = condition
        while inner["nodeType"] == "TupleExpression":
            inner = inner["components"][0]
        if inner.get("operator") in RELATIONS or inner.get("operator") == "!" or inner["nodeType"] == "Literal":
            return
        yield self._mutant(condition, "expression", "negation", f"!({self._text(condition)})")

    # --------------------------------------------------------------------------------------------------- statements

    def _ExpressionStatement(self, node: Node, parent: Node | None) -> Iterator[Mutant]:
        expression = node["expression"]
        target = expression.get("leftHandSide", {})
        # the compiler wants a storage pointer to be set before it is used
        if target.get("nodeType") == "Identifier" and _type(target).endswith("storage pointer"):
            return
        yield self._without(node)

    def _statement(self, node: Node, parent: Node | None) -> Iterator[Mutant]:
        yield self._without(node)

    _EmitStatement = _RevertStatement = _Return = _Break = _Continue = _TryStatement = _statement

    def _without(self, node: Node) -> Mutant:
        start, end = _span(node)
        if node["nodeType"] != "TryStatement" and self.text[end - 1 : end] != b";":
            end = self.text.index(b";", end) + 1
        return self._mutant(node, "statement", "statement left out", "", (start, end))

    # ------------------------------------------------------------------------------------------------------ helpers

    def _text(self, node: Node) -> str:
        start, end = _span(node)
        return self.text[start:end].decode()

    def _mutant(self, node: Node, kind: str, operator: str, text: str, span: tuple[int, int] | None = None) -> Mutant:
        start, end = span or _span(node)
        line = self.text.count(b"\n", 0, start) + 1
        original = self.text[start:end].decode()
        return Mutant(self.contract, self.path, "", kind, operator, (start, end), text, original, line)


def _span(node: Node) -> tuple[int, int]:
    start, length, _ = (int(part) for part in node["src"].split(":"))
    return start, start + length


def _type(node: Node) -> str:
    return (node.get("typeDescriptions") or {}).get("typeString") or ""


def _is_number(node: Node) -> bool:
    return _type(node).startswith(("uint", "int"))


def _is_literal(node: Node) -> bool:
    """Whether an expression is a number that the compiler computes exactly."""
    return _type(node).startswith(("int_const", "rational_const"))


def _is_of_numbers(node: Node) -> bool:
    common = (node.get("commonType") or {}).get("typeString") or ""
    return common.startswith(("uint", "int"))


def _is_loop(parent: Node | None) -> bool:
    return parent is not None and parent["nodeType"] == "ForStatement"


def _is_zero(node: Node) -> bool:
    return node["nodeType"] == "Literal" and _value(node) == 0


def _value(node: Node) -> int | None:
    """Return a number literal's value; None where the tree abbreviates it."""
    words = _type(node).split()
    return int(words[1]) if words[:1] == ["int_const"] and words[1].isdigit() else None


def _counts(node: Node, parent: Node | None) -> bool:
    """Whether a literal is a number here: no address, and no zero that is compared with a digest."""
    if _type(node).startswith("address"):
        return False
    common = ((parent or {}).get("commonType") or {}).get("typeString") or "uint"
    return common.startswith(("uint", "int")) and not (parent is not None and _is_literal(parent))


def _cast(node: Node, parent: Node | None) -> str:
    """Return the type that a literal takes on in an operation: as one of two alternatives it would be a smaller one."""
    if parent is None or parent["nodeType"] != "BinaryOperation":
        return ""
    if parent["operator"] in ("<<", ">>", "**") and parent["leftExpression"] is not node:
        return ""
    common = (parent.get("commonType") or {}).get("typeString") or ""
    return common if common.startswith(("uint", "int")) and "_const" not in common else ""
