"""Threads, signals, memory, forks and faults."""

import gc
import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import vascx_rs
from conftest import model


def test_threads_share_a_model(photographs, quality):
    expected = [quality.predict(path).probabilities for path in photographs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            found = pool.map(lambda path: quality.predict(path).probabilities, photographs)
            assert np.array_equal(list(found), expected)


def test_python_runs_while_a_model_computes(photographs, disc):
    worker = threading.Thread(target=disc.predict, args=(photographs,))
    worker.start()
    turns = 0
    while worker.is_alive():
        turns += 1
    # With its lock held, this thread would not have had a turn before the end.
    assert turns > 1000


def test_an_endless_iterator_streams(right, quality):
    taken = []

    def endless():
        while True:
            taken.append(right)
            yield right

    answers = quality.predict_iter(endless(), batch_size=1)
    for _ in range(3):
        next(answers)
    del answers
    assert len(taken) < 20


def test_interrupt_stops(right):
    program = f"""
import signal, threading, os, vascx_rs
model = vascx_rs.load({str(model("quality"))!r})
# Whoever started the tests in the background had it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
begun = threading.Event()
def endless():
    while True:
        begun.set()
        yield {str(right)!r}
def interrupt():
    begun.wait()
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    for answer in model.predict_iter(endless()):
        pass
except KeyboardInterrupt:
    print("stopped")
print(len(model.predict({str(right)!r}).probabilities))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout == "stopped\n3\n", done.stderr


def test_calls_leave_nothing_behind(quality):
    pixels = np.full((64, 64, 3), 127, np.uint8)
    pixels[16:48, 16:48] = 200

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def call(times: int) -> None:
        for _ in range(times):
            with pytest.raises(TypeError):
                quality.predict([None])
            list(quality.predict_iter([pixels], errors="return"))

    call(20)
    gc.collect()
    references, objects = sys.getrefcount(pixels), len(gc.get_objects())
    before = resident() if sys.platform == "linux" else 0
    call(1000)
    gc.collect()
    assert sys.getrefcount(pixels) == references
    assert len(gc.get_objects()) <= objects + 50
    if sys.platform == "linux":
        assert resident() - before < 32 << 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_a_forked_process_is_told(right, quality):
    quality.predict(right)
    reader, writer = multiprocessing.Pipe()
    if os.fork() == 0:
        try:
            quality.predict(right)
        except vascx_rs.VascxError as error:
            writer.send(str(error))
        os._exit(0)
    assert reader.poll(60) and "spawn" in reader.recv()
    os.wait()


def test_a_panic_is_an_exception():
    panic = getattr(vascx_rs._native, "panic", None)
    if panic is None:
        pytest.skip("only debug builds panic on purpose")
    with pytest.raises(vascx_rs.InternalError, match="on purpose"):
        panic()
    assert issubclass(vascx_rs.InternalError, vascx_rs.VascxError)
    assert issubclass(vascx_rs.VascxError, Exception)


def test_import_is_light():
    program = "import sys, vascx_rs; print([name for name in ('torch', 'numpy', 'PIL', 'pandas') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_program():
    run = [sys.executable, "-m", "vascx_rs"]
    version = subprocess.run([*run, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("vascx ")
    wrong = subprocess.run([*run, "predict"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "--model" in wrong.stderr


def test_devices():
    assert "cpu" in dict(vascx_rs.devices())
