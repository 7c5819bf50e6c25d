/* SPDX-License-Identifier: MIT */
/*
 * With a cellId: clear_output(wait), so that the old output stays until the new one
 * comes, then plain messages; who showed nothing ends with clear_output at once, for
 * the old output would stay otherwise.
 *
 * Without: the displays of the first run carry ids and stay slots. What a later run
 * shows is caught, and dealt out to the slots in order; when there are more outputs
 * than slots the first ones are joined to one text, so that the last one, mostly the
 * result, keeps its rich forms. Slots that are left over become empty.
 */
#include "py/late.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "py/cell-private.h"
#include "py/convert-private.h"
#include "py/stdio-private.h"

static bool has_slots(const struct ak_cell *cell) {
    return Py_IsNone(cell->request->cell_id);
}

/* The newest request of the cell, aborted ones included: where its front end listens.
 */
static uint64_t parent(struct ak_cell *cell) {
    return cell->again ? cell->request->id : ak_request_owner(cell->request)->id;
}

static void forget_exception(void) {
    if (PyErr_Occurred())
        Py_XDECREF(ak_fault_fetch());
}

static int publish(struct ak_cell *cell, enum ak_output output, uint64_t id,
                   PyObject *content) {
    AK_BUF_AUTO text = {0};
    if (!content || ak_json_encode(cell->space->state, content, &text) < 0 ||
        ak_host_publish_json(cell->space->state, output, id, &text) < 0) {
        forget_exception();
        return -1;
    }
    return 0;
}

static void clear(struct ak_cell *cell, bool wait) {
    AK_PYREF content = Py_BuildValue("{s:O}", "wait", wait ? Py_True : Py_False);
    (void)publish(cell, AK_OUTPUT_CLEAR_OUTPUT, parent(cell), content);
}

int ak_late_use_slots(struct ak_cell *cell, const char *prefix) {
    if (!has_slots(cell))
        return 0;
    Py_XSETREF(cell->request->slots, PyUnicode_FromString(prefix));
    if (cell->request->slots)
        return 0;
    forget_exception();
    return ak_error_origin(ENOMEM);
}

int ak_late_begin(struct ak_cell *again) {
    if (!has_slots(again)) {
        clear(again, true);
        return 0;
    }
    Py_XSETREF(again->request->caught, PyList_New(0));
    if (again->request->caught)
        return 0;
    forget_exception();
    return ak_error_origin(ENOMEM);
}

/* --- catching ------------------------------------------------------------------------
 */

static PyObject *text_output(PyObject *text) {
    return Py_BuildValue("{s:{s:O},s:{},s:i}", "data", "text/plain", text, "metadata",
                         "stream", 1);
}

/* The last thing caught if it is text of a stream. Borrowed. */
static PyObject *open_text(PyObject *caught) {
    Py_ssize_t n = PyList_GET_SIZE(caught);
    PyObject *last = n ? PyList_GET_ITEM(caught, n - 1) : NULL; /* borrowed */
    AK_PYREF key = PyUnicode_InternFromString("stream");
    if (last && key && PyDict_Contains(last, key) == 1)
        return last;
    return NULL;
}

static PyObject *text_of(PyObject *output) {
    AK_PYREF data = PyMapping_GetItemString(output, "data");
    PyObject *text = data ? PyMapping_GetItemString(data, "text/plain") : NULL;
    forget_exception();
    if (text && PyUnicode_Check(text))
        return text;
    Py_XDECREF(text);
    return PyUnicode_FromString("");
}

static int add_text(PyObject *caught, PyObject *text) {
    PyObject *open = open_text(caught); /* borrowed */
    if (!open) {
        AK_PYREF output = text_output(text);
        return output ? PyList_Append(caught, output) : -1;
    }
    AK_PYREF before = text_of(open);
    AK_PYREF all = before ? PyUnicode_Concat(before, text) : NULL;
    AK_PYREF output = all ? text_output(all) : NULL;
    return output ? PyDict_Update(open, output) : -1;
}

int ak_late_route_text(struct ak_request *request, const char *text, size_t len) {
    request->spoke = true;
    if (!request->caught)
        return 0;
    AK_PYREF str = PyUnicode_DecodeUTF8(text, (Py_ssize_t)len, "replace");
    return str && add_text(request->caught, str) == 0 ? 1 : -1;
}

