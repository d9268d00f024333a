"""Machines with one thing amiss: what `bench doctor` says of it, and whether it prevents runs."""

import errno
import os
import re
import shutil
import socket
import sqlite3
import sys
import tempfile
import types
import warnings
from dataclasses import replace
from importlib import metadata

import pytest
import torch

from bench.doctor import disks, examination, hardware, installation
from bench.doctor.diagnosis import Diagnosis, Surroundings
from bench.doctor.examination import CHECKS, examine
from bench.metrics.extractors.pretrained_networks import PRETRAINED


@pytest.fixture
def diagnose(tmp_path):
    """Return what one check says, as `level: text -> remedy` in lines."""

    def diagnose(name, **options):
        asked = Surroundings(**{"results": tmp_path / "results", **options})
        found = [diagnosis for of, diagnosis in examine(asked) if of == name]
        return "\n".join(f"{level}: {text} -> {remedy}" for level, text, remedy in found)

    return diagnose


@pytest.fixture(autouse=True)
def _one_check(request, monkeypatch):
    """Leave only the check of a case, so that the others take no time."""
    if "name" in request.fixturenames:
        name = request.getfixturevalue("name")
        monkeypatch.setattr(examination, "CHECKS", {name: CHECKS[name]})


def test_a_sound_machine_is_ready_without_the_network(bench, monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    status, out, err = bench("doctor")
    assert (status, err) == (0, "")
    *lines, verdict = out.splitlines()
    shown = {line[6:].split("  ")[0] for line in lines if not line.startswith(" ")}
    assert shown == set(CHECKS)
    assert verdict.startswith("ready for runs; ")
    assert not os.path.exists("results")


def test_what_prevents_runs_is_the_exit_status(bench, here, monkeypatch):
    preferences("jobs: many")(monkeypatch, here)
    status, out, _ = bench("doctor")
    assert status == 1
    assert out.splitlines()[-1].startswith("problems that prevent runs: 1;")
    assert f"-> fix {here}/bench/config.yaml, or move it away" in out


def requirements(*lines):
    return lambda patch, _: patch.setattr(metadata, "requires", lambda _: list(lines))


def full_disk(patch, _):
    def refuse(**_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    patch.setattr(tempfile, "TemporaryDirectory", refuse)


def no_locks(patch, _):
    def refuse(*_args):
        raise OSError(errno.ENOLCK, "no locks here")

    patch.setattr(pytest.importorskip("fcntl"), "flock", refuse)


def mounted(patch, folder):
    (folder / "mounts").write_text(f"disk / ext4 rw 0 0\nserver:/x {folder} nfs4 rw 0 0\n")
    patch.setattr(disks, "MOUNTS", folder / "mounts")


def read_only_data(patch, folder):
    def refuse(**_options):
        raise OSError(errno.EACCES, "Permission denied")

    patch.setenv("BENCH_DATA", str(folder))
    patch.setattr(tempfile, "TemporaryDirectory", refuse)


def little_space(patch, _):
    patch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=2**20))


def preferences(text):
    def write(patch, folder):
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        (folder / "bench").mkdir()
        (folder / "bench" / "config.yaml").write_text(text)

    return write


def database(content):
    def write(_, folder):
        (folder / "results").mkdir()
        path = folder / "results" / "mlflow.db"
        if isinstance(content, bytes):
            path.write_bytes(content)
            return
        with sqlite3.connect(path) as opened:
            opened.execute(content)
        opened.close()

    return write


def driver(build):
    def write(patch, folder):
        text = "NVRM version: NVIDIA UNIX Kernel Module  550.54.15"
        (folder / "version").write_text(text)
        patch.setattr(hardware, "NVIDIA_DRIVER", folder / "version")
        patch.setattr(torch.version, "cuda", build)
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return write


def hidden(patch, folder):
    driver("13.0")(patch, folder)
    patch.setenv("CUDA_VISIBLE_DEVICES", "")


def old_driver(patch, _):
    def warns():
        warnings.warn("The NVIDIA driver on your system is too old (found 1)", stacklevel=1)
        return False

    patch.setattr(torch.cuda, "is_available", warns)


def lost_gpu(patch, _):
    patch.setattr(torch.cuda, "is_available", lambda: True)
    patch.setattr(torch.cuda, "device_count", lambda: 1)


