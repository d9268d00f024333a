"""Several runs as one program: each comes out as it does alone."""

import json
from dataclasses import replace
from itertools import count

import pytest
import torch

from bench import contract, registry
from bench.data import stream
from bench.errors import Interrupted, NotApplicable, RunFailed
from bench.settings import Adam, Average
from bench.training import replicas
from bench.training.journal import Journal
from bench.training.optimizers import PlayerOptimizer
from bench.training.replicas import ReplicaTrainer
from bench.training.trainer import Trainer

CPU = torch.device("cpu")
SEEDS = (0, 1, 2)
SMALL = {"width": 0.25, "relevant": 4, "irrelevant": 4}
SGD = {"default": {"name": "sgd", "rate": 1e-3}}  # Adam divides rounding by tiny gradients
FIXED = {"prior_scale": {"gm_classify": 0.0, "gm_likelihood": 0.0}}
CUT = {"decoder": {"fool": 0.0}, "critic": {"discriminate": 0.0}}
CASES = {
    "cvae": ("cvae", {"width": 0.25, "latent": 4}, {}),
    "cvae_gan": ("cvae_gan", {"width": 0.25, "latent": 4}, {}),
    "cvae_gan_bao": ("cvae_gan_bao", {"width": 0.25, "latent": 4}, {}),
    "cgan": ("cgan", {"width": 0.25, "latent": 4}, {}),
    "cgan strong": (
        "cgan",
        {"width": 0.25, "latent": 4, "cond_bn": True, "critic_steps": 2},
        {},
    ),
    "csvae": ("csvae", SMALL, {}),
    "csvae, fixed prior": ("csvae", {**SMALL, "prior": "fixed"}, {}),
    "csvae, attributes": ("csvae", {"width": 0.25}, {"data": {"name": "digit_attributes"}}),
    "ccvae": ("ccvae", {"width": 0.25}, {}),
    "ccvae, linear head": ("ccvae", {**SMALL, "head": "linear"}, {}),
    "ccvae, semi-supervised": ("ccvae", {"width": 0.25}, {"labeled_fraction": 0.5}),
    "ccvae, attributes": ("ccvae", {"width": 0.25}, {"data": {"name": "digit_attributes"}}),
    "flow_matching": ("flow_matching", {"width": 0.25}, {}),
    "flow_matching, dropped labels": ("flow_matching", {"width": 0.25, "label_dropout": 0.5}, {}),
    "lr_livae": ("lr_livae", SMALL, {}),
    "lr_livae, moments": ("lr_livae", {**SMALL, "sample_from": "moments"}, {}),
    "lr_livae, softmax": ("lr_livae", {**SMALL, "label_loss": "softmax"}, {}),
    "lr_livae, joint": ("lr_livae", {**SMALL, "joint": True}, {}),
    "lr_livae, one to one": ("lr_livae", {**SMALL, "prior_steps": 1}, {}),
    "lr_livae, fixed variances": ("lr_livae", SMALL, {"objective": FIXED}),
    "lr_livae, no discriminator": ("lr_livae", SMALL, {"objective": CUT}),
    "lr_livae, semi-supervised": ("lr_livae", SMALL, {"labeled_fraction": 0.5}),
    "lr_livae, points": ("lr_livae", {}, {"data": {"name": "moons"}}),
}
FAST = (*registry.entries("model"), "cgan strong", "lr_livae, moments", "ccvae, semi-supervised")


def subject_of(case, **changes):
    name, options, settings = CASES[case]
    return contract.make_subject(name, options, **{"iterations": 20, **settings, **changes})


def journals(subject, folder, seeds=SEEDS):
    found = []
    for seed in seeds:
        (folder / str(seed)).mkdir(parents=True, exist_ok=True)
        training = subject.training.model_copy(update={"seed": seed})
        found.append(Journal(training, folder / str(seed), f"run {seed}"))
    return found


def together(subject, folder, seeds=SEEDS, stop=lambda: False, prepare=lambda trainer: None):
    """Train as replicas; return the weights of each seed, and what ended those that failed."""
    of_runs = journals(subject, folder, seeds)
    trainer = ReplicaTrainer(of_runs, subject.data, CPU)
    prepare(trainer)
    weights = {}
    trainer.train(
        [journal.resume(CPU) for journal in of_runs],
        finished=lambda place, state: weights.__setitem__(seeds[place], state),
        failed=lambda place, error: None,
        stop=stop,
    )
    return weights, {seeds[place]: error for place, error in trainer.failures.items()}


