
/*
 * The rate of an account: how many calls a second this host makes, and who
 * waits for the next one.
 */


#include "ngx_ivschat_bucket.h"

#include <string.h>


/*
 * The law, with figures found by t/sim/: 4 to 64 hosts keep AWS's refusals
 * below 2 %, and use the whole quota again 30 seconds after half of them have
 * vanished.  Rates are in calls a second, times in seconds.
 *
 * A refusal takes DEPTH + DEPTH_SMALL / (DEPTH_KNEE + rate) of the rate: half
 * at 3 a second, an eighth at 50, since a host that makes few calls sees few
 * refusals.
 */

#define NGX_IVSCHAT_BUCKET_DEPTH         0.05
#define NGX_IVSCHAT_BUCKET_DEPTH_SMALL   5.0
#define NGX_IVSCHAT_BUCKET_DEPTH_KNEE    8.0

/*
 * While requests wait, the rate grows by STEP + STEP_SHARE * rate a second.
 * The constant part makes the shares of the hosts equal.
 */

#define NGX_IVSCHAT_BUCKET_STEP          0.045
#define NGX_IVSCHAT_BUCKET_STEP_SHARE    0.006

/*
 * PATIENCE / (1 + rate / PATIENCE_KNEE) after the last refusal other hosts
 * have gone: the step grows with the square of the time since then in units
 * of HURRY, up to HURRY_MAX times.
 */

#define NGX_IVSCHAT_BUCKET_PATIENCE      25.0
#define NGX_IVSCHAT_BUCKET_PATIENCE_KNEE 15.0
#define NGX_IVSCHAT_BUCKET_HURRY         7.0
#define NGX_IVSCHAT_BUCKET_HURRY_MAX     40.0

/* The least rate: a host never stops to ask. */

#define NGX_IVSCHAT_BUCKET_LEAST         0.5

/* A permit that lacks less than this is whole. */

#define NGX_IVSCHAT_BUCKET_ROUNDING      1e-6

/* The word of a ticket and its bit there. */

#define ngx_ivschat_bucket_word(number)                                       \
    ((size_t) ((number) % NGX_IVSCHAT_BUCKET_TICKETS / 64))
#define ngx_ivschat_bucket_bit(number)   (UINT64_C(1) << ((number) % 64))


static void ngx_ivschat_bucket_advance(ngx_ivschat_bucket_t *bucket,
    uint64_t now);
static void ngx_ivschat_bucket_climb(ngx_ivschat_bucket_t *bucket, double sec);
static void ngx_ivschat_bucket_cut(ngx_ivschat_bucket_t *bucket);
static void ngx_ivschat_bucket_cap(ngx_ivschat_bucket_t *bucket);
static ngx_ivschat_bucket_e ngx_ivschat_bucket_take(
    ngx_ivschat_bucket_t *bucket, unsigned before, uint64_t *delay);

static unsigned ngx_ivschat_queue_before(const ngx_ivschat_queue_t *queue,
    uint64_t number);
static int ngx_ivschat_queue_has(const ngx_ivschat_queue_t *queue,
    uint64_t number);
static int ngx_ivschat_queue_push(ngx_ivschat_queue_t *queue, uint64_t latest,
    uint64_t *number);
static void ngx_ivschat_queue_drop(ngx_ivschat_queue_t *queue,
    uint64_t number);
static void ngx_ivschat_queue_skip(ngx_ivschat_queue_t *queue);
static void ngx_ivschat_queue_expire(ngx_ivschat_queue_t *queue, uint64_t now);


void
ngx_ivschat_bucket_init(ngx_ivschat_bucket_t *bucket, double limit,
    double burst, uint64_t now)
{
    memset(bucket, 0, sizeof(ngx_ivschat_bucket_t));

    bucket->limit = limit;
    bucket->burst = burst < 1 ? 1 : burst;
    bucket->rate = limit;
    bucket->permits = bucket->burst;
    bucket->now = now;
}


