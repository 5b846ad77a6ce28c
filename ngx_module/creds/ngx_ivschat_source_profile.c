
/*
 * The profile source: AWS's shared files, read by the master with the
 * configuration, and by a worker when they have changed.
 */


#include "ngx_ivschat_sources.h"

#include <pwd.h>

#include "../aws/ngx_ivschat_profile_plan.h"


static ngx_ivschat_plan_e ngx_ivschat_load_profile(ngx_ivschat_find_t *find,
    ngx_ivschat_profiles_t *profiles, ngx_ivschat_plan_t *plan,
    ngx_ivschat_credentials_t *creds);
static ngx_int_t ngx_ivschat_find_file(ngx_ivschat_find_t *find,
    const char *variable, const char *preset, ngx_str_t *path);
static ngx_int_t ngx_ivschat_use_plan(ngx_ivschat_find_t *find,
    ngx_ivschat_plan_t *plan);
static void ngx_ivschat_use_keys(ngx_ivschat_find_t *find,
    ngx_ivschat_plan_t *plan);

static ngx_int_t ngx_ivschat_read_profiles(ngx_str_t *files,
    ngx_ivschat_profiles_t *profiles, char *reason, size_t size);
static ngx_int_t ngx_ivschat_read_file(ngx_ivschat_profile_file_t *file,
    char *reason, size_t size);


ngx_int_t
ngx_ivschat_find_profile(ngx_ivschat_find_t *find)
{
    ngx_int_t               rc;
    ngx_ivschat_plan_t      plan;
    ngx_ivschat_profiles_t  profiles;

    switch (ngx_ivschat_load_profile(find, &profiles, &plan,
                                     &find->found->creds))
    {
    case NGX_IVSCHAT_PLAN_OK:
        rc = ngx_ivschat_use_plan(find, &plan);
        break;

    case NGX_IVSCHAT_PLAN_NOTHING:
        rc = NGX_DECLINED;
        break;

    default:
        rc = NGX_ERROR;
    }

    ngx_ivschat_profiles_free(&profiles);

    return rc;
}


void
ngx_ivschat_find_region(ngx_ivschat_find_t *find)
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


/* Keeps what STS needs of a profile, which may have nothing else. */

static ngx_ivschat_plan_e
ngx_ivschat_load_profile(ngx_ivschat_find_t *find,
    ngx_ivschat_profiles_t *profiles, ngx_ivschat_plan_t *plan,
    ngx_ivschat_credentials_t *creds)
{
    ngx_str_t           *params, *files, *profile;
    ngx_ivschat_plan_e   rc;

    params = find->line->params;
    files = find->found->files;
    profile = &find->found->profile;

    ngx_memzero(profiles, sizeof(ngx_ivschat_profiles_t));
    find->profile_read = 1;

    /* file= replaces both files, and has the grammar of credentials */

    if (params[NGX_IVSCHAT_PARAM_FILE].len) {
        files[NGX_IVSCHAT_CREDENTIALS] = params[NGX_IVSCHAT_PARAM_FILE];

    } else if (ngx_ivschat_find_file(find, "AWS_CONFIG_FILE", "~/.aws/config",
                                     &files[NGX_IVSCHAT_CONFIG])
               != NGX_OK
               || ngx_ivschat_find_file(find, "AWS_SHARED_CREDENTIALS_FILE",
                                        "~/.aws/credentials",
                                        &files[NGX_IVSCHAT_CREDENTIALS])
                  != NGX_OK)
    {
        return NGX_IVSCHAT_PLAN_ERROR;
    }

    *profile = params[NGX_IVSCHAT_PARAM_NAME];

    if (profile->len == 0) {
        profile->data = (u_char *) ngx_ivschat_find_env(find, "AWS_PROFILE");

        if (profile->data == NULL) {
            profile->data = (u_char *) "default";
        }

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

    if (plan->sts_endpoint.len) {
        find->profile_sts = ngx_ivschat_find_dup(find, plan->sts_endpoint);
    }

    return rc;
}


static ngx_int_t
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

            /* systemd sets no HOME for a service of root's */

            pw = getpwuid(geteuid());
            home = (pw && pw->pw_dir) ? pw->pw_dir : "/";
        }
    }

    path->data = ngx_pnalloc(find->cf->pool,
                             ngx_strlen(home) + ngx_strlen(value) + 1);
    if (path->data == NULL) {
        return ngx_ivschat_find_fail(find, NGX_ERROR, "out of memory");
    }

    path->len = ngx_sprintf(path->data, "%s%s%Z", home, value)
                - path->data - 1;

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_use_plan(ngx_ivschat_find_t *find, ngx_ivschat_plan_t *plan)
{
    size_t                 i;
    ngx_int_t              rc;
    ngx_ivschat_source_t  *source;

    source = &find->found->source;

    if (plan->secret_key) {
        ngx_ivschat_use_keys(find, plan);
        rc = NGX_OK;

    } else if (plan->identity_file) {
        source->base = NGX_IVSCHAT_BASE_WEB_IDENTITY;
        source->token_file = ngx_ivschat_find_dup(find,
                                        ngx_ivschat_str(plan->identity_file));
        rc = ngx_ivschat_find_role(find, &source->web_identity, &plan->web);

    } else {
        rc = ngx_ivschat_find_named(find, plan->source);
    }

    for (i = plan->nroles; i && rc == NGX_OK; i--) {
        rc = ngx_ivschat_find_role(find, &source->roles[source->nroles++],
                                   &plan->roles[i - 1]);
    }

    if (rc != NGX_OK) {
        source->nroles = 0;
        find->found->keys = 0;
    }

    return rc;
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
                      "\"%V\" holds secrets and can be read by everyone: "
                      "chmod 600 it", file);
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
                                "more than keys has changed%Z");
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
