import pytest

from bench.record.jsonl import read_jsonl, write_jsonl
from bench.record.quantities import Quantity
from bench.record.records import load_records
from bench.reporting.render.headings import cell_text
from bench.reporting.render.text import WIDTH, render_text
from bench.reporting.tables.build import build_table
from bench.reporting.tables.table import Column
from bench.reporting.tables.table_spec import load_tables
from tests.data_recorded import cases, recorded


def row(built, label):
    [found] = [row for row in built.rows if row.label == label]
    column = Column("", "", "", Quantity("", decimals=2))
    return ["".join(cell_text(cell, column)[:2]) for cell in found.cells]


@pytest.mark.parametrize(
    ("case", "name", "form"), cases.STORED, ids=lambda part: getattr(part, "__name__", part)
)
def test_tables_are_those_that_are_stored(tmp_path, case, name, form):
    text, place = cases.render(case, name, form, tmp_path)
    assert text.encode() == (cases.GOLDEN / place).read_bytes()


@pytest.mark.parametrize("name", cases.SPECS)
@pytest.mark.parametrize("case", [cases.nothing, cases.broken, cases.two_sweeps])
def test_the_console_needs_no_more_than_its_width(tmp_path, case, name):
    text, _ = cases.render(case, name, "text", tmp_path)
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_one_seed_has_no_interval(tmp_path):
    one = {"cvae": {4: {"inception_score": (recorded.IS, 7.0)}}}
    recorded.write_sweep(tmp_path, variants=one)
    built = cases.build(tmp_path)
    assert row(built, "cVAE") == ["7.00 (1)"]
    assert "±" not in render_text(built)
    assert "1 of 1 done, seed 4." in cases.notes(built)


def test_differences_from_a_row_that_is_not_there_are_explained(tmp_path):
    one = recorded.QUICKSTART["cvae"]
    recorded.write_sweep(tmp_path, variants={"cvae": one})
    assert "Nothing is compared" not in cases.notes(cases.build(tmp_path, "summary"))
    recorded.write_sweep(tmp_path, "further", variants={"cvae": one, "cgan": one})
    shown = cases.notes(cases.build(tmp_path, "summary", show=("difference",)))
    assert "Nothing is compared, since no row is 'lr_livae'; `--reference` names" in shown
    assert "Nothing is compared" in cases.notes(cases.build(tmp_path, "summary"))
    for nothing in ("", "none"):
        unasked = cases.build(tmp_path, "summary", show=("difference",), reference=nothing)
        assert "Nothing is compared" not in cases.notes(unasked)


def test_six_seeds_bring_no_claim_either(tmp_path):
    six = {"cvae": {seed: {"inception_score": (recorded.IS, 7.0 + seed)} for seed in range(6)}}
    recorded.write_sweep(tmp_path, variants=six)
    text = render_text(cases.build(tmp_path))
    assert "Fewer than" not in text
    assert "significant" not in text


def test_protocols_are_never_in_one_column(tmp_path):
    cases.broken(tmp_path)
    built = cases.build(tmp_path)
    held = {}
    for column in built.columns:
        assert (column.data, column.metric, column.protocol) not in held
        held[column.data, column.metric, column.protocol] = column.mark
    assert row(built, "cVAE") == ["7.25 (1)", "—", "—"]
    assert row(built, "no adversary")[1].startswith("8.12")
    assert row(built, "real test images") == ["—", "—", "9.50"]
    assert "do not compare values of different columns" in cases.notes(built)
    assert "[c] was applied only to the real images." in cases.notes(built)
    assert "[b] is[domain classifier,n=100]" in cases.notes(built)


def test_seeds_of_one_variant_with_two_protocols_are_not_averaged(tmp_path):
    mixed = {
        "cvae": {
            0: {"inception_score": ("is[n=1]", 7.0)},
            1: {"inception_score": ("is[n=2]", 9.0)},
        }
    }
    recorded.write_sweep(tmp_path, variants=mixed, real=None)
    assert row(cases.build(tmp_path), "cVAE") == ["7.00 (1)", "9.00 (1)"]


