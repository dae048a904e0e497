/* The compiled core: opens and closes one call on a frame, called from the generated wrappers.
 *
 * It says what `_template`, `_context` and `_plan` say in Python, faster and in no other way. It covers the plain case
 * (our own thread, no recursion, arguments not watched); for anything else it returns False and the wrapper goes on in
 * Python. Built against the limited API of 3.10, so that one binary serves every later version.
 *
 * Rules of the interpreter that the code below rests on:
 *  - The wrapper stays a Python function. A wrapper in C would need C stack for every nested call, and deep recursion
 *    would end in a crash; through a Python function it ends in RecursionError.
 *  - Whatever may run Python code (a clock or an owner that was replaced, a deallocation) may change any field. What is
 *    needed after such a call is held by a reference of our own, and stored with `put`, which lets go of the old value last.
 *  - The thread holds the interpreter's lock from entry to return, so a pair of statements here is atomic for Python.
 *  - Frames and branches are ordinary objects: their fields are members, read and written by Python too, and may
 *    hold NULL after `del`. Nothing here trusts a field's type without looking at it.
 */
#define Py_LIMITED_API 0x030A0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pythread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#if defined(_WIN32)
#include <windows.h>
#else
#include <time.h>
#endif

/* Bits of Frame.active, as in _model. */
#define ACTIVE_OPEN 1
#define OPEN_CALL 4
/* As in _limits; a test compares them. */
#define MAX_RECURSION_WALK 64
/* As `_sampled.is_timed`: of the calls of a frame the first ones, then one in sixteen, in no period that a loop could have. */
#define ALWAYS_TIMED 16
#define IS_TIMED(number) ((number) < ALWAYS_TIMED || (((number) * 40503) & 0xFFFF) < 0x1000)

typedef struct Frame {
    PyObject_HEAD
    PyObject *callsite, *children, *detail;
    /* The parent is not owned: parents own their children, and a tree without cycles is freed when its profile is, with no
     * work for the garbage collector. A frame that goes away first takes leave of those listed as its children. */
    struct Frame *parent, *first_child, *next_child, *previous_child;
    long long active, calls, errors, total_ns, mark_ns, union_ns, since_ns, untimed;
    /* Of the plain call that is open, the outermost one where they nest; not visible to Python. */
    PyObject *branch; /* whose current frame this is */
    PyObject *before; /* which frame was current before */
    long long opened_ns;
} Frame;

typedef struct {
    PyObject_HEAD
    PyObject *frame, *owner, *profile, *outer, *base, *opened, *forks;
    long long ended_ns, since_ns;
    PyObject *known_owner; /* borrowed, only compared: the owner whose number `thread` is */
    unsigned long thread;
    PyObject *quiet_profile; /* borrowed, only compared: the profile known to watch nothing from the first call */
    char again, covered;
} Branch;

/* One interpreter only, see `claim`: plain statics are the fastest state there is. */
static PyTypeObject *frame_type, *branch_type;   /* the types below */
static PyObject *get_variable, *set_variable;    /* of the ContextVar that holds the branch */
static PyObject *new_frame, *slow;               /* the Python functions for what is rare */
static PyObject *clock_call, *ident_call;        /* Python's; NULL where a call of the system gives the same */
static PyObject *limits, *quiet_policies;        /* globals of _context; policies that watch nothing at first */
static PyObject *no_children;
static PyObject *str_frames, *str_policy, *str_max_frames, *str_late, *str_flow, *str_plan, *str_probed, *str_into, *str_out;
static long long mark_at_first_ns;
static int blind; /* no block is opened: what is inside a unit of work is not recorded now */
static long long interpreter = -1;

/* ---- small tools ---------------------------------------------------------------------------------------------- */

static inline void put(PyObject **field, PyObject *value) /* steals `value` */
{
    PyObject *old = *field;
    *field = value;
    Py_XDECREF(old);
}

static inline PyObject *ref(PyObject *object)
{
    Py_XINCREF(object);
    return object;
}

static inline int is_frame(PyObject *object) { return object != NULL && Py_TYPE(object) == frame_type; }

static inline int is_branch(PyObject *object) { return object != NULL && Py_TYPE(object) == branch_type; }

/* The clock of time.perf_counter_ns, to the nanosecond; `bind` checks that it is the same. */
static inline long long read_clock(void)
{
#if defined(_WIN32)
    static LARGE_INTEGER frequency;
    LARGE_INTEGER now;
    if (frequency.QuadPart == 0)
        QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    return (now.QuadPart / frequency.QuadPart) * 1000000000LL
           + (now.QuadPart % frequency.QuadPart) * 1000000000LL / frequency.QuadPart;
#elif defined(__APPLE__)
    return (long long)clock_gettime_nsec_np(CLOCK_UPTIME_RAW);
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000000LL + now.tv_nsec;
#endif
}

static long long call_clock(PyObject *clock) /* -1 with an exception set when it failed */
{
    PyObject *value = PyObject_CallNoArgs(clock);
    long long now_ns;
    if (value == NULL)
        return -1;
    now_ns = PyLong_AsLongLong(value);
    Py_DECREF(value);
    return now_ns;
}

static inline long long now(void) { return clock_call == NULL ? read_clock() : call_clock(clock_call); }

