"""Cores are counted by the topology, the affinity and the quotas that the system states."""

import os

import pytest

from bench.process.cores import VARIABLES, usable_cores

TWO_THREADS = {0: "0,4", 1: "1,5", 2: "2,6", 3: "3,7", 4: "0,4", 5: "1,5", 6: "2,6", 7: "3,7"}
"""Four cores of two hyperthreads."""
MAX = "sys/fs/cgroup/{}cpu.max"
V1 = {"proc/self/cgroup": "5:devices:/\n1:cpu,cpuacct:/docker/ab\n0::/\n"}


def v1(folder, quota):
    names = {"quota": quota, "period": 100000}
    return {f"sys/fs/cgroup/cpu/{folder}cpu.cfs_{n}_us": f"{v}\n" for n, v in names.items()}


def v2(path, **quotas):
    files = {MAX.format(name.replace("_", "/")): f"{q} 100000\n" for name, q in quotas.items()}
    return {"proc/self/cgroup": f"0::{path}\n", **files}


CASES = {
    "hyperthreads count once": (range(8), {}, 4),
    "one hyperthread of each core": (range(4), {}, 4),
    "both hyperthreads of one core": ((0, 4), {}, 1),
    "three of two cores": ((0, 1, 4), {}, 2),
    "processors whose topology is unknown": ((8, 9, 10), {}, 3),
    "no quota": (range(8), v2("/a", a_="max"), 4),
    "a quota": (range(8), v2("/a", a_=250000), 2),
    "a quota below one": (range(8), v2("/a", a_=50000), 1),
    "a quota above the cores": (range(8), v2("/a", a_=600000), 4),
    "the quota of a parent": (range(8), v2("/a/b", a_b_="max", a_=300000), 3),
    "a container's own quota": (range(8), v2("/", **{"": 200000}), 2),
    "a path outside of the container": (range(8), v2("/../x", **{"": 200000}), 2),
    "version 1": (range(8), V1 | v1("docker/ab/", 200000), 2),
    "version 1, the host's path": (range(8), V1 | v1("", 300000), 3),
    "version 1, no quota": (range(8), V1 | v1("docker/ab/", -1), 4),
}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def machine(cpus, files):
        siblings = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
        topology = {siblings.format(cpu): f"{text}\n" for cpu, text in TWO_THREADS.items()}
        for name, text in (topology | files).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(cpus))
        return tmp_path

    return machine


@pytest.mark.parametrize(("cpus", "files", "cores"), CASES.values(), ids=CASES)
def test_cores_that_can_compute_beside_each_other_are_counted(machine, cpus, files, cores):
    assert usable_cores(machine(cpus, files)) == cores


@pytest.mark.parametrize(
    ("variables", "cores"),
    [
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "16,2"}, 16),
        ({"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "many"}, 4),
        ({"OMP_NUM_THREADS": "0"}, 4),
    ],
)
def test_a_number_in_the_environment_is_believed(machine, monkeypatch, variables, cores):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert usable_cores(machine(range(8), {})) == cores
