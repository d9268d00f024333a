"""Each mistake of a beginner is one finding: the rule, the problem, the line, what helps."""

import inspect

import pytest

from bench import registry
from bench.conformance.findings import check_model
from bench.errors import BenchError
from tests.conformance import faulty_models

FINDINGS = {
    "ForgottenParameter": ("has a player", "belong to no player: scale; put them into child mod"),
    "UnusedPlayer": ("has a player", "the players ['head'] move in no stage"),
    "NoStages": ("stages and objective", 'write stages = (Stage("main", ("PLAYER", ...)),)'),
    "NoObjective": ("stages and objective", 'write objective = {"PLAYER": {"TERM": 1.0}}'),
    "StringPlayers": ("stages and objective", "are a string; write ('mean',)"),
    "StageNoTuple": ("stages and objective", "not a tuple; write (Stage(...),)"),
    "UnknownPlayer": ("stages and objective", "moves ['critic'], which are not players; the play"),
    "UnknownPlayerInObjective": ("stages and objective", "has weights for ['critic']"),
    "NoSuperInit": ("can be built", "begin __init__ with super().__init__()"),
    "LooksAtValues": ("can be built", "a constructor must not look at values"),
    "NoSample": ("can be built", "with abstract method sample; write it"),
    "NoSpec": ("can be built", "the first argument is the shape of the data, spec: DataSpec"),
    "RaisesInInit": ("can be built", "TypeError: empty(): argument 'size'"),
    "TermNotReturned": ("wanted term", "return them, or take them out of the objective"),
    "UnknownTerm": ("wanted term", "did not return the wanted terms smal; it returned reconstr"),
    "NotANumber": ("finite", "'small' is torch.float32 [] nan, expected one finite"),
    "TermOfSeveral": ("0-d", "returned [16, 1, 8, 8] numbers as term 'small'; take their mean"),
    "WrongType": ("float32", "is torch.float64"),
    "NoTensor": ("tensor", "returned float as term 'small', not a tensor"),
    "NoMapping": ("wanted term", "returned Tensor, not a dict term -> tensor"),
    "WrongSize": ("wanted term", "The size of tensor a (8) must match the size of tensor b (64)"),
    "Item": ("reads the value", "torch.where in place of if"),
    "NumpyRandom": ("draw from torch", "use torch.rand"),
    "PythonRandom": ("draw from torch", "use torch.rand"),
    "Detached": ("depends on parameters", "is something detached on the way?"),
    "CountsCalls": ("Six iterations", "belongs into buffers (register_buffer)"),
    "NumpyRandomSamples": ("Samples", "use torch.rand"),
    "Dropout": ("Samples", "drew from the default generator"),
    "WrongShape": ("Samples", "sample() returned [6, 64], not [6, 1, 8, 8]"),
    "NoGenerator": ("Samples", "takes 2 positional arguments but 3 were given"),
    "OutOfRange": ("Samples", "samples range from -1 to 5, not in [-1, 1]"),
}
REFUSALS = {
    "NotASubclass": "is not a subclass of bench.training.interface.ConditionalGenerator; derive it",
    "Untyped": "option 'width' needs a type annotation, since the signature is the schema",
}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    target = faulty_models.__name__
    table = {name: registry.Registration(f"{target}:{name}", "") for name in vars(faulty_models)}
    tables = registry.BUILT_IN | {"model": table}
    monkeypatch.setattr(registry, "registered", lambda kind: tables[kind])


def test_a_sound_model_conforms():
    assert {finding.outcome for finding in check_model("Sound")} == {"ok", "n/a"}


@pytest.mark.parametrize("name", FINDINGS)
def test_a_mistake_is_one_finding_with_its_line(name):
    found = [finding for finding in check_model(name) if finding.outcome == "FAIL"]
    assert len(found) == 1, found
    rule, problem = FINDINGS[name]
    assert rule in found[0].title
    assert problem in found[0].text
    lines, first = inspect.getsourcelines(getattr(faulty_models, name))
    marked = [first + n for n, line in enumerate(lines) if line.rstrip().endswith("# here")]
    place = found[0].place.partition(",")[0]
    assert place.startswith(f"{faulty_models.__file__}:")
    assert not marked or int(place.rpartition(":")[2]) in marked


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_no_model_is_refused(name):
    with pytest.raises(BenchError) as caught:
        next(check_model(name))
    assert REFUSALS[name] in str(caught.value)


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
