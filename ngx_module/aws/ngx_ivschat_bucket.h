
/*
 * The rate of an account: how many calls a second this host makes, and who
 * waits for the next one.
 *
 * The rules: the quota of CreateChatToken, 200 calls a second for an account
 * and region (Amazon IVS Chat User Guide, "Service Quotas"), is shared by
 * hosts that do not know of each other.  A host learns its share from the
 * calls that AWS refuses with 429 alone; the law is in docs/scaling.md, and
 * t/sim/ runs this very file to show what comes of it.
 *
 * One ngx_ivschat_bucket_t stands for an account and region.  It has a fixed
 * size and no pointers, and is meant for shared memory: the caller holds a
 * lock around each call.  Nothing here allocates, reads a clock, knows
 * randomness or nginx.  "now" is in milliseconds of a monotonic clock that
 * all callers share; a value smaller than an earlier one is taken for that.
 */


#ifndef _NGX_IVSCHAT_BUCKET_H_INCLUDED_
#define _NGX_IVSCHAT_BUCKET_H_INCLUDED_


#include <stdint.h>


/*
 * How many may wait in each of the two queues.  At 200 a second and 4 seconds
 * of wait 800 of them can be served; the others wait only to be told late.  A
 * power of 2, and 64 at least.
 */

#define NGX_IVSCHAT_BUCKET_TICKETS     8192

/* The longest delay before the next question, in milliseconds. */

#define NGX_IVSCHAT_BUCKET_POLL        100

/* The longest advice to a client, in seconds, jitter not counted. */

#define NGX_IVSCHAT_BUCKET_DRAIN_MAX   30


typedef enum {
    NGX_IVSCHAT_BUCKET_GRANTED = 0,      /* make one call, now */
    NGX_IVSCHAT_BUCKET_WAIT,             /* ask again after the delay */
    NGX_IVSCHAT_BUCKET_FULL,             /* no place to wait in */
    NGX_IVSCHAT_BUCKET_GONE              /* no such ticket, or too old */
} ngx_ivschat_bucket_e;


/* Who asks: those that had their turn once go before those that had none. */

typedef enum {
    NGX_IVSCHAT_BUCKET_RETRY = 0,        /* a second or later attempt */
    NGX_IVSCHAT_BUCKET_FIRST
} ngx_ivschat_turn_e;


typedef enum {
    NGX_IVSCHAT_CALL_OK = 0,           /* AWS took the call */
    NGX_IVSCHAT_CALL_THROTTLED,        /* AWS refused it for its rate */
    NGX_IVSCHAT_CALL_OTHER             /* says nothing about the rate */
} ngx_ivschat_call_e;


typedef uint64_t  ngx_ivschat_bucket_ticket_t;


/*
 * Tickets are numbers, and each has one bit while it waits.  A word of 64
 * tickets shares one time after which all of them are dead: those of a worker
 * that died would be waited for otherwise.
 */

typedef struct {
    uint64_t   head;                   /* none before this waits */
    uint64_t   tail;                   /* the next ticket's number */
    uint64_t   waiting[NGX_IVSCHAT_BUCKET_TICKETS / 64];
    uint64_t   latest[NGX_IVSCHAT_BUCKET_TICKETS / 64];   /* milliseconds */
    unsigned   live;                   /* bits that are set */
} ngx_ivschat_queue_t;


typedef struct {
    double     limit;                  /* calls a second, as configured */
    double     burst;                  /* calls at once, as configured */
    double     rate;                   /* calls a second, at present; what
                                          may be shown to an operator */
    double     tokens;                 /* calls that may be made now */
    double     climbed;                /* seconds in want since the cut */
    uint64_t   now;                    /* milliseconds, of the last call */
    uint64_t   cut;                    /* when the rate was cut last */
    uint64_t   accepted;               /* by AWS, of calls since then */
    unsigned   was_cut;                /* whether it ever was */

    ngx_ivschat_queue_t  queues[2];   /* by ngx_ivschat_turn_e */
} ngx_ivschat_bucket_t;


/*
 * A full bucket with nobody waiting.  limit is in calls a second, above 0,
 * and burst in calls, 1 at least (less is taken for 1).
 */

void ngx_ivschat_bucket_init(ngx_ivschat_bucket_t *rate, double limit,
    double burst, uint64_t now);

/*
 * The same bucket with another limit and burst, after a reload.  What was
 * learned stays, and so do those that wait.
 */

void ngx_ivschat_bucket_configure(ngx_ivschat_bucket_t *rate, double limit,
    double burst, uint64_t now);

/*
 * Asks for a call.  GRANTED: no ticket is needed.  WAIT: *ticket is one, and
 * *delay says after how many milliseconds (1 to NGX_IVSCHAT_BUCKET_POLL) it is
 * worth to poll; after wait milliseconds it may be dead.  FULL: neither.
 */

ngx_ivschat_bucket_e ngx_ivschat_bucket_join(ngx_ivschat_bucket_t *rate,
    ngx_ivschat_turn_e turn, uint64_t now, uint64_t wait,
    ngx_ivschat_bucket_ticket_t *ticket, uint64_t *delay);

/*
 * Asks whether it is this ticket's turn: GRANTED, which ends the ticket, WAIT
 * with *delay as above, or GONE.  It is granted as soon as there are tokens
 * for it and for all that wait before it: who sleeps keeps their claim, and
 * holds up nobody.  So a worker need ask for the first of its own only, as
 * long as that one waits, in each queue.
 */

ngx_ivschat_bucket_e ngx_ivschat_bucket_poll(ngx_ivschat_bucket_t *rate,
    ngx_ivschat_bucket_ticket_t ticket, uint64_t now, uint64_t *delay);

/*
 * Gives a ticket up; those behind it move forward.  Harmless on one that was
 * granted, has been given up or is gone.
 */

void ngx_ivschat_bucket_leave(ngx_ivschat_bucket_t *rate,
    ngx_ivschat_bucket_ticket_t ticket, uint64_t now);

/*
 * What became of a call that was granted at the time "granted", the "now" of
 * the join or poll.  Each call that was answered is told once.  Only AWS's own
 * answers may be told as THROTTLED, not a limit_req of the operator's.
 */

void ngx_ivschat_bucket_feedback(ngx_ivschat_bucket_t *rate, uint64_t now,
    uint64_t granted, ngx_ivschat_call_e outcome);

/* A call that was granted was not made after all. */

void ngx_ivschat_bucket_give_back(ngx_ivschat_bucket_t *rate, uint64_t now);

/*
 * For a Retry-After: in how many seconds a client that is sent away now may
 * find a place.  That is the time in which those who wait now are served, 1
 * to NGX_IVSCHAT_BUCKET_DRAIN_MAX, and up to as much again by random (uniform
 * over all its values), so that those who are sent away together do not come
 * back together.
 */

unsigned ngx_ivschat_bucket_retry_after(ngx_ivschat_bucket_t *rate,
    uint64_t now,
    uint32_t random);

/* How many wait now, in both queues. */

unsigned ngx_ivschat_bucket_waiting(const ngx_ivschat_bucket_t *rate);


#endif /* _NGX_IVSCHAT_BUCKET_H_INCLUDED_ */
