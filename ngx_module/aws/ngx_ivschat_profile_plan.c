
/*
 * Where the credentials of a profile come from.
 */


#include "ngx_ivschat_profile_plan.h"
#include "ngx_ivschat_api.h"
#include "ngx_ivschat_credentials.h"
#include "ngx_ivschat_sts.h"

#include <stdarg.h>
#include <stdio.h>


/* Beyond ngx_ivschat_plan_e, within this file: go on with the next profile. */

#define NGX_IVSCHAT_PLAN_NEXT   (-1)


/* The way from profile to profile. */

typedef struct {
    const ngx_ivschat_profiles_t   *profiles;
    ngx_ivschat_plan_t             *plan;
    ngx_ivschat_str_t               next;
    ngx_ivschat_str_t               been[NGX_IVSCHAT_ROLES_MAX + 1];
    size_t                          nbeen;
    char                           *reason;
    size_t                          size;
} ngx_ivschat_planner_t;

typedef const char *(*ngx_ivschat_check_pt)(ngx_ivschat_str_t s);

typedef struct {
    const char   *key;
    const char   *why;
} ngx_ivschat_unsupported_t;

typedef struct {
    ngx_ivschat_str_t           name;
    ngx_ivschat_plan_source_e   source;
} ngx_ivschat_named_source_t;


static int ngx_ivschat_plan_visit(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name);
static int ngx_ivschat_plan_missing(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name);
static int ngx_ivschat_plan_role(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name, const ngx_ivschat_property_t *arn);
static int ngx_ivschat_plan_source(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name, const ngx_ivschat_property_t *source);
static int ngx_ivschat_plan_named_source(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_property_t *source);
static int ngx_ivschat_plan_web(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name, const ngx_ivschat_property_t *file);
static int ngx_ivschat_plan_other(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name);

static int ngx_ivschat_plan_has_keys(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name);
static int ngx_ivschat_plan_keys(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name);

static int ngx_ivschat_plan_read_role(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name, ngx_ivschat_plan_role_t *role);
static int ngx_ivschat_plan_read_duration(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name, unsigned *duration);
static int ngx_ivschat_plan_read(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name, const char *key, ngx_ivschat_check_pt check,
    ngx_ivschat_str_t *value);
static const char *ngx_ivschat_plan_check_region(ngx_ivschat_str_t region);
static const char *ngx_ivschat_plan_check_path(ngx_ivschat_str_t path);

static int ngx_ivschat_plan_endpoint(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name);
static int ngx_ivschat_plan_services(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name, ngx_ivschat_property_t *endpoint);
static int ngx_ivschat_plan_url_valid(ngx_ivschat_str_t url);

static int ngx_ivschat_plan_get(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name, const char *key,
    ngx_ivschat_property_t *property);
