"""The conformance suite: what every registered model must do, the user's own included.

A check is a function that raises a `Violation` if the model breaks a rule, or a `Remark`; the first
line of its docstring is its title. The suite runs in this repository's tests and behind
`bench check NAME`.
"""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.conformance.fake_cuda import play_on_fake_cuda
from bench.conformance.model_under_test import CPU, ModelUnderTest, Remark, Violation
from bench.conformance.watching import (
    line_that_changes,
    refuse_other_randomness,
    refusing_value_reads,
)
from bench.data.base import to_bytes
from bench.errors import BenchError, Interrupted, NotApplicable
from bench.evaluation.measuring import draw_samples, remark_on_range
from bench.seeding import generator_for
from bench.spec.components import sampling_arguments
from bench.training.interface import Code, Encodes, Infers, Switches, frozen_modules
from bench.training.passes import StagePass, reached_leaves


def _require(rule: object, problem: str) -> None:
    """Raise a `Violation` that describes the problem, unless the rule holds."""
    if not rule:
        raise Violation(problem)


def players_and_stages_fit(under_test: ModelUnderTest) -> None:
    """Every parameter has a player, and stages and objective name only players."""
    model = under_test.model()  # refuses what `check_declaration` does
    players = set(model.players())
    idle = sorted(players - {player for stage in model.stages for player in stage.players})
    _require(not idle, f"the players {idle} move in no stage")


def terms_are_scalars(under_test: ModelUnderTest) -> None:
    """Every wanted term is a finite 0-d float32 tensor."""
    for stage_pass in under_test.passes():
        values = under_test.terms(stage_pass)
        for term in sorted(stage_pass.wanted):
            value = values[term]
            shown = value.tolist() if value.ndim == 0 else "numbers"
            _require(
                value.ndim == 0 and value.dtype == torch.float32 and torch.isfinite(value),
                f"term {term!r} is {value.dtype} {list(value.shape)} {shown}, "
                "expected one finite float32 number",
            )


def terms_read_no_values(under_test: ModelUnderTest) -> None:
    """No term reads the value of a tensor, as `.item()`, `float()` and `if` do."""
    for stage_pass in under_test.passes():
        with refusing_value_reads():
            under_test.terms(stage_pass)


def terms_draw_from_torch(under_test: ModelUnderTest) -> None:
    """Terms draw from torch, not from NumPy or from `random`."""
    for stage_pass in under_test.passes():
        refuse_other_randomness(partial(under_test.terms, stage_pass))


def subset_of_terms_has_the_same_values(under_test: ModelUnderTest) -> None:
    """A term has the same value whichever other terms are wanted."""
    for stage_pass in under_test.passes():
        together = under_test.terms(deepcopy(stage_pass))
        for term in sorted(stage_pass.wanted):
            alone = under_test.terms(deepcopy(stage_pass), frozenset({term}))
            _require(
                torch.allclose(alone[term], together[term], rtol=1e-5, atol=1e-6),
                f"term {term!r} is {alone[term].item():.7g} alone and "
                f"{together[term].item():.7g} with the others; draw randomness in an order "
                "that does not depend on `wanted`",
            )


def terms_reach_their_players(under_test: ModelUnderTest) -> None:
    """Every term depends on parameters of each player that descends it."""
    for stage_pass in under_test.passes():
        values = under_test.terms(stage_pass)
        for player, weights in stage_pass.weights.items():
            parameters = set(map(id, stage_pass.parameters[player]))
            for term in weights:
                _require(
                    not parameters.isdisjoint(reached_leaves(values[term])),
                    f"player {player!r} descends {term!r} in stage {stage_pass.stage.name!r}, "
                    "which depends on none of its parameters; is something detached on the way?",
                )


def players_move_only_their_own(under_test: ModelUnderTest) -> None:
    """A player that moves alone moves its own parameters and no others."""
    objective = under_test.training.objective
    for player in {p: None for stage_pass in under_test.passes() for p in stage_pass.weights}:
        trainer = under_test.trainer(objective={player: objective[player]})
        before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
        trainer.iterate(0)
        parameters = dict(trainer.model.named_parameters())
        moved = {n: p for n, p in parameters.items() if not torch.equal(before[n], p)}
        owned = {id(p) for p in trainer.model.players()[player]}
        others = ", ".join(name for name, p in moved.items() if id(p) not in owned)
        _require(not others, f"player {player!r} moved {others}, not its own")
        _require(moved, f"player {player!r} descends its terms, but nothing of it moved")


def frozen_modules_stay_as_they_are(under_test: ModelUnderTest) -> None:
    """Modules of frozen parameters alone stay in evaluation mode, and their buffers as they are."""
    trainer = under_test.trainer()
    trainer.prepare()
    before = deepcopy(trainer.model)
    for step in range(2):
        trainer.iterate(step)
    now = frozen_modules(trainer.model)
    for name, module in frozen_modules(before).items():
        _require(
            not any(part.training for part in now[name].modules()),
            f"{name} is frozen, but the model puts it in training mode; who calls train() on it?",
        )
        _refuse_difference(module, now[name], f"in the frozen {name} after two iterations")


