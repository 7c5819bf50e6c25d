/* SPDX-License-Identifier: MIT */
#include "wire/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "wire/limits.h"

#define CURVE_KEY_SIZE crypto_scalarmult_BYTES

static const char *const port_names[AK_CONN_N_PORTS] = {
    [AK_CONN_SHELL] = "shell_port", [AK_CONN_IOPUB] = "iopub_port",
    [AK_CONN_STDIN] = "stdin_port", [AK_CONN_CONTROL] = "control_port",
    [AK_CONN_HB] = "hb_port",
};

const char *ak_conn_port_name(enum ak_conn_port port) {
    return port_names[port];
}

void ak_conn_done(struct ak_conn *conn) {
    if (conn->key)
        sodium_memzero(conn->key, strlen(conn->key));
    if (conn->curve_secret)
        sodium_memzero(conn->curve_secret, strlen(conn->curve_secret));
    free(conn->path);
    free(conn->transport);
    free(conn->ip);
    free(conn->key);
    free(conn->kernel_name);
    free(conn->session_name);
    free(conn->curve_public);
    free(conn->curve_secret);
    free(conn->registration_ip);
    free(conn->kernel_id);
    *conn = (struct ak_conn){0};
}

static int bad(struct ak_buf *message, const char *format, ...)
    __attribute__((__format__(__printf__, 2, 3)));

/* An outcome with its sentence. */
static int bad(struct ak_buf *message, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    int r = ak_buf_add_str(message, text);
    return r ? ak_error_trace(r) : AK_CONN_E_BAD;
}

/* Copies a string member; otherwise is what a missing one means, NULL that it must be
 * there. */
static int take_string(json_t *root, const char *name, const char *otherwise,
                       char **ret_value, struct ak_buf *message) {
    json_t *value = json_object_get(root, name); /* borrowed */
    if (json_is_null(value))
        value = NULL; /* null is how some launchers write that there is none */
    const char *text = value ? json_string_value(value) : otherwise;
    if (!value && !otherwise)
        return bad(message, "the connection file has no \"%s\"", name);
    if (!text)
        return bad(message, "\"%s\" in the connection file is not a string", name);
    *ret_value = strdup(text);
    return *ret_value ? 0 : ak_error_origin(ENOMEM);
}

static int take_ports(struct ak_conn *conn, json_t *root, struct ak_buf *message) {
    for (int i = 0; i < AK_CONN_N_PORTS; i++) {
        json_t *value = json_object_get(root, port_names[i]); /* borrowed */
        if (!value)
            return bad(message, "the connection file has no \"%s\"", port_names[i]);
        json_int_t port = json_integer_value(value);
        if (!json_is_integer(value) || port < 0 || port > 65535)
            return bad(message,
                       "\"%s\" in the connection file is not a port (0 to 65535)",
                       port_names[i]);
        conn->ports[i] = (int)port;
    }
    return 0;
}

/* Z85 (ZeroMQ RFC 32): five digits to the base 85 for each four bytes, which not every
 * five digits fit into. */
