
/*
 * The bucket, the lines, and the way the rate goes up and down.  What comes
 * of it among many hosts is t/sim/test_sim.py.
 */


#include "aws/ngx_ivschat_bucket.h"

#include "tap.h"


#define RETRY   NGX_IVSCHAT_BUCKET_RETRY
#define FIRST   NGX_IVSCHAT_BUCKET_FIRST

#define WAIT    4000
#define HELD    300


static void test_new(void);
static void test_bucket(void);
static void test_order(void);
static void test_sleepy(void);
static void test_leave(void);
static void test_expired(void);
static void test_holes(void);
static void test_give_back(void);
static void test_retries_first(void);
static void test_dead(void);
static void test_forgotten(void);
static void test_long_line(void);
static void test_stop(void);
static void test_frozen(void);
static void test_wrap(void);
static void test_behind(void);
static void test_configure(void);
static void test_cut(void);
static void test_severe(void);
static void test_climb(void);
static void test_idle(void);
static void test_recovers(void);
static void test_retry_after(void);
static void test_random(uint32_t from);
static void step(uint32_t now);
static int sane(void);

static unsigned book(ngx_ivschat_turn_e turn, uint32_t now);
static unsigned due(ngx_ivschat_bucket_ticket_t t, uint32_t now);
static unsigned waiting(void);
static void feedback(uint32_t now, uint32_t asked, ngx_ivschat_call_e outcome);
static void start(double limit, double burst);
static void start_at(uint32_t now, double limit, double burst);
static uint32_t random_bits(void);


static ngx_ivschat_bucket_t         bucket;
static ngx_ivschat_bucket_ticket_t  ticket;      /* of the last book() */

static struct {
    ngx_ivschat_bucket_ticket_t     held[HELD];
    int                             n;
    int                             allowed;
    int                             bad;
} lot;


int
main(void)
{
    test_new();
    test_bucket();
    test_order();
    test_sleepy();
    test_leave();
    test_expired();
    test_holes();
    test_give_back();
    test_retries_first();
    test_dead();
    test_forgotten();
    test_long_line();
    test_stop();
    test_frozen();
    test_wrap();
    test_behind();
    test_configure();
    test_cut();
    test_severe();
    test_climb();
    test_idle();
    test_recovers();
    test_retry_after();
    test_random(1000);
    test_random(UINT32_MAX - 20000);

    return done_testing();
}


static void
test_new(void)
{
    int  n;

    ngx_ivschat_bucket_init(&bucket, 1000, 200, 100, WAIT);

    for (n = 0; book(FIRST, 1000) == 0; n++) {
        /* void */
    }

    is_int(n, 25, "a new bucket has a quarter of the burst");
    ok(bucket.rate == 50, "and a quarter of the limit");

    ngx_ivschat_bucket_init(&bucket, 1000, 1, 1, WAIT);
    ok(bucket.rate == 0.5 && bucket.calls == 1,
       "at least a call, and one in two seconds");

    ok(sizeof(ngx_ivschat_bucket_t) <= 192, "it has %d bytes",
       (int) sizeof(ngx_ivschat_bucket_t));
}


static void
test_bucket(void)
{
    int                          i, n;
    ngx_ivschat_bucket_ticket_t  first;

    start(10, 5);

    for (n = 0; book(FIRST, 1000) == 0; n++) {
        /* void */
    }

    first = ticket;

    is_int(n, 5, "a full bucket has its burst");
    is_int(due(first, 1000), 100, "the next call is 100 ms away");
    is_int(due(first, 1060), 40, "40 ms of that are left");
    is_int(due(first, 1099), 1, "and then a millisecond");
    is_int(due(first, 1100), 0, "then it may be made");
    is_int(waiting(), 0, "and nobody waits");

    start(200, 1);
    n = book(FIRST, 1000) == 0;

    for (i = 1; i <= 1000; i++) {
        n += book(FIRST, 1000 + i * 5) == 0;
    }

    is_int(n, 1001, "200 a second for 5 seconds, at even steps");

    start(10, 5);
    n = 0;

    while (book(FIRST, 1000000) == 0) {
        n++;
    }

    is_int(n, 5, "a long rest gives no more than the burst");

    start(10, 0);
    is_int(book(FIRST, 1000), 0, "a burst of 0 is one of 1");
}


