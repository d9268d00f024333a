"""Each mistake of a beginner is one finding: the rule, the problem, the line, what helps."""

import inspect
import json
import re
from pathlib import Path

import pytest

from bench import registry
from bench.conformance import suite
from bench.conformance.findings import PAGE, check_model
from bench.errors import BenchError
from tests.conformance import faulty_models

ROOT = Path(__file__).parents[2]

FINDINGS = {
    "Untyped": ("options-are-annotated", "option 'width' needs a type annotation, since the sig"),
    "Keywords": ("options-are-annotated", "takes *args or **kwargs; options must be named"),
    "UnknownAnnotation": ("options-are-annotated", "options have types that YAML can hold"),
    "NoSuperInit": ("model-can-be-built", "begin __init__ with super().__init__()"),
    "LooksAtValues": ("model-can-be-built", "a constructor must not look at values"),
    "NoSample": ("model-can-be-built", "with abstract method sample; write it"),
    "NoSpec": ("model-can-be-built", "the first argument is the shape of the data, spec: DataSpec"),
    "RaisesInInit": ("model-can-be-built", "TypeError: empty(): argument 'size'"),
    "ForgottenParameter": (
        "players-own-what-is-trained",
        "belong to no player: scale; put them into child mod",
    ),
    "ParameterTwice": ("players-own-what-is-trained", "returns a parameter twice for 'mean'"),
    "PlayersAsGenerators": ("players-own-what-is-trained", "write list(self.MODULE.parameters())"),
    "PlayersAsModules": ("players-own-what-is-trained", "returns list for 'mean', not a list of p"),
    "NoStages": ("stages-name-players", 'write stages = (Stage("main", ("PLAYER", ...)),)'),
    "StringPlayers": ("stages-name-players", "are a string; write ('mean',)"),
    "StageNoTuple": ("stages-name-players", "not a tuple; write (Stage(...),)"),
    "UnknownPlayer": ("stages-name-players", "moves ['critic'], which are not players; the play"),
    "NoObjective": ("objective-names-players", 'write objective = {"PLAYER": {"TERM": 1.0}}'),
    "UnknownPlayerInObjective": ("objective-names-players", "has weights for ['critic']"),
    "TwoStagesOfOneName": ("stages-name-players", "two stages have one name; terms() could not"),
    "OwnProgress": ("players-own-what-is-trained", "progress is that of the training"),
    "HiddenStateLate": ("resume-is-exact", "belongs into buffers (register_buffer)"),
    "MovesInFinish": ("finishing-repeats-itself", "changes the parameter mean.0.weight"),
    "AverageOfNobody": ("average-names-players", "of ['generator'], which are not players"),
    "NumpyInitialization": ("models-start-equal", "scale differs between two models of one seed"),
    "UnusedPlayer": ("players-move-in-a-stage", "the players ['head'] move in no stage"),
    "TermNotReturned": ("terms-are-scalars", "return them, or take them out of the objective"),
    "UnknownTerm": ("terms-are-scalars", "did not return the wanted terms smal; it returned recon"),
    "NotANumber": ("terms-are-scalars", "'small' is torch.float32 [] nan, expected one finite"),
    "TermOfSeveral": ("terms-are-scalars", "returned [16, 1, 8, 8] numbers as term 'small'; take"),
    "WrongType": ("terms-are-scalars", "is torch.float64"),
    "NoTensor": ("terms-are-scalars", "returned float as term 'small', not a tensor"),
    "NoMapping": ("terms-are-scalars", "returned Tensor, not a dict term -> tensor"),
    "WrongSize": ("terms-are-scalars", "The size of tensor a (8) must match the size of tensor b"),
    "SumWithNone": ("terms-are-scalars", "unsupported operand type(s) for +: 'Tensor' and 'None"),
    "HardCuda": ("terms-are-scalars", "device=batch.x.device, not 'cuda'"),
    "NumpyRandom": ("terms-draw-from-torch", "use torch.rand"),
    "PythonRandom": ("terms-draw-from-torch", "use torch.rand"),
    "MovesParameters": ("terms-leave-no-trace", "changes the parameters mean.0.weight"),
    "AssignsBuffer": ("terms-leave-no-trace", "assigns another tensor to the buffers past"),
    "Evaluates": ("terms-leave-no-trace", "switches , mean, mean.0 between training and eval"),
    "TrainsFrozen": ("terms-leave-no-trace", "switches features, features.0, features.1 between"),
    "WritesBatch": ("terms-leave-no-trace", "writes into batch.x, which later passes may see"),
    "NoiseIfWanted": ("terms-ignore-what-else-is-wanted", "that does not depend on `wanted`"),
    "ListOfModules": (
        "terms-use-only-parameters-of-the-model",
        "2 parameters, of shape [1, 3],",
    ),
    "Detached": ("terms-reach-their-players", "is something detached on the way?"),
    "DetachedTerm": ("terms-reach-their-players", "player 'mean' descends 'small' in stage 'main'"),
    "CountsCalls": ("resume-is-exact", "belongs into buffers (register_buffer)"),
    "StateInAttribute": ("resume-is-exact", "belongs into buffers (register_buffer)"),
    "BufferMadeInFinish": ("finishing-repeats-itself", "which was nothing; make it in __init__"),
    "FinishesInAttribute": ("finishing-repeats-itself", "keep what finish() makes in buffers"),
    "OptionWithoutGenerator": ("samples-can-be-drawn-in-every-way", "with noisy=True, the same"),
    "EmptyInFinish": ("finishing-repeats-itself", "finish() makes share not finite"),
    "WrongShape": ("samples-fit-the-data", "sample() returned [6, 64], not [6, 1, 8, 8]"),
    "NoGenerator": ("samples-fit-the-data", "takes 2 positional arguments but 3 were given"),
    "OutOfRange": ("samples-fit-the-data", "samples range from -1 to 5, not in [-1, 1]"),
    "Dropout": ("samples-leave-no-trace", "switches , mean, mean.0, mean.1 between training and"),
    "TrainingModeInSample": ("samples-leave-no-trace", "it is called in evaluation mode"),
    "CountsSamples": ("samples-leave-no-trace", "changes drawn; samples must not depend on how"),
    "NumpyRandomSamples": ("samples-follow-their-generator", "use torch.rand"),
    "IgnoresGenerator": ("samples-follow-their-generator", "draw with generator=generator"),
    "DefaultGenerator": ("samples-follow-their-generator", "drew from the default generator"),
    "OnTheLabelsDevice": (
        "samples-are-drawn-on-the-generators-device",
        "torch.randn(..., generator=generator).to(y.device)",
    ),
    "DecodesOutOfRange": ("codes-fit-the-data", "to 255, not in [-1, 1]; x / 127.5 - 1 maps"),
    "NoisyCode": ("codes-have-no-noise", "another code at the second call; return the mean"),
    "CodeOfBatch": ("codes-have-no-noise", "if the examples come in another order"),
    "CodeIsNotTheMean": ("posteriors-fit-their-codes", "not the mean of the irrelevant posterior"),
    "OneLogitTooFew": ("class-logits-fit-the-data", "class_logits() returned"),
    "ClassifiesDraws": ("class-logits-fit-the-data", "other values at the second call"),
    "SwitchesInPlace": ("attributes-are-welcome", "attribute: switching 'odd' wrote into the code"),
    "OnTheCPU": ("everything-runs-on-a-gpu", "mul takes tensors of the CPU and of the GPU"),
}
NOTES = {
    "Item": ("no-stage-waits-for-a-gpu", "reads a value back"),
    "ReadsValues": ("no-stage-waits-for-a-gpu", "reads a value back"),
    "ZeroToOne": ("samples-use-the-whole-range", "no pixel of 30 samples is"),
    "NormalizedByBatch": ("samples-ignore-each-other", "a batch norm without running statistics"),
}
SPEED = suite.stages_compile_as_one_graph


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    target = faulty_models.__name__
    table = {name: registry.Registration(f"{target}:{name}", "") for name in vars(faulty_models)}
    tables = registry.BUILT_IN | {"model": table}
    monkeypatch.setattr(registry, "registered", lambda kind: tables[kind])


