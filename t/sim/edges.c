
/*
 * The model: edges with the module's own bucket, their workers and clients,
 * and AWS.
 */


#include "edges.h"
#include "heap.h"

#include "aws/ngx_ivschat_bucket.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>


#define LIMIT         200.0            /* of the module, a second */
#define BURST         200.0            /* of the module */
#define WORKERS       4
#define TIMEOUT       5000             /* milliseconds, as all times here */
#define TRIES         3
#define ASKS          4
#define LATE          3.0
#define LATENCY_MIN   5.0
#define LATENCY_MAX   300.0
#define PAUSE         10000            /* how long a stop is */
#define RESPAWN       100
#define CROWD_TIME    60000

/* The clock of the module has 32 bits, and wraps in each run. */

#define CLOCK         (UINT32_MAX - 140000)


enum {
    EVENT_ARRIVAL = 0,                 /* a client asks; or may have */
    EVENT_RESTART,
    EVENT_DIE,
    EVENT_RESPAWN,
    EVENT_WAKE,                        /* a worker's timer */
    EVENT_AWS,                         /* a call reaches AWS */
    EVENT_ANSWER,
    EVENT_RETRY,                       /* the pause has ended */
    EVENT_ASK,                         /* and that of a provider */
    EVENT_END                          /* of the wait, or the client leaves */
};

typedef enum {
    CLIENT_FREE = 0,
    CLIENT_WAITS,
    CLIENT_CALLS,
    CLIENT_PAUSES,
    CLIENT_AWAY                        /* the edge does not know it */
} client_e;

typedef struct {
    client_e                     state;
    uint32_t                     turn;       /* changes with the state */
    int                          worker;     /* of all workers of all edges */
    int                          asks;
    int                          attempts;
    int                          leaves;
    int                          accepted;
    double                       deadline;
    double                       end;        /* of the wait */
    uint32_t                     asked;
    ngx_ivschat_turn_e           line;
    ngx_ivschat_bucket_ticket_t  ticket;
    int                          next;       /* in the worker's, or free */
    int                          prev;
} client_t;

typedef struct {
    int        first[2];               /* clients that wait, by line */
    int        last[2];
    double     wake;                   /* 0: not armed */
    uint32_t   turn;
    unsigned   dead[2];                /* tickets of the one before it */
} worker_t;

typedef struct {
    ngx_ivschat_bucket_t   bucket;
    law_t                  law;
    double                 part;       /* of the demand */
    double                 latency;
} edge_t;


static struct {
    const run_t        *run;
    const scenario_t   *scenario;
    seen_t             *seen;

    double              now;
    uint64_t            random;

    client_t           *clients;
    int                 nclients;
    int                 size;
    int                 free;

    edge_t              edges[EDGES];
    worker_t            workers[EDGES * WORKERS];

    double              aws_tokens;
    double              aws_time;
} sim;


static void start(void);
static void start_edge(int e);
static void handle(const event_t *event);
static int stopped(const event_t *event);

static void on_arrival(int e);
static void on_restart(int e);
static void on_die(int w);
static void on_respawn(int w);
static void on_wake(int w);
static void on_aws(int c);
static void on_answer(int c);
static void on_end(int c);

static double demand(int e);
static int alive(int e);
static uint32_t clock_of(void);
static void ask(int c);
static void book(int c, ngx_ivschat_turn_e turn, double wait);
static void call(int c);
static void failed(int c);
static void gave_up(int c);
static void again(int c);
static void feed(int c);
static void follow(int e);
static double serve(int w, int line);
static void leave(int c, int expired);
static void abandon(int w);
static void arm(int w, double delay);
static double one_way(int e);
static void list_add(int c);
static void list_remove(int c);

static int client_new(int w);
static void client_free(int c);
static void client_set(int c, client_e state);
static double uniform(double from, double to);


void
simulate(const run_t *run, seen_t *seen)
{
    event_t  event;

    sim.run = run;
    sim.scenario = run->scenario;
    sim.seen = seen;
    sim.random = run->seed * UINT64_C(11400714819323198485);

    memset(seen, 0, sizeof(seen_t));

    start();

    while (heap_next(&event) && event.time < sim.scenario->until * 1000) {
        sim.now = event.time;

        if (!stopped(&event)) {
            handle(&event);
        }
    }
}


