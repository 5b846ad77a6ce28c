
/*
 * Where the credentials of a profile come from.
 */


#include "ngx_ivschat_profile_plan.h"
#include "ngx_ivschat_api.h"
#include "ngx_ivschat_sts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>


/* The way from profile to profile. */

typedef struct {
    const ngx_ivschat_profiles_t   *profiles;
    const ngx_ivschat_section_t    *section;     /* where it is now */
    const ngx_ivschat_section_t    *next;        /* NULL: the plan is ready */
    const ngx_ivschat_section_t    *been[NGX_IVSCHAT_ROLES_MAX + 1];
    size_t                          nbeen;
    const char                     *config;      /* names of the files */
    const char                     *credentials;
    ngx_ivschat_plan_t             *plan;
    ngx_ivschat_credentials_t      *creds;
    char                           *reason;
    size_t                          size;
} ngx_ivschat_planner_t;

typedef const char *(*ngx_ivschat_check_pt)(ngx_ivschat_str_t value);


static ngx_ivschat_plan_e ngx_ivschat_plan_missing(ngx_ivschat_planner_t *p,
    ngx_ivschat_str_t name);
static ngx_ivschat_plan_e ngx_ivschat_plan_visit(ngx_ivschat_planner_t *p);
static ngx_ivschat_plan_e ngx_ivschat_plan_web(ngx_ivschat_planner_t *p,
    const ngx_ivschat_property_t *file);
static ngx_ivschat_plan_e ngx_ivschat_plan_role(ngx_ivschat_planner_t *p,
    const ngx_ivschat_property_t *arn);
static ngx_ivschat_plan_e ngx_ivschat_plan_source(ngx_ivschat_planner_t *p,
    const ngx_ivschat_property_t *source);
static ngx_ivschat_plan_e ngx_ivschat_plan_keys(ngx_ivschat_planner_t *p);
static ngx_ivschat_plan_e ngx_ivschat_plan_other(ngx_ivschat_planner_t *p);
static ngx_ivschat_plan_e ngx_ivschat_plan_endpoint(ngx_ivschat_planner_t *p);
static ngx_ivschat_plan_e ngx_ivschat_plan_services(ngx_ivschat_planner_t *p,
    const ngx_ivschat_property_t **endpoint, ngx_ivschat_str_t *url);

static int ngx_ivschat_plan_read_role(ngx_ivschat_planner_t *p,
    ngx_ivschat_role_t *role);
static int ngx_ivschat_plan_read(ngx_ivschat_planner_t *p, const char *key,
    ngx_ivschat_check_pt check, const char **value);
static const char *ngx_ivschat_check_region(ngx_ivschat_str_t region);
static const char *ngx_ivschat_check_path(ngx_ivschat_str_t path);
static const char *ngx_ivschat_check_duration(ngx_ivschat_str_t duration);
static const ngx_ivschat_property_t *ngx_ivschat_plan_get(
    ngx_ivschat_planner_t *p, const char *key);
static ngx_ivschat_plan_e ngx_ivschat_plan_fail(ngx_ivschat_planner_t *p,
    const ngx_ivschat_property_t *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));


static const struct {
    const char   *key;
    const char   *why;
} ngx_ivschat_unsupported[] = {
    { "credential_process", "it would block nginx" },
    { "sso_session", "SSO requires a browser" },
    { "sso_start_url", "SSO requires a browser" },
    { "sso_account_id", "SSO requires a browser" },
    { "login_session", "a login requires a browser" },
    { NULL, NULL }
};


ngx_ivschat_plan_e
ngx_ivschat_profile_plan(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_str_t name, ngx_ivschat_plan_t *plan,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size)
{
    ngx_ivschat_plan_e     rc;
    ngx_ivschat_planner_t  p;

    memset(plan, 0, sizeof(ngx_ivschat_plan_t));
    memset(&p, 0, sizeof(ngx_ivschat_planner_t));

    p.profiles = profiles;
    p.config = profiles->files[NGX_IVSCHAT_CONFIG].name;
    p.credentials = profiles->files[NGX_IVSCHAT_CREDENTIALS].name;
    p.plan = plan;
    p.creds = creds;
    p.reason = reason;
    p.size = size;

    p.section = ngx_ivschat_profiles_section(profiles, NGX_IVSCHAT_PROFILE,
                                             name);
    if (p.section == NULL) {
        return ngx_ivschat_plan_missing(&p, name);
    }

    rc = ngx_ivschat_plan_endpoint(&p);

    while (rc == NGX_IVSCHAT_PLAN_OK && p.section != NULL) {
        p.next = NULL;
        rc = ngx_ivschat_plan_visit(&p);
        p.section = p.next;
    }

    return rc;
}


