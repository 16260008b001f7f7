"""A Ray cluster of two nodes on this machine, one of whose workers is killed at work."""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vascx_rs
from conftest import model

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason='Ray is not installed (pip install "ray[data]")'),
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
    # Ray's own.
    pytest.mark.filterwarnings("ignore"),
]

COPIES = 8
ROLES = ("quality", "artery_vein", "disc", "fovea")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Node:
    """A node of the cluster, with processors for one worker of two threads and a task beside it."""

    def __init__(self, *how: str) -> None:
        command = ["-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=3", "--disable-usage-stats", *how]
        command += ["--object-store-memory=200000000", "--node-ip-address=127.0.0.1"]
        # Workers give way to everything else on a machine by default, and take minutes to start on a busy one.
        environment = os.environ | {"RAY_worker_niceness": "0"}
        self.process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, env=environment)

    def workers(self) -> list[int]:
        """Processes of this node that run models."""
        children: dict[int, list[int]] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(folder.name))
        found, below = [], [self.process.pid]
        while below:
            below += children.get(below[0], [])
            found.append(below.pop(0))
        return [pid for pid in found if b"_Worker" in command_line(pid)]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def nodes():
    # Sockets have short names only.
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    address = f"127.0.0.1:{free_port()}"
    head = ["--head", f"--port={address.rpartition(':')[2]}", "--include-dashboard=false", f"--temp-dir={folder}"]
    started = [Node(*head)]
    try:
        wait_for(address)
        started.append(Node(f"--address={address}"))
        import ray

        ray.init(address, logging_level="warning")
        deadline = time.monotonic() + 60
        while len([node for node in ray.nodes() if node["Alive"]]) < 2:
            assert time.monotonic() < deadline, "the second node has not come up"
            time.sleep(0.5)
        yield started
        ray.shutdown()
    finally:
        for node in reversed(started):
            node.stop()
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(address: str) -> None:
    host, port = address.split(":")
    for _ in range(120):
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"nothing listens at {address}")


def test_a_worker_dies_and_nothing_is_lost(tmp_path, photographs, nodes):
    import pyarrow.parquet
    import ray.data

    import vascx_rs.ray

    models = {role: model(role) for role in ROLES}
    began = time.monotonic()
    alone = vascx_rs.run(photographs, tmp_path / "alone", models=models)
    lap = time.monotonic()
    print(f"\none process: {len(photographs)} photographs in {lap - began:.1f} s")
    items = [{"path": str(path), "copy": copy} for copy in range(COPIES) for path in photographs]
    items.append({"path": str(tmp_path / "nowhere.png"), "copy": 0})
    dataset = ray.data.from_items(items, override_num_blocks=len(items) // 2)
    out = tmp_path / "out"
    killed: list[int] = []

    def kill() -> None:
        while not list(out.rglob("*.parquet")) or not all(node.workers() for node in nodes):
            time.sleep(0.05)
        killed.append(len(list(out.rglob("*.parquet"))))
        for pid in nodes[1].workers():
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    two = ray.data.ActorPoolStrategy(size=2)
    rows = vascx_rs.ray.run(dataset, models=models, maps=True, num_cpus=2, compute=two, batch_size=2)
    rows.write_parquet(str(out))
    killer.join(1)
    files = len(list(out.rglob("*.parquet")))
    print(f"two nodes: {len(items)} photographs in {time.monotonic() - lap:.1f} s, {files} files, killed after {killed}")
    assert killed and killed[0] < files, "no worker was killed in the middle"

    found = pyarrow.parquet.read_table(out).to_pylist()
    key = [(row["path"], row["copy"]) for row in found]
    assert sorted(key) == sorted((item["path"], item["copy"]) for item in items)
    measured = alone.table()
    quality, fovea = alone.table("quality"), alone.table("fovea")
    for row in found:
        name = Path(row["path"]).stem
        if name == "nowhere":
            assert "nowhere.png" in row["error"] and row["artery_vein"] is None and row["p1"] is None
            continue
        assert row["error"] is None
        index = measured["id"].index(name)
        for variable in vascx_rs.variables():
            assert row[variable.name] == measured[variable.name][index], (name, variable.name)
        for table, columns in ((quality, ("p1", "p2", "p3")), (fovea, ("x_fovea", "y_fovea"))):
            index = table["id"].index(name)
            assert [row[column] for column in columns] == pytest.approx([table[column][index] for column in columns])
        for role in ("artery_vein", "disc"):
            pixels = np.asarray(Image.open(io.BytesIO(row[role])))
            assert np.array_equal(pixels, np.asarray(Image.open(alone.folder / role / f"{name}.png")))


def test_photographs_come_from_a_store(nodes, right):
    import fsspec
    import ray.data

    import vascx_rs.ray

    # What `memory://` has is not seen by other processes; `file://` goes the way of `s3://`.
    assert fsspec.open(f"file://{right}").fs.exists(str(right))
    models = {"quality": model("quality")}
    (row,) = vascx_rs.ray.run([f"file://{right}"], models=models).take_all()
    expected = [row["p1"], row["p2"], row["p3"]]
    (read,) = vascx_rs.ray.run(ray.data.read_binary_files(str(right)), models=models, column="bytes").take_all()
    assert [read["p1"], read["p2"], read["p3"]] == expected and sum(expected) == pytest.approx(1)
    assert "bytes" not in read
    with pytest.raises(ValueError, match="lens"):
        vascx_rs.ray.run([str(right)], models={"lens": "a.pt"})
