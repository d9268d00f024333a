"""A damaged or hostile archive is one message, and nothing of it is written."""

import io
import random
import shutil
import tarfile

import pytest

from tests.fuzz.damage import DAMAGES
from tests.fuzz.test_records import broken
from tests.made_once import copy_tiny_sweep

FAST = 25

ODD_NAMES = ("../x", "/x", "a/../../x", "runs/\n", "runs/" + "a" * 300, "a/b/c/d/e/f/g", "", "runs")


def _whole(here, bench):
    copy_tiny_sweep(here)
    bench("export", "tiny", "--weights")
    shutil.rmtree(here / "results")
    with tarfile.open("tiny.tar.gz") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def damaged_archive(held, path, draw):
    """Write an archive of which one member, or the file itself, is damaged."""
    held = dict(held)
    name = draw.choice(sorted(held))
    damage = draw.choice(sorted(DAMAGES))
    place = path.with_name("member") / name.rpartition("/")[2]
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(held[name])
    DAMAGES[damage](place, draw)
    if place.is_file() and not place.is_symlink() and not place.is_fifo():
        held[name] = place.read_bytes()
    else:
        del held[name]
    shutil.rmtree(place.parent)
    types = dict.fromkeys(held, tarfile.REGTYPE)
    if draw.random() < 0.3:
        odd = draw.choice(ODD_NAMES)
        held[odd] = b""
        types[odd] = draw.choice(
            [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]
        )
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for member, data in held.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(data) if types[member] == tarfile.REGTYPE else 0
            entry.type, entry.linkname = types[member], "manifest.json"
            archive.addfile(entry, io.BytesIO(data))
    if draw.random() < 0.2:
        content = bytearray(path.read_bytes())
        start = draw.randrange(len(content))
        content[start : start + 20] = draw.randbytes(draw.choice([0, 20, 400]))
        path.write_bytes(content)
    return f"{name}, {damage}"


def try_archives(here, bench, capsys, count):
    held = _whole(here, bench)
    before = set(here.rglob("*"))
    for number in range(count):
        what = damaged_archive(held, here / "odd.tar.gz", random.Random(number))
        text = broken(["import", "odd.tar.gz"], capsys)
        assert not text, f"{number}: {what}: {text}"
        (here / "odd.tar.gz").unlink()
        if (here / "results").exists():  # what was damaged is not part of the record
            assert not broken(["report"], capsys), f"{number}: {what}"
            shutil.rmtree(here / "results")
        assert set(here.rglob("*")) == before, f"{number}: {what}"


def test_a_damaged_archive_ends_in_one_message(here, bench, capsys):
    try_archives(here, bench, capsys, FAST)


@pytest.mark.slow
def test_many_damaged_archives_end_in_one_message(here, bench, capsys):
    try_archives(here, bench, capsys, 1500)
