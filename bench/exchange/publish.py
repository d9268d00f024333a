"""A sweep as files for a repository, which reports read as they read the sweep itself."""

import csv
import io
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL.PngImagePlugin import PngImageFile, PngInfo

from bench.console import suggest_command
from bench.errors import BenchError, UnknownName
from bench.exchange.crate import CRATE, describe_files
from bench.record.files import write_atomically
from bench.record.publication_files import KEY_OF_RUN, PUBLISHED
from bench.record.records import Records, column_name
from bench.record.sweep_folder import RETRY, RecordedRun, read_sweep_file
from bench.reporting.figures.catalog import FIGURES
from bench.reporting.render.markdown import render_markdown
from bench.reporting.render.repeats import repeats
from bench.reporting.tables.build import filled_tables
from bench.reporting.tables.table_spec import TableSpec
from bench.trackers.csv_files import write_csv

OF_THE_MOMENT = ("started", "ended")  # what differs between runs of the same origin


def publish_sweep(
    records: Records,
    specs: Mapping[str, TableSpec],
    folder: Path,
    figures: Collection[str] = (),
    license: str | None = None,
) -> list[Path]:
    """Write `sweep.json`, `origins.json`, CSV files, tables and pictures with captions to a folder.

    The paper's tables are left out where another one prints all of their numbers.
    `ro-crate-metadata.json` describes what is written.

    Refused are sweeps with runs that are not done, figures that were not drawn, and the folder of
    the sweep itself.
    """
    [sweep] = records.sweeps
    source = records.results / sweep.name
    if folder.resolve() == source.resolve():
        raise BenchError(f"{folder} is the sweep itself; publish it elsewhere")
    if (folder / "sweep.json").exists() and not (folder / PUBLISHED).exists():
        raise BenchError(f"{folder} holds the runs of a sweep; publish elsewhere, --to FOLDER")
    if left := sum(run.state != "done" for run in records.runs):
        failed = any(run.state == "failed" for run in records.runs)
        command = f"{sweep.command} {RETRY}" if failed else sweep.command
        raise BenchError(
            f"{left} of {len(records.runs)} runs of {sweep.name} are not done; "
            f"complete them first: {command}"
        )
    pictures = sorted(source.glob("samples-*.png"))
    for name in figures:
        picture = source / "figures" / f"{name}.png"
        command = suggest_command(records.results, "figure", name, sweep.name)
        if not picture.exists():
            if name not in FIGURES:
                raise UnknownName("figure", name, FIGURES)
            raise BenchError(f"there is no {picture}; draw it: {command}")
        if picture.stat().st_mtime < max(_measured_at(run.path) for run in records.runs):
            raise BenchError(f"{picture} is older than the last results; draw it again: {command}")
        pictures.append(picture)
    captions = [path for path in (p.with_suffix(".txt") for p in pictures) if path.exists()]
    origins = json.dumps(_origins(records), indent=1, sort_keys=True) + "\n"
    filled = filled_tables(specs, records)
    shown = [
        table
        for table, is_repeat in zip(filled, repeats(filled), strict=True)
        if not (is_repeat and specs[table.name].data)
    ]
    tables = {f"{table.name}.md": render_markdown(table).encode() for table in shown}
    contents = {
        "sweep.json": _portable(_plan(source), records.results).encode(),
        PUBLISHED: _portable(origins, records.results).encode(),
        **tables,
        **{picture.name: _portable_picture(picture, records.results) for picture in pictures},
        **{path.name: _portable(path.read_text(), records.results).encode() for path in captions},
    }
    for name in specs:  # a table that was filled before may not be any more
        if f"{name}.md" not in tables:
            (folder / f"{name}.md").unlink(missing_ok=True)
    for name in FIGURES:  # neither may an older picture of other numbers stay
        for file in (f"{name}.png", f"{name}.txt"):
            if file not in contents:
                (folder / file).unlink(missing_ok=True)
    for name, content in contents.items():
        write_atomically(folder / name, content)
    numbers = write_csv(records, folder, curves=False)
    sizes = {name: len(content) for name, content in contents.items()}
    sizes |= {path.name: path.stat().st_size for path in numbers}
    of_run = [PUBLISHED, *(path.name for path in numbers)]
    crate = describe_files(records, records.runs, sizes, lambda run: of_run, license)
    write_atomically(folder / CRATE, crate)
    return [*(folder / name for name in contents), *numbers, folder / CRATE]


