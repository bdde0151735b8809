"""A bundle comes back exactly, and whatever is done to it is named by file."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from contracts.types import Report
from rewards.blobs import FolderStore, HttpSource, source_at
from rewards.canonical import canonical_json, read_json
from rewards.errors import EvidenceDamaged, EvidenceMissing
from rewards.evidence import FILES, copy_bundle, read_bundle, read_manifest, write_bundle
from rewards.settlement import settle
from rewards.testing import Network
from rewards.types import EpochInputs


@pytest.fixture(scope="module")
def settled() -> tuple[EpochInputs, Report]:
    net = Network(providers=5, slots=120)
    first = settle(net.inputs(attempts=net.attempts(0, 40))).closing
    inputs = net.inputs(
        1,
        attempts=net.attempts(1, 40, failing=net.provider_names[:1]),
        canary_days=[net.canary_day(0, net.provider_names[0], 1, 5, 4)],
        rating_days=[net.rating_day(net.provider_names[1], 1, 3, 1_250_000)],
        opening=replace(first, report=b"\x05" * 32),
        maintenance={net.provider_names[2]: [net.window(0, 3, 4)]},
    )
    return inputs, settle(inputs).report


@pytest.fixture
def bundle(tmp_path: Path, settled: tuple[EpochInputs, Report]) -> tuple[FolderStore, Report]:
    store = FolderStore(tmp_path / "evidence")
    return store, write_bundle(store, *settled)


def _blob(store: FolderStore, report: Report, name: str) -> Path:
    if name == "manifest":
        return store.path / report.evidence.hex()
    return store.path / read_manifest(store, report.evidence).files[name].sha256.hex()


def test_a_bundle_comes_back_exactly(bundle: tuple[FolderStore, Report], settled: tuple[EpochInputs, Report]) -> None:
    store, report = bundle
    read = read_bundle(store, report.evidence)
    assert read.inputs == settled[0] and read.report == report
    assert replace(report, evidence=bytes(32)) == settled[1]
    assert {path.name for path in store.path.iterdir()} == {
        report.evidence.hex(), *(entry.sha256.hex() for entry in read.files.values()),
    }  # fmt: skip


def test_the_same_epoch_gives_the_same_digest(
    bundle: tuple[FolderStore, Report], settled: tuple[EpochInputs, Report], tmp_path: Path
) -> None:
    assert write_bundle(FolderStore(tmp_path / "other"), *settled) == bundle[1]


@pytest.mark.parametrize("name", ["manifest", *FILES])
def test_a_flipped_byte_is_named_with_both_digests(bundle: tuple[FolderStore, Report], name: str) -> None:
    store, report = bundle
    path = _blob(store, report, name)
    good = path.read_bytes()
    rng = random.Random(name)
    for _ in range(40):
        place = rng.randrange(len(good))
        bad = good[:place] + bytes([good[place] ^ (1 << rng.randrange(8))]) + good[place + 1 :]
        path.write_bytes(bad)
        with pytest.raises(EvidenceDamaged) as caught:
            read_bundle(store, report.evidence)
        assert caught.value.file == name
        assert caught.value.expected == hashlib.sha256(good).digest()
        assert caught.value.found == hashlib.sha256(bad).digest()
        assert name in str(caught.value) and caught.value.found.hex() in str(caught.value)


def test_a_damaged_line_is_named_by_its_number(bundle: tuple[FolderStore, Report]) -> None:
    store, report = bundle
    path = _blob(store, report, "attempts.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:16], lines[16].replace(b'"status"', b'"ztatus"'), *lines[17:]]))
    with pytest.raises(EvidenceDamaged, match=r"attempts.jsonl, line 17: .*status is missing") as caught:
        read_bundle(store, report.evidence)
    assert caught.value.line == 17


@pytest.mark.parametrize("name", ["manifest", *FILES])
def test_a_missing_blob_is_named_with_its_digest(bundle: tuple[FolderStore, Report], name: str) -> None:
    store, report = bundle
    path = _blob(store, report, name)
    path.unlink()
    with pytest.raises(EvidenceMissing, match=f"^{name}: no blob {path.name}") as caught:
        read_bundle(store, report.evidence)
    assert caught.value.digest.hex() == path.name


@pytest.mark.parametrize("name", FILES)
def test_a_cut_or_a_lengthened_blob_is_named(bundle: tuple[FolderStore, Report], name: str) -> None:
    store, report = bundle
    path = _blob(store, report, name)
    good = path.read_bytes()
    for bad in (good[:-1], good + b"x", good + good, b""):
        path.write_bytes(bad)
        with pytest.raises(EvidenceDamaged) as caught:
            read_bundle(store, report.evidence)
        assert caught.value.file == name


def _rewritten(store: FolderStore, report: Report, name: str, data: bytes) -> bytes:
    """Put other content under a right digest: what a dishonest writer, not a broken disk, would do."""
    manifest = read_json(_blob(store, report, "manifest").read_bytes())
    digest, size = store.put([data])
    manifest["files"][name] = {"sha256": "0x" + digest.hex(), "size": size}
    return store.put([canonical_json(manifest)])[0]


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("inputs.json", b"{}", "lacks"),
        ("inputs.json", b"\xff", "UTF-8"),
        ("state.json", b"[]", "is not a state"),
        ("report.json", b'{"evidence":1}', "is not a report"),
        ("attestations.jsonl", b'{"kind":"rumour"}\n', "kind is 'rumour'"),
        ("attestations.jsonl", b"{", "no end"),
        ("attempts.jsonl", b"x" * 20_000 + b"\n", "no end within"),
        ("attempts.jsonl", b"[]\n", "is not an object"),
    ],
)
def test_rightly_hashed_nonsense_is_damage_too(
    bundle: tuple[FolderStore, Report], name: str, data: bytes, why: str
) -> None:
    store, report = bundle
    with pytest.raises(EvidenceDamaged, match=why) as caught:
        read_bundle(store, _rewritten(store, report, name, data))
    assert caught.value.file == name and caught.value.expected is None


def test_a_file_of_another_epoch_is_named(
    bundle: tuple[FolderStore, Report], settled: tuple[EpochInputs, Report]
) -> None:
    store, report = bundle
    data = _blob(store, report, "report.json").read_bytes().replace(b'"epoch":1,', b'"epoch":2,')
    with pytest.raises(EvidenceDamaged, match="belongs to epoch 2, the manifest to 1"):
        read_bundle(store, _rewritten(store, report, "report.json", data))


@pytest.mark.parametrize(
    "manifest",
    [
        b"[]",
        b"{}",
        b'{"epoch":0,"files":{},"version":1}',
        b'{"epoch":0,"files":{},"version":2}',
        b"\xff\xfe",
        b"{" * 70_000,
    ],
)
def test_a_manifest_that_is_none_is_named(tmp_path: Path, manifest: bytes) -> None:
    store = FolderStore(tmp_path)
    digest, _ = store.put([manifest])
    with pytest.raises(EvidenceDamaged, match=r"^manifest: "):
        read_bundle(store, digest)


def test_a_blob_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        store.put(broken())
    assert list(tmp_path.iterdir()) == []


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, *args: object, folder: Path, **kwargs: object) -> None:
        self.folder = folder
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = self.folder / self.path.removeprefix("/evidence/")
        if self.path.startswith("/redirect"):
            self.send_response(302)
            self.send_header("location", self.path.removeprefix("/redirect"))
            self.end_headers()
            return
        found = path.is_file()
        self.send_response(200 if found else 404)
        self.end_headers()
        if found:
            self.wfile.write(path.read_bytes())

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(bundle: tuple[FolderStore, Report]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, folder=bundle[0].path))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_bundle_read_over_http_is_the_same(
    bundle: tuple[FolderStore, Report], served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    source = source_at(served + "/")
    assert isinstance(source, HttpSource)
    assert read_bundle(source, bundle[1].evidence) == read_bundle(bundle[0], bundle[1].evidence)


def test_a_server_without_the_blob_and_no_server_at_all_are_missing(served: str) -> None:
    for source in (HttpSource(served), HttpSource("http://127.0.0.1:9"), HttpSource(served + "/redirect")):
        with pytest.raises(EvidenceMissing, match="^manifest: no blob " + "07" * 32):
            read_bundle(source, b"\x07" * 32)


def test_a_server_that_sends_too_much_is_cut_off(bundle: tuple[FolderStore, Report], served: str) -> None:
    store, report = bundle
    path = _blob(store, report, "state.json")
    path.write_bytes(path.read_bytes() + b" " * 5_000_000)
    with pytest.raises(EvidenceDamaged, match=r"^state.json: .* sends more than"):
        read_bundle(HttpSource(served), report.evidence)


def test_only_web_addresses_are_servers(tmp_path: Path) -> None:
    assert isinstance(source_at(str(tmp_path)), FolderStore)
    with pytest.raises(ValueError, match="not an http"):
        HttpSource("file:///etc/passwd")


def test_a_copied_bundle_reads_the_same_and_a_damaged_one_is_not_copied(
    bundle: tuple[FolderStore, Report], tmp_path: Path
) -> None:
    store, report = bundle
    other = FolderStore(tmp_path / "copy")
    copy_bundle(store, other, report.evidence)
    assert read_bundle(other, report.evidence) == read_bundle(store, report.evidence)
    path = _blob(store, report, "attempts.jsonl")
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    third = FolderStore(tmp_path / "third")
    with pytest.raises(EvidenceDamaged, match=r"attempts.jsonl"):
        copy_bundle(store, third, report.evidence)
    assert not (third.path / report.evidence.hex()).exists()
