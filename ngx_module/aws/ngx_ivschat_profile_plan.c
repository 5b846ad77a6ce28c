
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
    const ngx_ivschat_profiles_t       *profiles;
    const ngx_ivschat_profile_file_t   *files;
    ngx_ivschat_plan_t                 *plan;
    ngx_ivschat_credentials_t          *creds;
    const ngx_ivschat_section_t        *next;    /* NULL: the plan is ready */
    const ngx_ivschat_section_t        *been[NGX_IVSCHAT_ROLES_MAX + 1];
    size_t                              nbeen;
    char                               *reason;
    size_t                              size;
} ngx_ivschat_planner_t;

typedef const char *(*ngx_ivschat_check_pt)(ngx_ivschat_str_t s);


static ngx_ivschat_plan_e ngx_ivschat_plan_missing(
    ngx_ivschat_planner_t *planner, ngx_ivschat_str_t name);
static ngx_ivschat_plan_e ngx_ivschat_plan_visit(
    ngx_ivschat_planner_t *planner, const ngx_ivschat_section_t *section);
static ngx_ivschat_plan_e ngx_ivschat_plan_web(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section, const ngx_ivschat_property_t *file);
static ngx_ivschat_plan_e ngx_ivschat_plan_role(
    ngx_ivschat_planner_t *planner, const ngx_ivschat_section_t *section,
    const ngx_ivschat_property_t *arn);
static ngx_ivschat_plan_e ngx_ivschat_plan_source(
    ngx_ivschat_planner_t *planner, const ngx_ivschat_section_t *section,
    const ngx_ivschat_property_t *source);
static ngx_ivschat_plan_e ngx_ivschat_plan_keys(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section);
static ngx_ivschat_plan_e ngx_ivschat_plan_other(
    ngx_ivschat_planner_t *planner, const ngx_ivschat_section_t *section);

static int ngx_ivschat_plan_read_role(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section, ngx_ivschat_role_t *role);
static int ngx_ivschat_plan_read_duration(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section, unsigned *duration);
static int ngx_ivschat_plan_read(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section, const char *key,
    ngx_ivschat_check_pt check, const char **value);
static const char *ngx_ivschat_plan_check_region(ngx_ivschat_str_t region);
static const char *ngx_ivschat_plan_check_path(ngx_ivschat_str_t path);
static ngx_ivschat_plan_e ngx_ivschat_plan_endpoint(
    ngx_ivschat_planner_t *planner, const ngx_ivschat_section_t *section);

static int ngx_ivschat_plan_services(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_property_t *services,
    const ngx_ivschat_property_t **endpoint, ngx_ivschat_str_t *url);

static const ngx_ivschat_property_t *ngx_ivschat_plan_get(
    const ngx_ivschat_section_t *section, const char *key);
static ngx_ivschat_plan_e ngx_ivschat_plan_fail(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_property_t *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));


static const struct {
    const char   *key;
    const char   *why;
} ngx_ivschat_unsupported[] = {
    { "credential_process", "it would block nginx" },
    { "sso_session", "SSO needs a person with a browser" },
    { "sso_start_url", "SSO needs a person with a browser" },
    { "sso_account_id", "SSO needs a person with a browser" },
    { "login_session", "a login needs a person with a browser" },
    { NULL, NULL }
};


ngx_ivschat_plan_e
ngx_ivschat_profile_plan(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_str_t name, ngx_ivschat_plan_t *plan,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size)
{
    ngx_ivschat_plan_e            rc;
    ngx_ivschat_planner_t         planner;
    const ngx_ivschat_section_t  *section;

    memset(plan, 0, sizeof(ngx_ivschat_plan_t));
    memset(&planner, 0, sizeof(ngx_ivschat_planner_t));

    planner.profiles = profiles;
    planner.files = profiles->files;
    planner.plan = plan;
    planner.creds = creds;
    planner.reason = reason;
    planner.size = size;

    section = ngx_ivschat_profiles_section(profiles, NGX_IVSCHAT_PROFILE,
                                           name);
    if (section == NULL) {
        return ngx_ivschat_plan_missing(&planner, name);
    }

    rc = ngx_ivschat_plan_endpoint(&planner, section);

    while (rc == NGX_IVSCHAT_PLAN_OK && section != NULL) {
        planner.next = NULL;
        rc = ngx_ivschat_plan_visit(&planner, section);
        section = planner.next;
    }

    return rc;
}


