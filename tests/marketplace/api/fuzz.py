"""Ask the control API what its own schema allows, almost allows, and does not allow at all.

`requests(schema, rng, known)` draws requests from the OpenAPI schema that the gateway serves: values that fit, values
at the edges of what fits, wrong types, hostile text, bodies that are none, with and without a session. `wrong(answer)`
says what no answer may be. The test sends a few hundred; as a program it sends as many as it is told, against a market
of its own:  python -m tests.marketplace.api.fuzz 100000 SEED
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx2

_NUMBERS: Sequence[Any] = (0, 1, -1, 2, 63, 64, 255, 256, 2**31, 2**53, 2**63 - 1, 2**63, 10**30, 1.5, True)
_TEXTS = (
    *("", " ", "x", "0x", "standard", "realtime", "../../etc/passwd", "%00", "\x00", "\ud7ff", "é" * 40, "null", "🜚"),
    *("'; DROP TABLE x;--", "<script>alert(1)</script>", "{{7*7}}", "${7*7}", "0x" + "ab" * 20, "0x" + "ab" * 32),
    *("A" * 5_000, "1e999", "NaN", "\u202e\u0000\uffff", "..", "%2e%2e%2f", "-1", "\r\nx-evil: 1"),
)
_PAGES = (
    *("/dashboard", "/dashboard/playground", "/dashboard/keys", "/dashboard/batches", "/dashboard/usage"),
    *("/dashboard/receipts", "/dashboard/receipts/{text}", "/dashboard/providers", "/dashboard/providers/{text}"),
    *("/dashboard/epochs", "/dashboard/epochs/{text}", "/dashboard/slashes", "/dashboard/refunds"),
    *("/dashboard/sign-in", "/dashboard/static/{text}", "/dashboard/files/{text}.csv", "/v1/files/{text}"),
    *("/dashboard/files/epochs/{text}/leaves.parquet", "/v1/batches", "/v1/batches/{text}"),
)
_BODIES = (b"", b"{", b"\xff\xfe", b"[" * 2_000, b'{"a":1e99999}', b"null", b'"x"', b"x" * 70_000)
_FIELDS = ("token", "name", "service_class", "stars", "index", "requests", "tokens")
_AT_ONCE = 1_000
_WORDS = ("sort", "order", "model", "region", "work", "page", "before", "limit", "after", "most")


@dataclass(frozen=True)
class Asked:
    """One request; `known` values are those that exist on this market."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes | None
    headers: Mapping[str, str]