def busy_gpu(patch, folder):
    lost_gpu(patch, folder)
    named = types.SimpleNamespace(name="A GPU")
    patch.setattr(torch.cuda, "get_device_properties", lambda _: named)
    patch.setattr(torch.cuda, "mem_get_info", lambda _: (2**30, 2**34))
    patch.setattr(torch, "zeros", lambda *_args, **_options: torch.ones(1))


def broken(module, patch, folder):
    (folder / f"{module}.py").write_text("raise RuntimeError('undefined symbol')")
    patch.syspath_prepend(folder)
    patch.delitem(sys.modules, module)


def unimportable(patch, folder):
    broken("torchvision", patch, folder)


AMISS = {
    "old Python": (
        "python",
        lambda patch, _: patch.setattr(installation.platform, "python_version", lambda: "3.9.1"),
        r"FAIL: Python 3.9.1, bench .*, which needs Python >=3.11 -> make another environment",
    ),
    "absent package": (
        "packages",
        requirements("no-such-package>=1"),
        "FAIL: no-such-package>=1 is needed, none is there -> pip install 'no-such-package>=1'",
    ),
    "old package": (
        "packages",
        requirements("numpy>=99"),
        r"FAIL: numpy>=99 is needed, .* is there -> pip install 'numpy>=99'",
    ),
    "old extra": (
        "packages",
        requirements("numpy>=1", "pillow>=99; extra == 'ray'"),
        r"ok: 1 required .*\nnote: pillow>=99 is needed",
    ),
    "absent extra": (
        "extras",
        requirements("numpy>=1", "no-such-package>=1; extra == 'ray'"),
        r"not installed: ray \(pip install 'bench-generators\[NAME\]'\)",
    ),
    "no metadata": (
        "extras",
        lambda patch, _: patch.setattr(installation, "PACKAGE", "no-such-package"),
        "note: could not be looked at .*PackageNotFoundError",
    ),
    "torchvision of another build": (
        "torch",
        unimportable,
        "FAIL: torch and torchvision cannot be imported .RuntimeError: undefined symbol. -> instal",
    ),
    "a build for CPUs": (
        "devices",
        driver(None),
        "note: there is an NVIDIA driver, but this build",
    ),
    "no GPU is seen": (
        "devices",
        driver("13.0"),
        r"Module  550.54.15 -> \nnote: .* an NVIDIA driver, but torch sees no GPU -> nvi",
    ),
    "GPUs are hidden": ("devices", hidden, "but CUDA_VISIBLE_DEVICES is ''"),
    "an old driver": ("devices", old_driver, r"note: no GPU can be used \(The NVIDIA driver on"),
    "a lost GPU": ("devices", lost_gpu, "note: cuda:0 cannot be used .*-> choose another --device"),
    "a GPU in use": ("devices", busy_gpu, "note: cuda:0: A GPU, 1.0 of 16.0 GiB free; another"),
    "threads set": (
        "cores",
        lambda patch, _: patch.setenv("OMP_NUM_THREADS", "3"),
        r"ok: 3 of \d+ processors compute at full speed \(.*OMP_NUM_THREADS=3\)",
    ),
    "little memory": (
        "memory",
        lambda patch, _: patch.setattr(hardware, "_free_memory", lambda: 2**30),
        "note: 1.0 of .* GiB free -> close other programs",
    ),
    "results are a file": (
        "results",
        lambda _, folder: (folder / "results").touch(),
        r"FAIL: .*/results cannot be written to \(Not a directory",
    ),
    "results are a lost link": (
        "results",
        lambda _, folder: (folder / "results").symlink_to("nothing"),
        r"FAIL: .*/results cannot be written to \(No such file",
    ),
    "full disk": ("results", full_disk, "FAIL: .* cannot be written to .No space left"),
    "no locks": ("results", no_locks, "note: .* this disk has no locks"),
    "network disk": ("results", mounted, r"ok: .*, network disk \(nfs4\), with locks"),
    "little space": ("results", little_space, "note: .*0.0 GiB free -> free some space, or --res"),
    "data folder": (
        "data folder",
        lambda patch, folder: patch.setenv("BENCH_DATA", str(folder / "a" / ".." / "mine")),
        "ok: .*/mine, .* GiB free",
    ),
    "no home": (
        "data folder",
        lambda patch, _: patch.setenv("BENCH_DATA", "~nobody-of-this-name/x"),
        "FAIL: the home folder of .* is not known.* -> set BENCH_DATA to a folder",
    ),
    "data that can only be read": ("data folder", read_only_data, "note: .*Permission denied"),
    "sets": ("data sets", lambda *_: None, r"here: digits, .*\n.*not here: mnist, .*BENCH_OFFLINE"),
    "misspelled preferences": (
        "preferences",
        preferences("exekutor: local"),
        r"FAIL: .*config.yaml:1: .*unknown key.* -> fix .*config.yaml, or move it away",
    ),
    "preferences with an unknown tracker": (
        "preferences",
        preferences("tracker: [mlflw]"),
        "FAIL: .*unknown tracker 'mlflw'",
    ),
    "preferences that are no YAML": ("preferences", preferences("{"), "FAIL: .*config.yaml"),
    "preferences": ("preferences", preferences("jobs: 2"), "ok: .*config.yaml"),
    "damaged MLflow": (
        "mlflow",
        database(b"no database at all" * 99),
        r"note: .*mlflow.db cannot be read \(file is not a database\) -> move it away",
    ),
    "another database": ("mlflow", database("CREATE TABLE a (b)"), "note: .*no such table"),
    "MLflow": ("mlflow", database("CREATE TABLE experiments (a)"), "ok: .*mlflow.db, 0 experime"),
}


