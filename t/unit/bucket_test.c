
/*
 * The bucket, the queues, and the way the rate goes up and down.  What comes
 * of it among many hosts is t/sim/test_sim.py.
 */


#include "aws/ngx_ivschat_bucket.h"

#include "tap.h"


#define GRANTED   NGX_IVSCHAT_BUCKET_GRANTED
#define WAITS     NGX_IVSCHAT_BUCKET_WAIT
#define FULL      NGX_IVSCHAT_BUCKET_FULL
#define GONE      NGX_IVSCHAT_BUCKET_GONE

#define RETRY     NGX_IVSCHAT_BUCKET_RETRY
#define FIRST     NGX_IVSCHAT_BUCKET_FIRST


static void test_bucket(void);
static void test_order(void);
static void test_sleepy(void);
static void test_leave(void);
static void test_give_back(void);
static void test_retries_first(void);
static void test_dead(void);
static void test_full(void);
static void test_wrap(void);
static void test_clock(void);
static void test_configure(void);
static void test_cut(void);
static void test_climb(void);
static void test_recovers(void);
static void test_retry_after(void);
static void test_random(void);

static ngx_ivschat_bucket_e join(ngx_ivschat_turn_e turn, uint64_t now);
static ngx_ivschat_bucket_e poll(ngx_ivschat_bucket_ticket_t t, uint64_t now);
static void start(double limit, double burst);
static uint32_t random_bits(void);


static ngx_ivschat_bucket_t          rate;
static ngx_ivschat_bucket_ticket_t   ticket;      /* of the last join() */
static uint64_t                    delay;


int
main(void)
{
    test_bucket();
    test_order();
    test_sleepy();
    test_leave();
    test_give_back();
    test_retries_first();
    test_dead();
    test_full();
    test_wrap();
    test_clock();
    test_configure();
    test_cut();
    test_climb();
    test_recovers();
    test_retry_after();
    test_random();

    return done_testing();
}


static void
test_bucket(void)
{
    int                        i, n;
    ngx_ivschat_bucket_ticket_t  first;

    start(10, 5);

    for (n = 0; join(FIRST, 1000) == GRANTED; n++) {
        /* void */
    }

    first = ticket;

    is_int(n, 5, "a full bucket has its burst");
    is_int(delay, 100, "the next token is 100 ms away");
    is_int(poll(first, 1060), WAITS, "not before");
    is_int(delay, 40, "40 ms of that are left");
    is_int(poll(first, 1099), WAITS, "nor a millisecond before");
    is_int(poll(first, 1100), GRANTED, "then it is granted");
    is_int(poll(first, 1101), GONE, "once");

    start(200, 1);
    n = join(FIRST, 1000) == GRANTED;

    for (i = 1; i <= 1000; i++) {
        n += join(FIRST, 1000 + i * 5) == GRANTED;
    }

    is_int(n, 1001, "200 a second for 5 seconds, at even steps");

    start(10, 5);
    n = 0;

    while (join(FIRST, 1000000) == GRANTED) {
        n++;
    }

    is_int(n, 5, "a long rest gives no more than the burst");

    start(10, 0);
    is_int(join(FIRST, 1000), GRANTED, "a burst of 0 is one of 1");
}


static void
test_order(void)
{
    ngx_ivschat_bucket_ticket_t  a, b;

    start(10, 1);
    (void) join(FIRST, 1000);
    (void) join(FIRST, 1000);
    a = ticket;
    (void) join(FIRST, 1010);
    b = ticket;

    is_int(poll(b, 1100), WAITS, "the second waits for two tokens");
    is_int(join(FIRST, 1100), WAITS, "a newcomer does not overtake");
    is_int(poll(a, 1100), GRANTED, "the first has its token");
    is_int(poll(b, 1199), WAITS, "the second does not follow at once");
    is_int(poll(b, 1200), GRANTED, "but at its time");
    is_int(poll(ticket, 1300), GRANTED, "and so does the newcomer");
    is_int(ngx_ivschat_bucket_waiting(&rate), 0, "nobody is left");
}


