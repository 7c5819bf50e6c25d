/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <sys/stat.h>

#include "wire/conn.h"

static const char good[] =
    "{\"shell_port\": 1, \"iopub_port\": 2, \"stdin_port\": 3, \"control_port\": 4, "
    "\"hb_port\": 5, \"ip\": \"127.0.0.1\", \"key\": \"k\", \"transport\": \"tcp\", "
    "\"signature_scheme\": \"hmac-sha256\", \"kernel_name\": \"n\", \"other\": [1]}";

static int parse(const char *text, struct ak_buf *message) {
    struct ak_conn conn = {0};
    int r = ak_conn_parse(&conn, text, strlen(text), message);
    if (r == 0)
        ak_conn_done(&conn);
    return r;
}

static void reads(void) {
    struct ak_conn conn;
    AK_BUF_AUTO message = {0};
    assert(ak_conn_parse(&conn, good, strlen(good), &message) == 0);
    assert(conn.ports[AK_CONN_SHELL] == 1 && conn.ports[AK_CONN_HB] == 5);
    assert(strcmp(conn.key, "k") == 0 && strcmp(conn.kernel_name, "n") == 0);
    assert(conn.curve_public == NULL && conn.registration_ip == NULL);
    ak_conn_done(&conn);
}

static void missing_members(void) {
    static const char *const members[] = {"shell_port", "hb_port", "key"};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        AK_BUF_AUTO text = {0};
        AK_BUF_AUTO message = {0};
        assert(ak_buf_add_str(&text, good) == 0);
        char *found = strstr(text.data, members[i]);
        found[0] = 'X';
        assert(parse(text.data, &message) == AK_CONN_E_BAD);
        assert(strstr(ak_buf_str(&message), members[i]));
    }
}

static void bad_values(void) {
    static const char *const texts[] = {
        "",
        "[]",
        "{",
        "{\"key\": 5}",
        "{\"key\": \"\", \"transport\": \"smoke\"}",
        "{\"key\": \"\", \"signature_scheme\": \"hmac-md5\"}",
        "{\"key\": \"\", \"curve_publickey\": \"x\", \"curve_secretkey\": \"x\"}",
        "{\"key\": \"\", \"registration_ip\": \"127.0.0.1\"}",
        "{\"key\": \"\", \"shell_port\": -1}",
        "{\"key\": \"\", \"shell_port\": 65536}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        AK_BUF_AUTO message = {0};
        assert(parse(texts[i], &message) == AK_CONN_E_BAD);
        assert(message.len > 10);
    }
}

static void endpoints(void) {
    AK_BUF_AUTO endpoint = {0};
    struct ak_conn conn = {.transport = (char *)"tcp", .ip = (char *)"127.0.0.1"};
    assert(ak_conn_endpoint(&conn, 5, &endpoint) == 0);
    assert(strcmp(ak_buf_str(&endpoint), "tcp://127.0.0.1:5") == 0);
    assert(ak_conn_endpoint(&conn, 0, &endpoint) == 0);
    assert(strcmp(ak_buf_str(&endpoint), "tcp://127.0.0.1:*") == 0);
    conn.ip = (char *)"::1";
    assert(ak_conn_endpoint(&conn, 5, &endpoint) == 0);
    assert(strcmp(ak_buf_str(&endpoint), "tcp://[::1]:5") == 0);
    conn.transport = (char *)"ipc";
    conn.ip = (char *)"/run/x";
    assert(ak_conn_endpoint(&conn, 5, &endpoint) == 0);
    assert(strcmp(ak_buf_str(&endpoint), "ipc:///run/x-5") == 0);
}

static void writes_ports(void) {
    char path[] = "/tmp/akernel-test-conn-XXXXXX";
    int fd = mkstemp(path);
    assert(fd >= 0 && write(fd, good, strlen(good)) == (ssize_t)strlen(good));
    close(fd);
    struct ak_conn conn;
    AK_BUF_AUTO message = {0};
    assert(ak_conn_read(&conn, path, &message) == 0 && conn.private_file);
    conn.ports[AK_CONN_SHELL] = 12345;
    assert(ak_conn_write_ports(&conn, &message) == 0);
    ak_conn_done(&conn);
    assert(chmod(path, 0644) == 0);
    assert(ak_conn_read(&conn, path, &message) == 0 && !conn.private_file);
    assert(conn.ports[AK_CONN_SHELL] == 12345);
    ak_conn_done(&conn);
    unlink(path);
    assert(ak_conn_read(&conn, path, &message) == AK_CONN_E_BAD);
}

static const struct ak_test tests[] = {
    {"reads", reads},
    {"missing-members", missing_members},
    {"bad-values", bad_values},
    {"endpoints", endpoints},
    {"writes-ports", writes_ports},
};
AK_TEST_MAIN(tests)
