"""A board's own test. Copy it into the board's repository, and put in what the board has to keep.

    pytest test_board.py --device vfio:0000:01:00.0
"""

from __future__ import annotations

from typing import Iterator

import pytest

import hwpool


@pytest.fixture
def device(board: str) -> Iterator[hwpool.Device]:
    with hwpool.open(board) as device:
        yield device


def test_it_is_the_board_that_was_ordered(device: hwpool.Device) -> None:
    pci = device.pci()
    assert (pci["vendor"], pci["device"]) == (0x1234, 0xB0F5)
    assert device.limits["lists"] >= 4


def test_the_scratch_register_keeps_every_bit(device: hwpool.Device) -> None:
    for bit in range(32):
        device["SCRATCH"] = 1 << bit
        assert device["SCRATCH"] == 1 << bit


def test_reset_values(device: hwpool.Device) -> None:
    """What a reset leaves, by the device's own table."""
    device.reset()
    assert device.registers["SCRATCH"].read() == device.registers["SCRATCH"].reset_value


def test_buffers_come_back_each_exactly_once(device: hwpool.Device) -> None:
    with device.list(objects=256, size=2048) as free:
        free.give(range(256))
        assert sorted(free.take(256)) == list(range(256))


@pytest.mark.parametrize("rung", [row[1] for row in hwpool.rungs() if row[2] in ("read-only", "safe-write")])
def test_rung(board: str, rung: str) -> None:
    """Rungs that leave the device as it was, a test each."""
    report = hwpool.bringup(board, rungs=[rung])
    bad = [check for check in report["checks"] if check["status"] in ("fail", "blocked")]
    assert not bad, bad
