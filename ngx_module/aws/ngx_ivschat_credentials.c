
/*
 * AWS credentials: checks, the answers of metadata services, refresh times.
 */


#include "ngx_ivschat_credentials.h"
#include "ngx_ivschat_api.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/ngx_ivschat_json.h"


#define NGX_IVSCHAT_JSON_DEPTH          8

#define NGX_IVSCHAT_ADVISORY_SHORT      (5 * 60)
#define NGX_IVSCHAT_ADVISORY_MEDIUM     (15 * 60)
#define NGX_IVSCHAT_ADVISORY_LONG       (60 * 60)
#define NGX_IVSCHAT_MANDATORY           60

#define NGX_IVSCHAT_BACKOFF_MIN         300000     /* milliseconds */
#define NGX_IVSCHAT_BACKOFF_MAX         600000
#define NGX_IVSCHAT_RETRY_MIN           1000
#define NGX_IVSCHAT_RETRY_MAX           5000
#define NGX_IVSCHAT_RETRY_DOUBLINGS     4


/* The members of an answer that are read. */

typedef struct {
    const cJSON   *access_key;
    const cJSON   *secret_key;
    const cJSON   *token;
    const cJSON   *expiration;
    const cJSON   *account;
    const cJSON   *code;
} ngx_ivschat_members_t;


static int ngx_ivschat_visible(ngx_ivschat_str_t s);
static size_t ngx_ivschat_copy(char *dst, ngx_ivschat_str_t src);

static int ngx_ivschat_find_members(const cJSON *object,
    ngx_ivschat_members_t *members, char *reason, size_t size);
static int ngx_ivschat_check_code(const ngx_ivschat_members_t *members,
    const char *body, size_t len, char *reason, size_t size);
static int ngx_ivschat_read_members(const ngx_ivschat_members_t *members,
    ngx_ivschat_credentials_flavour_e flavour,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size);
static int ngx_ivschat_read_string(const cJSON *item, const char *name,
    int required, ngx_ivschat_str_t *value, char *reason, size_t size);
static int ngx_ivschat_refuse(char *reason, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static uint32_t ngx_ivschat_between(uint32_t min, uint32_t max,
    uint32_t random);


static const char  *ngx_ivschat_json_names[] = {
    "AccessKeyId",                     /* by ngx_ivschat_credentials_field_e */
    "SecretAccessKey",
    "Token"
};


const char *
ngx_ivschat_credentials_check(ngx_ivschat_str_t access_key,
    ngx_ivschat_str_t secret_key, ngx_ivschat_str_t session_token,
    ngx_ivschat_credentials_field_e *field)
{
    char    c;
    size_t  i;

    *field = NGX_IVSCHAT_ACCESS_KEY;

    if (access_key.len == 0) {
        return "it is missing";
    }

    if (access_key.len > NGX_IVSCHAT_ACCESS_KEY_MAX) {
        return "it is too long";
    }

    for (i = 0; i < access_key.len; i++) {
        c = access_key.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
              || (c >= 'a' && c <= 'z') || c == '_'))
        {
            return "an access key id has only letters, digits and \"_\"";
        }
    }

    *field = NGX_IVSCHAT_SECRET_KEY;

    if (secret_key.len == 0) {
        return "it is missing";
    }

    if (secret_key.len > NGX_IVSCHAT_SECRET_KEY_MAX
        || !ngx_ivschat_visible(secret_key))
    {
        return "it is too long, or has blanks or control characters";
    }

    *field = NGX_IVSCHAT_SESSION_TOKEN;

    if (session_token.len > NGX_IVSCHAT_SESSION_TOKEN_MAX
        || !ngx_ivschat_visible(session_token))
    {
        return "it is too long, or has blanks or control characters";
    }

    return NULL;
}


const char *
ngx_ivschat_credentials_set(ngx_ivschat_credentials_t *creds,
    ngx_ivschat_str_t access_key, ngx_ivschat_str_t secret_key,
    ngx_ivschat_str_t session_token, ngx_ivschat_credentials_field_e *field)
{
    const char  *reason;

    ngx_ivschat_credentials_wipe(creds);

    reason = ngx_ivschat_credentials_check(access_key, secret_key,
                                           session_token, field);
    if (reason != NULL) {
        return reason;
    }

    creds->access_key_len = ngx_ivschat_copy(creds->access_key, access_key);
    creds->secret_key_len = ngx_ivschat_copy(creds->secret_key, secret_key);
    creds->session_token_len = ngx_ivschat_copy(creds->session_token,
                                                session_token);

    return NULL;
}


void
ngx_ivschat_credentials_set_account(ngx_ivschat_credentials_t *creds,
    ngx_ivschat_str_t account)
{
    size_t  i;

    creds->account_id[0] = '\0';

    if (account.len != NGX_IVSCHAT_ACCOUNT_LEN) {
        return;
    }

    for (i = 0; i < account.len; i++) {
        if (account.data[i] < '0' || account.data[i] > '9') {
            return;
        }
    }

    (void) ngx_ivschat_copy(creds->account_id, account);
}


