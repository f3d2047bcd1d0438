"""Opening, asking, resetting and closing devices, and how errors look."""

import pathlib
import pickle
import re
import threading
from typing import Callable

import pytest

import hwpool

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_a_device_says_what_it_is(address: str) -> None:
    with hwpool.open(address) as device:
        assert device.name == address and address in repr(device)
        assert device.kind and isinstance(device.description, str)
        limits = device.limits
        assert limits["lists"] >= 1 and limits["capacity"] >= 1 and limits["ways"]
        assert limits["stride_min"] <= limits["stride_max"]
        assert isinstance(device.facts, dict)
        pci = device.pci()
        assert device.config(0) == pci["device"] << 16 | pci["vendor"]
        assert any(bar["bytes"] >= 4096 for bar in pci["bars"])


def test_what_is_closed_says_so() -> None:
    device = hwpool.open("sim:bmu")
    registers, register = device.registers, device.registers["MAGIC"]
    device.close()
    device.close()
    for act in (lambda: device["MAGIC"], device.reset, device.list, register.read, registers.dump, device.pci):
        with pytest.raises(hwpool.ClosedError, match="sim:bmu was closed") as caught:
            act()
        assert caught.value.status == hwpool.Status.CLOSED


def test_errors_have_a_number_and_their_causes(tmp_path: pathlib.Path) -> None:
    with pytest.raises(hwpool.ArgumentError) as wrong:
        hwpool.open("nonsense")
    assert wrong.value.status is hwpool.Status.ARGUMENT and wrong.value.status.value == -1 and isinstance(wrong.value, ValueError)
    socket = tmp_path / "nobody.sock"
    with pytest.raises(hwpool.DeviceError) as absent:
        hwpool.open(f"user:{socket}")
    error = absent.value
    assert error.status == hwpool.Status.DEVICE
    assert len(error.causes) > 1 and str(error) == ": ".join(error.causes)
    assert str(socket) in error.causes[0] and "hwpool sim serve" in str(error)  # what to do about it
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and again.causes == error.causes


def test_a_device_that_does_not_reset_is_refused(tmp_path: pathlib.Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text('[[fault]]\nkind = "reset-does-nothing"\n')
    with pytest.raises(hwpool.DeviceError, match="reset") as caught:
        hwpool.open(f"sim:bmu?faults={faults}")
    assert len(caught.value.causes) > 1


def test_a_device_that_is_gone_says_so(tmp_path: pathlib.Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text('[[fault]]\nkind = "gone"\nregister = "SCRATCH"\n')
    with hwpool.attach(f"sim:bmu?faults={faults}") as device:
        device["SCRATCH"]
        assert device["CONTROL"] == 0xFFFF_FFFF  # an access is an access: the driver judges, a read does not
        with pytest.raises(hwpool.DeviceError):
            hwpool.open(f"user:{tmp_path}/none")


def test_numbers_are_those_of_c() -> None:
    header = (ROOT / "c/include/hwpool.h").read_text()
    numbers = dict(re.findall(r"HWPOOL_E_(\w+)\s*=\s*(-\d+)", header))
    assert len(numbers) > 10
    for status in hwpool.Status:
        assert int(numbers[status.name]) == status.value


def test_every_number_has_a_class() -> None:
    for status in hwpool.Status:
        error = hwpool._errors.of_status(status.value, ["what", "why"])
        assert type(error) is not hwpool.Error and error.status is status and str(error) == "what: why"


def test_an_error_names_its_device() -> None:
    with hwpool.open("sim:bmu?seed=5") as device:
        acts: list[Callable[[], object]] = [
            lambda: device.read(0, 1 << 40),
            lambda: device.read(5, 0),
            lambda: device.config(2),
        ]
        for act in acts:
            with pytest.raises(hwpool.DeviceError) as caught:
                act()
            assert caught.value.causes[0].startswith("sim:bmu?seed=5") and len(caught.value.causes) > 1


def test_a_reset_is_seen() -> None:
    with hwpool.open("sim:bmu") as device:
        before = device["RESET_COUNT"]
        device.reset()
        assert device["RESET_COUNT"] > before
        with device.list(16) as free:
            with pytest.raises(hwpool.DeviceError):
                device.reset()
            free.give([0])
            with pytest.raises(hwpool.DeviceError):
                device.close()
            assert device["MAGIC"] != 0  # it is still open
        device.reset()


def test_other_threads_go_on_while_one_waits() -> None:
    ended, counted = threading.Event(), 0

    def climb() -> None:
        try:
            hwpool.bringup("sim:bmu", rungs=["soak.traffic"], soak=1.0)
        finally:
            ended.set()

    thread = threading.Thread(target=climb)
    thread.start()
    while not ended.wait(0.001):
        counted += 1
    thread.join()
    assert counted > 20  # of a second; one that holds the interpreter leaves none
