
/*
 * CreateChatToken of Amazon IVS Chat: its limits, its request, its answers.
 */


#include "ngx_ivschat_api.h"

#include <stdlib.h>

#include "../lib/ngx_ivschat_json.h"


#define NGX_IVSCHAT_REGION_MAX     32
#define NGX_IVSCHAT_ANSWER_DEPTH   CJSON_NESTING_LIMIT

/* 9999-12-31T23:59:59.999Z, the last time that has four digits of year. */
#define NGX_IVSCHAT_TIME_MAX     INT64_C(253402300799999)


typedef struct {
    ngx_ivschat_str_t   prefix;
    ngx_ivschat_str_t   suffix;
} ngx_ivschat_partition_t;

typedef struct {
    ngx_ivschat_str_t   name;
    unsigned            bit;
} ngx_ivschat_capability_t;


static int ngx_ivschat_skip(ngx_ivschat_str_t *s, const char *prefix);
static ngx_ivschat_str_t ngx_ivschat_cut(ngx_ivschat_str_t *s, char c);
static int ngx_ivschat_in_partition(ngx_ivschat_str_t region,
    ngx_ivschat_str_t prefix);

static int ngx_ivschat_add_string(cJSON *object, ngx_ivschat_str_t name,
    ngx_ivschat_str_t value);
static int ngx_ivschat_add_capabilities(cJSON *object, unsigned capabilities);
static int ngx_ivschat_add_attributes(cJSON *object,
    const ngx_ivschat_request_t *req);
static int ngx_ivschat_print(cJSON *object, char **json, size_t *len);

static const cJSON *ngx_ivschat_member(const cJSON *object, const char *name,
    int *n);
static const char *ngx_ivschat_read_token(const cJSON *object, char **token);
static const char *ngx_ivschat_read_time(const cJSON *object,
    const char *name, int64_t *ms);

static int ngx_ivschat_number(ngx_ivschat_str_t *s, size_t digits, int *n);
static int ngx_ivschat_fraction(ngx_ivschat_str_t *s, int *ms);
static int ngx_ivschat_offset(ngx_ivschat_str_t *s, int *minutes);
static int64_t ngx_ivschat_days(int year, int month, int day);
static int ngx_ivschat_month_days(int year, int month);
static char *ngx_ivschat_digits(char *p, int n, int width);

static int ngx_ivschat_set_code(ngx_ivschat_error_t *error,
    ngx_ivschat_str_t s);
static int ngx_ivschat_set_code_member(ngx_ivschat_error_t *error,
    const cJSON *object, const char *name);
static void ngx_ivschat_set_message(ngx_ivschat_error_t *error,
    const char *text);


/*
 * The partitions whose hosts do not end in amazonaws.com, by the beginning of
 * their regions' names.  What follows it is a word, a dash and digits.
 */

static const ngx_ivschat_partition_t  ngx_ivschat_partitions[] = {
    { ngx_ivschat_string("cn-"), ngx_ivschat_string("amazonaws.com.cn") },
    { ngx_ivschat_string("eusc-de-"), ngx_ivschat_string("amazonaws.eu") },
    { ngx_ivschat_string("us-iso-"), ngx_ivschat_string("c2s.ic.gov") },
    { ngx_ivschat_string("us-isob-"), ngx_ivschat_string("sc2s.sgov.gov") },
    { ngx_ivschat_string("eu-isoe-"), ngx_ivschat_string("cloud.adc-e.uk") },
    { ngx_ivschat_string("us-isof-"), ngx_ivschat_string("csp.hci.ic.gov") },
    { ngx_ivschat_string(""), ngx_ivschat_string("") }
};


static const ngx_ivschat_capability_t  ngx_ivschat_capability_names[] = {
    { ngx_ivschat_string("SEND_MESSAGE"), NGX_IVSCHAT_SEND_MESSAGE },
    { ngx_ivschat_string("DISCONNECT_USER"), NGX_IVSCHAT_DISCONNECT_USER },
    { ngx_ivschat_string("DELETE_MESSAGE"), NGX_IVSCHAT_DELETE_MESSAGE },
    { ngx_ivschat_string(""), 0 }
};


