# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy>=2", "numba>=0.61"]
# ///
"""Implicit intermediate supervision: an easy question in the data teaches a hard one.

Show a network examples of the parity of 5 hidden bits out of 50, and it does no better than to guess.
Let a fifth of the examples ask for the *sum* of those bits instead, and after as many it answers both,
although nobody tells it that one question helps with the other.

    python iis.py --p 0.2 --n 50 --k 5

Then the same with a transformer, on chains of reasoning (--problem lego) and programs (--problem code).

A reconstruction of "Implicit Intermediate Supervision for Learning Complex Functions" from its
abstract and its public reviews. The file reads from top to bottom: problems, supervision, networks,
training, theory, sweeps, the command line. Letters are the paper's: n bits, k of them hidden, p the share
of helper questions, W and v the bilinear network's weights. With NUMBA_DISABLE_JIT=1 in the
environment the same lines run as plain Python, slowly, so that a debugger can step through them.

Licence: 0BSD. Permission to use, copy, modify, and/or distribute this software for any purpose with
or without fee is hereby granted. THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL
WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF MERCHANTABILITY AND
FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL
DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION
OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR
PERFORMANCE OF THIS SOFTWARE.
"""

import argparse
import contextlib
import inspect
import json
import math
import os
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

if __name__ == "__main__":  # runs are parallel here; matrix products that are so too stand in their way
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numba
import numpy as np


def number(name, value, low, high=math.inf, whole=False):
    """Return value as an int, if `whole`, or a float; raise ValueError if it is no number or out of range."""
    kind = "a whole number" if whole else "a number"
    bounds = f"of at least {low}" if high == math.inf else f"from {low} to {high}"
    fits = (
        isinstance(value, (int, float, np.number))
        and low <= value <= high
        and value < (2**63 if whole else math.inf)
    )
    if not fits or (whole and value % 1):
        raise ValueError(f"{name} must be {kind} {bounds}, not {value!r}")
    return int(value) if whole else float(value)


# --------------------------------------------------------------------------------------------------
# 1. Problems: what is asked
#
# A problem draws inputs and asks several questions about each, its tasks: the easiest first, the
# target last. The others are the helpers.


def as_bytes(inputs):
    """Packed bits as kernels take them: uint64 (size, words) -> uint8 (size, 8 words)."""
    return np.ascontiguousarray(inputs, "<u8").view(np.uint8)


def unpacked(inputs, n):
    """Bits of their own out of packed ones: uint64 (size, words) -> uint8 (size, n)."""
    return np.unpackbits(as_bytes(inputs), axis=1, count=n, bitorder="little")


