"""One engine and its images for all tests of this folder."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy.docker.engine import REAL_IMAGES, Engine, missing_for_private_engine, private_engine, user_engine
from deploy.docker.images import build_lockstream, need_jupyter, need_kafka

HERE = Path(__file__).parent
LIMIT = 900  # seconds: the first test waits until everything has been fetched and built


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder more time than others have."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(LIMIT))


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """An engine with the broker's image.

    With LOCKSTREAM_REAL_IMAGES=1 it is the user's own, which pulls the real images; without, a private one with
    stand-ins of the same names, which needs no internet beyond the packages of Debian, PyPI and Maven Central.
    """
    wants_real = bool(os.environ.get(REAL_IMAGES))
    if not wants_real and (missing := missing_for_private_engine()):
        pytest.skip(f"a private engine needs {missing}; or set {REAL_IMAGES}=1 where docker can pull images")
    with user_engine() if wants_real else private_engine() as found:
        need_kafka(found)
        yield found


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    """The tag of the project's own image, just built."""
    return build_lockstream(engine)


@pytest.fixture(scope="session")
def notebook_engine(engine: Engine) -> Engine:
    """The engine, with Jupyter's image."""
    need_jupyter(engine)
    return engine
