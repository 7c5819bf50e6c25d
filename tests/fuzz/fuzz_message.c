/* SPDX-License-Identifier: MIT */
/* Frames of a message: each is a byte of length and that many bytes; a length of 255 is
 * followed by two more bytes of it. */
#include "fuzz.h"

#undef NDEBUG
#include <assert.h>
#include <string.h>

#include "wire/message.h"

#define FRAMES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ak_bytes frames[FRAMES_MAX];
    size_t n_frames = 0, at = 0;
    while (at < size && n_frames < FRAMES_MAX) {
        size_t len = data[at++];
        if (len == 255 && size - at >= 2) {
            len = (size_t)data[at] << 8 | data[at + 1];
            at += 2;
        }
        len = len < size - at ? len : size - at;
        frames[n_frames++] = ak_bytes((const char *)data + at, len);
        at += len;
    }
    static struct ak_signer *signer; /* one key for all, as in a kernel */
    if (!signer)
        assert(ak_signer_new(&signer, "") == 0);
    struct ak_message message;
    int r = ak_message_parse(&message, frames, n_frames, signer);
    assert(r >= 0 && r < AK_MESSAGE_E_N);
    if (r)
        return 0;
    assert(message.msg_id && message.msg_type && message.session && message.username);
    assert(message.n_identities + message.n_buffers + 6 == n_frames);
    ak_message_done(&message);
    return 0;
}