@pytest.fixture
def no_compilation(monkeypatch):
    """Leave out the check that takes seconds."""
    checks = {check: about for check, about in suite.CHECKS.items() if check is not SPEED}
    monkeypatch.setattr(suite, "CHECKS", checks)


@pytest.mark.parametrize("name", ["Sound", "ZeroOutput", "Encoding", "Switching"])
@pytest.mark.usefixtures("no_compilation")
def test_a_sound_model_conforms(name):
    assert {finding.outcome for finding in check_model(name)} == {"ok", "n/a"}


@pytest.mark.parametrize("name", FINDINGS | NOTES)
@pytest.mark.usefixtures("no_compilation")
def test_a_mistake_is_one_finding_with_its_line(name):
    (found,) = (f for f in check_model(name) if f.outcome not in ("ok", "n/a"))
    rule, problem = (FINDINGS | NOTES)[name]
    assert (found.rule, found.outcome) == (rule, "FAIL" if name in FINDINGS else "note"), found
    assert problem in found.text
    lines, first = inspect.getsourcelines(getattr(faulty_models, name))
    marked = [first + n for n, line in enumerate(lines) if line.rstrip().endswith("# here")]
    file = faulty_models.__file__
    if marked:
        assert any(re.search(rf"{file}:{n}\b", f"{found.text} {found.place}") for n in marked), (
            found
        )
    elif name in FINDINGS:
        assert found.place.startswith(f"{file}:")


