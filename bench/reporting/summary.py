"""What a sweep shows and how sure that is, in three sentences, from the statistics of its table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from bench.errors import first_few
from bench.record.quantities import Direction
from bench.record.records import Records
from bench.reporting.grouping import grouped
from bench.reporting.notes.wording import seeds_text
from bench.reporting.render.headings import cell_text
from bench.reporting.statistics import FEWEST_FOR_CLAIMS, LEVEL
from bench.reporting.status import states_text
from bench.reporting.tables.differences import is_testable
from bench.reporting.tables.table import TARGETED, Cell, Column, Difference, Row, Table

COLUMNS = 2
"""Most columns that the sentences are about: the first ones that have a direction."""

NAMED = 4
"""Most rows that are named in one place; of more, the rest is counted."""

_LEAD: dict[Direction, tuple[str, str, str]] = {
    "higher": ("highest", "above", "below"),
    "lower": ("lowest", "above", "below"),
    "real": ("nearest to real", "farther off than", "nearer than"),
    "one": ("nearest to 1", "farther off than", "nearer than"),
}
"""What the best row is called, and words for a positive and a negative difference."""


@dataclass(frozen=True)
class _Ranked:
    """A column, its heading in a sentence, and its rows of models, the best one first.

    `references` are the labels of the rows that others are compared with, if these have a value.
    """

    column: Column
    direction: Direction
    title: str
    references: tuple[str, ...]
    cells: tuple[tuple[Row, Cell], ...]

    @property
    def differences(self) -> list[tuple[Row, Difference]]:
        return [(row, cell.difference) for row, cell in self.cells if cell.difference]

    def text(self, cell: Cell) -> str:
        """Return a value with its interval, and its seeds where others have more of them."""
        most = max(cell.n for _, cell in self.cells)
        return "".join(cell_text(cell, self.column, with_seeds=cell.n < most)[:2])


def summary_sentences(tables: Sequence[Table], records: Records) -> tuple[str, ...]:
    """Return what was run, which rows lead, and what is significant after correction.

    The rows lead in the first columns with a direction; where comparisons were planned, in the
    first columns of these.

    Args:
        tables: The first one chooses the columns; others may compare them with another row, where
            the first one has no comparison.
        records: The record that they were made from.

    Returns:
        Three sentences; one where no column has a direction, or nothing has been measured.
    """
    columns, *others = map(_columns, tables)
    keys = [one.column.key for one in columns]
    same = (other for other in others if [one.column.key for one in other] == keys)
    columns = next((c for c in (columns, *same) if any(one.differences for one in c)), columns)
    said = [_runs(tables[0], records)]
    if columns:
        said += ["; ".join(map(_leader, columns)) + ".", _certainty(columns)]
    return tuple(said)


def _runs(table: Table, records: Records) -> str:
    """Say how many runs are done, of how many rows and seeds, on which data."""
    titles = {column.data: column.data_title for column in table.columns}
    trained = [run for run in records.runs if run.is_trained]
    if not trained:
        return "No run of a sweep is here; what is shown was measured by `bench evaluate`."
    done = sum(run.state == "done" for run in trained)
    total = f"{len(trained)} run{'s' * (len(trained) > 1)}"
    text = f"{done} of {total} done"
    if done < len(trained):
        text += f" ({states_text(run.state for run in trained if run.state != 'done')})"
    known = set(records.measured_runs)
    measured = [run for run in trained if run in known]
    if not measured:
        return f"Nothing has been measured yet: {text}."
    rows = grouped(((run.sweep, run.variant), run.seed) for run in measured)
    on = _names(dict.fromkeys(titles.get(run.data, run.data) for run in measured))
    drawn = {(run.sweep, run.variant) for run in known if run.kind == "sampling_row"}
    more = f" and {len(drawn)} drawn from their weights with other options" if drawn else ""
    return (
        f"{text}: {len(rows)} row{'s' * (len(rows) > 1)} of {_range(map(len, rows.values()))} "
        f"({seeds_text(run.seed for run in measured)}){more}, on {on}."
    )


def _columns(table: Table) -> list[_Ranked]:
    """Return the columns to speak of: of different metrics, those of each data set in turn."""
    several = len({column.data for column in table.columns}) > 1
    ranked: dict[tuple[str, str], _Ranked] = {}
    for index, column in enumerate(table.columns):
        direction = column.quantity.direction
        if column.kind != "measured" or column.view != "value" or column.paper or not direction:
            continue
        cells = [(row, row.cells[index]) for row in table.rows if row.model]
        scored = [(s, pair) for pair in cells if (s := _score(pair[1], direction)) is not None]
        scored.sort(key=lambda item: -item[0])
        on = f" on {column.data_title}" * several + f" [{column.mark}]" * _is_split(table, column)
        title = column.quantity.title + on
        if scored:
            references = tuple(row.label for row, cell in cells if cell.is_reference)
            one = _Ranked(column, direction, title, references, tuple(pair for _, pair in scored))
            ranked.setdefault((column.data, column.metric), one)
    tested = [c for c in ranked.values() if any(d.adjusted is not None for _, d in c.differences)]
    by_data = grouped((one.column.data, one) for one in tested or ranked.values())
    in_turn = [one for turn in zip_longest(*by_data.values()) for one in turn if one]
    return in_turn[:COLUMNS]


def _is_split(table: Table, column: Column) -> bool:
    """Return whether a quantity was measured by several protocols on a data set."""
    same = (c for c in table.columns if (c.data, c.metric) == (column.data, column.metric))
    return len({other.protocol for other in same if not other.paper}) > 1


def _score(cell: Cell, direction: Direction) -> float | None:
    """Return a number that is higher for better cells; None where that is not known."""
    if cell.mean is None:
        return None
    if direction in TARGETED:
        return None if cell.target is None else -abs(cell.mean - cell.target)
    return cell.mean if direction == "higher" else -cell.mean


def _leader(one: _Ranked) -> str:
    """Say which row is the best one of a column, and how far it is from another."""
    row, cell = one.cells[0]
    best = _score(cell, one.direction)
    ties = [other for other, its in one.cells if _score(its, one.direction) == best]
    value = one.text(cell)
    if one.direction == "real":
        value += f", gap to real {''.join(cell_text(cell, replace(one.column, view='gap'))[:2])}"
    if len(one.cells) == 1:
        return f"{one.title} of {row.label}, the only row with a value, is {value}"
    if len(ties) == len(one.cells):
        return f"{one.title} is the same for all {len(ties)} rows ({value})"
    names = _names(other.label for other in ties)
    text = f"{one.title} is {_LEAD[one.direction][0]} for {names} ({value})"
    if len(ties) > 1:
        return text
    if cell.difference:
        return f"{text}, {_apart(cell, cell.difference, one)}"
    second, its = one.cells[1]
    if its.difference and its.difference.to == row.label:
        return (
            f"{text}, the reference row; next is {second.label}, {_apart(its, its.difference, one)}"
        )
    return f"{text}; next is {second.label} ({one.text(its)})"


def _apart(cell: Cell, difference: Difference, one: _Ranked) -> str:
    """Return the size of a difference, its interval, its direction as a word, and from what.

    It says over which seeds where those are not all of both rows, since the difference may then
    even have another sign than that of the means.
    """
    _, above, below = _LEAD[one.direction]
    text, half = one.column.quantity.text, difference.half_width
    size = text(abs(difference.mean)) + ("" if half is None else f" ± {text(half)}")
    seeds = {its.n for row, its in one.cells if its is cell or row.label == difference.to}
    common = "" if seeds == {difference.n} else f" over {_range([difference.n])} in common"
    return f"{size} {above if difference.mean >= 0 else below} {difference.to}{common}"


def _certainty(columns: Sequence[_Ranked]) -> str:
    """Say which differences are significant, or why none is."""
    cells = [cell for one in columns for _, cell in one.cells]
    differences = [found for one in columns for _, found in one.differences]
    if all(len(one.cells) == 1 for one in columns):
        several = len({row.label for one in columns for row, _ in one.cells}) > 1
        reason = "Where a metric has one row" if several else "With one row"
        return f"{reason} nothing is compared{_few(cells)}."
    if not differences:
        reason = "no row is the reference (`--reference`, or `compare:` in the sweep)"
        if references := dict.fromkeys(label for one in columns for label in one.references):
            reason = f"nothing here has a value and a seed in common with {_names(references)}"
        return f"No difference is tested, since {reason}{_few(cells)}."
    to = _names(dict.fromkeys(difference.to for difference in differences))
    if all(difference.adjusted is None for difference in differences):
        n = max(difference.n for difference in differences)
        if n < FEWEST_FOR_CLAIMS:
            seeds = f"{n} seed{'s' * (n > 1)} in common"
            return (
                f"No significant differences yet: with {seeds} no difference from {to} can be "
                f"significant, which takes {FEWEST_FOR_CLAIMS}."
            )
        if any(not is_testable(cell, one.column) for one in columns for _, cell in one.cells):
            text = "the record has no standard error of the real value"
            return f"No difference from {to} is tested, since {text}."
        return f"No difference from {to} is tested, since none was planned (`compare:`) here."
    tested = [difference for difference in differences if difference.adjusted is not None]
    against = dict.fromkeys(difference.to for difference in tested)
    to = "the reference row" if len(against) > 1 else _names(against)
    seeds = _range(difference.n for difference in tested)
    test = f"by paired t tests over {seeds} with Holm's correction (p < {LEVEL})"
    found = "; ".join(f"in {one.title} {_verdicts(one)}" for one in columns)
    if any(difference.verdict for difference in differences):
        return f"Significantly different from {to}, {test}, are {found}."
    return f"No significant differences from {to} {test}: {found}."


def _verdicts(one: _Ranked) -> str:
    """Return how many rows of a column are better and worse, with their names."""
    differences = one.differences
    tested = [found for _, found in differences if found.adjusted is not None]
    several = len({found.to for found in tested}) > 1
    parts = []
    for verdict in ("better", "worse"):
        labels = [
            f"{row.label} than {found.to}" if several else row.label
            for row, found in differences
            if found.verdict == verdict
        ]
        if labels:
            parts.append(f"{len(labels)} {verdict} ({_names(labels)})")
    rows = f"{len(tested)} row{'s' * (len(tested) > 1)}"
    text = f"{' and '.join(parts) or 'none'} of {rows}" if tested else "none tested"
    left = len(differences) - len(tested)
    return text + (f" and {left} without a test" if left and tested else "")


def _few(cells: Iterable[Cell]) -> str:
    """Say what too few seeds mean, where no test says it."""
    n = max(cell.n or 1 for cell in cells)
    if n == 1:
        return "; one seed gives no estimate of variation"
    if n < FEWEST_FOR_CLAIMS:
        return f"; {n} seeds are too few to call a difference significant, which takes six"
    return ""


def _names(names: Iterable[str]) -> str:
    """Return names, of many the first ones and the number of the rest."""
    every = list(names)
    return first_few(every, NAMED if len(every) <= NAMED else NAMED - 1, "; ")


def _range(numbers: Iterable[int]) -> str:
    """Return a number of seeds, or the least and the most.

    >>> _range([8, 8]), _range([1]), _range([3, 8])
    ('8 seeds', '1 seed', '3 to 8 seeds')
    """
    found = sorted(set(numbers))
    if len(found) > 1:
        return f"{found[0]} to {found[-1]} seeds"
    return f"{found[0]} seed{'s' * (found[0] > 1)}"
