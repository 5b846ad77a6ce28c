
/*
 * The files that AWS's tools share, config and credentials with a form feed
 * between: each property is what its line has, and a plan is complete and has
 * checked values.
 */


#include "aws/ngx_ivschat_profile_plan.h"
#include "aws/ngx_ivschat_sts.h"

#include "fuzz.h"


static ngx_ivschat_str_t  texts[NGX_IVSCHAT_PROFILE_FILES];


static ngx_ivschat_str_t
trim(ngx_ivschat_str_t s)
{
    while (s.len && strchr(" \t", s.data[0])) {
        s.data++;
        s.len--;
    }

    while (s.len && strchr(" \t", s.data[s.len - 1])) {
        s.len--;
    }

    return s;
}


/* The line again, from the text as it was: KEY = VALUE, and a comment. */

static void
check_property(const ngx_ivschat_property_t *p)
{
    size_t              i;
    unsigned            n;
    ngx_ivschat_str_t   text, line, key, value, got;

    must(p->value.data[p->value.len] == '\0');
    must(strlen(p->value.data) == p->value.len);

    text = texts[p->file];
    line = fuzz_line(&text);

    for (n = 1; n < p->line; n++) {
        line = fuzz_line(&text);
    }

    line.len -= line.len && line.data[line.len - 1] == '\r';

    for (i = 1; i < line.len; i++) {
        if (strchr("#;", line.data[i]) && strchr(" \t", line.data[i - 1])) {
            line.len = i;
        }
    }

    for (i = 0; i < line.len && line.data[i] != '='; i++) { /* void */ }

    must(i < line.len);

    key.data = line.data;
    key.len = i;
    key = trim(key);
    must(key.len == p->key.len);
    must(strncasecmp(key.data, p->key.data, key.len) == 0);

    value.data = line.data + i + 1;
    value.len = line.len - i - 1;
    got = p->value;
    must(fuzz_same(fuzz_line(&got), trim(value)));
    must(p->nested == (trim(value).len == 0));
}


static void
check_sections(const ngx_ivschat_profiles_t *profiles)
{
    size_t                         n;
    const ngx_ivschat_section_t   *section;
    const ngx_ivschat_property_t  *p;

    for (section = profiles->sections; section; section = section->next) {
        must(section->type == NGX_IVSCHAT_IGNORED
             ? section->nproperties == 0
             : ngx_ivschat_profiles_section(profiles, section->type,
                                            section->name) == section);
        n = 0;

        for (p = section->properties; p; p = p->next) {
            must(ngx_ivschat_section_property(section, p->key) == p);
            check_property(p);
            n++;
        }

        must(n == section->nproperties);
    }
}


static void
check_role(const ngx_ivschat_role_t *role)
{
    ngx_ivschat_str_t  s;

    must(role->role_arn != NULL);
    s = ngx_ivschat_str(role->role_arn);
    must(ngx_ivschat_sts_check_role(s) == NULL);

    if (role->session_name != NULL) {
        s = ngx_ivschat_str(role->session_name);
        must(ngx_ivschat_sts_check_session_name(s) == NULL);
    }

    if (role->external_id != NULL) {
        s = ngx_ivschat_str(role->external_id);
        must(ngx_ivschat_sts_check_external_id(s) == NULL);
    }

    must(role->duration == 0
         || ngx_ivschat_sts_check_duration(role->duration) == NULL);
}


static void
check_plan(const ngx_ivschat_profiles_t *profiles, ngx_ivschat_str_t name)
{
    char                reason[NGX_IVSCHAT_REASON_LEN];
    size_t              i;
    ngx_ivschat_plan_e  rc;
    ngx_ivschat_plan_t  plan;

    static ngx_ivschat_credentials_t  creds;

    memset(&creds, 0, sizeof(creds));
    reason[0] = '\0';

    rc = ngx_ivschat_profile_plan(profiles, name, &plan, &creds, reason,
                                  sizeof(reason));

    must((rc == NGX_IVSCHAT_PLAN_OK) == (reason[0] == '\0'));

    if (rc != NGX_IVSCHAT_PLAN_OK) {
        must(creds.access_key_len == 0 && creds.secret_key[0] == '\0');
        return;
    }

    fuzz_accepted++;

    must((plan.secret_key != NULL) + (plan.identity_file != NULL)
         + (plan.source != NULL) == 1);
    must((plan.secret_key != NULL) == (creds.access_key_len != 0));
    must(fuzz_visible(creds.access_key) && fuzz_visible(creds.secret_key));
    must(fuzz_visible(creds.session_token));
    must(plan.nroles <= NGX_IVSCHAT_ROLES_MAX);

    for (i = 0; i < plan.nroles; i++) {
        check_role(&plan.roles[i]);
    }

    if (plan.identity_file != NULL) {
        check_role(&plan.web);
    }
}


static char *
text_of(ngx_ivschat_str_t s)
{
    return s.data != NULL ? fuzz_text(s) : NULL;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int                           rc;
    char                          reason[NGX_IVSCHAT_REASON_LEN];
    size_t                        i;
    const char                   *feed;
    ngx_ivschat_str_t             nobody = S("nobody");
    ngx_ivschat_profiles_t        profiles;
    const ngx_ivschat_section_t  *section;

    feed = len ? memchr(data, '\f', len) : NULL;

    texts[0].data = (const char *) data;
    texts[0].len = feed ? (size_t) (feed - texts[0].data) : len;
    texts[1].data = feed ? feed + 1 : NULL;
    texts[1].len = feed ? len - texts[0].len - 1 : 0;

    memset(&profiles, 0, sizeof(profiles));

    for (i = 0; i < NGX_IVSCHAT_PROFILE_FILES; i++) {
        profiles.files[i].name = i ? "credentials" : "config";
        profiles.files[i].text = len ? text_of(texts[i]) : NULL;
        profiles.files[i].len = texts[i].len;
    }

    reason[0] = '\0';
    rc = ngx_ivschat_profiles_parse(&profiles, reason, sizeof(reason));
    must((rc == 0) == (reason[0] == '\0'));

    if (rc == 0) {
        check_sections(&profiles);
        check_plan(&profiles, nobody);

        for (section = profiles.sections; section; section = section->next) {
            check_plan(&profiles, section->name);
        }
    }

    ngx_ivschat_profiles_free(&profiles);
    must(profiles.sections == NULL && profiles.files[0].text == NULL);

    return 0;
}