void
ngx_ivschat_bucket_configure(ngx_ivschat_bucket_t *bucket, double limit,
    double burst, uint64_t now)
{
    ngx_ivschat_bucket_advance(bucket, now);

    /* a rate that was not cut follows the limit */

    if (bucket->rate >= bucket->limit || bucket->rate > limit) {
        bucket->rate = limit;
    }

    bucket->limit = limit;
    bucket->burst = burst < 1 ? 1 : burst;
    ngx_ivschat_bucket_cap(bucket);
}


ngx_ivschat_bucket_e
ngx_ivschat_bucket_join(ngx_ivschat_bucket_t *bucket, ngx_ivschat_turn_e turn,
    uint64_t now, uint64_t wait, ngx_ivschat_bucket_ticket_t *ticket,
    uint64_t *delay)
{
    unsigned              before;
    uint64_t              number;
    ngx_ivschat_bucket_e  rc;

    ngx_ivschat_bucket_advance(bucket, now);

    before = bucket->queues[NGX_IVSCHAT_BUCKET_RETRY].live;

    if (turn == NGX_IVSCHAT_BUCKET_FIRST) {
        before += bucket->queues[NGX_IVSCHAT_BUCKET_FIRST].live;
    }

    rc = ngx_ivschat_bucket_take(bucket, before, delay);

    if (rc != NGX_IVSCHAT_BUCKET_WAIT) {
        return rc;
    }

    if (ngx_ivschat_queue_push(&bucket->queues[turn], bucket->now + wait,
                               &number)
        != 0)
    {
        return NGX_IVSCHAT_BUCKET_FULL;
    }

    *ticket = number * 2 + turn;

    return NGX_IVSCHAT_BUCKET_WAIT;
}


ngx_ivschat_bucket_e
ngx_ivschat_bucket_poll(ngx_ivschat_bucket_t *bucket,
    ngx_ivschat_bucket_ticket_t ticket, uint64_t now, uint64_t *delay)
{
    unsigned              before;
    uint64_t              number;
    ngx_ivschat_bucket_e  rc;
    ngx_ivschat_queue_t  *queue;

    ngx_ivschat_bucket_advance(bucket, now);

    queue = &bucket->queues[ticket % 2];
    number = ticket / 2;

    if (!ngx_ivschat_queue_has(queue, number)) {
        return NGX_IVSCHAT_BUCKET_GONE;
    }

    before = ngx_ivschat_queue_before(queue, number);

    if (ticket % 2 == NGX_IVSCHAT_BUCKET_FIRST) {
        before += bucket->queues[NGX_IVSCHAT_BUCKET_RETRY].live;
    }

    rc = ngx_ivschat_bucket_take(bucket, before, delay);

    if (rc == NGX_IVSCHAT_BUCKET_GRANTED) {
        ngx_ivschat_queue_drop(queue, number);
    }

    return rc;
}


void
ngx_ivschat_bucket_leave(ngx_ivschat_bucket_t *bucket,
    ngx_ivschat_bucket_ticket_t ticket, uint64_t now)
{
    uint64_t              number;
    ngx_ivschat_queue_t  *queue;

    ngx_ivschat_bucket_advance(bucket, now);

    queue = &bucket->queues[ticket % 2];
    number = ticket / 2;

    if (ngx_ivschat_queue_has(queue, number)) {
        ngx_ivschat_queue_drop(queue, number);
        ngx_ivschat_bucket_cap(bucket);
    }
}


void
ngx_ivschat_bucket_feedback(ngx_ivschat_bucket_t *bucket, uint64_t now,
    uint64_t granted, ngx_ivschat_call_e outcome)
{
    ngx_ivschat_bucket_advance(bucket, now);

    /* a call from before the cut tells nothing of the rate since then */

    if (bucket->was_cut && granted <= bucket->cut) {
        return;
    }

    if (outcome == NGX_IVSCHAT_CALL_OK) {
        bucket->accepted++;

    } else if (outcome == NGX_IVSCHAT_CALL_THROTTLED) {
        ngx_ivschat_bucket_cut(bucket);
    }
}


void
ngx_ivschat_bucket_give_back(ngx_ivschat_bucket_t *bucket, uint64_t now)
{
    ngx_ivschat_bucket_advance(bucket, now);

    bucket->permits += 1;

    ngx_ivschat_bucket_cap(bucket);
}