class ParitySum:
    """n uniform bits, k of them hidden: how many of the hidden ones are 1 (sum)? Is that odd (parity)?

    Parity is the classic function that gradients say little about (Shalev-Shwartz, Shamir and
    Shammah 2017). The sum of the same bits is a linear function, and parity a function of the sum.
    Each of the `distractors` is one more helper, the sum of k other bits, which helps with nothing.

    tasks    names of the questions: "sum", "other sum 1" ..., "parity"
    classes  number of possible answers to each
    support  the hidden positions in increasing order, shape (k,), drawn by `seed`

    Raises ValueError unless n >= k >= 1 and n >= k (1 + distractors).
    """

    tasks = ("sum", "parity")

    def __init__(self, n=50, k=5, seed=0, distractors=0):
        self.n = number("n", n, 1, whole=True)
        self.k = number("k", k, 1, self.n, whole=True)
        d = number("distractors", distractors, 0, self.n // self.k - 1, whole=True)
        rng = np.random.default_rng(number("seed", seed, 0, whole=True))
        self.support = np.sort(rng.choice(self.n, self.k, replace=False))
        others = rng.permutation(np.setdiff1d(np.arange(self.n), self.support))[: d * self.k]
        self.tasks = ("sum", *(f"other sum {i + 1}" for i in range(d)), "parity")
        self.classes = (self.k + 1,) * (1 + d) + (2,)
        self.words = -(-self.n // 64)  # 64 bits each, rounded up
        self.used = np.full(self.words, 2**64 - 1, np.uint64)
        self.used[-1] >>= np.uint64(64 * self.words - self.n)  # the last word's spare bits stay 0
        self.masks = np.zeros((1 + d, self.words), np.uint64)
        for mask, positions in zip(self.masks, [self.support, *others.reshape(d, self.k)]):
            for i in positions:
                mask[i // 64] |= np.uint64(1) << np.uint64(i % 64)
        self.about = (
            f"Of {self.n} bits {self.k} are hidden: {', '.join(map(str, self.support))}.\n"
            f"Target: their parity, 1 if an odd number of them is 1. Helper: their sum, the number itself."
        ) + "\nThe other sums are of other bits, and help with nothing." * bool(d)

    def sample(self, rng, size):
        """Draw examples: inputs, uint64 (size, words), and labels, int64 (size, tasks).

        Bit i of an example is (inputs[:, i // 64] >> (i % 64)) & 1.
        """
        inputs = rng.integers(0, 2**64 - 1, (size, self.words), np.uint64, endpoint=True) & self.used
        return inputs, self.label(inputs)

    def label(self, inputs):
        """Answer every task: uint64 (size, words) -> int64 (size, tasks)."""
        sums = [np.bitwise_count(inputs & mask).sum(axis=1, dtype=np.int64) for mask in self.masks]
        return np.stack([*sums, sums[0] % 2], axis=1)

    def show(self, example):
        """Write one example, uint64 (words,), as a person would: its n bits, bit 0 first."""
        return "".join(map(str, unpacked(example[None], self.n)[0]))


class Digits:
    """ParitySum over pictures: each position shows a handwritten 0 or 1 (Alpaydin and Kaynak 1998).

    The pictures come with scikit-learn, 8 x 8 points, here black or white, 157 of each digit; every
    third is shown by sample_held_out alone.

    An example is n 64-bit words, a picture each. Attributes are ParitySum's, except that n counts the
    bits that a network sees, 64 for a picture.

    Raises ValueError where scikit-learn is missing, and unless n >= k >= 1.
    """

    def __init__(self, n=16, k=5, seed=0):
        self.hidden = ParitySum(n, k, seed)  # draws the bits that the pictures show
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise ValueError("problem digits needs scikit-learn: pip install scikit-learn") from None
        self.k, self.support = self.hidden.k, self.hidden.support
        self.tasks, self.classes = self.hidden.tasks, self.hidden.classes
        self.n, self.words = 64 * self.hidden.n, self.hidden.n
        self.used = np.full(self.words, 2**64 - 1, np.uint64)
        points, digits = load_digits(n_class=2, return_X_y=True)  # a point's ink is 0 to 16
        words = np.packbits(points > 7, axis=1, bitorder="little").view("<u8")[:, 0]
        pictures = [[*dict.fromkeys(words[digits == digit])] for digit in (0, 1)]  # each once
        count = min(map(len, pictures))
        pictures, new = np.array([row[:count] for row in pictures]), np.arange(count) % 3 == 2
        self.pictures, self.new_pictures = pictures[:, ~new], pictures[:, new]
        self.about = self.hidden.about.replace("bits", "handwritten digits", 1)

    def sample(self, rng, size):
        """Draw examples: inputs, uint64 (size, n), and labels, int64 (size, 2)."""
        return self._illustrate(self.pictures, rng, *self.hidden.sample(rng, size))

    def sample_held_out(self, rng, size):
        """Draw examples of pictures that sample never shows."""
        return self._illustrate(self.new_pictures, rng, *self.hidden.sample(rng, size))

    def _illustrate(self, pictures, rng, hidden, labels):
        bits = unpacked(hidden, self.words)
        return pictures[bits, rng.integers(0, pictures.shape[1], bits.shape)], labels

    def show(self, example):
        """Write one example, uint64 (n,), as pictures, eight side by side."""
        points = unpacked(example[:, None], 64).reshape(-1, 8, 8)
        rows = points.transpose(1, 0, 2)  # (n, row, column) -> (row, n, column)
        bands = (rows[:, first : first + 8] for first in range(0, self.words, 8))
        lines = (
            ["|".join("".join(" #"[ink] for ink in part) for part in row) for row in band]
            for band in bands
        )
        return "\n\n".join("\n".join(band) for band in lines)


class Lego:
    """A chain of k variables, each plus or minus the one before, told in random order (Zhang et al. 2022).

    "c = -b; a = +1; b = -a": task t asks for the value of the chain's t-th variable, and so for t
    hops of reasoning; label 0 stands for -1, label 1 for +1.

    An example is one position for each clause, int64 (k, 3): the variable assigned, the sign (0 for
    minus), and what it is assigned, k standing for the constant. Raises ValueError unless 1 <= k <= 26.
    """

    def __init__(self, k=6):
        self.k = number("k", k, 1, 26, whole=True)
        self.tasks = tuple(f"hop {t + 1}" for t in range(self.k))
        self.classes = (2,) * self.k
        self.fields = (self.k, 2, self.k + 1)  # how many values each number of a position can have
        self.about = (
            f"{self.k} variables hang together in a chain; the clauses come in random order.\n"
            f"Target: the value of the last one. Helpers: the values of those before it."
        )

    def sample(self, rng, size):
        """Draw examples: inputs, int64 (size, k, 3), and labels, int64 (size, k)."""
        names = rng.permuted(np.tile(np.arange(self.k), (size, 1)), axis=1)  # along the chain
        signs = rng.integers(0, 2, (size, self.k))
        sources = np.hstack([np.full((size, 1), self.k), names[:, :-1]])
        clauses = np.stack([names, signs, sources], axis=2)  # (size, k) -> (size, k, 3)
        order = rng.permuted(np.tile(np.arange(self.k), (size, 1)), axis=1)
        inputs = np.take_along_axis(clauses, order[:, :, None], axis=1)
        return inputs, 1 - np.cumsum(1 - signs, axis=1) % 2

    def places(self, inputs):
        """The position that assigns the variable each task asks for: (size, k, 3) -> (size, k)."""
        place, places = (inputs[:, :, 2] == self.k).argmax(axis=1), []
        for _ in range(self.k):
            places.append(place)
            name = np.take_along_axis(inputs[:, :, 0], place[:, None], axis=1)
            place = (inputs[:, :, 2] == name).argmax(axis=1)
        return np.stack(places, axis=1)

    def show(self, example):
        """Write one example, int64 (k, 3), as a sentence."""
        letters = "abcdefghijklmnopqrstuvwxyz"[: self.k] + "1"
        return "; ".join(f"{letters[a]} = {'-+'[sign]}{letters[b]}" for a, sign, b in example)


class Code:
    """A program of k lines, each computing modulo a number with what the lines before it assigned.

    "c = (b * 3) % 5": task t asks for the value that line t assigns. A line takes a name assigned
    before and a constant, in either order, the first line two constants. Names are assigned again.

    An example is one position for each line, int64 (k, 5): the line's number, the name assigned, the
    operator, and the two operands, k + i standing for the constant i. Raises ValueError unless
    1 <= k <= 26 and 2 <= modulus <= 100.
    """

    def __init__(self, k=4, modulus=5):
        self.k = number("k", k, 1, 26, whole=True)
        self.modulus = number("modulus", modulus, 2, 100, whole=True)
        self.tasks = tuple(f"line {t + 1}" for t in range(self.k))
        self.classes = (self.modulus,) * self.k
        self.fields = (self.k, self.k, 3, self.k + self.modulus, self.k + self.modulus)
        self.about = (
            f"Programs of {self.k} lines, computing modulo {self.modulus}.\n"
            f"Target: the value that the last line assigns. Helpers: the values of the lines before it."
        )

    def sample(self, rng, size):
        """Draw examples: inputs, int64 (size, k, 5), and labels, int64 (size, k)."""
        every, k, m = np.arange(size), self.k, self.modulus
        names, operators = rng.integers(0, k, (size, k)), rng.integers(0, 3, (size, k))
        # first constants throughout, and none is 0 in a product: that would give the value away
        operands = k + rng.integers((operators == 2)[:, :, None], m, (size, k, 2))
        values, labels = np.zeros((size, k + m), np.int64), np.zeros((size, k), np.int64)
        values[:, k:] = np.arange(m)  # by operand: what each name holds so far, and the constants
        for line in range(k):
            if line:
                name = names[every, rng.integers(0, line, size)]
                operands[every, line, rng.integers(0, 2, size)] = name
            left, right = (values[every, operands[:, line, side]] for side in (0, 1))
            results = np.stack([left + right, left - right, left * right]) % m  # (3, size)
            labels[:, line] = values[every, names[:, line]] = results[operators[:, line], every]
        lines = np.tile(np.arange(k), (size, 1))
        return np.dstack([lines, names, operators, operands]), labels

    def places(self, inputs):
        """The position that each task asks about, its line: (size, k, 5) -> (size, k)."""
        return inputs[:, :, 0]

    def show(self, example):
        """Write one example, int64 (k, 5), as a Python program."""
        words = [*"abcdefghijklmnopqrstuvwxyz"[: self.k], *map(str, range(self.modulus))]
        return "\n".join(
            f"{words[name]} = ({words[left]} {'+-*'[operator]} {words[right]}) % {self.modulus}"
            for _, name, operator, left, right in example
        )


# --------------------------------------------------------------------------------------------------
# 2. Supervision: which labels are shown


SUPERVISIONS = ("target", "multi-task", "multi-label", "explicit")


def supervise(labels, rng, supervision, p=0.2):
    """Return the labels that the training examples carry, -1 in place of the others: (size, tasks).

    target       the target's alone: the control
    multi-task   one: with probability p a helper's, drawn evenly, else the target's
    multi-label  all of them
    explicit     all of them, each to be read before the next: see Explicit

    Raises ValueError for another supervision, and for p outside [0, 1].
    """
    p, labels = number("p", p, 0, 1), np.asarray(labels, np.int64)
    if supervision not in SUPERVISIONS:
        raise ValueError(f"supervision must be one of {SUPERVISIONS}, not {supervision!r}")
    if supervision in ("multi-label", "explicit"):
        return labels.copy()
    size, tasks = labels.shape
    asked = np.full(size, tasks - 1)
    if supervision == "multi-task" and tasks > 1:
        asked = np.where(rng.random(size) < p, rng.integers(0, tasks - 1, size), asked)
    shown = np.full_like(labels, -1)
    for task in range(tasks):
        shown[:, task] = np.where(asked == task, labels[:, task], -1)
    return shown


class Explicit:
    """A problem whose tasks are answered one after the other, each in a pass that reads the answers before.

    This is chain of thought (Wei et al. 2022), teacher-forced: in training a pass reads the true
    answers, afterwards those that the network wrote itself. For a network it is the same problem with
    room for the helpers' answers: a bit for each possible answer or, in a sequence, one more field in
    the position that the task asks about. An answer not yet given leaves its bits or its field 0.
    """

    def __init__(self, problem):
        vars(self).update(vars(problem))  # k, classes, tasks ...; what differs follows
        self.problem, self.sample, self.show = problem, problem.sample, problem.show
        self.sample_held_out = getattr(problem, "sample_held_out", problem.sample)
        if hasattr(problem, "fields"):
            self.places, self.fields = problem.places, (*problem.fields, 1 + max(problem.classes))
        else:
            self.n = problem.n + sum(problem.classes[:-1])
            self.words = -(-self.n // 64)

    def write(self, inputs, answers):
        """Write answers (size, tasks), -1 where not given, beside inputs, which get wider."""
        if hasattr(self.problem, "fields"):
            field = np.zeros(inputs.shape[:2], np.int64)
            np.put_along_axis(field, self.places(inputs), answers + 1, axis=1)
            return np.dstack([inputs, field])  # (size, length, fields) -> one field more
        helpers = zip(answers.T, self.classes[:-1])
        written = [np.eye(classes + 1, dtype=np.uint8)[answer, :-1] for answer, classes in helpers]
        spare = np.zeros((len(inputs), 64 * self.words - self.n), np.uint8)
        bits = np.hstack([unpacked(inputs, self.problem.n), *written, spare])
        return np.packbits(bits, axis=1, bitorder="little").view("<u8")  # (size, words)

    def passes(self, inputs, labels):
        """Lay out the passes of teacher forcing: size examples -> size * tasks, each with one label."""
        tasks = labels.shape[1]
        before, asked = np.tri(tasks, k=-1, dtype=bool), np.eye(tasks, dtype=bool)
        known, labels = (np.where(mask, labels[:, None], -1) for mask in (before, asked))
        inputs = self.write(np.repeat(inputs, tasks, axis=0), known.reshape(-1, tasks))
        return inputs, labels.reshape(-1, tasks)


# --------------------------------------------------------------------------------------------------
# 3. Networks: each with its forward and its backward side by side
#
# First what they share: compiled functions, memory, the product of bits with a matrix, the loss.


def kernel(function, **options):
    """Have Numba compile the function when it is first called, and keep the machine code on disk."""
    options |= {
        "nogil": True,  # other threads run meanwhile
        "error_model": "numpy",  # x / 0 is inf and no exception: else no division is vectorised
        "fastmath": {"contract", "reassoc", "nsz", "arcp"},  # sums in any order, but NaN stays NaN
    }
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to keep it
        return numba.njit(**options)(function)


def part(function):
    """A kernel that is compiled as part of the one that calls it: that saves time at the first start."""
    return kernel(function, inline="always")


class Arrays(dict):
    """Named arrays that are views into one vector, `flat`: copies of those given.

    The optimiser sees the vector, the network its matrices. Each array starts on a 64-byte
    boundary: where NumPy would put it, training can take a fifth longer.
    """

    def __init__(self, arrays):
        dtype = next(iter(arrays.values())).dtype
        ends = np.cumsum([-(-array.nbytes // 64) * 64 for array in arrays.values()])
        memory = np.zeros(ends[-1] + 64, np.uint8)
        memory = memory[-memory.ctypes.data % 64 :][: ends[-1]]
        self.flat = memory.view(dtype)
        for (name, array), start in zip(arrays.items(), [0, *ends]):
            self[name] = memory[start : start + array.nbytes].view(dtype).reshape(array.shape)
            self[name][:] = array

    def zeros(self):
        """Return as many zeros under the same names."""
        return Arrays({name: np.zeros_like(array) for name, array in self.items()})


@kernel
def affine(bits, M, b, out):
    """out[:] = S @ M + b, where S is a matrix of signs: +1 where bits has a 1, -1 where it has a 0.

    But nothing is multiplied. Four columns of S meet four rows of M, of which there are only 16 signed
    sums: add those up once, and each row of S looks its own up. This is the "method of four
    Russians" (Arlazarov, Dinic, Kronrod and Faradzhev 1970). A byte of bits holds two lookups.

    bits (rows, at least inner / 8) uint8, lowest bit first; M (inner, width); b (width,);
    out (rows, width).
    """
    inner, width = M.shape
    sums = np.empty((32, width), M.dtype)  # 16 for a byte's lower half, 16 for its upper half
    for i in range(len(bits)):
        for h in range(width):
            out[i, h] = b[h]
    for first in range(0, inner, 8):
        for half in (0, 16):
            start = first + half // 4
            stop = min(start + 4, inner)
            for h in range(width):
                sums[half, h] = 0
            for i in range(start, stop):
                for h in range(width):
                    sums[half, h] -= M[i, h]  # no bit set: every sign is -1
            for i in range(start, stop):
                bit = 1 << (i - start)
                for j in range(half, half + bit):
                    for h in range(width):
                        sums[j + bit, h] = sums[j, h] + (M[i, h] + M[i, h])  # setting it: -1 to +1
        for i in range(len(bits)):
            byte = bits[i, first >> 3]
            row, low, high = out[i], sums[byte & 15], sums[16 + (byte >> 4)]
            for h in range(width):
                row[h] += low[h] + high[h]


@kernel
def transpose(bits, columns):
    """Packed bits (rows, columns) -> packed bits (columns, rows)."""
    turned = np.zeros((columns, (len(bits) + 7) >> 3), np.uint8)
    for i in range(len(bits)):
        for j in range(columns):
            turned[j, i >> 3] |= ((bits[i, j >> 3] >> (j & 7)) & 1) << (i & 7)
    return turned


@part
def cross_entropy(logits, labels, classes):
    """Return the loss, and turn the logits into its gradient.

    The loss is the mean over examples of -log softmax(logits of a task)[label], summed over tasks;
    a label of -1 adds nothing. logits (size, answers), the answers to all tasks side by side;
    labels (size, tasks); classes (tasks,), the number of answers to each.
    """
    size, loss = len(labels), 0.0
    for i in range(size):
        stop = 0
        for t in range(len(classes)):
            start, stop = stop, stop + classes[t]
            label = labels[i, t]
            if label < 0:
                for a in range(start, stop):
                    logits[i, a] = 0
                continue
            largest = logits[i, start]
            for a in range(start, stop):
                largest = max(largest, logits[i, a])
            loss += largest - logits[i, start + label]
            total = 0.0
            for a in range(start, stop):
                logits[i, a] = math.exp(logits[i, a] - largest)
                total += logits[i, a]
            loss += math.log(total)
            for a in range(start, stop):
                logits[i, a] /= total * size
            logits[i, start + label] -= 1 / size
    return loss / size


@part
def adam(weights, gradient, mean, square, step, lr):
    """One step of Adam (Kingma and Ba 2015), constants as in its paper; all arrays (weights,)."""
    real = weights.dtype.type  # a plain 0.9 would turn all the arithmetic into double precision
    beta1, beta2, epsilon = real(0.9), real(0.999), real(1e-8)
    new1, new2 = real(1 - 0.9), real(1 - 0.999)
    rate, unbias = real(lr / (1 - math.pow(0.9, step))), real(1 / (1 - math.pow(0.999, step)))
    for i in range(len(weights)):
        mean[i] = beta1 * mean[i] + new1 * gradient[i]
        square[i] = beta2 * square[i] + new2 * gradient[i] * gradient[i]
        weights[i] -= rate * mean[i] / (math.sqrt(square[i] * unbias) + epsilon)


def checked_inputs(problem, inputs):
    """Return inputs that fit the problem. Raises ValueError for others."""
    inputs, problem = np.asarray(inputs), getattr(problem, "problem", problem)
    if hasattr(problem, "fields"):
        if inputs.dtype.kind not in "iu" or inputs.shape[1:] != (problem.k, len(problem.fields)):
            shape = f"(size, {problem.k}, {len(problem.fields)})"
            raise ValueError(f"inputs must be integers of the shape {shape}")
        if ((inputs < 0) | (inputs >= problem.fields)).any():
            raise ValueError(f"inputs must be from 0 up and below {problem.fields}")
        return inputs
    if inputs.dtype != np.uint64 or inputs.shape[1:] != (problem.words,):
        raise ValueError(f"inputs must be uint64 of the shape (size, {problem.words})")
    return inputs & problem.used


def checked(problem, inputs, labels):
    """Return inputs, labels, and how many of them make an example: 1, or its passes if Explicit.

    Raises ValueError for impossible ones.
    """
    inputs, labels = checked_inputs(problem, inputs), np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape != (len(inputs), len(problem.tasks)):
        raise ValueError(f"labels must be integers of the shape ({len(inputs)}, {len(problem.tasks)})")
    if ((labels < -1) | (labels >= problem.classes)).any():
        raise ValueError(f"labels must be -1, or from 0 up and below {problem.classes}")
    labels = np.ascontiguousarray(labels, np.int64)
    if isinstance(problem, Explicit):
        return *problem.passes(inputs, labels), len(problem.tasks)
    return inputs, labels, 1


class Network:
    """What all networks share; each adds init, _gradients, _descend and _answer."""

    turned = staticmethod(dict)  # params as kernels take them, and back
    encode = staticmethod(as_bytes)  # inputs as kernels take them

    def loss_and_gradients(self, inputs, labels):
        """Return the loss, averaged over examples, and its gradients by the names of params."""
        inputs, labels, passes = checked(self.problem, inputs, labels)
        weights = Arrays(self.turned(self.params))
        loss = self._gradients(weights, gradients := weights.zeros(), self.encode(inputs), labels)
        gradients.flat *= passes
        return passes * loss, self.turned(gradients)

    def descend(self, inputs, labels, batch, lr=None):
        """Train on the examples once, `batch` at a time; return the loss summed over them.

        lr None is the network's own: 0.002 or, if Bilinear, the first of rates.
        """
        inputs, labels, passes = checked(self.problem, inputs, labels)
        weights = Arrays(self.turned(self.params))
        arrays = weights, weights.zeros()
        loss = self._descend(*arrays, self.encode(inputs), labels, batch, passes, lr)
        for name, array in self.turned(weights).items():
            self.params[name][:] = array
        return loss

    def predict(self, inputs):
        """Answer every task, int64 (size, tasks): at once or, if Explicit, reading what it answered."""
        inputs = checked_inputs(self.problem, inputs)
        if not isinstance(self.problem, Explicit):
            return self._answer(inputs)
        answers = np.full((len(inputs), len(self.problem.tasks)), -1)
        for task in range(answers.shape[1]):
            answers[:, task] = self._answer(self.problem.write(inputs, answers))[:, task]
        return answers


# The bilinear network

KINK = 1e-12  # what is no further above 0 counts as 0: rounding must not decide where a hinge bends


@kernel
def bilinear_forward(P, v, c):
    """P (size, k) -> sums (size,), the mean of P + (k - 1) / 2, and f = relu(P) v + c (size,)."""
    size, k = P.shape
    sums, f = np.empty(size, P.dtype), np.empty(size, P.dtype)
    for i in range(size):
        sums[i], f[i] = (k - 1) / 2, c[0]
        for j in range(k):
            sums[i] += P[i, j] / k
            if not P[i, j] <= 0:  # so written, and not as > 0, NaN goes through
                f[i] += v[j] * P[i, j]
    return sums, f


@part
def bilinear_backward(P, sums, f, labels, v, dv, dc):
    """Return the loss, add to the gradients of v and c, and turn P into its own.

    Where carried, the sum costs k/2 (sums - label)² and the parity 1/2 (f - 1)² if odd, else
    1/2 (f + 1)². The weight k makes up for the mean over P: each row of W feels the whole error.
    """
    size, k = P.shape
    loss = 0.0
    for i in range(size):
        sum_error, f_error = 0.0, 0.0
        if labels[i, 0] >= 0:
            sum_error = sums[i] - labels[i, 0]
        if labels[i, 1] >= 0:
            f_error = f[i] - (2 * labels[i, 1] - 1)
        loss += (k * sum_error**2 + f_error**2) / 2
        dc[0] += f_error / size
        for j in range(k):
            dP = sum_error
            if P[i, j] > KINK:
                dv[j] += f_error * P[i, j] / size
                dP += f_error * v[j]
            P[i, j] = dP / size
    return loss / size


@part
def bilinear_loss_and_gradients(bits, labels, W, v, c, dW, dv, dc):
    """Return the loss of one batch; add to the gradients, zeros. W and dW come as (n + 1, k)."""
    size, k, n = len(bits), len(v), len(W) - 1
    P = np.empty((size, k), W.dtype)
    affine(bits, W[:n], W[n], P)  # (size, n) (n, k) -> (size, k)
    sums, f = bilinear_forward(P, v, c)
    loss = bilinear_backward(P, sums, f, labels, v, dv, dc)
    affine(transpose(bits, n), P, dW[n], dW[:n])  # (n, size) (size, k) -> (n, k)
    for i in range(size):
        for j in range(k):
            dW[n, j] += P[i, j]
    return loss


@kernel
def bilinear_descend(bits, labels, batch, lr, ratio, weights, gradient, W, v, c, dW, dv, dc):
    """Plain stochastic gradient descent over all batches; return the loss summed over examples."""
    total = 0.0
    for start in range(0, len(bits), batch):
        x, y = bits[start : start + batch], labels[start : start + batch]
        for i in range(len(gradient)):
            gradient[i] = 0
        total += len(x) * bilinear_loss_and_gradients(x, y, W, v, c, dW, dv, dc)
        for j in range(len(v)):
            dv[j] *= ratio
        dc[0] *= ratio
        for i in range(len(weights)):
            weights[i] -= lr * gradient[i]
    return total


class Bilinear(Network):
    """The network of the paper's theorem: f = vᵀ relu(W x̃) + c, with x̃ = (x, 1) and x in {±1}ⁿ.

    A reconstruction. The sum is read off the mean of P = W x̃, the parity off the sign of f. At the
    start W reads no bit and v = 0, so that the gradient of the parity loss, averaged over all
    inputs, is exactly 0. Once the sum has drawn W's columns to 1/2 on the support and 0 elsewhere,
    P_j = sum - j, and parity is a linear function of the k hinges relu(P_j).

    params: W (k, n + 1), v (k,), c (1,). Learns by plain stochastic gradient descent. The paper's
    reviewers found that start strong: `spread` is the standard deviation of normal noise added to it.
    """

    def __init__(self, spread=0.0):
        self.spread = number("spread", spread, 0)

    @staticmethod
    def rates(n, k, batch):
        """Return W's learning rate, 0.02 unless it would overshoot, and the ratio of v's and c's to it.

        It would for small batches and long inputs; the ratio is 5, and less for k > 5, since the
        squared length of all hinges together grows like k³.
        """
        return 0.02 * min(1, batch / 16, 16 * batch / n), min(5, 5 * (5 / k) ** 3)

    def init(self, problem, rng, dtype=np.float32):
        """Set the start, W = [0 | b] with b_j = k/2 - j and v = c = 0, and add the noise, if any."""
        if problem.tasks != ParitySum.tasks:
            raise ValueError(f"network bilinear knows the tasks {ParitySum.tasks} only")
        n, k, self.problem = problem.n, problem.k, problem
        W = np.zeros((k, n + 1), dtype)
        W[:, n] = k / 2 - np.arange(k)
        self.params = {"W": W, "v": np.zeros(k, dtype), "c": np.zeros(1, dtype)}
        if self.spread:
            for array in (W, self.params["v"]):
                array += self.spread * rng.standard_normal(array.shape)

    def turned(self, arrays):
        """Turn W from (k, n + 1), as in params, to (n + 1, k), as in the kernels, or back."""
        return arrays | {"W": arrays["W"].T}

    def _gradients(self, weights, gradients, bits, labels):
        arrays = *weights.values(), *gradients.values()
        return bilinear_loss_and_gradients(bits, labels, *arrays)

    def _descend(self, weights, gradients, bits, labels, batch, passes, lr):
        rate, ratio = self.rates(self.problem.n, self.problem.k, batch)
        lr, batch = passes * (rate if lr is None else lr), passes * batch
        arrays = weights.flat, gradients.flat, *weights.values(), *gradients.values()
        return bilinear_descend(bits, labels, batch, lr, ratio, *arrays)

    def _answer(self, inputs):
        columns, v, c = Arrays(self.turned(self.params)).values()
        P = np.empty((len(inputs), len(v)), v.dtype)
        affine(as_bytes(inputs), columns[:-1], columns[-1], P)
        sums, f = bilinear_forward(P, v, c)
        return np.stack([np.clip(np.rint(sums), 0, len(v)), f > 0], axis=1).astype(np.int64)


# The multi-layer perceptron


@kernel
def mlp_forward(hidden, asked, classes, V, c):
    """Apply relu to hidden (size, width), in place, and return the logits, hidden Vᵀ + c.

    They are left out where asked (size, tasks) is negative.
    """
    size, width = hidden.shape
    logits = np.empty((size, len(c)), V.dtype)  # (size, width) -> (size, answers)
    zero = V.dtype.type(0)
    for i in range(size):
        row = hidden[i]
        for h in range(width):
            row[h] = zero if row[h] < zero else row[h]  # so written, NaN goes through
        stop = 0
        for t in range(len(classes)):
            start, stop = stop, stop + classes[t]
            if asked[i, t] >= 0:
                for a in range(start, stop):
                    weights, logit = V[a], c[a]
                    for h in range(width):
                        logit += row[h] * weights[h]
                    logits[i, a] = logit
    return logits


@part
def mlp_backward(hidden, dlogits, V, db, dV, dc):
    """Add to the gradients of b, V and c; turn hidden into the gradient by what relu was given."""
    size, width = hidden.shape
    dhidden = np.empty(width, V.dtype)
    zero = V.dtype.type(0)
    for i in range(size):
        row = hidden[i]
        for h in range(width):
            dhidden[h] = zero
        for a in range(len(dc)):
            d = dlogits[i, a]
            if d != zero:  # as it is for the answers to a question that was not asked
                weights, dweights = V[a], dV[a]
                dc[a] += d
                for h in range(width):
                    dweights[h] += d * row[h]
                    dhidden[h] += d * weights[h]
        for h in range(width):
            row[h] = dhidden[h] if row[h] > zero else zero
            db[h] += row[h]


@part
def mlp_loss_and_gradients(bits, labels, classes, W, b, V, c, dW, db, dV, dc):
    """One batch: add to the gradients, which are zeros, and return the loss."""
    hidden = np.empty((len(bits), len(b)), W.dtype)
    affine(bits, W, b, hidden)  # (size, n) (n, width) -> (size, width)
    logits = mlp_forward(hidden, labels, classes, V, c)  # (size, width) -> (size, answers)
    loss = cross_entropy(logits, labels, classes)
    mlp_backward(hidden, logits, V, db, dV, dc)
    no_bias = np.zeros_like(b)
    affine(transpose(bits, len(W)), hidden, no_bias, dW)  # (n, size) (size, width) -> (n, width)
    return loss


@kernel
def mlp_descend(bits, labels, classes, batch, lr, step, state, W, b, V, c, dW, db, dV, dc):
    """Adam over all batches; return the loss summed over examples."""
    weights, gradient, mean, square = state
    total = 0.0
    for start in range(0, len(bits), batch):
        x, y = bits[start : start + batch], labels[start : start + batch]
        for i in range(len(gradient)):
            gradient[i] = 0
        total += len(x) * mlp_loss_and_gradients(x, y, classes, W, b, V, c, dW, db, dV, dc)
        step += 1
        adam(weights, gradient, mean, square, step, lr)
    return total


class MLP(Network):
    """One hidden layer of `width` rectified units and a softmax head for each task.

    params: W (n, width), b (width,), V (answers, width), c (answers,), the answers to all tasks side
    by side. W and V start uniform within ±1 / sqrt(number of the layer's inputs), b and c at 0.
    Learns by Adam.
    """

    def __init__(self, width=128):
        self.width = number("width", width, 1, whole=True)

    def init(self, problem, rng, dtype=np.float32):
        """Draw the starting weights."""
        if not hasattr(problem, "words"):
            raise ValueError("network mlp needs a problem of bits, parity or digits")
        self.problem, self.classes = problem, np.array(problem.classes)
        n, width, answers = problem.n, self.width, self.classes.sum()
        W, V = rng.uniform(-1, 1, (n, width)), rng.uniform(-1, 1, (answers, width))
        params = {"W": W / n**0.5, "b": np.zeros(width), "V": V / width**0.5, "c": np.zeros(answers)}
        self.params = {name: array.astype(dtype) for name, array in params.items()}
        zeros = Arrays(self.params).zeros
        self.mean, self.square, self.steps = zeros().flat, zeros().flat, 0

    def _gradients(self, weights, gradients, bits, labels):
        arrays = *weights.values(), *gradients.values()
        return mlp_loss_and_gradients(bits, labels, self.classes, *arrays)

    def _descend(self, weights, gradients, bits, labels, batch, passes, lr):
        state = weights.flat, gradients.flat, self.mean, self.square
        arrays = state, *weights.values(), *gradients.values()
        lr, batch = 0.002 if lr is None else lr, passes * batch
        loss = mlp_descend(bits, labels, self.classes, batch, lr, self.steps, *arrays)
        self.steps += -(-len(bits) // batch)  # rounded up
        return loss

    def _answer(self, inputs):
        bits, answers = as_bytes(inputs), np.zeros((len(inputs), len(self.classes)), np.int64)
        W, b, V, c = Arrays(self.params).values()
        for start in range(0, len(bits), 500):  # so many that their hidden layer stays in the cache
            x, y = bits[start : start + 500], answers[start : start + 500]  # 0: all are asked
            hidden = np.empty((len(x), len(b)), b.dtype)
            affine(x, W, b, hidden)
            logits = mlp_forward(hidden, y, self.classes, V, c)
            for task, head in enumerate(np.split(logits, np.cumsum(self.classes)[:-1], axis=1)):
                y[:, task] = head.argmax(axis=1)
        return answers


# The transformer, for problems whose examples are sequences. Its activations are columns, one for each
# position of each example, (width, positions); as (width, length, size) the examples lie side by side,
# and what is done to one is done to all in the innermost loop.


@kernel
def norm_forward(x, gain):
    """Scale every column of x (width, positions) to root mean square gain (Zhang and Sennrich 2019)."""
    y, scale = np.empty_like(x), np.zeros(x.shape[1], x.dtype)
    width = x.dtype.type(len(x))
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
def norm_backward(dy, x, scale, gain, dgain):
    """Write the gradient of gain into dgain; return that of x."""
    dx, along = np.empty_like(x), np.zeros_like(scale)  # along: the part of dy that only stretches x
    width = x.dtype.type(len(x))
    for h in range(len(x)):
        for i in range(len(scale)):
            along[i] += dy[h, i] * gain[h] * x[h, i] * scale[i] * scale[i] / width
    for h in range(len(x)):
        total = x.dtype.type(0)
        for i in range(len(scale)):
            total += dy[h, i] * x[h, i] * scale[i]
            dx[h, i] = scale[i] * (dy[h, i] * gain[h] - along[i] * x[h, i])
        dgain[h] = total
    return dx


@kernel
def attention_forward(qkv, heads):
    """Let every position look at all: softmax(qᵀ k / sqrt(d)) v, each head on its d rows by itself.

    qkv (3 width, length, size) is queries, keys and values on top of each other. Returns what was
    seen, (width, length, size), and the attention, (heads, length, length, size).
    """
    width, length, size = len(qkv) // 3, qkv.shape[1], qkv.shape[2]
    d = width // heads
    seen = np.zeros((width, length, size), qkv.dtype)
    attention = np.zeros((heads, length, length, size), qkv.dtype)
    scale = qkv.dtype.type(1 / math.sqrt(d))
    for head in range(heads):
        for a in range(length):
            for b in range(length):
                for h in range(head * d, head * d + d):
                    for i in range(size):
                        attention[head, a, b, i] += qkv[h, a, i] * qkv[width + h, b, i]
            for i in range(size):
                largest, total = attention[head, a, 0, i], qkv.dtype.type(0)
                for b in range(length):
                    largest = max(largest, attention[head, a, b, i])
                for b in range(length):
                    attention[head, a, b, i] = math.exp(scale * (attention[head, a, b, i] - largest))
                    total += attention[head, a, b, i]
                for b in range(length):
                    attention[head, a, b, i] /= total
            for b in range(length):
                for h in range(head * d, head * d + d):
                    for i in range(size):
                        seen[h, a, i] += attention[head, a, b, i] * qkv[2 * width + h, b, i]
    return seen, attention


@kernel
def attention_backward(dseen, qkv, attention):
    """Return the gradient of qkv."""
    heads, length, _, size = attention.shape
    width = len(qkv) // 3
    d = width // heads
    dqkv, dscore = np.zeros_like(qkv), np.empty((length, size), qkv.dtype)
    scale = qkv.dtype.type(1 / math.sqrt(d))
    for head in range(heads):
        for a in range(length):
            mean = np.zeros(size, qkv.dtype)  # softmax's backward: attention (dscore - mean of dscore)
            for b in range(length):
                for i in range(size):
                    dscore[b, i] = 0
                for h in range(head * d, head * d + d):
                    for i in range(size):
                        dscore[b, i] += dseen[h, a, i] * qkv[2 * width + h, b, i]
                        dqkv[2 * width + h, b, i] += dseen[h, a, i] * attention[head, a, b, i]
                for i in range(size):
                    mean[i] += attention[head, a, b, i] * dscore[b, i]
            for b in range(length):
                for i in range(size):
                    dscore[b, i] = attention[head, a, b, i] * (dscore[b, i] - mean[i]) * scale
                for h in range(head * d, head * d + d):
                    for i in range(size):
                        dqkv[h, a, i] += dscore[b, i] * qkv[width + h, b, i]
                        dqkv[width + h, b, i] += dscore[b, i] * qkv[h, a, i]
    return dqkv


class Transformer(Network):
    """Pre-norm blocks with bidirectional attention (Vaswani et al. 2017), trained from scratch.

    A position's embedding is the sum of its fields' embeddings. Each task is answered at the position
    that the problem names for it, by one head for all tasks.

    params: E (width, values of all fields). In each layer two norms' gains g and h (width,), A
    (3 width, width) for queries, keys and values, O (width, width), and two layers with relu between
    them, U (2 width, width) with bias b, and D (width, 2 width). At the end a norm's gain g (width,), H
    (classes, width) and c (classes,). Matrices start normal, with standard deviation 1 / sqrt(fields)
    for E, 1 / (2 sqrt(inputs)) for the others; gains at 1, biases at 0. Learns by Adam.

    Raises ValueError unless all sizes are at least 1 and width is a multiple of heads.
    """

    def __init__(self, width=32, layers=3, heads=2):
        self.width = number("width", width, 1, whole=True)
        self.layers = number("layers", layers, 1, whole=True)
        self.heads = number("heads", heads, 1, whole=True)
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads = {self.heads}, not {self.width}")

    def init(self, problem, rng, dtype=np.float32):
        """Draw the starting weights."""
        if not hasattr(problem, "fields"):
            raise ValueError("network transformer needs a problem of sequences, lego or code")
        if len(set(problem.classes)) > 1:
            raise ValueError("network transformer needs tasks with equally many answers")
        self.problem, self.classes, w = problem, np.array(problem.classes), self.width
        shapes = {"E": (w, sum(problem.fields))}
        block = {"g": (w,), "A": (3 * w, w), "O": (w, w), "h": (w,)}
        block |= {"U": (2 * w, w), "b": (2 * w,), "D": (w, 2 * w)}
        for layer in range(self.layers):
            shapes |= {f"{name}{layer}": shape for name, shape in block.items()}
        shapes |= {"g": (w,), "H": (problem.classes[0], w), "c": problem.classes[:1]}
        self.params = {}
        for name, shape in shapes.items():
            start = np.full(shape, 1.0 if name[0] in "gh" else 0.0)
            if len(shape) == 2:
                deviation = len(problem.fields) ** -0.5 if name == "E" else 0.5 * shape[1] ** -0.5
                start = deviation * rng.standard_normal(shape)
            self.params[name] = start.astype(dtype)
        zeros = Arrays(self.params).zeros
        self.mean, self.square, self.steps = zeros().flat, zeros().flat, 0

    def encode(self, inputs):
        """Write the fields as columns with a 1 for each, (values, length, size); name the places."""
        fields = self.problem.fields
        onehot = np.zeros((sum(fields), *inputs.shape[1::-1]), self.params["c"].dtype)
        for which, first in enumerate(np.cumsum([0, *fields[:-1]])):
            np.put_along_axis(onehot, inputs[:, :, which].T[None] + first, 1, axis=0)
        return onehot, self.problem.places(inputs)

    @staticmethod
    def _layer(arrays, layer):
        return (arrays[f"{name}{layer}"] for name in "gAOhUbD")

    def forward(self, weights, onehot, places):
        """Return the logits, (size, tasks classes), and what backward will need of each layer."""
        _, length, size = onehot.shape
        x, kept = weights["E"] @ onehot.reshape(len(onehot), -1), []  # -> (width, positions)
        for layer in range(self.layers):
            g, A, O, h, U, b, D = self._layer(weights, layer)
            y, scale = norm_forward(x, g)
            qkv = (A @ y).reshape(-1, length, size)  # -> (3 width, length, size)
            seen, attention = attention_forward(qkv, self.heads)
            seen = seen.reshape(x.shape)
            z = x + O @ seen
            y2, scale2 = norm_forward(z, h)
            hidden = np.maximum(U @ y2 + b[:, None], 0)  # -> (2 width, positions)
            kept.append((x, y, scale, qkv, attention, seen, z, y2, scale2, hidden))
            x = z + D @ hidden
        read = (places * size + np.arange(size)[:, None]).ravel()  # columns, by example and task
        last = np.ascontiguousarray(x[:, read])  # (width, positions) -> (width, size tasks)
        y, scale = norm_forward(last, weights["g"])
        logits = (weights["H"] @ y + weights["c"][:, None]).T  # -> (size tasks, classes)
        return logits.reshape(size, -1), (kept, last, y, scale, read)

    def backward(self, weights, gradients, onehot, dlogits, state):
        """Write the gradients, going back through forward's lines."""
        kept, last, y, scale, read = state
        _, length, size = onehot.shape
        dlogits = dlogits.reshape(len(read), -1).T
        gradients["H"][:], gradients["c"][:] = dlogits @ y.T, dlogits.sum(axis=1)
        dx = np.zeros((self.width, length * size), last.dtype)
        dx[:, read] = norm_backward(weights["H"].T @ dlogits, last, scale, weights["g"], gradients["g"])
        for layer in reversed(range(self.layers)):
            g, A, O, h, U, b, D = self._layer(weights, layer)
            dg, dA, dO, dh, dU, db, dD = self._layer(gradients, layer)
            x, y, scale, qkv, attention, seen, z, y2, scale2, hidden = kept[layer]
            dD[:] = dx @ hidden.T
            dhidden = (D.T @ dx) * (hidden > 0)
            dU[:], db[:] = dhidden @ y2.T, dhidden.sum(axis=1)
            dx += norm_backward(U.T @ dhidden, z, scale2, h, dh)
            dO[:] = dx @ seen.T
            dqkv = attention_backward((O.T @ dx).reshape(-1, length, size), qkv, attention)
            dqkv = dqkv.reshape(len(A), -1)
            dA[:] = dqkv @ y.T
            dx += norm_backward(A.T @ dqkv, x, scale, g, dg)
        gradients["E"][:] = dx @ onehot.reshape(len(onehot), -1).T

    def _gradients(self, weights, gradients, encoded, labels):
        logits, state = self.forward(weights, *encoded)
        loss = cross_entropy(logits, labels, self.classes)  # which turns logits into its gradient
        self.backward(weights, gradients, encoded[0], logits, state)
        return loss

    def _descend(self, weights, gradients, encoded, labels, batch, passes, lr):
        onehot, places = encoded
        total, lr, batch = 0.0, 0.002 if lr is None else lr, passes * batch
        for start in range(0, len(labels), batch):
            x = np.ascontiguousarray(onehot[:, :, start : start + batch]), places[start : start + batch]
            y = labels[start : start + batch]
            total += len(y) * self._gradients(weights, gradients, x, y)
            self.steps += 1
            adam(weights.flat, gradients.flat, self.mean, self.square, self.steps, lr)
        return total

    def _answer(self, inputs):
        answers = np.zeros((len(inputs), len(self.classes)), np.int64)
        for start in range(0, len(inputs), 500):
            logits, _ = self.forward(self.params, *self.encode(inputs[start : start + 500]))
            logits = logits.reshape(len(logits), len(self.classes), -1)  # -> (500, tasks, classes)
            answers[start : start + 500] = logits.argmax(axis=2)
        return answers


# --------------------------------------------------------------------------------------------------
# 4. Training: one loop for every problem and network


class Diverged(ValueError):
    """The loss is not a finite number any more."""


@dataclass
class Run:
    """What came of one training.

    solved_at  examples seen when the target's accuracy was first 99 % or more, or None
    examples   examples seen in all
    seconds    wall time, evaluations included
    network    the network, as trained
    history    one dict per evaluation: examples and seconds so far; loss, the mean over the training
               examples since the evaluation before; accuracy, {task: share answered right}, of
               10,000 held-out examples where it decides, at the end and when the target may be
               solved, else of their first 2,000
    """

    solved_at: int | None = None
    examples: int = 0
    seconds: float = 0.0
    network: object = None
    history: list = field(default_factory=list)


def train(
    problem,
    network,
    supervision="multi-task",
    p=0.2,
    examples=1_000_000,
    batch=64,
    seed=0,
    stop_when_solved=True,
    lr=None,
    every=None,
    dtype=np.float32,
    report=None,
):
    """Train the network from scratch, on fresh examples all the way, and return the Run.

    It is evaluated after `every` examples or, if None, 6,400, later when their number has grown by a
    sixteenth. The seed decides the start, the examples, the labels they carry and the held-out
    examples, each independently of the others. lr None is the network's own. report(run) is called
    after every evaluation.

    Raises ValueError for a setting out of range, and Diverged, which is a ValueError, when the loss
    becomes infinite or NaN.
    """
    examples = number("examples", examples, 1, whole=True)
    batch = number("batch", batch, 1, whole=True)
    every = None if every is None else number("every", every, 1, whole=True)
    lr = None if lr is None else number("lr", lr, 0)
    seeds = np.random.SeedSequence(number("seed", seed, 0, whole=True)).spawn(4)
    start, data, choice, held_out = map(np.random.default_rng, seeds)
    if supervision == "explicit" and not isinstance(problem, Explicit):
        problem = Explicit(problem)
    network.init(problem, start, dtype)
    test_inputs, test_labels = getattr(problem, "sample_held_out", problem.sample)(held_out, 10_000)
    run, began = Run(network=network), time.perf_counter()
    while run.examples < examples and not (run.solved_at and stop_when_solved):
        batches = -(-(every or max(6_400, run.examples // 16)) // batch)
        goal = min(examples, run.examples + batches * batch)
        loss, before = 0.0, run.examples
        while run.examples < goal:
            # drawn for 100 steps at once: to draw each batch by itself costs as much as to train on it
            inputs, labels = problem.sample(data, min(100 * batch, goal - run.examples))
            labels = supervise(labels, choice, supervision, p)
            loss += network.descend(inputs, labels, batch, lr)
            run.examples += len(inputs)
        if not all(np.isfinite(array).all() for array in (loss, *network.params.values())):
            seen = f"{run.examples:,} examples"
            raise Diverged(f"the loss is not finite any more after {seen}: try a smaller lr")
        for size in (2_000, 10_000):  # a first look will do unless it may be solved, or it is the end
            right = (network.predict(test_inputs[:size]) == test_labels[:size]).mean(axis=0)
            if (right[-1] < 0.98 or run.solved_at) and run.examples < examples:
                break
        run.seconds = time.perf_counter() - began
        if right[-1] >= 0.99 and run.solved_at is None:
            run.solved_at = run.examples
        accuracy = dict(zip(problem.tasks, right.tolist()))
        record = {"examples": run.examples, "seconds": run.seconds}
        run.history.append(record | {"loss": loss / (run.examples - before), "accuracy": accuracy})
        if report:
            report(run)
    return run


# --------------------------------------------------------------------------------------------------
# 5. Theory: exact, without sampling


def recursion(k=5, weights=(0.2, 0.8), steps=4_000, lr=0.02, ratio=None, v=0.0):
    """Follow Bilinear down the exact gradient over all 2ⁿ inputs, for any n, in k + 1 cases.

    From its start every row of W stays equal on the support, w_j, and 0 elsewhere: the expectation
    of a bit times a function of the sum is the same for all hidden bits, and 0 for the others. So
    P_j = w_j (2s - k) + b_j depends on the sum s only, which is binomial.

    weights are those of the two losses, of sum and parity: (p, 1 - p) for multi-task, (1, 1) for
    multi-label, (0, 1) for target. lr and ratio (if None, that one) are Bilinear.rates; v is where v
    starts.

    Returns arrays over the steps, the start included: w, b and v (steps + 1, k), c (steps + 1,), and
    the shares answered right, sum and parity (steps + 1,).
    """
    ratio = Bilinear.rates(k, k, 64)[1] if ratio is None else ratio
    sums = np.arange(k + 1)
    share = np.array([math.comb(k, s) / 2**k for s in sums])  # of the inputs that have this sum
    ones, odd = 2 * sums - k, sums % 2
    w, b, v, c = np.zeros(k), k / 2 - np.arange(k), np.full(k, float(v)), 0.0
    curves = {name: [] for name in ("w", "b", "v", "c", "sum", "parity")}
    for _ in range(steps + 1):
        P = w * ones[:, None] + b  # (k + 1, k)
        hinges = np.maximum(P, 0)
        answer, f = P.mean(axis=1) + (k - 1) / 2, hinges @ v + c  # (k + 1,)
        right = share @ (np.clip(np.rint(answer), 0, k) == sums), share @ ((f > KINK) == odd)
        for curve, value in zip(curves.values(), (w, b, v, c, *right)):
            curve.append(value)
        sum_error = weights[0] * share * (answer - sums)
        f_error = weights[1] * share * (f - (2 * odd - 1))
        dP = sum_error[:, None] + f_error[:, None] * v * (P > KINK)
        w, b = w - lr * (ones / k) @ dP, b - lr * dP.sum(axis=0)
        v, c = v - ratio * lr * f_error @ hinges, c - ratio * lr * f_error.sum()
    return {name: np.array(curve) for name, curve in curves.items()}


def signal(problem, network, task):
    """Length of the exact gradient of one task's loss, averaged over all 2ⁿ inputs: (whole, telling).

    Most of the whole is about how often each answer occurs. Telling is what it says about the hidden
    bits: what is left after taking away the gradient for labels that are drawn as often but blindly.
    For a ParitySum, its network after init in float64; n of at most some 22.
    """

    def gradient(label):
        total, size = 0.0, 2**problem.n
        for start in range(0, size, 2**12):
            inputs = np.arange(start, min(start + 2**12, size), dtype=np.uint64)[:, None]
            labels = np.full((len(inputs), len(problem.tasks)), -1)
            labels[:, task] = problem.label(inputs)[:, task] if label is None else label
            _, gradients = network.loss_and_gradients(inputs, labels)
            total += len(inputs) / size * np.hstack([array.ravel() for array in gradients.values()])
        return total

    whole, k, answers = gradient(None), problem.k, problem.classes[task]
    often = [0.5, 0.5] if answers == 2 else [math.comb(k, s) / 2**k for s in range(k + 1)]
    blind = sum(share * gradient(label) for label, share in enumerate(often))
    return np.linalg.norm(whole), np.linalg.norm(whole - blind)


def multiplications(network):
    """Count those of one pass over one example, attention included, were signs multiplied like numbers.

    A transformer's embeddings are looked up, and its last matrix is used once for each task.
    """
    problem, matrices = network.problem, [array for array in network.params.values() if array.ndim == 2]
    if not isinstance(network, Transformer):
        return sum(matrix.size for matrix in matrices)
    _, *inner, H = matrices
    attention = 2 * network.layers * network.width * problem.k  # of one position to all k
    return problem.k * (sum(matrix.size for matrix in inner) + attention) + len(problem.tasks) * H.size


# --------------------------------------------------------------------------------------------------
# 6. Sweeps: many runs, in parallel, resumable
#
# A configuration describes a run: a dict of names and of the arguments of the problem, the network and
# train, such as {"problem": "parity", "network": "mlp", "p": 0.5, "seed": 3}; what it leaves out has
# its default. It can be written as JSON, and sent to another computer.


CLASSES = {"parity": ParitySum, "digits": Digits, "lego": Lego, "code": Code}
CLASSES |= {"bilinear": Bilinear, "mlp": MLP, "transformer": Transformer}
NETWORKS = {"parity": ("bilinear", "mlp"), "digits": ("mlp",)}  # that fit a problem
NETWORKS |= {"lego": ("transformer",), "code": ("transformer",)}


def defaults(function, left_out=("dtype", "report")):
    """Arguments of a function or a class that have a default, and it."""
    given = inspect.signature(function).parameters.items()
    return {name: p.default for name, p in given if p.default is not p.empty and name not in left_out}


SETTINGS = {"problem", "network", *defaults(train)}.union(*map(defaults, CLASSES.values()))


def complete(config):
    """Return the configuration with all its settings in order. Raises ValueError for unknown ones.

    The budget may be named so, or `examples` as in train. A setting that the problem or the network
    has no use for is left out, and None stands for the default.
    """
    config = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in config.items()
        if value is not None
    }
    if "budget" in config:
        config["examples"] = config.pop("budget")
    if unknown := config.keys() - SETTINGS:
        names = ", ".join(sorted(SETTINGS))
        raise ValueError(f"a run has no setting {min(unknown)}; there are {names}")
    problem = config.get("problem", "parity")
    if problem not in NETWORKS:
        raise ValueError(f"problem must be one of {', '.join(NETWORKS)}, not {problem!r}")
    network = config.get("network", NETWORKS[problem][-1])
    if network not in NETWORKS[problem]:
        raise ValueError(f"network {network} does not fit problem {problem}")
    full = {"problem": problem, "network": network} | defaults(CLASSES[problem])
    full |= defaults(CLASSES[network]) | ({"layers": 6} if problem == "code" else {}) | defaults(train)
    full["supervision"] = "multi-task" if problem in ("parity", "digits") else "multi-label"
    full |= {name: config[name] for name in full if name in config}
    full["p"] = {"multi-task": number("p", full["p"], 0, 1), "target": 0.0}.get(full["supervision"])
    return full


def build(config):
    """Return the problem and the network that a configuration describes. Raises ValueError."""
    config = complete(config)
    makers = CLASSES[config["problem"]], CLASSES[config["network"]]
    return tuple(make(**{name: config[name] for name in defaults(make)}) for make in makers)


def run_one(config, report=None):
    """Train what a configuration describes: a Run, or the ValueError or MemoryError instead."""
    try:
        full = complete(config)
        settings = {name: full[name] for name in defaults(train) if full[name] is not None}
        return train(*build(full), **settings, report=report and (lambda run: report(config, run)))
    except (ValueError, MemoryError) as error:
        return error


def as_record(config, run):
    """Describe a run as JSON does: its configuration, with its examples as the budget, and what came."""
    results = {"budget": config["examples"], "solved": run.solved_at is not None}
    results |= {name: getattr(run, name) for name in ("solved_at", "examples", "seconds")}
    results |= {"accuracy": run.history[-1]["accuracy"], "history": run.history}
    return {"event": "run"} | config | results


def open_store(path):
    """Open a store, for us alone: its file, and {configuration as JSON: Run}, what it holds.

    A line that a crash cut off is cut away. Raises OSError if the file cannot be had, and ValueError,
    with its number, for a line that is none of ours.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(f"{path} is not a file")
    try:
        file = open(path, "a+b", buffering=0)
        with contextlib.suppress(ImportError):  # no such locks on Windows
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OSError(f"{path} is in use by another sweep") from None
    except OSError as error:
        raise OSError(f"cannot open {path}: {error.strerror}") from None
    file.seek(0)
    runs, start = {}, b'{"event": "run", '
    *lines, torn = file.read().split(b"\n")
    if torn[: len(start)] != start[: len(torn)]:
        lines.append(b"")  # not one of ours that was cut off, and so refused
    for i, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            config = complete({name: record[name] for name in record if name in SETTINGS | {"budget"}})
            results = {name: record[name] for name in ("solved_at", "examples", "seconds", "history")}
            runs[json.dumps(config)] = Run(**results)
        except (ValueError, KeyError, TypeError):
            file.close()
            message = f"{path}: line {i} is not a run of iis.py; nothing was changed"
            raise ValueError(message) from None
    file.truncate(file.tell() - len(torn))
    return file, runs


def append(file, record):
    """Write a line, on disk when this returns, or nothing and raise OSError."""
    line, end = json.dumps(record).encode() + b"\n", file.seek(0, os.SEEK_END)
    try:
        while line:
            line = line[file.write(line) :]
        os.fsync(file.fileno())
    except OSError as error:
        file.truncate(end)
        raise OSError(f"cannot write {file.name}: {error.strerror}") from None


def sweep(configs, executor=None, store=None, report=None, progress=None, jobs=None):
    """Train every configuration, several at a time, and yield (configuration, Run) as each ends.

    executor  any concurrent.futures.Executor, of threads, processes or a cluster; if None, as many
              threads as `jobs` says, one for each core if None: kernels do not hold Python's lock
    store     path of a file of JSON lines, as_record of each run. What it holds already is yielded
              first, without a network, and not run again; what ends is on disk before it is yielded
    report    report(config, run) is called after each evaluation, from the thread that trains, where
              there is no executor
    progress  progress(text) is called with how many runs have ended and how much time is left

    A run that fails is yielded with its exception in place of the Run, and not stored. Once the caller
    stops listening, by an exception or otherwise, runs under way in threads of our own end at their
    next evaluation. Raises OSError if the store cannot be written, and ValueError if it is not ours.
    """
    stopping, todo = threading.Event(), {}

    def watch(config, run):
        if stopping.is_set():
            raise InterruptedError
        if report:
            report(config, run)

    def keep(future):
        unwritten.discard(future)
        ended = future.done() and not future.cancelled() and not future.exception()
        if file and ended and isinstance(future.result(), Run):
            append(file, as_record(complete(futures[future][0]), future.result()))

    file, done = (None, {}) if store is None else open_store(store)
    with file or contextlib.nullcontext():
        for config in configs:
            try:
                todo.setdefault(json.dumps(complete(config)), []).append(config)  # the same once only
            except ValueError as error:
                yield config, error
        total = len(todo)
        for key in [key for key in todo if key in done]:
            yield from ((config, done[key]) for config in todo.pop(key))
        began, pool = time.monotonic(), executor or ThreadPoolExecutor(jobs or os.cpu_count())
        watched = [] if executor else [watch]
        futures = {pool.submit(run_one, same[0], *watched): same for same in todo.values()}
        unwritten = set(futures)
        try:
            for count, future in enumerate(as_completed(futures), 1):
                keep(future)
                same, run = futures.pop(future), future.exception() or future.result()
                if future.exception() and not executor:
                    raise run  # in threads of our own only report can fail so
                if progress:
                    left = (time.monotonic() - began) / count * (len(todo) - count)
                    left = f"{left:.0f} s" if left < 100 else f"{left / 60:.0f} min"
                    progress(f"{total - len(todo) + count} of {total} runs, about {left} left")
                yield from ((config, run) for config in same)
        finally:
            stopping.set()
            for future in futures:
                future.cancel()
            if not executor:
                pool.shutdown()
            for future in [*unwritten]:  # what ended meanwhile is not lost
                keep(future)


def wilson(solved, total):
    """95 % interval for the share of seeds that learn, by those seen (Wilson 1927): (low, high)."""
    z, share = 1.96, solved / total
    spread = z * math.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2)
    ends = share + z**2 / (2 * total) + spread * np.array([-1, 1])
    return tuple(np.clip(ends / (1 + z**2 / total), 0, 1).tolist())


# --------------------------------------------------------------------------------------------------
# 7. The command line


class Screen:
    """What the command prints: progress and, in the end, a table; or JSON, an object a line."""

    def __init__(self, as_json):
        self.as_json, self.in_place = as_json, sys.stdout.isatty() and not as_json
        self.runs, self.lock, self.shown_at, self.ended = {}, threading.Lock(), -math.inf, ""

    def say(self, text, passing=False):
        """Print the text; if it is only passing, in place on a terminal or else now and then."""
        if passing:
            if self.as_json or time.monotonic() - self.shown_at < (0.1 if self.in_place else 2):
                return
            self.shown_at = time.monotonic()
        if self.in_place:
            print(end="\r\033[K")
            text = text[: shutil.get_terminal_size().columns - 1] if passing else text
        print(text, end="" if passing and self.in_place else "\n", flush=True)

    def progress(self, text):
        """Note how many runs have ended."""
        self.ended = text + "; "

    def evaluated(self, config, run, ended=False):
        """Take note of a run after an evaluation or at its end. Called from several threads."""
        with self.lock:
            self.runs[config["network"], config["supervision"], config["seed"]] = config, run
            if self.as_json:
                event = {"event": "eval"} | config | run.history[-1]
                print(json.dumps(as_record(config, run) if ended else event), flush=True)
            elif not ended:
                right = run.history[-1]["accuracy"].items()
                right = ", ".join(f"{task} {100 * share:.1f} %" for task, share in right)
                who = f"{config['network']}, {config['supervision']}, seed {config['seed']}"
                text = f"{self.ended}{who}: {right} right after {run.examples:,} examples"
                self.say(text, passing=True)

    def table(self):
        """Say who learned what, a line for each network and supervision, over the seeds."""
        groups, rows = {}, []
        for (network, supervision, _), (config, run) in self.runs.items():
            key = supervision == "target", network, supervision, config["p"]
            groups.setdefault(key, []).append(run)
        many = any(len(runs) > 1 for runs in groups.values())
        for (_, network, supervision, p), runs in sorted(groups.items()):
            tasks = list(runs[0].history[-1]["accuracy"])
            share = 100 * (p or 0) * (len(tasks) > 1)
            helper = tasks[0] if len(tasks) == 2 else "a helper"
            asks = {
                "target": f"{tasks[-1]} only (control)",
                "multi-task": f"{100 - share:g} % {tasks[-1]}"
                + f", {share:g} % {helper}" * bool(share),
                "multi-label": "all of them",
                "explicit": "all of them, in turn",
            }
            accuracies = [run.history[-1]["accuracy"] for run in runs]
            right = [f"{100 * np.median([a[task] for a in accuracies]):.1f} %" for task in tasks]
            if p == 0:
                right[:-1] = ["not asked"] * len(tasks[:-1])
            solved = [run.solved_at for run in runs if run.solved_at]
            learned = "yes" if solved else "no"
            seen = [run.solved_at or run.examples for run in runs]
            examples = f"{np.median(seen):,.0f}"
            if many:
                low, high = wilson(len(solved), len(runs))
                learned = f"{len(solved)} of {len(runs)} ({100 * low:.0f}-{100 * high:.0f} %)"
                low, high = np.quantile(seen, (0.25, 0.75))
                examples += f" ({low:,.0f}-{high:,.0f})"
            seconds = f"{np.median([run.seconds for run in runs]):.2f} s"
            rows.append((network, asks[supervision], *right, learned, examples, seconds))
        rows.insert(0, ("network", "what the data asks", *tasks, "learned", "examples", "time"))
        widths = [max(map(len, column)) for column in zip(*rows)]
        aligns = "<<" + ">" * (len(widths) - 2)
        for row in rows:
            cells = (f"{cell:{align}{width}}" for cell, align, width in zip(row, aligns, widths))
            yield "  ".join(cells)
        yield "\nLearned: 99 % right or more on 10,000 fresh examples. Examples: seen until then, else in all."
        if many:
            yield "Medians over seeds; in brackets the share of seeds that learn (95 % interval), and quartiles."


def parse(argv):
    """Read the command line; what is wrong with it is said in one line, exit 2."""
    parser = argparse.ArgumentParser(
        "iis.py",
        description="Train networks on a hard question, with and without an easier one in the data.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=17, width=96),
        allow_abbrev=False,
    )
    parser.error = lambda message: parser.exit(2, f"iis.py: {message}\n")
    choices = {
        "problem": ("parity", NETWORKS, "what is asked"),
        "network": ("all", ("bilinear", "mlp", "transformer", "all"), "who learns, all: who can"),
        "supervision": (None, SUPERVISIONS, "labels in the data"),
    }
    for name, (default, names, text) in choices.items():
        text += f": {', '.join(names)} ({default or 'lego, code: multi-label, else multi-task'})"
        parser.add_argument(f"--{name}", default=default, choices=names, metavar="X", help=text)
    numbers = {  # bounds, what it is, and its default, if not for iis.train or the network to say
        "p": ((0, 1), "multi-task: share of the examples that ask a helper question (0.2)"),
        "n": ((1, 1_000_000), "bits of an example (50), or pictures of digits (16)"),
        "k": ((1, 1_000_000), "hidden bits (5), variables of lego (6), lines of code (4)"),
        "distractors": ((0, 1_000_000), "parity, mlp: so many more helpers, sums of other bits (0)"),
        "modulus": ((2, 100), "code: what it computes modulo (5)"),
        "width": ((1, 1_000_000), "hidden units of the mlp (128), width of the transformer (32)"),
        "layers": ((1, 1_000), "layers of the transformer (lego 3, code 6)"),
        "heads": ((1, 1_000), "attention heads of each layer (2)"),
        "batch": ((1,), "examples per training step (64)"),
        "examples": ((1,), "give up after so many (1000000); the control sees as many as its run did"),
        "lr": ((0,), "learning rate (bilinear 0.02, else 0.002)"),
        "seed": ((0,), "decides the hidden bits, the starting weights and the examples (0)", 0),
        "seeds": ((1, 100_000), "repeat with so many seeds, counted up from --seed (1)", 1),
        "show": ((0, 10_000), "print so many examples and what was answered, without --json (0)", 0),
        "jobs": ((1, 1_000), "so many runs at a time (one for each core)"),
    }
    for name, (_, text, *default) in numbers.items():
        parser.add_argument(f"--{name}", default=(*default, None)[0], metavar="X", help=text)
    parser.add_argument("--store", metavar="FILE", help="keep finished runs there; do those missing")
    parser.add_argument("--json", action="store_true", help="print JSON objects only, one a line")
    args = parser.parse_args(argv)
    for name, (bounds, *_) in numbers.items():
        value = text = getattr(args, name)
        for kind in (float, int):  # what is neither, number() complains about
            with contextlib.suppress(ValueError, TypeError):
                value = kind(text)
        if value is not None:
            try:
                value = number(name, value, *bounds, whole=name not in ("p", "lr"))
            except ValueError as error:
                parser.error(error)
        setattr(args, name, value)
    return args


def command(args, screen):
    """Train with the chosen supervision, then the control on as many examples.

    Returns what went wrong, a line for each run that failed.
    """
    settings = {name: value for name, value in vars(args).items() if name in SETTINGS}
    networks = NETWORKS[args.problem] if args.network == "all" else [args.network]
    if args.problem == "parity" and args.distractors and args.network == "all":
        networks = ["mlp"]
    seeds = range(args.seed, args.seed + args.seeds)
    configs = [complete(settings | {"network": n, "seed": seed}) for seed in seeds for n in networks]
    problem, _ = build(configs[0])
    screen.say("Preparing; the very first time this compiles for some seconds ...", passing=True)
    for _, run in sweep([c | {"examples": 1} for c in configs if c["seed"] == args.seed]):
        if isinstance(run, Exception) and not isinstance(run, Diverged):
            raise run
    sample = getattr(problem, "sample_held_out", problem.sample)
    inputs, labels = sample(np.random.default_rng(args.seed), max(1, args.show))
    words = ("-1", "+1") if args.problem == "lego" else range(max(problem.classes))
    failures, answers = [], {}

    def show(said):  # {who says so: the answers to all inputs}
        for i, example in enumerate(inputs):
            lines = problem.show(example).split("\n")
            if args.problem == "parity" and problem.n <= 75:
                lines.append("".join(" ^"[i in problem.support] for i in range(problem.n)).rstrip())
            for who, labels in said.items():
                pairs = zip(problem.tasks, labels[i])
                lines.append(who + ", ".join(f"{task} = {words[label]}" for task, label in pairs))
            screen.say("\n    " + "\n    ".join(lines))
        screen.say("")

    def train_all(configs):  # returns the controls
        controls, screen.ended = [], ""
        runs = sweep(configs, None, args.store, screen.evaluated, screen.progress, args.jobs)
        with contextlib.closing(runs):
            for config, run in runs:
                if isinstance(run, Exception):
                    failures.append(f"{config['network']}, seed {config['seed']}: {run}")
                    screen.runs.pop((config["network"], config["supervision"], config["seed"]), None)
                    continue
                screen.evaluated(config, run, ended=True)
                if config["seed"] == args.seed and run.network:
                    who = f"{config['network']} {config['supervision']}: "
                    answers[who] = run.network.predict(inputs)
                controls.append(complete(config | {"supervision": "target", "examples": run.examples}))
        return controls

    if not args.json:
        screen.say(problem.about + " For example:")
        show({"": labels})
    controls = train_all(configs)
    if configs[0]["supervision"] != "target":
        train_all(controls)
    if args.show and not args.json:
        screen.say("What was answered:" if answers else "What was answered, the store does not know.\n")
        if answers:
            show({"truth: ": labels} | dict(sorted(answers.items())))
    return failures


def main(argv=None):
    """Run the command line; return the exit status."""
    args = parse(argv)
    screen, status, complaints = Screen(args.json), 0, []
    try:
        try:
            complaints = command(args, screen)
            status = 1 if complaints else 0
        except KeyboardInterrupt:
            status, complaints = 130, ["interrupted: runs under way count as they stood"]
        except BrokenPipeError:
            raise
        except (ValueError, OSError) as error:
            status, complaints = 2, [error]
        except MemoryError:
            status, complaints = 2, ["not enough memory for such sizes"]
        if screen.in_place:
            print(end="\r\033[K")
        if screen.runs and (status == 130 or not args.json):
            table = "\n".join(screen.table())
            print(table, file=sys.stderr if args.json else sys.stdout, flush=True)
        for complaint in complaints:
            print(f"iis.py: {complaint}", file=sys.stderr)
    except BrokenPipeError:  # whoever reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


if __name__ == "__main__":
    sys.exit(main())
