/* Perceptrons that act: one raw observation in, one executed action out, for any weights, loaded at run time.
 *
 * Built against Python's limited API alone (no NumPy headers), so one build serves every later Python. Everything runs
 * under the interpreter's lock, which is what makes the one set of buffers safe. Arithmetic is float32, normalisation
 * float64 as in Stable-Baselines3.
 */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>
#include <string.h>

#include "_kernel.h"
#include "_watch.h"

#define MAX_DIMS 8

enum { HEAD_INDEX, HEAD_CLIP, HEAD_UNSQUASH, HEAD_RAW };

typedef struct {
    PyObject_HEAD
    int n_dims, shape[MAX_DIMS], n_inputs, n_kept, *columns, n_layers, n_modes, head, squash, action_is_double, has_statistics;
    double clip, *mean, *scale;
    float *low, *high;
    Layer *layers;
    RunLayers run;
    float *scratch[2];
    PyObject *actions;  /* tuple of scalars for an index head, else None */
    PyObject *copy;     /* bound method `copy` of the array that actions are written into */
    PyObject *convert;  /* makes any observation a contiguous array of float32 or float64 */
    PyObject *finish;   /* for a raw head: makes the action of the outputs */
    Py_buffer target;   /* memory of the array that actions are written into */
    int has_target;
    Py_buffer memory;   /* what is remembered, in an array of the caller's: seen before, done since, a unit's state */
    int n_remembered, n_seen_before, n_done, n_action, held, n_units;
    float *middle, *factor; /* what an action is remembered by: (action - middle) * factor; of an index that is not asked */
    Layer gates;        /* of a recurrent unit: from what is seen and remembered to the sums of a step */
    int has_memory;
    Watch watch;        /* a monitor, where there is one */
} Perceptron;

/* Fills x with the components that are looked at, all or some; `place` says where the k-th of them stands in obs. */
#define NORMALISE(name, type, place)                                                                                  \
    static void name(const Perceptron *self, const type *obs, float *x) {                                             \
        if (!self->has_statistics) {                                                                                  \
            for (int k = 0; k < self->n_kept; k++) x[k] = (float)obs[place];                                          \
            return;                                                                                                   \
        }                                                                                                             \
        const double clip = self->clip;                                                                               \
        for (int k = 0; k < self->n_kept; k++) {                                                                      \
            double z = ((double)obs[place] - self->mean[place]) * self->scale[place];                                 \
            z = z > clip ? clip : z;                                                                                  \
            x[k] = (float)(z < -clip ? -clip : z);                                                                    \
        }                                                                                                             \
    }
NORMALISE(normalise_float, float, k)
NORMALISE(normalise_double, double, k)
NORMALISE(normalise_some_floats, float, self->columns[k])
NORMALISE(normalise_some_doubles, double, self->columns[k])

static int has_shape(const Perceptron *self, const Py_buffer *view) {
    if (view->ndim != self->n_dims) return 0;
    for (int i = 0; i < self->n_dims; i++)
        if (view->shape[i] != self->shape[i]) return 0;
    return 1;
}

/* Fills scratch[0], and looks where one watches; 1 done, 0 not a buffer of floats of the right shape. */
static int read_observation(Perceptron *self, PyObject *obs, int watching) {
    Py_buffer view;
    if (PyObject_GetBuffer(obs, &view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) < 0) {
        PyErr_Clear();
        return 0;
    }
    const char kind = view.format && view.format[0] && !view.format[1] ? view.format[0] : 0;
    int done = 0;
    if (kind == 'f' && has_shape(self, &view)) {
        (self->columns ? normalise_some_floats : normalise_float)(self, view.buf, self->scratch[0]), done = 1;
        if (watching) look_at_floats(&self->watch, view.buf);
    } else if (kind == 'd' && has_shape(self, &view)) {
        (self->columns ? normalise_some_doubles : normalise_double)(self, view.buf, self->scratch[0]), done = 1;
        if (watching) look_at_doubles(&self->watch, view.buf);
    }
    PyBuffer_Release(&view);
    return done;
}

