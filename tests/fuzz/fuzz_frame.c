/* SPDX-License-Identifier: MIT */
/* A datagram on the seam. */
#include "fuzz.h"

#undef NDEBUG
#include <assert.h>
#include <sys/socket.h>

#include "seam/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int ours, theirs;
    AK_CLEANUP(ak_link_freep) struct ak_link *link = NULL;
    assert(ak_link_pair(&ours, &theirs) == 0);
    assert(ak_link_new(&link, ours) == 0);
    struct ak_frame frame;
    if (size && send(theirs, data, size, MSG_NOSIGNAL) == (ssize_t)size) {
        int r = ak_link_receive(link, &frame);
        assert(r == 0 || r == AK_LINK_E_MALFORMED);
        uint64_t sum = 0;
        for (size_t i = 0; r == 0 && i < frame.n_parts; i++) {
            for (size_t k = 0; k < frame.parts[i].len; k++)
                sum += ((const unsigned char *)frame.parts[i].data)[k];
        }
        assert(sum <= UINT64_MAX);
        if (r == 0)
            ak_frame_done(&frame);
    }
    close(theirs);
    return 0;
}
