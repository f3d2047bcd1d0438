"""The programs that the documentation shows run."""

import doctest
import pathlib
import re

import pytest

import hwpool

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ["python/README.md", "docs/src/python.md"]


@pytest.mark.parametrize("page", PAGES)
def test_programs_run(page: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    assert programs
    for program in programs:
        exec(compile(program, page, "exec"), {"__name__": "program"})


def test_examples_of_the_package() -> None:
    tried = doctest.testmod(hwpool)
    assert tried.attempted > 0 and tried.failed == 0


def test_everything_has_a_docstring() -> None:
    for name in hwpool.__all__:
        thing = getattr(hwpool, name)
        assert thing.__doc__, name
        if isinstance(thing, type) and thing.__module__ == "hwpool":
            for word, member in vars(thing).items():
                assert word.startswith("__") or member.__doc__, f"{name}.{word}"
