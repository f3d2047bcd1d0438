"""Registers by name, and their fields."""

import pytest

import hwpool


def test_every_device_names_its_registers_and_reads_them(address: str) -> None:
    with hwpool.attach(address) as device:
        names = list(device.registers)
        assert len(names) == len(set(names)) == len(device.registers) > 5
        values = device.registers.dump()
        assert set(values) <= set(names)
        for name in values:
            register = device.registers[name]
            assert register.name == name and name in device.registers
            assert register.width in (32, 64) and register.access and repr(register)
            assert 0 <= values[name] < 1 << register.width


def test_values_are_written_and_read_back(bmu: hwpool.Device) -> None:
    bmu["SCRATCH"] = 0xCAFE
    assert bmu["SCRATCH"] == bmu["scratch"] == bmu.registers["SCRATCH"].read() == 0xCAFE
    bmu.registers["SCRATCH"].write(7)
    register = bmu.registers["SCRATCH"]
    assert bmu.read(register.bar, register.offset, register.width) == 7
    bmu.write(register.bar, register.offset, 8, register.width)
    assert bmu["SCRATCH"] == 8
    bmu.reset()
    assert bmu["SCRATCH"] == register.reset_value


def test_fields_are_those_of_one_read(bmu: hwpool.Device) -> None:
    counts = bmu.registers["CAP_COUNTS"]
    fields = counts.fields()
    assert fields["POOLS"] == counts.POOLS == counts.read() & 0x7F == bmu.limits["lists"]
    assert "POOLS" in dir(counts)
    with pytest.raises(AttributeError, match="CAP_COUNTS has no field NONE: it has POOLS"):
        counts.NONE


def test_a_field_is_written_and_the_others_stay(bmu: hwpool.Device) -> None:
    control = bmu.registers["PORTAL_SIZES[5]"]
    before = control.fields()
    name, other = list(before)[:2]
    setattr(control, name, 3)
    assert control.fields() == {**before, name: 3} and other in before
    with pytest.raises(hwpool.ArgumentError, match="more than"):
        setattr(control, name, 1 << 60)


def test_a_field_that_ones_clear_clears_no_other(bmu: hwpool.Device) -> None:
    bit = bmu.registers["ERR_STATUS"]
    bmu["ERR_STATUS_SET"] = 0b11
    assert bit.access == "W1C"
    name, other, *_ = bit.fields()
    assert (getattr(bit, name), getattr(bit, other)) == (1, 1)
    setattr(bit, name, 1)
    assert (getattr(bit, name), getattr(bit, other)) == (0, 1)


def test_a_wrong_name_is_a_key_error_that_helps(bmu: hwpool.Device) -> None:
    cases = {
        "MAGI": "did you mean MAGIC",
        "NOTHING_LIKE_IT": "no register `NOTHING_LIKE_IT`",
        "MAGIC[0]": "one MAGIC only",
        "POOL_BASE": r"write POOL_BASE\[0\]",
        "POOL_BASE[64]": "indices 0 to 63, not 64",
        "POOL_BASE[x]": "a number in brackets",
    }
    for name, text in cases.items():
        with pytest.raises(KeyError, match=text):
            bmu[name]
        with pytest.raises(hwpool.RegisterError, match=text) as caught:
            bmu.registers[name]
        assert caught.value.status == hwpool.Status.ARGUMENT
        assert name not in bmu.registers


def test_what_an_access_does_is_guarded() -> None:
    with hwpool.open("sim:fifo") as fifo:
        taking = [name for name in fifo.registers if "ALLOC" in name or "POP" in name or "TAKE" in name]
        read_only = next(n for n in fifo.registers if fifo.registers[n].access == "RO")
        with pytest.raises(hwpool.ArgumentError, match=f"{read_only} can only be read"):
            fifo[read_only] = 1
        guarded = 0
        for name in fifo.registers:
            try:
                fifo[name]
            except hwpool.ArgumentError as error:
                guarded += 1
                assert "take()" in str(error) or "only be written" in str(error)
        assert guarded > 0, taking


def test_a_value_has_to_fit(bmu: hwpool.Device) -> None:
    bmu["SCRATCH"] = (1 << 64) - 1
    assert bmu["SCRATCH"] == (1 << 64) - 1
    with pytest.raises(OverflowError):
        bmu["SCRATCH"] = 1 << 64
    with pytest.raises(hwpool.ArgumentError, match=r"more than POOL_LOW\[0\] has bits: 32"):
        bmu["POOL_LOW[0]"] = 1 << 32
    with pytest.raises(OverflowError):
        bmu["SCRATCH"] = -1
    with pytest.raises(hwpool.ArgumentError, match="more than 16 bits"):
        bmu.write(0, 0, 1 << 16, 16)
    with pytest.raises(hwpool.ArgumentError, match="12 bits"):
        bmu.read(0, 0, 12)
    with pytest.raises(hwpool.DeviceError, match="sim:bmu"):
        bmu.read(0, 1 << 40)


def test_attaching_resets_nothing(served: str) -> None:
    with hwpool.open(served):
        pass
    with hwpool.attach(served) as device:
        before = device["RESET_COUNT"]
        device["SCRATCH"] = 0x55
    with hwpool.attach(served) as device:
        assert device["RESET_COUNT"] == before and device["SCRATCH"] == 0x55
        with pytest.raises(hwpool.ArgumentError, match="hwpool.open"):
            device.list()
    with hwpool.open(served) as device:
        assert device["RESET_COUNT"] > before
