"""The option that names the board."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="sim:bmu", help="address of the board (a model where none is named)")


@pytest.fixture
def board(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--device"))
