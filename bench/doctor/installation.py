"""Checks of what is installed: Python, packages in their ranges, extras, plug-ins."""

import platform
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, get_args

import bench
from bench import registry
from bench.doctor.diagnosis import Diagnosis, Surroundings
from bench.errors import BenchError, first_line

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PACKAGE = "bench-generators"


def check_python(_: Surroundings) -> Iterator[Diagnosis]:
    """Say which Python and bench these are; refuse a Python out of range."""
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    text = f"Python {version}, bench {bench.__version__}"
    needed = metadata.metadata(PACKAGE)["Requires-Python"]
    if SpecifierSet(needed).contains(version, prereleases=True):
        yield Diagnosis("ok", text)
    else:
        yield Diagnosis("FAIL", f"{text}, which needs Python {needed}", "make another environment")


def check_packages(_: Surroundings) -> Iterator[Diagnosis]:
    """Compare what is installed with the ranges of `pyproject.toml`, those of extras included."""
    needed = _needed()
    required, optional = needed.pop(""), [r for extra in needed.values() for r in extra]
    wrong = [r for r in required if not r.specifier.contains(_version(r.name) or "0", True)]
    odd = [r for r in optional if (v := _version(r.name)) and not r.specifier.contains(v, True)]
    if not wrong:
        yield Diagnosis("ok", f"{len(required)} required packages are in their ranges")
    else:
        yield Diagnosis("FAIL", *_out_of_range(wrong))
    if odd:
        yield Diagnosis("note", *_out_of_range(odd))


def check_extras(_: Surroundings) -> Iterator[Diagnosis]:
    """Say which extras are installed, from the metadata of the package."""
    complete, absent = [], []
    for extra, requirements in _needed().items():
        versions = {r.name: _version(r.name) for r in requirements}
        if None in versions.values():
            absent.append(extra)
        elif extra:
            only = " ".join(map(str, *versions.items())) if len(versions) == 1 else ""
            complete.append(f"{extra} ({only})" if only else extra)
    yield Diagnosis("ok", f"installed: {', '.join(complete) or 'none'}")
    if any(absent):
        names, command = ", ".join(filter(None, absent)), f"pip install '{PACKAGE}[NAME]'"
        yield Diagnosis("ok", f"not installed: {names} ({command})")


def check_plug_ins(_: Surroundings) -> Iterator[Diagnosis]:
    """Import what other packages register; built-in names need no check."""
    count = 0
    for kind in get_args(registry.Kind):
        for name, registration in registry.registered(kind).items():
            if registration == registry.BUILT_IN[kind].get(name):
                continue
            count += 1
            try:
                registry.load(kind, name)
            except BenchError as error:
                remedy = f"repair or uninstall the package ({registration.summary or name})"
                yield Diagnosis("note", first_line(error), remedy)
    yield Diagnosis("ok", f"{count} names of other packages" if count else "none")


def _needed() -> dict[str, list["Requirement"]]:
    """Return what each extra needs besides the required packages, which have no name."""
    from packaging.requirements import Requirement

    needed: dict[str, list[Requirement]] = {"": []}
    needed |= {extra: [] for extra in metadata.metadata(PACKAGE).get_all("Provides-Extra") or []}
    for requirement in map(Requirement, metadata.requires(PACKAGE) or []):
        marker = requirement.marker
        of = [e for e in needed if marker is None or marker.evaluate({"extra": e})]
        for extra in [""] if "" in of else of:
            needed[extra].append(requirement)
    return needed


def _out_of_range(requirements: Sequence["Requirement"]) -> tuple[str, str]:
    """Return what is wrong with packages, and how to fix it."""
    pairs = {f"{r.name}{r.specifier}": _version(r.name) or "none" for r in requirements}
    text = "; ".join(f"{needed} is needed, {found} is there" for needed, found in pairs.items())
    return text, "pip install " + " ".join(f"'{needed}'" for needed in pairs)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
