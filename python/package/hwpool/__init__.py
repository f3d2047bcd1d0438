"""hwpool for Python: registers, free lists and the bring-up ladder of hardware buffer managers.

>>> import hwpool
>>> with hwpool.open("sim:bmu") as device:
...     device["SCRATCH"] = 0x1234
...     hex(device["SCRATCH"])
'0x1234'
"""

from __future__ import annotations

import datetime
import os
import platform
from typing import Any, Callable, Optional, Sequence, Union

from . import _hwpool
from ._errors import (
    ArgumentError,
    ClosedError,
    DeviceError,
    Error,
    LimitError,
    NotOutError,
    OutOfMemoryError,
    PoisonedError,
    RefusedError,
    RegisterError,
    Status,
)
from ._hwpool import Device, FreeList, Register, Registers, __version__, rungs

__all__ = [
    "ArgumentError",
    "ClosedError",
    "Device",
    "DeviceError",
    "Error",
    "FreeList",
    "LimitError",
    "NotOutError",
    "OutOfMemoryError",
    "PoisonedError",
    "RefusedError",
    "Register",
    "RegisterError",
    "Registers",
    "Status",
    "__version__",
    "attach",
    "bringup",
    "open",
    "rungs",
]


def open(address: str) -> Device:
    """Opens the device at an address (`sim:bmu`, `user:SOCKET`, `vfio:0000:01:00.0`): reset, verified and enabled."""
    return Device(address)


def attach(address: str) -> Device:
    """Opens a device to look at it: no register is written, nothing reset. Lists can't be had then.

    (The kernel itself resets a function that is opened by `vfio:`.)
    """
    return Device(address, enable=False)


def bringup(
    address: str,
    *,
    rungs: Optional[Sequence[Union[str, int]]] = None,
    skip: Optional[Sequence[Union[str, int]]] = None,
    sharpest: Optional[str] = None,
    plan: Union[None, str, os.PathLike[str]] = None,
    buffers: Optional[int] = None,
    laps: Optional[int] = None,
    soak: Optional[float] = None,
    within: Optional[float] = None,
    progress: Optional[Callable[[dict[str, Any]], object]] = None,
) -> dict[str, Any]:
    """Climbs the ladder of checks, and returns its report: the document of `hwpool bringup --report json`.

    A rung that fails is no exception: `report["failed"]` counts them, and `report["checks"]` has each with its causes.

    rungs      only these, by id or number, and those that they need
    skip       not these
    sharpest   class up to which rungs are run: read-only, safe-write, disruptive (the default) or opt-in
    plan       file of a plan in TOML; what is said here goes before it
    buffers    objects that are cycled through the rings, 64 to 2**24; 4096 where nothing is said
    laps       how often each is, 1 to 1000; 4
    soak       seconds of traffic on the last rung, from 0.01 on; 2
    within     seconds after which what is left is blocked, beside those of the traffic; 1800
    progress   is called with the check of each rung that was run; what it raises ends the climb, as Ctrl-C does

    Rung 14 (`owner.killed`) needs the program `hwpool` and is skipped here.
    """
    text = None
    if plan is not None:
        with _open_file(plan, encoding="utf-8") as file:
            text = file.read()
    started = datetime.datetime.now(datetime.timezone.utc)
    report: dict[str, Any] = _hwpool.bringup(
        address,
        rungs=_names(rungs),
        skip=_names(skip),
        sharpest=sharpest,
        plan=text,
        buffers=buffers,
        laps=laps,
        soak=soak,
        within=within,
        progress=progress,
        kernel=platform.release(),
        started=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    return report


def _names(rungs: Optional[Sequence[Union[str, int]]]) -> Optional[list[str]]:
    return None if rungs is None else [str(rung) for rung in rungs]


from builtins import open as _open_file  # noqa: E402 (the name is taken above)
