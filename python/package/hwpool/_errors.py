"""Errors: a number of `hwpool.h`, and the chain of causes."""

from __future__ import annotations

import enum
from typing import Sequence


class Status(enum.IntEnum):
    """What is wrong, by the numbers that C has (`HWPOOL_E_ARGUMENT` of `hwpool.h`, and so on)."""

    ARGUMENT = -1
    CLOSED = -3
    DEVICE = -6
    MEMORY = -7
    LIMIT = -9
    NOT_OUT = -11
    POISONED = -12
    REFUSED = -13


class Error(Exception):
    """Why a call did not do what it was asked for.

    Its text is the whole chain: what failed, on which device, with which number, why, and what to do about it.
    """

    #: What is wrong, as a number.
    status: Status
    #: The links of the chain, what failed first.
    causes: tuple[str, ...]

    def __init__(self, status: int, causes: Sequence[str]) -> None:
        super().__init__(": ".join(causes))
        self.status = Status(status)
        self.causes = tuple(causes)

    def __reduce__(self) -> tuple[type[Error], tuple[int, tuple[str, ...]]]:
        return type(self), (int(self.status), self.causes)


class ArgumentError(Error, ValueError):
    """The call asks for what can't be: an address, a name, a number."""


class RegisterError(ArgumentError, KeyError):
    """A device has no register of that name."""

    __str__ = Exception.__str__  # a KeyError would show it in quotes


class ClosedError(Error):
    """The device or list was closed."""


class DeviceError(Error):
    """The device is not there, does not answer, or does not what its specification says."""


class OutOfMemoryError(Error, MemoryError):
    """There is no memory that the device can have."""


class LimitError(Error):
    """The device has no such list left, or can't have one."""


class NotOutError(ArgumentError):
    """An object was given that the device has already, or that there is not."""


class PoisonedError(DeviceError):
    """The device broke a rule; the list is out of use until it is closed and the device reset."""


class RefusedError(Error):
    """The device does not do that; nothing was changed."""


_CLASSES = {
    Status.ARGUMENT: ArgumentError,
    Status.CLOSED: ClosedError,
    Status.DEVICE: DeviceError,
    Status.MEMORY: OutOfMemoryError,
    Status.LIMIT: LimitError,
    Status.NOT_OUT: NotOutError,
    Status.POISONED: PoisonedError,
    Status.REFUSED: RefusedError,
}


def of_status(status: int, causes: Sequence[str]) -> Error:
    """Makes the error of a number."""
    return _CLASSES[Status(status)](status, causes)


def of_register(status: int, causes: Sequence[str]) -> Error:
    """Makes the error of a name that no register has."""
    return RegisterError(status, causes)