static void
start(void)
{
    int  e, i, w;

    heap_clear();

    sim.now = 1;
    sim.nclients = 0;
    sim.free = -1;
    sim.aws_tokens = sim.run->burst;
    sim.aws_time = 0;

    memset(sim.workers, 0, sizeof(sim.workers));

    for (w = 0; w < sim.run->edges * WORKERS; w++) {
        for (i = 0; i < 2; i++) {
            sim.workers[w].first[i] = -1;
            sim.workers[w].last[i] = -1;
        }

        if (sim.scenario->die > 0 && w % 2 == 1) {
            heap_post(sim.scenario->die * 1000, EVENT_DIE, w, 0);
        }
    }

    for (e = 0; e < sim.run->edges; e++) {
        start_edge(e);
    }

    for (i = 0; i < sim.scenario->crowd; i++) {
        w = client_new(i % (sim.run->edges * WORKERS));
        client_set(w, CLIENT_AWAY);
        heap_post(uniform(1, CROWD_TIME), EVENT_ASK, w, sim.clients[w].turn);
    }
}


static void
start_edge(int e)
{
    int      n;
    double   ratio, restart;
    edge_t  *edge;

    n = sim.run->edges;
    edge = &sim.edges[e];
    ratio = LATENCY_MAX / LATENCY_MIN;
    restart = sim.scenario->restart;

    edge->part = uniform(1, 3);
    edge->latency = LATENCY_MIN * pow(ratio, uniform(0, 1));

    if (sim.scenario->loud > 0) {
        edge->part = e == 0 ? sim.scenario->loud * n
                            : (1 - sim.scenario->loud) * n / (n - 1);
    }

    if (sim.scenario->unlike) {
        edge->latency = LATENCY_MIN * pow(ratio, e / (n - 1.0));
    }

    if (sim.run->latency > 0) {
        edge->latency = sim.run->latency;
    }

    ngx_ivschat_bucket_init(&edge->bucket, clock_of(), LIMIT, BURST,
                            sim.scenario->wait > TIMEOUT ? sim.scenario->wait
                                                         : TIMEOUT);
    law_init(&edge->law, sim.run->law, LIMIT, 0);

    heap_post((e % 2 ? sim.scenario->join : 0) * 1000 + 1, EVENT_ARRIVAL, e,
              0);

    if (restart > 0) {
        heap_post(restart * 1000 * (e + 1) / n, EVENT_RESTART, e, 0);
    }
}


/* Whatever a worker would do now it does when it goes on. */

static int
stopped(const event_t *event)
{
    double  end;

    end = sim.scenario->stop * 1000 + PAUSE;

    if (sim.scenario->stop == 0 || event->kind == EVENT_AWS
        || sim.now < end - PAUSE || sim.now >= end)
    {
        return 0;
    }

    heap_post(end, event->kind, event->what, event->turn);

    return 1;
}


static void
handle(const event_t *event)
{
    switch (event->kind) {

    case EVENT_ARRIVAL:
        on_arrival(event->what);
        return;

    case EVENT_RESTART:
        on_restart(event->what);
        return;

    case EVENT_DIE:
        on_die(event->what);
        return;

    case EVENT_RESPAWN:
        on_respawn(event->what);
        return;

    case EVENT_WAKE:
        if (event->turn == sim.workers[event->what].turn) {
            on_wake(event->what);
        }
        return;
    }

    if (event->turn != sim.clients[event->what].turn) {
        return;
    }

    switch (event->kind) {

    case EVENT_AWS:
        on_aws(event->what);
        break;

    case EVENT_ANSWER:
        on_answer(event->what);
        break;

    case EVENT_RETRY:
        book(event->what, NGX_IVSCHAT_BUCKET_RETRY,
             sim.clients[event->what].deadline - sim.now);
        break;

    case EVENT_ASK:
        ask(event->what);
        break;

    default:
        on_end(event->what);
    }
}


/*
 * Demand changes with time, so that a pause longer than 100 ms is drawn
 * again; a Poisson process does not remember.
 */

static void
on_arrival(int e)
{
    double  pause;

    if (sim.scenario->crowd || !alive(e)) {
        return;
    }

    pause = -log(1 - uniform(0, 1)) / demand(e) * 1000;

    if (pause > 100) {
        heap_post(sim.now + 100, EVENT_ARRIVAL, e, 0);
        return;
    }

    ask(client_new(e * WORKERS + (int) uniform(0, WORKERS)));
    heap_post(sim.now + pause, EVENT_ARRIVAL, e, 0);
}


