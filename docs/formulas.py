"""Formulas of docstrings (`.. math::` and LaTeX) as MathML, which browsers show without scripts."""

import re
import textwrap
from typing import Any

import griffe
from latex2mathml.converter import convert

DIRECTIVE = re.compile(r"^( *)\.\. math:: (.*(?:\n\1 +\S.*)*)", re.MULTILINE)


class Formulas(griffe.Extension):
    """Replaces the formulas of every docstring before it is rendered."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Replace the formulas of one class, function or module."""
        if obj.docstring:
            obj.docstring.value = DIRECTIVE.sub(_mathml, obj.docstring.value)


def _mathml(directive: re.Match[str]) -> str:
    indent, latex = directive.groups()
    formula = convert(" ".join(textwrap.dedent(latex).split()), display="block")
    return f"{indent}<div>{formula}</div>"
