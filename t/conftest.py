"""What all the Python tests share: t/README.md."""

import pytest

pytest.register_assert_rewrite('nginx_testlib', 'ivschat_testlib')

import nginx_testlib


@pytest.fixture(scope='module', autouse=True)
def patience(request):
    """A module's PATIENCE is that of its nginxes."""
    before = nginx_testlib.Nginx.patience
    nginx_testlib.Nginx.patience = getattr(request.module, 'PATIENCE', before)
    yield
    nginx_testlib.Nginx.patience = before


def pytest_collection_modifyitems(config, items):
    """Timeouts are for a build without sanitizers."""
    for item in items:
        mark = item.get_closest_marker('timeout')
        seconds = mark.args[0] if mark else float(config.getini('timeout'))
        item.add_marker(
            pytest.mark.timeout(seconds * nginx_testlib.slow()), append=False)