static bool decode_z85_key(const char *text,
                           unsigned char ret_key[static CURVE_KEY_SIZE]) {
    static const char digits[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRS"
        "TUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    if (strlen(text) != 40 || strspn(text, digits) != 40)
        return false;
    for (size_t i = 0; i < 8; i++) {
        uint64_t value = 0;
        for (size_t k = 0; k < 5; k++)
            value = value * 85 + (uint64_t)(strchr(digits, text[i * 5 + k]) - digits);
        if (value > UINT32_MAX)
            return false;
        for (size_t k = 0; k < 4; k++)
            ret_key[i * 4 + k] = (unsigned char)(value >> (24 - 8 * k));
    }
    return true;
}

static int take_curve(struct ak_conn *conn, json_t *root, struct ak_buf *message) {
    json_t *public = json_object_get(root, "curve_publickey"); /* borrowed */
    json_t *secret = json_object_get(root, "curve_secretkey"); /* borrowed */
    if ((!public || json_is_null(public)) && (!secret || json_is_null(secret)))
        return 0;
    int r = take_string(root, "curve_publickey", NULL, &conn->curve_public, message);
    if (!r)
        r = take_string(root, "curve_secretkey", NULL, &conn->curve_secret, message);
    if (r)
        return r;
    unsigned char public_key[CURVE_KEY_SIZE], secret_key[CURVE_KEY_SIZE];
    unsigned char derived[CURVE_KEY_SIZE];
    const char *wrong =
        !decode_z85_key(conn->curve_public, public_key)   ? "curve_publickey"
        : !decode_z85_key(conn->curve_secret, secret_key) ? "curve_secretkey"
                                                          : NULL;
    if (wrong)
        return bad(message,
                   "\"%s\" in the connection file is not a Z85 key of 40 "
                   "characters",
                   wrong);
    /* Clients hold the public key: with another secret none of them could connect. */
    bool pair = crypto_scalarmult_base(derived, secret_key) == 0 &&
                sodium_memcmp(derived, public_key, sizeof(derived)) == 0;
    sodium_memzero(secret_key, sizeof(secret_key));
    return pair ? 0
                : bad(message,
                      "\"%s\" in the connection file is not the public key of "
                      "its curve_secretkey",
                      "curve_publickey");
}

static int take_registration(struct ak_conn *conn, json_t *root,
                             struct ak_buf *message) {
    json_t *ip = json_object_get(root, "registration_ip"); /* borrowed */
    if (!ip || json_is_null(ip))
        return 0;
    json_t *port = json_object_get(root, "registration_port"); /* borrowed */
    if (!json_is_integer(port) || json_integer_value(port) < 1 ||
        json_integer_value(port) > 65535)
        return bad(message, "\"%s\" in the connection file is not a port (1 to 65535)",
                   "registration_port");
    conn->registration_port = (int)json_integer_value(port);
    return take_string(root, "registration_ip", NULL, &conn->registration_ip, message);
}

static int take_all(struct ak_conn *conn, json_t *root, struct ak_buf *message) {
    AK_CLEANUP(ak_freep) char *scheme = NULL;
    int r = take_string(root, "transport", "tcp", &conn->transport, message);
    if (!r)
        r = take_string(root, "ip", "127.0.0.1", &conn->ip, message);
    if (!r)
        r = take_string(root, "key", NULL, &conn->key, message);
    if (!r)
        r = take_string(root, "kernel_name", "", &conn->kernel_name, message);
    if (!r)
        r = take_string(root, "jupyter_session", "", &conn->session_name, message);
    if (!r)
        r = take_string(root, "kernel_id", "", &conn->kernel_id, message);
    if (!r)
        r = take_string(root, "signature_scheme", "hmac-sha256", &scheme, message);
    if (r)
        return r;
    if (strcmp(conn->transport, "tcp") != 0 && strcmp(conn->transport, "ipc") != 0)
        return bad(message,
                   "the transport \"%s\" in the connection file is neither "
                   "\"tcp\" nor \"ipc\"",
                   conn->transport);
    if (strcmp(scheme, "hmac-sha256") != 0)
        return bad(message,
                   "the signature_scheme \"%s\" in the connection file is not "
                   "known: this kernel signs with hmac-sha256",
                   scheme);
    r = take_curve(conn, root, message);
    if (!r)
        r = take_registration(conn, root, message);
    /* A launcher that waits for a handshake leaves the choice of ports to the kernel.
     */
    if (!r && !conn->registration_ip)
        r = take_ports(conn, root, message);
    return r;
}

int ak_conn_parse(struct ak_conn *ret_conn, const char *text, size_t len,
                  struct ak_buf *ret_message) {
    json_error_t error;
    json_auto_t *root = json_loadb(text, len, 0, &error);
    if (!root) {
        int r = ak_buf_addf(ret_message,
                            "the connection file is not JSON: %s (line %d, "
                            "column %d)",
                            error.text, error.line, error.column);
        return r ? ak_error_trace(r) : AK_CONN_E_BAD;
    }
    if (!json_is_object(root))
        return bad(ret_message, "the connection file is not a JSON %s", "object");
    struct ak_conn conn = {.private_file = true};
    int r = take_all(&conn, root, ret_message);
    if (r) {
        ak_conn_done(&conn);
        return r;
    }
    *ret_conn = conn;
    return 0;
}

static int read_file(const char *path, struct ak_buf *text, mode_t *ret_mode,
                     struct ak_buf *message) {
    AK_CLEANUP(ak_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return bad(message, "the connection file cannot be opened: %s",
                   strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size > AK_WIRE_CONNECTION_FILE_MAX)
        return bad(message, "the connection file is %s",
                   S_ISREG(st.st_mode) ? "too large" : "not a file");
    for (;;) {
        char chunk[4096];
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return bad(message, "the connection file cannot be read: %s",
                       strerror(errno));
        if (n == 0)
            break;
        int r = ak_buf_add(text, chunk, (size_t)n);
        if (r)
            return ak_error_trace(r);
    }
    *ret_mode = st.st_mode;
    return 0;
}

int ak_conn_read(struct ak_conn *ret_conn, const char *path,
                 struct ak_buf *ret_message) {
    AK_BUF_AUTO text = {0};
    mode_t mode = 0;
    int r = read_file(path, &text, &mode, ret_message);
    if (!r)
        r = ak_conn_parse(ret_conn, ak_buf_str(&text), text.len, ret_message);
    if (text.data)
        sodium_memzero(text.data, text.cap);
    if (r)
        return r;
    ret_conn->private_file = (mode & 077) == 0;
    ret_conn->path = strdup(path);
    if (!ret_conn->path) {
        ak_conn_done(ret_conn);
        return ak_error_origin(ENOMEM);
    }
    return 0;
}

static int write_file(const char *path, const char *text, size_t len) {
    AK_BUF_AUTO temporary = {0};
    int r = ak_buf_addf(&temporary, "%s.XXXXXX", path);
    if (r)
        return ak_error_trace(r);
    AK_CLEANUP(ak_closep) int fd = mkstemp(temporary.data); /* mode 0600 */
    if (fd < 0)
        return ak_error_origin(errno);
    while (len && r == 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            r = ak_error_origin(errno);
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    if (!r && rename(temporary.data, path) < 0)
        r = ak_error_origin(errno);
    if (r)
        unlink(temporary.data);
    return r;
}

int ak_conn_write_ports(const struct ak_conn *conn, struct ak_buf *ret_message) {
    json_error_t error;
    json_auto_t *root = json_load_file(conn->path, 0, &error);
    if (!root)
        return bad(ret_message, "the connection file cannot be read again: %s",
                   error.text);
    for (int i = 0; i < AK_CONN_N_PORTS; i++) {
        if (json_object_set_new(root, port_names[i], json_integer(conn->ports[i])) < 0)
            return ak_error_origin(ENOMEM);
    }
    AK_CLEANUP(ak_freep) char *text = json_dumps(root, JSON_INDENT(2));
    if (!text)
        return ak_error_origin(ENOMEM);
    int r = write_file(conn->path, text, strlen(text));
    if (r)
        return bad(ret_message,
                   "the ports cannot be written back into the connection file: %s",
                   strerror(-r));
    return 0;
}

int ak_conn_tcp_endpoint(const char *ip, int port, struct ak_buf *ret_endpoint) {
    bool bare_ipv6 = strchr(ip, ':') && ip[0] != '[';
    int r = ak_buf_addf(ret_endpoint, "tcp://%s%s%s:", bare_ipv6 ? "[" : "", ip,
                        bare_ipv6 ? "]" : "");
    if (r)
        return ak_error_trace(r);
    return port ? ak_buf_addf(ret_endpoint, "%d", port)
                : ak_buf_add_char(ret_endpoint, '*');
}

int ak_conn_endpoint(const struct ak_conn *conn, int port,
                     struct ak_buf *ret_endpoint) {
    ak_buf_clear(ret_endpoint);
    if (strcmp(conn->transport, "ipc") == 0)
        return ak_buf_addf(ret_endpoint, "ipc://%s-%d", conn->ip, port);
    return ak_conn_tcp_endpoint(conn->ip, port, ret_endpoint);
}
