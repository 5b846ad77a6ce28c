
/*
 * AWS credentials: checks, the answers that carry them, refresh times.
 */


#include "ngx_ivschat_credentials.h"
#include "ngx_ivschat_api.h"
#include "ngx_ivschat_errors.h"

#include "../lib/ngx_ivschat_json.h"


#define NGX_IVSCHAT_ANSWER_LEVELS       8
#define NGX_IVSCHAT_YEAR_10000          INT64_C(253402300800)

#define NGX_IVSCHAT_ADVISORY_SHORT      (5 * 60)
#define NGX_IVSCHAT_ADVISORY_MEDIUM     (15 * 60)
#define NGX_IVSCHAT_ADVISORY_LONG       (60 * 60)
#define NGX_IVSCHAT_MANDATORY           60

#define NGX_IVSCHAT_BACKOFF_MIN         300000     /* milliseconds */
#define NGX_IVSCHAT_BACKOFF_MAX         600000
#define NGX_IVSCHAT_RETRY_MIN           1000
#define NGX_IVSCHAT_RETRY_MAX           5000
#define NGX_IVSCHAT_RETRY_DOUBLINGS     4


/* The members of an answer; the first three are the fields of a set. */

typedef enum {
    NGX_IVSCHAT_MEMBER_EXPIRATION = NGX_IVSCHAT_SESSION_TOKEN + 1,
    NGX_IVSCHAT_MEMBER_CODE,
    NGX_IVSCHAT_NMEMBERS
} ngx_ivschat_member_e;


typedef struct {
    const char   *path[3];             /* the objects around the members */
    const char   *token;
    unsigned      token_optional:1;
    unsigned      sts:1;               /* the expiration may be a number, and
                                          must be in the future */
} ngx_ivschat_flavour_t;


static int ngx_ivschat_read_answer(const ngx_ivschat_flavour_t *flavour,
    const cJSON *object, ngx_ivschat_str_t answer,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size);
static const char *ngx_ivschat_find_members(
    const ngx_ivschat_flavour_t *flavour, const cJSON *object,
    ngx_ivschat_json_member_t *m);
static int ngx_ivschat_read_keys(const ngx_ivschat_flavour_t *flavour,
    const ngx_ivschat_json_member_t *m, ngx_ivschat_credentials_t *creds,
    char *reason, size_t size);
static int ngx_ivschat_read_expiration(const ngx_ivschat_flavour_t *flavour,
    const ngx_ivschat_json_member_t *m, ngx_ivschat_credentials_t *creds,
    char *reason, size_t size);
static int ngx_ivschat_read_text(const ngx_ivschat_json_member_t *m,
    int required, ngx_ivschat_str_t *text, char *reason, size_t size);
static int ngx_ivschat_check_time(const ngx_ivschat_credentials_t *creds,
    int64_t now, char *reason, size_t size);
static uint32_t ngx_ivschat_between(uint32_t min, uint32_t max,
    uint32_t random);


static const ngx_ivschat_flavour_t  ngx_ivschat_flavours[] = {
    [NGX_IVSCHAT_CONTAINER] = { { NULL }, "Token", 1, 0 },
    [NGX_IVSCHAT_IMDS] = { { NULL }, "Token", 0, 0 },
    [NGX_IVSCHAT_ASSUME_ROLE] = {
        { "AssumeRoleResponse", "AssumeRoleResult", "Credentials" },
        "SessionToken", 0, 1
    },
    [NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY] = {
        { "AssumeRoleWithWebIdentityResponse",
          "AssumeRoleWithWebIdentityResult", "Credentials" },
        "SessionToken", 0, 1
    }
};

_Static_assert(sizeof(ngx_ivschat_flavours)
               == NGX_IVSCHAT_NFLAVOURS * sizeof(ngx_ivschat_flavour_t),
               "a flavour without its row");


const char *
ngx_ivschat_credentials_check(ngx_ivschat_str_t access_key,
    ngx_ivschat_str_t secret_key, ngx_ivschat_str_t session_token,
    ngx_ivschat_credentials_field_e *field)
{
    *field = NGX_IVSCHAT_ACCESS_KEY;

    if (access_key.len == 0) {
        return "it is missing";
    }

    if (access_key.len > NGX_IVSCHAT_ACCESS_KEY_MAX) {
        return "it is too long";
    }

    if (!ngx_ivschat_str_only(access_key, NGX_IVSCHAT_LETTERS
                                          NGX_IVSCHAT_DIGITS "_"))
    {
        return "an access key id has only letters, digits and \"_\"";
    }

    *field = NGX_IVSCHAT_SECRET_KEY;

    if (secret_key.len == 0) {
        return "it is missing";
    }

    if (secret_key.len <= NGX_IVSCHAT_SECRET_KEY_MAX
        && ngx_ivschat_str_only(secret_key, NGX_IVSCHAT_VISIBLE))
    {
        *field = NGX_IVSCHAT_SESSION_TOKEN;

        if (session_token.len <= NGX_IVSCHAT_SESSION_TOKEN_MAX
            && ngx_ivschat_str_only(session_token, NGX_IVSCHAT_VISIBLE))
        {
            return NULL;
        }
    }

    return "it is too long, or has blanks or control characters";
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

    creds->access_key_len = ngx_ivschat_str_copy(creds->access_key,
                                                 access_key);
    creds->secret_key_len = ngx_ivschat_str_copy(creds->secret_key,
                                                 secret_key);
    creds->session_token_len = ngx_ivschat_str_copy(creds->session_token,
                                                    session_token);

    return NULL;
}


