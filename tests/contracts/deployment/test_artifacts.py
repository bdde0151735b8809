"""contracts/abi: what is committed is what compiles."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
spec = importlib.util.spec_from_file_location("export_abi", ROOT / "scripts" / "export_abi.py")
export_abi = importlib.util.module_from_spec(spec)
spec.loader.exec_module(export_abi)


@pytest.mark.parametrize("name", export_abi.NAMES)
def test_the_committed_artifact_is_what_brownie_compiles(built, name):
    """Forge wrote the file; brownie compiled again with the same compiler, orders otherwise and names constructors."""

    def ordered(abi):
        entries = [{k: v for k, v in e.items() if (k, v) != ("name", "constructor")} for e in abi]
        return sorted(json.dumps(entry, sort_keys=True) for entry in entries)

    committed = export_abi.committed(name)
    assert committed is not None and committed["contractName"] == name
    assert ordered(committed["abi"]) == ordered(built[name].abi), "run scripts/export_abi.py"
    fresh = export_abi.without_metadata(built[name].bytecode)
    assert export_abi.without_metadata(committed["bytecode"]) == fresh, "run scripts/export_abi.py"


def test_every_committed_artifact_belongs_to_a_contract():
    assert {path.stem for path in (ROOT / "contracts" / "abi").glob("*.json")} == set(export_abi.NAMES)
