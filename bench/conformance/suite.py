"""The conformance suite: what every registered model must do, the user's own included.

Each check is a function of a subject that returns nothing, or raises `Violation` with a sentence
on what is wrong. The same suite runs in this repository's tests and behind `bench check NAME`. The
file is a little longer than others, so that all rules can be read in one place.
"""

import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench.conformance.subject import (
    Recorder,
    Subject,
    Violation,
    make_subject,
    refuse_difference,
    refuse_other_codes,
    seeded_terms,
    wanted_by_stage,
)
from bench.errors import BenchError, Interrupted
from bench.seeding import generator_for
from bench.training.interface import Encodes, Infers, Switches
from bench.training.passes import StagePass, moving_rows, reached_leaves


class Finding(NamedTuple):
    """What a check found.

    Attributes:
        title: What was checked.
        problem: What is wrong, or None.
    """

    title: str
    problem: str | None


def check_model(
    name: str, options: Mapping[str, Any] | None = None, data: Mapping[str, Any] | None = None
) -> Iterator[Finding]:
    """Check one registered model.

    Args:
        name: Its registered name.
        options: Options of the model; its defaults where None.
        data: Name and options of a data set; tiny 8x8 images where None.

    Yields:
        What each check found.

    Raises:
        BenchError: If the name, the options or the data set do not exist.
    """
    subject = make_subject(name, options, data)
    for check in CHECKS:
        title = str(check.__doc__).splitlines()[0].rstrip(".")
        problem = None
        try:
            check(subject)
        except BenchError as error:
            problem = str(error)
        except Exception:
            problem = traceback.format_exc(limit=-3)
        yield Finding(title, problem)


def players_and_stages_fit(subject: Subject) -> None:
    """Every parameter has a player, and stages and objective name only players."""
    model = subject.model()  # refuses parameters without a player
    players = set(model.players())
    for stage in model.stages:
        if strangers := set(stage.players) - players:
            raise Violation(f"stage {stage.name!r} moves {sorted(strangers)}, which are no players")
    if strangers := set(model.objective) - players:
        raise Violation(f"the objective has rows for {sorted(strangers)}, which are no players")
    idle = players - {player for stage in model.stages for player in stage.players}
    if idle:
        raise Violation(f"the players {sorted(idle)} move in no stage")


def terms_are_scalars(subject: Subject) -> None:
    """Every wanted term is a finite 0-d float32 tensor."""
    model = subject.model()
    for stage, wanted in wanted_by_stage(model):
        values = seeded_terms(model, stage, subject.batch, wanted)
        if missing := wanted - values.keys():
            raise Violation(f"stage {stage!r} does not return the wanted {sorted(missing)}")
        for term in sorted(wanted):
            value = values[term]
            if value.ndim or value.dtype != torch.float32 or not torch.isfinite(value):
                raise Violation(
                    f"term {term!r} is {value.dtype} {list(value.shape)} {value.tolist()}, "
                    "expected one finite float32 number"
                )


def subset_of_terms_has_the_same_values(subject: Subject) -> None:
    """A term has the same value whichever other terms are wanted."""
    model = subject.model()
    for stage, wanted in wanted_by_stage(model):
        together = seeded_terms(deepcopy(model), stage, subject.batch, wanted)
        for term in sorted(wanted):
            alone = seeded_terms(deepcopy(model), stage, subject.batch, frozenset({term}))
            if not torch.allclose(alone[term], together[term], rtol=1e-5, atol=1e-6):
                raise Violation(
                    f"term {term!r} is {alone[term].item():.7g} alone and "
                    f"{together[term].item():.7g} with the others; draw randomness in an order "
                    "that does not depend on `wanted`"
                )


