
/*
 * Many hosts ("edges") with the module, one account of AWS: what share of the
 * quota is used, how many calls does AWS refuse, is it fair?
 *
 * Usage: t/sim/run.sh [OPTIONS]      builds this and runs it
 *
 *   -n LIST     numbers of edges (1,4,16,64)
 *   -l LIST     laws: module,cubic,aimd
 *   -c LIST     scenarios: steady,storm,vanish,join
 *   -r N        runs of the module with different seeds, of which the table
 *               has the mean (5); of the rivals there is one
 *   -q N        AWS's quota, in calls a second (200); hosts allow 200 each
 *   -b N        AWS's burst, in calls (200)
 *   -S N        the first seed (1)
 *   -s          instead of the table: the seconds of one run, as CSV
 *
 * The seeds are fixed: the same options print the same figures.
 *
 * ngx_ivschat_bucket.c is linked and run as it is, and its struct is shared by
 * the workers of an edge.  The rivals in law.c have the same queue, and differ
 * in how the rate is set.
 *
 * The model.  AWS: a token bucket, 200 a second; a call gets there after half
 * of its latency (20 to 60 ms) and is taken or answered with 429.  An edge: 4
 * workers that wake up to 3 ms late.  A client asks, waits at most 4 s for
 * its turn; a call that AWS refuses is made again after the pauses of the
 * standard retry, 3 attempts within 5 s, and waits for its turn again.  A
 * client that gets no token asks again at once, 4 times in all, as the
 * official SDK does; of those that wait, one in ten leaves before its end.
 * Edges have 1 to 3 parts of the demand, by lot, and all are in want in
 * overload.
 */


#include "law.h"

#include "aws/ngx_ivschat_bucket.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define LIMIT            200.0         /* of the module, a second */
#define BURST            200.0         /* of the module */
#define EDGES            64
#define WORKERS          4
#define WAIT             4000          /* milliseconds, as all times */
#define TIMEOUT          5000
#define TRIES            3
#define ASKS             4
#define LATE             3.0
#define LATENCY_MIN      20.0
#define LATENCY_MAX      60.0
#define SECONDS          760
#define WINDOW           5             /* seconds, for "back" */

#define AIM_USED         0.95
#define AIM_REFUSED      0.02
#define AIM_JAIN         0.95
#define AIM_BACK         30


typedef enum {
    EVENT_ARRIVAL = 0,                 /* a client asks; or may have */
    EVENT_WAKE,                        /* a worker's timer */
    EVENT_AWS,                         /* a call reaches AWS */
    EVENT_ANSWER,
    EVENT_RETRY,                       /* the pause is over */
    EVENT_END                          /* the wait is over, or the client
                                          leaves */
} event_e;

typedef struct {
    double     time;
    uint32_t   order;                  /* among those at the same time */
    int32_t    what;                   /* edge, worker or client */
    uint32_t   turn;                   /* is it still the same one */
    event_e    kind;
} event_t;


typedef enum {
    CLIENT_FREE = 0,
    CLIENT_WAITS,
    CLIENT_CALLS,
    CLIENT_PAUSES
} client_e;

typedef struct {
    client_e                    state;
    uint32_t                    turn;      /* changes with the state */
    int                         worker;    /* of all workers of all edges */
    int                         asks;
    int                         attempts;
    int                         leaves;
    int                         accepted;
    double                      deadline;
    uint64_t                    granted;
    ngx_ivschat_turn_e     queue;
    ngx_ivschat_bucket_ticket_t   ticket;
    int                         next;      /* in the worker's list, or free */
    int                         prev;
} client_t;


typedef struct {
    int        first[2];               /* clients that wait, by queue */
    int        last[2];
    double     wake;                   /* 0: not armed */
    uint32_t   turn;
} worker_t;

typedef struct {
    ngx_ivschat_bucket_t   rate;
    law_t                law;
    double               part;         /* of the demand */
    double               from;         /* seconds */
    double               until;
} edge_t;


typedef struct {
    const char   *name;
    double        length;              /* seconds */
    double        demand;              /* clients for a token, at least */
    double        storm;               /* seconds: demand is low before */
    double        calm;                /* and from then on */
    double        vanish;              /* half of the edges goes */
    double        join;                /* half of them comes */
    double        change;              /* what is looked at begins */
    double        end;                 /* and ends */
} scenario_t;

