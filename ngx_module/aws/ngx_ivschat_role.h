
/*
 * A role of AWS IAM, as it is assumed.
 */


#ifndef _NGX_IVSCHAT_ROLE_H_INCLUDED_
#define _NGX_IVSCHAT_ROLE_H_INCLUDED_


#define NGX_IVSCHAT_ROLES_MAX   5      /* of a profile, one after the other */


/* Strings have a NUL; NULL where there is none. */

typedef struct {
    const char   *role_arn;
    const char   *session_name;
    const char   *external_id;
    unsigned      duration;            /* seconds; 0: STS's default */

    /* of STS; a profile's plan leaves these out */

    const char   *region;
    const char   *url;                 /* "https://.../" */
    const char   *host;                /* as in the Host header */
} ngx_ivschat_role_t;


#endif /* _NGX_IVSCHAT_ROLE_H_INCLUDED_ */