int
ngx_ivschat_room_arn_parse(ngx_ivschat_str_t s, ngx_ivschat_room_arn_t *arn)
{
    char                    c;
    size_t                  i;
    ngx_ivschat_room_arn_t  parts;

    if (s.len > NGX_IVSCHAT_ROOM_ARN_MAX
        || ngx_ivschat_skip(&s, "arn:aws:ivschat:") != 0)
    {
        return -1;
    }

    parts.region = ngx_ivschat_cut(&s, ':');

    if (!ngx_ivschat_region_valid(parts.region)) {
        return -1;
    }

    parts.account = ngx_ivschat_cut(&s, ':');

    if (parts.account.len == 0) {
        return -1;
    }

    for (i = 0; i < parts.account.len; i++) {
        c = parts.account.data[i];

        if (c < '0' || c > '9') {
            return -1;
        }
    }

    if (ngx_ivschat_skip(&s, "room/") != 0 || s.len == 0) {
        return -1;
    }

    parts.id = s;

    for (i = 0; i < parts.id.len; i++) {
        c = parts.id.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '-'))
        {
            return -1;
        }
    }

    if (arn != NULL) {
        *arn = parts;
    }

    return 0;
}


int
ngx_ivschat_region_valid(ngx_ivschat_str_t region)
{
    char    c;
    size_t  i;

    if (region.len == 0 || region.len > NGX_IVSCHAT_REGION_MAX) {
        return 0;
    }

    for (i = 0; i < region.len; i++) {
        c = region.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return 0;
        }
    }

    return 1;
}


int
ngx_ivschat_host(ngx_ivschat_str_t service, ngx_ivschat_str_t region,
    char *host, size_t size, size_t *len)
{
    char   *p;
    size_t  n;
    ngx_ivschat_str_t               suffix = ngx_ivschat_string(
                                                 "amazonaws.com");
    const ngx_ivschat_partition_t  *partition;

    if (!ngx_ivschat_region_valid(service)
        || !ngx_ivschat_region_valid(region))
    {
        return -1;
    }

    for (partition = ngx_ivschat_partitions;
         partition->prefix.len;
         partition++)
    {
        if (ngx_ivschat_in_partition(region, partition->prefix)) {
            suffix = partition->suffix;
            break;
        }
    }

    n = service.len + 1 + region.len + 1 + suffix.len;

    if (n >= size) {
        return -1;
    }

    p = host;
    memcpy(p, service.data, service.len);
    p += service.len;
    *p++ = '.';
    memcpy(p, region.data, region.len);
    p += region.len;
    *p++ = '.';
    memcpy(p, suffix.data, suffix.len);
    p += suffix.len;
    *p = '\0';

    *len = n;

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
        if (name.len == capability->name.len
            && memcmp(name.data, capability->name.data, name.len) == 0)
        {
            return capability->bit;
        }
    }

    return 0;
}


size_t
ngx_ivschat_capabilities_text(unsigned capabilities,
    char buf[NGX_IVSCHAT_CAPABILITIES_LEN])
{
    char                            *p;
    const ngx_ivschat_capability_t  *capability;

    p = buf;

    for (capability = ngx_ivschat_capability_names;
         capability->bit;
         capability++)
    {
        if (!(capabilities & capability->bit)) {
            continue;
        }

        if (p != buf) {
            *p++ = ',';
        }

        memcpy(p, capability->name.data, capability->name.len);
        p += capability->name.len;
    }

    *p = '\0';

    return (size_t) (p - buf);
}


