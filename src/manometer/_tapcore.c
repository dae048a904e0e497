/* The compiled part of what taps do: adds a call up, hashes its arguments and rows, walks past library frames.
 *
 * Part of `_core.c`, which includes it. It says what `_calls`, `_detail`, `_fingerprint` and `_site` say in Python, faster
 * and in no other way; what is rare (errors, slow calls, types of modules) it leaves to the functions there. The rules of
 * `_core.c` hold: a reference of our own to whatever is used across a call that may run Python code, and no trust in the
 * type of a field that Python can write.
 */

/* As in _limits; a test compares them. */
#define MAX_KEYS_PER_FRAME 32
#define MAX_KEYS_PER_PROFILE 1024
#define MAX_READS 8
#define MAX_VALUES_PER_FRAME 512
#define MAX_CALLERS_PER_FRAME 8
#define MAX_STACK_WALK 64
/* As in _calls, _course and _detail. */
#define RUN_GAP_NS 60000000000LL
#define NO_BACK_OFF_NS 10000000LL
#define FIRST_OF_COURSE 4
#define MISSING_NS (1LL << 62)

typedef struct {
    PyObject_HEAD
    PyObject *again, *boundary, *callers, *course, *exemplars, *first_values, *flow, *histogram, *holder, *keys,
        *outcomes, *pairs, *waits;
    long long batch_max, batch_min, batch_sum, bytes_max, bytes_sum, cancelled, cpu_ns, distinct, first_started_ns,
        keys_more, last_ended_ns, lead_min_ns, max_ns, min_ns, peak_in_flight, results, rows_calls, rows_max, rows_sum,
        single_row_calls, transaction, unkeyed, wait_ns, write_epoch_first, write_epoch_last;
} Detail;

typedef struct {
    PyObject_HEAD
    PyObject *result; /* the only field that is no number: an int or None */
    long long calls, run, longest, repeats, repeat_ns, total_ns, write_epoch, equal, changed, retries, quick, unsure,
        last_ended_ns;
    char last_changed, failed, timed_out;
} Use;

typedef struct {
    PyObject_HEAD
    PyObject *branch, *callsite, *frame, *use;
    long long started_ns, write_epoch;
} Call;

static PyTypeObject *detail_type, *use_type, *call_type, *python_frame;
static PyObject *hot, *genuine_clock;                                    /* `_hot.HOT`, time.perf_counter_ns */
static PyObject *add_error, *keep_slow, *make_course, *is_timeout, *make_read, *count_late_call, *slow_branch;
static PyObject *late_value, *late_cells;                                /* of `_fingerprint` */
static PyObject *str_sealed, *str_write_epoch, *str_keys, *str_returned, *str_operation, *str_write, *str_least_ns,
    *str_total_ns, *str_rows, *str_values, *str_asked, *str_add,  *str_limit, *str_clock, *str_plain, *str_get, *str_f_back,
    *str_co_filename, *str_bit_length, *str_update, *str_cache, *str_f_lineno;

/* ---- small tools ---------------------------------------------------------------------------------------------- */

static inline long long most(long long a, long long b) { return a > b ? a : b; }

/* A number that Python keeps in an attribute; -1 with an exception set when it is none. */
static long long number_of(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    long long found;
    if (value == NULL)
        return -1;
    found = PyLong_AsLongLong(value);
    Py_DECREF(value);
    return found;
}

static int set_number(PyObject *object, PyObject *name, long long number)
{
    PyObject *value = PyLong_FromLongLong(number);
    int failed = value == NULL ? -1 : PyObject_SetAttr(object, name, value);
    Py_XDECREF(value);
    return failed;
}

/* 1 or 0, -1 with an exception set. */
static int truth_of(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    int found = value == NULL ? -1 : value == Py_True ? 1 : value == Py_False ? 0 : PyObject_IsTrue(value);
    Py_XDECREF(value);
    return found;
}

static inline int is_dict(PyObject *object) { return object != NULL && Py_TYPE(object) == &PyDict_Type; }

static inline int is_int(PyObject *object) { return object != NULL && Py_TYPE(object) == &PyLong_Type; }

/* Call a function of ours in Python for its effect. */
static int done(PyObject *result)
{
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Count one more under `key` of a dict of ours. */
static int count_in(PyObject *counts, PyObject *key)
{
    PyObject *before = PyDict_GetItemWithError(counts, key), *after;
    int failed;
    if (before == NULL && PyErr_Occurred())
        return -1;
    after = PyLong_FromLongLong((before == NULL ? 0 : PyLong_AsLongLong(before)) + 1);
    failed = after == NULL || PyErr_Occurred() ? -1 : PyDict_SetItem(counts, key, after);
    Py_XDECREF(after);
    return failed;
}

static inline void drop_field(PyObject **field) { Py_CLEAR(*field); }

/* The clock in HOT, which tests replace there alone; -1 with an exception set when it failed. */
static long long tap_now(void)
{
    PyObject *clock = PyDict_GetItemWithError(hot, str_clock);
    long long now_ns;
    if (clock == genuine_clock && clock_call == NULL)
        return read_clock();
    if (clock == NULL)
        return PyErr_Occurred() ? -1 : now();
    Py_INCREF(clock);
    now_ns = call_clock(clock);
    Py_DECREF(clock);
    return now_ns;
}

/* ---- the detail of a frame ------------------------------------------------------------------------------------ */

#define DETAIL_OBJECTS(each) \
    each(again) each(boundary) each(callers) each(course) each(exemplars) each(first_values) each(flow) \
        each(histogram) each(holder) each(keys) each(outcomes) each(pairs) each(waits)

static PyObject *make_detail(void)
{
    Detail *detail = (Detail *)PyType_GenericAlloc(detail_type, 0);
    if (detail == NULL)
        return NULL;
    detail->min_ns = detail->lead_min_ns = MISSING_NS;
    detail->boundary = ref(Py_None);
    detail->course = ref(Py_None);
    detail->first_values = ref(Py_None);
    detail->histogram = ref(Py_None);
    detail->holder = ref(Py_None);
    detail->pairs = ref(Py_None);
    detail->waits = ref(Py_None);
    detail->again = PyDict_New();
    detail->callers = PyDict_New();
    detail->flow = PyDict_New();
    detail->keys = PyDict_New();
    detail->outcomes = PyDict_New();
    detail->exemplars = PyList_New(0);
    if (detail->again == NULL || detail->callers == NULL || detail->flow == NULL || detail->keys == NULL
        || detail->outcomes == NULL || detail->exemplars == NULL) {
        Py_DECREF(detail);
        return NULL;
    }
    return (PyObject *)detail;
}

static PyObject *detail_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    (void)type;
    return PyArg_ParseTupleAndKeywords(args, kwargs, "", names) ? make_detail() : NULL;
}

static int detail_traverse(PyObject *self, visitproc visit, void *arg)
{
    Detail *detail = (Detail *)self;
    Py_VISIT(Py_TYPE(self));
#define VISIT(name) Py_VISIT(detail->name);
    DETAIL_OBJECTS(VISIT)
#undef VISIT
    return 0;
}

static int detail_clear(PyObject *self)
{
    Detail *detail = (Detail *)self;
#define CLEAR(name) drop_field(&detail->name);
    DETAIL_OBJECTS(CLEAR)
#undef CLEAR
    return 0;
}

static void detail_dealloc(PyObject *self) { release(self, detail_clear); }

#define OBJECT(name) {#name, T_OBJECT_EX, offsetof(Detail, name), 0, NULL},
#define NUMBER(name) {#name, T_LONGLONG, offsetof(Detail, name), 0, NULL}
static PyMemberDef detail_members[] = {
    DETAIL_OBJECTS(OBJECT)
    NUMBER(batch_max), NUMBER(batch_min), NUMBER(batch_sum), NUMBER(bytes_max), NUMBER(bytes_sum), NUMBER(cancelled),
    NUMBER(cpu_ns), NUMBER(distinct), NUMBER(first_started_ns), NUMBER(keys_more), NUMBER(last_ended_ns),
    NUMBER(lead_min_ns), NUMBER(max_ns), NUMBER(min_ns), NUMBER(peak_in_flight), NUMBER(results), NUMBER(rows_calls),
    NUMBER(rows_max), NUMBER(rows_sum), NUMBER(single_row_calls), NUMBER(transaction), NUMBER(unkeyed),
    NUMBER(wait_ns), NUMBER(write_epoch_first), NUMBER(write_epoch_last),
    {NULL, 0, 0, 0, NULL},
};
#undef OBJECT
#undef NUMBER

static PyType_Slot detail_slots[] = {
    {Py_tp_doc, "The part of a frame that only taps, keys and slow calls need; see `_detail.FrameDetail`."},
    {Py_tp_new, detail_new},
    {Py_tp_traverse, detail_traverse},
    {Py_tp_clear, detail_clear},
    {Py_tp_dealloc, detail_dealloc},
    {Py_tp_members, detail_members},
    {0, NULL},
};

static PyType_Spec detail_spec = {
    "manometer._core.FrameDetail", sizeof(Detail), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, detail_slots,
};

/* The detail of a frame, made on first use: a new reference, or NULL with an exception set. */
static PyObject *more_of(Frame *frame)
{
    PyObject *made;
    if (frame->detail != NULL && Py_TYPE(frame->detail) == detail_type)
        return ref(frame->detail);
    if (frame->detail != Py_None) {
        wrong_arguments("detail");
        return NULL;
    }
    made = make_detail();
    if (made != NULL)
        put(&frame->detail, ref(made));
    return made;
}

/* ---- what happened to one set of arguments --------------------------------------------------------------------- */

static PyObject *make_use(void)
{
    Use *use = (Use *)PyType_GenericAlloc(use_type, 0);
    if (use != NULL)
        use->result = ref(Py_None);
    return (PyObject *)use;
}

static PyObject *use_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *made = make_use(), *name, *value;
    Py_ssize_t at = 0;
    (void)type;
    if (made != NULL && PyTuple_Size(args) != 0) {
        wrong_arguments("KeyUse");
        Py_DECREF(made);
        return NULL;
    }
    while (made != NULL && kwargs != NULL && PyDict_Next(kwargs, &at, &name, &value)) {
        if (PyObject_SetAttr(made, name, value) < 0) {
            Py_DECREF(made);
            return NULL;
        }
    }
    return made;
}

static int use_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Use *)self)->result);
    return 0;
}

