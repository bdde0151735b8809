"""docs/protocol.md names every event and every error that a contract can emit or raise."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "protocol.md").read_text()


@pytest.fixture(scope="module")
def contracts(deploy_script, built):
    """Return the compiled contracts of the deployment."""
    return {kind: built[kind] for kind in deploy_script.CONTRACTS.values()}


def documented(kind):
    """Return name → numbers of arguments, as the page writes them: `Name(a, b)`; without a list for OpenZeppelin's."""
    section = PAGE[PAGE.index(f"### 10.{kind} ") :]
    section = section[: section.find("\n#", 1)]
    found = {}
    for name, arguments in re.findall(r"`([A-Z]\w+)(?:\(([^)`]*)\))?`", section):
        found.setdefault(name, set()).add(len([a for a in arguments.split(",") if a.strip()]))
    return found


@pytest.mark.parametrize(("kind", "section"), [("event", 1), ("error", 2)])
def test_every_event_and_error_is_in_the_protocol_with_its_arguments(contracts, kind, section):
    page = documented(section)
    missing = []
    for contract, build in contracts.items():
        for entry in build.abi:
            if entry["type"] != kind:
                continue
            name, count = entry["name"], len(entry["inputs"])
            if name not in page or (count not in page[name] and page[name] != {0}):
                missing.append(f"{contract}.{name}({', '.join(i['name'] for i in entry['inputs'])})")
    assert not missing, "write these into docs/protocol.md, section 10"


@pytest.mark.parametrize(("kind", "section"), [("event", 1), ("error", 2)])
def test_the_protocol_names_no_event_or_error_that_is_gone(contracts, kind, section):
    known = {entry["name"] for build in contracts.values() for entry in build.abi if entry["type"] == kind}
    assert sorted(documented(section).keys() - known - set(contracts)) == []
