#!/usr/bin/python3
"""AWS's browser SDK in Chromium, with tokens of the module."""

import contextlib
import pathlib
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / 't' / 'lib'))

from chromium import Chromium
from ivschat_testlib import MessagingEdge, Service, Tap
from nginx_testlib import Nginx, attempt, bounded, slow, wait_for

tap = Tap()

PAGES = f'''
    root {TOP}/t/browser;

    location /npm/    {{ alias {TOP}/objs/npm/node_modules/; }}
    location /client/ {{ alias {TOP}/docs/client/; }}

    types {{ text/html html; text/javascript js; }}

    location = /view {{
        ivschat_token              /ivschat;
        ivschat_token_capabilities none;
    }}

    location = /mod {{
        ivschat_token              /ivschat;
        ivschat_token_capabilities SEND_MESSAGE DELETE_MESSAGE
                                   DISCONNECT_USER;
    }}

    location = /members {{
        ivschat_token              /ivschat;
        ivschat_token_room
            arn:aws:ivschat:us-west-2:123456789012:room/members if=$member;
    }}

    location = /far {{
        ivschat_token              /ivschat;
        ivschat_token_room
            arn:aws:ivschat:eu-west-1:123456789012:room/far;
    }}

    location = /exposed {{
        ivschat_token              /ivschat;
        ivschat_token_user         exposed;
        add_header Access-Control-Allow-Origin   * always;
        add_header Access-Control-Expose-Headers Date always;
    }}

    location = /hidden {{
        ivschat_token              /ivschat;
        ivschat_token_user         hidden;
        add_header Access-Control-Allow-Origin   * always;
    }}
'''
HTTP = '''
    map $arg_member $member { default $arg_member; }

    upstream ivschat.eu-west-1.amazonaws.com {
        server 127.0.0.1:@SERVICE@;
    }
'''
WRONG_CLOCK = '''{
    const Real = Date, ahead = %d;
    globalThis.Date = class extends Real {
        constructor(...values) {
            super(...(values.length ? values : [Real.now() + ahead]));
        }
        static now() { return Real.now() + ahead; }
    };
}'''
HOUR = 3600 * 1000
DAY = 24 * HOUR


class Bench:
    """What every part needs, and the requests that AWS has seen."""

    def __init__(self, browser, nginx, service, edge):
        self.browser, self.nginx = browser, nginx
        self.service, self.edge = service, edge

    def page(self, before=''):
        """A fresh page."""
        page = self.browser.open(
            f'http://127.0.0.1:{self.nginx.port}/index.html',
            before=f'window.edge = "{self.edge.url}"; window.slow = {slow()};'
                   + before)
        if not page.run('return until(() => window.ready, 30 * slow)'):
            raise RuntimeError(f'the page is not ready: {page.console}')
        return page

    def tokens(self, user):
        """How many tokens AWS was asked for in a user's name."""
        return len(self.service.requests(user=user))

    def joined(self, user):
        """The edge's connections of a user."""
        return self.edge.connections(user=user)


def chatting(bench):
    """Two users and a viewer: messages arrive, rights are kept."""
    page = bench.page()
    seen = page.run('''
        const alice = join('alice'), bob = join('bob');
        const viewer = join('viewer', {url: '/view'});
        const all = [alice, bob, viewer];
        const joined = await until(() => all.every(
            (one) => one.room.state === 'connected'), 30 * slow);
        const sent = await alice.send('hello ☃');
        const arrived = await until(() => all.every(
            (one) => one.count('message') === 1), 10 * slow);
        let error = null;
        try { await viewer.send('me too'); } catch (e) { error = e; }
        return {joined, arrived, sent, error,
                all: all.map((one) => one.seen())};
    ''')
    tap.ok(seen['joined'], 'the SDK joins with tokens of the module', seen)
    tap.ok(seen['arrived'] and [['message', 'hello ☃']] * 3 == [
        one['events'][-1] for one in seen['all']],
           'a message reaches everybody', seen)
    tap.equal((seen['sent']['sender']['userId'],
               seen['sent']['attributes']), ('alice', {'color': 'green'}),
              'with its sender\'s id and its attributes')
    tap.equal((seen['error'] or {}).get('errorCode'), 403,
              'who has no SEND_MESSAGE is refused by the edge')
    tap.equal([len(one['calls']) for one in seen['all']], [1, 1, 1],
              'each has asked for one token')
    tap.equal([bench.tokens(user) for user in ('alice', 'bob', 'viewer')],
              [1, 1, 1], 'and AWS has been asked for these')
    page.close()
    tap.ok(wait_for(lambda: bench.edge.health()['open'] == 0),
           'a page that is closed leaves the room', bench.edge.health())


