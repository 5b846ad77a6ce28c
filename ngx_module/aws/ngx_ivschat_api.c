
/*
 * CreateChatToken of Amazon IVS Chat: its limits, its request and its answer.
 */


#include "ngx_ivschat_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../lib/ngx_ivschat_json.h"


#define NGX_IVSCHAT_REGION_MAX   32

/* 9999-12-31T23:59:59.999Z, the last time that has four digits of year. */
#define NGX_IVSCHAT_TIME_MAX     INT64_C(253402300799999)

#define NGX_IVSCHAT_DATE_FORM    "%Y-%m-%dT%H:%M:%S"

/* All names and punctuation, and a NUL; the most of one byte: \u001f. */
#define NGX_IVSCHAT_JSON_FIXED   256
#define NGX_IVSCHAT_JSON_WORST   6


typedef struct {
    const char   *name;
    unsigned      bit;
} ngx_ivschat_capability_t;


static int ngx_ivschat_request_write(ngx_ivschat_out_t *out,
    const ngx_ivschat_request_t *req);
static void ngx_ivschat_write_capabilities(ngx_ivschat_out_t *out,
    unsigned capabilities, const char *separator);
static int ngx_ivschat_write_attributes(ngx_ivschat_out_t *out,
    const ngx_ivschat_request_t *req);

/* These return the reason of a failure, or NULL. */

static const char *ngx_ivschat_read_answer(const cJSON *object,
    ngx_ivschat_token_t *answer);
static const char *ngx_ivschat_read_time(const cJSON *item, int64_t *ms);

static int ngx_ivschat_time_fraction(ngx_ivschat_str_t *s, int *ms);
static int ngx_ivschat_time_offset(ngx_ivschat_str_t s, int *minutes);


static const ngx_ivschat_capability_t  ngx_ivschat_capability_names[] = {
    { "SEND_MESSAGE", NGX_IVSCHAT_SEND_MESSAGE },
    { "DISCONNECT_USER", NGX_IVSCHAT_DISCONNECT_USER },
    { "DELETE_MESSAGE", NGX_IVSCHAT_DELETE_MESSAGE },
    { NULL, 0 }
};


int
ngx_ivschat_room_arn_parse(ngx_ivschat_str_t s, ngx_ivschat_room_arn_t *arn)
{
    ngx_ivschat_room_arn_t  parts;

    if (s.len > NGX_IVSCHAT_ROOM_ARN_MAX
        || !ngx_ivschat_str_skip(&s, "arn:aws:ivschat:"))
    {
        return -1;
    }

    parts.region = ngx_ivschat_str_cut(&s, ':');
    parts.account = ngx_ivschat_str_cut(&s, ':');

    if (!ngx_ivschat_region_valid(parts.region)
        || parts.account.len == 0
        || !ngx_ivschat_str_only(parts.account, NGX_IVSCHAT_DIGITS)
        || !ngx_ivschat_str_skip(&s, "room/")
        || s.len == 0
        || !ngx_ivschat_str_only(s, NGX_IVSCHAT_LETTERS NGX_IVSCHAT_DIGITS
                                 "-"))
    {
        return -1;
    }

    if (arn != NULL) {
        *arn = parts;
    }

    return 0;
}


int
ngx_ivschat_region_valid(ngx_ivschat_str_t region)
{
    return region.len != 0 && region.len <= NGX_IVSCHAT_REGION_MAX
           && ngx_ivschat_str_only(region, NGX_IVSCHAT_LOWER
                                   NGX_IVSCHAT_DIGITS "-");
}


int
ngx_ivschat_host(ngx_ivschat_str_t service, ngx_ivschat_str_t region,
    char *host, size_t size, size_t *len)
{
    int  n;

    if (!ngx_ivschat_region_valid(service)
        || !ngx_ivschat_region_valid(region))
    {
        return -1;
    }

    n = snprintf(host, size, "%.*s.%.*s.amazonaws.com", (int) service.len,
                 service.data, (int) region.len, region.data);

    if (n < 0 || (size_t) n >= size) {
        return -1;
    }

    *len = (size_t) n;

    return 0;
}