int
ngx_ivschat_credentials_parse(ngx_ivschat_credentials_flavour_e flavour,
    const char *body, size_t len, int64_t now,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size)
{
    int                    rc;
    cJSON                 *object;
    const char            *why;
    ngx_ivschat_str_t      answer = { body, len };
    ngx_ivschat_members_t  members;

    ngx_ivschat_credentials_wipe(creds);

    object = ngx_ivschat_json_object(answer, NGX_IVSCHAT_JSON_DEPTH, &why);

    if (object == NULL) {
        return ngx_ivschat_refuse(reason, size, "the answer is refused: %s",
                                  why);
    }

    rc = -1;

    if (ngx_ivschat_find_members(object, &members, reason, size) == 0
        && ngx_ivschat_check_code(&members, body, len, reason, size) == 0)
    {
        rc = ngx_ivschat_read_members(&members, flavour, creds, reason, size);
    }

    ngx_ivschat_json_delete(object);

    if (rc != 0) {
        ngx_ivschat_credentials_wipe(creds);
        return -1;
    }

    return ngx_ivschat_credentials_expired(creds, now, reason, size);
}


int
ngx_ivschat_credentials_set_expiration(ngx_ivschat_credentials_t *creds,
    ngx_ivschat_str_t time)
{
    int64_t  ms;

    /* 0 would be "never" */

    if (ngx_ivschat_time_parse(time, &ms) != 0 || ms < 1000) {
        return -1;
    }

    creds->expiration = ms / 1000;

    return 0;
}


int
ngx_ivschat_credentials_expired(const ngx_ivschat_credentials_t *creds,
    int64_t now, char *reason, size_t size)
{
    char  time[NGX_IVSCHAT_TIME_LEN + 1];

    if (creds->expiration == 0 || creds->expiration > now) {
        return 0;
    }

    if (ngx_ivschat_time_format(creds->expiration * 1000, time) != 0) {
        time[0] = '\0';
    }

    (void) ngx_ivschat_refuse(reason, size, "they have expired at %s; if that "
                              "is in the future, the clock of this host is "
                              "wrong", time);

    return NGX_IVSCHAT_EXPIRED;
}


void
ngx_ivschat_credentials_wipe(ngx_ivschat_credentials_t *creds)
{
    explicit_bzero(creds, sizeof(ngx_ivschat_credentials_t));
}


void
ngx_ivschat_refresh_times(int64_t issued, int64_t expiration,
    ngx_ivschat_refresh_t *times)
{
    int64_t  lifetime, window;

    if (expiration == 0) {
        times->advisory = NGX_IVSCHAT_NEVER;
        times->mandatory = NGX_IVSCHAT_NEVER;
        return;
    }

    if (expiration <= issued) {
        times->advisory = issued;
        times->mandatory = issued;
        return;
    }

    lifetime = expiration - issued;

    if (lifetime < 2 * NGX_IVSCHAT_ADVISORY_SHORT) {
        window = lifetime / 2;

    } else if (lifetime <= 20 * 60) {
        window = NGX_IVSCHAT_ADVISORY_SHORT;

    } else if (lifetime < 90 * 60) {
        window = NGX_IVSCHAT_ADVISORY_MEDIUM;

    } else {
        window = NGX_IVSCHAT_ADVISORY_LONG;
    }

    times->advisory = expiration - window;

    window = NGX_IVSCHAT_MANDATORY;

    if (lifetime < 4 * NGX_IVSCHAT_MANDATORY) {
        window = lifetime / 4;
    }

    times->mandatory = expiration - window;
}


uint32_t
ngx_ivschat_refresh_delay(const ngx_ivschat_refresh_t *times, int64_t now,
    unsigned failures, uint32_t random)
{
    int64_t   left;
    uint32_t  delay;

    if (times != NULL && times->mandatory > now) {
        delay = ngx_ivschat_between(NGX_IVSCHAT_BACKOFF_MIN,
                                    NGX_IVSCHAT_BACKOFF_MAX, random);
        left = times->mandatory - now;

        if (left < delay / 1000 + 1) {
            delay = (uint32_t) left * 1000;
        }

        return delay;
    }

    if (failures > NGX_IVSCHAT_RETRY_DOUBLINGS + 1) {
        failures = NGX_IVSCHAT_RETRY_DOUBLINGS + 1;
    }

    delay = ngx_ivschat_between(NGX_IVSCHAT_RETRY_MIN, NGX_IVSCHAT_RETRY_MAX,
                                random);

    return failures > 1 ? delay << (failures - 1) : delay;
}


static int
ngx_ivschat_visible(ngx_ivschat_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (s.data[i] <= ' ' || s.data[i] >= 0x7f) {
            return 0;
        }
    }

    return 1;
}


static size_t
ngx_ivschat_copy(char *dst, ngx_ivschat_str_t src)
{
    if (src.len != 0) {
        memcpy(dst, src.data, src.len);
    }

    dst[src.len] = '\0';

    return src.len;
}


