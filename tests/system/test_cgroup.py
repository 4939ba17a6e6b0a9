"""What a container or a job may use is found in all layouts of control groups."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from pancseg.running import memory
from pancseg.system import threads
from pancseg.system.processes.cgroup import cpu_limit, free_memory

GB = 10**9
V2 = "31 24 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup rw"
NO_LIMIT = "9223372036854771712"


def machine(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    """Make the files of a machine: /proc/self/cgroup, mountinfo, and those of the groups."""
    made = {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts}
    made |= {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    for name, text in made.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


def test_no_control_groups_are_no_limit(tmp_path: Path) -> None:
    assert cpu_limit(tmp_path) == math.inf
    assert free_memory(tmp_path) == math.inf


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", math.inf), ("250000 100000", 2.5), ("", math.inf)]
)
def test_the_quota_of_a_container_with_its_own_view(
    quota: str, cores: float, tmp_path: Path
) -> None:
    assert cpu_limit(machine(tmp_path, "0::/", V2, {"cpu.max": quota})) == cores


def test_a_jobs_group_below_the_root(tmp_path: Path) -> None:
    """As systemd and SLURM make them: the step has no limit, the job above it has."""
    job = "system.slice/slurmstepd.scope/job_7"
    files = {
        f"{job}/cpu.max": "400000 100000",
        f"{job}/memory.max": str(8 * GB),
        f"{job}/memory.current": str(3 * GB),
        f"{job}/memory.stat": f"anon 5\ninactive_file {GB}\nactive_file 9",
        f"{job}/step_0/cpu.max": "max 100000",
        f"{job}/step_0/memory.max": "max",
        f"{job}/step_0/memory.current": "5",
        f"{job}/step_0/cpuset.cpus.effective": "0-1,8,10-15",
    }
    root = machine(tmp_path, f"0::/{job}/step_0", V2, files)
    assert cpu_limit(root) == 4
    assert free_memory(root) == 6 * GB


def test_the_smallest_limit_on_the_way_to_the_root_counts(tmp_path: Path) -> None:
    files = {
        "a/memory.max": str(9 * GB),
        "a/memory.current": "0",
        "a/b/memory.max": str(7 * GB),
        "a/b/memory.high": str(5 * GB),
        "a/b/memory.current": str(GB),
        "a/cpu.max": "150000 50000",
        "a/b/cpu.max": "800000 100000",
        "other/memory.max": "1",
        "other/cpu.max": "1 100000",
    }
    root = machine(tmp_path, "0::/a/b", V2, files)
    assert cpu_limit(root) == 3
    assert free_memory(root) == 4 * GB


@pytest.mark.parametrize("top", ["/", "/docker/abc"])
def test_version_1_with_and_without_a_view_of_its_own(top: str, tmp_path: Path) -> None:
    """In a container of version 1, the host's path of the group is not there."""
    groups = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n3:cpuset:/docker/abc\n0::/"
    mounts = "\n".join(
        f"3{i} 30 0:2{i} {top} /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}"
        for i, name in enumerate(("memory", "cpu,cpuacct", "cpuset"))
    )
    inside = "" if top == "/docker/abc" else "docker/abc/"
    files = {
        f"memory/{inside}memory.limit_in_bytes": str(4 * GB),
        f"memory/{inside}memory.usage_in_bytes": str(3 * GB),
        f"memory/{inside}memory.stat": f"inactive_file 7\ntotal_inactive_file {GB}",
        f"cpu,cpuacct/{inside}cpu.cfs_quota_us": "600000",
        f"cpu,cpuacct/{inside}cpu.cfs_period_us": "100000",
        f"cpuset/{inside}cpuset.cpus": "2-4",
    }
    root = machine(tmp_path, groups, mounts, files)
    assert cpu_limit(root) == 3
    assert free_memory(root) == 2 * GB


def test_no_limit_in_version_1(tmp_path: Path) -> None:
    files = {
        "memory/memory.limit_in_bytes": NO_LIMIT,
        "memory/memory.usage_in_bytes": "5",
        "cpu/cpu.cfs_quota_us": "-1",
        "cpu/cpu.cfs_period_us": "100000",
    }
    root = machine(tmp_path, "4:memory:/\n1:cpu:/", "", files)
    assert cpu_limit(root) == math.inf
    assert free_memory(root) == math.inf


def test_a_full_group_has_nothing_left(tmp_path: Path) -> None:
    files = {"memory.max": "100", "memory.current": "120"}
    assert free_memory(machine(tmp_path, "0::/", V2, files)) == 0


@pytest.mark.parametrize(
    ("limit", "job", "cores"),
    [(math.inf, None, 64), (2.5, None, 2), (0.5, None, 1), (8.0, "4", 4), (8.0, "x", 8)],
)
def test_the_cores_of_a_job_are_the_smallest_limit(
    limit: float, job: str | None, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("no affinity on this system")
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(threads, "cpu_limit", lambda: limit)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    if job is not None:
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", job)
    assert threads.available_cores() == cores


def test_the_free_memory_is_within_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 12345)
    assert memory.free_bytes() == 12345
