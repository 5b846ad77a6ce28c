
/*
 * The laws that are compared: how a host changes its rate by what AWS
 * answers.  The module's own is not here, but in ngx_ivschat_bucket.c.
 */


#ifndef _LAW_H_INCLUDED_
#define _LAW_H_INCLUDED_


typedef enum {
    LAW_MODULE = 0,                    /* ngx_ivschat_bucket.c */
    LAW_CUBIC,                         /* AWS SDKs, retry mode "adaptive" */
    LAW_AIMD,                          /* plain additive increase, halving */
    LAW_N
} law_e;


/* Times are in seconds, rates in calls a second. */

typedef struct {
    law_e    kind;
    double   limit;
    double   rate;
    double   now;                      /* of the last tick */
    double   cut;                      /* of the last refusal */

    double   last_max;                 /* cubic */
    double   measured;
    double   bucket;
    double   sent;
    int      enabled;
} law_t;


void law_init(law_t *law, law_e kind, double limit, double now);
const char *law_name(law_e kind);

/* Time passes; in_want: somebody waits. */

void law_tick(law_t *law, double now, int in_want);

/* An answer to a call that was sent at the time "sent". */

void law_answer(law_t *law, double now, double sent, int throttled);


#endif /* _LAW_H_INCLUDED_ */
