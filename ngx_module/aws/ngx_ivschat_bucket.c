
/*
 * The rate of an account: how many calls a second this host makes, and which
 * of the waiting requests makes the next one.
 */


#include "ngx_ivschat_bucket.h"

#include <string.h>


/*
 * The law.  The figures were found with t/sim/.  Rates are in calls a second,
 * times in seconds.
 *
 * A cut takes the part of the calls refused since the last one, up to
 * DEPTH_MAX, and at least DEPTH + DEPTH_SMALL / (KNEE + rate): a host that
 * makes few calls sees few refusals, and each has to say more.  The next cut
 * is SETTLE milliseconds later at least, unless NEARLY_ALL is refused.
 */

#define NGX_IVSCHAT_BUCKET_DEPTH           0.07
#define NGX_IVSCHAT_BUCKET_DEPTH_SMALL     10.0
#define NGX_IVSCHAT_BUCKET_DEPTH_MAX       0.5
#define NGX_IVSCHAT_BUCKET_KNEE            22.0
#define NGX_IVSCHAT_BUCKET_SETTLE          500
#define NGX_IVSCHAT_BUCKET_NEARLY_ALL      0.7

/*
 * A host in want adds STEP + STEP_MORE * rate / (STEP_KNEE + rate) in each
 * second.  Shares become equal, since a large one grows little more than a
 * small one, and is cut by more.
 */

#define NGX_IVSCHAT_BUCKET_STEP            0.09
#define NGX_IVSCHAT_BUCKET_STEP_MORE       0.8
#define NGX_IVSCHAT_BUCKET_STEP_KNEE       60.0

/*
 * When there was no refusal for PATIENCE + PATIENCE_SMALL / (KNEE + rate),
 * others have gone: the step grows with the square of the time since then, in
 * units of HURRY, and up to HURRY_MAX times.  A second in which nobody was in
 * want counts as IDLE more, since nothing was learned in it.
 */

#define NGX_IVSCHAT_BUCKET_PATIENCE        5.0
#define NGX_IVSCHAT_BUCKET_PATIENCE_SMALL  80.0
#define NGX_IVSCHAT_BUCKET_HURRY           9.0
#define NGX_IVSCHAT_BUCKET_HURRY_MAX       80.0
#define NGX_IVSCHAT_BUCKET_IDLE            5

/*
 * A new bucket begins with this part of the limit and of the burst, and in a
 * hurry: as if it had been cut that many milliseconds ago.
 */

#define NGX_IVSCHAT_BUCKET_NEW             0.25
#define NGX_IVSCHAT_BUCKET_NEW_SINCE       45000

/* Whatever AWS says, a host asks from time to time. */

#define NGX_IVSCHAT_BUCKET_LEAST           0.5

/* So much of a call is not missing. */

#define NGX_IVSCHAT_BUCKET_ROUNDING        1e-6

/* The largest part of the numbers in front that may be holes. */

#define NGX_IVSCHAT_BUCKET_HOLES           0.7


#define ngx_ivschat_min(a, b)  ((a) < (b) ? (a) : (b))
#define ngx_ivschat_max(a, b)  ((a) > (b) ? (a) : (b))


static void ngx_ivschat_bucket_advance(ngx_ivschat_bucket_t *bucket,
    uint32_t now);
static void ngx_ivschat_bucket_mark(ngx_ivschat_bucket_t *bucket, uint32_t ms);
static void ngx_ivschat_bucket_climb(ngx_ivschat_bucket_t *bucket, double sec);
static void ngx_ivschat_bucket_cut(ngx_ivschat_bucket_t *bucket);
static double ngx_ivschat_bucket_most(const ngx_ivschat_bucket_t *bucket);
static void ngx_ivschat_bucket_cap(ngx_ivschat_bucket_t *bucket, double kept);
static unsigned ngx_ivschat_bucket_ask(ngx_ivschat_bucket_t *bucket,
    ngx_ivschat_turn_e turn, uint64_t number);
static void ngx_ivschat_bucket_sweep(ngx_ivschat_bucket_t *bucket,
    ngx_ivschat_bucket_line_t *line, uint64_t number);

static double ngx_ivschat_line_live(const ngx_ivschat_bucket_line_t *line);
static double ngx_ivschat_line_place(const ngx_ivschat_bucket_line_t *line,
    uint64_t number);
static void ngx_ivschat_line_next(ngx_ivschat_bucket_line_t *line);
static void ngx_ivschat_line_settle(ngx_ivschat_bucket_line_t *line);


