#!/usr/bin/python3
"""A binary upgrade finds the environment again, without "env" lines."""

import os
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / 'lib'))

from aws_fakes import Fakes
from ivschat_testlib import KEY, SECRET, Service, Tap
from nginx_testlib import (Minting, Nginx, alive, ask, attempt, bounded, code,
                           container_env, imds_env, is_token, request, slow,
                           sts_env, wait_for)

tap = Tap()

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


def each(nginx, name):
    """One test: a token from every source."""
    answers = {target: ask(nginx.port, request(target)) for target in TARGETS}
    tap.ok(all(map(is_token, answers.values())),
           f'{name}: tokens from ' + ', '.join(NAMES),
           {target: is_token(answer) or code(answer)
            for target, answer in answers.items()})


def has_minted(nginx, minting, workers, targets, name):
    """One test: these workers have minted at all these locations."""
    wanted = {(pid, target) for pid in workers for target in targets}
    start = nginx.lines_so_far() if minting is None else len(
        nginx.access_log())

    def missing():
        return wanted - {(line['worker'], line['request'].split()[1])
                         for line in nginx.access_log()[start:]
                         if line['result'] == 'ok'}

    tap.ok(wait_for(lambda: not missing()), f'{name}: all of them mint',
           missing())


def system(nginx, fakes):
    """From one binary to the next, and to one more."""
    each(nginx, 'before')
    with Minting(nginx, TARGETS, clients=4, pause=0.02) as minting:
        first = nginx.workers()
        oldest = nginx.upgrade()
        has_minted(nginx, minting, first + nginx.workers(), TARGETS,
                   'USR2, the old and the new workers')
        issued = len(fakes.issued())

        os.kill(oldest, signal.SIGWINCH)
        tap.ok(wait_for(lambda: not nginx.workers_of(oldest)),
               'WINCH: the old workers end')
        has_minted(nginx, minting, nginx.workers(), TARGETS,
                   'WINCH, the new workers')

        os.kill(oldest, signal.SIGQUIT)
        tap.ok(wait_for(lambda: not alive(oldest)),
               'QUIT: the old master ends')
        has_minted(nginx, minting, nginx.workers(), TARGETS,
                   'QUIT, the new workers')

        old = nginx.reload()
        tap.ok(wait_for(lambda: not any(map(alive, old))),
               'HUP: the new master reloads')
        has_minted(nginx, minting, nginx.workers(), TARGETS,
                   'HUP, the newest workers')
        tap.equal(len(fakes.issued()), issued,
                  'HUP: and fetches nothing, since nothing is changed')

        second = nginx.upgrade()
        os.kill(second, signal.SIGWINCH)
        wait_for(lambda: not nginx.workers_of(second))
        has_minted(nginx, minting, nginx.workers(), TARGETS,
                   'a second upgrade, the new workers')
        back(nginx, minting, second)
        minting.stop()
        tap.ok(not minting.failures and minting.count > 100 / slow(),
               f'upgrades: {minting.count} mints, and none failed',
               *minting.failures[:10])


def back(nginx, minting, old):
    """The upgrade is called off: the old master's workers come again."""
    new, nginx.pid = nginx.pid, old
    nginx.signal(signal.SIGHUP)
    tap.ok(wait_for(lambda: len([pid for pid in nginx.workers()
                                 if pid != new]) == 2),
           'back: HUP brings the old binary\'s workers again')
    os.kill(new, signal.SIGQUIT)
    tap.ok(wait_for(lambda: not alive(new)), 'back: the new master ends')
    has_minted(nginx, minting, nginx.workers(), TARGETS,
               'back, the old binary\'s workers')


def main():
    """Two workers; the sources' environment is nginx's own."""
    bounded(100)
    with Service(args=['--rate', 'off']) as service, \
            Fakes(service) as fakes:
        home = pathlib.Path(fakes.dir) / 'home'
        (home / '.aws').mkdir(parents=True)
        path = home / '.aws' / 'credentials'
        path.write_text(PROFILE)
        path.chmod(0o600)
        env = {**sts_env(fakes), **container_env(fakes), **imds_env(fakes),
               'HOME': str(home)}
        with Nginx(service, workers=2, daemon=True, env=env,
                   main=SANITIZERS, server=SERVER) as nginx:
            attempt(tap, system, nginx, fakes)
            nginx.check(tap)

    tap.done()


main()
