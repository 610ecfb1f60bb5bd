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
from dataclasses import dataclass
import numpy as np

__all__ = [  # what is for use elsewhere, in the order of the file
    "ParitySum", "SUPERVISIONS", "supervise", "Network", "highest", "cross_entropy",
    "NumpyMLP", "train", "Run", "Diverged", "check_gradients", "MLP", "Bilinear",
    "Lego", "Code", "Explicit", "Transformer", "sweep"]

# --------------------------------------------------------------------------------------
# 1. The idea
# A problem has tasks, questions about its inputs: first the easy ones, the helpers, and
# last the hard one, the target. `train`, at the end, repeats these four lines:
#     inputs, labels = problem.sample(...)         # labels are the answers to all tasks
#     labels = supervise(labels, ...)              # mask some: this is the new idea
#     loss = network.descend(inputs, labels, ...)  # learn from the others
#     accuracy = tested(...)                       # right on new inputs, too? Then stop


@dataclass  # so that ParitySum(n=50, k=5, seed=0) works
class ParitySum:
    """n random bits. k of them count, nobody says which: how many are 1? Is that odd?

        01011111100000101100001011011001110011111110101100    an input: n = 50 bits
          ^ ^             ^    ^            ^                 k = 5 hidden: these count
        sum = 2, parity = 0                                   the labels

    A hidden bit that is 1 makes the sum larger, on average: so each hidden bit can be
    found by itself. The parity is 1 half of the time, whatever that bit is (if k > 1):
    nothing shows until all are found. ValueError unless 1 <= k <= n <= 100,000.
    """
    n: int = 50
    k: int = 5
    seed: int = 0  # decides which bits are hidden
    name = "parity"  # what the command line calls it
    tasks = ("sum", "parity")  # the questions, easiest first

    def __post_init__(self):  # when n, k and seed are set
        check_numbers(self, n=(1, 100_000), k=(1, self.n), seed=(0, np.inf))
        shuffled = np.random.default_rng(self.seed).permutation(self.n)
        self.support = np.sort(shuffled[: self.k])  # places of the hidden bits: (k,)
        self.classes = (self.k + 1, 2)  # how many answers: 0 ... k to the sum, 0 and 1

    def sample(self, rng, size):
        """Draw inputs, uint8 (size, n), 0 or 1, and their labels, int64 (size, 2)."""
        packed = rng.integers(0, 256, (size, math.ceil(self.n / 8)), dtype=np.uint8)
        bits = np.unpackbits(packed, axis=1, count=self.n)  # fast: 8 bits from a number
        return bits, self.label(bits)

    def label(self, bits):
        sums = bits[:, self.support].sum(axis=1, dtype=np.int64)  # (size, n) -> (size,)
        return np.stack([sums, sums % 2], axis=1)  # (size,), (size,) -> (size, 2)

    def show(self, bits):  # writes one input, (n,), as a person would
        return "".join(str(int(bit)) for bit in bits)


SUPERVISIONS = ("target", "multi-task", "multi-label", "explicit", "curriculum")


def supervise(labels, rng, supervision, p=0.2):
    """Mask some of the labels, integers (size, tasks): return int64, -1 where masked.

    target       shows the target's answer only: the control, without any help
    multi-task   one answer: a helper's with probability p, else the target's
    curriculum   the same; train has p = 1 until helpers are learned, then p = 0
    multi-label  all answers
    explicit     all; each is read before the next is given: a chain of thought
    """
    labels = np.array(labels, np.int64)  # a copy; unsigned integers have no -1
    size, tasks = labels.shape
    if supervision in ("multi-label", "explicit") or tasks == 1:
        return labels
    share = {"target": 0, "multi-task": p, "curriculum": p}[supervision]
    ask_helper = rng.random(size) < share  # in which examples: (size,)
    helper = rng.integers(0, tasks - 1, size)  # the number of any but the last task
    task = np.where(ask_helper, helper, tasks - 1)  # the one that is asked: (size,)
    return np.where(task[:, None] == np.arange(tasks), labels, -1)  # -> (size, tasks)


class Network:
    """What networks share: how they learn. For one of your own, define in a subclass

    init(problem, rng, dtype)           which sets params, a dict of named arrays
    loss_and_gradients(inputs, labels)  the mean loss; its gradients, named like params
    predict(inputs)                     the answers to all tasks, integers (size, tasks)
    where inputs are as sample draws them; a label of -1 is masked, and costs nothing.
    """
    adam_params = None  # the params that Adam's averages belong to

    def rate(self, batch):  # how far to step, if nothing is told; may depend on batch
        return 0.002

    def descend(self, inputs, labels, batch, lr=None):
        """Step downhill once for every `batch` examples; return their summed loss."""
        lr, total = (self.rate(batch) if lr is None else lr), 0.0
        for x, y in batches(batch, inputs, labels):
            loss, gradients = self.loss_and_gradients(x, y)
            self.adam(gradients, lr)
            total += loss * len(x)
        return total

    def adam(self, gradients, lr):
        """Move weights by about lr, less if gradients vary (Kingma and Ba 2015)."""
        if self.adam_params is not self.params:  # new from init: forget the old ones
            begin_adam(self, gradients)
        self.adam_step += 1
        for name, gradient in gradients.items():
            mean = 0.9 * self.adam_mean.get(name, 0) + 0.1 * gradient
            square = 0.999 * self.adam_square.get(name, 0) + 0.001 * gradient**2
            self.adam_mean[name], self.adam_square[name] = mean, square
            mean = mean / (1 - 0.9**self.adam_step)  # averages from 0 on: too small
            square = square / (1 - 0.999**self.adam_step)
            self.params[name] -= lr * mean / (np.sqrt(square) + 1e-8)


def highest(logits, classes):
    """Return each task's best-scored answer: (size, outputs) -> int64 (size, tasks)."""
    heads = np.split(logits, np.cumsum(classes)[:-1], axis=1)  # k + 1 columns, then 2
    return np.stack([scores.argmax(axis=1) for scores in heads], axis=1)


def cross_entropy(logits, labels, classes):
    """Return the loss, summed over tasks, mean over examples; its derivative by logits.

    Logits, (size, outputs), are a score z for each answer of each task: k + 1, then 2.
    softmax(z) = exp(z) / sum(exp(z)) turns them into probabilities. A label costs -log
    of its probability, that is log(sum(exp(z))) - z[label]; the derivative of this is
    softmax(z), minus 1 at the label. A masked label, -1 in labels, costs nothing.
    """
    loss, dlogits = 0.0, []
    heads = np.split(logits, np.cumsum(classes)[:-1], axis=1)  # k + 1 columns, then 2
    for task, z in enumerate(heads):  # z (size, answers)
        label = labels[:, [task]]  # (size, tasks) -> (size, 1)
        truth = label == np.arange(classes[task])  # (size, 1) -> (size, answers)
        z = z - z.max(axis=1, keepdims=True)  # same softmax, no overflow
        total = np.exp(z).sum(axis=1, keepdims=True)  # (size, answers) -> (size, 1)
        loss += np.log(total[label >= 0]).sum() - z[truth].sum()
        dlogits.append((label >= 0) * (np.exp(z) / total - truth))
    return float(loss) / len(labels), np.hstack(dlogits) / len(labels)


@dataclass
class NumpyMLP(Network):
    """A multi-layer perceptron with one hidden layer: logits max(0, x W + b) Vᵀ + c.

    x is the bits as -1 and 1. `width` hinges, max(0, ·), can add up to the zigzag of
    the parity, 0 1 0 1 ... as the sum grows. params: W (n, width), b (width,),
    V (outputs, width), c (outputs,). Raises ValueError unless 1 <= width <= 1,000,000.
    """
    width: int = 128
    name = "numpy"

    def __post_init__(self):
        check_numbers(self, width=(1, 1_000_000))

    def init(self, problem, rng, dtype=np.float32):
        """Draw W from ±1/sqrt(n), V from ±1/sqrt(width), uniformly; b and c are 0."""
        bits, _ = problem.sample(rng, 1)  # an example tells n
        self.n, self.classes, width = bits.shape[1], problem.classes, self.width
        W = rng.uniform(-1, 1, (self.n, width)) / np.sqrt(self.n)
        V = rng.uniform(-1, 1, (sum(self.classes), width)) / np.sqrt(width)
        params = {"W": W, "b": np.zeros(width), "V": V, "c": np.zeros(len(V))}
        self.params = {name: array.astype(dtype) for name, array in params.items()}

    def forward(self, inputs):
        """Return x, the hinges and the logits."""
        W, b, V, c = [self.params[name] for name in ("W", "b", "V", "c")]
        x = 2 * np.asarray(inputs, W.dtype) - 1
        hinges = np.maximum(x @ W + b, 0)  # (size, n) -> (size, width)
        return x, hinges, hinges @ V.T + c  # (size, width) -> (size, outputs)

    def loss_and_gradients(self, inputs, labels):
        """Go forward to the loss, then back: dV is its derivative with respect to V."""
        x, hinges, logits = self.forward(inputs)
        loss, dlogits = cross_entropy(logits, labels, self.classes)
        dV, dc = dlogits.T @ hinges, dlogits.sum(axis=0)  # (outputs, width), (outputs,)
        dhinges = (dlogits @ self.params["V"]) * (hinges > 0)  # -> (size, width)
        dW, db = x.T @ dhinges, dhinges.sum(axis=0)  # (n, width), (width,)
        return loss, {"W": dW, "b": db, "V": dV, "c": dc}

    def predict(self, inputs):
        """Answer all tasks: (size, n) -> int64 (size, tasks)."""
        return highest(self.forward(inputs)[2], self.classes)


