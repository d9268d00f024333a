import pytest
import torch

from bench.data.base import DataSpec, Split, to_float
from bench.data.moons import Moons
from bench.data.stream import Stream, hide_labels

EXAMPLES, SIZE = 23, 5


def numbered(count=EXAMPLES):
    """Images whose pixel (0, 0) is their number, and (0, 1) its complement."""
    x = torch.zeros(count, 1, 2, 2, dtype=torch.uint8)
    x[:, 0, 0, 0] = torch.arange(count)
    x[:, 0, 0, 1] = 255 - torch.arange(count)
    return Split(x, torch.arange(count) % 3)


def stream(**options):
    return Stream(numbered(), **{"batch_size": SIZE, "seed": 0, **options})


def numbers(batch):
    return ((batch.x[:, 0, 0, 0] + 1) * 127.5).round().long().tolist()


def same(a, b):
    return a.x.equal(b.x) and a.y.equal(b.y) and a.labeled == b.labeled


def test_batch_has_the_promised_types():
    batch = stream().batch(0)
    assert batch.x.dtype == torch.float32
    assert batch.x.shape == (SIZE, 1, 2, 2)
    assert batch.x.min() >= -1
    assert batch.x.max() <= 1
    assert batch.y.dtype == torch.int64
    assert batch.labeled == SIZE


def test_batch_holds_examples_with_their_labels():
    split = numbered()
    batch = stream().batch(3)
    indices = numbers(batch)
    assert batch.x.equal(to_float(split.x[indices]))
    assert batch.y.equal(split.y[indices])


@pytest.mark.parametrize("flip", [False, True])
def test_random_access_equals_sequential_access(flip):
    sequential = [b for s in [stream(flip=flip)] for b in map(s.batch, range(12))]
    jumping = stream(flip=flip)
    for draw in (11, 0, 5, 4, 3, 11, 8):
        assert same(jumping.batch(draw), sequential[draw])


def test_each_epoch_visits_distinct_examples():
    s = stream()
    assert s.draws_per_epoch == 4
    for epoch in range(3):
        seen = [n for draw in range(4) for n in numbers(s.batch(4 * epoch + draw))]
        assert len(set(seen)) == 4 * SIZE


def test_whole_epoch_is_a_permutation_where_batches_fit():
    s = Stream(numbered(20), batch_size=SIZE, seed=0)
    assert sorted(n for draw in range(4) for n in numbers(s.batch(draw))) == [*range(20)]


def test_epochs_and_seeds_have_orders_of_their_own():
    first = [numbers(stream().batch(draw)) for draw in range(8)]
    assert first[:4] != first[4:]
    assert first[0] != numbers(stream(seed=1).batch(0))


def test_flips_are_deterministic_and_leave_the_order_alone():
    split, mirrored = numbered(), []
    plain, flipped = stream(), stream(flip=True)
    for draw in range(20):
        a, b = plain.batch(draw), flipped.batch(draw)
        assert a.y.equal(b.y)
        turned = (a.x != b.x).flatten(1).any(1)
        assert b.x[turned].equal(a.x[turned].flip(3))
        mirrored += turned.tolist()
    assert 0.3 < sum(mirrored) / len(mirrored) < 0.7
    assert split.x.equal(numbered().x)


def test_points_are_streamed_unchanged():
    split = Moons(per_class=20).load().train
    batch = Stream(split, batch_size=8, seed=0).batch(0)
    assert batch.x.shape == (8, 2)
    assert all((split.x == point).all(1).any() for point in batch.x)


def test_writing_into_a_batch_does_not_change_the_next():
    s, points = stream(), Stream(Moons(per_class=20).load().train, batch_size=8, seed=0)
    for source in (s, points):
        before = source.batch(0).x.clone()
        source.batch(0).x.zero_()
        assert source.batch(0).x.equal(before)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batch_size": 0}, "at least one example, got 0"),
        ({"labeled_rows": 3}, "batch_size is 5 with only 3 labeled rows"),
        ({"labeled_rows": 5, "unlabeled": numbered().x}, r"in \[0, 5\), got 5"),
        ({"labeled_rows": -1, "unlabeled": numbered().x}, r"in \[0, 5\), got -1"),
    ],
)
def test_impossible_sizes_are_reported(options, text):
    with pytest.raises(ValueError, match=text):
        stream(**options)


