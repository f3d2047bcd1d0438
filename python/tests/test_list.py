"""Free lists: objects that are given and taken."""

import pathlib
import random

import pytest

import hwpool


def test_what_was_given_comes_back_once(address: str) -> None:
    with hwpool.open(address) as device:
        objects = min(32, device.limits["capacity"])
        with device.list(objects, max(2048, device.limits["stride_min"])) as free:
            assert free.capacity == objects and free.held == 0 and free.take() == []
            free.give(range(objects))
            assert free.held == objects
            one, *rest = free.take() + free.take(objects - 1)
            assert sorted([one, *rest]) == list(range(objects)) and free.held == 0
            assert free.take(objects + 1) == []
            free.give([one, *rest])
            free.flush()
            assert free.available() in (None, *range(objects + 1))
            assert sorted(free.drain()) == list(range(objects))


def test_all_or_none() -> None:
    with hwpool.open("sim:bmu") as device, device.list(64) as free:
        free.give(range(10))
        assert free.take(11) == [] and free.held == 10
        with pytest.raises(hwpool.NotOutError, match="object 9") as caught:
            free.give([20, 9])
        assert caught.value.status == hwpool.Status.NOT_OUT and free.held == 10
        with pytest.raises(hwpool.NotOutError, match="object 64"):
            free.give([64])
        assert free.iova(1) - free.iova(0) == free.stride == 2048
        with pytest.raises(hwpool.ArgumentError, match="0 to 63"):
            free.iova(64)


def test_random_traffic_conserves_objects() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # pytest shows it where the test fails
    chance = random.Random(seed)
    with hwpool.open(f"sim:bmu?seed={seed}") as device, device.list(256) as free:
        out, inside = set(range(256)), 0
        for _ in range(500):
            count = chance.randint(1, 40)
            if chance.random() < 0.5 and len(out) >= count:
                given = chance.sample(sorted(out), count)
                free.give(given)
                out -= set(given)
                inside += count
            else:
                taken = free.take(count)
                assert len(taken) in (0, count) and not out & set(taken)
                assert taken or inside < count
                out |= set(taken)
                inside -= len(taken)
            assert free.held == inside == 256 - len(out)


def test_a_device_that_hands_out_twice_poisons_its_list(tmp_path: pathlib.Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text('[[fault]]\nkind = "duplicate-buffer"\nnth = 5\n')
    with hwpool.open(f"sim:fifo?faults={faults}") as device:
        free = device.list(64)
        free.give(range(64))
        with pytest.raises(hwpool.PoisonedError, match="out of use") as caught:
            for _ in range(64):
                free.take()
        assert caught.value.status == hwpool.Status.POISONED
        with pytest.raises(hwpool.PoisonedError):
            free.give([0])
        free.close()


def test_what_a_device_has_not_is_refused() -> None:
    with hwpool.open("sim:bmu") as device:
        with pytest.raises(hwpool.ArgumentError, match="stride"):
            device.list(16, 100)
        with pytest.raises(hwpool.LimitError):
            device.list(16, way="pigeon")
    with hwpool.open("sim:fifo") as device, device.list(16, 2048) as free:
        with pytest.raises(hwpool.LimitError):
            device.list(16, 2048)
        free.close()
        free.close()
        with pytest.raises(hwpool.ClosedError, match="was closed"):
            free.take()
