"""Rules about what models offer beyond samples: codes, posteriors, switches, classifiers."""

from copy import deepcopy

import torch

from bench.conformance.model_under_test import ModelUnderTest
from bench.conformance.outcomes import Violation, require, require_range
from bench.errors import NotApplicable
from bench.training.interface import Classifies, Code, Encodes, Infers, Switches


def codes_fit_the_data(under_test: ModelUnderTest) -> None:
    """If it encodes, codes are [B, D] and decode to the shape of the data."""
    model, (x, y, _) = under_test.model().eval(), under_test.batch
    if not isinstance(model, Encodes):
        raise NotApplicable("the model does not encode")
    with torch.inference_mode():
        code = model.encode(x, y)
        decoded = model.decode(code, y)
    for part in code:
        if part is not None and (part.ndim != 2 or len(part) != len(x)):
            raise Violation(f"a code is {list(part.shape)}, expected [{len(x)}, D]")
    problem = f"decode() returned {list(decoded.shape)}, not {list(x.shape)}"
    require(decoded.shape == x.shape, problem)
    require_range(decoded, "decoded images")


def codes_have_no_noise(under_test: ModelUnderTest) -> None:
    """If it encodes, each code follows from its own example alone, without noise."""
    model, (x, y, _) = under_test.model().eval(), under_test.batch
    if not isinstance(model, Encodes):
        raise NotApplicable("the model does not encode")
    with torch.inference_mode():
        code, again = model.encode(x, y), model.encode(x, y)
        problem = "encode() gives another code at the second call; return the mean of the posterior"
        _refuse_other_code(again, code, problem)
        for one, other in zip(code, model.encode(x.flip(0), y.flip(0)), strict=True):
            require(
                one is None
                or (other is not None and torch.allclose(one, other.flip(0), rtol=1e-3, atol=1e-5)),
                "encode() gives other codes if the examples come in another order; is there "
                "something shared by the batch, such as a normalization by it?",
            )


def posteriors_fit_their_codes(under_test: ModelUnderTest) -> None:
    """If it infers, posteriors have the means that it encodes, and every class has a prior."""
    model, (x, y, _) = under_test.model().eval(), under_test.batch
    if not isinstance(model, Infers):
        raise NotApplicable("the model has no posterior")
    with torch.inference_mode():
        posterior = model.posterior(x, y)
        code = model.encode(x, y) if isinstance(model, Encodes) else Code(None, None)
        prior = model.class_prior()
    for part, gaussian, encoded in zip(posterior._fields, posterior, code, strict=True):
        if gaussian is None:
            continue
        mean, variance = gaussian
        require(
            mean.shape == variance.shape and not (variance < 0).any(),
            f"the {part} posterior has means {list(mean.shape)} and variances "
            f"{list(variance.shape)} from {variance.min():.3g} on",
        )
        is_mean = encoded is None or torch.allclose(mean, encoded, atol=1e-6)
        require(is_mean, f"encode() is not the mean of the {part} posterior")
    both_or_none = (posterior.relevant is None) == (prior is None)
    require(both_or_none, "class_prior() goes with a relevant posterior: both or none")
    if posterior.relevant is not None and prior is not None:
        expected = [under_test.data.spec.classes, posterior.relevant[0].shape[1]]
        for shape in (list(table.shape) for table in prior):
            require(shape == expected, f"class_prior() has {shape}, expected {expected}")


def class_logits_fit_the_data(under_test: ModelUnderTest) -> None:
    """If it classifies, class logits are finite, one for each class, and without noise."""
    model, (x, _, _) = under_test.model().eval(), under_test.batch
    if not isinstance(model, Classifies):
        raise NotApplicable("the model does not classify")
    with torch.inference_mode():
        logits, again = model.class_logits(x), model.class_logits(x)
    expected = [len(x), under_test.data.spec.classes]
    problem = f"class_logits() returned {list(logits.shape)}, expected {expected}"
    require(list(logits.shape) == expected, problem)
    require(bool(torch.isfinite(logits).all()), "class_logits() has values that are not finite")
    require(torch.equal(logits, again), "class_logits() gives other values at the second call")


def switching_changes_one_attribute(under_test: ModelUnderTest) -> None:
    """If it switches attributes, only the attribute's own part of the code changes."""
    model, spec = under_test.model().eval(), under_test.data.spec
    if not (spec.attributes and isinstance(model, Switches) and isinstance(model, Encodes)):
        why = "the model does not switch" if spec.attributes else "the data has no attributes"
        raise NotApplicable(why)
    x, y, _ = under_test.batch
    ones = torch.ones(len(x), dtype=torch.int64)
    owners: dict[int, str] = {}  # column of the relevant code -> attribute
    with torch.inference_mode():
        code = model.encode(x, y)
        before = deepcopy(code)
        for attribute, name in enumerate(spec.attributes):
            problem = f"switching {name!r} wrote into the code it was given"
            on = model.switch(code, attribute, ones)
            _refuse_other_code(code, before, problem)
            off = model.switch(code, attribute, 0 * ones)
            _refuse_other_code(code, before, problem)
            if code.relevant is None or on.relevant is None or off.relevant is None:
                raise Violation("switch() needs a relevant code, and returns one")
            rest = code._replace(relevant=on.relevant)
            _refuse_other_code(on, rest, f"switching {name!r} changes the irrelevant code")
            again = model.switch(off, attribute, ones)
            _refuse_other_code(again, on, f"{name!r} off and on again is not the same as on")
            moved = (on.relevant != code.relevant) | (off.relevant != code.relevant)
            columns = set(torch.nonzero(moved.any(dim=0)).flatten().tolist())
            if shared := columns & owners.keys():
                raise Violation(
                    f"switching {name!r} changes column {min(shared)} of the relevant code, which "
                    f"belongs to {owners[min(shared)]!r}"
                )
            differ = not torch.equal(on.relevant, off.relevant)
            require(differ, f"switching {name!r} on and off gives the same code")
            owners |= dict.fromkeys(columns, name)


def _refuse_other_code(first: Code, second: Code, problem: str) -> None:
    """Raise a `Violation` with a sentence, if two codes differ in a part."""
    for a, b in zip(first, second, strict=True):
        if (a is None) != (b is None) or (a is not None and b is not None and not a.equal(b)):
            raise Violation(problem)