int
ngx_ivschat_request_json(const ngx_ivschat_request_t *req, char **json,
    size_t *len)
{
    int     rc;
    cJSON  *object;
    ngx_ivschat_str_t  room = ngx_ivschat_string("roomIdentifier");
    ngx_ivschat_str_t  user = ngx_ivschat_string("userId");

    object = cJSON_CreateObject();
    if (object == NULL) {
        return -1;
    }

    rc = -1;

    if (ngx_ivschat_add_string(object, room, req->room) != 0
        || ngx_ivschat_add_string(object, user, req->user) != 0
        || ngx_ivschat_add_capabilities(object, req->capabilities) != 0)
    {
        goto done;
    }

    if (req->duration != 0
        && cJSON_AddNumberToObject(object, "sessionDurationInMinutes",
                                   req->duration)
        == NULL)
    {
        goto done;
    }

    if (ngx_ivschat_add_attributes(object, req) != 0) {
        goto done;
    }

    rc = ngx_ivschat_print(object, json, len);

done:

    cJSON_Delete(object);

    return rc;
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

    *reason = ngx_ivschat_read_time(object, "sessionExpirationTime",
                                    &answer->session_expiration);

    if (*reason == NULL) {
        *reason = ngx_ivschat_read_time(object, "tokenExpirationTime",
                                        &answer->token_expiration);
    }

    if (*reason == NULL) {
        *reason = ngx_ivschat_read_token(object, &answer->token);
    }

    ngx_ivschat_json_delete(object);

    return *reason == NULL ? 0 : -1;
}


int
ngx_ivschat_token_json(const ngx_ivschat_token_t *answer, char **json,
    size_t *len)
{
    int     rc;
    char    session[NGX_IVSCHAT_TIME_LEN + 1];
    char    token[NGX_IVSCHAT_TIME_LEN + 1];
    cJSON  *object;

    if (ngx_ivschat_time_format(answer->session_expiration, session) != 0
        || ngx_ivschat_time_format(answer->token_expiration, token) != 0)
    {
        return -1;
    }

    object = cJSON_CreateObject();
    if (object == NULL) {
        return -1;
    }

    rc = -1;

    if (cJSON_AddStringToObject(object, "token", answer->token) != NULL
        && cJSON_AddStringToObject(object, "sessionExpirationTime", session)
        != NULL
        && cJSON_AddStringToObject(object, "tokenExpirationTime", token)
        != NULL)
    {
        rc = ngx_ivschat_print(object, json, len);
    }

    ngx_ivschat_json_delete(object);

    return rc;
}


void
ngx_ivschat_token_free(ngx_ivschat_token_t *answer)
{
    if (answer->token == NULL) {
        return;
    }

    explicit_bzero(answer->token, strlen(answer->token));
    free(answer->token);
    answer->token = NULL;
}


int
ngx_ivschat_time_parse(ngx_ivschat_str_t s, int64_t *ms)
{
    int      year, month, day, hour, minute, second, fraction, offset;
    int64_t  t;

    if (ngx_ivschat_number(&s, 4, &year) != 0
        || ngx_ivschat_skip(&s, "-") != 0
        || ngx_ivschat_number(&s, 2, &month) != 0
        || ngx_ivschat_skip(&s, "-") != 0
        || ngx_ivschat_number(&s, 2, &day) != 0
        || (ngx_ivschat_skip(&s, "T") != 0 && ngx_ivschat_skip(&s, "t") != 0)
        || ngx_ivschat_number(&s, 2, &hour) != 0
        || ngx_ivschat_skip(&s, ":") != 0
        || ngx_ivschat_number(&s, 2, &minute) != 0
        || ngx_ivschat_skip(&s, ":") != 0
        || ngx_ivschat_number(&s, 2, &second) != 0
        || ngx_ivschat_fraction(&s, &fraction) != 0
        || ngx_ivschat_offset(&s, &offset) != 0
        || s.len != 0)
    {
        return -1;
    }

    if (month < 1 || month > 12
        || day < 1 || day > ngx_ivschat_month_days(year, month)
        || hour > 23 || minute > 59 || second > 59)
    {
        return -1;
    }

    t = ngx_ivschat_days(year, month, day) * 24 + hour;
    t = (t * 60 + minute - offset) * 60 + second;
    t = t * 1000 + fraction;

    if (t < 0 || t > NGX_IVSCHAT_TIME_MAX) {
        return -1;
    }

    *ms = t;

    return 0;
}