static ngx_ivschat_plan_e
ngx_ivschat_plan_missing(ngx_ivschat_planner_t *p, ngx_ivschat_str_t name)
{
    int                           len;
    char                          hint[NGX_IVSCHAT_REASON_LEN];
    const ngx_ivschat_section_t  *section;

    len = (int) name.len;
    hint[0] = '\0';

    if (!ngx_ivschat_profile_name_valid(name)) {
        (void) ngx_ivschat_fail(p->reason, p->size, "invalid profile name");
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    if (p->profiles->files[NGX_IVSCHAT_CONFIG].text == NULL
        && p->profiles->files[NGX_IVSCHAT_CREDENTIALS].text == NULL)
    {
        (void) ngx_ivschat_fail(p->reason, p->size, "there is neither \"%s\" "
                                "nor \"%s\"", p->config, p->credentials);
        return NGX_IVSCHAT_PLAN_NOTHING;
    }

    section = ngx_ivschat_profiles_misplaced(p->profiles, name);

    if (section != NULL) {
        (void) snprintf(hint, sizeof(hint), ": %s:%u must be \"[%s%.*s]\"",
                        p->profiles->files[section->file].name, section->line,
                        section->file == NGX_IVSCHAT_CONFIG ? "profile " : "",
                        len, name.data);
    }

    (void) ngx_ivschat_fail(p->reason, p->size, "there is no profile \"%.*s\" "
                            "in \"%s\" or \"%s\"%s", len, name.data, p->config,
                            p->credentials, hint);

    return NGX_IVSCHAT_PLAN_NOTHING;
}


/* The section has not been visited before. */

static ngx_ivschat_plan_e
ngx_ivschat_plan_visit(ngx_ivschat_planner_t *p)
{
    const ngx_ivschat_property_t  *key, *secret, *file, *arn;

    p->been[p->nbeen++] = p->section;

    if (p->plan->region == NULL
        && ngx_ivschat_plan_read(p, "region", ngx_ivschat_check_region,
                                 &p->plan->region)
           != 0)
    {
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    key = ngx_ivschat_plan_get(p, "aws_access_key_id");
    secret = ngx_ivschat_plan_get(p, "aws_secret_access_key");
    file = ngx_ivschat_plan_get(p, "web_identity_token_file");
    arn = ngx_ivschat_plan_get(p, "role_arn");

    if (p->nbeen > 1 && key != NULL && secret != NULL) {
        return ngx_ivschat_plan_keys(p);
    }

    if (file != NULL) {
        return ngx_ivschat_plan_web(p, file);
    }

    if (arn != NULL) {
        return ngx_ivschat_plan_role(p, arn);
    }

    if (key != NULL || secret != NULL) {
        return ngx_ivschat_plan_keys(p);
    }

    return ngx_ivschat_plan_other(p);
}


static ngx_ivschat_plan_e
ngx_ivschat_plan_web(ngx_ivschat_planner_t *p,
    const ngx_ivschat_property_t *file)
{
    ngx_ivschat_role_t  *role;

    role = &p->plan->web;

    if (ngx_ivschat_plan_get(p, "role_arn") == NULL) {
        return ngx_ivschat_plan_fail(p, file, "web_identity_token_file needs "
                                     "role_arn");
    }

    if (ngx_ivschat_plan_read(p, "web_identity_token_file",
                              ngx_ivschat_check_path, &p->plan->identity_file)
        != 0
        || ngx_ivschat_plan_read_role(p, role) != 0)
    {
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    /* AssumeRoleWithWebIdentity has no such parameter */

    role->external_id = NULL;

    return NGX_IVSCHAT_PLAN_OK;
}


static ngx_ivschat_plan_e
ngx_ivschat_plan_role(ngx_ivschat_planner_t *p,
    const ngx_ivschat_property_t *arn)
{
    const char                    *duration;
    ngx_ivschat_role_t            *role;
    const ngx_ivschat_property_t  *profile, *source, *mfa;

    profile = ngx_ivschat_plan_get(p, "source_profile");
    source = ngx_ivschat_plan_get(p, "credential_source");
    mfa = ngx_ivschat_plan_get(p, "mfa_serial");

    if (profile != NULL && source != NULL) {
        return ngx_ivschat_plan_fail(p, source, "source_profile and "
                                     "credential_source are mutually "
                                     "exclusive");
    }

    if (profile == NULL && source == NULL) {
        return ngx_ivschat_plan_fail(p, arn, "role_arn needs source_profile, "
                                     "credential_source or "
                                     "web_identity_token_file");
    }

    if (mfa != NULL) {
        return ngx_ivschat_plan_fail(p, mfa, "mfa_serial is not supported, "
                                     "as it requires a typed code");
    }

    if (p->plan->nroles == NGX_IVSCHAT_ROLES_MAX) {
        return ngx_ivschat_plan_fail(p, arn, "a chain of more than %d roles",
                                     NGX_IVSCHAT_ROLES_MAX);
    }

    role = &p->plan->roles[p->plan->nroles++];
    duration = "0";

    if (ngx_ivschat_plan_read_role(p, role) != 0
        || ngx_ivschat_plan_read(p, "duration_seconds",
                                 ngx_ivschat_check_duration, &duration)
           != 0)
    {
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    role->duration = (unsigned) strtoul(duration, NULL, 10);
    p->plan->source = source;

    return source == NULL ? ngx_ivschat_plan_source(p, profile)
                          : NGX_IVSCHAT_PLAN_OK;
}


/* The profile that source_profile names is the next one. */

static ngx_ivschat_plan_e
ngx_ivschat_plan_source(ngx_ivschat_planner_t *p,
    const ngx_ivschat_property_t *source)
{
    size_t       i;
    const char  *name;

    name = source->value.data;

    if (!ngx_ivschat_profile_name_valid(source->value)) {
        return ngx_ivschat_plan_fail(p, source, "invalid name in "
                                     "source_profile");
    }

    p->next = ngx_ivschat_profiles_section(p->profiles, NGX_IVSCHAT_PROFILE,
                                           source->value);
    if (p->next == NULL) {
        return ngx_ivschat_plan_fail(p, source, "source_profile \"%s\" is "
                                     "neither in \"%s\" nor in \"%s\"", name,
                                     p->config, p->credentials);
    }

    if (p->next == p->section) {
        p->next = NULL;

        if (ngx_ivschat_plan_get(p, "aws_access_key_id") != NULL
            && ngx_ivschat_plan_get(p, "aws_secret_access_key") != NULL)
        {
            return ngx_ivschat_plan_keys(p);
        }

        return ngx_ivschat_plan_fail(p, source, "source_profile is the "
                                     "profile itself, which lacks "
                                     "aws_access_key_id or "
                                     "aws_secret_access_key");
    }

    for (i = 0; i < p->nbeen; i++) {
        if (p->been[i] == p->next) {
            return ngx_ivschat_plan_fail(p, source, "source_profile \"%s\" "
                                         "leads to a loop", name);
        }
    }

    return NGX_IVSCHAT_PLAN_OK;
}


/* At least one of the two keys is there. */

static ngx_ivschat_plan_e
ngx_ivschat_plan_keys(ngx_ivschat_planner_t *p)
{
    const char                      *why;
    ngx_ivschat_str_t                session_token;
    const ngx_ivschat_property_t    *key, *secret, *session;
    ngx_ivschat_credentials_field_e  field;

    key = ngx_ivschat_plan_get(p, "aws_access_key_id");
    secret = ngx_ivschat_plan_get(p, "aws_secret_access_key");
    session = ngx_ivschat_plan_get(p, "aws_session_token");

    if (key == NULL || secret == NULL) {
        return ngx_ivschat_plan_fail(p, key ? key : secret, "the profile has "
                                     "%s, but no %s",
                                     key ? "aws_access_key_id"
                                         : "aws_secret_access_key",
                                     key ? "aws_secret_access_key"
                                         : "aws_access_key_id");
    }

    session_token = ngx_ivschat_str("");

    if (session != NULL && session->file >= key->file) {
        session_token = session->value;
    }

    why = ngx_ivschat_credentials_set(p->creds, key->value, secret->value,
                                      session_token, &field);

    if (why != NULL) {
        key = field == NGX_IVSCHAT_ACCESS_KEY ? key
              : field == NGX_IVSCHAT_SECRET_KEY ? secret : session;

        return ngx_ivschat_plan_fail(p, key, "%.*s cannot be used: %s",
                                     (int) key->key.len, key->key.data, why);
    }

    p->plan->secret_key = secret;

    return NGX_IVSCHAT_PLAN_OK;
}


/* A profile without keys and without a role. */

static ngx_ivschat_plan_e
ngx_ivschat_plan_other(ngx_ivschat_planner_t *p)
{
    size_t                         i;
    const ngx_ivschat_property_t  *property;

    for (i = 0; ngx_ivschat_unsupported[i].key; i++) {
        property = ngx_ivschat_plan_get(p, ngx_ivschat_unsupported[i].key);

        if (property != NULL) {
            return ngx_ivschat_plan_fail(p, property, "%s is not supported, "
                                         "as %s",
                                         ngx_ivschat_unsupported[i].key,
                                         ngx_ivschat_unsupported[i].why);
        }
    }

    (void) ngx_ivschat_fail(p->reason, p->size, "the profile \"%.*s\" has no "
                            "aws_access_key_id and no role_arn",
                            (int) p->section->name.len, p->section->name.data);

    return p->nbeen > 1 ? NGX_IVSCHAT_PLAN_ERROR : NGX_IVSCHAT_PLAN_NOTHING;
}


/* Two of AWS's settings name an endpoint, and two only change its name. */

static ngx_ivschat_plan_e
ngx_ivschat_plan_endpoint(ngx_ivschat_planner_t *p)
{
    size_t                         i;
    ngx_ivschat_str_t              url, rest;
    const ngx_ivschat_property_t  *ignore, *endpoint, *property;

    static const char *const  unfollowed[] = {
        "use_fips_endpoint", "use_dualstack_endpoint"
    };

    for (i = 0; i < sizeof(unfollowed) / sizeof(unfollowed[0]); i++) {
        property = ngx_ivschat_plan_get(p, unfollowed[i]);

        if (property != NULL
            && strcasecmp(property->value.data, "false") != 0)
        {
            p->plan->unfollowed = property;
        }
    }

    ignore = ngx_ivschat_plan_get(p, "ignore_configured_endpoint_urls");
    endpoint = ngx_ivschat_plan_get(p, "endpoint_url");

    if (ignore != NULL && strcasecmp(ignore->value.data, "true") == 0) {
        return NGX_IVSCHAT_PLAN_OK;
    }

    url = endpoint != NULL ? endpoint->value : ngx_ivschat_str("");

    if (ngx_ivschat_plan_services(p, &endpoint, &url) != NGX_IVSCHAT_PLAN_OK) {
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    if (endpoint == NULL) {
        return NGX_IVSCHAT_PLAN_OK;
    }

    rest = url;

    if ((!ngx_ivschat_str_skip(&rest, "http://")
         && !ngx_ivschat_str_skip(&rest, "https://"))
        || rest.len == 0 || !ngx_ivschat_str_only(rest, NGX_IVSCHAT_VISIBLE))
    {
        return ngx_ivschat_plan_fail(p, endpoint, "endpoint_url must be "
                                     "\"http://…\" or \"https://…\"");
    }

    p->plan->sts_endpoint = url;

    return NGX_IVSCHAT_PLAN_OK;
}


static ngx_ivschat_plan_e
ngx_ivschat_plan_services(ngx_ivschat_planner_t *p,
    const ngx_ivschat_property_t **endpoint, ngx_ivschat_str_t *url)
{
    ngx_ivschat_str_t              nested;
    const ngx_ivschat_section_t   *section;
    const ngx_ivschat_property_t  *services, *sts;

    services = ngx_ivschat_plan_get(p, "services");

    if (services == NULL) {
        return NGX_IVSCHAT_PLAN_OK;
    }

    section = ngx_ivschat_profiles_section(p->profiles, NGX_IVSCHAT_SERVICES,
                                           services->value);
    if (section == NULL) {
        return ngx_ivschat_plan_fail(p, services, "there is no section "
                                     "\"[services …]\" of this name in \"%s\"",
                                     p->config);
    }

    sts = ngx_ivschat_section_property(section, ngx_ivschat_str("sts"));

    if (sts != NULL
        && ngx_ivschat_profile_nested(sts->value,
                                      ngx_ivschat_str("endpoint_url"), &nested)
           == 0
        && nested.len != 0)
    {
        *endpoint = sts;
        *url = nested;
    }

    return NGX_IVSCHAT_PLAN_OK;
}


static int
ngx_ivschat_plan_read_role(ngx_ivschat_planner_t *p, ngx_ivschat_role_t *role)
{
    return (ngx_ivschat_plan_read(p, "role_arn", ngx_ivschat_sts_check_role,
                                  &role->role_arn)
            != 0
            || ngx_ivschat_plan_read(p, "role_session_name",
                                     ngx_ivschat_sts_check_session_name,
                                     &role->session_name)
               != 0
            || ngx_ivschat_plan_read(p, "external_id",
                                     ngx_ivschat_sts_check_external_id,
                                     &role->external_id)
               != 0)
           ? -1 : 0;
}


/* Leaves *value alone if there is none. */

static int
ngx_ivschat_plan_read(ngx_ivschat_planner_t *p, const char *key,
    ngx_ivschat_check_pt check, const char **value)
{
    const char                    *why;
    const ngx_ivschat_property_t  *property;

    property = ngx_ivschat_plan_get(p, key);

    if (property == NULL) {
        return 0;
    }

    why = check(property->value);

    if (why != NULL) {
        (void) ngx_ivschat_plan_fail(p, property, "%s cannot be used: %s", key,
                                     why);
        return -1;
    }

    *value = property->value.data;

    return 0;
}


static const char *
ngx_ivschat_check_region(ngx_ivschat_str_t region)
{
    return ngx_ivschat_region_valid(region)
           ? NULL : "it must be a region such as \"us-west-2\"";
}


/* A line that was continued has a line feed. */

static const char *
ngx_ivschat_check_path(ngx_ivschat_str_t path)
{
    if (path.data[0] != '/') {
        return "it must be an absolute path";
    }

    return memchr(path.data, '\n', path.len) == NULL
           ? NULL : "the next line is indented, and belongs to it";
}


static const char *
ngx_ivschat_check_duration(ngx_ivschat_str_t duration)
{
    unsigned long  n;

    n = strtoul(duration.data, NULL, 10);

    if (n > NGX_IVSCHAT_ROLE_DURATION_MAX
        || !ngx_ivschat_str_only(duration, NGX_IVSCHAT_DIGITS))
    {
        n = 0;
    }

    return ngx_ivschat_sts_check_duration((unsigned) n);
}


/* A property of this section; NULL also if its value is empty. */

static const ngx_ivschat_property_t *
ngx_ivschat_plan_get(ngx_ivschat_planner_t *p, const char *key)
{
    const ngx_ivschat_property_t  *property;

    property = ngx_ivschat_section_property(p->section, ngx_ivschat_str(key));

    return (property != NULL && property->value.len != 0) ? property : NULL;
}


static ngx_ivschat_plan_e
ngx_ivschat_plan_fail(ngx_ivschat_planner_t *p,
    const ngx_ivschat_property_t *where, const char *fmt, ...)
{
    char     why[NGX_IVSCHAT_REASON_LEN];
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);

    (void) ngx_ivschat_fail(p->reason, p->size, "%s:%u: %s",
                            p->profiles->files[where->file].name, where->line,
                            why);

    return NGX_IVSCHAT_PLAN_ERROR;
}