def moderating(bench):
    """A moderator deletes a message, and disconnects a user."""
    page = bench.page()
    seen = page.run('''
        const carl = join('carl'), dora = join('dora');
        const mod = join('mod', {url: '/mod'});
        const all = [carl, dora, mod];
        await until(() => all.every(
            (one) => one.room.state === 'connected'), 30 * slow);
        const {id} = await carl.send('rude');
        await until(() => mod.count('message') === 1, 10 * slow);
        let error = null;
        try { await dora.delete(id); } catch (e) { error = e; }
        await mod.delete(id, 'rude');
        await until(() => all.every(
            (one) => one.count('messageDelete') === 1), 10 * slow);
        await mod.expel('carl', 'again');
        await until(() => carl.count('disconnect') === 1, 10 * slow);
        await sleep(300);
        return {id, error, all: all.map((one) => one.seen())};
    ''')
    carl, dora, mod = seen['all']
    tap.equal((seen['error'] or {}).get('errorCode'), 403,
              'who may only send cannot delete')
    tap.equal([[event for event in one['events']
                if event[0] == 'messageDelete'] for one in seen['all']],
              [[['messageDelete', [seen['id'], 'rude']]]] * 3,
              'what a moderator deletes is deleted for everybody')
    tap.equal((carl['state'], carl['events'][-1], len(carl['calls'])),
              ('disconnected', ['disconnect', 'serverDisconnect'], 1),
              'a user who is disconnected stays so, and asks for no token')
    tap.equal((dora['state'], mod['state'], dora['events'][-1]),
              ('connected', 'connected', ['userDisconnect', 'carl']),
              'the others stay, and are told')
    page.close()


def refreshing(bench):
    """Before a token ends, the SDK has a new connection with a new one."""
    page = bench.page()
    bench.service.config(token_lifetime=34)
    seen = page.run('''
        const eric = join('eric', {soonest: 2}), fay = join('fay');
        const began = performance.now();
        await until(() => eric.room.state === 'connected'
                          && fay.room.state === 'connected', 30 * slow);
        let number = 0;
        while (eric.calls.length < 4 && performance.now() - began < 60000) {
            await fay.send(`message ${number++}`);
            await sleep(100);
        }
        await sleep(1000);
        await fay.send('last');
        await until(() => eric.events.at(-1)[1] === 'last', 10 * slow);
        return {number, took: performance.now() - began,
                eric: eric.seen(), fay: fay.seen()};
    ''')
    bench.service.config(token_lifetime=3600)
    eric = seen['eric']
    gaps = [(b['at'] - a['at']) / 1000 for a, b in
            zip(eric['calls'], eric['calls'][1:])]
    tap.ok(len(gaps) >= 3 and all(2 <= gap < 8 * slow() for gap in gaps),
           'tokens of 34 s are renewed 30 s before their end', gaps)
    tap.equal([event[0] for event in eric['events']
               if event[0] != 'message'], ['connecting', 'connect'],
              'without being disconnected in between')
    tap.equal([event[1] for event in eric['events']
               if event[0] == 'message'],
              [f'message {n}' for n in range(seen['number'])] + ['last'],
              'each message has come, once')
    times = [call['at'] / 1000 for call in seen['fay']['calls']]
    tap.ok(all(b - a > 19 for a, b in zip(times, times[1:])),
           'as a rule, no token is renewed within 20 s', times)
    whys = [one['why'] for one in bench.joined('eric')]
    tap.ok(len(whys) == len(eric['calls'])
           and set(whys[:-1]) == {'left'} and whys[-1] is None,
           'the old connections were closed, each token used once', whys)
    page.close()