void
ngx_ivschat_bucket_init(ngx_ivschat_bucket_t *bucket, uint32_t now,
    double limit, double burst, uint32_t wait)
{
    memset(bucket, 0, sizeof(ngx_ivschat_bucket_t));

    bucket->limit = limit;
    bucket->burst = ngx_ivschat_max(burst, 1);
    bucket->rate = ngx_ivschat_max(limit * NGX_IVSCHAT_BUCKET_NEW,
                                   NGX_IVSCHAT_BUCKET_LEAST);
    bucket->calls = ngx_ivschat_bucket_most(bucket);
    bucket->since = NGX_IVSCHAT_BUCKET_NEW_SINCE;
    bucket->now = now;
    bucket->wait = wait;
}


void
ngx_ivschat_bucket_configure(ngx_ivschat_bucket_t *bucket, uint32_t now,
    double limit, double burst, uint32_t wait)
{
    ngx_ivschat_bucket_advance(bucket, now);

    /* A rate that nothing has lowered follows the limit. */

    if (bucket->rate >= bucket->limit || bucket->rate > limit) {
        bucket->rate = limit;
    }

    bucket->limit = limit;
    bucket->burst = ngx_ivschat_max(burst, 1);
    bucket->wait = wait;

    ngx_ivschat_bucket_cap(bucket, ngx_ivschat_bucket_waiting(bucket));
}


unsigned
ngx_ivschat_bucket_book(ngx_ivschat_bucket_t *bucket, uint32_t now,
    ngx_ivschat_turn_e turn, ngx_ivschat_bucket_ticket_t *ticket)
{
    unsigned             delay;
    ngx_ivschat_bucket_line_t  *line;

    ngx_ivschat_bucket_advance(bucket, now);

    line = &bucket->lines[turn];
    delay = ngx_ivschat_bucket_ask(bucket, turn, line->booked + 1);

    if (delay) {
        *ticket = ++line->booked * 2 + turn;
    }

    return delay;
}


unsigned
ngx_ivschat_bucket_due(ngx_ivschat_bucket_t *bucket, uint32_t now,
    ngx_ivschat_bucket_ticket_t ticket)
{
    unsigned             delay;
    ngx_ivschat_bucket_line_t  *line;

    ngx_ivschat_bucket_advance(bucket, now);

    line = &bucket->lines[ticket % 2];
    delay = ngx_ivschat_bucket_ask(bucket, ticket % 2, ticket / 2);

    if (delay == 0 && ticket / 2 > line->swept) {
        ngx_ivschat_line_next(line);
    }

    return delay;
}


void
ngx_ivschat_bucket_leave(ngx_ivschat_bucket_t *bucket, uint32_t now,
    ngx_ivschat_bucket_ticket_t ticket, unsigned expired)
{
    ngx_ivschat_bucket_line_t  *line;

    ngx_ivschat_bucket_advance(bucket, now);

    line = &bucket->lines[ticket % 2];

    if (ticket / 2 <= line->swept) {
        return;
    }

    if (expired) {
        ngx_ivschat_line_next(line);
        ngx_ivschat_bucket_sweep(bucket, line, ticket / 2);
        return;
    }

    line->holes += 1;
    ngx_ivschat_line_settle(line);
}


void
ngx_ivschat_bucket_dead(ngx_ivschat_bucket_t *bucket, uint32_t now,
    ngx_ivschat_turn_e turn, unsigned n)
{
    ngx_ivschat_bucket_advance(bucket, now);

    bucket->lines[turn].holes += n;
    ngx_ivschat_line_settle(&bucket->lines[turn]);

    /* The calls that were kept for them are not for those behind them. */

    ngx_ivschat_bucket_cap(bucket, 0);
}


void
ngx_ivschat_bucket_feedback(ngx_ivschat_bucket_t *bucket, uint32_t now,
    uint32_t asked, ngx_ivschat_call_e outcome)
{
    int32_t  age;

    ngx_ivschat_bucket_advance(bucket, now);

    /*
     * A call that left before the cut tells of the rate before the cut, and
     * has been answered by it.
     */

    age = (int32_t) (bucket->now - asked);

    if (age >= 0 && (uint32_t) age >= bucket->since) {
        return;
    }

    if (outcome == NGX_IVSCHAT_CALL_OK) {
        bucket->accepted += 1;

    } else if (outcome == NGX_IVSCHAT_CALL_THROTTLED) {
        bucket->refused += 1;
        ngx_ivschat_bucket_cut(bucket);
    }
}


