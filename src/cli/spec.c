/* SPDX-License-Identifier: MIT */
/*
 * Everything that is the same for each installed kernel stands in the template alone,
 * so that there is one place to look at and to change. Placeholders are replaced in the
 * parsed tree, not in the text: a path with a quote in it stays a string.
 */
#include "cli/spec.h"

#include <string.h>

#include "cli/paths.h"

static const char *value_of(const struct ak_spec *spec, const char *name, size_t len) {
    for (size_t i = 0; i < spec->n_values; i++) {
        const struct ak_spec_value *value = &spec->values[i];
        if (strlen(value->name) == len && memcmp(value->name, name, len) == 0)
            return value->text;
    }
    return NULL;
}

/* A text with every @name@ that is known replaced. */
static int fill_text(const struct ak_spec *spec, const char *text,
                     struct ak_buf *ret_text) {
    int r = 0;
    while (*text && !r) {
        const char *end = *text == '@' ? strchr(text + 1, '@') : NULL;
        const char *value =
            end ? value_of(spec, text + 1, (size_t)(end - text - 1)) : NULL;
        if (value) {
            r = ak_buf_add_str(ret_text, value);
            text = end + 1;
        } else {
            r = ak_buf_add_char(ret_text, *text++);
        }
    }
    return r;
}

static json_t *fill(const struct ak_spec *spec, json_t *node);

static json_t *fill_array(const struct ak_spec *spec, json_t *array) {
    json_auto_t *filled = json_array();
    size_t index;
    json_t *element; /* borrowed */
    json_array_foreach(array, index, element) {
        json_t *value = fill(spec, element);
        if (!value || json_array_append_new(filled, value) < 0)
            return NULL;
    }
    return json_incref(filled);
}

static json_t *fill_object(const struct ak_spec *spec, json_t *object) {
    json_auto_t *filled = json_object();
    const char *key;
    json_t *member; /* borrowed */
    json_object_foreach(object, key, member) {
        json_t *value = fill(spec, member);
        if (!value || json_object_set_new(filled, key, value) < 0)
            return NULL;
    }
    return json_incref(filled);
}

/* A filled copy, or NULL when there is no memory or a value is not UTF-8. */
static json_t *fill(const struct ak_spec *spec, json_t *node) {
    if (json_is_array(node))
        return fill_array(spec, node);
    if (json_is_object(node))
        return fill_object(spec, node);
    if (!json_is_string(node))
        return json_incref(node);
    AK_BUF_AUTO text = {0};
    if (fill_text(spec, json_string_value(node), &text))
        return NULL;
    return json_string(ak_buf_str(&text));
}

static int refuse(struct ak_buf *message, const char *what) {
    (void)ak_buf_addf(
        message, "%s cannot be written into kernel.json: it has to be UTF-8", what);
    return -1;
}

static int add_env(json_t *json, const struct ak_spec *spec, struct ak_buf *message) {
    json_t *members = json_object_get(json, "env"); /* borrowed */
    for (size_t i = 0; i < spec->n_env; i++) {
        const char *equals = strchr(spec->env[i], '=');
        AK_BUF_AUTO name = {0};
        if (!equals ||
            ak_buf_add(&name, spec->env[i], (size_t)(equals - spec->env[i])) ||
            json_object_set_new(members, ak_buf_str(&name), json_string(equals + 1)) <
                0) {
            AK_BUF_AUTO what = {0};
            (void)ak_buf_addf(&what, "the variable \"%s\"", ak_buf_str(&name));
            return refuse(message, ak_buf_str(&what));
        }
    }
    return 0;
}

static int add_options(json_t *json, const struct ak_spec *spec,
                       struct ak_buf *message) {
    json_t *argv = json_object_get(json, "argv"); /* borrowed */
    size_t at = 0;
    while (at < json_array_size(argv)) {
        const char *arg = json_string_value(json_array_get(argv, at));
        if (arg && strcmp(arg, "-f") == 0)
            break;
        at++;
    }
    for (size_t i = 0; i < spec->n_options; i++) {
        if (json_array_insert_new(argv, at + i, json_string(spec->options[i])) < 0)
            return refuse(message, "the path of this Python");
    }
    return 0;
}

/* jansson keeps valid UTF-8 only. */
static int check_values(const struct ak_spec *spec, struct ak_buf *message) {
    for (size_t i = 0; i < spec->n_values; i++) {
        json_auto_t *text = json_string(spec->values[i].text);
        AK_BUF_AUTO what = {0};
        (void)ak_buf_addf(&what, "the %s of the kernel", spec->values[i].name);
        if (!text)
            return refuse(message, ak_buf_str(&what));
    }
    return 0;
}

int ak_spec_make(json_t **ret_json, const struct ak_spec *spec,
                 struct ak_buf *ret_message) {
    AK_BUF_AUTO path = {0};
    json_error_t error;
    if (ak_paths_share("kernel.json.in", &path)) {
        (void)ak_buf_addf(ret_message,
                          "kernel.json.in, the template of kernelspecs, is missing "
                          "(looked for %s): install akernel again",
                          ak_buf_str(&path));
        return -1;
    }
    json_auto_t *template = json_load_file(ak_buf_str(&path), 0, &error);
    if (!json_is_object(template)) {
        (void)ak_buf_addf(ret_message,
                          "%s, the template of kernelspecs, is damaged: %s",
                          ak_buf_str(&path), error.text);
        return -1;
    }
    if (check_values(spec, ret_message) < 0)
        return -1;
    json_auto_t *json = fill(spec, template);
    if (!json) {
        (void)ak_buf_add_str(ret_message, "no memory for the kernelspec");
        return -1;
    }
    if (add_options(json, spec, ret_message) < 0 ||
        add_env(json, spec, ret_message) < 0)
        return -1;
    json_object_set_new(json_object_get(json, "metadata"), "debugger",
                        json_boolean(spec->debugger));
    *ret_json = json_incref(json);
    return 0;
}
