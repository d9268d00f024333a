import pytest

from bench.record.provenance import note_execution
from bench.record.records import load_records
from tests.data_recorded import cases, recorded


def notes(results):
    return cases.notes(cases.build(results))


def change(folder, pattern, old, new):
    for path in folder.glob(f"{pattern}/provenance.json"):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


def test_rows_made_alike_need_no_note(tmp_path):
    recorded.write_sweep(tmp_path)
    text = notes(tmp_path)
    assert "Runs on" not in text
    assert "commit" not in text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            '"c0ffee"',
            '"decade"',
            "made by different versions of the code: commit c0ffee: cVAE; commit decade: Lr-LiVAE",
        ),
        (
            '"dirty": false',
            '"dirty": true, "diff": "0123456789ab"',
            "commit c0ffee: cVAE; commit c0ffee with changes 0123456789ab: Lr-LiVAE",
        ),
        (
            '"cpu"',
            '"cuda:0"',
            "trained on different devices: cpu (x86_64, 1 thread): cVAE; cuda:0 (x86_64, 1 thre",
        ),
        ('"threads": 1', '"threads": 2', "cpu (x86_64, 1 thread): cVAE; cpu (x86_64, 2 threads)"),
        (
            '"commit"',
            '"versions": {"torch": "9.9"}, "python": "3.99", "commit"',
            "different libraries: python ?: cVAE; python 3.99, torch 9.9: Lr-LiVAE",
        ),
    ],
    ids=["commit", "changes", "device", "threads", "libraries"],
)
def test_a_mixture_is_told(tmp_path, old, new, expected):
    folder = recorded.write_sweep(tmp_path)
    change(folder, "0[345]*", old, new)
    assert expected in notes(tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ('{"model": {"a.py": "1"}}', '{"model": {"a.py": "1"}}', None),
        (
            '{"model": {"a.py": "1"}, "harness": {"b.py": "2"}}',
            '{"model": {"a.py": "1"}, "harness": {"b.py": "2"}}',
            None,
        ),
        ('{"model": {"a.py": "1"}}', '{"model": {"a.py": "3"}}', "c0ffee (a.py 1): cVAE"),
        (
            '{"model": {"a.py": "1"}, "harness": {"b.py": "2"}}',
            '{"model": {"a.py": "1"}, "harness": {"b.py": "4"}}',
            "commit decade (b.py 4): Lr-LiVAE",
        ),
        ('{"model": {"a.py": "1"}}', "{}", "commit decade: Lr-LiVAE"),
    ],
    ids=["equal files", "equal", "files", "harness", "unknown"],
)
def test_another_commit_is_told_where_what_it_computes_differs(tmp_path, first, second, expected):
    folder = recorded.write_sweep(tmp_path)
    change(folder, "0[012]*", '"dirty"', f'"sources": {first}, "dirty"')
    change(folder, "0[345]*", '"c0ffee"', f'"decade", "sources": {second}')
    text = notes(tmp_path)
    assert expected in text if expected else "versions of the code" not in text


@pytest.mark.parametrize(("part", "is_told"), [("model", True), ("metrics", False)])
def test_weights_that_other_code_continued_are_told_even_where_all_rows_share_it(
    part, is_told, tmp_path
):
    folder = recorded.write_sweep(tmp_path)
    then, now = (f'"sources": {{"{part}": {{"a.py": "{digit}"}}}}' for digit in "12")
    later = f'"continued": [{{"commit": "decade", {now}}}]'
    change(folder, "0*", '"dirty"', f'{then}, {later}, "dirty"')
    text = " ".join(notes(tmp_path).split())
    assert ("Runs on Digits were made by different versions of the code:" in text) == is_told
    assert ("commit c0ffee (a.py 1), continued by commit decade (a.py 2): cVAE" in text) == is_told


def test_a_row_of_two_versions_names_its_seeds(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    change(folder, "0[12]*", '"c0ffee"', '"decade"')
    text = notes(tmp_path)
    assert "commit c0ffee: cVAE (seed 0); Lr-LiVAE; commit decade: cVAE (seeds 1, 2)" in text


def test_code_that_no_commit_holds_is_told_even_where_all_rows_share_it(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    change(folder, "0*", '"dirty": false', '"dirty": true, "diff": "0123456789ab"')
    assert (
        "Runs on Digits were made by code that is in no commit: "
        "commit c0ffee with changes 0123456789ab." in notes(tmp_path)
    )


def test_runs_without_provenance_are_named_as_such(tmp_path):
    folder = recorded.write_sweep(tmp_path)
    next(folder.glob("00*/provenance.json")).write_text('{"started": "2026"}')
    text = notes(tmp_path)
    assert "code that was not recorded: cVAE (seed 0)" in text
    assert "a device that was not recorded: cVAE (seed 0)" in text


def test_runs_whose_batches_did_not_fit_are_named(tmp_path):
    recorded.write_sweep(tmp_path)
    assert "in memory" not in notes(tmp_path)
    for run in load_records(tmp_path).runs[:2]:
        note_execution(run.path, micro_batch={"rows": 24, "batch_size": 96})
    text = notes(tmp_path)
    assert "did not fit in memory, so their gradients were accumulated" in text
    assert "used the statistics of the parts: 24 of 96 examples at a time: cVAE" in " ".join(
        text.split()
    )