/* null is the same as a member that is not there. */

static int
ngx_ivschat_find_members(const cJSON *object, ngx_ivschat_members_t *members,
    char *reason, size_t size)
{
    size_t         i;
    const cJSON   *item;
    unsigned char  seen[6];

    const struct {
        const char    *name;
        const cJSON  **item;
    } known[] = {
        { "AccessKeyId", &members->access_key },
        { "SecretAccessKey", &members->secret_key },
        { "Token", &members->token },
        { "Expiration", &members->expiration },
        { "AccountId", &members->account },
        { "Code", &members->code }
    };

    memset(members, 0, sizeof(ngx_ivschat_members_t));
    memset(seen, 0, sizeof(seen));

    cJSON_ArrayForEach(item, object) {

        for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {

            if (strcmp(item->string, known[i].name) != 0) {
                continue;
            }

            if (seen[i]) {
                return ngx_ivschat_refuse(reason, size, "the answer has \"%s\" "
                                          "more than once", known[i].name);
            }

            seen[i] = 1;

            if (!cJSON_IsNull(item)) {
                *known[i].item = item;
            }
        }
    }

    return 0;
}


static int
ngx_ivschat_check_code(const ngx_ivschat_members_t *members, const char *body,
    size_t len, char *reason, size_t size)
{
    ngx_ivschat_str_t    code, none = ngx_ivschat_string("");
    ngx_ivschat_error_t  error;

    if (ngx_ivschat_read_string(members->code, "Code", 0, &code, reason, size)
        != 0)
    {
        return -1;
    }

    if (code.len == 0 || strcmp(code.data, "Success") == 0) {
        return 0;
    }

    ngx_ivschat_error_parse(none, body, len, &error);

    /* where there are keys, a text could repeat them */

    if (members->access_key != NULL || members->secret_key != NULL
        || members->token != NULL)
    {
        return ngx_ivschat_refuse(reason, size, "the answer has keys, but its "
                                  "\"Code\" is not \"Success\"");
    }

    return ngx_ivschat_refuse(reason, size, "the answer is an error, \"%s\"%s"
                              "%s", error.code, error.message[0] ? ": " : "",
                              error.message);
}


static int
ngx_ivschat_read_members(const ngx_ivschat_members_t *members,
    ngx_ivschat_credentials_flavour_e flavour,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size)
{
    const char                      *why;
    ngx_ivschat_str_t                access_key, secret_key, token;
    ngx_ivschat_str_t                expiration, account;
    ngx_ivschat_credentials_field_e  field;

    if (ngx_ivschat_read_string(members->access_key, "AccessKeyId", 1,
                                &access_key, reason, size)
        != 0
        || ngx_ivschat_read_string(members->secret_key, "SecretAccessKey", 1,
                                   &secret_key, reason, size)
        != 0
        || ngx_ivschat_read_string(members->token, "Token",
                                   flavour == NGX_IVSCHAT_IMDS, &token,
                                   reason, size)
        != 0
        || ngx_ivschat_read_string(members->expiration, "Expiration", 1,
                                   &expiration, reason, size)
        != 0
        || ngx_ivschat_read_string(members->account, "AccountId", 0,
                                   &account, reason, size)
        != 0)
    {
        return -1;
    }

    why = ngx_ivschat_credentials_set(creds, access_key, secret_key, token,
                                      &field);
    if (why != NULL) {
        return ngx_ivschat_refuse(reason, size, "\"%s\" of the answer cannot "
                                  "be used: %s", ngx_ivschat_json_names[field],
                                  why);
    }

    if (ngx_ivschat_credentials_set_expiration(creds, expiration) != 0) {
        return ngx_ivschat_refuse(reason, size, "\"Expiration\" of the answer "
                                  "is not a time of ISO 8601");
    }

    ngx_ivschat_credentials_set_account(creds, account);

    return 0;
}


/* The string belongs to the item, and has a NUL. */

static int
ngx_ivschat_read_string(const cJSON *item, const char *name, int required,
    ngx_ivschat_str_t *value, char *reason, size_t size)
{
    value->data = "";
    value->len = 0;

    if (item == NULL) {

        if (!required) {
            return 0;
        }

        return ngx_ivschat_refuse(reason, size, "there is no \"%s\" in the "
                                  "answer", name);
    }

    if (!cJSON_IsString(item)) {
        return ngx_ivschat_refuse(reason, size, "\"%s\" of the answer is not a "
                                  "string", name);
    }

    value->data = item->valuestring;
    value->len = strlen(item->valuestring);

    if (required && value->len == 0) {
        return ngx_ivschat_refuse(reason, size, "\"%s\" of the answer is "
                                  "empty", name);
    }

    return 0;
}


static int
ngx_ivschat_refuse(char *reason, size_t size, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(reason, size, fmt, args);
    va_end(args);

    return -1;
}


static uint32_t
ngx_ivschat_between(uint32_t min, uint32_t max, uint32_t random)
{
    return min + random % (max - min + 1);
}
