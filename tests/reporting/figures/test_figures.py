import json
import shutil
import subprocess
import sys
from dataclasses import replace

import drawable
import numpy as np
import pytest
from PIL import Image

from bench.errors import NotApplicable, UnknownName
from bench.record.jsonl import write_jsonl
from bench.reporting.drawing.panels import GAP
from bench.reporting.drawing.style import COLORS
from bench.reporting.figures.catalog import FIGURES, find_figure
from bench.reporting.figures.files import write_figure
from tests.data_recorded import recorded

OF_IMAGES = [name for name in FIGURES if name not in ("toy", "snapshots")]
MEASURED = ("intra_class_diversity", "inception_score")
METRICS = {"rate_distortion": MEASURED}  # the record has no rate


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A record that tests read, and copy before they change it."""
    folder = tmp_path_factory.mktemp("results")
    drawable.write(folder)
    return folder


@pytest.fixture
def changed(results, tmp_path):
    """A copy to be changed."""
    return shutil.copytree(results, tmp_path / "changed")


def drawn(results, name, *variants, **options):
    return FIGURES[name].draw(drawable.data_of(results, *variants, **options))


def panels(drawn):
    """The pictures of the panels, in the order in which they were drawn."""
    return [axes.images[0].get_array() for axes in drawn.figure.axes if axes.images]


def value_at(page, rows, columns, row, column, head=False):
    """The gray value in the middle of one image of a panel."""
    size = 1 + GAP
    extra = 3 * GAP * head
    high, wide = rows * size - GAP + extra, columns * size - GAP + extra
    y = (row * size + 0.5 + extra * (row > 0)) / high * page.shape[0]
    x = (column * size + 0.5 + extra * (column > 0)) / wide * page.shape[1]
    return int(page[int(y), int(x), 0])


@pytest.mark.parametrize("name", OF_IMAGES)
def test_files_have_the_same_bytes_and_say_what_made_them(results, tmp_path, name):
    command = f"bench figure {name} fig"
    data = drawable.data_of(results, metrics=METRICS.get(name, ()))
    first, second = (
        {path.suffix: path.read_bytes() for path in paths}
        for paths in (
            write_figure(FIGURES[name], data, tmp_path / folder, command, name) for folder in "ab"
        )
    )
    assert first == second
    assert f"/Subject ({command})".encode() in first[".pdf"]
    assert b"CreationDate" not in first[".pdf"]
    with Image.open(tmp_path / f"a/{name}.png") as page:
        assert page.info["Description"] == command
        assert page.size[0] in (3.3 * 300, 6.9 * 300)
        assert page.size[1] <= 9 * 300
    assert f"Made by: {command}" in first[".txt"].decode()


def test_a_swap_stands_right_of_its_z_s_and_below_its_z_u(results):
    pages = panels(drawn(results, "swaps"))
    originals, swaps = (drawable.ARRAYS[name] for name in ("originals", "swaps"))
    assert len(pages) == 2
    for row in range(3):
        at = (pages[0], 4, 4)
        assert value_at(*at, row + 1, 0, head=True) == originals[row].max()
        assert value_at(*at, 0, row + 1, head=True) == originals[row].max()
        for column in range(3):
            assert value_at(*at, row + 1, column + 1, head=True) == swaps[row, column].max()
    assert value_at(pages[0], 4, 4, 0, 0, head=True) == 255


def test_a_walk_has_a_row_an_attribute_and_a_plane_two(results):
    figure = drawn(results, "walks")
    walks, plane, other = panels(figure)[:3]
    arrays = drawable.ARRAYS
    assert value_at(walks, 3, 7, 2, 5) == arrays["walks"][2, 5].max()
    assert value_at(plane, 7, 7, 4, 1) == arrays["walk_planes"][0, 4, 1].max()
    assert value_at(other, 7, 7, 4, 1) == arrays["walk_planes"][1, 4, 1].max()
    titles = [axes.get_title(loc="left") for axes in figure.figure.axes]
    assert titles[:3] == ["CSVAE", "odd ↓, large →", "large ↓, loop →"]
    assert "from 5 standard deviations beyond" in figure.notes[0]


def test_a_plane_has_a_panel_for_each_label(results):
    figure = drawn(results, "subspaces")
    planes = panels(figure)
    for label, plane in enumerate(planes[:3]):
        expected = drawable.ARRAYS["subspaces"][label, 4, 1].max()
        assert value_at(plane, 7, 7, 4, 1) == expected
    titles = [axes.get_title(loc="left") for axes in figure.figure.axes]
    assert titles[:3] == ["odd", "large", "loop"]
    assert [text.get_text() for text in figure.figure.axes[0].texts] == ["CSVAE"]
    assert "from 2 standard deviations below" in figure.notes[0]


def test_inpainting_has_a_panel_a_region_and_a_row_a_variant(results):
    pages, arrays = panels(drawn(results, "inpainting")), drawable.ARRAYS
    assert len(pages) == 3
    for region, page in enumerate(pages):
        assert value_at(page, 4, 3, 0, 2) == arrays["originals"][2].max()
        assert value_at(page, 4, 3, 1, 2) == arrays["corrupted"][region, 2].max()
        assert value_at(page, 4, 3, 3, 2) == arrays["inpainting"][region, 2].max()


def test_samples_begin_with_the_real_images_and_show_models_that_cannot_encode(results):
    figure = drawn(results, "samples")
    titles = [axes.get_title(loc="left") for axes in figure.figure.axes]
    assert titles == ["Real test images", "CSVAE", "Lr-LiVAE", "cGAN"]
    assert value_at(panels(figure)[1], 3, 7, 2, 1) == drawable.marked(3, 10)[2, 1].max()


def test_a_model_that_cannot_is_left_out_with_the_reason(results):
    for name in ("traversals", "dimensions", "swaps", "walks", "inpainting"):
        assert "Not shown, since the model has no encoder: cGAN." in drawn(results, name).notes


def test_a_model_that_can_do_a_part_is_shown_where_asked_for(changed):
    keys = ("traverse_relevant", "traverse_classes")
    drawable.cannot(changed, "csvae", keys, "the label itself is the relevant code")
    assert len(panels(drawn(changed, "traversals"))) == 3
    figure = drawn(changed, "traversals", "csvae", "lr_livae")
    assert len(panels(figure)) == 4
    texts = [text.get_text() for axes in figure.figure.axes for text in axes.texts]
    assert sum("the label itself" in text.replace("\n", " ") for text in texts) == 2


def test_the_classes_that_a_traversal_leaves_out_are_counted(changed):
    arrays = {
        name: drawable.marked(7, 7) for name in drawable.ARRAYS if name.startswith("traverse")
    }
    for run in changed.glob("fig/0*"):
        drawable.save_pictures(run, arrays | {"names": np.array(list("abcdefg"))})
    assert "The first 5 of 7 classes." in drawn(changed, "traversals").notes


def test_models_that_need_the_label_to_encode_are_named(changed):
    first = min(changed.glob("fig/0*"))
    drawable.save_pictures(first, drawable.ARRAYS | {"label_given": np.array(True)})
    notes = " ".join(drawn(changed, "reconstruction").notes)
    assert "without which they cannot encode: CSVAE." in notes


@pytest.mark.slow
def test_many_variants_are_limited_and_the_others_named(tmp_path):
    names = [f"variant {number:02d}" for number in range(20)]
    drawable.write(tmp_path, names, seeds=1)
    for name in OF_IMAGES:
        wide, high = drawn(tmp_path, name, metrics=METRICS.get(name, ())).figure.get_size_inches()
        assert wide in (3.3, 6.9)
        assert high <= 9
    figure = drawn(tmp_path, "swaps")
    assert len(panels(figure)) == 9
    note = next(note for note in figure.notes if note.startswith("Left out"))
    assert "variant 09" in note
    assert "variant 08" not in note
    assert "--variant NAME" in note
    assert len(panels(drawn(tmp_path, "swaps", *names[5:17]))) == 12


@pytest.mark.parametrize(
    ("name", "variants", "options", "message"),
    [
        ("toy", [], {}, "samples of digits are images"),
        ("swaps", ["cgan"], {}, "the model has no encoder: cGAN"),
        ("swaps", [], {"seed": 7}, "no run of seed 7 is finished: CSVAE"),
        ("swaps", ["lr_livea"], {}, "unknown variant 'lr_livea' .did you mean 'lr_livae'"),
        ("seeds", [], {"metrics": ["inception"]}, "unknown metric 'inception' .did you mean 'ince"),
        ("curves", [], {"metrics": ["main/re"]}, "unknown curve 'main/re' .did you mean 'main/re"),
        ("tradeoff", [], {"metrics": ["fid"]}, "two metrics are needed, .* got fid"),
    ],
)
def test_a_figure_that_cannot_be_drawn_is_explained(results, name, variants, options, message):
    with pytest.raises((NotApplicable, UnknownName), match=message):
        drawn(results, name, *variants, **options)


def test_a_sweep_of_which_no_run_is_finished_has_no_figure(tmp_path):
    states = dict.fromkeys((("cvae", seed) for seed in range(3)), "missing")
    recorded.write_sweep(
        tmp_path, variants={"cvae": recorded.QUICKSTART["cvae"]}, states=states, real=None
    )
    for name in FIGURES:
        with pytest.raises(NotApplicable, match="no run on digits is finished yet"):
            drawn(tmp_path, name)


def test_a_figure_has_a_name_or_a_number():
    assert find_figure("6").name == "swaps"
    with pytest.raises(UnknownName, match=r"unknown figure 'swap' .did you mean 'swaps'"):
        find_figure("swap")


def test_every_seed_is_a_dot_and_protocols_have_panels_of_their_own(changed):
    other = {"step": 800, "split": "samples", "metric": "inception_score", "value": 1.0}
    other |= {"protocol": "another", "reason": ""}
    write_jsonl(min(changed.glob("fig/0*")) / "evaluation.jsonl", [other])
    figure = drawn(changed, "seeds", metrics=["inception_score"]).figure
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["Inception Score [a] ↑", "Inception Score [b] ↑"]
    dots = [line for line in figure.axes[1].lines if line.get_markersize() < 3]
    assert [list(line.get_xdata()) for line in dots[-1:]] == [[7.25, 7.5, 7.75]]


def test_snapshots_have_a_mean_and_an_interval_over_seeds(changed):
    """Values of three seeds at two moments; one variant was not measured on the way."""
    for run, value in zip(sorted(changed.glob("fig/0*"))[:3], (1.0, 2.0, 3.0), strict=True):
        path = run / "evaluation.jsonl"
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        on_the_way = [
            entry | {"step": 400, "value": value}
            for entry in entries
            if entry["metric"] == "inception_score"
        ]
        write_jsonl(path, [*on_the_way, *entries])
    figure = drawn(changed, "snapshots")
    (axes,) = figure.figure.axes
    line = next(line for line in axes.lines if line.get_marker() != "None")
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([400, 800], [2.0, 7.5])
    band = axes.collections[0].get_paths()[0].vertices
    assert {round(y, 4) for x, y in band if x == 400} == {-0.4841, 4.4841}  # t(2) / sqrt(3)
    with pytest.raises(NotApplicable, match="no snapshot was measured by intra_class_diversity"):
        drawn(changed, "snapshots", metrics=["intra_class_diversity"])


def test_lines_drawn_together_have_colors_of_their_own(results):
    data = drawable.data_of(results)
    first, second = data.variants[:2]
    alike = replace(second, index=first.index + len(COLORS))
    placed, _ = data.limit_variants([first, alike], 2)
    assert placed == [first, second]
    assert [variant.index for variant in placed] == [0, 1]


def test_a_legend_names_only_what_is_drawn(changed):
    """A variant that has another loss than the one shown is in the caption instead."""
    for run in sorted(changed.glob("fig/0*"))[:3]:
        path = run / "rows.jsonl"
        path.write_text(path.read_text().replace("main/reconstruct", "main/another"))
    figure = drawn(changed, "curves", metrics=["main/another"])
    (legend,) = figure.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["CSVAE"]
    assert "Without any of the losses shown: Lr-LiVAE, cGAN." in figure.notes


def test_a_panel_that_no_chosen_variant_fills_is_left_to_the_others(changed):
    other = {"step": 800, "split": "samples", "metric": "fid", "value": 1.0}
    write_jsonl(min(changed.glob("fig/0*")) / "evaluation.jsonl", [other | {"protocol": "x"}])
    titles = [axes.get_title() for axes in drawn(changed, "seeds", "cgan").figure.axes]
    assert not any("distance" in title for title in titles)


def test_a_logarithmic_axis_has_plain_numbers(results):
    axes = drawn(results, "curves").figure.axes[0]  # 1 to 1 / 201
    assert axes.get_yscale() == "log"
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert {"1", "0.1", "0.01"} <= set(labels)


def test_cost_is_all_arithmetic_of_the_training_or_what_was_named(results):
    axes = drawn(results, "cost", "csvae").figure.axes[0]
    assert axes.get_xlabel() == "Multiply-adds of the training (G)"
    bars = axes.containers[0]
    assert bars[0].get_xdata()[0] == pytest.approx(628294176 * 800e-9)
    assert bars[0].get_ydata()[0] == pytest.approx(7.5)
    named = drawn(results, "cost", metrics=["intra_class_diversity", "train_seconds"])
    assert named.figure.axes[0].get_xlabel() == "Training (s)"
    assert any("compare within one only" in note for note in named.notes)


def test_quality_against_diversity_has_the_real_point_and_every_name(results):
    texts = drawn(results, "tradeoff").figure.axes[0].texts
    assert [text.get_text() for text in texts] == ["CSVAE", "Lr-LiVAE", "cGAN", "real images"]


def test_the_real_images_alone_are_no_plot(tmp_path):
    both = recorded.QUICKSTART["cvae"][0].items()
    recorded.write_sweep(tmp_path, variants={name: {0: {name: value}} for name, value in both})
    with pytest.raises(NotApplicable, match="no variant has both Intra-class diversity and Inc"):
        drawn(tmp_path, "tradeoff")


def test_the_toy_shows_moments_of_the_training_where_they_were_kept(tmp_path):
    folder = drawable.write(tmp_path, points=True)
    at_the_end = drawn(tmp_path, "toy")
    assert any("snapshots" in note for note in at_the_end.notes)
    titles = [axes.get_title() for axes in at_the_end.figure.axes]
    assert titles[:4] == ["real test points", "CSVAE", "Lr-LiVAE", "cGAN"]
    first = min(folder.glob("0*"))
    for step in (100, 400):
        (first / f"snapshots/{step}").mkdir(parents=True)
        shutil.copy(first / "samples.npz", first / f"snapshots/{step}/samples.npz")
    coverage = {"split": "samples", "metric": "arc_coverage", "protocol": "arcs", "reason": ""}
    entries = [coverage | {"step": step, "value": step / 10} for step in (100, 400, 800)]
    write_jsonl(first / "evaluation.jsonl", entries)
    axes = drawn(tmp_path, "toy", "csvae").figure.axes
    assert [a.get_title() for a in axes] == ["iteration 100", "iteration 400", "iteration 800"]
    assert [a.get_xlabel() for a in axes] == ["10 %", "40 %", "80 %"]


def test_points_of_space_are_projected_and_have_their_own_coverage(tmp_path):
    folder = drawable.write(tmp_path, points=True, dimensions=3)
    entry = {"step": 800, "metric": "point_coverage", "protocol": "points", "reason": ""}
    for path in folder.glob("*/evaluation.jsonl"):
        write_jsonl(path, [entry | {"split": "samples", "value": 77.0}])
    figure = drawn(tmp_path, "toy", "csvae")
    assert any("oblique projection" in note for note in figure.notes)
    assert any("is point coverage" in note for note in figure.notes)
    panel = figure.figure.axes[1]
    assert panel.get_xlabel().split(", ")[0] == "77 %"
    clouds = [line.get_xdata() for line in panel.lines]
    assert list(map(len, clouds))[:2] == [3 * 40, 40]  # the real ones, a class


def test_measurements_on_validation_images_are_in_no_figure(tmp_path):
    folder = drawable.write(tmp_path, ("csvae",), points=True)
    entry = {"step": 800, "metric": "arc_coverage", "protocol": "arc[r=0.1]", "reason": ""}
    values = {"validation": 11.0, "samples": 77.0}
    for path in folder.glob("*/evaluation.jsonl"):
        write_jsonl(path, [entry | {"split": s, "value": value} for s, value in values.items()])
    figure = drawn(tmp_path, "toy")
    texts = [axes.get_xlabel() for axes in figure.figure.axes if axes.get_xlabel()]
    assert texts == ["77 %"]
    assert "CSVAE 77.0 ± 0.0." in " ".join(figure.notes)
    assert drawn(tmp_path, "seeds").figure.axes[0].get_title() == "Arc coverage (%) (≈ real)"


def test_points_are_no_images(tmp_path):
    drawable.write(tmp_path, points=True)
    with pytest.raises(NotApplicable, match="are points; see the figure toy"):
        drawn(tmp_path, "samples")


def test_no_figure_needs_pyplot_or_a_display():
    modules = [f"bench.reporting.figures.{f.module or f.name}" for f in FIGURES.values()]
    code = f"import sys\nfor n in {modules!r}: __import__(n)\n"
    code += "assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dollar_signs_in_names_are_no_mathematics(changed, tmp_path):
    plan = changed / "fig" / "sweep.json"
    content = json.loads(plan.read_text().replace('"cgan"', '"cost $_^$"'))
    plan.write_text(json.dumps(content))
    data = drawable.data_of(changed)
    write_figure(FIGURES["tradeoff"], data, tmp_path / "out", "bench figure", "tradeoff")
    assert (tmp_path / "out" / "tradeoff.png").stat().st_size > 1000


def test_any_number_of_protocols_has_as_many_letters(results):
    data = drawable.data_of(results)
    measured = data.records.measurements
    many = tuple(e._replace(protocol=f"{e.protocol}{n}") for e in measured for n in range(27))
    columns = replace(data, records=replace(data.records, measurements=many)).columns()
    titles = [column.quantity.title for column in columns if column.kind == "measured"]
    assert len(set(titles)) == len(titles) >= 27