def reconnecting(bench):
    """A connection that breaks, and a session that ends."""
    page = bench.page()
    page.run('''
        window.gina = join('gina');
        await until(() => gina.room.state === 'connected', 30 * slow);
    ''')
    tap.equal(bench.edge.drop(user='gina'), 1, 'a connection breaks')
    seen = page.run('''
        await until(() => gina.count('connect') === 2, 30 * slow);
        await gina.send('back');
        return gina.seen();
    ''')
    tap.equal([event[0] for event in seen['events']],
              ['connecting', 'connect', 'connecting', 'connect', 'message'],
              'the SDK is back')
    tap.equal(len(seen['calls']), 2, 'with one new token')

    tap.equal(bench.edge.expire(user='gina'), 1, 'a session ends')
    seen = page.run('''
        await until(() => gina.count('connect') === 3, 30 * slow);
        await gina.send('again');
        return gina.seen();
    ''')
    tap.equal((seen['state'], len(seen['calls']),
               [event[0] for event in seen['events']].count('disconnect')),
              ('connected', 3, 0), 'the SDK is back, with a new token')

    bench.edge.config(longest_session=1)
    seen = page.run('''
        const hugo = join('hugo');
        await until(() => hugo.count('connect') >= 2, 30 * slow);
        return hugo.seen();
    ''')
    bench.edge.config(longest_session=None)
    tap.ok([event[0] for event in seen['events']][:4]
           == ['connecting', 'connect'] * 2 and len(seen['calls']) >= 2,
           'so it is when the time is over by itself', seen)
    page.close()


def refused(bench):
    """A 403: one call; without the provider, four."""
    page = bench.page()
    seen = page.run('''
        const iris = join('iris', {url: '/members?member=no'});
        const bare = join('bare', {url: '/members?member=no', bare: true});
        await until(() => iris.count('disconnect') === 1
                          && bare.count('disconnect') === 1, 30 * slow);
        await sleep(1000);
        return {iris: iris.seen(), bare: bare.seen()};
    ''')
    iris, bare = seen['iris'], seen['bare']
    tap.equal(([call['status'] for call in iris['calls']], iris['state'],
               iris['events'][-1]),
              ([403], 'disconnected', ['disconnect', 'clientDisconnect']),
              'a 403 costs one call, and the room is disconnected')
    tap.equal([(one['code'], one['status']) for one in iris['refusals']],
              [('room_forbidden', 403)], 'the app is told why')
    tap.equal(([call['status'] for call in bare['calls']],
               bare['events'][-1]),
              ([403] * 4, ['disconnect', 'fetchTokenError']),
              'the bare SDK makes four calls')
    span = bare['calls'][-1]['at'] - bare['calls'][0]['at']
    tap.ok(span < 2000 * slow(), 'one right after the other', bare['calls'])
    print(f'# measured: the bare SDK made 4 calls within {span:.1f} ms')

    seen = page.run('''
        const jack = join('jack', {url: '/members?member=1'});
        await until(() => jack.room.state === 'connected', 30 * slow);
        await jack.send('in');
        return jack.seen();
    ''')
    tap.equal(seen['events'][-1], ['message', 'in'],
              'a member is let in, and is in that room')
    page.close()


def refused_later(bench):
    """A refresh that fails, on a connection that is well."""
    page = bench.page()
    bench.service.config(token_lifetime=34)
    page.run('''
        window.kate = join('kate', {soonest: 2});
        window.plain = join('plain', {bare: true});
        await until(() => kate.room.state === 'connected'
                          && plain.room.state === 'connected', 30 * slow);
    ''')
    bench.service.faults({'fault': 'internal', 'count': None,
                          'user': 'kate'},
                         {'fault': 'internal', 'count': None,
                          'user': 'plain'})
    seen = page.run('''
        await until(() => kate.waits.length >= 2
                          && plain.count('disconnect') === 1, 60);
        return {kate: kate.seen(), plain: plain.seen()};
    ''')
    kate, plain = seen['kate'], seen['plain']
    tap.ok(kate['state'] == 'connected' and len(kate['waits']) >= 2
           and 'disconnect' not in dict(kate['events']),
           'while no token can be had, the connection stays', kate)
    tap.equal((plain['state'], len(plain['calls']), plain['events'][-1]),
              ('disconnected', 5, ['disconnect', 'fetchTokenError']),
              'the bare SDK gives up a connection that was well')

    bench.service.clear_faults()
    seen = page.run('''
        await until(() => kate.calls.at(-1).status === 200
                          && kate.calls.length > 3, 60);
        await sleep(500);
        await kate.send('still here');
        return kate.seen();
    ''')
    tap.equal((seen['events'][-1],
               [event[0] for event in seen['events']].count('connecting')),
              (['message', 'still here'], 1),
              'and goes on with the next token')
    bench.service.config(token_lifetime=3600)
    page.close()


