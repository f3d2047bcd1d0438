"""What the tests share: devices of each kind, in this process and behind a socket."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from typing import Iterator

import pytest

import hwpool

ROOT = pathlib.Path(__file__).resolve().parents[2]
DESCRIPTION = ROOT / "describe/devices/small-fifo.toml"


@pytest.fixture
def bmu() -> Iterator[hwpool.Device]:
    with hwpool.open("sim:bmu?seed=7") as device:
        yield device


@pytest.fixture
def served(tmp_path: pathlib.Path) -> Iterator[str]:
    """A model in another process: the address that reaches it."""
    program = shutil.which(os.environ.get("HWPOOL_PROGRAM", "hwpool"))
    if program is None:
        if os.environ.get("HWPOOL_NO_SKIP"):
            pytest.fail("HWPOOL_PROGRAM names no program")
        pytest.skip("there is no program `hwpool`: HWPOOL_PROGRAM names it")
    socket = tmp_path / "bmu.sock"
    command = [program, "sim", "serve", "--model", "bmu", "--socket", str(socket)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert "serving bmu" in server.stdout.readline()  # it can be connected to now
        try:
            yield f"user:{socket}"
        finally:
            server.terminate()
            assert server.wait(timeout=20) == 0


@pytest.fixture(params=["sim:bmu", "sim:fifo", f"sim:{DESCRIPTION}", "served"])
def address(request: pytest.FixtureRequest) -> str:
    """Each kind of device, and each way to one that needs no kernel."""
    if request.param == "served":
        return str(request.getfixturevalue("served"))
    return str(request.param)