/* From 30 seconds after the change until the end. */

typedef struct {
    double   used;                     /* of the quota */
    double   refused;                  /* of the calls */
    double   jain;
    double   minute;                   /* Jain's index over a minute, mean */
    double   back;                     /* seconds after the change */
    double   calm;                     /* refused from 30 s after the storm */
} result_t;


static const scenario_t  scenarios[] = {
    { "steady", 630, 1.2,  0, 630,   0,   0,   0, 630 },
    { "storm",  750, 2.5, 60, 690,   0,   0,  60, 690 },
    { "vanish", 750, 2.2,  0, 750, 120,   0, 120, 750 },
    { "join",   750, 2.2,  0, 750,   0, 120, 120, 750 }
};

#define NSCENARIOS  ((int) (sizeof(scenarios) / sizeof(scenarios[0])))


static struct {
    unsigned            laws;          /* options: bits */
    unsigned            scenarios;
    int                 sizes[8];
    int                 nsizes;
    int                 runs;
    int                 series;
    int                 seed;
    double              aws_quota;     /* a second */
    double              aws_burst;

    const scenario_t   *scenario;      /* this run */
    law_e               law;
    int                 nedges;

    double              now;           /* milliseconds */
    uint64_t            random;

    event_t            *events;        /* a heap */
    size_t              nevents;
    size_t              size;
    uint32_t            order;

    client_t           *clients;
    int                 nclients;
    int                 free;

    edge_t              edges[EDGES];
    worker_t            workers[EDGES * WORKERS];

    double              aws_tokens;
    double              aws_time;

    unsigned            granted[SECONDS][EDGES];
    unsigned            refused[SECONDS];
} sim;


static int options(int argc, char **argv);
static int numbers(char *list);
static unsigned names(char *list, const char *(*name)(int), int n);
static const char *scenario_name(int i);
static const char *kind_name(int i);

static void row(void);
static void seconds(void);
static void measure(result_t *result);
static void window(int from, int until, result_t *result);
static int within(const result_t *result);

static void simulate(void);
static void handle(const event_t *event);

static void on_arrival(int e);
static void on_wake(int w);
static void on_aws(int c);
static void on_answer(int c);
static void on_retry(int c);
static void on_end(int c);

static double demand(const edge_t *edge);
static int alive(const edge_t *edge);
static void ask(int c);
static void join(int c, ngx_ivschat_turn_e queue, uint64_t wait);
static void call(int c);
static void failed(int c);
static void feed(int e, const client_t *client,
    ngx_ivschat_call_e outcome);
static void follow(int e);
static int poll_first(int w, int queue, uint64_t *delay);
static void arm(int w, double delay);
static void list_add(int c);
static void list_remove(int c);

static int client_new(int w);
static void client_free(int c);
static void client_set(int c, client_e state);

static double uniform(double from, double to);
static void post(double time, event_e kind, int what, uint32_t turn);
static int next_event(event_t *event);
static int before(const event_t *a, const event_t *b);


int
main(int argc, char **argv)
{
    int  i, k, l;

    if (options(argc, argv) != 0) {
        return 2;
    }

    for (k = 0; k < NSCENARIOS; k++) {
        for (i = 0; i < sim.nsizes; i++) {
            for (l = 0; l < LAW_N; l++) {
                if (!(sim.scenarios >> k & 1) || !(sim.laws >> l & 1)) {
                    continue;
                }

                sim.scenario = &scenarios[k];
                sim.law = l;
                sim.nedges = sim.sizes[i];

                /* Half of one edge neither goes nor comes. */

                if (sim.nedges > 1
                    || sim.scenario->vanish + sim.scenario->join == 0)
                {
                    row();
                }
            }
        }
    }

    return 0;
}


