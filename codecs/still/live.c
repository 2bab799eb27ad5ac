#include "live.h"

#include <stdatomic.h>

static atomic_long live;

void still_live_add(long n) { atomic_fetch_add(&live, n); }
long still_live(void) { return atomic_load(&live); }