static void
test_sleepy(void)
{
    int                        i;
    ngx_ivschat_bucket_ticket_t  first, last;

    start(10, 1);
    (void) join(FIRST, 1000);
    (void) join(FIRST, 1000);
    first = ticket;

    for (i = 0; i < 9; i++) {
        (void) join(FIRST, 1000);
    }

    last = ticket;

    is_int(poll(last, 1999), WAITS, "the tenth waits for ten tokens");
    is_int(poll(last, 2000), GRANTED,
           "and has one then, though the nine before it sleep");
    is_int(poll(first, 2000), GRANTED, "whose tokens were kept for them");
    is_int(join(FIRST, 2000), WAITS, "and are not for newcomers");
}


static void
test_leave(void)
{
    ngx_ivschat_bucket_ticket_t  a, b, c;

    start(10, 1);
    (void) join(FIRST, 1000);
    (void) join(FIRST, 1000);
    a = ticket;
    (void) join(FIRST, 1000);
    b = ticket;
    (void) join(FIRST, 1000);
    c = ticket;

    ngx_ivschat_bucket_leave(&rate, a, 1010);
    ngx_ivschat_bucket_leave(&rate, a, 1010);
    ngx_ivschat_bucket_leave(&rate, a + 1000, 1010);

    is_int(ngx_ivschat_bucket_waiting(&rate), 2,
           "a place is given up once, and an unknown one never");
    is_int(poll(a, 1100), GONE, "who left is gone");
    is_int(poll(b, 1100), GRANTED, "the next one moved forward");

    ngx_ivschat_bucket_leave(&rate, b, 1100);
    is_int(poll(c, 1199), WAITS, "to leave after a grant gives nothing back");
    is_int(poll(c, 1200), GRANTED, "and takes nothing");
}


static void
test_give_back(void)
{
    ngx_ivschat_bucket_ticket_t  a;

    start(10, 1);

    is_int(join(FIRST, 1000), GRANTED, "the only token is taken");
    is_int(join(FIRST, 1000), WAITS, "so that the next one waits");

    a = ticket;

    ngx_ivschat_bucket_give_back(&rate, 1000);

    is_int(poll(a, 1000), GRANTED, "what is given back is the next one's");

    start(10, 1);
    ngx_ivschat_bucket_give_back(&rate, 1000);

    is_int(join(FIRST, 1000), GRANTED, "a full bucket has one");
    is_int(join(FIRST, 1000), WAITS, "and not more by what comes back");
}


static void
test_retries_first(void)
{
    ngx_ivschat_bucket_ticket_t  new, again;

    start(10, 1);
    (void) join(FIRST, 1000);
    (void) join(FIRST, 1000);
    new = ticket;
    (void) join(RETRY, 1050);
    again = ticket;

    ok(new != again, "the queues have tickets of their own");
    is_int(poll(new, 1100), WAITS, "a first attempt waits");
    is_int(poll(again, 1100), GRANTED, "for those that had their turn once");
    is_int(poll(new, 1200), GRANTED, "then it is its turn");
}


static void
test_dead(void)
{
    int                        i;
    ngx_ivschat_bucket_ticket_t  dead;

    start(10, 1);
    (void) join(FIRST, 1000);

    for (i = 0; i < 300; i++) {
        (void) join(FIRST, 1000 + i);
    }

    dead = ticket;
    is_int(ngx_ivschat_bucket_waiting(&rate), 300, "300 wait");

    (void) join(FIRST, 6000);
    is_int(ngx_ivschat_bucket_waiting(&rate), 0,
           "those of a dead worker are forgotten after their wait");
    is_int(poll(dead, 6000), GONE, "and would be told");
    is_int(join(FIRST, 6000), WAITS, "their tokens are not saved up");
    is_int(poll(ticket, 6100), GRANTED, "the queue goes on");
}


static void
test_full(void)
{
    int  n;

    start(10, 1);
    (void) join(FIRST, 1000);

    for (n = 0; join(FIRST, 1000) == WAITS; n++) {
        /* void */
    }

    is_int(n, NGX_IVSCHAT_BUCKET_TICKETS, "so many may wait");
    is_int(join(FIRST, 1000), FULL, "and no more");
    is_int(join(RETRY, 1000), WAITS, "retries have their own queue");

    ngx_ivschat_bucket_leave(&rate, ticket, 1000);
    ngx_ivschat_bucket_leave(&rate, FIRST, 1000);
    is_int(join(FIRST, 1000), FULL, "room comes by 64");

    for (n = 1; n < 64; n++) {
        ngx_ivschat_bucket_leave(&rate, n * 2 + FIRST, 1000);
    }

    is_int(join(FIRST, 1000), WAITS, "when the oldest of those have left");
    is_int(ngx_ivschat_bucket_waiting(&rate), NGX_IVSCHAT_BUCKET_TICKETS - 63,
           "all others still wait");
}