static void
test_order(void)
{
    ngx_ivschat_bucket_ticket_t  a, b;

    start(10, 1);
    (void) book(FIRST, 1000);
    (void) book(FIRST, 1000);
    a = ticket;
    (void) book(FIRST, 1010);
    b = ticket;

    ok(due(b, 1100) > 0, "the second waits for two calls");
    ok(book(FIRST, 1100) > 0, "a newcomer does not overtake");
    is_int(due(a, 1100), 0, "the first has its call");
    is_int(due(b, 1199), 1, "the second does not follow immediately");
    is_int(due(b, 1200), 0, "but at its time");
    is_int(due(ticket, 1300), 0, "and so does the newcomer");
    is_int(waiting(), 0, "nobody is left");
}


static void
test_sleepy(void)
{
    int                          i;
    ngx_ivschat_bucket_ticket_t  first, last;

    start(10, 1);
    (void) book(FIRST, 1000);
    (void) book(FIRST, 1000);
    first = ticket;

    for (i = 0; i < 9; i++) {
        (void) book(FIRST, 1000);
    }

    last = ticket;

    is_int(due(last, 1999), 1, "the tenth waits for ten calls");
    is_int(due(last, 2000), 0,
           "and has one then, though the nine before it sleep");
    is_int(due(first, 2000), 0, "the calls of these were kept");
    ok(book(FIRST, 2000) > 0, "and are not for newcomers");
}


static void
test_leave(void)
{
    ngx_ivschat_bucket_ticket_t  a, b, c;

    start(10, 1);
    (void) book(FIRST, 1000);
    (void) book(FIRST, 1000);
    a = ticket;
    (void) book(FIRST, 1000);
    b = ticket;
    (void) book(FIRST, 1000);
    c = ticket;

    ngx_ivschat_bucket_leave(&bucket, 1010, a, 0);

    is_int(waiting(), 2, "a place is given up");
    is_int(due(b, 1112), 0, "the next one moved forward, nearly by one place");
    ok(due(c, 1187) > 0, "and so did the one behind it");
    is_int(due(c, 1212), 0, "each at its time");
    is_int(waiting(), 0, "nobody is left");
}


static void
test_expired(void)
{
    int                          i;
    ngx_ivschat_bucket_ticket_t  all[10];

    start(10, 1);
    (void) book(FIRST, 1000);

    for (i = 0; i < 10; i++) {
        (void) book(FIRST, 1000);
        all[i] = ticket;
    }

    /* Its worker sleeps, and those of the first four do, too. */

    ngx_ivschat_bucket_leave(&bucket, 1200, all[4], 1);

    is_int(waiting(), 5, "none before it waits any longer");

    ngx_ivschat_bucket_leave(&bucket, 1200, all[2], 1);
    ngx_ivschat_bucket_leave(&bucket, 1200, all[3], 0);

    is_int(waiting(), 5, "which they may say later");
    is_int(due(all[5], 1200), 0, "the next one is the first");
    ok(due(all[6], 1200) > 0, "what was kept for those before is gone");
}


/* Every second one of 100 leaves: how far from its time is each other one? */

static void
test_holes(void)
{
    int                          i, next, early, late;
    uint32_t                     now;
    ngx_ivschat_bucket_ticket_t  all[100];

    start(100, 1);
    (void) book(FIRST, 1000);

    for (i = 0; i < 100; i++) {
        (void) book(FIRST, 1000);
        all[i] = ticket;
    }

    for (i = 0; i < 100; i += 2) {
        ngx_ivschat_bucket_leave(&bucket, 1000, all[i], 0);
    }

    is_int(waiting(), 50, "half of them have left");

    next = 1;
    early = late = 0;

    for (now = 1000; next < 100 && now < 3000; now++) {
        while (next < 100 && due(all[next], now) == 0) {
            i = (int) now - 1000 - (next + 1) / 2 * 10;
            early = i < early ? i : early;
            late = i > late ? i : late;
            next += 2;
        }
    }

    ok(next > 100 && early >= 0 && late <= 100,
       "the others are %d ms late at most", late);
    is_int(waiting(), 0, "nobody is left");
}