int
ngx_ivschat_credentials_parse(ngx_ivschat_credentials_flavour_e flavour,
    const char *body, size_t len, int64_t now,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size)
{
    int                 rc;
    cJSON              *object;
    const char         *why;
    ngx_ivschat_str_t   answer = { body, len };

    ngx_ivschat_credentials_wipe(creds);

    object = ngx_ivschat_json_object(answer, NGX_IVSCHAT_ANSWER_LEVELS, &why);

    if (object == NULL) {
        return ngx_ivschat_fail(reason, size, "the answer is refused: %s",
                                len != 0 && body[0] == '<'
                                ? NGX_IVSCHAT_XML : why);
    }

    rc = ngx_ivschat_read_answer(&ngx_ivschat_flavours[flavour], object,
                                 answer, creds, reason, size);

    ngx_ivschat_json_delete(object);

    if (rc != 0
        || (ngx_ivschat_flavours[flavour].sts
            && ngx_ivschat_check_time(creds, now, reason, size) != 0))
    {
        ngx_ivschat_credentials_wipe(creds);
        return -1;
    }

    return 0;
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

    lifetime = expiration > issued ? expiration - issued : 0;

    if (lifetime < 2 * NGX_IVSCHAT_ADVISORY_SHORT) {
        window = lifetime / 2;

    } else {
        window = lifetime <= 20 * 60 ? NGX_IVSCHAT_ADVISORY_SHORT
                 : lifetime < 90 * 60 ? NGX_IVSCHAT_ADVISORY_MEDIUM
                                      : NGX_IVSCHAT_ADVISORY_LONG;
    }

    times->advisory = issued + lifetime - window;

    window = lifetime < 4 * NGX_IVSCHAT_MANDATORY ? lifetime / 4
                                                  : NGX_IVSCHAT_MANDATORY;

    times->mandatory = issued + lifetime - window;
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
ngx_ivschat_read_answer(const ngx_ivschat_flavour_t *flavour,
    const cJSON *object, ngx_ivschat_str_t answer,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size)
{
    const char                 *twice;
    ngx_ivschat_str_t           none = { NULL, 0 };
    ngx_ivschat_error_t         error;
    ngx_ivschat_json_member_t   m[NGX_IVSCHAT_NMEMBERS] = {
        [NGX_IVSCHAT_ACCESS_KEY] = { "AccessKeyId", NULL },
        [NGX_IVSCHAT_SECRET_KEY] = { "SecretAccessKey", NULL },
        [NGX_IVSCHAT_SESSION_TOKEN] = { flavour->token, NULL },
        [NGX_IVSCHAT_MEMBER_EXPIRATION] = { "Expiration", NULL },
        [NGX_IVSCHAT_MEMBER_CODE] = { "Code", NULL }
    };

    twice = ngx_ivschat_find_members(flavour, object, m);

    if (twice != NULL) {
        return ngx_ivschat_fail(reason, size, "the answer has \"%s\" more "
                                "than once", twice);
    }

    /* a 200 may be an error; where there are keys, a text could repeat them */

    if (m[NGX_IVSCHAT_ACCESS_KEY].item == NULL
        && m[NGX_IVSCHAT_SECRET_KEY].item == NULL
        && m[NGX_IVSCHAT_SESSION_TOKEN].item == NULL)
    {
        ngx_ivschat_error_parse(none, answer.data, answer.len, &error);

        if (error.code[0] && strcmp(error.code, "Success") != 0) {
            return ngx_ivschat_fail(reason, size, "the answer is an error, "
                                    "\"%s\"%s%s", error.code,
                                    error.message[0] ? ": " : "",
                                    error.message);
        }
    }

    if (ngx_ivschat_read_keys(flavour, m, creds, reason, size) != 0) {
        return -1;
    }

    return ngx_ivschat_read_expiration(flavour, m, creds, reason, size);
}


/* Returns the name of a member that is there twice, or NULL. */

static const char *
ngx_ivschat_find_members(const ngx_ivschat_flavour_t *flavour,
    const cJSON *object, ngx_ivschat_json_member_t *m)
{
    size_t                     i;
    ngx_ivschat_json_member_t  level;

    for (i = 0; i < 3 && flavour->path[i] != NULL; i++) {
        level.name = flavour->path[i];

        if (ngx_ivschat_json_members(object, &level, 1) != NULL) {
            return level.name;
        }

        object = cJSON_IsObject(level.item) ? level.item : NULL;
    }

    return ngx_ivschat_json_members(object, m, NGX_IVSCHAT_NMEMBERS);
}


static int
ngx_ivschat_read_keys(const ngx_ivschat_flavour_t *flavour,
    const ngx_ivschat_json_member_t *m, ngx_ivschat_credentials_t *creds,
    char *reason, size_t size)
{
    int                              required;
    size_t                           i;
    const char                      *why;
    ngx_ivschat_str_t                code, keys[NGX_IVSCHAT_SESSION_TOKEN + 1];
    ngx_ivschat_credentials_field_e  field;

    if (ngx_ivschat_read_text(&m[NGX_IVSCHAT_MEMBER_CODE], 0, &code, reason,
                              size)
        != 0)
    {
        return -1;
    }

    if (code.len != 0 && !ngx_ivschat_str_is(code, "Success")) {
        return ngx_ivschat_fail(reason, size, "the answer has keys, but its "
                                "\"Code\" is not \"Success\"");
    }

    for (i = 0; i <= NGX_IVSCHAT_SESSION_TOKEN; i++) {
        required = i != NGX_IVSCHAT_SESSION_TOKEN || !flavour->token_optional;

        if (ngx_ivschat_read_text(&m[i], required, &keys[i], reason, size)
            != 0)
        {
            return -1;
        }
    }

    why = ngx_ivschat_credentials_set(creds, keys[NGX_IVSCHAT_ACCESS_KEY],
                                      keys[NGX_IVSCHAT_SECRET_KEY],
                                      keys[NGX_IVSCHAT_SESSION_TOKEN], &field);
    if (why != NULL) {
        return ngx_ivschat_fail(reason, size, "\"%s\" of the answer cannot "
                                "be used: %s", m[field].name, why);
    }

    return 0;
}


static int
ngx_ivschat_read_expiration(const ngx_ivschat_flavour_t *flavour,
    const ngx_ivschat_json_member_t *m, ngx_ivschat_credentials_t *creds,
    char *reason, size_t size)
{
    double             seconds;
    int64_t            ms;
    ngx_ivschat_str_t  text;

    m = &m[NGX_IVSCHAT_MEMBER_EXPIRATION];
    text.data = NULL;

    if (flavour->sts && cJSON_IsNumber(m->item)) {
        seconds = m->item->valuedouble;

    } else if (ngx_ivschat_read_text(m, 1, &text, reason, size) != 0) {
        return -1;

    } else {
        seconds = ngx_ivschat_time_parse(text, &ms) == 0 ? (double) ms / 1000
                                                         : 0;
    }

    /* 0 would be "never" */

    if (!(seconds >= 1 && seconds < NGX_IVSCHAT_YEAR_10000)) {
        return ngx_ivschat_fail(reason, size, "\"Expiration\" of the answer "
                                "is not a time%s",
                                text.data ? " of ISO 8601" : "");
    }

    creds->expiration = (int64_t) seconds;

    return 0;
}


/* null is the same as a member that is not there. */

static int
ngx_ivschat_read_text(const ngx_ivschat_json_member_t *m, int required,
    ngx_ivschat_str_t *text, char *reason, size_t size)
{
    *text = ngx_ivschat_json_text(m->item);

    if (m->item == NULL || cJSON_IsNull(m->item)) {
        return required ? ngx_ivschat_fail(reason, size, "there is no \"%s\" "
                                           "in the answer", m->name)
                        : 0;
    }

    if (text->data == NULL) {
        return ngx_ivschat_fail(reason, size, "\"%s\" of the answer is not a "
                                "string", m->name);
    }

    if (required && text->len == 0) {
        return ngx_ivschat_fail(reason, size, "\"%s\" of the answer is "
                                "empty", m->name);
    }

    return 0;
}


static int
ngx_ivschat_check_time(const ngx_ivschat_credentials_t *creds, int64_t now,
    char *reason, size_t size)
{
    char  time[NGX_IVSCHAT_TIME_LEN + 1];

    if (creds->expiration > now) {
        return 0;
    }

    if (ngx_ivschat_time_format(creds->expiration * 1000, time) != 0) {
        time[0] = '\0';
    }

    return ngx_ivschat_fail(reason, size, "they have expired at %s; if that "
                            "is in the future, the clock of this host is "
                            "wrong", time);
}


static uint32_t
ngx_ivschat_between(uint32_t min, uint32_t max, uint32_t random)
{
    return min + random % (max - min + 1);
}