static int use_clear(PyObject *self)
{
    Py_CLEAR(((Use *)self)->result);
    return 0;
}

static void use_dealloc(PyObject *self) { release(self, use_clear); }

#define NUMBER(name) {#name, T_LONGLONG, offsetof(Use, name), 0, NULL}
#define FLAG(name) {#name, T_BOOL, offsetof(Use, name), 0, NULL}
static PyMemberDef use_members[] = {
    NUMBER(calls), NUMBER(run), NUMBER(longest), NUMBER(repeats), NUMBER(repeat_ns), NUMBER(total_ns),
    NUMBER(write_epoch), {"result", T_OBJECT_EX, offsetof(Use, result), 0, NULL}, NUMBER(equal), NUMBER(changed),
    FLAG(last_changed), FLAG(failed), NUMBER(retries), NUMBER(quick), FLAG(timed_out), NUMBER(unsure),
    NUMBER(last_ended_ns),
    {NULL, 0, 0, 0, NULL},
};
#undef NUMBER
#undef FLAG

static PyType_Slot use_slots[] = {
    {Py_tp_doc, "What happened to one argument fingerprint on one frame; see `_detail.KeyUse`."},
    {Py_tp_new, use_new},
    {Py_tp_traverse, use_traverse},
    {Py_tp_clear, use_clear},
    {Py_tp_dealloc, use_dealloc},
    {Py_tp_members, use_members},
    {0, NULL},
};

static PyType_Spec use_spec = {
    "manometer._core.KeyUse", sizeof(Use), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, use_slots,
};

/* As `_calls.count_use`. */
static int add_use(Use *use, long long epoch, long long started_ns, long long ended_ns, PyObject *error)
{
    long long duration_ns = most(0, ended_ns - started_ns);
    int failed = error != NULL && PyUnicode_GetLength(error) > 0;
    if (use->failed) {
        use->retries++;
        use->quick += started_ns - use->last_ended_ns < NO_BACK_OFF_NS;
        use->unsure += use->timed_out != 0;
    }
    use->timed_out = 0;
    if (failed) {
        PyObject *found = PyObject_CallFunctionObjArgs(is_timeout, error, NULL);
        if (found == NULL)
            return -1;
        use->failed = 1;
        use->timed_out = found == Py_True;
        Py_DECREF(found);
        use->run = 0;
    } else {
        if (use->run && !use->failed && epoch == use->write_epoch && started_ns - use->last_ended_ns <= RUN_GAP_NS) {
            use->repeats++;
            use->repeat_ns += duration_ns;
            use->run++;
        } else {
            use->run = 1;
        }
        use->failed = 0;
        use->calls++;
        use->longest = most(use->longest, use->run);
        use->total_ns += duration_ns;
    }
    use->write_epoch = epoch;
    use->last_ended_ns = most(use->last_ended_ns, ended_ns);
    return 0;
}

static PyObject *find_key(Detail *detail, PyObject *profile, PyObject *key, int *is_new)
{
    PyObject *found = PyDict_GetItemWithError(detail->keys, key), *kept;
    long long keys;
    *is_new = 0;
    if (found != NULL || PyErr_Occurred())
        return ref(found);
    keys = number_of(profile, str_keys);
    if (keys < 0)
        return PyErr_Occurred() ? NULL : ref(Py_None);
    if (PyDict_Size(detail->keys) >= MAX_KEYS_PER_FRAME || keys >= MAX_KEYS_PER_PROFILE) {
        detail->keys_more++;
        *is_new = 1;
        return ref(Py_None);
    }
    found = make_use();
    kept = ref(detail->keys); /* one object for both steps */
    if (found == NULL || PyDict_SetItem(kept, key, found) < 0 || set_number(profile, str_keys, keys + 1) < 0)
        Py_CLEAR(found);
    Py_DECREF(kept);
    detail->distinct++;
    *is_new = 1;
    return found;
}

/* ---- where the arguments of a call came from -------------------------------------------------------------------- */

/* Whether any of some values is in a set of ours; -1 with an exception set. */
static int is_any_in(PyObject *object, PyObject *name, PyObject **values, int count)
{
    PyObject *set = PyObject_GetAttr(object, name);
    int at, found = set == NULL ? -1 : 0;
    if (set != NULL && PySet_Check(set) && PySet_Size(set) > 0) {
        for (at = 0; at < count && found == 0; at++)
            found = PySet_Contains(set, values[at]);
    }
    Py_XDECREF(set);
    return found;
}

/* As `_calls._count_flow`; `reads` are pairs of a frame and what is remembered of it. */
static int count_flow(Detail *detail, PyObject *reads, PyObject **values, int count)
{
    Py_ssize_t at;
    for (at = 0; at < PyList_Size(reads); at++) {
        PyObject *pair = PyList_GetItem(reads, at), *source = PyTuple_GetItem(pair, 0), *read = PyTuple_GetItem(pair, 1);
        int flows = is_any_in(read, str_values, values, count), again;
        if (flows < 0 || (flows && (!is_dict(detail->flow) || count_in(detail->flow, source) < 0)))
            return -1;
        again = is_any_in(read, str_asked, values, count);
        if (again < 0 || (again && (!is_dict(detail->again) || count_in(detail->again, source) < 0)))
            return -1;
    }
    return 0;
}

#define MAX_VARYING 64

/* As `_calls._add_flow`. */
static int add_flow(Detail *detail, PyObject *profile, PyObject *values)
{
    PyObject *first = detail->first_values, *returned, *reads, *varying[MAX_VARYING], *before[MAX_VARYING];
    Py_ssize_t at, size = PyTuple_Size(values), known;
    int count = 0, earlier = 0, failed;
    if (first == NULL || first == Py_None) {
        put(&detail->first_values, ref(values));
        return 0;
    }
    if (Py_TYPE(first) != &PyTuple_Type)
        return wrong_arguments("first_values");
    returned = PyObject_GetAttr(profile, str_returned);
    if (returned == NULL || !is_dict(returned) || PyDict_Size(returned) == 0) {
        int broken = returned == NULL ? -1 : is_dict(returned) ? 0 : wrong_arguments("returned");
        Py_XDECREF(returned);
        return broken;
    }
    reads = PyDict_Items(returned); /* a copy: an allocation may run a destructor that changes it */
    Py_DECREF(returned);
    if (reads == NULL)
        return -1;
    Py_INCREF(first);
    known = PyTuple_Size(first);
    for (at = 0; at < size && count < MAX_VARYING; at++) {
        PyObject *value = PyTuple_GetItem(values, at), *old = at < known ? PyTuple_GetItem(first, at) : NULL;
        int same = old == NULL ? 0 : !is_int(old) || !is_int(value) ? 0 : PyObject_RichCompareBool(value, old, Py_EQ);
        if (same)
            continue;
        varying[count++] = value;
        if (old != NULL)
            before[earlier++] = old;
    }
    failed = detail->distinct == 2 ? count_flow(detail, reads, before, earlier) : 0;
    if (failed == 0)
        failed = count_flow(detail, reads, varying, count);
    Py_DECREF(first);
    Py_DECREF(reads);
    return failed;
}

/* What is remembered of a reading frame, which is the most recent one by now: as `_calls._latest`. */
static PyObject *latest(PyObject *profile, PyObject *frame)
{
    PyObject *returned = PyObject_GetAttr(profile, str_returned), *read, *oldest, *unused;
    Py_ssize_t at = 0;
    if (returned == NULL || !is_dict(returned)) {
        Py_XDECREF(returned);
        return returned == NULL ? NULL : (wrong_arguments("returned"), NULL);
    }
    read = ref(PyDict_GetItemWithError(returned, frame));
    if (read != NULL) {
        if (PyDict_DelItem(returned, frame) < 0)
            Py_CLEAR(read);
    } else if (!PyErr_Occurred()) {
        read = PyObject_CallFunctionObjArgs(make_read, frame, NULL);
        if (read != NULL && PyDict_Size(returned) >= MAX_READS && PyDict_Next(returned, &at, &oldest, &unused)) {
            Py_INCREF(oldest);
            if (PyDict_DelItem(returned, oldest) < 0)
                Py_CLEAR(read);
            Py_DECREF(oldest);
        }
    }
    if (read != NULL && PyDict_SetItem(returned, frame, read) < 0)
        Py_CLEAR(read);
    Py_DECREF(returned);
    return read;
}

/* Add values to one of the bounded sets of a read. */
static int remember(PyObject *read, PyObject *name, PyObject *values)
{
    PyObject *set = PyObject_GetAttr(read, name);
    Py_ssize_t at;
    int failed = set == NULL ? -1 : PySet_Check(set) ? 0 : wrong_arguments("a set expected");
    if (failed == 0 && PySet_Size(set) < MAX_VALUES_PER_FRAME) {
        if (Py_TYPE(values) == &PyList_Type) {
            for (at = 0; at < PyList_Size(values) && failed == 0; at++) {
                PyObject *value = ref(PyList_GetItem(values, at));
                failed = PySet_Add(set, value);
                Py_DECREF(value);
            }
        } else if (Py_TYPE(values) == &PyTuple_Type) {
            for (at = 0; at < PyTuple_Size(values) && failed == 0; at++)
                failed = PySet_Add(set, PyTuple_GetItem(values, at));
        } else {
            failed = done(PyObject_CallMethodObjArgs(set, str_update, values, NULL));
        }
    }
    Py_XDECREF(set);
    return failed;
}

/* Arguments (profile, frame, rows, values): as `_calls.add_returned`. */
static int returned_by(PyObject *profile, PyObject *frame, long long rows, PyObject *values)
{
    PyObject *read = latest(profile, frame);
    long long before = read == NULL ? -1 : rows ? number_of(read, str_rows) : 0;
    int failed = before < 0 ? -1 : rows ? set_number(read, str_rows, before + rows) : 0;
    if (failed == 0 && values != NULL)
        failed = remember(read, str_values, values);
    Py_XDECREF(read);
    return failed;
}