int
ngx_ivschat_time_format(int64_t ms, char buf[NGX_IVSCHAT_TIME_LEN + 1])
{
    int      year, month, msec, rest;
    char    *p;
    int64_t  days;

    if (ms < 0 || ms > NGX_IVSCHAT_TIME_MAX) {
        return -1;
    }

    days = ms / 86400000;
    rest = (int) (ms % 86400000);
    msec = rest % 1000;
    rest /= 1000;

    /* the year is at least this one, and at most 22 later */

    year = 1970 + (int) (days / 366);

    while (ngx_ivschat_days(year + 1, 1, 1) <= days) {
        year++;
    }

    days -= ngx_ivschat_days(year, 1, 1);

    for (month = 1; days >= ngx_ivschat_month_days(year, month); month++) {
        days -= ngx_ivschat_month_days(year, month);
    }

    p = ngx_ivschat_digits(buf, year, 4);
    *p++ = '-';
    p = ngx_ivschat_digits(p, month, 2);
    *p++ = '-';
    p = ngx_ivschat_digits(p, (int) days + 1, 2);
    *p++ = 'T';
    p = ngx_ivschat_digits(p, rest / 3600, 2);
    *p++ = ':';
    p = ngx_ivschat_digits(p, rest / 60 % 60, 2);
    *p++ = ':';
    p = ngx_ivschat_digits(p, rest % 60, 2);
    *p++ = '.';
    p = ngx_ivschat_digits(p, msec, 3);
    *p++ = 'Z';
    *p = '\0';

    return 0;
}


void
ngx_ivschat_error_parse(ngx_ivschat_str_t errortype, const char *body,
    size_t len, ngx_ivschat_error_t *error)
{
    cJSON              *object;
    const char         *reason;
    const cJSON        *message;
    ngx_ivschat_str_t   text = { body, len };

    memset(error, 0, sizeof(ngx_ivschat_error_t));

    (void) ngx_ivschat_set_code(error, errortype);

    object = ngx_ivschat_json_object(text, NGX_IVSCHAT_ANSWER_DEPTH, &reason);
    if (object == NULL) {
        return;
    }

    if (error->code[0] == '\0'
        && ngx_ivschat_set_code_member(error, object, "code") != 0
        && ngx_ivschat_set_code_member(error, object, "Code") != 0)
    {
        (void) ngx_ivschat_set_code_member(error, object, "__type");
    }

    message = ngx_ivschat_member(object, "message", NULL);

    if (!cJSON_IsString(message) || message->valuestring[0] == '\0') {
        message = ngx_ivschat_member(object, "Message", NULL);
    }

    if (cJSON_IsString(message)) {
        ngx_ivschat_set_message(error, message->valuestring);
    }

    cJSON_Delete(object);
}


/* Takes the prefix off, if it is there. */

static int
ngx_ivschat_skip(ngx_ivschat_str_t *s, const char *prefix)
{
    size_t  len;

    len = strlen(prefix);

    if (s->len < len || memcmp(s->data, prefix, len) != 0) {
        return -1;
    }

    s->data += len;
    s->len -= len;

    return 0;
}


/* Takes off and returns what is before the first c; all, if there is none. */

static ngx_ivschat_str_t
ngx_ivschat_cut(ngx_ivschat_str_t *s, char c)
{
    size_t             n;
    ngx_ivschat_str_t  part;

    part = *s;

    for (n = 0; n < s->len; n++) {
        if (s->data[n] == c) {
            part.len = n;
            s->data += n + 1;
            s->len -= n + 1;

            return part;
        }
    }

    s->len = 0;

    return part;
}


