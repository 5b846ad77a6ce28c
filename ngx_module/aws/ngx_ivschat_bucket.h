
/*
 * The rate of an account: how many calls a second this host makes, and which
 * of the waiting requests makes the next one.
 *
 * The rules: the quota of CreateChatToken, 200 calls a second for an account
 * and region (Amazon IVS Chat User Guide, "Service Quotas"), is shared by
 * hosts that do not know of each other.  A host learns its share only from
 * the calls that AWS refuses with 429; the law is in docs/scaling.md, and
 * t/sim/ runs this very file to show what comes of it.
 *
 * One ngx_ivschat_bucket_t stands for an account and region.  It has a fixed
 * size and no pointers, and is meant for shared memory: the caller holds a
 * lock around each call.  Nothing here allocates, reads a clock, knows
 * randomness or nginx.
 *
 * "now" is in milliseconds of a monotonic clock that all callers share: the
 * low 32 bits of it, so that ngx_current_msec will do where it has 32 bits and
 * wraps after 49.7 days, too.  Only differences are used.  A clock that is
 * behind by up to NGX_IVSCHAT_BUCKET_BACK is taken for the latest time; any
 * other difference is time that has passed.  However much that is, it is
 * worth one burst, or a second.
 */


#ifndef _NGX_IVSCHAT_BUCKET_H_INCLUDED_
#define _NGX_IVSCHAT_BUCKET_H_INCLUDED_


#include <stdint.h>


/* The longest delay before the next question, in milliseconds. */

#define NGX_IVSCHAT_BUCKET_POLL        100

/* How much one worker's clock may be behind another's, in milliseconds. */

#define NGX_IVSCHAT_BUCKET_BACK        60000

/* The longest advice to a client, in seconds, jitter not counted. */

#define NGX_IVSCHAT_BUCKET_DRAIN_MAX   30


/* The lines: requests that had a turn go before those that had none. */

typedef enum {
    NGX_IVSCHAT_BUCKET_RETRY = 0,        /* a second or later attempt */
    NGX_IVSCHAT_BUCKET_FIRST
} ngx_ivschat_turn_e;


typedef enum {
    NGX_IVSCHAT_CALL_OK = 0,           /* AWS took the call */
    NGX_IVSCHAT_CALL_THROTTLED,        /* AWS refused it for its rate */
    NGX_IVSCHAT_CALL_OTHER             /* says nothing about the rate */
} ngx_ivschat_call_e;


/* A number in a line; never 0. */

typedef uint64_t  ngx_ivschat_bucket_ticket_t;


/*
 * A line counts, and does not know its members.  Those that leave from
 * between are holes, of which more are taken to be in front: what left there
 * has had more time to leave.  All this decides the order only: each call is
 * taken from the calls of the bucket, so that an error here costs a moment and
 * never a call too many.
 */

typedef struct {
    uint64_t   booked;                 /* the last number given */
    uint64_t   swept;                  /* all up to it are counted in gone */
    uint64_t   mark;                   /* booked, when last marked */
    double     gone;                   /* how many of the numbers from the
                                          front do not wait any longer */
    double     holes;                  /* numbers behind those that do not
                                          wait either */
} ngx_ivschat_bucket_line_t;


typedef struct {
    double     limit;                  /* calls a second, as configured */
    double     burst;                  /* calls, as configured */
    double     rate;                   /* calls a second, at present; what
                                          may be shown to an operator */
    double     calls;                  /* that may be made now */
    double     accepted;               /* by AWS, since the last cut */
    double     refused;
    uint64_t   since;                  /* milliseconds since the last cut */
    uint64_t   idle;                   /* of these nobody was in want */
    uint32_t   now;                    /* of the last call */
    uint32_t   wait;                   /* milliseconds, the longest */
    uint64_t   marked;                 /* milliseconds since the last mark */

    ngx_ivschat_bucket_line_t  lines[2];      /* by ngx_ivschat_turn_e */
} ngx_ivschat_bucket_t;


/*
 * A new bucket with nobody waiting.  limit is in calls a second, above 0,
 * burst in calls, 1 at least (less is taken for 1), and wait the longest time
 * that any request waits, in milliseconds.  The bucket may not be alone:
 * it begins at a quarter of the limit and of the burst.
 */

void ngx_ivschat_bucket_init(ngx_ivschat_bucket_t *bucket, uint32_t now,
    double limit, double burst, uint32_t wait);

/*
 * The same bucket with other values, after a reload.  What was learned stays,
 * and so do the requests that wait.
 */

void ngx_ivschat_bucket_configure(ngx_ivschat_bucket_t *bucket, uint32_t now,
    double limit, double burst, uint32_t wait);

/*
 * Asks for a call.  0: make it now; there is no ticket.  Otherwise *ticket is
 * a number in the line, and the result the milliseconds, 1 to
 * NGX_IVSCHAT_BUCKET_POLL, after which ngx_ivschat_bucket_due() is worth a
 * call.
 */

unsigned ngx_ivschat_bucket_book(ngx_ivschat_bucket_t *bucket, uint32_t now,
    ngx_ivschat_turn_e turn, ngx_ivschat_bucket_ticket_t *ticket);

/*
 * Asks whether it is this ticket's turn.  0: make the call now; this ends the
 * ticket.  Otherwise milliseconds, as above.  A ticket is due as soon as there
 * are calls for it and for all before it: a worker that sleeps keeps its
 * claims, and delays no other.  So a worker asks for the first of its own
 * in each line only, and for the next one when the first has gone.
 */

unsigned ngx_ivschat_bucket_due(ngx_ivschat_bucket_t *bucket, uint32_t now,
    ngx_ivschat_bucket_ticket_t ticket);

/*
 * Gives up a ticket that was neither due nor given up before.  "expired": it
 * was in the line for the whole wait; then all before it are taken to have
 * left, too.  Set for first attempts only: the wait of retries differs.
 */

void ngx_ivschat_bucket_leave(ngx_ivschat_bucket_t *bucket, uint32_t now,
    ngx_ivschat_bucket_ticket_t ticket, unsigned expired);

/*
 * The n tickets of a process that was killed are given up; the caller has
 * counted them for each process and line.  Without this call they are
 * forgotten after two waits at most.
 */

void ngx_ivschat_bucket_dead(ngx_ivschat_bucket_t *bucket, uint32_t now,
    ngx_ivschat_turn_e turn, unsigned n);

/*
 * The result of a call that was allowed at the time "asked", the "now" of
 * _book() or _due().  Each call that was answered is reported once.  Only
 * AWS's own answers may be THROTTLED, not a limit_req of the operator's.
 */

void ngx_ivschat_bucket_feedback(ngx_ivschat_bucket_t *bucket, uint32_t now,
    uint32_t asked, ngx_ivschat_call_e outcome);

/* A call that was allowed was not made after all. */

void ngx_ivschat_bucket_give_back(ngx_ivschat_bucket_t *bucket, uint32_t now);

/*
 * For a Retry-After: in how many seconds a client that is refused now may find
 * a place.  That is the time in which those that wait now are served, 1 to
 * NGX_IVSCHAT_BUCKET_DRAIN_MAX, and up to as much again by random (uniform
 * over all its values), so that clients refused together do not return
 * together.
 */

unsigned ngx_ivschat_bucket_retry_after(ngx_ivschat_bucket_t *bucket,
    uint32_t now, uint32_t random);

/* How many wait now, in both lines. */

unsigned ngx_ivschat_bucket_waiting(const ngx_ivschat_bucket_t *bucket);


#endif /* _NGX_IVSCHAT_BUCKET_H_INCLUDED_ */
