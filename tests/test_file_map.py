"""FileMap against its twin, Python's mmap, and what it does beyond it."""

import gc
import mmap
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from helpers import write_dataset

from preprocess import _native

PAGE = mmap.PAGESIZE


@pytest.mark.parametrize("size", [1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 17])
def test_same_bytes_as_mmap(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(np.random.RandomState(size).bytes(size))
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as twin:
        file_map = _native.FileMap(str(path))
        assert bytes(file_map) == twin[:]
        status = os.fstat(file.fileno())
    assert memoryview(file_map).readonly
    assert file_map.identity == (status.st_dev, status.st_ino, status.st_mtime_ns, size)
    assert file_map.path == str(path)


def test_what_cannot_be_mapped_is_an_os_error(tmp_path):
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "fifo")
    for name, kind in [("missing", FileNotFoundError), (".", OSError), ("empty", OSError), ("fifo", OSError)]:
        with pytest.raises(kind) as caught:
            _native.FileMap(str(tmp_path / name))
        assert caught.value.filename == str(tmp_path / name)


def test_maps_end_with_their_last_array(tmp_path):
    (tmp_path / "file").write_bytes(bytes(PAGE))
    array = np.frombuffer(_native.FileMap(str(tmp_path / "file")), np.uint8)[5:7]
    gc.collect()
    assert array.tolist() == [0, 0]


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )


def test_more_maps_than_one_block_of_the_guard_table(tmp_path):
    (tmp_path / "file").write_bytes(bytes(PAGE) * 2)
    code = f"""
        import os, numpy as np
        from preprocess import _native
        class Lost(Exception): pass
        def hook(): raise Lost
        _native.on_lost_page(hook)
        maps = [_native.FileMap({str(tmp_path / "file")!r}) for _ in range(2500)]
        del maps[100:200]
        maps += [_native.FileMap({str(tmp_path / "file")!r}) for _ in range(300)]
        os.truncate({str(tmp_path / "file")!r}, 10)
        for number in (0, 1500, 2699):
            for repeat in range(3):  # and again: what is lost stays lost
                before = _native.lost_page_count()
                try:
                    np.frombuffer(maps[number], np.uint8).sum()
                except Lost:
                    assert _native.lost_page_count() == before + 1
                else:
                    raise SystemExit("nothing was raised")
        print("survived")
    """
    finished = run(code)
    assert finished.stdout == "survived\n", finished
    assert finished.stderr.count("was cut while it was being read") == 9


def test_a_dataset_cut_while_it_is_mapped_raises_and_keeps_raising(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[list(range(10_000))], [[1, 2]]])
    other = write_dataset(tmp_path / "b", [[[5, 6, 7]]])
    code = f"""
        import os
        from preprocess import IndexedDataset, IndexedDatasetError
        dataset, other = IndexedDataset({prefix!r}), IndexedDataset({other!r})
        sequence = dataset[0]
        assert other[0].sum() == 18 and sequence.sum() == 49995000
        os.truncate({prefix!r} + ".bin", 100)
        def raises(read):
            try:
                read()
            except IndexedDatasetError as error:
                return str(error)
            raise SystemExit("nothing was raised")
        for _ in range(3):
            assert "a page that its file no longer has" in raises(lambda: sequence[5000:].sum())
        for _ in range(3):
            assert "found 100 bytes, expected 20004" in raises(lambda: dataset[1])
        assert other[0].tolist() == [5, 6, 7]
        print("survived")
    """
    finished = run(code)
    assert finished.stdout == "survived\n", finished


def test_reads_in_other_threads_raise_in_the_main_thread(tmp_path):
    prefix = write_dataset(tmp_path / "a", [[list(range(10_000))]])
    code = f"""
        import os, threading, time
        import preprocess
        from preprocess import IndexedDataset, IndexedDatasetError
        sequence = IndexedDataset({prefix!r})[0]
        os.truncate({prefix!r} + ".bin", 100)
        go, lost = [], []
        def work():
            while not go:
                time.sleep(0.001)
            before = preprocess.lost_page_count()
            sequence.sum()
            lost.append(preprocess.lost_page_count() - before)
        threading.Thread(target=work).start()
        raised, end = 0, time.monotonic() + 30
        while not (raised and lost) and time.monotonic() < end:
            try:  # the error may come at any statement, and again for pages that the thread reads after it
                go.append(1)
                time.sleep(0.01)
            except IndexedDatasetError:
                raised += 1
        if raised and lost[0] > 0:
            print("survived")
    """
    finished = run(code)
    assert finished.stdout == "survived\n", finished


def test_bus_errors_of_others_are_not_swallowed(tmp_path):
    (tmp_path / "file").write_bytes(bytes(PAGE) * 2)
    code = f"""
        import mmap, os
        from preprocess import _native
        ours = _native.FileMap({str(tmp_path / "file")!r})
        with open({str(tmp_path / "file")!r}, "rb") as file:
            foreign = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        os.truncate({str(tmp_path / "file")!r}, 10)
        foreign[{PAGE}]
        print("survived")
    """
    finished = run(code)  # ends by SIGBUS, or by what a sanitizer makes of it, as it would without us
    assert finished.returncode != 0
    assert "survived" not in finished.stdout


def test_handlers_that_lead_back_to_us_come_to_an_end(tmp_path):
    (tmp_path / "file").write_bytes(bytes(PAGE) * 2)
    path = str(tmp_path / "file")
    code = f"""
        import faulthandler, mmap, os
        from preprocess import _native
        first = _native.FileMap({path!r})
        faulthandler.enable()
        second = _native.FileMap({path!r})
        with open({path!r}, "rb") as file:
            foreign = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        os.truncate({path!r}, 10)
        foreign[{PAGE}]
    """
    finished = run(code)
    assert finished.returncode != 0
    assert len(finished.stderr) < 10_000


@pytest.mark.parametrize("ignored", [False, True])
def test_a_bus_error_that_somebody_sends_is_not_ours(tmp_path, ignored):
    (tmp_path / "file").write_bytes(bytes(PAGE))
    code = f"""
        import os, signal
        from preprocess import _native
        if {ignored}:
            signal.signal(signal.SIGBUS, signal.SIG_IGN)
        ours = _native.FileMap({str(tmp_path / "file")!r})
        os.kill(os.getpid(), signal.SIGBUS)
        print("survived")
    """
    assert (run(code).stdout == "survived\n") == ignored
