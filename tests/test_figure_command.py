import shutil
from pathlib import Path

import pytest

from bench.cli import main
from bench.evaluation import code_pictures
from tests.conftest import TINY

PUBLISHED = Path(__file__).parents[1] / "results" / "published"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of a sweep that has run once for all tests."""
    folder = tmp_path_factory.mktemp("ran")
    (folder / "tiny.yaml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_OFFLINE", "1")
        patch.chdir(folder)
        with pytest.raises(SystemExit) as end:
            main(["run", "tiny.yaml", "seeds=[0]", "--no-mlflow"])
    assert not end.value.code
    return folder / "results"


@pytest.fixture
def ran(bench, here, results):
    """The command line, beside a copy of those results."""
    shutil.copytree(results, here / "results")
    return bench


def test_all_makes_what_the_record_allows_and_explains_the_rest(ran, here):
    status, out, err = ran("figure", "--all", "tiny")
    assert status == 0, err
    made = {path.stem for path in (here / "results/tiny/figures").glob("*.pdf")}
    assert made == {
        *("traversals", "dimensions", "swaps", "inpainting", "samples", "reconstruction"),
        "curves",
    }
    assert "toy: not made: samples of blobs are images" in err
    assert "seeds: not made: nothing was measured" in err
    assert "tradeoff: not made: intra_class_diversity and inception_score not measured" in err
    assert "Made by: bench figure swaps tiny" in out
    status, _, err = ran("figure", "toy", "tiny")
    assert (status, err.splitlines()[-1]) == (2, "error: no figure could be made")


def test_an_unknown_seed_is_named(ran):
    status, _, err = ran("figure", "samples", "tiny", "--seed", "9")
    assert (status, err) == (2, "error: unknown seed '9'; known: 0\n")


def test_missing_pictures_are_made_from_the_weights_and_are_the_same(ran, here):
    files = sorted(here.glob("results/tiny/*/pictures.npz"))
    before = [file.read_bytes() for file in files]
    assert len(before) == 2
    for file in files:
        file.unlink()
    status, _, err = ran("figure", "6", "tiny", "--variant", "lr_livae")
    assert status == 0
    assert err.count("making pictures of") == 1
    assert sum(file.exists() for file in files) == 1
    ran("figure", "swaps", "tiny")
    assert [file.read_bytes() for file in files] == before


def test_a_run_without_weights_is_explained(ran, here):
    for name in ("pictures.npz", "model.pt"):
        for file in here.glob(f"results/tiny/*/{name}"):
            file.unlink()
    status, _, err = ran("figure", "swaps", "tiny")
    assert status == 2
    text = "no pictures are there, or can be made: no weights, or other code: cVAE, Lr-LiVAE"
    assert text in err


def test_a_run_whose_pictures_fail_is_finished(bench, monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug in encode")

    monkeypatch.setattr(code_pictures, "make_pictures", fail)
    status, _, err = bench("run", "tiny.yaml", "seeds=[0]", "--no-mlflow")
    assert status == 0
    assert "no pictures of codes: a bug in encode" in err


def test_what_one_data_set_lacks_keeps_no_other_from_its_figure(bench, here):
    """Digits have no arcs, and the arcs no variant `softmax`."""
    published = ("digits", "toy", "--results", str(PUBLISHED), "--to", "made")
    arcs = ("--metric", "arc_coverage", "--metric", "arc_spread")
    status, _, err = bench("figure", "tradeoff", *published, *arcs)
    assert status == 0, err
    assert "tradeoff, digits: not made: unknown metric 'arc_coverage'" in err
    status, _, err = bench("figure", "cost", *published, "--variant", "softmax")
    assert status == 0, err
    assert "moons: none of the chosen variants is on it" in err
    assert {path.name for path in here.glob("made/*.txt")} == {
        *("tradeoff-moons.txt", "cost-digits.txt")
    }
    chosen = ("--variant", "sofmax", "--variant", "softmax")
    status, _, err = bench("figure", "cost", *published, *chosen)
    assert (status, "error: unknown variant 'sofmax' (did you mean 'softmax'?)" in err) == (2, True)
    status, _, err = bench("figure", "seeds", *published, "--metric", "arc_coverege")
    assert (status, "error: unknown metric 'arc_coverege'" in err) == (2, True)


def test_mistakes_are_explained(bench, here):
    assert "unknown figure 'swpas' (did you mean 'swaps'?)" in bench("figure", "swpas")[2]
    assert "name a figure (toy, traversals," in bench("figure")[2]
    assert "start with: bench run quickstart" in bench("figure", "swaps")[2]
    status, listed, _ = bench("list", "figures")
    assert status == 0
    assert listed == bench("figure", "--list")[1]
    assert "swaps            Figure 6: images made of the codes of two" in listed
