/* SPDX-License-Identifier: MIT */
#include "unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/dap.h"

static struct ak_dap *connected(int *ret_peer) {
    int fds[2];
    struct ak_dap *dap;
    assert(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    assert(ak_dap_new(&dap, fds[0]) == 0);
    *ret_peer = fds[1];
    return dap;
}

static void say(int peer, const char *text) {
    assert(write(peer, text, strlen(text)) == (ssize_t)strlen(text));
}

static void expect(struct ak_dap *dap, const char *command) {
    json_t *message = NULL;
    assert(ak_dap_receive(dap, &message) == 0);
    assert(strcmp(json_string_value(json_object_get(message, "command")), command) ==
           0);
    json_decref(message);
}

static void receives(void) {
    int peer;
    json_t *message;
    struct ak_dap *dap = connected(&peer);
    assert(ak_dap_receive(dap, &message) == AK_DAP_E_AGAIN);
    say(peer, "Content-Length: 15\r\n\r\n{\"command\":\"a\"}Content-Le");
    expect(dap, "a");
    assert(ak_dap_receive(dap, &message) == AK_DAP_E_AGAIN);
    say(peer, "ngth:17\r\nContent-Type: x\r\n\r\n{\"command\"");
    assert(ak_dap_receive(dap, &message) == AK_DAP_E_AGAIN);
    say(peer, ":\"two\"}");
    expect(dap, "two");
    close(peer);
    assert(ak_dap_receive(dap, &message) == AK_DAP_E_CLOSED);
    ak_dap_free(dap);
}

static void sends(void) {
    int peer;
    char text[256] = "";
    struct ak_dap *dap = connected(&peer);
    json_t *message = json_pack("{s:s}", "command", "x");
    assert(ak_dap_send(dap, message) == 0);
    assert(!ak_dap_waits(dap));
    assert(read(peer, text, sizeof(text) - 1) > 0);
    assert(strcmp(text, "Content-Length: 15\r\n\r\n{\"command\":\"x\"}") == 0);
    json_decref(message);
    close(peer);
    ak_dap_free(dap);
}

/* Nobody reads: what has no room waits, and goes when there is some. */
static void waits_for_room(void) {
    int peer;
    struct ak_dap *dap = connected(&peer);
    char *big = calloc(1, 100001);
    memset(big, 'x', 100000);
    json_t *message = json_pack("{s:s}", "command", big);
    size_t sent = 0;
    for (; !ak_dap_waits(dap); sent++)
        assert(ak_dap_send(dap, message) == 0);
    assert(fcntl(peer, F_SETFL, O_NONBLOCK) == 0);
    while (ak_dap_waits(dap)) {
        while (read(peer, big, 100000) > 0)
            ;
        assert(ak_dap_flush(dap) == 0);
    }
    assert(sent > 0);
    json_decref(message);
    free(big);
    close(peer);
    ak_dap_free(dap);
}

static void refuses_nonsense(void) {
    static const char *const nonsense[] = {
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 99999999999999999999\r\n\r\n",
        "Content-Length: 5x\r\n\r\n12345",
        "No-Length: 5\r\n\r\n12345",
        "Content-Length: 5\r\n\r\n12345",
        "Content-Length: 2\r\n\r\n[]",
        "Content-Length: 2\r\n\r\n{\"",
        "\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        int peer;
        json_t *message;
        struct ak_dap *dap = connected(&peer);
        say(peer, nonsense[i]);
        assert(ak_dap_receive(dap, &message) == AK_DAP_E_CLOSED);
        close(peer);
        ak_dap_free(dap);
    }
    int peer;
    json_t *message;
    struct ak_dap *dap = connected(&peer);
    char endless[6000] = {0};
    memset(endless, 'h', sizeof(endless) - 1);
    say(peer, endless);
    assert(ak_dap_receive(dap, &message) == AK_DAP_E_CLOSED);
    close(peer);
    ak_dap_free(dap);
}

static void expect_parsed(const char *text, const char *expected) {
    json_t *parsed = ak_dap_parse(ak_bytes(text, strlen(text)));
    assert(parsed);
    assert(strcmp(json_string_value(json_object_get(parsed, "v")), expected) == 0);
    json_decref(parsed);
}

/* Python writes lone surrogates; pairs and escaped backslashes stay what they are. */
static void parses_what_python_writes(void) {
    expect_parsed("{\"v\": \"a\\ud800b\"}", "a\xEF\xBF\xBD"
                                            "b");
    expect_parsed("{\"v\": \"\\udc00\"}", "\xEF\xBF\xBD");
    expect_parsed("{\"v\": \"\\ud83d\\ude00\"}", "\xF0\x9F\x98\x80");
    expect_parsed("{\"v\": \"\\\\ud800\"}", "\\ud800");
    assert(!ak_dap_parse(ak_bytes("{\"v\": \"\\", 8)));
    assert(!ak_dap_parse(ak_bytes("", 0)));
    assert(!ak_dap_parse(ak_bytes(NULL, 0)));
}

static const struct ak_test tests[] = {
    {"receives", receives},
    {"sends", sends},
    {"waits-for-room", waits_for_room},
    {"refuses-nonsense", refuses_nonsense},
    {"parses-what-python-writes", parses_what_python_writes},
};

AK_TEST_MAIN(tests)
