import recorded

from bench.reporting.records import load_records
from bench.reporting.status import status_text


def test_a_finished_sweep_is_one_line(tmp_path):
    recorded.write_sweep(tmp_path)
    text = status_text(load_records(tmp_path))
    assert text == "quickstart: 7 done, 0 failed, 0 unfinished, 0 missing"


def test_what_is_not_done_is_named_with_what_finishes_it(tmp_path):
    recorded.write_sweep(
        tmp_path, states={("cvae", 1): "failed", ("lr_livae", 2): "missing", "real": "unfinished"}
    )
    records = load_records(tmp_path)
    cvae, lr_livae = records.runs["run"][1], records.runs["run"][5]
    assert status_text(records).splitlines() == [
        "quickstart: 4 done, 1 failed, 1 unfinished, 1 missing",
        f"  {cvae}  cvae              seed 1   failed: bench.errors.RunFailed: main/reconstruct "
        "is nan at step 40",
        f"  {lr_livae}  lr_livae          seed 2   missing",
        "  real-0a1b2c3d4e5f  real test images           unfinished",
        "  bench run sweeps/quickstart.yaml --retry-failed",
        "  bench run sweeps/quickstart.yaml",
    ]


def test_nothing_says_how_to_begin(tmp_path):
    assert "begin with: bench run" in status_text(load_records(tmp_path))
