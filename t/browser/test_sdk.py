"""AWS's browser SDK in Chromium, with tokens of the module."""

import pytest

from chromium import Chromium
from ivschat_testlib import MessagingEdge
from nginx_testlib import TOP, Nginx, slow, wait_for

pytestmark = pytest.mark.timeout(400)

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


@pytest.fixture(scope='module')
def edge(service):
    """The messaging edge."""
    with MessagingEdge(service) as edge:
        yield edge


@pytest.fixture(scope='module')
def nginx(service):
    """nginx with the pages, and what mints for them."""
    with Nginx(service, server=PAGES, http=HTTP) as nginx:
        yield nginx
        nginx.check()


@pytest.fixture(scope='module')
def browser():
    """One browser for all pages."""
    with Chromium(timeout=120 * slow()) as browser:
        yield browser


@pytest.fixture
def before():
    """A script that runs ahead of the page's own."""
    return ''


@pytest.fixture
def page(service, edge, nginx, browser, before):
    """A fresh page; when it is closed, it leaves the room."""
    page = browser.open(
        f'http://127.0.0.1:{nginx.port}/index.html',
        before=f'window.edge = "{edge.url}"; window.slow = {slow()};'
               + before)
    assert page.run('return until(() => window.ready, 30 * slow)'), (
        page.console)
    yield page
    page.close()
    assert wait_for(lambda: edge.health()['open'] == 0), edge.health()
    service.clear_faults()
    service.config(token_lifetime=3600)
    edge.config(longest_session=None)


def names(seen):
    """The events of a client, without their details."""
    return [event[0] for event in seen['events']]


def statuses(seen):
    """What a client's requests for tokens got."""
    return [call['status'] for call in seen['calls']]


def gaps(seen):
    """The seconds between a client's requests for tokens."""
    times = [call['at'] / 1000 for call in seen['calls']]
    return [later - sooner for sooner, later in zip(times, times[1:])]


def test_chat(page, service):
    """Two users and a viewer: messages arrive, rights are kept."""
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
    assert seen['joined'] and seen['arrived'], seen
    assert [one['events'][-1] for one in seen['all']] == [
        ['message', 'hello ☃']] * 3
    assert seen['sent']['sender']['userId'] == 'alice'
    assert seen['sent']['attributes'] == {'color': 'green'}
    assert seen['error']['errorCode'] == 403    # no SEND_MESSAGE
    assert [len(one['calls']) for one in seen['all']] == [1, 1, 1]
    assert [len(service.requests(user=user))
            for user in ('alice', 'bob', 'viewer')] == [1, 1, 1]


def test_moderate(page):
    """A moderator deletes a message, and disconnects a user."""
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
    assert seen['error']['errorCode'] == 403    # no DELETE_MESSAGE
    for one in seen['all']:
        assert [event for event in one['events']
                if event[0] == 'messageDelete'] == [
            ['messageDelete', [seen['id'], 'rude']]]

    # He stays disconnected, and asks for no token; the others are told.
    assert carl['state'] == 'disconnected'
    assert carl['events'][-1] == ['disconnect', 'serverDisconnect']
    assert len(carl['calls']) == 1
    assert (dora['state'], mod['state']) == ('connected', 'connected')
    assert dora['events'][-1] == ['userDisconnect', 'carl']


def test_refresh(page, service, edge):
    """Before a token ends, the SDK has a new connection with a new one."""
    service.config(token_lifetime=34)
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
    eric = seen['eric']

    # Tokens of 34 s are renewed 30 s before their end ...
    assert len(gaps(eric)) >= 3
    assert all(2 <= gap < 8 * slow() for gap in gaps(eric)), gaps(eric)
    # ... without being disconnected, and each message comes once.
    assert [name for name in names(eric) if name != 'message'] == [
        'connecting', 'connect']
    assert [event[1] for event in eric['events'] if event[0] == 'message'] == [
        *(f'message {n}' for n in range(seen['number'])), 'last']
    # As a rule, no token is renewed within 20 s.
    assert all(gap > 19 for gap in gaps(seen['fay'])), gaps(seen['fay'])
    # The old connections were closed, each token was used once.
    whys = [one['why'] for one in edge.connections(user='eric')]
    assert len(whys) == len(eric['calls'])
    assert set(whys[:-1]) == {'left'} and whys[-1] is None


def test_reconnect(page, edge):
    """A connection that breaks, and a session that ends."""
    page.run('''
        window.gina = join('gina');
        await until(() => gina.room.state === 'connected', 30 * slow);
    ''')
    assert edge.drop(user='gina') == 1
    seen = page.run('''
        await until(() => gina.count('connect') === 2, 30 * slow);
        await gina.send('back');
        return gina.seen();
    ''')
    assert names(seen) == ['connecting', 'connect', 'connecting', 'connect',
                           'message']
    assert len(seen['calls']) == 2

    assert edge.expire(user='gina') == 1
    seen = page.run('''
        await until(() => gina.count('connect') === 3, 30 * slow);
        await gina.send('again');
        return gina.seen();
    ''')
    assert (seen['state'], len(seen['calls'])) == ('connected', 3)
    assert 'disconnect' not in names(seen)


def test_session_ends(page, edge):
    """The SDK is back, too, when the time is over by itself."""
    edge.config(longest_session=1)
    seen = page.run('''
        const hugo = join('hugo');
        await until(() => hugo.count('connect') >= 2, 30 * slow);
        return hugo.seen();
    ''')
    assert names(seen)[:4] == ['connecting', 'connect'] * 2
    assert len(seen['calls']) >= 2


