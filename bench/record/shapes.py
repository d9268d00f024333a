"""The shape of each kind of record file: the keys that are read, with their types.

Keys that are not named here are kept and may hold anything, since later versions add some.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from bench.record.quantities import Direction

SAFE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
"""Names that are safe as those of files and folders."""

Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Name = Annotated[str, Field(pattern=SAFE_NAME, max_length=200)]


Text = Annotated[str, Field(pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
"""Text for display, without characters that control a terminal."""


class Shape(BaseModel):
    """Keys of a JSON object; values are not converted."""

    model_config = ConfigDict(extra="allow", strict=True)


class Entry(Shape):
    """A line of `evaluation.jsonl`, `rows.jsonl`, `cost.jsonl` and `timings.jsonl`."""

    metric: str
    value: FiniteFloat | None
    step: Count | None = None
    split: str | None = None
    protocol: str | None = None
    reason: str | None = None
    error: FiniteFloat | None = None
    added: str | None = None  # by an import, or by `--record`: the metric and its code
    code: str | None = None  # likewise, of a row that `bench evaluate --name` keeps


class DoneFile(Shape):
    """`done`: the id of what was measured, how many measurements and which records there were."""

    evaluation: str
    measurements: Count
    records: list[str] = []


class Component(Shape):
    """A registered name with its options."""

    name: str
    path: str | None = None


class EvaluatedImages(Shape):
    """Images of another program that were measured."""

    path: str
    sha256: str
    per_class: Count | list[Count]


class EvaluatedRun(Shape):
    """Samples of a run that were measured."""

    run: str
    sample_seed: Int64
    sampling: dict[str, Any] = {}


class StartFields(Shape):
    """The run whose weights a training started from."""

    run: Text
    variant: Text | None = None
    players: list[Text]


class RunSettingsFile(Shape):
    """The configuration of a run, a control, or samples of `bench evaluate`."""

    data: Component | None = None
    unlabeled: Component | None = None
    model: Component | None = None
    iterations: Count | None = None
    batch_size: Count | None = None
    seed: Int64 | None = None
    samples_per_class: Count | list[Count] | None = None
    evaluated: EvaluatedRun | EvaluatedImages | None = None
    start_from: StartFields | None = None


class MeasuredFile(Shape):
    """What was asked to be measured of a run; None where that was not recorded."""

    metrics: list[dict[str, Any]] | None = None


class ConfigFile(Shape):
    """`config.json`."""

    config: RunSettingsFile
    evaluation: MeasuredFile = MeasuredFile()
    sampling: dict[str, Any] = {}


class FinishedFile(Shape):
    """`finished.json` of a sweep."""

    stamp: str


class Session(Shape):
    """Where and by which code a run was begun or continued."""

    bench: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    diff: str | None = None
    sources: dict[str, dict[str, str]] = {}
    data_fingerprint: str | None = None
    device: str | None = None
    device_name: str | None = None
    python: str | None = None
    started: str | None = None
    ended: str | None = None
    threads: Annotated[int, Field(ge=1, le=2**20)] | None = None
    flags: dict[str, Any] = {}
    variables: dict[str, str] = {}
    versions: dict[str, str] = {}


class ProvenanceFile(Session):
    """`provenance.json`."""

    continued: list[Session] = []
    codes: dict[str, str] = {}  # of a publication: number -> the metric and its code


class MicroBatch(Shape):
    """Examples of which gradients were taken at a time."""

    rows: Count
    batch_size: Count


class SwitchesNote(Shape):
    """Switches that a training was executed with."""

    on: list[str]
    device: str


class KeptSwitches(Shape):
    """Switches that were measured for equal runs on equal devices, beside the data sets."""

    on: list[str]
    why: list[str]


class ExecutionFile(Shape):
    """`execution.json`."""

    micro_batch: MicroBatch | None = None
    switches: SwitchesNote | None = None


class QuantityFields(Shape):
    """The meaning of a number."""

    title: Text
    direction: Direction | None = None
    decimals: Annotated[int, Field(ge=0, le=20)] | None = None
    scale: FiniteFloat = 1.0


class PlanRun(Shape):
    """A run that a sweep expects."""

    id: Name
    variant: Text
    model: Text
    data: Text
    seed: Int64 | None
    command: Text | None = None
    evaluation: str | None = None
    path: Text | None = None
    sampling: dict[str, Any] = {}
    row: Name | None = None


class PlanControl(Shape):
    """A control that a sweep expects."""

    id: Name
    data: Text
    control: Text
    evaluation: str | None = None
    path: Text | None = None


class PlannedComparisons(Shape):
    """The comparisons that a sweep planned."""

    reference: Text = ""
    references: dict[Text, Text] = {}
    variants: list[Text] = []
    metrics: list[Text] = []


class PlanFile(Shape):
    """`sweep.json`."""

    title: Text
    spec: Text
    command: Text
    quantities: dict[str, QuantityFields] = {}
    compare: PlannedComparisons | None = None
    runs: list[PlanRun]
    controls: list[PlanControl] = []


class ManifestHead(Shape):
    """What `manifest.json` of an archive has in every format."""

    format: Int64


class SharedOrigin(Shape):
    """What the runs of a publication share, and the one key that differs between them."""

    shared: dict[str, Any]
    runs: dict[Name, Any]


class PublishedFile(Shape):
    """`origins.json` of a publication."""

    config: list[SharedOrigin]
    provenance: list[SharedOrigin]
