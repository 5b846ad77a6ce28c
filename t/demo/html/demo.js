'use strict';

// A chat front end would hand such a function to the ChatRoom of the SDK; here
// the answer is shown.  "#bob" behind the address signs in and asks at once.

const PASSWORD = 'demo';
const $ = (id) => document.getElementById(id);

let shown = null;                   // the token on the page

async function askForToken(user) {
    const began = performance.now();

    const response = await fetch('/chat/token', {
        method: 'POST',
        credentials: 'omit',        // on a 401 no dialog of the browser's
        headers: {Authorization: 'Basic ' + btoa(user + ':' + PASSWORD)},
    });

    const text = await response.text();

    return {
        user,
        status: response.status,
        type: (response.headers.get('Content-Type') || '').split(';')[0],
        capabilities: (response.headers.get('X-Chat-Capabilities') || '')
            .split(',').filter(Boolean),
        retryAfter: response.headers.get('Retry-After'),
        text,
        ms: Math.round(performance.now() - began),
    };
}

function show(answer) {
    const ok = answer.status === 200;

    shown = null;
    $('result').hidden = false;
    $('result').classList.toggle('bad', !ok);
    $('token').hidden = !ok;
    $('problem').hidden = ok;
    $('status').textContent = answer.status
        ? `${answer.status} in ${answer.ms} ms` : 'no answer';
    $('request').textContent =
        `curl -i -u ${answer.user}:${PASSWORD} -X POST `
        + `${location.origin}/chat/token`;

    if (ok) {
        showToken(answer);
    } else {
        showProblem(answer);
    }
}

function showToken(answer) {
    const body = JSON.parse(answer.text);

    shown = {
        token: body.token,
        ends: new Date(body.tokenExpirationTime),
        sessionEnds: new Date(body.sessionExpirationTime),
    };

    $('title').textContent = `A token for ${answer.user}`;
    $('short').textContent = shorten(body.token, 40);
    $('copy').textContent = 'Copy';

    for (const chip of document.querySelectorAll('.chips li')) {
        const name = chip.dataset.capability;
        const granted = !name || answer.capabilities.includes(name);
        chip.classList.toggle('yes', granted);
        chip.title = granted ? 'granted' : 'not granted';
    }

    showEnd('token-end', shown.ends);
    showEnd('session-end', shown.sessionEnds);
    tick();

    $('answer').textContent = 'X-Chat-Capabilities: '
        + (answer.capabilities.join(',') || '(none)') + '\n\n'
        + JSON.stringify({...body, token: shorten(body.token, 40)}, null, 2);
}

// The module's errors are problem+json; auth_basic's 401 is a page of nginx.

function showProblem(answer) {
    let problem = {};

    if (answer.type === 'application/problem+json') {
        problem = JSON.parse(answer.text);

    } else if (answer.status === 401) {
        problem = {
            title: 'Not signed in',
            detail: 'auth_basic has refused this user and password, so that '
                + 'the module was not asked.',
        };
    }

    $('title').textContent = problem.title || 'No token';
    $('detail').textContent = problem.detail || answer.text;
    $('code').textContent = (problem.code ? `code ${problem.code}` : '')
        + (answer.retryAfter ? `, try again in ${answer.retryAfter} s` : '');
    $('answer').textContent = problem.code
        ? JSON.stringify(problem, null, 2) : answer.text.trim();
}

function shorten(text, length) {
    const half = Math.floor(length / 2);
    return text.length <= length + 1 ? text
        : text.slice(0, half) + '…' + text.slice(-half);
}

function showEnd(id, date) {
    $(id).dateTime = date.toISOString();
    $(id).textContent = 'at ' + date.toLocaleTimeString();
}

function left(date) {
    const seconds = Math.max(0, Math.ceil((date - Date.now()) / 1000));
    const two = (n) => String(n).padStart(2, '0');
    const hours = Math.floor(seconds / 3600);

    return (hours ? hours + ':' : '') + two(Math.floor(seconds / 60) % 60)
        + ':' + two(seconds % 60);
}

function tick() {
    if (shown === null) {
        return;
    }

    for (const [id, date] of [['left', shown.ends],
                              ['session-left', shown.sessionEnds]])
    {
        $(id).textContent = left(date);
        $(id).classList.toggle('over', date <= Date.now());
    }
}

async function ask() {
    const button = document.querySelector('button.primary');
    const user = new FormData($('ask')).get('user');

    button.disabled = true;

    try {
        show(await askForToken(user));
    } catch (error) {
        show({user, status: 0, type: '', capabilities: [],
              text: `nginx does not answer: ${error.message}`});
    } finally {
        button.disabled = false;
    }
}

async function copy() {
    if (shown === null) {
        return;
    }

    await navigator.clipboard.writeText(shown.token);
    $('copy').textContent = 'Copied';
    setTimeout(() => { $('copy').textContent = 'Copy'; }, 1500);
}

function askByAddress() {
    const wanted = location.hash.slice(1);

    for (const input of document.querySelectorAll('input[name=user]')) {
        if (input.value === wanted) {
            input.checked = true;
            ask();
        }
    }
}

$('ask').addEventListener('submit', (event) => {
    event.preventDefault();
    ask();
});

$('copy').addEventListener('click', copy);
addEventListener('hashchange', askByAddress);
setInterval(tick, 1000);
askByAddress();