unsigned
ngx_ivschat_bucket_retry_after(ngx_ivschat_bucket_t *bucket, uint64_t now,
    uint32_t random)
{
    double    sec;
    unsigned  drain;

    ngx_ivschat_bucket_advance(bucket, now);

    sec = ngx_ivschat_bucket_waiting(bucket) / bucket->rate + 1;
    drain = sec < NGX_IVSCHAT_BUCKET_DRAIN_MAX ? (unsigned) sec
                                             : NGX_IVSCHAT_BUCKET_DRAIN_MAX;

    return drain + ((uint64_t) random * (drain + 1) >> 32);
}


unsigned
ngx_ivschat_bucket_waiting(const ngx_ivschat_bucket_t *bucket)
{
    return bucket->queues[NGX_IVSCHAT_BUCKET_RETRY].live
           + bucket->queues[NGX_IVSCHAT_BUCKET_FIRST].live;
}


/* What time alone changes. */

static void
ngx_ivschat_bucket_advance(ngx_ivschat_bucket_t *bucket, uint64_t now)
{
    double  sec;

    if (now <= bucket->now) {
        return;
    }

    sec = (now - bucket->now) / 1000.0;
    bucket->now = now;

    ngx_ivschat_queue_expire(&bucket->queues[NGX_IVSCHAT_BUCKET_RETRY], now);
    ngx_ivschat_queue_expire(&bucket->queues[NGX_IVSCHAT_BUCKET_FIRST], now);

    bucket->permits += bucket->rate * sec;
    ngx_ivschat_bucket_cap(bucket);

    if (ngx_ivschat_bucket_waiting(bucket) > 0) {
        ngx_ivschat_bucket_climb(bucket, sec < 1 ? sec : 1);
    }
}


/*
 * Only while requests wait: a host that sends less than it may learns nothing
 * about what AWS allows.
 */

static void
ngx_ivschat_bucket_climb(ngx_ivschat_bucket_t *bucket, double sec)
{
    double  over, patience, step;

    bucket->climbed += sec;

    patience = NGX_IVSCHAT_BUCKET_PATIENCE
               / (1 + bucket->rate / NGX_IVSCHAT_BUCKET_PATIENCE_KNEE);
    step = NGX_IVSCHAT_BUCKET_STEP
           + NGX_IVSCHAT_BUCKET_STEP_SHARE * bucket->rate;

    if (bucket->climbed > patience) {
        over = (bucket->climbed - patience) / NGX_IVSCHAT_BUCKET_HURRY;
        over *= over;
        step *= 1 + (over < NGX_IVSCHAT_BUCKET_HURRY_MAX
                     ? over : NGX_IVSCHAT_BUCKET_HURRY_MAX);
    }

    bucket->rate += step * sec;

    if (bucket->rate > bucket->limit) {
        bucket->rate = bucket->limit;
    }
}


/*
 * Few calls since the last cut mean that the rate is far too high, as when
 * many hosts start: then it is halved at each round trip.
 */

static void
ngx_ivschat_bucket_cut(ngx_ivschat_bucket_t *bucket)
{
    double  depth, severe;

    depth = NGX_IVSCHAT_BUCKET_DEPTH
            + NGX_IVSCHAT_BUCKET_DEPTH_SMALL
              / (NGX_IVSCHAT_BUCKET_DEPTH_KNEE + bucket->rate);
    severe = 1.0 / (2 + 3 * (double) bucket->accepted);

    bucket->rate *= 1 - (depth > severe ? depth : severe);

    if (bucket->rate < NGX_IVSCHAT_BUCKET_LEAST) {
        bucket->rate = NGX_IVSCHAT_BUCKET_LEAST;
    }

    if (bucket->rate > bucket->limit) {
        bucket->rate = bucket->limit;
    }

    bucket->cut = bucket->now;
    bucket->was_cut = 1;
    bucket->accepted = 0;
    bucket->climbed = 0;

    /* saved permits would hide the cut */

    if (bucket->permits > 1) {
        bucket->permits = 1;
    }
}


/*
 * Permits beyond the burst are kept for the requests that wait, as their
 * workers may ask late.  The burst shrinks with the rate, since hosts that
 * share an account also share its burst.
 */

