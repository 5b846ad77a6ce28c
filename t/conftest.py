"""What all the Python tests share: t/README.md."""

import pytest

pytest.register_assert_rewrite('nginx_testlib', 'ivschat_testlib')

import nginx_testlib
from ivschat_testlib import Fakes, Service


@pytest.fixture(scope='module')
def service(request):
    """The local service; a module's SERVICE are its arguments."""
    arguments = getattr(request.module, 'SERVICE', ['--rate', 'off'])
    with Service(args=arguments) as service:
        yield service


@pytest.fixture
def fresh(service):
    """The service is as it was at the start, but for its tokens."""
    service.forget()
    service.clear_faults()
    service.config(latency=0, clock_offset=0, rate=None)


@pytest.fixture(scope='module')
def module_fakes(request, service):
    """The fakes of AWS's sources; a module's FAKES are their arguments."""
    with Fakes(service, args=getattr(request.module, 'FAKES', ())) as fakes:
        yield fakes


@pytest.fixture
def fakes(module_fakes):
    """The same, as they were at the start."""
    module_fakes.clear_faults()
    module_fakes.forget()
    module_fakes.config(
        lifetime=None, token_length=900,
        container={'lifetime': None, 'authorization_file': None},
        sts={'web_identity_file': None})
    return module_fakes


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