unsigned
ngx_ivschat_capability(ngx_ivschat_str_t name)
{
    const ngx_ivschat_capability_t  *capability;

    for (capability = ngx_ivschat_capability_names;
         capability->bit;
         capability++)
    {
        if (ngx_ivschat_str_is(name, capability->name)) {
            return capability->bit;
        }
    }

    return 0;
}


size_t
ngx_ivschat_capabilities_text(unsigned capabilities,
    char buf[NGX_IVSCHAT_CAPABILITIES_LEN])
{
    ngx_ivschat_out_t  out = { buf, NGX_IVSCHAT_CAPABILITIES_LEN, 0 };

    ngx_ivschat_write_capabilities(&out, capabilities, ",");
    buf[out.len] = '\0';

    return out.len;
}


int
ngx_ivschat_request_json(const ngx_ivschat_request_t *req, char **json,
    size_t *len)
{
    size_t             i;
    ngx_ivschat_out_t  out = { NULL, 0, 0 };

    out.size = NGX_IVSCHAT_JSON_FIXED
               + NGX_IVSCHAT_JSON_WORST * (req->room.len + req->user.len);

    for (i = 0; i < req->nattributes; i++) {
        out.size += NGX_IVSCHAT_JSON_WORST * (req->attributes[i].name.len
                                              + req->attributes[i].value.len)
                    + sizeof("\"\":\"\",");
    }

    out.data = malloc(out.size);
    if (out.data == NULL) {
        return -1;
    }

    if (ngx_ivschat_request_write(&out, req) != 0) {
        free(out.data);
        return -1;
    }

    out.data[out.len] = '\0';

    *json = out.data;
    *len = out.len;

    return 0;
}


static int
ngx_ivschat_request_write(ngx_ivschat_out_t *out,
    const ngx_ivschat_request_t *req)
{
    char  number[16];

    ngx_ivschat_out_text(out, "{\"roomIdentifier\":");

    if (ngx_ivschat_json_write(out, req->room) != 0) {
        return -1;
    }

    ngx_ivschat_out_text(out, ",\"userId\":");

    if (ngx_ivschat_json_write(out, req->user) != 0) {
        return -1;
    }

    if (req->capabilities != 0) {
        ngx_ivschat_out_text(out, ",\"capabilities\":[\"");
        ngx_ivschat_write_capabilities(out, req->capabilities, "\",\"");
        ngx_ivschat_out_text(out, "\"]");
    }

    if (req->duration != 0) {
        (void) snprintf(number, sizeof(number), "%u", req->duration);
        ngx_ivschat_out_text(out, ",\"sessionDurationInMinutes\":");
        ngx_ivschat_out_text(out, number);
    }

    if (req->nattributes != 0
        && ngx_ivschat_write_attributes(out, req) != 0)
    {
        return -1;
    }

    ngx_ivschat_out_text(out, "}");

    return 0;
}


static void
ngx_ivschat_write_capabilities(ngx_ivschat_out_t *out, unsigned capabilities,
    const char *separator)
{
    const char                      *before;
    const ngx_ivschat_capability_t  *capability;

    before = "";

    for (capability = ngx_ivschat_capability_names;
         capability->bit;
         capability++)
    {
        if (capabilities & capability->bit) {
            ngx_ivschat_out_text(out, before);
            ngx_ivschat_out_text(out, capability->name);
            before = separator;
        }
    }
}


static int
ngx_ivschat_write_attributes(ngx_ivschat_out_t *out,
    const ngx_ivschat_request_t *req)
{
    size_t  i;

    ngx_ivschat_out_text(out, ",\"attributes\":");

    for (i = 0; i < req->nattributes; i++) {
        ngx_ivschat_out_text(out, i == 0 ? "{" : ",");

        if (ngx_ivschat_json_write(out, req->attributes[i].name) != 0) {
            return -1;
        }

        ngx_ivschat_out_text(out, ":");

        if (ngx_ivschat_json_write(out, req->attributes[i].value) != 0) {
            return -1;
        }
    }

    ngx_ivschat_out_text(out, "}");

    return 0;
}


