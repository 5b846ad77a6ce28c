
/*
 * Processes that hold credentials cannot be read by others of the same user.
 */


#ifndef _NGX_IVSCHAT_DUMPABLE_H_INCLUDED_
#define _NGX_IVSCHAT_DUMPABLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Makes this process not dumpable, unless the configuration asks for core
 * files.  In a worker it must be called after nginx has made it dumpable.
 */
void ngx_ivschat_not_dumpable(ngx_cycle_t *cycle);


#endif /* _NGX_IVSCHAT_DUMPABLE_H_INCLUDED_ */
