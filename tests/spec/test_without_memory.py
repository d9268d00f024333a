"""What is built without memory has the shape and the type that it has with memory."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bench.spec.declaration import without_memory

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.randn(3, generator=torch.Generator("cpu").manual_seed(0)),
        lambda: torch.randn((3, 4), dtype=torch.float64, requires_grad=True),
        lambda: torch.randn(3, 4, out=torch.empty(3, 4)),
        lambda: torch.empty(3).normal_(0, 1, generator=torch.Generator("cpu")),
        lambda: torch.zeros(3).clamp(torch.zeros(4, 1), torch.ones(4, 3)),
        lambda: torch.zeros(3).clamp(min=torch.zeros(4, 1)),
        lambda: torch.arange(3).clamp(max=1.5),
        lambda: torch.zeros(3).clamp(0, 1),
        lambda: F.normalize(p=1, input=torch.zeros(3, 4)),
        lambda: nn.init.orthogonal_(nn.Parameter(torch.empty(3, 4)), gain=2),
        lambda: nn.init.trunc_normal_(torch.empty(3, 4), std=nn.init.calculate_gain("relu")),
        lambda: torch.einsum("ij,jk->ki", torch.randn(2, 3), torch.randn(3, 4)),
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4))(torch.zeros(2, 3)),
    ],
)
def test_shape_and_type_are_those_with_memory(make):
    with without_memory():
        found = make()
    made = make()
    assert (found.device.type, found.shape, found.dtype) == ("meta", made.shape, made.dtype)
    assert found.requires_grad == made.requires_grad


@pytest.mark.parametrize("sweep", ["narrow", "attributes"])
def test_reading_a_sweep_does_not_load_the_compiler(sweep):
    """Built-in models are built without arithmetic on tensors without memory, which would."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom bench.spec.sweep_file import load_sweep\n"
        f"load_sweep(Path('sweeps/{sweep}.yaml'))\nassert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
