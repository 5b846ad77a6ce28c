// The tokenProvider of docs/client, asked as the SDK asks it, against a server
// that answers what a test has lined up.  Times are not waited for: setTimeout
// is recorded and fires at once.  test_token_provider.py runs this.

import assert from 'node:assert/strict';
import http from 'node:http';
import {after, before, test} from 'node:test';

import {tokenProvider} from '../../docs/client/token-provider.js';

const MINUTE = 60000;
const DAY = 24 * 60 * MINUTE;
const realTimeout = globalThis.setTimeout;
const realNow = Date.now;
const pause = (ms) => new Promise((done) => realTimeout(done, ms));
const untilDone = {untilDone: true};
let url;
let slept = [];                         // what the provider has waited for, ms
let asked = [];                         // the requests that the server saw
let answers = [];                       // what it will say

// [status, body, headers], or a function of the response.

const server = http.createServer((request, response) => {
    asked.push({method: request.method, url: request.url,
                headers: request.headers});

    const answer = answers.length > 1 ? answers.shift() : answers[0];

    if (typeof answer === 'function') {
        answer(response);
        return;
    }

    const [status, body, headers = {}] = answer;
    response.sendDate = headers.Date === undefined;

    for (const [name, value] of Object.entries(headers)) {
        if (value !== null) {
            response.setHeader(name, value);
        }
    }

    response.writeHead(status);
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
});

before(async () => {
    await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
    url = `http://127.0.0.1:${server.address().port}/chat/token?room=x`;

    // Node's fetch has timers, too, which are none of ours.
    globalThis.setTimeout = (callback, ms = 0, ...values) => {
        if (!new Error().stack.includes('token-provider.js')) {
            return realTimeout(callback, ms, ...values);
        }

        if (ms > 0) {
            slept.push(ms);
        }
        return realTimeout(callback, 0, ...values);
    };
});

after(() => {
    server.close();
    server.closeAllConnections();
});

function iso(ms) {
    return new Date(ms).toISOString();
}

function token(lifetime = 60 * MINUTE, session = 120 * MINUTE) {
    return {token: 't0ken', tokenExpirationTime: iso(realNow() + lifetime),
            sessionExpirationTime: iso(realNow() + session)};
}

function problem(status, code, retryAfter) {
    return {type: 'about:blank', title: 'No', status, code, retryAfter};
}

function near(date, ms) {
    assert.ok(Math.abs(date - ms) <= 3000, `${date} is not near ${ms}`);
}

// The provider has waited once, for so many seconds, to being excluded.

function waited(from, to) {
    assert.equal(slept.length, 1);
    assert.ok(slept[0] >= from * 1000 && slept[0] < to * 1000,
              `${slept[0]} ms are not ${from} to ${to} s`);
}

class Room {
    state = 'connecting';
    disconnects = 0;

    disconnect() {
        this.disconnects++;
        this.state = 'disconnected';
    }
}

// Ask once; {value}, {rejected} or {pending: true}, and what was called back.

async function call(lines, options = {}, room = new Room()) {
    const seen = {refused: [], waiting: [], room};

    answers = lines;
    asked = [];
    slept = [];

    const ask = tokenProvider(url, {
        room: () => room,
        refused: (why) => seen.refused.push(why),
        waiting: (seconds, why) => seen.waiting.push([seconds, why]),
        ...options,
    });

    const result = await Promise.race([
        ask().then((value) => ({value}), (rejected) => ({rejected})),
        options.untilDone ? new Promise(() => {})
                          : pause(150).then(() => ({pending: true}))]);

    await pause(5);                     // the callbacks
    return {...result, ...seen, asked};
}