/* 1: the branch belongs to the running thread or greenlet; 0: to another; -1: an exception is set. */
static inline int is_mine(Branch *branch)
{
    PyObject *owner = branch->owner, *mine;
    int same;
    if (ident_call == NULL) {
        if (owner != branch->known_owner) {
            if (owner == NULL || Py_TYPE(owner) != &PyLong_Type) /* None: sealed, or a roll is due */
                return 0;
            branch->known_owner = owner;
            branch->thread = PyLong_AsUnsignedLongMask(owner);
        }
        return branch->thread == PyThread_get_thread_ident();
    }
    if (owner == NULL || owner == Py_None)
        return 0;
    mine = PyObject_CallNoArgs(ident_call);
    if (mine == NULL)
        return -1;
    Py_INCREF(owner);
    same = PyObject_RichCompareBool(owner, mine, Py_EQ);
    Py_DECREF(owner);
    Py_DECREF(mine);
    return same;
}

static int wrong_arguments(const char *name)
{
    PyErr_Format(PyExc_TypeError, "%s: wrong arguments", name);
    return -1;
}

/* ---- frames --------------------------------------------------------------------------------------------------- */

static void leave_parent(Frame *frame)
{
    if (frame->parent == NULL)
        return;
    if (frame->previous_child != NULL)
        frame->previous_child->next_child = frame->next_child;
    else
        frame->parent->first_child = frame->next_child;
    if (frame->next_child != NULL)
        frame->next_child->previous_child = frame->previous_child;
    frame->parent = frame->next_child = frame->previous_child = NULL;
}

static void join_parent(Frame *frame, Frame *parent)
{
    frame->parent = parent;
    frame->next_child = parent->first_child;
    if (parent->first_child != NULL)
        parent->first_child->previous_child = frame;
    parent->first_child = frame;
}

static PyObject *make_frame(PyObject *callsite, PyObject *parent)
{
    Frame *frame = (Frame *)PyType_GenericAlloc(frame_type, 0);
    if (frame == NULL)
        return NULL;
    frame->callsite = ref(callsite);
    frame->children = ref(no_children); /* shared and empty until the first child */
    frame->detail = ref(Py_None);
    frame->mark_ns = mark_at_first_ns;
    if (parent != Py_None)
        join_parent(frame, (Frame *)parent);
    return (PyObject *)frame;
}

static int check_parent(PyObject *parent)
{
    return parent == Py_None || is_frame(parent) ? 0 : wrong_arguments("parent: a frame or None expected");
}

static PyObject *frame_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *callsite, *parent;
    static char *names[] = {"callsite", "parent", NULL};
    (void)type;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO", names, &callsite, &parent) || check_parent(parent) < 0)
        return NULL;
    return make_frame(callsite, parent);
}

static PyObject *get_parent(PyObject *self, void *unused)
{
    PyObject *parent = (PyObject *)((Frame *)self)->parent;
    (void)unused;
    return ref(parent != NULL ? parent : Py_None);
}

static int set_parent(PyObject *self, PyObject *parent, void *unused)
{
    (void)unused;
    if (parent == NULL || check_parent(parent) < 0)
        return parent == NULL ? wrong_arguments("parent: cannot be deleted") : -1;
    leave_parent((Frame *)self);
    if (parent != Py_None)
        join_parent((Frame *)self, (Frame *)parent);
    return 0;
}

static int frame_traverse(PyObject *self, visitproc visit, void *arg)
{
    Frame *frame = (Frame *)self;
    Py_VISIT(Py_TYPE(self)); /* a heap type is owned by its instances */
    Py_VISIT(frame->callsite);
    Py_VISIT(frame->children);
    Py_VISIT(frame->detail);
    Py_VISIT(frame->branch);
    Py_VISIT(frame->before);
    return 0;
}

static int frame_clear(PyObject *self)
{
    Frame *frame = (Frame *)self;
    Py_CLEAR(frame->callsite);
    Py_CLEAR(frame->children);
    Py_CLEAR(frame->detail);
    Py_CLEAR(frame->branch);
    Py_CLEAR(frame->before);
    return 0;
}

static void release(PyObject *self, inquiry clear)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* Depth: between two frames of a tree is a dict, whose deallocation goes through the interpreter's trashcan, so that a
 * deep tree needs no deep C stack. */
static void frame_dealloc(PyObject *self)
{
    leave_parent((Frame *)self);
    while (((Frame *)self)->first_child != NULL)
        leave_parent(((Frame *)self)->first_child);
    release(self, frame_clear);
}

/* Take the edges out of a frame's children that lead up the tree: calls that folded into a frame above. */
static int cut_folded(Frame *frame)
{
    PyObject *site, *child, *folded = NULL;
    Py_ssize_t at = 0;
    int failed = 0;
    if (frame->children == NULL || Py_TYPE(frame->children) != &PyDict_Type)
        return 0;
    while (!failed && PyDict_Next(frame->children, &at, &site, &child)) {
        if (is_frame(child) && ((Frame *)child)->parent == frame)
            continue;
        if (folded == NULL)
            folded = PyList_New(0);
        failed = folded == NULL || PyList_Append(folded, site) < 0;
    }
    for (at = 0; !failed && folded != NULL && at < PyList_Size(folded); at++)
        failed = PyDict_DelItem(frame->children, PyList_GetItem(folded, at)) < 0;
    Py_XDECREF(folded);
    return failed ? -1 : 0;
}

/* Let go of what the calls of a frame are known to have come from. */
static int cut_flow(Frame *frame)
{
    PyObject *detail = frame->detail, *empty;
    int failed;
    if (detail == NULL || detail == Py_None)
        return 0;
    Py_INCREF(detail);
    empty = PyDict_New();
    failed = empty == NULL ? -1 : PyObject_SetAttr(detail, str_flow, empty);
    Py_XDECREF(empty);
    Py_DECREF(detail);
    return failed;
}