/* Puts what is remembered behind what is seen, in scratch[0], and remembers this step; leaves what comes next takes. */
static void remember(Perceptron *self) {
    float *x = self->scratch[0], *before = self->memory.buf, *done = before + self->n_seen_before;
    float *state = done + self->n_done + self->held;
    if (self->held) {
        /* Before an episode there was what is seen first. */
        for (int i = 0; state[-1] == 0.0f && i < self->n_seen_before; i++) before[i] = x[i % self->n_kept];
        state[-1] = 1.0f;
    }
    memcpy(x + self->n_kept, before, self->n_remembered * sizeof(float));
    memcpy(before, x, self->n_seen_before * sizeof(float));
    /* The newest action comes first; it is written when there is one. */
    if (self->n_done) memmove(done + self->n_action, done, (self->n_done - self->n_action) * sizeof(float));
    if (!self->n_units) return;
    gru_step(self->run(&self->gates, 1, x, self->scratch[1]), state, self->n_units);
    memcpy(x, state, self->n_units * sizeof(float));
}

static void write_action(Perceptron *self, const float *out) {
    for (int k = 0; k < self->n_modes; k++) {
        const float low = self->low[k], high = self->high[k];
        double value = self->squash ? tanh_near(out[k]) : out[k];
        if (self->head == HEAD_UNSQUASH) value = low + 0.5 * (value + 1.0) * ((double)high - low);
        if (self->head != HEAD_RAW) {
            value = value < low ? low : value;
            value = value > high ? high : value;
        }
        if (self->action_is_double) ((double *)self->target.buf)[k] = value;
        else ((float *)self->target.buf)[k] = (float)value;
        if (self->n_done)
            ((float *)self->memory.buf)[self->n_seen_before + k] = ((float)value - self->middle[k]) * self->factor[k];
    }
}

/* As read_observation, of anything that can be made an observation; 0 done, -1 an error. */
static int take_in(Perceptron *self, PyObject *obs, int watching) {
    if (read_observation(self, obs, watching)) return 0;
    PyObject *converted = PyObject_CallFunctionObjArgs(self->convert, obs, NULL);
    if (!converted) return -1;
    const int read = read_observation(self, converted, watching);
    Py_DECREF(converted);
    if (read) return 0;
    PyErr_Format(PyExc_ValueError, "expected an observation of %d numbers", self->n_inputs);
    return -1;
}

/* Decides on what was taken in, and remembers it; returns which index, of an index head. */
static int decide(Perceptron *self) {
    if (self->n_remembered) remember(self);
    const float *out = self->run(self->layers, self->n_layers, self->scratch[0], self->scratch[1]);
    if (self->head != HEAD_INDEX) return write_action(self, out), 0;
    int best = 0;
    for (int k = 1; k < self->n_modes; k++)
        if (out[k] > out[best]) best = k;
    for (int k = 0; k < self->n_action; k++) ((float *)self->memory.buf)[self->n_seen_before + k] = k == best;
    return best;
}

static PyObject *action_of(Perceptron *self, int best) {
    if (self->head != HEAD_INDEX) return PyObject_CallNoArgs(self->head == HEAD_RAW ? self->finish : self->copy);
    PyObject *action = PyTuple_GetItem(self->actions, best);
    Py_XINCREF(action);
    return action;
}

static PyObject *act(Perceptron *self, PyObject *obs) {
    return take_in(self, obs, 0) < 0 ? NULL : action_of(self, decide(self));
}

/* How novel this step is; it is what the next one follows from. */
static double watch_step(Perceptron *self, int best) {
    const Watch *watch = &self->watch;
    const double found = novelty(watch);
    double *done = go_on(watch);
    for (int k = 0; k < watch->n_taken; k++) {
        const double value = self->head == HEAD_INDEX   ? k == best
                             : self->action_is_double ? ((double *)self->target.buf)[k]
                                                      : ((float *)self->target.buf)[k];
        done[k] = value * watch->factor[k] - watch->shift[k];
    }
    return found;
}

