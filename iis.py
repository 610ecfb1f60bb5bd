"""Implicit intermediate supervision: an easy question in the data teaches a hard one.

Show a network examples of the parity of 5 hidden bits out of 50, and it only guesses.
Let a fifth of them ask for the *sum* of these bits, and with no more examples it
answers both, though nobody says that one helps with the other. Run:
python iis.py --p 0.2 --n 50 --k 5

Part 1 is the whole algorithm in plain NumPy; the rest makes it fast and general. All of
it follows a paper's abstract and reviews: see the README. The licence is at the end.
"""

import math
import time
from dataclasses import dataclass, field
import numpy as np

# --------------------------------------------------------------------------------------
# 1. The idea
# A problem has tasks, questions about its inputs: first the easy ones, the helpers, and
# last the hard one, the target. `train`, at the end, repeats these four lines:
#     inputs, labels = problem.sample(...)    # labels are the answers to all questions
#     labels = supervise(labels, ...)         # keep some back: this is the new idea
#     network.descend(inputs, labels, ...)    # learn from the others
#     answers = network.predict(...)          # right on new inputs, too? Then stop


@dataclass  # writes __init__: n, k and seed, which have a type, become its arguments
class ParitySum:
    """n random bits. k of them count, nobody says which: how many are 1? Is that odd?

        01011111100000101100001011011001110011111110101100    an input: n = 50 bits
          ^ ^             ^    ^            ^                 k = 5 hidden: these count
        sum = 2, parity = 0                                   the labels

    A hidden bit that is 1 makes the sum larger, on average: so each hidden bit can be
    found by itself. The parity is 1 half of the time, whatever that bit is: it is hard.
    """
    n: int = 50
    k: int = 5
    seed: int = 0  # decides which bits are hidden
    name = "parity"  # what the command line calls it
    tasks = ("sum", "parity")

    def __post_init__(self):  # when n, k and seed are set
        self.n = number("n", self.n, 1, 100_000)  # refuses other numbers: below
        self.k = number("k", self.k, 1, self.n)
        self.seed = number("seed", self.seed, 0, np.inf)
        shuffled = np.random.default_rng(self.seed).permutation(self.n)
        self.support = np.sort(shuffled[: self.k])  # places of the hidden bits: (k,)
        self.classes = (self.k + 1, 2)  # how many answers: 0 ... k to the sum, 0 and 1

    def sample(self, rng, size):
        """Return random bits, uint8 (size, n), and their labels, int64 (size, 2)."""
        octets = rng.integers(0, 256, (size, math.ceil(self.n / 8)), dtype=np.uint8)
        bits = np.unpackbits(octets, axis=1, count=self.n)  # (size, n / 8) -> (size, n)
        return bits, self.label(bits)

    def label(self, bits):  # answers both questions
        sums = bits[:, self.support].sum(axis=1, dtype=np.int64)  # (size, n) -> (size,)
        return np.stack([sums, sums % 2], axis=1)  # (size,), (size,) -> (size, 2)

    def show(self, bits):  # writes one input, (n,), as a person would
        return "".join(str(int(bit)) for bit in bits)


SUPERVISIONS = ("target", "multi-task", "multi-label", "explicit", "curriculum")


def supervise(labels, rng, supervision, p=0.2):
    """Keep some of the labels, (size, tasks), back: -1 means "not told".

    target       the target's answer alone: the control, which no helper helps
    multi-task   one answer: a helper's with probability p, else the target's
    curriculum   the same, with p = 1 until helpers are learned, then p = 0
    multi-label  all answers
    explicit     all; each is read before the next is given: a chain of thought
    """
    p = number("p", p, 0, 1, whole=False)
    labels = checked("labels", labels, ("size", "tasks"), -1, np.inf).astype(np.int64)
    if supervision not in SUPERVISIONS:
        raise ValueError(f"supervision must be in {SUPERVISIONS}, not {supervision!r}")
    if supervision in ("multi-label", "explicit"):
        return labels
    size, tasks = labels.shape
    easy = rng.random(size) < (0 if supervision == "target" else p)
    helper = rng.integers(0, max(1, tasks - 1), size)  # without helpers 0, the target
    asked = np.where(easy, helper, tasks - 1)  # one task for each example: (size,)
    told = asked[:, None] == np.arange(tasks)  # (size, 1), (tasks,) -> (size, tasks)
    return np.where(told, labels, -1)


class Network:
    """What networks share: how they learn. To write your own, subclass it and define

    init(problem, rng, dtype)           which draws params, a dict of named arrays
    loss_and_gradients(inputs, labels)  the mean loss; its gradients, named like params
    predict(inputs)                     the answers to all tasks, integers (size, tasks)
    """
    def descend(self, inputs, labels, batch, lr=None):
        """Step downhill once per batch, at learning rate lr; return the summed loss."""
        batch, total = number("batch", batch, 1), 0.0
        lr = number("lr", 0.002 if lr is None else lr, 0, 1e38, whole=False)
        labels = checked("labels", labels, (len(inputs) or 1, "tasks"), -1, np.inf)
        for start in range(0, len(inputs), batch):
            x, y = inputs[start : start + batch], labels[start : start + batch]
            loss, gradients = self.loss_and_gradients(x, y)
            self.adam(gradients, lr)
            total += float(loss) * len(x)
        return total

    def adam(self, gradients, lr):
        """Move weights by lr, less if a gradient changes sign (Kingma and Ba 2015)."""
        if getattr(self, "trained", None) is not self.params:  # new ones, from init
            need = {name: np.shape(array) for name, array in self.params.items()}
            have = {name: np.shape(array) for name, array in gradients.items()}
            if need != have:
                raise ValueError(f"gradients must be as params are, {need}, not {have}")
            self.trained, self.memory = self.params, {}
        for name, gradient in gradients.items():
            step, mean, square = self.memory.get(name, (1, 0, 0))
            mean = 0.9 * mean + 0.1 * gradient  # a running mean: at first too small
            square = 0.999 * square + 0.001 * gradient**2  # and one of its square
            self.memory[name] = step + 1, mean, square
            mean, square = mean / (1 - 0.9**step), square / (1 - 0.999**step)  # mended
            self.params[name] -= lr * mean / (np.sqrt(square) + 1e-8)

    def __getattr__(self, name):  # is called if an attribute is missing: before init
        if name in ("params", "problem", "shapes", "n", "classes"):
            raise ValueError(f"{self!r} has no {name}: its init must be called first")
        raise AttributeError(f"{type(self).__name__} object has no attribute {name!r}")


def cross_entropy(logits, labels, classes):
    """Return the mean loss, and its derivative with respect to the logits.

    A row of logits has a score z for each answer of each task: 6 of the sum, then 2.
    softmax(z) = exp(z) / sum(exp(z)) turns them into probabilities. A label's loss is
    -log of its probability, log(sum(exp(z))) - z[label]; its derivative is softmax(z),
    minus 1 at the label. A label of -1, which is not told, adds no loss.
    """
    if logits.shape[1] != sum(classes):
        raise ValueError(f"logits must be (size, {sum(classes)}), not {logits.shape}")
    labels = checked("labels", labels, (len(logits) or 1, len(classes)), -1, classes)
    loss, dlogits, start = 0.0, np.zeros(logits.shape, np.result_type(logits, "f4")), 0
    for task, count in enumerate(classes):
        told = labels[:, task] >= 0  # in these examples: (size,)
        z = logits[told, start : start + count]  # (size, outputs) -> (told, count)
        z = z - z.max(axis=1, keepdims=True)  # same softmax, no overflow
        total = np.exp(z).sum(axis=1, keepdims=True)  # (told, count) -> (told, 1)
        truth = labels[told, task][:, None] == np.arange(count)  # -> (told, count)
        loss += np.log(total).sum() - z[truth].sum()
        dlogits[told, start : start + count] = np.exp(z) / total - truth
        start += count
    return float(loss) / len(labels), dlogits / len(labels)


@dataclass
class NumpyMLP(Network):
    """`width` hinges max(0, ·), which can add up to 0 1 0 1 ...: parity by the sum."""
    width: int = 128
    name = "numpy"

    def init(self, problem, rng, dtype=np.float32):
        """Draw W up to ±1/sqrt(n), V up to ±1/sqrt(width); b and c start at 0."""
        width = number("width", self.width, 1, 1_000_000)
        bits, _ = problem.sample(rng, 1)  # an example tells n
        bits = checked(f"bits for network {self.name}", bits, ("size", "n"), 0, 2)
        self.n, self.classes = bits.shape[1], problem.classes
        W = rng.uniform(-1, 1, (self.n, width)) / np.sqrt(self.n)
        V = rng.uniform(-1, 1, (sum(self.classes), width)) / np.sqrt(width)
        params = {"W": W, "b": np.zeros(width), "V": V, "c": np.zeros(len(V))}
        self.params = {name: array.astype(dtype) for name, array in params.items()}

    def forward(self, inputs):
        """Return x, the bits as -1 and 1; the hidden units; and the logits."""
        W, b, V, c = [self.params[name] for name in ("W", "b", "V", "c")]
        x = 2 * checked("inputs", inputs, ("size", self.n), 0, 2).astype(W.dtype) - 1
        hidden = np.maximum(x @ W + b, 0)  # (size, n) -> (size, width)
        return x, hidden, hidden @ V.T + c  # (size, width) -> (size, outputs)

    def loss_and_gradients(self, inputs, labels):
        """Go forward to the loss, then back: dV is its derivative with respect to V."""
        x, hidden, logits = self.forward(inputs)
        loss, dlogits = cross_entropy(logits, labels, self.classes)
        dV, dc = dlogits.T @ hidden, dlogits.sum(axis=0)  # (outputs, width), (outputs,)
        dhidden = (dlogits @ self.params["V"]) * (hidden > 0)  # -> (size, width)
        dW, db = x.T @ dhidden, dhidden.sum(axis=0)  # (n, width), (width,)
        return loss, {"W": dW, "b": db, "V": dV, "c": dc}

    def predict(self, inputs):
        """Take each task's highest score: (size, n) -> answers, int64 (size, tasks)."""
        _, _, logits = self.forward(inputs)
        heads = np.split(logits, np.cumsum(self.classes)[:-1], axis=1)  # 6, then 2
        return np.stack([z.argmax(axis=1) for z in heads], axis=1)


def number(name, value, low, high=10**12, whole=True):
    """Return value, an int if whole, else a float; refuse what is out of range."""
    fits = isinstance(value, (int, float, np.number)) and low <= value <= high
    if not fits or (whole and value % 1):
        kind = "whole number" if whole else "number"
        raise ValueError(f"{name} must be a {kind} from {low} to {high}, not {value!r}")
    return int(value) if whole else float(value)


