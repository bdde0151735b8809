"""docs/trust.md names tests that exist, and never uses a weakness's number twice."""

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
EVERYWHERE = TESTS.parent
PAGE = (EVERYWHERE.parent / "docs" / "trust.md").read_text()
_FINDINGS = "## Findings of others"
_OTHER_GATEWAYS = ("## Complaints about other gateways", "## Known holes of other gateways")


def section(heading):
    """Return a section of the page, without its heading."""
    return re.split(r"^## ", PAGE[PAGE.index(heading) + 3 :], maxsplit=1, flags=re.MULTILINE)[0]


def named():
    """Return (file, test) of every contract test that the page names; a name without a file is of the file before."""
    found, file = [], None
    for quoted in re.findall(r"`([^`]+)`", section(_FINDINGS)):
        if match := re.fullmatch(r"(\w+/test_\w+\.py): (\w+)", quoted):
            file = match[1]
            found.append((file, match[2]))
        elif re.fullmatch(r"\w+/test_\w+\.py", quoted):
            found.append((quoted, ""))
        elif re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+){3,}", quoted):
            found.append((file, quoted))
    return found


def named_elsewhere():
    """Return the files of the gateway's tests on the page, and the tests; a name may leave out the hole's number."""
    quoted = [one for heading in _OTHER_GATEWAYS for one in re.findall(r"`([^`]+)`", section(heading))]
    files = {name for one in quoted for name in re.findall(r"(?:^|/)(test_\w+\.py)", one)}
    tests = {match[1] for one in quoted if (match := re.fullmatch(r"(?:.*\.py: )?([a-z0-9]+(?:_[a-z0-9]+){3,})", one))}
    return files, tests


def test_every_test_that_the_page_names_exists():
    every = named()
    missing = [(f, t) for f, t in every if f"def test_{t}" not in (TESTS / f).read_text()]
    assert missing == [] and len(every) > 60


def test_every_test_of_the_gateway_that_the_page_names_exists():
    files, tests = named_elsewhere()
    sources = list(EVERYWHERE.rglob("test_*.py"))
    there = [name for path in sources for name in re.findall(r"def (test_\w+)\(", path.read_text())]
    missing = [name for name in tests if not any(one.endswith(f"_{name}") for one in there)]
    assert files <= {path.name for path in sources} and len(files) > 5
    assert missing == [] and len(tests) > 25


def test_weaknesses_have_numbers_of_their_own_and_every_one_that_is_mentioned_is_explained():
    explained = re.findall(r"^\* \*\*(W\d+)\*\*", PAGE, re.MULTILINE)
    assert len(explained) == len(set(explained))
    assert set(re.findall(r"\b(W\d+)\b", PAGE)) <= set(explained)