/* Puts what a call `(obs, monitor=False)` has in its place; -1 for another one. */
static int read_call(PyObject *const *args, Py_ssize_t n_args, PyObject *names, PyObject **obs, PyObject **monitor) {
    const Py_ssize_t n_named = names ? PyTuple_Size(names) : 0;
    if (n_args <= 2) {
        if (n_args > 0) *obs = args[0];
        if (n_args > 1) *monitor = args[1];
        Py_ssize_t k = 0;
        for (; k < n_named; k++) {
            PyObject *name = PyTuple_GetItem(names, k), *value = args[n_args + k];
            if (!*monitor && !PyUnicode_CompareWithASCIIString(name, "monitor")) *monitor = value;
            else if (!*obs && !PyUnicode_CompareWithASCIIString(name, "obs")) *obs = value;
            else break;
        }
        if (*obs && k == n_named) return 0;
    }
    PyErr_SetString(PyExc_TypeError, "expected act(obs, monitor=False), found other arguments");
    return -1;
}

static PyObject *watched(Perceptron *self, PyObject *const *args, Py_ssize_t n_args, PyObject *names) {
    PyObject *obs = NULL, *monitor = NULL;
    if (read_call(args, n_args, names, &obs, &monitor) < 0) return NULL;
    if (!self->watch.has_state) return PyErr_SetString(PyExc_ValueError, "expected a monitor, found none"), NULL;
    const int watching = monitor ? PyObject_IsTrue(monitor) : 0;
    if (watching < 0) return NULL;
    if (!watching) {
        /* What comes next does not follow from what was seen last. */
        ((double *)self->watch.state.buf)[2 * self->watch.n_observed + self->watch.n_taken] = 0.0;
        return act(self, obs);
    }
    if (take_in(self, obs, 1) < 0) return NULL;
    const int best = decide(self);
    PyObject *found = PyFloat_FromDouble(watch_step(self, best)), *action = found ? action_of(self, best) : NULL;
    PyObject *both = action ? PyTuple_Pack(2, action, found) : NULL;
    Py_XDECREF(action);
    Py_XDECREF(found);
    return both;
}

/* Calls what raises the package's own error, with the way to a monitor. */
static PyObject *refuse_monitor(void) {
    PyObject *module = PyImport_ImportModule("policy_distill.student.onboard.unwatched");
    PyObject *raised = module ? PyObject_CallMethod(module, "refuse_monitor", NULL) : NULL;
    Py_XDECREF(module);
    return raised;
}

static PyObject *unwatched(Perceptron *self, PyObject *const *args, Py_ssize_t n_args, PyObject *names) {
    if (n_args == 1 && !names) return act(self, args[0]);
    PyObject *obs = NULL, *monitor = NULL;
    if (read_call(args, n_args, names, &obs, &monitor) < 0) return NULL;
    const int watching = monitor ? PyObject_IsTrue(monitor) : 0;
    return watching < 0 ? NULL : watching ? refuse_monitor() : act(self, obs);
}

static int copy_floats(PyObject *source, Py_ssize_t count, Py_ssize_t size, void **target) {
    char *bytes;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(source, &bytes, &length) < 0) return -1;
    if (length != count * size) {
        PyErr_SetString(PyExc_ValueError, "an array has another size than the layers say");
        return -1;
    }
    *target = PyMem_Malloc(length ? length : 1);
    if (!*target) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(*target, bytes, length);
    return 0;
}

/* A layer comes as (n_in, n_padded, activation, weight, bias), and takes n_in numbers at most. */
static int read_layer(Layer *layer, PyObject *record, int n_in) {
    PyObject *weight, *bias;
    if (!PyArg_ParseTuple(record, "iiiSS", &layer->n_in, &layer->n_padded, &layer->activation, &weight, &bias))
        return -1;
    if (layer->n_in > n_in || layer->n_in < 1 || layer->n_padded < LANES || layer->n_padded % LANES) {
        PyErr_SetString(PyExc_ValueError, "a layer does not fit the one before");
        return -1;
    }
    if (copy_floats(weight, (Py_ssize_t)layer->n_in * layer->n_padded, sizeof(float), (void **)&layer->weight) < 0)
        return -1;
    return copy_floats(bias, layer->n_padded, sizeof(float), (void **)&layer->bias);
}

/* None, or (array of what is remembered, how many of its numbers were seen before, how many are actions, and one
 * action, whether one says that there was a step, the unit's gates or None). */
