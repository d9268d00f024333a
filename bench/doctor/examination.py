"""All checks of the machine, in the order in which they are shown."""

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping

from bench.doctor import disks, hardware, installation
from bench.doctor.diagnosis import Diagnosis, Surroundings
from bench.errors import describe_error

Check = Callable[[Surroundings], Iterable[Diagnosis]]

CHECKS: Mapping[str, Check] = {
    "python": installation.check_python,
    "packages": installation.check_packages,
    "extras": installation.check_extras,
    "plug-ins": installation.check_plug_ins,
    "torch": hardware.check_torch,
    "devices": hardware.check_devices,
    "cores": hardware.check_cores,
    "memory": hardware.check_memory,
    "results": disks.check_results,
    "data folder": disks.check_data_folder,
    "data sets": disks.check_data_sets,
    "weights": disks.check_weights,
    "preferences": disks.check_preferences,
    "mlflow": disks.check_mlflow,
}
"""Name -> check. A check yields what it finds; whatever it raises costs that check alone."""


def examine(asked: Surroundings) -> Iterator[tuple[str, Diagnosis]]:
    """Yield the name of each check and what it finds; nothing that code prints gets to stdout."""
    for name, check in CHECKS.items():
        found: list[Diagnosis] = []
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(action="ignore"):
            try:
                found.extend(check(asked))
            except (Exception, SystemExit) as error:  # whatever broken packages and disks raise
                text = f"could not be looked at ({describe_error(error)})"
                found.append(Diagnosis("note", text, "fix what it names"))
        for diagnosis in found:
            yield name, diagnosis
