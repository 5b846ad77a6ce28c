
/*
 * AWS STS: AssumeRole and AssumeRoleWithWebIdentity.
 */


#include "ngx_ivschat_sts.h"

#include <stdio.h>


#define NGX_IVSCHAT_STS_WORD                                                  \
    NGX_IVSCHAT_LETTERS NGX_IVSCHAT_DIGITS "_+=,.@-"

#define NGX_IVSCHAT_STS_UNRESERVED                                            \
    NGX_IVSCHAT_LETTERS NGX_IVSCHAT_DIGITS "-._~"

/* For a limit with _MIN and _MAX: whether n is within, and its text. */

#define ngx_ivschat_sts_within(n, limit)                                      \
    ((n) >= limit ## _MIN && (n) <= limit ## _MAX)

#define ngx_ivschat_sts_range(limit)                                          \
    ngx_ivschat_value(limit ## _MIN) " to " ngx_ivschat_value(limit ## _MAX)


typedef const char *(*ngx_ivschat_sts_check_pt)(ngx_ivschat_str_t value);


static int ngx_ivschat_sts_put(ngx_ivschat_out_t *out, const char *name,
    ngx_ivschat_str_t value, ngx_ivschat_sts_check_pt check, char *reason,
    size_t size);


const char *
ngx_ivschat_sts_check_role(ngx_ivschat_str_t s)
{
    ngx_ivschat_str_t  partition, account;

    static const char  form[] =
        "the ARN of a role has the form arn:aws:iam::<"
        ngx_ivschat_value(NGX_IVSCHAT_ACCOUNT_LEN) " digits>:role/<name>";

    if (!ngx_ivschat_sts_within(s.len, NGX_IVSCHAT_ROLE_ARN)) {
        return "the ARN of a role has "
               ngx_ivschat_sts_range(NGX_IVSCHAT_ROLE_ARN) " characters";
    }

    if (!ngx_ivschat_str_skip(&s, "arn:aws")) {
        return form;
    }

    partition = ngx_ivschat_str_cut(&s, ':');

    if (ngx_ivschat_str_skip(&s, "sts::")) {
        return "use the ARN of the role, arn:aws:iam::<account>:role/<name>, "
               "instead of that of a session";
    }

    if (!ngx_ivschat_str_only(partition, NGX_IVSCHAT_LOWER
                                         NGX_IVSCHAT_DIGITS "-")
        || (partition.len != 0 && partition.data[0] != '-')
        || !ngx_ivschat_str_skip(&s, "iam::"))
    {
        return form;
    }

    account = ngx_ivschat_str_cut(&s, ':');

    if (account.len != NGX_IVSCHAT_ACCOUNT_LEN
        || !ngx_ivschat_str_only(account, NGX_IVSCHAT_DIGITS)
        || !ngx_ivschat_str_skip(&s, "role/")
        || s.len == 0 || s.data[s.len - 1] == '/'
        || !ngx_ivschat_str_only(s, NGX_IVSCHAT_STS_WORD "/"))
    {
        return form;
    }

    return NULL;
}


const char *
ngx_ivschat_sts_check_session_name(ngx_ivschat_str_t name)
{
    return ngx_ivschat_sts_within(name.len, NGX_IVSCHAT_SESSION_NAME)
           && ngx_ivschat_str_only(name, NGX_IVSCHAT_STS_WORD)
           ? NULL
           : "a session name has "
             ngx_ivschat_sts_range(NGX_IVSCHAT_SESSION_NAME)
             " letters, digits and \"_+=,.@-\"";
}


const char *
ngx_ivschat_sts_check_external_id(ngx_ivschat_str_t id)
{
    return ngx_ivschat_sts_within(id.len, NGX_IVSCHAT_EXTERNAL_ID)
           && ngx_ivschat_str_only(id, NGX_IVSCHAT_STS_WORD ":/")
           ? NULL
           : "an external id has "
             ngx_ivschat_sts_range(NGX_IVSCHAT_EXTERNAL_ID)
             " letters, digits and \"_+=,.@:/-\"";
}


const char *
ngx_ivschat_sts_check_web_token(ngx_ivschat_str_t token)
{
    return ngx_ivschat_sts_within(token.len, NGX_IVSCHAT_WEB_TOKEN)
           && ngx_ivschat_str_only(token, NGX_IVSCHAT_VISIBLE)
           ? NULL
           : "a web identity token has "
             ngx_ivschat_sts_range(NGX_IVSCHAT_WEB_TOKEN)
             " visible ASCII characters in one line";
}


const char *
ngx_ivschat_sts_check_duration(unsigned duration)
{
    return ngx_ivschat_sts_within(duration, NGX_IVSCHAT_ROLE_DURATION)
           ? NULL
           : "the duration of a role's session is "
             ngx_ivschat_sts_range(NGX_IVSCHAT_ROLE_DURATION) " seconds";
}


void
ngx_ivschat_sts_session_name(ngx_ivschat_str_t hostname,
    char name[NGX_IVSCHAT_SESSION_NAME_MAX + 1])
{
    char  *p;

    (void) snprintf(name, NGX_IVSCHAT_SESSION_NAME_MAX + 1, "ivschat-%.*s",
                    (int) hostname.len, hostname.data);

    for (p = name; *p; p++) {
        if (strchr(NGX_IVSCHAT_STS_WORD, *p) == NULL) {
            *p = '-';
        }
    }
}


int
ngx_ivschat_sts_form(ngx_ivschat_credentials_flavour_e action,
    const ngx_ivschat_role_t *role, ngx_ivschat_str_t web_token,
    ngx_ivschat_out_t *out, char *reason, size_t size)
{
    int          web = (action == NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY);
    char         duration[16];
    size_t       i;
    const char  *why;

    const struct {
        const char                  *name;
        const char                  *value;      /* NULL: none */
        ngx_ivschat_sts_check_pt     check;
    } params[] = {
        { "Action", web ? "AssumeRoleWithWebIdentity" : "AssumeRole", NULL },
        { "Version", "2011-06-15", NULL },
        { "RoleArn", role->role_arn, ngx_ivschat_sts_check_role },
        { "RoleSessionName", role->session_name,
          ngx_ivschat_sts_check_session_name },
        { "DurationSeconds", role->duration ? duration : NULL, NULL },
        { "ExternalId", role->external_id, ngx_ivschat_sts_check_external_id }
    };

    (void) snprintf(duration, sizeof(duration), "%u", role->duration);

    why = role->duration ? ngx_ivschat_sts_check_duration(role->duration)
                         : NULL;
    if (why != NULL) {
        return ngx_ivschat_fail(reason, size, "DurationSeconds: %s", why);
    }

    for (i = 0; i < sizeof(params) / sizeof(params[0]); i++) {

        if (params[i].value != NULL
            && ngx_ivschat_sts_put(out, params[i].name,
                                   ngx_ivschat_str(params[i].value),
                                   params[i].check, reason, size)
               != 0)
        {
            return -1;
        }
    }

    return web ? ngx_ivschat_sts_put(out, "WebIdentityToken", web_token,
                                     ngx_ivschat_sts_check_web_token, reason,
                                     size)
               : 0;
}


/* Percent-encodes all but the unreserved characters of RFC 3986. */

static int
ngx_ivschat_sts_put(ngx_ivschat_out_t *out, const char *name,
    ngx_ivschat_str_t value, ngx_ivschat_sts_check_pt check, char *reason,
    size_t size)
{
    char         encoded[sizeof("%ff")];
    size_t       i;
    const char  *why;

    why = check != NULL ? check(value) : NULL;

    if (why != NULL) {
        return ngx_ivschat_fail(reason, size, "%s: %s", name, why);
    }

    ngx_ivschat_out_text(out, out->len ? "&" : "");
    ngx_ivschat_out_text(out, name);
    ngx_ivschat_out_text(out, "=");

    for (i = 0; i < value.len; i++) {

        if (strchr(NGX_IVSCHAT_STS_UNRESERVED, value.data[i]) != NULL) {
            ngx_ivschat_out_write(out, &value.data[i], 1);

        } else {
            (void) snprintf(encoded, sizeof(encoded), "%%%02X",
                            (unsigned char) value.data[i]);
            ngx_ivschat_out_text(out, encoded);
        }
    }

    return 0;
}
