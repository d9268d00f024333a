"""`bench list KIND NAME`: what people are told of the options of a component."""

import json
from typing import get_args

import pytest

from bench import registry
from bench.commands.described_options import describe_options

OWN = """
from typing import Literal
from baselines.cvae import CVAE


class Mine(CVAE):
    '''A model of my own.

    Args:
        width: Mine,
            and wide.
        shape: Of the code.

    Raises:
        shape: Never.
    '''

    def __init__(
        self,
        spec,
        *,
        width: float,
        shape: Literal["round", 3] | None = None,
        bare: list[int] = [1],
    ) -> None:
        super().__init__(spec, width=width)

    def sample(self, y, generator=None, *, colour: str = "red"):
        '''Draw.

        Args:
            colour: Of the samples.
        '''
"""


@pytest.mark.parametrize("kind", get_args(registry.Kind))
def test_each_option_is_explained(kind):
    for name in registry.BUILT_IN[kind]:
        for option in describe_options(kind, name):
            assert option.text.endswith("."), (name, option)


def test_options_of_a_model_of_ones_own(install, bench):
    install("mine", {"mine.py": OWN}, {"bench.models": {"mine": "mine:Mine"}})
    width, shape, bare, colour = describe_options("model", "mine")
    assert (width.text, width.is_required, width.choices) == ("Mine, and wide.", True, [])
    assert (shape.text, shape.default, shape.choices) == ("Of the code.", None, ["round", 3, None])
    assert (bare.text, bare.default, bare.is_required) == ("", [1], False)
    assert (colour.text, colour.default, colour.of_sampling) == ("Of the samples.", "red", True)
    status, out, _ = bench("list", "models", "mine")
    assert status == 0
    assert "  width  Mine, and wide. (required)\n" in out
    assert "  shape  Of the code. (one of round, 3, null; default null)\n" in out
    assert "  bare   (default [1])\n" in out
    assert "sampling options:\n  colour  Of the samples. (default red)\n" in out


def test_options_are_json_too(bench):
    status, out, _ = bench("list", "metrics", "kid", "--json")
    [found] = json.loads(out)
    assert status == 0
    assert found["name"] == "kid"
    [seed] = [option for option in found["options"] if option["name"] == "extractor_seed"]
    assert seed["default"] == 0
    assert seed["is_required"] is seed["of_sampling"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("models", "cvea"), "unknown model 'cvea' (did you mean 'cvae'?)"),
        (("rules", "cvae"), "rules have no options, so leave out 'cvae'"),
    ],
)
def test_a_name_without_options_is_told(bench, words, message):
    status, out, err = bench("list", *words)
    assert (status, out) == (2, "")
    assert message in err


def test_a_component_without_options_says_so(bench):
    assert bench("list", "controls", "real")[1].endswith("\nno options\n")