def half_labeled(**options):
    split = numbered(9)
    others = numbered(EXAMPLES).x[9:]
    return Stream(split, batch_size=SIZE, seed=0, unlabeled=others, labeled_rows=2, **options)


@pytest.mark.parametrize("flip", [False, True])
def test_the_first_examples_carry_labels_and_the_others_none(flip):
    s, batches = half_labeled(flip=flip), []
    for draw in (7, *range(12)):
        batch = s.batch(draw)
        assert batch.labeled == 2
        assert batch.y[2:].tolist() == [-1, -1, -1]
        batches.append(batch)
        if not flip:
            seen = numbers(batch)
            assert batch.y[:2].tolist() == [number % 3 for number in seen[:2]]
            assert max(seen[:2]) < 9 <= min(seen[2:])
    assert same(batches[0], batches[8])


def test_a_batch_may_have_examples_without_label_alone():
    others = numbered(EXAMPLES).x[9:]
    alone = Stream(numbered(9), batch_size=SIZE, seed=0, unlabeled=others, labeled_rows=0)
    for size in (1, 0.5, 2):
        batch = alone.assemble(alone.draws(0, 2), 0, size)
        assert (batch.labeled, len(batch.x)) == (0, SIZE * size // 1)
        assert batch.y.unique().tolist() == [-1]
    assert alone.draws_per_epoch == len(others) // SIZE
    kinds = [(batch.labeled, len(batch.x)) for batch in alone.once(100)]
    assert kinds == [(9, 9), (0, len(others))]


def test_each_kind_of_example_has_epochs_of_its_own():
    s = half_labeled()
    batches = [numbers(s.batch(draw)) for draw in range(4)]
    assert len({number for batch in batches for number in batch[:2]}) == 8
    assert len({number for batch in batches for number in batch[2:]}) == 12
    assert s.draws_per_epoch == EXAMPLES // SIZE


def test_labeled_examples_do_not_depend_on_those_without_label():
    alone = Stream(numbered(9), batch_size=2, seed=0)
    for draw in range(9):
        assert numbers(half_labeled().batch(draw))[:2] == numbers(alone.batch(draw))


def test_few_examples_come_equally_often_in_a_large_batch():
    s = Stream(numbered(4), batch_size=10, seed=0)
    for draw in range(3):
        counts = [numbers(s.batch(draw)).count(number) for number in range(4)]
        assert sorted(counts) == [2, 2, 3, 3]
    assert numbers(s.batch(0)) != numbers(s.batch(1))


def test_attributes_stand_in_place_of_classes():
    names, bits = ("a", "b"), ((0, 0), (0, 1), (1, 1))
    spec = DataSpec("set", (1, 2, 2), ("0", "1", "2"), names, bits)
    batch = half_labeled(attributes=spec).batch(0)
    assert batch.y.shape == (SIZE, 2)
    assert batch.y[:2].tolist() == [list(bits[number % 3]) for number in numbers(batch)[:2]]
    assert batch.y[2:].eq(-1).all()


def test_labels_are_taken_from_the_same_share_of_each_class():
    split = numbered(60)
    kept, others = hide_labels(split, 0.1, seed=3, classes=3)
    assert torch.bincount(kept.y).tolist() == [2, 2, 2]
    assert sorted([*kept.x[:, 0, 0, 0].tolist(), *others[:, 0, 0, 0].tolist()]) == list(range(60))
    more, _ = hide_labels(split, 0.5, seed=3, classes=3)
    assert set(kept.x[:, 0, 0, 0].tolist()) < set(more.x[:, 0, 0, 0].tolist())
    other_seed, _ = hide_labels(split, 0.1, seed=4, classes=3)
    assert kept.x[:, 0, 0, 0].tolist() != other_seed.x[:, 0, 0, 0].tolist()
    assert len(hide_labels(split, 0.001, seed=0, classes=3)[0]) == 3


def test_points_cannot_be_flipped():
    with pytest.raises(ValueError, match="only images can be flipped"):
        Stream(Moons(per_class=20).load().train, batch_size=4, seed=0, flip=True)


def test_negative_draw_is_refused():
    with pytest.raises(ValueError, match="draws count from 0, got -1"):
        stream().batch(-1)
