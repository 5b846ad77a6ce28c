
/*
 * The rate of an account: how many calls a second this host makes, and who
 * waits for the next one.
 */


#include "ngx_ivschat_bucket.h"

#include <string.h>


/*
 * The law.  The figures were found with t/sim/: between 4 and 64 hosts they
 * keep AWS's refusals below 2 % and are back within 30 seconds when half of
 * the hosts vanish.  Rates are in calls a second, times in seconds.
 *
 * A refusal takes DEPTH + DEPTH_SMALL / (DEPTH_KNEE + rate) of the rate: half
 * at 3 a second, an eighth at 50.  A host that makes few calls sees few
 * refusals, and each has to say more.
 */

#define NGX_IVSCHAT_BUCKET_DEPTH         0.05
#define NGX_IVSCHAT_BUCKET_DEPTH_SMALL   5.0
#define NGX_IVSCHAT_BUCKET_DEPTH_KNEE    8.0

/*
 * A host in want adds STEP + STEP_SHARE * rate in each second.  The part that
 * is the same for all of them makes shares equal.
 */

#define NGX_IVSCHAT_BUCKET_STEP          0.045
#define NGX_IVSCHAT_BUCKET_STEP_SHARE    0.006

/*
 * When there was no refusal for longer than usual, PATIENCE / (1 + rate /
 * PATIENCE_KNEE), others have gone: the step grows with the square of the
 * time since then, in units of HURRY, and up to HURRY_MAX times.
 */

#define NGX_IVSCHAT_BUCKET_PATIENCE      25.0
#define NGX_IVSCHAT_BUCKET_PATIENCE_KNEE 15.0
#define NGX_IVSCHAT_BUCKET_HURRY         7.0
#define NGX_IVSCHAT_BUCKET_HURRY_MAX     40.0

/* Whatever AWS says, a host asks from time to time. */

#define NGX_IVSCHAT_BUCKET_LEAST         0.5

/* So much of a token is not missing. */

#define NGX_IVSCHAT_BUCKET_ROUNDING      1e-6

#define NGX_IVSCHAT_BUCKET_WORDS   (NGX_IVSCHAT_BUCKET_TICKETS / 64)


static void ngx_ivschat_bucket_advance(ngx_ivschat_bucket_t *rate,
    uint64_t now);
static void ngx_ivschat_bucket_climb(ngx_ivschat_bucket_t *rate, double sec);
static void ngx_ivschat_bucket_cut(ngx_ivschat_bucket_t *rate);
static void ngx_ivschat_bucket_cap(ngx_ivschat_bucket_t *rate);
static ngx_ivschat_bucket_e ngx_ivschat_bucket_take(ngx_ivschat_bucket_t *rate,
    unsigned before, uint64_t *delay);

static unsigned ngx_ivschat_queue_before(
    const ngx_ivschat_queue_t *queue, uint64_t number);
static int ngx_ivschat_queue_has(const ngx_ivschat_queue_t *queue,
    uint64_t number);
static int ngx_ivschat_queue_push(ngx_ivschat_queue_t *queue,
    uint64_t latest, uint64_t *number);
static void ngx_ivschat_queue_drop(ngx_ivschat_queue_t *queue,
    uint64_t number);
static void ngx_ivschat_queue_expire(ngx_ivschat_queue_t *queue,
    uint64_t now);
static size_t ngx_ivschat_bucket_word(uint64_t number);
static uint64_t ngx_ivschat_bucket_bit(uint64_t number);


void
ngx_ivschat_bucket_init(ngx_ivschat_bucket_t *rate, double limit, double burst,
    uint64_t now)
{
    memset(rate, 0, sizeof(ngx_ivschat_bucket_t));

    rate->limit = limit;
    rate->burst = burst < 1 ? 1 : burst;
    rate->rate = limit;
    rate->tokens = rate->burst;
    rate->now = now;
}


void
ngx_ivschat_bucket_configure(ngx_ivschat_bucket_t *rate, double limit,
    double burst, uint64_t now)
{
    ngx_ivschat_bucket_advance(rate, now);

    /* A rate that nothing has lowered follows the limit. */

    if (rate->rate >= rate->limit || rate->rate > limit) {
        rate->rate = limit;
    }

    rate->limit = limit;
    rate->burst = burst < 1 ? 1 : burst;
    ngx_ivschat_bucket_cap(rate);
}