static int
options(int argc, char **argv)
{
    int  c;

    sim.laws = (1 << LAW_N) - 1;
    sim.scenarios = (1 << NSCENARIOS) - 1;
    sim.runs = 5;
    sim.aws_quota = 200;
    sim.aws_burst = 200;
    sim.seed = 1;

    (void) numbers(strdup("1,4,16,64"));

    while ((c = getopt(argc, argv, "n:l:c:r:q:b:S:s")) != -1) {
        switch (c) {

        case 'n':
            if (numbers(optarg) != 0) {
                return -1;
            }
            break;

        case 'l':
            sim.laws = names(optarg, kind_name, LAW_N);
            break;

        case 'c':
            sim.scenarios = names(optarg, scenario_name, NSCENARIOS);
            break;

        case 'r':
            sim.runs = atoi(optarg);
            break;

        case 'q':
            sim.aws_quota = atof(optarg);
            break;

        case 'b':
            sim.aws_burst = atof(optarg);
            break;

        case 'S':
            sim.seed = atoi(optarg);
            break;

        case 's':
            sim.series = 1;
            break;

        default:
            return -1;
        }
    }

    if (sim.laws == 0 || sim.scenarios == 0 || sim.runs < 1
        || sim.aws_quota < 1 || sim.aws_burst < 1)
    {
        fprintf(stderr, "%s: a value is out of its bounds\n", argv[0]);
        return -1;
    }

    return 0;
}


static int
numbers(char *list)
{
    char  *p;

    sim.nsizes = 0;

    for (p = strtok(list, ","); p; p = strtok(NULL, ",")) {
        if (sim.nsizes == 8 || atoi(p) < 1 || atoi(p) > EDGES) {
            fprintf(stderr, "1 to %d edges, not %s\n", EDGES, p);
            return -1;
        }

        sim.sizes[sim.nsizes++] = atoi(p);
    }

    return 0;
}


static unsigned
names(char *list, const char *(*name)(int), int n)
{
    int        i;
    char      *p;
    unsigned   bits;

    bits = 0;

    for (p = strtok(list, ","); p; p = strtok(NULL, ",")) {
        for (i = 0; i < n; i++) {
            if (strcmp(p, name(i)) == 0) {
                bits |= 1u << i;
            }
        }
    }

    return bits;
}


static const char *
scenario_name(int i)
{
    return scenarios[i].name;
}


static const char *
kind_name(int i)
{
    return law_name((law_e) i);
}


/* scenario law edges used refused jain minute back calm verdict */

static void
row(void)
{
    int       i, runs;
    result_t  one, mean;

    memset(&mean, 0, sizeof(result_t));
    runs = sim.law == LAW_MODULE ? sim.runs : 1;

    for (i = 0; i < runs; i++) {
        sim.random = (uint64_t) (sim.seed + i)
                     * UINT64_C(11400714819323198485);
        simulate();

        if (sim.series) {
            seconds();
            return;
        }

        measure(&one);

        mean.used += one.used / runs;
        mean.refused += one.refused / runs;
        mean.jain += one.jain / runs;
        mean.minute += one.minute / runs;
        mean.back += one.back / runs;
        mean.calm += one.calm / runs;
    }

    printf("%-6s %-6s %5d %7.1f %7.2f %6.3f %6.3f ", sim.scenario->name,
           law_name(sim.law), sim.nedges, mean.used * 100,
           mean.refused * 100, mean.jain, mean.minute);

    printf(mean.back > AIM_BACK ? "  >%2.0f" : "%5.0f",
           mean.back > AIM_BACK ? AIM_BACK : mean.back);

    if (sim.scenario->calm < sim.scenario->length) {
        printf(" %5.2f", mean.calm * 100);

    } else {
        printf("     -");
    }

    printf(" %s\n", within(&mean) && mean.jain >= AIM_JAIN
                        && mean.back <= AIM_BACK
                    ? "yes" : "no");
    fflush(stdout);
}


/* scenario,law,edges,second,granted,refused */

static void
seconds(void)
{
    int       e, s;
    unsigned  granted;

    for (s = 0; s < sim.scenario->length; s++) {
        granted = 0;

        for (e = 0; e < sim.nedges; e++) {
            granted += sim.granted[s][e];
        }

        printf("%s,%s,%d,%d,%u,%u\n", sim.scenario->name, law_name(sim.law),
               sim.nedges, s, granted, sim.refused[s]);
    }
}


