"""`bench doctor`: whether this machine is ready for runs."""

import sys
from pathlib import Path
from typing import Any

from bench.commands import cli, echo, options
from bench.commands.json_output import json_option, print_json
from bench.commands.tracker_options import MLFLOW_URI


@cli.command("doctor")
@options.add(options.RESULTS, *options.weights_options(options.FILE), MLFLOW_URI)
@json_option("Diagnoses")
def doctor_command(results: Path, mlflow_uri: str | None, as_json: bool, **values: Any) -> None:
    """Check whether this machine is ready; suggest fixes.

    Looks at packages, devices, disks, data and weights, without the network. The exit status is 1
    if something would prevent a run, else 0.
    """
    from bench.doctor.diagnosis import Surroundings
    from bench.doctor.examination import CHECKS, examine

    found = list(examine(Surroundings(results, mlflow_uri, options.given_weights(values))))
    levels = [diagnosis.level for _, diagnosis in found]
    prevents, notes = levels.count("FAIL"), levels.count("note")
    if as_json:
        print_json("Diagnoses", [{"check": name, **one._asdict()} for name, one in found])
    else:
        width = max(map(len, CHECKS))
        for name, (level, text, remedy) in found:
            echo(f"{level:<4}  {name:<{width}}  {text}")
            if remedy:
                echo(f"{'':<{width + 6}}  -> {remedy}")
        verdict = f"problems that prevent runs: {prevents}" if prevents else "ready for runs"
        echo(f"{verdict}; notes: {notes}")
    sys.exit(1 if prevents else 0)
