
/*
 * t/fuzz/body_fuzz.c without libFuzzer: its corpus, and the same mutations of
 * it each time.  A check that fails there aborts, which the status shows.
 */


#include "../fuzz/body_fuzz.c"

#include <dirent.h>

#include "tap.h"


#define CORPUS      "t/fuzz/corpus/body"
#define MUTATIONS   8000
#define SEEDS_MAX   256


typedef struct {
    size_t     len;
    uint8_t    data[NGX_IVSCHAT_BODY_MAX];
} seed_t;


static seed_t    seeds[SEEDS_MAX];
static size_t    nseeds;
static uint64_t  state = 20261125;

/* What makes JSON of bytes, and numbers and names that count. */

static const char  *pieces[] = {
    "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u0000", "\\ud83d", "\\u0061",
    "null", "true", "-", "1e400", "0.5", "180", "4294967297", " ", "\n",
    "\"arn\"", "\"roomIdentifier\"", "\"attributes\"", "\"capabilities\"",
    "\"SEND_MESSAGE\"", "\"DELETE_MESSAGE\"", "\"durationInMinutes\"",
    "\"username\"", "\"avatar\"", "\"a\"", "[[[[[[[[[[[[[[[[", "\xff",
    "\xed\xa0\x80", "\xc3\xa9"
};


/* xorshift: the same everywhere. */

static size_t
dice(size_t sides)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;

    return (size_t) (state % sides);
}


static int
by_name(const struct dirent **one, const struct dirent **two)
{
    return strcmp((*one)->d_name, (*two)->d_name);
}


static void
read_corpus(void)
{
    int              i, n;
    char             path[512];
    FILE            *file;
    struct dirent  **names;

    n = scandir(CORPUS, &names, NULL, by_name);

    for (i = 0; i < n; i++) {

        if (names[i]->d_name[0] != '.' && nseeds < SEEDS_MAX) {

            snprintf(path, sizeof(path), CORPUS "/%s", names[i]->d_name);
            file = fopen(path, "rb");

            if (file != NULL) {
                seeds[nseeds].len = fread(seeds[nseeds].data, 1,
                                          NGX_IVSCHAT_BODY_MAX, file);
                nseeds++;
                fclose(file);
            }
        }

        free(names[i]);
    }

    if (n > 0) {
        free(names);
    }
}


/* Puts a piece over, or between, what is there. */

static void
put(seed_t *s, const uint8_t *piece, size_t len)
{
    size_t  at, over;

    at = dice(s->len + 1);
    over = dice(2) ? 0 : dice(s->len - at + 1) % (len + 1);

    if (s->len - over + len > NGX_IVSCHAT_BODY_MAX) {
        return;
    }

    memmove(s->data + at + len, s->data + at + over, s->len - at - over);
    memcpy(s->data + at, piece, len);
    s->len += len - over;
}


static void
mutate(seed_t *s)
{
    uint8_t        byte;
    size_t         at, len;
    const char    *piece;
    const seed_t  *other;

    switch (dice(6)) {

    case 0:
        byte = (uint8_t) dice(256);
        put(s, &byte, 1);
        break;

    case 1:
        if (s->len) {
            s->data[dice(s->len)] ^= (uint8_t) (1 << dice(8));
        }
        break;

    case 2:
        at = dice(s->len + 1);
        len = dice(s->len - at + 1);
        memmove(s->data + at, s->data + at + len, s->len - at - len);
        s->len -= len;
        break;

    case 3:
        other = &seeds[dice(nseeds)];
        at = dice(other->len + 1);
        put(s, other->data + at, dice(other->len - at + 1));
        break;

    default:
        piece = pieces[dice(size(pieces))];
        put(s, (const uint8_t *) piece, strlen(piece));
        break;
    }
}


int
main(void)
{
    int     i;
    size_t  n, taken;

    static seed_t  s;

    read_corpus();

    ok(nseeds >= 20, "%zu files in " CORPUS, nseeds);

    if (nseeds == 0) {
        return done_testing();
    }

    for (n = 0; n < nseeds; n++) {
        (void) LLVMFuzzerTestOneInput(seeds[n].data, seeds[n].len);
    }

    ok(1, "all of them hold what must hold");

    for (i = taken = 0; i < MUTATIONS; i++) {
        s = seeds[dice(nseeds)];

        for (n = dice(4) + 1; n; n--) {
            mutate(&s);
        }

        (void) LLVMFuzzerTestOneInput(s.data, s.len);

        /* mutations that never are a body would test nothing */

        {
            reading_t  rd;

            reading_begin(&rd, (const char *) s.data, s.len, "");
            taken += rd.rc == 0;
            reading_end(&rd);
        }
    }

    ok(taken > MUTATIONS / 50 && taken < MUTATIONS / 2,
       "%d mutations do, of which %zu are read", MUTATIONS, taken);

    return done_testing();
}
