
/*
 * Processes that hold credentials cannot be read by others of the same user.
 */


#include "ngx_ivschat_dumpable.h"


void
ngx_ivschat_not_dumpable(ngx_cycle_t *cycle)
{
#if (NGX_HAVE_PR_SET_DUMPABLE)

    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (ccf->rlimit_core > 0 || ccf->working_directory.len) {
        return;
    }

    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "prctl(PR_SET_DUMPABLE) failed");
    }

#endif
}
