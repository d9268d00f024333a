"""`bench run`: run a sweep, or what is missing of it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from bench.commands import cli, echo, options, tracker_options

if TYPE_CHECKING:
    from bench.execution.run_sweep import SweepOutcome


@cli.command("run")
@options.spec_argument("SWEEP_FILE")
@click.option("--retry-failed", is_flag=True, help="Try failed runs again.")
@options.add(*options.EXECUTION)
def run_command(retry_failed: bool, **values: Unpack[options.ExecutionOptions]) -> None:
    """Run a sweep; only missing runs are executed.

    SWEEP_FILE is a YAML file, or the name of one in the folder `sweeps` or shipped with bench.
    KEY=VALUE changes one key of it. The same command continues an interrupted sweep, and several
    at once share its runs.
    Defaults of --executor, --jobs, --speed, --tracker and --allow-code-change are read from
    ~/.config/bench/config.yaml.

    Example: bench run quickstart --dry-run
    """
    from bench.console import say
    from bench.execution.finished_sweep import FinishedSweep
    from bench.tuning.spec_files import find_spec, refusing_other_kind

    spec, results = find_spec(values["spec"], tunes=False), values["results"]
    with refusing_other_kind(spec, tunes=False):
        finished = FinishedSweep.of(
            spec, values["overrides"], results, tracker_options.words_about_trackers(values)
        )
    if finished.is_unchanged():
        sweep = finished.plan()
        if values["dry_run"]:
            from bench.execution.dry_run import dry_run_text

            echo(dry_run_text(sweep, results))
        else:
            say(_nothing_to_do(len(sweep.runs), finished.folder))
        return

    from bench.execution.run_sweep import check_sizes, check_tasks, run_entries, run_sweep, tasks_of
    from bench.execution.sweep_owner import refuse_other_sweep
    from bench.record.run_folder import BEGIN_AGAIN, RunFolder
    from bench.record.sweep_folder import RETRY, read_sweep_file
    from bench.spec.sweep_file import load_sweep

    sweep = load_sweep(spec, values["overrides"])
    worker, make_executor = options.make_training_worker(values, retry_failed=retry_failed)
    trackers = tracker_options.make_trackers(values, results)
    folder = results / sweep.name
    if values["dry_run"]:
        from bench.execution.dry_run import data_lines, dry_run_text

        refuse_other_sweep(sweep, folder)
        echo("\n".join([dry_run_text(sweep, results), *data_lines(sweep, worker)]))
        tasks = tasks_of(sweep, folder)
        check_tasks(tasks, worker)
        check_sizes(tasks, worker)
        return
    with options.stoppable(worker):
        executor = make_executor()
        say(f"{sweep.name}: {len(sweep.runs)} runs {executor}")
        outcome = run_sweep(sweep, results, worker, executor)
        with worker.stop.deferred():
            is_mirrored = tracker_options.update_mirrors(folder, trackers)
    say(_summary(outcome, len(sweep.runs), folder))
    if outcome.finished:
        for line in _without_value(folder):
            say(f"note: {line}")
    if outcome.failed:
        files = [path / "failed" for path in outcome.failed if (path / "failed").exists()]
        reason = next(iter(outcome.failed.values()))
        why = f"for the reason, see {files[0]}" if files else f"reason: {reason}"
        states = [RunFolder(path).status() for path in outcome.failed]
        helps = any(s.state == "failed" and not s.reason.endswith(BEGIN_AGAIN) for s in states)
        retry = [RETRY] if helps and not retry_failed else []
        can_help = any(s.state != "done" for s in states)  # else what was measured is kept
        say(f"{why}; to retry: {options.typed_command(*retry)}" if can_help else why)
    if outcome.failed or not is_mirrored:
        sys.exit(1)
    planned, wanted = read_sweep_file(folder)["runs"], run_entries(sweep)
    if any(entry not in planned for entry in wanted):
        say(
            f"note: another command has meanwhile written its own plan to {folder}, and reports "
            f"show the runs and measurements of that; to show these: {options.typed_command()}"
        )
    if left := len(sweep.runs) - outcome.kept - outcome.finished:
        say(
            f"{left} of {len(sweep.runs)} runs are not done as this command asks: another "
            "command is measuring them otherwise, or they were deleted; when it has ended, run: "
            f"{options.typed_command()}"
        )
        sys.exit(1)
    if planned == wanted and not worker.options.allow_code_change:
        finished.mark()


def _summary(outcome: "SweepOutcome", runs: int, folder: Path) -> str:
    """Return what was done, in one line; controls are named only where no run was finished."""
    controls = 0 if outcome.finished else outcome.controls
    if outcome.kept == runs and not outcome.failed and not controls:
        return _nothing_to_do(runs, folder)
    counts = (
        (len(outcome.failed), "failed"),
        (outcome.finished, "finished"),
        (outcome.kept, "kept"),
        (controls, f"control{'s' * (controls > 1)} measured"),
    )
    return f"{', '.join(f'{count} {what}' for count, what in counts if count)}; results in {folder}"


def _without_value(folder: Path) -> list[str]:
    """Return which metrics have no value in any run, why, and how to measure them again."""
    from bench.record.records import load_records

    of_runs = [
        entry
        for entry in load_records(folder.parent, [folder.name]).final
        if entry.run.seed is not None
    ]
    measured = {
        (name, protocol)
        for entry in of_runs
        if entry.value is not None
        for name in (entry.metric, entry.metric.partition("/")[0])
        for protocol in (entry.protocol, "")
    }
    reasons: dict[tuple[str, str], dict[str, None]] = {}
    for entry in of_runs:
        if (entry.metric, entry.protocol) not in measured:
            reasons.setdefault((entry.metric, entry.protocol), {})[entry.reason] = None
    lines = [
        f"no run has a value of {metric}{protocol and f' ({protocol})'}: "
        + "; or ".join(reasons[metric, protocol])
        for metric, protocol in reasons
    ]
    again = (
        "if you can fix this, delete the `done` files of these runs and repeat the command: "
        "they are evaluated again"
    )
    return [*lines, again] if lines else []


def _nothing_to_do(runs: int, folder: Path) -> str:
    return f"nothing to do: all {runs} runs are done, in {folder}"
