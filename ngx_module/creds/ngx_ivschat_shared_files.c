
/*
 * AWS's shared files, read: by the master when it reads the configuration, and
 * by a worker when they have changed.
 */


#include "ngx_ivschat_sources.h"

#include "../aws/ngx_ivschat_profile_plan.h"


/* One of the shared files, read into the heap. */

typedef struct {
    char                         path[NGX_MAX_PATH];
    u_char                      *data;
    size_t                       len;
    mode_t                       mode;
} ngx_ivschat_file_t;


static ngx_int_t ngx_ivschat_read_file(ngx_str_t *path,
    ngx_ivschat_file_t *file, char *reason, size_t size);


ngx_int_t
ngx_ivschat_reread(ngx_ivschat_resolved_t *resolved,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size)
{
    mode_t                           modes[2];
    ngx_int_t                        rc;
    const char                      *why;
    ngx_ivschat_str_t                name;
    ngx_ivschat_plan_t               plan;
    ngx_ivschat_profiles_t          *profiles;
    ngx_ivschat_credentials_field_e  field;

    profiles = ngx_ivschat_read_profiles(resolved->files, modes, reason, size);
    if (profiles == NULL) {
        return NGX_DECLINED;
    }

    rc = NGX_DECLINED;

    name.data = (const char *) resolved->profile.data;
    name.len = resolved->profile.len;

    if (ngx_ivschat_profile_plan(profiles, name, &plan, reason, size)
        != NGX_IVSCHAT_PLAN_OK)
    {
        goto done;
    }

    if (plan.source != NGX_IVSCHAT_FROM_KEYS
        || plan.nroles != resolved->profile_roles)
    {
        (void) ngx_snprintf((u_char *) reason, size, "more than keys has "
                            "changed%Z");
        goto done;
    }

    why = ngx_ivschat_credentials_set(creds, plan.access_key, plan.secret_key,
                                      plan.session_token, &field);
    if (why) {
        (void) ngx_snprintf((u_char *) reason, size, "%s%Z", why);
        goto done;
    }

    rc = NGX_OK;

done:

    ngx_ivschat_profiles_free(profiles);

    return rc;
}


/* NGX_DECLINED: there is no such file. */

static ngx_int_t
ngx_ivschat_read_file(ngx_str_t *path, ngx_ivschat_file_t *file, char *reason,
    size_t size)
{
    int          err;
    ssize_t      n;
    ngx_fd_t     fd;
    struct stat  st;

    ngx_memzero(file, sizeof(ngx_ivschat_file_t));

    if (path->len == 0 || path->len >= sizeof(file->path)) {
        return NGX_DECLINED;
    }

    ngx_memcpy(file->path, path->data, path->len);

    /* not to hang on a pipe */

    fd = open(file->path, O_RDONLY|O_NONBLOCK|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE
        && (ngx_errno == NGX_ENOENT || ngx_errno == NGX_ENOTDIR))
    {
        return NGX_DECLINED;
    }

    n = -1;

    if (fd != NGX_INVALID_FILE && fstat(fd, &st) == 0) {

        file->data = malloc(NGX_IVSCHAT_PROFILE_FILE_MAX + 1);

        if (file->data) {
            n = read(fd, file->data, NGX_IVSCHAT_PROFILE_FILE_MAX + 1);
        }

        file->mode = st.st_mode;
    }

    err = ngx_errno;

    if (fd != NGX_INVALID_FILE) {
        (void) close(fd);
    }

    if (n == -1) {
        free(file->data);
        file->data = NULL;

        (void) ngx_snprintf((u_char *) reason, size, "%s: (%d: %s)%Z",
                            file->path, err, strerror(err));
        reason[size - 1] = '\0';
        return NGX_ERROR;
    }

    file->len = n;

    return NGX_OK;
}


/* NULL: a file is there, but cannot be read or parsed. */

ngx_ivschat_profiles_t *
ngx_ivschat_read_profiles(ngx_str_t *files, mode_t *modes, char *reason,
    size_t size)
{
    ngx_int_t                   rc;
    ngx_uint_t                  i;
    ngx_ivschat_file_t          read[2];
    ngx_ivschat_profiles_t     *profiles;
    ngx_ivschat_profile_file_t  texts[2];

    profiles = NULL;
    rc = NGX_OK;

    ngx_memzero(read, sizeof(read));

    for (i = 0; i < 2 && rc != NGX_ERROR; i++) {
        rc = ngx_ivschat_read_file(&files[i], &read[i], reason, size);

        texts[i].name = read[i].path;
        texts[i].text.data = (const char *) read[i].data;
        texts[i].text.len = read[i].len;

        modes[i] = read[i].mode;
    }

    if (rc != NGX_ERROR) {
        profiles = ngx_ivschat_profiles_parse(&texts[NGX_IVSCHAT_CONFIG],
                                              &texts[NGX_IVSCHAT_CREDENTIALS],
                                              reason, size);
    }

    for (i = 0; i < 2; i++) {
        if (read[i].data) {
            ngx_explicit_memzero(read[i].data, read[i].len);
            free(read[i].data);
        }
    }

    return profiles;
}
