
/*
 * Many hosts ("edges") with the module, one account of AWS: what share of the
 * quota is used, how many calls does AWS refuse, is it fair?
 *
 * Usage: t/sim/run.sh [OPTIONS]      builds this and runs it
 *
 *   -n LIST     numbers of edges (1,2,4,16,64)
 *   -l LIST     laws: module,cubic,aimd
 *   -c LIST     cases, see below
 *   -r N        runs of the module with different seeds, of which the table
 *               has the mean (3); of the rivals there is one
 *   -q N        AWS's quota, in calls a second (200); hosts allow 200 each
 *   -b N        AWS's burst, in calls (200)
 *   -t MS       the time of AWS's answer, the same for all edges
 *   -S N        the first seed (1)
 *   -s          instead of the table: the seconds of one run, as CSV
 *
 * The seeds are fixed: the same options print the same figures.
 *
 * ngx_ivschat_bucket.c is linked and run as it is, and its struct is shared by
 * the workers of an edge.  The rivals in law.c have the same line, and differ
 * in how the rate is set.
 *
 * The model.  AWS: a token bucket, 200 a second; a call gets there after half
 * of its latency and is taken or answered with 429.  Each edge has a latency
 * of its own, 5 to 300 ms by lot, which varies by a fifth.  An edge: 4 workers
 * that wake up to 3 ms late; each has its own clients that wait, and asks for
 * the first of them.  A client asks, waits at most 4 s for its turn; a call
 * that AWS refuses is made again after the pauses of the standard retry, 3
 * attempts within 5 s, and waits for its turn again.  A client that gets no
 * token asks again immediately, 4 times in all, as the official SDK does; of
 * those that wait, one in ten leaves before its end.  Edges have 1 to 3 parts
 * of the demand, by lot, and all are in want in overload.
 *
 * The cases:
 *
 *   steady      overload from the first moment
 *   storm       a minute of calm, ten minutes of storm, calm again
 *   vanish      half of the edges vanish
 *   join        half of the edges come
 *   loud        one edge has 90 % of the demand
 *   unlike      the latencies are spread evenly from 5 to 300 ms
 *   calm        15 seconds of calm, and then one edge wants everything
 *   restart     each edge restarts every 3 minutes, and forgets all
 *   leave       of those that wait 30 % leave
 *   stop        all workers stop for 10 seconds
 *   frozen      the clock does
 *   die         half of the workers of each edge are killed
 *   bare4, bare15, bare60, provider4
 *               50,000 clients come within a minute, with the bare SDK and
 *               wait=4s (15s, 60s), or with a provider that obeys Retry-After
 *
 * Columns: used, of the quota; refused, of the calls; Jain's index of the
 * edges' tokens; the mean of it over each minute; "back", after how many
 * seconds the next 5 use 95 %; the most calls that AWS saw in one second after
 * the change.  Of a crowd: how many clients gave up, in %, and after how many
 * seconds 95 % and 99.9 % of the tokens were given.
 */


#include "edges.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


#define WINDOW      5                  /* seconds, for "back" */
#define BACK_USED   0.95
#define BACK_MAX    99


typedef struct {
    double   used;                     /* of the quota */
    double   refused;                  /* of the calls */
    double   jain;
    double   minute;                   /* Jain's index over a minute, mean */
    double   back;                     /* seconds after the change */
    double   peak;                     /* calls in a second */
    double   lost;                     /* of the clients */
    double   most;                     /* seconds until 95 % had a token */
    double   all;                      /* and 99.9 % */
} result_t;

#define NRESULT  (sizeof(result_t) / sizeof(double))


#define USUAL    .leaves = 0.1, .wait = 4000
#define CROWD    .from = 0, .until = 700, .crowd = 50000

static const scenario_t  scenarios[] = {
    { "steady", 30, 630, 1.2, USUAL },
    { "storm", 90, 690, 2.5, .storm = 60, .calm = 690, .change = 60, USUAL },
    { "vanish", 150, 750, 2.2, .vanish = 120, .change = 120, USUAL },
    { "join", 150, 750, 2.2, .join = 120, .change = 120, USUAL },
    { "loud", 30, 630, 1.3, .loud = 0.9, USUAL },
    { "unlike", 30, 630, 1.2, .unlike = 1, USUAL },
    { "calm", 143, 195, 1.2, .calm = 120, .again = 135, .change = 135, USUAL },
    { "restart", 30, 630, 1.2, .restart = 180, USUAL },
    { "leave", 30, 630, 1.8, .leaves = 0.3, .wait = 4000 },
    { "stop", 120, 180, 1.2, .stop = 120, .change = 130, USUAL },
    { "frozen", 120, 180, 1.2, .frozen = 120, .change = 130, USUAL },
    { "die", 120, 150, 1.2, .die = 120, .change = 120, USUAL },
    { "bare4", CROWD, .wait = 4000 },
    { "bare15", CROWD, .wait = 15000 },
    { "bare60", CROWD, .wait = 60000 },
    { "provider4", CROWD, .wait = 4000, .provider = 1 }
};

#define NSCENARIOS  ((int) (sizeof(scenarios) / sizeof(scenarios[0])))


static struct {
    unsigned   laws;                   /* options: bits */
    unsigned   scenarios;
    int        sizes[8];
    int        nsizes;
    int        runs;
    int        series;
    int        seed;

    run_t      run;
    seen_t     seen;
} sim;