def test_refused(page):
    """A 403 costs one call, and the app is told; the bare SDK makes four."""
    seen = page.run('''
        const iris = join('iris', {url: '/members?member=no'});
        const bare = join('bare', {url: '/members?member=no', bare: true});
        await until(() => iris.count('disconnect') === 1
                          && bare.count('disconnect') === 1, 30 * slow);
        await sleep(1000);
        return {iris: iris.seen(), bare: bare.seen()};
    ''')
    iris, bare = seen['iris'], seen['bare']
    assert (statuses(iris), iris['state']) == ([403], 'disconnected')
    assert iris['events'][-1] == ['disconnect', 'clientDisconnect']
    assert [(one['code'], one['status']) for one in iris['refusals']] == [
        ('room_forbidden', 403)]

    assert statuses(bare) == [403] * 4
    assert bare['events'][-1] == ['disconnect', 'fetchTokenError']
    span = bare['calls'][-1]['at'] - bare['calls'][0]['at']
    print(f'measured: the bare SDK made 4 calls within {span:.1f} ms')
    assert span < 2000 * slow()


def test_member(page):
    """A member is let in, and is in that room."""
    seen = page.run('''
        const jack = join('jack', {url: '/members?member=1'});
        await until(() => jack.room.state === 'connected', 30 * slow);
        await jack.send('in');
        return jack.seen();
    ''')
    assert seen['events'][-1] == ['message', 'in']


def test_refused_later(page, service):
    """A refresh that fails, on a connection that is well."""
    service.config(token_lifetime=34)
    page.run('''
        window.kate = join('kate', {soonest: 2});
        window.plain = join('plain', {bare: true});
        await until(() => kate.room.state === 'connected'
                          && plain.room.state === 'connected', 30 * slow);
    ''')
    for user in ('kate', 'plain'):
        service.faults({'fault': 'internal', 'count': None, 'user': user})
    seen = page.run('''
        await until(() => kate.waits.length >= 2
                          && plain.count('disconnect') === 1, 60);
        return {kate: kate.seen(), plain: plain.seen()};
    ''')
    kate, plain = seen['kate'], seen['plain']

    # While no token can be had, the connection stays; the bare SDK's does not.
    assert kate['state'] == 'connected' and len(kate['waits']) >= 2, kate
    assert 'disconnect' not in names(kate)
    assert (plain['state'], len(plain['calls'])) == ('disconnected', 5)
    assert plain['events'][-1] == ['disconnect', 'fetchTokenError']

    service.clear_faults()
    seen = page.run('''
        await until(() => kate.calls.at(-1).status === 200
                          && kate.calls.length > 3, 60);
        await sleep(500);
        await kate.send('still here');
        return kate.seen();
    ''')
    assert seen['events'][-1] == ['message', 'still here']
    assert names(seen).count('connecting') == 1


def test_throttled(page, service):
    """AWS throttles: the provider waits as long as nginx tells it."""
    service.faults({'fault': 'throttling', 'user': 'lars', 'count': 2})
    seen = page.run('''
        const lars = join('lars');
        await until(() => lars.room.state === 'connected', 60 * slow);
        return lars.seen();
    ''')
    assert (seen['state'], statuses(seen)) == ('connected', [429, 429, 200])
    for gap, wait in zip(gaps(seen), seen['waits'], strict=True):
        assert gap > wait - 0.01 and wait >= 1


def test_region(page, edge):
    """The stand-in is strict: a token of another region opens nothing."""
    seen = page.run('''
        const mia = join('mia', {url: '/far'});
        await until(() => mia.count('disconnect') === 1, 30 * slow);
        return mia.seen();
    ''')
    assert (seen['state'], len(seen['calls'])) == ('disconnected', 4)
    assert seen['events'][-1] == ['disconnect', 'socketError']
    assert edge.health()['refused: region'] == 4


def test_token_is_good_once(page, edge):
    """A token is good once, and only if AWS has made it."""
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
    health = edge.health()
    assert seen == [True, 'closed', 'closed']
    assert (health['refused: used'], health['refused: unknown']) == (1, 1)


@pytest.mark.parametrize('before', [WRONG_CLOCK % (2 * HOUR),
                                    WRONG_CLOCK % (-30 * DAY)],
                         ids=['two hours ahead', '30 days behind'])
def test_clock(page):
    """A device's clock is wrong: no further token; the bare SDK loops."""
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
    assert (olga['state'], len(olga['calls'])) == ('connected', 1)
    assert len(loop) >= 10
    rate = (len(loop) - 1) * 1000 / (loop[-1]['at'] - loop[0]['at'])
    print(f'measured: the bare SDK made {rate:.0f} calls a second')


@pytest.mark.parametrize('before', [WRONG_CLOCK % (2 * HOUR)],
                         ids=['two hours ahead'])
def test_other_origin(page):
    """A page of another origin sees Date only when it is exposed."""
    exposed, hidden = page.run('''
        const ask = async (path) => {
            const url = location.origin.replace('127.0.0.1', 'localhost')
                + path;
            const {tokenExpirationTime} = await tokenProvider(url, {
                room: () => null})();
            return (tokenExpirationTime - Date.now()) / 1000;
        };
        return [await ask('/exposed'), await ask('/hidden')];
    ''')
    assert 3500 < exposed < 3700
    assert 45 < hidden <= 60                    # no loop
