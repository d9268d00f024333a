"""Trainings that start from the weights of a finished run."""

import json
import shutil

import pytest
import torch
from torch import nn

from bench.errors import BenchError, SpecError
from bench.evaluation.trained_weights import load_weights
from bench.spec.completion.start_from import taken_names
from bench.spec.run_config import complete_settings, recorded_training
from bench.spec.sweep_file import load_sweep
from bench.spec.validation import KeyProblem
from bench.training.trainer import Trainer, build_model
from tests.made_once import copy_tiny_sweep

CPU = torch.device("cpu")
MODEL = {"name": "cvae", "width": 0.25, "latent": 4}
FINE = """\
name: fine
base: {model: {name: cvae, width: 0.25, latent: 4}, data: blobs, iterations: 4, batch_size: 16,
       samples_per_class: 3, metrics: [class_accuracy], controls: []}
seeds: [0]
variants:
  anew: {}
  fine: {start_from: {run: results/tiny, variant: cvae}}
  decoder: {start_from: {run: results/tiny, variant: cvae, players: [decoder]}}
"""
RUN = ("run", "fine.yaml", "--no-mlflow", "--device", "cpu")


@pytest.fixture
def tiny(here):
    (here / "fine.yaml").write_text(FINE)
    return copy_tiny_sweep(here)


def run_of(sweep, variant="cvae"):
    plan = json.loads((sweep / "sweep.json").read_text())
    [found] = [entry["id"] for entry in plan["runs"] if entry["variant"] == variant]
    return sweep / found


def completed(start, **settings):
    brief = {"model": MODEL, "data": "blobs", "seed": 0, "iterations": 4, "batch_size": 16}
    return complete_settings(brief | {"start_from": start} | settings)


def trainer_of(run, folder):
    return Trainer(run.training, run.source().load(), folder, CPU)


def test_the_content_of_the_weights_is_part_of_the_id(tiny):
    plain, folder = completed(None), run_of(tiny)
    assert "start_from" not in plain.canonical
    run = completed({"run": f"results/../results/tiny/{folder.name}"})
    start = run.canonical["start_from"]
    assert start["run"] == f"results/tiny/{folder.name}"
    assert start["origin"]["id"] == folder.name
    assert start["players"] == ["encoder", "decoder"]
    of_variant = completed({"run": "results/tiny", "variant": "cvae"})
    assert of_variant.canonical["start_from"]["origin"] == start["origin"]
    some = completed({"run": "results/tiny", "variant": "cvae", "players": ["decoder"]})
    torch.save(
        {n: v + 1 for n, v in load_weights(folder / "model.pt").items()}, folder / "model.pt"
    )
    changed = completed({"run": "results/tiny", "variant": "cvae"})
    assert len({run.id for run in (plain, of_variant, some, changed)}) == 4
    shutil.rmtree(tiny)  # what is on record needs nothing of the other run
    recorded = recorded_training(run.canonical)
    assert complete_settings(recorded.model_dump(mode="json")).id == run.id


def test_a_training_begins_with_the_weights_of_the_players(tiny, tmp_path):
    theirs = load_weights(run_of(tiny) / "model.pt")
    for players in (["encoder", "decoder"], ["decoder"]):
        run = completed({"run": "results/tiny", "variant": "cvae", "players": players})
        fresh = build_model(run.training, run.source().load(), CPU).state_dict()
        trainer = trainer_of(run, tmp_path)
        assert trainer.start == 0
        for name, value in trainer.model.state_dict().items():
            expected = theirs if name.split(".")[0] in players else fresh
            assert torch.equal(value, expected[name]), name
        assert any(not torch.equal(fresh[name], theirs[name]) for name in fresh)


@pytest.mark.parametrize("change", ["changed", "absent"])
def test_weights_that_have_changed_since_are_refused_when_a_run_starts(tiny, tmp_path, change):
    run, weights = completed({"run": "results/tiny", "variant": "cvae"}), run_of(tiny) / "model.pt"
    weights.write_bytes(b"something else") if change == "changed" else weights.unlink()
    words = "has changed .SHA-256 is" if change == "changed" else "was removed since"
    with pytest.raises(BenchError, match=words):
        trainer_of(run, tmp_path)


