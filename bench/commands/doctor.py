"""`bench doctor`: whether this machine is ready for runs."""

import sys
from pathlib import Path

from bench.commands import cli, echo, options


@cli.command("doctor")
@options.add(options.RESULTS, *options.weights_options(options.FILE), options.MLFLOW_URI)
def doctor_command(
    results: Path,
    inception_weights: Path | None,
    lpips_weights: Path | None,
    mlflow_uri: str | None,
) -> None:
    """Say whether this machine is ready for runs, and what to do where it is not.

    Looks at packages, devices, disks, data and weights, without the network. The exit status is 1
    if something would prevent a run, else 0.
    """
    from bench.doctor.diagnosis import Surroundings
    from bench.doctor.examination import CHECKS, examine

    weights = {"inception": inception_weights, "lpips": lpips_weights}
    given = {network: path for network, path in weights.items() if path is not None}
    width, levels = max(map(len, CHECKS)), []
    for name, (level, text, remedy) in examine(Surroundings(results, mlflow_uri, given)):
        echo(f"{level:<4}  {name:<{width}}  {text}")
        if remedy:
            echo(f"{'':<{width + 6}}  -> {remedy}")
        levels.append(level)
    prevents, notes = levels.count("FAIL"), levels.count("note")
    verdict = f"{prevents} problems prevent runs" if prevents else "ready for runs"
    echo(f"{verdict}, {notes} notes")
    sys.exit(1 if prevents else 0)
