"""docs/trust.md names tests that exist, and never uses a weakness's number twice."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parents[1] / "docs" / "trust.md").read_text()


def named():
    """Return (file, test) of every test that the page names; a name without a file is of the file before it."""
    found, file = [], None
    for quoted in re.findall(r"`([^`]+)`", PAGE[PAGE.index("## Findings of others") :]):
        if match := re.fullmatch(r"(\w+/test_\w+\.py): (\w+)", quoted):
            file = match[1]
            found.append((file, match[2]))
        elif re.fullmatch(r"\w+/test_\w+\.py", quoted):
            found.append((quoted, ""))
        elif re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+){3,}", quoted):
            found.append((file, quoted))
    return found


def test_every_test_that_the_page_names_exists():
    every = named()
    missing = [(f, t) for f, t in every if f"def test_{t}" not in (TESTS / f).read_text()]
    assert missing == [] and len(every) > 60


def test_weaknesses_have_numbers_of_their_own_and_every_one_that_is_mentioned_is_explained():
    explained = re.findall(r"^\* \*\*(W\d+)\*\*", PAGE, re.MULTILINE)
    assert len(explained) == len(set(explained))
    assert set(re.findall(r"\b(W\d+)\b", PAGE)) <= set(explained)