def alone(subject, folder, seed, stop=lambda: False):
    [journal] = journals(subject, folder, [seed])
    trainer = Trainer(journal.training, subject.data, journal.folder, CPU, journal.run_id)
    return trainer.train(stop=stop).state_dict()


def after(iterations):
    steps = iter(range(1, 10_000))
    return lambda: next(steps) >= iterations


def curves(folder):
    lines = (folder / "rows.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def distance(first, second):
    assert first.keys() == second.keys()
    return max((first[name].double() - second[name].double()).abs().max().item() for name in first)


def curve_distance(first, second):
    pairs = list(zip(curves(first), curves(second), strict=True))
    assert all(a | {"value": 0} == b | {"value": 0} for a, b in pairs)
    return max(abs(a["value"] - b["value"]) / max(1, abs(a["value"])) for a, b in pairs)


@pytest.fixture
def in_double_precision(monkeypatch):
    """Let rounding be too small for a ReLU, or Adam's division by tiny gradients, to amplify."""
    to_float = stream.to_float
    monkeypatch.setattr(stream, "to_float", lambda x: to_float(x).double())
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def farthest(subject, folder, seeds=SEEDS):
    """Return how far weights, buffers and curves of replicas are from those of runs alone."""
    found, failures = together(subject, folder / "together", seeds)
    assert not failures
    far = []
    for seed in seeds:
        far.append(distance(found[seed], alone(subject, folder / "alone", seed)))
        far.append(curve_distance(*(folder / way / str(seed) for way in ("together", "alone"))))
    return max(far)


def test_every_registered_model_is_among_the_cases():
    assert {name for name, _, _ in CASES.values()} == set(registry.entries("model"))


@pytest.mark.usefixtures("in_double_precision")
@pytest.mark.parametrize(
    "case",
    [case if case in FAST else pytest.param(case, marks=pytest.mark.slow) for case in CASES],
)
def test_each_seed_comes_out_as_it_does_alone(case, tmp_path):
    assert farthest(subject_of(case), tmp_path) < 1e-5


@pytest.mark.parametrize("case", ["lr_livae", "cgan", "cvae_gan_bao", "flow_matching"])
def test_in_single_precision_nothing_but_rounding_differs(case, tmp_path):
    assert farthest(subject_of(case, optimizers=SGD), tmp_path) < 1e-5


@pytest.mark.usefixtures("in_double_precision")
def test_clipping_and_averaging_are_each_runs_own(tmp_path):
    subject = subject_of("cvae_gan", clip_norm=0.05)
    average = Average(decay=0.9, players=["encoder"])
    subject = replace(
        subject,
        run=replace(subject.run, training=subject.training.model_copy(update={"average": average})),
    )
    assert farthest(subject, tmp_path) < 1e-5


def test_bfloat16_is_refused_since_autocast_sees_other_operations(tmp_path):
    weight, x = torch.ones(2, 4, 3, 3, 3), torch.ones(2, 5, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        one = torch.nn.functional.conv2d(x[0], weight[0])
        several = torch.func.vmap(torch.nn.functional.conv2d)(x, weight)
    assert one.dtype != several.dtype, "once they agree, replicas can have bfloat16"
    with pytest.raises(NotApplicable, match="bfloat16"):
        together(subject_of("flow_matching", precision="bfloat16"), tmp_path)


def test_a_companion_changes_nothing(tmp_path):
    subject = subject_of("cgan", iterations=6, optimizers=SGD)
    first, _ = together(subject, tmp_path / "a", (0, 1, 2))
    second, _ = together(subject, tmp_path / "b", (0, 5, 2))
    assert all(distance(first[seed], second[seed]) < 1e-6 for seed in (0, 2))
    assert distance(first[1], second[5]) > 1e-3


@pytest.mark.parametrize("case", ["cvae_gan_bao", "lr_livae, moments"])
def test_one_that_is_not_finite_fails_alone(case, tmp_path):
    subject = subject_of(case, iterations=6, clip_norm=1.0, optimizers=SGD)

    def spoil(trainer):
        with torch.no_grad():
            for parameter in trainer.model.players()["decoder"]:
                parameter[1].fill_(float("nan"))

    spoilt, failures = together(subject, tmp_path / "spoilt", prepare=spoil)
    whole, _ = together(subject, tmp_path / "whole")
    assert list(failures) == [1]
    assert isinstance(failures[1], RunFailed)
    assert "was not finite at iteration 0" in str(failures[1])
    assert sorted(spoilt) == [0, 2]
    assert all(distance(spoilt[seed], whole[seed]) < 1e-6 for seed in spoilt)


def test_all_may_fail(tmp_path):
    subject = subject_of("cvae", optimizers={"default": {"rate": 1e30}})
    weights, failures = together(subject, tmp_path)
    assert not weights
    with pytest.raises(RunFailed) as alone_failed:
        alone(subject, tmp_path / "alone", 2)
    assert str(failures[2]) == str(alone_failed.value)


@pytest.mark.usefixtures("in_double_precision")
def test_a_run_goes_on_alone_as_a_replica_and_back(tmp_path):
    subject = subject_of("lr_livae, moments")
    expected, _ = together(subject, tmp_path / "straight")
    with pytest.raises(Interrupted, match="after iteration 5, checkpoint saved"):
        together(subject, tmp_path / "halted", stop=after(5))
    for seed in SEEDS:  # as each does that has no companions any more
        with pytest.raises(Interrupted, match="after iteration 9, checkpoint saved"):
            alone(subject, tmp_path / "halted", seed, stop=after(4))
    with pytest.raises(Interrupted, match="after iteration 12, checkpoint saved"):
        together(subject, tmp_path / "halted", stop=after(3))
    found = {0: alone(subject, tmp_path / "halted", 0)}
    found |= together(subject, tmp_path / "halted", (1, 2))[0]
    for seed in SEEDS:
        assert distance(found[seed], expected[seed]) < 1e-5
        assert (
            curve_distance(tmp_path / "halted" / str(seed), tmp_path / "straight" / str(seed))
            < 1e-5
        )


def test_replicas_resume_bit_by_bit(tmp_path):
    subject = subject_of("lr_livae", iterations=6)
    expected, _ = together(subject, tmp_path / "straight")
    with pytest.raises(Interrupted):
        together(subject, tmp_path / "halted", stop=after(3))
    found, _ = together(subject, tmp_path / "halted")
    assert all(distance(found[seed], expected[seed]) == 0 for seed in SEEDS)


def test_a_folder_that_cannot_be_written_ends_its_run_alone(tmp_path):
    subject = subject_of("cvae", iterations=6)

    def forbid(trainer):
        def report(done, losses=None):
            raise OSError("no space left")

        trainer.journals[0].report = report

    weights, failures = together(subject, tmp_path, prepare=forbid)
    assert sorted(weights) == [1, 2]
    assert str(failures[0]) == "no space left"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: torch.bernoulli(x.abs().clamp(max=1)), "draw random numbers in a way"),
        (lambda x: torch.nn.functional.dropout(x), "draw random numbers in a way"),
    ],
)
def test_unknown_randomness_is_refused(spoil, message, tmp_path):
    def prepare(trainer):
        model = trainer.model._alone.model
        terms = model.terms
        model.terms = lambda stage, batch, wanted: terms(
            stage, batch._replace(x=spoil(batch.x)), wanted
        )

    with pytest.raises(NotApplicable, match=message):
        together(subject_of("cvae"), tmp_path, prepare=prepare)


