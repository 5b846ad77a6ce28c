
/*
 * Keys in AWS's shared files, read again by the workers when a file changes,
 * as far as they may read it.
 */


#include "ngx_ivschat_slot.h"


#define NGX_IVSCHAT_WATCH   5000    /* milliseconds */


static void ngx_ivschat_watch_timer(ngx_event_t *ev);
static ngx_uint_t ngx_ivschat_watch_changed(ngx_ivschat_slot_t *slot);
static void ngx_ivschat_watch_reread(ngx_ivschat_slot_t *slot);


void
ngx_ivschat_watch_start(ngx_ivschat_slot_t *slot, ngx_log_t *log)
{
    ngx_uint_t  i;
    ngx_str_t  *file;

    if (!slot->found.keys) {
        return;
    }

    for (i = 0; i < NGX_IVSCHAT_PROFILE_FILES; i++) {
        file = &slot->found.files[i];

        if (file->len && access((char *) file->data, R_OK) != 0
            && ngx_errno == NGX_EACCES)
        {
            if (ngx_worker == 0) {
                ngx_log_error(NGX_LOG_NOTICE, log, 0,
                              "the workers may not read \"%V\": nginx has to "
                              "be reloaded when it changes", file);
            }

            return;
        }
    }

    (void) ngx_ivschat_watch_changed(slot);

    ngx_ivschat_slot_timer(slot, &slot->watch, ngx_ivschat_watch_timer, log);

    ngx_add_timer(&slot->watch, NGX_IVSCHAT_WATCH);
}


static void
ngx_ivschat_watch_timer(ngx_event_t *ev)
{
    ngx_connection_t    *dummy;
    ngx_ivschat_slot_t  *slot;

    dummy = ev->data;
    slot = dummy->data;

    if (ngx_exiting) {
        return;
    }

    if (ngx_ivschat_watch_changed(slot)) {
        ngx_ivschat_watch_reread(slot);
    }

    ngx_add_timer(ev, NGX_IVSCHAT_WATCH);
}


/* Whether a file is not the same as at the last call. */

static ngx_uint_t
ngx_ivschat_watch_changed(ngx_ivschat_slot_t *slot)
{
    ngx_uint_t       i, changed;
    ngx_str_t       *file;
    ngx_file_info_t  fi;

    changed = 0;

    for (i = 0; i < NGX_IVSCHAT_PROFILE_FILES; i++) {
        file = &slot->found.files[i];

        if (file->len == 0
            || ngx_file_info(file->data, &fi) == NGX_FILE_ERROR)
        {
            ngx_memzero(&fi, sizeof(ngx_file_info_t));
        }

        if (fi.st_ino != slot->seen[i].st_ino
            || fi.st_size != slot->seen[i].st_size
            || fi.st_mtim.tv_sec != slot->seen[i].st_mtim.tv_sec
            || fi.st_mtim.tv_nsec != slot->seen[i].st_mtim.tv_nsec)
        {
            changed = 1;
        }

        slot->seen[i] = fi;
    }

    return changed;
}


static void
ngx_ivschat_watch_reread(ngx_ivschat_slot_t *slot)
{
    char                       reason[NGX_IVSCHAT_REASON_LEN];
    ngx_log_t                 *log;
    ngx_ivschat_credentials_t  creds;

    log = slot->watch.log;

    if (ngx_ivschat_reread(&slot->found, &creds, reason, sizeof(reason))
        == NGX_OK)
    {
        slot->found.creds = creds;

        if (!slot->fetched) {
            slot->creds = creds;
            slot->generation++;
        }

        if (ngx_worker == 0) {
            ngx_ivschat_creds_notice(log, slot, &creds);
        }

    } else {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "profile \"%V\" has changed, and is not taken over: "
                      "%s; the keys at hand are used on",
                      &slot->found.profile, reason);
    }

    ngx_ivschat_credentials_wipe(&creds);
}
