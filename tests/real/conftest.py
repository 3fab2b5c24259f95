"""What the tests with real programs share: certificates, files, and a site that is started once.

Decides what lives how long. Invariant: nothing here starts unless a test in this folder asks for it,
and every test of the folder is marked ``real``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import nginx
from .site import LINKS, Certificates, Front, Site, issue

Make = Callable[[], Site]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("real")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> nginx.Files:
    directory = tmp_path_factory.mktemp("files")
    for above in (directory, directory.parent):
        above.chmod(0o755)
    return nginx.write_files(directory / "root")


@pytest.fixture(scope="session")
def site(
    tmp_path_factory: pytest.TempPathFactory, files: nginx.Files, certificates: Certificates
) -> Iterator[Site]:
    """One site for all tests that leave it whole."""
    site = Site(tmp_path_factory.mktemp("site"), files, certificates)
    yield site
    site.close()
    assert site.complaints() == ""


@pytest.fixture
def own_site(tmp_path: Path, files: nginx.Files, certificates: Certificates) -> Iterator[Site]:
    """A site for one test: to break, to measure."""
    site = Site(tmp_path, files, certificates)
    yield site
    site.close()
    assert site.complaints() == ""


@pytest.fixture(params=[f"{kind}-{link}" for kind in ("https", "http") for link in LINKS])
def front(request: pytest.FixtureRequest, site: Site) -> Front:
    kind, _, link = request.param.partition("-")
    return site.front(kind == "https", link)