def shared_backwards_give_each_players_gradient(under_test: ModelUnderTest) -> None:
    """The planned backwards give the gradients that one backward a player gives."""
    for planned, literal in zip(under_test.passes(), under_test.passes(), strict=True):
        torch.manual_seed(0)
        _, gradients = planned.gradients(under_test.batch)
        values = under_test.terms(literal)
        for player, weights in literal.weights.items():
            loss = torch.stack([weight * values[term] for term, weight in weights.items()]).sum()
            parameters = literal.parameters[player]
            expected = torch.autograd.grad(loss, parameters, retain_graph=True)
            for single, shared in zip(expected, gradients[player], strict=True):
                scale = single.abs().max().item() + 1e-6
                _require(
                    single.isfinite().all(), f"the gradient of player {player!r} is not finite"
                )
                _require(
                    (single - shared).abs().max().item() <= 1e-4 * scale,
                    f"the gradient of player {player!r} differs from that of its own loss",
                )


def resume_is_bit_exact(under_test: ModelUnderTest) -> None:
    """Six iterations equal three, a checkpoint, and three more, bit for bit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        straight = under_test.trainer(folder / "straight").train()
        steps = iter([False, False, True])
        with suppress(Interrupted):
            under_test.trainer(folder / "halted").train(stop=lambda: next(steps))
        resumed = under_test.trainer(folder / "halted").train()
        curves = [(folder / run / "rows.jsonl").read_bytes() for run in ("straight", "halted")]
    when = "after a resumption; what outlasts an iteration belongs into buffers (register_buffer)"
    _refuse_difference(straight, resumed, when)
    problem = "the curves of a resumed run differ from those of the uninterrupted one"
    _require(curves[0] == curves[1], problem)


def samples_are_a_function_of_the_generator(under_test: ModelUnderTest) -> None:
    """Samples fit the data, depend on the generator alone, and leave no other trace."""
    defaults = sampling_arguments(type(under_test.model()), {})
    model, y, spec = under_test.model().eval(), under_test.labels(), under_test.data.spec
    before, random_state = deepcopy(model), torch.get_rng_state()
    with torch.inference_mode():
        first, other = (model.sample(y, generator_for(s, "contract")) for s in (0, 1))
        again = model.sample(y, generator_for(0, "contract"), **defaults)
    _refuse_difference(before, model, "by sampling")
    draw = partial(model.sample, y, generator_for(0, "contract"))
    with torch.inference_mode():
        refuse_other_randomness(draw)
    if not torch.equal(random_state, torch.get_rng_state()):
        problem = "sample() drew from the default generator instead of the one it was given"
        state = torch.default_generator.get_state
        raise Violation(problem, line_that_changes(lambda: state().tolist(), draw))
    shape, expected = list(first.shape), [len(y), *spec.shape]
    _require(shape == expected, f"sample() returned {shape}, not {expected}")
    _require(torch.equal(first, again), "the same generator gave different samples")
    _require(not torch.equal(first, other), "different generators gave the same samples")
    _require_range(first, "samples")
    _require_range(other, "samples")


def samples_use_the_whole_range(under_test: ModelUnderTest) -> None:
    """Samples of images use negative values too."""
    try:
        samples = draw_samples(under_test.model().eval(), under_test.data.spec, 10, 0, CPU)
    except Exception:  # the check before this one says why
        return
    if remark := remark_on_range(samples, under_test.data):
        raise Remark(remark)


def codes_fit_if_it_encodes(under_test: ModelUnderTest) -> None:
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
    _require(decoded.shape == x.shape, problem)
    _require_range(decoded, "decoded images")


def posteriors_fit_if_it_infers(under_test: ModelUnderTest) -> None:
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
        _require(
            mean.shape == variance.shape and not (variance < 0).any(),
            f"the {part} posterior has means {list(mean.shape)} and variances "
            f"{list(variance.shape)} from {variance.min():.3g} on",
        )
        is_mean = encoded is None or torch.allclose(mean, encoded, atol=1e-6)
        _require(is_mean, f"encode() is not the mean of the {part} posterior")
    both_or_none = (posterior.relevant is None) == (prior is None)
    _require(both_or_none, "class_prior() goes with a relevant posterior: both or none")
    if posterior.relevant is not None and prior is not None:
        expected = [under_test.data.spec.classes, posterior.relevant[0].shape[1]]
        for shape in (list(table.shape) for table in prior):
            _require(shape == expected, f"class_prior() has {shape}, expected {expected}")


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
            on, off = (model.switch(code, attribute, value * ones) for value in (1, 0))
            _refuse_other_code(code, before, f"switching {name!r} wrote into the code it was given")
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
            _require(differ, f"switching {name!r} on and off gives the same code")
            owners |= dict.fromkeys(columns, name)


def ten_iterations_lower_reconstruct(under_test: ModelUnderTest) -> None:
    """If it has the term `reconstruct`, ten iterations on one batch lower it."""
    passes = [p for p, _ in under_test.trainer().passes if isinstance(p, StagePass)]
    measured = next((p for p in passes if "reconstruct" in p.wanted), None)
    if measured is None:
        raise NotApplicable("the model has no term of that name")
    before = under_test.terms(deepcopy(measured), frozenset({"reconstruct"}))["reconstruct"]
    for step in range(10):
        for stage_pass in passes:
            torch.manual_seed(step)
            stage_pass.play(under_test.batch)
    after = under_test.terms(measured, frozenset({"reconstruct"}))["reconstruct"]
    _require(after < before, f"reconstruct went from {before.item():.4g} to {after.item():.4g}")


def terms_trace_as_one_graph(under_test: ModelUnderTest) -> None:
    """The terms of every stage trace with torch.compile(fullgraph=True)."""
    for stage_pass in under_test.passes():
        torch._dynamo.reset()
        traced = torch.compile(stage_pass.model.terms, fullgraph=True, backend="eager")
        try:
            traced(stage_pass.stage.name, under_test.batch, stage_pass.wanted)
        except Exception as error:
            first, *others = str(error).strip().splitlines() or [""]
            where = [line for line in others if line.lstrip().startswith('File "')][-1:]
            raise Violation(
                f"stage {stage_pass.stage.name!r} does not trace as one graph: {first}"
                + "".join(f"\n{line.strip()}" for line in where)
            ) from error


def stages_run_on_a_gpu(under_test: ModelUnderTest) -> None:
    """Every stage runs on a GPU, without waiting for it."""
    play_on_fake_cuda(under_test.training, under_test.data.spec)


def examples_without_label_are_welcome(under_test: ModelUnderTest) -> None:
    """If it is semi-supervised, half of the examples may lack a label."""
    if "semi-supervised" not in under_test.model().capabilities:
        raise NotApplicable("the model needs a label for every example")
    half = under_test.changed(labeled_fraction=0.5)
    for check in (*ON_TERMS, stages_run_on_a_gpu):
        check(half)


def attributes_are_welcome(under_test: ModelUnderTest) -> None:
    """If it is made for attributes, it conforms on data that has them."""
    if "attributes" not in under_test.model().capabilities or under_test.data.spec.attributes:
        raise NotApplicable("the model is not made for attributes, or was given them above")
    data = {"name": "digit_attributes"}
    try:
        attributed = under_test.changed(data=data)
    except BenchError:  # options for one label, say the size of its code
        attributed = ModelUnderTest.of(under_test.training.model["name"], data=data)
    for check in CHECKS:
        with suppress(NotApplicable):
            check(attributed)


def _require_range(x: Tensor, what: str) -> None:
    """Raise a `Violation` if what a model returned does not have the range of the data."""
    try:
        to_bytes(x.float(), what)
    except BenchError as error:
        raise Violation(str(error)) from error


def _refuse_difference(first: nn.Module, second: nn.Module, when: str) -> None:
    """Raise a `Violation` that says when, if two models differ in a parameter or a buffer."""
    other = second.state_dict()
    for name, value in first.state_dict().items():
        _require(torch.equal(value, other[name]), f"{name} differs {when}")


def _refuse_other_code(first: Code, second: Code, problem: str) -> None:
    """Raise a `Violation` with a sentence, if two codes differ in a part."""
    for a, b in zip(first, second, strict=True):
        if (a is None) != (b is None) or (a is not None and b is not None and not a.equal(b)):
            raise Violation(problem)


Check = Callable[[ModelUnderTest], None]

ON_TERMS: tuple[Check, ...] = (
    terms_are_scalars,
    terms_read_no_values,
    terms_draw_from_torch,
    subset_of_terms_has_the_same_values,
    terms_reach_their_players,
    shared_backwards_give_each_players_gradient,
    resume_is_bit_exact,
    terms_trace_as_one_graph,
)
CHECKS: tuple[Check, ...] = (
    players_and_stages_fit,
    *ON_TERMS,
    players_move_only_their_own,
    frozen_modules_stay_as_they_are,
    samples_are_a_function_of_the_generator,
    samples_use_the_whole_range,
    codes_fit_if_it_encodes,
    posteriors_fit_if_it_infers,
    switching_changes_one_attribute,
    ten_iterations_lower_reconstruct,
    examples_without_label_are_welcome,
    attributes_are_welcome,
    stages_run_on_a_gpu,  # last, since a remark ends the checks of the two before it
)
ESSENTIAL = CHECKS[:2]
"""Checks without which no other one makes sense."""