@dataclass
class Drawer:
    """Draws requests. `known` are texts that name something real: jobs, addresses, a session's token."""

    schema: Mapping[str, Any]
    rng: random.Random
    known: Sequence[str]
    token: str
    operations: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for path, item in self.schema["paths"].items():
            self.operations += [(method.upper(), path, one) for method, one in item.items()]

    def requests(self) -> Iterator[Asked]:
        """Yield requests without end."""
        while True:
            yield self._page() if self.rng.random() < 0.25 else self._operation()

    def _operation(self) -> Asked:
        method, path, operation = self.rng.choice(self.operations)
        query: dict[str, str] = {}
        headers = self._headers()
        for one in operation.get("parameters", ()):
            value = self._text_of(self._value(one["schema"]))
            if one["in"] == "path":
                path = path.replace("{" + one["name"] + "}", quote(value, safe="") or "%20")
            elif one["in"] == "query" and self.rng.random() < 0.7:
                query[one["name"]] = value
        body = None
        if "requestBody" in operation:
            body = self._body(operation["requestBody"]["content"]["application/json"]["schema"])
            headers["content-type"] = self.rng.choice(
                ("application/json", "application/json", "application/json", "text/plain", "multipart/form-data", "")
            )
        return Asked(method, path, query, body, headers)

    def _page(self) -> Asked:
        path = self.rng.choice(_PAGES).replace("{text}", quote(self._text(), safe="") or "%20")
        query = {word: self._text() for word in _WORDS if self.rng.random() < 0.15}
        headers = self._headers()
        if self.rng.random() < 0.15 and not path.startswith("/v1/"):
            headers["content-type"] = "application/x-www-form-urlencoded"
            form = "&".join(f"{word}={quote(self._text())}" for word in _FIELDS)
            return Asked("POST", path, query, form.encode(), headers)
        return Asked("GET", path, query, None, headers)

    def _headers(self) -> dict[str, str]:
        kind = self.rng.random()
        if kind < 0.6:
            return {"authorization": f"Bearer {self.token}"}
        if kind < 0.75:
            return {"cookie": f"bonded_session={self.token}"}
        if kind < 0.85:
            return {"authorization": self.rng.choice(("Bearer", "Bearer x.y.z", "Basic eDp5", "Bearer sk-bonded-x"))}
        return {}

    def _value(self, schema: Mapping[str, Any]) -> Any:
        """Draw a value: often one that fits, else one at an edge or of another type."""
        if self.rng.random() < 0.2:
            return self.rng.choice((None, [], {}, self.rng.choice(_NUMBERS), self._text(), [[]], {"a": {"b": [None]}}))
        if "$ref" in schema:
            return self._value(self.schema["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]])
        if "anyOf" in schema:
            return self._value(self.rng.choice(schema["anyOf"]))
        match schema.get("type"):
            case "object":
                fields = schema.get("properties", {}).items()
                made = {name: self._value(one) for name, one in fields if self.rng.random() < 0.9}
                return made | ({self._text(): self._text()} if self.rng.random() < 0.1 else {})
            case "integer" | "number":
                return self.rng.choice(_NUMBERS)
            case "array":
                return [self._value(schema.get("items", {})) for _ in range(self.rng.randrange(4))]
            case "null":
                return None
        return self._text()

    def _text(self) -> str:
        return self.rng.choice(self.known if self.rng.random() < 0.4 else _TEXTS)

    def _text_of(self, value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value)

    def _body(self, schema: Mapping[str, Any]) -> bytes:
        if self.rng.random() < 0.05:
            return self.rng.choice(_BODIES)
        return json.dumps(self._value(schema)).encode()


def wrong(answer: httpx2.Response) -> str:
    """Say what is wrong with an answer, "" if nothing is: no 5xx, refusals in shape, nothing hostile as markup."""
    if answer.status_code >= 500:
        return f"status {answer.status_code}"
    kind = answer.headers.get("content-type", "")
    if answer.status_code >= 400 and not answer.request.url.path.startswith("/dashboard"):
        try:
            error = answer.json()["error"]
        except (ValueError, KeyError, TypeError):
            return f"a refusal without its shape: {answer.text[:200]}"
        if not error.get("message") or "code" not in error:
            return f"a refusal that says nothing: {error}"
    if kind.startswith("text/html") and "<script>alert" in answer.text:
        return "hostile text became markup"
    if "x-evil" in answer.headers:
        return "a header was smuggled"
    return ""


def run(client: httpx2.Client, drawer: Drawer, count: int) -> tuple[Counter[int], list[tuple[Asked, str]]]:
    """Send requests; returns how often each status came (0: it hung up), and what was wrong."""
    seen: Counter[int] = Counter()
    faults: list[tuple[Asked, str]] = []
    for asked, _ in zip(drawer.requests(), range(count), strict=False):
        try:
            answer = client.request(
                asked.method, asked.path, params=dict(asked.query), content=asked.body, headers=dict(asked.headers)
            )
        except httpx2.TransportError as error:
            seen[0] += 1
            if len(asked.body or b"") < 64 * 1024:  # above that the gateway may hang up while it is still being sent
                faults.append((asked, f"no answer: {error!r}"))
            continue
        seen[answer.status_code] += 1
        if found := wrong(answer):
            faults.append((asked, found))
    return seen, faults


def _main(count: int, seed: int) -> int:
    from tests.marketplace.api.visitor import Visitor
    from tests.marketplace.settled import settled_market

    with settled_market() as market, Visitor(market.url) as visitor:
        drawer = drawer_for(visitor, market.customers[0], seed)
        seen: Counter[int] = Counter()
        faults: list[tuple[Asked, str]] = []
        with httpx2.Client(base_url=market.url, trust_env=False, timeout=60) as client:
            while sum(seen.values()) < count and not faults:
                more, faults = run(client, drawer, min(_AT_ONCE, count - sum(seen.values())))
                seen += more
                print(f"seed {seed}: {sum(seen.values())} requests,", dict(sorted(seen.items())), flush=True)
    for asked, found in faults[:20]:
        print(found, asked)
    return 1 if faults else 0


def drawer_for(visitor: Any, signer: Any, seed: int) -> Drawer:
    """Return a drawer that knows what exists on a settled market, with a session of a customer."""
    token = visitor.sign_in(signer).json()["token"]
    visitor.cookies.clear()
    own = {"authorization": f"Bearer {token}"}
    jobs = [row["job"] for row in visitor.get("/api/receipts", headers=own).json()["receipts"]]
    providers = [row["provider"] for row in visitor.get("/api/providers").json()["providers"]]
    schema = visitor.get("/api/openapi.json").json()
    return Drawer(schema, random.Random(seed), [*jobs, *providers, "0", "1", signer.address], token)


if __name__ == "__main__":
    raise SystemExit(_main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)))