static int ngx_ivschat_plan_fail(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_property_t *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int ngx_ivschat_plan_end(ngx_ivschat_planner_t *planner, int rc,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int ngx_ivschat_plan_same(ngx_ivschat_str_t a, ngx_ivschat_str_t b);
static int ngx_ivschat_plan_begins(ngx_ivschat_str_t s, const char *prefix);


static const ngx_ivschat_named_source_t  ngx_ivschat_named_sources[] = {
    { ngx_ivschat_string("Environment"), NGX_IVSCHAT_FROM_ENVIRONMENT },
    { ngx_ivschat_string("Ec2InstanceMetadata"), NGX_IVSCHAT_FROM_IMDS },
    { ngx_ivschat_string("EcsContainer"), NGX_IVSCHAT_FROM_CONTAINER }
};


static const ngx_ivschat_unsupported_t  ngx_ivschat_unsupported[] = {
    { "credential_process", "it would block nginx" },
    { "sso_session", "SSO needs a person with a browser" },
    { "sso_start_url", "SSO needs a person with a browser" },
    { "sso_account_id", "SSO needs a person with a browser" },
    { "login_session", "a login needs a person with a browser" },
    { NULL, NULL }
};


ngx_ivschat_plan_e
ngx_ivschat_profile_plan(const ngx_ivschat_profiles_t *profiles,
    ngx_ivschat_str_t name, ngx_ivschat_plan_t *plan, char *reason, size_t size)
{
    int                      rc;
    size_t                   i, n;
    ngx_ivschat_planner_t    planner;
    ngx_ivschat_plan_role_t  role;

    memset(plan, 0, sizeof(ngx_ivschat_plan_t));
    memset(&planner, 0, sizeof(ngx_ivschat_planner_t));

    planner.profiles = profiles;
    planner.plan = plan;
    planner.next = name;
    planner.reason = reason;
    planner.size = size;

    if (ngx_ivschat_profiles_properties(profiles, NGX_IVSCHAT_PROFILE, name)
        < 0)
    {
        return (ngx_ivschat_plan_e) ngx_ivschat_plan_missing(&planner, name);
    }

    rc = ngx_ivschat_plan_endpoint(&planner, name);

    if (rc == NGX_IVSCHAT_PLAN_OK) {
        do {
            rc = ngx_ivschat_plan_visit(&planner, planner.next);
        } while (rc == NGX_IVSCHAT_PLAN_NEXT);
    }

    /* the roles were found from the last to the first */

    n = plan->nroles;

    for (i = 0; i < n / 2; i++) {
        role = plan->roles[i];
        plan->roles[i] = plan->roles[n - 1 - i];
        plan->roles[n - 1 - i] = role;
    }

    return (ngx_ivschat_plan_e) rc;
}


/* Only profiles that exist, and have not been visited, come here. */

static int
ngx_ivschat_plan_visit(ngx_ivschat_planner_t *planner, ngx_ivschat_str_t name)
{
    int                     rc;
    ngx_ivschat_property_t  property;

    planner->been[planner->nbeen++] = name;

    if (planner->plan->region.len == 0) {
        rc = ngx_ivschat_plan_read(planner, name, "region",
                                   ngx_ivschat_plan_check_region,
                                   &planner->plan->region);

        if (rc != NGX_IVSCHAT_PLAN_OK) {
            return rc;
        }
    }

    if (planner->nbeen > 1 && ngx_ivschat_plan_has_keys(planner, name)) {
        return ngx_ivschat_plan_keys(planner, name);
    }

    if (ngx_ivschat_plan_get(planner, name, "web_identity_token_file",
                             &property)
        == 0)
    {
        return ngx_ivschat_plan_web(planner, name, &property);
    }

    if (ngx_ivschat_plan_get(planner, name, "role_arn", &property) == 0) {
        return ngx_ivschat_plan_role(planner, name, &property);
    }

    if (ngx_ivschat_plan_get(planner, name, "aws_access_key_id", &property)
        == 0
        || ngx_ivschat_plan_get(planner, name, "aws_secret_access_key",
                                &property)
        == 0)
    {
        return ngx_ivschat_plan_keys(planner, name);
    }

    return ngx_ivschat_plan_other(planner, name);
}


static int
ngx_ivschat_plan_missing(ngx_ivschat_planner_t *planner, ngx_ivschat_str_t name)
{
    unsigned                    line;
    const char                 *config, *credentials;
    ngx_ivschat_profile_file_e  file;

    config = ngx_ivschat_profiles_file(planner->profiles, NGX_IVSCHAT_CONFIG);
    credentials = ngx_ivschat_profiles_file(planner->profiles,
                                            NGX_IVSCHAT_CREDENTIALS);

    if (!ngx_ivschat_profile_name_valid(name)) {
        return ngx_ivschat_plan_end(planner, NGX_IVSCHAT_PLAN_ERROR,
                                    "the name of the profile is empty or has "
                                    "a character that no name has");
    }

    if (!ngx_ivschat_profiles_has(planner->profiles, NGX_IVSCHAT_CONFIG)
        && !ngx_ivschat_profiles_has(planner->profiles,
                                     NGX_IVSCHAT_CREDENTIALS))
    {
        return ngx_ivschat_plan_end(planner, NGX_IVSCHAT_PLAN_NOTHING,
                                    "there is neither \"%s\" nor \"%s\"",
                                    config, credentials);
    }

    line = ngx_ivschat_profiles_misplaced(planner->profiles, name, &file);

    if (line == 0) {
        return ngx_ivschat_plan_end(planner, NGX_IVSCHAT_PLAN_NOTHING,
                                    "there is no profile \"%.*s\" in \"%s\" "
                                    "or \"%s\"", (int) name.len, name.data,
                                    config, credentials);
    }

    return ngx_ivschat_plan_end(planner, NGX_IVSCHAT_PLAN_NOTHING,
                                "there is no profile \"%.*s\" in \"%s\" or "
                                "\"%s\": %s:%u must be \"[%s%.*s]\"",
                                (int) name.len, name.data, config, credentials,
                                ngx_ivschat_profiles_file(planner->profiles,
                                                          file),
                                line,
                                file == NGX_IVSCHAT_CONFIG ? "profile " : "",
                                (int) name.len, name.data);
}


static int
ngx_ivschat_plan_role(ngx_ivschat_planner_t *planner, ngx_ivschat_str_t name,
    const ngx_ivschat_property_t *arn)
{
    int                     has_source, has_named;
    ngx_ivschat_plan_t     *plan;
    ngx_ivschat_property_t  source, named, mfa;

    plan = planner->plan;

    has_source = ngx_ivschat_plan_get(planner, name, "source_profile", &source)
                 == 0;
    has_named = ngx_ivschat_plan_get(planner, name, "credential_source",
                                     &named)
                == 0;

    if (has_source && has_named) {
        return ngx_ivschat_plan_fail(planner, &named, "source_profile and "
                                     "credential_source exclude each other");
    }

    if (!has_source && !has_named) {
        return ngx_ivschat_plan_fail(planner, arn, "role_arn needs "
                                     "source_profile, credential_source or "
                                     "web_identity_token_file");
    }

    if (ngx_ivschat_plan_get(planner, name, "mfa_serial", &mfa) == 0) {
        return ngx_ivschat_plan_fail(planner, &mfa, "mfa_serial needs a person "
                                     "who types a code");
    }

    if (plan->nroles == NGX_IVSCHAT_ROLES_MAX) {
        return ngx_ivschat_plan_fail(planner, arn, "more than %d roles follow "
                                     "one another", NGX_IVSCHAT_ROLES_MAX);
    }

    if (ngx_ivschat_plan_read_role(planner, name, &plan->roles[plan->nroles])
        != 0
        || ngx_ivschat_plan_read_duration(planner, name,
                                          &plan->roles[plan->nroles].duration)
        != 0)
    {
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    plan->nroles++;

    return has_source ? ngx_ivschat_plan_source(planner, name, &source)
                      : ngx_ivschat_plan_named_source(planner, &named);
}


static int
ngx_ivschat_plan_source(ngx_ivschat_planner_t *planner, ngx_ivschat_str_t name,
    const ngx_ivschat_property_t *source)
{
    size_t             i;
    ngx_ivschat_str_t  next;

    next = source->value;

    if (!ngx_ivschat_profile_name_valid(next)) {
        return ngx_ivschat_plan_fail(planner, source, "source_profile has a "
                                     "character that no name has");
    }

    if (ngx_ivschat_plan_same(next, name)) {

        if (!ngx_ivschat_plan_has_keys(planner, name)) {
            return ngx_ivschat_plan_fail(planner, source, "source_profile is "
                                         "the profile itself, which has not "
                                         "both aws_access_key_id and "
                                         "aws_secret_access_key");
        }

        return ngx_ivschat_plan_keys(planner, name);
    }

    for (i = 0; i < planner->nbeen; i++) {
        if (ngx_ivschat_plan_same(next, planner->been[i])) {
            return ngx_ivschat_plan_fail(planner, source, "source_profile "
                                         "\"%.*s\" leads in a circle",
                                         (int) next.len, next.data);
        }
    }

    if (ngx_ivschat_profiles_properties(planner->profiles, NGX_IVSCHAT_PROFILE,
                                        next)
        < 0)
    {
        return ngx_ivschat_plan_fail(planner, source, "source_profile \"%.*s\" "
                                     "is neither in \"%s\" nor in \"%s\"",
                                     (int) next.len, next.data,
                    ngx_ivschat_profiles_file(planner->profiles,
                                              NGX_IVSCHAT_CONFIG),
                    ngx_ivschat_profiles_file(planner->profiles,
                                              NGX_IVSCHAT_CREDENTIALS));
    }

    planner->next = next;

    return NGX_IVSCHAT_PLAN_NEXT;
}


static int
ngx_ivschat_plan_named_source(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_property_t *source)
{
    size_t                             i, n;
    const ngx_ivschat_named_source_t  *named;

    n = sizeof(ngx_ivschat_named_sources)
        / sizeof(ngx_ivschat_named_sources[0]);

    for (i = 0; i < n; i++) {
        named = &ngx_ivschat_named_sources[i];

        if (ngx_ivschat_plan_same(source->value, named->name)) {
            planner->plan->source = named->source;
            return NGX_IVSCHAT_PLAN_OK;
        }
    }

    return ngx_ivschat_plan_fail(planner, source, "credential_source must be "
                                 "Environment, Ec2InstanceMetadata or "
                                 "EcsContainer");
}


static int
ngx_ivschat_plan_web(ngx_ivschat_planner_t *planner, ngx_ivschat_str_t name,
    const ngx_ivschat_property_t *file)
{
    ngx_ivschat_plan_t     *plan;
    ngx_ivschat_property_t  arn;

    plan = planner->plan;

    if (ngx_ivschat_plan_get(planner, name, "role_arn", &arn) != 0) {
        return ngx_ivschat_plan_fail(planner, file, "web_identity_token_file "
                                     "needs role_arn");
    }

    if (ngx_ivschat_plan_read(planner, name, "web_identity_token_file",
                              ngx_ivschat_plan_check_path, &plan->token_file)
        != 0
        || ngx_ivschat_plan_read_role(planner, name, &plan->web) != 0)
    {
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    /* STS has no such parameter here */

    plan->web.external_id.len = 0;
    plan->source = NGX_IVSCHAT_FROM_WEB_IDENTITY;

    return NGX_IVSCHAT_PLAN_OK;
}


/* A profile without keys and without a role. */

static int
ngx_ivschat_plan_other(ngx_ivschat_planner_t *planner, ngx_ivschat_str_t name)
{
    ngx_ivschat_property_t            property;
    const ngx_ivschat_unsupported_t  *u;

    for (u = ngx_ivschat_unsupported; u->key; u++) {

        if (ngx_ivschat_plan_get(planner, name, u->key, &property) == 0) {
            (void) ngx_ivschat_plan_fail(planner, &property, "%s is not "
                                         "supported, as %s", u->key, u->why);

            return NGX_IVSCHAT_PLAN_UNSUPPORTED;
        }
    }

    return ngx_ivschat_plan_end(planner,
                                planner->nbeen > 1 ? NGX_IVSCHAT_PLAN_ERROR
                                : NGX_IVSCHAT_PLAN_NOTHING,
                                "the profile \"%.*s\" has no aws_access_key_id "
                                "and no role_arn", (int) name.len, name.data);
}


static int
ngx_ivschat_plan_has_keys(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name)
{
    ngx_ivschat_property_t  property;

    return ngx_ivschat_plan_get(planner, name, "aws_access_key_id", &property)
           == 0
           && ngx_ivschat_plan_get(planner, name, "aws_secret_access_key",
                                   &property)
              == 0;
}


/* One of the two keys is there. */

static int
ngx_ivschat_plan_keys(ngx_ivschat_planner_t *planner, ngx_ivschat_str_t name)
{
    const char                      *why;
    ngx_ivschat_plan_t              *plan;
    ngx_ivschat_property_t           property[3], account;
    ngx_ivschat_credentials_field_e  field;

    static const char *const  keys[] = {
        "aws_access_key_id",           /* by ngx_ivschat_credentials_field_e */
        "aws_secret_access_key",
        "aws_session_token"
    };

    plan = planner->plan;

    if (ngx_ivschat_plan_get(planner, name, keys[0], &property[0]) != 0) {
        (void) ngx_ivschat_plan_get(planner, name, keys[1], &property[1]);
        return ngx_ivschat_plan_fail(planner, &property[1], "the profile has "
                                     "%s, but no %s", keys[1], keys[0]);
    }

    if (ngx_ivschat_plan_get(planner, name, keys[1], &property[1]) != 0) {
        return ngx_ivschat_plan_fail(planner, &property[0], "the profile has "
                                     "%s, but no %s", keys[0], keys[1]);
    }

    if (ngx_ivschat_plan_get(planner, name, keys[2], &property[2]) != 0
        || property[2].file < property[0].file)
    {
        memset(&property[2], 0, sizeof(ngx_ivschat_property_t));
        property[2].value.data = "";
    }

    why = ngx_ivschat_credentials_check(property[0].value, property[1].value,
                                        property[2].value, &field);

    if (why != NULL) {
        return ngx_ivschat_plan_fail(planner, &property[field], "%s cannot be "
                                     "used: %s", keys[field], why);
    }

    plan->source = NGX_IVSCHAT_FROM_KEYS;
    plan->access_key = property[0].value;
    plan->secret_key = property[1].value;
    plan->session_token = property[2].value;
    plan->keys_file = property[1].file;

    if (ngx_ivschat_plan_get(planner, name, "aws_account_id", &account) == 0) {
        plan->account_id = account.value;
    }

    return NGX_IVSCHAT_PLAN_OK;
}


static int
ngx_ivschat_plan_read_role(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name, ngx_ivschat_plan_role_t *role)
{
    role->profile = name;

    if (ngx_ivschat_plan_read(planner, name, "role_arn",
                              ngx_ivschat_sts_check_role, &role->arn)
        != 0
        || ngx_ivschat_plan_read(planner, name, "role_session_name",
                                 ngx_ivschat_sts_check_session_name,
                                 &role->session_name)
        != 0)
    {
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    return ngx_ivschat_plan_read(planner, name, "external_id",
                                 ngx_ivschat_sts_check_external_id,
                                 &role->external_id);
}


static int
ngx_ivschat_plan_read_duration(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name, unsigned *duration)
{
    char                    c;
    size_t                  i;
    const char             *why;
    ngx_ivschat_property_t  property;

    *duration = 0;

    if (ngx_ivschat_plan_get(planner, name, "duration_seconds", &property)
        != 0)
    {
        return NGX_IVSCHAT_PLAN_OK;
    }

    for (i = 0; i < property.value.len; i++) {
        c = property.value.data[i];

        if (c < '0' || c > '9' || *duration > NGX_IVSCHAT_ROLE_DURATION_MAX) {
            *duration = 0;
            break;
        }

        *duration = *duration * 10 + (unsigned) (c - '0');
    }

    why = ngx_ivschat_sts_check_duration(*duration);

    if (why != NULL) {
        return ngx_ivschat_plan_fail(planner, &property, "duration_seconds "
                                     "cannot be used: %s", why);
    }

    return NGX_IVSCHAT_PLAN_OK;
}


/* The value is left alone where there is none. */

static int
ngx_ivschat_plan_read(ngx_ivschat_planner_t *planner, ngx_ivschat_str_t name,
    const char *key, ngx_ivschat_check_pt check, ngx_ivschat_str_t *value)
{
    const char             *why;
    ngx_ivschat_property_t  property;

    if (ngx_ivschat_plan_get(planner, name, key, &property) != 0) {
        return NGX_IVSCHAT_PLAN_OK;
    }

    why = check(property.value);

    if (why != NULL) {
        return ngx_ivschat_plan_fail(planner, &property, "%s cannot be used: "
                                     "%s", key, why);
    }

    *value = property.value;

    return NGX_IVSCHAT_PLAN_OK;
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

static int
ngx_ivschat_plan_endpoint(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name)
{
    int                     rc;
    ngx_ivschat_property_t  property, endpoint;

    if (ngx_ivschat_plan_get(planner, name, "ignore_configured_endpoint_urls",
                             &property)
        == 0
        && property.value.len == 4
        && strncasecmp(property.value.data, "true", 4) == 0)
    {
        return NGX_IVSCHAT_PLAN_OK;
    }

    endpoint.value.len = 0;

    rc = ngx_ivschat_plan_services(planner, name, &endpoint);

    if (rc != NGX_IVSCHAT_PLAN_OK) {
        return rc;
    }

    if (endpoint.value.len == 0
        && ngx_ivschat_plan_get(planner, name, "endpoint_url", &endpoint) != 0)
    {
        return NGX_IVSCHAT_PLAN_OK;
    }

    if (!ngx_ivschat_plan_url_valid(endpoint.value)) {
        return ngx_ivschat_plan_fail(planner, &endpoint, "endpoint_url must "
                                     "be \"http://…\" or \"https://…\"");
    }

    planner->plan->sts_endpoint = endpoint.value;

    return NGX_IVSCHAT_PLAN_OK;
}


static int
ngx_ivschat_plan_services(ngx_ivschat_planner_t *planner,
    ngx_ivschat_str_t name, ngx_ivschat_property_t *endpoint)
{
    ngx_ivschat_str_t       url;
    ngx_ivschat_property_t  services, sts;

    if (ngx_ivschat_plan_get(planner, name, "services", &services) != 0) {
        return NGX_IVSCHAT_PLAN_OK;
    }

    if (ngx_ivschat_profiles_properties(planner->profiles,
                                        NGX_IVSCHAT_SERVICES, services.value)
        < 0)
    {
        return ngx_ivschat_plan_fail(planner, &services, "there is no section "
                                    "\"[services …]\" of this name in \"%s\"",
                                     ngx_ivschat_profiles_file(
                                         planner->profiles,
                                         NGX_IVSCHAT_CONFIG));
    }

    if (ngx_ivschat_profiles_get(planner->profiles, NGX_IVSCHAT_SERVICES,
                                 services.value, "sts", &sts)
        == 0
        && ngx_ivschat_profile_nested(sts.value, "endpoint_url", &url) == 0
        && url.len != 0)
    {
        *endpoint = sts;
        endpoint->value = url;
    }

    return NGX_IVSCHAT_PLAN_OK;
}


static int
ngx_ivschat_plan_url_valid(ngx_ivschat_str_t url)
{
    size_t  i;

    if (!ngx_ivschat_plan_begins(url, "http://")
        && !ngx_ivschat_plan_begins(url, "https://"))
    {
        return 0;
    }

    for (i = 0; i < url.len; i++) {
        if (url.data[i] <= ' ' || url.data[i] >= 0x7f) {
            return 0;
        }
    }

    return url.data[url.len - 1] != '/' || url.len > sizeof("https://") - 1;
}


/* An empty value is none. */

static int
ngx_ivschat_plan_get(ngx_ivschat_planner_t *planner, ngx_ivschat_str_t name,
    const char *key, ngx_ivschat_property_t *property)
{
    if (ngx_ivschat_profiles_get(planner->profiles, NGX_IVSCHAT_PROFILE, name,
                                 key, property)
        != 0)
    {
        return -1;
    }

    return property->value.len != 0 ? 0 : -1;
}


static int
ngx_ivschat_plan_fail(ngx_ivschat_planner_t *planner,
    const ngx_ivschat_property_t *where, const char *fmt, ...)
{
    int      n;
    va_list  args;

    n = snprintf(planner->reason, planner->size, "%s:%u: ",
                 ngx_ivschat_profiles_file(planner->profiles, where->file),
                 where->line);

    if (n > 0 && (size_t) n < planner->size) {
        va_start(args, fmt);
        (void) vsnprintf(planner->reason + n, planner->size - (size_t) n, fmt,
                         args);
        va_end(args);
    }

    return NGX_IVSCHAT_PLAN_ERROR;
}


static int
ngx_ivschat_plan_end(ngx_ivschat_planner_t *planner, int rc, const char *fmt,
    ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(planner->reason, planner->size, fmt, args);
    va_end(args);

    return rc;
}


static int
ngx_ivschat_plan_same(ngx_ivschat_str_t a, ngx_ivschat_str_t b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}


static int
ngx_ivschat_plan_begins(ngx_ivschat_str_t s, const char *prefix)
{
    size_t  len;

    len = strlen(prefix);

    return s.len >= len && memcmp(s.data, prefix, len) == 0;
}
