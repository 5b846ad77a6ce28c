
/*
 * The profile source: AWS's shared config and credentials files.
 */


#include "ngx_ivschat_sourcing.h"

#include <pwd.h>

#include "../aws/ngx_ivschat_profile_plan.h"


static ngx_int_t ngx_ivschat_profile_files(ngx_ivschat_resolve_t *rs);
static ngx_int_t ngx_ivschat_shared_file(ngx_ivschat_resolve_t *rs,
    const char *variable, const char *name, ngx_str_t *path);
static ngx_int_t ngx_ivschat_use_plan(ngx_ivschat_resolve_t *rs,
    ngx_ivschat_plan_t *plan, mode_t *modes);
static void ngx_ivschat_keep_region(ngx_ivschat_resolve_t *rs,
    ngx_ivschat_plan_t *plan);
static ngx_int_t ngx_ivschat_use_keys(ngx_ivschat_resolve_t *rs,
    ngx_ivschat_plan_t *plan, mode_t *modes);


ngx_int_t
ngx_ivschat_try_profile(ngx_ivschat_resolve_t *rs)
{
    mode_t                   modes[2];
    ngx_int_t                rc;
    const char              *name;
    ngx_ivschat_plan_t       plan;
    ngx_ivschat_plan_e       what;
    ngx_ivschat_profiles_t  *profiles;

    if (ngx_ivschat_profile_files(rs) != NGX_OK) {
        return NGX_ERROR;
    }

    if (rs->line->name.len) {
        rs->out->profile = rs->line->name;

    } else {
        name = ngx_ivschat_env(rs, "AWS_PROFILE");

        if (name == NULL) {
            name = "default";
        }

        rs->out->profile.data = (u_char *) name;
        rs->out->profile.len = ngx_strlen(name);
    }

    profiles = ngx_ivschat_read_profiles(rs->out->files, modes, rs->reason,
                                         sizeof(rs->reason));
    if (profiles == NULL) {
        return NGX_ERROR;
    }

    what = ngx_ivschat_profile_plan(profiles,
                                    ngx_ivschat_pure(&rs->out->profile), &plan,
                                    rs->reason, sizeof(rs->reason));

    switch (what) {

    case NGX_IVSCHAT_PLAN_OK:
        rc = ngx_ivschat_use_plan(rs, &plan, modes);
        break;

    case NGX_IVSCHAT_PLAN_NOTHING:
        ngx_ivschat_keep_region(rs, &plan);
        rc = NGX_DECLINED;
        break;

    default:
        rc = NGX_ERROR;
    }

    ngx_ivschat_profiles_free(profiles);

    return rc;
}


/* file= stands for both files, and has the grammar of credentials. */