/* All of its state is new, and clients connect to it again. */

static void
on_restart(int e)
{
    int  w;

    ngx_ivschat_bucket_init(&sim.edges[e].bucket, clock_of(), LIMIT, BURST,
                            TIMEOUT);
    law_init(&sim.edges[e].law, sim.run->law, LIMIT, sim.now / 1000);

    for (w = e * WORKERS; w < (e + 1) * WORKERS; w++) {
        abandon(w);
        sim.workers[w].dead[0] = 0;
        sim.workers[w].dead[1] = 0;
    }

    heap_post(sim.now + sim.scenario->restart * 1000, EVENT_RESTART, e, 0);
}


static void
on_die(int w)
{
    abandon(w);
    heap_post(sim.now + RESPAWN, EVENT_RESPAWN, w, 0);
}


static void
on_respawn(int w)
{
    int  i;

    for (i = 0; i < 2; i++) {
        ngx_ivschat_bucket_dead(&sim.edges[w / WORKERS].bucket, clock_of(), i,
                                sim.workers[w].dead[i]);
        sim.workers[w].dead[i] = 0;
    }
}


static void
on_wake(int w)
{
    double  delay;

    sim.workers[w].wake = 0;

    if (!alive(w / WORKERS)) {
        return;
    }

    delay = serve(w, NGX_IVSCHAT_BUCKET_RETRY);
    delay = fmin(delay, serve(w, NGX_IVSCHAT_BUCKET_FIRST));

    if (delay < INFINITY) {
        arm(w, delay);
    }
}


static void
on_aws(int c)
{
    int        e, second;
    client_t  *client;

    client = &sim.clients[c];
    e = client->worker / WORKERS;
    second = (int) (sim.now / 1000);

    sim.aws_tokens += sim.run->quota * (sim.now - sim.aws_time) / 1000;
    sim.aws_tokens = fmin(sim.aws_tokens, sim.run->burst);
    sim.aws_time = sim.now;

    client->accepted = sim.aws_tokens >= 1;

    if (client->accepted) {
        sim.aws_tokens -= 1;
        sim.seen->granted[second][e]++;

    } else {
        sim.seen->refused[second]++;
    }

    client_set(c, CLIENT_CALLS);
    heap_post(sim.now + one_way(e), EVENT_ANSWER, c, client->turn);
}


static void
on_answer(int c)
{
    double     pause;
    client_t  *client;

    client = &sim.clients[c];

    feed(c);

    if (client->accepted) {
        sim.seen->tokens++;
        client_free(c);
        return;
    }

    pause = uniform(0, 1) * 1000 * (1 << (client->attempts - 1));

    if (client->attempts == TRIES || sim.now + pause >= client->deadline) {
        failed(c);
        return;
    }

    client_set(c, CLIENT_PAUSES);
    heap_post(sim.now + pause, EVENT_RETRY, c, client->turn);
}


static void
on_end(int c)
{
    int  leaves;

    leaves = sim.clients[c].leaves;

    leave(c, !leaves);

    if (leaves) {
        client_free(c);

    } else {
        failed(c);
    }
}


/*
 * Clients a second.  In overload even an edge with one part has more of them
 * than its share of tokens; in calm none has, and there is enough for all.
 */

static double
demand(int e)
{
    double             base;
    const scenario_t  *scenario;

    scenario = sim.scenario;
    base = sim.edges[e].part * sim.run->quota / sim.run->edges;

    if (scenario->again > 0 && sim.now >= scenario->again * 1000) {
        return e == 0 ? 2.2 * sim.run->quota : 0.1;
    }

    if (sim.now < scenario->storm * 1000) {
        return base * 0.3;
    }

    if (scenario->calm > 0 && sim.now >= scenario->calm * 1000) {
        return base * (scenario->again > 0 ? 0.05 : 0.3);
    }

    return base * scenario->demand;
}


int
edge_alive(const scenario_t *scenario, int e, double from, double until)
{
    return e % 2 == 0
           || (from >= scenario->join
               && (scenario->vanish == 0 || until <= scenario->vanish));
}


