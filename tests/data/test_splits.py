import pytest
import torch

from bench.data.base import DataSpec, Source, Split
from bench.data.digits import DigitAttributes, Digits
from bench.data.npz import Npz
from bench.data.splits import HeldOutTestOptions, SplitOptions, choose_per_class
from bench.errors import SpecError

SPEC = DataSpec("letters", (1, 1, 1), ("a", "b"))


def numbered(*per_class):
    y = torch.cat([torch.full((count,), label) for label, count in enumerate(per_class)])
    return Split(torch.arange(len(y), dtype=torch.uint8).reshape(-1, 1, 1, 1), y)


def numbers(split):
    return split.x.flatten().tolist()


def divide(train, test=None, **options):
    return HeldOutTestOptions(**{"test_per_class": 1, **options}).divide_all(
        SPEC, train, test, flip=False
    )


def test_splits_are_disjoint_and_complete():
    data = divide(numbered(30, 20), test_per_class=5)
    assert sorted(numbers(data.train) + numbers(data.validation) + numbers(data.test)) == [
        *range(50)
    ]


def test_splits_are_stratified():
    data = divide(numbered(30, 20), test_per_class=5, validation_fraction=0.2)
    assert data.test.y.bincount().tolist() == [5, 5]
    assert data.validation.y.bincount().tolist() == [5, 3]
    assert data.train.y.bincount().tolist() == [20, 12]


def test_examples_keep_their_labels_and_their_order():
    data = divide(numbered(30, 20), test_per_class=5)
    for split in (data.train, data.validation, data.test):
        assert split.y.tolist() == [int(number >= 30) for number in numbers(split)]
        assert numbers(split) == sorted(numbers(split))


def test_official_test_split_stays_whole():
    official = numbered(4, 4)
    data = divide(numbered(30, 20), official)
    assert data.test is official
    assert len(data.train) + len(data.validation) == 50


def test_same_seed_gives_same_splits_and_another_seed_others():
    first, again, other = (divide(numbered(30, 20), split_seed=seed) for seed in (0, 0, 1))
    assert numbers(first.validation) == numbers(again.validation)
    assert first.fingerprint == again.fingerprint
    assert numbers(first.validation) != numbers(other.validation)
    assert first.fingerprint != other.fingerprint


def test_fraction_zero_leaves_validation_empty():
    data = divide(numbered(3, 2), validation_fraction=0)
    assert len(data.validation) == 0
    assert data.validation.x.shape == (0, 1, 1, 1)


def test_small_fraction_still_takes_one_of_each_class():
    data = divide(numbered(4, 3), numbered(1, 1), validation_fraction=0.01)
    assert data.validation.y.tolist() == [0, 1]


def test_larger_holdout_contains_the_smaller():
    y = numbered(30, 20).y
    few, many = choose_per_class(y, [3, 3], 7, "test"), choose_per_class(y, [9, 9], 7, "test")
    assert (few <= many).all()


def test_choice_in_a_class_ignores_the_other_classes():
    alone = choose_per_class(numbered(30).y, [5], 0, "test")
    together = choose_per_class(numbered(30, 20).y, [5, 5], 0, "test")
    assert alone.equal(together[:30])


@pytest.mark.parametrize(
    ("train", "test", "options", "message"),
    [
        pytest.param(
            (9, 5),
            None,
            {"test_per_class": 5},
            "letters: class 'b' has 5 examples, and test_per_class takes 5",
            id="test",
        ),
        pytest.param(
            (9, 1),
            (1, 1),
            {},
            "letters: class 'b' has 1 training examples, of which validation_fraction 0.1 takes 1",
            id="validation",
        ),
        pytest.param((9, 9), (3,), {}, "letters: class 'b' has no test examples", id="official"),
        pytest.param((9,), (3, 3), {}, "class 'b' has 0 training examples", id="train"),
    ],
)
def test_too_few_examples_are_reported(train, test, options, message):
    with pytest.raises(SpecError, match=message):
        divide(numbered(*train), numbered(*test) if test else None, **options)


def test_classes_that_are_kept_have_the_splits_that_they_have_among_all():
    whole, few = Digits().load(), Digits(keep_classes=[9, "2"]).load()
    assert few.spec == Digits(keep_classes=["2", "9"]).spec
    assert few.spec.class_names == ("2", "9")
    for name in ("train", "validation", "test"):
        of_all, kept = getattr(whole, name), getattr(few, name)
        for label, digit in enumerate((2, 9)):
            assert kept.x[kept.y == label].equal(of_all.x[of_all.y == digit])
        assert len(kept) == sum(int((of_all.y == digit).sum()) for digit in (2, 9))
    assert whole.fingerprint != few.fingerprint


def test_a_class_that_is_left_out_may_have_too_few_examples(arrays, tmp_path, save):
    full = arrays((8, 8), classes=3)
    save(tmp_path / "few.npz", full._replace(y_test=full.y_test.clip(1)))
    with pytest.raises(SpecError, match="class '0' has no test examples"):
        Npz(path=str(tmp_path / "few.npz")).load()
    assert Npz(path=str(tmp_path / "few.npz"), keep_classes=["1", "2"]).load().spec.classes == 2


def test_combinations_of_attributes_are_kept_with_their_classes():
    source = DigitAttributes(keep_classes=["loop", "odd"])
    assert source.load().spec == source.spec
    assert source.spec.combinations == ((0, 0, 1), (1, 0, 0))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "must be different names, at least one"),
        (["3", 3], "must be different names"),
        (["three"], "unknown class of digits 'three'; known: 0, 1, 2"),
        ([-1], "unknown class of digits '-1'"),
    ],
)
def test_classes_to_keep_are_checked(names, message):
    with pytest.raises(SpecError, match=message):
        _ = Digits(keep_classes=names).spec


def test_a_source_without_a_full_spec_keeps_all_classes():
    class Mine(SplitOptions, Source):
        spec = None

        def load(self):
            """Load nothing."""

    with pytest.raises(SpecError, match="Mine has no full_spec"):
        Mine(keep_classes=["a"])
