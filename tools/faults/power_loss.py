"""Losses of power on a real file system: a disk that records what is written to it, and forgets.

    sudo python tools/faults/power_loss.py [--vascx target/release/vascx] [--moments 200] [--seed 1] [-- OPTION …]

A file in a FUSE file system (pip install mfusepy; libfuse 3) stands behind a loop device with ext4 on it.
It records every write and every flush that reaches the disk while `vascx predict` (with the options after
`--`, such as `--durability fast`) writes its results there. For each of so many moments of that record, a
disk is made as it may be after a loss of power then: all that was written before the last flush, and of what
was written since, all, nothing or a random part, in blocks of 4 KiB. It is mounted (ext4 recovers by its
journal), whatever is under a final name is compared with the whole file, and `predict --resume` must end
as an undisturbed run does. Linux, root.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import errno
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIZE = 96 << 20
BLOCK = 4096
WRITE, FLUSH, MARK = range(3)


def serve(folder: str, log: str) -> None:
    """The file system, until it is unmounted: `disk`, and `mark`, to which one writes to set a mark."""
    import mfusepy

    disk = bytearray(SIZE)
    record = open(log, "wb")

    def note(kind: int, offset: int = 0, data: bytes = b"") -> None:
        record.write(struct.pack("<BQI", kind, offset, len(data)) + data)
        record.flush()

    class Disk(mfusepy.Operations):
        use_ns = True

        def getattr(self, path, fh=None):
            if path == "/":
                return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
            size = {"/disk": SIZE, "/mark": 0}.get(path)
            if size is None:
                raise mfusepy.FuseOSError(errno.ENOENT)
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": size}

        def readdir(self, path, fh):
            return [".", "..", "disk", "mark"]

        def open(self, path, flags):
            return 1

        def truncate(self, path, length, fh=None):
            pass

        def read(self, path, size, offset, fh):
            return bytes(disk[offset:offset + size])

        def write(self, path, data, offset, fh):
            if path == "/mark":
                note(MARK)
            else:
                disk[offset:offset + len(data)] = data
                note(WRITE, offset, bytes(data))
            return len(data)

        def fsync(self, path, datasync, fh):
            note(FLUSH)

    mfusepy.FUSE(Disk(), folder, foreground=True, nothreads=True)


def run(*command, **more) -> str:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, **more).stdout


@contextlib.contextmanager
def mounted(disk: Path, folder: Path):
    folder.mkdir(exist_ok=True)
    device = run("losetup", "--find", "--show", disk).strip()
    try:
        run("mount", device, folder)
        try:
            yield
        finally:
            run("umount", folder)
    finally:
        run("losetup", "--detach", device)


def results(out: Path) -> dict[str, bytes]:
    """Files by name, without what times stand in."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if not path.is_file() or name in ("run.json", ".vascx.lock"):
            continue
        if name == "manifest.csv":
            rows = list(csv.DictReader(path.open(newline="")))
            found[name] = repr([{key: row[key] for key in row if key != "seconds"} for row in rows]).encode()
        elif name != "journal.jsonl":
            found[name] = path.read_bytes()
    return found


def record(work: Path, predict) -> list[tuple[int, int, bytes]]:
    """What a run writes to its disk, after a mark for the beginning of the run."""
    (work / "fuse").mkdir()
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(work / "fuse"), str(work / "log")])
    disk = work / "fuse/disk"
    while not disk.exists():
        time.sleep(0.05)
    run("mkfs.ext4", "-q", "-b", BLOCK, "-E", "lazy_itable_init=0,lazy_journal_init=0", disk)
    with mounted(disk, work / "mnt"):
        run("sync", "-f", work / "mnt")
        (work / "fuse/mark").write_text("x")
        predict(work / "mnt/out", [])
        (work / "fuse/mark").write_text("x")
    run("umount", work / "fuse")
    server.wait()
    data, at, calls = (work / "log").read_bytes(), 0, []
    while at < len(data):
        kind, offset, length = struct.unpack_from("<BQI", data, at)
        at += 13
        calls.append((kind, offset, data[at:at + length]))
        at += length
    return calls


def lose_power(calls: list, moment: int, rng: random.Random, share: float) -> bytearray:
    """The disk after a loss of power before a call: of what was not flushed, so much is there."""
    flushed = max((at for at in range(moment) if calls[at][0] == FLUSH), default=0)
    disk = bytearray(SIZE)
    for at, (kind, offset, data) in enumerate(calls[:moment]):
        if kind != WRITE:
            continue
        for start in range(0, len(data), BLOCK):
            if at < flushed or rng.random() < share:
                part = data[start:start + BLOCK]
                disk[offset + start:offset + start + len(part)] = part
    return disk


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        return serve(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--vascx", type=Path, default=ROOT / "target/release/vascx")
    parser.add_argument("--model", type=Path, default=ROOT / "tests/fixtures/models/unet_instance_bilinear_m2.pt")
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("options", nargs="*", help="of vascx predict")
    arguments = parser.parse_args()
    from PIL import Image

    rng = random.Random(arguments.seed)
    work = Path(tempfile.mkdtemp(prefix="power-"))
    (work / "photos").mkdir()
    for index in range(24):
        noise = Image.effect_noise((90 + index, 80), 60).convert("RGB")
        noise.save(work / f"photos/p{index:02}.png")

    def predict(out: Path, more: list) -> int:
        command = [arguments.vascx, "predict", "--quiet", "--overlay", "--batch-size", "4", "--model", arguments.model,
                   "--out", out, *arguments.options, *more, work / "photos"]
        return subprocess.run([str(part) for part in command], stderr=subprocess.PIPE).returncode

    assert predict(work / "whole", []) == 0
    expected = results(work / "whole")
    calls = record(work, predict)
    marks = [at for at, call in enumerate(calls) if call[0] == MARK]
    counts = [sum(call[0] == kind for call in calls[marks[0]:marks[1]]) for kind in (WRITE, FLUSH)]
    # After the last mark the run has ended, and says that all is done.
    moments = sorted(rng.sample(range(marks[0], marks[1]), min(arguments.moments, marks[1] - marks[0] - 1)))
    moments += [marks[1]] * 3
    torn_moments = torn_files = not_resumed = differ = lost = 0
    for number, moment in enumerate(moments):
        share = [0.0, 1.0, 0.5][number % 3]
        (work / "disk").write_bytes(lose_power(calls, moment, rng, share))
        with mounted(work / "disk", work / "mnt"):
            out = work / "mnt/out"
            found = results(out) if out.exists() else {}
            whole = [name for name in found if not Path(name).name.startswith(".")]
            torn = [name for name in whole if name != "manifest.csv" and found[name] != expected.get(name)]
            torn_moments += bool(torn)
            torn_files += len(torn)
            if moment == marks[1]:
                lost += sum(name not in found for name in expected)
            journal = out / "journal.jsonl"
            code = predict(out, ["--resume"] if journal.exists() else [])
            if code != 0:
                not_resumed += 1
            elif results(out) != expected:
                differ += 1
    print(f"{counts[0]} writes and {counts[1]} flushes recorded; {len(moments)} moments: torn files at {torn_moments} "
          f"({torn_files} files); after the run's end {lost} files lost; --resume refused at {not_resumed}, "
          f"ended otherwise than an undisturbed run at {differ}")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
