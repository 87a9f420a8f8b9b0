"""Whatever is done to an archive, verify tells; an archive that nobody touched has no faults."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.programs import LOCKSTREAM, run
from support.runs import TWO_FIELDS, FakeRun, archive

from lockstream.kafka.archive.layout import segment_paths
from lockstream.kafka.archive.verify import Verified, verify_run

RUN = FakeRun(fields=TWO_FIELDS)
Damage = Callable[[h5py.File], None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run twice: ``links/fake`` of three segments, ``merge/fake`` of one file."""
    folder = tmp_path_factory.mktemp("whole")
    for on_end in ("links", "merge"):
        archive(folder / on_end, RUN.logs(range(6)), segment_bytes=300, on_end=on_end)
        assert verify_run(folder / on_end / "fake").faults == ()
    return folder


@pytest.fixture(params=["links", "merge"])
def victim(request: pytest.FixtureRequest, whole: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(whole / request.param / "fake", tmp_path / "fake"))


@pytest.fixture
def linked(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole / "links" / "fake", tmp_path / "fake"))


def a_file(folder: Path) -> Path:
    """A file that holds steps: the second segment, or the merged one."""
    return [*segment_paths(folder), folder / "run.h5"][1 if segment_paths(folder) else 0]


def flip_in_file(path: Path, needle: bytes) -> None:
    """Flip a bit in the middle of `needle`, wherever the file has it."""
    content = bytearray(path.read_bytes())
    place = content.find(needle)
    assert place > 0
    content[place + len(needle) // 2] ^= 1
    path.write_bytes(content)


def add_one(name: str) -> Damage:
    def damage(file: h5py.File) -> None:
        values = file[name][()]
        values.flat[0] += 1
        file[name][...] = values

    return damage


def change_digest(file: h5py.File) -> None:
    file["lockstream/digest"][0] = b"0" * 64


def shift_ledger(file: h5py.File) -> None:
    ledger = file["lockstream/ledger"][()]
    ledger["stop"][0] += 1
    file["lockstream/ledger"][...] = ledger


def whitewash_ledger(file: h5py.File) -> None:
    """Say that a step which is there was quarantined."""
    ledger = file["lockstream/ledger"][()]
    ledger["outcome"][np.flatnonzero(ledger["outcome"] == 1)[0]] = 4
    file["lockstream/ledger"][...] = ledger


def shorten_account(file: h5py.File) -> None:
    account = json.loads(file["lockstream/account"][()])
    account["positions"][0]["next_offset"] -= 1
    file["lockstream/account"][()] = json.dumps(account)


def double_a_step(file: h5py.File) -> None:
    file["step"][1] = file["step"][0]


def invent_a_diagnostic(file: h5py.File) -> None:
    file.create_dataset("energy", data=np.ones(len(file["step"])))


def exchange_rows(file: h5py.File) -> None:
    """Exchange two whole frames: each chunk is sound, but under another step."""
    chunks = [file["n"].id.read_direct_chunk((row, 0))[1] for row in (0, 1)]
    for row, chunk in enumerate(reversed(chunks)):
        file["n"].id.write_direct_chunk((row, 0), chunk)


DAMAGES: dict[str, Damage] = {
    "an element": add_one("n"),
    "the step": add_one("step"),
    "the time": add_one("time"),
    "a diagnostic": add_one("mass"),
    "the attempt": add_one("lockstream/attempt"),
    "a checksum": add_one("lockstream/crc32c/u"),
    "a digest": change_digest,
    "the ledger": shift_ledger,
    "an outcome in the ledger": whitewash_ledger,
    "the account": shorten_account,
    "a step twice": double_a_step,
    "a diagnostic too many": invent_a_diagnostic,
    "two frames exchanged": exchange_rows,
}
REMOVED = ["u", "step", "time", "mass", "lockstream/digest", "lockstream/ledger", "lockstream/crc32c/n"]


@pytest.mark.parametrize("name", DAMAGES)
def test_a_change_of_anything_is_found(victim: Path, name: str) -> None:
    path = a_file(victim)
    with h5py.File(path, "r+") as file:
        DAMAGES[name](file)
    faults = verify_run(victim).faults
    assert faults
    assert any(path.name in Path(fault.file).name or fault.file == str(victim) for fault in faults)


@pytest.mark.parametrize("name", REMOVED)
def test_a_variable_that_is_gone_is_found(victim: Path, name: str) -> None:
    path = a_file(victim)
    with h5py.File(path, "r+") as file:
        del file[name]
    faults = verify_run(victim).faults
    assert any(path.name in fault.file or path.name in fault.what for fault in faults)


def test_a_flipped_bit_in_a_chunk_names_file_step_field_and_tile(victim: Path) -> None:
    path = a_file(victim)
    with h5py.File(path) as file:
        step = int(file["step"][1])
    flip_in_file(path, RUN.tiles(step)[1].payload)  # type: ignore[arg-type]
    faults = [fault for fault in verify_run(victim).faults if fault.field]
    assert [(f.file, f.step, f.field, f.attempt) for f in faults] == [(str(path), step, "u", 0)]
    assert "[2, 0]" in faults[0].what


@pytest.mark.parametrize("size", [0, 7, 1000, -1])
def test_a_truncated_file_is_named(victim: Path, size: int) -> None:
    path = a_file(victim)
    content = path.read_bytes()
    path.write_bytes(content[:size] if size >= 0 else content[: len(content) * 3 // 4])
    faults = verify_run(victim).faults
    assert any(path.name in fault.file + fault.what for fault in faults)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_segment_that_is_gone_is_found(linked: Path, number: int) -> None:
    path = segment_paths(linked)[number]
    path.unlink()
    said = [fault.what for fault in verify_run(linked).faults]
    expected = ["unaccounted", "unaccounted", "the last is missing"][number]
    assert any(expected in what for what in said)
    assert any(path.name in what for what in said) == (number < 2)  # nothing links to one without steps


def test_exchanged_segments_are_found(linked: Path) -> None:
    first, second, _ = segment_paths(linked)
    first.rename(linked / "other")
    second.rename(first)
    (linked / "other").rename(second)
    assert sum("another segment's name" in fault.what for fault in verify_run(linked).faults) == 2


def test_a_copied_segment_is_found(linked: Path) -> None:
    path = segment_paths(linked)[1]
    shutil.copy(path, path.with_name("p000-o000000999999.h5"))
    faults = verify_run(linked).faults
    assert any("accounted for twice" in fault.what for fault in faults)
    assert any("archived twice" in fault.what and fault.step is not None for fault in faults)


def test_a_segment_of_another_run_is_found(linked: Path, tmp_path: Path) -> None:
    other = FakeRun(fields=TWO_FIELDS, run="other")
    archive(tmp_path / "else", other.logs(range(6)), run="other", segment_bytes=300, on_end="links")
    path = segment_paths(linked)[1]
    shutil.copy(tmp_path / "else" / "other" / "segments" / path.name, path)
    faults = verify_run(linked).faults
    assert any("another topic" in fault.what and path.name in fault.file for fault in faults)


def test_links_that_show_something_else_are_found(linked: Path) -> None:
    with h5py.File(linked / "run.h5", "r+") as file:
        file["step"][0] = 99
    faults = verify_run(linked).faults
    assert [Path(fault.file).name for fault in faults] == ["run.h5"]


def test_any_flipped_bit_is_harmless_or_found(whole: Path, tmp_path: Path) -> None:
    """Never a traceback, and no fault only where every element is what it was."""
    chance = random.Random(4)  # noqa: S311
    expected = shown(whole / "merge" / "fake")
    for number in range(40):
        folder = tmp_path / str(number)
        shutil.copytree(whole / chance.choice(["links", "merge"]) / "fake", folder)
        path = chance.choice(sorted(folder.rglob("*.h5")))
        content = bytearray(path.read_bytes())
        place = chance.randrange(len(content))
        content[place] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        if not verify_run(folder).faults:
            assert shown(folder) == expected, (path, place)


def shown(folder: Path) -> list[bytes]:
    with h5py.File(folder / "run.h5") as file:
        return [file[name][()].tobytes() for name in ("step", "time", "u", "n", "mass", "lost")]


def command(*words: str | Path) -> tuple[int, str]:
    done = run(LOCKSTREAM, "archive", *words, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_the_command_says_so_with_its_exit_code(victim: Path, tmp_path: Path) -> None:
    code, text = command("verify", tmp_path)
    assert (code, "nothing lost, duplicated or torn" in text) == (0, True)
    path = a_file(victim)
    with h5py.File(path, "r+") as file:
        add_one("time")(file)
    code, text = command("verify", tmp_path)
    assert code == 3
    assert f"FAULT {path}" in text
    code, text = command("verify", "--json", tmp_path)
    assert code == 3
    assert json.loads(text)[0]["faults"][0]["file"] == str(path)
    path.write_bytes(b"no HDF5")
    code, text = command("verify", victim)
    assert (code, path.name in text) == (3, True)


def test_no_archive_there_is_the_users_mistake(tmp_path: Path) -> None:
    code, text = command("verify", tmp_path / "nowhere")
    assert (code, text.count("\n")) == (2, 1)
    assert "no archive there" in text


def test_what_was_verified_is_counted(whole: Path) -> None:
    for on_end in ("links", "merge"):
        result: Verified = verify_run(whole / on_end / "fake")
        assert (result.steps, result.bytes, result.status) == (6, 6 * RUN.started.step_bytes, "completed")
        assert sum(result.offsets.values()) == len(RUN.logs(range(6))[0])
