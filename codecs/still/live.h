#ifndef MILLRACE_STILL_LIVE_H
#define MILLRACE_STILL_LIVE_H

// How many C objects of this package exist: decoders, encoders and their buffers.
void still_live_add(long n);
long still_live(void);

#endif