static int
ngx_ivschat_in_partition(ngx_ivschat_str_t region, ngx_ivschat_str_t prefix)
{
    size_t             i;
    ngx_ivschat_str_t  word;

    if (ngx_ivschat_skip(&region, prefix.data) != 0) {
        return 0;
    }

    word = ngx_ivschat_cut(&region, '-');

    if (word.len == 0 || region.len == 0) {
        return 0;
    }

    for (i = 0; i < region.len; i++) {
        if (region.data[i] < '0' || region.data[i] > '9') {
            return 0;
        }
    }

    return 1;
}


static int
ngx_ivschat_add_string(cJSON *object, ngx_ivschat_str_t name,
    ngx_ivschat_str_t value)
{
    int    rc;
    char  *p, *q;

    if (ngx_ivschat_utf8_length(name) < 0
        || ngx_ivschat_utf8_length(value) < 0)
    {
        return -1;
    }

    /* cJSON takes strings with a NUL at their end only */

    p = calloc(1, name.len + 1 + value.len + 1);
    if (p == NULL) {
        return -1;
    }

    q = p + name.len + 1;

    if (name.len != 0) {
        memcpy(p, name.data, name.len);
    }

    if (value.len != 0) {
        memcpy(q, value.data, value.len);
    }

    rc = cJSON_AddStringToObject(object, p, q) != NULL ? 0 : -1;

    free(p);

    return rc;
}


static int
ngx_ivschat_add_capabilities(cJSON *object, unsigned capabilities)
{
    cJSON                           *array, *item;
    const ngx_ivschat_capability_t  *capability;

    if (capabilities == 0) {
        return 0;
    }

    array = cJSON_AddArrayToObject(object, "capabilities");
    if (array == NULL) {
        return -1;
    }

    for (capability = ngx_ivschat_capability_names;
         capability->bit;
         capability++)
    {
        if (!(capabilities & capability->bit)) {
            continue;
        }

        item = cJSON_CreateString(capability->name.data);

        if (item == NULL) {
            return -1;
        }

        (void) cJSON_AddItemToArray(array, item);
    }

    return 0;
}


static int
ngx_ivschat_add_attributes(cJSON *object, const ngx_ivschat_request_t *req)
{
    cJSON  *attributes;
    size_t  i;

    if (req->nattributes == 0) {
        return 0;
    }

    attributes = cJSON_AddObjectToObject(object, "attributes");
    if (attributes == NULL) {
        return -1;
    }

    for (i = 0; i < req->nattributes; i++) {
        if (ngx_ivschat_add_string(attributes, req->attributes[i].name,
                                   req->attributes[i].value)
            != 0)
        {
            return -1;
        }
    }

    return 0;
}


/*
 * What cJSON returns belongs to the allocator of cJSON, which another module
 * of the process may have changed; so the caller gets a copy of its own.
 */

static int
ngx_ivschat_print(cJSON *object, char **json, size_t *len)
{
    char   *p, *text;
    size_t  n;

    text = cJSON_PrintUnformatted(object);
    if (text == NULL) {
        return -1;
    }

    n = strlen(text);

    p = malloc(n + 1);
    if (p != NULL) {
        memcpy(p, text, n + 1);
        *json = p;
        *len = n;
    }

    explicit_bzero(text, n);
    cJSON_free(text);

    return p != NULL ? 0 : -1;
}


/* The first member of this name; *n, if n is not NULL, is their number. */

static const cJSON *
ngx_ivschat_member(const cJSON *object, const char *name, int *n)
{
    int           found;
    const cJSON  *item, *first;

    found = 0;
    first = NULL;

    cJSON_ArrayForEach(item, object) {
        if (strcmp(item->string, name) == 0 && found++ == 0) {
            first = item;
        }
    }

    if (n != NULL) {
        *n = found;
    }

    return first;
}


/* Returns the reason of a failure, else NULL; so does the next function. */

