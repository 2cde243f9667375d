"""Processor, memory and disk of the machine that a process runs on, read when Prometheus asks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CGROUP = Path("/sys/fs/cgroup")
"""Of this process, as a container sees it (cgroup v2)."""


class Processor(NamedTuple):
    """busy_s: processor seconds used since it started. cores: how many there are, perhaps not a whole number."""

    busy_s: float
    cores: float


class Memory(NamedTuple):
    """In bytes. available: what can be had without swapping."""

    total: int
    available: int


class Machine(Collector):
    """The container where one sets a limit, else the computer. folder: whose disk is told."""

    def __init__(self, folder: Path, *, cgroup: Path = CGROUP) -> None:
        self._folder, self._cgroup = folder, cgroup

    def collect(self) -> Iterator[Metric]:
        processor = _limited_processor(self._cgroup) or _processor()
        memory = _memory(self._cgroup)
        yield CounterMetricFamily("machine_cpu_seconds", "Processor seconds used.", processor.busy_s)
        yield GaugeMetricFamily("machine_cpus", "Processors that there are.", processor.cores)
        yield GaugeMetricFamily("machine_memory_total_bytes", "Memory that there is.", memory.total)
        yield GaugeMetricFamily("machine_memory_available_bytes", "Memory that can be had without swapping.", memory.available)
        with suppress(OSError):  # the folder comes with the first start
            disk = shutil.disk_usage(self._folder)
            yield GaugeMetricFamily("disk_total_bytes", "Size of the disk under DATA_DIR.", disk.total)
            yield GaugeMetricFamily("disk_free_bytes", "What is free of the disk under DATA_DIR.", disk.free)


def _processor() -> Processor:
    import psutil

    times = psutil.cpu_times()
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    guests_s = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # Linux counts them in user and nice too
    return Processor(sum(times) - idle_s - guests_s, psutil.cpu_count() or 1)


def _limited_processor(cgroup: Path) -> Processor | None:
    """None where no container limits it."""
    with suppress(OSError, ValueError, KeyError):
        quota, period = (cgroup / "cpu.max").read_text().split()
        return Processor(_pairs(cgroup / "cpu.stat")["usage_usec"] / 1e6, int(quota) / int(period))  # "max" is no number
    return None


def _memory(cgroup: Path) -> Memory:
    import psutil

    computer = psutil.virtual_memory()
    with suppress(OSError, ValueError, KeyError):
        limit = int((cgroup / "memory.max").read_text())
        if limit < computer.total:
            # Files that were read and not touched for a while are let go of first, so they are as good as free.
            used = int((cgroup / "memory.current").read_text()) - _pairs(cgroup / "memory.stat")["inactive_file"]
            return Memory(limit, max(0, limit - used))
    return Memory(computer.total, computer.available)


def _pairs(file: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in file.read_text(encoding="utf-8").splitlines())}
