"""Fetched credentials, while the clock of the host is set."""

import os
import re
import subprocess
import time

import pytest

from nginx_testlib import (CONTAINER, Nginx, ask, binary, checked, clock_env,
                           container_env, failed_fetches, fetches, imds_env,
                           request, sanitized, slow, told, wait_for)

pytestmark = pytest.mark.usefixtures('fresh')

IMDS = 'ivschat_token_credentials imds;'
ENV = 'env FAKETIME; env FAKETIME_TIMESTAMP_FILE; env FAKETIME_NO_CACHE;'
USED = (r'\[warn\].*the AWS credentials from "%s" expired \d+ s ago; they are '
        r'used until AWS rejects them, next try in (\d+) s')


@pytest.fixture(name='clock')
def fixture_clock(tmp_path):
    """Sets the clock of an nginx that has clock.env, in seconds."""
    class Clock:
        path = tmp_path / 'clock'
        env = {**clock_env(0), 'FAKETIME_TIMESTAMP_FILE': str(path),
               'FAKETIME_NO_CACHE': '1'}
        del env['FAKETIME'], env['FAKETIME_CACHE_DURATION']

        def set(self, seconds):
            new = self.path.with_suffix('.new')
            new.write_text(f'{seconds:+d}\n')
            new.rename(self.path)

    clock = Clock()
    clock.set(0)
    tmp_path.chmod(0o755)
    if sanitized() and subprocess.run(
            [binary(), '-v'], env={**os.environ, **clock.env}, timeout=20,
            capture_output=True, check=False).returncode:
        pytest.skip('libfaketime does not work with AddressSanitizer')
    return clock


def container(service, fakes, clock, **options):
    return checked(Nginx(service, env={**container_env(fakes), **clock.env},
                         main=ENV, location=CONTAINER, **options),
                   'the clock of this host|certificate|could not be reached')


@pytest.mark.parametrize('step', (-60, -3600))
def test_clock_set_back_does_not_stop_fetches(service, fakes, clock, step):
    fakes.config(container={'lifetime': 16})
    with container(service, fakes, clock, workers=2) as nginx:
        assert told(ask(nginx.port, request())) == 'token'
        before = fetches(fakes)
        clock.set(step)
        assert wait_for(lambda: fetches(fakes) > before, 14 * slow())


@pytest.mark.parametrize('step', (-60, -3600))
def test_clock_set_back_does_not_lengthen_a_pause(service, fakes, clock, step):
    fakes.faults('container', 'status-404', count=None)
    with container(service, fakes, clock) as nginx:
        assert wait_for(lambda: failed_fetches(nginx))
        clock.set(step)
        fakes.clear_faults()
        assert wait_for(lambda: ask(nginx.port, request())
                        and 'AWS credentials from "container": access key'
                        in nginx.error_log(), 8 * slow())


def test_pause_is_short_while_requests_are_refused(service, fakes):
    fakes.faults('container', 'status-404', count=None)
    with checked(Nginx(service, env=container_env(fakes), workers=2,
                       location=CONTAINER)) as nginx:
        times = []
        end = time.monotonic() + 26
        while time.monotonic() < end:
            ask(nginx.port, request())
            if len(failed_fetches(nginx)) > len(times):
                times.append(time.monotonic())
            time.sleep(0.05)
        pauses = [after - before for before, after in zip(times, times[1:])]
        assert len(pauses) >= 4 / slow()
        assert max(pauses) < 5.5 * slow(), pauses
        fakes.clear_faults()
        assert wait_for(lambda: told(ask(nginx.port, request())) == 'token',
                        6 * slow())


@pytest.mark.parametrize('source', ('imds', 'container'))
def test_expired_first_answer_is_used(service, fakes, source):
    fakes.faults(source, 'past', count=None)
    with checked(Nginx(service, env={**imds_env(fakes),
                                     **container_env(fakes)},
                       location=f'ivschat_token_credentials {source};'),
                 'expired') as nginx:
        assert told(ask(nginx.port, request())) == 'token'
        after = re.findall(USED % source, nginx.error_log())
        assert len(after) == 1 and 300 <= int(after[0]) <= 600
        assert failed_fetches(nginx) == []
        count = fetches(fakes, source)
        time.sleep(1)
        assert told(ask(nginx.port, request())) == 'token'
        assert fetches(fakes, source) == count


def test_expired_first_answer_that_aws_rejects(service, fakes):
    fakes.faults('container', 'expired')
    with checked(Nginx(service, env=container_env(fakes),
                       location=CONTAINER), 'expired') as nginx:
        wait_for(lambda: 'they are used until' in nginx.error_log())
        assert told(ask(nginx.port, request())) != 'token'
        assert wait_for(lambda: told(ask(nginx.port, request())) == 'token',
                        6 * slow())


AHEAD = 7 * 3600


@pytest.mark.parametrize('host, learned', [('imds.localhost', True),
                                           ('127.0.0.1', False)])
def test_clock_is_learned_from_imds(service, fakes, clock, host, learned):
    clock.set(AHEAD)
    url = fakes.imds.replace('127.0.0.1', host)
    with checked(Nginx(service, location=IMDS, main=ENV, env={
            **imds_env(fakes), 'AWS_EC2_METADATA_SERVICE_ENDPOINT': url,
            **clock.env}), 'the clock of this host|expired') as nginx:
        assert wait_for(lambda: 'AWS credentials from "imds"'
                        in nginx.error_log())
        log = nginx.error_log()
        assert bool(re.search(rf'is {AHEAD // 10}\d seconds ahead of AWS|is '
                              rf'{AHEAD // 10 - 1}9 seconds ahead', log)
                    ) == learned
        assert bool(re.search(USED % 'imds', log)) != learned