def terms_reach_their_players(subject: Subject) -> None:
    """Every term depends on parameters of each player that descends it."""
    model = subject.model()
    players = {name: {id(p) for p in own} for name, own in model.players().items()}
    for stage in model.stages:
        rows = moving_rows(stage, subject.training.objective)
        wanted = frozenset(term for row in rows.values() for term in row)
        values = seeded_terms(model, stage.name, subject.batch, wanted)
        reached = {term: reached_leaves(values[term]) for term in wanted}
        for player, row in rows.items():
            for term in row:
                if not players[player] & reached[term]:
                    raise Violation(
                        f"player {player!r} descends {term!r} in stage {stage.name!r}, which "
                        "depends on none of its parameters; is something detached on the way?"
                    )


def players_move_only_their_own(subject: Subject) -> None:
    """A player that moves alone moves its own parameters and no others."""
    for stage in subject.model().stages:
        for player in moving_rows(stage, subject.training.objective):
            row = {player: subject.training.objective[player]}
            with tempfile.TemporaryDirectory() as folder:
                trainer = subject.trainer(Path(folder) / "run", objective=row)
                before = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
                trainer._iterate(0)
            own = {id(p) for p in trainer.model.players()[player]}
            moved = {
                name: id(p) in own
                for name, p in trainer.model.named_parameters()
                if not torch.equal(before[name], p)
            }
            if strangers := [name for name, mine in moved.items() if not mine]:
                raise Violation(f"player {player!r} moved {', '.join(strangers)}, not its own")
            if not moved:
                raise Violation(f"player {player!r} descends its terms, but nothing of it moved")


def shared_backwards_give_each_players_gradient(subject: Subject) -> None:
    """The planned backwards give the gradients that one backward a player gives."""
    trainer_model = subject.model()
    for stage in trainer_model.stages:
        rows = moving_rows(stage, subject.training.objective)
        if not rows:
            continue
        model = deepcopy(trainer_model)
        players = {p: q for p, q in model.players().items() if p in rows}
        wanted = frozenset(term for row in rows.values() for term in row)
        values = seeded_terms(model, stage.name, subject.batch, wanted)
        literal = {}
        for player, row in rows.items():
            loss = torch.stack([weight * values[term] for term, weight in row.items()]).sum()
            literal[player] = torch.autograd.grad(loss, players[player], retain_graph=True)
        recorded: dict[str, list[Tensor]] = {}
        optimizers: Any = {p: Recorder(p, q, recorded) for p, q in players.items()}
        model.load_state_dict(trainer_model.state_dict())
        torch.manual_seed(0)
        StagePass(model, stage, subject.training.objective, optimizers).play(subject.batch, 0)
        for player, gradients in literal.items():
            for expected, found in zip(gradients, recorded[player], strict=True):
                scale = expected.abs().max().item() + 1e-6
                if (expected - found).abs().max().item() > 1e-4 * scale:
                    raise Violation(f"the gradient of player {player!r} differs from its own loss")


