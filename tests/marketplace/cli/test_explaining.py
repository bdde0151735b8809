"""Every rule of `settle` points to its place in docs/protocol.md."""

from __future__ import annotations

import re
from pathlib import Path

from marketplace.cli.explaining import SECTIONS, section_of
from rewards.blobs import FolderStore
from rewards.evidence import read_bundle
from rewards.settlement import settle
from rewards.types import RULES_NUMBER

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests/golden"


def test_every_line_of_the_golden_epoch_has_its_place() -> None:
    digest = (GOLDEN / f"rules-{RULES_NUMBER}.json").read_text().split('"evidence": "0x')[1][:64]
    settled = settle(read_bundle(FolderStore(GOLDEN / f"rules-{RULES_NUMBER}"), bytes.fromhex(digest)).inputs)
    places = {section_of(line.rule) for line in settled.lines}
    assert len(places) >= 7


def test_every_place_that_is_named_exists_in_the_page() -> None:
    page = (ROOT / "docs/protocol.md").read_text()
    for place in SECTIONS.values():
        for one in place.split(" and "):
            section, _, step = one.partition(", step ")
            level = "###" if "." in section else "##"
            found = re.search(rf"^{level} {re.escape(section)}[. ].*?(?=^##)", page, re.MULTILINE | re.DOTALL)
            assert found is not None, one
            assert not step or re.search(rf"^{step}\. \*\*", found.group(), re.MULTILINE), one


def test_every_rule_that_the_code_knows_begins_with_words_that_have_a_place() -> None:
    sources = "\n".join((ROOT / "rewards" / name).read_text() for name in ("explain.py", "honesty.py"))
    rules = re.findall(r'"([a-z\' -]+(?: =|:) [^"]+)"', sources)
    assert len(rules) >= 12
    for rule in rules:
        assert section_of(rule)
