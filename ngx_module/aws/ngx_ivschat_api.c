
/*
 * CreateChatToken of Amazon IVS Chat: limits, request, answer and times.
 */


#define _GNU_SOURCE 1   /* strptime() */

#include "ngx_ivschat_api.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../lib/ngx_ivschat_json.h"


#define NGX_IVSCHAT_REGION_MAX   32

/* 9999-12-31T23:59:59.999Z, the last with a year of four digits */
#define NGX_IVSCHAT_TIME_MAX     INT64_C(253402300799999)

#define NGX_IVSCHAT_DATE_FORM    "%Y-%m-%dT%H:%M:%S"

/* All names, punctuation and a NUL; the longest form of a byte: \u001f. */
#define NGX_IVSCHAT_JSON_FIXED   256
#define NGX_IVSCHAT_JSON_WORST   6


static void ngx_ivschat_write_capabilities(ngx_ivschat_out_t *out,
    unsigned capabilities, const char *separator);
static void ngx_ivschat_write_attributes(ngx_ivschat_out_t *out,
    const ngx_ivschat_request_t *req);
static int ngx_ivschat_write_end(ngx_ivschat_out_t *out, char **json,
    size_t *len);

/* These return the reason of a failure, or NULL. */

static const char *ngx_ivschat_read_answer(const cJSON *object,
    ngx_ivschat_token_t *answer);
static const char *ngx_ivschat_read_time(const cJSON *item, int64_t *ms);


static const struct {
    unsigned      bit;
    const char   *name;
} ngx_ivschat_capability_names[] = {
    { NGX_IVSCHAT_SEND_MESSAGE, "SEND_MESSAGE" },
    { NGX_IVSCHAT_DISCONNECT_USER, "DISCONNECT_USER" },
    { NGX_IVSCHAT_DELETE_MESSAGE, "DELETE_MESSAGE" }
};