static PyObject *add_returned(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    long long rows;
    (void)self;
    if (count != 4)
        return wrong_arguments("add_returned"), NULL;
    rows = PyLong_AsLongLong(args[2]);
    if (rows == -1 && PyErr_Occurred())
        return NULL;
    return returned_by(args[0], args[1], rows, args[3]) < 0 ? NULL : ref(Py_None);
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

static PyObject *make_call(PyObject *branch, PyObject *callsite, PyObject *frame, long long started_ns, long long epoch)
{
    Call *call = (Call *)PyType_GenericAlloc(call_type, 0);
    if (call == NULL)
        return NULL;
    call->branch = ref(branch);
    call->callsite = ref(callsite);
    call->frame = ref(frame);
    call->use = ref(Py_None);
    call->started_ns = started_ns;
    call->write_epoch = epoch;
    return (PyObject *)call;
}

static PyObject *call_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"branch", "callsite", "frame", "started_ns", NULL};
    PyObject *branch, *callsite, *frame;
    long long started_ns, epoch;
    (void)type;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOL", names, &branch, &callsite, &frame, &started_ns))
        return NULL;
    if (!is_branch(branch) || ((Branch *)branch)->profile == NULL || !is_frame(frame))
        return wrong_arguments("Call"), NULL;
    epoch = number_of(((Branch *)branch)->profile, str_write_epoch);
    return epoch == -1 && PyErr_Occurred() ? NULL : make_call(branch, callsite, frame, started_ns, epoch);
}