def test_on_other_classes_the_players_that_fit_can_be_taken(tiny, tmp_path):
    livae = {"name": "lr_livae", "width": 0.25, "relevant": 4, "irrelevant": 4}
    other = {"data": {"name": "blobs", "classes": 5}, "model": livae}
    start = {"run": "results/tiny", "variant": "lr_livae"}
    with pytest.raises(KeyProblem) as caught:
        completed(start, **other)
    text = str(caught.value)
    assert "does not fit LrLiVAE: shapes differ: " in text
    fitting = text.rpartition("players that can be taken: ")[2].split(", ")
    assert {"encoder_s", "decoder"} <= set(fitting)
    run = completed(start | {"players": fitting}, **other)
    trainer_of(run, tmp_path).train()


@pytest.mark.parametrize(
    ("start", "key", "words"),
    [
        ({}, "run", ["is required"]),
        ({"run": "results/tiny", "variant": "cvae", "player": []}, "player", ["'players'"]),
        ({"run": "results/tiny", "variant": "cvae", "players": []}, "players", ["at least 1"]),
        ({"run": "results/tinny"}, "run", ["no folder results/tinny", "did you mean results/tiny"]),
        ({"run": "nowhere/tiny"}, "run", ["no folder nowhere/tiny"]),
        ({"run": "tiny.yaml"}, "run", ["tiny.yaml is a file"]),
        ({"run": "results"}, "run", ["neither a run nor a sweep", "results/SWEEP/ID"]),
        ({"run": "results/tiny"}, "run", ["a sweep", "variant: NAME", "cvae, lr_livae"]),
        ({"run": "results/tiny", "variant": "cvea"}, "variant", ["did you mean 'cvae'"]),
        ({"run": "RUN", "variant": "cvae"}, "variant", ["the folder of one run; leave this out"]),
        (
            {"run": "RUN", "players": ["decodr"]},
            "players.0",
            ["did you mean 'decoder'", "players of this model"],
        ),
        (
            {"run": "results/tiny", "variant": "lr_livae", "players": ["encoder"]},
            "players.0",
            ["unknown player 'encoder'", "encoder_s", "players of results/tiny/"],
        ),
        (
            {"run": "results/tiny", "variant": "lr_livae"},
            "run",
            ["does not fit CVAE", "it lacks encoder.first.weight, ", "can be taken: none"],
        ),
    ],
)
def test_what_cannot_be_started_from_is_named(tiny, start, key, words):
    if start.get("run") == "RUN":
        start = start | {"run": str(run_of(tiny))}
    with pytest.raises(KeyProblem) as caught:
        completed(start)
    assert ".".join(map(str, caught.value.parts[0].path)) == f"start_from.{key}"
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda run: (run / "done").unlink(), None),  # trained, not measured
        (lambda run: (run / "failed").write_text("ValueError: no\n"), "failed: ValueError: no"),
        (lambda run: shutil.rmtree(run), "is missing; finish training it first"),
        (lambda run: (run / "model.pt").unlink(), "no weights here (model.pt)"),
        (
            lambda run: [(run / n).unlink() for n in ("done", "model.pt")],
            "is unfinished; finish training",
        ),
        (lambda run: (run / "model.pt").write_bytes(b"x"), "model.pt is damaged"),
        (lambda run: (run / "config.json").write_text("{"), "config.json"),
        (lambda run: (run.parent / "sweep.json").write_text("{"), "sweep.json"),
    ],
    ids=["trained", "failed", "missing", "no weights", "unfinished", "weights", "config", "sweep"],
)
def test_only_a_finished_run_is_started_from(tiny, damage, words):
    damage(run_of(tiny))
    start = {"run": "results/tiny", "variant": "cvae"}
    if words is None:
        assert completed(start).training.start_from.origin
        return
    with pytest.raises(KeyProblem) as caught:
        completed(start)
    assert words in str(caught.value)