static void
test_give_back(void)
{
    ngx_ivschat_bucket_ticket_t  a;

    start(10, 1);

    is_int(book(FIRST, 1000), 0, "the only call is taken");
    ok(book(FIRST, 1000) > 0, "so that the next one waits");

    a = ticket;

    ngx_ivschat_bucket_give_back(&bucket, 1000);

    is_int(due(a, 1000), 0, "what is given back is the next one's");

    start(10, 1);
    ngx_ivschat_bucket_give_back(&bucket, 1000);

    is_int(book(FIRST, 1000), 0, "a full bucket has one");
    ok(book(FIRST, 1000) > 0, "and not more by what comes back");
}


static void
test_retries_first(void)
{
    ngx_ivschat_bucket_ticket_t  new, again;

    start(10, 1);
    (void) book(FIRST, 1000);
    (void) book(FIRST, 1000);
    new = ticket;
    (void) book(RETRY, 1050);
    again = ticket;

    ok(new != again && new && again, "the lines have tickets of their own");
    ok(due(new, 1100) > 0, "a first attempt waits");
    is_int(due(again, 1100), 0, "for those that had a turn before");
    is_int(due(new, 1200), 0, "then it is its turn");
}


static void
test_dead(void)
{
    int                          i;
    ngx_ivschat_bucket_ticket_t  alive;

    start(10, 1);
    (void) book(FIRST, 1000);

    for (i = 0; i < 300; i++) {
        (void) book(i % 3 ? FIRST : RETRY, 1000);
    }

    (void) book(FIRST, 1000);
    alive = ticket;
    ok(due(alive, 1100) > 0, "300 wait before it");

    ngx_ivschat_bucket_dead(&bucket, 1100, FIRST, 200);
    ngx_ivschat_bucket_dead(&bucket, 1100, RETRY, 100);
    is_int(waiting(), 1, "their process is killed");
    is_int(due(alive, 1200), 0, "then it is the first");

    ngx_ivschat_bucket_dead(&bucket, 1200, FIRST, 7);
    is_int(waiting(), 0, "more dead than there are do no harm");
    ok(sane(), "nor to the line");

    /* What was kept for the dead is not for those behind them. */

    start(10, 1);

    for (i = 0; i <= 20; i++) {
        (void) book(FIRST, 1000);
    }

    (void) due(ticket, 2000);
    ngx_ivschat_bucket_dead(&bucket, 2000, FIRST, 10);
    ok(bucket.calls <= 1, "nor do their calls go out in a burst");
}


static void
test_forgotten(void)
{
    int  i;

    start(10, 1);
    (void) book(FIRST, 1000);

    for (i = 0; i < 300; i++) {
        (void) book(FIRST, 1000 + i);
    }

    for (i = 0; i < 2 * WAIT; i += 10) {
        (void) due(ticket, 1300 + i);
    }

    is_int(waiting(), 0,
           "those whose process was killed are forgotten after two waits");
    ok(bucket.calls <= 1 + 0.2, "their calls are not saved up");
    ok(sane(), "the line is in order");
}


static void
test_long_line(void)
{
    int                          i, bad;
    uint32_t                     now;
    ngx_ivschat_bucket_ticket_t  before;

    start(1000, 1);
    (void) book(FIRST, 1000);

    for (i = 0; i < 50000; i++) {
        (void) book(FIRST, 1000);
    }

    is_int(waiting(), 50000, "50,000 may wait");
    is_int(ngx_ivschat_bucket_retry_after(&bucket, 1000, 0),
           NGX_IVSCHAT_BUCKET_DRAIN_MAX, "the advice has bounds");

    start(1000, 1);
    now = 1000;
    bad = book(FIRST, now) != 0;
    bad += book(FIRST, now) == 0;

    for (i = 0; i < 30000; i++) {
        before = ticket;
        bad += book(FIRST, ++now) == 0;
        bad += due(ticket, now) == 0;
        bad += due(before, now) != 0;
    }

    is_int(bad, 0, "%d tickets, two at a time", i);
    is_int(waiting(), 1, "one is left");
}


/* All workers stop for 10 seconds: no more goes out than before. */

static void
test_stop(void)
{
    int                          i, n;
    ngx_ivschat_bucket_ticket_t  all[480];

    start(20, 20);

    n = 0;

    for (i = -20; i < 480; i++) {
        if (book(FIRST, 1000)) {
            all[n++] = ticket;
        }
    }

    is_int(n, 480, "480 wait");

    n = 0;

    for (i = 0; i < 480; i++) {
        n += due(all[i], 11000) == 0;
    }

    ok(n >= 20 && n <= 21, "%d calls after a stop, a second's", n);

    n += book(FIRST, 11001) == 0;
    ok(n <= 21, "and nothing for a newcomer");
}