static int call_traverse(PyObject *self, visitproc visit, void *arg)
{
    Call *call = (Call *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(call->branch);
    Py_VISIT(call->callsite);
    Py_VISIT(call->frame);
    Py_VISIT(call->use);
    return 0;
}

static int call_clear(PyObject *self)
{
    Call *call = (Call *)self;
    Py_CLEAR(call->branch);
    Py_CLEAR(call->callsite);
    Py_CLEAR(call->frame);
    Py_CLEAR(call->use);
    return 0;
}

static void call_dealloc(PyObject *self) { release(self, call_clear); }

static PyMemberDef call_members[] = {
    {"branch", T_OBJECT_EX, offsetof(Call, branch), 0, NULL},
    {"callsite", T_OBJECT_EX, offsetof(Call, callsite), 0, NULL},
    {"frame", T_OBJECT_EX, offsetof(Call, frame), 0, NULL},
    {"use", T_OBJECT_EX, offsetof(Call, use), 0, NULL},
    {"started_ns", T_LONGLONG, offsetof(Call, started_ns), 0, NULL},
    {"write_epoch", T_LONGLONG, offsetof(Call, write_epoch), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot call_slots[] = {
    {Py_tp_doc, "A call in progress; see `_calls.Call`."},
    {Py_tp_new, call_new},
    {Py_tp_traverse, call_traverse},
    {Py_tp_clear, call_clear},
    {Py_tp_dealloc, call_dealloc},
    {Py_tp_members, call_members},
    {0, NULL},
};

static PyType_Spec call_spec = {
    "manometer._core.Call", sizeof(Call), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, call_slots,
};

/* Arguments (branch, callsite, started_ns = 0): as `_calls.begin`. */
static PyObject *begin_call(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Branch *branch = count > 0 ? (Branch *)args[0] : NULL;
    PyObject *parent, *made, *profile;
    Frame *frame;
    long long started_ns = 0, epoch;
    (void)self;
    if (count < 2 || count > 3 || !is_branch(args[0]) || !is_frame(branch->frame) || branch->profile == NULL)
        return wrong_arguments("begin"), NULL;
    if (count == 3 && (started_ns = PyLong_AsLongLong(args[2])) == -1 && PyErr_Occurred())
        return NULL;
    parent = ref(branch->frame);
    profile = ref(branch->profile);
    frame = (Frame *)descend(args[0], parent, args[1]);
    Py_DECREF(parent);
    epoch = frame == NULL ? -1 : number_of(profile, str_write_epoch);
    Py_DECREF(profile);
    if (epoch != -1 && started_ns == 0)
        started_ns = tap_now();
    if (PyErr_Occurred()) {
        Py_XDECREF(frame);
        return NULL;
    }
    made = make_call(args[0], args[1], (PyObject *)frame, started_ns, epoch);
    if (made != NULL) {
        if (frame->active) {
            Detail *detail = (Detail *)more_of(frame);
            if (detail == NULL) {
                Py_CLEAR(made);
            } else {
                detail->peak_in_flight = most(detail->peak_in_flight, (frame->active >> 2) + 1);
                Py_DECREF(detail);
            }
        } else {
            frame->since_ns = started_ns;
        }
        if (made != NULL)
            frame->active += OPEN_CALL;
    }
    Py_DECREF(frame);
    return made;
}

/* An item of a list of numbers is replaced; the list is one of ours. */
static int set_item(PyObject *list, Py_ssize_t at, long long number)
{
    PyObject *value = PyLong_FromLongLong(number);
    return value == NULL ? -1 : PyList_SetItem(list, at, value);
}

/* As `_course.Course.add`, of which only the first call of an octave is made in Python. */
static int add_to_course(Detail *detail, long long number, long long duration_ns)
{
    PyObject *course, *least = NULL, *total = NULL;
    Py_ssize_t at = -3;
    long long rest = number;
    int failed = 0, by_python = 1;
    if (detail->course == NULL || detail->course == Py_None) {
        course = PyObject_CallNoArgs(make_course);
        if (course == NULL)
            return -1;
        put(&detail->course, ref(course));
    } else {
        course = ref(detail->course);
    }
    for (; rest > 0; rest >>= 1)
        at++; /* the bit length, less three */
    least = PyObject_GetAttr(course, str_least_ns);
    total = least == NULL ? NULL : PyObject_GetAttr(course, str_total_ns);
    if (total == NULL) {
        failed = -1;
    } else if (PyList_CheckExact(least) && PyList_CheckExact(total) && at < PyList_Size(least) && at < PyList_Size(total)) {
        long long shortest = PyLong_AsLongLong(PyList_GetItem(least, at));
        long long sum = PyLong_AsLongLong(PyList_GetItem(total, at));
        by_python = 0;
        if ((shortest == -1 || sum == -1) && PyErr_Occurred())
            failed = -1;
        else
            failed = set_item(total, at, sum + duration_ns);
        if (failed == 0 && duration_ns < shortest)
            failed = set_item(least, at, duration_ns);
    }
    if (failed == 0 && by_python) {
        PyObject *is = PyLong_FromLongLong(number), *took = PyLong_FromLongLong(duration_ns);
        failed = is == NULL || took == NULL ? -1 : done(PyObject_CallMethodObjArgs(course, str_add, is, took, NULL));
        Py_XDECREF(is);
        Py_XDECREF(took);
    }
    Py_XDECREF(least);
    Py_XDECREF(total);
    Py_DECREF(course);
    return failed;
}

/* As `_calls._add_duration`. */
static int add_duration(Frame *frame, Detail *detail, long long started_ns, long long ended_ns, PyObject *error)
{
    long long duration_ns = ended_ns - started_ns;
    if (frame->calls >= FIRST_OF_COURSE && error == NULL && add_to_course(detail, frame->calls, duration_ns) < 0)
        return -1;
    if (duration_ns < detail->min_ns && error == NULL)
        detail->min_ns = duration_ns;
    if (duration_ns > detail->max_ns) {
        PyObject *limit = PyDict_GetItemWithError(hot, str_limit), *from, *to;
        int failed = 0;
        detail->max_ns = duration_ns;
        if (error == NULL && (limit == NULL || duration_ns <= PyLong_AsLongLong(limit)))
            return PyErr_Occurred() ? -1 : 0;
        from = PyLong_FromLongLong(started_ns);
        to = PyLong_FromLongLong(ended_ns);
        failed = from == NULL || to == NULL
                     ? -1
                     : done(PyObject_CallFunctionObjArgs(keep_slow, (PyObject *)detail, from, to,
                                                         error == NULL ? Py_None : error, NULL));
        Py_XDECREF(from);
        Py_XDECREF(to);
        return failed;
    }
    return 0;
}

/* As `_calls._add_callers`. */
static int add_callers(Detail *detail, PyObject *callers)
{
    int known;
    if (!is_dict(detail->callers))
        return wrong_arguments("callers");
    known = PyDict_Contains(detail->callers, callers);
    if (known < 0)
        return -1;
    if (!known && PyDict_Size(detail->callers) >= MAX_CALLERS_PER_FRAME) {
        PyObject *others = PyTuple_New(0);
        int failed = others == NULL ? -1 : count_in(detail->callers, others);
        Py_XDECREF(others);
        return failed;
    }
    return count_in(detail->callers, callers);
}

typedef struct {
    PyObject *key, *values, *arguments, *error, *callers; /* borrowed from the caller; NULL for none */
    long long batch, ended_ns;
    int cancelled;
} Ending;

static PyObject *values_of(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names);

/* Note where the values of a call came from; they are hashed only now that they are known to count. */
static int add_values(Detail *detail, PyObject *profile, Ending *how)
{
    PyObject *values = how->arguments != NULL ? values_of(NULL, &how->arguments, 1, NULL) : ref(how->values);
    int failed = 0;
    if (values == NULL)
        return PyErr_Occurred() ? -1 : 0;
    if (PyTuple_Size(values) > 0)
        failed = add_flow(detail, profile, values);
    Py_DECREF(values);
    return failed;
}

static int add_key(Call *call, Detail *detail, PyObject *profile, Ending *how, long long duration_ns)
{
    PyObject *use;
    int is_new;
    if (!is_dict(detail->keys) || !is_int(how->key))
        return wrong_arguments("key");
    use = find_key(detail, profile, how->key, &is_new);
    if (use == NULL)
        return -1;
    if (use != Py_None) {
        if (Py_TYPE(use) != use_type) {
            Py_DECREF(use);
            return wrong_arguments("keys");
        }
        put(&call->use, ref(use));
        if (add_use((Use *)use, call->write_epoch, how->ended_ns - duration_ns, how->ended_ns, how->error) < 0
            || (is_new && how->error == NULL && add_values(detail, profile, how) < 0)) {
            Py_DECREF(use);
            return -1;
        }
    }
    Py_DECREF(use);
    return 0;
}

static int is_write(PyObject *callsite)
{
    PyObject *operation = PyObject_GetAttr(callsite, str_operation);
    int found = operation == NULL ? -1
                : operation == str_write ? 1
                : PyUnicode_Check(operation) ? PyUnicode_CompareWithASCIIString(operation, "write") == 0 : 0;
    Py_XDECREF(operation);
    return found;
}

/* The steps of `_calls.end` in its order; what is used is held by the caller. */
static int close_call(Call *call, Branch *branch, Frame *frame, Detail *detail, PyObject *profile, Ending *how)
{
    long long duration_ns = most(0, how->ended_ns - call->started_ns);
    int writes;
    frame->active -= OPEN_CALL;
    if (frame->active < OPEN_CALL)
        frame->union_ns += most(0, how->ended_ns - frame->since_ns);
    frame->calls++;
    frame->total_ns += duration_ns;
    if (branch->ended_ns && call->started_ns - branch->ended_ns < detail->lead_min_ns)
        detail->lead_min_ns = most(0, call->started_ns - branch->ended_ns);
    branch->ended_ns = how->ended_ns;
    if (detail->peak_in_flight == 0)
        detail->peak_in_flight = 1;
    if (detail->first_started_ns == 0) {
        detail->first_started_ns = call->started_ns;
        detail->write_epoch_first = call->write_epoch;
    }
    detail->last_ended_ns = most(detail->last_ended_ns, how->ended_ns);
    detail->write_epoch_last = call->write_epoch;
    if (add_duration(frame, detail, call->started_ns, how->ended_ns, how->error) < 0)
        return -1;
    if (how->error != NULL
        && done(PyObject_CallFunctionObjArgs(add_error, (PyObject *)frame, (PyObject *)detail, how->error,
                                             how->cancelled ? Py_True : Py_False, NULL)) < 0)
        return -1;
    if (how->batch) {
        detail->batch_sum += how->batch;
        detail->batch_max = most(detail->batch_max, how->batch);
        detail->batch_min = detail->batch_min && detail->batch_min < how->batch ? detail->batch_min : how->batch;
    }
    if (how->callers != NULL && add_callers(detail, how->callers) < 0)
        return -1;
    if (how->key == NULL)
        detail->unkeyed++;
    else if (add_key(call, detail, profile, how, duration_ns) < 0)
        return -1;
    writes = is_write(call->callsite);
    if (writes > 0) {
        long long epoch = number_of(profile, str_write_epoch);
        writes = epoch == -1 && PyErr_Occurred() ? -1 : set_number(profile, str_write_epoch, epoch + 1);
    }
    return writes < 0 ? -1 : 0;
}

/* One keyword argument of `end`. */
static int read_ending(Ending *how, PyObject *name, PyObject *value)
{
    if (PyUnicode_CompareWithASCIIString(name, "key") == 0)
        how->key = value == Py_None ? NULL : value;
    else if (PyUnicode_CompareWithASCIIString(name, "values") == 0)
        how->values = value;
    else if (PyUnicode_CompareWithASCIIString(name, "arguments") == 0)
        how->arguments = value == Py_None ? NULL : value;
    else if (PyUnicode_CompareWithASCIIString(name, "batch") == 0)
        how->batch = PyLong_AsLongLong(value);
    else if (PyUnicode_CompareWithASCIIString(name, "error") == 0)
        how->error = value;
    else if (PyUnicode_CompareWithASCIIString(name, "cancelled") == 0)
        how->cancelled = value == Py_True;
    else if (PyUnicode_CompareWithASCIIString(name, "callers") == 0)
        how->callers = value;
    else if (PyUnicode_CompareWithASCIIString(name, "ended_ns") == 0)
        how->ended_ns = PyLong_AsLongLong(value);
    else
        return wrong_arguments("end");
    return PyErr_Occurred() ? -1 : 0;
}

static int check_ending(Ending *how)
{
    if ((how->values != NULL && Py_TYPE(how->values) != &PyTuple_Type)
        || (how->callers != NULL && Py_TYPE(how->callers) != &PyTuple_Type)
        || (how->error != NULL && !PyUnicode_Check(how->error)))
        return wrong_arguments("end");
    if (how->callers != NULL && PyTuple_Size(how->callers) == 0)
        how->callers = NULL;
    if (how->error != NULL && PyUnicode_GetLength(how->error) == 0)
        how->error = NULL;
    if (how->ended_ns == 0)
        how->ended_ns = tap_now();
    return PyErr_Occurred() ? -1 : 0;
}

/* Arguments (call, *, key, values, batch, error, cancelled, callers, ended_ns): as `_calls.end`. */
static PyObject *end_call(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Call *call = count > 0 ? (Call *)args[0] : NULL;
    Ending how = {NULL, NULL, NULL, NULL, NULL, 0, 0, 0};
    Py_ssize_t at, given = names == NULL ? 0 : PyTuple_Size(names);
    PyObject *branch, *frame, *detail, *profile;
    int sealed, failed;
    (void)self;
    if (count != 1 || Py_TYPE(args[0]) != call_type || !is_branch(call->branch) || !is_frame(call->frame)
        || ((Branch *)call->branch)->profile == NULL || call->callsite == NULL)
        return wrong_arguments("end"), NULL;
    for (at = 0; at < given; at++) {
        if (read_ending(&how, PyTuple_GetItem(names, at), args[count + at]) < 0)
            return NULL;
    }
    profile = ref(((Branch *)call->branch)->profile);
    sealed = truth_of(profile, str_sealed);
    if (sealed) {
        Py_DECREF(profile);
        return sealed < 0 ? NULL : PyObject_CallNoArgs(count_late_call);
    }
    branch = ref(call->branch);
    frame = ref(call->frame);
    failed = check_ending(&how);
    detail = failed ? NULL : more_of((Frame *)frame);
    failed = detail == NULL
             || close_call(call, (Branch *)branch, (Frame *)frame, (Detail *)detail, profile, &how) < 0;
    Py_XDECREF(detail);
    Py_DECREF(frame);
    Py_DECREF(branch);
    Py_DECREF(profile);
    return failed ? NULL : ref(Py_None);
}

/* As `_calls.count_result`. */
static int compare_result(Detail *detail, Use *use, PyObject *result)
{
    if (result == Py_None)
        return 0;
    if (use->result != NULL && use->result != Py_None) {
        PyObject *before = ref(use->result);
        int same = PyObject_RichCompareBool(before, result, Py_EQ);
        Py_DECREF(before);
        if (same < 0)
            return -1;
        use->last_changed = !same;
        use->changed += !same;
        use->equal += same;
        detail->results += same;
    }
    put(&use->result, ref(result));
    return 0;
}

static PyObject *count_result(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)self;
    if (count != 3 || Py_TYPE(args[0]) != detail_type || Py_TYPE(args[1]) != use_type
        || (args[2] != Py_None && !is_int(args[2])))
        return wrong_arguments("count_result"), NULL;
    return compare_result((Detail *)args[0], (Use *)args[1], args[2]) < 0 ? NULL : ref(Py_None);
}

/* As `_course.Course.add_rows`. */
static int rows_of_course(PyObject *course, long long number, long long rows)
{
    PyObject *list = PyObject_GetAttr(course, str_rows);
    Py_ssize_t at = -3;
    int failed = list == NULL ? -1 : 0;
    for (; number > 0; number >>= 1)
        at++;
    if (list != NULL && PyList_CheckExact(list) && at >= 0 && at < PyList_Size(list)) {
        long long before = PyLong_AsLongLong(PyList_GetItem(list, at));
        failed = before == -1 && PyErr_Occurred() ? -1 : set_item(list, at, before + rows);
    }
    Py_XDECREF(list);
    return failed;
}

static int rows_of_call(Call *call, Frame *frame, PyObject *profile, long long rows, PyObject *values, PyObject *result)
{
    Detail *detail = (Detail *)more_of(frame);
    PyObject *use;
    int failed = 0;
    if (detail == NULL)
        return -1;
    detail->rows_calls++;
    detail->rows_sum += rows;
    detail->rows_max = most(detail->rows_max, rows);
    detail->single_row_calls += rows <= 1;
    if (detail->course != NULL && detail->course != Py_None)
        failed = rows_of_course(detail->course, frame->calls, rows);
    use = ref(call->use);
    if (failed == 0 && use != NULL && use != Py_None)
        failed = Py_TYPE(use) == use_type ? compare_result(detail, (Use *)use, result) : wrong_arguments("use");
    Py_XDECREF(use);
    Py_DECREF(detail);
    return failed == 0 ? returned_by(profile, (PyObject *)frame, rows, values) : -1;
}

/* Arguments (call, rows, values=(), result=None, fetch_ns=0): as `_calls.add_rows`. */
static PyObject *add_rows(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Call *call = count > 0 ? (Call *)args[0] : NULL;
    PyObject *branch, *frame, *profile;
    long long rows, fetch_ns;
    int sealed, failed;
    (void)self;
    if (count < 2 || count > 5 || Py_TYPE(args[0]) != call_type || !is_branch(call->branch) || !is_frame(call->frame)
        || ((Branch *)call->branch)->profile == NULL || (count > 3 && args[3] != Py_None && !is_int(args[3])))
        return wrong_arguments("add_rows"), NULL;
    rows = PyLong_AsLongLong(args[1]);
    fetch_ns = count > 4 ? PyLong_AsLongLong(args[4]) : 0;
    if ((rows == -1 || fetch_ns == -1) && PyErr_Occurred())
        return NULL;
    branch = ref(call->branch);
    frame = ref(call->frame);
    profile = ref(((Branch *)branch)->profile);
    sealed = truth_of(profile, str_sealed);
    failed = sealed < 0;
    if (sealed == 0) {
        ((Frame *)frame)->total_ns += fetch_ns;
        ((Frame *)frame)->union_ns += fetch_ns;
        if (fetch_ns)
            ((Branch *)branch)->ended_ns = tap_now();
        failed = PyErr_Occurred() || rows_of_call(call, (Frame *)frame, profile, rows, count > 2 ? args[2] : NULL,
                                                   count > 3 ? args[3] : Py_None) < 0;
    }
    Py_DECREF(profile);
    Py_DECREF(frame);
    Py_DECREF(branch);
    return failed ? NULL : ref(Py_None);
}

/* ---- keyed hashes of values ------------------------------------------------------------------------------------- */

#define MAX_ITEMS 64
#define MAX_DEPTH 3
#define MAX_KEY_CHARS 64
#define MAX_COLUMNS 16
#define MAX_ROWS_HASHED 64
#define MAX_KEY_COLUMNS 4
#define WHOLE_CHARS 1024
#define EDGE_CHARS 512
#define SAMPLES 8
#define SAMPLE_CHARS 64
#define MAX_INT_BITS 8192

/* SipHash-1-3 over what is fed to it, which the interpreter uses for strings. */
typedef struct {
    uint64_t v0, v1, v2, v3, tail, length;
    int pending;
} Hash;

static uint64_t hash_key[2];

static inline uint64_t rotated(uint64_t x, int by) { return x << by | x >> (64 - by); }

static inline void mix(Hash *hash)
{
    hash->v0 += hash->v1;
    hash->v2 += hash->v3;
    hash->v1 = rotated(hash->v1, 13) ^ hash->v0;
    hash->v3 = rotated(hash->v3, 16) ^ hash->v2;
    hash->v0 = rotated(hash->v0, 32) + hash->v3;
    hash->v2 += hash->v1;
    hash->v1 = rotated(hash->v1, 17) ^ hash->v2;
    hash->v3 = rotated(hash->v3, 21) ^ hash->v0;
    hash->v2 = rotated(hash->v2, 32);
}

static void begin_hash(Hash *hash)
{
    hash->v0 = hash_key[0] ^ 0x736f6d6570736575ULL;
    hash->v1 = hash_key[1] ^ 0x646f72616e646f6dULL;
    hash->v2 = hash_key[0] ^ 0x6c7967656e657261ULL;
    hash->v3 = hash_key[1] ^ 0x7465646279746573ULL;
    hash->tail = hash->length = 0;
    hash->pending = 0;
}

static inline void feed_word(Hash *hash, uint64_t word)
{
    hash->v3 ^= word;
    mix(hash);
    hash->v0 ^= word;
    hash->length += 8;
}

static void feed_bytes(Hash *hash, const unsigned char *bytes, size_t count)
{
    uint64_t word;
    for (; count >= 8; count -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        feed_word(hash, word);
    }
    if (count) { /* whatever is fed begins with its length, so filling up with zeros keeps it unambiguous */
        word = 0;
        memcpy(&word, bytes, count);
        feed_word(hash, word);
    }
}

/* A tag and a number: how everything that is fed begins. */
static inline void feed_tagged(Hash *hash, char tag, uint64_t number)
{
    feed_word(hash, (uint64_t)(unsigned char)tag);
    feed_word(hash, number);
}

static uint64_t end_hash(Hash *hash)
{
    feed_word(hash, hash->length);
    hash->v2 ^= 0xff;
    mix(hash);
    mix(hash);
    mix(hash);
    return hash->v0 ^ hash->v1 ^ hash->v2 ^ hash->v3;
}

static PyObject *hash_object(Hash *hash)
{
    int64_t number = (int64_t)end_hash(hash);
    return PyLong_FromLongLong(number);
}

/* What could be read of a value: 1 all of it; 0 it is of an unknown type or too large; -1 an exception is set. */
static int feed(Hash *hash, PyObject *value, int depth, Py_ssize_t *room);

static int feed_characters(Hash *hash, PyObject *text, Py_ssize_t length)
{
    Py_UCS4 buffer[WHOLE_CHARS];
    if (PyUnicode_AsUCS4(text, buffer, WHOLE_CHARS, 0) == NULL)
        return -1;
    feed_bytes(hash, (const unsigned char *)buffer, (size_t)length * sizeof(Py_UCS4));
    return 1;
}

static int feed_slice(Hash *hash, PyObject *text, Py_ssize_t from, Py_ssize_t to)
{
    PyObject *piece = PyUnicode_Substring(text, from, to);
    int fed = piece == NULL ? -1 : feed_characters(hash, piece, to - from);
    Py_XDECREF(piece);
    return fed;
}

static int feed_text(Hash *hash, PyObject *text)
{
    Py_ssize_t length = PyUnicode_GetLength(text), step, at;
    if (length < 0)
        return -1;
    feed_tagged(hash, 's', (uint64_t)length);
    if (length <= WHOLE_CHARS)
        return feed_characters(hash, text, length);
    step = (length - SAMPLE_CHARS) / (SAMPLES - 1);
    if (feed_slice(hash, text, 0, EDGE_CHARS) < 0 || feed_slice(hash, text, length - EDGE_CHARS, length) < 0)
        return -1;
    for (at = 0; at < SAMPLES; at++) {
        if (feed_slice(hash, text, at * step, at * step + SAMPLE_CHARS) < 0)
            return -1;
    }
    return 1;
}

static int feed_byte_string(Hash *hash, PyObject *value)
{
    char *bytes;
    Py_ssize_t length, step, at;
    if (PyBytes_AsStringAndSize(value, &bytes, &length) < 0)
        return -1;
    feed_tagged(hash, 'b', (uint64_t)length);
    if (length <= WHOLE_CHARS) {
        feed_bytes(hash, (const unsigned char *)bytes, (size_t)length);
        return 1;
    }
    step = (length - SAMPLE_CHARS) / (SAMPLES - 1);
    feed_bytes(hash, (const unsigned char *)bytes, EDGE_CHARS);
    feed_bytes(hash, (const unsigned char *)bytes + length - EDGE_CHARS, EDGE_CHARS);
    for (at = 0; at < SAMPLES; at++)
        feed_bytes(hash, (const unsigned char *)bytes + at * step, SAMPLE_CHARS);
    return 1;
}

static int feed_int(Hash *hash, PyObject *value)
{
    int overflow, fed;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow), bits;
    PyObject *digits;
    if (number == -1 && PyErr_Occurred())
        return -1;
    if (overflow == 0) {
        feed_tagged(hash, 'i', (uint64_t)number);
        return 1;
    }
    digits = PyObject_CallMethodObjArgs(value, str_bit_length, NULL);
    if (digits == NULL)
        return -1;
    bits = PyLong_AsLongLong(digits);
    Py_DECREF(digits);
    if (bits > MAX_INT_BITS)
        return 0;
    digits = PyNumber_ToBase(value, 16);
    if (digits == NULL)
        return -1;
    feed_tagged(hash, 'x', (uint64_t)bits);
    fed = feed_text(hash, digits);
    Py_DECREF(digits);
    return fed;
}

static int feed_float(Hash *hash, PyObject *value)
{
    double number = PyFloat_AsDouble(value);
    uint64_t bits = 0x7ff8000000000000ULL; /* every "not a number" is one */
    if (number == number)
        memcpy(&bits, &number, 8);
    feed_tagged(hash, 'd', bits);
    return 1;
}

/* A value of a type that a module brought: Python says what it is as plain values. */
static int feed_late(Hash *hash, PyObject *value, PyObject *keys_only)
{
    PyObject *plain = PyObject_CallFunctionObjArgs(late_value, value, keys_only, NULL);
    int fed = 0;
    if (plain == NULL)
        return -1;
    if (Py_TYPE(plain) == &PyTuple_Type && PyTuple_Size(plain) == 1 && PyUnicode_CheckExact(PyTuple_GetItem(plain, 0))) {
        feed_tagged(hash, 'l', 0);
        fed = feed_text(hash, PyTuple_GetItem(plain, 0));
    } else if (is_int(plain)) {
        fed = feed_int(hash, plain);
    } else if (PyUnicode_CheckExact(plain)) {
        fed = feed_text(hash, plain);
    }
    Py_DECREF(plain);
    return fed;
}

static int feed_sequence(Hash *hash, PyObject *values, Py_ssize_t most_items, int depth, Py_ssize_t *room)
{
    int is_list = PyList_CheckExact(values), fed = 1;
    Py_ssize_t at, count = is_list ? PyList_Size(values) : PyTuple_Size(values);
    if (count > most_items)
        count = most_items;
    *room -= count;
    if (*room < 0)
        return 0;
    feed_tagged(hash, '(', (uint64_t)count);
    for (at = 0; at < count && fed > 0; at++) {
        PyObject *item;
        if (is_list && at >= PyList_Size(values))
            return 0; /* it was changed meanwhile */
        item = ref(is_list ? PyList_GetItem(values, at) : PyTuple_GetItem(values, at));
        fed = feed(hash, item, depth - 1, room);
        Py_DECREF(item);
    }
    return fed;
}

/* The pairs of a dict in an order of their hashes: its own order does not count. */
static int feed_dict(Hash *hash, PyObject *values, int depth, Py_ssize_t *room)
{
    PyObject *pairs;
    uint64_t hashes[2 * MAX_ROWS_HASHED * MAX_COLUMNS], made;
    Py_ssize_t at, place, count = PyDict_Size(values), none = 0;
    int fed = 1;
    *room -= count;
    if (*room < 0 || count > (Py_ssize_t)(sizeof hashes / sizeof *hashes))
        return 0;
    pairs = PyDict_Items(values);
    if (pairs == NULL)
        return -1;
    if (PyList_Size(pairs) < count)
        count = PyList_Size(pairs);
    for (at = 0; at < count && fed > 0; at++) {
        PyObject *pair = PyList_GetItem(pairs, at);
        Hash one;
        begin_hash(&one);
        fed = feed(&one, PyTuple_GetItem(pair, 0), 0, &none);
        if (fed > 0)
            fed = feed(&one, PyTuple_GetItem(pair, 1), depth - 1, room);
        made = end_hash(&one);
        for (place = at; place > 0 && hashes[place - 1] > made; place--)
            hashes[place] = hashes[place - 1];
        hashes[place] = made;
    }
    Py_DECREF(pairs);
    if (fed <= 0)
        return fed;
    feed_tagged(hash, '{', (uint64_t)count);
    feed_bytes(hash, (const unsigned char *)hashes, (size_t)count * sizeof *hashes);
    return 1;
}

static int feed(Hash *hash, PyObject *value, int depth, Py_ssize_t *room)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyLong_Type)
        return feed_int(hash, value);
    if (type == &PyUnicode_Type)
        return feed_text(hash, value);
    if (type == &PyTuple_Type || type == &PyList_Type)
        return depth == 0 ? 0 : feed_sequence(hash, value, PY_SSIZE_T_MAX, depth, room);
    if (type == &PyDict_Type)
        return depth == 0 ? 0 : feed_dict(hash, value, depth, room);
    if (value == Py_None || type == &PyBool_Type) {
        feed_tagged(hash, value == Py_None ? 'n' : 't', value == Py_True);
        return 1;
    }
    if (type == &PyFloat_Type)
        return feed_float(hash, value);
    return type == &PyBytes_Type ? feed_byte_string(hash, value) : feed_late(hash, value, Py_False);
}