static void
measure(result_t *result)
{
    int       from, n, s, end;
    double    minute;
    result_t  part;

    end = (int) sim.scenario->end;
    from = (int) sim.scenario->change + AIM_BACK;
    n = 0;
    minute = 0;

    for (s = from; s + 60 <= end; s += 60) {
        window(s, s + 60, &part);
        minute += part.jain;
        n++;
    }

    window(from, end, result);
    result->minute = minute / n;

    for (s = (int) sim.scenario->change; s + WINDOW < end; s++) {
        window(s, s + WINDOW, &part);

        if (within(&part)) {
            break;
        }
    }

    result->back = s - sim.scenario->change;
    result->calm = 0;

    if (sim.scenario->calm + AIM_BACK < sim.scenario->length) {
        window((int) sim.scenario->calm + AIM_BACK,
               (int) sim.scenario->length, &part);
        result->calm = part.refused;
    }
}


static void
window(int from, int until, result_t *result)
{
    int     e, n, s;
    double  granted, refused, squares, total;

    granted = refused = squares = 0;
    n = 0;

    for (s = from; s < until; s++) {
        refused += sim.refused[s];
    }

    for (e = 0; e < sim.nedges; e++) {
        total = 0;

        for (s = from; s < until; s++) {
            total += sim.granted[s][e];
        }

        granted += total;

        /* Of those that are there. */

        if (sim.edges[e].from <= from && sim.edges[e].until >= until) {
            squares += total * total;
            n++;
        }
    }

    result->used = granted / (sim.aws_quota * (until - from));
    result->refused = refused / (granted + refused);
    result->jain = granted * granted / (n * squares);
}


static int
within(const result_t *result)
{
    return result->used >= AIM_USED && result->refused <= AIM_REFUSED;
}


static void
simulate(void)
{
    int      e, w;
    event_t  event;

    sim.now = 1;
    sim.nevents = 0;
    sim.order = 0;
    sim.nclients = 0;
    sim.free = -1;
    sim.aws_tokens = sim.aws_burst;
    sim.aws_time = 0;

    memset(sim.granted, 0, sizeof(sim.granted));
    memset(sim.refused, 0, sizeof(sim.refused));
    memset(sim.workers, 0, sizeof(sim.workers));

    for (w = 0; w < sim.nedges * WORKERS; w++) {
        sim.workers[w].first[0] = sim.workers[w].first[1] = -1;
        sim.workers[w].last[0] = sim.workers[w].last[1] = -1;
    }

    for (e = 0; e < sim.nedges; e++) {
        sim.edges[e].part = uniform(1, 3);
        sim.edges[e].from = 0;
        sim.edges[e].until = sim.scenario->length;

        if (sim.scenario->vanish > 0 && e % 2 == 1) {
            sim.edges[e].until = sim.scenario->vanish;
        }

        if (sim.scenario->join > 0 && e % 2 == 1) {
            sim.edges[e].from = sim.scenario->join;
        }

        ngx_ivschat_bucket_init(&sim.edges[e].rate, LIMIT, BURST, 1);
        law_init(&sim.edges[e].law, sim.law, LIMIT, 0);
        post(sim.edges[e].from * 1000 + 1, EVENT_ARRIVAL, e, 0);
    }

    while (next_event(&event) && event.time < sim.scenario->length * 1000) {
        sim.now = event.time;
        handle(&event);
    }
}


