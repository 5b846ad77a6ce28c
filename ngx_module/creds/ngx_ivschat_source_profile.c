
/*
 * AWS's shared files as a source.
 */


#include "ngx_ivschat_source_profile.h"

#include <pwd.h>

#include "../aws/ngx_ivschat_profile_plan.h"


static ngx_ivschat_plan_e ngx_ivschat_load_profile(ngx_ivschat_find_t *find,
    ngx_ivschat_profiles_t *profiles, ngx_ivschat_plan_t *plan,
    ngx_ivschat_credentials_t *creds);
static ngx_uint_t ngx_ivschat_find_file(ngx_ivschat_find_t *find,
    const char *variable, const char *preset, ngx_str_t *path);
static ngx_int_t ngx_ivschat_use_plan(ngx_ivschat_find_t *find,
    ngx_ivschat_plan_t *plan);
static void ngx_ivschat_use_keys(ngx_ivschat_find_t *find,
    ngx_ivschat_plan_t *plan);
static ngx_int_t ngx_ivschat_use_source(ngx_ivschat_find_t *find,
    const ngx_ivschat_property_t *source);
static void ngx_ivschat_use_role(ngx_ivschat_find_t *find,
    ngx_ivschat_role_t *role, ngx_ivschat_role_t *from);
static ngx_int_t ngx_ivschat_read_profiles(ngx_str_t *files,
    ngx_ivschat_profiles_t *profiles, char *reason, size_t size);
static ngx_int_t ngx_ivschat_read_file(ngx_ivschat_profile_file_t *file,
    char *reason, size_t size);


/* Only the default profile, if nobody has named it, may be skipped. */

ngx_int_t
ngx_ivschat_find_profile(ngx_ivschat_find_t *find)
{
    ngx_int_t               rc;
    ngx_uint_t              named;
    ngx_ivschat_plan_t      plan;
    ngx_ivschat_profiles_t  profiles;

    named = ngx_ivschat_getenv(find->cf, "AWS_PROFILE") != NULL;

    switch (ngx_ivschat_load_profile(find, &profiles, &plan,
                                     &find->found->creds))
    {
    case NGX_IVSCHAT_PLAN_OK:
        rc = ngx_ivschat_use_plan(find, &plan);
        named |= rc == NGX_DECLINED;   /* its credential_source */
        break;

    case NGX_IVSCHAT_PLAN_NOTHING:
        rc = NGX_DECLINED;
        break;

    default:
        rc = NGX_ERROR;
    }

    ngx_ivschat_profiles_free(&profiles);

    find->named = named;

    return rc;
}


void
ngx_ivschat_find_settings(ngx_ivschat_find_t *find)
{
    ngx_ivschat_plan_t         plan;
    ngx_ivschat_profiles_t     profiles;
    ngx_ivschat_credentials_t  creds;

    if (find->profile_read) {
        return;
    }

    (void) ngx_ivschat_load_profile(find, &profiles, &plan, &creds);

    ngx_ivschat_credentials_wipe(&creds);
    ngx_ivschat_profiles_free(&profiles);
}


/* Keeps the settings for STS, which a profile without credentials may have. */

