"""No test depends on the speed of the machine, or on how it was started: property tests have no deadlines, and Ctrl-C
reaches processes that tests start even where the tests run in the background of a script, which ignores it.

Tests that begin where ``maskgen demo`` ends share one demo. Nothing here has to outlive a power failure, so files are
not flushed to the disk, for which tests waited minutes on a busy one; tests of flushing have their own ``os.fsync``.
"""

import os
import shutil
import signal

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def without_waiting_for_the_disk():
    """``os.fsync`` only looks whether there is such a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: os.fstat(file) and None)
        yield


@pytest.fixture(scope="session")
def one_demo(tmp_path_factory):
    """The folder of ``maskgen demo --steps 0``, made once by each process of the tests; not to be written into."""
    from maskgen import cli

    folder, before = tmp_path_factory.mktemp("demo"), os.getcwd()
    os.chdir(folder)  # so that its sidecars name the paths that the pages show
    try:
        assert cli.main(["demo", "--steps", "0"]) == 0
    finally:
        os.chdir(before)
    return folder / "maskgen-demo"


@pytest.fixture
def demo(one_demo, tmp_path, monkeypatch):
    """A copy of the demo, ``maskgen-demo`` in the current folder, an empty one of this test."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(one_demo, tmp_path / "maskgen-demo")