test('a token is handed on, with its times, as dates', async () => {
    let header = null;
    const result = await call([[200, token(), {'X-Rights': 'SEND_MESSAGE'}]], {
        ...untilDone,
        request: async () => ({headers: {Authorization: 'Bearer x'}}),
        answered: (response) => { header = response.headers.get('X-Rights'); },
    });

    assert.equal(result.value.token, 't0ken');
    near(result.value.tokenExpirationTime, realNow() + 60 * MINUTE);
    near(result.value.sessionExpirationTime, realNow() + 120 * MINUTE);
    assert.deepEqual(
        result.asked.map((one) => [one.method, one.url,
                                   one.headers.authorization]),
        [['POST', '/chat/token?room=x', 'Bearer x']]);
    assert.equal(header, 'SEND_MESSAGE');
    assert.deepEqual([result.waiting, result.refused, slept], [[], [], []]);
});

test('times that are not there stay away', async () => {
    const {value} = await call([[200, {token: 't0ken'}]], untilDone);
    assert.equal(JSON.stringify(value), '{"token":"t0ken"}');
});

for (const [status, code] of [[408, null], [425, null], [429, 'throttled'],
                              [500, 'misconfigured'], [502, 'unavailable'],
                              [503, 'no_credentials'], [504, 'timeout']])
{
    test(`after ${status} it asks again, after retryAfter`, async () => {
        const result = await call(
            [[status, problem(status, code, 3)], [200, token()]], untilDone);

        assert.deepEqual([result.value?.token, result.asked.length],
                         ['t0ken', 2]);
        waited(3, 4);
        const [, why] = result.waiting[0];
        assert.deepEqual([why.status, why.code], [status, code]);
    });
}

for (const [name, status, body, header, from, to] of [
    ['without a body, Retry-After counts', 503, '<html>', '7', 7, 8.75],
    ['with one, the body does', 429, problem(429, 'throttled', 3), '50', 3, 4],
    ['a viewer does not wait for a day', 503, '', '86400', 60, 75],
    ...['Wed, 21 Oct 2015 07:28:00 GMT', '-1', '0', 'soon'].map((odd) => [
        `Retry-After: ${odd} is passed over`, 503, '', odd, 1, 2])])
{
    test(name, async () => {
        await call([[status, body, {'Retry-After': header}], [200, token()]],
                   untilDone);
        waited(from, to);
    });
}

test('untold, it waits for 1, 2, 4, … 60 seconds, and up to as much again, '
     + 'at random', async () => {
    await call([...Array(8).fill([502, '']), [200, token()]], untilDone);

    assert.equal(slept.length, 8);
    slept.forEach((value, n) => {
        const least = 1000 * Math.min(2 ** n, 60);
        assert.ok(value >= least && value < 2 * least, `${n}: ${value}`);
    });
    assert.ok(new Set(slept.map((value) => value % 1000)).size > 4, slept);
});

const cut = (response) => response.socket.destroy();
const half = (response) => {
    response.writeHead(200, {'Content-Length': 1000});
    response.write('{"token":"half');
    realTimeout(() => response.socket.destroy(), 20);
};

for (const [name, broken, options] of [
    ['a broken connection', cut], ['half an answer', half],
    ['a page instead of a token', [200, '<html>Sign in to the WLAN']],
    ['null', [200, 'null']], ['a number', [200, {token: 7}]],
    ['204', [204, '']], ['silence for the timeout', () => {}, {timeout: 0.05}]])
{
    test(`after ${name} it asks again`, async () => {
        const result = await call([broken, [200, token()]],
                                  {...untilDone, ...options});
        assert.deepEqual([result.value?.token, result.asked.length,
                          result.refused.length], ['t0ken', 2, 0]);
    });
}

test('an error of the app\'s own is a failure like another', async () => {
    let tries = 0;
    const result = await call([[200, token()]], {...untilDone, request: () => {
        if (tries++ === 0) { throw new Error('no session'); }
        return {};
    }});

    assert.deepEqual([result.value?.token, result.asked.length,
                      result.waiting[0]?.[1].detail],
                     ['t0ken', 1, 'Error: no session']);
});