def _measured_at(run: Path) -> float:
    """Return when a run was measured last, in seconds since 1970; 0 where it is not here."""
    files = (run / "done", run / "evaluation.jsonl")
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def _plan(source: Path) -> str:
    """Return the content of `sweep.json`, of the sweep file only its name and folder."""
    text, spec = (source / "sweep.json").read_text(), Path(read_sweep_file(source)["spec"])
    if not spec.is_absolute():
        return text
    return text.replace(json.dumps(str(spec)), json.dumps("/".join(spec.parts[-2:])))


PATH = re.compile(
    r"""(?:(?<![^\s"'`=:,(\[{])|(?<=file://)|(?<=:///))  # not within an address or a relative path
    (?:(?<=')/[^'/][^']*(?=') | (?<=")/[^"/][^"]*(?=") | /[^\s"'`/,;)\]}][^\s"'`,;)\]}]*)""",
    re.VERBOSE,
)
"""An absolute path within a text, such as a command; it may hold spaces where it is quoted."""


def machine_paths(files: Iterable[Path]) -> dict[str, list[str]]:
    """Return the absolute paths that the texts of files name, with the files' names."""
    found: dict[str, list[str]] = {}
    for file in files:
        for path in dict.fromkeys(p for text in _texts(file) for p in _paths_in(text)):
            found.setdefault(path, []).append(file.name)
    return found


def _texts(file: Path) -> Iterator[str]:
    """Yield the texts of a published file: strings, cells, those of a picture, or all of it."""
    if file.suffix == ".png":
        with suppress(OSError, SyntaxError), PngImageFile(file) as picture:
            yield from picture.text.values()
    elif file.suffix == ".json":
        yield from _strings(json.loads(file.read_text()))
    elif file.suffix == ".csv":
        with file.open(newline="") as lines:
            yield from (cell for row in csv.reader(lines) for cell in row)
    else:
        yield file.read_text()


def _strings(content: object) -> Iterator[str]:
    """Yield the strings of plain data, keys among them."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        yield from (text for item in content.items() for text in _strings(item))
    elif isinstance(content, list | tuple):
        yield from (text for item in content for text in _strings(item))


def _paths_in(text: str) -> list[str]:
    """Return the absolute paths in a text; one that is nothing else may hold any character."""
    if re.fullmatch(r"/[^/\n].*", text):
        return [text]
    return [path.rstrip(".:") for path in PATH.findall(text)]


def _portable(text: str, results: Path) -> str:
    """Return the text with the path of all results shortened to `results`."""
    for folder in _paths(results):
        text = re.sub(rf"(?<![\w.@+-]){re.escape(folder)}(?![\w.@+-])", "results", text)
    return text


def _portable_picture(path: Path, results: Path) -> bytes:
    """Return a PNG with that path shortened in its texts, such as the command that drew it."""
    content = path.read_bytes()
    if not any(folder.encode() in content for folder in _paths(results)):
        return content
    texts = PngInfo()
    with PngImageFile(io.BytesIO(content)) as picture:
        for key, text in picture.text.items():
            texts.add_text(key, _portable(text, results))
        picture.save(buffer := io.BytesIO(), "PNG", pnginfo=texts, dpi=picture.info.get("dpi"))
    return buffer.getvalue()


def _paths(results: Path) -> tuple[str, ...]:
    return str(results.resolve()), str(results.absolute())


def _origins(records: Records) -> dict[str, list[dict[str, Any]]]:
    """Return configurations and provenances, each once with all runs that share it."""
    read = {"config": records.config, "provenance": records.provenance}
    origins: dict[str, list[dict[str, Any]]] = {}
    for kind, own in KEY_OF_RUN.items():
        groups: dict[str, dict[str, Any]] = {}
        for run in {run.id: run for run in records.runs if not run.sampling_id}.values():
            if content := dict(read[kind](run)):
                content.pop("sampling", None)  # sweep.json has it, for each row
                if kind == "provenance" and (codes := _codes(records, run)):
                    content["codes"] = codes
                shared = {k: v for k, v in content.items() if k not in (own, *OF_THE_MOMENT)}
                group = groups.setdefault(
                    json.dumps(shared, sort_keys=True), {"shared": shared, "runs": {}}
                )
                group["runs"][run.id] = content.get(own)
        origins[kind] = list(groups.values())
    return origins


def _codes(records: Records, run: RecordedRun) -> dict[str, str]:
    """Return by which code of its metric each number was measured, where that is known of it."""
    entries = (entry for entry in records.measurements if entry.run == run and entry.code)
    return {column_name(entry.metric, entry.protocol): entry.code for entry in entries}
