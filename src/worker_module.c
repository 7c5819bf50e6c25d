/* SPDX-License-Identifier: MIT */
/*
 * The worker as an extension module, for environments whose python is another build of
 * the same minor version than the one that akernel-worker embeds: that python loads
 * this module and calls main(), and everything else is the same.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "worker/worker.h"

static PyObject *module_main(PyObject *module, PyObject *ignored) {
    return PyLong_FromLong(ak_worker_run(true));
}

static PyMethodDef module_functions[] = {
    {"main", module_main, METH_NOARGS,
     "main()\n--\n\nRun a worker on the descriptors that akernel prepared."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_akernel_worker",
    .m_size = 0,
    .m_methods = module_functions,
};

PyMODINIT_FUNC PyInit__akernel_worker(void);

PyMODINIT_FUNC PyInit__akernel_worker(void) {
    return PyModule_Create(&module_def);
}