static ngx_int_t
ngx_ivschat_profile_files(ngx_ivschat_resolve_t *rs)
{
    ngx_str_null(&rs->out->files[NGX_IVSCHAT_CONFIG]);

    if (rs->line->file.len) {
        rs->out->files[NGX_IVSCHAT_CREDENTIALS] = rs->line->file;
        return NGX_OK;
    }

    if (ngx_ivschat_shared_file(rs, "AWS_CONFIG_FILE", "config",
                                &rs->out->files[NGX_IVSCHAT_CONFIG])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_ivschat_shared_file(rs, "AWS_SHARED_CREDENTIALS_FILE",
                                   "credentials",
                                   &rs->out->files[NGX_IVSCHAT_CREDENTIALS]);
}


static ngx_int_t
ngx_ivschat_shared_file(ngx_ivschat_resolve_t *rs, const char *variable,
    const char *name, ngx_str_t *path)
{
    const char     *value, *home;
    struct passwd  *pw;

    value = ngx_ivschat_env(rs, variable);
    home = "";

    if (value == NULL || ngx_strncmp(value, "~/", 2) == 0) {

        home = ngx_ivschat_env(rs, "HOME");

        if (home == NULL) {

            /* systemd sets no HOME for a service of root's */

            pw = getpwuid(geteuid());
            home = (pw && pw->pw_dir) ? pw->pw_dir : "/";
        }
    }

    path->data = ngx_pnalloc(rs->cf->pool,
                             ngx_strlen(home) + sizeof("/.aws/credentials")
                             + (value ? ngx_strlen(value) : 0));
    if (path->data == NULL) {
        ngx_ivschat_reason(rs, "out of memory");
        return NGX_ERROR;
    }

    if (value == NULL) {
        path->len = ngx_sprintf(path->data, "%s/.aws/%s%Z", home, name)
                    - path->data - 1;

    } else {
        path->len = ngx_sprintf(path->data, "%s%s%Z", home,
                                *value == '~' ? value + 1 : value)
                    - path->data - 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_use_plan(ngx_ivschat_resolve_t *rs, ngx_ivschat_plan_t *plan,
    mode_t *modes)
{
    size_t                 i;
    ngx_int_t              rc;
    ngx_ivschat_source_t  *source;

    source = &rs->out->source;

    ngx_ivschat_keep_region(rs, plan);

    switch (plan->source) {

    case NGX_IVSCHAT_FROM_KEYS:
        rc = ngx_ivschat_use_keys(rs, plan, modes);
        break;

    case NGX_IVSCHAT_FROM_WEB_IDENTITY:
        source->base = NGX_IVSCHAT_BASE_WEB_IDENTITY;
        source->token_file = ngx_ivschat_dup(rs, plan->token_file.data,
                                             plan->token_file.len);
        rc = ngx_ivschat_add_role(rs, &source->web_identity, plan->web.arn,
                                  plan->web.session_name,
                                  plan->web.external_id, plan->web.duration);
        break;

    case NGX_IVSCHAT_FROM_ENVIRONMENT:
        rc = ngx_ivschat_try_env(rs);
        break;

    case NGX_IVSCHAT_FROM_IMDS:
        rc = ngx_ivschat_try_imds(rs);
        break;

    default: /* NGX_IVSCHAT_FROM_CONTAINER */
        rc = ngx_ivschat_try_container(rs);
    }

    for (i = 0; i < plan->nroles && rc == NGX_OK; i++) {
        rc = ngx_ivschat_add_role(rs, &source->roles[source->nroles],
                                  plan->roles[i].arn,
                                  plan->roles[i].session_name,
                                  plan->roles[i].external_id,
                                  plan->roles[i].duration);
        source->nroles++;
    }

    if (rc != NGX_OK) {
        source->nroles = 0;
    }

    return rc;
}


/* What STS needs of a profile, which may have nothing else. */

static void
ngx_ivschat_keep_region(ngx_ivschat_resolve_t *rs, ngx_ivschat_plan_t *plan)
{
    rs->profile_read = 1;

    rs->profile_region.data = (u_char *) ngx_ivschat_dup(rs, plan->region.data,
                               plan->region.len);
    rs->profile_region.len = rs->profile_region.data ? plan->region.len : 0;

    rs->profile_sts.data = (u_char *) ngx_ivschat_dup(rs,
                            plan->sts_endpoint.data, plan->sts_endpoint.len);
    rs->profile_sts.len = rs->profile_sts.data ? plan->sts_endpoint.len : 0;
}


/* The same where the credentials come from elsewhere. */

void
ngx_ivschat_read_region(ngx_ivschat_resolve_t *rs)
{
    mode_t                   modes[2];
    char                     reason[NGX_IVSCHAT_SOURCE_REASON_LEN];
    const char              *name;
    ngx_ivschat_plan_t       plan;
    ngx_ivschat_profiles_t  *profiles;

    if (rs->profile_read || ngx_ivschat_profile_files(rs) != NGX_OK) {
        return;
    }

    rs->profile_read = 1;

    profiles = ngx_ivschat_read_profiles(rs->out->files, modes, reason,
                                         sizeof(reason));
    if (profiles == NULL) {
        return;
    }

    name = ngx_ivschat_env(rs, "AWS_PROFILE");

    ngx_memzero(&plan, sizeof(ngx_ivschat_plan_t));

    (void) ngx_ivschat_profile_plan(profiles,
                      ngx_ivschat_pure_c(name ? name : "default"),
                                    &plan, reason, sizeof(reason));

    ngx_ivschat_keep_region(rs, &plan);

    ngx_ivschat_profiles_free(profiles);
}


static ngx_int_t
ngx_ivschat_use_keys(ngx_ivschat_resolve_t *rs, ngx_ivschat_plan_t *plan,
    mode_t *modes)
{
    const char                      *reason;
    ngx_ivschat_credentials_field_e  field;

    reason = ngx_ivschat_credentials_set(&rs->out->creds, plan->access_key,
                                         plan->secret_key,
                                         plan->session_token, &field);
    if (reason) {
        ngx_ivschat_reason(rs, "profile \"%V\": %s", &rs->out->profile,
                           reason);
        return NGX_ERROR;
    }

    rs->out->source.base = NGX_IVSCHAT_BASE_STATIC;

    rs->out->profile_roles = plan->nroles;
    rs->out->profile_keys = 1;

    if (modes[plan->keys_file] & S_IROTH) {
        ngx_log_error(NGX_LOG_WARN, rs->cf->log, 0,
                      "\"%V\" holds secrets and can be read by everyone: "
                      "chmod 600 it", &rs->out->files[plan->keys_file]);
    }

    return NGX_OK;
}