def checked(name, array, shape, low, below):
    """Return array if it has this shape and integers from low up, below `below`."""
    array = np.asarray(array)
    fits = array.ndim == len(shape) and array.dtype.kind in "biu"  # bool, int, unsigned
    for wanted, length in zip(shape, array.shape):
        fits = fits and (wanted == length or isinstance(wanted, str))  # "size" is any
    if fits:
        columns = array.T if np.ndim(below) else [array]  # one bound for each
        highest = [column.max(initial=0) for column in columns]
        if array.min(initial=0) >= low and np.less(highest, below).all():
            return array
    came = f"{array.min()} to {array.max()}" if fits else f"{array.dtype} {array.shape}"
    raise ValueError(f"{name} must be integers of shape ({', '.join(map(str, shape))}),"
                     f" numbered from {low} up and below {below}, not {came}")


class Diverged(ValueError):
    """The loss or a weight is no finite number any more."""


@dataclass
class Run:  # the result of one training
    solved_at: int | None = None  # examples seen when the target was first 99 % right
    examples: int = 0  # seen in all
    network: object = None  # as trained
    history: list = field(default_factory=list)  # [] at first, then a dict per test


def check_problem(problem, network, rng):
    """Draw 10,000 examples to test on; refuse a problem whose parts do not fit."""
    for given in (problem, network):
        if isinstance(given, type):
            raise ValueError(f"train needs an object, {given.__name__}(), not a class")
    tasks, classes = problem.tasks, problem.classes
    if isinstance(tasks, str) or not len(set(tasks)) == len(tasks) == len(classes):
        raise ValueError(f"tasks must be names, one for each of classes, not {tasks!r}")
    for source, size in ((np.random.default_rng(0), 3), (rng, 10_000)):  # 3 as a trial
        inputs, labels = problem.sample(source, size)
        checked("labels", labels, (size, len(tasks)), 0, classes)
        if len(inputs) != size or np.ma.is_masked(inputs) or np.ma.is_masked(labels):
            raise ValueError(f"sample must draw {size} inputs if asked, none masked")
    return inputs, np.asarray(labels)


