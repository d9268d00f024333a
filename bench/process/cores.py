"""How many cores this process may compute on."""

import os
from math import inf
from pathlib import Path

import torch

VARIABLES = ("MKL_NUM_THREADS", "OMP_NUM_THREADS")  # in the order in which torch believes them


def usable_cores(root: Path = Path("/")) -> int:
    """Return how many threads can compute at full speed at the same time.

    Two hyperthreads share the arithmetic of one core, so that they count once. Counted are cores
    that the process may run on, and no more than the time that its cgroups grant, which torch does
    not ask for. A number of threads in the environment is believed instead. `root` holds `proc`
    and `sys`.
    """
    for name in VARIABLES:
        if (asked := os.environ.get(name, "").split(",")[0].strip()).isdigit() and int(asked):
            return int(asked)
    if not hasattr(os, "sched_getaffinity"):  # not Linux
        return torch.get_num_threads()
    cores = {_siblings(cpu, root) for cpu in os.sched_getaffinity(0)}
    return max(1, int(min(len(cores), _granted(root))))


def _siblings(cpu: int, root: Path) -> str:
    """Return the hyperthreads of a processor's core; itself where the system does not say."""
    path = root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
    try:
        return path.read_text()
    except OSError:
        return str(cpu)


def _granted(root: Path) -> float:
    """Return the least quota, in processors, of this process's cgroups and those around them."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return inf
    quotas = [inf]
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")  # version 1, or 2
        folder = mount / path.strip("/")
        # In a container the path may be the host's; its own limit then lies in the mount itself.
        quotas += [_quota(f) for f in (folder, *folder.parents) if f.is_relative_to(mount)]
    return min(quotas)


def _quota(folder: Path) -> float:
    """Return the quota of a cgroup in processors, of either version."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((folder / name).read_text() for name in names).split()
        except OSError:
            continue
        return inf if quota in ("max", "-1") else int(quota) / int(period)
    return inf
