
/*
 * Times of ISO 8601, ARNs of rooms and names of regions, against regular
 * expressions and the arithmetic of the calendar.
 */


#include "aws/ngx_ivschat_api.h"

#include "fuzz.h"

#include <regex.h>


static int
matches(regex_t *re, const char *pattern, const char *text)
{
    if (re->re_nsub == 0) {
        must(regcomp(re, pattern, REG_EXTENDED) == 0);
    }

    return regexec(re, text, 0, NULL, 0) == 0;
}


/* Days from 1970-01-01; the year begins in March. */

static int64_t
days(int y, int m, int d)
{
    y -= m <= 2;
    m += m <= 2 ? 9 : -3;

    return INT64_C(365) * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + d
           - 719469;
}


static int
days_in(int y, int m)
{
    return m == 2 ? 28 + ((y % 4 == 0 && y % 100 != 0) || y % 400 == 0)
                  : 30 + (m + m / 8) % 2;
}


/* Milliseconds since the epoch; -1 if it is not a time of these years. */

static int64_t
time_of(const char *text)
{
    int             y, mo, d, h, mi, s, ms, oh, om;
    char           *end, fraction[4] = "000";
    int64_t         t;
    size_t          n;
    static regex_t  re;

    if (!matches(&re, "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:"
                      "[0-9]{2}([.,][0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3])"
                      "(:?[0-5][0-9])?)$", text)
        || sscanf(text, "%4d-%2d-%2d%*c%2d:%2d:%2d", &y, &mo, &d, &h, &mi, &s)
           != 6
        || mo < 1 || mo > 12 || d < 1 || d > days_in(y, mo)
        || h > 23 || mi > 59 || s > 59)
    {
        return -1;
    }

    text += sizeof("0000-00-00T00:00:00") - 1;
    n = *text == '.' || *text == ',' ? strspn(text + 1, "0123456789") : 0;
    memcpy(fraction, text + 1, n < 3 ? n : 3);
    ms = (int) strtol(fraction, &end, 10);
    text += n ? n + 1 : 0;

    oh = om = 0;
    (void) sscanf(text + 1, strchr(text, ':') ? "%2d:%2d" : "%2d%2d", &oh, &om);

    t = ((days(y, mo, d) * 24 + h) * 60 + mi) * 60 + s;
    t -= (*text == '-' ? -60 : 60) * (oh * 60 + om);
    t = t * 1000 + ms;

    return t > INT64_C(253402300799999) ? -1 : t;
}


static void
check_time(const char *text)
{
    int      rc;
    char     buf[NGX_IVSCHAT_TIME_LEN + 1];
    int64_t  ms, again;

    rc = ngx_ivschat_time_parse(text, &ms);
    again = time_of(text);

    must((rc == 0) == (again >= 0));

    if (rc == 0) {
        fuzz_accepted++;

        must(ms == again);
        must(ngx_ivschat_time_format(ms, buf) == 0);
        must(ngx_ivschat_time_parse(buf, &again) == 0);
        must(ms == again && time_of(buf) == ms);
    }
}


static void
check_arn(ngx_ivschat_str_t s, const char *text)
{
    int                     valid;
    char                    host[NGX_IVSCHAT_HOST_MAX + 1];
    size_t                  len;
    static regex_t          room, region;
    ngx_ivschat_str_t       service = S("ivschat");
    ngx_ivschat_room_arn_t  arn;

    valid = strlen(text) == s.len && s.len <= NGX_IVSCHAT_ROOM_ARN_MAX
            && matches(&room, "^arn:aws:ivschat:([a-z0-9-]{1,32}):[0-9]+:room/"
                              "[a-zA-Z0-9-]+$", text);

    must((ngx_ivschat_room_arn_parse(s, &arn) == 0) == valid);

    if (valid) {
        fuzz_accepted++;

        must(arn.region.data == s.data + sizeof("arn:aws:ivschat:") - 1);
        must(arn.account.data == arn.region.data + arn.region.len + 1);
        must(ngx_ivschat_host(service, arn.region, host, sizeof(host), &len)
             == 0);
        must(len == strlen(host));
        must(len == arn.region.len + sizeof("ivschat..amazonaws.com") - 1);
    }

    valid = strlen(text) == s.len
            && matches(&region, "^([a-z0-9-]{1,32})$", text);
    must(ngx_ivschat_region_valid(s) == valid);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char               *text;
    ngx_ivschat_str_t   s;

    s = fuzz_copy(data, len);
    text = fuzz_text(s);

    check_time(text);
    check_arn(s, text);

    free(text);
    fuzz_free(s);

    return 0;
}
