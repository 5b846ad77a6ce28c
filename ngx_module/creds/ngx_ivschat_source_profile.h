
/*
 * The profile source: AWS's shared files, read by the master with the
 * configuration, and by a worker when they have changed.
 */


#ifndef _NGX_IVSCHAT_SOURCE_PROFILE_H_INCLUDED_
#define _NGX_IVSCHAT_SOURCE_PROFILE_H_INCLUDED_


#include "ngx_ivschat_source.h"


/* As the functions of ngx_ivschat_source.h. */

ngx_int_t ngx_ivschat_find_profile(ngx_ivschat_find_t *find);

/*
 * Finds profile_region and profile_sts in the profile in force, if the
 * credentials come from elsewhere; there are none if files cannot be read.
 */

void ngx_ivschat_find_settings(ngx_ivschat_find_t *find);

/*
 * The present keys of the shared files, in a worker; NGX_DECLINED with a
 * reason: they cannot be read, or no longer mean the same.
 */

ngx_int_t ngx_ivschat_reread(ngx_ivschat_found_t *found,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size);


#endif /* _NGX_IVSCHAT_SOURCE_PROFILE_H_INCLUDED_ */