/* Whether the level of detail leaves fingerprints out; -1 with an exception set. */
static int is_plain(void)
{
    PyObject *plain = PyDict_GetItemWithError(hot, str_plain);
    return plain == Py_False ? 0 : plain == NULL ? PyErr_Occurred() ? -1 : 0 : PyObject_IsTrue(plain);
}

/* As `_fingerprint.keyed`. */
static PyObject *keyed(PyObject *self, PyObject *values)
{
    Hash hash;
    Py_ssize_t room = MAX_ITEMS;
    int fed;
    (void)self;
    begin_hash(&hash);
    fed = feed(&hash, values, MAX_DEPTH, &room);
    return fed < 0 ? NULL : fed == 0 ? ref(Py_None) : hash_object(&hash);
}

/* As `_fingerprint.key_of`. */
static PyObject *key_of(PyObject *self, PyObject *values)
{
    int plain = is_plain();
    return plain == 0 ? keyed(self, values) : plain < 0 ? NULL : ref(Py_None);
}

/* The keyed hash of a value that may be a key, NULL without an exception for one that may not. */
static PyObject *key_value(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    Py_ssize_t length;
    Hash hash;
    int fed;
    begin_hash(&hash);
    if (type == &PyLong_Type) {
        fed = feed_int(&hash, value);
    } else if (type == &PyUnicode_Type) {
        length = PyUnicode_GetLength(value);
        fed = length > 0 && length <= MAX_KEY_CHARS ? feed_text(&hash, value) : 0;
    } else if (type == &PyBytes_Type) {
        length = PyBytes_Size(value);
        fed = length > 0 && length <= MAX_KEY_CHARS ? feed_byte_string(&hash, value) : 0;
    } else if (value == Py_None || type == &PyBool_Type || type == &PyFloat_Type) {
        fed = 0;
    } else {
        fed = feed_late(&hash, value, Py_True);
    }
    return fed > 0 ? hash_object(&hash) : NULL;
}