void
ngx_ivschat_bucket_give_back(ngx_ivschat_bucket_t *bucket, uint32_t now)
{
    ngx_ivschat_bucket_advance(bucket, now);

    bucket->calls += 1;

    ngx_ivschat_bucket_cap(bucket, ngx_ivschat_bucket_waiting(bucket));
}


unsigned
ngx_ivschat_bucket_retry_after(ngx_ivschat_bucket_t *bucket, uint32_t now,
    uint32_t random)
{
    double    sec;
    unsigned  drain;

    ngx_ivschat_bucket_advance(bucket, now);

    sec = ngx_ivschat_bucket_waiting(bucket) / bucket->rate + 1;
    drain = (unsigned) ngx_ivschat_min(sec, NGX_IVSCHAT_BUCKET_DRAIN_MAX);

    return drain + ((uint64_t) random * (drain + 1) >> 32);
}


unsigned
ngx_ivschat_bucket_waiting(const ngx_ivschat_bucket_t *bucket)
{
    return (unsigned) (ngx_ivschat_line_live(&bucket->lines[0])
                       + ngx_ivschat_line_live(&bucket->lines[1]) + 0.5);
}


/* What happens by itself with time. */

static void
ngx_ivschat_bucket_advance(ngx_ivschat_bucket_t *bucket, uint32_t now)
{
    double    grow, most;
    uint32_t  ms;

    ms = now - bucket->now;

    if (ms == 0 || ms > UINT32_MAX - NGX_IVSCHAT_BUCKET_BACK) {
        return;
    }

    bucket->now = now;

    ngx_ivschat_bucket_mark(bucket, ms);

    grow = bucket->rate * ms / 1000;

    if (bucket->calls >= ngx_ivschat_bucket_waiting(bucket)) {
        bucket->since += ms;
        bucket->idle += ms;

    } else {

        /* One of them asks each 100 ms, or all were stopped. */

        most = ngx_ivschat_bucket_most(bucket);
        most = ngx_ivschat_max(most, bucket->rate);
        grow = ngx_ivschat_min(grow, most);
        ms = ngx_ivschat_min(ms, 1000);

        bucket->since += ms;
        ngx_ivschat_bucket_climb(bucket, ms / 1000.0);
    }

    bucket->calls += grow;
    ngx_ivschat_bucket_cap(bucket, ngx_ivschat_bucket_waiting(bucket));
}


/* Nobody waits longer than the wait: forget what has booked before that. */

static void
ngx_ivschat_bucket_mark(ngx_ivschat_bucket_t *bucket, uint32_t ms)
{
    ngx_ivschat_bucket_line_t  *line;

    bucket->marked += ms;

    if (bucket->marked <= bucket->wait) {
        return;
    }

    bucket->marked = 0;

    for (line = bucket->lines; line < bucket->lines + 2; line++) {
        ngx_ivschat_bucket_sweep(bucket, line, line->mark);
        line->mark = line->booked;
    }
}


/*
 * Only a host that is in want climbs: one that has less to send than it may
 * learns nothing about what AWS allows.
 */

static void
ngx_ivschat_bucket_climb(ngx_ivschat_bucket_t *bucket, double sec)
{
    double  over, rate, step;

    rate = bucket->rate;

    step = NGX_IVSCHAT_BUCKET_STEP
           + NGX_IVSCHAT_BUCKET_STEP_MORE * rate
             / (NGX_IVSCHAT_BUCKET_STEP_KNEE + rate);
    over = (bucket->since + NGX_IVSCHAT_BUCKET_IDLE * bucket->idle) / 1000.0
           - NGX_IVSCHAT_BUCKET_PATIENCE
           - NGX_IVSCHAT_BUCKET_PATIENCE_SMALL
             / (NGX_IVSCHAT_BUCKET_KNEE + rate);

    if (over > 0) {
        over /= NGX_IVSCHAT_BUCKET_HURRY;
        step *= 1 + ngx_ivschat_min(over * over, NGX_IVSCHAT_BUCKET_HURRY_MAX);
    }

    bucket->rate = ngx_ivschat_min(rate + step * sec, bucket->limit);
}