static void
handle(const event_t *event)
{
    switch (event->kind) {

    case EVENT_ARRIVAL:
        on_arrival(event->what);
        return;

    case EVENT_WAKE:
        if (event->turn == sim.workers[event->what].turn) {
            on_wake(event->what);
        }
        return;

    default:
        break;
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
        on_retry(event->what);
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
    double  pause, rate;

    if (!alive(&sim.edges[e])) {
        return;
    }

    rate = demand(&sim.edges[e]);
    pause = -log(1 - uniform(0, 1)) / rate * 1000;

    if (pause > 100) {
        post(sim.now + 100, EVENT_ARRIVAL, e, 0);
        return;
    }

    ask(client_new(e * WORKERS + (int) uniform(0, WORKERS)));
    post(sim.now + pause, EVENT_ARRIVAL, e, 0);
}


static void
on_wake(int w)
{
    int       queue;
    uint64_t  delay, least;

    sim.workers[w].wake = 0;
    least = NGX_IVSCHAT_BUCKET_POLL;

    if (!alive(&sim.edges[w / WORKERS])) {
        return;
    }

    for (queue = 0; queue < 2; queue++) {
        while (poll_first(w, queue, &delay)) {
            /* void */
        }

        if (sim.workers[w].first[queue] != -1 && delay < least) {
            least = delay;
        }
    }

    if (sim.workers[w].first[0] != -1 || sim.workers[w].first[1] != -1) {
        arm(w, least);
    }
}


static void
on_aws(int c)
{
    int        second;
    client_t  *client;

    client = &sim.clients[c];
    second = (int) (sim.now / 1000);

    sim.aws_tokens += sim.aws_quota * (sim.now - sim.aws_time) / 1000;
    sim.aws_tokens = fmin(sim.aws_tokens, sim.aws_burst);
    sim.aws_time = sim.now;

    client->accepted = sim.aws_tokens >= 1;

    if (client->accepted) {
        sim.aws_tokens -= 1;
        sim.granted[second][client->worker / WORKERS]++;

    } else {
        sim.refused[second]++;
    }

    client_set(c, CLIENT_CALLS);
    post(sim.now + uniform(LATENCY_MIN, LATENCY_MAX) / 2, EVENT_ANSWER, c,
         client->turn);
}


static void
on_answer(int c)
{
    int        e;
    double     pause;
    client_t  *client;

    client = &sim.clients[c];
    e = client->worker / WORKERS;

    feed(e, client, client->accepted ? NGX_IVSCHAT_CALL_OK
                                     : NGX_IVSCHAT_CALL_THROTTLED);

    if (client->accepted) {
        client_free(c);
        return;
    }

    pause = uniform(0, 1) * 1000 * (1 << (client->attempts - 1));

    if (client->attempts == TRIES || sim.now + pause >= client->deadline) {
        failed(c);
        return;
    }

    client_set(c, CLIENT_PAUSES);
    post(sim.now + pause, EVENT_RETRY, c, client->turn);
}


static void
on_retry(int c)
{
    join(c, NGX_IVSCHAT_BUCKET_RETRY,
         (uint64_t) (sim.clients[c].deadline - sim.now));
}


static void
on_end(int c)
{
    int        e, leaves;
    client_t  *client;

    client = &sim.clients[c];
    e = client->worker / WORKERS;
    leaves = client->leaves;

    ngx_ivschat_bucket_leave(&sim.edges[e].rate, client->ticket,
                           (uint64_t) sim.now);
    follow(e);
    list_remove(c);

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
demand(const edge_t *edge)
{
    const scenario_t  *scenario;

    scenario = sim.scenario;

    return edge->part * sim.aws_quota / sim.nedges
           * (sim.now < scenario->storm * 1000
              || sim.now >= scenario->calm * 1000 ? 0.3 : scenario->demand);
}


static int
alive(const edge_t *edge)
{
    return sim.now >= edge->from * 1000 && sim.now < edge->until * 1000;
}


static void
ask(int c)
{
    client_t  *client;

    client = &sim.clients[c];

    client->asks++;
    client->attempts = 0;
    client->deadline = 0;

    join(c, NGX_IVSCHAT_BUCKET_FIRST, WAIT);
}


static void
join(int c, ngx_ivschat_turn_e queue, uint64_t wait)
{
    int                 e;
    double              end;
    uint64_t            delay;
    client_t           *client;
    ngx_ivschat_bucket_e  rc;

    client = &sim.clients[c];
    e = client->worker / WORKERS;

    rc = ngx_ivschat_bucket_join(&sim.edges[e].rate, queue, (uint64_t) sim.now,
                               wait, &client->ticket, &delay);
    follow(e);

    if (rc == NGX_IVSCHAT_BUCKET_GRANTED) {
        call(c);
        return;
    }

    if (rc == NGX_IVSCHAT_BUCKET_FULL) {
        client_free(c);
        return;
    }

    client_set(c, CLIENT_WAITS);
    client->queue = queue;
    client->leaves = uniform(0, 1) < 0.1;
    list_add(c);

    end = client->leaves ? uniform(0, wait) : wait;
    post(sim.now + end, EVENT_END, c, client->turn);
    arm(client->worker, delay);
}


static void
call(int c)
{
    client_t  *client;

    client = &sim.clients[c];

    if (client->attempts++ == 0) {
        client->deadline = sim.now + TIMEOUT;
    }

    client->granted = (uint64_t) sim.now;
    client_set(c, CLIENT_CALLS);

    post(sim.now + uniform(LATENCY_MIN, LATENCY_MAX) / 2, EVENT_AWS, c,
         client->turn);
}


static void
failed(int c)
{
    if (sim.clients[c].asks < ASKS
        && alive(&sim.edges[sim.clients[c].worker / WORKERS]))
    {
        ask(c);

    } else {
        client_free(c);
    }
}


static void
feed(int e, const client_t *client, ngx_ivschat_call_e outcome)
{
    if (sim.law == LAW_MODULE) {
        ngx_ivschat_bucket_feedback(&sim.edges[e].rate, (uint64_t) sim.now,
                                  client->granted, outcome);
        return;
    }

    follow(e);
    law_answer(&sim.edges[e].law, sim.now / 1000, client->granted / 1000.0,
               outcome == NGX_IVSCHAT_CALL_THROTTLED);
    follow(e);
}


/* The rate as the rival has it, not as the module would. */

static void
follow(int e)
{
    edge_t  *edge;

    if (sim.law == LAW_MODULE) {
        return;
    }

    edge = &sim.edges[e];

    law_tick(&edge->law, sim.now / 1000,
             ngx_ivschat_bucket_waiting(&edge->rate) > 0);
    edge->rate.rate = edge->law.rate;
}


/* 1: the first of the worker's waiting clients had its turn. */

static int
poll_first(int w, int queue, uint64_t *delay)
{
    int                 c;
    ngx_ivschat_bucket_e  rc;

    c = sim.workers[w].first[queue];

    if (c == -1) {
        return 0;
    }

    rc = ngx_ivschat_bucket_poll(&sim.edges[w / WORKERS].rate,
                               sim.clients[c].ticket, (uint64_t) sim.now,
                               delay);
    follow(w / WORKERS);

    if (rc == NGX_IVSCHAT_BUCKET_WAIT) {
        return 0;
    }

    list_remove(c);

    if (rc == NGX_IVSCHAT_BUCKET_GRANTED) {
        call(c);

    } else {
        failed(c);
    }

    return 1;
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
    post(worker->wake, EVENT_WAKE, w, worker->turn);
}


static void
list_add(int c)
{
    client_t  *client;
    worker_t  *worker;

    client = &sim.clients[c];
    worker = &sim.workers[client->worker];

    client->next = -1;
    client->prev = worker->last[client->queue];

    if (client->prev == -1) {
        worker->first[client->queue] = c;

    } else {
        sim.clients[client->prev].next = c;
    }

    worker->last[client->queue] = c;
}


static void
list_remove(int c)
{
    client_t  *client;
    worker_t  *worker;

    client = &sim.clients[c];
    worker = &sim.workers[client->worker];

    if (client->prev == -1) {
        worker->first[client->queue] = client->next;

    } else {
        sim.clients[client->prev].next = client->next;
    }

    if (client->next == -1) {
        worker->last[client->queue] = client->prev;

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
        sim.clients = realloc(sim.clients, sim.nclients * sizeof(client_t));

        if (sim.clients == NULL) {
            abort();
        }

        turn = 0;

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


static void
post(double time, event_e kind, int what, uint32_t turn)
{
    size_t   i, up;
    event_t  event;

    if (sim.nevents == sim.size) {
        sim.size = sim.size * 2 + 1024;
        sim.events = realloc(sim.events, sim.size * sizeof(event_t));

        if (sim.events == NULL) {
            abort();
        }
    }

    event.time = time;
    event.order = sim.order++;
    event.what = what;
    event.turn = turn;
    event.kind = kind;

    for (i = sim.nevents++; i > 0; i = up) {
        up = (i - 1) / 2;

        if (before(&sim.events[up], &event)) {
            break;
        }

        sim.events[i] = sim.events[up];
    }

    sim.events[i] = event;
}


static int
next_event(event_t *event)
{
    size_t   i, down;
    event_t  last;

    if (sim.nevents == 0) {
        return 0;
    }

    *event = sim.events[0];
    last = sim.events[--sim.nevents];

    for (i = 0; (down = 2 * i + 1) < sim.nevents; i = down) {
        if (down + 1 < sim.nevents
            && before(&sim.events[down + 1], &sim.events[down]))
        {
            down++;
        }

        if (before(&last, &sim.events[down])) {
            break;
        }

        sim.events[i] = sim.events[down];
    }

    sim.events[i] = last;

    return 1;
}


static int
before(const event_t *a, const event_t *b)
{
    return a->time < b->time || (a->time == b->time && a->order < b->order);
}
