"""The machine's figures: a container's where it is limited, else the computer's."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from localmind.operations.machine import Machine

MIB = 1024 * 1024


def figures(machine: Machine) -> dict[str, float]:
    return {sample.name: sample.value for metric in machine.collect() for sample in metric.samples}


def test_a_computer_tells_its_own(tmp_path: Path) -> None:
    told = figures(Machine(tmp_path, cgroup=tmp_path / "none"))
    assert told["machine_cpus"] == psutil.cpu_count()
    assert told["machine_memory_total_bytes"] == psutil.virtual_memory().total
    assert 0 < told["machine_memory_available_bytes"] < told["machine_memory_total_bytes"]
    assert 0 < told["disk_free_bytes"] < told["disk_total_bytes"]
    assert told["machine_cpu_seconds_total"] > 0


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    """A container with one and a half processors and 512 MiB, of which 300 are taken, 100 of them by files that nobody reads."""
    files = {
        "cpu.max": "150000 100000\n",
        "cpu.stat": "usage_usec 12500000\nuser_usec 12000000\n",
        "memory.max": f"{512 * MIB}\n",
        "memory.current": f"{300 * MIB}\n",
        "memory.stat": f"anon {200 * MIB}\ninactive_file {100 * MIB}\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_container_that_is_limited_tells_its_share(cgroup: Path) -> None:
    told = figures(Machine(cgroup, cgroup=cgroup))
    assert told["machine_cpus"] == 1.5 and told["machine_cpu_seconds_total"] == 12.5
    assert told["machine_memory_total_bytes"] == 512 * MIB
    assert told["machine_memory_available_bytes"] == 312 * MIB


def test_a_container_without_limits_tells_the_computers(cgroup: Path) -> None:
    (cgroup / "cpu.max").write_text("max 100000\n")
    (cgroup / "memory.max").write_text("max\n")
    told = figures(Machine(cgroup, cgroup=cgroup))
    assert told["machine_cpus"] == psutil.cpu_count()
    assert told["machine_memory_total_bytes"] == psutil.virtual_memory().total


def test_a_folder_that_is_not_there_yet_hides_the_disk_alone(tmp_path: Path) -> None:
    told = figures(Machine(tmp_path / "none"))
    assert "disk_free_bytes" not in told and "machine_cpus" in told
