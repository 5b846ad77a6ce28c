
/*
 * The offset of this host's clock from AWS's, by the Date of its answers.
 *
 * The rule is that of AWS's SDKs of 2026: the Date is compared with the middle
 * between sending and receiving, unless the answer was under way for more than
 * 15 minutes.  AWS refuses a time that is more than five minutes off, so that
 * an offset of more than four minutes is corrected.
 */


#ifndef _NGX_IVSCHAT_SKEW_H_INCLUDED_
#define _NGX_IVSCHAT_SKEW_H_INCLUDED_


#include <stdint.h>


#define NGX_IVSCHAT_SKEW_MOST     240      /* seconds that need no correction */
#define NGX_IVSCHAT_SKEW_FLIGHT   900      /* seconds */


/*
 * Returns the seconds to add to this host's clock: 0 if it is right enough,
 * "was" if the answer cannot tell.  date is -1 if the answer has no Date, or
 * is an old one (it has an Age).  All times are seconds since the epoch, sent
 * and received by this host's clock.
 */

int64_t ngx_ivschat_skew(int64_t was, int64_t date, int64_t sent,
    int64_t received);


#endif /* _NGX_IVSCHAT_SKEW_H_INCLUDED_ */