def throttled(bench):
    """AWS throttles: the provider waits as long as it is told."""
    page = bench.page()
    bench.service.faults({'fault': 'throttling', 'user': 'lars', 'count': 2})
    seen = page.run('''
        const lars = join('lars');
        await until(() => lars.room.state === 'connected', 60 * slow);
        return lars.seen();
    ''')
    statuses = [call['status'] for call in seen['calls']]
    gaps = [(b['at'] - a['at']) / 1000 for a, b in
            zip(seen['calls'], seen['calls'][1:])]
    tap.equal((seen['state'], statuses), ('connected', [429, 429, 200]),
              'throttled twice, then let in')
    tap.ok(len(gaps) == 2
           and all(gap > wait - 0.01 and wait >= 1
                   for gap, wait in zip(gaps, seen['waits'])),
           'after the waits that nginx has told', gaps, seen['waits'])
    page.close()


def edge_refuses(bench):
    """The stand-in is strict: a token of another region opens nothing."""
    page = bench.page()
    seen = page.run('''
        const mia = join('mia', {url: '/far'});
        await until(() => mia.count('disconnect') === 1, 30 * slow);
        return mia.seen();
    ''')
    tap.equal((seen['state'], seen['events'][-1], len(seen['calls'])),
              ('disconnected', ['disconnect', 'socketError'], 4),
              'an edge of another region lets nobody in')
    tap.equal(bench.edge.health().get('refused: region'), 4,
              'and says why')

    seen = page.run('''
        const response = await fetch('/token?as=x', {method: 'POST',
            headers: {Authorization: 'Basic ' + btoa('nils:x')}});
        const {token} = await response.json();
        const open = (word) => new Promise((done) => {
            const socket = new WebSocket(edge, word);
            socket.onopen = () => done(socket);
            socket.onclose = () => done('closed');
        });
        const first = await open(token);
        return [first !== 'closed', await open(token), await open('made-up')];
    ''')
    health = bench.edge.health()
    tap.equal((seen, health.get('refused: used'),
               health.get('refused: unknown')),
              ([True, 'closed', 'closed'], 1, 1),
              'a token is good once, and only if AWS has made it')
    page.close()


def clocks(bench):
    """A device's clock is wrong."""
    for name, ahead in (('two hours ahead', 2 * HOUR),
                        ('30 days behind', -30 * DAY)):
        page = bench.page(WRONG_CLOCK % ahead)
        seen = page.run('''
            const olga = join('olga'), loop = join('loop', {bare: true});
            await until(() => olga.room.state === 'connected', 30 * slow);
            await until(() => loop.calls.length >= 10, 30 * slow);
            const {calls} = loop.seen();
            loop.room.disconnect();
            await sleep(1500);
            return {olga: olga.seen(), loop: calls};
        ''')
        olga, loop = seen['olga'], seen['loop']
        tap.equal((olga['state'], len(olga['calls'])), ('connected', 1),
                  f'a clock {name} costs no further token')
        tap.ok(len(loop) >= 10, 'where the bare SDK asks again and again',
               loop)
        if len(loop) > 1:
            rate = (len(loop) - 1) * 1000 / (loop[-1]['at'] - loop[0]['at'])
            print(f'# measured: the bare SDK made {rate:.0f} calls a second '
                  f'with a clock {name}')
        page.close()


def other_origin(bench):
    """A page of another origin sees Date only when it is exposed."""
    page = bench.page(WRONG_CLOCK % (2 * HOUR))
    left = page.run('''
        const ask = async (path) => {
            const url = location.origin.replace('127.0.0.1', 'localhost')
                + path;
            const {tokenExpirationTime} = await tokenProvider(url, {
                room: () => null})();
            return (tokenExpirationTime - Date.now()) / 1000;
        };
        return [await ask('/exposed'), await ask('/hidden')];
    ''')
    tap.ok(3500 < left[0] < 3700, 'with Access-Control-Expose-Headers: Date '
           'a wrong clock is made up for', left)
    tap.ok(45 < left[1] <= 60, 'without, there is no loop', left)
    page.close()


def main():
    """One browser, one nginx; a page for each part."""
    bounded(400)
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(Service(args=['--rate', 'off']))
        edge = stack.enter_context(MessagingEdge(service))
        nginx = stack.enter_context(Nginx(service, server=PAGES, http=HTTP))
        browser = stack.enter_context(Chromium(timeout=120 * slow()))
        bench = Bench(browser, nginx, service, edge)

        for part in (chatting, moderating, refreshing, reconnecting, refused,
                     refused_later, throttled, edge_refuses, clocks,
                     other_origin):
            attempt(tap, part, bench)
        nginx.check(tap)
    tap.done()


if __name__ == '__main__':
    main()
