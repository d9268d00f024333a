"""Notes on data sets of the same name that are not the same, and so are kept apart."""

from collections.abc import Collection, Sequence

from bench.errors import short_hash
from bench.record.files import flatten
from bench.record.records import Records
from bench.record.sweep_folder import RecordedRun
from bench.reporting.grouping import grouped
from bench.reporting.notes.wording import listed
from bench.reporting.tables.table import Note


def data_notes(records: Records, shown: Collection[str]) -> list[Note]:
    """Say what differs between data sets of the same name, where one of them is `shown`."""
    notes = []
    for called, runs in grouped((run.called, run) for run in records.runs).items():
        of_name = grouped((run.data, run) for run in runs)
        if len(of_name) > 1 and not set(shown).isdisjoint(of_name):
            options = {name: _options(records, some) for name, some in of_name.items()}
            common = set.intersection(*(set(own.items()) for own in options.values()))
            items = [
                listed([_fingerprints(some), *_texts(options[name].items() - common)])
                for name, some in of_name.items()
            ]
            text = f"What is called {called} is not always the same data; nothing is averaged over"
            labeled = (f"{name}: {item}" for name, item in zip(of_name, items, strict=True))
            notes.append(Note(f"{text} these:", tuple(labeled)))
    return notes


def _options(records: Records, runs: Sequence[RecordedRun]) -> dict[str, str]:
    """Return the options of the data that some runs are on, as far as they are on record."""
    configs = (records.config(run).get("data") for run in runs)
    found = next((config for config in configs if isinstance(config, dict)), {})
    return {key: str(value) for key, value in flatten(found).items()}


def _texts(options: Collection[tuple[str, str]]) -> list[str]:
    return [f"{key} {value}" for key, value in sorted(options)]


def _fingerprints(runs: Sequence[RecordedRun]) -> str:
    """Return the fingerprint of the data of some runs, and how many measured ones have none."""
    known = dict.fromkeys(run.fingerprint for run in runs if run.fingerprint)
    if not known:
        return "no fingerprint on record"
    unknown = sum(run.is_measured and not run.fingerprint for run in runs)
    more = f" ({unknown} of the runs and controls have none on record)" if unknown else ""
    return f"fingerprint {listed(map(short_hash, known))}{more}"
