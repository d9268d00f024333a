"""What commands print with `--json`: types, from which `--json-schema` makes the schema.

Numbers are those of the record, unscaled and exact; the text of a command shows them times `scale`
and rounded. Keys stay from version to version, and later ones may bring more.
"""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from bench.record.progress import read_progress
from bench.record.quantities import Quantity
from bench.record.records import COLUMNS, RecordEntry, Records
from bench.record.run_folder import State
from bench.record.sweep_folder import KINDS_OF_RUNS, RecordedRun
from bench.reporting.compare import Comparison
from bench.reporting.tables.table import CellKind, Difference, Note, Robust, Table


class Output(BaseModel):
    """An object of the output."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class ListedOption(Output):
    """An option of a component."""

    name: str
    text: str
    """What its docstring says."""
    default: Any
    """None also where it is required."""
    choices: list[Any]
    """Values that are allowed, where these are few."""
    is_required: bool
    of_sampling: bool
    """Whether it is a sampling option of a model."""


class ListedName(Output):
    """A name that sweeps and commands can use."""

    name: str
    summary: str
    """One line about it."""
    can: list[str] = []
    """Of a model: what it can do beyond sampling, and its sampling options."""
    problem: str = ""
    """Why it cannot be used; empty where it can."""
    options: list[ListedOption] = []
    """Its options, where the name was given."""


class DiagnosisOutput(Output):
    """What a check of the machine found."""

    check: str
    level: Literal["ok", "note", "FAIL"]
    """`FAIL` prevents runs, a `note` costs something."""
    text: str
    remedy: str
    """What to do about it; empty where nothing is to be done."""


class OfRun(Output):
    """An object that belongs to a run or a control."""

    sweep: str
    run: str
    """Its id."""
    variant: str
    model: str
    data: str
    seed: int | None
    """None for a control."""


class RunRow(OfRun):
    """A run that a sweep expects, a row of other sampling options, or a control."""

    state: State
    iterations: int | None
    """Length of its training; None before it began, and for a control."""
    batch_size: int | None
    failure: str
    """Why it failed; empty if it did not."""
    command: str
    """The command that does, continues or retries it."""
    kind: Literal["run", "sampling_row", "control"]
    step: int | None
    """Iterations that are done, of a run that is trained at this moment."""


class MeasurementRow(OfRun):
    """One measurement of a run: a number of one metric, measured by one protocol."""

    step: int
    """Iterations of the model that was measured."""
    split: str
    """`samples`, `real` or `validation`."""
    metric: str
    protocol: str
    """Everything that changes the number besides the samples; only equal ones are comparable."""
    value: float | None
    """Unscaled; None where there is none, for a `reason`."""
    reason: str
    error: float | None
    """Standard error over images, where it is known."""


class SweepState(Output):
    """How far a sweep is."""

    name: str
    title: str
    counts: dict[str, dict[State, int]]
    """`run`, `sampling_row` and `control` -> state -> how many."""
    runs: list[RunRow]


class SeedValue(Output):
    """The value of one seed."""

    seed: int
    value: float


class TableCell(Output):
    """One place of a table: a quantity of a data set by one protocol, over seeds."""

    data: str
    metric: str
    quantity: Quantity
    """`title` and `scale` for display, and which `direction` is better."""
    protocol: str
    kind: CellKind
    """`mean` over seeds; `counted`; `real` images; `single` number; of the `paper`; else there is
    no number: `inapplicable` or `missing`."""
    mean: float | None
    half_width: float | None
    """Half the width of the 95 % t interval of the mean."""
    n: int
    """Seeds."""
    values: list[SeedValue]
    error: float | None
    """Standard error over images of a single number."""
    target: float | None
    """What the value should be near to, where nearer is better."""
    target_error: float | None
    gap: float | None
    """The mean minus the target."""
    gap_half_width: float | None
    is_reference: bool
    bold: bool
    """Whether it is significantly better than its reference row; as a reference row, better than
    every row that is tested against it."""
    difference: Difference | None
    """From its reference row."""
    robust: Robust | None
    """With `--robust`."""


class TableRow(Output):
    """A variant, a control, or a model that only the paper has."""

    label: str
    section: str
    sweep: str
    variant: str
    model: str
    cells: list[TableCell]


class TableOutput(Output):
    """A table."""

    name: str
    title: str
    rows: list[TableRow]
    notes: list[Note]


class Report(Output):
    """The output of `bench report`."""

    tables: list[TableOutput]
    measurements: list[MeasurementRow]
    """The final measurements that tables are made of."""


class SettingChange(Output):
    """A setting, by its dotted key, that two sides do not share."""

    key: str
    first: list[Any]
    """Its different values; none where it is absent."""
    second: list[Any]


class ComparisonOutput(Output):
    """The output of `bench compare`; differences in the table are the second minus the first."""

    first: str
    second: str
    settings: list[SettingChange]
    table: TableOutput


class FindingOutput(Output):
    """What a check of `bench check` finds."""

    rule: str
    outcome: Literal["ok", "FAIL", "note", "n/a"]
    text: str
    place: str
    """File and line of the model's code."""
    sentence: str
    """What the rule demands."""
    page: str
    """Where it is explained."""


