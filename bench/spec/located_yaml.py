"""Read the YAML of users: a subset of the language, within bounds; every value knows its line.

Whatever the text is, it ends in plain data or in a `SpecError`. PyYAML splits it into events; the
data is made of them here, since PyYAML's own constructors recurse without bound, expand aliases
without bound, and raise what they like on values that do not fit.
"""

import re
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from bench.errors import SpecError, describe_unknown, first_control, is_control, shortened
from bench.spec.located import Located
from bench.spec.validation import KeyPath, dotted

MOST_BYTES = 1 << 17  # which take half a second
MOST_VALUES = 50_000  # with aliases written out
MOST_DEPTH = 32
MOST_CHARACTERS = 10_000  # of a text
MOST_IN_NAME = 200  # characters of a key
LARGEST = 2**63 - 1  # an integer that files, databases and torch can hold

_FLOAT = r"(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9_]+|[0-9][0-9_]*(?=[eE]))(?:[eE][-+]?[0-9]+)?"
_SCALARS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "bool": (r"true|True|false|False", lambda text: text in ("true", "True")),
    "null": (r"~|null|Null|", lambda text: None),
    "int": (r"[-+]?(?:0|[1-9][0-9_]*)", lambda text: int(text.replace("_", ""))),
    "float": (
        rf"[-+]?{_FLOAT}|[-+]?\.(?:inf|Inf)|\.(?:nan|NaN)",
        lambda text: float(re.sub(r"_|\.(?=[infaN])", "", text)),
    ),
    "str": (r"(?s:.*)", str),
}
"""What plain text means, in this order: `1e-3` is a number, `no` and `on` are words."""

_TAGS = {f"tag:yaml.org,2002:{name}": name for name in (*_SCALARS, "map", "seq")}

_SYNTAX = {
    "while parsing a flow mapping": "the { of this line is not closed, or lacks a comma",
    "while parsing a flow sequence": "the [ of this line is not closed, or lacks a comma",
    "while scanning a quoted scalar": "the quoted text that begins here is not closed, or wrong",
    "mapping values are not allowed": "a second ': ' in the value; put a text with it into quotes",
    r"found character '\t'": "a tab; indent with spaces",
    "could not find expected ':'": "': ' is missing behind a key",
    "that cannot start any token": "a text that begins so has to stand in quotes",
    "expected the node content": "a value is missing here",
    "sequence entries are not allowed": "a list cannot begin here; '- ' belongs on a new line",
    "expected '<document start>'": "something behind the end of the document",
    "expected <block end>": "this line, or its indentation, does not go with those above",
}
"""Words of PyYAML -> what is wrong; the line is the one where the part began, or where it broke."""


class _Invalid(yaml.YAMLError):
    """The text cannot be read further."""