@np.errstate(all="ignore")  # no warnings of what is not finite: it raises Diverged
def train(problem, network, supervision="multi-task", p=0.2, examples=1_000_000,
          batch=64, seed=0, stop_when_solved=True, lr=None, every=None,
          dtype=np.float32, report=None):
    """Train until the target is solved: 99 % right on 10,000 examples to test on.

    Test every `every` examples, then call report(run). Raise ValueError or Diverged."""
    examples, batch = number("examples", examples, 1), number("batch", batch, 1)
    rng_start, rng_data, rng_labels, rng_test = np.random.default_rng(seed).spawn(4)
    test, truth = check_problem(problem, network, rng_test)
    supervision = getattr(network, "supervision", supervision)  # Explicit has its own
    if supervision == "explicit" and not hasattr(network, "supervision"):
        network = Explicit(network)  # part 3: it answers one question after the other
    p = 1.0 if supervision == "curriculum" else p  # at first the helpers alone
    network.init(problem, rng_start, dtype)
    checked("predict", network.predict(test[:3]), (3, len(truth[0])), -np.inf, np.inf)
    run, began = Run(network=network), time.perf_counter()
    while run.examples < examples and not (run.solved_at and stop_when_solved):
        wait = min(max(6_400, run.examples // 16), 64_000) if every is None else every
        size = batch * math.ceil(number("every", wait, 1) / batch)  # whole batches
        size = min(size, examples - run.examples)
        inputs, labels = problem.sample(rng_data, size)  # none is used twice
        labels = supervise(labels, rng_labels, supervision, p)
        loss = network.descend(inputs, labels, batch, lr) / size
        if not all(np.isfinite(x).all() for x in (loss, *network.params.values())):
            raise Diverged("the loss is not finite any more: try a smaller lr")
        run.examples += size
        right = network.predict(test[:2_000]) == truth[:2_000]  # a quick test
        looks_solved = right[:, -1].mean() > 0.98 and not run.solved_at
        if looks_solved or run.examples == examples:
            right = network.predict(test) == truth  # the full test: (10,000, tasks)
        accuracy, seconds = right.mean(axis=0), time.perf_counter() - began  # (tasks,)
        if accuracy[-1] >= 0.99 and not run.solved_at:
            run.solved_at = run.examples
        run.history.append({"examples": run.examples, "seconds": seconds, "loss": loss,
                            "accuracy": dict(zip(problem.tasks, accuracy.tolist()))})
        if supervision == "curriculum" and (accuracy[:-1] >= 0.99).all():
            p = 0.0  # the helpers are learned: from now on the target alone
        if report:
            report(run)
    return run


def check_gradients(network, inputs, labels):
    """Return the worst parameter, and how far its gradient is from central differences.

    For a network of your own, after init with dtype float64: the distance, relative to
    the length of the differences, is then 1e-6 or less. ValueError for other dtypes.
    """
    errors = {}
    if any(np.asarray(array).dtype != np.float64 for array in network.params.values()):
        raise ValueError("params must be of float64: init(problem, rng, dtype=np.float64)")
    _, gradients = network.loss_and_gradients(inputs, labels)
    for name, array in network.params.items():
        slopes = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + 1e-6
            above, _ = network.loss_and_gradients(inputs, labels)
            array[index] = kept - 1e-6
            below, _ = network.loss_and_gradients(inputs, labels)
            array[index] = kept
            slopes[index] = (above - below) / 2e-6
        distance = np.linalg.norm(gradients[name] - slopes)
        error = float(distance / max(np.linalg.norm(slopes), 1e-9))
        errors[name] = np.inf if np.isnan(error) else error
    worst = max(errors, key=errors.get)
    return worst, errors[worst]


# --------------------------------------------------------------------------------------
# 2. The same, fast
#
# Part 1 needs nothing but NumPy. From here on Numba compiles the inner loops, the kernels, to
# machine code. With NUMBA_DISABLE_JIT=1 in the environment the same lines run as plain Python.

import argparse
import contextlib
import copy
import ctypes
import functools
import hashlib
import inspect
import json
import os
import re
import shutil
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
import numba
import numba.core.caching
import numba.core.compiler


def say(words):
    """Print a line on standard error, if that is open."""
    if sys.stderr:
        print(f"iis.py: {words}", file=sys.stderr, flush=True)


once = functools.cache(say)  # the same words only once


class Cache(numba.core.caching.FunctionCache):
    """Machine code on disk. If its files cannot be read or written, kernels are compiled again."""

    def load_overload(self, *call):
        code = None
        try:
            code = super().load_overload(*call)
        except Exception:  # a file cut short can raise anything
            with contextlib.suppress(OSError):
                self.flush()  # empties the index, for save_overload to begin anew
        if code is None:
            once("compiling for some seconds, the first time only ...")
        return code

    def save_overload(self, *code):
        try:
            super().save_overload(*code)
        except OSError as error:
            once(f"compiled code cannot be kept in {self.cache_path}: {error.strerror}")


class Apart(numba.core.compiler.Compiler):
    """Compiles on the promise that no two arguments share memory: else loops would have to check.

    The flag is Numba's own, without a public name. Where it is missing, kernels are only slower.
    """

    def define_pipelines(self):
        if hasattr(self.state.flags, "noalias"):
            self.state.flags.noalias = True
        return super().define_pipelines()


# Sums in any order, but NaN stays NaN. A kernel that another one calls must do without "reassoc":
# it is optimised twice, and a run that compiles would round otherwise than one with stored code.
FAST = {"contract", "reassoc", "nsz", "arcp"}


def kernel(function, fastmath=FAST, **options):
    """Have Numba compile the function when first called, and keep the machine code on disk."""
    compiled = numba.njit(
        nogil=True,  # other threads run meanwhile
        error_model="numpy",  # x / 0 is inf and no exception: else no division is vectorised
        no_cfunc_wrapper=True,  # which nobody calls: compiles faster
        fastmath=fastmath, **options)(function)
    try:
        compiled._cache = Cache(function)
    except RuntimeError:
        once("compiled code cannot be kept: no folder for it can be written to")
    return compiled


inlined = functools.partial(kernel, inline="always")  # copied to its callers: compiles faster


def aligned(shapes, dtype):
    """Return a vector of zeros and, {name: array}, views into it that have these shapes.

    Each begins on a 64-byte boundary: elsewhere every vector lies across two lines of the cache.
    """
    sizes = [math.ceil(math.prod(shape) / 16) * 16 for shape in shapes.values()]
    memory, arrays, start = np.zeros(sum(sizes) + 16, dtype), {}, 0
    first = -memory.ctypes.data % 64 // dtype.itemsize
    vector = memory[first : first + sum(sizes)]
    for (name, shape), size in zip(shapes.items(), sizes):
        arrays[name] = vector[start : start + math.prod(shape)].reshape(shape)
        start += size
    return vector, arrays


class Compiled(Network):
    """A network with a kernel for its descent, which works on a copy of params in one vector.

    A subclass ends its init with `begin`. Its `steps` go down all batches, from `params`, views of
    the vector `weights`, with room for the gradients, and return the loss summed over examples.
    """
    def begin(self, arrays, dtype):
        """Set params, whose names and shapes are to stay."""
        self.params = {name: np.array(array, dtype, order="C") for name, array in arrays.items()}
        self.shapes = {name: array.shape for name, array in arrays.items()}
        self.gathered()  # complains of another dtype

    def gathered(self):
        """Return a copy of params as kernels take them: as from `aligned`, in init's order."""
        found = {name: np.shape(array) for name, array in self.params.items()}
        dtypes = {np.asarray(array).dtype for array in self.params.values()}
        if found != self.shapes or dtypes not in ({np.dtype("f4")}, {np.dtype("f8")}):
            raise ValueError(f"params must be {self.shapes}, all of dtype float32 or all float64, "
                             f"not {found}, {', '.join(map(str, dtypes))}")
        vector, arrays = aligned(self.shapes, *dtypes)
        for name, array in arrays.items():
            array[:] = self.params[name]
        return vector, arrays

    def rate(self, batch):
        """The learning rate, where none is given."""
        return 0.002

    def descend(self, inputs, labels, batch, lr=None):
        """As Network.descend; puts the params back in place when it ends, also when it raises."""
        params, (weights, arrays), batch = self.params, self.gathered(), number("batch", batch, 1)
        lr = number("lr", self.rate(batch) if lr is None else lr, 0, 1e38, whole=False)
        labels = as_labels(labels, len(inputs), self.classes)
        for name, array in params.items():
            if not array.flags.writeable or params[name] is not array:  # a file makes new ones
                raise ValueError(f"params[{name!r}] cannot be written to")
        if getattr(self, "trained", None) is not params:  # as in Network.adam
            self.trained, self.memory = params, {}
        if "all" not in self.memory:  # Adam's steps, mean and square
            self.memory["all"] = [0, np.zeros_like(weights), np.zeros_like(weights)]
        try:
            return self.steps(inputs, labels, batch, lr, self.memory["all"], weights, arrays,
                              *aligned(self.shapes, weights.dtype))
        finally:
            for name, array in arrays.items():
                params[name][:] = array


def as_bits(inputs, n):
    """Return inputs as kernels take them, uint8 (size, n). Raises ValueError if they do not fit."""
    return np.ascontiguousarray(checked("inputs", inputs, ("size", n), 0, 2), np.uint8)


def as_labels(labels, size, classes):
    """Return labels as kernels take them, int64 (size, tasks). Raises as `as_bits` does."""
    labels = checked("labels", labels, (max(1, size), len(classes)), -1, classes)
    return np.ascontiguousarray(labels, np.int64)


# A matrix of signs times another needs no multiplication: four columns of signs meet four rows of
# the other, of which there are only 16 signed sums. Add those up once, and each row looks its own
# up: the "method of four Russians" (Arlazarov, Dinic, Kronrod and Faradzhev 1970).


@kernel
def pack(bits):
    """Pack sixteen bits of a row into one integer: (rows, inner) -> (inner / 16, rows)."""
    rows, inner = bits.shape
    packed = np.zeros(((inner + 15) >> 4, rows), np.uint16)
    for j in range(inner):
        for i in range(rows):
            packed[j >> 4, i] |= np.uint16(bits[i, j]) << (j & 15)
    return packed


@inlined
def product_columns(packed, M, out, sums, left, size):
    """`product`, for `size` columns from `left` on."""
    right, real = left + size, M.dtype.type
    for c in range(len(packed)):
        for g in range(4):
            sums[g, 0, :size] = 0
            for r in range(min(4, len(M) - 16 * c - 4 * g)):
                row, known = M[16 * c + 4 * g + r, left:right], 1 << r
                for s in range(known):  # each row doubles the number of sums
                    less, more = sums[g, s], sums[g, known + s]
                    for h in range(size):
                        more[h] = less[h] + row[h]
                        less[h] -= row[h]
        keep = real(c > 0)  # what was in out before does not count
        for i in range(len(out)):
            row, bits = out[i, left:right], packed[c, i]
            s0, s1 = sums[0, bits & 15], sums[1, bits >> 4 & 15]
            s2, s3 = sums[2, bits >> 8 & 15], sums[3, bits >> 12]
            for h in range(size):
                row[h] = keep * row[h] + s0[h] + s1[h] + s2[h] + s3[h]


@functools.partial(kernel, pipeline_class=Apart, fastmath={"contract"})
def product(packed, M, out, sums):
    """out[:] = S @ M, where S is a matrix of signs, +1 for a bit that is 1 and -1 for a 0.

    packed (inner / 16, rows) uint16, as from pack; M (inner, width); out (rows, width), finite;
    sums (4, 16, 64), those of 16 rows of M and 64 columns, which stay in the cache.
    """
    whole = M.shape[1] // 64 * 64
    for left in range(0, whole, 64):
        product_columns(packed, M, out, sums, left, 64)  # a constant: loops without a remainder
    if whole < M.shape[1]:
        product_columns(packed, M, out, sums, whole, M.shape[1] - whole)


@functools.partial(kernel, fastmath={"ninf"})
def adam_kernel(weights, gradient, mean, square, step, lr):
    """Network.adam; all arrays (weights,). Sets the gradient to 0.

    With the promise of no infinity, "ninf", the division is done for eight weights at a time.
    """
    real = weights.dtype.type  # a plain 0.9 would turn all the arithmetic into double precision
    beta1, beta2, epsilon = real(0.9), real(0.999), real(1e-8)
    new1, new2 = real(1 - 0.9), real(1 - 0.999)
    rate, unbias = real(lr / (1 - math.pow(0.9, step))), real(1 / (1 - math.pow(0.999, step)))
    for i in range(len(weights)):
        mean[i] = beta1 * mean[i] + new1 * gradient[i]
        square[i] = beta2 * square[i] + new2 * gradient[i] * gradient[i]
        weights[i] -= rate * mean[i] / (math.sqrt(square[i] * unbias) + epsilon)
        gradient[i] = 0


@inlined
def mlp_scores(hidden, told, starts, b, V, c, scores):
    """NumpyMLP.forward from hidden = x W (size, width) on, for tasks that are told, not below 0.

    starts (tasks + 1,): where the scores of each task begin, and the end; scores (size, outputs).
    """
    zero = V.dtype.type(0)
    for i in range(len(hidden)):
        for h in range(len(b)):
            z = hidden[i, h] + b[h]
            hidden[i, h] = zero if z < zero else z  # so written, NaN goes through
    for i in range(len(hidden)):
        for t in range(len(starts) - 1):
            if told[i, t] >= 0:
                for a in range(starts[t], starts[t + 1]):
                    z = c[a]
                    for h in range(len(b)):
                        z += hidden[i, h] * V[a, h]
                    scores[i, a] = z


@inlined
def mlp_head(hidden, labels, starts, b, V, c, db, dV, dc, dhidden, scores):
    """NumpyMLP's forward and backward from hidden = x W (size, width) on; return the loss.

    Adds to the gradients of b, V and c, and overwrites hidden with its own. Each loop over examples
    is so short that the processor works on several at a time. dhidden (width,) is room to work in.
    """
    size, tasks, loss = len(hidden), len(starts) - 1, 0.0
    zero, share = V.dtype.type(0), V.dtype.type(1 / size)
    mlp_scores(hidden, labels, starts, b, V, c, scores)
    for i in range(size):
        for t in range(tasks):
            if labels[i, t] >= 0:
                truth, largest, total = starts[t] + labels[i, t], V.dtype.type(-np.inf), zero
                for a in range(starts[t], starts[t + 1]):
                    largest = max(largest, scores[i, a])
                loss += largest - scores[i, truth]
                for a in range(starts[t], starts[t + 1]):
                    scores[i, a] = math.exp(scores[i, a] - largest)
                    total += scores[i, a]
                loss += math.log(total)
                for a in range(starts[t], starts[t + 1]):
                    scores[i, a] *= share / total
                scores[i, truth] -= share
    for i in range(size):
        for h in range(len(b)):
            dhidden[h] = zero
        for t in range(tasks):
            if labels[i, t] >= 0:
                for a in range(starts[t], starts[t + 1]):
                    d = scores[i, a]
                    dc[a] += d
                    for h in range(len(b)):
                        dV[a, h] += d * hidden[i, h]
                        dhidden[h] += d * V[a, h]
        for h in range(len(b)):
            hidden[i, h] = dhidden[h] if hidden[i, h] > zero else zero
            db[h] += hidden[i, h]
    return loss / size


@kernel
def mlp_descend(bits, labels, starts, batch, lr, step, weights, gradient, mean, square,
                W, b, V, c, dW, db, dV, dc, room, sums):
    """Network.descend for NumpyMLP; return the loss summed over examples."""
    total, dhidden, scores = 0.0, np.empty_like(b), np.empty((len(room), len(c)), c.dtype)
    for start in range(0, len(bits), batch):
        x, y = bits[start : start + batch], labels[start : start + batch]
        hidden = room[: len(x)]
        product(pack(x), W, hidden, sums)  # (size, n) (n, width) -> (size, width)
        total += len(x) * mlp_head(hidden, y, starts, b, V, c, db, dV, dc, dhidden, scores)
        product(pack(x.T), hidden, dW, sums)  # (n, size) (size, width) -> (n, width)
        step += 1
        adam_kernel(weights, gradient, mean, square, step, lr)
    return total


@dataclass
class MLP(Compiled, NumpyMLP):
    """NumpyMLP with compiled kernels: a step takes a seventh of the time at batch 64."""
    name = "mlp"

    def init(self, problem, rng, dtype=np.float32):
        super().init(problem, rng, dtype)
        self.begin(self.params, dtype)

    def steps(self, inputs, labels, batch, lr, memory, weights, params, gradient, gradients):
        bits, starts = as_bits(inputs, self.n), np.cumsum([0, *self.classes])
        shapes = {"hidden": (min(batch, len(bits)), len(params["b"])), "sums": (4, 16, 64)}
        _, room = aligned(shapes, weights.dtype)
        done, mean, square = memory
        memory[0] += math.ceil(len(bits) / batch)
        return mlp_descend(bits, labels, starts, batch, lr, done, weights, gradient, mean, square,
                           *params.values(), *gradients.values(), *room.values())

    def predict(self, inputs):
        (_, arrays), bits = self.gathered(), as_bits(inputs, self.n)
        W, b, V, c = arrays.values()
        starts, every = np.cumsum([0, *self.classes]), np.zeros((len(bits), len(self.classes)), int)
        shapes = (len(bits), len(b)), (4, 16, 64), (len(bits), len(c))
        hidden, sums, scores = [np.zeros(shape, W.dtype) for shape in shapes]
        product(pack(bits), W, hidden, sums)  # (size, n) (n, width) -> (size, width)
        mlp_scores(hidden, every, starts, b, V, c, scores)
        return np.stack([z.argmax(axis=1) for z in np.split(scores, starts[1:-1], axis=1)], axis=1)


KINK = 1e-12  # what is not above this counts as 0: rounding must not decide if a hinge is on


@inlined
def bilinear_batch(bits, labels, W, v, c, dW, dv, dc):
    """Add the gradients of one batch to dW, dv and dc, which are 0, and return the loss.

    P = W x̃, as in Bilinear. The sum is read off the mean of P, plus (k - 1) / 2, and costs
    k/2 (it - label)²; f = v · relu(P) + c costs 1/2 (f - 1)² if the parity is odd, else
    1/2 (f + 1)². The weight k makes up for the mean over P: each row of W feels the whole error.
    """
    (size, n), k, loss, real = bits.shape, len(v), 0.0, W.dtype.type
    x, P = np.ones(n + 1, W.dtype), np.zeros(k, W.dtype)
    for i in range(size):
        for b in range(n):
            x[b] = 2 * real(bits[i, b]) - 1
        mean, f = real(0), c[0]
        for j in range(k):
            z = real(0)
            for b in range(n + 1):
                z += W[j, b] * x[b]
            P[j] = z
            mean += z / k
            f += v[j] * (0 if z <= 0 else z)  # so written, NaN goes through
        sum_error = mean + (k - 1) / 2 - labels[i, 0] if labels[i, 0] >= 0 else 0.0
        f_error = f - (2 * labels[i, 1] - 1) if labels[i, 1] >= 0 else 0.0
        loss += (k * sum_error**2 + f_error**2) / 2
        dc[0] += f_error / size
        for j in range(k):
            dP = sum_error
            if P[j] > KINK:
                dv[j] += f_error * P[j] / size
                dP += f_error * v[j]
            dP = real(dP / size)
            for b in range(n + 1):
                dW[j, b] += dP * x[b]
    return loss / size


@kernel
def bilinear_descend(bits, labels, batch, lr, ratio, weights, gradient, W, v, c, dW, dv, dc):
    """Plain stochastic gradient descent over all batches; return the loss summed over examples."""
    total = 0.0
    for start in range(0, len(bits), batch):
        x, y = bits[start : start + batch], labels[start : start + batch]
        total += len(x) * bilinear_batch(x, y, W, v, c, dW, dv, dc)
        dv *= ratio
        dc *= ratio
        for i in range(len(weights)):
            weights[i] -= lr * gradient[i]
            gradient[i] = 0
    return total


@dataclass
class Bilinear(Compiled):
    """The network of the paper's theorem: f = vᵀ relu(W x̃) + c, with x̃ = (x, 1) and x in {±1}ⁿ.

    A reconstruction. The sum is read off the mean of P = W x̃, the parity off the sign of f. At the
    start W reads no bit and v = 0, so that the gradient of the parity's loss, averaged over all
    inputs, is exactly 0. Once the sum has drawn W's columns to 1/2 on the support and 0 elsewhere,
    P_j = sum - j, and parity is a linear function of the k hinges relu(P_j).

    params: W (k, n + 1), v (k,), c (1,). Learns by plain stochastic gradient descent.
    """
    name = "bilinear"

    @staticmethod
    def rates(n, k, batch):
        """Return W's learning rate, and the ratio of v's and c's to it.

        The noise of batches grows like lr n / batch: the rate keeps that below a bound, at any n.
        The ratio is 5, and less for k > 5, since the squared length of all hinges grows like k³.
        """
        return 0.02 * min(1, 1.5 * batch / n), min(5.0, 5 * (5 / k) ** 3)

    def init(self, problem, rng, dtype=np.float32):
        """Set W = [0 | b] with b_j = k/2 - j, v = c = 0. ValueError if no task is the sum."""
        if problem.tasks[0] != "sum" or tuple(problem.classes[1:]) != (2,):
            raise ValueError("network bilinear knows two tasks, the sum and one with two answers")
        bits, _ = problem.sample(rng, 1)
        self.classes, self.n, k = problem.classes, bits.shape[1], problem.classes[0] - 1
        W = np.zeros((k, self.n + 1))
        W[:, -1] = k / 2 - np.arange(k)
        self.begin({"W": W, "v": np.zeros(k), "c": np.zeros(1)}, dtype)

    def rate(self, batch):
        return self.rates(self.n, self.classes[0] - 1, batch)[0]

    def loss_and_gradients(self, inputs, labels):
        """Return what labels cost, a mean over examples, as bilinear_batch says; its gradients."""
        (weights, arrays), bits = self.gathered(), as_bits(inputs, self.n)
        labels = as_labels(labels, len(bits), self.classes)
        _, gradients = aligned(self.shapes, weights.dtype)
        return bilinear_batch(bits, labels, *arrays.values(), *gradients.values()), gradients

    def steps(self, inputs, labels, batch, lr, memory, weights, params, gradient, gradients):
        _, ratio = self.rates(self.n, self.classes[0] - 1, batch)
        return bilinear_descend(as_bits(inputs, self.n), labels, batch, lr, ratio, weights,
                                gradient, *params.values(), *gradients.values())

    def predict(self, inputs):
        """Answer both tasks: (size, n) -> int64 (size, 2)."""
        W, v, c = self.gathered()[1].values()
        x = 2 * as_bits(inputs, self.n).astype(W.dtype) - 1
        P = x @ W[:, :-1].T + W[:, -1]  # (size, n) -> (size, k)
        sums, f = np.rint(P.mean(axis=1) + (len(v) - 1) / 2), np.maximum(P, 0) @ v + c
        return np.stack([np.clip(sums, 0, len(v)), f > 0], axis=1).astype(np.int64)


# --------------------------------------------------------------------------------------
# 3. Further problems
#
# An example of Lego or Code is a sequence: inputs are integers (size, length, fields). Such a
# problem has, beside the three things of part 1,
#   fields          for each number of a position, how many values it takes, from 0 up
#   places(inputs)  the position at which each task is to be answered, integers (size, tasks)


@dataclass
class Lego:
    """A chain of k variables, each plus or minus the one before: what is the last?

    "c = -b; d = -1; a = +1; e = +d; b = -a" (Zhang et al. 2022): task t asks for the value of the
    chain's t-th variable, and so for t hops of reasoning; label 0 stands for -1, label 1 for +1.
    `others` is the number of variables in further, shorter chains, for which no task asks. Without
    them the last value would be the product of all signs; a single one leaves a similar shortcut.

    An example is one position for each clause, int64 (k + others, 3): the variable assigned, the
    sign (0 for minus), and what it is assigned, k + others standing for the constant.
    Raises ValueError unless k >= 1, or 2 if there are others, and k + others <= 26.
    """
    k: int = 5
    others: int = 3
    name = "lego"

    def __post_init__(self):
        self.k = number("k", self.k, 1, 26)
        self.others = number("others", self.others, 0, 26 - self.k if self.k > 1 else 0)
        self.length = self.k + self.others  # also the number of the constant
        self.tasks = tuple(f"hop {t + 1}" for t in range(self.k))
        self.classes = (2,) * self.k
        self.fields = (self.length, 2, self.length + 1)

    def sample(self, rng, size):
        """Draw inputs, int64 (size, k + others, 3), and labels, int64 (size, k)."""
        every = np.tile(np.arange(self.length), (size, 1))
        names, signs = rng.permuted(every, axis=1), rng.integers(0, 2, every.shape)
        sources = np.roll(names, 1, axis=1)  # along the chains, each is assigned the one before
        sources[:, 0] = self.length
        if self.others:
            sources[:, self.k :: self.k - 1] = self.length  # where another chain begins, k - 1 long
        clauses = np.stack([names, signs, sources], axis=2)  # (size, length) -> (size, length, 3)
        order = rng.permuted(every, axis=1)
        minuses = np.cumsum(1 - signs[:, : self.k], axis=1)  # so far along the chain
        return np.take_along_axis(clauses, order[:, :, None], axis=1), 1 - minuses % 2

    def places(self, inputs):
        """The position that assigns the variable of each task: (size, length, 3) -> (size, k).

        Go back k - 1 hops from all positions at once. Only the end of the longest chain is then
        still at a variable, and that chain is asked for: the same hops lead back along it.
        """
        size, length, _ = inputs.shape
        constant = np.full((size, 1), length)
        assigned_at = np.hstack([inputs[:, :, 0].argsort(axis=1), constant])  # by name
        source_at = np.hstack([np.take_along_axis(assigned_at, inputs[:, :, 2], axis=1), constant])
        back = [np.tile(np.arange(length), (size, 1))]  # where each comes from, 0, 1 ... hops ago
        for _ in range(self.k - 1):
            back.append(np.take_along_axis(source_at, back[-1], axis=1))
        end = (back[-1] < length).argmax(axis=1)  # where the chain ends: (size, length) -> (size,)
        return np.stack([places[np.arange(size), end] for places in reversed(back)], axis=1)

    def show(self, example):
        """Write one example, (k + others, 3), as a sentence."""
        letters = "abcdefghijklmnopqrstuvwxyz"[: self.length] + "1"
        return "; ".join(f"{letters[a]} = {'-+'[sign]}{letters[b]}" for a, sign, b in example)


@dataclass
class Code:
    """A program of k lines, each computing with an earlier result: what is the last?

    "c = (b * 3) % 5": task t asks for the value that line t assigns. A line takes a name assigned
    before and a constant, in either order, the first line two constants. Names may be used again.

    An example is one position for each line, int64 (k, 5): the line's number, the name assigned,
    the operator, and the two operands, k + i standing for the constant i.
    Raises ValueError unless 1 <= k <= 26 and 2 <= modulus <= 100.
    """
    k: int = 4
    modulus: int = 5
    name = "code"

    def __post_init__(self):
        self.k, self.modulus = number("k", self.k, 1, 26), number("modulus", self.modulus, 2, 100)
        self.tasks = tuple(f"line {t + 1}" for t in range(self.k))
        self.classes = (self.modulus,) * self.k
        self.fields = (self.k, self.k, 3, self.k + self.modulus, self.k + self.modulus)

    def sample(self, rng, size):
        """Draw inputs, int64 (size, k, 5), and labels, int64 (size, k)."""
        rows, k, m = np.arange(size), self.k, self.modulus
        names, operators = rng.integers(0, k, (size, k)), rng.integers(0, 3, (size, k))
        smallest = np.where(operators == 2, 1, 0)  # a product with 0 would give the value away
        operands = k + rng.integers(smallest[:, :, None], m, (size, k, 2))  # constants, at first
        values, labels = np.zeros((size, k + m), np.int64), np.zeros((size, k), np.int64)
        values[:, k:] = np.arange(m)  # by operand: what each name holds so far, and the constants
        for line in range(k):
            if line > 0:
                name = names[rows, rng.integers(0, line, size)]
                operands[rows, line, rng.integers(0, 2, size)] = name
            left, right = values[rows, operands[:, line, 0]], values[rows, operands[:, line, 1]]
            results = [left + right, left - right, left * right]
            labels[:, line] = np.choose(operators[:, line], results) % m
            values[rows, names[:, line]] = labels[:, line]
        lines = np.tile(np.arange(k), (size, 1))
        return np.dstack([lines, names, operators, operands]), labels

    def places(self, inputs):
        """The position that each task asks about, its line: (size, k, 5) -> (size, k)."""
        return inputs[:, :, 0]

    def show(self, example):
        """Write one example, (k, 5), as a Python program."""
        words = [*"abcdefghijklmnopqrstuvwxyz"[: self.k], *map(str, range(self.modulus))]
        lines = []
        for _, name, operator, left, right in example:
            value = f"({words[left]} {'+-*'[operator]} {words[right]}) % {self.modulus}"
            lines.append(f"{words[name]} = {value}")
        return "\n".join(lines)


@dataclass
class Explicit(Network):
    """Another network, which answers one task after the other and reads what it answered before.

    This is chain of thought (Wei et al. 2022), teacher-forced: in training, each pass over an
    example reads the true answers to the tasks before, when asked, those that the network wrote.
    The inputs get room for them: a bit for each possible answer of each helper or, in a sequence,
    one more field at the position that the task asks about. A missing answer is written as zeros.
    To the network inside, it is the problem.
    """
    network: Network
    name = supervision = "explicit"  # whatever train is told

    @property
    def params(self):
        return self.network.params

    @params.setter
    def params(self, params):
        self.network.params = params

    def init(self, problem, rng, dtype=np.float32):
        """Start the network inside on a problem whose inputs have room for answers."""
        self.problem, self.tasks, self.classes = problem, problem.tasks, problem.classes
        self.fields = (*getattr(problem, "fields", ()), 1 + max(problem.classes))
        self.network.init(self, rng, dtype)

    def sample(self, rng, size):
        """Draw inputs with no answer in them yet, and labels (size, tasks)."""
        inputs, labels = self.problem.sample(rng, size)
        return self.write(inputs, np.full(labels.shape, -1)), labels

    def places(self, inputs):
        """The position that each task asks about, in a sequence."""
        return self.problem.places(inputs[:, :, :-1])

    def write(self, inputs, answers):
        """Return wider inputs, with the answers (size, tasks) in them, -1 where not given."""
        if inputs.ndim == 3:
            written = np.zeros(inputs.shape[:2], np.int64)
            np.put_along_axis(written, self.problem.places(inputs), answers + 1, axis=1)
            return np.dstack([inputs, written])  # (..., fields) -> (..., fields + 1)
        written = [answers[:, [t]] == np.arange(count) for t, count in enumerate(self.classes[:-1])]
        return np.hstack([inputs, *written])  # (size, n) -> (size, n + all answers of the helpers)

    def passes(self, inputs, labels):
        """Turn each example into a pass for each task: (size, ...) -> (size tasks, ...)."""
        labels = as_labels(labels, len(inputs), self.classes)
        size, tasks = labels.shape
        inputs, labels = np.repeat(inputs, tasks, axis=0), np.repeat(labels, tasks, axis=0)
        task, asked = np.arange(tasks), np.tile(np.arange(tasks), size)[:, None]
        before, now = np.where(task < asked, labels, -1), np.where(task == asked, labels, -1)
        return self.write(inputs, before), now

    def descend(self, inputs, labels, batch, lr=None):
        batch = number("batch", batch, 1) * len(self.problem.tasks)
        return self.network.descend(*self.passes(inputs, labels), batch, lr)

    def loss_and_gradients(self, inputs, labels):
        """Return the mean over examples of their passes' summed loss, and its gradients."""
        tasks = len(self.problem.tasks)
        loss, gradients = self.network.loss_and_gradients(*self.passes(inputs, labels))
        return tasks * loss, {name: tasks * gradient for name, gradient in gradients.items()}

    def predict(self, inputs):
        """Answer every task in turn: int64 (size, tasks)."""
        answers = np.full((len(inputs), len(self.problem.tasks)), -1)
        for t in range(len(self.tasks)):
            answers[:, t] = self.network.predict(self.write(inputs, answers))[:, t]
        return answers


# --------------------------------------------------------------------------------------
# 4. The transformer, for all problems
#
# Its activations are columns, one for each position of each example, (width, positions); as
# (width, length, size) the examples lie side by side, and what is done to one is done to all in
# the innermost loop.


@kernel
def norm_forward(x, gain):
    """Scale columns of x (width, positions) to root mean square gain (Zhang and Sennrich 2019)."""
    y, scale, width = np.empty_like(x), np.zeros(x.shape[1], x.dtype), x.dtype.type(len(x))
    for h in range(len(x)):
        for i in range(len(scale)):
            scale[i] += x[h, i] * x[h, i] / width
    for i in range(len(scale)):
        scale[i] = 1 / math.sqrt(scale[i] + 1e-5)
    for h in range(len(x)):
        for i in range(len(scale)):
            y[h, i] = gain[h] * x[h, i] * scale[i]
    return y, scale


@kernel
def norm_backward(dy, x, scale, gain, dx):
    """Add the gradient of x to dx, and return that of gain."""
    dgain, width = np.zeros_like(gain), x.dtype.type(len(x))
    along = np.zeros_like(scale)  # what of dy only stretches x
    for h in range(len(x)):
        for i in range(len(scale)):
            along[i] += dy[h, i] * gain[h] * x[h, i] * scale[i] * scale[i] / width
    for h in range(len(x)):
        total = x.dtype.type(0)
        for i in range(len(scale)):
            total += dy[h, i] * x[h, i] * scale[i]
            dx[h, i] += scale[i] * (dy[h, i] * gain[h] - along[i] * x[h, i])
        dgain[h] = total
    return dgain


@kernel
def relu_forward(x, bias):
    """x[:] = relu(x + bias), in a single pass over x (width, positions)."""
    zero = x.dtype.type(0)
    for h in range(len(x)):
        for i in range(x.shape[1]):
            y = x[h, i] + bias[h]
            x[h, i] = zero if y < zero else y  # so written, NaN goes through


@kernel
def relu_backward(dy, y):
    """Turn dy into the gradient of relu's input: 0 where a unit is off."""
    for h in range(len(y)):
        for i in range(y.shape[1]):
            dy[h, i] *= y[h, i] > 0


@kernel
def attention_forward(qkv, heads, causal):
    """Let positions look at all, or at none that come later: softmax(qᵀ k / sqrt(d)) v, by head.

    qkv (3 width, length, size) is queries, keys and values on top of each other; a head has d rows
    of each. Returns what is seen, (width, length, size); how much, (heads, length, length, size).

    A call of exp would keep a loop from being vectorised. Eight terms of a Taylor series give
    y = exp(r) - 1 for r = x / 1024; exp(2 r) - 1 is y (2 + y); ten such steps lead to exp(x) - 1
    ("scaling and squaring", Moler and Van Loan 1978).
    """
    width, length, size = len(qkv) // 3, qkv.shape[1], qkv.shape[2]
    d, real = width // heads, qkv.dtype.type
    seen = np.zeros((width, length, size), qkv.dtype)
    attention = np.zeros((heads, length, length, size), qkv.dtype)
    scale, one, lowest, tiny = real(1 / math.sqrt(d)), real(1), real(-40), real(1 / 1024)
    for head in range(heads):
        scores = attention[head]
        for h in range(head * d, head * d + d):  # outermost: then scores stay in the cache
            for a in range(length):
                for b in range(length):
                    for i in range(size):
                        scores[a, b, i] += qkv[h, a, i] * qkv[width + h, b, i]
        for a in range(length):
            reach = a + 1 if causal else length
            largest, total = scores[a, 0].copy(), np.zeros(size, qkv.dtype)
            for b in range(1, reach):
                for i in range(size):
                    largest[i] = max(largest[i], scores[a, b, i])
            for b in range(reach):
                for i in range(size):
                    x, y = scale * (scores[a, b, i] - largest[i]), real(0)
                    r = tiny * (lowest if x < lowest else x)  # exp(-40) is nothing beside exp(0)
                    for term in range(8, 0, -1):
                        y = (one + y) * r * real(1 / term)
                    for _ in range(10):
                        y *= one + one + y
                    scores[a, b, i] = one + y
                    total[i] += one + y
            for b in range(reach):
                for i in range(size):
                    scores[a, b, i] /= total[i]
            scores[a, reach:] = 0  # what comes later is not looked at
        for h in range(head * d, head * d + d):
            for a in range(length):
                for b in range(length):
                    for i in range(size):
                        seen[h, a, i] += scores[a, b, i] * qkv[2 * width + h, b, i]
    return seen, attention


@kernel
def attention_backward(dseen, qkv, attention):
    """Return the gradient of qkv."""
    heads, length, _, size = attention.shape
    width = len(qkv) // 3
    d = width // heads
    dqkv = np.zeros_like(qkv)
    scale = qkv.dtype.type(1 / math.sqrt(d))
    for head in range(heads):
        scores, dscores = attention[head], np.zeros_like(attention[head])
        for h in range(head * d, head * d + d):
            for a in range(length):
                for b in range(length):
                    for i in range(size):
                        dscores[a, b, i] += dseen[h, a, i] * qkv[2 * width + h, b, i]
                        dqkv[2 * width + h, b, i] += dseen[h, a, i] * scores[a, b, i]
        for a in range(length):  # softmax's backward: attention (dscores - their weighted mean)
            mean = np.zeros(size, qkv.dtype)
            for b in range(length):
                for i in range(size):
                    mean[i] += scores[a, b, i] * dscores[a, b, i]
            for b in range(length):
                for i in range(size):
                    dscores[a, b, i] = scores[a, b, i] * (dscores[a, b, i] - mean[i]) * scale
        for h in range(head * d, head * d + d):
            for a in range(length):
                for b in range(length):
                    for i in range(size):
                        dqkv[h, a, i] += dscores[a, b, i] * qkv[width + h, b, i]
                        dqkv[width + h, b, i] += dscores[a, b, i] * qkv[h, a, i]
    return dqkv


@kernel
def scatter(columns, read, positions):
    """Return the gradient of x (width, positions) from that of columns `read`, which may repeat."""
    dx = np.zeros((len(columns), positions), columns.dtype)
    for h in range(len(dx)):
        for i in range(len(read)):
            dx[h, read[i]] += columns[h, i]
    return dx


def one_blas_thread():
    """Have NumPy's OpenBLAS use one thread: for products as small as these, more are no help."""
    with contextlib.suppress(AttributeError, OSError):  # it may have another BLAS
        ctypes.CDLL(np.linalg._umath_linalg.__file__).scipy_openblas_set_num_threads64_(1)


@dataclass
class Transformer(Compiled):
    """Pre-norm blocks with attention (Vaswani et al. 2017), trained from scratch by Adam.

    A position's embedding is the sum of its fields' embeddings. Each task is answered at the
    position that the problem names for it, by one head for all tasks. Bits become a sequence too: a
    position for each of them, (place, bit), and then one for each task, its question, where it is
    answered. `causal`: a position sees itself and earlier ones only, as in a language model.

    params: E (width, values of all fields). In each layer two norms' gains g and h (width,), A
    (3 width, width) for queries, keys and values, O (width, width), and two layers with relu
    between them, U (2 width, width) with bias b, and D (width, 2 width). At the end a norm's gain g
    (width,), H (outputs, width) and c (outputs,). Matrices start normal, with standard deviation
    1 / sqrt(fields) for E, 1 / (2 sqrt(inputs)) for the others; gains at 1, biases at 0.
    Raises ValueError unless all sizes are at least 1 and width is a multiple of heads.
    """
    width: int = 32
    layers: int = 3
    heads: int = 2
    causal: bool = False
    name = "transformer"

    def __post_init__(self):
        self.width = number("width", self.width, 1, 10_000)
        self.layers = number("layers", self.layers, 1, 1_000)
        self.heads = number("heads", self.heads, 1, self.width)
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads = {self.heads}, not {self.width}")

    def init(self, problem, rng, dtype=np.float32):
        """Draw the start; from then on NumPy uses one thread. ValueError for more than 500 bits."""
        one_blas_thread()
        inputs, _ = problem.sample(rng, 1)
        self.problem, self.classes = problem, problem.classes
        self.n = inputs.shape[1] if inputs.ndim == 2 else 0
        if self.n > 500:
            raise ValueError(f"network transformer takes up to 500 bits, not {self.n}")
        self.fields = (self.n + len(self.classes), 3) if self.n else problem.fields
        w, outputs, gain = self.width, max(self.classes), np.ones(self.width)

        def matrix(rows, columns):
            return 0.5 * columns**-0.5 * rng.standard_normal((rows, columns))

        params = {"E": len(self.fields) ** -0.5 * rng.standard_normal((w, sum(self.fields)))}
        for layer in range(self.layers):
            arrays = gain, matrix(3 * w, w), matrix(w, w), gain
            arrays += matrix(2 * w, w), np.zeros(2 * w), matrix(w, 2 * w)
            params |= {f"{name}{layer}": array for name, array in zip("gAOhUbD", arrays)}
        self.begin(params | {"g": gain, "H": matrix(outputs, w), "c": np.zeros(outputs)}, dtype)

    def tokens(self, inputs):
        """Return inputs as sequences, (size, length, fields), and tasks' places, (size, tasks)."""
        if self.n == 0:
            shape = "size", *np.shape(inputs)[1:2], len(self.fields)
            inputs = checked("inputs", inputs, shape, 0, self.fields)
            size, length, _ = inputs.shape
            places = self.problem.places(inputs)
            return inputs, checked("places", places, (size, len(self.classes)), 0, length)
        bits, tasks = as_bits(inputs, self.n), len(self.classes)
        values = np.hstack([bits, np.full((len(bits), tasks), 2)])  # a question's is neither bit
        places = np.tile(np.arange(self.n + tasks), (len(bits), 1))
        return np.dstack([places, values]), places[:, self.n :]

    def product(self, M, X):
        """Return M @ X, `width` rows of M at a time: OpenBLAS is up to 1.8 times faster so."""
        return (M.reshape(-1, self.width, M.shape[1]) @ X).reshape(len(M), -1)

    def forward(self, params, tokens, places, told):
        """Return the logits of tasks that are `told`, (told, outputs), and what backward needs."""
        size, length, _ = tokens.shape
        read = (places * size + np.arange(size)[:, None])[told]  # columns: (size, tasks) -> (told,)
        fields = np.ascontiguousarray(tokens.T).reshape(len(self.fields), -1)  # (fields, positions)
        onehot = [field == np.arange(count)[:, None] for field, count in zip(fields, self.fields)]
        onehot = np.concatenate(onehot).astype(params["E"].dtype)  # -> (values, positions)
        x, kept = params["E"] @ onehot, []  # -> (width, positions)
        for layer in range(self.layers):
            g, A, O, h, U, b, D = [params[f"{name}{layer}"] for name in "gAOhUbD"]
            y, scale = norm_forward(x, g)
            qkv = self.product(A, y).reshape(-1, length, size)  # -> (3 width, length, size)
            seen, attention = attention_forward(qkv, self.heads, self.causal)
            seen, before = seen.reshape(x.shape), x
            if layer == self.layers - 1:  # none will look at others any more: on with those read
                seen, x = np.take(seen, read, axis=1), np.take(x, read, axis=1)  # -> (width, told)
            z = O @ seen + x
            y2, scale2 = norm_forward(z, h)
            hidden = self.product(U, y2)  # -> (2 width, positions)
            relu_forward(hidden, b)
            kept.append((before, y, scale, qkv, attention, seen, z, y2, scale2, hidden))
            x = D @ hidden + z  # -> (width, positions)
        y, scale = norm_forward(x, params["g"])
        logits = (params["H"] @ y + params["c"][:, None]).T  # -> (read, outputs)
        return logits, (onehot, kept, x, y, scale, read)

    def backward(self, params, dlogits, state):
        """Return the gradients, going back through forward's lines."""
        onehot, kept, x, y, scale, read = state
        gradients = {"H": (y @ dlogits).T, "c": dlogits.sum(axis=0)}
        dx, dy = np.zeros_like(x), np.ascontiguousarray((dlogits @ params["H"]).T)  # (width, read)
        gradients["g"] = norm_backward(dy, x, scale, params["g"], dx)
        for layer in reversed(range(self.layers)):
            g, A, O, h, U, b, D = [params[f"{name}{layer}"] for name in "gAOhUbD"]
            x, y, scale, qkv, attention, seen, z, y2, scale2, hidden = kept[layer]
            dD = self.product(hidden, dx.T).T
            dhidden = self.product(D.T, dx)
            relu_backward(dhidden, hidden)
            dU, db = self.product(dhidden, y2.T), dhidden.sum(axis=1)
            dh = norm_backward(U.T @ dhidden, z, scale2, h, dx)
            dO, dseen = dx @ seen.T, O.T @ dx
            if layer == self.layers - 1:
                dseen = scatter(dseen, read, onehot.shape[1])
                dx = scatter(dx, read, onehot.shape[1])
            dseen = dseen.reshape(qkv[: self.width].shape)  # -> (width, length, size)
            dqkv = attention_backward(dseen, qkv, attention).reshape(len(A), -1)
            dA = self.product(dqkv, y.T)
            dg = norm_backward(A.T @ dqkv, x, scale, g, dx)
            found = zip("gAOhUbD", (dg, dA, dO, dh, dU, db, dD))
            gradients |= {f"{name}{layer}": gradient for name, gradient in found}
        gradients["E"] = dx @ onehot.T
        return gradients

    def batch(self, params, tokens, places, labels):
        """Return the loss of one batch, and its gradients."""
        told = labels >= 0
        if not told.any():  # there is nothing to learn
            return 0.0, {name: np.zeros_like(array) for name, array in params.items()}
        logits, state = self.forward(params, tokens, places, told)
        loss, dlogits = cross_entropy(logits, labels[told][:, None], [logits.shape[1]])
        questions = len(logits) / len(labels)  # the loss is a mean over examples, not questions
        return questions * loss, self.backward(params, questions * dlogits, state)

    def loss_and_gradients(self, inputs, labels):
        """Return the mean over examples of their labels' cross-entropies, and its gradients."""
        (_, params), (tokens, places) = self.gathered(), self.tokens(inputs)
        return self.batch(params, tokens, places, as_labels(labels, len(tokens), self.classes))

    def steps(self, inputs, labels, batch, lr, memory, weights, params, gradient, gradients):
        (tokens, places), total = self.tokens(inputs), 0.0
        for start in range(0, len(tokens), batch):
            rows = slice(start, start + batch)
            loss, found = self.batch(params, tokens[rows], places[rows], labels[rows])
            total += loss * len(labels[rows])
            for name, array in found.items():
                gradients[name][:] = array
            memory[0] += 1
            adam_kernel(weights, gradient, memory[1], memory[2], memory[0], lr)
        return total

    def predict(self, inputs):
        """Answer every task: int64 (size, tasks)."""
        (_, params), (tokens, places) = self.gathered(), self.tokens(inputs)
        answers, count = np.zeros(places.shape, np.int64), 16 * max(1, 50 // tokens.shape[1])
        for start in range(0, len(tokens), count):  # by so many that they stay in the cache
            rows = slice(start, start + count)
            all_tasks = np.ones(places[rows].shape, bool)
            logits, _ = self.forward(params, tokens[rows], places[rows], all_tasks)
            answers[rows] = logits.argmax(axis=1).reshape(-1, places.shape[1])  # -> (size, tasks)
        return answers


# --------------------------------------------------------------------------------------
# 5. Many runs, several at a time

VERSION = 4  # changes whenever results do, so that stored ones of another version are not taken


OURS = ParitySum, Lego, Code, Network, NumpyMLP, Compiled, MLP, Bilinear, Transformer, Explicit


def plain(value):
    """Return a number as train makes it: NumPy's as Python's, 64e3 as 64000."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def described(value):
    """Write a value so that what is equal reads the same, and nothing else does.

    An object tells its attributes. If its class is not from this file, it also tells the class's
    module, a digest of its source, and the numbers, texts, lists and arrays that the class has or
    that its methods themselves read from outside. Raises ValueError where that cannot be had.
    """
    value = plain(value)
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return repr(value)
    if kind in (list, tuple, dict):
        parts = value.items() if kind is dict else value
        return f"({', '.join(map(described, parts))})"
    if kind is np.ndarray and value.dtype != object:
        digest = hashlib.sha256(value.tobytes()).hexdigest()
        return f"array({value.dtype.str}, {value.shape}, {digest})"
    try:
        names = value.__dataclass_fields__ if kind in OURS else vars(value)
        theirs = [each for each in kind.__mro__[:-1] if each not in OURS]
        source = "".join(inspect.getsource(each) + read_by(each) for each in theirs)
    except (AttributeError, OSError, TypeError):
        raise ValueError(f"a store cannot tell all about a {kind.__name__}: give its class a file,"
                         " and plain attributes") from None
    values = [f"{name}={described(getattr(value, name))}" for name in names
              if name not in ("params", "shapes", "trained", "memory")]  # which init makes
    text = f"{kind.__name__}({', '.join(values)})"
    digest = hashlib.sha256(source.encode()).hexdigest()
    return f"{kind.__module__}.{text}, source {digest}" if source else text


def read_by(kind):
    """Write the plain values that a class has, or that its methods read from outside."""
    values = dict(vars(kind))
    for method in filter(inspect.isfunction, vars(kind).values()):
        found = inspect.getclosurevars(method)
        values |= found.globals | found.nonlocals
    kinds = bool, int, float, str, tuple, list, dict, np.generic, np.ndarray
    return ", ".join(f"{name}={described(value)}" for name, value in sorted(values.items())
                     if isinstance(value, kinds) and not name.startswith("__"))


def arguments_of(settings):
    """Return all arguments of train(**settings) that decide what comes of it. Raises TypeError."""
    call = inspect.signature(train).bind(**settings)
    call.apply_defaults()
    arguments = {name: plain(value) for name, value in call.arguments.items() if name != "report"}
    arguments["dtype"] = np.dtype(arguments["dtype"]).name
    if type(arguments["network"]) is Explicit:
        arguments |= {"network": arguments["network"].network, "supervision": "explicit"}
    if arguments["supervision"] != "multi-task":
        del arguments["p"]  # is of no use
    return arguments


def described_call(arguments):
    """Write the complete call of train: the key of a run in a store."""
    values = [f"{name}={described(value)}" for name, value in arguments.items()]
    return f"train({', '.join(values)})  # version {VERSION}"


def as_record(settings, run):
    """Describe a run and what came of it, for stores and --json; `budget` is train's `examples`."""
    arguments = arguments_of(settings)
    record = {"event": "run", "p": 0 if arguments["supervision"] == "target" else None}
    for kind in ("problem", "network"):
        owner = arguments.pop(kind)
        record[kind] = getattr(owner, "name", type(owner).__name__)
        for name in getattr(owner, "__dataclass_fields__", ()):
            key = "problem_seed" if name == "seed" else name  # the run has a seed of its own
            record[key] = plain(getattr(owner, name))
    record |= arguments | {"budget": arguments["examples"], "examples": run.examples}
    record |= {"solved": run.solved_at is not None, "solved_at": run.solved_at}
    last = run.history[-1]
    record |= {"seconds": last["seconds"], "accuracy": last["accuracy"]}
    return record | {"history": run.history}


def run_one(settings, stopping=None):
    """Train what the settings describe, on a copy of the network, unless we are `stopping`."""
    one_blas_thread()

    def report(run):
        if stopping and stopping.is_set():
            raise KeyboardInterrupt
        if settings.get("report"):
            settings["report"](run)

    return train(**settings | {"network": copy.deepcopy(settings["network"]), "report": report})


@contextlib.contextmanager
def opened(path):
    """Lend a function that asks a store, an SQLite file, made if need be.

    Raises OSError if it cannot be used, and ValueError if the file is something else.
    """
    if not os.fspath(path):
        raise ValueError("a store must have a name")
    try:
        import sqlite3
    except ImportError:
        raise ValueError("a store needs sqlite3, which this Python was built without") from None
    table = "runs (run TEXT PRIMARY KEY, record TEXT)"
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as file:
            found = file.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall()
            if found and (f"CREATE TABLE {table}",) not in found:
                raise ValueError(f"{path} is not a store of iis.py; nothing was changed")
            file.execute(f"CREATE TABLE IF NOT EXISTS {table}")
            yield file.execute
    except sqlite3.Error as error:
        raise OSError(f"cannot use the store {path}: {error}") from None


def sweep(runs, executor=None, store=None, jobs=None):
    """Train runs, dicts of train's arguments, some at a time; yield (settings, Run) as each ends.

    executor  any concurrent.futures.Executor, of threads, processes or a cluster; if None, as many
              threads as `jobs` says, one for each core if None: kernels do not hold Python's lock
    store     path of an SQLite file with the table `runs`: the complete call of train, with the
              VERSION of iis.py, and as_record in JSON. What it holds already is yielded without a
              network and not run again; what ends is on disk before it is yielded. Several sweeps
              may share one

    The call tells the source of your own problem's and network's classes and the values that they
    read from outside, but not the source of functions which they call. Where there is no source, as
    at a prompt, a run with a store is refused. Networks are copied for each run, problems are
    shared. A run that fails is yielded with its exception in place of the Run, and not stored. Once
    the caller stops listening, runs in threads of our own end at their next test.
    Raises OSError if the store cannot be written, and ValueError if it is not ours.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pool = executor or ThreadPoolExecutor(number("jobs", cores if jobs is None else jobs, 1, 1_000))
    stopping, futures = threading.Event(), {}
    started = () if executor else (stopping,)
    with contextlib.nullcontext() if store is None else opened(store) as ask:

        def keep(future):
            if ask and future.done() and not future.cancelled() and not future.exception():
                settings, call = futures[future]
                record = json.dumps(as_record(settings, future.result()), default=repr)
                ask("INSERT OR IGNORE INTO runs VALUES (?, ?)", (call, record))

        try:
            for settings in runs:
                found = None
                try:
                    arguments = arguments_of(settings)
                    call = described_call(arguments) if ask else None
                except Exception as error:
                    yield settings, error
                    continue
                if ask:
                    found = ask("SELECT record FROM runs WHERE run = ?", [call]).fetchone()
                if found:
                    record = json.loads(found[0])
                    names = "solved_at", "examples", "history"
                    yield settings, Run(**{name: record[name] for name in names})
                else:
                    futures[pool.submit(run_one, settings, *started)] = settings, call
            for future in as_completed(list(futures)):
                keep(future)
                settings, _ = futures.pop(future)  # and with it the network
                yield settings, future.exception() or future.result()
        finally:
            stopping.set()
            for future in futures:
                future.cancel()
            if not executor:
                pool.shutdown()
            for future in futures:  # what ended meanwhile is not lost
                keep(future)


# --------------------------------------------------------------------------------------
# 6. The command line

PROBLEMS = {problem.name: problem for problem in (ParitySum, Lego, Code)}
NETWORKS = {network.name: network for network in (NumpyMLP, Bilinear, MLP, Transformer)}
USUAL = {  # for each problem: its networks, its supervision, and what a transformer needs
    "parity": (["bilinear", "mlp"], "multi-task", {"n": 20, "layers": 2, "heads": 4}),
    "lego": (["transformer"], "multi-label", {"layers": 4, "heads": 4}),
    "code": (["transformer"], "multi-label", {"layers": 6}),
}
DATA = {  # what the data asks
    "target": "{1} alone", "multi-task": "{2:.4g} % {0}", "multi-label": "all",
    "explicit": "all, in turn", "curriculum": "{0} then {1}",
}
OPTIONS = """
experiment:
problem      NAME    parity, lego (chains of reasoning) or code (programs) (parity)
network      NAME    mlp, numpy (the same, slower), bilinear (of the theorem) or transformer
supervision  NAME    which answers training tells, see below (multi-task; lego, code: multi-label)
p            SHARE   multi-task: share of the examples that ask a helper question (0.2)
examples     COUNT   stop after so many (1000000); a control gets as many as its partner used
seed         SEED    decides the hidden bits, the starting weights and the examples (0)
seeds        COUNT   repeat with so many seeds, counted up from --seed (1)
problem:
n            BITS    bits of an example (50, with a transformer 20)
k            COUNT   hidden bits (5), variables of lego's chain (5), lines of code (4)
others       COUNT   lego: so many variables beside the chain (3)
modulus      NUMBER  code: each line is taken modulo this number (5)
network:
width        UNITS   hidden units of an mlp (128), width of the transformer (32)
layers       COUNT   layers of the transformer (parity 2, lego 4, code 6)
heads        COUNT   attention heads of each layer (4, code 2)
causal       -       transformer: no looking ahead
batch        SIZE    examples per training step (64)
lr           RATE    learning rate (0.002; bilinear 0.02, less for long inputs)
running:
jobs         COUNT   so many runs at the same time (one for each core)
store        FILE    keep finished runs there; skip those that it has
show         COUNT   print so many examples and what was answered (0)
json         -       print JSON objects only, one a line
"""


def numeric(text):
    """Read a number; whether it is in range, the problem, the network or train will say."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def parse(argv):
    """Return {option: value} of those given. What is wrong is said in one line, with status 2."""
    supervisions = supervise.__doc__.split("\n\n")[1].rstrip()
    parser = argparse.ArgumentParser(
        "iis.py", usage="python iis.py [options]", allow_abbrev=False,
        argument_default=argparse.SUPPRESS,  # what is not given is not there
        description="Train networks on a hard question, with and without easier ones in the data.",
        epilog="supervision: which answers to its questions an example tells. The hard question\n"
               f"is the target, the easier ones are helpers.\n{supervisions}\n\nexamples:\n"
               "  python iis.py --p 0.2 --n 50 --k 5\n  python iis.py --problem lego --show 2\n"
               "  python plots.py explore            (a window with sliders)",
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=80))
    parser.error = lambda message: parser.exit(2, f"iis.py: {message}\n")
    parser._negative_number_matcher = re.compile("-[0-9.in]")  # so are -1e-3 and -inf
    choices = {"problem": PROBLEMS, "network": NETWORKS, "supervision": SUPERVISIONS}
    for line in OPTIONS.strip().splitlines():
        if line.endswith(":"):
            group = parser.add_argument_group(line[:-1])
            continue
        name, value, text = line.split(maxsplit=2)
        if value == "-":
            group.add_argument(f"--{name}", action="store_true", help=text)
        else:
            group.add_argument(f"--{name}", metavar=value, help=text, choices=choices.get(name),
                               type=str if value in ("NAME", "FILE") else numeric)
    return vars(parser.parse_args(argv))


def pick(user, given):
    """Return those of the given options that are arguments of `user`."""
    arguments = inspect.signature(user).parameters
    return {name: value for name, value in given.items() if name in arguments}


def planned(given):
    """Return train's arguments for all runs asked for. ValueError for an option of no use."""
    problem = PROBLEMS[given.get("problem", "parity")]
    names, supervision, tuned = USUAL[problem.name]
    names = [given["network"]] if "network" in given else names
    networks = [NETWORKS[name] for name in names]
    given = {"supervision": supervision, "seed": 0, "seeds": 1} | given
    useful = {"seeds", "json"} if "json" in given else {"seeds", "show"}
    for user in (problem, *networks, train, sweep):
        useful |= pick(user, given).keys()
    if given["supervision"] != "multi-task":
        useful.discard("p")
    for name in sorted(given.keys() - useful):
        also = ", --json" if "json" in given else ""
        raise ValueError(f"--{name} is of no use with problem {problem.name}, network "
                         f"{' or '.join(names)}, supervision {given['supervision']}{also}")
    if Transformer in networks:
        given = tuned | given
    runs, first = [], number("seed", given["seed"], 0, np.inf)
    for seed in range(first, first + number("seeds", given["seeds"], 1, 100_000)):
        given["seed"] = seed
        for network in networks:
            settings = pick(train, given) | {"problem": problem(**pick(problem, given))}
            runs.append(settings | {"network": network(**pick(network, given))})
    return runs


def asked(settings):
    """Return the tasks that training asks about. The others have no accuracy worth telling."""
    tasks = settings["problem"].tasks
    return tasks[-1:] if settings["supervision"] == "target" else tasks


def table(found):
    """Write who learned what, of (settings, Run) pairs: a line of 80 letters for each kind."""
    groups, line = {}, "{:11} {:18} {:>9} {:>9} {:>11} {:>17}"
    for settings, run in found:
        key = settings["supervision"] == "target", settings["network"].name, settings["supervision"]
        groups.setdefault(key, []).append((settings, run))
    *helpers, target = settings["problem"].tasks
    helper = helpers[0] if len(helpers) == 1 else "helpers"
    lines = [line.format("network", "the data asks", helper, target, "learned", "examples")]
    for (control, network, supervision), group in sorted(groups.items()):
        data = DATA[supervision].format(helper, target, 100 * group[0][0].get("p", 0.2))
        right = [np.median([100 * run.history[-1]["accuracy"][task] for _, run in group])
                 for task in (*helpers, target)]
        worst = "not asked" if control or not helpers else f"{min(right[:-1]):.1f} %"
        lines.append(line.format(network, data, worst, f"{right[-1]:.1f} %", *outcome(group)))
    words = f"Learned: {target} is right on 99 % of 10,000 new examples."
    if len({supervision for _, _, supervision in groups}) > 1:
        words += f" The control, {target} alone, may see as many."
    if len(found) > len(groups):
        words += " Of several seeds: the median (least-most)."
    return "\n".join([*lines, "", textwrap.fill(words, 80)])


def outcome(group):
    """Write whether runs that differ in the seed alone learned, and after how many examples."""
    solved = [run.solved_at for _, run in group if run.solved_at]
    seen = [run.solved_at or run.examples for _, run in group]
    if len(group) > 1:
        low, middle, high = map(rounded, (min(seen), np.median(seen), max(seen)))
        return f"{len(solved)} of {len(group)}", f"{middle} ({low}-{high})"
    settings, run = group[0]
    short = not solved and run.examples < settings.get("examples", 1_000_000)
    return ("yes" if solved else "no, cut off" if short else "no"), f"{seen[0]:,}"


def rounded(count):
    """Write 139k for 138,752, and 2.3M for 2,346,000."""
    return f"{count / 1e3:.0f}k" if count < 999_500 else f"{count / 1e6:.1f}M"


def progress(text=""):
    """Show a line in place of the one before, on standard error if that is a terminal."""
    if sys.stderr and sys.stderr.isatty():
        text = text[: shutil.get_terminal_size().columns - 1]
        print(end=f"\r\033[K{text}", file=sys.stderr, flush=True)


def show(problem, inputs, labels, answers):
    """Print examples, hidden bits marked, their labels, and {who: (tasks asked, answers)}."""
    values = ("-1", "+1") if isinstance(problem, Lego) else range(max(problem.classes))
    for i, example in enumerate(inputs):
        names = list(problem.tasks)
        if isinstance(problem, Lego):  # the variable that each hop asks for
            for task, place in enumerate(problem.places(inputs[[i]])[0]):
                names[task] += " " + "abcdefghijklmnopqrstuvwxyz"[example[place, 0]]
        print()
        for line in problem.show(example).splitlines():
            marks = ["^" if j in getattr(problem, "support", ()) else " " for j in range(len(line))]
            for start in range(0, len(line), 72):
                for text in (line, "".join(marks)):
                    if text[start : start + 72].strip():
                        print("    " + text[start : start + 72].rstrip())
        for who, (tasks, said) in {"": (problem.tasks, labels), **answers}.items():
            words = []
            for task, name, answer, label in zip(problem.tasks, names, said[i], labels[i]):
                if task in tasks:
                    wrong = " (wrong)" if answer != label else ""
                    words.append(f"{name} = {values[answer]}{wrong}".replace(" ", "~"))
            text = textwrap.fill(who + ", ".join(words), 76).replace("~", " ")  # breaks at commas
            print(textwrap.indent(text, "    "))
    for who, (_, said) in answers.items():
        right = np.count_nonzero(said[:, -1] == labels[:, -1])
        print(f"\n    {who}{problem.tasks[-1]} right in {right} of {len(labels)}", end="")
    print("\n" if answers else "", flush=True)


def picture(problem, looks):
    """Print how strongly an mlp reads each bit as it learns, a line whenever examples have doubled.

    looks {"": [(examples seen, accuracies, W) after each test], "control": the same}.
    """
    print("\nHow strongly the mlp reads each bit, from . to @, the strongest of its line:"
          f"\n\n examples   sum  parity  seed {problem.seed}")
    for name, tests in looks.items():
        seen = tests[-1][0] if name else 0  # of the control the last line alone
        for examples, right, W in tests:
            if examples >= 2 * seen or examples == tests[-1][0]:
                seen = examples
                lengths = np.linalg.norm(W[: problem.n], axis=1)  # of each bit's weights: (n,)
                shades = "".join("..:-=+*#%@"[int(9.99 * x)] for x in lengths / lengths.max())
                shares = f"{100 * right['sum']:3.0f} %" if "sum" in right else "    -"
                shares += f"   {100 * right['parity']:3.0f} %"
                print(f"{name or format(examples, ','):>9} {shares}  {shades}")
    marks = "".join("^" if j in problem.support else " " for j in range(problem.n))
    print(f"   hidden{' ' * 16}{marks.rstrip()}", flush=True)


def train_all(given, runs, found, looks):
    """Train runs, then their controls on as many examples; return {why one diverged: its settings}.

    Fills found {(network, supervision, seed): (settings, Run)}, and looks as `picture` takes them.
    """
    controls, done, diverged, lock = [], set(), {}, threading.Lock()
    wanted = runs[0]["supervision"]
    total = len(runs) if wanted == "target" else 2 * len(runs)  # each has its control

    def note(key, settings, run, ended=False):  # called after each test by the threads that train
        network, supervision, seed = key
        with lock:
            found[key] = settings, run
            if ended:
                done.add(key)
            if "json" in given:
                record = as_record(settings, run)
                if not ended:
                    record |= {"event": "eval"} | record.pop("history")[-1]
                print(json.dumps(record), flush=True)
            elif not ended:
                accuracy = run.history[-1]["accuracy"]
                right = {task: accuracy[task] for task in reversed(asked(settings))}
                if network == "mlp" and seed == runs[0]["seed"]:
                    look = run.examples, right, run.network.params["W"].copy()
                    name = "control" if supervision == "target" != wanted else ""
                    looks.setdefault(name, []).append(look)
                shares = ", ".join(f"{task} {100 * share:.1f} %" for task, share in right.items())
                progress(f"{len(done)} of {total} runs; {network}, {supervision}, seed {seed}: "
                         f"after {run.examples:,} examples {shares}")

    for stage in (runs, controls):
        for settings in stage:
            key = settings["network"].name, settings["supervision"], settings["seed"]
            settings["report"] = functools.partial(note, key, settings)
        with contextlib.closing(sweep(stage, **pick(sweep, given))) as results:
            for settings, run in results:
                if isinstance(run, Diverged):
                    found.pop(settings["report"].args[0], None)
                    diverged.setdefault(str(run), settings)
                elif isinstance(run, Exception):
                    raise run
                else:
                    settings["report"](run, ended=True)
                    if settings["supervision"] != "target":
                        control = {"supervision": "target", "examples": run.examples}
                        controls.append(settings | control)
    progress()
    return diverged


def command(given, found):
    """Do what the options ask for, and fill found; return the status, 1 if a run diverged."""
    runs, looks = planned(given), {}
    problem, seed = runs[0]["problem"], runs[0]["seed"]
    count = number("show", given.get("show", 0), 0, 10_000)
    inputs, labels = problem.sample(np.random.default_rng(seed), max(1, count))
    if "json" not in given:
        print(problem.__doc__.splitlines()[0])
        fields = [f"{name} = {getattr(problem, name)}" for name in problem.__dataclass_fields__]
        print(f"Here {', '.join(fields)}. For example:")
        show(problem, inputs, labels, {})
    diverged = train_all(given, runs, found, looks)
    for words, settings in diverged.items():
        say(f"{settings['network'].name}, seed {settings['seed']}: {words}")
    if count:
        answers = {}
        for (network, supervision, drawn), (settings, run) in sorted(found.items()):
            if drawn == seed and run.network:  # a run from the store has none
                answers[f"{network} {supervision}: "] = asked(settings), run.network.predict(inputs)
        print("What was answered:")
        show(problem, inputs, labels, answers)
    if found and "json" not in given:
        print(table(found.values()), flush=True)
        conclude(problem, found, looks)
    return 1 if diverged else 0


def conclude(problem, found, looks):
    """Print what the mlp learned to read, and why the sum helped those that failed without it."""
    if "" in looks and problem.n <= 54:
        picture(problem, looks)
    learned = {key for key, (_, run) in found.items() if run.solved_at}
    failed = found.keys() - learned
    helped = {network for network, _, seed in learned if (network, "target", seed) in failed}
    if helped and problem.name == "parity" and problem.k > 1:
        print(f"\nWhy {' and '.join(sorted(helped))} learned: a hidden bit changes the sum, and so"
              " each can be\nfound by itself. It does not change how often the parity is 1. The"
              "\nsum shows which bits count. The rest is easy: python plots.py why", flush=True)


def main(argv=None):
    """Run the command line; return the exit status."""
    given, found = parse(argv), {}
    try:
        try:
            return command(given, found)
        except KeyboardInterrupt:
            progress()
            say("interrupted: runs under way count as they stood")
            if found:
                output = sys.stderr if "json" in given else sys.stdout
                print(table(found.values()), file=output, flush=True)
            return 130
    except OSError as error:
        if error.errno is None:  # of a store, which says it in words
            say(error)
            return 2
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the exit prints nothing
        if isinstance(error, BrokenPipeError):  # whoever reads the output has seen enough
            return 0
        say(f"standard output: {error.strerror}")
    except (ValueError, RuntimeError, MemoryError) as error:  # RuntimeError: no more threads
        say(str(error) or "not enough memory")
    return 2


if __name__ == "__main__":
    sys.exit(main())

# Licence: 0BSD. Permission to use, copy, modify, and/or distribute this software for any purpose
# with or without fee is hereby granted. THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS
# ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF MERCHANTABILITY
# AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR
# CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS,
# WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN
# CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
#
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=2", "numba>=0.68"]
# ///