/* The ring is used many times over. */

static void
test_wrap(void)
{
    int                        i, bad;
    uint64_t                   now;
    ngx_ivschat_bucket_ticket_t  before;

    start(1000, 1);
    now = 1000;
    bad = join(FIRST, now) != GRANTED;
    bad += join(FIRST, now) != WAITS;

    for (i = 0; i < 3 * NGX_IVSCHAT_BUCKET_TICKETS; i++) {
        before = ticket;
        bad += join(FIRST, ++now) != WAITS;
        bad += poll(ticket, now) != WAITS;
        bad += poll(before, now) != GRANTED;
    }

    is_int(bad, 0, "%d tickets, two at a time", i);
    is_int(ngx_ivschat_bucket_waiting(&rate), 1, "one is left");
}


static void
test_clock(void)
{
    start(10, 1);
    (void) join(FIRST, 2000);
    (void) join(FIRST, 2000);

    is_int(poll(ticket, 1000), WAITS, "a clock that is behind");
    is_int(delay, 100, "is taken for the latest time");
    is_int(poll(ticket, 2100), GRANTED, "and does no harm");
}


static void
test_configure(void)
{
    start(200, 200);
    ngx_ivschat_bucket_configure(&rate, 100, 20, 1000);
    ok(rate.rate == 100 && rate.permits == 20, "a lower limit holds at once");

    ngx_ivschat_bucket_configure(&rate, 150, 50, 1000);
    ok(rate.rate == 150, "a rate that was never cut follows the limit up");

    ngx_ivschat_bucket_feedback(&rate, 1100, 1050, NGX_IVSCHAT_CALL_THROTTLED);
    ok(rate.rate < 150, "what AWS has taught");
    ngx_ivschat_bucket_configure(&rate, 200, 200, 1100);
    ok(rate.rate < 150, "is kept over a reload");
}


static void
test_cut(void)
{
    double  before;

    start(200, 200);

    ngx_ivschat_bucket_feedback(&rate, 1050, 1000, NGX_IVSCHAT_CALL_OTHER);
    ngx_ivschat_bucket_feedback(&rate, 1050, 1000, NGX_IVSCHAT_CALL_OK);
    ok(rate.rate == 200, "other failures do not slow it down");

    ngx_ivschat_bucket_feedback(&rate, 1060, 1000, NGX_IVSCHAT_CALL_THROTTLED);
    ok(rate.rate < 200, "a refusal does");
    ok(rate.permits <= rate.rate, "the burst shrinks with it");

    before = rate.rate;
    ngx_ivschat_bucket_feedback(&rate, 1061, 1000, NGX_IVSCHAT_CALL_THROTTLED);
    ngx_ivschat_bucket_feedback(&rate, 1062, 1060, NGX_IVSCHAT_CALL_THROTTLED);
    ok(rate.rate == before, "refusals of calls made before that do not");

    ngx_ivschat_bucket_feedback(&rate, 1120, 1070, NGX_IVSCHAT_CALL_THROTTLED);
    ok(rate.rate <= before / 2, "refused at once again: halved");

    before = rate.rate;

    while (rate.accepted < 1000) {
        ngx_ivschat_bucket_feedback(&rate, 2000, 1500, NGX_IVSCHAT_CALL_OK);
    }

    ngx_ivschat_bucket_feedback(&rate, 2000, 1500, NGX_IVSCHAT_CALL_THROTTLED);
    ok(rate.rate > before / 2 && rate.rate < before,
       "after many calls that AWS took: less than that");
}


static void
test_climb(void)
{
    double  before;

    start(200, 200);
    ngx_ivschat_bucket_feedback(&rate, 1060, 1050, NGX_IVSCHAT_CALL_THROTTLED);
    ngx_ivschat_bucket_feedback(&rate, 1120, 1110, NGX_IVSCHAT_CALL_THROTTLED);

    before = rate.rate;
    (void) join(FIRST, 60000);
    ok(rate.rate == before, "without demand the rate stays as it is");

    while (join(FIRST, 60000) == GRANTED) {
        /* void */
    }

    (void) poll(ticket, 60500);
    ok(rate.rate > before, "it climbs while somebody waits");
}


