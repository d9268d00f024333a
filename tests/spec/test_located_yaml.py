"""The reader of users' YAML: what it takes, what it refuses, and that it never fails otherwise."""

import os
import string

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import MOST_LINES, SpecError
from bench.spec.located_yaml import MOST_BYTES, MOST_DEPTH, parse_value, read_yaml

WORDS = st.text(string.ascii_letters + "äß日", min_size=1, max_size=8)
NUMBERS = st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(value=VALUES, flow=st.booleans())
def test_what_yaml_writes_is_read_as_it_was(value, flow):
    text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
    assert parse_value(text, "here") == value


@settings(max_examples=200, deadline=1000)
@given(text=st.text() | st.text("{}[]:,&*!|>'\"%@`#-? \n\t0aé<.~"))
def test_any_text_is_data_or_a_short_message(text):
    told = ""
    try:
        parse_value(text, "here")
    except SpecError as error:
        told = str(error)
    assert told.encode().startswith(b"here: ") or not told or "problems:\n  here: " in told
    assert told.count("\n") < MOST_LINES


def test_lines_are_those_of_keys(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("# first\na:\n  b:\n    - 1\n    - x: 2\n")
    document = read_yaml(path)
    assert document.where(("a", "b")) == f"{path}:3"
    assert document.where(("a", "b", 1, "x")) == f"{path}:5"
    assert document.where(("a", "nothing")) == f"{path}:2"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}", {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}}),
        ("a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc: {<<: [*x, *y]}", {"p": 1, "q": 2}),
        ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
        ("[yes, no, on, off, 1e-3, 012, 0x1F, 12:30, 2026-99-99]", None),
        ("a: !!str 5\nb: !!int 5\nc: !!float 5", {"a": "5", "b": 5, "c": 5.0}),
        ("1: a\ntrue: b\nnull: c", {"1": "a", "true": "b", "null": "c"}),
        ("--- {a: 1}\n...\n", {"a": 1}),
        ("", None),
    ],
)
def test_what_people_write_means_what_they_mean(text, value):
    found = parse_value(text, "here")
    if text.startswith("["):
        value = ["yes", "no", "on", "off", 1e-3, "012", "0x1F", "12:30", "2026-99-99"]
    assert (found["c"] if "*y" in text else found) == value


LAUGHS = "a: &a0 lol\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (LAUGHS, 6, "more than 50000 values, with aliases written out"),
        ("a: " + "[" * 5000, 1, f"nested more than {MOST_DEPTH} deep"),
        ("a: &x [*x]", 1, "*x is a part of itself"),
        ("a: *x", 1, "unknown anchor 'x'"),
        ("a: !!int abc", 1, "'abc' is not of the type !!int"),
        ("a: !!python/name:os.system", 1, "the tag !!python/name:os.system is not known here"),
        ("a: !!binary '****'", 1, "the tag !!binary is not known here"),
        ("a: 1\nb: .nan", 2, "b: .nan is not a finite number"),
        ("a: 1e999", 1, "1e999 is not a finite number"),
        ("a: " + "9" * 5000, 1, "a number of 5000 characters is too long"),
        ("a: 9223372036854775808", 1, "is beyond 2^63 - 1"),
        ("a: 1\n\n? [x]\n: 2", 3, "a key must be a word"),
        ('a: "\\x1b[31m"', 1, "contains the control character '\\x1b'"),
        ('a: "\\ud800"', 1, "contains the control character '\\ud800'"),
        ('"a\\nb": 1', 1, "is not one line of plain text"),
        ("'': 1", 1, "the key '' is empty"),
        ("' a': 1", 1, "begins or ends with a space"),
        ("k" * 300 + ": 1", 1, "a key of 300 characters"),
        ("a: 1\na: 2", 2, "a: duplicate key"),
        ("a: {<<: 1}", 1, "merges only mappings"),
        ("a: 1\n---\nb: 2", 2, "a second document (---)"),
        ("a: 1\nb: {c: 1\nd: 2\n", 2, "the { of this line is not closed"),
        ("a: 1\nb: [1,\n 2\n\n", 2, "the [ of this line is not closed"),
        ("a: 1\nb: 'x\nc: 2", 2, "the quoted text that begins here is not closed"),
        ("a: b: c", 1, "a second ': ' in the value"),
        ("a: 1\n\tb: 2", 2, "a tab; indent with spaces"),
        ("a: 1\nb: @x", 2, "has to stand in quotes"),
        ("a: 1\n\0", 2, "contains the control character '\\x00'"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_what_means_nothing_is_refused_where_it_is(tmp_path, text, line, message):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        read_yaml(path)
    assert message in str(caught.value)
    assert f"{path}:{line}: " in str(caught.value)
    assert str(caught.value).count("\n") < MOST_LINES


def test_problems_are_told_together(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: .nan\nb: *x\na: 1\nc: !!binary x\n")
    with pytest.raises(SpecError) as caught:
        read_yaml(path)
    lines = str(caught.value).splitlines()
    assert lines[0] == "4 problems:"
    assert lines[1].startswith(f"  {path}:2: b: unknown anchor 'x'")  # unknown names come first
    assert [line.split(": ")[0].rpartition(":")[2] for line in lines[2:]] == ["1", "3", "4"]


UNREADABLE = {
    "folder": (lambda path: path.mkdir(), "is a folder, not a file"),
    "pipe": (os.mkfifo, "is a pipe or a device, not a file"),
    "circle": (lambda path: path.symlink_to(path), "cannot be read"),
    "utf-16": (
        lambda path: path.write_bytes("a: ü".encode("utf-16")),
        "is UTF-16; save",
    ),
    "latin-1": (
        lambda path: path.write_bytes(b"a: 1\nb: \xfc"),
        "yaml:2: has bytes that",
    ),
    "large": (lambda path: path.write_text("a: 1\n" * MOST_BYTES), "is larger than 128 KiB"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_text_file_is_named(tmp_path, kind):
    path = tmp_path / "a.yaml"
    make, message = UNREADABLE[kind]
    make(path)
    with pytest.raises(SpecError, match=r"a\.yaml") as caught:
        read_yaml(path)
    assert message in str(caught.value)


def test_a_byte_order_mark_is_skipped(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: ü", encoding="utf-8-sig")
    assert read_yaml(path).value == {"a": "ü"}