static void
test_frozen(void)
{
    int       i, n;
    uint32_t  now;

    start(20, 20);
    n = 0;

    for (i = 0; i < 500; i++) {
        n += book(FIRST, 1000) == 0;
    }

    is_int(n, 20, "while the clock is frozen there is the burst");

    n = 0;

    for (now = 11000; now < 12000; now += 10) {
        while (book(FIRST, now) == 0) {
            n++;
        }
    }

    is_int(n, 0, "500 wait, none overtakes");
    ok(bucket.calls <= 45, "and of ten seconds one was added: %.1f",
       bucket.calls);
}


/* 32 bits of milliseconds: 49.7 days. */

static void
test_wrap(void)
{
    int       n;
    uint32_t  now;

    start_at(UINT32_MAX - 2499, 10, 1);
    n = 0;

    for (now = UINT32_MAX - 2499; now != 2500; now += 10) {
        if (book(FIRST, now) == 0) {
            n++;

        } else {
            ngx_ivschat_bucket_leave(&bucket, now, ticket, 0);
        }
    }

    is_int(n, 50, "10 a second for 5 seconds, while the clock wraps");

    start_at(UINT32_MAX - 99, 10, 1);
    (void) book(FIRST, UINT32_MAX - 99);
    (void) book(FIRST, UINT32_MAX - 99);
    is_int(due(ticket, UINT32_MAX), 1, "a clock that is about to wrap");
    is_int(due(ticket, 0), 0, "goes on when it does");

    feedback(100, UINT32_MAX - 10, NGX_IVSCHAT_CALL_THROTTLED);
    ok(bucket.rate < 10, "a call from before is answered after");

    feedback(200, UINT32_MAX - 5, NGX_IVSCHAT_CALL_OK);
    is_int((int) bucket.accepted, 0, "and known to be older than the cut");

    feedback(300, 150, NGX_IVSCHAT_CALL_OK);
    is_int((int) bucket.accepted, 1, "as is one that is not");

    /* An idle bucket, 25 and 49 days later. */

    (void) book(FIRST, 300 + UINT32_C(25) * 86400000);
    ok(bucket.calls == 0, "a bucket that nobody used for 25 days has a call");
    feedback(500 + UINT32_C(25) * 86400000, 400 + UINT32_C(25) * 86400000,
             NGX_IVSCHAT_CALL_OK);
    is_int((int) bucket.accepted, 2, "and listens");
}


static void
test_behind(void)
{
    start(10, 1);
    (void) book(FIRST, 2000);
    (void) book(FIRST, 2000);

    is_int(due(ticket, 1000), 100, "a clock that is behind");
    is_int(due(ticket, 2050), 50, "is taken for the latest time");
    is_int(due(ticket, 1990), 50, "each time");
    is_int(due(ticket, 2100), 0, "and does no harm");
}


static void
test_configure(void)
{
    start(200, 200);
    ngx_ivschat_bucket_configure(&bucket, 1000, 100, 20, WAIT);
    ok(bucket.rate == 100 && bucket.calls == 20,
       "a lower limit holds immediately");

    ngx_ivschat_bucket_configure(&bucket, 1000, 150, 50, WAIT);
    ok(bucket.rate == 150, "a rate that was never cut follows the limit up");

    feedback(1100, 1050, NGX_IVSCHAT_CALL_THROTTLED);
    ok(bucket.rate < 150, "what AWS has taught");
    ngx_ivschat_bucket_configure(&bucket, 1100, 200, 200, WAIT);
    ok(bucket.rate < 150, "is kept over a reload");
}


static void
test_cut(void)
{
    double  before;

    start(200, 200);

    feedback(1050, 1000, NGX_IVSCHAT_CALL_OTHER);
    feedback(1050, 1000, NGX_IVSCHAT_CALL_OK);
    ok(bucket.rate == 200, "other failures do not slow it down");

    feedback(1060, 1000, NGX_IVSCHAT_CALL_THROTTLED);
    ok(bucket.rate < 200 && bucket.rate > 150, "a refusal does, by a part");
    ok(bucket.calls <= 1, "what was saved up is gone");

    before = bucket.rate;
    feedback(1061, 1000, NGX_IVSCHAT_CALL_THROTTLED);
    feedback(1062, 1060, NGX_IVSCHAT_CALL_THROTTLED);
    ok(bucket.rate == before, "refusals of calls made before that do not");

    feedback(1300, 1200, NGX_IVSCHAT_CALL_OK);
    feedback(1300, 1200, NGX_IVSCHAT_CALL_THROTTLED);
    ok(bucket.rate == before, "nor do others, for half a second");

    feedback(1600, 1500, NGX_IVSCHAT_CALL_THROTTLED);
    ok(bucket.rate < before, "then they do");
}


