"""Plain data whose every value remembers file and line, for messages, and patches of such data."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.errors import SpecError
from bench.spec.validation import KeyPath, KeyProblem, dotted

COMPONENTS = ("model", "data")  # settings with a name and options of their own


@dataclass(frozen=True)
class Located:
    """Plain data in which every part knows where it was written."""

    content: Any  # a scalar, or a mapping or list of further parts
    mark: str = ""  # `file:line`, or the text of an override; unknown where empty

    @classmethod
    def of(cls, value: Any, mark: str = "") -> "Located":
        """Return plain data with one mark for all of it."""
        if isinstance(value, dict):
            return cls({key: cls.of(part, mark) for key, part in value.items()}, mark)
        return cls(
            [cls.of(part, mark) for part in value] if isinstance(value, list) else value, mark
        )

    @property
    def value(self) -> Any:
        """The plain data."""
        if isinstance(self.content, dict):
            return {key: part.value for key, part in self.content.items()}
        if isinstance(self.content, list):
            return [part.value for part in self.content]
        return self.content

    def at(self, path: KeyPath) -> "Located":
        """Return one part."""
        part = self
        for key in path:
            part = part.content[key]
        return part

    def where(self, path: KeyPath) -> str:
        """Return where a part, or else the nearest part around it, was written."""
        part, mark = self, self.mark
        for key in path:
            if isinstance(part.content, str):  # a shorthand, which has no parts
                break
            try:
                part = part.at((key,))
            except (LookupError, TypeError):
                break
            mark = part.mark or mark
        return mark

    def merged(self, patch: "Located", key: str = "") -> "Located":
        """Return this with a patch laid over it: mappings are merged, all else is replaced.

        A model or data set may be a name alone. One of another name replaces the whole component,
        since the options of one mean nothing to another.
        """
        before, changes = self.content, patch.content
        if key in COMPONENTS:
            before = {"name": self} if isinstance(before, str) else before
            changes = {"name": patch} if isinstance(changes, str) else changes
        if not (isinstance(before, dict) and isinstance(changes, dict)):
            return patch
        names = [part["name"].value for part in (before, changes) if "name" in part]
        if key in COMPONENTS and names[1:] and names[0] != names[1]:
            return patch
        content = dict(before)
        for name, part in changes.items():
            content[name] = content[name].merged(part, name) if name in content else part
        return Located(content, patch.mark if key in COMPONENTS and patch.mark else self.mark)

    def error(self, path: KeyPath, message: str, note: str = "") -> SpecError:
        """Return the error for a wrong part, with the place where it was written."""
        return SpecError(message, where=self.where(path), key=dotted(path), note=note)

    @contextmanager
    def locating_errors(self, note: str = "") -> Iterator[None]:
        """Turn a `KeyProblem` with this data into a `SpecError` that says where its keys are."""
        try:
            yield
        except KeyProblem as problem:
            errors = [self.error(part.path, part.message, note) for part in problem.parts]
            raise SpecError.all_of(errors) from problem


def nested(keys: Sequence[str], value: Located) -> Located:
    """Return `{a: {b: value}}` for the keys `a, b`."""
    for key in reversed(keys):
        value = Located({key: value}, value.mark)
    return value