def test_measurements_on_the_validation_split_are_in_no_table(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    before = render_text(cases.build(tmp_path))
    for path in folder.glob("*/evaluation.jsonl"):
        chosen = [row | {"split": "validation", "value": 1e6} for row in read_jsonl(path)]
        write_jsonl(path, [*read_jsonl(path), *chosen])
    assert render_text(cases.build(tmp_path)) == before


def test_a_second_protocol_that_could_not_be_measured_has_a_column_too(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    for path in folder.glob("*/evaluation.jsonl"):
        row_without = {"step": 0 if path.parent.name.startswith("real") else 800, "value": None}
        row_without |= {"split": "samples", "metric": "inception_score", "reason": "no weights"}
        rows = [*read_jsonl(path), row_without | {"protocol": "is[inception]"}]
        write_jsonl(path, rows)
    built = cases.build(tmp_path)
    assert [column.protocol for column in built.columns] == [recorded.IS, "is[inception]"]
    assert row(built, "cVAE") == ["7.50 ± 0.62 (3)", "n/a"]
    assert "no weights: real test images; cVAE; Lr-LiVAE (Inception Score) on Dig" in cases.notes(
        built
    )


def test_missing_real_images_are_named(tmp_path):
    recorded.write_sweep(tmp_path, states={"real": "missing"})
    built = cases.build(tmp_path)
    assert row(built, "real test images") == ["—"]
    assert "real test images on Digits: missing" in cases.notes(built)


def test_rows_say_their_sweep_where_there_are_several(tmp_path):
    cases.two_sweeps(tmp_path)
    labels = [line.label for line in cases.build(tmp_path, "2").rows]
    assert labels == [
        *("real test images", "cVAE (quickstart)", "Lr-LiVAE (quickstart)"),
        *("cVAE-GAN (table2)", "Lr-LiVAE (table2)"),
    ]
    labels = [line.label for line in cases.build(tmp_path, "2", ["table2"]).rows]
    assert labels == ["real test images", "cVAE-GAN", "Lr-LiVAE"]


def test_a_variant_called_like_a_model_or_a_reference_keeps_its_own_values(tmp_path):
    held = {
        name: {0: {"inception_score": (recorded.IS, value)}}
        for name, value in (("cvae", 5.0), ("cVAE", 6.0), ("real test images", 7.0))
    }
    models = {"cVAE": "lr_livae", "real test images": "lr_livae"}
    recorded.write_sweep(tmp_path, "names", held, models=models)
    assert [(r.label, r.cells[0].mean) for r in cases.build(tmp_path).rows] == [
        ("real test images", 9.625),
        ("cvae", 5.0),
        ("cVAE", 6.0),
        ("real test images (names)", 7.0),
    ]


def test_real_images_with_two_values_have_a_row_a_sweep(tmp_path):
    recorded.write_sweep(tmp_path)
    real = {"inception_score": (recorded.IS, 9.5)}
    recorded.write_sweep(tmp_path, "second", real=real)
    built = cases.build(tmp_path)
    assert row(built, "real test images (quickstart)") == ["9.62"]
    assert row(built, "real test images (second)") == ["9.50"]


def test_published_values_belong_to_the_model_and_not_to_its_variants(tmp_path):
    cases.broken(tmp_path)
    assert not any(column.paper for column in cases.build(tmp_path, "2").columns)
    assert "the paper's Table 2" not in cases.notes(cases.build(tmp_path, "2"))
    built = cases.build(tmp_path, "2", paper=True)
    place = [column.paper and column.data for column in built.columns].index("cifar10")
    values = {line.label: line.cells[place].mean for line in built.rows}
    assert values["Lr-LiVAE"] == 0.0149
    assert values["cVAE-GAN"] == 0.0136
    assert values["no adversary"] is None
    assert values["real test images"] is None
    assert "Rows of the paper that no sweep shown here has: cVAE-GAN." in cases.notes(built)


def test_what_a_model_costs_has_no_real_images_and_no_direction(tmp_path):
    recorded.write_sweep(tmp_path, states={"real": "missing"})
    built = cases.build(tmp_path, "cost")
    assert [line.label for line in built.rows] == ["cVAE", "Lr-LiVAE"]
    assert row(built, "cVAE")[-1] == "12.50 ± 0.00 (3)"
    [cell] = {line.cells[0] for line in built.rows}
    assert (cell.kind, cell.mean, cell.half_width) == ("counted", 367552.0, None)
    text = cases.notes(built)
    assert "better" not in text
    assert "real" not in text
    assert "Times on Digits were measured on: cpu (x86_64, 1 thread)." in text


def test_seeds_that_were_counted_differently_show_it(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    recorded.write_cost(next(folder.glob("00*")), parameters=1_000_000)
    place = cases.build(tmp_path, "cost").rows[0].cells[0]
    assert (place.kind, place.n) == ("mean", 3)


def test_a_table_whose_runs_all_fail_is_a_table_still(tmp_path):
    states = {(variant, seed): "failed" for variant in recorded.QUICKSTART for seed in range(3)}
    recorded.write_sweep(tmp_path, states=states | {"real": "failed"})
    text = render_text(cases.build(tmp_path)) + render_text(cases.build(tmp_path, "summary"))
    assert "cVAE on Digits, seeds 0-2: failed" in text


def test_a_run_measured_before_other_metrics_were_asked_for_is_shown_and_named(tmp_path):
    recorded.write_sweep(tmp_path, states={("cvae", 1): "trained"})
    built = cases.build(tmp_path)
    assert row(built, "cVAE") == ["7.50 ± 0.62 (3)"]
    text = cases.notes(built)
    assert "Runs: 5 of 6 done, seeds 0-2." in text
    assert (
        "Not done: cVAE on Digits, seed 1: trained, shown as it was measured before other metrics "
        "were asked for bench run sweeps/quickstart.yaml"
    ) in text


def test_a_user_names_what_is_to_be_printed_otherwise(tmp_path):
    recorded.write_sweep(tmp_path / "results")
    path = tmp_path / "tables.yaml"
    override = "{title: IS, direction: lower, decimals: 1, scale: 10}"
    path.write_text(f"metrics: {{inception_score: {override}}}\ntables: {{mine: {{title: T}}}}")
    spec = load_tables(path)["mine"]
    text = render_text(build_table(spec, load_records(tmp_path / "results")))
    assert "IS ↓" in text
    assert "75.0 ± 6.2 (3)" in text
    assert "Intra-class diversity ≈ real" in text


def test_what_does_not_apply_has_no_column_of_its_own(tmp_path):
    fits = {"relevant_distance": ("codes[n=97]", 0.5), "irrelevant_kl": ("codes[n=97]", 0.25)}
    lacking = dict.fromkeys(fits, ("", None))
    recorded.write_sweep(tmp_path, variants={"ccvae": {0: fits}, "cgan": {0: lacking}})
    built = cases.build(tmp_path, "calibration")
    columns = [column.metric for column in built.columns]
    assert columns.count("relevant_distance") == columns.count("irrelevant_kl") == 1
    found = dict(zip(columns, row(built, "cGAN"), strict=True))
    assert found["relevant_distance"] == found["irrelevant_kl"] == "n/a"


def test_a_metric_measured_in_parts_alone_does_not_apply_in_their_columns(tmp_path):
    parts = {f"inpainting_mse/{part}": ("mse", 0.5) for part in ("center", "left")}
    variants = {"ccvae": {0: parts}, "cgan": {0: {"inpainting_mse": ("", None)}}}
    recorded.write_sweep(tmp_path, variants=variants, real=None)
    built = cases.build(tmp_path, "summary")
    assert [column.metric for column in built.columns] == [*parts]
    assert row(built, "cGAN") == ["n/a", "n/a"]
    assert "Not measured" not in cases.notes(built)


def test_a_whole_and_its_parts_have_a_column_each(tmp_path):
    both = {"fid": ("f", 2.0), "fid/per_class": ("f", 3.0)}
    variants = {"ccvae": {0: both}, "cgan": {0: {"fid": ("", None)}}}
    recorded.write_sweep(tmp_path, variants=variants, real=None)
    assert row(cases.build(tmp_path, "summary"), "cGAN") == ["n/a", "n/a"]