static void
test_severe(void)
{
    int     i;
    double  before;

    start(200, 200);
    feedback(1060, 1000, NGX_IVSCHAT_CALL_THROTTLED);

    before = bucket.rate;

    for (i = 0; i < 5; i++) {
        feedback(1120, 1070, NGX_IVSCHAT_CALL_THROTTLED);
    }

    ok(bucket.rate == before / 2, "nearly all is refused: halved, early");

    before = bucket.rate;

    for (i = 0; i < 70; i++) {
        feedback(2000, 1500, NGX_IVSCHAT_CALL_OK);
    }

    bucket.since = 1;

    for (i = 0; i < 29; i++) {
        feedback(2000, 2000, NGX_IVSCHAT_CALL_THROTTLED);
    }

    bucket.since = 1000;
    feedback(2000, 2000, NGX_IVSCHAT_CALL_THROTTLED);
    ok(bucket.rate > before * 0.705 && bucket.rate < before * 0.715,
       "30 of 100 were refused: cut by that much");
}


static void
test_climb(void)
{
    double  before;

    start(200, 200);
    feedback(1060, 1050, NGX_IVSCHAT_CALL_THROTTLED);

    before = bucket.rate;
    (void) book(FIRST, 60000);
    ok(bucket.rate == before, "without demand the rate stays as it is");

    while (book(FIRST, 60000) == 0) {
        /* void */
    }

    (void) due(ticket, 60500);
    ok(bucket.rate > before, "it climbs while somebody waits");

    before = bucket.rate;
    (void) due(ticket, 160500);
    ok(bucket.rate < before + 30, "a stop is a second of that at most");
}


/* After a calm what was learned is old: the rate climbs faster. */

static void
test_idle(void)
{
    int       calm;
    double    climbed[2];
    uint32_t  now;

    for (calm = 0; calm < 2; calm++) {
        start(200, 1);
        feedback(1060, 1050, NGX_IVSCHAT_CALL_THROTTLED);
        bucket.rate = 12.5;
        now = calm ? 16060 : 1060;

        while (book(FIRST, now) == 0) {
            /* void */
        }

        (void) due(ticket, now + 1000);
        climbed[calm] = bucket.rate - 12.5;
    }

    ok(climbed[1] > 5 * climbed[0], "by %.2f in a second, and not %.2f",
       climbed[1], climbed[0]);
}


/* From a 64th to the whole, alone: how long, with steady demand? */

static void
test_recovers(void)
{
    int       i;
    uint32_t  now;

    start(200, 200);

    for (now = 1000; bucket.rate > 200 / 64.0 && now < 60000; now += 60) {
        for (i = 0; i < 5; i++) {
            feedback(now, now - 50, NGX_IVSCHAT_CALL_THROTTLED);
        }
    }

    ok(now < 2500, "down to a 64th after %u ms", now - 1000);

    bucket.rate = 200 / 64.0;

    for (now = 2500; bucket.rate < 200 && now < 1000000; now += 2) {
        (void) book(FIRST, now);
    }

    ok(bucket.rate == 200, "and back to the limit, no further");
    ok(now < 62500, "after %u ms in want", now - 2500);
}


static void
test_retry_after(void)
{
    int  i;

    start(10, 1);
    is_int(ngx_ivschat_bucket_retry_after(&bucket, 1000, 0), 1,
           "nobody waits: a second");
    is_int(ngx_ivschat_bucket_retry_after(&bucket, 1000, UINT32_MAX), 2,
           "two at most");

    for (i = 0; i < 101; i++) {
        (void) book(FIRST, 1000);
    }

    is_int(ngx_ivschat_bucket_retry_after(&bucket, 1000, 0), 11,
           "100 wait, 10 a second: until they are served");
    is_int(ngx_ivschat_bucket_retry_after(&bucket, 1000, UINT32_MAX), 22,
           "to twice as long");
}


