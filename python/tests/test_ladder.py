"""The ladder, and its document beside the program's."""

import json
import os
import pathlib
import shutil
import subprocess
from typing import Any

import pytest

import hwpool


def statuses(report: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in report["checks"]}


def test_every_device_passes(address: str) -> None:
    report = hwpool.bringup(address, soak=0.1)
    assert report["schema"] == "hwpool.bringup/1" and report["device"] == address
    assert report["failed"] == report["blocked"] == 0 and report["passed"] >= 11
    assert len(report["checks"]) == sum(report[s] for s in ("passed", "failed", "skipped", "blocked"))
    assert statuses(report)["owner.killed"] == "skip"


def test_the_document_is_the_program_s(tmp_path: pathlib.Path) -> None:
    program = shutil.which(os.environ.get("HWPOOL_PROGRAM", "hwpool"))
    if program is None:
        assert not os.environ.get("HWPOOL_NO_SKIP")
        pytest.skip("there is no program `hwpool`: HWPOOL_PROGRAM names it")
    out = tmp_path / "report.json"
    address = "sim:bmu?seed=3"
    words = ["bringup", address, "--skip", "owner.killed", "--soak", "0.1", "--report", "json", "--out", str(out)]
    subprocess.run([program, *words], check=True, capture_output=True)
    its, ours = json.loads(out.read_text()), hwpool.bringup(address, skip=["owner.killed"], soak=0.1)
    assert its.keys() == ours.keys() and its["about"].keys() == ours["about"].keys()
    for key in ("hwpool", "kernel", "seed", "plan"):
        assert its["about"][key] == ours["about"][key]
    assert statuses(its) == statuses(ours)
    for one, other in zip(its["checks"], ours["checks"]):
        assert one.keys() == other.keys()


def test_a_lie_is_a_failed_rung_with_causes() -> None:
    report = hwpool.bringup("sim:bmu?lies=hides-double-free", rungs=["lists.capacity"])
    assert report["failed"] == 1
    failed = next(check for check in report["checks"] if check["status"] == "fail")
    assert failed["id"] == "lists.capacity" and failed["causes"] and "double free" in failed["message"]


def test_rungs_are_chosen_by_id_number_and_class() -> None:
    chosen = statuses(hwpool.bringup("sim:bmu", rungs=[1]))
    assert chosen["pci.function"] == "pass" and chosen["lists.capacity"] == "skip"
    gentle = hwpool.bringup("sim:bmu", sharpest="read-only")
    classes = {number: kind for number, _, kind, _ in hwpool.rungs()}
    for check in gentle["checks"]:
        assert check["status"] == ("pass" if classes[check["rung"]] == "read-only" else "skip")
    wrongs: tuple[dict[str, Any], ...] = ({"rungs": ["nonsense"]}, {"sharpest": "blunt"}, {"laps": 0}, {"soak": 0.0}, {"soak": float("nan")})
    for wrong in wrongs:
        with pytest.raises(hwpool.ArgumentError):
            hwpool.bringup("sim:bmu", **wrong)


def test_a_plan_is_followed(tmp_path: pathlib.Path) -> None:
    plan = tmp_path / "board.toml"
    plan.write_text('name = "mine"\nonly = ["pci.function"]\n')
    report = hwpool.bringup("sim:bmu", plan=plan)
    assert report["about"]["plan"] == "mine" and report["passed"] == 1
    plan.write_text("nonsense = 1\n")
    with pytest.raises(hwpool.ArgumentError, match="nonsense"):
        hwpool.bringup("sim:bmu", plan=plan)


def test_progress_hears_of_each_rung_and_may_end_the_climb() -> None:
    heard: list[str] = []

    def hear(check: dict[str, Any]) -> None:
        heard.append(check["id"])
        if check["id"] == "pci.function":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hwpool.bringup("sim:bmu", progress=hear)
    assert heard == ["host.ready", "pci.function"]