static ngx_ivschat_plan_e
ngx_ivschat_load_profile(ngx_ivschat_find_t *find,
    ngx_ivschat_profiles_t *profiles, ngx_ivschat_plan_t *plan,
    ngx_ivschat_credentials_t *creds)
{
    ngx_str_t           *params, *files, *profile;
    const char          *name;
    ngx_ivschat_plan_e   rc;

    params = find->params;
    files = find->found->files;
    profile = &find->found->profile;

    ngx_memzero(profiles, sizeof(ngx_ivschat_profiles_t));
    find->profile_read = 1;

    /* file= replaces both files, and has the grammar of credentials */

    if (params[NGX_IVSCHAT_PARAM_FILE].len) {
        files[NGX_IVSCHAT_CREDENTIALS] = params[NGX_IVSCHAT_PARAM_FILE];

    } else if (!ngx_ivschat_find_file(find, "AWS_CONFIG_FILE", "~/.aws/config",
                                      &files[NGX_IVSCHAT_CONFIG])
               || !ngx_ivschat_find_file(find, "AWS_SHARED_CREDENTIALS_FILE",
                                         "~/.aws/credentials",
                                         &files[NGX_IVSCHAT_CREDENTIALS]))
    {
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    *profile = params[NGX_IVSCHAT_PARAM_NAME];

    if (profile->len == 0) {
        name = ngx_ivschat_find_getenv(find, "AWS_PROFILE");

        profile->data = (u_char *) (name ? name : "default");
        profile->len = ngx_strlen(profile->data);
    }

    if (ngx_ivschat_read_profiles(files, profiles, find->reason,
                                  sizeof(find->reason))
        != NGX_OK)
    {
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    rc = ngx_ivschat_profile_plan(profiles, ngx_ivschat_pure(profile), plan,
                                  creds, find->reason, sizeof(find->reason));

    if (plan->region) {
        find->profile_region = ngx_ivschat_find_dup(find,
                                                ngx_ivschat_str(plan->region));
    }

    find->profile_sts = ngx_ivschat_find_dup(find, plan->sts_endpoint);

    if (plan->unfollowed) {
        ngx_log_error(NGX_LOG_WARN, find->cf->log, 0,
                      "\"%*s\" of the profile \"%V\" is not supported: use "
                      "\"ivschat_token_endpoint\", and for STS "
                      "AWS_ENDPOINT_URL_STS",
                      plan->unfollowed->key.len, plan->unfollowed->key.data,
                      profile);
    }

    return rc;
}


/* 0: out of memory. */

static ngx_uint_t
ngx_ivschat_find_file(ngx_ivschat_find_t *find, const char *variable,
    const char *preset, ngx_str_t *path)
{
    const char     *value, *home;
    struct passwd  *pw;

    value = ngx_ivschat_getenv(find->cf, variable);

    if (value == NULL) {
        value = preset;
    }

    home = "";

    if (ngx_strncmp(value, "~/", 2) == 0) {

        value++;
        home = ngx_ivschat_getenv(find->cf, "HOME");

        if (home == NULL) {

            /* systemd does not set HOME for services of root */

            pw = getpwuid(geteuid());
            home = (pw && pw->pw_dir) ? pw->pw_dir : "/";
        }
    }

    path->data = ngx_pnalloc(find->cf->pool,
                             ngx_strlen(home) + ngx_strlen(value) + 1);
    if (path->data == NULL) {
        find->nomem = 1;
        return 0;
    }

    path->len = ngx_sprintf(path->data, "%s%s%Z", home, value)
                - path->data - 1;

    return 1;
}


static ngx_int_t
ngx_ivschat_use_plan(ngx_ivschat_find_t *find, ngx_ivschat_plan_t *plan)
{
    size_t                 i;
    ngx_ivschat_source_t  *source;

    source = &find->found->source;

    for (i = plan->nroles; i; i--) {
        ngx_ivschat_use_role(find, &source->roles[source->nroles++],
                             &plan->roles[i - 1]);
    }

    if (plan->source) {
        return ngx_ivschat_use_source(find, plan->source);
    }

    if (plan->secret_key) {
        ngx_ivschat_use_keys(find, plan);
        return NGX_OK;
    }

    source->base = NGX_IVSCHAT_BASE_WEB_IDENTITY;
    source->token_file = ngx_ivschat_find_dup(find,
                                        ngx_ivschat_str(plan->identity_file));
    ngx_ivschat_use_role(find, &source->web_identity, &plan->web);

    return NGX_OK;
}


static void
ngx_ivschat_use_keys(ngx_ivschat_find_t *find, ngx_ivschat_plan_t *plan)
{
    ngx_str_t            *file;
    ngx_file_info_t       fi;
    ngx_ivschat_found_t  *found;

    found = find->found;
    file = &found->files[plan->secret_key->file];

    found->source.base = NGX_IVSCHAT_BASE_STATIC;
    found->profile_roles = plan->nroles;
    found->keys = 1;

    if (ngx_file_info(file->data, &fi) != NGX_FILE_ERROR
        && (ngx_file_access(&fi) & S_IROTH))
    {
        ngx_log_error(NGX_LOG_WARN, find->cf->log, 0,
                      "\"%V\" holds secrets and is readable by all users: "
                      "chmod 600 it", file);
    }
}


/* credential_source */

static ngx_int_t
ngx_ivschat_use_source(ngx_ivschat_find_t *find,
    const ngx_ivschat_property_t *source)
{
    ngx_uint_t  i;

    static const struct {
        const char   *name;
        ngx_int_t   (*find)(ngx_ivschat_find_t *find);
    } sources[] = {
        { "Environment", ngx_ivschat_find_env },
        { "Ec2InstanceMetadata", ngx_ivschat_find_imds },
        { "EcsContainer", ngx_ivschat_find_container }
    };

    for (i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        if (ngx_strcmp(sources[i].name, source->value.data) == 0) {
            return sources[i].find(find);
        }
    }

    return ngx_ivschat_find_fail(find, NGX_ERROR, "%V:%ud: credential_source "
                                 "must be Environment, Ec2InstanceMetadata or "
                                 "EcsContainer",
                                 &find->found->files[source->file],
                                 source->line);
}


static void
ngx_ivschat_use_role(ngx_ivschat_find_t *find, ngx_ivschat_role_t *role,
    ngx_ivschat_role_t *from)
{
    ngx_uint_t  i;

    const char  **to[] = { &role->role_arn, &role->session_name,
                           &role->external_id };

    *role = *from;

    for (i = 0; i < 3; i++) {
        if (*to[i]) {
            *to[i] = ngx_ivschat_find_dup(find, ngx_ivschat_str(*to[i]));
        }
    }
}


ngx_int_t
ngx_ivschat_reread(ngx_ivschat_found_t *found,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size)
{
    ngx_int_t               rc;
    ngx_ivschat_plan_t      plan;
    ngx_ivschat_profiles_t  profiles;

    rc = NGX_DECLINED;

    if (ngx_ivschat_read_profiles(found->files, &profiles, reason, size)
        == NGX_OK
        && ngx_ivschat_profile_plan(&profiles,
                                    ngx_ivschat_pure(&found->profile), &plan,
                                    creds, reason, size)
           == NGX_IVSCHAT_PLAN_OK)
    {
        if (plan.secret_key && plan.nroles == found->profile_roles) {
            rc = NGX_OK;

        } else {
            (void) ngx_snprintf((u_char *) reason, size,
                                "more than the keys has changed%Z");
        }
    }

    ngx_ivschat_profiles_free(&profiles);

    return rc;
}


/* Any file may be missing.  profiles must be freed in any case. */

static ngx_int_t
ngx_ivschat_read_profiles(ngx_str_t *files, ngx_ivschat_profiles_t *profiles,
    char *reason, size_t size)
{
    ngx_uint_t                   i;
    ngx_ivschat_profile_file_t  *file;

    ngx_memzero(profiles, sizeof(ngx_ivschat_profiles_t));

    for (i = 0; i < NGX_IVSCHAT_PROFILE_FILES; i++) {
        file = &profiles->files[i];
        file->name = files[i].len ? (char *) files[i].data : "";

        if (files[i].len
            && ngx_ivschat_read_file(file, reason, size) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return ngx_ivschat_profiles_parse(profiles, reason, size) == 0
           ? NGX_OK : NGX_ERROR;
}


/* Leaves text NULL if there is no such file. */

static ngx_int_t
ngx_ivschat_read_file(ngx_ivschat_profile_file_t *file, char *reason,
    size_t size)
{
    ssize_t    n;
    ngx_fd_t   fd;
    ngx_err_t  err;

    /* not to hang on a pipe */

    fd = open(file->name, O_RDONLY|O_NONBLOCK|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE
        && (ngx_errno == NGX_ENOENT || ngx_errno == NGX_ENOTDIR))
    {
        return NGX_OK;
    }

    n = -1;

    if (fd != NGX_INVALID_FILE) {

        /* one byte more than is allowed, and one for the parser */

        file->text = malloc(NGX_IVSCHAT_PROFILE_FILE_MAX + 2);

        if (file->text) {
            n = read(fd, file->text, NGX_IVSCHAT_PROFILE_FILE_MAX + 1);
        }
    }

    err = ngx_errno;

    if (fd != NGX_INVALID_FILE) {
        (void) close(fd);
    }

    if (n == -1) {
        (void) snprintf(reason, size, "%s: (%d: %s)", file->name, err,
                        strerror(err));
        return NGX_ERROR;
    }

    file->len = n;

    return NGX_OK;
}