/* The frame that follows in a walk over all below `top`; NULL at its end, or where the tree was changed on the way. */
static Frame *after(Frame *frame, Frame *top)
{
    if (frame->first_child != NULL)
        return frame->first_child;
    while (frame != NULL && frame != top && frame->next_child == NULL)
        frame = frame->parent;
    return frame == NULL || frame == top ? NULL : frame->next_child;
}

/* As `_model.Frame.untie`; there is nothing else to cut, for no frame owns its parent. */
static PyObject *untie(PyObject *self, PyObject *unused)
{
    Frame *top = (Frame *)self, *frame = (Frame *)ref(self), *next;
    int failed = 0;
    (void)unused;
    while (frame != NULL && !failed) {
        /* By a reference: cutting frees, and a destructor may take the tree apart meanwhile. */
        failed = cut_flow(frame) < 0 || cut_folded(frame) < 0;
        next = failed ? NULL : after(frame, top);
        Py_XINCREF((PyObject *)next);
        Py_DECREF((PyObject *)frame);
        frame = next;
    }
    return failed ? NULL : ref(Py_None);
}

static PyObject *more_of(Frame *frame); /* in _tapcore.c */

static PyObject *more(PyObject *self, PyObject *unused)
{
    (void)unused;
    return more_of((Frame *)self);
}

