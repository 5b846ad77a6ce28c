// Usage: node crowd.mjs PROVIDER SDK-DIRECTORY NGINX EDGE COUNT SECONDS
//
// So many clients who join in the same moment, each a ChatRoom of AWS's SDK.
// PROVIDER is "ours", the tokenProvider of docs/client, or "bare", what AWS's
// guide shows.  Prints what came of it as JSON, when all are in or have given
// up, or the time is over.

import {createRequire} from 'node:module';
import path from 'node:path';
import {pathToFileURL} from 'node:url';

const [which, modules, nginx, edge, count, seconds] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(path.join(modules, name)));

// The SDK is the browser's: it wants the browser's WebSocket.
globalThis.WebSocket = createRequire(path.join(modules, 'x.js'))('ws');

const {ChatRoom} = await load('amazon-ivs-chat-messaging/dist/esm/index.js');
const {tokenProvider} = await import('../../docs/client/token-provider.js');

const began = performance.now();
const elapsed = () => (performance.now() - began) / 1000;
const joined = [], calls = [];
const statuses = {}, gaveUp = {}, refused = {};
let waits = 0, unfinished = Number(count);

const realFetch = globalThis.fetch;

globalThis.fetch = async (...values) => {
    const at = elapsed();
    calls.push(at);
    let key = 'no answer';

    try {
        const response = await realFetch(...values);
        key = response.status;
        return response;
    } finally {
        statuses[key] = (statuses[key] ?? 0) + 1;
    }
};

async function bare(request) {
    const response = await fetch(nginx, {method: 'POST', ...request});

    if (!response.ok) {
        throw new Error(response.status);
    }
    return response.json();
}

function client(number) {
    const word = Buffer.from(`crowd${number}:x`).toString('base64');
    const request = {headers: {Authorization: `Basic ${word}`}};

    const room = new ChatRoom({
        regionOrUrl: edge,
        tokenProvider: which === 'bare' ? () => bare(request)
            : tokenProvider(nginx, {
                room: () => room,
                request: () => request,
                refused: ({status}) => {
                    refused[status] = (refused[status] ?? 0) + 1;
                },
                waiting: () => { waits++; },
            }),
    });

    room.logLevel = 'error';
    room.logger = {debug() {}, info() {}, error() {}};
    room.addListener('connect', () => {
        joined.push(elapsed());
        unfinished--;
    });
    room.addListener('disconnect', (reason) => {
        gaveUp[reason] = (gaveUp[reason] ?? 0) + 1;
        unfinished--;
    });
    room.connect();
}

for (let number = 0; number < Number(count); number++) {
    client(number);
}

// The most calls that fall into one second.

function peak() {
    calls.sort((a, b) => a - b);
    let most = 0, from = 0;

    for (let to = 0; to < calls.length; to++) {
        while (calls[to] - calls[from] >= 1) {
            from++;
        }
        most = Math.max(most, to - from + 1);
    }
    return most;
}

const check = setInterval(() => {
    if (unfinished > 0 && elapsed() < Number(seconds)) {
        return;
    }

    clearInterval(check);
    console.log(JSON.stringify({
        joined: joined.length, joinedAt: joined, calls: calls.length,
        peak: peak(), statuses, gaveUp, refused, waits, took: elapsed()}));
    process.exit(0);
}, 20);