int
ngx_ivschat_token_parse(const char *body, size_t len,
    ngx_ivschat_token_t *answer, const char **reason)
{
    cJSON              *object;
    ngx_ivschat_str_t   text = { body, len };

    memset(answer, 0, sizeof(ngx_ivschat_token_t));

    object = ngx_ivschat_json_object(text, NGX_IVSCHAT_ANSWER_DEPTH, reason);
    if (object == NULL) {
        return -1;
    }

    *reason = ngx_ivschat_read_answer(object, answer);

    ngx_ivschat_json_delete(object);

    return *reason == NULL ? 0 : -1;
}


static const char *
ngx_ivschat_read_answer(const cJSON *object, ngx_ivschat_token_t *answer)
{
    const char         *reason, *twice;
    ngx_ivschat_str_t   token;

    ngx_ivschat_json_member_t  members[] = {
        { "token", NULL },
        { "sessionExpirationTime", NULL },
        { "tokenExpirationTime", NULL }
    };

    twice = ngx_ivschat_json_members(object, members, 3);

    if (twice != NULL) {
        return strcmp(twice, "token") == 0
               ? "there is more than one token"
               : "an expiration time is there more than once";
    }

    reason = ngx_ivschat_read_time(members[1].item,
                                   &answer->session_expiration);

    if (reason == NULL) {
        reason = ngx_ivschat_read_time(members[2].item,
                                       &answer->token_expiration);
    }

    if (reason != NULL) {
        return reason;
    }

    if (members[0].item == NULL) {
        return "there is no token";
    }

    token = ngx_ivschat_json_text(members[0].item);

    if (token.data == NULL) {
        return "the token is not a string";
    }

    if (token.len == 0) {
        return "the token is empty";
    }

    answer->token = strdup(token.data);

    return answer->token != NULL ? NULL : "no memory";
}


static const char *
ngx_ivschat_read_time(const cJSON *item, int64_t *ms)
{
    double  number;

    if (item == NULL) {
        return "an expiration time is missing";
    }

    if (cJSON_IsNumber(item)) {
        number = item->valuedouble;

        if (number < 0 || number >= (double) (NGX_IVSCHAT_TIME_MAX / 1000)) {
            return "an expiration time is out of range";
        }

        *ms = (int64_t) (number * 1000 + 0.5);

        return NULL;
    }

    if (!cJSON_IsString(item)) {
        return "an expiration time is neither a string nor a number";
    }

    if (ngx_ivschat_time_parse(ngx_ivschat_json_text(item), ms) != 0) {
        return "an expiration time is not ISO 8601";
    }

    return NULL;
}


int
ngx_ivschat_token_json(const ngx_ivschat_token_t *answer, char **json,
    size_t *len)
{
    char               session[NGX_IVSCHAT_TIME_LEN + 1];
    char               token[NGX_IVSCHAT_TIME_LEN + 1];
    ngx_ivschat_out_t  out = { NULL, 0, 0 };

    if (answer->token == NULL
        || ngx_ivschat_time_format(answer->session_expiration, session) != 0
        || ngx_ivschat_time_format(answer->token_expiration, token) != 0)
    {
        return -1;
    }

    out.size = NGX_IVSCHAT_JSON_FIXED
               + NGX_IVSCHAT_JSON_WORST * strlen(answer->token);

    out.data = malloc(out.size);
    if (out.data == NULL) {
        return -1;
    }

    ngx_ivschat_out_text(&out, "{\"token\":");

    if (ngx_ivschat_json_write(&out, ngx_ivschat_str(answer->token)) != 0) {
        free(out.data);
        return -1;
    }

    ngx_ivschat_out_text(&out, ",\"sessionExpirationTime\":\"");
    ngx_ivschat_out_text(&out, session);
    ngx_ivschat_out_text(&out, "\",\"tokenExpirationTime\":\"");
    ngx_ivschat_out_text(&out, token);
    ngx_ivschat_out_text(&out, "\"}");
    out.data[out.len] = '\0';

    *json = out.data;
    *len = out.len;

    return 0;
}


void
ngx_ivschat_token_free(ngx_ivschat_token_t *answer)
{
    if (answer->token != NULL) {
        explicit_bzero(answer->token, strlen(answer->token));
        free(answer->token);
        answer->token = NULL;
    }
}