static int
alive(int e)
{
    return edge_alive(sim.scenario, e, sim.now / 1000, sim.now / 1000);
}


/* Milliseconds, as a worker sees them. */

static uint32_t
clock_of(void)
{
    double  frozen;

    frozen = sim.scenario->frozen * 1000;

    if (frozen > 0 && sim.now > frozen && sim.now < frozen + PAUSE) {
        return CLOCK + (uint32_t) frozen;
    }

    return CLOCK + (uint32_t) sim.now;
}


static void
ask(int c)
{
    client_t  *client;

    client = &sim.clients[c];

    client->asks++;
    client->attempts = 0;
    client->deadline = 0;

    book(c, NGX_IVSCHAT_BUCKET_FIRST, sim.scenario->wait);
}


static void
book(int c, ngx_ivschat_turn_e turn, double wait)
{
    int        e;
    unsigned   delay;
    client_t  *client;

    client = &sim.clients[c];
    e = client->worker / WORKERS;

    delay = ngx_ivschat_bucket_book(&sim.edges[e].bucket, clock_of(), turn,
                                    &client->ticket);
    follow(e);

    if (delay == 0) {
        call(c);
        return;
    }

    client_set(c, CLIENT_WAITS);
    client->line = turn;
    client->leaves = uniform(0, 1) < sim.scenario->leaves;
    client->end = sim.now + wait;
    list_add(c);

    heap_post(sim.now + (client->leaves ? uniform(0, wait) : wait), EVENT_END,
              c, client->turn);

    if (client->prev == -1) {
        arm(client->worker, delay);
    }
}


static void
call(int c)
{
    client_t  *client;

    client = &sim.clients[c];

    if (client->attempts++ == 0) {
        client->deadline = sim.now + TIMEOUT;
    }

    client->asked = clock_of();
    client_set(c, CLIENT_CALLS);

    heap_post(sim.now + one_way(client->worker / WORKERS), EVENT_AWS, c,
              client->turn);
}


/* The client gets 429. */

static void
failed(int c)
{
    unsigned   seconds;
    client_t  *client;

    client = &sim.clients[c];

    if (!sim.scenario->provider) {
        again(c);
        return;
    }

    seconds = ngx_ivschat_bucket_retry_after(
                  &sim.edges[client->worker / WORKERS].bucket, clock_of(),
                  (uint32_t) uniform(0, 4294967296.0));

    client_set(c, CLIENT_AWAY);
    heap_post(sim.now + seconds * 1000, EVENT_ASK, c, client->turn);
}


/* As the official SDK does: immediately, four times in all. */

static void
again(int c)
{
    int  calm;

    calm = sim.scenario->again > 0 && sim.now >= sim.scenario->calm * 1000
           && sim.now < sim.scenario->again * 1000;

    if (sim.clients[c].asks < ASKS && alive(sim.clients[c].worker / WORKERS)
        && !calm)
    {
        ask(c);

    } else {
        gave_up(c);
    }
}


static void
gave_up(int c)
{
    sim.seen->lost++;
    client_free(c);
}


static void
feed(int c)
{
    int        e;
    client_t  *client;

    client = &sim.clients[c];
    e = client->worker / WORKERS;

    if (sim.run->law == LAW_MODULE) {
        ngx_ivschat_bucket_feedback(&sim.edges[e].bucket, clock_of(),
                                    client->asked,
                                    client->accepted
                                    ? NGX_IVSCHAT_CALL_OK
                                    : NGX_IVSCHAT_CALL_THROTTLED);
        return;
    }

    follow(e);
    law_answer(&sim.edges[e].law, sim.now / 1000,
               (uint32_t) (client->asked - CLOCK) / 1000.0,
               !client->accepted);
    follow(e);
}


/* The rate as the rival has it, not as the module would. */

static void
follow(int e)
{
    edge_t  *edge;

    if (sim.run->law == LAW_MODULE) {
        return;
    }

    edge = &sim.edges[e];

    law_tick(&edge->law, sim.now / 1000,
             ngx_ivschat_bucket_waiting(&edge->bucket) > 0);
    edge->bucket.rate = edge->law.rate;
}


/* All that are due; milliseconds until the next one may be. */