static int collect(PyObject *value, PyObject *found, int depth, Py_ssize_t *room, Py_ssize_t limit)
{
    PyTypeObject *type = Py_TYPE(value);
    PyObject *items, *made;
    Py_ssize_t at;
    int failed = 0;
    if (type != &PyTuple_Type && type != &PyList_Type && type != &PyDict_Type) {
        made = key_value(value);
        if (made == NULL)
            return PyErr_Occurred() ? -1 : 0;
        failed = PyList_Append(found, made);
        Py_DECREF(made);
        return failed;
    }
    if (depth == 0)
        return 0;
    items = type == &PyDict_Type ? PyDict_Values(value) : ref(value);
    if (items == NULL)
        return -1;
    for (at = 0; failed == 0; at++) {
        PyObject *item;
        int is_tuple = Py_TYPE(items) == &PyTuple_Type;
        if (at >= (is_tuple ? PyTuple_Size(items) : PyList_Size(items)))
            break;
        *room -= 1;
        if (PyList_Size(found) >= limit || *room < 0)
            break;
        item = ref(is_tuple ? PyTuple_GetItem(items, at) : PyList_GetItem(items, at));
        failed = collect(item, found, depth - 1, room, limit);
        Py_DECREF(item);
    }
    Py_DECREF(items);
    return failed;
}

/* The second argument of two, by its place or its name. */
static int read_limit(PyObject *const *args, Py_ssize_t count, PyObject *names, Py_ssize_t *limit)
{
    if (names != NULL && PyTuple_Size(names) > 0) {
        if (count != 1 || PyTuple_Size(names) != 1
            || PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, 0), "limit") != 0)
            return wrong_arguments("limit");
        count = 2;
    }
    if (count < 1 || count > 2)
        return wrong_arguments("one or two expected");
    if (count == 2)
        *limit = PyLong_AsSsize_t(args[1]);
    return PyErr_Occurred() ? -1 : 0;
}

/* Arguments (parameters, limit=16): as `_fingerprint.values_of`. */
static PyObject *values_of(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *found, *made;
    Py_ssize_t limit = 16, room;
    int plain;
    (void)self;
    if (read_limit(args, count, names, &limit) < 0)
        return NULL;
    room = limit > MAX_ITEMS ? limit : MAX_ITEMS;
    plain = is_plain();
    found = plain < 0 ? NULL : PyList_New(0);
    if (found == NULL || (!plain && collect(args[0], found, MAX_DEPTH, &room, limit) < 0)) {
        Py_XDECREF(found);
        return NULL;
    }
    made = PyList_AsTuple(found);
    Py_DECREF(found);
    return made;
}

/* As `_fingerprint._cells`, as a tuple or a list: a new reference; NULL without an exception for what is no row. */
static PyObject *cells_of(PyObject *row)
{
    PyTypeObject *type = Py_TYPE(row);
    PyObject *found;
    if (type == &PyTuple_Type || type == &PyList_Type)
        return ref(row);
    if (type == &PyLong_Type || type == &PyUnicode_Type)
        return PyTuple_Pack(1, row);
    /* Named tuples and drivers' own rows: with the functions of the built-in type, never with their own. */
    if (PyTuple_Check(row))
        return PyTuple_GetSlice(row, 0, PyTuple_Size(row));
    if (PyList_Check(row))
        return PyList_GetSlice(row, 0, PyList_Size(row));
    if (PyDict_Check(row))
        return PyDict_Values(row);
    found = PyObject_CallFunctionObjArgs(late_cells, row, NULL);
    if (found == NULL || Py_TYPE(found) == &PyTuple_Type)
        return found;
    Py_DECREF(found);
    return NULL;
}

static Py_ssize_t size_of(PyObject *sequence)
{
    return Py_TYPE(sequence) == &PyTuple_Type ? PyTuple_Size(sequence) : PyList_Size(sequence);
}

/* A new reference to an item, or NULL without an exception where the list became shorter. */
static PyObject *item_of(PyObject *sequence, Py_ssize_t at)
{
    if (at >= size_of(sequence))
        return NULL;
    return ref(Py_TYPE(sequence) == &PyTuple_Type ? PyTuple_GetItem(sequence, at) : PyList_GetItem(sequence, at));
}

/* The index of the n-th of `wanted` rows spread evenly over `count`. */
static Py_ssize_t spread(Py_ssize_t n, Py_ssize_t count, Py_ssize_t wanted)
{
    return count <= wanted ? n : wanted == 1 ? 0 : n * (count - 1) / (wanted - 1);
}

static int is_rows(PyObject *rows) { return Py_TYPE(rows) == &PyList_Type || Py_TYPE(rows) == &PyTuple_Type; }

/* As `_fingerprint.result_key`. */
static PyObject *result_key(PyObject *self, PyObject *rows)
{
    Hash hash;
    Py_ssize_t room = 2 * MAX_ROWS_HASHED * MAX_COLUMNS, at, count, wanted;
    int fed = is_plain();
    (void)self;
    if (fed < 0)
        return NULL;
    if (fed || !is_rows(rows))
        return ref(Py_None);
    fed = 1;
    count = size_of(rows);
    wanted = count < MAX_ROWS_HASHED ? count : MAX_ROWS_HASHED;
    begin_hash(&hash);
    feed_tagged(&hash, 'r', (uint64_t)count);
    for (at = 0; at < wanted && fed > 0; at++) {
        PyObject *row = item_of(rows, spread(at, count, wanted)), *cells;
        if (row == NULL)
            return ref(Py_None);
        cells = cells_of(row);
        if (cells == NULL && !PyErr_Occurred())
            cells = PyTuple_Pack(1, row);
        fed = cells == NULL ? -1 : feed_sequence(&hash, cells, MAX_COLUMNS, MAX_DEPTH - 1, &room);
        Py_XDECREF(cells);
        Py_DECREF(row);
    }
    return fed < 0 ? NULL : fed == 0 ? ref(Py_None) : hash_object(&hash);
}

/* The columns of the first row that are like keys, numbers first; their count, or -1 with an exception set. */
static int key_columns(PyObject *first, int *columns)
{
    int strings[MAX_COLUMNS], numbers = 0, others = 0, at;
    for (at = 0; at < MAX_COLUMNS; at++) {
        PyObject *cell = item_of(first, at), *key;
        if (cell == NULL)
            break;
        key = is_int(cell) ? ref(Py_None) : key_value(cell);
        if (key == NULL && PyErr_Occurred()) {
            Py_DECREF(cell);
            return -1;
        }
        if (key != NULL && (PyUnicode_CheckExact(cell) || PyBytes_CheckExact(cell)))
            strings[others++] = at;
        else if (key != NULL)
            columns[numbers++] = at;
        Py_XDECREF(key);
        Py_DECREF(cell);
    }
    for (at = 0; at < others; at++)
        columns[numbers + at] = strings[at];
    return numbers + others;
}

static int keys_of_row(PyObject *row, const int *columns, int count, PyObject *found, Py_ssize_t limit)
{
    PyObject *cells = cells_of(row);
    int at, failed = 0;
    if (cells == NULL)
        return PyErr_Occurred() ? -1 : 0;
    for (at = 0; at < count && failed == 0 && PyList_Size(found) < limit; at++) {
        PyObject *cell = item_of(cells, columns[at]), *key = cell == NULL ? NULL : key_value(cell);
        if (key != NULL)
            failed = PyList_Append(found, key);
        else if (PyErr_Occurred())
            failed = -1;
        Py_XDECREF(key);
        Py_XDECREF(cell);
    }
    Py_DECREF(cells);
    return failed;
}

/* Arguments (rows, limit=64): as `_fingerprint.row_values`. */
static PyObject *row_values(PyObject *self, PyObject *const *args, Py_ssize_t given, PyObject *names)
{
    PyObject *rows = given > 0 ? args[0] : NULL, *found, *row, *cells;
    Py_ssize_t limit = 64, at, total, wanted;
    int columns[MAX_COLUMNS], count, failed = 0;
    (void)self;
    if (read_limit(args, given, names, &limit) < 0 || (found = PyList_New(0)) == NULL)
        return NULL;
    failed = is_plain();
    if (failed < 0)
        return Py_DECREF(found), NULL;
    if (failed || !is_rows(rows) || limit <= 0 || size_of(rows) == 0)
        return found;
    row = item_of(rows, 0);
    cells = cells_of(row);
    count = cells == NULL ? PyErr_Occurred() ? -1 : 0 : key_columns(cells, columns);
    Py_XDECREF(cells);
    Py_DECREF(row);
    total = size_of(rows);
    if (count > MAX_KEY_COLUMNS && count * total > limit)
        count = MAX_KEY_COLUMNS;
    wanted = count > 0 ? limit / count : 0;
    wanted = wanted < 1 ? 1 : wanted > total ? total : wanted;
    for (at = 0; count > 0 && at < wanted && failed == 0; at++) {
        row = item_of(rows, spread(at, total, wanted));
        if (row == NULL)
            break;
        failed = keys_of_row(row, columns, count, found, limit);
        Py_DECREF(row);
    }
    if (count < 0 || failed)
        Py_CLEAR(found);
    return found;
}