int
ngx_ivschat_time_parse(ngx_ivschat_str_t s, int64_t *ms)
{
    int        fraction, offset;
    char       date[sizeof("0000-00-00T00:00:00")], again[sizeof(date)];
    size_t     i;
    time_t     sec;
    struct tm  tm;

    static const char  form[] = "0000-00-00T00:00:00";

    if (s.len < sizeof(form)) {
        return -1;
    }

    for (i = 0; form[i]; i++) {
        date[i] = s.data[i] == 't' ? 'T' : s.data[i];

        if (form[i] == '0' ? date[i] < '0' || date[i] > '9'
                           : date[i] != form[i])
        {
            return -1;
        }
    }

    date[i] = '\0';
    s.data += i;
    s.len -= i;

    if (ngx_ivschat_time_fraction(&s, &fraction) != 0
        || ngx_ivschat_time_offset(s, &offset) != 0)
    {
        return -1;
    }

    memset(&tm, 0, sizeof(struct tm));

    (void) sscanf(date, "%d-%d-%dT%d:%d:%d", &tm.tm_year, &tm.tm_mon,
                  &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec);
    tm.tm_year -= 1900;
    tm.tm_mon--;

    sec = timegm(&tm);

    /* what the calendar does not have, timegm() takes for another time */

    if (strftime(again, sizeof(again), NGX_IVSCHAT_DATE_FORM, &tm) == 0
        || strcmp(again, date) != 0)
    {
        return -1;
    }

    *ms = ((int64_t) sec - offset * 60) * 1000 + fraction;

    return *ms < 0 || *ms > NGX_IVSCHAT_TIME_MAX ? -1 : 0;
}


static int
ngx_ivschat_time_fraction(ngx_ivschat_str_t *s, int *ms)
{
    int  scale;

    *ms = 0;

    if (!ngx_ivschat_str_skip(s, ".") && !ngx_ivschat_str_skip(s, ",")) {
        return 0;
    }

    for (scale = 100;
         s->len != 0 && *s->data >= '0' && *s->data <= '9';
         scale /= 10)
    {
        *ms += (*s->data - '0') * scale;
        s->data++;
        s->len--;
    }

    return scale == 100 ? -1 : 0;
}


static int
ngx_ivschat_time_offset(ngx_ivschat_str_t s, int *minutes)
{
    int   sign;
    char  digits[4];

    *minutes = 0;

    if (ngx_ivschat_str_is(s, "Z") || ngx_ivschat_str_is(s, "z")) {
        return 0;
    }

    sign = ngx_ivschat_str_skip(&s, "-") ? -1 : 1;

    if (sign == 1 && !ngx_ivschat_str_skip(&s, "+")) {
        return -1;
    }

    memcpy(digits, "0000", 4);

    if (s.len == 5 && s.data[2] == ':') {
        memcpy(digits, s.data, 2);
        memcpy(digits + 2, s.data + 3, 2);

    } else if (s.len == 4 || s.len == 2) {
        memcpy(digits, s.data, s.len);

    } else {
        return -1;
    }

    s.data = digits;
    s.len = 4;

    if (!ngx_ivschat_str_only(s, NGX_IVSCHAT_DIGITS)
        || memcmp(digits, "23", 2) > 0 || memcmp(digits + 2, "59", 2) > 0)
    {
        return -1;
    }

    *minutes = sign * ((digits[0] - '0') * 600 + (digits[1] - '0') * 60
                       + (digits[2] - '0') * 10 + digits[3] - '0');

    return 0;
}


int
ngx_ivschat_time_format(int64_t ms, char buf[NGX_IVSCHAT_TIME_LEN + 1])
{
    time_t     sec;
    struct tm  tm;

    if (ms < 0 || ms > NGX_IVSCHAT_TIME_MAX) {
        return -1;
    }

    sec = (time_t) (ms / 1000);

    if (gmtime_r(&sec, &tm) == NULL) {
        return -1;
    }

    (void) strftime(buf, NGX_IVSCHAT_TIME_LEN + 1, NGX_IVSCHAT_DATE_FORM, &tm);
    (void) sprintf(buf + sizeof("0000-00-00T00:00:00") - 1, ".%03dZ",
                   (int) (ms % 1000));

    return 0;
}