int ak_late_route_error(struct ak_request *request, const struct ak_fault *fault) {
    request->spoke = true;
    if (!request->caught)
        return 0;
    AK_PYREF all = PyUnicode_FromString("");
    for (size_t i = 0; all && i < fault->n_lines; i++) {
        AK_PYREF line = PyUnicode_FromFormat("%U%s\n", all, fault->lines[i]);
        Py_XSETREF(all, Py_XNewRef(line));
    }
    if (all && add_text(request->caught, all) == 0)
        return 1;
    forget_exception();
    return 1;
}

/* Gives a display of a cell with slots an id. */
static int name_slot(struct ak_request *request, PyObject *content) {
    AK_PYREF key = PyUnicode_InternFromString("transient");
    PyObject *transient = /* borrowed */
        key ? PyDict_GetItemWithError(content, key) : NULL;
    AK_PYREF own =
        transient && PyDict_Check(transient) ? PyDict_Copy(transient) : PyDict_New();
    AK_PYREF id_key = PyUnicode_InternFromString("display_id");
    if (!own || !id_key)
        return -1;
    if (PyDict_GetItemWithError(own, id_key))
        return 0;
    AK_PYREF id = PyUnicode_FromFormat("%U:%u", request->slots, request->n_slots);
    if (!id || PyDict_SetItem(own, id_key, id) < 0 ||
        PyDict_SetItem(content, key, own) < 0)
        return -1;
    request->n_slots++;
    return 0;
}

int ak_late_route(struct ak_state *state, enum ak_output output, PyObject *content) {
    struct ak_request *request = ak_request_output(state); /* borrowed */
    if (!request || !PyDict_Check(content))
        return 0;
    bool display =
        output == AK_OUTPUT_DISPLAY_DATA || output == AK_OUTPUT_EXECUTE_RESULT;
    request->spoke = request->spoke || display;
    if (request->caught && output == AK_OUTPUT_CLEAR_OUTPUT)
        return PyList_SetSlice(request->caught, 0, PY_SSIZE_T_MAX, NULL) < 0 ? -1 : 1;
    if (request->caught && display)
        return PyList_Append(request->caught, content) < 0 ? -1 : 1;
    if (request->slots && display)
        return name_slot(request, content);
    return 0;
}

/* --- dealing out ---------------------------------------------------------------------
 */

static struct ak_request *first_request(struct ak_cell *cell) {
    return cell->again ? (struct ak_request *)cell->request->heir : cell->request;
}

static int show_slot(struct ak_cell *cell, enum ak_output how, uint64_t current,
                     unsigned slot, PyObject *data, PyObject *metadata) {
    AK_PYREF id = PyUnicode_FromFormat("%U:%u", first_request(cell)->slots, slot);
    AK_PYREF content = id ? Py_BuildValue("{s:O,s:O,s:{s:O}}", "data", data, "metadata",
                                          metadata, "transient", "display_id", id)
                          : NULL;
    return publish(cell, how, current, content);
}

static int show_output(struct ak_cell *cell, uint64_t current, unsigned slot,
                       PyObject *output) {
    AK_PYREF data = PyMapping_GetItemString(output, "data");
    AK_PYREF metadata = data ? PyMapping_GetItemString(output, "metadata") : NULL;
    forget_exception();
    return data && metadata ? show_slot(cell, AK_OUTPUT_UPDATE_DISPLAY_DATA, current,
                                        slot, data, metadata)
                            : -1;
}

static void empty_slot(struct ak_cell *cell, enum ak_output how, uint64_t current,
                       unsigned slot) {
    AK_PYREF data = PyDict_New();
    AK_PYREF metadata = PyDict_New();
    if (data && metadata)
        (void)show_slot(cell, how, current, slot, data, metadata);
    forget_exception();
}

/* Joins the first n + 1 outputs: the texts of all, the other forms of the last. */
static int join(PyObject *caught, Py_ssize_t n) {
    AK_PYREF all = PyUnicode_FromString("");
    for (Py_ssize_t i = 0; all && i <= n; i++) {
        AK_PYREF text = text_of(PyList_GET_ITEM(caught, i));
        AK_PYREF more = text ? PyUnicode_Concat(all, text) : NULL;
        Py_XSETREF(all, Py_XNewRef(more));
    }
    AK_PYREF last = Py_NewRef(PyList_GET_ITEM(caught, n));
    AK_PYREF data = PyMapping_GetItemString(last, "data");
    AK_PYREF own = data && PyDict_Check(data) ? PyDict_Copy(data) : PyDict_New();
    if (!all || !own || PyDict_SetItemString(own, "text/plain", all) < 0 ||
        PyDict_SetItemString(last, "data", own) < 0)
        return -1;
    return PyList_SetSlice(caught, 0, n, NULL);
}

