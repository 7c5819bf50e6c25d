/* SPDX-License-Identifier: MIT */
/* Shared memory as a worker may leave it: head and tail, then what the data begins
 * with. The reader comes to an end, and never looks outside. */
#include "fuzz.h"

#undef NDEBUG
#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "seam/ring.h"

#define CONTROL_SIZE 4096u
#define TAIL_AT 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ak_ring_fds fds;
    AK_CLEANUP(ak_ring_freep) struct ak_ring *ring = NULL;
    uint64_t head = 0, tail = 0;
    if (size < 4)
        return 0;
    /* Small positions, as they are when records follow; the rest is bytes. */
    head = ((uint64_t)data[0] << 8 | data[1]) * (data[2] & 1 ? 1 : 16);
    tail = (uint64_t)data[3] * 16;
    assert(ak_ring_create(&fds) == 0);
    size_t len = size - 4 < AK_RING_DATA_SIZE ? size - 4 : AK_RING_DATA_SIZE;
    assert(pwrite(fds.memory, &head, sizeof(head), 0) == sizeof(head));
    assert(pwrite(fds.memory, &tail, sizeof(tail), TAIL_AT) == sizeof(tail));
    assert(pwrite(fds.memory, data + 4, len, CONTROL_SIZE) == (ssize_t)len);
    assert(ak_ring_new(&ring, &fds) == 0);
    struct ak_ring_record record;
    size_t n_records = 0;
    uint64_t sum = 0;
    while (ak_ring_peek(ring, &record) == 0) {
        for (size_t i = 0; i < record.text.len; i++)
            sum += ((const unsigned char *)record.text.data)[i];
        ak_ring_consume(ring, &record);
        assert(++n_records <= AK_RING_DATA_SIZE / 16);
    }
    assert(sum <= UINT64_MAX);
    return 0;
}