static const char *
ngx_ivschat_read_token(const cJSON *object, char **token)
{
    int                n;
    const cJSON       *item;
    ngx_ivschat_str_t  s;

    item = ngx_ivschat_member(object, "token", &n);

    if (n == 0) {
        return "there is no token";
    }

    if (n > 1) {
        return "there is more than one token";
    }

    if (!cJSON_IsString(item)) {
        return "the token is not a string";
    }

    s.data = item->valuestring;
    s.len = strlen(item->valuestring);

    if (s.len == 0) {
        return "the token is empty";
    }

    if (ngx_ivschat_utf8_length(s) < 0) {
        return "the token is not UTF-8";
    }

    *token = malloc(s.len + 1);

    if (*token == NULL) {
        return "no memory";
    }

    memcpy(*token, s.data, s.len + 1);

    return NULL;
}


static const char *
ngx_ivschat_read_time(const cJSON *object, const char *name, int64_t *ms)
{
    int                n;
    double             number;
    const cJSON       *item;
    ngx_ivschat_str_t  s;

    item = ngx_ivschat_member(object, name, &n);

    if (n == 0) {
        return "an expiration time is missing";
    }

    if (n > 1) {
        return "an expiration time is there more than once";
    }

    if (cJSON_IsNumber(item)) {
        number = item->valuedouble;

        /* a NaN fails this, too */

        if (!(number >= 0
              && number < (double) (NGX_IVSCHAT_TIME_MAX / 1000)))
        {
            return "an expiration time is out of range";
        }

        *ms = (int64_t) (number * 1000 + 0.5);

        return NULL;
    }

    if (!cJSON_IsString(item)) {
        return "an expiration time is neither a string nor a number";
    }

    s.data = item->valuestring;
    s.len = strlen(item->valuestring);

    if (ngx_ivschat_time_parse(s, ms) != 0) {
        return "an expiration time is not ISO 8601";
    }

    return NULL;
}


static int
ngx_ivschat_number(ngx_ivschat_str_t *s, size_t digits, int *n)
{
    size_t  i;

    if (s->len < digits) {
        return -1;
    }

    *n = 0;

    for (i = 0; i < digits; i++) {
        if (s->data[i] < '0' || s->data[i] > '9') {
            return -1;
        }

        *n = *n * 10 + (s->data[i] - '0');
    }

    s->data += digits;
    s->len -= digits;

    return 0;
}


static int
ngx_ivschat_fraction(ngx_ivschat_str_t *s, int *ms)
{
    int  digit, scale;

    *ms = 0;

    if (ngx_ivschat_skip(s, ".") != 0 && ngx_ivschat_skip(s, ",") != 0) {
        return 0;
    }

    if (ngx_ivschat_number(s, 1, &digit) != 0) {
        return -1;
    }

    scale = 100;

    do {
        *ms += digit * scale;
        scale /= 10;
    } while (ngx_ivschat_number(s, 1, &digit) == 0);

    return 0;
}


static int
ngx_ivschat_offset(ngx_ivschat_str_t *s, int *minutes)
{
    int  sign, hour, minute;

    *minutes = 0;

    if (ngx_ivschat_skip(s, "Z") == 0 || ngx_ivschat_skip(s, "z") == 0) {
        return 0;
    }

    if (ngx_ivschat_skip(s, "+") == 0) {
        sign = 1;

    } else if (ngx_ivschat_skip(s, "-") == 0) {
        sign = -1;

    } else {
        return -1;
    }

    if (ngx_ivschat_number(s, 2, &hour) != 0) {
        return -1;
    }

    minute = 0;

    if (s->len != 0) {
        (void) ngx_ivschat_skip(s, ":");

        if (ngx_ivschat_number(s, 2, &minute) != 0) {
            return -1;
        }
    }

    if (hour > 23 || minute > 59) {
        return -1;
    }

    *minutes = sign * (hour * 60 + minute);

    return 0;
}


