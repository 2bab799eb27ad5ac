package still

// #include "live.h"
import "C"

// Live is how many C objects (decoders, encoders, their buffers) exist in this
// process. It is 0 when every Frames is closed and no call is under way; tests
// fail where it is not.
func Live() int64 { return int64(C.still_live()) }