static int read_memory(Perceptron *self, PyObject *memory, PyObject *taken) {
    PyObject *array, *gates, *middle, *factor;
    if (memory == Py_None) return 0;
    if (!PyArg_ParseTuple(memory, "OiiiiO", &array, &self->n_seen_before, &self->n_done, &self->n_action,
                          &self->held, &gates) ||
        PyObject_GetBuffer(array, &self->memory, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) < 0)
        return -1;
    self->has_memory = 1;
    self->n_remembered = (int)(self->memory.len / sizeof(float));
    self->n_units = self->n_remembered - self->n_seen_before - self->n_done - self->held;
    const int n_in = self->n_kept + self->n_remembered;
    if (gates != Py_None && read_layer(&self->gates, gates, n_in) < 0) return -1;
    if (self->n_done && (self->n_action != self->n_modes || self->n_done < self->n_action || self->head == HEAD_RAW)) {
        PyErr_SetString(PyExc_ValueError, "actions that are remembered do not fit what is done");
        return -1;
    }
    if (self->n_done && (!PyArg_ParseTuple(taken, "SS", &middle, &factor) ||
                         copy_floats(middle, self->n_action, sizeof(float), (void **)&self->middle) < 0 ||
                         copy_floats(factor, self->n_action, sizeof(float), (void **)&self->factor) < 0))
        return -1;
    if (self->n_seen_before >= 0 && self->n_done >= 0 && (self->held == 0 || self->held == 1) && self->n_units >= 0 && self->n_seen_before % self->n_kept == 0 &&
        self->gates.n_padded >= 4 * self->n_units && (!self->n_units || self->gates.n_in == n_in))
        return 0;
    PyErr_SetString(PyExc_ValueError, "a recurrent unit does not fit what it remembers");
    return -1;
}

static int read_layers(Perceptron *self, PyObject *layers) {
    int n_in = self->n_units ? self->n_units : self->n_kept + self->n_remembered;
    int widest = (self->n_kept + self->n_remembered + LANES - 1) / LANES * LANES;
    if (self->gates.n_padded > widest) widest = self->gates.n_padded;
    self->n_layers = (int)PyTuple_Size(layers);
    self->layers = PyMem_Calloc(self->n_layers ? self->n_layers : 1, sizeof(Layer));
    if (!self->layers) return PyErr_NoMemory(), -1;
    for (int n = 0; n < self->n_layers; n++) {
        Layer *layer = &self->layers[n];
        if (read_layer(layer, PyTuple_GetItem(layers, n), n_in) < 0) return -1;
        n_in = layer->n_padded;
        if (n_in > widest) widest = n_in;
    }
    if (self->n_layers < 1 || self->n_modes < 1 || self->n_modes > n_in) {
        PyErr_SetString(PyExc_ValueError, "expected a layer at least, and as many outputs as modes");
        return -1;
    }
    for (int k = 0; k < 2; k++)
        if (!(self->scratch[k] = PyMem_Calloc(widest, sizeof(float)))) return PyErr_NoMemory(), -1;
    return 0;
}