class _Reader:
    """The events of one YAML text, made into data; problems that do not end it are collected."""

    def __init__(self, text: str, mark: Callable[[int], str]) -> None:
        self.loader: Any = yaml.SafeLoader(text)
        self.mark = mark
        self.problems: list[SpecError] = []
        self.values = 0
        self.anchors: dict[str, tuple[Located, int] | None] = {}  # with the number of its values

    def document(self) -> Located:
        """Return the only document of the text; an empty text is null."""
        self.loader.get_event()  # of the stream
        if self.loader.check_event(yaml.StreamEndEvent):
            return Located(None, self.mark(1))
        self.loader.get_event()
        content = self._value((), 0)
        self.loader.get_event()
        if not self.loader.check_event(yaml.StreamEndEvent):
            self._stop(self.loader.peek_event(), (), "a second document (---); one is expected")
        return content

    def _report(self, event: Any, path: KeyPath, message: str) -> None:
        where = self.mark(event.start_mark.line + 1)
        self.problems.append(SpecError(message, where=where, key=dotted(path)))

    def _stop(self, event: Any, path: KeyPath, message: str) -> None:
        self._report(event, path, message)
        raise _Invalid

    def _value(self, path: KeyPath, depth: int) -> Located:
        event = self.loader.get_event()
        mark = self.mark(event.start_mark.line + 1)
        self.values += 1
        if self.values > MOST_VALUES:
            self._stop(event, path, f"more than {MOST_VALUES} values, with aliases written out")
        if depth > MOST_DEPTH:
            self._stop(event, path[:3], f"nested more than {MOST_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent):
            return replace(self._alias(event, path), mark=mark)
        before = self.values
        if event.anchor:
            self.anchors[event.anchor] = None
        content: Any
        if isinstance(event, yaml.ScalarEvent):
            content = self._scalar(event, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event, path, "seq")
            content = []
            while not self.loader.check_event(yaml.SequenceEndEvent):
                content.append(self._value((*path, len(content)), depth + 1))
            self.loader.get_event()
        else:
            self._check_tag(event, path, "map")
            content = self._mapping(path, depth + 1)
        part = Located(content, mark)
        if event.anchor:
            self.anchors[event.anchor] = part, self.values - before
        return part

    def _alias(self, event: Any, path: KeyPath) -> Located:
        if event.anchor not in self.anchors:
            self._report(event, path, describe_unknown("anchor", event.anchor, self.anchors))
            return Located(None)
        if (known := self.anchors[event.anchor]) is None:
            self._report(event, path, f"*{shortened(event.anchor)} is a part of itself")
            return Located(None)
        self.values += known[1]
        return known[0]

    def _mapping(self, path: KeyPath, depth: int) -> dict[str, Located]:
        """Return a mapping; what `<<` merges lies below its own keys."""
        content: dict[str, Located] = {}
        merged: list[Located] = []
        while not self.loader.check_event(yaml.MappingEndEvent):
            event = self.loader.peek_event()
            if not isinstance(event, yaml.ScalarEvent):
                self._stop(event, path, "a key must be a word, not a list, a mapping or an alias")
            self.loader.get_event()
            key, below = event.value, (*path, event.value)
            self._check_key(event, path)
            value = self._value(below, depth)
            if key == "<<" and event.style is None:
                merged += value.content if isinstance(value.content, list) else [value]
                if not all(isinstance(part.content, dict) for part in merged):
                    self._stop(event, below, "merges only mappings, such as <<: *name")
            elif key in content:
                self._report(event, below, "duplicate key")
            else:
                content[key] = replace(value, mark=self.mark(event.start_mark.line + 1))
        self.loader.get_event()
        for part in merged:
            content = {**part.content, **content}
        return content

    def _check_key(self, event: Any, path: KeyPath) -> None:
        key = event.value
        if not key.strip() or key != key.strip():
            problem = "is empty" if not key.strip() else "begins or ends with a space"
            self._report(event, path, f"the key {key!r} {problem}")
        elif any(map(is_control, key)):
            self._report(event, path, f"the key {shortened(key)!r} is not one line of plain text")
        elif len(key) > MOST_IN_NAME:
            problem = f"a key of {len(key)} characters; {MOST_IN_NAME} are enough"
            self._report(event, path, problem)
        self._check_tag(event, path, "str")

    def _scalar(self, event: Any, path: KeyPath) -> Any:
        """Return the value of a scalar; None where it is a problem."""
        text = event.value
        tag = "str"
        if event.implicit[0]:  # neither quotes nor a tag
            tag = next(name for name, (form, _) in _SCALARS.items() if re.fullmatch(form, text))
        elif not event.implicit[1]:
            tag = _TAGS.get(event.tag, "")
            if tag not in _SCALARS:
                return self._check_tag(event, path, "")
            forms = [_SCALARS[name][0] for name in (tag, *(("int",) if tag == "float" else ()))]
            if not any(re.fullmatch(form, text) for form in forms):
                return self._report(event, path, f"{shortened(text)!r} is not of the type !!{tag}")
        if len(text) > (64 if tag in ("int", "float") else MOST_CHARACTERS):
            what = "number" if tag in ("int", "float") else "text"
            return self._report(event, path, f"a {what} of {len(text)} characters is too long")
        if wrong := first_control(text):
            return self._report(event, path, f"contains the control character {wrong!r}")
        value = _SCALARS[tag][1](text)
        if tag == "int" and abs(value) > LARGEST:
            return self._report(event, path, f"{text} is beyond 2^63 - 1, the largest whole number")
        if tag == "float" and not abs(value) < float("inf"):
            return self._report(event, path, f"{text} is not a finite number")
        return value

    def _check_tag(self, event: Any, path: KeyPath, expected: str) -> None:
        if event.tag not in (None, "!") and _TAGS.get(event.tag) != expected:
            tag = shortened(event.tag.replace("tag:yaml.org,2002:", "!!"))
            self._report(event, path, f"the tag {tag} is not known here; write the value plainly")


def _parse(text: str, mark: Callable[[int], str]) -> Located:
    """Return the data of a YAML text; `mark` says where a line of it is."""
    if wrong := yaml.reader.Reader.NON_PRINTABLE.search(text):
        where = mark(text.count("\n", 0, wrong.start()) + 1)
        raise SpecError(f"contains the control character {wrong.group()!r}", where=where)
    if len(text) > MOST_BYTES:
        size = f"{len(text) >> 10} KiB; at most {MOST_BYTES >> 10} are read"
        raise SpecError(f"a text of {size}", where=mark(1))
    reader = _Reader(text, mark)
    try:
        content = reader.document()
    except _Invalid:
        pass
    except yaml.MarkedYAMLError as error:
        message, line = _syntax_problem(error)
        reader.problems.append(SpecError(f"is not valid YAML: {message}", where=mark(line)))
    finally:
        reader.loader.dispose()
    if reader.problems:
        raise SpecError.all_of(reader.problems)
    return content


def _syntax_problem(error: yaml.MarkedYAMLError) -> tuple[str, int]:
    """Return what is wrong with a text that is not YAML, and the line."""
    problem = " ".join(part for part in (error.context, error.problem) if part)
    mark = error.problem_mark or error.context_mark
    for words, message in _SYNTAX.items():
        if words in problem:
            problem = message
            if words == error.context:  # what is not closed is missed far below
                mark = error.context_mark
            break
    return problem, mark.line + 1 if mark else 1


def parse_value(text: str, where: str) -> Any:
    """Return the value of a YAML string; the error for one that is not YAML says `where` it is."""
    return _parse(text, lambda line: where).value


def parse_component(text: str, where: str) -> dict[str, Any]:
    """Return the component that a YAML text means: a name, or a mapping of name and options."""
    value = parse_value(text, where)
    component = {"name": value} if isinstance(value, str) else value
    if not isinstance(component, dict):
        raise SpecError("expected a name, or {name: ..., option: ...}", where=where)
    return component


def parse_option(text: str) -> tuple[str, Any]:
    """Return key and value of a `key=value` from the command line, the value in YAML."""
    key, equals, value = text.partition("=")
    where = f"command line, {text}"
    if not equals or not all(part.strip() for part in key.split(".")):
        raise SpecError("an override reads path=value, as in base.iterations=500", where=where)
    if key.count(".") >= MOST_DEPTH:
        raise SpecError(f"nested more than {MOST_DEPTH} deep", where=where)
    return key, parse_value(value, where)


def read_yaml(path: Path, kind: str = "sweep file") -> Located:
    """Read a file that is one YAML mapping, with marks `file:line`; refuse duplicate keys."""
    document = _parse(_text_of(path, kind), lambda line: f"{path}:{line}")
    if document.content is None:
        document = Located({})
    if not isinstance(document.content, dict):
        raise SpecError("expected a mapping (key: value)", where=f"{path}:1")
    return replace(document, mark=f"{path}:1")


def _text_of(path: Path, kind: str) -> str:
    """Return the text of a file; a pipe, which may never end, is not read."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
            raise SpecError(f"is {what}, not a file", where=str(path))
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        names = [neighbor.name for neighbor in path.parent.glob("*.yaml")]
        message = describe_unknown(kind, path.name, names)
        raise SpecError(message, where=str(path)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SpecError(f"cannot be read: {reason}", where=str(path)) from error
    if len(content) > MOST_BYTES:
        problem = f"is larger than {MOST_BYTES >> 10} KiB, which no {kind} needs"
        raise SpecError(problem, where=str(path))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        is_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        line = 1 if is_16 else content.count(b"\n", 0, error.start) + 1
        problem = "is UTF-16" if is_16 else "has bytes that are not UTF-8"
        raise SpecError(f"{problem}; save it as UTF-8", where=f"{path}:{line}") from error