for (const status of [400, 401, 403, 404, 405, 410, 413]) {
    test(`${status}: one call, and a promise that is never settled; the room `
         + 'is disconnected, and the app told, once', async () => {
        const result = await call([[status, problem(status, 'code', 1)]]);

        assert.deepEqual([result.pending, result.asked.length], [true, 1]);
        assert.equal(result.room.disconnects, 1);
        assert.deepEqual(result.refused.map((why) => [why.status, why.code]),
                         [[status, 'code']]);
    });
}

test('so it is with a page of nginx\'s', async () => {
    const {pending, refused: [why]} = await call(
        [[401, '<html>401 Authorization Required']]);
    assert.deepEqual([pending, why.status, why.code], [true, 401, undefined]);
});

test('an app that throws is told, and costs no further call', async () => {
    // Node's runner would take the error for the test's.
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');

    const uncaught = new Promise((resolve) => {
        process.once('uncaughtException', resolve);
    });
    const result = await call([[403, '{}']],
                              {refused: () => { throw new Error('the app'); }});

    assert.deepEqual([result.pending, result.asked.length,
                      (await uncaught).message], [true, 1, 'the app']);
    listeners.forEach((one) => process.on('uncaughtException', one));
});

test('when the user has left, it stops asking: no refusal', async () => {
    const room = new Room();
    const result = await call([[503, '']], {waiting: () => {
        room.state = 'disconnected';
    }}, room);

    assert.deepEqual([result.pending, result.asked.length,
                      result.refused.length], [true, 1, 0]);
});

// The device's clock is wrong by so much; when, in ms, the SDK renews then.

async function clock(wrong, body, headers, options = {}) {
    Date.now = () => realNow() + wrong;

    try {
        const {value} = await call([[200, body, headers]],
                                   {...untilDone, ...options});
        const left = value.tokenExpirationTime - Date.now();
        return {value, renew: left <= MINUTE ? Math.max(left - 30000, 0)
                                             : left - MINUTE};
    } finally {
        Date.now = realNow;
    }
}

for (const wrong of [-30 * DAY, -2 * 60 * MINUTE, 0, 2 * 60 * MINUTE,
                     900 * DAY])
{
    test(`a clock that is wrong by ${wrong / MINUTE} minutes changes nothing`,
         async () => {
        const {value, renew} = await clock(wrong, token());
        near(renew, 59 * MINUTE);
        near(value.sessionExpirationTime, realNow() + wrong + 120 * MINUTE);
    });
}

const hidden = {Date: null};

for (const [name, wrong, lifetime, headers, options, renewed] of [
    ['without Date the times stay', 0, 60 * MINUTE, hidden, {}, 59 * MINUTE],
    ['a clock two hours ahead, without Date, makes no loop: 20 s',
     2 * 60 * MINUTE, 60 * MINUTE, hidden, {}, 20000],
    ['nor one 30 days behind, which would be over the browser\'s longest timer',
     -30 * DAY, 60 * MINUTE, hidden, {}, 179 * MINUTE],
    ...[['long over', -5 * MINUTE], ['over', -1], ['31 s away', 31000]].map(
        ([when, lifetime]) => [
            `an expiry that is ${when} is moved: the SDK comes back after 20 s`,
            0, lifetime, {}, {}, 20000]),
    ['a token of one minute is renewed at its time', 0, MINUTE, {}, {}, 30000],
    ...[61000, 75000].map((lifetime) => [
        `${lifetime / 1000} s are as 60 s, lest the SDK comes back at once`,
        0, lifetime, {}, {}, 30000]),
    ['85 s are 85 s', 0, 85000, {}, {}, 25000],
    ['"soonest" can be changed', 0, 33000, {}, {soonest: 2}, 3000]])
{
    test(name, async () => {
        const {renew} = await clock(wrong, token(lifetime), headers, options);
        near(renew, renewed);
    });
}

test('a time that is none is left out', async () => {
    const {value} = await call(
        [[200, {...token(), tokenExpirationTime: 'soon'}]], untilDone);
    assert.equal(value.tokenExpirationTime, undefined);
});