static void
ngx_ivschat_bucket_cap(ngx_ivschat_bucket_t *bucket)
{
    double  most;

    most = bucket->burst * bucket->rate / bucket->limit;
    most = (most < 1 ? 1 : most) + ngx_ivschat_bucket_waiting(bucket);

    if (bucket->permits > most) {
        bucket->permits = most;
    }
}


/* Takes a permit, if there are enough for those that wait before, too. */

static ngx_ivschat_bucket_e
ngx_ivschat_bucket_take(ngx_ivschat_bucket_t *bucket, unsigned before,
    uint64_t *delay)
{
    double  missing;

    missing = before + 1 - bucket->permits;

    if (missing < NGX_IVSCHAT_BUCKET_ROUNDING) {
        bucket->permits = bucket->permits > 1 ? bucket->permits - 1 : 0;
        return NGX_IVSCHAT_BUCKET_GRANTED;
    }

    missing = (missing - NGX_IVSCHAT_BUCKET_ROUNDING) / bucket->rate * 1000;
    *delay = missing < NGX_IVSCHAT_BUCKET_POLL - 1
             ? (uint64_t) missing + 1 : NGX_IVSCHAT_BUCKET_POLL;

    return NGX_IVSCHAT_BUCKET_WAIT;
}


/* How many wait before this number. */

static unsigned
ngx_ivschat_queue_before(const ngx_ivschat_queue_t *queue, uint64_t number)
{
    unsigned  before;
    uint64_t  n, bits;

    before = 0;

    /* bits of numbers before the head are clear */

    for (n = queue->head & ~UINT64_C(63); n < number; n += 64) {
        bits = queue->waiting[ngx_ivschat_bucket_word(n)];

        if (number - n < 64) {
            bits &= ngx_ivschat_bucket_bit(number) - 1;
        }

        before += __builtin_popcountll(bits);
    }

    return before;
}


static int
ngx_ivschat_queue_has(const ngx_ivschat_queue_t *queue, uint64_t number)
{
    return number >= queue->head && number < queue->tail
           && (queue->waiting[ngx_ivschat_bucket_word(number)]
               & ngx_ivschat_bucket_bit(number));
}


/* Returns -1 if there is no room. */

static int
ngx_ivschat_queue_push(ngx_ivschat_queue_t *queue, uint64_t latest,
    uint64_t *number)
{
    size_t  word;

    /* head and tail must not share a word, one round apart */

    if (queue->tail - (queue->head & ~UINT64_C(63))
        >= NGX_IVSCHAT_BUCKET_TICKETS)
    {
        return -1;
    }

    *number = queue->tail++;
    word = ngx_ivschat_bucket_word(*number);

    if (*number % 64 == 0 || queue->latest[word] < latest) {
        queue->latest[word] = latest;
    }

    queue->waiting[word] |= ngx_ivschat_bucket_bit(*number);
    queue->live++;

    return 0;
}


static void
ngx_ivschat_queue_drop(ngx_ivschat_queue_t *queue, uint64_t number)
{
    queue->waiting[ngx_ivschat_bucket_word(number)]
        &= ~ngx_ivschat_bucket_bit(number);
    queue->live--;

    ngx_ivschat_queue_skip(queue);
}


/* Moves the head to the first ticket that waits. */

static void
ngx_ivschat_queue_skip(ngx_ivschat_queue_t *queue)
{
    while (queue->head < queue->tail
           && !ngx_ivschat_queue_has(queue, queue->head))
    {
        queue->head++;
    }
}


/* Drops the tickets whose time has passed. */

static void
ngx_ivschat_queue_expire(ngx_ivschat_queue_t *queue, uint64_t now)
{
    size_t  word;

    while (queue->live > 0) {
        word = ngx_ivschat_bucket_word(queue->head);

        if (queue->latest[word] >= now) {
            return;
        }

        queue->live -= __builtin_popcountll(queue->waiting[word]);
        queue->waiting[word] = 0;
        queue->head = (queue->head | 63) + 1;

        if (queue->head > queue->tail) {
            queue->head = queue->tail;
        }

        ngx_ivschat_queue_skip(queue);
    }
}