/*
 * Whatever happens, the counts stay in their bounds, the number of those that
 * wait is right while none is forgotten, and no more calls are allowed than
 * the rate has.
 */

static void
test_random(uint32_t from)
{
    int       i;
    uint32_t  now;

    start_at(from, 200, 10);
    bucket.wait = UINT32_MAX;
    memset(&lot, 0, sizeof(lot));
    now = from;

    for (i = 0; i < 200000; i++) {
        now += random_bits() % 8 == 0;
        step(now);
        lot.bad += !sane() || waiting() != (unsigned) lot.n;
        lot.bad += lot.allowed > 10 + (int) (now - from) / 5 + 1;
    }

    is_int(lot.bad, 0, "%d random steps", i);
    ok(lot.allowed > (int) (now - from) / 5 * 95 / 100,
       "%d calls in %u ms", lot.allowed, now - from);

    /* Ends of waits, deaths, a short memory, leaps: bounds alone. */

    bucket.wait = 500;

    for (i = 0; i < 200000; i++) {
        now += random_bits() % 1000 ? random_bits() % 8 == 0
                                    : random_bits() % 10000;
        step(now - (random_bits() % 8 ? 0 : random_bits() % 100));

        if (random_bits() % 16 == 0 && lot.n) {
            lot.n--;
            ngx_ivschat_bucket_leave(&bucket, now, lot.held[lot.n],
                                     lot.held[lot.n] % 2 == FIRST);
        }

        if (random_bits() % 1000 == 0) {
            ngx_ivschat_bucket_dead(&bucket, now, random_bits() % 2,
                                    random_bits() % 40);
        }

        lot.bad += !sane();
    }

    is_int(lot.bad, 0, "%d more, with all that may go wrong", i);
}


static void
step(uint32_t now)
{
    int       i;
    unsigned  delay;

    i = lot.n ? (int) (random_bits() % lot.n) : 0;
    delay = 1;

    switch (random_bits() % 4) {

    case 0:
        if (lot.n == HELD) {
            return;
        }

        delay = book(random_bits() % 4 ? FIRST : RETRY, now);

        if (delay) {
            lot.held[lot.n++] = ticket;
        }

        break;

    case 1:
        if (lot.n) {
            ngx_ivschat_bucket_leave(&bucket, now, lot.held[i], 0);
            lot.held[i] = lot.held[--lot.n];
        }

        break;

    default:
        if (lot.n) {
            delay = due(lot.held[i], now);

            if (delay == 0) {
                lot.held[i] = lot.held[--lot.n];
            }
        }
    }

    lot.allowed += delay == 0;
    lot.bad += delay > NGX_IVSCHAT_BUCKET_POLL;
}


static int
sane(void)
{
    int                        i;
    const ngx_ivschat_bucket_line_t  *line;

    for (i = 0; i < 2; i++) {
        line = &bucket.lines[i];

        if (line->gone < 0 || line->gone > line->booked
            || line->holes < 0 || line->holes > line->booked - line->gone
            || line->swept > line->booked || line->mark > line->booked)
        {
            return 0;
        }
    }

    return bucket.calls >= 0 && bucket.rate >= 0.5
           && bucket.rate <= bucket.limit;
}


static unsigned
book(ngx_ivschat_turn_e turn, uint32_t now)
{
    return ngx_ivschat_bucket_book(&bucket, now, turn, &ticket);
}


static unsigned
due(ngx_ivschat_bucket_ticket_t t, uint32_t now)
{
    return ngx_ivschat_bucket_due(&bucket, now, t);
}


static unsigned
waiting(void)
{
    return ngx_ivschat_bucket_waiting(&bucket);
}


static void
feedback(uint32_t now, uint32_t asked, ngx_ivschat_call_e outcome)
{
    ngx_ivschat_bucket_feedback(&bucket, now, asked, outcome);
}


/* Not a new one, but one that has reached its limit, and is full. */

static void
start(double limit, double burst)
{
    start_at(1000, limit, burst);
}


static void
start_at(uint32_t now, double limit, double burst)
{
    ngx_ivschat_bucket_init(&bucket, now, limit, burst, WAIT);
    bucket.rate = limit;
    bucket.calls = bucket.burst;
}


static uint32_t
random_bits(void)
{
    static uint64_t  state = UINT64_C(88172645463325252);

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;

    return (uint32_t) (state >> 32);
}