static ngx_ivschat_plan_e
ngx_ivschat_plan_missing(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name)
{
    int                                n;
    const ngx_ivschat_section_t       *section;
    const ngx_ivschat_profile_file_t  *files;

    files = planner->files;

    if (!ngx_ivschat_profile_name_valid(name)) {
        (void) snprintf(planner->reason, planner->size, "the name of the "
                        "profile is empty or has a character that no name "
                        "has");
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    if (files[NGX_IVSCHAT_CONFIG].text == NULL
        && files[NGX_IVSCHAT_CREDENTIALS].text == NULL)
    {
        (void) snprintf(planner->reason, planner->size, "there is neither "
                        "\"%s\" nor \"%s\"", files[NGX_IVSCHAT_CONFIG].name,
                        files[NGX_IVSCHAT_CREDENTIALS].name);
        return NGX_IVSCHAT_PLAN_NOTHING;
    }

    n = snprintf(planner->reason, planner->size, "there is no profile "
                 "\"%.*s\" in \"%s\" or \"%s\"", (int) name.len, name.data,
                 files[NGX_IVSCHAT_CONFIG].name,
                 files[NGX_IVSCHAT_CREDENTIALS].name);

    section = ngx_ivschat_profiles_misplaced(planner->profiles, name);

    if (section != NULL && n > 0 && (size_t) n < planner->size) {
        (void) snprintf(planner->reason + n, planner->size - (size_t) n,
                        ": %s:%u must be \"[%s%.*s]\"",
                        files[section->file].name, section->line,
                        section->file == NGX_IVSCHAT_CONFIG ? "profile " : "",
                        (int) name.len, name.data);
    }

    return NGX_IVSCHAT_PLAN_NOTHING;
}


/* The section has not been visited before. */

static ngx_ivschat_plan_e
ngx_ivschat_plan_visit(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section)
{
    const ngx_ivschat_property_t  *key, *secret, *file, *arn;

    planner->been[planner->nbeen++] = section;

    if (planner->plan->region == NULL
        && ngx_ivschat_plan_read(planner, section, "region",
                                 ngx_ivschat_plan_check_region,
                                 &planner->plan->region)
           != 0)
    {
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    key = ngx_ivschat_plan_get(section, "aws_access_key_id");
    secret = ngx_ivschat_plan_get(section, "aws_secret_access_key");

    if (planner->nbeen > 1 && key != NULL && secret != NULL) {
        return ngx_ivschat_plan_keys(planner, section);
    }

    file = ngx_ivschat_plan_get(section, "web_identity_token_file");

    if (file != NULL) {
        return ngx_ivschat_plan_web(planner, section, file);
    }

    arn = ngx_ivschat_plan_get(section, "role_arn");

    if (arn != NULL) {
        return ngx_ivschat_plan_role(planner, section, arn);
    }

    if (key != NULL || secret != NULL) {
        return ngx_ivschat_plan_keys(planner, section);
    }

    return ngx_ivschat_plan_other(planner, section);
}


static ngx_ivschat_plan_e
ngx_ivschat_plan_web(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section, const ngx_ivschat_property_t *file)
{
    const char          *path;
    ngx_ivschat_role_t  *role;

    role = &planner->plan->web;

    if (ngx_ivschat_plan_get(section, "role_arn") == NULL) {
        return ngx_ivschat_plan_fail(planner, file, "web_identity_token_file "
                                     "needs role_arn");
    }

    if (ngx_ivschat_plan_read(planner, section, "web_identity_token_file",
                              ngx_ivschat_plan_check_path, &path)
        != 0
        || ngx_ivschat_plan_read_role(planner, section, role) != 0)
    {
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    /* AssumeRoleWithWebIdentity has no such parameter */

    role->external_id = NULL;
    planner->plan->identity_file = file;

    return NGX_IVSCHAT_PLAN_OK;
}


static ngx_ivschat_plan_e
ngx_ivschat_plan_role(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section, const ngx_ivschat_property_t *arn)
{
    ngx_ivschat_plan_t            *plan;
    ngx_ivschat_role_t            *role;
    const ngx_ivschat_property_t  *profile, *source, *mfa;

    plan = planner->plan;
    profile = ngx_ivschat_plan_get(section, "source_profile");
    source = ngx_ivschat_plan_get(section, "credential_source");
    mfa = ngx_ivschat_plan_get(section, "mfa_serial");

    if (profile != NULL && source != NULL) {
        return ngx_ivschat_plan_fail(planner, source, "source_profile and "
                                     "credential_source exclude each other");
    }

    if (profile == NULL && source == NULL) {
        return ngx_ivschat_plan_fail(planner, arn, "role_arn needs "
                                     "source_profile, credential_source or "
                                     "web_identity_token_file");
    }

    if (mfa != NULL) {
        return ngx_ivschat_plan_fail(planner, mfa, "mfa_serial needs a person "
                                     "who types a code");
    }

    if (plan->nroles == NGX_IVSCHAT_ROLES_MAX) {
        return ngx_ivschat_plan_fail(planner, arn, "more than %d roles follow "
                                     "one another", NGX_IVSCHAT_ROLES_MAX);
    }

    role = &plan->roles[plan->nroles++];

    if (ngx_ivschat_plan_read_role(planner, section, role) != 0
        || ngx_ivschat_plan_read_duration(planner, section, &role->duration)
           != 0)
    {
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    plan->source = source;

    return profile != NULL ? ngx_ivschat_plan_source(planner, section, profile)
                           : NGX_IVSCHAT_PLAN_OK;
}


static ngx_ivschat_plan_e
ngx_ivschat_plan_source(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section, const ngx_ivschat_property_t *source)
{
    size_t                        i;
    const ngx_ivschat_section_t  *next;

    if (!ngx_ivschat_profile_name_valid(source->value)) {
        return ngx_ivschat_plan_fail(planner, source, "source_profile has a "
                                     "character that no name has");
    }

    next = ngx_ivschat_profiles_section(planner->profiles,
                                        NGX_IVSCHAT_PROFILE, source->value);

    if (next == section) {

        if (ngx_ivschat_plan_get(section, "aws_access_key_id") == NULL
            || ngx_ivschat_plan_get(section, "aws_secret_access_key") == NULL)
        {
            return ngx_ivschat_plan_fail(planner, source, "source_profile is "
                                         "the profile itself, which has not "
                                         "both aws_access_key_id and "
                                         "aws_secret_access_key");
        }

        return ngx_ivschat_plan_keys(planner, section);
    }

    if (next == NULL) {
        return ngx_ivschat_plan_fail(planner, source, "source_profile \"%s\" "
                                     "is neither in \"%s\" nor in \"%s\"",
                                     source->value.data,
                                     planner->files[NGX_IVSCHAT_CONFIG].name,
                                  planner->files[NGX_IVSCHAT_CREDENTIALS].name);
    }

    for (i = 0; i < planner->nbeen; i++) {
        if (planner->been[i] == next) {
            return ngx_ivschat_plan_fail(planner, source, "source_profile "
                                         "\"%s\" leads in a circle",
                                         source->value.data);
        }
    }

    planner->next = next;

    return NGX_IVSCHAT_PLAN_OK;
}


/* At least one of the two keys is there. */

static ngx_ivschat_plan_e
ngx_ivschat_plan_keys(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section)
{
    const char                      *why;
    ngx_ivschat_str_t                session_token;
    const ngx_ivschat_property_t    *property[3];
    ngx_ivschat_credentials_field_e  i;

    static const char *const  names[] = {
        [NGX_IVSCHAT_ACCESS_KEY] = "aws_access_key_id",
        [NGX_IVSCHAT_SECRET_KEY] = "aws_secret_access_key",
        [NGX_IVSCHAT_SESSION_TOKEN] = "aws_session_token"
    };

    _Static_assert(NGX_IVSCHAT_SESSION_TOKEN == 2, "a name for each field");

    for (i = NGX_IVSCHAT_ACCESS_KEY; i <= NGX_IVSCHAT_SESSION_TOKEN; i++) {
        property[i] = ngx_ivschat_plan_get(section, names[i]);
    }

    for (i = NGX_IVSCHAT_ACCESS_KEY; i <= NGX_IVSCHAT_SECRET_KEY; i++) {
        if (property[i] == NULL) {
            return ngx_ivschat_plan_fail(planner, property[!i], "the profile "
                                         "has %s, but no %s", names[!i],
                                         names[i]);
        }
    }

    session_token = ngx_ivschat_str("");

    if (property[2] != NULL && property[2]->file >= property[0]->file) {
        session_token = property[2]->value;
    }

    why = ngx_ivschat_credentials_set(planner->creds, property[0]->value,
                                      property[1]->value, session_token, &i);

    if (why != NULL) {
        return ngx_ivschat_plan_fail(planner, property[i], "%s cannot be "
                                     "used: %s", names[i], why);
    }

    planner->plan->secret_key = property[1];

    return NGX_IVSCHAT_PLAN_OK;
}


/* A profile without keys and without a role. */

static ngx_ivschat_plan_e
ngx_ivschat_plan_other(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section)
{
    size_t                         i;
    const ngx_ivschat_property_t  *property;

    for (i = 0; ngx_ivschat_unsupported[i].key; i++) {
        property = ngx_ivschat_plan_get(section,
                                        ngx_ivschat_unsupported[i].key);

        if (property != NULL) {
            (void) ngx_ivschat_plan_fail(planner, property, "%s is not "
                                         "supported, as %s",
                                         ngx_ivschat_unsupported[i].key,
                                         ngx_ivschat_unsupported[i].why);
            return NGX_IVSCHAT_PLAN_UNSUPPORTED;
        }
    }

    (void) snprintf(planner->reason, planner->size, "the profile \"%.*s\" has "
                    "no aws_access_key_id and no role_arn",
                    (int) section->name.len, section->name.data);

    return planner->nbeen > 1 ? NGX_IVSCHAT_PLAN_ERROR
                              : NGX_IVSCHAT_PLAN_NOTHING;
}


static int
ngx_ivschat_plan_read_role(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section, ngx_ivschat_role_t *role)
{
    if (ngx_ivschat_plan_read(planner, section, "role_arn",
                              ngx_ivschat_sts_check_role, &role->role_arn)
        != 0
        || ngx_ivschat_plan_read(planner, section, "role_session_name",
                                 ngx_ivschat_sts_check_session_name,
                                 &role->session_name)
           != 0)
    {
        return -1;
    }

    return ngx_ivschat_plan_read(planner, section, "external_id",
                                 ngx_ivschat_sts_check_external_id,
                                 &role->external_id);
}


static int
ngx_ivschat_plan_read_duration(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section, unsigned *duration)
{
    const char                    *why;
    unsigned long                  n;
    const ngx_ivschat_property_t  *property;

    property = ngx_ivschat_plan_get(section, "duration_seconds");

    if (property == NULL) {
        return 0;
    }

    n = strtoul(property->value.data, NULL, 10);

    if (n > NGX_IVSCHAT_ROLE_DURATION_MAX
        || !ngx_ivschat_str_only(property->value, NGX_IVSCHAT_DIGITS))
    {
        n = 0;
    }

    *duration = (unsigned) n;
    why = ngx_ivschat_sts_check_duration(*duration);

    if (why != NULL) {
        (void) ngx_ivschat_plan_fail(planner, property, "duration_seconds "
                                     "cannot be used: %s", why);
        return -1;
    }

    return 0;
}


/* Leaves *value alone if there is none. */

static int
ngx_ivschat_plan_read(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section, const char *key,
    ngx_ivschat_check_pt check, const char **value)
{
    const char                    *why;
    const ngx_ivschat_property_t  *property;

    property = ngx_ivschat_plan_get(section, key);

    if (property == NULL) {
        return 0;
    }

    why = check(property->value);

    if (why != NULL) {
        (void) ngx_ivschat_plan_fail(planner, property, "%s cannot be used: "
                                     "%s", key, why);
        return -1;
    }

    *value = property->value.data;

    return 0;
}


static const char *
ngx_ivschat_plan_check_region(ngx_ivschat_str_t region)
{
    return ngx_ivschat_region_valid(region)
           ? NULL : "a region has only small letters, digits and \"-\", and at "
                    "most 32 of them";
}


/* A line that was continued has a line feed. */

static const char *
ngx_ivschat_plan_check_path(ngx_ivschat_str_t path)
{
    if (path.data[0] != '/') {
        return "it must be an absolute path";
    }

    return memchr(path.data, '\n', path.len) == NULL
           ? NULL : "the line after it is indented, and so belongs to it";
}


/* Of AWS's settings for endpoints, the two that name one. */

static ngx_ivschat_plan_e
ngx_ivschat_plan_endpoint(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_section_t *section)
{
    ngx_ivschat_str_t              url, rest;
    const ngx_ivschat_property_t  *ignore, *services, *endpoint;

    ignore = ngx_ivschat_plan_get(section, "ignore_configured_endpoint_urls");
    services = ngx_ivschat_plan_get(section, "services");
    endpoint = ngx_ivschat_plan_get(section, "endpoint_url");

    if (ignore != NULL && strcasecmp(ignore->value.data, "true") == 0) {
        return NGX_IVSCHAT_PLAN_OK;
    }

    url = endpoint != NULL ? endpoint->value : ngx_ivschat_str("");

    if (services != NULL
        && ngx_ivschat_plan_services(planner, services, &endpoint, &url) != 0)
    {
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    if (endpoint == NULL) {
        return NGX_IVSCHAT_PLAN_OK;
    }

    rest = url;

    if ((!ngx_ivschat_str_skip(&rest, "http://")
         && !ngx_ivschat_str_skip(&rest, "https://"))
        || rest.len == 0 || !ngx_ivschat_str_visible(rest))
    {
        return ngx_ivschat_plan_fail(planner, endpoint, "endpoint_url must "
                                     "be \"http://…\" or \"https://…\"");
    }

    planner->plan->sts_endpoint = url;

    return NGX_IVSCHAT_PLAN_OK;
}


static int
ngx_ivschat_plan_services(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_property_t *services,
    const ngx_ivschat_property_t **endpoint, ngx_ivschat_str_t *url)
{
    ngx_ivschat_str_t              nested;
    const ngx_ivschat_section_t   *section;
    const ngx_ivschat_property_t  *sts;

    section = ngx_ivschat_profiles_section(planner->profiles,
                                           NGX_IVSCHAT_SERVICES,
                                           services->value);
    if (section == NULL) {
        (void) ngx_ivschat_plan_fail(planner, services, "there is no section "
                                     "\"[services …]\" of this name in \"%s\"",
                                     planner->files[NGX_IVSCHAT_CONFIG].name);
        return -1;
    }

    sts = ngx_ivschat_plan_get(section, "sts");

    if (sts != NULL
        && ngx_ivschat_profile_nested(sts->value,
                                      ngx_ivschat_str("endpoint_url"), &nested)
           == 0
        && nested.len != 0)
    {
        *endpoint = sts;
        *url = nested;
    }

    return 0;
}


/* NULL also if the value is empty. */

static const ngx_ivschat_property_t *
ngx_ivschat_plan_get(const ngx_ivschat_section_t *section, const char *key)
{
    const ngx_ivschat_property_t  *property;

    property = ngx_ivschat_section_property(section, ngx_ivschat_str(key));

    return (property != NULL && property->value.len != 0) ? property : NULL;
}


static ngx_ivschat_plan_e
ngx_ivschat_plan_fail(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_property_t *where, const char *fmt, ...)
{
    int      n;
    va_list  args;

    n = snprintf(planner->reason, planner->size, "%s:%u: ",
                 planner->files[where->file].name, where->line);

    if (n > 0 && (size_t) n < planner->size) {
        va_start(args, fmt);
        (void) vsnprintf(planner->reason + n, planner->size - (size_t) n, fmt,
                         args);
        va_end(args);
    }

    return NGX_IVSCHAT_PLAN_ERROR;
}