static PyMethodDef frame_methods[] = {
    {"more", more, METH_NOARGS, "Return the detail of this frame, made on first use."},
    {"untie", untie, METH_NOARGS, "Cut all references that lead upwards below this frame."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef frame_members[] = {
    {"callsite", T_OBJECT_EX, offsetof(Frame, callsite), 0, NULL},
    {"children", T_OBJECT_EX, offsetof(Frame, children), 0, NULL},
    {"detail", T_OBJECT_EX, offsetof(Frame, detail), 0, NULL},
    {"active", T_LONGLONG, offsetof(Frame, active), 0, NULL},
    {"calls", T_LONGLONG, offsetof(Frame, calls), 0, NULL},
    {"errors", T_LONGLONG, offsetof(Frame, errors), 0, NULL},
    {"total_ns", T_LONGLONG, offsetof(Frame, total_ns), 0, NULL},
    {"mark_ns", T_LONGLONG, offsetof(Frame, mark_ns), 0, NULL},
    {"union_ns", T_LONGLONG, offsetof(Frame, union_ns), 0, NULL},
    {"since_ns", T_LONGLONG, offsetof(Frame, since_ns), 0, NULL},
    {"untimed", T_LONGLONG, offsetof(Frame, untimed), 0, NULL},
    {"before", T_OBJECT_EX, offsetof(Frame, before), READONLY, NULL}, /* for the wrapper at the recursion limit */
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef frame_getset[] = {
    {"parent", get_parent, set_parent, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot frame_slots[] = {
    {Py_tp_doc, "All calls through one callsite under one parent frame; its methods are those of `_model.Frame`."},
    {Py_tp_new, frame_new},
    {Py_tp_traverse, frame_traverse},
    {Py_tp_clear, frame_clear},
    {Py_tp_dealloc, frame_dealloc},
    {Py_tp_members, frame_members},
    {Py_tp_getset, frame_getset},
    {Py_tp_methods, frame_methods},
    {0, NULL},
};

static PyType_Spec frame_spec = {
    "manometer._core.Frame", sizeof(Frame), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, frame_slots,
};

/* ---- branches ------------------------------------------------------------------------------------------------- */

static PyObject *make_branch(PyTypeObject *type, PyObject *frame, PyObject *owner, PyObject *profile, PyObject *outer)
{
    Branch *branch = (Branch *)PyType_GenericAlloc(type, 0);
    if (branch == NULL)
        return NULL;
    branch->opened = is_branch(outer) ? ref(((Branch *)outer)->opened) : NULL;
    if (branch->opened == NULL)
        branch->opened = PySet_New(NULL);
    if (branch->opened == NULL) {
        Py_DECREF(branch);
        return NULL;
    }
    branch->frame = ref(frame);
    branch->owner = ref(owner);
    branch->profile = ref(profile);
    branch->outer = ref(outer);
    branch->base = ref(frame);
    branch->forks = ref(Py_None);
    return (PyObject *)branch;
}

static PyObject *branch_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *frame, *owner, *profile, *outer;
    static char *names[] = {"frame", "owner", "profile", "outer", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOO", names, &frame, &owner, &profile, &outer))
        return NULL;
    return make_branch(type, frame, owner, profile, outer);
}

static int branch_traverse(PyObject *self, visitproc visit, void *arg)
{
    Branch *branch = (Branch *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(branch->frame);
    Py_VISIT(branch->owner);
    Py_VISIT(branch->profile);
    Py_VISIT(branch->outer);
    Py_VISIT(branch->base);
    Py_VISIT(branch->opened);
    Py_VISIT(branch->forks);
    return 0;
}

static int branch_clear(PyObject *self)
{
    Branch *branch = (Branch *)self;
    Py_CLEAR(branch->frame);
    Py_CLEAR(branch->owner);
    Py_CLEAR(branch->profile);
    Py_CLEAR(branch->outer);
    Py_CLEAR(branch->base);
    Py_CLEAR(branch->opened);
    Py_CLEAR(branch->forks);
    return 0;
}

/* Nested tasks make long chains of branches, freed at once: in a loop, or a deep chain would need a deep C stack. */
static void branch_dealloc(PyObject *self)
{
    PyObject *outer = ((Branch *)self)->outer, *next;
    ((Branch *)self)->outer = NULL;
    release(self, branch_clear);
    while (is_branch(outer) && Py_REFCNT(outer) == 1) {
        next = ((Branch *)outer)->outer;
        ((Branch *)outer)->outer = NULL;
        Py_DECREF(outer);
        outer = next;
    }
    Py_XDECREF(outer);
}

static PyMemberDef branch_members[] = {
    {"frame", T_OBJECT_EX, offsetof(Branch, frame), 0, NULL},
    {"owner", T_OBJECT_EX, offsetof(Branch, owner), 0, NULL},
    {"profile", T_OBJECT_EX, offsetof(Branch, profile), 0, NULL},
    {"outer", T_OBJECT_EX, offsetof(Branch, outer), 0, NULL},
    {"base", T_OBJECT_EX, offsetof(Branch, base), 0, NULL},
    {"opened", T_OBJECT_EX, offsetof(Branch, opened), 0, NULL},
    {"forks", T_OBJECT_EX, offsetof(Branch, forks), 0, NULL},
    {"ended_ns", T_LONGLONG, offsetof(Branch, ended_ns), 0, NULL},
    {"since_ns", T_LONGLONG, offsetof(Branch, since_ns), 0, NULL},
    {"again", T_BOOL, offsetof(Branch, again), 0, NULL},
    {"covered", T_BOOL, offsetof(Branch, covered), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot branch_slots[] = {
    {Py_tp_doc, "A mutable pointer to the current frame, owned by one thread, greenlet or task; see `_context`."},
    {Py_tp_new, branch_new},
    {Py_tp_traverse, branch_traverse},
    {Py_tp_clear, branch_clear},
    {Py_tp_dealloc, branch_dealloc},
    {Py_tp_members, branch_members},
    {0, NULL},
};

static PyType_Spec branch_spec = {
    "manometer._core.Branch", sizeof(Branch), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, branch_slots,
};

/* ---- finding the frame of a call ------------------------------------------------------------------------------ */

static PyObject *make_in_python(PyObject *branch, PyObject *parent, PyObject *site)
{
    return PyObject_CallFunctionObjArgs(new_frame, branch, parent, site, NULL);
}

/* Whether nothing is watched from its first call in this profile; -1 with an exception set. */
static int is_quiet(Branch *branch)
{
    PyObject *policy;
    if (branch->quiet_profile == branch->profile)
        return 1;
    policy = PyObject_GetAttr(branch->profile, str_policy);
    if (policy == NULL)
        return -1;
    Py_DECREF(policy); /* compared only */
    if (policy != PyTuple_GetItem(quiet_policies, 0) && policy != PyTuple_GetItem(quiet_policies, 1))
        return 0;
    branch->quiet_profile = branch->profile;
    return 1;
}

/* Whether Python makes the next frame of this callsite: the history asks to watch it, or it is a block's. */
static int is_probed(PyObject *site)
{
    PyObject *plan = PyObject_GetAttr(site, str_plan), *probed;
    if (plan == NULL || plan == Py_None) {
        Py_XDECREF(plan);
        return plan == NULL ? -1 : 1;
    }
    probed = PyObject_GetAttr(plan, str_probed);
    Py_DECREF(plan);
    Py_XDECREF(probed); /* compared only */
    return probed == NULL ? -1 : probed != Py_False;
}

/* Count one frame more of the profile. 1: done; 0: Python must decide; -1: an exception is set. */
static int take_place(Branch *branch)
{
    PyObject *value, *limit = PyDict_GetItemWithError(limits, str_max_frames);
    long long frames;
    int quiet = branch->profile == NULL || limit == NULL ? 0 : is_quiet(branch);
    if (quiet <= 0)
        return quiet;
    value = PyObject_GetAttr(branch->profile, str_frames);
    if (value == NULL)
        return -1;
    frames = PyLong_AsLongLong(value);
    Py_DECREF(value);
    if (frames < 0 || frames >= PyLong_AsLongLong(limit))
        return PyErr_Occurred() ? -1 : 0;
    value = PyLong_FromLongLong(frames + 1);
    if (value == NULL || PyObject_SetAttr(branch->profile, str_frames, value) < 0) {
        Py_XDECREF(value);
        return -1;
    }
    Py_DECREF(value);
    return 1;
}

/* Enter a new frame, whose reference is taken, below `parent`. Up to 3.11 each allocation may run a destructor, which may
 * have made the same one: that one counts. A new reference, or NULL with an exception set. */
static PyObject *adopt(Frame *parent, PyObject *site, PyObject *frame)
{
    PyObject *children = NULL, *found = NULL;
    int failed = 0;
    if (parent->children == no_children) {
        children = PyDict_New();
        failed = children == NULL;
        if (!failed && parent->children == no_children)
            put(&parent->children, ref(children));
        Py_XDECREF(children);
    }
    children = ref(parent->children);
    if (!failed && (children == NULL || Py_TYPE(children) != &PyDict_Type))
        failed = wrong_arguments("children");
    if (!failed) {
        found = ref(PyDict_GetItemWithError(children, site));
        if (found == NULL && !PyErr_Occurred() && PyDict_SetItem(children, site, frame) == 0)
            found = ref(frame);
    }
    Py_XDECREF(children);
    Py_DECREF(frame);
    return found;
}

/* As `_context.new_frame`: what folds, what reached a bound, and what is watched from the first call, Python decides. */
static PyObject *make_child(PyObject *branch, PyObject *parent, PyObject *site)
{
    Frame *up = (Frame *)parent;
    PyObject *frame;
    int room = MAX_RECURSION_WALK, taken;
    for (; up != NULL && room > 0; up = up->parent, room--) {
        if (up->callsite == site)
            return make_in_python(branch, parent, site);
    }
    taken = is_probed(site);
    if (taken == 0)
        taken = take_place((Branch *)branch);
    else if (taken > 0)
        taken = 0;
    if (taken <= 0)
        return taken < 0 ? NULL : make_in_python(branch, parent, site);
    frame = make_frame(site, parent);
    return frame == NULL ? NULL : adopt((Frame *)parent, site, frame);
}

/* The child of the branch's current frame for `site`: a new reference, or NULL with an exception set. */
static inline PyObject *descend(PyObject *branch, PyObject *parent, PyObject *site)
{
    PyObject *found, *children = ((Frame *)parent)->children;
    if (children == NULL || Py_TYPE(children) != &PyDict_Type) {
        wrong_arguments("children");
        return NULL;
    }
    found = PyDict_GetItemWithError(children, site); /* callsites hash and compare by identity: no code of others */
    if (found != NULL) {
        Py_INCREF(found);
    } else {
        if (PyErr_Occurred())
            return NULL;
        Py_INCREF(parent);
        found = make_child(branch, parent, site);
        Py_DECREF(parent);
    }
    if (found != NULL && !is_frame(found)) {
        Py_DECREF(found);
        wrong_arguments("children");
        return NULL;
    }
    return found;
}

/* ---- calls that cannot be suspended half way ------------------------------------------------------------------ */

/* Open a call of `site`, or a step of it, below the branch's current frame and make its frame the current one.
 *
 * Gives what `close_plain` takes: the frame, or a tuple of all it needs where the frame is open already (recursion, whose
 * time is inside that of the outermost call); False where Python has to do it.
 */
static inline PyObject *open_plain(PyObject *self, PyObject *site, long long ignored)
{
    Branch *branch = (Branch *)self;
    Frame *frame;
    PyObject *opened, *before;
    long long active;
    int mine = is_branch(self) ? is_mine(branch) : 0;
    if (mine <= 0 || !is_frame(branch->frame))
        return mine < 0 ? NULL : ref(Py_False);
    before = ref(branch->frame);
    frame = (Frame *)descend(self, before, site);
    if (frame == NULL) {
        Py_DECREF(before);
        return NULL;
    }
    active = frame->active & ~ignored;
    if (active == 0) {
        frame->opened_ns = now();
        opened = (PyObject *)frame;
        if (frame->opened_ns == -1 && PyErr_Occurred())
            Py_CLEAR(opened);
    } else if (active == ACTIVE_OPEN && frame->branch == self) {
        opened = PyTuple_Pack(3, self, before, (PyObject *)frame);
        Py_DECREF(frame);
    } else {
        Py_DECREF(frame);
        opened = ref(Py_False);
    }
    if (opened == NULL || opened == Py_False) {
        Py_DECREF(before);
        return opened;
    }
    if (active == 0) {
        frame->active |= ACTIVE_OPEN;
        put(&frame->branch, ref(self));
        put(&frame->before, before); /* its reference moves */
    } else {
        Py_DECREF(before);
    }
    put(&branch->frame, ref((PyObject *)frame));
    return opened;
}

static int two(Py_ssize_t count) { return count == 2 || wrong_arguments("two expected") == 0; }

/* A call of a function: where its arguments are watched it is Python's. */
static PyObject *begin(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)self;
    return two(count) ? open_plain(args[0], args[1], 0) : NULL;
}

/* Of a function that is called very often: count its next call without a clock, where nothing lies below its frame.
 * Gives the frame; None where the call has to be measured, or is none of this thread's. */
static PyObject *skip(PyObject *self, PyObject *site)
{
    PyObject *found, *children, *branch = PyObject_CallNoArgs(get_variable);
    Frame *frame, *parent;
    (void)self;
    if (branch == NULL)
        return NULL;
    parent = is_branch(branch) ? (Frame *)((Branch *)branch)->frame : NULL;
    if (!is_frame((PyObject *)parent) || is_mine((Branch *)branch) <= 0)
        goto none;
    children = parent->children;
    if (children == NULL || Py_TYPE(children) != &PyDict_Type)
        goto none;
    found = PyDict_GetItemWithError(children, site);
    frame = (Frame *)found;
    if (!is_frame(found) || frame->active != 0 || frame->children != no_children || IS_TIMED(frame->calls))
        goto none;
    frame->calls++;
    frame->untimed++;
    Py_INCREF(found);
    Py_DECREF(branch);
    return found;
none:
    PyErr_Clear(); /* whatever it was, the call that is measured meets it too */
    Py_DECREF(branch);
    return ref(Py_None);
}

/* A step of a generator, whose arguments are not watched. */
static PyObject *resume(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    (void)self;
    return two(count) ? open_plain(args[0], args[1], ~(long long)ACTIVE_OPEN) : NULL;
}

/* As the wrapper's `try: slow_(...) except RecursionError: pass`. */
static int look_closer(Frame *frame, long long started_ns, long long duration_ns)
{
    PyObject *done = NULL, *started = PyLong_FromLongLong(started_ns), *duration = PyLong_FromLongLong(duration_ns);
    if (started != NULL && duration != NULL)
        done = PyObject_CallFunctionObjArgs(slow, (PyObject *)frame, started, duration, NULL);
    Py_XDECREF(started);
    Py_XDECREF(duration);
    if (done == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_RecursionError))
            return -1;
        PyErr_Clear();
    }
    Py_XDECREF(done);
    return 0;
}

static int add(Frame *frame, long long started_ns, long long duration_ns)
{
    frame->total_ns += duration_ns;
    return frame->total_ns > frame->mark_ns ? look_closer(frame, started_ns, duration_ns) : 0;
}

/* Give the branch back the frame it had before `frame` was opened. */
static void go_back(Frame *frame)
{
    PyObject *branch = frame->branch, *before = frame->before;
    frame->branch = frame->before = NULL;
    frame->active &= ~(long long)ACTIVE_OPEN;
    if (branch != NULL && before != NULL)
        put(&((Branch *)branch)->frame, before);
    else
        Py_XDECREF(before);
    Py_XDECREF(branch);
}

/* The wrapper knows its callsite only: a signal handler raised after `begin` had opened the call and before its result was
 * assigned. The frame is closed uncounted, or every later call of this thread would be placed below it. */
static void heal(PyObject *site)
{
    PyObject *branch = PyObject_CallNoArgs(get_variable);
    Frame *frame;
    if (branch == NULL)
        PyErr_Clear();
    else if (is_branch(branch) && is_frame(((Branch *)branch)->frame)) {
        frame = (Frame *)((Branch *)branch)->frame;
        if (frame->callsite == site && frame->branch == branch)
            go_back(frame);
    }
    Py_XDECREF(branch);
}

/* Close what `open_plain` opened. */
static inline PyObject *close_plain(PyObject *opened, int calls)
{
    Frame *frame = (Frame *)opened;
    long long started_ns, ended_ns;
    if (opened == Py_False)
        return ref(Py_None);
    if (!is_frame(opened)) {
        if (Py_TYPE(opened) != &PyTuple_Type) {
            heal(opened);
            return ref(Py_None);
        }
        if (PyTuple_Size(opened) != 3 || !is_branch(PyTuple_GetItem(opened, 0)) || !is_frame(PyTuple_GetItem(opened, 1))
            || !is_frame(PyTuple_GetItem(opened, 2)))
            return wrong_arguments("what `begin` gave expected"), NULL;
        ((Frame *)PyTuple_GetItem(opened, 2))->calls += calls;
        put(&((Branch *)PyTuple_GetItem(opened, 0))->frame, ref(PyTuple_GetItem(opened, 1)));
        return ref(Py_None);
    }
    started_ns = frame->opened_ns;
    ended_ns = now();
    go_back(frame);
    frame->calls += calls;
    if (ended_ns == -1 && PyErr_Occurred())
        return NULL;
    return add(frame, started_ns, ended_ns - started_ns) < 0 ? NULL : ref(Py_None);
}

static PyObject *end(PyObject *self, PyObject *opened)
{
    (void)self;
    return close_plain(opened, 1);
}

static PyObject *pause_step(PyObject *self, PyObject *opened)
{
    (void)self;
    return close_plain(opened, 0); /* a generator counts as one call, whatever its steps */
}

/* ---- calls that can be suspended while open ------------------------------------------------------------------- */

/* Set the variable, without a collection on the way. Up to 3.11 one may run a destructor inside `set` that sets it too, and
 * the interpreter goes on to read the mapping that the inner one has freed. */
static int make_current(PyObject *branch)
{
    int collects = PyGC_Disable();
    PyObject *token = PyObject_CallFunctionObjArgs(set_variable, branch, NULL);
    if (collects)
        PyGC_Enable();
    Py_XDECREF(token); /* values are restored, never tokens: a task may end in another context */
    return token == NULL ? -1 : 0;
}

static PyObject *make_current_in_python(PyObject *self, PyObject *branch)
{
    (void)self;
    return make_current(branch) < 0 ? NULL : ref(Py_None);
}

/* Open a branch below `site`, current from now on: a new reference, or NULL with an exception set. */
static PyObject *open_below(Branch *branch, Frame *frame)
{
    Branch *inner = (Branch *)make_branch(
        branch_type, (PyObject *)frame, branch->owner, branch->profile, (PyObject *)branch);
    if (inner == NULL)
        return NULL;
    inner->since_ns = now();
    if ((inner->since_ns == -1 && PyErr_Occurred()) || make_current((PyObject *)inner) < 0) {
        Py_DECREF(inner);
        return NULL;
    }
    frame->since_ns = inner->since_ns;
    frame->active += OPEN_CALL;
    if (PySet_Check(inner->opened) && PySet_Add(inner->opened, (PyObject *)inner) < 0)
        PyErr_Clear(); /* it would only miss the sealing */
    return (PyObject *)inner;
}

/* Arguments (branch, callsite). The new branch; False where Python has to do it. */
static PyObject *open_task(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    Branch *branch = (Branch *)args[0];
    PyObject *frame, *inner;
    int mine;
    (void)self;
    if (!two(count))
        return NULL;
    mine = is_branch(args[0]) ? is_mine(branch) : 0;
    if (mine <= 0 || branch->again || !is_frame(branch->frame))
        return mine < 0 ? NULL : ref(Py_False);
    frame = descend(args[0], branch->frame, args[1]);
    if (frame == NULL)
        return NULL;
    if (((Frame *)frame)->active)
        inner = ref(Py_False);
    else
        inner = open_below(branch, (Frame *)frame);
    Py_DECREF(frame);
    return inner;
}

static int count_late(PyObject *profile)
{
    PyObject *one, *value = profile != NULL ? PyObject_GetAttr(profile, str_late) : NULL;
    long long late;
    int failed;
    if (value == NULL)
        return -1;
    late = PyLong_AsLongLong(value);
    Py_DECREF(value);
    one = PyLong_FromLongLong(late + 1);
    failed = one == NULL ? -1 : PyObject_SetAttr(profile, str_late, one);
    Py_XDECREF(one);
    return failed;
}

/* Close `inner`, make `outer` current where `inner` still is; returns -1 with an exception set when that failed. */
static int close_below(PyObject *outer, Branch *inner)
{
    Frame *frame;
    long long ended_ns = now();
    PyObject *current = PyObject_CallNoArgs(get_variable);
    if (current == NULL)
        return -1;
    Py_DECREF(current);
    if (current == (PyObject *)inner && make_current(outer) < 0)
        return -1;
    if (inner->opened != NULL && PySet_Check(inner->opened)
        && PySet_Discard(inner->opened, (PyObject *)inner) < 0)
        PyErr_Clear();
    if (!is_frame(inner->base))
        return 0;
    frame = (Frame *)inner->base;
    frame->active -= OPEN_CALL;
    if (inner->owner == Py_None)
        return count_late(inner->profile);
    frame->calls++;
    if (frame->active < OPEN_CALL)
        frame->union_ns += ended_ns - frame->since_ns;
    return inner->again ? 0 : add(frame, inner->since_ns, ended_ns - inner->since_ns);
}

/* Arguments (branch, what `open` returned, or None: see `heal`). */
static PyObject *close_task(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *inner = args[1];
    int failed;
    (void)self;
    if (!two(count))
        return NULL;
    if (inner == Py_False)
        return ref(Py_None);
    if (is_branch(inner)) {
        Py_INCREF(inner);
    } else {
        inner = PyObject_CallNoArgs(get_variable);
        if (inner == NULL || !is_branch(inner) || ((Branch *)inner)->outer != args[0]) {
            PyErr_Clear();
            Py_XDECREF(inner);
            return ref(Py_None);
        }
    }
    failed = close_below(args[0], (Branch *)inner);
    Py_DECREF(inner);
    return failed ? NULL : ref(Py_None);
}

/* ---- blocks --------------------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    PyObject *options, *callsite; /* the callsite is known from the first entry on, None before */
} Block;

static PyObject *block_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *options, *callsite = Py_None;
    static char *names[] = {"options", "callsite", NULL};
    Block *block;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O", names, &options, &callsite))
        return NULL;
    block = (Block *)PyType_GenericAlloc(type, 0);
    if (block == NULL)
        return NULL;
    block->options = ref(options);
    block->callsite = ref(callsite);
    return (PyObject *)block;
}

static int block_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Block *)self)->options);
    Py_VISIT(((Block *)self)->callsite);
    return 0;
}