def next_test(seen, batch, every):
    """Return how many examples to train on before the next test: whole batches."""
    wait = every or min(max(6_400, seen // 16), 64_000)  # later, less often
    return batch * math.ceil(wait / batch)


def tested(run, inputs, truth, thorough):
    """Return the share of right answers to each task, (tasks,), on new inputs."""
    if not thorough:
        right = run.network.predict(inputs[:2_000].copy()) == truth[:2_000]
        thorough = right[:, -1].mean() > 0.98 and not run.solved_at  # is it solved?
    if thorough:
        right = run.network.predict(inputs.copy()) == truth
    return right.mean(axis=0)  # (size, tasks) -> (tasks,)


@np.errstate(all="ignore")  # no warnings of what is not finite: it raises Diverged
def train(problem, network, supervision="multi-task", p=0.2, examples=1_000_000,
          batch=64, seed=0, stop_when_solved=True, lr=None, every=None,
          dtype=np.float32, report=None):
    """Train until the target is solved: right on 99 % of 10,000 other inputs.

    network           is trained itself, or a copy if it was begun before
    supervision, p    what an example tells: see supervise. "curriculum" goes over to
                      the target after a test in which all helpers were 99 % right
    examples, batch   how many to see in all, at most; how many in one step
    seed              decides all that is drawn: the same seed gives the same run
    stop_when_solved  False: go on to the last example
    lr, dtype         the learning rate; None: network.rate. Of params: float32, float64
    every             test after so many, in whole batches; None: 6,400, later 64,000
    report            is called with the Run after each test
    Return a Run. ValueError for what does not fit; Diverged, one too, for a large lr.
    """
    examples, batch, every, seed = check_call(
        problem, network, supervision, p, examples, batch, every, seed, lr)
    rng_start, rng_data, rng_labels, rng_test = np.random.default_rng(seed).spawn(4)
    test, truth = map(np.copy, problem.sample(rng_test, 10_000))  # an rng of its own
    network, supervision = begin(  # draws the weights; Explicit has its own supervision
        network, problem, supervision, rng_start, dtype, test, truth)
    params, run, began = network.params, Run(network=network), time.perf_counter()
    p = 1.0 if supervision == "curriculum" else p  # at first the helpers alone
    while run.examples < examples and not (run.solved_at and stop_when_solved):
        size = min(next_test(run.examples, batch, every), examples - run.examples)
        inputs, labels = problem.sample(rng_data, size)  # thousands, drawn afresh
        labels = supervise(labels, rng_labels, supervision, p)
        loss = network.descend(inputs, labels, batch, lr) / len(inputs)  # by batches
        check_descent(network, params, loss)  # ends a run that diverged
        run.examples += len(inputs)
        accuracy = tested(run, test, truth, run.examples >= examples)  # (tasks,)
        if accuracy[-1] >= 0.99 and not run.solved_at:
            run.solved_at = run.examples
        run.note(time.perf_counter() - began, loss, problem.tasks, accuracy)
        if supervision == "curriculum" and (accuracy[:-1] >= 0.99).all():
            p = 0.0  # the helpers are learned: from now on the target alone
        if report:
            report(run)
    return run


# --------------------------------------------------------------------------------------
# What train returns, and the border: all that is checked of a problem and a network of
# your own, with what train needs besides. Only kernels, which would read beyond an
# array, check more. What is not refused is allowed.

import contextlib
import copy
import threading
from dataclasses import field
from numbers import Real


@dataclass
class Run:
    """What came of one training. history has a dict for each test:

    examples  seen by then          loss      the mean since the test before
    seconds   since the beginning   accuracy  {task: share of right answers}

    accuracy is of 2,000 inputs; of 10,000 at the end, and where the target gets solved.
    """
    solved_at: int | None = None  # examples seen when the target was first 99 % right
    examples: int = 0  # seen in all
    network: object = None  # as trained
    history: list = field(default_factory=list)  # [] at first

    def note(self, seconds, loss, tasks, accuracy):
        accuracy = dict(zip(tasks, accuracy.tolist()))
        self.history.append({"examples": self.examples, "seconds": seconds,
                             "loss": float(loss), "accuracy": accuracy})


class Diverged(ValueError):
    """The loss or a weight is no finite number any more."""


def check(right, words):
    """Raise ValueError, with these words, unless all is right."""
    if not right:
        raise ValueError(words)


def check_number(name, value, low, high=10**12):
    """Return value, from low to high, as an int if low is an int, else as a float."""
    whole = isinstance(low, int)
    if isinstance(value, Real) and low <= value <= high and not (whole and value % 1):
        return int(value) if whole else float(value)
    raise ValueError(f"{name} must be a {'whole ' * whole}number from {low:.15g} to "
                     f"{high:.15g}, not {value!r}")


def check_numbers(thing, **ranges):
    """Turn attributes of a thing, whole numbers from low to high, into ints."""
    for name, (low, high) in ranges.items():
        setattr(thing, name, check_number(name, getattr(thing, name), low, high))


def check_integers(name, array, shape, low, below):
    """Return array if it has this shape, and integers from low up and below `below`.

    In shape, a text such as "size" stands for any length. below: one, or one a column.
    """
    array = np.asarray(array)
    fits = array.ndim == len(shape) and array.dtype.kind in "biu"  # bool, int, unsigned
    for wanted, length in zip(shape, array.shape):
        fits = fits and (isinstance(wanted, str) or wanted == length)
    if fits:
        columns = array.T if np.ndim(below) else [array]
        highest = [column.max(initial=0) for column in columns]
        if array.size == 0 or (array.min() >= low and np.less(highest, below).all()):
            return array
    came = f"{array.min()} to {array.max()}" if fits else f"{array.dtype} {array.shape}"
    raise ValueError(f"{name} must be integers of shape ({', '.join(map(str, shape))}),"
                     f" numbered from {low} up and below {below}, not {came}")


def check_call(problem, network, supervision, p, examples, batch, every, seed, lr):
    """Refuse arguments that train cannot use; return the whole numbers among them."""
    for given in (problem, network):
        if isinstance(given, type):
            raise ValueError(f"train needs an object, {given.__name__}(), not a class")
    check(supervision in SUPERVISIONS,
          f"supervision must be in {SUPERVISIONS}, not {supervision!r}")
    check_number("p", p, 0.0, 1.0)
    check_number("lr", 0.0 if lr is None else lr, 0.0, 1e38)
    check_problem(problem)
    return (check_number("examples", examples, 1), check_number("batch", batch, 1),
            None if every is None else check_number("every", every, 1),
            check_number("seed", seed, 0, np.inf))


def check_problem(problem):
    """Refuse a problem that does not keep what train relies on:

    tasks, classes     different names, easiest first; how many answers each has
    sample(rng, size)  draws with rng, and nothing else; into new arrays each time
    """
    tasks, classes = problem.tasks, problem.classes
    check(isinstance(tasks, (tuple, list, np.ndarray))
          and {isinstance(task, str) for task in tasks} == {True}
          and len(set(tasks)) == len(tasks),
          f"tasks must be different names, easiest first, not {tasks!r}")
    check_integers("classes", classes, (len(tasks),), 2, np.inf)
    check(sum(classes) == np.sum(classes, dtype=float), "classes: too small a dtype")
    rng = np.random.default_rng(0)
    first, later, again = [  # again: from a generator like that of the first
        check_examples(problem, 50, problem.sample(source, 50))
        for source in (rng, rng, np.random.default_rng(0))]
    same, stuck = [all(map(np.array_equal, first, other)) for other in (again, later)]
    check(same and not stuck, "sample must draw with the rng that it is given, and with"
          " nothing else: equal generators, equal examples; each time others")
    check(not any(map(np.may_share_memory, first * 2, later + again)),
          "sample must return new arrays each time, no views of a buffer or a data set")


def check_examples(problem, size, drawn):
    """Return what sample drew, inputs and labels; refuse what does not fit."""
    check(isinstance(drawn, (tuple, list)) and len(drawn) == 2
          and {type(array) for array in drawn} <= {np.ndarray, np.memmap},
          "sample must return inputs and labels, plain NumPy arrays: none is masked")
    inputs, labels = drawn
    check(inputs.shape[:1] == (size,),
          f"sample must return {size} inputs, if asked for so many, not {inputs.shape}")
    check(inputs.dtype.kind in "biu"
          or (inputs.dtype.kind == "f" and np.isfinite(inputs).all()),
          "inputs must be finite numbers")
    check_integers("labels", labels, (size, len(problem.tasks)), 0, problem.classes)
    return drawn


BEGINNING = threading.RLock()  # of two threads with one network, one gets a copy


def begin(network, problem, supervision, rng, dtype, test, truth):
    """Draw the network's weights. Return it, in Explicit if that is asked for, and its
    supervision; if it was begun before, a copy.

    Refuses a test with one answer to the target in 99 %, and answers that do not fit.
    """
    check_examples(problem, 10_000, (test, truth))
    often = np.bincount(truth[:, -1].astype(int)).max() / len(truth)
    check(often < 0.99, f"{problem.tasks[-1]} has one answer in {often:.1%} of the"
          " test: to be right there would say nothing")
    if supervision == "explicit" and not hasattr(network, "own_supervision"):
        network = Explicit(network)  # in part 3: it answers one task after the other
    few = test[:500]
    inside = network.network if hasattr(network, "own_supervision") else network
    if isinstance(inside, NumpyMLP):
        check_integers(f"bits for network {inside.name}", few, ("size", "n"), 0, 2)
    with BEGINNING:
        if getattr(network, "params", None):
            network = copied(network)
        start(network, problem, rng, dtype)
    answers = np.asarray(network.predict(few.copy()))
    check(answers.dtype.kind in "biu" and answers.shape == truth[:500].shape,
          f"predict must return integers (size, tasks), here {truth[:500].shape},"
          f" not {answers.dtype} {answers.shape}")
    return network, getattr(network, "own_supervision", supervision)


def start(network, problem, rng, dtype):
    """Call init; note which attributes it makes, since a store is about the others."""
    network.adam_params = None  # Adam begins anew
    before = vars(network).keys() - getattr(network, "made_by_init", ())
    network.init(problem, rng, dtype)
    check(isinstance(network.params, dict), "init must make params, a dict of arrays")
    network.made_by_init = vars(network).keys() - before


def copied(thing):
    """Return a deep copy, which shares large arrays, and locks and such."""
    attributes = getattr(thing, "__dict__", {})
    large = {id(item): item for item in attributes.values()
             if getattr(item, "nbytes", 0) > 1e6}
    with contextlib.suppress(TypeError):
        return copy.deepcopy(thing, large)
    with contextlib.suppress(TypeError):  # something in it has no copy
        clone = copy.copy(thing)
        vars(clone).update({name: copied(item) for name, item in attributes.items()})
        return clone
    return thing


def begin_adam(network, gradients):
    """Let Adam begin anew, with new params; refuse gradients that do not fit them."""
    check_fit(network.params, gradients)
    network.adam_params, network.adam_step = network.params, 0
    network.adam_mean, network.adam_square = {}, {}


def check_fit(params, gradients):
    """Refuse gradients that have not the names and shapes of params."""
    check(isinstance(gradients, dict), "loss_and_gradients must return the loss and a"
          f" dict of gradients, not of type {type(gradients).__name__}")
    need, have = [{name: np.shape(array) for name, array in arrays.items()}
                  for arrays in (params, gradients)]
    check(need == have, f"gradients must be as params are, {need}, not {have}")


def check_descent(network, params, loss):
    """Refuse another dict of params, or a loss that is no number; raise Diverged."""
    check(network.params is params,
          "descend must keep the dict params: Adam remembers what became of its arrays")
    check(np.ndim(loss) == 0, "the loss of loss_and_gradients must be one number")
    if not all(np.isfinite(array).all() for array in (loss, *params.values())):
        raise Diverged("the loss is not finite any more: try a smaller lr")


def batches(batch, *arrays):
    """Yield parts of equally long arrays, of `batch` examples, the last maybe less."""
    batch, lengths = check_number("batch", batch, 1), [len(array) for array in arrays]
    check(len(set(lengths)) == 1, f"inputs and labels must be as many, not {lengths}")
    for start in range(0, lengths[0], batch):
        yield [array[start : start + batch] for array in arrays]


def check_gradients(network, inputs, labels):
    """Return the worst parameter, and how far its gradient is from central differences.

    For a network of your own, after init with dtype float64: the distance, relative to
    the length of the differences, is then 1e-6 or less. At a kink, where a hinge is
    just 0, there is no gradient: put random numbers for biases of 0. Leave dropout out.
    Raises ValueError for params that are not float64 and gradients that do not fit.
    """
    params, errors = network.params, []
    check({np.asarray(array).dtype for array in params.values()} == {np.dtype(float)},
          "params must be of float64: init(problem, rng, dtype=np.float64)")
    check(len(inputs) == len(labels), "inputs and labels must be as many")
    _, gradients = network.loss_and_gradients(inputs, labels)
    check_fit(params, gradients)
    for name, given in params.items():
        array = params[name] = np.asarray(given)  # a number, too, can then be changed
        slopes = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + 1e-6
            above, _ = network.loss_and_gradients(inputs, labels)
            array[index] = kept - 1e-6
            below, _ = network.loss_and_gradients(inputs, labels)
            array[index] = kept
            slopes[index] = (above - below) / 2e-6
        params[name] = given
        distance = np.linalg.norm(gradients[name] - slopes)
        error = float(distance / max(np.linalg.norm(slopes), 1e-9))
        errors.append((np.inf if np.isnan(error) else error, name))
    error, worst = max(errors)
    return worst, error


# --------------------------------------------------------------------------------------
# 2. The same, fast
#
# Part 1 needs nothing but NumPy. From here on Numba compiles the inner loops, the kernels, to
# machine code. With NUMBA_DISABLE_JIT=1 in the environment the same lines run as plain Python.

import argparse
import ctypes
import enum
import functools
import hashlib
import inspect
import json
import os
import queue
import re
import shutil
import signal
import sys
import textwrap
import weakref
import concurrent.futures.thread
if __name__ == "__main__":  # while Numba loads, Ctrl-C ends all, in silence
    BEFORE = signal.signal(signal.SIGINT, signal.SIG_DFL)
import numba
import numba.core.caching
import numba.core.compiler
if __name__ == "__main__":
    signal.signal(signal.SIGINT, BEFORE)


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


class NoAlias(numba.core.compiler.Compiler):
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

    A subclass ends its init with `set_params`. Its `steps` go down all batches, from `params`,
    views of the vector `weights`, with room for the gradients; they return the summed loss.
    """
    def __init_subclass__(cls, **options):
        """Refuse a subclass that changes what a kernel does by itself, but not its descent."""
        super().__init_subclass__(**options)
        for kind in cls.__mro__:
            in_vain = vars(kind).keys() & {"loss_and_gradients", "forward", "adam"}
            if "steps" in vars(kind) or cls.descend is not Compiled.descend:
                break  # what follows is the kernel's own, or will be called
            check(not in_vain, f"no kernel would call {cls.__name__}'s {', '.join(in_vain)}: "
                  "subclass NumpyMLP or Network instead")

    def set_params(self, arrays, dtype):
        """Set params, whose names and shapes are to stay."""
        self.params = {name: np.array(array, dtype, order="C") for name, array in arrays.items()}
        self.shapes = {name: array.shape for name, array in arrays.items()}
        self.copy_params()  # complains of another dtype

    def copy_params(self):
        """Return a copy of params as kernels take them: as from `aligned`, in init's order."""
        shapes = {name: np.shape(array) for name, array in self.params.items()}
        dtypes = {np.asarray(array).dtype for array in self.params.values()}
        if shapes != self.shapes or dtypes not in ({np.dtype("f4")}, {np.dtype("f8")}):
            raise ValueError(f"params must be {self.shapes}, all of dtype float32 or all float64, "
                             f"not {shapes}, {', '.join(map(str, dtypes))}")
        vector, arrays = aligned(self.shapes, *dtypes)
        for name, array in arrays.items():
            array[:] = self.params[name]
        return vector, arrays

    def descend(self, inputs, labels, batch, lr=None):
        """As Network.descend; puts the params back in place when it ends, also when it raises."""
        params, (weights, arrays) = self.params, self.copy_params()
        batch, lr = check_number("batch", batch, 1), float(self.rate(batch) if lr is None else lr)
        labels = as_labels(labels, len(inputs), self.classes)
        for name, array in params.items():  # a file's params are made anew when asked for
            if not array.flags.writeable or params[name] is not array:
                raise ValueError(f"params[{name!r}] cannot be written to")
        if self.adam_params is not params:
            begin_adam(self, params)
        if "all" not in self.adam_mean:  # of all weights, in one vector
            for average in (self.adam_mean, self.adam_square):
                average["all"] = np.zeros_like(weights)
        memory = self.adam_step, self.adam_mean["all"], self.adam_square["all"]
        self.adam_step += math.ceil(len(inputs) / batch)
        try:
            return self.steps(inputs, labels, batch, lr, memory, weights, arrays,
                              *aligned(self.shapes, weights.dtype))
        finally:
            for name, array in arrays.items():
                params[name][:] = array


def as_bits(inputs, n):
    """Return inputs as kernels take them, uint8 (size, n). Raises ValueError if they do not fit."""
    return np.ascontiguousarray(check_integers("inputs", inputs, ("size", n), 0, 2), np.uint8)


def as_labels(labels, size, classes):
    """Return labels as kernels take them, int64 (size, tasks). Raises as `as_bits` does."""
    labels = check_integers("labels", labels, (max(1, size), len(classes)), -1, classes)
    return np.ascontiguousarray(labels, np.int64)


THREADS, THREADS_LOCK = [], threading.Lock()  # how many threads each user found


@contextlib.contextmanager
def one_blas_thread():
    """Have NumPy's OpenBLAS use one thread: several round otherwise. Then as before.

    The number belongs to the whole process: the last of several users puts it back.
    """
    try:
        library = ctypes.CDLL(np.linalg._umath_linalg.__file__)
        threads = library.scipy_openblas_get_num_threads64_
        set_threads = library.scipy_openblas_set_num_threads64_
    except (AttributeError, OSError):  # NumPy has another BLAS
        yield
        return
    with THREADS_LOCK:
        THREADS.append(threads())
        set_threads(1)
    try:
        yield
    finally:
        with THREADS_LOCK:
            set_threads(THREADS.pop())  # 1; in the end what the first user found


train = one_blas_thread()(train)  # part 1's, from here on: with the same digits however many run


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


@functools.partial(kernel, pipeline_class=NoAlias, fastmath={"contract"})
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

    With the promise of no infinity, "ninf", the division is done for eight weights at a time. A run
    that diverges breaks it, but first its loss, which is computed without it, ends the run. Of a
    unit that is off, mean and square shrink for ever. Numbers below the least normal one take a
    processor ten times as long: they become 0, which changes no digit of the weights.
    """
    real = weights.dtype.type  # a plain 0.9 would turn all the arithmetic into double precision
    beta1, beta2, epsilon = real(0.9), real(0.999), real(1e-8)
    new1, new2, least, zero = real(1 - 0.9), real(1 - 0.999), real(1.2e-38), real(0)
    rate, unbias = real(lr / (1 - math.pow(0.9, step))), real(1 / (1 - math.pow(0.999, step)))
    for i in range(len(weights)):
        m = beta1 * mean[i] + new1 * gradient[i]
        s = beta2 * square[i] + new2 * gradient[i] * gradient[i]
        mean[i] = zero if abs(m) <= least else m  # so written, NaN goes through
        square[i] = zero if s <= least else s
        weights[i] -= rate * mean[i] / (math.sqrt(square[i] * unbias) + epsilon)
        gradient[i] = 0


@inlined
def mlp_scores(hidden, labels, starts, b, V, c, scores):
    """NumpyMLP.forward from hidden = x W (size, width) on, for labels that are told, not below 0.

    starts (tasks + 1,): where the scores of each task begin, and the end; scores (size, outputs).
    """
    zero = V.dtype.type(0)
    for i in range(len(hidden)):
        for h in range(len(b)):
            z = hidden[i, h] + b[h]
            hidden[i, h] = zero if z < zero else z  # so written, NaN goes through
    for i in range(len(hidden)):
        for t in range(len(starts) - 1):
            if labels[i, t] >= 0:
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
        self.set_params(self.params, dtype)

    def steps(self, inputs, labels, batch, lr, memory, weights, params, gradient, gradients):
        bits, starts = as_bits(inputs, self.n), np.cumsum([0, *self.classes])
        shapes = {"hidden": (min(batch, len(bits)), len(params["b"])), "sums": (4, 16, 64)}
        _, room = aligned(shapes, weights.dtype)
        step, mean, square = memory
        return mlp_descend(bits, labels, starts, batch, lr, step, weights, gradient, mean, square,
                           *params.values(), *gradients.values(), *room.values())

    def predict(self, inputs):
        if type(self).forward is not NumpyMLP.forward:  # a subclass's, which descends as it does
            return super().predict(inputs)
        (_, arrays), bits = self.copy_params(), as_bits(inputs, self.n)
        W, b, V, c = arrays.values()
        starts, every = np.cumsum([0, *self.classes]), np.zeros((len(bits), len(self.classes)), int)
        shapes = (len(bits), len(b)), (4, 16, 64), (len(bits), len(c))
        hidden, sums, scores = [np.zeros(shape, W.dtype) for shape in shapes]
        product(pack(bits), W, hidden, sums)  # (size, n) (n, width) -> (size, width)
        mlp_scores(hidden, every, starts, b, V, c, scores)
        return highest(scores, self.classes)


KINK = 1e-12  # what is not above this counts as 0: rounding must not decide if a hinge is on


@kernel
def bilinear_descend(bits, labels, batch, lr, ratio, weights, gradient, W, v, c, dW, dv, dc):
    """Plain stochastic gradient descent over all batches; return the loss summed over examples.

    Each example is Bilinear.loss_and_gradients in loops, which add to dW, dv and dc.
    """
    n, k, total, real = bits.shape[1], len(v), 0.0, W.dtype.type
    x, P = np.ones(n + 1, W.dtype), np.zeros(k, W.dtype)
    for start in range(0, len(bits), batch):
        rows, told, loss = bits[start : start + batch], labels[start : start + batch], 0.0
        size = len(rows)
        for i in range(size):
            for b in range(n):
                x[b] = 2 * real(rows[i, b]) - 1
            mean, f = real(0), c[0]
            for j in range(k):
                z = real(0)
                for b in range(n + 1):
                    z += W[j, b] * x[b]
                P[j] = z
                mean += z / k
                f += v[j] * (0 if z <= 0 else z)  # so written, NaN goes through
            sum_error = mean + (k - 1) / 2 - told[i, 0] if told[i, 0] >= 0 else 0.0
            f_error = f - (2 * told[i, 1] - 1) if told[i, 1] >= 0 else 0.0
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
        total += loss
        dv *= ratio
        dc *= ratio
        for i in range(len(weights)):
            weights[i] -= lr * gradient[i]
            gradient[i] = 0
    return total


@dataclass
class Bilinear(Compiled):
    """The network of the paper's theorem: f = vᵀ relu(W x̃) + c, x̃ = (x, 1), x in {±1}ⁿ.

    A reconstruction. The sum is read off the mean of P = W x̃, plus (k - 1) / 2; it costs k/2
    (what is read - label)², where k makes up for the mean: each row of W feels the whole error.
    The parity is read off the sign of f; it costs 1/2 (f - 1)² if it is odd, else 1/2 (f + 1)².
    At the start W reads no bit and v = 0, so that the gradient of the parity's loss, averaged over
    all inputs, is exactly 0. Once the sum has drawn W's columns to 1/2 on the support and 0
    elsewhere, P_j = sum - j, and parity is a linear function of the k hinges relu(P_j).

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
        check(problem.tasks[0] == "sum" and tuple(problem.classes[1:]) == (2,),
              "network bilinear knows two tasks, the sum and one with two answers")
        bits, _ = problem.sample(rng, 1)
        self.classes, self.n, k = problem.classes, bits.shape[1], problem.classes[0] - 1
        W = np.zeros((k, self.n + 1))
        W[:, -1] = k / 2 - np.arange(k)
        self.set_params({"W": W, "v": np.zeros(k), "c": np.zeros(1)}, dtype)

    def rate(self, batch):
        return self.rates(self.n, self.classes[0] - 1, batch)[0]

    def forward(self, inputs):
        """Return x (size, n), P (size, k), the sum that is read (size,), and f (size,)."""
        W, v, c = self.copy_params()[1].values()
        x = 2 * as_bits(inputs, self.n).astype(W.dtype) - 1
        P = x @ W[:, :-1].T + W[:, -1]  # W x̃: (size, n) -> (size, k)
        return x, P, P.mean(axis=1) + (len(v) - 1) / 2, np.maximum(P, 0) @ v + c

    def loss_and_gradients(self, inputs, labels):
        """Return what the labels cost, a mean over examples, and its gradients."""
        (x, P, sums, f), v = self.forward(inputs), self.params["v"]
        labels = as_labels(labels, len(x), self.classes).astype(x.dtype)
        told, size = labels >= 0, len(x)
        sum_error = told[:, 0] * (sums - labels[:, 0])  # (size,)
        f_error = told[:, 1] * (f - (2 * labels[:, 1] - 1))
        loss = (len(v) * sum_error @ sum_error + f_error @ f_error) / 2
        dP = sum_error[:, None] + f_error[:, None] * v * (P > KINK)  # -> (size, k)
        dW = np.hstack([dP.T @ x, dP.sum(axis=0)[:, None]])  # of x̃ = (x, 1): (k, n + 1)
        dv, dc = f_error @ np.maximum(P, 0), f_error.sum(keepdims=True)
        return float(loss) / size, {"W": dW / size, "v": dv / size, "c": dc / size}

    def steps(self, inputs, labels, batch, lr, memory, weights, params, gradient, gradients):
        _, ratio = self.rates(self.n, self.classes[0] - 1, batch)
        return bilinear_descend(as_bits(inputs, self.n), labels, batch, lr, ratio, weights,
                                gradient, *params.values(), *gradients.values())

    def predict(self, inputs):
        """Answer both tasks: (size, n) -> int64 (size, 2)."""
        _, _, sums, f = self.forward(inputs)
        sums = np.clip(np.rint(sums), 0, self.classes[0] - 1)
        return np.stack([sums, f > 0], axis=1).astype(np.int64)


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
        check_numbers(self, k=(1, 26))
        check_numbers(self, others=(0, 26 - self.k if self.k > 1 else 0))
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
        check_numbers(self, k=(1, 26), modulus=(2, 100))
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


def places_of(problem, inputs):
    """Return the position at which each task is answered, (size, tasks), no two at one."""
    size, length, _ = inputs.shape
    shape = size, len(problem.tasks)
    places = check_integers("places", problem.places(inputs), shape, 0, length)
    check(np.diff(np.sort(places)).all(), "places must not put two tasks at one position")
    return places


@dataclass
class Explicit(Network):
    """Another network, which answers one task after the other and reads what it answered before.

    This is chain of thought (Wei et al. 2022), teacher-forced: in training, each pass over an
    example reads the true answers to the tasks before, when asked, those that the network wrote.
    It stands between train and the network: to train it is a network, to the network a problem,
    whose inputs have room for answers. That is a bit for each possible answer of each helper or,
    in a sequence, one more field at the position that the task asks about; zeros until it is given.
    """
    network: Network
    name = own_supervision = "explicit"  # whatever train is told

    # To train, a network

    @property
    def params(self):
        return self.network.params

    @params.setter
    def params(self, params):
        self.network.params = params

    def init(self, problem, rng, dtype=np.float32):
        """Start the network inside on this object as its problem."""
        self.problem, self.tasks, self.classes = problem, problem.tasks, problem.classes
        self.fields = (*getattr(problem, "fields", ()), 1 + max(problem.classes))
        start(self.network, self, rng, dtype)

    def descend(self, inputs, labels, batch, lr=None):
        """As Network.descend, by so many batches that their passes do not fill the memory."""
        tasks, total = len(self.tasks), 0.0
        count = batch * max(1, 2_000_000 // (batch * tasks**2))
        for x, y in batches(count, inputs, labels):
            total += self.network.descend(*self.passes(x, y), batch * tasks, lr)
        return total

    def loss_and_gradients(self, inputs, labels):
        """Return the mean over examples of their passes' summed loss, and its gradients."""
        tasks = len(self.tasks)
        loss, gradients = self.network.loss_and_gradients(*self.passes(inputs, labels))
        return tasks * loss, {name: tasks * gradient for name, gradient in gradients.items()}

    def predict(self, inputs):
        """Answer every task in turn: int64 (size, tasks)."""
        answers = np.full((len(inputs), len(self.tasks)), -1)
        for t in range(len(self.tasks)):
            answers[:, t] = self.network.predict(self.write(inputs, answers))[:, t]
        return answers

    def passes(self, inputs, labels):
        """Turn each example into a pass for each task: (size, ...) -> (size tasks, ...)."""
        labels = as_labels(labels, len(inputs), self.classes)
        size, tasks = labels.shape
        inputs, labels = np.repeat(inputs, tasks, axis=0), np.repeat(labels, tasks, axis=0)
        task, asked = np.arange(tasks), np.tile(np.arange(tasks), size)[:, None]
        before, now = np.where(task < asked, labels, -1), np.where(task == asked, labels, -1)
        return self.write(inputs, before), now

    # To the network inside, a problem: with tasks, classes and fields, see init

    def sample(self, rng, size):
        """Draw inputs with no answer in them yet, and labels (size, tasks)."""
        inputs, labels = self.problem.sample(rng, size)
        return self.write(inputs, np.full(labels.shape, -1)), labels

    def places(self, inputs):
        """The position that each task asks about, in a sequence."""
        return self.problem.places(inputs[:, :, :-1])

    def write(self, inputs, answers):
        """Return wider inputs, with the answers (size, tasks) in them, -1 where not given."""
        inputs = np.asarray(inputs)
        if inputs.ndim == 3:
            written = np.zeros(inputs.shape[:2], np.int64)
            np.put_along_axis(written, places_of(self.problem, inputs), answers + 1, axis=1)
            return np.dstack([inputs, written])  # (..., fields) -> (..., fields + 1)
        written = [answers[:, [t]] == np.arange(count) for t, count in enumerate(self.classes[:-1])]
        return np.hstack([inputs, *written])  # (size, n) -> (size, n + all answers of the helpers)


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
        check_numbers(self, width=(1, 10_000), layers=(1, 1_000), heads=(1, self.width))
        check(self.width % self.heads == 0,
              f"width must be a multiple of heads = {self.heads}, not {self.width}")

    def init(self, problem, rng, dtype=np.float32):
        """Draw params as above. ValueError for more than 500 bits."""
        inputs, _ = problem.sample(rng, 1)
        self.problem, self.classes = problem, problem.classes
        self.n = inputs.shape[1] if inputs.ndim == 2 else 0
        check(self.n <= 500, f"network transformer takes up to 500 bits, not {self.n}")
        self.fields = (self.n + len(self.classes), 3) if self.n else problem.fields
        w, outputs, gain = self.width, max(self.classes), np.ones(self.width)

        def matrix(rows, columns):
            return 0.5 * columns**-0.5 * rng.standard_normal((rows, columns))

        params = {"E": len(self.fields) ** -0.5 * rng.standard_normal((w, sum(self.fields)))}
        for layer in range(self.layers):
            arrays = gain, matrix(3 * w, w), matrix(w, w), gain
            arrays += matrix(2 * w, w), np.zeros(2 * w), matrix(w, 2 * w)
            params |= {f"{name}{layer}": array for name, array in zip("gAOhUbD", arrays)}
        params |= {"g": gain, "H": matrix(outputs, w), "c": np.zeros(outputs)}
        self.set_params(params, dtype)

    def tokens(self, inputs):
        """Return inputs as sequences, (size, length, fields), and tasks' places, (size, tasks)."""
        if self.n == 0:
            shape = "size", *np.shape(inputs)[1:2], len(self.fields)
            inputs = check_integers("inputs", inputs, shape, 0, self.fields)
            return inputs, places_of(self.problem, inputs)
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
        x, activations = params["E"] @ onehot, []  # -> (width, positions)
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
            activations.append((before, y, scale, qkv, attention, seen, z, y2, scale2, hidden))
            x = D @ hidden + z  # -> (width, positions)
        y, scale = norm_forward(x, params["g"])
        logits = (params["H"] @ y + params["c"][:, None]).T  # -> (read, outputs)
        return logits, (onehot, activations, x, y, scale, read)

    def backward(self, params, dlogits, state):
        """Return the gradients, going back through forward's lines."""
        onehot, activations, x, y, scale, read = state
        gradients = {"H": (y @ dlogits).T, "c": dlogits.sum(axis=0)}
        dx, dy = np.zeros_like(x), np.ascontiguousarray((dlogits @ params["H"]).T)  # (width, read)
        gradients["g"] = norm_backward(dy, x, scale, params["g"], dx)
        for layer in reversed(range(self.layers)):
            g, A, O, h, U, b, D = [params[f"{name}{layer}"] for name in "gAOhUbD"]
            x, y, scale, qkv, attention, seen, z, y2, scale2, hidden = activations[layer]
            dD = self.product(hidden, dx.T).T
            dhidden = self.product(D.T, dx)
            relu_backward(dhidden, hidden)
            dU, db = self.product(dhidden, y2.T), dhidden.sum(axis=1)
            dh = norm_backward(U.T @ dhidden, z, scale2, h, dx)
            dO, dseen = dx @ seen.T, O.T @ dx
            if layer == self.layers - 1:  # the gradients of columns that were not read are 0
                columns = np.zeros((2, self.width, onehot.shape[1]), dx.dtype)
                columns[:, :, read] = dseen, dx
                dseen, dx = columns
            dseen = dseen.reshape(qkv[: self.width].shape)  # -> (width, length, size)
            dqkv = attention_backward(dseen, qkv, attention).reshape(len(A), -1)
            dA = self.product(dqkv, y.T)
            dg = norm_backward(A.T @ dqkv, x, scale, g, dx)
            for name, gradient in zip("gAOhUbD", (dg, dA, dO, dh, dU, db, dD)):
                gradients[f"{name}{layer}"] = gradient
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

    @one_blas_thread()
    def loss_and_gradients(self, inputs, labels):
        """Return the mean over examples of their labels' cross-entropies, and its gradients."""
        (_, params), (tokens, places) = self.copy_params(), self.tokens(inputs)
        return self.batch(params, tokens, places, as_labels(labels, len(tokens), self.classes))

    @one_blas_thread()
    def steps(self, inputs, labels, batch, lr, memory, weights, params, gradient, gradients):
        (step, mean, square), total = memory, 0.0
        for x, places, y in batches(batch, *self.tokens(inputs), labels):
            loss, arrays = self.batch(params, x, places, y)
            total += loss * len(y)
            for name, array in arrays.items():
                gradients[name][:] = array
            step += 1
            adam_kernel(weights, gradient, mean, square, step, lr)
        return total

    @one_blas_thread()
    def predict(self, inputs):
        """Answer every task: int64 (size, tasks)."""
        (_, params), (tokens, places) = self.copy_params(), self.tokens(inputs)
        answers, count = np.zeros(places.shape, np.int64), 16 * max(1, 50 // tokens.shape[1])
        for start in range(0, len(tokens), count):  # by so many that they stay in the cache
            rows = slice(start, start + count)
            all_tasks = np.ones(places[rows].shape, bool)
            logits, _ = self.forward(params, tokens[rows], places[rows], all_tasks)
            answers[rows] = logits.argmax(axis=1).reshape(-1, places.shape[1])  # -> (size, tasks)
        return answers


# --------------------------------------------------------------------------------------
# 5. Many runs, several at a time


def described(value, path, digests):
    """Return what JSON is to say of a value, so that what differs reads differently.

    An array is its dtype, shape and digest; digests remembers those of large arrays, by id, so that
    each is read once. Raises ValueError, with the value's path, for what cannot be told.
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        finite = kind is not float or math.isfinite(value)
        return value if finite else str(value)  # JSON has no such numbers
    if isinstance(value, np.generic):  # NumPy's numbers may round and wrap otherwise than Python's
        return {"dtype": str(value.dtype), "value": value.item()}
    if kind in (list, tuple, set, frozenset, dict):
        items = [described(item, f"{path}[{i}]", digests)
                 for i, item in enumerate(value.items() if kind is dict else value)]
        items = sorted(items, key=json.dumps) if kind in (set, frozenset) else items
        return items if kind is list else {kind.__name__: items}
    if kind in (np.ndarray, np.memmap) and not value.dtype.hasobject:
        digest = digests.get(id(value)) or hashlib.sha256(np.ascontiguousarray(value)).hexdigest()
        if value.nbytes > 1e6 and id(value) not in digests:
            digests[id(value)] = digest
            weakref.finalize(value, digests.pop, id(value))  # another may get its id
        return {"dtype": str(value.dtype), "shape": value.shape, "digest": digest}
    outer = digests.setdefault("outer", [])  # objects that are being told
    check(all(value is not each for each in outer), f"a store cannot tell {path}: it holds itself")
    outer.append(value)
    try:
        return described_object(value, path, digests)
    finally:
        outer.pop()


def described_object(value, path, digests):
    """Return what JSON is to say of an object: all attributes that it and its classes have.

    But not what a network's init and descent make, nor what a cached_property keeps. "class" is its
    name, a digest of the file of each of its classes, and of their methods the lines, and what they
    hold: values of arguments, and from around the class.
    """
    kind, told, held = type(value), {}, []
    classes = kind.__mro__[:-1]
    if isinstance(value, enum.Enum):
        return {"name": value.name, "class": [kind.__qualname__, file_digest(kind)]}
    check(all(map(file_digest, classes)) and kind.__basicsize__ == Plain.__basicsize__,
          f"a store cannot tell all about {path}, a {kind.__name__}: give its class a file, and "
          "plain attributes")
    made = MADE | getattr(value, "made_by_init", set()) if isinstance(value, Network) else ()

    def left_out(name):
        return name in made or name.startswith("__") or isinstance(
            getattr(kind, name, None), functools.cached_property)

    for each in reversed(classes):
        for name, item in vars(each).items():
            method = getattr(item, "__func__", getattr(item, "fget", item))  # of static ones, too
            method = getattr(method, "__wrapped__", method)  # within a decorator
            code = getattr(method, "__code__", None)
            if code and code.co_filename != "<string>":  # a method, none that dataclass wrote
                around = zip(code.co_freevars, method.__closure__ or ())
                held.append(code.co_firstlineno)
                held += [item for item in method.__defaults__ or () if isinstance(item, TOLD)]
                held += [cell.cell_contents for free, cell in around if free != "__class__"]
            elif not left_out(name) and not isinstance(item, type):
                with contextlib.suppress(ValueError):  # what cannot be told stands in the file
                    told[name] = described(item, f"{path}.{name}", digests)
    told |= {name: described(item, f"{path}.{name}", digests)
             for name, item in vars(value).items() if not left_out(name)}
    held = described(held, f"what the methods hold of {path}", digests)
    return told | {"class": [kind.__qualname__, *map(file_digest, classes), held]}


TOLD = bool, int, float, str, list, tuple, dict, set, frozenset, np.generic, np.ndarray
MADE = {"made_by_init", "params", "adam_params", "adam_step", "adam_mean", "adam_square"}


class Plain:
    """Its objects hold nothing but attributes. Objects of another size hold more, out of sight."""


@functools.cache  # for each class, as its file is when the class is first met
def file_digest(kind):
    """Return a digest of the file in which a class stands, without what `if __name__ ...` holds."""
    with contextlib.suppress(OSError, TypeError, KeyError):  # it stands in none
        whole = inspect.getsource(sys.modules[kind.__module__])
        for source in (re.sub(r"(?m)^if __name__ *==.*\n([ \t].*\n|\n)*", "", whole), whole):
            if re.search(rf"(?m)^\s*class {kind.__name__}\b", source):
                return hashlib.sha256(source.encode()).hexdigest()[:16]


def arguments_of(settings):
    """Return all arguments of train(**settings) that decide what comes of it. Raises TypeError."""
    call = inspect.signature(train).bind(**settings)
    call.apply_defaults()
    arguments = {name: value for name, value in call.arguments.items() if name != "report"}
    for name, value in arguments.items():  # 64e3 is 64000, as in train
        value = value.item() if isinstance(value, np.generic) else value
        whole = isinstance(value, float) and value.is_integer()
        arguments[name] = int(value) if whole else value
    arguments["dtype"] = np.dtype(arguments["dtype"]).name
    if type(arguments["network"]) is Explicit:
        arguments |= {"network": arguments["network"].network, "supervision": "explicit"}
    if arguments["supervision"] != "multi-task":
        arguments["p"] = 0 if arguments["supervision"] == "target" else None  # is of no use
    return arguments


def key_of(settings, digests):
    """Write the call train(**settings), complete, in JSON: the key of a run in a store."""
    call = {name: described(value, name, digests) for name, value in arguments_of(settings).items()}
    return json.dumps(call | {"iis": file_digest(Network)}, sort_keys=True)


def as_record(key, run):
    """Describe a run and what came of it, for stores and --json; `budget` is train's `examples`."""
    def without_digests(item):
        if {*item} == {"dtype", "shape", "digest"}:
            del item["digest"]
        if "class" in item:
            item["class"] = item["class"][0]
        return item["value"] if [*item] == ["dtype", "value"] else item

    call, last = json.loads(key, object_hook=without_digests), run.history[-1]
    del call["iis"]
    for kind in ("problem", "network"):
        call[kind] = {"name": call[kind]["class"]} | call[kind]
    return {"event": "run"} | call | {
        "budget": call.pop("examples"), "examples": run.examples, "solved_at": run.solved_at,
        "solved": run.solved_at is not None, "seconds": last["seconds"],
        "accuracy": last["accuracy"], "history": run.history}


def run_one(settings, stopping=None):
    """Call train(**settings). With its next test it ends if we are `stopping`, or Python is."""
    def report(run):
        ending = getattr(concurrent.futures.thread, "_shutdown", False)  # Python's own flag
        if stopping and (stopping.is_set() or ending):
            raise KeyboardInterrupt
        if settings.get("report"):
            settings["report"](run)

    return train(**settings | {"report": report})


def ask(store, question, *values):
    """Return a store's answer, rows. Raises ValueError if it cannot be used."""
    try:
        import sqlite3
    except ImportError:
        raise ValueError("a store needs sqlite3, which this Python was built without") from None
    try:
        with contextlib.closing(sqlite3.connect(store, timeout=60, isolation_level=None)) as file:
            return file.execute(question, values).fetchall()
    except sqlite3.Error as error:
        raise ValueError(f"cannot use the store {store}: {error}") from None


def sweep(runs, executor=None, store=None, jobs=None):
    """Train runs, dicts of train's arguments, some at a time; yield (settings, Run) as each ends.

    runs      any iterable, also an endless one: a run is taken when a thread is free for it, or
              all at once for an executor. What is yielded is a copy of the dict
    executor  any concurrent.futures.Executor, of threads, processes or a cluster; if None, as many
              threads as `jobs` says, one for each core if None: kernels do not hold Python's lock
    store     path of an SQLite file with the table `runs`: each run's key and its record, both in
              JSON. What it holds already is yielded without a network, and not run again; what
              ends is on disk before it is yielded. Several sweeps may share one

    The key is the call of train, with all attributes of problem and network, and a digest of the
    files in which their classes stand, and of iis.py: any edit of these trains their runs anew.
    What a class reads from elsewhere, such as the command line or a module, must be an attribute.
    Each run works on copies of its problem and network, which share large arrays. A run that fails,
    or cannot be stored, is yielded with its exception in place of the Run. Once the caller stops
    listening, or the script ends, runs in threads of our own end with their next test.
    Raises ValueError for jobs below 1, and for a store that cannot be used or is not ours.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    jobs, runs = check_number("jobs", cores if jobs is None else jobs, 1, 1_000), iter(runs)
    if store is not None:
        check(os.fspath(store), "a store must have a name")
        store, table = os.path.abspath(store), "TABLE runs (run TEXT PRIMARY KEY, record TEXT)"
        tables = ask(store, "SELECT sql FROM sqlite_master WHERE type = 'table'")
        check(not tables or (f"CREATE {table}",) in tables,
              f"{store} is not a store of iis.py; nothing was changed")
        ask(store, f"CREATE TABLE IF NOT EXISTS {table[6:]}")
    return results(runs, executor, store, jobs)


def results(runs, executor, store, jobs):
    """Do what sweep says; yield its pairs."""
    pool = executor or concurrent.futures.ThreadPoolExecutor(jobs)
    most = math.inf if executor else 2 * jobs  # so that no thread has to wait for the caller
    stopping, ended, futures, digests = threading.Event(), queue.SimpleQueue(), set(), {}
    further = () if executor else (stopping,)

    def keep(settings, key, future):  # is called as soon as a run has ended
        try:
            run = future.result()
            if key:
                record = json.dumps(as_record(key, run))
                ask(store, "INSERT OR IGNORE INTO runs VALUES (?, ?)", key, record)
        except BaseException as error:  # the run's, the store's, or it was cancelled
            run = error
        ended.put((future, settings, run))

    def next_ended():
        future, settings, run = ended.get()
        futures.remove(future)
        return settings, run

    try:
        for settings in runs:
            try:
                settings = dict(settings)
                key = key_of(settings, digests) if store else None
                rows = ask(store, "SELECT record FROM runs WHERE run = ?", key) if store else []
                found = [json.loads(record) for record, in rows]
                if found:
                    kept = {name: found[0][name] for name in ("solved_at", "examples", "history")}
                    found = Run(**kept)  # without a network
                else:
                    copies = {name: copied(settings[name]) for name in ("problem", "network")}
                    future = pool.submit(run_one, settings | copies, *further)
            except Exception as error:
                found = error
            if found:  # in the store, or at fault
                yield settings, found
                continue
            futures.add(future)
            future.add_done_callback(functools.partial(keep, settings, key))
            while len(futures) >= most:
                yield next_ended()
        while futures:
            yield next_ended()
    finally:
        stopping.set()
        for future in list(futures):
            future.cancel()
        if not executor:
            pool.shutdown()


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
network      NAME    mlp, numpy (the same, slower), bilinear or transformer (parity: mlp, bilinear)
supervision  NAME    which answers training tells, see below (multi-task; lego, code: multi-label)
p            SHARE   multi-task: share of the examples that ask a helper question (0.2)
examples     COUNT   stop after so many (1000000); a control, the target alone, after no more
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
    _, _, supervisions = (supervise.__doc__ or "").partition("\n\n")  # none with python -OO
    parser = argparse.ArgumentParser(
        "iis.py", usage="python iis.py [options]", allow_abbrev=False,
        argument_default=argparse.SUPPRESS,  # what is not given is not there
        description="Train networks on a hard question, with and without easier ones in the data.",
        epilog="supervision: which answers to its questions an example tells. The hard question\n"
               f"is the target, the easier ones are helpers.\n{supervisions.rstrip()}\n\nexamples:"
               "\n  python iis.py --p 0.2 --n 50 --k 5\n  python iis.py --problem lego --show 2\n"
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
    """Return train's arguments for all runs asked for. ValueError for what cannot be done."""
    problem = PROBLEMS[given.get("problem", "parity")]
    names, supervision, tuned = USUAL[problem.name]
    names = [given["network"]] if "network" in given else names
    networks = [NETWORKS[name] for name in names]
    check(problem is ParitySum or networks == [Transformer], f"network {names[0]} reads bits, "
          f"{problem.name} has sequences: take --network transformer")
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
    runs, first = [], check_number("seed", given["seed"], 0, np.inf)
    for seed in range(first, first + check_number("seeds", given["seeds"], 1, 100_000)):
        given["seed"] = seed
        for network in networks:
            settings = pick(train, given) | {"problem": problem(**pick(problem, given))}
            runs.append(settings | {"network": network(**pick(network, given))})
    for settings in runs[: len(networks)]:  # as train will do it
        call = inspect.signature(train).bind(**settings)
        call.apply_defaults()
        check_call(**pick(check_call, call.arguments))
        copied(settings["network"]).init(settings["problem"], np.random.default_rng(0))
    return runs


def tasks_trained(settings):
    """Return the tasks that training asks about. The others have no accuracy worth telling."""
    tasks = settings["problem"].tasks
    return tasks[-1:] if settings["supervision"] == "target" else tasks


def table(runs):
    """Write who learned what, of (settings, Run) pairs: a line of 80 letters for each kind."""
    groups, line = {}, "{:11} {:18} {:>9} {:>9} {:>11} {:>17}"
    for settings, run in runs:
        key = settings["supervision"] == "target", settings["network"].name, settings["supervision"]
        groups.setdefault(key, []).append((settings, run))
    *helpers, target = settings["problem"].tasks
    helper = helpers[0] if len(helpers) == 1 else "helpers"
    lines = [line.format("network", "the data asks", helper, target, "learned", "examples")]
    steps = "{:11} {:18} {:>9} {:>19} {:>18}"  # the same, task by task
    tasks = [steps.format("network", "the data asks", "question", "in the end", "99 % right after")]
    for (control, network, supervision), group in sorted(groups.items()):
        group = [pair for pair in group if not cut_off(*pair)] or group
        data = DATA[supervision].format(helper, target, 100 * group[0][0].get("p", 0.2))
        right = {task: np.median([100 * run.history[-1]["accuracy"][task] for _, run in group])
                 for task in tasks_trained(group[0][0])}
        *others, last = right.values()
        worst = f"{min(others):.1f} %" if others else "not asked"
        lines.append(line.format(network, data, worst, f"{last:.1f} %", *outcome(group)))
        for task, share in right.items():
            after = np.median([next((test["examples"] for test in run.history if
                                     test["accuracy"][task] >= 0.99), np.inf) for _, run in group])
            after = f"{after:,.0f}" if after < np.inf else "not yet"
            tasks.append(steps.format(network, data, task, f"{share:.1f} %", after))
    lines += ["", *tasks] if len(helpers) > 1 else []
    words = f"Learned means: {target} is right on 99 % of 10,000 new examples."
    if len({supervision for _, _, supervision in groups}) > 1:
        words += f" The control is asked {target} alone, on as many examples at most."
    if len(runs) > len(groups):
        words += " Of several seeds: the median (least-most)."
    if not any(run.solved_at or cut_off(settings, run) for settings, run in runs):
        words += " Here no run learned: try more --examples, a smaller --k, or more help."
    return "\n".join([*lines, "", textwrap.fill(words, 80)])


def outcome(group):
    """Write whether runs that differ in the seed alone learned, and after how many examples."""
    solved = [run.solved_at for _, run in group if run.solved_at]
    seen = [run.solved_at or run.examples for _, run in group]
    if len(group) > 1:
        low, middle, high = map(rounded, (min(seen), np.median(seen), max(seen)))
        return f"{len(solved)} of {len(group)}", f"{middle} ({low}-{high})"
    return ("yes" if solved else "no, cut off" if cut_off(*group[0]) else "no"), f"{seen[0]:,}"


def cut_off(settings, run):
    """Was the run interrupted?"""
    return not run.solved_at and run.examples < settings.get("examples", 1_000_000)


def rounded(count):
    """Write 139k for 138,752, and 2.3M for 2,346,000."""
    return f"{count / 1e3:.0f}k" if count < 999_500 else f"{count / 1e6:.1f}M"


def progress(*fields):
    """Show those fields that fit on one line of standard error, in place of the line before.

    Where that is no terminal, write a line every half minute.
    """
    line, room = "", shutil.get_terminal_size().columns
    for field in fields:
        if len(line) + len(field) + 2 < room:
            line += ", " * bool(line) + field
    if sys.stderr and sys.stderr.isatty():
        print(end=f"\r\033[K{line}", file=sys.stderr, flush=True)
    elif fields and time.perf_counter() > progress.said + 30:
        progress.said = time.perf_counter()
        say(line)


progress.said = time.perf_counter()


def marked(problem, example):
    """Write an example as a person would; of bits 72 a line, hidden ones marked, a long one cut."""
    text = problem.show(example)
    if not isinstance(problem, ParitySum):
        return "\n".join(textwrap.fill(line, 72) for line in text.splitlines())
    marks = "".join(np.where(np.isin(np.arange(problem.n), problem.support), "^", " "))
    lines = [line[start : start + 72].rstrip() for start in range(0, min(problem.n, 288), 72)
             for line in (text, marks)]
    if problem.n > 288:
        words = f"... {problem.n:,} bits in all; hidden, from 0 on: {[*map(int, problem.support)]}"
        lines += textwrap.wrap(words, 72, max_lines=4)
    return "\n".join(filter(None, lines))


def show(problem, inputs, labels, answers):
    """Print examples, their labels, and {who: (tasks asked, answers)}."""
    values = ("-1", "+1") if isinstance(problem, Lego) else range(max(problem.classes))
    for i, example in enumerate(inputs):
        names = list(problem.tasks)
        if isinstance(problem, Lego):  # the variable that each hop asks for
            for task, place in enumerate(problem.places(inputs[[i]])[0]):
                names[task] += " " + "abcdefghijklmnopqrstuvwxyz"[example[place, 0]]
        print("\n" + textwrap.indent(marked(problem, example), "    "))
        for who, (tasks, said) in {"": (problem.tasks, labels), **answers}.items():
            words = []
            for task, name, answer, label in zip(problem.tasks, names, said[i], labels[i]):
                if task in tasks:
                    wrong = " (wrong)" if answer != label else ""
                    words.append(f"{name} = {values[answer]}{wrong}".replace(" ", "\xa0"))
            text = textwrap.fill(who + ", ".join(words), 76).replace("\xa0", " ")  # at commas
            print(textwrap.indent(text, "    "))
    for who, (_, said) in answers.items():
        right = np.count_nonzero(said[:, -1] == labels[:, -1])
        print(f"\n    {who}{problem.tasks[-1]} right in {right} of {len(labels)}", end="")
    print("\n" if answers else "", flush=True)


def picture(problem, snapshots):
    """Print how strongly an mlp reads each bit as it learns, a line whenever examples have doubled.

    snapshots {"": [(examples, accuracies, lengths of bits' weights) by test], "control": alike}.
    """
    hidden = np.isin(np.arange(problem.n), problem.support)
    bits = np.sort(np.argsort(~hidden, kind="stable")[:54])  # a line's: hidden ones, and others
    few = f"\n(54 of the {problem.n:,} bits: the hidden and the first others)" * (problem.n > 54)
    print(f"\nHow strongly the mlp reads each bit, from . to @, the strongest of its line:{few}"
          f"\n\n examples   sum  parity  seed {problem.seed}")
    for name, tests in snapshots.items():
        seen = tests[-1][0] if name else 0  # of the control the last line alone
        for examples, right, lengths in tests:
            if examples >= 2 * seen or examples == tests[-1][0]:
                seen = examples
                shades = "".join("..:-=+*#%@"[int(9.99 * x)] for x in lengths[bits] / lengths.max())
                shares = f"{100 * right['sum']:3.0f} %" if "sum" in right else "    -"
                shares += f"   {100 * right['parity']:3.0f} %"
                print(f"{name or format(examples, ','):>9} {shares}  {shades}")
    marks = "".join(np.where(hidden[bits], "^", " ")).rstrip()
    print(f"   hidden{' ' * 16}{marks}", flush=True)


def train_all(given, runs, found, snapshots):
    """Train runs, then their controls on as many examples; return what diverged.

    That is {why: its settings}. Fills found {(network, supervision, seed): (settings, Run)}, with
    the networks of the first seed alone, and snapshots as `picture` takes them.
    """
    controls, done, diverged, lock = [], set(), {}, threading.Lock()
    wanted, first = runs[0]["supervision"], runs[0]["seed"]
    total = len(runs) if wanted == "target" else 2 * len(runs)  # each has its control

    def note(settings, run, ended=False):  # called after each test by the threads that train
        key = network, supervision, seed = who(settings)
        accuracy = run.history[-1]["accuracy"]
        right = {task: accuracy[task] for task in reversed(tasks_trained(settings))}
        with lock:
            found[key] = settings, run
            if ended:
                done.add(key)
                if seed != first:
                    run.network = None  # not shown: its memory is free
            if "json" in given:
                record = as_record(key_of(settings, {}), run)
                if not ended:
                    record |= {"event": "eval"} | record.pop("history")[-1]
                print(json.dumps(record), flush=True)
            elif not ended and network == "mlp" and seed == first:
                W = run.network.params["W"][: settings["problem"].n]
                name = "control" if supervision == "target" != wanted else ""
                look = run.examples, right, np.linalg.norm(W, axis=1)  # (n, width) -> (n,)
                snapshots.setdefault(name, []).append(look)
            shares = [f"{task} {100 * share:.1f} %" for task, share in right.items()]
            progress(f"{len(done)} of {total} runs", f"{network} {shares[0]}",
                     f"after {run.examples:,} examples", f"{supervision}, seed {seed}", *shares[1:])

    def follow(results):
        with contextlib.closing(results):
            for settings, run in results:
                if isinstance(run, Diverged):
                    found.pop(who(settings), None)
                    diverged.setdefault(str(run), settings)
                elif isinstance(run, Exception):
                    raise run
                else:
                    note(settings, run, ended=True)
                    if settings["supervision"] != "target":
                        control = {"supervision": "target", "examples": run.examples}
                        controls.append(reported(settings | control))

    def who(settings):
        return settings["network"].name, settings["supervision"], settings["seed"]

    def reported(settings):
        return settings | {"report": functools.partial(note, settings)}

    progress(f"0 of {total} runs")
    follow(sweep(map(reported, runs), **pick(sweep, given)))
    follow(sweep(controls, **pick(sweep, given)))
    progress()
    return diverged


def command(given, found):
    """Do what the options ask for, and fill found; return the status, 1 if a run diverged."""
    runs, snapshots, progress.said = planned(given), {}, time.perf_counter()
    problem, seed = runs[0]["problem"], runs[0]["seed"]
    count = check_number("show", given.get("show", 0), 0, 10_000)
    sweep([], **pick(sweep, given))  # refuses jobs, or a store
    inputs, labels = problem.sample(np.random.default_rng(seed), max(1, count))
    if "json" not in given:
        print((problem.__doc__ or problem.name).splitlines()[0])
        fields = [f"{name} = {getattr(problem, name)}" for name in problem.__dataclass_fields__]
        print(f"Here {', '.join(fields)}. For example:")
        show(problem, inputs, labels, {})
    diverged = train_all(given, runs, found, snapshots)
    for words, settings in diverged.items():
        say(f"{settings['network'].name}, seed {settings['seed']}: {words}")
    if found and "json" not in given:
        conclude(problem, seed, found, snapshots, inputs[:count], labels)
    return 1 if diverged else 0


def conclude(problem, seed, found, snapshots, inputs, labels):
    """Print what was answered and learned, what the mlp reads, and why the sum helped."""
    answers = {f"{network} {supervision}: ": (tasks_trained(settings), run.network.predict(inputs))
               for (network, supervision, drawn), (settings, run) in sorted(found.items())
               if drawn == seed and run.network and len(inputs)}
    if answers:
        print("What was answered:")
        show(problem, inputs, labels, answers)
    print(table(found.values()), flush=True)
    if "" in snapshots:
        picture(problem, snapshots)
    if not all(run.network for (_, _, drawn), (_, run) in found.items() if drawn == seed):
        print("\nRuns from the store have no weights: no picture, and no answers to show.")
    learned = {key for key, (_, run) in found.items() if run.solved_at}
    failed = found.keys() - learned
    helped = {network for network, kind, seed in learned
              if kind != "explicit" and (network, "target", seed) in failed}
    if helped and problem.name == "parity" and problem.k > 1:
        print("\n" + textwrap.fill(
            f"Why {' and '.join(sorted(helped))} learned: a hidden bit changes the sum, and so "
            "each can be found by itself. It does not change how often the parity is 1. The sum "
            "shows which bits count. The rest is easy: python plots.py why", 80), flush=True)


def interrupt(*_):
    """Answer the first Ctrl-C at once; leave with the second."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    progress()
    say("interrupted: runs under way end with their next test; Ctrl-C again: now")
    raise KeyboardInterrupt


def main(argv=None):
    """Run the command line; return the exit status."""
    given, found, before = parse(argv), {}, signal.getsignal(signal.SIGINT)
    ours = before is signal.default_int_handler  # else it is ignored, or somebody else's
    ours = ours and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, interrupt)
    try:
        return command(given, found)
    except KeyboardInterrupt:
        progress()
        if found:
            output = sys.stderr if "json" in given else sys.stdout
            print(table(found.values()), file=output, flush=True)
        return 130
    except (ValueError, RuntimeError, MemoryError) as error:  # RuntimeError: no more threads
        say(str(error) or "not enough memory")
    except OSError as error:  # of standard output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the exit prints nothing
        if isinstance(error, BrokenPipeError):  # whoever reads the output has seen enough
            return 0
        say(f"standard output: {error.strerror}")
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
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
