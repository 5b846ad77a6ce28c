
/*
 * The offset of the clock.
 */


#include "tap.h"

#include "aws/ngx_ivschat_errors.h"
#include "aws/ngx_ivschat_retry.h"


#define NOW   INT64_C(1795564800)


int
main(void)
{
    size_t  i;

    static const struct {
        const char   *name;
        int64_t       was;
        int64_t       date;
        int64_t       sent;
        int64_t       received;
        int64_t       skew;
    } cases[] = {
        { "a right clock", 0, NOW, NOW, NOW, 0 },
        { "four minutes ahead are right enough", 0, NOW + 240, NOW, NOW, 0 },
        { "four minutes behind, too", 0, NOW - 240, NOW, NOW, 0 },
        { "a second more is not", 0, NOW + 241, NOW, NOW, 241 },
        { "nor behind", 0, NOW - 241, NOW, NOW, -241 },
        { "an hour", 0, NOW + 3600, NOW, NOW, 3600 },
        { "the middle of the flight counts", 0, NOW + 3600, NOW, NOW + 10,
          3595 },
        { "a clock that was set is right again", 3600, NOW, NOW, NOW, 0 },
        { "no Date tells nothing", 3600, -1, NOW, NOW, 3600 },
        { "nor does a long flight", 7, NOW + 3600, NOW, NOW + 901, 7 },
        { "a quarter of an hour does", 7, NOW + 3600, NOW, NOW + 900, 3150 },
        { "nor a clock that was set meanwhile", 7, NOW + 3600, NOW, NOW - 1,
          7 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is_int(ngx_ivschat_skew(cases[i].was, cases[i].date, cases[i].sent,
                                cases[i].received),
               cases[i].skew, cases[i].name);
    }

    ok(ngx_ivschat_skew_code("InvalidSignatureException"), "a signature");
    ok(ngx_ivschat_skew_code("AccessDeniedException"), "access denied");
    ok(!ngx_ivschat_skew_code("ValidationException"), "a validation");
    ok(!ngx_ivschat_skew_code(""), "no code");

    return done_testing();
}
