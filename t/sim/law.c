
/*
 * The laws that are compared.
 */


#include "law.h"

#include <math.h>
#include <string.h>


/* botocore/retries/throttling.py, adaptive.py and bucket.py */

#define CUBIC_SCALE       0.4
#define CUBIC_BETA        0.7
#define CUBIC_SMOOTH      0.8
#define CUBIC_BUCKET      0.5          /* seconds */
#define CUBIC_MIN         0.5

#ifndef AIMD_STEP
#define AIMD_STEP         0.1          /* calls a second, in each second */
#endif
#ifndef AIMD_FACTOR
#define AIMD_FACTOR       0.5
#endif
#define AIMD_MIN          0.5


static void law_cubic(law_t *law, double now, int throttled);
static double law_cubic_rate(const law_t *law, double now);
static void law_measure(law_t *law, double now);


void
law_init(law_t *law, law_e kind, double limit, double now)
{
    memset(law, 0, sizeof(law_t));

    law->kind = kind;
    law->limit = limit;
    law->rate = limit;
    law->now = now;
    law->cut = -1;
    law->last_max = CUBIC_MIN;
    law->bucket = floor(now / CUBIC_BUCKET) * CUBIC_BUCKET;
}


const char *
law_name(law_e kind)
{
    static const char  *names[] = { "module", "cubic", "aimd" };

    return names[kind];
}


void
law_tick(law_t *law, double now, int in_want)
{
    if (law->kind == LAW_AIMD && in_want) {
        law->rate = fmin(law->rate + AIMD_STEP * (now - law->now), law->limit);
    }

    law->now = now;
}


void
law_answer(law_t *law, double now, double sent, int throttled)
{
    if (law->kind == LAW_CUBIC) {
        law_cubic(law, now, throttled);
        return;
    }

    /* One cut for a round, as TCP does: more of them would be too many. */

    if (throttled && sent > law->cut) {
        law->rate = fmax(law->rate * AIMD_FACTOR, AIMD_MIN);
        law->cut = now;
    }
}


static void
law_cubic(law_t *law, double now, int throttled)
{
    double  rate;

    law_measure(law, now);

    if (throttled) {
        rate = law->enabled ? fmin(law->measured, law->rate) : law->measured;

        law->last_max = rate;
        law->cut = now;
        law->enabled = 1;

        rate *= CUBIC_BETA;

    } else if (law->enabled) {
        rate = law_cubic_rate(law, now);

    } else {
        return;
    }

    rate = fmin(rate, 2 * law->measured);
    law->rate = fmin(fmax(rate, CUBIC_MIN), law->limit);
}


static double
law_cubic_rate(const law_t *law, double now)
{
    double  k;

    k = cbrt(law->last_max * (1 - CUBIC_BETA) / CUBIC_SCALE);

    return CUBIC_SCALE * pow(now - law->cut - k, 3) + law->last_max;
}


/* The rate of sending, in buckets of half a second. */

static void
law_measure(law_t *law, double now)
{
    double  bucket;

    law->sent++;
    bucket = floor(now / CUBIC_BUCKET) * CUBIC_BUCKET;

    if (bucket > law->bucket) {
        law->measured = CUBIC_SMOOTH * law->sent / (bucket - law->bucket)
                        + (1 - CUBIC_SMOOTH) * law->measured;
        law->sent = 0;
        law->bucket = bucket;
    }
}