ngx_ivschat_bucket_e
ngx_ivschat_bucket_join(ngx_ivschat_bucket_t *rate, ngx_ivschat_turn_e turn,
    uint64_t now, uint64_t wait, ngx_ivschat_bucket_ticket_t *ticket,
    uint64_t *delay)
{
    unsigned              before;
    uint64_t              number;
    ngx_ivschat_bucket_e  rc;

    ngx_ivschat_bucket_advance(rate, now);

    before = rate->queues[NGX_IVSCHAT_BUCKET_RETRY].live;

    if (turn == NGX_IVSCHAT_BUCKET_FIRST) {
        before += rate->queues[NGX_IVSCHAT_BUCKET_FIRST].live;
    }

    rc = ngx_ivschat_bucket_take(rate, before, delay);

    if (rc != NGX_IVSCHAT_BUCKET_WAIT) {
        return rc;
    }

    if (ngx_ivschat_queue_push(&rate->queues[turn], rate->now + wait,
                                      &number)
        != 0)
    {
        return NGX_IVSCHAT_BUCKET_FULL;
    }

    *ticket = number * 2 + turn;

    return NGX_IVSCHAT_BUCKET_WAIT;
}


ngx_ivschat_bucket_e
ngx_ivschat_bucket_poll(ngx_ivschat_bucket_t *rate,
    ngx_ivschat_bucket_ticket_t ticket, uint64_t now, uint64_t *delay)
{
    unsigned                     before;
    uint64_t                     number;
    ngx_ivschat_bucket_e         rc;
    ngx_ivschat_queue_t  *queue;

    ngx_ivschat_bucket_advance(rate, now);

    queue = &rate->queues[ticket % 2];
    number = ticket / 2;

    if (!ngx_ivschat_queue_has(queue, number)) {
        return NGX_IVSCHAT_BUCKET_GONE;
    }

    before = ngx_ivschat_queue_before(queue, number);

    if (ticket % 2 == NGX_IVSCHAT_BUCKET_FIRST) {
        before += rate->queues[NGX_IVSCHAT_BUCKET_RETRY].live;
    }

    rc = ngx_ivschat_bucket_take(rate, before, delay);

    if (rc == NGX_IVSCHAT_BUCKET_GRANTED) {
        ngx_ivschat_queue_drop(queue, number);
    }

    return rc;
}


void
ngx_ivschat_bucket_leave(ngx_ivschat_bucket_t *rate,
    ngx_ivschat_bucket_ticket_t ticket, uint64_t now)
{
    uint64_t                     number;
    ngx_ivschat_queue_t  *queue;

    ngx_ivschat_bucket_advance(rate, now);

    queue = &rate->queues[ticket % 2];
    number = ticket / 2;

    if (ngx_ivschat_queue_has(queue, number)) {
        ngx_ivschat_queue_drop(queue, number);
        ngx_ivschat_bucket_cap(rate);
    }
}


void
ngx_ivschat_bucket_feedback(ngx_ivschat_bucket_t *rate, uint64_t now,
    uint64_t granted, ngx_ivschat_call_e outcome)
{
    ngx_ivschat_bucket_advance(rate, now);

    /*
     * A call that left before the cut tells of the rate before the cut: it
     * has been answered already.
     */

    if (rate->was_cut && granted <= rate->cut) {
        return;
    }

    if (outcome == NGX_IVSCHAT_CALL_OK) {
        rate->accepted++;

    } else if (outcome == NGX_IVSCHAT_CALL_THROTTLED) {
        ngx_ivschat_bucket_cut(rate);
    }
}


void
ngx_ivschat_bucket_give_back(ngx_ivschat_bucket_t *rate, uint64_t now)
{
    ngx_ivschat_bucket_advance(rate, now);

    rate->tokens += 1;

    ngx_ivschat_bucket_cap(rate);
}


unsigned
ngx_ivschat_bucket_retry_after(ngx_ivschat_bucket_t *rate, uint64_t now,
    uint32_t random)
{
    double    sec;
    unsigned  drain;

    ngx_ivschat_bucket_advance(rate, now);

    sec = ngx_ivschat_bucket_waiting(rate) / rate->rate + 1;
    drain = sec < NGX_IVSCHAT_BUCKET_DRAIN_MAX ? (unsigned) sec
                                             : NGX_IVSCHAT_BUCKET_DRAIN_MAX;

    return drain + ((uint64_t) random * (drain + 1) >> 32);
}


unsigned
ngx_ivschat_bucket_waiting(const ngx_ivschat_bucket_t *rate)
{
    return rate->queues[NGX_IVSCHAT_BUCKET_RETRY].live
           + rate->queues[NGX_IVSCHAT_BUCKET_FIRST].live;
}


/* Whatever happens by itself with time. */

static void
ngx_ivschat_bucket_advance(ngx_ivschat_bucket_t *rate, uint64_t now)
{
    double  sec;

    if (now <= rate->now) {
        return;
    }

    sec = (now - rate->now) / 1000.0;
    rate->now = now;

    ngx_ivschat_queue_expire(&rate->queues[NGX_IVSCHAT_BUCKET_RETRY], now);
    ngx_ivschat_queue_expire(&rate->queues[NGX_IVSCHAT_BUCKET_FIRST], now);

    rate->tokens += rate->rate * sec;
    ngx_ivschat_bucket_cap(rate);

    if (ngx_ivschat_bucket_waiting(rate) > 0) {
        ngx_ivschat_bucket_climb(rate, sec < 1 ? sec : 1);
    }
}