def test_a_buffer_that_is_assigned_anew_is_refused(tmp_path):
    def prepare(trainer):
        model = trainer.model._alone.model
        norm = next(m for m in model.modules() if hasattr(m, "running_mean"))
        terms = model.terms

        def assigning(stage, batch, wanted):
            norm.running_mean = norm.running_mean + 1
            return terms(stage, batch, wanted)

        model.terms = assigning

    with pytest.raises(NotApplicable, match="running_mean anew; buffers must be changed in place"):
        together(subject_of("cvae"), tmp_path, prepare=prepare)


def test_strides_of_gradients_do_not_matter():
    parameter = torch.nn.Parameter(torch.zeros(2, 3))
    optimizer = PlayerOptimizer([parameter], Adam(rate=1.0), iterations=1, epoch=1)
    gradient = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]]).t()
    optimizer.step([gradient], 0, None)
    assert torch.equal(parameter.detach().sign(), -gradient)


def test_the_speedup_counts_the_iterations_of_all_seeds(tmp_path, monkeypatch):
    ticks = count()
    monkeypatch.setattr(replicas.time, "perf_counter", lambda: next(ticks))
    subject = subject_of("cvae")

    def one():
        return subject.trainer(tmp_path / "alone")

    def three():
        return ReplicaTrainer(journals(subject, tmp_path / "together"), subject.data, CPU)

    assert replicas.speedup(one, three) == 3.0  # a tick for every look at the clock
    assert not list(tmp_path.glob("*/*/rows.jsonl"))
