import subprocess
import sys

import drawable
import numpy as np
import pytest
from PIL import Image

from bench.errors import NotApplicable, UnknownName
from bench.record.jsonl import write_jsonl
from bench.reporting.figures.catalog import FIGURES, find_figure
from bench.reporting.figures.files import publish
from bench.reporting.figures.tiles import GAP, tile

IMAGES = [name for name in FIGURES if name not in ("toy",)]


@pytest.fixture
def results(tmp_path):
    drawable.write(tmp_path)
    drawable.cannot(tmp_path, "cgan", list(drawable.arrays()), "the model has no encoder")
    return tmp_path


def drawn(results, name, *variants, **choice):
    return FIGURES[name].draw(drawable.view(results, *variants, **choice))


def panels(found):
    """The pictures of the panels, in the order in which they were drawn."""
    return [axes.images[0].get_array() for axes in found.figure.axes if axes.images]


def value_at(page, rows, columns, row, column, head=False):
    """The gray value in the middle of one image of a panel."""
    size = 1 + GAP
    extra = 3 * GAP * head
    high, wide = rows * size - GAP + extra, columns * size - GAP + extra
    y = (row * size + 0.5 + extra * (row > 0)) / high * page.shape[0]
    x = (column * size + 0.5 + extra * (column > 0)) / wide * page.shape[1]
    return int(page[int(y), int(x), 0])


@pytest.mark.parametrize("name", IMAGES)
def test_files_have_the_same_bytes_and_say_what_made_them(results, tmp_path, name):
    for place in "ab":
        view = drawable.view(results)
        publish(FIGURES[name], view, tmp_path / place, f"bench figure {name} fig", name)
    for form in ("pdf", "png", "txt"):
        first, second = ((tmp_path / place / f"{name}.{form}").read_bytes() for place in "ab")
        assert first == second
    assert (
        f"/Subject (bench figure {name} fig)".encode() in (tmp_path / f"a/{name}.pdf").read_bytes()
    )
    assert b"CreationDate" not in (tmp_path / f"a/{name}.pdf").read_bytes()
    with Image.open(tmp_path / f"a/{name}.png") as page:
        assert page.info["Description"] == f"bench figure {name} fig"
        assert page.size[0] in (3.3 * 300, 6.9 * 300)
        assert page.size[1] <= 9 * 300
    assert f"Made by: bench figure {name} fig" in (tmp_path / f"a/{name}.txt").read_text()


def test_a_swap_stands_right_of_its_z_s_and_below_its_z_u(results):
    found = drawn(results, "swaps")
    pages, held = panels(found), drawable.arrays()
    assert len(pages) == 2
    for row in range(3):
        at = (pages[0], 4, 4)
        assert value_at(*at, row + 1, 0, head=True) == held["originals"][row].max()
        assert value_at(*at, 0, row + 1, head=True) == held["originals"][row].max()
        for column in range(3):
            expected = held["swaps"][row, column].max()
            assert value_at(*at, row + 1, column + 1, head=True) == expected
    assert value_at(pages[0], 4, 4, 0, 0, head=True) == 255


def test_inpainting_has_a_panel_a_region_and_a_row_a_variant(results):
    found = drawn(results, "inpainting")
    pages, held = panels(found), drawable.arrays()
    assert len(pages) == 3
    for place, page in enumerate(pages):
        assert value_at(page, 4, 3, 0, 2) == held["originals"][2].max()
        assert value_at(page, 4, 3, 1, 2) == held["corrupted"][place, 2].max()
        assert value_at(page, 4, 3, 3, 2) == held["inpainting"][place, 2].max()


def test_samples_begin_with_the_real_images_and_show_who_cannot_encode(results):
    found = drawn(results, "samples")
    titles = [axes.texts[0].get_text() for axes in found.figure.axes]
    assert titles == ["Real test images", "CSVAE", "Lr-LiVAE", "cGAN"]
    assert value_at(panels(found)[1], 3, 7, 2, 1) == drawable.marked(3, 10)[2, 1].max()


