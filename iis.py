"""Implicit intermediate supervision: an easy question in the data teaches a hard one.

Show a network examples of the parity of 5 hidden bits out of 50, and it does no better than to guess.
Let a fifth of the examples ask for their *sum* instead, and after the same number of examples it answers
both, although nobody tells it that one question helps with the other.

    python iis.py --p 0.2 --n 50 --k 5

Part 1 is the complete algorithm in plain NumPy: a problem, supervision, a network, training. What follows
is the same made fast (part 2), further problems (3), a transformer (4), theory (5), many runs (6) and the
command line (7). Letters are the paper's: n bits, k of them hidden, p the share of easier questions.

A reconstruction of the paper "Implicit Intermediate Supervision for Learning Complex Functions" from its
abstract and its public reviews. The licence, 0BSD, stands at the end.
"""

import os

if __name__ == "__main__":  # part 6 has many runs at a time: one thread each is enough
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import functools
import math
import numbers
import time
from dataclasses import dataclass, field
import numpy as np

# --------------------------------------------------------------------------------------------------
# 1. The idea
#
# A problem draws inputs and asks several questions about each, its tasks: the easiest first, the target
# last. The others are the helpers. A problem of your own is a class with
#   tasks              the names of the questions
#   classes            how many answers each question can have, numbered from 0
#   sample(rng, size)  which draws arrays: inputs, bits (size, n), and labels, integers (size, tasks)


@dataclass
class ParitySum:
    """n uniform bits, k of them hidden: how many of the hidden ones are 1 (sum)? Is that odd (parity)?

    Parity is the classic function that gradients say little about (Shalev-Shwartz, Shamir and Shammah 2017).
    The sum is linear, and parity a function of it. Needs k >= 1 and k (1 + distractors) <= n <= 100,000.
    """
    n: int = 50
    k: int = 5
    seed: int = 0  # draws the support, the hidden positions
    distractors: int = 0  # more helpers, each the sum of k other bits, which help with nothing
    name = "parity"  # on the command line

    def __post_init__(self):  # once the fields are set; number() says what is out of range
        self.n = number("n", self.n, 1, 100_000, whole=True)
        self.k = number("k", self.k, 1, self.n, whole=True)
        self.seed = number("seed", self.seed, 0, whole=True)
        self.distractors = number("distractors", self.distractors, 0, self.n // self.k - 1, whole=True)
        count = 1 + self.distractors
        shuffled = np.random.default_rng(self.seed).permutation(self.n)
        self.groups = np.sort(shuffled[: count * self.k].reshape(count, self.k), axis=1)
        self.support = self.groups[0]  # the hidden positions; each further group is for a distractor
        self.tasks = ("sum", *[f"other sum {i}" for i in range(1, count)], "parity")
        self.classes = (self.k + 1,) * count + (2,)

    def sample(self, rng, size):
        """Draw examples: bits, uint8 (size, n), and labels, int64 (size, tasks)."""
        random_bytes = rng.integers(0, 256, (size, math.ceil(self.n / 8)), dtype=np.uint8)
        bits = np.unpackbits(random_bytes, axis=1, count=self.n)  # eight of each: (size, n / 8) -> (size, n)
        return bits, self.label(bits)

    def label(self, bits):
        """Answer every task: (size, n) -> (size, tasks)."""
        sums = [bits[:, group].sum(axis=1, dtype=np.int64) for group in self.groups]
        return np.stack([*sums, sums[0] % 2], axis=1)

    def show(self, bits):
        """Write one example, (n,), as a person would."""
        return "".join(str(int(bit)) for bit in bits)


SUPERVISIONS = ("target", "multi-task", "multi-label", "explicit", "curriculum")


def supervise(labels, rng, supervision, p=0.2):
    """Return the labels that the training examples carry, -1, "not told", for the others: (size, tasks).

    target       the target's alone: the control
    multi-task   one: with probability p a helper's, drawn evenly, else the target's
    multi-label  all of them
    explicit     all of them, each to be read before the next is answered: Explicit, in part 3
    curriculum   as multi-task, but `train` has p at 1 until the helpers are learned, and then at 0
    Raises ValueError for another supervision, p outside [0, 1], and labels that are not integers.
    """
    p, labels = number("p", p, 0, 1), np.asarray(labels)
    if not isinstance(supervision, str) or supervision not in SUPERVISIONS:
        raise ValueError(f"supervision must be one of {', '.join(SUPERVISIONS)}, not {supervision!r}")
    if labels.ndim != 2 or labels.dtype.kind not in "biu":
        raise ValueError("labels must be integers of shape (size, tasks)")
    labels = labels.astype(np.int64)  # unsigned ones would have no -1
    if supervision in ("multi-label", "explicit"):
        return labels
    size, tasks = labels.shape
    asked = np.full(size, tasks - 1)  # the target
    if supervision != "target" and tasks > 1:
        asked = np.where(rng.random(size) < p, rng.integers(0, tasks - 1, size), asked)
    return np.stack([np.where(asked == task, labels[:, task], -1) for task in range(tasks)], axis=1)


# A network of your own is a subclass of Network with
#   init(problem, rng, dtype)           which draws self.params, a dict of named arrays
#   loss_and_gradients(inputs, labels)  the loss, a mean over examples, and its gradients by params' names
#   predict(inputs)                     the answers to all tasks, integers (size, tasks)
class Network:
    """What networks share: training by Adam (Kingma and Ba 2015), with the constants of its paper."""

    @functools.cached_property  # read before init has set params
    def params(self):
        raise ValueError(f"{self!r} has no weights: its init, which sets params, must be called first")

    remembered = None  # which params Adam's averages, mean and square, are of

    def descend(self, inputs, labels, batch, lr=None):
        """Train on the examples once, `batch` at a time, at the rate lr; return the loss summed over them."""
        batch, lr = number("batch", batch, 1, whole=True), number("lr", 0.002 if lr is None else lr, 0, 1e38)
        total = 0.0
        for start in range(0, max(1, len(inputs)), batch):  # of no examples loss_and_gradients complains
            x, y = inputs[start : start + batch], labels[start : start + batch]
            loss, gradients = self.loss_and_gradients(x, y)
            self.adam(gradients, lr)
            total += float(loss) * len(x)
        return total

    def adam(self, gradients, lr):
        """Change params by one step of Adam."""
        if self.remembered is not self.params:  # init has drawn new ones: forget the old averages
            self.remembered, self.steps = self.params, 0
            self.mean, self.square = dict.fromkeys(gradients, 0), dict.fromkeys(gradients, 0)
        self.steps += 1
        for name, gradient in gradients.items():
            self.mean[name] = 0.9 * self.mean[name] + 0.1 * gradient
            self.square[name] = 0.999 * self.square[name] + 0.001 * gradient**2
            mean = self.mean[name] / (1 - 0.9**self.steps)  # makes up for the start at 0
            square = self.square[name] / (1 - 0.999**self.steps)
            self.params[name] -= lr * mean / (np.sqrt(square) + 1e-8)


def cross_entropy(logits, labels, classes):
    """Return the loss and its gradient by the logits, a score for each possible answer: (size, outputs).

    softmax(z) = exp(z) / sum(exp(z)) makes shares of a task's scores z; a carried label costs -log of its
    share. The loss is the mean over examples; d cost / dz = softmax(z) - (1 for the label, else 0).
    """
    labels = checked("labels", labels, (max(1, len(logits)), len(classes)), -1, classes)  # of 0, no mean
    loss, dlogits, start = 0.0, np.zeros_like(logits), 0
    for task, count in enumerate(classes):
        rows = np.flatnonzero(labels[:, task] >= 0)  # the examples that carry this label
        z = logits[rows, start : start + count]  # (size, outputs) -> (rows, count)
        z = z - z.max(axis=1, keepdims=True)  # leaves softmax as it is, and exp cannot overflow
        total = np.exp(z).sum(axis=1, keepdims=True)  # (rows, count) -> (rows, 1)
        truth = np.arange(count) == labels[rows, task, None]  # (rows,) -> (rows, count)
        loss += np.log(total).sum() - z[truth].sum()
        dlogits[rows, start : start + count] = np.exp(z) / total - truth
        start += count
    return float(loss) / len(labels), dlogits / len(labels)


@dataclass
class NumpyMLP(Network):
    """A multi-layer perceptron: a hidden layer of `width` units max(0, ·), and a softmax for each task.

    params: W (n, width), b (width,), V (outputs, width), c (outputs,), all tasks' possible answers side by
    side. W and V start uniform within ±1 / sqrt(number of the layer's inputs), b and c at 0.
    """
    width: int = 128
    name = "numpy"

    def __post_init__(self):
        self.width = number("width", self.width, 1, 1_000_000, whole=True)

    def init(self, problem, rng, dtype=np.float32):
        """Draw the starting weights. Raises ValueError for a problem of no bits, and another dtype."""
        inputs, _ = problem.sample(rng, 1)  # one example tells how many bits there are
        if inputs.ndim != 2 or np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"network {self.name} needs a problem of bits, and dtype float32 or float64")
        self.n, self.classes, width = inputs.shape[1], problem.classes, self.width
        W = rng.uniform(-1, 1, (self.n, width)) / np.sqrt(self.n)
        V = rng.uniform(-1, 1, (sum(self.classes), width)) / np.sqrt(width)
        params = {"W": W, "b": np.zeros(width), "V": V, "c": np.zeros(len(V))}
        self.params = {name: param.astype(dtype) for name, param in params.items()}

    def forward(self, inputs):
        """Return the signs, the hidden layer and the logits."""
        W, b, V, c = self.params.values()
        inputs = checked("inputs", inputs, (*np.shape(inputs)[:1], len(W)), 0, 2)
        x = 2 * inputs.astype(W.dtype) - 1  # bits 0 and 1 -> signs -1 and +1
        hidden = np.maximum(x @ W + b, 0)  # (size, n) -> (size, width)
        return x, hidden, hidden @ V.T + c  # (size, width) -> (size, outputs)

    def loss_and_gradients(self, inputs, labels):
        """Return the mean over examples of the carried labels' cross-entropies, and its gradients."""
        x, hidden, logits = self.forward(inputs)
        loss, dlogits = cross_entropy(logits, labels, self.classes)
        dV, dc = dlogits.T @ hidden, dlogits.sum(axis=0)  # (outputs, size) (size, width) -> (outputs, width)
        dhidden = dlogits @ self.params["V"]  # (size, outputs) -> (size, width)
        dhidden[hidden <= 0] = 0  # a unit that is off passes nothing on
        dW, db = x.T @ dhidden, dhidden.sum(axis=0)  # (n, size) (size, width) -> (n, width)
        return loss, {"W": dW, "b": db, "V": dV, "c": dc}

    def predict(self, inputs):
        """Answer every task: (size, n) -> int64 (size, tasks)."""
        heads = np.split(self.forward(inputs)[2], np.cumsum(self.classes)[:-1], axis=1)  # one for each task
        return np.stack([head.argmax(axis=1) for head in heads], axis=1)


