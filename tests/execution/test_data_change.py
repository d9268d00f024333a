"""Results from other data than the present ones are refused, copied nowhere and never averaged."""

import json
import re
import shutil

import pytest

from tests.made_once import copy_faces_sweep, draw_faces

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
    assert "say name=ANOTHER or keep the new data at another path" in err
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