/* Days from 1970-01-01 in the Gregorian calendar, for years from 0. */

static int64_t
ngx_ivschat_days(int year, int month, int day)
{
    int      m;
    int64_t  days;

    /* 719528: from 0000-01-01, where this count begins, to 1970-01-01 */

    days = (int64_t) year * 365 - 719528;

    /* the leap days of the years before this one, 0 is a leap year */

    if (year > 0) {
        days += (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1;
    }

    for (m = 1; m < month; m++) {
        days += ngx_ivschat_month_days(year, m);
    }

    return days + day - 1;
}


static int
ngx_ivschat_month_days(int year, int month)
{
    static const int  days[] = { 31, 28, 31, 30, 31, 30,
                                 31, 31, 30, 31, 30, 31 };

    if (month == 2
        && ((year % 4 == 0 && year % 100 != 0) || year % 400 == 0))
    {
        return 29;
    }

    return days[month - 1];
}


static char *
ngx_ivschat_digits(char *p, int n, int width)
{
    int  i;

    for (i = width - 1; i >= 0; i--) {
        p[i] = (char) ('0' + n % 10);
        n /= 10;
    }

    return p + width;
}


/*
 * The forms of restJson1: "FooError", "FooError:http://…", "ns#FooError" and
 * "ns#FooError:http://…".  What could spoil a log line is no code at all.
 */

static int
ngx_ivschat_set_code(ngx_ivschat_error_t *error, ngx_ivschat_str_t s)
{
    size_t             i;
    ngx_ivschat_str_t  code, rest, space;

    rest = ngx_ivschat_cut(&s, ',');
    code = ngx_ivschat_cut(&rest, ':');

    rest = code;
    space = ngx_ivschat_cut(&rest, '#');

    if (space.len != code.len) {
        code = rest;
    }

    while (code.len != 0 && code.data[0] == ' ') {
        code.data++;
        code.len--;
    }

    while (code.len != 0 && code.data[code.len - 1] == ' ') {
        code.len--;
    }

    if (code.len == 0 || code.len >= sizeof(error->code)) {
        return -1;
    }

    for (i = 0; i < code.len; i++) {
        if (code.data[i] <= ' ' || code.data[i] >= 0x7f) {
            return -1;
        }
    }

    memcpy(error->code, code.data, code.len);
    error->code[code.len] = '\0';

    return 0;
}


static int
ngx_ivschat_set_code_member(ngx_ivschat_error_t *error, const cJSON *object,
    const char *name)
{
    const cJSON       *item;
    ngx_ivschat_str_t  s;

    item = ngx_ivschat_member(object, name, NULL);

    if (!cJSON_IsString(item)) {
        return -1;
    }

    s.data = item->valuestring;
    s.len = strlen(item->valuestring);

    return ngx_ivschat_set_code(error, s);
}


static void
ngx_ivschat_set_message(ngx_ivschat_error_t *error, const char *text)
{
    char                 *p, *end;
    size_t                len, n;
    uint32_t              cp;
    const unsigned char  *src;

    p = error->message;
    end = error->message + sizeof(error->message) - 1;
    src = (const unsigned char *) text;
    len = strlen(text);

    while (len) {
        n = ngx_ivschat_utf8_next(src, len, &cp);

        if (n == 0) {
            n = 1;
            cp = '?';

        } else if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) {
            cp = ' ';
        }

        /* a code point is written whole or not at all */

        if ((size_t) (end - p) < (cp < 0x80 ? 1 : n)) {
            break;
        }

        if (cp < 0x80) {
            *p++ = (char) cp;

        } else {
            memcpy(p, src, n);
            p += n;
        }

        src += n;
        len -= n;
    }

    *p = '\0';

    /*
     * For a bad signature AWS's message repeats the canonical request, and
     * with it the session token: that must not reach a log.
     */

    p = strstr(error->message, "x-amz-security-token:");

    if (p != NULL) {
        *p = '\0';
    }
}
