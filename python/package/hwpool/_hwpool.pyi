from types import TracebackType
from typing import Any, Callable, Iterator, Optional, Sequence, TypedDict

__version__: str

class Limits(TypedDict):
    lists: int
    capacity: int
    stride_min: int
    stride_max: int
    power_of_two: bool
    address_width: int
    timeout_ms: int
    vectors: int
    ways: list[str]

class Device:
    """A device that was opened by its address."""

    def __init__(self, address: str, *, enable: bool = True) -> None: ...
    @property
    def name(self) -> str:
        """The address that it was opened by, as people may see it: a VF token is hidden."""
    @property
    def kind(self) -> str:
        """Its kind, by the name of its driver: `bmu`."""
    @property
    def description(self) -> str:
        """One line for people on what it is."""
    @property
    def limits(self) -> Limits:
        """What it can do; sizes in bytes. The names are those of `hwpool_device_info` in C, where it has them."""
    @property
    def facts(self) -> dict[str, Any]:
        """All that it says of itself, by the names of its specification."""
    def pci(self) -> dict[str, Any]:
        """What PCI says of it: ids, link, BARs, resets, vectors. Reads configuration space."""
    @property
    def registers(self) -> Registers:
        """Its registers, by name."""
    def __getitem__(self, name: str) -> int:
        """Reads a register by its name, with one access; refused where a read takes something from the device."""
    def __setitem__(self, name: str, value: int) -> None:
        """Writes a register by its name, with one access and no read before or after."""
    def read(self, bar: int, offset: int, width: int = 32) -> int:
        """Reads 8, 16, 32 or 64 bits of a BAR with one access, whatever that does."""
    def write(self, bar: int, offset: int, value: int, width: int = 32) -> None:
        """Writes 8, 16, 32 or 64 bits of a BAR with one access."""
    def config(self, offset: int) -> int:
        """Reads 32 bits of configuration space, at a multiple of 4."""
    def list(self, objects: int = 1024, size: int = 2048, *, way: Optional[str] = None) -> FreeList:
        """Takes a free list into use: `objects` of `size` bytes each, in memory that is made for them; it is empty.

        `way` is one of `limits["ways"]`, in which objects travel; the device's best one where none is named.
        """
    def reset(self) -> None:
        """Resets it; one that was enabled is verified and enabled again. Refused while lists are in use."""
    def close(self) -> None:
        """Stops and resets it, and lets go of it. Refused while lists are in use; a second time does nothing."""
    def __enter__(self) -> Device: ...
    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType], /
    ) -> None: ...

class Registers:
    """The registers that a device has, by name, in any case. An array has one for each index: `POOL_BASE[3]`."""

    def __getitem__(self, name: str) -> Register:
        """Finds a register; reads nothing."""
    def __contains__(self, name: object) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def dump(self) -> dict[str, int]:
        """Reads every register whose read has no effect: values by name."""

class Register:
    """One register of a device. Its fields are its attributes: a read is one access, an assignment two."""

    @property
    def name(self) -> str:
        """The name, with its index where it is one of an array."""
    @property
    def bar(self) -> int:
        """The BAR that holds it."""
    @property
    def offset(self) -> int:
        """Byte offset in the BAR."""
    @property
    def width(self) -> int:
        """Bits, 32 or 64: the only width that it may be accessed with."""
    @property
    def access(self) -> str:
        """What reads and writes do, as the specification abbreviates it: RO, RW, W1C."""
    @property
    def reset_value(self) -> Optional[int]:
        """The value after a reset; None where it tells of the device or of the moment."""
    @property
    def description(self) -> str:
        """One line for people."""
    def read(self) -> int:
        """Reads it, with one access; refused where a read takes something from the device."""
    def take(self) -> int:
        """Reads it, with one access, even where that takes something from the device."""
    def write(self, value: int) -> None:
        """Writes it, with one access and no read before or after."""
    def fields(self) -> dict[str, int]:
        """Reads it once: the values of its fields by name."""
    def __getattr__(self, name: str) -> int:
        """Reads the register and returns one field."""
    def __setattr__(self, name: str, value: int) -> None:
        """Reads the register, and writes it with one field replaced: two accesses.

        Where ones clear or set bits (W1C, W1S) it writes the field's bits alone, with no read.
        """

class FreeList:
    """A free list in a device. Objects are numbers from 0; it is empty until some are given."""

    @property
    def name(self) -> str:
        """The list's name, as the device's specification calls it: `pool 3`."""
    @property
    def capacity(self) -> int:
        """How many objects there are."""
    @property
    def stride(self) -> int:
        """Bytes from one object to the next."""
    @property
    def held(self) -> int:
        """How many objects the device has by the driver's own books."""
    def iova(self, object: int) -> int:
        """Returns where the device finds an object."""
    def give(self, objects: Sequence[int]) -> None:
        """Gives objects to the device, all of them or none."""
    def take(self, count: int = 1) -> list[int]:
        """Takes `count` objects from the device, all of them or none: an empty list where it has not as many."""
    def flush(self) -> None:
        """Tells the device what was given and taken and was not told yet."""
    def available(self) -> Optional[int]:
        """Asks the device how many objects are in its list; None where it does not count."""
    def drain(self) -> list[int]:
        """Takes all objects that the device has, and stops what moves them."""
    def close(self) -> None:
        """Gives the list back to the device. A second time does nothing."""
    def __enter__(self) -> FreeList: ...
    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType], /
    ) -> None: ...

def bringup(
    address: str,
    *,
    rungs: Optional[Sequence[str]] = None,
    skip: Optional[Sequence[str]] = None,
    sharpest: Optional[str] = None,
    plan: Optional[str] = None,
    buffers: Optional[int] = None,
    laps: Optional[int] = None,
    soak: Optional[float] = None,
    within: Optional[float] = None,
    progress: Optional[Callable[[dict[str, Any]], object]] = None,
    kernel: str = "",
    started: str = "",
) -> dict[str, Any]: ...
def rungs() -> list[tuple[int, str, str, str]]:
    """Lists the rungs, from the lowest up: number, id, class, title."""
