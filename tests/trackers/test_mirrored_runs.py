import json

import pytest

from bench.record.records import load_records
from bench.trackers.mirrored_runs import child_runs, means_over_seeds, safe_key
from bench.trackers.mlflow import params_of
from tests.data_recorded import recorded


def test_runs_that_have_begun_are_mirrored_with_every_axis(tmp_path):
    recorded.write_sweep(tmp_path, states={("cvae", 1): "failed", ("cvae", 2): "missing"})
    found = child_runs(load_records(tmp_path))
    assert [run.name for run in found] == [
        *("cvae, seed 0", "cvae, seed 1"),
        *("lr_livae, seed 0", "lr_livae, seed 1", "lr_livae, seed 2", "real test images"),
    ]
    failed = found[1]
    assert failed.tags["state"] == "failed"
    assert failed.tags["failure"].endswith("is nan at step 40")
    axes = {"sweep": "quickstart", "variant": "cvae", "model": "cvae", "data": "digits"}
    assert axes.items() <= failed.tags.items()
    assert failed.tags["commit"] == "c0ffee"
    assert failed.config["objective.encoder_u.kl"] == 1.0


def test_metrics_are_curves_figures_costs_and_timings(tmp_path):
    recorded.write_sweep(tmp_path)
    metrics = child_runs(load_records(tmp_path))[0].metrics
    assert ("train/main/reconstruct", 1.0, 0) in metrics
    assert ("inception_score", 7.25, 800) in metrics
    assert ("timing/train_seconds", 12.5, 0) in metrics
    assert ("cost/parameters", 367552.0, 0) in metrics


def test_a_second_protocol_gets_a_key_of_its_own(tmp_path):
    real = {"inception_score": ("is[n=100]", 9.5)}
    recorded.write_sweep(tmp_path, real=real)
    found = child_runs(load_records(tmp_path))
    assert ("inception_score.protocol2", 9.5, 0) in found[-1].metrics
    assert found[-1].tags["protocol.inception_score.protocol2"] == "is[n=100]"
    assert found[0].tags["protocol.inception_score"] == recorded.IS


def test_what_has_no_value_takes_no_key_of_what_has_one(tmp_path):
    variants = {
        "cvae": {0: {"inception_score": ("is[by=nothing]", None)}},
        "lr_livae": {0: {"inception_score": ("is[by=something]", 7.0)}},
    }
    recorded.write_sweep(tmp_path, variants=variants, real=None)
    first, second = child_runs(load_records(tmp_path))
    assert first.tags["protocol.inception_score.protocol2"] == "is[by=nothing]"
    assert ("inception_score", 7.0, 800) in second.metrics


def test_digests_change_with_any_content_and_only_then(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    before = [run.digest for run in child_runs(load_records(tmp_path))]
    assert before == [run.digest for run in child_runs(load_records(tmp_path))]
    path = next(iter(sorted(folder.glob("00*/samples.png"))))
    path.write_bytes(b"another picture")
    after = [run.digest for run in child_runs(load_records(tmp_path))]
    assert [a != b for a, b in zip(before, after, strict=True)] == [True] + 6 * [False]


def test_means_over_seeds(tmp_path):
    recorded.write_sweep(tmp_path)
    found = means_over_seeds(load_records(tmp_path))
    assert found["cvae/inception_score/mean"] == 7.5
    assert found["cvae/inception_score/n"] == 3
    quantile = 4.302652729749462  # of Student's t with 2 degrees of freedom, at 97.5 %
    expected = quantile * 0.25 / 3**0.5
    assert found["cvae/inception_score/half_width"] == pytest.approx(expected, rel=1e-12)
    assert "real/inception_score/half_width" not in found


def test_long_settings_are_cut(tmp_path):
    folder = recorded.write_sweep(tmp_path, real=None)
    path = next(iter(sorted(folder.glob("00*/config.json"))))
    path.write_text(json.dumps({"id": "x", "config": {"a": {"b": "x" * 9999}, "c": []}}))
    params = params_of(child_runs(load_records(tmp_path))[0].config)
    assert len(params["a.b"]) == 500
    assert params["c"] == "[]"


def test_keys_are_safe_and_stay_different():
    keys = ["a/b", "a//b", "a=b", "a+b", "../x", "", "x" * 400, "x" * 401, "no latent adversary"]
    assert len({safe_key(key) for key in keys}) == len(keys)
    assert all(len(safe_key(key)) <= 250 for key in keys)
    assert safe_key("no latent adversary") == "no latent adversary"