/*
 * Only a host that is in want climbs: one that has less to send than it may
 * learns nothing about what AWS allows.
 */

static void
ngx_ivschat_bucket_climb(ngx_ivschat_bucket_t *rate, double sec)
{
    double  over, patience, step;

    rate->climbed += sec;

    patience = NGX_IVSCHAT_BUCKET_PATIENCE
               / (1 + rate->rate / NGX_IVSCHAT_BUCKET_PATIENCE_KNEE);
    step = NGX_IVSCHAT_BUCKET_STEP + NGX_IVSCHAT_BUCKET_STEP_SHARE * rate->rate;

    if (rate->climbed > patience) {
        over = (rate->climbed - patience) / NGX_IVSCHAT_BUCKET_HURRY;
        over *= over;
        step *= 1 + (over < NGX_IVSCHAT_BUCKET_HURRY_MAX
                     ? over : NGX_IVSCHAT_BUCKET_HURRY_MAX);
    }

    rate->rate += step * sec;

    if (rate->rate > rate->limit) {
        rate->rate = rate->limit;
    }
}


/*
 * Few calls since the last cut mean that the rate is wrong by much, as it is
 * when many hosts start: halved then, and again with each round trip.
 */

static void
ngx_ivschat_bucket_cut(ngx_ivschat_bucket_t *rate)
{
    double  depth, severe;

    depth = NGX_IVSCHAT_BUCKET_DEPTH
            + NGX_IVSCHAT_BUCKET_DEPTH_SMALL
              / (NGX_IVSCHAT_BUCKET_DEPTH_KNEE + rate->rate);
    severe = 1.0 / (2 + 3 * (double) rate->accepted);

    rate->rate *= 1 - (depth > severe ? depth : severe);

    if (rate->rate < NGX_IVSCHAT_BUCKET_LEAST) {
        rate->rate = NGX_IVSCHAT_BUCKET_LEAST;
    }

    if (rate->rate > rate->limit) {
        rate->rate = rate->limit;
    }

    rate->cut = rate->now;
    rate->was_cut = 1;
    rate->accepted = 0;
    rate->climbed = 0;

    /* What was saved up would hide the cut. */

    if (rate->tokens > 1) {
        rate->tokens = 1;
    }
}


/*
 * Tokens beyond the burst are kept for those that wait, in case they sleep.
 * The burst shrinks with the rate: hosts that share an account share the
 * burst too.
 */

static void
ngx_ivschat_bucket_cap(ngx_ivschat_bucket_t *rate)
{
    double  most;

    most = rate->burst * rate->rate / rate->limit;
    most = (most < 1 ? 1 : most) + ngx_ivschat_bucket_waiting(rate);

    if (rate->tokens > most) {
        rate->tokens = most;
    }
}


/* A token, if there is one beyond those of the ones before. */

static ngx_ivschat_bucket_e
ngx_ivschat_bucket_take(ngx_ivschat_bucket_t *rate, unsigned before,
    uint64_t *delay)
{
    double  missing;

    missing = before + 1 - rate->tokens;

    if (missing < NGX_IVSCHAT_BUCKET_ROUNDING) {
        rate->tokens = rate->tokens > 1 ? rate->tokens - 1 : 0;
        return NGX_IVSCHAT_BUCKET_GRANTED;
    }

    missing = (missing - NGX_IVSCHAT_BUCKET_ROUNDING) / rate->rate * 1000;
    *delay = missing < NGX_IVSCHAT_BUCKET_POLL - 1
             ? (uint64_t) missing + 1 : NGX_IVSCHAT_BUCKET_POLL;

    return NGX_IVSCHAT_BUCKET_WAIT;
}


/* How many wait before this number. */

static unsigned
ngx_ivschat_queue_before(const ngx_ivschat_queue_t *queue,
    uint64_t number)
{
    unsigned  before;
    uint64_t  n, bits;

    before = 0;

    /* The bits of numbers before the head are clear. */

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
ngx_ivschat_queue_has(const ngx_ivschat_queue_t *queue,
    uint64_t number)
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

    /* A word is not shared by the head and, one round later, the tail. */

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

    while (queue->head < queue->tail
           && !ngx_ivschat_queue_has(queue, queue->head))
    {
        queue->head++;
    }
}


/* Drops what should have left by now. */

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

        while (queue->head < queue->tail
               && !ngx_ivschat_queue_has(queue, queue->head))
        {
            queue->head++;
        }
    }
}


static size_t
ngx_ivschat_bucket_word(uint64_t number)
{
    return (size_t) (number / 64 % NGX_IVSCHAT_BUCKET_WORDS);
}


static uint64_t
ngx_ivschat_bucket_bit(uint64_t number)
{
    return UINT64_C(1) << (number % 64);
}
