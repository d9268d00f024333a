"""Drills: sweeps that are disturbed for minutes and must come out as if nothing had happened."""

import os
import random
import shutil
import signal
import time
import warnings

import pytest

from tests.execution.sweeps import csv, logs, process_of, spans, wait_for

pytestmark = pytest.mark.slow

TWELVE = ("seeds=[0, 1, 2, 3, 4, 5]", "base.metrics=[class_accuracy]", "--device", "cpu")
SHORT = (*TWELVE, "base.iterations=60", "--checkpoint-seconds", "0.2")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
KILLS = 20
START = ("run", "tiny.yaml")
PATIENCE = 3000.0  # seconds; the machine may be busy with something else


@pytest.fixture
def expected(bench_process, here):
    straight = bench_process(*START, *SHORT, "--no-mlflow", "--results", "straight")
    _, err = straight.communicate(timeout=PATIENCE)
    assert straight.returncode == 0, err
    return csv(here / "straight" / "tiny")


def mirrored(results):
    """Return the names of the runs in MLflow, sorted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{results / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("bench/tiny")
        found = client.search_runs([experiment.experiment_id])
    return sorted(run.info.run_name for run in found if run.data.tags["bench.run"] != "sweep")


def check_done_once(folder):
    for run, log in logs(folder).items():
        assert log.count(" finished\n") == 1, f"{run} was done more than once:\n{log}"


def test_killing_commands_and_processes_changes_nothing(bench_process, here, expected):
    command = (*START, *SHORT, "--jobs", "2")
    folder = here / "results" / "tiny"
    moments = random.Random(0)
    told = []
    process = None
    for _ in range(KILLS):
        if process is None or process.poll() is not None:
            if process is not None:
                told.append(process.communicate()[1])
            if (folder / "measurements.csv").exists():  # it got to the end: once more
                shutil.rmtree(here / "results")
            before = {run: log.count("by process") for run, log in logs(folder).items()}
            process = bench_process(*command)
            wait_for(
                lambda p=process, b=before: (
                    p.poll() is not None
                    or any(log.count("by process") > b.get(r, 0) for r, log in logs(folder).items())
                )
            )
        time.sleep(moments.uniform(0, 1))
        busy = [log for log in logs(folder).values() if not log.endswith(" finished\n")]
        if moments.random() < 0.5 or not busy:
            process.send_signal(moments.choice(SIGNALS))
            told.append(process.communicate(timeout=120)[1])
        else:
            try:
                os.kill(process_of(moments.choice(busy)), moments.choice(SIGNALS))
            except ProcessLookupError:
                continue
    last = bench_process(*command, "--retry-failed")
    _, err = last.communicate(timeout=PATIENCE)
    assert last.returncode == 0, err
    assert not any("Traceback" in text for text in told), told
    assert csv(folder) == expected
    check_done_once(folder)
    names = mirrored(here / "results")
    assert len(names) == len(set(names)) == 13  # the real images are the thirteenth


@pytest.mark.filterwarnings("ignore")
def test_a_node_of_a_ray_cluster_may_vanish(bench_process, here, expected):
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        other = cluster.add_node(num_cpus=1)
        where = f"{{name: ray, address: '{cluster.address}'}}"
        process = bench_process(*START, *SHORT, "--executor", where)
        folder = here / "results" / "tiny"
        wait_for(lambda: len(list(folder.glob("*/checkpoint.pt"))) > 1)
        cluster.remove_node(other, allow_graceful=False)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        assert "resuming in a new process" in err
    finally:
        cluster.shutdown()
    assert csv(folder) == expected
    check_done_once(folder)
    assert len(mirrored(here / "results")) == 13


def test_two_slots_on_two_cores_beat_one_after_the_other(bench_process, here):
    if (os.cpu_count() or 1) < 2:
        pytest.skip("needs two cores")
    text = (here / "tiny.yaml").read_text().replace("blobs", "digits")
    (here / "tiny.yaml").write_text(text.replace("batch_size: 16", "batch_size: 96"))
    command = (*START, *TWELVE, "base.iterations=300", "--no-mlflow")
    seconds = {}
    for name in ("inline", "local"):
        began = time.monotonic()
        process = bench_process(*command, "--executor", name, "--jobs", "2", "--results", name)
        _, err = process.communicate(timeout=PATIENCE)
        seconds[name] = time.monotonic() - began
        assert process.returncode == 0, err
    assert csv(here / "inline" / "tiny") == csv(here / "local" / "tiny")
    tasks = [spans(log) for log in logs(here / "local" / "tiny").values()]
    whole = 2 * (max(end for _, end in tasks) - min(start for start, _ in tasks))
    idle = 1 - sum(end - start for start, end in tasks) / whole
    print(f"inline {seconds['inline']:.0f} s, local {seconds['local']:.0f} s, idle {idle:.1%}")
    assert seconds["local"] <= 0.65 * seconds["inline"]
    assert idle < 0.05