def resume_is_bit_exact(subject: Subject) -> None:
    """Six iterations equal three, a checkpoint, and three more, bit for bit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        straight = subject.trainer(folder / "straight").train()
        steps = iter([False, False, True])
        with suppress(Interrupted):
            subject.trainer(folder / "halted").train(stop=lambda: next(steps))
        resumed = subject.trainer(folder / "halted").train()
        rows = [(folder / run / "rows.jsonl").read_bytes() for run in ("straight", "halted")]
    refuse_difference(straight, resumed, "after a resumption")
    if rows[0] != rows[1]:
        raise Violation("the rows of a resumed run differ from those of the uninterrupted one")


def sampling_changes_nothing(subject: Subject) -> None:
    """Sampling with a generator changes neither the model nor the default random state."""
    model, y = subject.model().eval(), subject.labels()
    before = deepcopy(model)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    with torch.inference_mode():
        model.sample(y, generator_for(0, "contract"))
    refuse_difference(before, model, "by sampling")
    if not torch.equal(state, torch.get_rng_state()):
        raise Violation("sample() drew from the default generator instead of the one it was given")


def samples_are_a_function_of_the_generator(subject: Subject) -> None:
    """Samples have the right shape and range, and depend on the generator alone."""
    model, spec, y = subject.model().eval(), subject.data.spec, subject.labels()
    with torch.inference_mode():
        first, again = (model.sample(y, generator_for(0, "contract")) for _ in range(2))
        other = model.sample(y, generator_for(1, "contract"))
    if tuple(first.shape) != (len(y), *spec.shape):
        raise Violation(f"sample() returned {list(first.shape)}, not {[len(y), *spec.shape]}")
    if not torch.equal(first, again):
        raise Violation("the same generator gave different samples")
    if torch.equal(first, other):
        raise Violation("different generators gave the same samples")
    if spec.is_image and (first.min() < -1 or first.max() > 1):
        raise Violation(
            f"samples range from {first.min():.3g} to {first.max():.3g}, not in [-1, 1]"
        )


def codes_fit_if_it_encodes(subject: Subject) -> None:
    """If it encodes, codes are [B, D] and decode to the shape of the data."""
    model, x, y = subject.model().eval(), subject.batch.x, subject.batch.y
    if not isinstance(model, Encodes):
        return
    with torch.inference_mode():
        code = model.encode(x, y)
        decoded = model.decode(code, y)
    for part in code:
        if part is not None and (part.ndim != 2 or len(part) != len(x)):
            raise Violation(f"a code is {list(part.shape)}, expected [{len(x)}, D]")
    if decoded.shape != x.shape:
        raise Violation(f"decode() returned {list(decoded.shape)}, not {list(x.shape)}")


def posteriors_fit_if_it_infers(subject: Subject) -> None:
    """If it infers, posteriors have the means that it encodes, and priors a row a class."""
    model, x, y = subject.model().eval(), subject.batch.x, subject.batch.y
    if not isinstance(model, Infers):
        return
    with torch.inference_mode():
        found = model.posterior(x, y)
        code = model.encode(x, y) if isinstance(model, Encodes) else found
        prior = model.class_prior()
    for part, gaussian, encoded in zip(found._fields, found, code, strict=True):
        if gaussian is None:
            continue
        mean, variance = gaussian
        if mean.shape != variance.shape or (variance < 0).any():
            raise Violation(
                f"the {part} posterior has means {list(mean.shape)} and variances "
                f"{list(variance.shape)} from {variance.min():.3g} on"
            )
        if isinstance(encoded, Tensor) and not torch.allclose(mean, encoded, atol=1e-6):
            raise Violation(f"encode() is not the mean of the {part} posterior")
    if (found.relevant is None) != (prior is None):
        raise Violation("class_prior() goes with a relevant posterior: both or none")
    if found.relevant is not None and prior is not None:
        expected = (subject.data.spec.classes, found.relevant[0].shape[1])
        for table in prior:
            if table.shape != expected:
                raise Violation(f"class_prior() has {list(table.shape)}, expected {list(expected)}")


def switching_changes_one_attribute(subject: Subject) -> None:
    """If it switches attributes, only the attribute's own part of the code changes."""
    model, spec = subject.model().eval(), subject.data.spec
    if not (spec.attributes and isinstance(model, Switches) and isinstance(model, Encodes)):
        return
    x, y = subject.batch.x, subject.batch.y
    ones = torch.ones(len(x), dtype=torch.int64)
    owners: dict[int, str] = {}  # column of the relevant code -> attribute
    with torch.inference_mode():
        code = model.encode(x, y)
        kept = deepcopy(code)
        for attribute, name in enumerate(spec.attributes):
            on, off = (model.switch(code, attribute, value * ones) for value in (1, 0))
            refuse_other_codes(code, kept, f"switching {name!r} wrote into the code it was given")
            if code.relevant is None or on.relevant is None or off.relevant is None:
                raise Violation("switch() needs a relevant code, and returns one")
            rest = code._replace(relevant=on.relevant)
            refuse_other_codes(on, rest, f"switching {name!r} changes the irrelevant code")
            again = model.switch(off, attribute, ones)
            refuse_other_codes(again, on, f"{name!r} off and on again is not the same as on")
            moved = (on.relevant != code.relevant) | (off.relevant != code.relevant)
            columns = set(torch.nonzero(moved.any(dim=0)).flatten().tolist())
            if shared := columns & owners.keys():
                raise Violation(
                    f"switching {name!r} changes column {min(shared)} of the relevant code, which "
                    f"belongs to {owners[min(shared)]!r}"
                )
            if torch.equal(on.relevant, off.relevant):
                raise Violation(f"switching {name!r} on and off gives the same code")
            owners |= dict.fromkeys(columns, name)


