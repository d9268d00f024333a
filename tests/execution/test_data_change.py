"""Results from other data than the present ones are refused, copied nowhere and never averaged."""

import json
import re
import shutil

import pytest

from tests.made_once import FACES, copy_faces_sweep, draw_faces

RUN = ("run", "faces.yaml", "--no-mlflow", "--device", "cpu")


@pytest.fixture
def faces(here):
    """The folder of a sweep on images that have changed since its first seed was trained."""
    folder = copy_faces_sweep(here)
    draw_faces(here / "faces", seed=1)
    return folder


def fingerprints(folder):
    origins = [json.loads(path.read_text()) for path in folder.glob("*/provenance.json")]
    return {origin["data_fingerprint"] for origin in origins}


@pytest.mark.parametrize("words", [["seeds=[0, 1]"], [], ["seeds=[0, 1]", "--dry-run"]])
def test_a_sweep_does_not_go_on_with_other_data(bench, faces, words):
    before = sorted(faces.rglob("*"))
    status, _, err = bench(*RUN, *words)
    assert status == 2
    [then] = fingerprints(faces)
    assert "results/faces holds results from other data" in err
    assert re.search(rf"fingerprint {then[:12]}: real folder \(\S+\), cvae, seed 0 \(", err)
    assert re.search(r"fingerprint [0-9a-f]{12}: what is here now", err)
    assert "set name=ANOTHER or keep the new data at another path" in err
    assert sorted(faces.rglob("*")) == before, "nothing was started"


def test_unlabeled_data_count_as_well(bench, here):
    copy_faces_sweep(here)
    draw_faces(here / "more", seed=2)
    more = (
        "base.unlabeled={name: folder, path: more, image_size: 8, channels: 1, test_per_class: 2}"
    )
    words = (*RUN, "name=semi", "base.model={name: ccvae, relevant: 6, irrelevant: 4}", more)
    status, _, err = bench(*words)
    assert status == 0, err
    draw_faces(here / "more", seed=3)
    status, _, err = bench(*words, "seeds=[0, 1]")
    assert status == 2
    assert "  data folder more\n" in err
    assert "data folder faces" not in err


def test_the_same_data_and_those_of_records_without_fingerprints_count_as_equal(bench, here):
    folder = copy_faces_sweep(here)
    status, _, err = bench(*RUN)
    assert status == 0
    assert "nothing to do: all 1 runs are done" in err
    for origin in folder.glob("*/provenance.json"):
        content = json.loads(origin.read_text())
        del content["data_fingerprint"]  # as an older version wrote it
        origin.write_text(json.dumps(content))
    draw_faces(here / "faces", seed=1)
    assert bench(*RUN)[0] == 0


def test_results_that_disagree_with_each_other_are_refused(bench, here):
    folder = copy_faces_sweep(here)
    [origin] = folder.glob("real-*/provenance.json")
    content = json.loads(origin.read_text())
    origin.write_text(json.dumps(content | {"data_fingerprint": "0" * 64}))
    status, _, err = bench(*RUN)
    assert status == 2
    assert "    fingerprint 000000000000: real folder (" in err
    assert ", which is here now: cvae, seed 0 (" in err


def test_equal_runs_on_other_data_are_not_copied(bench, faces):
    status, _, err = bench(*RUN, "name=again")
    assert status == 0, err
    [then], [now] = fingerprints(faces), fingerprints(faces.parent / "again")
    assert re.search(
        rf"not copied from results/faces/\w+: it was made from data folder faces with fingerprint "
        rf"{then[:12]}, here they have {now[:12]}",
        err,
    )
    shutil.rmtree(faces.parent / "again")
    shutil.rmtree(faces)
    copy_faces_sweep(faces.parent.parent)
    assert "copied from results/faces/" in bench(*RUN, "name=again")[2]


def test_results_from_other_data_are_not_imported_beside_each_other(bench, here, faces):
    [then] = fingerprints(faces)
    assert bench("export", "faces")[0] == 0
    shutil.rmtree(faces)
    for variant in ("cvae", "other"):  # on both sides, and on one alone
        (here / "faces.yaml").write_text(FACES.replace("cvae: {}", f"{variant}: {{}}"))
        assert bench(*RUN, "seeds=[1]")[0] == 0
        [now] = fingerprints(faces)
        before = sorted(faces.iterdir())
        status, _, err = bench("import", "faces.tar.gz")
        assert status == 2
        assert f": fingerprint {now[:12]} of results/faces/" in err
        assert f", {then[:12]} of " in err
        assert sorted(faces.iterdir()) == before, "nothing was imported"
    assert bench("import", "faces.tar.gz", "--into", "theirs")[0] == 0
    _, out, _ = bench("report", "faces", "theirs")
    assert f"faces@{now[:8]}: fingerprint {now[:12]}" in out
    assert f"faces@{then[:8]}: fingerprint {then[:12]}" in out


def test_a_run_is_not_evaluated_on_other_data_nor_a_row_continued_on_them(bench, here, faces):
    [run] = (path.parent for path in faces.glob("*/model.pt"))
    quick = ("--metric", "intra_class_diversity_native", "--device", "cpu")
    status, _, err = bench("evaluate", str(run), *quick, "--name", "again")
    assert status == 2
    assert "the data set 'faces' is not the one that" in err
    copy_faces_sweep(here)
    data = "{name: folder, path: faces, image_size: 8, channels: 1, test_per_class: 2}"
    words = ("evaluate", "faces", "--data", data, *quick, "--name", "theirs")
    assert bench(*words, "--seed", "0")[0] == 0
    draw_faces(here / "faces", seed=1)
    status, _, err = bench(*words, "--seed", "1")
    assert status == 2
    assert re.search(
        r"evaluations/set-\w+ \(theirs\) was measured on other data \(fingerprint", err
    )
    assert len(list(here.glob("results/evaluations/set-*"))) == 1


def test_a_study_does_not_go_on_with_other_data(bench, here):
    draw_faces(here / "faces")
    space = "{cvae: {optimizers.default.rate: {low: 1e-4, high: 1e-2}}}"
    metric = "objectives: [intra_class_diversity_native]"
    text = FACES.replace("test_per_class: 2", "test_per_class: 2, validation_fraction: 0.5")
    (here / "tune.yaml").write_text(f"{text}{metric}\nspace: {space}\ntrials: 1\n")
    words = ("tune", "tune.yaml", "--no-mlflow", "--device", "cpu")
    status, _, err = bench(*words)
    assert status == 0, err
    draw_faces(here / "faces", seed=1)
    status, _, err = bench(*words, "trials=2")
    assert status == 2
    assert "trial 0, seed 0 (" in err
    assert "what is here now" in err
