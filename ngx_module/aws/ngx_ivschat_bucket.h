
/*
 * The rate of an account: how many calls a second this host makes, and which
 * request waits for the next one.
 *
 * The rules: the quota of CreateChatToken (NGX_IVSCHAT_QUOTA) is shared by
 * hosts that do not know of each other.  A host learns its share only from the
 * calls that AWS refuses with 429.  docs/scaling.md explains the law, and
 * t/sim/ runs this file.
 *
 * One ngx_ivschat_bucket_t is for one account and region.  It has a fixed size
 * and no pointers, and is meant for shared memory: the caller holds a lock
 * around each call.  No function allocates, reads a clock or makes random
 * numbers.  "now" is in milliseconds of a monotonic clock that all callers
 * share; a smaller value than before counts as the one before.
 */


#ifndef _NGX_IVSCHAT_BUCKET_H_INCLUDED_
#define _NGX_IVSCHAT_BUCKET_H_INCLUDED_


#include <stdint.h>


/*
 * The places in each of the two queues: a power of 2, at least 64.  At 200
 * calls a second and 4 seconds of wait 800 of them can be served.
 */

#define NGX_IVSCHAT_BUCKET_TICKETS     8192

/* The longest delay before the next question, in milliseconds. */

#define NGX_IVSCHAT_BUCKET_POLL        100

/* The longest Retry-After in seconds, without the random part. */

#define NGX_IVSCHAT_BUCKET_DRAIN_MAX   30


typedef enum {
    NGX_IVSCHAT_BUCKET_GRANTED = 0,    /* make one call, now */
    NGX_IVSCHAT_BUCKET_WAIT,           /* ask again after the delay */
    NGX_IVSCHAT_BUCKET_FULL,           /* no place to wait in */
    NGX_IVSCHAT_BUCKET_GONE            /* no such ticket, or too old */
} ngx_ivschat_bucket_e;


/* A retry goes before all first attempts. */

typedef enum {
    NGX_IVSCHAT_BUCKET_RETRY = 0,
    NGX_IVSCHAT_BUCKET_FIRST,
    NGX_IVSCHAT_BUCKET_TURNS
} ngx_ivschat_turn_e;


typedef enum {
    NGX_IVSCHAT_CALL_OK = 0,           /* AWS took the call */
    NGX_IVSCHAT_CALL_THROTTLED,        /* AWS refused it for its rate */
    NGX_IVSCHAT_CALL_OTHER             /* says nothing about the rate */
} ngx_ivschat_call_e;


typedef uint64_t  ngx_ivschat_bucket_ticket_t;


/*
 * Tickets are numbers, with one bit each that is set while the ticket waits.
 * 64 tickets share a word, and a time after which all of them are dropped, so
 * that those of a killed worker are not waited for.
 */

typedef struct {
    uint64_t   head;                   /* no ticket before this one waits */
    uint64_t   tail;                   /* the next ticket's number */
    uint64_t   waiting[NGX_IVSCHAT_BUCKET_TICKETS / 64];
    uint64_t   latest[NGX_IVSCHAT_BUCKET_TICKETS / 64];   /* milliseconds */
    unsigned   live;                   /* bits that are set */
} ngx_ivschat_queue_t;


typedef struct {
    double     limit;                  /* calls a second, as configured */
    double     burst;                  /* calls at once, as configured */
    double     rate;                   /* calls a second, at present */
    double     permits;                /* calls that may be made now */
    double     climbed;                /* seconds of growth since the cut */
    uint64_t   now;                    /* milliseconds, of the last call */
    uint64_t   cut;                    /* when the rate was cut last */
    uint64_t   accepted;               /* by AWS, of calls since then */
    unsigned   was_cut;                /* whether it ever was */

    ngx_ivschat_queue_t  queues[NGX_IVSCHAT_BUCKET_TURNS];
} ngx_ivschat_bucket_t;


/*
 * A full bucket with empty queues.  limit is in calls a second, above 0, and
 * burst in calls (less than 1 counts as 1).
 */

void ngx_ivschat_bucket_init(ngx_ivschat_bucket_t *bucket, double limit,
    double burst, uint64_t now);

/*
 * Another limit and burst, after a reload: the learned rate and the queues
 * stay.
 */

void ngx_ivschat_bucket_configure(ngx_ivschat_bucket_t *bucket, double limit,
    double burst, uint64_t now);

/*
 * Asks for a call.  GRANTED: the call may be made, there is no ticket.  WAIT:
 * *ticket is one, to be polled after *delay milliseconds (1 to
 * NGX_IVSCHAT_BUCKET_POLL); it may be dropped after "wait" milliseconds.
 * FULL: neither.
 */

ngx_ivschat_bucket_e ngx_ivschat_bucket_join(ngx_ivschat_bucket_t *bucket,
    ngx_ivschat_turn_e turn, uint64_t now, uint64_t wait,
    ngx_ivschat_bucket_ticket_t *ticket, uint64_t *delay);

/*
 * Asks again: GRANTED, which ends the ticket, WAIT with *delay as above, or
 * GONE.  A ticket is granted as soon as there are permits for it and for all
 * before it, so that a late one keeps its permit and holds up no other.  A
 * worker need poll only the first of its tickets in each queue.
 */

ngx_ivschat_bucket_e ngx_ivschat_bucket_poll(ngx_ivschat_bucket_t *bucket,
    ngx_ivschat_bucket_ticket_t ticket, uint64_t now, uint64_t *delay);

/* Gives a ticket up; harmless if it has ended already. */

void ngx_ivschat_bucket_leave(ngx_ivschat_bucket_t *bucket,
    ngx_ivschat_bucket_ticket_t ticket, uint64_t now);

/*
 * The outcome of a call that was granted at the time "granted", the "now" of
 * the join or poll; once for each call that was answered.  THROTTLED is for
 * AWS's own answers only, not for a limit_req of the operator's.
 */

void ngx_ivschat_bucket_feedback(ngx_ivschat_bucket_t *bucket, uint64_t now,
    uint64_t granted, ngx_ivschat_call_e outcome);

/* A call that was granted was not made after all. */

void ngx_ivschat_bucket_give_back(ngx_ivschat_bucket_t *bucket, uint64_t now);

/*
 * Returns the seconds of a Retry-After: the time in which the queues drain, 1
 * to NGX_IVSCHAT_BUCKET_DRAIN_MAX, and up to as much again by random (uniform
 * over all its values), so that clients do not return together.
 */

unsigned ngx_ivschat_bucket_retry_after(ngx_ivschat_bucket_t *bucket,
    uint64_t now, uint32_t random);

/* Returns the number of tickets that wait, in both queues. */

unsigned ngx_ivschat_bucket_waiting(const ngx_ivschat_bucket_t *bucket);


#endif /* _NGX_IVSCHAT_BUCKET_H_INCLUDED_ */
