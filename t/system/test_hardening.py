"""What keeps other programs away from the memory of nginx."""

import os
import pathlib
import pwd
import subprocess

import pytest

from ivschat_testlib import SECRET
from nginx_testlib import (Nginx, ask, checked, is_token, modules, request,
                           title)

USER = 'www-data'
needs_root = pytest.mark.skipif(os.geteuid() != 0,
                                reason='only root can become another user')


def test_symbols_are_bound_at_load_time():
    """And their table is read-only: -z relro -z now."""
    if not modules():
        pytest.skip('the module is linked into nginx')
    said = subprocess.run(['readelf', '-dlW', modules()[-1]], text=True,
                          stdout=subprocess.PIPE, check=True).stdout
    assert 'BIND_NOW' in said and 'GNU_RELRO' in said, said


# Who can read the memory of a process that holds credentials


SEARCH = r'''
import re, sys
pid, secret = sys.argv[1], sys.argv[2].encode()
try:
    ranges = [[int(end, 16) for end in line.split()[0].split('-')]
              for line in open(f'/proc/{pid}/maps') if ' rw' in line]
    with open(f'/proc/{pid}/mem', 'rb', 0) as memory:
        for start, end in ranges:
            if end - start > 1 << 30:  # the sanitizers' own
                continue
            memory.seek(start)
            if secret in memory.read(end - start):
                sys.exit('found')
except PermissionError:
    sys.exit('denied')
sys.exit('not found')
'''


def search(pid):
    """What another program of the same user finds in the process."""
    user = pwd.getpwnam(USER)
    return subprocess.run(
        ['setpriv', f'--reuid={user.pw_uid}', f'--regid={user.pw_gid}',
         '--clear-groups', '/usr/bin/python3', '-c', SEARCH, str(pid),
         SECRET], text=True, stderr=subprocess.PIPE, check=False,
        ).stderr.strip()


def configured(service, cores='', **options):
    """An nginx whose workers are not root."""
    nginx = Nginx(service, main=cores, **options)
    nginx.configure(user=f'user {USER};', port=0, h2port=0)
    return nginx


@needs_root
@pytest.mark.parametrize('cores, found', (
    ('', 'denied'),
    ('worker_rlimit_core 0;', 'denied'),
    ('worker_rlimit_core 1m;', 'found'),
    ('working_directory /tmp;', 'found')))
def test_memory_of_a_worker(service, cores, found):
    with checked(configured(service, cores)) as nginx:
        assert is_token(ask(nginx.port, request()))
        assert search(nginx.worker()) == found
        old = nginx.reload()
        new, = set(nginx.workers()) - set(old)
        assert search(new) == found


@needs_root
def test_memory_of_a_cache_process(service):
    """It has the master's memory."""
    nginx = configured(service, http='proxy_cache_path cache '
                       'keys_zone=cache:1m;')
    with checked(nginx):
        manager, = (pid for pid in nginx.children()
                    if title(pid) == 'nginx: cache manager process')
        assert search(manager) == 'denied'


@needs_root
@pytest.mark.parametrize('master', (True, False))
@pytest.mark.parametrize('cores, found', (
    ('', 'denied'), ('working_directory /tmp;', 'found')))
def test_memory_of_a_master_that_is_not_root(service, cores, found, master):
    """As in a container."""
    user = pwd.getpwnam(USER)
    nginx = configured(service, cores, master=master, wrap=[
        'setpriv', f'--reuid={user.pw_uid}', f'--regid={user.pw_gid}',
        '--clear-groups'])
    ca = nginx.file('ca.pem', pathlib.Path(service.ca).read_bytes())
    params = nginx.dir / 'ivschat_params'
    params.write_text(params.read_text('utf-8').replace(service.ca, str(ca)),
                      'utf-8')
    for path in (nginx.dir, *nginx.dir.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    with checked(nginx):
        assert is_token(ask(nginx.port, request()))
        assert search(nginx.pid) == found
