"""What a run is executed with, and that its folder says so."""

import json
from types import SimpleNamespace

import pytest
import torch

from bench.conformance.model_under_test import ModelUnderTest
from bench.errors import BenchError
from bench.execution import switch_choice
from bench.process.worker import RunOptions
from bench.spec.switches import EAGER, SwitchSet
from bench.training.switch_trials import SwitchDecision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def under_test():
    return ModelUnderTest.of("cvae", {"width": 0.25, "latent": 4})


@pytest.fixture
def settle(under_test, tmp_path, monkeypatch):
    """Settle the switches of one run; what a measurement would find is compile."""
    measured = []

    def choose(start, **how):
        measured.append(how)
        return SwitchDecision(SwitchSet(compile=True), ("compile on, 2.00 times as fast",))

    monkeypatch.setattr(switch_choice, "choose_switches", choose)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: settle.device_name)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))

    def settle(device=CPU, demanded=None, **changes):
        run = under_test.changed(**changes).run
        options = RunOptions(switches=demanded)
        worker = SimpleNamespace(device=device, options=options)
        spec, start = under_test.data.spec, lambda switches: None
        folder = tmp_path / f"seed {run.training.seed}"
        folder.mkdir(exist_ok=True)
        return switch_choice.settle_switches(run, spec, folder, worker, start, "run")

    settle.measured, settle.file = measured, tmp_path / "seed 0" / "execution.json"
    settle.device_name = "a card"
    settle.file.parent.mkdir()
    return settle


def recorded(settle):
    return json.loads(settle.file.read_text())["switches"]


def test_a_cpu_measures_nothing(settle):
    assert settle() == EAGER
    assert recorded(settle) == {"on": [], "device": "cpu", "why": ["the default on a CPU"]}
    assert not settle.measured


def test_a_gpu_measures_once_says_so_and_goes_on_with_what_it_found(settle, capsys):
    assert settle(CUDA) == SwitchSet(compile=True)
    told = "  run: executed as compile (compile on, 2.00 times as fast)\n"
    assert capsys.readouterr().err == told
    assert settle(CUDA) == SwitchSet(compile=True)
    assert len(settle.measured) == 1
    assert settle(CPU) == EAGER, "found on another kind of device"


def test_equal_runs_on_equal_devices_are_measured_once(settle, tmp_path):
    for seed in (0, 1):
        assert settle(CUDA, seed=seed) == SwitchSet(compile=True)
    assert len(settle.measured) == 1
    settle(CUDA, seed=2, precision="bfloat16")
    settle.device_name = "another card"
    settle(CUDA, seed=3)
    assert len(settle.measured) == 3
    for kept in (tmp_path / "data" / "switches").iterdir():
        kept.write_text('{"on": ["warp"]}')
    settle(CUDA, seed=4)
    assert len(settle.measured) == 4, "what is damaged is measured again"


def test_a_gpu_without_room_to_measure_is_eager(settle, monkeypatch):
    def choose(start, **how):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate\nand more")

    monkeypatch.setattr(switch_choice, "choose_switches", choose)
    assert settle(CUDA) == EAGER, "so the training goes on, in smaller parts"
    why = ["no room to try anything: CUDA out of memory. Tried to allocate"]
    assert recorded(settle)["why"] == why


def test_what_is_demanded_wins_and_is_recorded(settle):
    asked = SwitchSet(channels_last=True)
    assert settle(CPU, asked) == asked
    assert settle() == asked, "a resumed run goes on with it"
    assert settle(CPU, EAGER) == EAGER
    with pytest.raises(BenchError, match="graphs needs a CUDA device, not cpu"):
        settle(CPU, SwitchSet(graphs=True))


def test_deterministic_runs_are_eager(settle):
    assert settle(CUDA, SwitchSet(compile=True), deterministic=True) == EAGER
    assert recorded(settle)["why"] == ["deterministic"]
    assert not settle.measured


def test_what_others_recorded_stays(settle):
    settle.file.write_text('{"micro_batch": {"rows": 24, "batch_size": 96}}')
    settle()
    assert json.loads(settle.file.read_text())["micro_batch"]["rows"] == 24


def test_names_of_another_version_are_an_error(settle):
    settle()
    entry = {"switches": {"on": ["warp"], "device": "cpu"}}
    settle.file.write_text(json.dumps(entry))
    with pytest.raises(BenchError, match=r"execution.json names switches that do not exist"):
        settle()


def test_the_command_line_reaches_the_folder(bench, here):
    words = ("run", "tiny.yaml", "base.iterations=2", "seeds=[0]", "--no-mlflow")
    status, _, err = bench(*words, "--device", "cpu", "--speed", "channels_last")
    assert status == 0, err
    found = [json.loads(p.read_text()) for p in here.glob("results/tiny/*/execution.json")]
    assert [entry["switches"]["on"] for entry in found] == [["channels_last"]] * 2


def test_a_wrong_name_is_told(bench):
    status, _, err = bench("run", "tiny.yaml", "--speed", "chanels_last")
    assert status == 2
    assert "command line, --speed chanels_last: speed: unknown switch 'chanels_last'" in err
    assert "channels_last" in err
