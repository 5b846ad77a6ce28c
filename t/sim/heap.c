
/*
 * Events in the order of their time.
 */


#include "heap.h"

#include <stdlib.h>


static struct {
    event_t   *events;
    size_t     n;
    size_t     size;
    uint32_t   order;
} heap;


static int before(const event_t *a, const event_t *b);


void
heap_clear(void)
{
    heap.n = 0;
    heap.order = 0;
}


void
heap_post(double time, int kind, int what, uint32_t turn)
{
    size_t   i, up;
    event_t  event;

    if (heap.n == heap.size) {
        heap.size = heap.size * 2 + 1024;
        heap.events = realloc(heap.events, heap.size * sizeof(event_t));

        if (heap.events == NULL) {
            abort();
        }
    }

    event.time = time;
    event.order = heap.order++;
    event.what = what;
    event.turn = turn;
    event.kind = kind;

    for (i = heap.n++; i > 0; i = up) {
        up = (i - 1) / 2;

        if (before(&heap.events[up], &event)) {
            break;
        }

        heap.events[i] = heap.events[up];
    }

    heap.events[i] = event;
}


int
heap_next(event_t *event)
{
    size_t   i, down;
    event_t  last;

    if (heap.n == 0) {
        return 0;
    }

    *event = heap.events[0];
    last = heap.events[--heap.n];

    for (i = 0; (down = 2 * i + 1) < heap.n; i = down) {
        if (down + 1 < heap.n
            && before(&heap.events[down + 1], &heap.events[down]))
        {
            down++;
        }

        if (before(&last, &heap.events[down])) {
            break;
        }

        heap.events[i] = heap.events[down];
    }

    heap.events[i] = last;

    return 1;
}


static int
before(const event_t *a, const event_t *b)
{
    return a->time < b->time || (a->time == b->time && a->order < b->order);
}
