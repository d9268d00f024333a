"""Checks of what computes: torch and its devices, cores, memory."""

import os
import platform
import warnings
from collections.abc import Iterator
from pathlib import Path

from bench.doctor.diagnosis import Diagnosis, Surroundings
from bench.errors import describe_error, first_line

LEAST_MEMORY = 2 * 2**30  # bytes that are free
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
BUILDS = "install the build of torch and torchvision for this machine: https://pytorch.org"


def check_torch(_: Surroundings) -> Iterator[Diagnosis]:
    """Import torch and torchvision, as every run does."""
    try:
        import torch
        import torchvision
    except Exception as error:  # a build for another system may raise anything
        text = f"torch and torchvision cannot be imported ({describe_error(error)})"
        yield Diagnosis("FAIL", text, f"{BUILDS}; both from the same index")
        return
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    yield Diagnosis("ok", f"{versions}, built for {build}")


def check_devices(_: Surroundings) -> Iterator[Diagnosis]:
    """Try every GPU; say why one that is there cannot be used."""
    import torch

    with warnings.catch_warnings(record=True) as caught:  # torch warns of old drivers
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for number in range(count):
        yield _device(number)
    if NVIDIA_DRIVER.exists():
        lines = NVIDIA_DRIVER.read_text().splitlines()
        yield Diagnosis("ok", f"driver: {lines[0].partition(':')[2].strip()}")
    if not count:
        yield from _why_no_gpu([str(warning.message) for warning in caught])
    if torch.backends.mps.is_available():
        yield Diagnosis("ok", "the GPU of this Mac (mps) is there; bench computes on its CPU")


def _device(number: int) -> Diagnosis:
    import torch

    name = f"cuda:{number}"
    try:
        properties = torch.cuda.get_device_properties(number)
        torch.zeros(1, device=name).add_(1).item()
        free, total = (size / 2**30 for size in torch.cuda.mem_get_info(number))
    except Exception as error:  # of the driver
        text = f"{name} cannot be used ({first_line(error)})"
        return Diagnosis("note", text, f"choose another --device, or {BUILDS}")
    text = f"{name}: {properties.name}, {free:.1f} of {total:.1f} GiB free"
    if free < total / 2:
        return Diagnosis("note", f"{text}; another program uses it", "nvidia-smi")
    return Diagnosis("ok", text)


def _why_no_gpu(told: list[str]) -> Iterator[Diagnosis]:
    import torch

    if told:
        yield Diagnosis("note", f"no GPU can be used ({told[0].split('(Triggered')[0]})", BUILDS)
    elif NVIDIA_DRIVER.exists() and not torch.version.cuda:
        text = "there is an NVIDIA driver, but this build of torch is for CPUs"
        yield Diagnosis("note", text, BUILDS)
    elif NVIDIA_DRIVER.exists():
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = f"CUDA_VISIBLE_DEVICES is {hidden!r}" if hidden is not None else "torch sees no GPU"
        yield Diagnosis("note", f"there is an NVIDIA driver, but {why}", "nvidia-smi")
    else:
        yield Diagnosis("ok", "no GPU: runs are on the CPU")


def check_cores(_: Surroundings) -> Iterator[Diagnosis]:
    """Say how many threads can compute at full speed, and why not more."""
    from bench.process.cores import VARIABLES, usable_cores

    set_here = [f"{name}={os.environ[name]}" for name in VARIABLES if os.environ.get(name)]
    reasons = ", ".join(set_here) or "physical cores, affinity and quota"
    text = f"{usable_cores()} of {os.cpu_count()} processors compute at full speed ({reasons})"
    yield Diagnosis("ok", f"{text}, {platform.machine()}")


def check_memory(_: Surroundings) -> Iterator[Diagnosis]:
    """Say how much memory there is."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = _free_memory()
    text = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    if free < LEAST_MEMORY:
        yield Diagnosis("note", text, "close other programs, or run one job at a time")
    else:
        yield Diagnosis("ok", text)


def _free_memory() -> int:
    """Return the bytes that new programs can have: what Linux says, elsewhere the free pages."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