/* From a 64th to the whole, alone: how long, with steady demand? */

static void
test_recovers(void)
{
    uint64_t  now;

    start(200, 200);
    now = 1000;

    while (rate.rate > 200 / 64.0) {
        now += 60;
        ngx_ivschat_bucket_feedback(&rate, now, now - 50,
                                  NGX_IVSCHAT_CALL_THROTTLED);
    }

    ok(now < 2000, "within a second down to a 64th");

    for (now = 2000; rate.rate < 200 && now < 1000000; now += 2) {
        (void) join(FIRST, now);
    }

    ok(rate.rate == 200, "and back to the limit, no further");
    ok(now < 62000, "after %llu ms in want", (unsigned long long) now - 2000);
}


static void
test_retry_after(void)
{
    int  i;

    start(10, 1);
    is_int(ngx_ivschat_bucket_retry_after(&rate, 1000, 0), 1,
           "nobody waits: a second");
    is_int(ngx_ivschat_bucket_retry_after(&rate, 1000, UINT32_MAX), 2,
           "two at most");

    for (i = 0; i < 101; i++) {
        (void) join(FIRST, 1000);
    }

    is_int(ngx_ivschat_bucket_retry_after(&rate, 1000, 0), 11,
           "100 wait, 10 a second: until they are served");
    is_int(ngx_ivschat_bucket_retry_after(&rate, 1000, UINT32_MAX), 22,
           "to twice as long");

    for (i = 0; i < 4000; i++) {
        (void) join(FIRST, 1000);
    }

    is_int(ngx_ivschat_bucket_retry_after(&rate, 1000, 0),
           NGX_IVSCHAT_BUCKET_DRAIN_MAX, "within bounds");
}


/*
 * Joins, polls, leaves and answers by lot: the number of those that wait is
 * right all the time, and no more is granted than the rate allows.
 */

static void
test_random(void)
{
    int                        i, n, nheld, bad, granted;
    uint64_t                   now;
    ngx_ivschat_bucket_e         rc;
    ngx_ivschat_bucket_ticket_t  held[200];

    start(200, 10);
    now = 1000;
    nheld = bad = granted = 0;

    for (i = 0; i < 200000; i++) {
        now += random_bits() % 8 == 0;
        n = nheld ? random_bits() % nheld : 0;
        rc = GONE;

        switch (random_bits() % 4) {

        case 0:
            if (nheld < 200) {
                rc = join(random_bits() % 4 ? FIRST : RETRY, now);
            }

            if (rc == WAITS) {
                held[nheld++] = ticket;
            }

            break;

        case 1:
            if (nheld) {
                ngx_ivschat_bucket_leave(&rate, held[n], now);
                held[n] = held[--nheld];
            }

            break;

        default:
            if (nheld) {
                rc = poll(held[n], now);

                if (rc != WAITS) {
                    held[n] = held[--nheld];
                }
            }
        }

        granted += rc == GRANTED;
        bad += ngx_ivschat_bucket_waiting(&rate) > (unsigned) nheld;
        bad += rate.permits < 0 || delay < 1 || delay > NGX_IVSCHAT_BUCKET_POLL;
        bad += granted > 10 + (int) (now - 1000) / 5 + 1;
    }

    is_int(bad, 0, "%d random steps", i);
    ok(granted > (int) (now - 1000) / 5 * 95 / 100,
       "%d granted in %llu ms", granted, (unsigned long long) now - 1000);
}


static ngx_ivschat_bucket_e
join(ngx_ivschat_turn_e turn, uint64_t now)
{
    return ngx_ivschat_bucket_join(&rate, turn, now, 4000, &ticket, &delay);
}


static ngx_ivschat_bucket_e
poll(ngx_ivschat_bucket_ticket_t t, uint64_t now)
{
    return ngx_ivschat_bucket_poll(&rate, t, now, &delay);
}


static void
start(double limit, double burst)
{
    ngx_ivschat_bucket_init(&rate, limit, burst, 1000);
    delay = 1;
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
