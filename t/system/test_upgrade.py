"""A binary upgrade finds the environment again, without "env" lines."""

import os
import signal

import pytest

from ivschat_testlib import KEY, SECRET
from nginx_testlib import (Minting, Nginx, alive, ask, container_env,
                           imds_env, request, slow, sts_env, told, wait_for)

PROFILE = f'''\
[default]
aws_access_key_id = {KEY}
aws_secret_access_key = {SECRET}
'''
PLAIN = '''
    location = /{0} {{
        ivschat_token             /ivschat;
        ivschat_token_credentials {0};
    }}
'''
ASSUME = '''
    location = /sts {
        ivschat_token             /ivschat;
        ivschat_token_credentials assume_role source=env
            role=arn:aws:iam::123456789012:role/app;
    }
'''
NAMES = ('env', 'auto', 'profile', 'container', 'imds', 'sts')
TARGETS = tuple(f'/{name}' for name in NAMES)
# The sanitizers' own variables, where there are any.
SANITIZERS = ''.join(f'env {name};\n' for name in os.environ
                     if name.endswith('SAN_OPTIONS'))
SERVER = ''.join(PLAIN.format(name) for name in NAMES[:-1]) + ASSUME


def wait_for_mints(nginx, workers):
    """Wait until these workers have minted at all locations."""
    wanted = {(pid, target) for pid in workers for target in TARGETS}
    start = len(nginx.access_log())

    def missing():
        return wanted - {(line['worker'], line['request'].split()[1])
                         for line in nginx.access_log()[start:]
                         if line['result'] == 'ok'}

    wait_for(lambda: not missing())
    assert missing() == set()


@pytest.fixture
def nginx(service, fakes, tmp_path):
    """Two workers; the sources' environment is nginx's own."""
    (tmp_path / '.aws').mkdir()
    path = tmp_path / '.aws' / 'credentials'
    path.write_text(PROFILE)
    path.chmod(0o600)
    env = {**sts_env(fakes), **container_env(fakes), **imds_env(fakes),
           'HOME': str(tmp_path)}
    with Nginx(service, workers=2, daemon=True, env=env, main=SANITIZERS,
               server=SERVER) as nginx:
        yield nginx
        nginx.check()


def test_all_sources_mint_through_upgrades_and_back(nginx, fakes):
    for target in TARGETS:
        assert told(ask(nginx.port, request(target))) == 'token', target

    with Minting(nginx, TARGETS, clients=4, pause=0.02) as minting:
        first = nginx.workers()
        oldest = nginx.upgrade()
        wait_for_mints(nginx, first + nginx.workers())
        issued = len(fakes.issued())

        os.kill(oldest, signal.SIGWINCH)
        assert wait_for(lambda: not nginx.workers_of(oldest))
        wait_for_mints(nginx, nginx.workers())

        os.kill(oldest, signal.SIGQUIT)
        assert wait_for(lambda: not alive(oldest))
        wait_for_mints(nginx, nginx.workers())

        old = nginx.reload()
        assert wait_for(lambda: not any(map(alive, old)))
        wait_for_mints(nginx, nginx.workers())
        assert len(fakes.issued()) == issued, 'a reload fetches nothing'

        second = nginx.upgrade()
        os.kill(second, signal.SIGWINCH)
        assert wait_for(lambda: not nginx.workers_of(second))
        wait_for_mints(nginx, nginx.workers())

        # the upgrade is called off: the old master's workers come again
        third, nginx.pid = nginx.pid, second
        nginx.signal(signal.SIGHUP)
        assert wait_for(lambda: len([pid for pid in nginx.workers()
                                     if pid != third]) == 2)
        os.kill(third, signal.SIGQUIT)
        assert wait_for(lambda: not alive(third))
        wait_for_mints(nginx, nginx.workers())

        minting.stop()
        assert minting.failures == []
        assert minting.count > 100 / slow()