def ten_iterations_lower_reconstruct(subject: Subject) -> None:
    """If it has the term `reconstruct`, ten iterations on one batch lower it."""
    stages = [
        stage for stage, wanted in wanted_by_stage(subject.model()) if "reconstruct" in wanted
    ]
    if not stages:
        return
    with tempfile.TemporaryDirectory() as folder:
        trainer = subject.trainer(Path(folder) / "run")
        wanted = frozenset({"reconstruct"})
        before = seeded_terms(deepcopy(trainer.model), stages[0], subject.batch, wanted)[
            "reconstruct"
        ]
        for step in range(10):
            for stage_pass, _ in trainer.passes:
                torch.manual_seed(step)
                stage_pass.play(subject.batch, step)
        after = seeded_terms(trainer.model, stages[0], subject.batch, wanted)["reconstruct"]
    if not after < before:
        raise Violation(f"reconstruct went from {before.item():.4g} to {after.item():.4g}")


def terms_trace_as_one_graph(subject: Subject) -> None:
    """The terms of every stage trace with torch.compile(fullgraph=True)."""
    model = subject.model()
    for stage, wanted in wanted_by_stage(model):
        torch._dynamo.reset()
        traced = torch.compile(model.terms, fullgraph=True, backend="eager")
        try:
            traced(stage, subject.batch, wanted)
        except Exception as error:
            first = str(error).strip().splitlines()[0]
            raise Violation(f"stage {stage!r} does not trace as one graph: {first}") from error


def rows_without_label_are_welcome(subject: Subject) -> None:
    """If it is semi-supervised, half of the rows may lack a label."""
    if "semi-supervised" in subject.model().capabilities:
        half = subject.changed(labeled_fraction=0.5)
        for check in ON_TERMS:
            check(half)


def attributes_are_welcome(subject: Subject) -> None:
    """If it is made for attributes, it conforms on data that has them."""
    if "attributes" in subject.model().capabilities and not subject.data.spec.attributes:
        data = {"name": "digit_attributes"}
        try:
            attributed = subject.changed(data=data)
        except BenchError:  # options for one label, say the size of its code
            attributed = make_subject(subject.training.model["name"], data=data)
        for check in CHECKS:
            check(attributed)


ON_TERMS: tuple[Callable[[Subject], None], ...] = (
    terms_are_scalars,
    terms_reach_their_players,
    subset_of_terms_has_the_same_values,
    shared_backwards_give_each_players_gradient,
    resume_is_bit_exact,
    terms_trace_as_one_graph,
)
CHECKS: tuple[Callable[[Subject], None], ...] = (
    players_and_stages_fit,
    terms_are_scalars,
    subset_of_terms_has_the_same_values,
    terms_reach_their_players,
    players_move_only_their_own,
    shared_backwards_give_each_players_gradient,
    resume_is_bit_exact,
    sampling_changes_nothing,
    samples_are_a_function_of_the_generator,
    codes_fit_if_it_encodes,
    posteriors_fit_if_it_infers,
    switching_changes_one_attribute,
    ten_iterations_lower_reconstruct,
    terms_trace_as_one_graph,
    rows_without_label_are_welcome,
    attributes_are_welcome,
)
