"""Files of reference statistics: what is read, what is refused, and the distance from them."""

import numpy as np
import pytest
import scipy.linalg
from torch_fidelity.metric_fid import fid_statistics_to_metric

from bench.errors import BenchError
from bench.evaluation.measuring import measure, validation_metric
from bench.metrics.features.fid import FrechetDistance
from bench.metrics.features.statistics_file import read_statistics
from bench.spec.components import complete_component, construct
from bench.spec.validation import KeyProblem
from tests.metrics.bars import context_of, fields, make_data, samples_of

WIDTH = 9


def moments_of(x):
    """Return mean and covariance as pytorch-fid takes them, by numpy alone."""
    return np.mean(x, axis=0), np.cov(x, rowvar=False)


@pytest.fixture
def file(bars, tmp_path):
    """A file of the training images, with arrays that the evaluator of guided-diffusion adds."""
    mu, sigma = moments_of(fields(bars.train.x).numpy().astype(np.float64))
    x = bars.train.x.permute(0, 2, 3, 1).numpy()
    path = tmp_path / "reference.npz"
    np.savez(path, arr_0=x, mu=mu, sigma=sigma, mu_s=np.zeros(3), sigma_s=np.eye(3))
    return path


def component(path, **options):
    return complete_component("metric", {"name": "fid", "reference": str(path), **options}, ())


def test_the_distance_is_that_of_the_literal_formula(bars, file, tmp_path):
    samples, context = samples_of(make_data(seed=3)), context_of(bars, tmp_path)
    metric = construct("metric", component(file))
    [entry] = measure([metric], samples, context, step=0, split="samples")
    mu, sigma = moments_of(fields(samples.x).numpy().astype(np.float64))
    reference = np.load(file)
    root = scipy.linalg.sqrtm(sigma @ reference["sigma"]).real
    expected = ((mu - reference["mu"]) ** 2).sum() + np.trace(sigma + reference["sigma"] - 2 * root)
    assert entry["value"] == pytest.approx(expected, rel=1e-6)
    both = [{"mu": mu, "sigma": sigma}, {k: reference[k] for k in ("mu", "sigma")}]
    theirs = fid_statistics_to_metric(*both, False)["frechet_inception_distance"]
    assert entry["value"] == pytest.approx(theirs, rel=1e-6)
    digits = component(file)["file-hashes"]["reference"][:8]
    assert entry["protocol"] == f"fid[extractor=stub@0,n=90,real=reference@{digits}]"


def test_the_distance_from_a_file_of_the_training_images_is_that_from_them(bars, file, tmp_path):
    samples, context = samples_of(make_data(seed=3)), context_of(bars, tmp_path)
    first, second = (
        metric.measure(samples, context)[0].value
        for metric in (FrechetDistance(), FrechetDistance(reference=file))
    )
    assert first == pytest.approx(second, rel=1e-9)


def test_float32_files_are_read_and_the_home_folder_is_known(file, tmp_path, monkeypatch):
    arrays = {k: np.load(file)[k].astype(np.float32) for k in ("mu", "sigma")}
    np.savez(tmp_path / "small.npz", **arrays)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert component("~/small.npz")["file-hashes"]["reference"]
    found = read_statistics(construct("metric", component("~/small.npz")).reference)
    assert found.moments.mean.dtype == np.float64
    np.testing.assert_allclose(found.moments.covariance, np.load(file)["sigma"], rtol=1e-6)


def test_sets_that_are_too_small_and_features_of_another_network_are_reasons(bars, file, tmp_path):
    context = context_of(bars, tmp_path)
    whole = samples_of(bars)
    few = whole.__class__(whole.x[::10], whole.y[::10], whole.spec)
    [found] = FrechetDistance(reference=file).measure(few, context)
    assert found.reason.startswith("9 samples are too few for 9 features")
    np.savez(file, **{k: np.load(file)[k] for k in ("mu", "sigma")}, extractor="net@12345678")
    [found] = FrechetDistance(reference=file).measure(whole, context)
    assert found.value is None
    assert "has features of net@12345678, not of this network" in found.reason


GOOD = {"mu": np.zeros(4), "sigma": np.eye(4)}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mu": np.zeros(4)}, "has no array sigma"),
        ({"m": np.zeros(4), "s": np.eye(4)}, "has no array mu, only m, s"),
        (
            {"arr_0": np.zeros((2, 4, 4, 3), np.uint8)},
            r"holds images \(arr_0\), but no mu and sigma",
        ),
        (GOOD | {"mu": np.zeros((1, 4))}, r"mu must be floats \[D\], got float64 \[1, 4\]"),
        (GOOD | {"mu": np.zeros(4, int)}, r"mu must be floats \[D\], got int64 \[4\]"),
        (GOOD | {"sigma": np.ones(4)}, r"sigma must be floats \[D, D\]"),
        (
            GOOD | {"sigma": np.eye(5)},
            r"of 4 features, sigma is \[5, 5\]; it must be \[4, 4\]",
        ),
        (GOOD | {"sigma": np.triu(np.ones((4, 4)))}, "is no covariance: it is not symmetric"),
        (GOOD | {"sigma": -np.eye(4)}, "or a variance is negative"),
        (GOOD | {"mu": np.full(4, np.nan)}, "mu holds values that are not finite"),
        (GOOD | {"sigma": np.full((4, 4), np.inf)}, "sigma holds values that are not finite"),
        (GOOD | {"mu": np.array([None] * 4)}, "mu holds Python objects"),
    ],
)
def test_what_are_no_statistics_is_refused_as_a_sweep_is_read(arrays, message, tmp_path):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(BenchError, match=message):
        construct("metric", component(tmp_path / "bad.npz"))


@pytest.mark.parametrize("content", [b"", b"PK", b"mu,sigma\n1,2\n"])
def test_what_is_no_file_of_arrays_is_refused(content, tmp_path):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(BenchError, match=r"bad.npz: not an .npz file, or damaged"):
        construct("metric", component(tmp_path / "bad.npz"))
    with pytest.raises(KeyProblem, match="there is no file or folder"):
        component(tmp_path / "none.npz")


@pytest.mark.parametrize(("extractor", "width"), [("inception", 2048), ("domain", 64)])
def test_another_number_of_features_is_refused_before_anything_starts(
    extractor, width, file, digits
):
    message = f"statistics of 9 features, the extractor {extractor} gives {width}"
    with pytest.raises(BenchError, match=message):
        construct("metric", component(file, extractor=extractor)).check(digits.spec)
    np.savez(file, mu=np.zeros(width), sigma=np.eye(width))
    construct("metric", component(file, extractor=extractor)).check(digits.spec)


@pytest.mark.parametrize(
    "options", [{"per_class": True}, {"against": "test"}, {"groups": "classes"}], ids=str
)
def test_options_that_need_real_images_are_refused(options, file):
    with pytest.raises(BenchError, match=f"reference and {next(iter(options))} exclude each other"):
        construct("metric", component(file, **options))


def test_another_file_is_another_setting_and_validation_images_take_its_place(file):
    first = component(file)
    np.savez(file, mu=np.ones(WIDTH), sigma=np.eye(WIDTH))
    assert component(file) != first
    with pytest.raises(BenchError, match="Restore it"):
        construct("metric", first)
    assert construct("metric", validation_metric(component(file))).reference is None
    assert "reference" not in complete_component("metric", {"name": "fid"}, ())
