/* SPDX-License-Identifier: MIT */
/*
 * One signed frame each way on a DEALER: [delimiter, signature, JSON]. The signature
 * covers that one frame.
 */
#include "net/handshake.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

#define WAIT_MS 5000

static const char delimiter[] = "<IDS|MSG>";

static int failed(struct ak_buf *message, const char *why) {
    int r = ak_buf_addf(message,
                        "the launcher could not be told where this kernel "
                        "listens: %s",
                        why);
    return r ? ak_error_trace(r) : AK_HANDSHAKE_E_FAILED;
}

static int write_content(const struct ak_conn *conn, struct ak_buf *content) {
    int r = ak_buf_add_str(content, "{\"kernel_id\": ");
    if (!r)
        r = ak_buf_add_json_string(content, conn->kernel_id, strlen(conn->kernel_id));
    for (int i = 0; i < AK_CONN_N_PORTS && !r; i++)
        r = ak_buf_addf(content, ", \"%s\": %d",
                        ak_conn_port_name((enum ak_conn_port)i), conn->ports[i]);
    return r ? r : ak_buf_add_char(content, '}');
}

static int exchange(void *socket, struct ak_signer *signer,
                    const struct ak_buf *content, struct ak_buf *message) {
    char hex[AK_SIGN_HEX_SIZE];
    struct ak_bytes frames[4] = {ak_bytes(content->data, content->len)};
    ak_signer_sign(signer, frames, hex);
    if (zmq_send(socket, delimiter, sizeof(delimiter) - 1, ZMQ_SNDMORE) < 0 ||
        zmq_send(socket, hex, strlen(hex), ZMQ_SNDMORE) < 0 ||
        zmq_send(socket, content->data, content->len, 0) < 0)
        return failed(message, zmq_strerror(errno));

    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    if (zmq_poll(&item, 1, WAIT_MS) <= 0)
        return failed(message, "no answer within 5 s");
    char parts[8][1024];
    size_t lens[8] = {0}, n = 0;
    for (int more = 1; more && n < 8; n++) {
        size_t size = sizeof(more);
        int len = zmq_recv(socket, parts[n], sizeof(parts[n]), ZMQ_DONTWAIT);
        if (len < 0 || (size_t)len > sizeof(parts[n]))
            return failed(message, "its answer is not a handshake_reply");
        lens[n] = (size_t)len;
        zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size);
    }
    if (n < 2)
        return failed(message, "its answer is not a handshake_reply");
    struct ak_bytes answer[4] = {ak_bytes(parts[n - 1], lens[n - 1])};
    if (ak_signer_check(signer, answer, ak_bytes(parts[n - 2], lens[n - 2])))
        return failed(message, "its answer is not signed with the key of this kernel");
    return 0;
}

int ak_handshake(struct ak_channels *channels, const struct ak_conn *conn,
                 struct ak_signer *signer, struct ak_buf *ret_message) {
    AK_BUF_AUTO endpoint = {0};
    AK_BUF_AUTO content = {0};
    int linger = 1000;
    int ipv6 = strchr(conn->registration_ip, ':') != NULL;
    int r =
        ak_conn_tcp_endpoint(conn->registration_ip, conn->registration_port, &endpoint);
    if (!r)
        r = write_content(conn, &content);
    if (r)
        return ak_error_trace(r);
    void *socket = zmq_socket(ak_channels_context(channels), ZMQ_DEALER);
    if (!socket)
        return ak_error_origin(errno);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_setsockopt(socket, ZMQ_IPV6, &ipv6, sizeof(ipv6));
    r = zmq_connect(socket, ak_buf_str(&endpoint)) < 0
            ? failed(ret_message, zmq_strerror(errno))
            : exchange(socket, signer, &content, ret_message);
    zmq_close(socket);
    return r;
}
