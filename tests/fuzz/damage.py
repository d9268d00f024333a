"""Ways in which a file may be damaged, by name; each takes a path and a source of randomness."""

import io
import json
import os
import shutil

import numpy as np

ODD = (
    *(None, True, [], {}, "", "x", "\ud800", "\x00", "..", "a" * 100_000, [[1]], {"a": 1}),
    *(2**63, -1, 0, 0.5, 1e308, float("inf"), float("nan"), 10**5000, -(10**20)),
)
"""Values of another type or size than any file expects."""


def as_json(value):
    """Return JSON, also of what Python has no JSON for."""
    return Odd.dumps(value)


class Odd:
    """JSON with numbers of any length."""

    @staticmethod
    def dumps(value):
        if isinstance(value, dict):
            parts = [f"{json.dumps(key)}:{Odd.dumps(part)}" for key, part in value.items()]
            return f"{{{','.join(parts)}}}"
        if isinstance(value, list):
            return f"[{','.join(map(Odd.dumps, value))}]"
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**4000:
            return "1" + "0" * 5000
        return json.dumps(value)


def places(value, path=()):
    """Yield the paths of all parts of a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, part in items:
        yield from places(part, (*path, key))


def with_odd_value(value, draw):
    """Return a JSON value of which one part is odd, or gone."""
    value = json.loads(json.dumps(value))
    *where, last = draw.choice([place for place in places(value) if place])
    part = value
    for key in where:
        part = part[key]
    if isinstance(part, dict) and draw.random() < 0.2:
        del part[last]
    else:
        part[last] = draw.choice(ODD)
    return value


def _remove(path):
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)


def _write(content):
    def damage(path, draw):
        _remove(path)
        path.write_bytes(content(draw) if callable(content) else content)

    return damage


def _half(path, draw):
    content = path.read_bytes() if path.is_file() else b""
    path.write_bytes(content[: len(content) // 2])


def _fewer_lines(path, draw):
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    path.write_bytes(b"".join(lines[: len(lines) // 2]))


def _folder(path, draw):
    _remove(path)
    path.mkdir()
    (path / "file").touch()


def _link_to_itself(path, draw):
    _remove(path)
    path.symlink_to(path.name)


def _pipe(path, draw):
    _remove(path)
    os.mkfifo(path)


def _missing(path, draw):
    _remove(path)


def _odd_value(path, draw):
    """Change one value in a file of JSON, JSON lines or CSV; anything else becomes odd JSON."""
    try:
        lines = path.read_text().splitlines()
        if path.suffix == ".jsonl":
            index = draw.randrange(len(lines))
            lines[index] = as_json(with_odd_value(json.loads(lines[index]), draw))
        elif path.suffix == ".csv":
            index = draw.randrange(len(lines))
            cells = lines[index].split(",")
            cells[draw.randrange(len(cells))] = str(
                draw.choice(["nan", "x", "", "1e999", "9" * 30])
            )
            lines[index] = ",".join(cells)
        else:
            lines = [as_json(with_odd_value(json.loads("\n".join(lines)), draw))]
    except (OSError, ValueError, IndexError, EOFError):
        lines = [as_json({"seed": draw.choice(ODD)})]
    _write("\n".join(lines).encode("utf-8", "surrogatepass") + b"\n")(path, draw)


def _npz(make):
    def content(draw):
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **make(draw))
        return buffer.getvalue()

    return _write(content)


def _arrays_of(path):
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _odd_array(path, draw):
    """Change the shape or the type of one array in an archive of arrays."""
    try:
        arrays = _arrays_of(path)
        name = draw.choice(sorted(arrays))
    except (OSError, ValueError, IndexError, EOFError):
        arrays, name = {}, "x"
    odd = (
        *(np.zeros(0), np.zeros((0, 0, 4, 4, 1), np.uint8), np.array("\ud800"), np.float32(np.nan)),
        *(np.full((2, 3, 2), np.inf, np.float32), np.zeros((2, 3, 4, 4, 7), np.uint8)),
        *(np.zeros((10, 10, 9, 7, 3), np.uint8), np.array([["a", "b", "c"]]), np.array(["a", "b"])),
    )
    _npz(lambda draw: arrays | {name: draw.choice(odd)})(path, draw)


def _huge_array(path, draw):
    """An archive whose array claims to be of a petabyte."""
    head = io.BytesIO()
    claim = {"descr": "|u1", "fortran_order": False, "shape": (10**15,)}
    np.lib.format.write_array_header_1_0(head, claim)
    _zip({"x.npy": head.getvalue() + b"\0" * 100, "names.npy": head.getvalue()})(path, draw)


def _zip(members):
    import zipfile

    def content(draw):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in members.items():
                file.writestr(name, data)
        return buffer.getvalue()

    return _write(content)


DAMAGES = {
    "half": _half,
    "fewer lines": _fewer_lines,
    "zeros": _write(b"\0" * 400),
    "random bytes": _write(lambda draw: draw.randbytes(400)),
    "empty": _write(b""),
    "missing": _missing,
    "folder": _folder,
    "link to itself": _link_to_itself,
    "pipe": _pipe,
    "list": _write(b"[1, 2]"),
    "object": _write(b'{"a": {}}'),
    "text": _write(b'"text"'),
    "deep": _write(b'{"a":' * 50_000),
    "long number": _write(b'{"seed": ' + b"9" * 5000 + b"}"),
    "NaN": _write(b'{"metric": "a", "value": NaN}\n'),
    "not an entry": _write(b'{"a": 1}\n'),
    "other archive": _zip({"a.txt": b"a"}),
    "other arrays": _npz(lambda draw: {"a": np.arange(3)}),
    "objects": _write(b"PK\x03\x04" + b"\0" * 30),
    "huge array": _huge_array,
    "odd array": _odd_array,
    "odd value": _odd_value,
    "odd value again": _odd_value,
    "odd value once more": _odd_value,
}
