
/*
 * As much of the Test Anything Protocol as a unit test needs.
 */


#ifndef _TAP_H_INCLUDED_
#define _TAP_H_INCLUDED_


#include <stdarg.h>
#include <stdio.h>
#include <string.h>


static int  tap_tests;
static int  tap_failed;


/* A "#" would begin a directive, and a control would break the line. */

static inline void
tap_put(const char *text)
{
    for ( /* void */ ; *text; text++) {
        putchar((*text < ' ' || *text > '~' || *text == '#') ? '?' : *text);
    }
}


static inline int
tap_result(int passed, const char *name)
{
    tap_tests++;

    if (!passed) {
        tap_failed++;
    }

    printf("%sok %d - ", passed ? "" : "not ", tap_tests);
    tap_put(name);
    putchar('\n');

    return passed;
}


__attribute__((format(printf, 2, 3)))
static inline int
ok(int passed, const char *fmt, ...)
{
    char     name[256];
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(name, sizeof(name), fmt, args);
    va_end(args);

    return tap_result(passed, name);
}


__attribute__((format(printf, 3, 4)))
static inline int
is_str(const char *got, const char *expected, const char *fmt, ...)
{
    int      passed;
    char     name[256];
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(name, sizeof(name), fmt, args);
    va_end(args);

    passed = tap_result(got != NULL && strcmp(got, expected) == 0, name);

    if (!passed) {
        printf("#      got: ");
        tap_put(got != NULL ? got : "(null)");
        printf("\n# expected: ");
        tap_put(expected);
        printf("\n");
    }

    return passed;
}


__attribute__((format(printf, 3, 4)))
static inline int
is_int(long long got, long long expected, const char *fmt, ...)
{
    int      passed;
    char     name[256];
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(name, sizeof(name), fmt, args);
    va_end(args);

    passed = tap_result(got == expected, name);

    if (!passed) {
        printf("#      got: %lld\n# expected: %lld\n", got, expected);
    }

    return passed;
}


/* Prints the plan; what main() returns. */

static inline int
done_testing(void)
{
    printf("1..%d\n", tap_tests);

    return tap_failed != 0 || tap_tests == 0;
}


#endif /* _TAP_H_INCLUDED_ */