#define NGX_IVSCHAT_NCAPABILITIES                                             \
    (sizeof(ngx_ivschat_capability_names)                                     \
     / sizeof(ngx_ivschat_capability_names[0]))


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
    size_t  i;

    for (i = 0; i < NGX_IVSCHAT_NCAPABILITIES; i++) {
        if (ngx_ivschat_str_is(name, ngx_ivschat_capability_names[i].name)) {
            return ngx_ivschat_capability_names[i].bit;
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
    char               duration[16];
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

    ngx_ivschat_out_text(&out, "{\"roomIdentifier\":");
    ngx_ivschat_json_write(&out, req->room);
    ngx_ivschat_out_text(&out, ",\"userId\":");
    ngx_ivschat_json_write(&out, req->user);

    if (req->capabilities != 0) {
        ngx_ivschat_out_text(&out, ",\"capabilities\":[\"");
        ngx_ivschat_write_capabilities(&out, req->capabilities, "\",\"");
        ngx_ivschat_out_text(&out, "\"]");
    }

    if (req->duration != 0) {
        (void) snprintf(duration, sizeof(duration), "%u", req->duration);
        ngx_ivschat_out_text(&out, ",\"sessionDurationInMinutes\":");
        ngx_ivschat_out_text(&out, duration);
    }

    ngx_ivschat_write_attributes(&out, req);

    return ngx_ivschat_write_end(&out, json, len);
}


static void
ngx_ivschat_write_capabilities(ngx_ivschat_out_t *out, unsigned capabilities,
    const char *separator)
{
    size_t       i;
    const char  *before;

    before = "";

    for (i = 0; i < NGX_IVSCHAT_NCAPABILITIES; i++) {
        if (capabilities & ngx_ivschat_capability_names[i].bit) {
            ngx_ivschat_out_text(out, before);
            ngx_ivschat_out_text(out, ngx_ivschat_capability_names[i].name);
            before = separator;
        }
    }
}


static void
ngx_ivschat_write_attributes(ngx_ivschat_out_t *out,
    const ngx_ivschat_request_t *req)
{
    size_t  i;

    for (i = 0; i < req->nattributes; i++) {
        ngx_ivschat_out_text(out, i == 0 ? ",\"attributes\":{" : ",");
        ngx_ivschat_json_write(out, req->attributes[i].name);
        ngx_ivschat_out_text(out, ":");
        ngx_ivschat_json_write(out, req->attributes[i].value);
    }

    ngx_ivschat_out_text(out, i == 0 ? "" : "}");
}


/* Closes the object; the text is freed if it is not complete. */

static int
ngx_ivschat_write_end(ngx_ivschat_out_t *out, char **json, size_t *len)
{
    ngx_ivschat_out_text(out, "}");

    if (out->len >= out->size) {
        free(out->data);
        return -1;
    }

    out->data[out->len] = '\0';

    *json = out->data;
    *len = out->len;

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
    const char         *reason, *duplicate;
    ngx_ivschat_str_t   token;

    ngx_ivschat_json_member_t  members[] = {
        { "token", NULL },
        { "sessionExpirationTime", NULL },
        { "tokenExpirationTime", NULL }
    };

    duplicate = ngx_ivschat_json_members(object, members, 3);

    if (duplicate != NULL) {
        return duplicate == members[0].name ? "duplicate token"
                                            : "duplicate expiration time";
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
        return "no token";
    }

    token = ngx_ivschat_json_text(members[0].item);

    if (token.len == 0) {
        return "the token is not a string or is empty";
    }

    answer->token = strdup(token.data);

    return answer->token != NULL ? NULL : "no memory";
}


static const char *
ngx_ivschat_read_time(const cJSON *item, int64_t *ms)
{
    double  number;

    if (item == NULL) {
        return "no expiration time";
    }

    if (cJSON_IsNumber(item)) {
        number = item->valuedouble;

        if (number < 0 || number >= (double) (NGX_IVSCHAT_TIME_MAX / 1000)) {
            return "an expiration time is out of range";
        }

        *ms = (int64_t) (number * 1000 + 0.5);

        return NULL;
    }

    if (!cJSON_IsString(item)
        || ngx_ivschat_time_parse(item->valuestring, ms) != 0)
    {
        return "an expiration time is neither ISO 8601 nor a number";
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
    ngx_ivschat_json_write(&out, ngx_ivschat_str(answer->token));
    ngx_ivschat_out_text(&out, ",\"sessionExpirationTime\":\"");
    ngx_ivschat_out_text(&out, session);
    ngx_ivschat_out_text(&out, "\",\"tokenExpirationTime\":\"");
    ngx_ivschat_out_text(&out, token);
    ngx_ivschat_out_text(&out, "\"");

    return ngx_ivschat_write_end(&out, json, len);
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
ngx_ivschat_time_parse(const char *s, int64_t *ms)
{
    int          fraction, scale;
    char         date[] = "0000-00-00T00:00:00", again[sizeof(date)];
    struct tm    tm, zone;

    (void) snprintf(date, sizeof(date), "%s", s);

    date[10] = date[10] == 't' ? 'T' : date[10];

    memset(&tm, 0, sizeof(struct tm));

    /* a year of three digits would end the text before the zone */

    if (strlen(date) != sizeof(date) - 1
        || strptime(date, NGX_IVSCHAT_DATE_FORM, &tm) == NULL)
    {
        return -1;
    }

    *ms = (int64_t) timegm(&tm) * 1000;

    /* strptime() skips blanks, and timegm() accepts February 30 */

    if (strftime(again, sizeof(again), NGX_IVSCHAT_DATE_FORM, &tm) == 0
        || strcmp(again, date) != 0)
    {
        return -1;
    }

    s += sizeof(date) - 1;

    if (*s == '.' || *s == ',') {
        fraction = 0;
        scale = 100;

        for (s++; *s >= '0' && *s <= '9'; s++) {
            fraction += (*s - '0') * scale;
            scale /= 10;
        }

        if (scale == 100) {
            return -1;
        }

        *ms += fraction;
    }

    /* not every libc reads "Z" as a zone */

    if (*s == '+' || *s == '-') {
        s = strptime(s, "%z", &zone);

        if (s == NULL || labs(zone.tm_gmtoff) >= 24 * 60 * 60) {
            return -1;
        }

        *ms -= (int64_t) zone.tm_gmtoff * 1000;

    } else if (*s++ != 'Z' && s[-1] != 'z') {
        return -1;
    }

    if (*s != '\0') {
        return -1;
    }

    return *ms < 0 || *ms > NGX_IVSCHAT_TIME_MAX ? -1 : 0;
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
    (void) gmtime_r(&sec, &tm);

    (void) strftime(buf, NGX_IVSCHAT_TIME_LEN + 1, NGX_IVSCHAT_DATE_FORM, &tm);
    (void) sprintf(buf + sizeof("0000-00-00T00:00:00") - 1, ".%03dZ",
                   (int) (ms % 1000));

    return 0;
}