@pytest.mark.parametrize(("name", "spoil", "expected"), AMISS.values(), ids=AMISS.keys())
def test_what_is_amiss_is_said_with_its_remedy(
    diagnose, monkeypatch, tmp_path, name, spoil, expected
):
    spoil(monkeypatch, tmp_path)
    found = diagnose(name)
    monkeypatch.undo()
    assert re.search(expected, found), found


def test_a_server_is_not_asked_and_its_password_is_not_shown(diagnose):
    shown = diagnose("mlflow", mlflow_uri="http://me:secret@host:5000")
    assert shown == "ok: http://***@host:5000, which was not asked -> "


@pytest.mark.parametrize("network", ["inception", "lpips"])
def test_weights_are_found_absent_or_of_another_network(diagnose, monkeypatch, tmp_path, network):
    path = tmp_path / "weights.pth"
    assert f"note: no weights of {network}" in diagnose("weights")
    given = {"weights": {network: path}}
    assert f"FAIL: no weights of {network} (looked for {path})" in diagnose("weights", **given)
    path.write_bytes(b"<html>")
    damaged = f"FAIL: {path} cannot be read as a state dict"
    assert damaged in diagnose("weights", **given)
    torch.save({"a": torch.zeros(1)}, path)
    assert f"FAIL: {path} does not fit" in diagnose("weights", **given)
    fitting = replace(PRETRAINED[network], read=lambda path: None)
    monkeypatch.setitem(PRETRAINED, network, fitting)
    assert f"ok: weights of {network}: {path}" in diagnose("weights", **given)


def test_a_broken_plug_in_is_named_with_its_package(diagnose, install):
    files = {"faulty.py": "import sys; print('hello'); sys.exit(3)"}
    install("faulty", files, {"bench.models": {"faulty": "faulty:Thing"}})
    shown = diagnose("plug-ins")
    assert "note: the model 'faulty' is registered as faulty:Thing, which cannot be im" in shown
    assert "-> repair or uninstall the package (from faulty)" in shown


@pytest.mark.parametrize("error", [RuntimeError("odd"), SystemExit(3), OSError(errno.EIO, "I/O")])
def test_a_check_that_fails_costs_no_other(bench, monkeypatch, error):
    def fails(_):
        yield Diagnosis("ok", "before")
        print("noise of a package")
        raise error

    monkeypatch.setattr(
        examination, "CHECKS", {"bad": fails, "good": lambda _: [Diagnosis("ok", "x")]}
    )
    status, out, _ = bench("doctor")
    assert status == 0
    assert "ok    bad" in out
    assert "note  bad   could not be looked at" in out
    assert "ok    good" in out
    assert "noise" not in out