static void
ngx_ivschat_bucket_cut(ngx_ivschat_bucket_t *bucket)
{
    double  depth, part;

    /* One refusal in few calls may be chance. */

    part = (bucket->refused - 1) / (bucket->refused + bucket->accepted);

    if (bucket->since < NGX_IVSCHAT_BUCKET_SETTLE
        && part < NGX_IVSCHAT_BUCKET_NEARLY_ALL)
    {
        return;
    }

    depth = NGX_IVSCHAT_BUCKET_DEPTH
            + NGX_IVSCHAT_BUCKET_DEPTH_SMALL
              / (NGX_IVSCHAT_BUCKET_KNEE + bucket->rate);
    depth = ngx_ivschat_max(depth, part);
    depth = ngx_ivschat_min(depth, NGX_IVSCHAT_BUCKET_DEPTH_MAX);

    bucket->rate = ngx_ivschat_max(bucket->rate * (1 - depth),
                                   NGX_IVSCHAT_BUCKET_LEAST);
    bucket->accepted = 0;
    bucket->refused = 0;
    bucket->since = 0;
    bucket->idle = 0;

    /* What was saved up would hide the cut. */

    bucket->calls = ngx_ivschat_min(bucket->calls, 1);
}


/*
 * The burst shrinks with the rate: hosts that share an account share the
 * burst, too.
 */

static double
ngx_ivschat_bucket_most(const ngx_ivschat_bucket_t *bucket)
{
    return ngx_ivschat_max(bucket->burst * bucket->rate / bucket->limit, 1);
}


/* Calls beyond the burst are kept for those that wait, in case they sleep. */

static void
ngx_ivschat_bucket_cap(ngx_ivschat_bucket_t *bucket, double kept)
{
    kept += ngx_ivschat_bucket_most(bucket);
    bucket->calls = ngx_ivschat_min(bucket->calls, kept);
}


/* A call, if there is one beyond those of the numbers before. */

static unsigned
ngx_ivschat_bucket_ask(ngx_ivschat_bucket_t *bucket, ngx_ivschat_turn_e turn,
    uint64_t number)
{
    double  missing;

    missing = ngx_ivschat_line_place(&bucket->lines[turn], number)
              - bucket->calls;

    if (turn == NGX_IVSCHAT_BUCKET_FIRST) {
        missing += ngx_ivschat_line_live(
                                     &bucket->lines[NGX_IVSCHAT_BUCKET_RETRY]);
    }

    if (missing < NGX_IVSCHAT_BUCKET_ROUNDING) {
        bucket->calls = ngx_ivschat_max(bucket->calls - 1, 0);
        return 0;
    }

    missing = (missing - NGX_IVSCHAT_BUCKET_ROUNDING) / bucket->rate * 1000;

    return missing < NGX_IVSCHAT_BUCKET_POLL - 1
           ? (unsigned) missing + 1 : NGX_IVSCHAT_BUCKET_POLL;
}


/*
 * None up to this number waits any longer.  The calls that were kept for them
 * are not for those behind them.
 */

static void
ngx_ivschat_bucket_sweep(ngx_ivschat_bucket_t *bucket,
    ngx_ivschat_bucket_line_t *line, uint64_t number)
{
    double  n;

    line->swept = ngx_ivschat_max(line->swept, number);

    if (number > line->gone) {
        n = number - line->gone;
        line->gone = number;
        line->holes = ngx_ivschat_max(line->holes - n, 0);

        ngx_ivschat_line_settle(line);
        ngx_ivschat_bucket_cap(bucket, 0);
    }
}


static double
ngx_ivschat_line_live(const ngx_ivschat_bucket_line_t *line)
{
    return line->booked - line->gone - line->holes;
}


/* The place of a number in the line, 1 for the first. */

static double
ngx_ivschat_line_place(const ngx_ivschat_bucket_line_t *line, uint64_t number)
{
    double  part, place;

    place = number - line->gone;

    if (place <= 1) {
        return 1;
    }

    /* The holes are in front: of a half of the line three quarters. */

    part = ngx_ivschat_min(place / (line->booked - line->gone), 1);
    place -= line->holes * part * (2 - part);

    return ngx_ivschat_max(place, 1);
}


/* The first one has gone, and with it the holes that are behind it. */

static void
ngx_ivschat_line_next(ngx_ivschat_bucket_line_t *line)
{
    double  part, skipped;

    part = 2 * line->holes / (line->booked - line->gone);
    part = ngx_ivschat_min(part, NGX_IVSCHAT_BUCKET_HOLES);
    skipped = ngx_ivschat_min(part / (1 - part), line->holes);

    line->holes -= skipped;
    line->gone += 1 + skipped;

    ngx_ivschat_line_settle(line);
}


/* When the last one has gone, what was estimated is known again. */

static void
ngx_ivschat_line_settle(ngx_ivschat_bucket_line_t *line)
{
    if (ngx_ivschat_line_live(line) < 0.5) {
        line->gone = line->booked;
        line->swept = line->booked;
        line->holes = 0;
    }
}
