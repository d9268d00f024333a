"""The files of a publication: JSON and CSV in place of the folders of runs."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bench.errors import DamagedRecord
from bench.record.files import check_shape, csv_text, read_json, read_regular
from bench.record.shapes import ProvenanceFile, PublishedFile, RunSettingsFile

CRATE = "ro-crate-metadata.json"
"""File of a publication or an archive that describes the others, with their sizes."""

PUBLISHED = "origins.json"
"""Configurations and provenance of all runs; it makes a folder the publication of a sweep."""

KEY_OF_RUN = {"config": "seed", "provenance": "started"}
"""Files that a publication keeps once for all runs that share them -> the key that differs."""


def refuse_other_sizes(folder: Path) -> None:
    """Raise a `DamagedRecord` if what is read of a publication is not as its crate describes it.

    Such a publication was cut, edited, or written in part. Line ends may differ.
    """
    if not (folder / CRATE).exists():
        return
    described = {
        entity.get("@id"): entity["contentSize"]
        for entity in json.loads(read_regular(folder / CRATE))["@graph"]
        if "contentSize" in entity
    }
    for path in (folder / "sweep.json", folder / PUBLISHED, *sorted(folder.glob("*.csv"))):
        if (size := described.get(path.name)) is not None:
            found = len(read_regular(path).replace(b"\r\n", b"\n"))
            if int(size) != found:
                raise DamagedRecord(
                    f"{path} has {found} bytes, and {size} when {CRATE} was written; the "
                    "publication was edited or cut, or written in part: publish it again"
                )


def read_origins(folder: Path, sweep: str) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    """Return sweep, run and `config` or `provenance` -> what a publication says of the run."""
    path = folder / PUBLISHED
    content = read_json(path, PublishedFile)
    shapes: dict[str, type[BaseModel]] = {"config": RunSettingsFile, "provenance": ProvenanceFile}
    return {
        (sweep, run, kind): check_shape(path, {**group["shared"], own: value}, shapes[kind])
        for kind, own in KEY_OF_RUN.items()
        for group in content[kind]
        for run, value in group["runs"].items()
    }


def read_csv(path: Path, columns: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file of `bench.trackers.csv_files`; an empty field is None."""
    try:
        reader = csv.DictReader(io.StringIO(read_regular(path).decode(), newline=""))
        if lacking := set(columns) - set(reader.fieldnames or ()):
            raise DamagedRecord(f"cannot read {path}: it lacks {', '.join(sorted(lacking))}")
        for row in reader:
            if None in row or None in row.values():
                where = f"{path}:{reader.line_num}"
                raise DamagedRecord(f"{where} has not as many fields as the first line")
            yield {name: csv_text(value) if value else None for name, value in row.items()}
    except (UnicodeDecodeError, csv.Error) as error:
        raise DamagedRecord(f"cannot read {path}: {error}") from error
