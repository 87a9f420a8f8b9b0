"""How much memory may be taken, under limits that a container or a batch job sets."""

from pathlib import Path

from lockstream.bridge.memory import available_bytes

MIB = 1 << 20


def test_without_a_limit_the_machine_counts(tmp_path: Path) -> None:
    _write(tmp_path / "proc/meminfo", f"MemTotal: 999999 kB\nMemAvailable: {4 * 1024} kB\n")
    assert available_bytes(tmp_path) == 4 * MIB


def test_the_tightest_group_from_ours_upwards_counts(tmp_path: Path) -> None:
    _write(tmp_path / "proc/meminfo", f"MemAvailable: {900 * 1024} kB\n")
    _write(tmp_path / "proc/self/cgroup", "0::/job/step\n")
    groups = tmp_path / "sys/fs/cgroup"
    _group(groups / "job", "100", 60)
    _group(groups / "job/step", "max", 10)
    assert available_bytes(tmp_path) == 40 * MIB


def test_what_the_kernel_can_drop_is_not_taken(tmp_path: Path) -> None:
    _write(tmp_path / "proc/meminfo", f"MemAvailable: {900 * 1024} kB\n")
    _write(tmp_path / "proc/self/cgroup", "0::/\n")
    _group(tmp_path / "sys/fs/cgroup", "100", 90, f"anon {60 * MIB}\ninactive_file {30 * MIB}\n")
    assert available_bytes(tmp_path) == 40 * MIB


def test_the_first_version_of_control_groups(tmp_path: Path) -> None:
    _write(tmp_path / "proc/meminfo", f"MemAvailable: {900 * 1024} kB\n")
    _write(tmp_path / "proc/self/cgroup", "9:cpu:/\n4:memory:/job\n")
    folder = tmp_path / "sys/fs/cgroup/memory/job"
    _write(folder / "memory.limit_in_bytes", f"{50 * MIB}\n")
    _write(folder / "memory.usage_in_bytes", f"{20 * MIB}\n")
    assert available_bytes(tmp_path) == 30 * MIB


def _group(folder: Path, limit: str, used: int, stat: str = "") -> None:
    _write(folder / "memory.max", f"{int(limit) * MIB if limit.isdecimal() else limit}\n")
    _write(folder / "memory.current", f"{used * MIB}\n")
    _write(folder / "memory.stat", stat)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