/* A text that stands in a slot of its own ends where its last line does. */
static void trim(PyObject *output) {
    AK_PYREF text = text_of(output);
    Py_ssize_t len = text ? PyUnicode_GET_LENGTH(text) : 0;
    if (len && PyUnicode_READ_CHAR(text, len - 1) == '\n') {
        AK_PYREF shorter = PyUnicode_Substring(text, 0, len - 1);
        AK_PYREF trimmed = shorter ? text_output(shorter) : NULL;
        if (trimmed)
            (void)PyDict_Update(output, trimmed);
    }
    forget_exception();
}

static void deal_out(struct ak_cell *cell, uint64_t current) {
    struct ak_request *first = first_request(cell);
    AK_PYREF caught = AK_TAKE(cell->request->caught);
    if (!first->slots || !caught)
        return;
    Py_ssize_t n = PyList_GET_SIZE(caught);
    Py_ssize_t n_slots = (Py_ssize_t)first->n_slots;
    if (n_slots && n > n_slots && join(caught, n - n_slots) < 0)
        forget_exception();
    for (Py_ssize_t i = 0; i < n_slots; i++) {
        if (i >= PyList_GET_SIZE(caught)) {
            empty_slot(cell, AK_OUTPUT_UPDATE_DISPLAY_DATA, current, (unsigned)i);
            continue;
        }
        PyObject *output = PyList_GET_ITEM(caught, i); /* borrowed */
        if (open_text(caught) == output || n == 1)
            trim(output);
        (void)show_output(cell, current, (unsigned)i, output);
    }
}

void ak_late_end(struct ak_cell *again, uint64_t current) {
    if (has_slots(again))
        deal_out(again, current);
    else if (!again->request->spoke)
        clear(again, false);
}

void ak_late_say(struct ak_cell *cell, uint64_t current, const char *state,
                 const char *line, bool fresh) {
    struct ak_request *first = first_request(cell);
    if (!has_slots(cell)) {
        if (!fresh || cell->request->spoke)
            clear(cell, true);
        AK_PYREF content =
            Py_BuildValue("{s:{s:s},s:{s:{s:s}},s:{}}", "data", "text/plain", line,
                          "metadata", "akernel", "state", state, "transient");
        (void)publish(cell, AK_OUTPUT_DISPLAY_DATA, parent(cell), content);
        return;
    }
    if (!first->slots)
        return;
    for (unsigned i = 0; i < first->n_slots; i++)
        empty_slot(cell, AK_OUTPUT_UPDATE_DISPLAY_DATA, current, i);
    if (first->n_slots == 0 && fresh)
        empty_slot(cell, AK_OUTPUT_DISPLAY_DATA, current, first->n_slots++);
}

void ak_late_warn(struct ak_cell *cell, const char *line) {
    AK_BUF_AUTO text = {0};
    if (ak_buf_addf(&text, "%s\n", line))
        return;
    int caught = ak_late_route_text(cell->request, ak_buf_str(&text), text.len);
    if (!caught)
        (void)ak_stream_write(cell->space->state, 2, parent(cell), ak_buf_str(&text),
                              text.len);
    forget_exception();
}

/* --- marks ---------------------------------------------------------------------------
 */

static PyObject *mark_content(struct ak_cell *cell, const char *line) {
    AK_PYREF id = PyUnicode_FromFormat("akernel-mark-%llu",
                                       (unsigned long long)first_request(cell)->id);
    AK_PYREF data = line ? Py_BuildValue("{s:s}", "text/plain", line) : PyDict_New();
    return id && data
               ? Py_BuildValue("{s:O,s:{s:{s:s}},s:{s:O}}", "data", data, "metadata",
                               "akernel", "state", line ? "stale" : "fresh",
                               "transient", "display_id", id)
               : NULL;
}

void ak_late_open_mark(struct ak_cell *cell) {
    AK_PYREF content = mark_content(cell, NULL);
    if (cell->request->caught)
        return;
    if (publish(cell, AK_OUTPUT_DISPLAY_DATA, parent(cell), content) == 0)
        first_request(cell)->marked = true;
    cell->request->spoke = true;
}

void ak_late_mark(struct ak_cell *cell, uint64_t current, const char *line) {
    if (first_request(cell)->marked) {
        AK_PYREF content = mark_content(cell, line);
        (void)publish(cell, AK_OUTPUT_UPDATE_DISPLAY_DATA,
                      has_slots(cell) ? current : parent(cell), content);
    } else if (line && !has_slots(cell)) {
        ak_late_warn(cell, line);
    }
}