static int block_clear(PyObject *self)
{
    Py_CLEAR(((Block *)self)->options);
    Py_CLEAR(((Block *)self)->callsite);
    return 0;
}

static void block_dealloc(PyObject *self) { release(self, block_clear); }

static PyObject *block_enter(PyObject *self, PyObject *unused)
{
    PyObject *inner, *args[2] = {PyObject_CallNoArgs(get_variable), NULL};
    (void)unused;
    if (args[0] == NULL)
        return NULL;
    args[1] = ref(((Block *)self)->callsite);
    /* Within another block Python looks whether that is of the same callsite: whoever leaves must meet its own. */
    if (blind && (!is_branch(args[0]) || !is_branch(((Branch *)args[0])->outer))) {
        Py_DECREF(args[0]);
        Py_XDECREF(args[1]);
        return ref(self);
    }
    inner = !blind && args[1] != NULL && args[1] != Py_None && is_branch(args[0]) ? open_task(NULL, args, 2) : ref(Py_False);
    Py_DECREF(args[0]);
    Py_XDECREF(args[1]);
    if (inner == Py_False) {
        PyObject *caller = (PyObject *)PyEval_GetFrame();
        Py_DECREF(inner);
        inner = PyObject_CallMethodObjArgs(self, str_into, caller != NULL ? caller : Py_None, NULL);
    }
    if (inner == NULL)
        return NULL;
    Py_DECREF(inner);
    return ref(self);
}

