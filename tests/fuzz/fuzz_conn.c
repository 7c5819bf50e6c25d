/* SPDX-License-Identifier: MIT */
/* The text of a connection file. What is refused has a sentence. */
#include "fuzz.h"

#undef NDEBUG
#include <assert.h>

#include "wire/conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ak_conn conn = {0};
    AK_BUF_AUTO message = {0};
    AK_BUF_AUTO endpoint = {0};
    int r = ak_conn_parse(&conn, (const char *)data, size, &message);
    assert(r >= 0);
    if (r) {
        assert(message.len > 0);
        return 0;
    }
    for (int i = 0; i < AK_CONN_N_PORTS; i++) {
        assert(conn.ports[i] >= 0 && conn.ports[i] <= 65535);
        assert(ak_conn_endpoint(&conn, conn.ports[i], &endpoint) == 0);
    }
    ak_conn_done(&conn);
    return 0;
}