/* ---- who asked -------------------------------------------------------------------------------------------------- */

#define LIBRARY_CODES 512 /* a power of two */

/* Code objects known to belong to libraries, by identity; each is kept alive, so that no other takes its place. */
static PyObject *library_codes[LIBRARY_CODES];

static inline PyObject **place_of_code(PyObject *code)
{
    uintptr_t number = (uintptr_t)code >> 4;
    return &library_codes[(number ^ number >> 9) & (LIBRARY_CODES - 1)];
}

static PyObject *forget_codes(PyObject *self, PyObject *unused)
{
    int at;
    (void)self;
    (void)unused;
    for (at = 0; at < LIBRARY_CODES; at++)
        put(&library_codes[at], NULL);
    Py_RETURN_NONE;
}

/* Whether a frame is known to be a library's; -1 with an exception set. */
static int is_library(PyObject *frame, PyObject *known)
{
    PyObject *code = (PyObject *)PyFrame_GetCode((PyFrameObject *)frame), **place = place_of_code(code), *file;
    int found = *place == code;
    if (!found) {
        file = PyObject_GetAttr(code, str_co_filename);
        if (file == NULL || !PyUnicode_CheckExact(file)) {
            found = file == NULL ? -1 : 0;
        } else {
            /* `python -c` looks like that, and is judged by more than its name. */
            found = PyDict_GetItemWithError(known, file) == Py_False
                    && PyUnicode_CompareWithASCIIString(file, "<string>") != 0;
            if (found)
                put(place, ref(code));
            else if (PyErr_Occurred())
                found = -1;
        }
        Py_XDECREF(file);
    }
    Py_DECREF(code);
    return found;
}

/* Arguments (frame or None, known): as `_site._outwards`. */
static PyObject *outwards(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *frame, *back;
    int room, library;
    (void)self;
    if (count != 2 || !is_dict(args[1]) || (args[0] != Py_None && Py_TYPE(args[0]) != python_frame))
        return wrong_arguments("outwards"), NULL;
    frame = ref(args[0]);
    for (room = MAX_STACK_WALK; frame != Py_None && room > 0; room--) {
        library = is_library(frame, args[1]);
        if (library <= 0) {
            if (library == 0)
                return frame;
            Py_DECREF(frame);
            return NULL;
        }
        back = PyObject_GetAttr(frame, str_f_back);
        Py_DECREF(frame);
        if (back == NULL)
            return NULL;
        frame = back;
    }
    if (frame == Py_None)
        return frame;
    Py_DECREF(frame);
    return ref(Py_False);
}

/* ---- which branch ------------------------------------------------------------------------------------------------ */

/* As `_query.branch`; what is no branch of this owner is for Python. */
static PyObject *own_branch(PyObject *self, PyObject *unused)
{
    PyObject *get = PyDict_GetItemWithError(hot, str_get), *found;
    int mine;
    (void)self;
    (void)unused;
    if (get == NULL)
        return PyErr_Occurred() ? NULL : (wrong_arguments("get_"), NULL);
    Py_INCREF(get);
    found = PyObject_CallNoArgs(get);
    Py_DECREF(get);
    if (found == NULL)
        return NULL;
    mine = is_branch(found) ? is_mine((Branch *)found) : 0;
    if (mine > 0)
        return found;
    if (mine == 0)
        get = PyObject_CallFunctionObjArgs(slow_branch, found, NULL);
    Py_DECREF(found);
    return mine < 0 ? NULL : get;
}

/* ---- database calls ---------------------------------------------------------------------------------------------- */

#define CHAINS 16

typedef struct {
    PyObject_HEAD
    PyObject *call, *statement, *callers, *text, *parameters, *covers, *cover, *before;
    long long part_ns;
    char many;
} Query;

static PyTypeObject *query_type;
static PyObject *statements, *quick_sites, *known_files; /* vars of `_statement`; `_site.quick`; what is known of files */
static PyObject *callers_above;

#define QUERY_OBJECTS(each) \
    each(call) each(statement) each(callers) each(text) each(parameters) each(covers) each(cover) each(before)

static PyObject *make_query(PyObject *call, PyObject *statement, PyObject *callers, PyObject *text)
{
    Query *query = (Query *)PyType_GenericAlloc(query_type, 0);
    if (query == NULL)
        return NULL;
    query->call = ref(call);
    query->statement = ref(statement);
    query->callers = ref(callers);
    query->text = ref(text);
    query->parameters = PyTuple_New(0);
    query->covers = ref(Py_None);
    query->cover = ref(Py_None);
    query->before = ref(Py_False);
    if (query->parameters == NULL)
        Py_CLEAR(query);
    return (PyObject *)query;
}

static PyObject *query_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"call", "known", "callers", "text", NULL};
    PyObject *call, *statement, *callers, *text;
    (void)type;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOO", names, &call, &statement, &callers, &text))
        return NULL;
    return make_query(call, statement, callers, text);
}

static int query_traverse(PyObject *self, visitproc visit, void *arg)
{
    Query *query = (Query *)self;
    Py_VISIT(Py_TYPE(self));
#define VISIT(name) Py_VISIT(query->name);
    QUERY_OBJECTS(VISIT)
#undef VISIT
    return 0;
}

static int query_clear(PyObject *self)
{
    Query *query = (Query *)self;
#define CLEAR(name) drop_field(&query->name);
    QUERY_OBJECTS(CLEAR)
#undef CLEAR
    return 0;
}

static void query_dealloc(PyObject *self) { release(self, query_clear); }

