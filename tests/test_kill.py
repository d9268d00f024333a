"""Killed at any moment, the same command gives the same figures."""

import random
import shutil
import signal
import time

import pytest

RUN = ("run", "tiny.yaml", "--no-mlflow", "--device", "cpu", "--checkpoint-seconds", "0.02")


def csv(folder):
    return [(folder / name).read_bytes() for name in ("figures.csv", "runs.csv", "curves.csv")]


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.005)


def test_killed_in_the_middle_of_training(bench_process, here):
    long = (*RUN, "base.iterations=150", "seeds=[0]")
    straight = bench_process(*long)
    _, err = straight.communicate(timeout=120)
    assert straight.returncode == 0, err
    expected = csv(here / "results" / "tiny")
    shutil.rmtree(here / "results")
    killed = bench_process(*long)
    wait_for(lambda: list(here.glob("results/tiny/*/checkpoint.pt")))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not list(here.glob("results/tiny/*.csv"))
    again = bench_process(*long)
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert "2 finished" in err
    assert csv(here / "results" / "tiny") == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(bench_process, here, number):
    long = (*RUN[:-1], "1000", "base.iterations=4000", "seeds=[0]")
    process = bench_process(*long)
    wait_for(lambda: list(here.glob("results/tiny/*/rows.jsonl")))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "checkpoint saved; continue with: bench run tiny.yaml base.iterations=4000" in err
    assert list(here.glob("results/tiny/*/checkpoint.pt"))


def test_two_jobs_share_the_work_and_give_the_same_figures(bench_process, here):
    for jobs in ("1", "2"):
        process = bench_process(*RUN, "--jobs", jobs, "--results", f"results-{jobs}")
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert err.count("results-" + jobs + "/tiny/") == 4, "each run is started once"
        assert "4 finished" in err
    assert csv(here / "results-1" / "tiny") == csv(here / "results-2" / "tiny")


def test_a_helper_stops_when_the_process_it_helps_is_killed(bench_process, here):
    long = (*RUN, "--jobs", "2", "base.iterations=100000", "seeds=[0]")
    process = bench_process(*long)
    wait_for(lambda: len(list(here.glob("results/tiny/*/rows.jsonl"))) == 2)
    process.kill()
    process.communicate(timeout=60)  # returns once nobody holds the pipes any more


@pytest.mark.slow
def test_ten_kills_at_random_moments(bench_process, here):
    text = (here / "tiny.yaml").read_text()
    metrics = "metrics: [inception_score, intra_class_diversity, class_accuracy], iterations: 300"
    (here / "tiny.yaml").write_text(text.replace("iterations: 12", metrics))
    began = time.monotonic()
    straight = bench_process(*RUN)
    _, err = straight.communicate(timeout=300)
    assert straight.returncode == 0, err
    seconds = time.monotonic() - began
    expected = csv(here / "results" / "tiny")
    shutil.rmtree(here / "results")
    moments, kills = random.Random(0), 0
    while kills < 10:
        process = bench_process(*RUN, "--jobs", str(1 + kills % 2))
        try:
            process.communicate(timeout=moments.uniform(0.1, 0.9) * seconds)
        except Exception:
            process.kill()
            process.communicate()
            kills += 1
        else:
            shutil.rmtree(here / "results")  # it got to the end: start over, to be killed again
    last = bench_process(*RUN)
    _, err = last.communicate(timeout=300)
    assert last.returncode == 0, err
    assert csv(here / "results" / "tiny") == expected
