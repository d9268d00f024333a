from bench.record.progress import ProgressFile
from bench.record.records import load_records
from bench.record.run_folder import RunFolder
from bench.reporting.status import status_text
from tests.data_recorded import recorded


def test_a_finished_sweep_is_one_line(tmp_path):
    recorded.write_sweep(tmp_path)
    text = status_text(load_records(tmp_path))
    assert text == "quickstart: 6 done; controls: 1 done"


def test_what_is_not_done_is_named_with_what_finishes_it(tmp_path):
    recorded.write_sweep(
        tmp_path,
        states={
            **{("cvae", 1): "failed", ("cvae", 2): "trained"},
            **{("lr_livae", 2): "missing", "real": "unfinished"},
        },
    )
    records = load_records(tmp_path)
    failed, trained, missing = (records.runs[place].id for place in (1, 2, 5))
    assert status_text(records).splitlines() == [
        "quickstart: 3 done, 1 trained, 1 failed, 1 missing; controls: 1 unfinished",
        f"  {failed}  cvae              seed 1   failed: bench.errors.RunFailed: main/reconstruct "
        "is nan at step 40",
        f"  {trained}  cvae              seed 2   trained",
        f"  {missing}  lr_livae          seed 2   missing",
        "  real-0a1b2c3d4e5f  real test images           unfinished",
        "  bench run sweeps/quickstart.yaml --retry-failed",
        "  bench run sweeps/quickstart.yaml",
    ]


def test_nothing_says_how_to_begin(tmp_path):
    assert "start with: bench run" in status_text(load_records(tmp_path))


def test_runs_under_way_say_how_far_they_are(tmp_path):
    states = {("cvae", 1): "unfinished", ("lr_livae", 2): "unfinished"}
    recorded.write_sweep(tmp_path, states=states)
    records = load_records(tmp_path)
    training, measuring = (records.runs[place].path for place in (1, 5))
    with RunFolder(training).locked(), RunFolder(measuring).locked():
        ProgressFile(training, iterations=800).update(200)
        ProgressFile(measuring, iterations=800).measuring()
        text = status_text(records)
    assert f"{training.name}  cvae      seed 1   running: 200 of 800 iterations" in text
    assert f"{measuring.name}  lr_livae  seed 2   running: trained, being measured" in text
    assert "running" not in status_text(records), "whoever did them has died"