static PyMemberDef query_members[] = {
    {"call", T_OBJECT_EX, offsetof(Query, call), 0, NULL},
    {"statement", T_OBJECT_EX, offsetof(Query, statement), 0, NULL},
    {"callers", T_OBJECT_EX, offsetof(Query, callers), 0, NULL},
    {"text", T_OBJECT_EX, offsetof(Query, text), 0, NULL},
    {"parameters", T_OBJECT_EX, offsetof(Query, parameters), 0, NULL},
    {"_covers", T_OBJECT_EX, offsetof(Query, covers), 0, NULL},
    {"_cover", T_OBJECT_EX, offsetof(Query, cover), 0, NULL},
    {"_before", T_OBJECT_EX, offsetof(Query, before), 0, NULL},
    {"part_ns", T_LONGLONG, offsetof(Query, part_ns), 0, NULL},
    {"many", T_BOOL, offsetof(Query, many), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot query_slots[] = {
    {Py_tp_doc, "A statement in execution; its methods are those of `_query.Query`."},
    {Py_tp_new, query_new},
    {Py_tp_traverse, query_traverse},
    {Py_tp_clear, query_clear},
    {Py_tp_dealloc, query_dealloc},
    {Py_tp_members, query_members},
    {0, NULL},
};

static PyType_Spec query_spec = {
    "manometer._core.Query", sizeof(Query), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, query_slots,
};

/* The callsite that `_query._find` has remembered: a new reference; NULL without an exception where it has not. */
static PyObject *quick_site(PyObject *frame, PyObject *known, PyObject *origin)
{
    PyObject *code = (PyObject *)PyFrame_GetCode((PyFrameObject *)frame), *key, *entry, *site = NULL;
    PyObject *parts[4];
    int at;
    parts[0] = PyLong_FromVoidPtr(code);
    parts[1] = PyObject_GetAttr(frame, str_f_lineno);
    parts[2] = PyLong_FromVoidPtr(known);
    parts[3] = PyLong_FromVoidPtr(origin);
    Py_DECREF(code); /* the frame keeps it */
    key = parts[0] && parts[1] && parts[2] && parts[3] ? PyTuple_Pack(4, parts[0], parts[1], parts[2], parts[3]) : NULL;
    for (at = 0; at < 4; at++)
        Py_XDECREF(parts[at]);
    if (key == NULL)
        return NULL;
    entry = PyDict_GetItemWithError(quick_sites, key);
    if (entry != NULL && Py_TYPE(entry) == &PyTuple_Type && PyTuple_Size(entry) > 0)
        site = ref(PyTuple_GetItem(entry, 0));
    Py_DECREF(key);
    return site;
}

/* What is known of a text that was seen before: a new reference; NULL without an exception for another one. */
static PyObject *known_statement(PyObject *text)
{
    PyObject *cache = PyDict_GetItemWithError(statements, str_cache);
    return is_dict(cache) ? ref(PyDict_GetItemWithError(cache, text)) : NULL;
}

static int is_control(PyObject *known)
{
    PyObject *operation = PyObject_GetAttr(known, str_operation);
    int found = operation == NULL ? -1
                                  : PyUnicode_Check(operation)
                                        && PyUnicode_CompareWithASCIIString(operation, "control") == 0;
    Py_XDECREF(operation);
    return found;
}

/* Whether a frame is of a file that is known to be the application's, and no place of another one. */
static int is_application(PyObject *frame)
{
    PyObject *code = (PyObject *)PyFrame_GetCode((PyFrameObject *)frame), *file = PyObject_GetAttr(code, str_co_filename);
    int found = file != NULL && PyUnicode_CheckExact(file) && PyDict_GetItemWithError(known_files, file) == Py_True;
    Py_XDECREF(file);
    Py_DECREF(code);
    return found;
}

/* Open a call at a known callsite; the first ones say who called the caller. */
static PyObject *open_query(PyObject *on, PyObject *site, PyObject *known, PyObject *frame, PyObject *text)
{
    PyObject *args[2], *call, *callers = NULL, *query = NULL, *seen;
    Frame *parent = (Frame *)((Branch *)on)->frame;
    int is_new = 1;
    if (is_frame((PyObject *)parent) && is_dict(parent->children)) {
        seen = PyDict_GetItemWithError(parent->children, site);
        if (seen == NULL && PyErr_Occurred())
            return NULL;
        is_new = seen == NULL || !is_frame(seen) || ((Frame *)seen)->calls < CHAINS;
    }
    callers = is_new ? PyObject_CallFunctionObjArgs(callers_above, frame, Py_None, NULL) : PyTuple_New(0);
    if (callers == NULL)
        return NULL;
    args[0] = on;
    args[1] = site;
    call = begin_call(NULL, args, 2);
    if (call != NULL)
        query = make_query(call, known, callers, text);
    Py_XDECREF(call);
    Py_DECREF(callers);
    return query;
}

/* Arguments (branch, text, origin): as `_query.begin_query`; NotImplemented for what was not seen before. */
static PyObject *begin_query(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *known, *frame, *site = NULL, *query = NULL, *steps[2];
    int control;
    (void)self;
    if (count != 3 || statements == NULL)
        return wrong_arguments("begin_query"), NULL;
    known = is_branch(args[0]) && PyUnicode_CheckExact(args[1]) ? known_statement(args[1]) : NULL;
    if (known == NULL)
        return PyErr_Occurred() ? NULL : ref(Py_NotImplemented);
    control = is_control(known);
    if (control) {
        Py_DECREF(known);
        return control < 0 ? NULL : ref(Py_None);
    }
    steps[0] = (PyObject *)PyEval_GetFrame();
    steps[1] = known_files;
    frame = steps[0] == NULL ? ref(Py_None) : outwards(NULL, steps, 2);
    if (frame != NULL && Py_TYPE(frame) == python_frame && is_application(frame))
        site = quick_site(frame, known, args[2]);
    if (site != NULL)
        query = open_query(args[0], site, known, frame, args[1]);
    else if (!PyErr_Occurred())
        query = ref(Py_NotImplemented);
    Py_XDECREF(site);
    Py_XDECREF(frame);
    Py_DECREF(known);
    return query;
}

/* Arguments (text, parameters): as `_query._key`. */
static PyObject *query_key(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Hash hash;
    Py_ssize_t room = MAX_ITEMS;
    int fed, plain = is_plain();
    Py_hash_t text;
    (void)self;
    if (count != 2 || plain < 0)
        return PyErr_Occurred() ? NULL : (wrong_arguments("query_key"), NULL);
    if (plain || !PyUnicode_CheckExact(args[0]))
        return ref(Py_None);
    text = PyObject_Hash(args[0]); /* kept by the text itself, which is long and comes again */
    begin_hash(&hash);
    feed_tagged(&hash, 'q', (uint64_t)text);
    fed = feed(&hash, args[1], MAX_DEPTH, &room);
    return fed < 0 ? NULL : fed == 0 ? ref(Py_None) : hash_object(&hash);
}

/* Arguments (vars of `_statement`, `_site.quick`, what is known of files, `_site.above`). */
static PyObject *bind_queries(PyObject *self, PyObject *args)
{
    PyObject *cache, *sites, *files, *above;
    (void)self;
    if (!PyArg_ParseTuple(args, "O!O!O!O", &PyDict_Type, &cache, &PyDict_Type, &sites, &PyDict_Type, &files, &above))
        return NULL;
    put(&statements, ref(cache));
    put(&quick_sites, ref(sites));
    put(&known_files, ref(files));
    put(&callers_above, ref(above));
    Py_RETURN_NONE;
}

/* ---- setting up -------------------------------------------------------------------------------------------------- */

/* Arguments (key, HOT, and the functions for what is rare): see `_native.bind_taps`. */
static PyObject *bind_taps(PyObject *self, PyObject *args)
{
    PyObject *globals, *clock, *frame, *error, *slow_one, *course, *timeout, *read, *late;
    (void)self;
    if (!PyArg_ParseTuple(args, "O!OO!OOOOOO", &PyDict_Type, &globals, &clock, &PyType_Type, &frame, &error, &slow_one,
                          &course, &timeout, &read, &late))
        return NULL;
    put(&hot, ref(globals));
    put(&genuine_clock, ref(clock));
    python_frame = (PyTypeObject *)ref(frame);
    put(&add_error, ref(error));
    put(&keep_slow, ref(slow_one));
    put(&make_course, ref(course));
    put(&is_timeout, ref(timeout));
    put(&make_read, ref(read));
    put(&count_late_call, ref(late));
    Py_RETURN_NONE;
}

/* Arguments (key of 16 bytes, HOT, late_value, late_cells): what hashing needs. */
static PyObject *bind_hashes(PyObject *self, PyObject *args)
{
    PyObject *key, *globals, *value, *cells;
    char *bytes;
    Py_ssize_t length;
    (void)self;
    if (!PyArg_ParseTuple(args, "SO!OO", &key, &PyDict_Type, &globals, &value, &cells))
        return NULL;
    if (PyBytes_AsStringAndSize(key, &bytes, &length) < 0 || length != sizeof hash_key)
        return PyErr_Occurred() ? NULL : (wrong_arguments("key"), NULL);
    memcpy(hash_key, bytes, sizeof hash_key);
    put(&hot, ref(globals));
    put(&late_value, ref(value));
    put(&late_cells, ref(cells));
    Py_RETURN_NONE;
}

static PyObject *bind_branch(PyObject *self, PyObject *function)
{
    (void)self;
    put(&slow_branch, ref(function));
    Py_RETURN_NONE;
}

static PyObject *bounds(PyObject *self, PyObject *unused)
{
    static const struct {
        const char *name;
        long long value;
    } all[] = {
#define BOUND(name) {#name, name}
        BOUND(MAX_KEYS_PER_FRAME), BOUND(MAX_KEYS_PER_PROFILE), BOUND(MAX_READS), BOUND(MAX_VALUES_PER_FRAME),
        BOUND(MAX_CALLERS_PER_FRAME), BOUND(MAX_STACK_WALK), BOUND(RUN_GAP_NS), BOUND(NO_BACK_OFF_NS),
        BOUND(FIRST_OF_COURSE), BOUND(MAX_ITEMS), BOUND(MAX_DEPTH), BOUND(MAX_KEY_CHARS), BOUND(MAX_COLUMNS),
        BOUND(MAX_ROWS_HASHED), BOUND(CHAINS),
#undef BOUND
    };
    PyObject *made = PyDict_New();
    size_t at;
    (void)self;
    (void)unused;
    for (at = 0; made != NULL && at < sizeof all / sizeof *all; at++) {
        PyObject *value = PyLong_FromLongLong(all[at].value);
        if (value == NULL || PyDict_SetItemString(made, all[at].name, value) < 0)
            Py_CLEAR(made);
        Py_XDECREF(value);
    }
    return made;
}

#define FAST(function) (PyCFunction)(void (*)(void))function
static PyMethodDef tap_methods[] = {
    {"bind_taps", bind_taps, METH_VARARGS, "bind_taps(HOT, perf_counter_ns, FrameType, functions for what is rare ...)"},
    {"bind_hashes", bind_hashes, METH_VARARGS, "bind_hashes(key, HOT, late_value, late_cells)"},
    {"bind_branch", bind_branch, METH_O, "bind_branch(function for what is no branch of this owner)"},
    {"begin_call", FAST(begin_call), METH_FASTCALL, "begin_call(branch, callsite, started_ns=0)"},
    {"end_call", FAST(end_call), METH_FASTCALL | METH_KEYWORDS, "end_call(call, *, key, values, batch, error, ...)"},
    {"add_rows", FAST(add_rows), METH_FASTCALL, "add_rows(call, rows, values, result, fetch_ns)"},
    {"add_returned", FAST(add_returned), METH_FASTCALL, "add_returned(profile, frame, rows, values)"},
    {"count_result", FAST(count_result), METH_FASTCALL, "count_result(detail, use, result)"},
    {"key_of", key_of, METH_O, "key_of(values)"},
    {"keyed", keyed, METH_O, "keyed(values)"},
    {"values_of", FAST(values_of), METH_FASTCALL | METH_KEYWORDS, "values_of(parameters, limit=16)"},
    {"row_values", FAST(row_values), METH_FASTCALL | METH_KEYWORDS, "row_values(rows, limit=64)"},
    {"result_key", result_key, METH_O, "result_key(rows)"},
    {"outwards", FAST(outwards), METH_FASTCALL, "outwards(frame, known)"},
    {"forget_codes", forget_codes, METH_NOARGS, "Forget which code objects are libraries'."},
    {"begin_query", FAST(begin_query), METH_FASTCALL, "begin_query(branch, text, origin)"},
    {"query_key", FAST(query_key), METH_FASTCALL, "query_key(text, parameters)"},
    {"bind_queries", bind_queries, METH_VARARGS, "bind_queries(vars of _statement, quick, files, above)"},
    {"bounds", bounds, METH_NOARGS, "The bounds as they were compiled, by their names in Python."},
    {"own_branch", own_branch, METH_NOARGS, "The branch to write to, or None."},
    {NULL, NULL, 0, NULL},
};
#undef FAST

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type, const char *name)
{
    PyObject *made = PyType_FromSpec(spec);
    *type = (PyTypeObject *)made;
    if (made == NULL)
        return -1;
    Py_INCREF(made); /* the module takes one, the static pointer above keeps one */
    return PyModule_AddObject(module, name, made);
}

static int set_up_taps(PyObject *module)
{
    static const struct {
        PyObject **place;
        const char *text;
    } names[] = {
        {&str_sealed, "sealed"}, {&str_write_epoch, "write_epoch"}, {&str_keys, "keys"}, {&str_returned, "returned"},
        {&str_operation, "operation"}, {&str_write, "write"}, {&str_least_ns, "least_ns"}, {&str_total_ns, "total_ns"},
        {&str_rows, "rows"}, {&str_values, "values"}, {&str_asked, "asked"}, {&str_add, "add"},
        {&str_limit, "limit_"}, {&str_clock, "clock_"}, {&str_plain, "plain_"}, {&str_get, "get_"}, {&str_f_back, "f_back"}, {&str_co_filename, "co_filename"},
        {&str_bit_length, "bit_length"}, {&str_update, "update"}, {&str_cache, "_cache"},
        {&str_f_lineno, "f_lineno"},
    };
    size_t at;
    for (at = 0; at < sizeof names / sizeof *names; at++) {
        *names[at].place = PyUnicode_InternFromString(names[at].text);
        if (*names[at].place == NULL)
            return -1;
    }
    if (add_type(module, &detail_spec, &detail_type, "FrameDetail") < 0
        || add_type(module, &use_spec, &use_type, "KeyUse") < 0 || add_type(module, &call_spec, &call_type, "Call") < 0
        || add_type(module, &query_spec, &query_type, "Query") < 0
        || PyModule_AddFunctions(module, tap_methods) < 0)
        return -1;
    return 0;
}