class DataOutput(Output):
    """The output of `bench data`; sources and later versions may add keys."""

    model_config = ConfigDict(extra="allow")

    name: str
    shape: list[int]
    splits: dict[str, int]
    """Split -> examples."""
    classes: list[dict[str, Any]]
    """`name`, and examples of each split."""
    range: list[float]
    """The least and the largest value of the training examples."""
    repeated: dict[str, Any]
    """Equal examples: `within` a split, `across` splits, in several `classes`."""
    near_copies: dict[str, int]
    """Split -> images that nearly equal a training image; empty for points."""
    notices: list[str]
    fingerprint: str
    files: dict[str, Any]
    """What a source says of its files."""


class EvaluatedEntry(Output):
    """A measurement of `bench evaluate`."""

    model_config = ConfigDict(extra="allow")

    metric: str
    protocol: str
    split: str
    value: float | None
    reason: str


class EvaluationOutput(Output):
    """The output of `bench evaluate`."""

    model_config = ConfigDict(extra="allow")

    measurements: list[EvaluatedEntry]
    real: list[EvaluatedEntry]
    """The same of the real test images."""


Names = list[ListedName]
Diagnoses = list[DiagnosisOutput]
States = list[SweepState]
Findings = list[FindingOutput]


def sweep_states(records: Records) -> States:
    """Return how far each sweep is."""
    states = []
    for sweep in records.sweeps:
        runs = [run for run in records.runs if run.sweep == sweep.name]
        counts: dict[str, dict[State, int]] = {kind: {} for kind in KINDS_OF_RUNS}
        for run in runs:
            of_kind = counts[run.kind]
            of_kind[run.state] = of_kind.get(run.state, 0) + 1
        rows = [_run_row(run) for run in runs]
        states.append(SweepState(name=sweep.name, title=sweep.title, counts=counts, runs=rows))
    return states


def report(records: Records, tables: Iterable[Table]) -> Report:
    """Return tables and the final measurements that they are made of."""
    measurements = [_measurement_row(entry) for entry in records.final]
    return Report(tables=[table_output(table) for table in tables], measurements=measurements)


def comparison_output(compared: Comparison) -> ComparisonOutput:
    """Return what differs between two sides."""
    changes = [SettingChange(key=k, first=a, second=b) for k, a, b in compared.changes]
    table = table_output(compared.table)
    return ComparisonOutput(
        first=compared.first, second=compared.second, settings=changes, table=table
    )


def table_output(table: Table) -> TableOutput:
    """Return a table; the views of a column are keys of its cells."""
    rows = [
        TableRow(
            label=row.label,
            section=row.section,
            sweep=row.sweep,
            variant=row.variant,
            model=row.model,
            cells=[
                TableCell(
                    data=column.data,
                    metric=column.metric,
                    quantity=column.quantity,
                    protocol=column.protocol,
                    gap=cell.number("gap"),
                    values=[SeedValue(seed=seed, value=value) for seed, value in cell.values],
                    **{name: getattr(cell, name) for name in _OF_CELL},
                )
                for column, cell in zip(table.columns, row.cells, strict=True)
                if column.view == "value"
            ],
        )
        for row in table.rows
    ]
    return TableOutput(name=table.name, title=table.title, rows=rows, notes=list(table.notes))


_OF_CELL = (
    *("kind", "mean", "half_width", "n", "error", "target", "target_error", "gap_half_width"),
    *("is_reference", "bold", "difference", "robust"),
)


def _axes(run: RecordedRun) -> dict[str, Any]:
    names = ("sweep", "variant", "model", "data", "seed")
    return {"run": run.id, **{name: getattr(run, name) for name in names}}


def _run_row(run: RecordedRun) -> RunRow:
    progress = read_progress(run.path)
    return RunRow(
        **_axes(run),
        state=run.state,
        iterations=run.iterations,
        batch_size=run.batch_size,
        failure=run.reason,
        command=run.command,
        kind=run.kind,
        step=progress.step if progress else None,
    )


def _measurement_row(entry: RecordEntry) -> MeasurementRow:
    names = COLUMNS["measurements"].keys() - COLUMNS["runs"].keys()
    return MeasurementRow(**_axes(entry.run), **{name: getattr(entry, name) for name in names})
