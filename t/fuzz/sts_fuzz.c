
/*
 * The request to STS, of values that come from the environment and from
 * files: a form that is written has these values and no other parameter.
 * Lines of the input: role, session name, external id, duration, token.
 */


#include "aws/ngx_ivschat_sts.h"

#include "fuzz.h"


/* Takes off a pair of the form, and decodes its value. */

static char *
next(char **form, const char *name)
{
    char      *in, *out, *value;
    unsigned   byte;

    must(*form != NULL);
    value = strsep(form, "&");
    must(strncmp(value, name, strlen(name)) == 0);
    value += strlen(name);
    must(*value++ == '=');

    for (in = out = value; *in; out++) {

        if (*in != '%') {
            must(isalnum((unsigned char) *in) || strchr("-._~", *in));
            *out = *in++;
            continue;
        }

        must(sscanf(in, "%%%2X", &byte) == 1);
        *out = (char) byte;
        in += 3;
    }

    *out = '\0';

    return value;
}


static void
check_form(char *form, int web, const ngx_ivschat_role_t *role,
    const char *token)
{
    must(strcmp(next(&form, "Action"), web ? "AssumeRoleWithWebIdentity"
                                           : "AssumeRole") == 0);
    must(strcmp(next(&form, "Version"), "2011-06-15") == 0);
    must(strcmp(next(&form, "RoleArn"), role->role_arn) == 0);
    must(strcmp(next(&form, "RoleSessionName"), role->session_name) == 0);

    if (role->duration) {
        must(strtoul(next(&form, "DurationSeconds"), NULL, 10)
             == role->duration);
    }

    if (role->external_id != NULL) {
        must(strcmp(next(&form, "ExternalId"), role->external_id) == 0);
    }

    if (web) {
        must(strcmp(next(&form, "WebIdentityToken"), token) == 0);
    }

    must(form == NULL);
}


static int
valid(int web, const ngx_ivschat_role_t *role, const char *token)
{
    return ngx_ivschat_sts_check_role(ngx_ivschat_str(role->role_arn)) == NULL
           && ngx_ivschat_sts_check_session_name(
                                   ngx_ivschat_str(role->session_name)) == NULL
           && (role->external_id == NULL
               || ngx_ivschat_sts_check_external_id(
                                   ngx_ivschat_str(role->external_id)) == NULL)
           && (role->duration == 0
               || ngx_ivschat_sts_check_duration(role->duration) == NULL)
           && (!web || ngx_ivschat_sts_check_web_token(ngx_ivschat_str(token))
                       == NULL);
}


static void
check_action(int web, const ngx_ivschat_role_t *role, const char *token)
{
    int                                rc;
    char                               reason[NGX_IVSCHAT_REASON_LEN];
    char                               buf[3 * 8192 + 256];
    ngx_ivschat_out_t                  out = { buf, sizeof(buf), 0 };
    ngx_ivschat_credentials_flavour_e  action;

    reason[0] = '\0';
    action = web ? NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY
                 : NGX_IVSCHAT_ASSUME_ROLE;
    rc = ngx_ivschat_sts_form(action, role, ngx_ivschat_str(token), &out,
                              reason, sizeof(reason));

    must((rc == 0) == valid(web, role, token));
    must((rc == 0) == (reason[0] == '\0'));

    if (rc == 0) {
        fuzz_accepted++;

        must(out.len < out.size);
        buf[out.len] = '\0';
        check_form(buf, web, role, token);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char                 name[NGX_IVSCHAT_SESSION_NAME_MAX + 1], *lines[5];
    size_t               i;
    ngx_ivschat_str_t    s, rest, host;
    ngx_ivschat_role_t   role = { NULL, NULL, NULL, 0, NULL, NULL, NULL };

    if (len > 8192) {
        return 0;
    }

    s = fuzz_copy(data, len);
    rest = s;

    for (i = 0; i < size(lines); i++) {
        host = fuzz_line(&rest);
        lines[i] = fuzz_text(host);
    }

    role.role_arn = lines[0];
    role.session_name = lines[1];
    role.external_id = lines[2][0] ? lines[2] : NULL;
    role.duration = (unsigned) strtoul(lines[3], NULL, 10);

    check_action(0, &role, lines[4]);
    check_action(1, &role, lines[4]);

    (void) ngx_ivschat_sts_session_name(host, name);
    must(ngx_ivschat_sts_check_session_name(ngx_ivschat_str(name)) == NULL);

    for (i = 0; i < size(lines); i++) {
        free(lines[i]);
    }

    fuzz_free(s);

    return 0;
}
