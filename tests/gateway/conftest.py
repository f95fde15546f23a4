"""One gateway for all tests that change nothing of it."""

from collections.abc import Iterator

import pytest

from gateways import READ_ONLY, Gateway, gateway
from mock_upstream import mock_upstream


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    with mock_upstream() as url:
        yield url


@pytest.fixture(scope="session")
def door(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Permits `read` alone."""
    with gateway(
        tmp_path_factory.mktemp("door"), READ_ONLY, upstream, "--stall", "2", "--max-body", "1000000"
    ) as found:
        yield found
