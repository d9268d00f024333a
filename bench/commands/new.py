"""`bench new`: a starter package."""

import keyword
import re
import tempfile
from importlib.util import find_spec
from pathlib import Path
from string import Template

import click

from bench import registry
from bench.commands import cli, echo
from bench.errors import BenchError, add_path_to_errors, shortened

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "$package"
version = "0.1.0"
description = "The model $name for bench"
dependencies = ["bench-generators"]

[project.entry-points."bench.models"]
$name = "$name:$factory"

[tool.hatch.build.targets.wheel]
only-include = ["$name.py"]
"""

MODEL = '''\
"""$factory: say here what the model is, and which paper it is from."""

import torch
from torch import Tensor, nn

from bench.data.base import DataSpec
from bench.training.interface import Batch, ConditionalGenerator, Stage, draw_normal


class $factory(ConditionalGenerator):
    """A conditional VAE on linear layers, as a starting point."""

    # Each child module with parameters is a player; the players of a stage are updated together.
    stages = (Stage("main", ("encoder", "decoder")),)
    # Player -> term -> weight. A sweep can edit it.
    objective = {
        "encoder": {"reconstruct": 10.0, "kl": 0.1},
        "decoder": {"reconstruct": 10.0},
    }
    # Without this: Adam for GANs, with a rate of 5e-4 and betas of 0.0 and 0.9.
    optimizers = {"default": {"name": "adam", "rate": 1e-3, "betas": [0.9, 0.999]}}

    def __init__(self, spec: DataSpec, *, latent: int = 16) -> None:
        super().__init__()
        self.spec, self.latent = spec, latent
        pixels = torch.Size(spec.shape).numel()
        self.encoder = nn.Linear(pixels + spec.classes, 2 * latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent + spec.classes, 128), nn.ReLU(), nn.Linear(128, pixels), nn.Tanh()
        )

    def terms(self, stage: str, batch: Batch, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the losses of one pass, each a mean over the batch."""
        x = batch.x.flatten(1)
        mean, logvar = self.encoder(self.with_label(x, batch.y)).chunk(2, 1)
        z = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
        return {
            "reconstruct": (self.decoder(self.with_label(z, batch.y)) - x).square().mean(),
            "kl": 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean(),
        }

    def sample(self, y: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return one image in [-1, 1] for each label."""
        z = draw_normal(len(y), self.latent, device=y.device, generator=generator)
        return self.decoder(self.with_label(z, y)).view(-1, *self.spec.shape)

    def with_label(self, x: Tensor, y: Tensor) -> Tensor:
        """Return vectors with the label behind them."""
        return torch.cat([x, nn.functional.one_hot(y, self.spec.classes).to(x.dtype)], 1)
'''

TEST = '''\
"""$factory keeps the rules of bench."""

from bench.conformance.findings import check_model


def test_it_conforms() -> None:
    failures = [finding for finding in check_model("$name") if finding.outcome == "FAIL"]
    assert not failures, failures
'''

README = """\
# $name

```
pip install -e .                     # where bench is installed; registers the model
bench check $name                    # the rules that every model keeps; pytest runs them too
bench run $name.yaml                 # with a built-in model, three seeds each
bench report $name --table summary
```
"""

SWEEP = """\
# $name and a built-in model.
name: $name
base:
  data: digits
  iterations: 800
  samples_per_class: 50
  metrics: [inception_score, intra_class_diversity, class_accuracy]
seeds: [0, 1, 2]  # a first look; a test of significance takes six
compare: {reference: cvae}  # which comparisons are tested together
variants:
  cvae: {model: {name: cvae, width: 0.5, latent: 16}}
  $name: {model: {name: $name, latent: 16}}
"""

FILES = {
    "pyproject.toml": PYPROJECT,
    "$name.py": MODEL,
    "tests/test_$name.py": TEST,
    "README.md": README,
    "$name.yaml": SWEEP,
}
"""Path in the package -> its text; `$name`, `$factory` and `$package` are filled in."""


@cli.group("new")
def new_command() -> None:
    """Create a starter package."""


@new_command.command("model")
@click.argument("name")
def new_model(name: str) -> None:
    """Write the folder NAME: a package with a small model that conforms, its test and a sweep.

    Example: bench new model my_model
    """
    _check_name(name)
    words = {
        "name": name,
        "factory": "".join(part[:1].upper() + part[1:] for part in name.split("_")),
        "package": name.strip("_").replace("_", "-"),
    }
    folder = Path(name)
    if folder.exists() or folder.is_symlink():
        raise BenchError(f"{folder} already exists; choose another name, or move it away")
    with add_path_to_errors(folder), tempfile.TemporaryDirectory(prefix=".new-", dir=".") as made:
        package = Path(made, name)
        for path, text in FILES.items():
            file = package / Template(path).substitute(words)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(Template(text).substitute(words))
        package.rename(folder)
    echo(f"written: {', '.join(str(folder / Template(path).substitute(words)) for path in FILES)}")
    echo(f"next:\n  pip install -e {name}\n  bench check {name}\n  bench run {name}/{name}.yaml")


def _check_name(name: str) -> None:
    """Refuse what can be no module, or is the name of something else."""
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or keyword.iskeyword(name):
        proposed = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower() or "my_model"
        if not proposed[0].isalpha() or keyword.iskeyword(proposed):
            proposed = f"my_{proposed}"
        raise BenchError(
            f"{shortened(name)!r} cannot be the name of a Python module: letters, digits and _, no "
            f"keyword; for example {shortened(proposed)}"
        )
    if len(name) > 60:
        raise BenchError(f"the name {shortened(name)!r} has more than 60 characters")
    if name in registry.registered("model"):
        raise BenchError(f"the model {name!r} is already registered; choose another name")
    if not Path(name).exists() and find_spec(name) is not None:
        raise BenchError(f"{name!r} is the name of an installed module; try my_{name}")
