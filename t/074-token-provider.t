#!/usr/bin/env node
// The tokenProvider of docs/client, asked as the SDK asks it, against a server
// that answers what a test has lined up.  Times are not waited for: setTimeout
// is recorded and fires at once.

'use strict';

const http = require('node:http');
const path = require('node:path');

const MINUTE = 60000;
const realTimeout = globalThis.setTimeout;
const realNow = Date.now;
let count = 0, failed = 0;
let slept = [];                         // what the provider has waited for, ms
let asked = [];                         // the requests that the server saw
let answers = [];                       // what it will say

function ok(condition, name, ...notes) {
    count++;
    failed += condition ? 0 : 1;
    console.log(`${condition ? 'ok' : 'not ok'} ${count} - ${name}`);

    for (const note of condition ? [] : notes) {
        console.log('#   ' + JSON.stringify(note));
    }
}

function equal(got, expected, name) {
    ok(JSON.stringify(got) === JSON.stringify(expected), name,
       {got}, {expected});
}

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

function near(date, ms, slack = 3000) {
    return Math.abs(date - ms) <= slack;
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

async function call(lines, options = {}, room = new Room(), patience = 150) {
    const seen = {refused: [], waiting: [], room};
    const {tokenProvider} = await provider;

    answers = lines;
    asked = [];
    slept = [];

    const ask = tokenProvider(url, {
        room: () => room,
        refused: (why) => seen.refused.push(why),
        waiting: (seconds, why) => seen.waiting.push([seconds, why]),
        ...options,
    });

    let pending = new Promise((done) => realTimeout(
        () => done({pending: true}), patience));

    const result = await Promise.race([
        ask().then((value) => ({value}), (rejected) => ({rejected})),
        options.untilDone ? new Promise(() => {}) : pending]);

    await new Promise((done) => realTimeout(done, 5));      // the callbacks
    return {...result, ...seen, asked};
}

const done = {untilDone: true};

async function success() {
    let header = null;
    const result = await call([[200, token(), {'X-Rights': 'SEND_MESSAGE'}]], {
        ...done, request: async () => ({headers: {Authorization: 'Bearer x'}}),
        answered: (response) => { header = response.headers.get('X-Rights'); },
    });

    equal(result.value?.token, 't0ken', 'a token is handed on');
    ok(near(result.value?.tokenExpirationTime, realNow() + 60 * MINUTE)
       && near(result.value?.sessionExpirationTime, realNow() + 120 * MINUTE),
       'with its times, as dates', result);
    equal(result.asked.map((one) => [one.method, one.url,
                                     one.headers.authorization]),
          [['POST', '/chat/token?room=x', 'Bearer x']],
          'asked for once, with what the app adds');
    equal(header, 'SEND_MESSAGE', 'the app can look at the headers');
    equal([result.waiting.length, result.refused.length, slept.filter(Boolean)],
          [0, 0, []], 'without a wait or a callback');

    const bare = await call([[200, {token: 't0ken'}]], done);
    equal(bare.value, {token: 't0ken'}, 'times that are not there stay away');
}

async function waits() {
    for (const [status, code] of [[408, null], [425, null],
                                  [429, 'throttled'], [500, 'misconfigured'],
                                  [502, 'unavailable'],
                                  [503, 'no_credentials'], [504, 'timeout']])
    {
        const result = await call(
            [[status, problem(status, code, 3)], [200, token()]], done);
        const ms = slept.filter(Boolean);

        equal([result.value?.token, result.asked.length], ['t0ken', 2],
              `after ${status} it asks again, and does not reject`);
        ok(ms.length === 1 && ms[0] >= 3000 && ms[0] < 4000,
           'not before retryAfter, and not long after it', ms);
        equal([result.waiting[0]?.[1].status, result.waiting[0]?.[1].code],
              [status, code], 'and the app is told');
    }

    let result = await call([[503, '<html>', {'Retry-After': '7'}],
                             [200, token()]], done);
    ok(slept.filter(Boolean)[0] >= 7000 && slept.filter(Boolean)[0] < 8750,
       'without a body, Retry-After counts', slept);

    result = await call([[429, problem(429, 'throttled', 3),
                          {'Retry-After': '50'}], [200, token()]], done);
    ok(slept.filter(Boolean)[0] < 4000, 'with one, the body does', slept);

    await call([[503, '', {'Retry-After': '86400'}], [200, token()]], done);
    ok(slept.filter(Boolean)[0] >= 60000 && slept.filter(Boolean)[0] < 75000,
       'a viewer does not wait for a day', slept);

    for (const odd of ['Wed, 21 Oct 2015 07:28:00 GMT', '-1', '0', 'soon']) {
        await call([[503, '', {'Retry-After': odd}], [200, token()]], done);
        ok(slept.filter(Boolean)[0] >= 1000 && slept.filter(Boolean)[0] < 2000,
           `Retry-After: ${odd} is passed over`, slept);
    }

    result = await call([...Array(8).fill([502, '']), [200, token()]], done);
    const ms = slept.filter(Boolean);
    ok(ms.length === 8 && ms.every((value, n) => {
        const least = 1000 * Math.min(2 ** n, 60);
        return value >= least && value < 2 * least;
    }), 'untold, it waits for 1, 2, 4, … 60 seconds, and up to as much again',
       ms);
    ok(new Set(ms.map((value) => value % 1000)).size > 4, 'at random', ms);
}

async function failures() {
    const cut = (response) => response.socket.destroy();
    const half = (response) => {
        response.writeHead(200, {'Content-Length': 1000});
        response.write('{"token":"half');
        realTimeout(() => response.socket.destroy(), 20);
    };

    for (const [name, broken] of [
        ['a broken connection', cut], ['half an answer', half],
        ['a page instead of a token', [200, '<html>Sign in to the WLAN']],
        ['null', [200, 'null']], ['a number', [200, {token: 7}]],
        ['204', [204, '']]])
    {
        const result = await call([broken, [200, token()]], done);
        equal([result.value?.token, result.asked.length,
               result.refused.length], ['t0ken', 2, 0],
              `after ${name} it asks again`);
    }

    const silent = await call([() => {}, [200, token()]],
                              {...done, timeout: 0.05});
    equal([silent.value?.token, silent.asked.length], ['t0ken', 2],
          'silence is not waited for longer than the timeout');

    let tries = 0;
    const thrown = await call([[200, token()]], {...done, request: () => {
        if (tries++ === 0) { throw new Error('no session'); }
        return {};
    }});
    equal([thrown.value?.token, thrown.asked.length,
           thrown.waiting[0]?.[1].detail],
          ['t0ken', 1, 'Error: no session'],
          'an error of the app\'s own is a failure like another');
}

async function refusals() {
    for (const status of [400, 401, 403, 404, 405, 410, 413]) {
        const room = new Room();
        const result = await call([[status, problem(status, 'code', 1)]], {},
                                  room);

        equal([result.pending, result.asked.length], [true, 1],
              `${status}: one call, and a promise that is never settled`);
        equal([room.disconnects, result.refused.length,
               result.refused[0]?.status, result.refused[0]?.code],
              [1, 1, status, 'code'],
              'the room is disconnected, and the app told, once');
    }

    const html = await call([[401, '<html>401 Authorization Required']]);
    equal([html.pending, html.refused[0]?.status, html.refused[0]?.code],
          [true, 401, undefined], 'so it is with a page of nginx\'s');

    const uncaught = new Promise((resolve) => {
        process.once('uncaughtException', resolve);
    });
    const odd = await call([[403, '{}']],
                           {refused: () => { throw new Error('the app'); }});
    equal([odd.pending, odd.asked.length, (await uncaught).message],
          [true, 1, 'the app'],
          'an app that throws is told, and costs no further call');
}

async function leaving() {
    const room = new Room();
    const result = await call([[503, '']], {waiting: () => {
        room.state = 'disconnected';
    }}, room);

    equal([result.pending, result.asked.length], [true, 1],
          'when the user has left, it stops asking');
    equal(result.refused.length, 0, 'which is no refusal');
}

// The device's clock is wrong by so much; what the SDK would wait for.

async function clock(wrong, body, headers, options = {}) {
    Date.now = () => realNow() + wrong;

    try {
        const {value} = await call([[200, body, headers]],
                                   {...done, ...options});
        const left = value.tokenExpirationTime - Date.now();
        return {value, renew: left <= MINUTE ? Math.max(left - 30000, 0)
                                             : left - MINUTE};
    } finally {
        Date.now = realNow;
    }
}

async function clocks() {
    const day = 24 * 60 * MINUTE;

    for (const wrong of [-30 * day, -2 * 60 * MINUTE, 0, 2 * 60 * MINUTE,
                         900 * day])
    {
        const {value, renew} = await clock(wrong, token());
        ok(near(renew, 59 * MINUTE), 'a clock that is wrong by '
           + `${wrong / MINUTE} minutes changes nothing`, {renew, value});
        ok(near(value.sessionExpirationTime,
                realNow() + wrong + 120 * MINUTE), 'for the session either');
    }

    const hidden = {Date: null};

    let {renew} = await clock(0, token(), hidden);
    ok(near(renew, 59 * MINUTE), 'without Date the times stay', renew);

    ({renew} = await clock(2 * 60 * MINUTE, token(), hidden));
    ok(near(renew, 20000), 'a clock two hours ahead, without Date, makes '
       + 'no loop: 20 s', renew);

    ({renew} = await clock(-30 * day, token(), hidden));
    ok(near(renew, 179 * MINUTE), 'nor one 30 days behind, which would be '
       + 'over the browser\'s longest timer', renew);

    for (const [name, lifetime] of [['long over', -5 * MINUTE], ['over', -1],
                                    ['31 s away', 31000]])
    {
        ({renew} = await clock(0, token(lifetime)));
        ok(near(renew, 20000), `an expiry that is ${name} is moved: the SDK `
           + 'comes back after 20 s', renew);
    }

    ({renew} = await clock(0, token(MINUTE)));
    ok(near(renew, 30000), 'a token of one minute is renewed at its time',
       renew);

    for (const lifetime of [61000, 75000]) {
        ({renew} = await clock(0, token(lifetime)));
        ok(near(renew, 30000), `${lifetime / 1000} s are as 60 s, lest the SDK `
           + 'comes back at once', renew);
    }

    ({renew} = await clock(0, token(85000)));
    ok(near(renew, 25000), '85 s are 85 s', renew);

    ({renew} = await clock(0, token(33000), {}, {soonest: 2}));
    ok(near(renew, 3000), '"soonest" can be changed', renew);

    const odd = await call([[200, {...token(), tokenExpirationTime: 'soon'}]],
                           done);
    equal(odd.value?.tokenExpirationTime, undefined,
          'a time that is none is left out');
}

let url, provider;

async function main() {
    await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
    url = `http://127.0.0.1:${server.address().port}/chat/token?room=x`;
    provider = import(path.join(__dirname, '../docs/client/token-provider.js'));

    // Node's fetch has timers, too, which are none of ours.
    globalThis.setTimeout = (callback, ms = 0, ...values) => {
        if (!new Error().stack.includes('token-provider.js')) {
            return realTimeout(callback, ms, ...values);
        }

        slept.push(ms);
        return realTimeout(callback, 0, ...values);
    };

    for (const part of [success, waits, failures, refusals, leaving, clocks]) {
        await part();
    }

    console.log(`1..${count}`);
    process.exit(failed ? 1 : 0);
}

realTimeout(() => {
    console.log('Bail out!  The test takes too long');
    process.exit(1);
}, 60000).unref();

main();
