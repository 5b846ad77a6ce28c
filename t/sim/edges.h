
/*
 * The model: edges with the module's own bucket, their workers and clients,
 * and AWS.  rate_sim.c says what it is.
 */


#ifndef _EDGES_H_INCLUDED_
#define _EDGES_H_INCLUDED_


#include "law.h"

#include <stdint.h>


#define EDGES     64
#define SECONDS   760


/* Times are in seconds, and 0 means never, where nothing else is said. */

typedef struct {
    const char  *name;
    double       from;                 /* what is looked at */
    double       until;                /* the run ends there, too */
    double       demand;               /* clients for a token, at least */
    double       storm;                /* demand is low before */
    double       calm;                 /* and from then on */
    double       again;                /* the first edge wants all */
    double       vanish;               /* half of the edges goes */
    double       join;                 /* half of the edges comes */
    double       change;               /* "back" counts from here */
    double       loud;                 /* the first edge's part of demand */
    double       restart;              /* each edge, every so many */
    double       stop;                 /* all workers, for 10 */
    double       frozen;               /* the clock, for 10 */
    double       die;                  /* half of each edge's workers */
    double       leaves;               /* part of the clients that wait */
    int          unlike;               /* latencies 5 to 300 ms, evenly */
    int          crowd;                /* so many clients in 60 seconds */
    int          wait;                 /* milliseconds */
    int          provider;             /* clients obey Retry-After */
} scenario_t;


typedef struct {
    const scenario_t  *scenario;
    law_e              law;
    int                edges;
    double             quota;          /* of AWS, calls a second */
    double             burst;          /* of AWS, calls */
    double             latency;        /* milliseconds, 0: by lot */
    uint64_t           seed;
} run_t;


/* What AWS saw in each second, and what became of the clients. */

typedef struct {
    unsigned  granted[SECONDS][EDGES];
    unsigned  refused[SECONDS];
    unsigned  tokens;
    unsigned  lost;                    /* clients that gave up */
} seen_t;


void simulate(const run_t *run, seen_t *seen);

/* Whether the edge is there for all of this time. */

int edge_alive(const scenario_t *scenario, int e, double from, double until);


#endif /* _EDGES_H_INCLUDED_ */