/* The shape of one observation, whose product is the number of inputs. */
static int read_shape(Perceptron *self, PyObject *shape) {
    self->n_dims = (int)PyTuple_Size(shape), self->n_inputs = 1;
    if (self->n_dims > MAX_DIMS) {
        PyErr_SetString(PyExc_ValueError, "an observation has too many dimensions");
        return -1;
    }
    for (int i = 0; i < self->n_dims; i++) {
        self->shape[i] = (int)PyLong_AsLong(PyTuple_GetItem(shape, i));
        self->n_inputs *= self->shape[i];
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* Which components are looked at, as 32-bit whole numbers; None for all. */
static int read_columns(Perceptron *self, PyObject *columns) {
    self->n_kept = self->n_inputs;
    if (columns == Py_None) return 0;
    const Py_ssize_t length = PyBytes_Check(columns) ? PyBytes_Size(columns) : 0;
    if (copy_floats(columns, length / sizeof(int), sizeof(int), (void **)&self->columns) < 0) return -1;
    self->n_kept = (int)(length / sizeof(int));
    for (int k = 0; k < self->n_kept; k++)
        if (self->columns[k] < 0 || self->columns[k] >= self->n_inputs) {
            PyErr_SetString(PyExc_ValueError, "a component is looked at that an observation does not have");
            return -1;
        }
    return 0;
}

/* The array that actions are written into lives as long as this object. */
static int read_head(Perceptron *self, PyObject *low, PyObject *high, PyObject *target) {
    if (self->head == HEAD_INDEX) {
        if (PyTuple_Check(self->actions) && PyTuple_Size(self->actions) == self->n_modes) return 0;
        PyErr_SetString(PyExc_ValueError, "expected one action for each output");
        return -1;
    }
    if (copy_floats(low, self->n_modes, sizeof(float), (void **)&self->low) < 0 ||
        copy_floats(high, self->n_modes, sizeof(float), (void **)&self->high) < 0 ||
        PyObject_GetBuffer(target, &self->target, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) < 0)
        return -1;
    self->has_target = 1;
    const Py_ssize_t size = self->action_is_double ? sizeof(double) : sizeof(float);
    if (self->target.len != size * self->n_modes) {
        PyErr_SetString(PyExc_ValueError, "the array for actions has another size than the modes");
        return -1;
    }
    return (self->copy = PyObject_GetAttrString(target, "copy")) ? 0 : -1;
}

/* Directions come in blocks; how many there are follows from their size. */
static int read_rows(PyObject *source, int n, double **rows, int *n_blocks) {
    const Py_ssize_t block = (Py_ssize_t)n * ROWS, length = PyBytes_Size(source);
    if (length < 0) return -1;
    *n_blocks = (int)(length / sizeof(double) / block);
    return copy_floats(source, *n_blocks * block, sizeof(double), (void **)rows);
}

/* None, or (array of what a monitor remembers, mean, directions of one observation, directions of a step, what an
 * action is multiplied by, what is subtracted then, the largest novelty). */
static int read_watch(Perceptron *self, PyObject *record) {
    Watch *watch = &self->watch;
    PyObject *state, *center, *place, *step, *factor, *shift;
    if (record == Py_None) return 0;
    const int n = self->n_inputs, wide = 2 * n + self->n_modes;
    if (n < 1 || self->head == HEAD_RAW) {
        PyErr_SetString(PyExc_ValueError, "a monitor of what is not observed, or of actions that are made elsewhere");
        return -1;
    }
    watch->n_observed = n, watch->n_taken = self->n_modes;
    if (!PyArg_ParseTuple(record, "OSSSSSd", &state, &center, &place, &step, &factor, &shift, &watch->largest) ||
        copy_floats(center, n, sizeof(double), (void **)&watch->center) < 0 ||
        read_rows(place, n, &watch->place, &watch->n_place) < 0 ||
        read_rows(step, wide, &watch->step, &watch->n_step) < 0 ||
        copy_floats(factor, self->n_modes, sizeof(double), (void **)&watch->factor) < 0 ||
        copy_floats(shift, self->n_modes, sizeof(double), (void **)&watch->shift) < 0 ||
        PyObject_GetBuffer(state, &watch->state, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) < 0)
        return -1;
    watch->has_state = 1;
    if (watch->state.len == (Py_ssize_t)(wide + 1) * (Py_ssize_t)sizeof(double)) return 0;
    PyErr_SetString(PyExc_ValueError, "what a monitor remembers has another size than a step");
    return -1;
}

static void release(Perceptron *self) {
    for (int n = 0; self->layers && n < self->n_layers; n++) {
        PyMem_Free(self->layers[n].weight);
        PyMem_Free(self->layers[n].bias);
    }
    PyMem_Free(self->layers);
    PyMem_Free(self->gates.weight);
    PyMem_Free(self->gates.bias);
    PyMem_Free(self->middle);
    PyMem_Free(self->factor);
    PyMem_Free(self->columns);
    PyMem_Free(self->mean);
    PyMem_Free(self->scale);
    PyMem_Free(self->low);
    PyMem_Free(self->high);
    PyMem_Free(self->watch.center);
    PyMem_Free(self->watch.place);
    PyMem_Free(self->watch.step);
    PyMem_Free(self->watch.factor);
    PyMem_Free(self->watch.shift);
    if (self->watch.has_state) PyBuffer_Release(&self->watch.state);
    PyMem_Free(self->scratch[0]);
    PyMem_Free(self->scratch[1]);
    if (self->has_target) PyBuffer_Release(&self->target);
    if (self->has_memory) PyBuffer_Release(&self->memory);
    Py_XDECREF(self->actions);
    Py_XDECREF(self->copy);
    Py_XDECREF(self->convert);
    Py_XDECREF(self->finish);
}

static void dealloc(Perceptron *self) {
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    release(self);
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_object(self);
    Py_DECREF(type);
}

static PyObject *new_perceptron(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    static char *names[] = {"shape", "statistics", "layers", "n_modes", "head", "squash", "low", "high",
                            "target", "actions", "convert", "finish", "portable", "columns", "memory", "taken", "watch", NULL};
    PyObject *shape, *statistics, *layers, *low, *high, *target, *actions, *convert, *finish, *mean, *scale;
    PyObject *columns = Py_None, *memory = Py_None, *taken = Py_None, *watch = Py_None;
    int n_modes, head, squash, portable = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!OO!iiiSSOOOO|pOOOO", names, &PyTuple_Type, &shape,
                                     &statistics, &PyTuple_Type, &layers, &n_modes, &head, &squash, &low, &high, &target, &actions, &convert,
                                     &finish, &portable, &columns, &memory, &taken, &watch))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Perceptron *self = (Perceptron *)allocate(type, 0);
    if (!self) return NULL;
    self->n_modes = n_modes, self->head = head, self->squash = squash;
    Py_INCREF(actions), self->actions = actions;
    Py_INCREF(convert), self->convert = convert;
    Py_INCREF(finish), self->finish = finish;
    self->run = portable ? run_layers_portable : choose_kernel();
    self->watch.squares = portable ? squares_portable : choose_squares();
    if (read_shape(self, shape) < 0 || read_columns(self, columns) < 0) goto fail;
    self->has_statistics = statistics != Py_None;
    if (self->has_statistics &&
        (!PyArg_ParseTuple(statistics, "SSd", &mean, &scale, &self->clip) ||
         copy_floats(mean, self->n_inputs, sizeof(double), (void **)&self->mean) < 0 ||
         copy_floats(scale, self->n_inputs, sizeof(double), (void **)&self->scale) < 0))
        goto fail;
    PyObject *itemsize = head == HEAD_INDEX ? NULL : PyObject_GetAttrString(target, "itemsize");
    self->action_is_double = itemsize && PyLong_AsLong(itemsize) == sizeof(double);
    Py_XDECREF(itemsize);
    if (PyErr_Occurred() || read_memory(self, memory, taken) < 0 || read_layers(self, layers) < 0 || read_head(self, low, high, target) < 0 ||
        read_watch(self, watch) < 0)
        goto fail;
    return (PyObject *)self;
fail:
    Py_DECREF(self);
    return NULL;
}

