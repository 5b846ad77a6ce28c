
/*
 * A fuzz target without libFuzzer, as a unit test: the seeds of its corpus and
 * the same mutations of them each time.  TARGET and CORPUS come from the
 * Makefile.  A check that fails aborts the program.
 */


#include TARGET

#include <dirent.h>

#include "../unit/tap.h"


#define MUTATIONS   4000
#define SEEDS_MAX   256
#define SEED_MAX    8192


typedef struct {
    size_t     len;
    uint8_t    data[SEED_MAX];
} seed_t;


static seed_t    seeds[SEEDS_MAX];
static size_t    nseeds;
static uint64_t  state = 20261125;


/* xorshift, which gives the same numbers everywhere */

static size_t
dice(size_t sides)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;

    return (size_t) (state % sides);
}


static void
read_corpus(void)
{
    int              i, n;
    char             path[512];
    FILE            *file;
    struct dirent  **names;

    n = scandir(CORPUS, &names, NULL, alphasort);

    for (i = 0; i < n; i++) {

        if (names[i]->d_name[0] != '.' && nseeds < SEEDS_MAX) {

            (void) snprintf(path, sizeof(path), CORPUS "/%s",
                            names[i]->d_name);
            file = fopen(path, "rb");

            if (file != NULL) {
                seeds[nseeds].len = fread(seeds[nseeds].data, 1, SEED_MAX,
                                          file);
                nseeds++;
                (void) fclose(file);
            }
        }

        free(names[i]);
    }

    if (n >= 0) {
        free(names);
    }
}


/* A part of some seed is inserted, or bits are changed, or bytes removed. */

static void
mutate(seed_t *s)
{
    size_t         at, from, len;
    const seed_t  *other;

    at = dice(s->len + 1);

    switch (dice(3)) {

    case 0:
        other = &seeds[dice(nseeds)];
        from = dice(other->len + 1);
        len = dice(other->len - from + 1) % 64;

        if (s->len + len <= SEED_MAX) {
            memmove(s->data + at + len, s->data + at, s->len - at);
            memcpy(s->data + at, other->data + from, len);
            s->len += len;
        }

        break;

    case 1:
        if (at < s->len) {
            s->data[at] = (uint8_t) (dice(2) ? s->data[at] ^ 1u << dice(8)
                                             : dice(256));
        }

        break;

    default:
        len = dice(s->len - at + 1) % 64;
        memmove(s->data + at, s->data + at + len, s->len - at - len);
        s->len -= len;
        break;
    }
}


int
main(void)
{
    int     i;
    size_t  n;

    static seed_t  s;

    read_corpus();

    ok(nseeds >= 5, "%zu files in " CORPUS, nseeds);

    for (n = 0; n < nseeds; n++) {
        (void) LLVMFuzzerTestOneInput(seeds[n].data, seeds[n].len);
    }

    ok(fuzz_accepted != 0, "%zu times the parser accepted", fuzz_accepted);

    for (i = 0; i < MUTATIONS && nseeds; i++) {
        s = seeds[dice(nseeds)];

        for (n = dice(4) + 1; n; n--) {
            mutate(&s);
        }

        (void) LLVMFuzzerTestOneInput(s.data, s.len);
    }

    ok(i == MUTATIONS, "%d mutations, %zu times accepted", i, fuzz_accepted);

    return done_testing();
}