/* Arguments (type, error, traceback). An exception, and a branch that is not on top, are Python's. */
static PyObject *block_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *current = PyObject_CallNoArgs(get_variable), *callsite = ((Block *)self)->callsite, *done;
    Branch *inner = (Branch *)current;
    if (count != 3 || current == NULL) {
        Py_XDECREF(current);
        return current == NULL ? NULL : (wrong_arguments("__exit__"), NULL);
    }
    if (args[1] == Py_None && is_branch(current) && is_frame(inner->base) && is_branch(inner->outer)
        && ((Frame *)inner->base)->callsite == callsite) {
        PyObject *outer = ref(inner->outer);
        done = close_below(outer, inner) < 0 ? NULL : ref(Py_None);
        Py_DECREF(outer);
    } else {
        done = PyObject_CallMethodObjArgs(self, str_out, args[1], NULL);
    }
    Py_DECREF(current);
    return done;
}

static PyMemberDef block_members[] = {
    {"_options", T_OBJECT_EX, offsetof(Block, options), 0, NULL},
    {"_callsite", T_OBJECT_EX, offsetof(Block, callsite), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef block_methods[] = {
    {"__enter__", block_enter, METH_NOARGS, "Open the block in the current context."},
    {"__exit__", (PyCFunction)(void (*)(void))block_exit, METH_FASTCALL,
     "Close the block; an exception is counted and passes untouched."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot block_slots[] = {
    {Py_tp_doc, "What `_measure.Measure` enters and leaves."},
    {Py_tp_new, block_new},
    {Py_tp_traverse, block_traverse},
    {Py_tp_clear, block_clear},
    {Py_tp_dealloc, block_dealloc},
    {Py_tp_members, block_members},
    {Py_tp_methods, block_methods},
    {0, NULL},
};

static PyType_Spec block_spec = {
    "manometer._core.Measure", sizeof(Block), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, block_slots,
};

/* ---- taps ----------------------------------------------------------------------------------------------------- */

#include "_tapcore.c"

/* ---- setting up ----------------------------------------------------------------------------------------------- */

static PyObject *claim(PyObject *self, PyObject *unused)
{
    long long id = PyInterpreterState_GetID(PyInterpreterState_Get());
    (void)self;
    (void)unused;
    if (interpreter != -1 && interpreter != id) {
        PyErr_SetString(PyExc_ImportError, "the compiled core serves one interpreter of a process");
        return NULL;
    }
    interpreter = id;
    Py_RETURN_NONE;
}

static PyObject *bind_set(PyObject *self, PyObject *set)
{
    (void)self;
    put(&set_variable, ref(set));
    Py_RETURN_NONE;
}

static PyObject *bind_frame(PyObject *self, PyObject *args)
{
    PyObject *children;
    (void)self;
    if (!PyArg_ParseTuple(args, "O!L", &PyDict_Type, &children, &mark_at_first_ns))
        return NULL;
    put(&no_children, ref(children));
    Py_RETURN_NONE;
}

/* The clock of the system may stand in for time.perf_counter_ns only where it gives the same time. */
static int same_clock(PyObject *clock)
{
    long long before = call_clock(clock), between = read_clock(), after = call_clock(clock);
    return !PyErr_Occurred() && before <= between && between <= after;
}

static PyObject *bind(PyObject *self, PyObject *args)
{
    PyObject *get, *make, *look, *globals, *policies;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOOO!O!", &get, &make, &look, &PyDict_Type, &globals, &PyTuple_Type,
                          &policies))
        return NULL;
    put(&get_variable, ref(get));
    put(&new_frame, ref(make));
    put(&slow, ref(look));
    put(&limits, ref(globals));
    put(&quiet_policies, ref(policies));
    Py_RETURN_NONE;
}

/* Arguments (clock, genuine, ident, genuine): a genuine one is the interpreter's own, and is replaced by what it calls. */
static PyObject *replace(PyObject *self, PyObject *args)
{
    PyObject *clock, *ident;
    int real_clock, real_ident;
    (void)self;
    if (!PyArg_ParseTuple(args, "OpOp", &clock, &real_clock, &ident, &real_ident))
        return NULL;
    real_clock = real_clock && same_clock(clock);
    if (PyErr_Occurred())
        return NULL;
    put(&clock_call, real_clock ? NULL : ref(clock));
    put(&ident_call, real_ident ? NULL : ref(ident));
    Py_RETURN_NONE;
}

static PyObject *set_blind(PyObject *self, PyObject *on)
{
    int is_on = PyObject_IsTrue(on);
    (void)self;
    if (is_on < 0)
        return NULL;
    blind = is_on;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"claim", claim, METH_NOARGS, "Raise ImportError in a second interpreter of the process."},
    {"bind_frame", bind_frame, METH_VARARGS, "bind_frame(no_children, mark_ns)"},
    {"bind", bind, METH_VARARGS, "bind(get, new_frame, slow, globals of _context, two policies)"},
    {"replace", replace, METH_VARARGS, "replace(clock, genuine, ident, genuine)"},
    {"bind_set", bind_set, METH_O, "bind_set(the method that sets the variable)"},
    {"make_current", make_current_in_python, METH_O, "make_current(value): set the variable, with no collection meanwhile"},
    {"blind", set_blind, METH_O, "blind(on): whether blocks record nothing"},
    {"begin", (PyCFunction)(void (*)(void))begin, METH_FASTCALL, "begin(branch, callsite)"},
    {"skip", skip, METH_O, "skip(callsite)"},
    {"resume", (PyCFunction)(void (*)(void))resume, METH_FASTCALL, "resume(branch, callsite)"},
    {"end", end, METH_O, "end(opened)"},
    {"pause", pause_step, METH_O, "pause(opened)"},
    {"open", (PyCFunction)(void (*)(void))open_task, METH_FASTCALL, "open(branch, callsite)"},
    {"close", (PyCFunction)(void (*)(void))close_task, METH_FASTCALL, "close(branch, opened)"},
    {NULL, NULL, 0, NULL},
};

/* Initialised in one phase on purpose: an interpreter with its own lock refuses it, and gets the core in Python. */
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "manometer._core", "The compiled core; see _core.c.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__core(void)
{
    PyObject *made = PyModule_Create(&module);
    PyObject *frame = PyType_FromSpec(&frame_spec), *branch = PyType_FromSpec(&branch_spec);
    PyObject *block = PyType_FromSpec(&block_spec);
    frame_type = (PyTypeObject *)frame;
    branch_type = (PyTypeObject *)branch;
    str_frames = PyUnicode_InternFromString("frames");
    str_policy = PyUnicode_InternFromString("policy");
    str_max_frames = PyUnicode_InternFromString("max_frames");
    str_late = PyUnicode_InternFromString("late");
    str_flow = PyUnicode_InternFromString("flow");
    str_plan = PyUnicode_InternFromString("plan");
    str_probed = PyUnicode_InternFromString("probed");
    str_into = PyUnicode_InternFromString("_into");
    str_out = PyUnicode_InternFromString("_out");
    if (made == NULL || frame == NULL || branch == NULL || str_frames == NULL || str_policy == NULL
        || str_max_frames == NULL || str_late == NULL || str_flow == NULL || str_plan == NULL || str_probed == NULL || str_into == NULL || str_out == NULL || block == NULL
        || PyModule_AddObject(made, "Measure", block) < 0 || PyModule_AddObject(made, "Frame", frame) < 0
        || PyModule_AddObject(made, "Branch", branch) < 0
        || PyModule_AddIntConstant(made, "MAX_RECURSION_WALK", MAX_RECURSION_WALK) < 0 || set_up_taps(made) < 0) {
        Py_XDECREF(made);
        return NULL;
    }
    return made;
}