static double
serve(int w, int line)
{
    int       c;
    unsigned  delay;

    while ((c = sim.workers[w].first[line]) != -1) {

        /* Too late, since the worker was stopped. */

        if (sim.now > sim.clients[c].end + 1000) {
            leave(c, 1);
            failed(c);
            continue;
        }

        delay = ngx_ivschat_bucket_due(&sim.edges[w / WORKERS].bucket,
                                       clock_of(), sim.clients[c].ticket);
        follow(w / WORKERS);

        if (delay) {
            return delay;
        }

        list_remove(c);
        call(c);
    }

    return INFINITY;
}


static void
leave(int c, int expired)
{
    client_t  *client;

    client = &sim.clients[c];

    ngx_ivschat_bucket_leave(&sim.edges[client->worker / WORKERS].bucket,
                             clock_of(), client->ticket,
                             expired
                             && client->line == NGX_IVSCHAT_BUCKET_FIRST);
    follow(client->worker / WORKERS);

    if (client->prev == -1 && client->next != -1) {
        arm(client->worker, 0);
    }

    list_remove(c);
}


/* The worker is gone; its clients connect again, to any of the edge. */

static void
abandon(int w)
{
    int        c, n;
    client_t  *client;

    n = sim.nclients;

    for (c = 0; c < n; c++) {
        client = &sim.clients[c];

        if (client->worker != w || client->state == CLIENT_FREE
            || client->state == CLIENT_AWAY)
        {
            continue;
        }

        if (client->state == CLIENT_WAITS) {
            sim.workers[w].dead[client->line]++;
            list_remove(c);
        }

        client->worker = w / WORKERS * WORKERS + (int) uniform(0, WORKERS);
        client_set(c, CLIENT_AWAY);
        heap_post(sim.now + uniform(0, 1000), EVENT_ASK, c, client->turn);
    }
}


static void
arm(int w, double delay)
{
    worker_t  *worker;

    worker = &sim.workers[w];

    if (worker->wake != 0 && worker->wake <= sim.now + delay) {
        return;
    }

    worker->wake = sim.now + delay + uniform(0, LATE);
    worker->turn++;
    heap_post(worker->wake, EVENT_WAKE, w, worker->turn);
}


static double
one_way(int e)
{
    return sim.edges[e].latency / 2 * uniform(0.8, 1.2);
}


static void
list_add(int c)
{
    client_t  *client;
    worker_t  *worker;

    client = &sim.clients[c];
    worker = &sim.workers[client->worker];

    client->next = -1;
    client->prev = worker->last[client->line];

    if (client->prev == -1) {
        worker->first[client->line] = c;

    } else {
        sim.clients[client->prev].next = c;
    }

    worker->last[client->line] = c;
}


static void
list_remove(int c)
{
    client_t  *client;
    worker_t  *worker;

    client = &sim.clients[c];
    worker = &sim.workers[client->worker];

    if (client->prev == -1) {
        worker->first[client->line] = client->next;

    } else {
        sim.clients[client->prev].next = client->next;
    }

    if (client->next == -1) {
        worker->last[client->line] = client->prev;

    } else {
        sim.clients[client->next].prev = client->prev;
    }
}


static int
client_new(int w)
{
    int       c;
    uint32_t  turn;

    c = sim.free;

    if (c == -1) {
        c = sim.nclients++;
        turn = 0;

        if (c == sim.size) {
            sim.size = sim.size * 2 + 1024;
            sim.clients = realloc(sim.clients, sim.size * sizeof(client_t));

            if (sim.clients == NULL) {
                abort();
            }
        }

    } else {
        sim.free = sim.clients[c].next;
        turn = sim.clients[c].turn;
    }

    memset(&sim.clients[c], 0, sizeof(client_t));
    sim.clients[c].worker = w;
    sim.clients[c].turn = turn;

    return c;
}


static void
client_free(int c)
{
    client_set(c, CLIENT_FREE);
    sim.clients[c].next = sim.free;
    sim.free = c;
}


/* Events for what it was before are void. */

static void
client_set(int c, client_e state)
{
    sim.clients[c].state = state;
    sim.clients[c].turn++;
}


static double
uniform(double from, double to)
{
    /* xorshift64* */

    sim.random ^= sim.random >> 12;
    sim.random ^= sim.random << 25;
    sim.random ^= sim.random >> 27;

    return from + (to - from)
                  * ((sim.random * UINT64_C(2685821657736338717) >> 11)
                     / 9007199254740992.0);
}