def test_each_seed_starts_from_its_own_run(here, tiny):
    path = here / "fine.yaml"
    with pytest.raises(SpecError) as caught:
        load_sweep(path, ["seeds=[0, 1]"])
    text = str(caught.value)
    assert "fine.yaml:7: start_from.run: results/tiny has no run of 'cvae' with the seed 1" in text
    assert "only with 0" in text
    again = run_of(tiny)
    shutil.copytree(again, tiny / "another")
    document = json.loads((tiny / "another" / "config.json").read_text())
    (tiny / "another" / "config.json").write_text(json.dumps(document | {"id": "another"}))
    plan = json.loads((tiny / "sweep.json").read_text())
    [first] = [entry for entry in plan["runs"] if entry["variant"] == "cvae"]
    plan["runs"].append(first | {"id": "another", "seed": 1})
    (tiny / "sweep.json").write_text(json.dumps(plan))
    runs = load_sweep(path, ["seeds=[0, 1]"]).runs
    origins = [r.config.training.start_from.origin.id for r in runs if r.variant == "fine"]
    assert origins == [again.name, "another"]
    folder = f"variants.fine.start_from={{run: {again}, variant: null}}"
    runs = load_sweep(
        path, ["seeds=[2, 0]", folder, "variants.decoder={iterations: 5, start_from: null}"]
    ).runs
    origins = [r.config.training.start_from.origin.id for r in runs if r.variant == "fine"]
    assert origins == [again.name] * 2


def test_buffers_go_with_the_parameters_around_them():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False))
            self.two = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
            self.frozen = nn.BatchNorm1d(2).requires_grad_(False)
            self.register_buffer("moments", torch.zeros(2))

        def players(self):
            return {name: list(getattr(self, name).parameters()) for name in ("one", "two")}

    statistics = {"running_mean", "running_var", "num_batches_tracked"}
    of = {name: {f"{name}.1.{buffer}" for buffer in statistics} for name in ("one", "two")}
    for players, buffers in [
        (["one"], of["one"]),
        (["two"], of["two"]),
        (["one", "two"], of["one"] | of["two"] | {"moments"}),
    ]:
        assert taken_names(Model(), players)[1] == buffers


def test_a_sweep_of_trainings_that_start_from_runs(bench, here, tiny):
    status, out, _ = bench(*RUN, "--dry-run")
    assert status == 0
    assert f"starts from results/tiny/{run_of(tiny).name} (decoder)" in out
    status, _, err = bench(*RUN)
    assert status == 0, err
    assert "3 finished" in err
    assert "nothing to do" in bench(*RUN)[2]
    note = "fine: cvae of tiny, the run of the same seed, players encoder, decoder"
    assert note in " ".join(bench("report", "fine")[1].split())
    run = run_of(here / "results" / "fine", "fine")
    assert bench("verify", f"fine/{run.name}", "--measurements")[0] == 0
    status, out, err = bench("rerun", f"fine/{run.name}")
    assert status == 0, err
    assert "bit-identical" in out
    assert bench("export", "fine")[0] == 0

    shutil.rmtree(tiny)
    assert note in " ".join(bench("report", "fine")[1].split())
    status, _, err = bench(*RUN)
    assert status == 2
    assert "fine.yaml:7: start_from.run: there is no folder results/tiny" in err
    status, out, err = bench("verify", f"fine/{run.name}", "--measurements")
    assert status == 0, err
    assert "note: no losses are compared: results/tiny" in err
    assert "measurements" in out
    for words in (["verify", f"fine/{run.name}"], ["rerun", f"fine/{run.name}", "--into", "x"]):
        status, _, err = bench(*words)
        assert status == 2
        assert "the weights that this run starts from, was removed since" in err
    assert bench("evaluate", str(run), "--metric", "class_accuracy", "--device", "cpu")[0] == 0
    shutil.rmtree(here / "results" / "fine")
    assert bench("import", "fine.tar.gz")[0] == 0
    assert note in " ".join(bench("report", "fine")[1].split())