def test_what_is_no_model_is_refused():
    with pytest.raises(BenchError, match=r"is not a subclass of .*ConditionalGenerator; derive it"):
        next(check_model("NotASubclass"))


def test_findings_as_json(bench):
    status, out, _ = bench("check", "WrongShape", "--json")
    assert status == 1
    found = [row for row in json.loads(out) if row["outcome"] == "FAIL"]
    assert [row["rule"] for row in found] == ["samples-fit-the-data"]
    assert found[0]["sentence"] == suite.RULES["samples-fit-the-data"]
    assert found[0]["page"] == "docs/guide/rules.md#samples-fit-the-data"
    assert found[0]["place"].startswith(f"{faulty_models.__file__}:")


def test_every_rule_is_listed_explained_and_broken_by_a_mistake(bench):
    explained = re.findall(r"^### (\S+)$", (ROOT / PAGE).read_text(), re.MULTILINE)
    assert explained == list(suite.RULES)
    assert [line.split()[0] for line in bench("list", "rules")[1].splitlines()] == explained
    assert all(" " in sentence for sentence in suite.RULES.values())
    broken = {rule for rule, _ in (FINDINGS | NOTES).values()}
    assert set(suite.RULES) - broken == {
        "players-get-the-gradients-of-their-own-terms",  # these are in test_suite.py
        "players-move-only-their-own",
        "frozen-modules-stay-as-they-are",
        "training-lowers-reconstruct",
        "switching-changes-one-attribute",
        "stages-compile-as-one-graph",
        "examples-without-label-are-welcome",
    }


RUNS = {
    "WrongSize": "RuntimeError: The size of tensor a (8) must match the size of tensor b (64)",
    "TermNotReturned": "BenchError: stage 'main' of TermNotReturned did not return the wanted",
    "WrongShape": "BenchError: sample() returned torch.float32 [9, 64], not float [9, 1, 8, 8]",
}


@pytest.mark.parametrize("name", RUNS)
def test_the_reason_of_a_failed_run_names_the_line(bench, here, name):
    (here / "s.yaml").write_text(
        "name: s\nseeds: [0]\nbase:\n"
        f"  {{model: {name}, data: blobs, iterations: 2, batch_size: 8, samples_per_class: 3}}\n"
    )
    status, _, err = bench("run", "s.yaml", "--no-mlflow", "--device", "cpu")
    assert status == 1, err
    reason = next(line for line in err.splitlines() if RUNS[name] in line)
    assert f"({faulty_models.__file__}:" in reason
    assert "Traceback" not in err