def test_who_cannot_is_left_out_with_the_reason(results):
    for name in ("traversals", "dimensions", "swaps", "inpainting", "reconstruction"):
        notes = drawn(results, name).notes
        assert "Not shown, since the model has no encoder: cGAN." in notes
    with pytest.raises(NotApplicable, match="the model has no encoder: cGAN"):
        drawn(results, "swaps", "cgan")


def test_who_can_do_a_part_is_shown_where_asked_for(results):
    keys = ("traverse_relevant", "traverse_classes")
    drawable.cannot(results, "csvae", keys, "the label itself is the relevant code")
    assert len(panels(drawn(results, "traversals"))) == 3
    found = drawn(results, "traversals", "csvae", "lr_livae")
    assert len(panels(found)) == 4
    texts = [text.get_text() for axes in found.figure.axes for text in axes.texts]
    assert sum("the label itself" in text.replace("\n", " ") for text in texts) == 2


def test_models_that_are_told_the_label_are_named(results):
    held = drawable.arrays() | {"label_given": np.array(True)}
    for variant_run in sorted(results.glob("fig/0*"))[:1]:
        drawable.save_pictures(variant_run, held)
    notes = " ".join(drawn(results, "reconstruction").notes)
    assert "without which they cannot encode: CSVAE." in notes


def test_many_variants_are_limited_and_the_others_named(tmp_path):
    names = [f"variant {number:02d}" for number in range(20)]
    drawable.write(tmp_path, names)
    found = drawn(tmp_path, "swaps")
    assert len(panels(found)) == 9
    note = next(note for note in found.notes if note.startswith("Left out"))
    assert "variant 09" in note
    assert "variant 08" not in note
    assert "--variant NAME" in note
    assert len(panels(drawn(tmp_path, "swaps", *names[5:17]))) == 12
    for name in IMAGES:
        wide, high = drawn(tmp_path, name).figure.get_size_inches()
        assert wide in (3.3, 6.9)
        assert high <= 9


def test_a_seed_that_nobody_has_is_said(results):
    with pytest.raises(NotApplicable, match="no run of seed 7 is finished: CSVAE"):
        drawn(results, "swaps", seed=7)


def test_wrong_names_get_the_near_ones(results):
    with pytest.raises(UnknownName, match=r"unknown figure 'swap' .did you mean 'swaps'"):
        find_figure("swap")
    with pytest.raises(UnknownName, match=r"unknown variant 'lr_livea' .did you mean 'lr_livae'"):
        drawn(results, "swaps", "lr_livea")
    with pytest.raises(
        UnknownName, match=r"unknown metric 'inception' .did you mean 'inception_sc"
    ):
        drawn(results, "seeds", metrics=["inception"])
    assert find_figure("6").name == "swaps"


def test_every_seed_is_a_dot_and_protocols_have_panels_of_their_own(results):
    run = next(iter(sorted(results.glob("fig/0*"))))
    other = {"step": 800, "split": "samples", "metric": "inception_score", "value": 1.0}
    row = {"protocol": "another", "reason": ""}
    write_jsonl(run / "evaluation.jsonl", [other | row])
    found = drawn(results, "seeds", metrics=["inception_score"])
    titles = [axes.get_title() for axes in found.figure.axes]
    assert titles == ["Inception Score [a] ↑", "Inception Score [b] ↑"]
    second = found.figure.axes[1]
    dots = [line for line in second.lines if line.get_markersize() < 3]
    assert [list(line.get_xdata()) for line in dots[-1:]] == [[7.25, 7.5, 7.75]]


def test_cost_is_all_arithmetic_of_the_training_or_what_was_named(results):
    found = drawn(results, "cost", "csvae")
    bars = found.figure.axes[0].containers[0]
    assert bars[0].get_xdata()[0] == pytest.approx(628294176 * 800e-12)
    assert bars[0].get_ydata()[0] == pytest.approx(7.5)
    found = drawn(results, "cost", metrics=["intra_class_diversity", "train_seconds"])
    assert found.figure.axes[0].get_xlabel() == "Training (s)"
    assert any("compare within one only" in note for note in found.notes)