static int options(int argc, char **argv);
static int numbers(char *list);
static unsigned names(char *list, const char *(*name)(int), int n);
static const char *scenario_name(int i);
static const char *kind_name(int i);
static int possible(void);

static void row(void);
static void print(const result_t *mean);
static void seconds(void);
static void measure(result_t *result);
static void measure_crowd(result_t *result);
static void window(int from, int until, result_t *result);


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

                sim.run.scenario = &scenarios[k];
                sim.run.law = l;
                sim.run.edges = sim.sizes[i];

                if (possible()) {
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
    sim.runs = 3;
    sim.run.quota = 200;
    sim.run.burst = 200;
    sim.seed = 1;

    (void) numbers(strdup("1,2,4,16,64"));

    while ((c = getopt(argc, argv, "n:l:c:r:q:b:t:S:s")) != -1) {
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
            sim.run.quota = atof(optarg);
            break;

        case 'b':
            sim.run.burst = atof(optarg);
            break;

        case 't':
            sim.run.latency = atof(optarg);
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
        || sim.run.quota < 1 || sim.run.burst < 1)
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


/* Half of one edge neither goes nor comes, nor is it unlike itself. */

static int
possible(void)
{
    const scenario_t  *scenario;

    scenario = sim.run.scenario;

    return sim.run.edges > 1
           || (scenario->vanish == 0 && scenario->join == 0
               && scenario->loud == 0 && !scenario->unlike);
}


/* The means of the runs. */

static void
row(void)
{
    int       i, runs;
    size_t    k;
    double   *sum, *value;
    result_t  one, mean;

    memset(&mean, 0, sizeof(result_t));
    runs = sim.run.law == LAW_MODULE ? sim.runs : 1;

    for (i = 0; i < runs; i++) {
        sim.run.seed = sim.seed + i;
        simulate(&sim.run, &sim.seen);

        if (sim.series) {
            seconds();
            return;
        }

        memset(&one, 0, sizeof(result_t));

        if (sim.run.scenario->crowd) {
            measure_crowd(&one);

        } else {
            measure(&one);
        }

        sum = (double *) &mean;
        value = (double *) &one;

        for (k = 0; k < NRESULT; k++) {
            sum[k] += value[k] / runs;
        }
    }

    print(&mean);
}


static void
print(const result_t *mean)
{
    printf("%-9s %-6s %5d ", sim.run.scenario->name, law_name(sim.run.law),
           sim.run.edges);

    if (sim.run.scenario->crowd) {
        printf("%7.1f %7.2f %6.0f %6.0f\n", mean->lost * 100,
               mean->refused * 100, mean->most, mean->all);

    } else {
        printf("%7.1f %7.2f %6.3f %6.3f %5.0f %5.0f\n", mean->used * 100,
               mean->refused * 100, mean->jain, mean->minute, mean->back,
               mean->peak);
    }

    fflush(stdout);
}


/* scenario,law,edges,second,granted,refused */

static void
seconds(void)
{
    int       e, s;
    unsigned  granted;

    for (s = 0; s < sim.run.scenario->until; s++) {
        granted = 0;

        for (e = 0; e < sim.run.edges; e++) {
            granted += sim.seen.granted[s][e];
        }

        printf("%s,%s,%d,%d,%u,%u\n", sim.run.scenario->name,
               law_name(sim.run.law), sim.run.edges, s, granted,
               sim.seen.refused[s]);
    }
}


static void
measure(result_t *result)
{
    int       n, s, from, change, until;
    double    minute;
    result_t  part;

    from = (int) sim.run.scenario->from;
    change = (int) sim.run.scenario->change;
    until = (int) sim.run.scenario->until;

    n = 0;
    minute = 0;

    for (s = from; s + 60 <= until; s += 60) {
        window(s, s + 60, &part);
        minute += part.jain;
        n++;
    }

    window(from, until, result);
    result->minute = n ? minute / n : 1;

    for (s = change; s < until; s++) {
        window(s, s + 1, &part);
        result->peak = fmax(result->peak, part.peak);
    }

    for (s = change; s < change + BACK_MAX && s + WINDOW < until; s++) {
        window(s, s + WINDOW, &part);

        if (part.used >= BACK_USED) {
            break;
        }
    }

    result->back = s - change;
}


static void
measure_crowd(result_t *result)
{
    int       s;
    double    tokens;
    result_t  part;

    window(0, (int) sim.run.scenario->until, result);
    result->lost = (double) sim.seen.lost / sim.run.scenario->crowd;

    tokens = 0;

    for (s = 0; s < sim.run.scenario->until; s++) {
        if (tokens < 0.95 * sim.seen.tokens) {
            result->most = s;
        }

        if (tokens < 0.999 * sim.seen.tokens) {
            result->all = s;
        }

        window(s, s + 1, &part);
        tokens += part.used * sim.run.quota;
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
        refused += sim.seen.refused[s];
    }

    for (e = 0; e < sim.run.edges; e++) {
        total = 0;

        for (s = from; s < until; s++) {
            total += sim.seen.granted[s][e];
        }

        granted += total;

        /* Of those that are there. */

        if (edge_alive(sim.run.scenario, e, from, until)) {
            squares += total * total;
            n++;
        }
    }

    result->used = granted / (sim.run.quota * (until - from));
    result->refused = granted ? refused / (granted + refused) : 0;
    result->jain = granted ? granted * granted / (n * squares) : 1;
    result->peak = (granted + refused) / (until - from);
}
