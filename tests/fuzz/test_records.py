"""One damaged file in the record is one message and one run left out, whatever the command."""

import random
import shutil
import signal
import traceback
from pathlib import Path

import pytest

from bench.cli import main
from tests.fuzz.damage import DAMAGES
from tests.made_once import METRICS, RUN, copy_tiny_sweep

PUBLISHED = Path(__file__).parents[2] / "results" / "published" / "quickstart"
SECONDS = 120  # that no command takes
FAST = 100  # damages in the fast test; every fifth with a command that takes longer

FILES = (
    *("config.json", "provenance.json", "execution.json", "done", "failed", "progress.json"),
    *("evaluation.jsonl", "rows.jsonl", "cost.jsonl", "timings.jsonl", "log.txt", "lock"),
    *("samples.npz", "samples.png", "pictures.npz", "model.pt"),
)
OF_THE_SWEEP = ("sweep.json",)
OF_THE_PUBLICATION = ("sweep.json", "origins.json", "runs.csv", "measurements.csv", "cost.csv")

READING = {
    "status": ("status",),
    "report": ("report",),
    "page": ("report", "tiny", "--page"),
    "csv": ("report", "--all", "--format", "csv"),
    "figure": ("figure", "seeds"),
    "compare": ("compare", "tiny/cvae", "tiny/lr_livae"),
    "export": ("export", "tiny"),
    "dry run": (*RUN, METRICS, "--dry-run"),
    "publish": ("publish", "tiny", "--to", "published"),
}
WORKING = {
    "figures": ("figure", "--all", "tiny"),
    "run": (*RUN, METRICS),
    "retry": (*RUN, METRICS, "--retry-failed"),
    "verify": ("verify", "tiny"),
    "rerun": ("rerun", "{run}"),
    "evaluate": ("evaluate", "{run}", "--metric", "class_accuracy", "--record"),
    "row": ("evaluate", "{run}", "--metric", "class_accuracy", "--name", "a"),
    "import": ("import", "whole.tar.gz"),
}
COMMANDS = READING | WORKING


def targets():
    """Every file that may be damaged, relative to the results."""
    return [*(("run", name) for name in FILES), *(("control", name) for name in FILES)] + [
        ("sweep", name) for name in OF_THE_SWEEP
    ]


def begin(here):
    """Make a whole sweep; return its folder and that of a run and of a control."""
    folder = copy_tiny_sweep(here)
    run = min(path.parent for path in folder.glob("*/model.pt"))
    return {"sweep": folder, "run": run, "control": next(folder.glob("real-*"))}


def broken(words, capsys):
    """Run a command; return what is wrong with how it ended, if anything is."""

    def too_long(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    status = 0
    try:
        main(list(words))
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        return traceback.format_exc()
    finally:
        signal.alarm(0)
    shown = capsys.readouterr()
    if status not in (0, 1, 2) or "Traceback" in shown.out + shown.err:
        return f"status {status}: {shown.out[-800:]} {shown.err[-800:]}"
    return ""


def damaged(here, target, name, seed, commands, capsys):
    """Damage one file and try commands; return those that broke."""
    here.mkdir(exist_ok=True)
    kind, file = target
    folders = begin(here)
    shutil.copy(ARCHIVE[0], here / "whole.tar.gz")
    draw = random.Random(f"{target} {name} {seed}")
    DAMAGES[name](folders[kind] / file, draw)
    run = str(folders["run"].relative_to(here))
    problems = []
    for command in commands:
        words = [run if word == "{run}" else word for word in COMMANDS[command]]
        if text := broken(words, capsys):
            problems.append(f"{kind}/{file}, {name}, {command}:\n{text}")
    return problems


ARCHIVE = []


@pytest.fixture
def archive(here, bench):
    if not ARCHIVE:
        copy_tiny_sweep(here)
        bench("export", "tiny", "--weights", "--to", "whole.tar.gz")
        ARCHIVE.append(here / "whole.tar.gz")
        shutil.rmtree(here / "results")


def try_all(here, monkeypatch, capsys, cases):
    problems = []
    spec = (here / "tiny.yaml").read_text()
    for number, (target, name, seed, commands) in enumerate(cases):
        place = here / str(number)
        place.mkdir()
        (place / "tiny.yaml").write_text(spec)
        monkeypatch.chdir(place)
        problems += damaged(place, target, name, seed, commands, capsys)
        shutil.rmtree(place)
    monkeypatch.chdir(here)
    assert not problems, f"{len(problems)}:\n\n" + "\n".join(problems[:8])


def test_a_damaged_file_ends_no_command_that_reads(archive, here, monkeypatch, capsys):
    draw = random.Random(0)
    longer = [name for name in READING if name not in ("page", "figure", "csv")]
    cases = [
        (draw.choice(targets()), draw.choice(sorted(DAMAGES)), number, ["status"])
        if number % 5
        else (draw.choice(targets()), draw.choice(sorted(DAMAGES)), number, [draw.choice(longer)])
        for number in range(FAST)
    ]
    try_all(here, monkeypatch, capsys, cases)


@pytest.mark.slow
@pytest.mark.parametrize("target", targets(), ids="/".join)
def test_every_damage_of_every_file_ends_no_command(archive, here, monkeypatch, capsys, target):
    cases = [(target, name, 0, COMMANDS) for name in DAMAGES]
    try_all(here, monkeypatch, capsys, cases)


@pytest.mark.parametrize("name", OF_THE_PUBLICATION)
def test_a_damaged_publication_is_left_out(here, monkeypatch, capsys, name):
    draw = random.Random(name)
    for damage in draw.sample(sorted(DAMAGES), 5):
        folder = here / "published" / "quickstart"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(PUBLISHED, folder)
        DAMAGES[damage](folder / name, draw)
        for words in (("status",), ("report",)):
            text = broken([*words, "--results", str(here / "published")], capsys)
            assert not text, f"{name}, {damage}: {text}"