def answers(problem, network, inputs):
    """Return the network's answers: all at once or, for Explicit, one question after the other."""
    return problem.ask(network, inputs) if hasattr(problem, "ask") else network.predict(inputs)


def number(name, value, low, high=10**12, whole=False):
    """Return value as a float, or an int if `whole`. Raises ValueError unless low <= value <= high."""
    if not (isinstance(value, numbers.Real) and low <= value <= high and not (whole and value % 1)):
        raise ValueError(f"{name} must be a {'whole ' * whole}number from {low} to {high}, not {value!r}")
    return int(value) if whole else float(value)


def checked(name, values, shape, low, below):
    """Return values as an array. Raises ValueError unless they are integers of that shape and range."""
    values = np.asarray(values)
    fits = values.dtype.kind in "biu" and values.shape == shape
    if not fits or (values.size and (values.min() < low or (values >= below).any())):
        raise ValueError(f"{name} must be integers of shape {shape}, from {low} up and below {below}")
    return values


class Diverged(ValueError):
    """The loss or a weight is no finite number any more."""


@dataclass
class Run:
    """What came of one training."""
    solved_at: int | None = None  # examples seen when the target was first 99 % right, or None
    examples: int = 0  # seen in all
    seconds: float = 0.0  # of wall time, evaluations included
    network: object = None  # as trained
    history: list = field(default_factory=list)  # a dict per evaluation: examples, seconds, loss, accuracy
    began: float = field(default_factory=time.perf_counter, repr=False)

    def evaluate(self, problem, inputs, labels, loss, last):
        """Measure accuracy on 2,000 held-out examples; on all if those look solved, or in the end."""
        if not all(np.isfinite(values).all() for values in (loss, *self.network.params.values())):
            raise Diverged(f"the loss is not finite (examples seen: {self.examples:,}): try a smaller lr")
        right = answers(problem, self.network, inputs[:2_000]) == labels[:2_000]
        if last or (right[:, -1].mean() >= 0.98 and not self.solved_at):
            right = np.vstack([right, answers(problem, self.network, inputs[2_000:]) == labels[2_000:]])
        if right[:, -1].mean() >= 0.99 and not self.solved_at:
            self.solved_at = self.examples
        self.seconds, accuracy = time.perf_counter() - self.began, right.mean(axis=0)  # -> (tasks,)
        record = {"examples": self.examples, "seconds": self.seconds, "loss": loss}
        self.history.append(record | {"accuracy": dict(zip(problem.tasks, accuracy.tolist()))})
        return accuracy