static PyMethodDef perceptron_methods[] = {
    {"act", (PyCFunction)(void (*)(void))unwatched, METH_FASTCALL | METH_KEYWORDS,
     "Return the executed deterministic action for one raw observation."},
    {"watched", (PyCFunction)(void (*)(void))watched, METH_FASTCALL | METH_KEYWORDS,
     "As act; with monitor=True return the action, and how novel the step is."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot perceptron_slots[] = {
    {Py_tp_doc, "A perceptron with normalisation and action post-processing."},
    {Py_tp_new, new_perceptron},
    {Py_tp_dealloc, dealloc},
    {Py_tp_methods, perceptron_methods},
    {0, NULL},
};
static PyType_Spec perceptron_spec = {"policy_distill.engines._native.Perceptron", sizeof(Perceptron), 0,
                                      Py_TPFLAGS_DEFAULT, perceptron_slots};

static int execute(PyObject *module) {
    PyObject *type = PyType_FromSpec(&perceptron_spec);
    if (!type) return -1;
    int status = PyModule_AddObjectRef(module, "Perceptron", type);
    Py_DECREF(type);
    if (status < 0 || PyModule_AddIntConstant(module, "ROWS", ROWS) < 0) return -1;
    return PyModule_AddIntConstant(module, "LANES", LANES);
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, execute}, {0, NULL}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", "Perceptrons that act.", 0, NULL, module_slots,
                             NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module); }