def test_quality_against_diversity_has_the_real_point_and_every_name(results):
    found = drawn(results, "tradeoff")
    names = [text.get_text() for text in found.figure.axes[0].texts]
    assert names == ["CSVAE", "Lr-LiVAE", "cGAN", "real images"]


def test_the_toy_shows_moments_of_the_training_where_they_were_kept(tmp_path):
    folder = drawable.write(tmp_path, points=True)
    found = drawn(tmp_path, "toy")
    assert any("snapshots" in note for note in found.notes)
    titles = [axes.get_title() for axes in found.figure.axes]
    assert titles[:4] == ["real test points", "CSVAE", "Lr-LiVAE", "cGAN"]
    first = sorted(folder.glob("0*"))[0]
    for step in (100, 400):
        (first / f"snapshots/{step}").mkdir(parents=True)
        (first / f"snapshots/{step}/samples.npz").write_bytes((first / "samples.npz").read_bytes())
    coverage = {"split": "samples", "metric": "arc_coverage", "protocol": "arcs", "reason": ""}
    rows = [coverage | {"step": step, "value": step / 10} for step in (100, 400, 800)]
    write_jsonl(first / "evaluation.jsonl", rows)
    found = drawn(tmp_path, "toy", "csvae")
    assert [axes.get_title() for axes in found.figure.axes] == [
        "iteration 100",
        "iteration 400",
        "iteration 800",
    ]
    assert [axes.texts[-1].get_text() for axes in found.figure.axes] == ["10 %", "40 %", "80 %"]


def test_figures_on_validation_images_are_in_no_figure(tmp_path):
    folder = drawable.write(tmp_path, ("csvae",), points=True)
    for path in folder.glob("*/evaluation.jsonl"):
        row = {"step": 800, "metric": "arc_coverage", "protocol": "arc[r=0.1]", "reason": ""}
        held = {"validation": 11.0, "samples": 77.0}
        rows = [row | {"split": split, "value": value} for split, value in held.items()]
        write_jsonl(path, rows)
    found = drawn(tmp_path, "toy")
    texts = [text.get_text() for axes in found.figure.axes for text in axes.texts]
    assert texts == ["77 %"]
    assert "CSVAE 77.0 ± 0.0." in " ".join(found.notes)
    assert drawable.view(tmp_path).measures()[0].title == "Arc coverage (%)"


def test_points_are_no_images_and_images_no_points(results, tmp_path):
    with pytest.raises(NotApplicable, match="samples of digits are images"):
        drawn(results, "toy")
    drawable.write(tmp_path / "points", points=True)
    with pytest.raises(NotApplicable, match="see the figure toy for points"):
        drawn(tmp_path / "points", "samples")


def test_pixels_are_enlarged_by_a_whole_number():
    images = np.random.default_rng(0).integers(0, 256, (1, 2, 8, 8, 3), dtype=np.uint8)
    page = tile(images)
    assert (page[:96, :96] == images[0, 0].repeat(12, axis=0).repeat(12, axis=1)).all()
    assert (page[:, 96:104] == 255).all()
    with pytest.raises(ValueError, match=r"must be uint8 \[R, S, H, W, C\]"):
        tile(images.astype(np.float32))


def test_no_figure_needs_pyplot_or_a_display():
    modules = [f"bench.reporting.figures.{name}" for name in FIGURES]
    code = f"import sys\nfor n in {modules!r}: __import__(n)\n"
    code += "assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dollar_signs_in_names_are_no_mathematics(results, tmp_path):
    plan = next(results.glob("*/sweep.json"))
    plan.write_text(plan.read_text().replace('"cgan"', '"cost $_^$"'))
    view = drawable.view(results)
    publish(FIGURES["tradeoff"], view, tmp_path / "out", "bench figure", "tradeoff")
    assert (tmp_path / "out" / "tradeoff.png").stat().st_size > 1000