def until_evaluation(seen, batch, every):
    """Return how many more examples to train on before the next evaluation: whole batches."""
    every = min(max(6_400, seen // 16), 64_000) if every is None else number("every", every, 1, whole=True)
    return batch * math.ceil(every / batch)


@np.errstate(over="ignore", invalid="ignore")  # Diverged will say it
def train(problem, network, supervision="multi-task", p=0.2, examples=1_000_000, batch=64, seed=0,
          stop_when_solved=True, lr=None, every=None, dtype=np.float32, report=None):
    """Train the network from scratch, on fresh examples all the way, and return the Run.

    It ends when the target is solved, or after so many examples. It is evaluated after `every` examples, by
    default 6,400 and later a sixteenth of those seen, up to 64,000; then report(run) is called. The seed
    decides all draws. lr None is the network's own rate.
    Raises ValueError for a setting out of range, and Diverged, a kind of it, for a loss that is not finite.
    """
    examples, batch = number("examples", examples, 1, whole=True), number("batch", batch, 1, whole=True)
    seed, p = number("seed", seed, 0, whole=True), number("p", p, 0, 1)
    rng_start, rng_data, rng_labels, rng_test = np.random.default_rng(seed).spawn(4)
    if supervision == "explicit" or hasattr(problem, "ask"):
        problem, supervision = Explicit(problem), "explicit"  # each task in a pass of its own: part 3
    p = 1.0 if supervision == "curriculum" else p  # at first the helpers alone
    network.init(problem, rng_start, dtype)
    test = getattr(problem, "sample_held_out", problem.sample)(rng_test, 10_000)
    run = Run(network=network)
    while run.examples < examples and not (run.solved_at and stop_when_solved):
        size = min(until_evaluation(run.examples, batch, every), examples - run.examples)
        inputs, labels = problem.sample(rng_data, size)
        labels = supervise(labels, rng_labels, supervision, p)
        loss = network.descend(inputs, labels, batch * len(inputs) // size, lr)  # Explicit: a row a pass
        run.examples += size
        accuracy = run.evaluate(problem, *test, loss / size, run.examples == examples)
        if supervision == "curriculum" and (accuracy[:-1] >= 0.99).all():
            p = 0.0  # and once they are learned, the target alone
        if report:
            report(run)
    return run


# --------------------------------------------------------------------------------------------------
# 2. The same, fast
#
# Part 1 needs nothing but NumPy. From here on Numba compiles the inner loops to machine code. With
# NUMBA_DISABLE_JIT=1 in the environment the same lines run as plain Python, slowly, for a debugger.

import argparse
import contextlib
import copy
import ctypes
import inspect
import json
import signal as signals  # signal is a function of part 5
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

if __name__ == "__main__" and callable(signals.getsignal(signals.SIGINT)):  # else it is ignored
    signals.signal(signals.SIGINT, lambda *_: os._exit(130))  # nothing to keep yet: leave in silence
import numba
import numba.core.event


@functools.cache  # the same words only once
def say(words):
    print(words, file=sys.stderr, flush=True)


class Cache(numba.core.caching.FunctionCache):
    """Machine code on disk. If its files cannot be read or written, kernels are compiled again."""

    def load_overload(self, *call):
        try:
            return super().load_overload(*call)
        except Exception:  # a file cut short can raise anything
            with contextlib.suppress(OSError):
                self.flush()  # empties the index, for save_overload to begin anew

    def save_overload(self, *code):
        try:
            super().save_overload(*code)
        except OSError as error:
            say(f"iis.py: compiled code cannot be kept in {self.cache_path}: {error.strerror}")


def kernel(function, inline="never"):
    """Have Numba compile the function when it is first called, and keep the machine code on disk."""
    compiled = numba.njit(
        inline=inline,
        nogil=True,  # other threads run meanwhile
        error_model="numpy",  # x / 0 is inf and no exception: else no division is vectorised
        fastmath={"contract", "reassoc", "nsz", "arcp"},  # sums in any order, but NaN stays NaN
    )(function)
    try:
        compiled._cache = Cache(function)
    except RuntimeError:
        say("iis.py: compiled code cannot be kept: no folder for it can be written to")
    return compiled


inlined = functools.partial(kernel, inline="always")  # copied into the kernel that calls it: compiles faster


class Params(dict):
    """Named arrays that are views into one vector, `flat`: optimisers use the vector, networks the arrays.

    Each array starts on a 64-byte boundary: elsewhere training can take a fifth longer.
    """

    def __init__(self, arrays, dtype):
        dtype = np.dtype(dtype)
        if dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64, not {dtype}")
        sizes = [math.ceil(array.size * dtype.itemsize / 64) * 64 for array in arrays.values()]
        memory = np.zeros(sum(sizes) + 64, np.uint8)
        start = -memory.ctypes.data % 64  # the first boundary
        self.flat = memory[start : start + sum(sizes)].view(dtype)
        for (name, array), size in zip(arrays.items(), sizes):
            order = "F" if array.flags.fnc else "C"  # columns or rows after each other, as in the array
            self[name] = np.ndarray(array.shape, dtype, memory, start, order=order)
            self[name][:] = array
            start += size

    def zeros(self):
        """Return as many zeros under the same names."""
        return Params({name: np.zeros_like(array) for name, array in self.items()}, self.flat.dtype)

    def __reduce__(self):  # what is copied or pickled gets a vector of its own
        return Params, (dict(self), self.flat.dtype)


def fitting(network, inputs, labels):
    """Return both as kernels take them. Raises ValueError if they do not fit, and before init."""
    inputs = fitting_inputs(network, inputs)
    labels = checked("labels", labels, (max(1, len(inputs)), len(network.classes)), -1, network.classes)
    return inputs, np.ascontiguousarray(labels, np.int64)


def fitting_inputs(network, inputs):
    """Return bits, uint8 (size, n), or sequences (size, length, fields). Raises as `fitting` does."""
    shape = np.shape(inputs)
    if network.params and network.n:  # without params this raises ValueError
        return np.ascontiguousarray(checked("inputs", inputs, (*shape[:1], network.n), 0, 2), np.uint8)
    return checked("inputs", inputs, (*shape[:2], len(network.fields)), 0, network.fields)


@kernel
def pack(bits):
    """Pack eight bits of a row to a byte, the first one lowest: (rows, inner) -> (inner / 8, rows)."""
    rows, inner = bits.shape
    packed = np.zeros(((inner + 7) >> 3, rows), np.uint8)
    for j in range(inner):
        for i in range(rows):
            packed[j >> 3, i] |= bits[i, j] << (j & 7)
    return packed


@kernel
def affine(packed, M, b, out):
    """out[:] = S @ M + b, where S is a matrix of signs, +1 for a bit that is 1 and -1 for a 0.

    But nothing is multiplied. Four columns of S meet four rows of M, of which there are only 16 signed
    sums: add those up once, and each row of S looks its own up. This is the "method of four Russians"
    (Arlazarov, Dinic, Kronrod and Faradzhev 1970). A byte of packed bits holds two look-ups.

    packed (inner / 8, rows) uint8, as from pack; M (inner, width); b (width,); out (rows, width).
    """
    inner, width = M.shape
    sums = np.empty((32, width), M.dtype)  # 16 for the lower half of a byte, 16 for the upper
    for i in range(len(out)):
        for h in range(width):
            out[i, h] = b[h]
    for first in range(0, inner, 8):
        for half in (0, 1):
            base, start = 16 * half, first + 4 * half
            stop = min(start + 4, inner)
            for h in range(width):
                sums[base, h] = 0
            for j in range(start, stop):
                for h in range(width):
                    sums[base, h] -= M[j, h]  # no bit is 1: every sign is -1
            for j in range(start, stop):
                bit = 1 << (j - start)
                for known in range(base, base + bit):  # sums without this bit; setting it turns a sign
                    for h in range(width):
                        sums[known + bit, h] = sums[known, h] + M[j, h] + M[j, h]
        for i in range(len(out)):
            byte = packed[first >> 3, i]
            row, low, high = out[i], sums[byte & 15], sums[16 + (byte >> 4)]
            for h in range(width):
                row[h] += low[h] + high[h]


@inlined
def adam_kernel(weights, gradient, mean, square, step, lr):
    """Network.adam; all arrays (weights,)."""
    real = weights.dtype.type  # a plain 0.9 would turn all the arithmetic into double precision
    beta1, beta2, epsilon = real(0.9), real(0.999), real(1e-8)
    new1, new2 = real(1 - 0.9), real(1 - 0.999)
    rate, unbias = real(lr / (1 - math.pow(0.9, step))), real(1 / (1 - math.pow(0.999, step)))
    for i in range(len(weights)):
        mean[i] = beta1 * mean[i] + new1 * gradient[i]
        square[i] = beta2 * square[i] + new2 * gradient[i] * gradient[i]
        weights[i] -= rate * mean[i] / (math.sqrt(square[i] * unbias) + epsilon)


@inlined
def mlp_head(hidden, labels, classes, V, c, db, dV, dc):
    """NumpyMLP's forward and backward, example by example, from hidden = x W + b (size, width) on.

    Adds to the gradients of b, V and c, and overwrites hidden with its own. Returns the loss.
    """
    size, width = hidden.shape
    loss, zero = 0.0, V.dtype.type(0)
    dlogits, dhidden = np.empty(len(c), V.dtype), np.empty(width, V.dtype)
    for i in range(size):
        row = hidden[i]
        for h in range(width):
            row[h] = zero if row[h] < zero else row[h]  # so written, NaN goes through
            dhidden[h] = zero
        stop = 0
        for t in range(len(classes)):
            start, stop = stop, stop + classes[t]
            if labels[i, t] < 0:
                continue
            truth, largest, total = start + labels[i, t], V.dtype.type(-np.inf), 0.0
            for a in range(start, stop):
                weights, logit = V[a], c[a]
                for h in range(width):
                    logit += row[h] * weights[h]
                dlogits[a] = logit
                largest = max(largest, logit)
            loss += largest - dlogits[truth]
            for a in range(start, stop):
                dlogits[a] = math.exp(dlogits[a] - largest)
                total += dlogits[a]
            loss += math.log(total)
            for a in range(start, stop):
                dlogits[a] /= total * size
                if a == truth:
                    dlogits[a] -= 1 / size
                weights, dweights, d = V[a], dV[a], dlogits[a]
                dc[a] += d
                for h in range(width):
                    dweights[h] += d * row[h]
                    dhidden[h] += d * weights[h]
        for h in range(width):
            row[h] = dhidden[h] if row[h] > zero else zero
            db[h] += row[h]
    return loss / size


@kernel
def mlp_descend(bits, labels, classes, batch, lr, step, weights, gradient, mean, square, W, b, V, c,
                dW, db, dV, dc):
    """Network.descend for NumpyMLP; return the loss summed over examples."""
    total, zeros = 0.0, np.zeros_like(b)
    for start in range(0, len(bits), batch):
        x, y = bits[start : start + batch], labels[start : start + batch]
        hidden = np.empty((len(x), len(b)), W.dtype)
        affine(pack(x), W, b, hidden)  # (size, n) (n, width) -> (size, width)
        gradient[:] = 0
        total += len(x) * mlp_head(hidden, y, classes, V, c, db, dV, dc)
        affine(pack(x.T), hidden, zeros, dW)  # (n, size) (size, width) -> (n, width)
        step += 1
        adam_kernel(weights, gradient, mean, square, step, lr)
    return total


@dataclass
class MLP(NumpyMLP):
    """NumpyMLP with compiled kernels: a step takes a seventh of the time at batch 64, a quarter at 256."""
    name = "mlp"

    def init(self, problem, rng, dtype=np.float32):
        super().init(problem, rng, dtype)
        self.params = Params(self.params, dtype)
        self.averages, self.updates = (self.params.zeros().flat, self.params.zeros().flat), 0  # Adam's

    def descend(self, inputs, labels, batch, lr=None):
        batch, lr = number("batch", batch, 1, whole=True), number("lr", 0.002 if lr is None else lr, 0, 1e38)
        bits, labels = fitting(self, inputs, labels)
        gradients, classes = self.params.zeros(), np.array(self.classes)
        vectors = self.params.flat, gradients.flat, *self.averages
        arrays = *vectors, *self.params.values(), *gradients.values()
        loss = mlp_descend(bits, labels, classes, batch, lr, self.updates, *arrays)
        self.updates += math.ceil(len(bits) / batch)
        return loss

    def forward(self, inputs):  # x @ W by look-ups
        bits, (W, b, V, c) = fitting_inputs(self, inputs), self.params.values()
        hidden = np.empty((len(bits), len(b)), W.dtype)  # (size, n) -> (size, width)
        for start in range(0, len(bits), 500):  # by so many that they stay in the cache
            rows = slice(start, start + 500)
            affine(pack(bits[rows]), W, b, hidden[rows])
            np.maximum(hidden[rows], np.zeros_like(b), out=hidden[rows])  # twice as fast as with 0
        return 2 * bits.astype(np.int8) - 1, hidden, hidden @ V.T + c


KINK = 1e-12  # what is not above this counts as 0: rounding must not decide if a hinge is on


@inlined
def bilinear_batch(bits, labels, W, v, c, dW, dv, dc):
    """Add the gradients of one batch to dW, dv and dc, which are 0, and return the loss.

    P = x̃ Wᵀ, as in Bilinear. The sum is read off the mean of P, plus (k - 1) / 2, and costs
    k/2 (it - label)²; f = relu(P) v + c costs 1/2 (f - 1)² if the parity is odd, else 1/2 (f + 1)². The
    weight k makes up for the mean over P: each row of W feels the whole error.
    """
    (size, n), k = bits.shape, len(v)
    P, loss, zeros = np.empty((size, k), W.dtype), 0.0, np.zeros_like(v)
    affine(pack(bits), W.T[:n], W.T[n], P)  # (size, n) (n, k) -> (size, k)
    for i in range(size):
        sum_error, f_error = 0.0, 0.0
        if labels[i, 0] >= 0:
            sum_error = (k - 1) / 2 - labels[i, 0]
            for j in range(k):
                sum_error += P[i, j] / k
        if labels[i, 1] >= 0:
            f_error = c[0] - (2 * labels[i, 1] - 1)
            for j in range(k):
                f_error += v[j] * (0.0 if P[i, j] <= 0 else P[i, j])  # so written, NaN goes through
        loss += (k * sum_error**2 + f_error**2) / 2
        dc[0] += f_error / size
        for j in range(k):
            dP = sum_error
            if P[i, j] > KINK:
                dv[j] += f_error * P[i, j] / size
                dP += f_error * v[j]
            P[i, j] = dP / size  # from here on P is its own gradient
            dW[j, n] += P[i, j]
    affine(pack(bits.T), P, zeros, dW.T[:n])  # (n, size) (size, k) -> (n, k)
    return loss / size


@kernel
def bilinear_descend(bits, labels, batch, lr, ratio, weights, gradient, W, v, c, dW, dv, dc):
    """Plain stochastic gradient descent over all batches; return the loss summed over examples."""
    total = 0.0
    for start in range(0, len(bits), batch):
        x, y = bits[start : start + batch], labels[start : start + batch]
        gradient[:] = 0
        total += len(x) * bilinear_batch(x, y, W, v, c, dW, dv, dc)
        for j in range(len(v)):
            dv[j] *= ratio
        dc[0] *= ratio
        for i in range(len(weights)):
            weights[i] -= lr * gradient[i]
    return total


@dataclass
class Bilinear(Network):
    """The network of the paper's theorem: f = vᵀ relu(W x̃) + c, with x̃ = (x, 1) and x in {±1}ⁿ.

    A reconstruction. The sum is read off the mean of P = W x̃, the parity off the sign of f. At the start
    W reads no bit and v = 0, so that the gradient of the parity loss, averaged over all inputs, is exactly 0.
    Once the sum has drawn W's columns to 1/2 on the support and 0 elsewhere, P_j = sum - j, and parity is a
    linear function of the k hinges relu(P_j).

    params: W (k, n + 1), v (k,), c (1,). Learns by plain stochastic gradient descent. `spread` is the
    standard deviation of normal noise added to the start, which the paper's reviewers found strong.
    """
    spread: float = 0.0
    name = "bilinear"

    def __post_init__(self):
        self.spread = number("spread", self.spread, 0)

    @staticmethod
    def rates(n, k, batch):
        """Return W's learning rate, and the ratio of v's and c's to it.

        The noise of batches grows like lr n / batch: the rate keeps that below a bound, at any n. The
        ratio is 5, and less for k > 5, since the squared length of all hinges together grows like k³.
        """
        return 0.02 * min(1, 1.5 * batch / n), min(5, 5 * (5 / k) ** 3)

    def init(self, problem, rng, dtype=np.float32):
        """Set the start, W = [0 | b] with b_j = k/2 - j and v = c = 0, plus the noise of `spread`."""
        if problem.tasks[0] != "sum" or tuple(problem.classes[1:]) != (2,):
            raise ValueError("network bilinear knows two tasks, the sum and one with two answers")
        self.n, self.classes = problem.sample(rng, 1)[0].shape[1], problem.classes
        n, k = self.n, self.classes[0] - 1
        W, v = np.zeros((k, n + 1), order="F"), np.zeros(k)  # in W a bit's weights side by side, for affine
        W[:, n] = k / 2 - np.arange(k)
        W += self.spread * rng.standard_normal(W.shape)
        v += self.spread * rng.standard_normal(k)
        self.params = Params({"W": W, "v": v, "c": np.zeros(1)}, dtype)

    def loss_and_gradients(self, inputs, labels):
        """Return the mean over examples of what bilinear_batch says labels cost, and its gradients."""
        bits, labels = fitting(self, inputs, labels)
        gradients = self.params.zeros()
        return bilinear_batch(bits, labels, *self.params.values(), *gradients.values()), gradients

    def descend(self, inputs, labels, batch, lr=None):
        bits, labels = fitting(self, inputs, labels)
        batch = number("batch", batch, 1, whole=True)
        rate, ratio = self.rates(self.n, len(self.params["v"]), batch)
        lr, gradients = number("lr", rate if lr is None else lr, 0, 1e38), self.params.zeros()
        arrays = self.params.flat, gradients.flat, *self.params.values(), *gradients.values()
        return bilinear_descend(bits, labels, batch, lr, ratio, *arrays)

    def predict(self, inputs):
        """Answer both tasks: (size, n) -> int64 (size, 2)."""
        bits = fitting_inputs(self, inputs)
        W, v, c = self.params.values()
        P = np.empty((len(bits), len(v)), v.dtype)  # (size, n) -> (size, k)
        affine(pack(bits), W.T[:-1], W.T[-1], P)
        sums, f = np.rint(P.mean(axis=1) + (len(v) - 1) / 2), np.maximum(P, 0) @ v + c
        return np.stack([np.clip(sums, 0, len(v)), f > 0], axis=1).astype(np.int64)


# --------------------------------------------------------------------------------------------------
# 3. Further problems
#
# An example of Lego or Code is a sequence: inputs are integers (size, length, fields). Such a problem has
# beside the three things of part 1
#   fields          for each number of a position, how many values it takes, from 0 up
#   places(inputs)  the position at which each task is to be answered, integers (size, tasks)


@dataclass
class SumFunction(ParitySum):
    """ParitySum with another target than parity: any function of the sum, as its answers for 0 ... k.

    With (0, 1, 2, 0, 1, 2) it is the sum modulo 3. ValueError unless they are k + 1 integers, 0 to 1,000.
    """
    answers: tuple = (0, 0, 1, 1, 0, 0)  # is the sum in the middle?
    name = "function"

    def __post_init__(self):
        super().__post_init__()
        if len(self.answers) != self.k + 1:
            raise ValueError(f"answers must be {self.k + 1}, one for each sum, not {len(self.answers)}")
        self.answers = tuple(number("answers", answer, 0, 1_000, whole=True) for answer in self.answers)
        self.tasks = (*self.tasks[:-1], "function")
        self.classes = (*self.classes[:-1], max(self.answers) + 1)

    def label(self, bits):
        """Answer every task: (size, n) -> (size, tasks)."""
        labels = super().label(bits)
        labels[:, -1] = np.array(self.answers)[labels[:, 0]]
        return labels


@dataclass
class Digits:
    """ParitySum over pictures: each position shows a handwritten 0 or 1 (Alpaydin and Kaynak 1998).

    The pictures come with scikit-learn, 8 x 8 points, here black or white, 157 of each digit; every third
    is shown by sample_held_out alone. An example is n pictures, 64 bits each.

    Raises ValueError where scikit-learn is missing, and unless n >= k >= 1.
    """
    n: int = 16
    k: int = 5
    seed: int = 0
    name = "digits"

    def __post_init__(self):
        self.hidden = ParitySum(self.n, self.k, self.seed)  # draws the bits that the pictures show
        self.n, self.k, self.seed = self.hidden.n, self.hidden.k, self.hidden.seed
        self.support, self.tasks, self.classes = self.hidden.support, self.hidden.tasks, self.hidden.classes
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise ValueError("problem digits needs scikit-learn: pip install scikit-learn") from None
        points, digits = load_digits(n_class=2, return_X_y=True)  # a point's ink is 0 to 16
        points = (points > 7).astype(np.uint8)
        pictures = [np.unique(points[digits == digit], axis=0) for digit in (0, 1)]  # each once
        count = min(map(len, pictures))
        pictures = np.stack([some[:count] for some in pictures])  # (2, count, 64)
        new = np.arange(count) % 3 == 2
        self.pictures, self.new_pictures = pictures[:, ~new], pictures[:, new]

    def sample(self, rng, size, held_out=False):
        """Draw examples: bits, uint8 (size, 64 n), and labels, int64 (size, 2)."""
        bits, labels = self.hidden.sample(rng, size)
        pictures = self.new_pictures if held_out else self.pictures
        which = rng.integers(0, pictures.shape[1], bits.shape)
        return pictures[bits, which].reshape(size, -1), labels  # (size, n, 64) -> (size, 64 n)

    def sample_held_out(self, rng, size):
        """Draw examples of pictures that training never shows."""
        return self.sample(rng, size, held_out=True)

    def show(self, bits):
        """Write one example, (64 n,), as pictures, eight side by side."""
        pictures = np.array([" ", "#"])[bits.reshape(-1, 8, 8)]  # (64 n,) -> (n, row, column)
        bands = [pictures[first : first + 8] for first in range(0, len(pictures), 8)]
        lines = [["|".join(map("".join, band[:, row])) for row in range(8)] for band in bands]
        return "\n\n".join(map("\n".join, lines))


@dataclass
class Lego:
    """A chain of k variables, each plus or minus the one before, told in random order (Zhang et al. 2022).

    "c = -b; d = -1; a = +1; e = +d; b = -a": task t asks for the value of the chain's t-th variable, and so
    for t hops of reasoning; label 0 stands for -1, label 1 for +1. `others` is the number of variables that
    form further, shorter chains, for which no task asks. Without them the last value would be the product of
    all signs, whatever their order; a single one leaves a similar shortcut.

    An example is one position for each clause, int64 (k + others, 3): the variable assigned, the sign (0 for
    minus), and what it is assigned, k + others standing for the constant.
    Raises ValueError unless k >= 1, or 2 if there are others, and k + others <= 26.
    """
    k: int = 5
    others: int = 3
    name = "lego"

    def __post_init__(self):
        self.k = number("k", self.k, 1, 26, whole=True)
        self.others = number("others", self.others, 0, 26 - self.k if self.k > 1 else 0, whole=True)
        self.length = self.k + self.others  # also the number of the constant
        self.tasks = tuple(f"hop {t + 1}" for t in range(self.k))
        self.classes = (2,) * self.k
        self.fields = (self.length, 2, self.length + 1)

    def sample(self, rng, size):
        """Draw examples: inputs, int64 (size, k + others, 3), and labels, int64 (size, k)."""
        every = np.tile(np.arange(self.length), (size, 1))
        names, signs = rng.permuted(every, axis=1), rng.integers(0, 2, every.shape)
        sources = np.roll(names, 1, axis=1)  # along the chains, each is assigned the one before
        sources[:, 0] = self.length
        if self.others:
            sources[:, self.k :: self.k - 1] = self.length  # where another chain begins, of k - 1 at most
        clauses = np.stack([names, signs, sources], axis=2)  # (size, length) -> (size, length, 3)
        order = rng.permuted(every, axis=1)
        minuses = np.cumsum(1 - signs[:, : self.k], axis=1)  # so far along the chain
        return np.take_along_axis(clauses, order[:, :, None], axis=1), 1 - minuses % 2

    def places(self, inputs):
        """The position that assigns the variable each task asks for: (size, length, 3) -> (size, k).

        Go back k - 1 hops from all positions at once. Only the end of the longest chain is then still at a
        variable, and that chain is asked for: the same hops lead back along it.
        """
        size, length, _ = inputs.shape
        constant = np.full((size, 1), length)
        assigned_at = np.hstack([inputs[:, :, 0].argsort(axis=1), constant])  # by name
        source_at = np.hstack([np.take_along_axis(assigned_at, inputs[:, :, 2], axis=1), constant])
        back = [np.tile(np.arange(length), (size, 1))]  # where each position comes from, 0, 1 ... hops ago
        for _ in range(self.k - 1):
            back.append(np.take_along_axis(source_at, back[-1], axis=1))
        end = (back[-1] < length).argmax(axis=1)  # (length,) of each -> where the chain ends, (size,)
        return np.stack([places[np.arange(size), end] for places in reversed(back)], axis=1)

    def show(self, example):
        """Write one example, (k + others, 3), as a sentence."""
        letters = "abcdefghijklmnopqrstuvwxyz"[: self.length] + "1"
        return "; ".join(f"{letters[a]} = {'-+'[sign]}{letters[b]}" for a, sign, b in example)


@dataclass
class Code:
    """A program of k lines, each computing modulo a number with what the lines before it assigned.

    "c = (b * 3) % 5": task t asks for the value that line t assigns. A line takes a name assigned
    before and a constant, in either order, the first line two constants. A name may be assigned again.

    An example is one position for each line, int64 (k, 5): the line's number, the name assigned, the
    operator, and the two operands, k + i standing for the constant i. Raises ValueError unless
    1 <= k <= 26 and 2 <= modulus <= 100.
    """
    k: int = 4
    modulus: int = 5
    name = "code"

    def __post_init__(self):
        self.k = number("k", self.k, 1, 26, whole=True)
        self.modulus = number("modulus", self.modulus, 2, 100, whole=True)
        self.tasks = tuple(f"line {t + 1}" for t in range(self.k))
        self.classes = (self.modulus,) * self.k
        self.fields = (self.k, self.k, 3, self.k + self.modulus, self.k + self.modulus)

    def sample(self, rng, size):
        """Draw examples: inputs, int64 (size, k, 5), and labels, int64 (size, k)."""
        rows, k, m = np.arange(size), self.k, self.modulus
        names, operators = rng.integers(0, k, (size, k)), rng.integers(0, 3, (size, k))
        smallest = np.where(operators == 2, 1, 0)  # a product with 0 would give the value away
        operands = k + rng.integers(smallest[:, :, None], m, (size, k, 2))  # constants, to begin with
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
            lines.append(f"{words[name]} = ({words[left]} {'+-*'[operator]} {words[right]}) % {self.modulus}")
        return "\n".join(lines)


@dataclass
class Explicit:
    """Another problem's tasks, answered one after the other, each in a pass that reads the answers before.

    This is chain of thought (Wei et al. 2022), teacher-forced: in training a pass reads the true answers,
    afterwards those that the network wrote itself. The inputs have room for them: a bit for each possible
    answer of each helper or, in a sequence, one more field in the position that the task asks about.
    A missing answer is written as zeros. To a network it is a problem like any other. `share` says in how
    many of the training examples the passes read; in the others every answer is missing.
    """
    problem: object
    share: float = 1.0
    name = "explicit"

    def __post_init__(self):
        self.share = number("share", self.share, 0, 1)
        if isinstance(self.problem, Explicit):
            self.problem, self.share = self.problem.problem, self.problem.share
        self.tasks, self.classes = self.problem.tasks, tuple(self.problem.classes)
        if hasattr(self.problem, "fields"):
            self.fields = (*self.problem.fields, 1 + max(self.classes))

    def write(self, inputs, answers):
        """Return wider inputs, with the answers (size, tasks) in them, -1 where not given."""
        if hasattr(self, "fields"):
            written = np.zeros(inputs.shape[:2], np.int64)
            np.put_along_axis(written, self.problem.places(inputs), answers + 1, axis=1)
            return np.dstack([inputs, written])  # (size, length, fields) -> (size, length, fields + 1)
        written = [answers[:, [t]] == np.arange(count) for t, count in enumerate(self.classes[:-1])]
        return np.hstack([inputs, *written])  # (size, n) -> (size, n + all answers of the helpers)

    def sample(self, rng, size):
        """Draw examples, a row for each pass: inputs (size tasks, ...), and labels (size tasks, tasks)."""
        inputs, labels = self.problem.sample(rng, size)
        labels, tasks = supervise(labels, rng, "explicit"), np.arange(len(self.tasks))  # checks them
        asked = np.tile(tasks, size)[:, None]  # what each pass asks: (size tasks, 1)
        inputs, labels = np.repeat(inputs, len(tasks), axis=0), np.repeat(labels, len(tasks), axis=0)
        reads = np.repeat(rng.random((size, 1)) < self.share, len(tasks), axis=0)
        before, now = np.where(reads & (tasks < asked), labels, -1), np.where(tasks == asked, labels, -1)
        return self.write(inputs, before), now

    def sample_held_out(self, rng, size):
        """Draw examples of the problem itself: ask writes the answers into them."""
        return getattr(self.problem, "sample_held_out", self.problem.sample)(rng, size)

    def ask(self, network, inputs):
        """Answer every task of the problem's own inputs in turn: int64 (size, tasks)."""
        answers = np.full((len(inputs), len(self.tasks)), -1)
        for t in range(len(self.tasks)):
            answers[:, t] = network.predict(self.write(inputs, answers))[:, t]
        return answers

    def places(self, inputs):
        """The position that each task asks about, in a sequence."""
        return self.problem.places(inputs[:, :, :-1])


# --------------------------------------------------------------------------------------------------
# 4. The transformer, for all problems
#
# Its activations are columns, one for each position of each example, (width, positions); as
# (width, length, size) the examples lie side by side, and what is done to one is done to all in the
# innermost loop.


@kernel
def norm_forward(x, gain):
    """Scale every column of x (width, positions) to root mean square gain (Zhang and Sennrich 2019)."""
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
def norm_backward(dy, x, scale, gain, dgain, dx):
    """Write the gradient of gain into dgain, and add that of x to dx."""
    along, width = np.zeros_like(scale), x.dtype.type(len(x))  # along: the part of dy that only stretches x
    for h in range(len(x)):
        for i in range(len(scale)):
            along[i] += dy[h, i] * gain[h] * x[h, i] * scale[i] * scale[i] / width
    for h in range(len(x)):
        total = x.dtype.type(0)
        for i in range(len(scale)):
            total += dy[h, i] * x[h, i] * scale[i]
            dx[h, i] += scale[i] * (dy[h, i] * gain[h] - along[i] * x[h, i])
        dgain[h] = total


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
    """Let each position look at all, or at itself and earlier ones: softmax(qᵀ k / sqrt(d)) v, by head.

    qkv (3 width, length, size) is queries, keys and values on top of each other; a head has d rows of each.
    Returns what was seen, (width, length, size), and the attention, (heads, length, length, size).

    A call of exp would keep a loop from being vectorised. Eight terms of a Taylor series give y = exp(r) - 1
    for r = x / 1024; exp(2 r) - 1 is y (2 + y); ten such steps lead to exp(x) - 1 ("scaling and squaring",
    Moler and Van Loan 1978).
    """
    width, length, size = len(qkv) // 3, qkv.shape[1], qkv.shape[2]
    d, real = width // heads, qkv.dtype.type
    seen = np.zeros((width, length, size), qkv.dtype)
    attention = np.zeros((heads, length, length, size), qkv.dtype)
    scale, one, lowest, tiny = real(1 / math.sqrt(d)), real(1), real(-40), real(1 / 1024)
    for head in range(heads):
        scores = attention[head]
        for h in range(head * d, head * d + d):  # outermost: then scores stay in the innermost cache
            for a in range(length):
                for b in range(a + 1 if causal else length):
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
        for h in range(head * d, head * d + d):
            for a in range(length):
                for b in range(a + 1 if causal else length):
                    for i in range(size):
                        seen[h, a, i] += scores[a, b, i] * qkv[2 * width + h, b, i]
    return seen, attention


@kernel
def attention_backward(dseen, qkv, attention, causal):
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
                for b in range(a + 1 if causal else length):
                    for i in range(size):
                        dscores[a, b, i] += dseen[h, a, i] * qkv[2 * width + h, b, i]
                        dqkv[2 * width + h, b, i] += dseen[h, a, i] * scores[a, b, i]
        for a in range(length):  # softmax's backward: attention (dscores - their mean weighted by it)
            reach, mean = a + 1 if causal else length, np.zeros(size, qkv.dtype)
            for b in range(reach):
                for i in range(size):
                    mean[i] += scores[a, b, i] * dscores[a, b, i]
            for b in range(reach):
                for i in range(size):
                    dscores[a, b, i] = scores[a, b, i] * (dscores[a, b, i] - mean[i]) * scale
        for h in range(head * d, head * d + d):
            for a in range(length):
                for b in range(a + 1 if causal else length):
                    for i in range(size):
                        dqkv[h, a, i] += dscores[a, b, i] * qkv[width + h, b, i]
                        dqkv[width + h, b, i] += dscores[a, b, i] * qkv[h, a, i]
    return dqkv


@kernel
def scatter(columns, read, positions):
    """Return the gradient of x (width, positions) from that of its columns `read`, which may repeat."""
    dx = np.zeros((len(columns), positions), columns.dtype)
    for h in range(len(dx)):
        for i in range(len(read)):
            dx[h, read[i]] += columns[h, i]
    return dx


@dataclass
class Transformer(Network):
    """Pre-norm blocks with attention (Vaswani et al. 2017), trained from scratch by Adam.

    A position's embedding is the sum of its fields' embeddings. Each task is answered at the position that
    the problem names for it, by one head for all tasks. Bits become a sequence too: a position for each of
    them, (place, bit), and then one for each task, its question, where it is answered. `causal`: a position
    sees itself and earlier ones only, as in a language model.

    params: E (width, values of all fields). In each layer two norms' gains g and h (width,), A (3 width,
    width) for queries, keys and values, O (width, width), and two layers with relu between them, U (2 width,
    width) with bias b, and D (width, 2 width). At the end a norm's gain g (width,), H (outputs, width) and
    c (outputs,). Matrices start normal, with standard deviation 1 / sqrt(fields) for E, 1 / (2 sqrt(inputs))
    for the others; gains at 1, biases at 0.
    Raises ValueError unless all sizes are at least 1 and width is a multiple of heads.
    """
    width: int = 32
    layers: int = 3
    heads: int = 2
    causal: bool = False
    name = "transformer"

    def __post_init__(self):
        self.width = number("width", self.width, 1, 10_000, whole=True)
        self.layers = number("layers", self.layers, 1, 1_000, whole=True)
        self.heads = number("heads", self.heads, 1, self.width, whole=True)
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads = {self.heads}, not {self.width}")

    def init(self, problem, rng, dtype=np.float32):
        """Draw the start; NumPy's OpenBLAS has one thread from then on. ValueError for more than 500 bits."""
        with contextlib.suppress(AttributeError):  # not its own; of such small products more are no help
            ctypes.CDLL(np.linalg._umath_linalg.__file__).scipy_openblas_set_num_threads64_(1)
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
            arrays = {"g": gain, "A": matrix(3 * w, w), "O": matrix(w, w), "h": gain}
            arrays |= {"U": matrix(2 * w, w), "b": np.zeros(2 * w), "D": matrix(w, 2 * w)}
            params |= {f"{name}{layer}": array for name, array in arrays.items()}
        self.params = Params(params | {"g": gain, "H": matrix(outputs, w), "c": np.zeros(outputs)}, dtype)
        self.averages, self.updates = (self.params.zeros().flat, self.params.zeros().flat), 0  # Adam's

    def tokens(self, inputs):
        """Return inputs as a sequence, (size, length, fields), and where tasks are read, (size, tasks)."""
        if self.n == 0:
            return inputs, self.problem.places(inputs)
        size, tasks = len(inputs), len(self.classes)
        values = np.hstack([inputs, np.full((size, tasks), 2)])  # a question's value is neither bit
        places = np.tile(np.arange(self.n + tasks), (size, 1))
        return np.dstack([places, values]), places[:, self.n :]

    def layer(self, arrays, layer):
        """Return one layer's arrays, in their order."""
        return [arrays[f"{name}{layer}"] for name in "gAOhUbD"]

    def squares(self, M):
        """Return M cut below every `width` rows: with square weights OpenBLAS is up to 1.8 times faster."""
        return M.reshape(-1, self.width, M.shape[1])  # (a width, b) -> (a, width, b)

    def forward(self, tokens, places, asked, keep=True):
        """Return the logits where `asked`, (how many, outputs), and, with `keep`, what backward needs."""
        size, length, _ = tokens.shape
        read = (places * size + np.arange(size)[:, None])[asked]  # columns: (size, tasks) -> (how many,)
        columns = np.ascontiguousarray(tokens.T).reshape(len(self.fields), -1)  # -> (fields, positions)
        onehot = [column == np.arange(count)[:, None] for column, count in zip(columns, self.fields)]
        onehot = np.concatenate(onehot).astype(self.params.flat.dtype)  # -> (values, positions)
        x, kept = self.params["E"] @ onehot, []  # -> (width, positions)
        for layer in range(self.layers):
            g, A, O, h, U, b, D = self.layer(self.params, layer)
            y, scale = norm_forward(x, g)
            qkv = (self.squares(A) @ y).reshape(-1, length, size)  # -> (3 width, length, size)
            seen, attention = attention_forward(qkv, self.heads, self.causal)
            seen, before = seen.reshape(x.shape), x
            if layer == self.layers - 1:  # no position will look at others any more: on with those asked
                seen, x = np.take(seen, read, axis=1), np.take(x, read, axis=1)  # -> (width, asked)
            z = O @ seen + x
            y2, scale2 = norm_forward(z, h)
            hidden = (self.squares(U) @ y2).reshape(len(U), -1)  # -> (2 width, positions)
            relu_forward(hidden, b)
            if keep:
                kept.append((before, y, scale, qkv, attention, seen, z, y2, scale2, hidden))
            x = D @ hidden + z  # -> (width, positions)
        y, scale = norm_forward(x, self.params["g"])
        logits = (self.params["H"] @ y + self.params["c"][:, None]).T  # -> (asked, outputs)
        return logits, (onehot, kept, x, y, scale, read)

    def backward(self, dlogits, state, gradients):
        """Write the gradients, going back through forward's lines."""
        onehot, kept, x, y, scale, read = state
        gradients["H"][:], gradients["c"][:] = (y @ dlogits).T, dlogits.sum(axis=0)
        dx, dy = np.zeros_like(x), np.ascontiguousarray((dlogits @ self.params["H"]).T)  # (width, asked)
        norm_backward(dy, x, scale, self.params["g"], gradients["g"], dx)
        for layer in reversed(range(self.layers)):
            g, A, O, h, U, b, D = self.layer(self.params, layer)
            dg, dA, dO, dh, dU, db, dD = self.layer(gradients, layer)
            x, y, scale, qkv, attention, seen, z, y2, scale2, hidden = kept[layer]
            np.matmul(dx, self.squares(hidden).mT, out=self.squares(dD.T).mT)  # dD = dx @ hidden.T
            dhidden = (self.squares(D.T) @ dx).reshape(hidden.shape)
            relu_backward(dhidden, hidden)
            np.matmul(self.squares(dhidden), y2.T, out=self.squares(dU))
            db[:] = dhidden.sum(axis=1)
            norm_backward(U.T @ dhidden, z, scale2, h, dh, dx)
            np.matmul(dx, seen.T, out=dO)
            dseen = O.T @ dx
            if layer == self.layers - 1:
                dseen, dx = scatter(dseen, read, onehot.shape[1]), scatter(dx, read, onehot.shape[1])
            dseen = dseen.reshape(qkv[: self.width].shape)  # -> (width, length, size)
            dqkv = attention_backward(dseen, qkv, attention, self.causal).reshape(len(A), -1)
            np.matmul(self.squares(dqkv), y.T, out=self.squares(dA))
            norm_backward(A.T @ dqkv, x, scale, g, dg, dx)
        np.matmul(dx, onehot.T, out=gradients["E"])

    def loss_and_gradients(self, inputs, labels):
        """Return the mean over examples of the carried labels' cross-entropies, and its gradients."""
        inputs, labels = fitting(self, inputs, labels)
        gradients = self.params.zeros()
        return self.write_gradients(*self.tokens(inputs), labels, gradients), gradients

    def write_gradients(self, tokens, places, labels, gradients):
        """Write the gradients of one batch into `gradients`, and return the loss."""
        asked = labels >= 0
        asked[0, 0] = True  # one at least: cross_entropy takes no notice of it if there is no label
        logits, state = self.forward(tokens, places, asked)
        loss, dlogits = cross_entropy(logits, labels[asked][:, None], [logits.shape[1]])
        questions = len(logits) / len(labels)  # per example: the loss is a mean over examples, not questions
        self.backward(questions * dlogits, state, gradients)
        return questions * loss

    def descend(self, inputs, labels, batch, lr=None):
        batch, lr = number("batch", batch, 1, whole=True), number("lr", 0.002 if lr is None else lr, 0, 1e38)
        inputs, labels = fitting(self, inputs, labels)
        tokens, places = self.tokens(inputs)
        gradients, total = self.params.zeros(), 0.0
        for start in range(0, len(inputs), batch):
            rows = slice(start, start + batch)
            loss = self.write_gradients(tokens[rows], places[rows], labels[rows], gradients)
            total += loss * len(labels[rows])
            self.updates += 1
            adam_kernel(self.params.flat, gradients.flat, *self.averages, self.updates, lr)
        return total

    def attention(self, inputs):
        """Return how much positions look at others, averaged over heads: (layers, size, length, length)."""
        tokens, places = self.tokens(fitting_inputs(self, inputs))
        _, (_, kept, *_) = self.forward(tokens, places, places >= 0)
        layers = [attention.mean(axis=0) for _, _, _, _, attention, *_ in kept]  # -> (length, length, size)
        return np.stack(layers).transpose(0, 3, 1, 2)  # -> (layers, size, length, length)

    def predict(self, inputs):
        """Answer every task: int64 (size, tasks)."""
        tokens, places = self.tokens(fitting_inputs(self, inputs))
        answers, count = np.zeros(places.shape, np.int64), 16 * max(1, 50 // tokens.shape[1])
        for start in range(0, len(tokens), count):  # by so many that they stay in the cache
            rows = slice(start, start + count)
            logits, _ = self.forward(tokens[rows], places[rows], places[rows] >= 0, keep=False)
            answers[rows] = logits.argmax(axis=1).reshape(-1, places.shape[1])  # -> (size, tasks)
        return answers


# --------------------------------------------------------------------------------------------------
# 5. Theory


def recursion(n=50, k=5, p=0.2, batch=64, supervision="multi-task", steps=4_000, lr=None, v=0, answers=None):
    """Predict Bilinear's training without training: how w, b, v, c and M move, step by step.

    On average every row of W stays equal on the support, w_j, and 0 elsewhere. So P_j is w_j (2s - k) + b_j,
    with a binomial sum s: k + 1 cases instead of 2ⁿ inputs. A batch is not the average. Its noise sends the
    weights u_j on the other bits on a random walk, which adds to P normal z with covariance M,
    M_jl = u_j · u_l; for large n this is exact too (the order parameters of Saad and Solla 1995).

    batch None stands for full batches: no noise, M stays 0, the result is exact whatever n. lr None is
    Bilinear's own; v is where v starts; answers, 0 or 1 for each sum, are a SumFunction's, None for
    parity. Returns arrays over the steps, the start included: w, b, v (steps + 1, k), c (steps + 1,), M
    (steps + 1, k, k), and the shares answered right: sum, and parity, which stands for the SumFunction too.
    Raises ValueError for n below k, and a supervision other than target, multi-task and multi-label.
    """
    k, p = number("k", k, 1, 100, whole=True), number("p", p, 0, 1)
    n = number("n", n, k, whole=True)
    # kinds of examples: (their share, do they carry the sum, do they carry the parity)
    kinds = {"target": [(1, 0, 1)], "multi-task": [(p, 1, 0), (1 - p, 0, 1)], "multi-label": [(1, 1, 1)]}
    if not isinstance(supervision, str) or supervision not in kinds:
        raise ValueError(f"supervision must be one of {', '.join(kinds)}, not {supervision!r}")
    batch = math.inf if batch is None else number("batch", batch, 1, whole=True)
    rate, ratio = Bilinear.rates(n, k, batch)
    lr, v = number("lr", rate if lr is None else lr, 0, 1e38), number("v", v, -1e9, 1e9)
    half = np.random.default_rng(0).standard_normal((k, 128))
    half = np.linalg.solve(np.linalg.cholesky(half @ half.T / 128), half)  # now its covariance is exactly 1
    normal = np.hstack([half, -half])  # (k, 256), and its mean 0
    s = np.repeat(np.arange(k + 1), 256)  # the cases: each sum with each normal vector
    share = np.array([math.comb(k, i) / 2**k / 256 for i in s])  # of the inputs that are such a case
    ones = 2 * s - k  # sum of the hidden ±1
    answers = np.arange(k + 1) % 2 if answers is None else checked("answers", answers, (k + 1,), 0, 2)
    target = 2 * answers[s] - 1  # as ±1
    w, b, v, c, M = np.zeros(k), k / 2 - np.arange(k), np.full(k, v), 0.0, np.zeros((k, k))
    curves = {name: [] for name in ("w", "b", "v", "c", "M", "sum", "parity")}
    for _ in range(1 + number("steps", steps, 0, whole=True)):
        # forward, as in Bilinear
        values, Q = np.linalg.eigh(M)
        root = Q * np.sqrt(np.maximum(values, 0)) @ Q.T  # root @ root = M
        z = np.tile(root @ normal, k + 1)  # (k, 256) -> (k, cases)
        P = np.outer(w, ones) + b[:, None] + z
        hinges = np.maximum(P, 0)
        sums, f = P.mean(axis=0) + (k - 1) / 2, v @ hinges + c  # (k, cases) -> (cases,)
        right = share @ (np.clip(np.rint(sums), 0, k) == s), share @ ((f > KINK) == (target > 0))
        for curve, value in zip(curves.values(), (w, b, v, c, M, *right)):
            curve.append(value)
        # backward: delta is the gradient of one example's loss by P; dP and df add up all examples'
        sum_error, f_error = sums - s, f - target
        dP, df, noise = np.zeros_like(P), np.zeros_like(f), np.zeros((k, k))
        for weight, has_sum, has_parity in kinds[supervision]:
            delta = has_sum * sum_error + has_parity * f_error * v[:, None] * (P > KINK)  # (k, cases)
            dP += weight * share * delta
            df += weight * share * has_parity * f_error
            noise += weight * share * delta @ delta.T  # E[δ δᵀ]: (k, cases) (cases, k) -> (k, k)
        # one step of descent; a batch's mean gradient on another bit has the covariance noise / batch. What
        # differs within the support walks too: n - k other bits and k - 1 such directions make n - 1
        drift = dP @ z.T  # E[δ zᵀ]
        w, b = w - lr * dP @ ones / k, b - lr * dP.sum(axis=1)
        v, c = v - ratio * lr * hinges @ df, c - ratio * lr * df.sum()
        M = M - lr * (drift + drift.T) + lr**2 * (n - 1) / batch * noise
    return {name: np.array(curve) for name, curve in curves.items()}


def signal(problem, network, task):
    """Return two lengths: of the exact gradient of a task's loss, over all 2ⁿ inputs, and of what it tells.

    Most of the gradient says how often each answer occurs. What it tells of the hidden bits is the rest, once
    the gradient for labels drawn blindly, each as often as it occurs, is taken away.
    For a ParitySum or SumFunction, its network after init in float64; n of at most some 22.
    """
    size, often = 2**problem.n, np.zeros(problem.classes[task])

    def gradient(label):  # None: for the true ones
        total = 0.0
        for start in range(0, size, 4096):
            codes = np.arange(start, min(start + 4096, size))
            bits = codes[:, None] >> np.arange(problem.n) & 1  # (codes,) -> (codes, n)
            labels = np.full((len(bits), len(problem.tasks)), -1)
            labels[:, task] = problem.label(bits)[:, task] if label is None else label
            if label is None:
                often[:] += np.bincount(labels[:, task], minlength=len(often)) / size
            _, gradients = network.loss_and_gradients(bits, labels)
            total += len(bits) / size * np.hstack([array.ravel() for array in gradients.values()])
        return total

    whole = gradient(None)
    blind = sum(share * gradient(label) for label, share in enumerate(often))
    return np.linalg.norm(whole), np.linalg.norm(whole - blind)


# --------------------------------------------------------------------------------------------------
# 6. Many runs, in parallel and resumable

VERSION = 3  # changes whenever results do, so that stored ones of another version are not taken for these


def arguments_of(settings):
    """Return all arguments of train(**settings) that decide what comes of it. Raises TypeError."""
    call = inspect.signature(train).bind(**settings)
    call.apply_defaults()
    arguments = {name: x.item() if isinstance(x, np.generic) else x for name, x in call.arguments.items()}
    arguments["dtype"] = np.dtype(arguments["dtype"]).name
    del arguments["report"]
    if arguments["supervision"] == "target":
        arguments["p"] = 0.0
    elif arguments["supervision"] != "multi-task":
        del arguments["p"]  # is of no use
    return arguments


def as_record(settings, run):
    """Describe a run and what came of it, for a store and for --json; `budget` is train's `examples`."""
    arguments, record = arguments_of(settings), {"event": "run"}
    for kind in ("problem", "network"):
        owner = arguments.pop(kind)
        record[kind] = getattr(owner, "name", type(owner).__name__)
        for name in getattr(owner, "__dataclass_fields__", ()):  # a problem has a seed of its own
            record[f"{kind}_{name}" if name in record | arguments else name] = getattr(owner, name)
    record |= {"p": None} | arguments | {"budget": arguments["examples"], "solved": run.solved_at is not None}
    record |= {"solved_at": run.solved_at, "examples": run.examples, "seconds": run.seconds}
    return record | {"accuracy": run.history[-1]["accuracy"], "history": run.history}


def open_store(path):
    """Connect to a store, made if need be. Raises OSError, or ValueError if the file is something else."""
    if not os.fspath(path):
        raise ValueError("a store must have a name")
    try:
        store = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        tables = [sql for (sql,) in store.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")]
        if tables and "CREATE TABLE runs (run TEXT PRIMARY KEY, record TEXT)" not in tables:
            raise ValueError(f"{path} is not a store of iis.py; nothing was changed")
        store.execute("CREATE TABLE IF NOT EXISTS runs (run TEXT PRIMARY KEY, record TEXT)")
        return store
    except sqlite3.Error as error:
        raise OSError(f"cannot use the store {path}: {error}") from None


def run_one(settings, stopping=None):
    """Train what the settings describe, on a copy of the network; return the Run, or what was raised."""

    def report(run):
        if stopping and stopping.is_set():
            raise KeyboardInterrupt
        if settings.get("report"):
            settings["report"](run)

    try:
        return train(**settings | {"network": copy.deepcopy(settings["network"]), "report": report})
    except Exception as error:
        if getattr(error, "errno", None) and not error.filename:  # of report: nobody reads what it prints
            raise
        return error


def sweep(runs, executor=None, store=None, jobs=None):
    """Train all runs, dicts of train's arguments, several at a time; yield (settings, Run) as each ends.

    executor  any concurrent.futures.Executor, of threads, processes or a cluster; if None, as many threads
              as `jobs` says, one for each core if None: kernels do not hold Python's lock
    store     path of an SQLite file with the table `runs`: the complete call of train, with the VERSION of
              iis.py, and as_record in JSON. What it holds already is yielded first, without a network, and
              not run again; what ends is on disk before it is yielded. Several sweeps may share one

    Equal runs are trained once. A run that fails is yielded with its exception in place of the Run, and not
    stored. Once the caller stops listening, runs in threads of our own end at their next evaluation.
    Raises OSError if the store cannot be written, and ValueError if it is not ours.
    """
    jobs = os.cpu_count() if jobs is None else number("jobs", jobs, 1, 1_000, whole=True)
    database = open_store(":memory:" if store is None else store)
    stopping, same, futures = threading.Event(), {}, {}
    pool, started = (executor, ()) if executor else (ThreadPoolExecutor(jobs), (stopping,))

    def ask(*query):
        try:
            return database.execute(*query)
        except sqlite3.Error as error:
            raise OSError(f"cannot use the store {store}: {error}") from None

    def keep(call, run):
        if store is not None and isinstance(run, Run):
            record = json.dumps(as_record(same[call][0], run), default=repr)
            ask("INSERT OR IGNORE INTO runs VALUES (?, ?)", (call, record))

    try:
        for settings in runs:
            try:
                arguments = ", ".join(f"{name}={value!r}" for name, value in arguments_of(settings).items())
                if "..." in arguments or (store is not None and " at 0x" in arguments):
                    raise ValueError(f"a sweep needs a repr that tells all, as dataclasses have: {arguments}")
                same.setdefault(f"train({arguments})  # version {VERSION}", []).append(settings)
            except Exception as error:
                yield settings, error
        for call, equal in same.items():
            found = ask("SELECT record FROM runs WHERE run = ?", [call]).fetchone()
            if found:
                record = json.loads(found[0])
                run = Run(**{name: record[name] for name in ("solved_at", "examples", "seconds", "history")})
                yield from ((settings, run) for settings in equal)
            else:
                futures[pool.submit(run_one, equal[0], *started)] = call
        for future in as_completed(list(futures)):
            call, run = futures[future], (executor and future.exception()) or future.result()
            keep(call, run)
            del futures[future]  # and with it the network
            yield from ((settings, run) for settings in same[call])
    finally:
        stopping.set()
        for future in futures:
            future.cancel()
        if not executor:
            pool.shutdown()
        for future, call in futures.items():  # what ended meanwhile is not lost
            if future.done() and not future.cancelled() and not future.exception():
                keep(call, future.result())
        database.close()


# --------------------------------------------------------------------------------------------------
# 7. The command line

PROBLEMS = {problem.name: problem for problem in (ParitySum, Digits, Lego, Code)}
NETWORKS = {network.name: network for network in (NumpyMLP, Bilinear, MLP, Transformer)}
FAST = {"parity": ["bilinear", "mlp"], "digits": ["mlp"], "lego": ["transformer"], "code": ["transformer"]}
SLOW = {"parity": ["numpy", "transformer"], "digits": ["numpy"], "lego": [], "code": []}
TUNED = {"parity": {"n": 20, "layers": 2, "heads": 4}, "lego": {"layers": 4, "heads": 4},
         "code": {"layers": 6}}
WHY = """Why: each hidden bit moves the sum, and by itself tells nothing of the parity. So the sum finds the
hidden bits, and that was the hard part: python plots.py why"""


def numeric(text):
    """Read a number; whether it is in range, the problem, the network or train will say."""
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def parse(argv):
    """Return {option: value or None}. What is wrong with the command line is said in one line, exit 2."""
    parser = argparse.ArgumentParser(
        "iis.py", usage="python iis.py [options]", allow_abbrev=False,
        description="Train networks on a hard question, with and without an easier one in the data.",
        epilog="examples:\n  python iis.py --p 0.2 --n 50 --k 5\n  python iis.py --problem lego --show 2",
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, width=100))
    parser.error = lambda message: parser.exit(2, f"iis.py: {message}\n")

    def option(name, value, text, **settings):
        group.add_argument(f"--{name}", metavar=value, help=text, **({"type": numeric} | settings))

    group = parser.add_argument_group("experiment")
    option("problem", "NAME", "parity, digits, lego or code (parity)", type=str, choices=PROBLEMS)
    networks = "numpy, bilinear, mlp, transformer or all (parity: bilinear and mlp; digits: mlp)"
    option("network", "NAME", networks, type=str, choices=[*NETWORKS, "all"])
    labels = f"what the data asks: {', '.join(SUPERVISIONS)} (multi-task; lego and code: multi-label)"
    option("supervision", "NAME", labels, type=str, choices=SUPERVISIONS)
    option("p", "SHARE", "multi-task: share of the examples that ask a helper question (0.2)")
    option("examples", "COUNT", "give up after so many (1000000); the control sees as many as its run did")
    option("seed", "SEED", "decides the hidden bits, the starting weights and the examples (0)")
    option("seeds", "COUNT", "repeat with so many seeds, counted up from --seed (1)")
    group = parser.add_argument_group("problem")
    option("n", "BITS", "bits of an example (50, with a transformer 20), or pictures of digits (16)")
    option("k", "COUNT", "hidden bits (5), variables of lego's chain (5), lines of code (4)")
    option("distractors", "COUNT", "parity, not bilinear: so many more helpers, sums of other bits (0)")
    option("others", "COUNT", "lego: so many variables beside the chain (3)")
    option("modulus", "NUMBER", "code: what it computes modulo (5)")
    group = parser.add_argument_group("network")
    option("width", "UNITS", "hidden units of an mlp (128), width of the transformer (32)")
    option("layers", "COUNT", "layers of the transformer (parity 2, lego 4, code 6)")
    option("heads", "COUNT", "attention heads of each layer (4, code 2)")
    group.add_argument("--causal", action="store_true", default=None, help="transformer: no looking ahead")
    option("batch", "SIZE", "examples per training step (64)")
    option("lr", "RATE", "learning rate (0.002; bilinear 0.02, less for long inputs)")
    group = parser.add_argument_group("running")
    option("jobs", "COUNT", "so many runs at a time (one for each core)")
    option("store", "FILE", "keep finished runs there; do those missing", type=str)
    group = group.add_mutually_exclusive_group()
    option("show", "COUNT", "print so many examples and what was answered (0)")
    group.add_argument("--json", action="store_true", help="print JSON objects only, one a line")
    return vars(parser.parse_args(argv))


def planned(options):
    """Return the runs that the options ask for. Raises ValueError for an option that is of no use there."""
    given = {name: value for name, value in options.items() if value is not None}
    kind = given.get("problem", "parity")
    usual = "multi-task" if kind in ("parity", "digits") else "multi-label"
    supervision, names = given.get("supervision", usual), [given.get("network", "fast")]
    if names[0] in ("fast", "all"):
        names = FAST[kind] + SLOW[kind] * (names[0] == "all")
        if "distractors" in given:
            names = [name for name in names if name != "bilinear"]
    for name in ("n", "k", "distractors", "others", "modulus"):
        if name in given and not hasattr(PROBLEMS[kind], name):
            raise ValueError(f"--{name} is of no use for problem {kind}")
    for name in ("width", "layers", "heads", "causal"):
        if name in given and not any(hasattr(NETWORKS[network], name) for network in names):
            raise ValueError(f"--{name} is of no use for network {' or '.join(names)}")
    if "p" in given and supervision != "multi-task":
        raise ValueError(f"--p is of no use with supervision {supervision}")
    number("examples", given.get("examples", 1), 1, whole=True)  # before anything is printed
    number("jobs", given.get("jobs", 1), 1, 1_000, whole=True)
    if "transformer" in names:
        given = TUNED.get(kind, {}) | given  # where it learns, if nothing else is said

    def chosen(*names):
        return {name: given[name] for name in names if name in given}

    runs, first = [], number("seed", given.get("seed", 0), 0, whole=True)
    for seed in range(first, first + number("seeds", given.get("seeds", 1), 1, 100_000, whole=True)):
        given["seed"] = seed
        problem = PROBLEMS[kind](**chosen(*PROBLEMS[kind].__dataclass_fields__))
        for name in names:
            network = NETWORKS[name](**chosen(*NETWORKS[name].__dataclass_fields__))
            settings = {"problem": problem, "network": network, "supervision": supervision}
            runs.append(settings | chosen("seed", "p", "examples", "batch", "lr"))
    return runs


def asked(settings, run):
    """Return the tasks that a run was trained on. The others have no accuracy worth telling."""
    *helpers, target = run.history[-1]["accuracy"]
    supervision, p = settings["supervision"], settings.get("p", 0.2)
    if not helpers or supervision == "target" or (supervision == "multi-task" and p == 0):
        return [target]
    helped = [all(record["accuracy"][task] >= 0.99 for task in helpers) for record in run.history[:-1]]
    if (supervision == "curriculum" and not any(helped)) or (supervision == "multi-task" and p == 1):
        return helpers
    return [*helpers, target]


def row(group):
    """Write what came of runs, (settings, Run), that differ in the seed alone: the cells of a table's row."""
    settings, tasks = group[0][0], [*group[0][1].history[-1]["accuracy"]]
    target, helper = tasks[-1], tasks[0] if len(tasks) == 2 else "helpers"
    share = 100 * settings.get("p", 0.2)
    asks = {
        "target": f"{target} only: control",
        "multi-task": f"{100 - share:.4g} % {target}, {share:.4g} % {helper}",
        "multi-label": "all of them", "explicit": "all of them, in turn",
        "curriculum": f"{helper}, then {target}",
    }
    few, right = len(tasks) < 3, []
    for task in tasks:
        shares = [run.history[-1]["accuracy"][task] for each, run in group if task in asked(each, run)]
        form, none = ("{:.1f} %", "not asked") if few else ("{:3.0f}", "  -")
        right.append(form.format(100 * np.median(shares)) if shares else none)
    if not few:  # all in one cell
        right = [" ".join(right if len(right) < 7 else [*right[:4], "...", right[-1]])]
    seen, solved = [run.solved_at or run.examples for _, run in group], [run.solved_at for _, run in group]
    examples, learned = f"{np.median(seen):,.0f}", "yes" if any(solved) else "no"
    if len(group) > 1:
        low, high = np.quantile(seen, (0.25, 0.75)) / 1000
        examples += f" ({low:,.0f}k-{high:,.0f}k)" if low < high else ""
        learned = f"{len(group) - solved.count(None)} of {len(group)}"
    if any(not run.solved_at and run.examples < each.get("examples", 1_000_000) for each, run in group):
        learned += ", cut off"
    seconds = f"{np.median([run.seconds for _, run in group]):.2f} s"
    return settings["network"].name, asks[settings["supervision"]], *right, learned, examples, seconds


def table(found):
    """Write who learned what, of (settings, Run) pairs: a line of at most 100 letters for each kind."""
    groups = {}
    for settings, run in found:
        key = settings["supervision"] == "target", settings["network"].name, settings["supervision"]
        groups.setdefault(key, []).append((settings, run))
        tasks = [*run.history[-1]["accuracy"]]
    right = tasks if len(tasks) < 3 else [f"%, {tasks[0]} to {tasks[-1]}"]
    heads = ("network", "what the data asks", *right, "learned", "examples", "time")
    columns = [*zip(heads, *[row(group) for _, group in sorted(groups.items())])]
    widths = [len(max(column, key=len)) for column in columns]
    if sum(widths) + 2 * (len(widths) - 1) > 100:
        del columns[-1]  # the time
    for i, (column, width) in enumerate(zip(columns, widths)):
        columns[i] = [cell.ljust(width) if i < 2 else cell.rjust(width) for cell in column]
    return "\n".join([*map("  ".join, zip(*columns)), "",
                      f"Learned: the target, {tasks[-1]}, is right on 99 % or more of 10,000 fresh examples.",
                      "Examples: seen until then, else in all. Of several seeds, medians (and quartiles)."])


class Compiling(numba.core.event.Listener):
    """Says that Numba compiles; what it finds compiled on disk does not count."""

    def on_start(self, event):
        say("Preparing: the first time this compiles for some seconds ...")

    def on_end(self, event):
        pass


def progress(text):
    """Show a line in place of the one before, on standard error if that is a terminal."""
    if sys.stderr.isatty():
        print(end=f"\r\033[K{text}", file=sys.stderr, flush=True)


def show(problem, inputs, said):
    """Print examples, and who says what of them: {who: (tasks, answers to all inputs)}."""
    words = ("-1", "+1") if isinstance(problem, Lego) else range(max(problem.classes))
    for i, example in enumerate(inputs):
        lines = problem.show(example).split("\n")
        if isinstance(problem, ParitySum) and problem.n <= 75:
            lines.append("".join("^" if j in problem.support else " " for j in range(problem.n)).rstrip())
        for who, (tasks, labels) in said.items():
            pairs = [(task, words[label]) for task, label in zip(problem.tasks, labels[i]) if task in tasks]
            lines.append(who + ", ".join(f"{task} = {word}" for task, word in pairs))
        print("\n    " + "\n    ".join(lines))
    print(flush=True)


@np.errstate(over="ignore", invalid="ignore")  # of answers with weights as good as diverged
def command(options, found, interrupt):
    """Train with the chosen supervision, then the control on as many examples; note what comes in found.

    Returns what went wrong, a line for each run that failed.
    """
    runs, count = planned(options), number("show", options["show"] or 0, 0, 10_000, whole=True)
    problem, seed = runs[0]["problem"], runs[0]["seed"]
    failures, lock = [], threading.Lock()
    with numba.core.event.install_listener("numba:compile", Compiling()):
        for settings in [settings for settings in runs if settings["seed"] == seed]:
            failed = run_one(settings | {"examples": 1})  # compiles, and finds what is out of range
            if isinstance(failed, Exception) and not isinstance(failed, Diverged):
                raise failed
    signals.signal(signals.SIGINT, interrupt)  # not before: in Numba's callbacks an exception is lost
    held_out = getattr(problem, "sample_held_out", problem.sample)
    inputs, labels = held_out(np.random.default_rng(seed), max(1, count))
    if not options["json"]:
        hidden = ", ".join(map(str, getattr(problem, "support", ())))
        hidden = f"Hidden, with seed {seed}: {hidden}. " if hidden else ""
        print(f"{problem}:\n{problem.__doc__.splitlines()[0]}\n{hidden}For example:")
        show(problem, inputs, {"": (problem.tasks, labels)})

    def note(settings, run, ended=False):  # after each evaluation, called by the threads that train
        name, supervision, seed = settings["network"].name, settings["supervision"], settings["seed"]
        right = run.history[-1]["accuracy"]
        with lock:
            found[name, supervision, seed] = settings, run
            if options["json"]:
                record = as_record(settings, run)
                if not ended:
                    record |= {"event": "eval"} | record.pop("history")[-1]
                print(json.dumps(record), flush=True)
            elif not ended:
                right = ", ".join(f"{task} {100 * right[task]:.1f} %" for task in asked(settings, run))
                progress(f"{name}, {supervision}, seed {seed}: {right} right after {run.examples:,} examples")

    def train_all(runs):
        reporting = [settings | {"report": functools.partial(note, settings)} for settings in runs]
        with contextlib.closing(sweep(reporting, store=options["store"], jobs=options["jobs"])) as ended:
            for settings, run in ended:
                if isinstance(run, Exception):
                    name, failed = settings["network"].name, settings["seed"]
                    failures.append(f"{name}, seed {failed}: {run}")
                    found.pop((name, settings["supervision"], failed), None)
                else:
                    note(settings, run, ended=True)

    train_all(runs)
    if runs[0]["supervision"] != "target":
        control = {"supervision": "target"}
        train_all([settings | control | {"examples": run.examples} for settings, run in found.values()])
    progress("")
    if count and not options["json"]:
        said = {"truth: ": (problem.tasks, labels)}
        for (name, supervision, drawn), (settings, run) in sorted(found.items()):
            if drawn == seed and run.network:  # a run from the store has none
                asks = Explicit(problem) if supervision == "explicit" else problem
                said[f"{name} {supervision}: "] = asked(settings, run), answers(asks, run.network, inputs)
        print("What was answered:" if len(said) > 1 else "What was answered, the store does not know.")
        show(problem, inputs, said)
    return failures


def main(argv=None):
    """Run the command line; return the exit status."""
    options, found, complaints, leave = parse(argv), {}, [], signals.getsignal(signals.SIGINT)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # it may be closed

    def interrupt(*_):  # the first time; the second time leave at once
        signals.signal(signals.SIGINT, leave)
        raise KeyboardInterrupt

    try:
        try:
            complaints = command(options, found, interrupt if callable(leave) else leave)
            status = 1 if complaints else 0
        except KeyboardInterrupt:
            status, complaints = 130, ["interrupted: runs under way count as they stood"]
        except (ValueError, OSError, RuntimeError, MemoryError) as error:  # RuntimeError: no more threads
            if getattr(error, "errno", None) and not error.filename:
                raise  # of print
            status, complaints = 2, [str(error) or "not enough memory"]
        signals.signal(signals.SIGINT, leave)
        progress("")
        if found and (status == 130 or not options["json"]):
            print(table(found.values()), file=sys.stderr if options["json"] else sys.stdout, flush=True)
            learned = [key for key, (_, run) in found.items() if run.solved_at]
            controls = [(name, "target", seed) for name, _, seed in learned]  # of those who learned
            helped = any(control in found and control not in learned for control in controls)
            helped = helped and options["problem"] in (None, "parity") and options["k"] != 1
            if helped and not options["json"]:
                print(f"\n{WHY}", flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        broken = isinstance(error, BrokenPipeError)  # whoever reads the output has seen enough
        status, complaints = (0, []) if broken else (2, [f"standard output: {error.strerror}"])
    for complaint in complaints:
        print(f"iis.py: {complaint}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())

# Licence: 0BSD. Permission to use, copy, modify, and/or distribute this software for any purpose with or
# without fee is hereby granted. THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
# WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT
# SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
# WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR
# OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
#
# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=2", "numba>=0.61"]
# ///
