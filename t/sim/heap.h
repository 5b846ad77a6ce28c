
/*
 * Events in the order of their time.
 */


#ifndef _HEAP_H_INCLUDED_
#define _HEAP_H_INCLUDED_


#include <stdint.h>


typedef struct {
    double     time;
    uint32_t   order;                  /* among those at the same time */
    int32_t    what;                   /* edge, worker or client */
    uint32_t   turn;                   /* is it still the same one */
    int        kind;
} event_t;


void heap_clear(void);
void heap_post(double time, int kind, int what, uint32_t turn);

/* 0 if there is none. */

int heap_next(event_t *event);


#endif /* _HEAP_H_INCLUDED_ */
