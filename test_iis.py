"""Tests of iis.py, part by part in its order, then of plots.py. Run with: python -m pytest -q"""

import ast
import contextlib
import copy
import functools
import io
import itertools
import json
import multiprocessing
import os
import pickle
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import tokenize
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import iis

HERE = Path(__file__).parent
BRIEF = ["--network", "bilinear", "--n", "10", "--k", "2"]  # learned at once


# What several tests use
def every_input(n):
    """All 2ⁿ inputs of n bits."""
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(np.uint8)


def some_labels(problem):
    """Inputs, and labels of which about half are missing: some examples carry none at all."""
    rng = np.random.default_rng(1)
    inputs, labels = problem.sample(rng, 40)
    return inputs, np.where(rng.random(labels.shape) < 0.5, labels.astype(int), -1)


def started(network, problem, dtype=np.float64):
    """The network at a random point, since at Bilinear's start most gradients are 0."""
    rng = np.random.default_rng(2)
    network.init(problem, rng, dtype)
    for array in network.params.values():
        array += 0.3 * rng.standard_normal(array.shape)
    return network


def flat(arrays):
    """All gradients, or params, in one vector."""
    return np.hstack([array.ravel() for array in arrays.values()])


def cost(logits, labels):
    """The summed cross-entropies of the examples that carry a label."""
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -sum(logs[i, label] for i, label in enumerate(labels) if label >= 0)


def runs_of(make, seeds, n=50, k=5, **settings):
    """Arguments of train: a run for each seed."""
    return [{"problem": iis.ParitySum(n, k, seed), "network": make(), "seed": seed} | settings
            for seed in range(seeds)]


def train_all(runs):
    """Train several at a time; return the Runs in the order of their settings."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda settings: iis.train(**settings), runs))


def solved_at(runs):
    """After how many examples each of the runs is solved."""
    return [run.solved_at for run in train_all(runs)]


def check_learned(problem, network, supervision, **settings):
    """Assert that training solves the problem, and the network answers fresh examples too."""
    run = iis.train(problem, network, supervision, **settings)
    inputs, labels = problem.sample(np.random.default_rng(5), 2_000)
    right = (run.network.predict(inputs) == labels).mean(axis=0)
    right = right[-1] if supervision in ("target", "curriculum") else right.min()
    assert run.solved_at and right >= 0.98


def history(run):
    """What a run came to, evaluation by evaluation, but for the time it took."""
    return [record | {"seconds": 0} for record in run.history]


def begun(*options, file="iis.py", **settings):
    """A process that runs a file with options."""
    usual = {"cwd": HERE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, file, *map(str, options)], **usual | settings)


def command(*options, **settings):
    """The same, when it has ended."""
    process = begun(*options, **settings)
    out, err = process.communicate()
    return subprocess.CompletedProcess(options, process.returncode, out, err)


def python(code, **environment):
    """What Python prints when it runs the code in a process of its own."""
    done = command(code, file="-c", env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def main(capsys, *options):
    """The same in this process, which is faster."""
    try:
        status = iis.main([str(option) for option in options])
    except SystemExit as stopped:
        status = stopped.code
    printed = capsys.readouterr()
    return subprocess.CompletedProcess(options, status, printed.out, printed.err)


def complaints(err):
    """The lines on standard error, but for the word that something is compiled."""
    return [line for line in err.splitlines() if not line.startswith("iis.py: compiling ")]


def table_of(text):
    """The rows of the table that a command prints, each by its headings."""
    lines = text[text.index("\nnetwork ") + 1 :].split("\n\n")[0].splitlines()
    headings, *rows = [re.split("  +", line) for line in lines]
    return [dict(zip(headings, row)) for row in rows]


def stored(path):
    """What a store holds: {call of train: record}."""
    with contextlib.closing(sqlite3.connect(path)) as store:
        return dict(store.execute("SELECT run, record FROM runs"))


# Problems and networks of one's own
class Own:
    """A problem of one's own, with class attributes only: two sums of three bits; one's parity."""
    tasks, classes = ("sum", "other", "parity"), (4, 4, 2)

    def sample(self, rng, size):
        bits = rng.integers(0, 2, (size, 12), dtype=np.uint8)
        sums, others = bits[:, :3].sum(axis=1), bits[:, 3:6].sum(axis=1)  # as NumPy sums: unsigned
        return bits, np.stack([sums, others, sums % 2], axis=1)


class Tanh(iis.Network):
    """A network of one's own, the third exercise: tanh in place of the hinge."""
    name, width = "tanh", 128
    init, predict = iis.NumpyMLP.init, iis.NumpyMLP.predict

    def forward(self, inputs):
        W, b, V, c = self.params.values()
        x = 2 * inputs.astype(W.dtype) - 1
        hidden = np.tanh(x @ W + b)
        return x, hidden, hidden @ V.T + c

    def loss_and_gradients(self, inputs, labels):
        x, hidden, logits = self.forward(inputs)
        loss, dlogits = iis.cross_entropy(logits, labels, self.classes)
        dz = dlogits @ self.params["V"] * (1 - hidden**2)  # tanh' = 1 - tanh²
        gradients = {"W": x.T @ dz, "b": dz.sum(axis=0)}
        return loss, gradients | {"V": dlogits.T @ hidden, "c": dlogits.sum(axis=0)}


def odd(kind, **changed):  # an object of a class that differs, and is in no file
    return type("Odd", (kind,), changed)()


PARITY = iis.ParitySum(9, 2)
OWN = [(Own(), iis.NumpyMLP()), (Own(), iis.MLP()), (Own(), Tanh()), (iis.ParitySum(12, 3), Tanh())]
NETWORKS = [iis.NumpyMLP(9), iis.MLP(7), iis.Bilinear(), iis.Transformer(8, 2, 4, causal=True),
            iis.Explicit(iis.MLP(7))]


# The files
SOURCE = (HERE / "iis.py").read_text()


def test_part_1_alone_learns_parity_where_there_is_no_numba(tmp_path):
    (tmp_path / "numba.py").write_text("raise ImportError('there is no Numba here')")
    part_1, _ = re.split(r"(?m)^# 2\. ", SOURCE)
    (tmp_path / "idea.py").write_text(part_1 + """
problem = ParitySum(n=50, k=5)
run = train(problem, NumpyMLP(), p=0.2)
control = train(problem, NumpyMLP(), "target", examples=run.examples)
print(run.solved_at, control.solved_at, control.history[-1]["accuracy"]["parity"])
""")
    done = command(file="idea.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run, control, accuracy = done.stdout.split()
    assert int(run) < 300_000 and control == "None" and 0.48 <= float(accuracy) <= 0.52


MARKS = {"iis.py": (18_280, 2_190), "plots.py": (12_300, 1_230), "test_iis.py": (19_870, 1_880)}


@pytest.mark.parametrize("name", MARKS)
def test_the_files_are_short(name):
    text, (tokens, lines) = (HERE / name).read_text(), MARKS[name]
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    kinds = [token.type for token in tokenize.generate_tokens(io.StringIO(text).readline)]
    if sys.version_info < (3, 12):  # later f-strings are several tokens
        assert sum(kind not in layout for kind in kinds) - 1 <= tokens
    assert text.count("\n") <= lines and max(map(len, text.splitlines())) <= 100


def test_the_idea_fits_a_projector():
    functions = {node.name: node for node in ast.walk(ast.parse(SOURCE))
                 if isinstance(node, ast.FunctionDef)}
    lines = SOURCE.splitlines()[: functions["train"].end_lineno]
    assert len(lines) <= 255 and max(map(len, lines)) <= 88
    for name, node in functions.items():
        if node.end_lineno <= len(lines):
            words = node.body[0] if ast.get_docstring(node) else None
            told = words.end_lineno - words.lineno + 1 if words else 0
            assert node.end_lineno - node.lineno + 1 - told <= 30, name


def test_what_is_public_stands_in_the_file_in_this_order():
    places = [re.search(rf"(?m)^(class |def )?{name}\b", SOURCE).start() for name in iis.__all__]
    assert places == sorted(places) and all(getattr(iis, name).__doc__ for name in iis.__all__)


# 1. The idea
@pytest.mark.parametrize("n", [5, 8, 50, 65, 1000])
def test_bits_are_uniform_and_labels_equal_a_recount_from_those_that_the_seed_draws(n):
    problem = iis.ParitySum(n, k=5, seed=n)
    inputs, labels = problem.sample(np.random.default_rng(0), 10_000)
    assert inputs.dtype == np.uint8 and inputs.shape == (10_000, n) and labels.dtype == np.int64
    assert abs(inputs.mean(axis=0) - 0.5).max() < 0.025  # five standard deviations
    assert problem.tasks == ("sum", "parity") and problem.classes == (6, 2)
    assert problem.support.shape == (5,) and sorted({*problem.support}) == [*problem.support]
    for example, (total, parity) in zip(inputs[:200].tolist(), labels):
        assert total == sum(example[i] for i in problem.support) and parity == total % 2
        assert problem.show(example) == "".join(map(str, example)) and set(example) <= {0, 1}
    assert len({tuple(iis.ParitySum(50, 5, seed).support) for seed in range(20)}) == 20


def test_supervision_shows_the_labels_it_says():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 9, (10_000, 3), np.uint8)  # which has no -1
    for supervision, p in itertools.product(iis.SUPERVISIONS, (0, 0.3, 1)):
        shown = iis.supervise(labels, rng, supervision, p)
        assert shown.dtype == np.int64 and ((shown == labels) | (shown == -1)).all()
        everything = supervision in ("multi-label", "explicit")
        helper = 0 if supervision == "target" else p / 2
        share = [1, 1, 1] if everything else [helper, helper, 1 - 2 * helper]
        assert ((shown >= 0).sum(axis=1) == sum(share)).all()
        assert np.allclose((shown >= 0).mean(axis=0), share, atol=0.02)  # four deviations
        target = labels[:, 2:]  # without helpers
        assert (iis.supervise(target, rng, supervision, p) == target).all()
    with pytest.raises(KeyError, match="osmosis"):
        iis.supervise(labels, rng, "osmosis")


def test_the_loss_is_the_mean_over_examples_of_the_summed_cross_entropies_of_any_scores():
    rng, classes = np.random.default_rng(0), (6, 2, 3)
    logits, labels = 9 * rng.standard_normal((40, 11)), rng.integers(-1, classes, (40, 3))
    loss, dlogits = iis.cross_entropy(logits, labels, classes)
    heads = np.split(logits, [6, 8], axis=1)
    assert np.isclose(loss, sum(map(cost, heads, labels.T)) / 40, rtol=1e-12)
    for more in (1e4, -1e4):  # added to all scores of a task: nothing changes
        moved = logits + np.repeat([0, more, 0], classes)
        assert np.isclose(iis.cross_entropy(moved, labels, classes)[0], loss, rtol=1e-9)
    for part, label in zip(np.split(dlogits, [6, 8], axis=1), labels.T):
        assert np.allclose(part.sum(axis=1), 0) and not part[label < 0].any()


@pytest.mark.parametrize("supervision", iis.SUPERVISIONS)
def test_problems_and_networks_of_ones_own_are_trained_under_every_supervision(supervision):
    settings = {"p": 0.5, "examples": 60_000, "stop_when_solved": False}  # helpers can be slower
    for problem, network in OWN:
        check_learned(problem, network, supervision, **settings)


def test_what_lacks_something_gets_pythons_own_error_that_names_it():
    lacking = {
        "tasks": (object(), Tanh()), "classes": (odd(object, tasks=["a"]), Tanh()),
        "init": (Own(), odd(iis.Network)), "n": (Own(), odd(Tanh, init=lambda self, x, *_: x.n)),
        "predict": (Own(), odd(iis.Network, init=Tanh.init, width=8))}
    for name, (problem, network) in lacking.items():
        for supervision in ("multi-task", "explicit"):
            with pytest.raises(AttributeError, match=f"object has no attribute '{name}'"):
                iis.train(problem, network, supervision)


class Knows(iis.Network):
    """Answers a problem whose inputs are its labels: each task right once it has seen enough."""
    def __init__(self, *enough):
        self.enough, self.seen, self.sizes = enough, 0, []

    def init(self, problem, rng, dtype):
        self.params = {}

    def descend(self, inputs, labels, batch, lr=None):
        self.told, self.seen = labels, self.seen + len(inputs)
        return 0.5 * len(inputs)

    def predict(self, inputs):
        answers = np.where(self.seen >= np.array(self.enough), inputs, 9)
        self.sizes.append(len(inputs))
        inputs[:] = 9  # they are its own
        return answers


class Labels:
    """A problem whose inputs are its labels."""
    tasks, classes = ("a", "b", "c"), [2, 2, 2]

    def sample(self, rng, size):
        bits = rng.integers(0, 2, (size, 3))
        return bits, bits.copy()


def test_runs_are_tested_at_their_moments_on_few_or_on_all_and_a_curriculum_waits_for_all_helpers():
    network, asked = Knows(10_000, 40_000, 150_000), []
    run = iis.train(Labels(), network, "curriculum", examples=200_000, stop_when_solved=False,
                    batch=100, report=lambda _: asked.append((network.told >= 0).any(axis=0)))
    examples = [record["examples"] for record in run.history]
    assert examples[:16] == [*range(6_400, 102_401, 6_400)] and examples[-1] == 200_000
    assert examples[16:19] == [108_800, 115_600, 122_900]  # a 16th, in whole batches
    for record, tasks in zip(run.history, asked):
        assert tasks.tolist() == ([0, 0, 1] if record["examples"] > 44_800 else [1, 1, 0])
    assert run.solved_at == next(count for count in examples if count >= 150_000)
    assert network.sizes.count(10_000) == 2 and network.sizes[-1] == 10_000  # solved; the end
    assert run.history[-1]["accuracy"] == {"a": 1, "b": 1, "c": 1} and run.history[0]["loss"] == 0.5
    assert set(network.sizes[1:]) == {2_000, 10_000}
    run = iis.train(Labels(), Knows(0, 0, 10**9), examples=2_000_000, every=1_000)
    assert [record["examples"] for record in run.history][:3] == [1_024, 2_048, 3_072]
    run = iis.train(Labels(), Knows(0, 0, 10**9), examples=3_000_000)
    examples = np.diff([record["examples"] for record in run.history])
    assert examples.max() == 64_000 and not (examples % 64).any()


def test_the_same_seed_gives_the_same_history_in_another_process(tmp_path):
    code = """
import iis, json
parity = iis.ParitySum(seed=3)
networks = iis.NumpyMLP(), iis.MLP(), iis.Bilinear(), iis.Transformer()
for problem, network in zip((parity, parity, parity, iis.Code(3)), networks):
    run = iis.train(problem, network, seed=3, examples=50_000 if problem is parity else 7_000)
    print(json.dumps([record | {"seconds": 0} for record in run.history]))
"""
    compiled, kept = [python(code, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    assert compiled == kept
    other = iis.train(iis.ParitySum(seed=3), iis.NumpyMLP(), seed=4, examples=6400)
    assert other.history[0]["loss"] != json.loads(compiled.splitlines()[0])[0]["loss"]


# 2. The same, fast
@pytest.mark.parametrize("problem, width, size", [
    (iis.ParitySum(), 128, 64), (iis.ParitySum(1, 1), 1, 1), (iis.ParitySum(4, 2), 3, 3),
    (iis.ParitySum(131, 2), 33, 70), (iis.ParitySum(130, 9), 200, 130), (Own(), 65, 7)])
def test_the_compiled_mlp_equals_the_plain_one(problem, width, size):
    both = plain, compiled = iis.NumpyMLP(width), iis.MLP(width)
    for network in both:
        network.init(problem, np.random.default_rng(0), np.float64)
    rng = np.random.default_rng(1)
    for _ in range(50):
        inputs, labels = problem.sample(rng, size)
        labels = np.where(rng.random(labels.shape) < 0.7, labels.astype(int), -1)
        totals = [network.descend(inputs, labels, size) for network in both]
        assert np.isclose(*totals, rtol=1e-9)
    assert np.allclose(flat(plain.params), flat(compiled.params), rtol=0, atol=1e-9)
    inputs, _ = problem.sample(rng, 1_200)
    assert (plain.predict(inputs) == compiled.predict(inputs)).all()


def test_products_with_signs_and_adams_step_equal_plain_numpy_for_random_shapes_and_numbers():
    rng, network = np.random.default_rng(0), Tanh()
    for rows, inner, width in rng.integers(1, 150, (60, 3)):
        bits, M = rng.integers(0, 2, (rows, inner)), rng.standard_normal((inner, width))
        out, sums = np.ones((rows, width)), np.zeros((4, 16, 64))
        iis.product(iis.pack(bits.astype(np.uint8)), M, out, sums)
        assert np.allclose(out, (2 * bits - 1) @ M, rtol=0, atol=1e-12)
    network.params = {"w": rng.standard_normal(33)}
    weights, mean, square = network.params["w"].copy(), np.zeros(33), np.zeros(33)
    for step, size in enumerate(10.0 ** rng.uniform(-6, 3, 50), 1):
        gradient = size * rng.standard_normal(33)
        network.adam({"w": gradient}, 0.01)
        iis.adam_kernel(weights, gradient, mean, square, step, 0.01)
        assert np.allclose(weights, network.params["w"], rtol=0, atol=1e-12)


def test_bilinears_kernel_follows_its_gradients_and_its_sums_are_from_0_to_k():
    problem, network = iis.ParitySum(20, 6), iis.Bilinear()
    inputs, labels = some_labels(problem)
    loss, gradients = started(network, problem).loss_and_gradients(inputs, labels)
    before = copy.deepcopy(network.params)
    assert np.isclose(network.descend(inputs, labels, 40, 0.1), 40 * loss)
    assert network.rates(400, 6, 64) == pytest.approx((0.02 * 1.5 * 64 / 400, 5 * (5 / 6) ** 3))
    for name, gradient in gradients.items():
        rate = 0.1 if name == "W" else 0.1 * network.rates(20, 6, 40)[1]
        assert np.allclose(network.params[name], before[name] - rate * gradient, rtol=0, atol=1e-12)
    for more, answer in ((99, 6), (-999, 0)):
        network.params["W"][:, -1] += more
        assert {*network.predict(inputs)[:, 0]} == {answer}


def test_networks_start_at_the_scale_that_is_told():
    mlp, transformer = iis.NumpyMLP(400), iis.Transformer(64, 1)
    mlp.init(iis.ParitySum(100, 5), np.random.default_rng(0))
    transformer.init(iis.Lego(), np.random.default_rng(0))
    for name, scale in (("W", 1 / 10), ("V", 1 / 20)):
        span = abs(mlp.params[name]).max(), 3**0.5 * mlp.params[name].std()  # uniform
        assert span == pytest.approx((scale, scale), rel=0.03)
    for name, scale in (("E", 3**-0.5), ("A0", 1 / 16), ("D0", 1 / (2 * 128**0.5))):
        assert transformer.params[name].std() == pytest.approx(scale, rel=0.05)
    normed, _ = iis.norm_forward(np.full((4, 1), 0.01), np.ones(4))
    assert np.allclose(normed, 0.01 / (1e-4 + 1e-5) ** 0.5)


def test_bilinear_learns_the_sum_alone_from_the_start_and_is_right_once_w_reads_it():
    problem, network, inputs = iis.ParitySum(n=12, k=5), iis.Bilinear(), every_input(12)
    network.init(problem, np.random.default_rng(0), np.float64)
    assert network.params["W"].shape == (5, 13)  # k x (n + 1)
    labels = problem.label(inputs)
    _, gradients = network.loss_and_gradients(inputs, np.where([False, True], labels, -1))
    assert abs(flat(gradients)).max() <= 1e-12
    _, gradients = network.loss_and_gradients(inputs, np.where([True, False], labels, -1))
    assert abs(gradients["W"]).max() > 0.1
    network.params["W"][:, problem.support] = 0.5  # now P_j = sum - j
    network.params["v"][:] = [2, -4, 4, -4, 4]  # f goes -1, 1, -1, 1, -1, 1 as the sum goes 0 ... 5
    network.params["c"][:] = -1
    assert (network.predict(inputs) == labels).all()
    assert network.loss_and_gradients(inputs, labels)[0] < 1e-24


@pytest.mark.parametrize("network", [iis.NumpyMLP(8), iis.MLP(8), iis.Bilinear()], ids=repr)
def test_inputs_and_labels_may_be_any_integers_and_lie_anywhere(network):
    problem = iis.ParitySum(50, 3)
    started(network, problem)
    inputs, labels = problem.sample(np.random.default_rng(0), 30)
    assert (network.predict(inputs[::2].tolist()) == network.predict(inputs)[::2]).all()
    loss, _ = network.loss_and_gradients(inputs, labels)
    for x, y in ((inputs.astype(np.int8), labels.astype(np.uint16)),
                 (np.asfortranarray(inputs) > 0, labels[::-1][::-1])):
        assert network.loss_and_gradients(x, y)[0] == loss
    network.descend(x, y, 10, 0.01)
    assert network.loss_and_gradients(inputs, labels)[0] < loss
    network.params["W"][:] = 0  # to change params in place is to change the network
    assert np.ptp(network.predict(inputs), axis=0).tolist() == [0, 0]


def test_plain_python_runs_the_same_lines():
    code = """
import iis, numpy
problem, rng = iis.ParitySum(9, 3), numpy.random.default_rng(0)
networks = (iis.Bilinear(), problem), (iis.MLP(4), problem), (iis.Transformer(4, 1, 2), iis.Lego(2))
for network, problem in networks:
    network.init(problem, rng, numpy.float64)
    inputs, labels = problem.sample(rng, 20)
    for _ in range(3):
        print(round(network.descend(inputs, labels, 8, 0.1), 9), network.predict(inputs).sum())
"""
    compiled, interpreted = [python(code, NUMBA_DISABLE_JIT=disable) for disable in "01"]
    assert compiled == interpreted and len(compiled.split()) == 18


def test_kernels_compile_where_no_folder_can_keep_them(monkeypatch, capsys):
    def without_a_folder(function):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(iis, "Cache", without_a_folder)
    iis.once.cache_clear()
    assert [iis.kernel(lambda x: x + 1)(1) for _ in range(2)] == [2, 2]
    words = "iis.py: compiled code cannot be kept: no folder for it can be written to\n"
    assert capsys.readouterr().err == words


@pytest.mark.parametrize("make", [iis.MLP, iis.Bilinear])
def test_the_mixture_is_learned_on_every_seed_and_parity_alone_on_none(make):
    mixtures = train_all(runs_of(make, 10, p=0.2))
    controls = runs_of(make, 10, supervision="target")
    controls = train_all(c | {"examples": m.examples} for c, m in zip(controls, mixtures))
    for mixture, control in zip(mixtures, controls):
        assert mixture.solved_at == mixture.examples == control.examples
        assert mixture.history[-1]["accuracy"]["parity"] >= 0.99
        assert control.solved_at is None
        assert 0.48 <= control.history[-1]["accuracy"]["parity"] <= 0.52


def test_the_more_a_network_is_told_the_sooner_it_learns():
    *telling, alone = [solved_at(runs_of(iis.MLP, 10, supervision=kind, examples=200_000))
                       for kind in ("explicit", "multi-label", "multi-task", "target")]
    assert all(a < b < c for a, b, c in zip(*telling))
    assert not any(alone)  # later it does learn: see the README


def test_the_mlp_learns_at_every_share_and_both_from_many_bits_and_bilinear_never_diverges():
    runs = [settings for p in (0.01, 0.1, 0.5, 0.9) for settings in runs_of(iis.MLP, 2, p=p)]
    # where one example in a hundred asks for parity, the default million is not enough
    runs += runs_of(iis.MLP, 1, p=0.99, examples=3_000_000) + runs_of(iis.MLP, 1, n=128)
    runs += runs_of(iis.Bilinear, 2, n=128) + runs_of(iis.Bilinear, 1, n=400)
    assert None not in solved_at(runs + runs_of(iis.Bilinear, 2, supervision="multi-label"))
    for n, k, batch in ((50, 5, 1), (50, 30, 64), (5000, 5, 64)):
        iis.train(iis.ParitySum(n, k), iis.Bilinear(), examples=20_000, batch=batch)


# 3. Further problems
@pytest.mark.parametrize("k, others", [(1, 0), (2, 3), (5, 3), (6, 1), (4, 8), (26, 0), (20, 6)])
def test_a_lego_sentence_tells_the_labels_to_who_reads_it(k, others):
    problem = iis.Lego(k, others)
    inputs, labels = problem.sample(np.random.default_rng(0), 1000)
    assert problem.tasks == tuple(f"hop {t + 1}" for t in range(k)) and problem.classes == (2,) * k
    assert inputs.shape == (1000, k + others, 3)
    assert (inputs < problem.fields).all() and inputs.min() == 0
    for example, answers, places in zip(inputs, labels, problem.places(inputs)):
        clauses = [clause.split(" = ") for clause in problem.show(example).split("; ")]
        told = dict(clauses)

        def chain(name):  # the variables from the constant on to this one
            return [] if name == "1" else [*chain(told[name][1:]), name]
        [asked] = [chain(name) for name in told if len(chain(name)) == k]
        value = 1
        for name, answer, place in zip(asked, answers, places):
            value *= int(told[name][0] + "1")
            assert value == 2 * answer - 1 and clauses[place][0] == name
        assert len(clauses) == len(told) == k + others
    assert abs(labels.mean(axis=0) - 0.5).max() < 0.08  # five standard deviations


@pytest.mark.parametrize("k, others", [(5, 0), (5, 3), (4, 2), (6, 4)])
def test_only_without_others_a_product_of_signs_tells_the_last_value(k, others):
    problem = iis.Lego(k, others)
    inputs, labels = problem.sample(np.random.default_rng(0), 4_000)
    names, signs, sources = inputs[:, :, 0], 2 * inputs[:, :, 1] - 1, inputs[:, :, 2]
    is_source = (names[:, :, None] == sources[:, None, :]).any(axis=2)
    own = signs[np.arange(4_000), problem.places(inputs)[:, -1]]
    of_all, of_sources = signs.prod(axis=1), np.where(is_source, signs, 1).prod(axis=1) * own
    for product in (of_all, of_sources):
        right = (product == 2 * labels[:, -1] - 1).mean()
        assert right == 1 if others == 0 else abs(right - 0.5) < 0.04  # five standard deviations


@pytest.mark.parametrize("k, modulus", [(1, 2), (4, 5), (8, 3), (26, 100)])
def test_executing_a_program_gives_the_labels(k, modulus):
    problem = iis.Code(k, modulus)
    inputs, labels = problem.sample(np.random.default_rng(0), 1000)
    for example, answers in zip(inputs, labels):
        variables, program = {}, problem.show(example).split("\n")
        for line, answer in zip(program, answers):
            exec(line, {}, variables)
            assert variables[line[0]] == answer
        assert len(program) == k == len(answers)
    assert not re.search(r"\(0 \*|\* 0\)", " ".join(map(problem.show, inputs)))  # no giveaway
    assert (problem.places(inputs) == np.arange(k)).all()
    assert set(labels.ravel()) == set(range(modulus))


@pytest.mark.parametrize("problem, network", [
    (Own(), Tanh()), (iis.Lego(4, 2), iis.Transformer(4, 1, 1)),
    (iis.Code(4, 3), iis.Transformer(4, 1, 1))])
def test_each_pass_reads_the_answers_before_it_and_answers_one_task(problem, network):
    explicit, rng, tasks = iis.Explicit(network), np.random.default_rng(0), len(problem.tasks)
    explicit.init(problem, rng)
    inputs, labels = problem.sample(rng, 50)
    rows, asked = explicit.passes(inputs, labels)
    plain, truth = [np.repeat(array, tasks, axis=0) for array in (inputs, labels.astype(int))]
    task, now = np.arange(tasks), np.tile(np.arange(tasks), 50)[:, None]  # in each row: one
    read = np.where(task < now, truth, -1)
    assert (asked == np.where(task == now, truth, -1)).all() and rows.dtype == inputs.dtype
    if inputs.ndim == 2:  # a bit for each answer of the two helpers
        written = [read[:, [helper]] == np.arange(4) for helper in (0, 1)]
        assert (rows == np.hstack([plain, *written])).all()
    else:
        written = np.take_along_axis(rows[:, :, -1], problem.places(plain), axis=1)
        assert (written == read + 1).all() and (rows[:, :, :-1] == plain).all()
        assert np.count_nonzero(rows[:, :, -1]) == np.count_nonzero(written)


def test_an_explicit_network_is_taught_with_true_answers_and_reads_its_own():
    problem, network = PARITY, started(iis.Explicit(iis.MLP(6)), PARITY)
    W, b, V, c = network.params.values()
    inputs, labels = problem.sample(np.random.default_rng(0), 60)

    def logits(sums):
        written = np.eye(4)[sums, :3]  # 3 stands for none
        return np.maximum((2 * np.hstack([inputs, written]) - 1) @ W + b, 0) @ V.T + c

    first = logits(np.full(60, 3))[:, :3]
    own = first.argmax(axis=1)
    expected = np.stack([own, logits(own)[:, 3:].argmax(axis=1)], axis=1)
    assert (network.predict(inputs) == expected).all() and (own != labels[:, 0]).any()
    expected = cost(first, labels[:, 0]) + cost(logits(labels[:, 0])[:, 3:], labels[:, 1])
    assert np.isclose(network.loss_and_gradients(inputs, labels)[0], expected / 60, rtol=1e-12)
    assert np.isclose(network.descend(inputs, labels, 60), expected, rtol=1e-12)
    network.params = {"passes": "through"}
    assert network.network.params == {"passes": "through"}


# 4. The transformer, for all problems
def test_attention_is_a_softmax_of_the_scores():
    qkv = 9 * np.random.default_rng(0).standard_normal((12, 5, 7))
    seen, attention = iis.attention_forward(qkv, 2, True)
    q, k, v = qkv.reshape(3, 2, 2, 5, 7)
    scores = np.einsum("hdai,hdbi->habi", q, k) / 2**0.5
    scores -= scores.max(axis=2, keepdims=True)
    shares = np.exp(np.where(np.tri(5)[:, :, None], scores, -np.inf))
    shares /= shares.sum(axis=2, keepdims=True)
    assert np.allclose(attention, shares, rtol=0, atol=1e-14)
    assert np.allclose(seen, np.einsum("habi,hdbi->hdai", shares, v).reshape(4, 5, 7))


@pytest.mark.parametrize("causal", [True, False])
def test_only_a_causal_transformer_takes_no_notice_of_what_comes_later(causal):
    for problem, field in ((iis.Code(4), 2), (iis.Lego(4, 2), 1)):
        network = started(iis.Transformer(8, 2, 2, causal), problem)
        inputs, labels = problem.sample(np.random.default_rng(0), 30)
        asked = np.where(np.arange(4) == 1, labels, -1)  # the second task alone
        later = np.arange(inputs.shape[1]) > problem.places(inputs)[:, [1]]
        changed = inputs.copy()  # another operator, or sign, in all later positions
        changed[:, :, field] = (inputs[:, :, field] + later) % problem.fields[field]
        losses = [network.loss_and_gradients(some, asked)[0] for some in (inputs, changed)]
        assert np.isclose(*losses, rtol=1e-12) == causal and later.any()


def test_the_transformer_learns_bits_and_short_sequences_but_not_from_the_target_alone():
    for supervision in ("multi-task", "multi-label", "explicit", "curriculum"):
        network = iis.Transformer(16, 2, 2, causal=supervision != "multi-label")
        check_learned(iis.ParitySum(8, 2), network, supervision, examples=40_000)
    for problem in (iis.Lego(4, 2), iis.Code(3)):
        check_learned(problem, iis.Transformer(layers=2), "explicit", examples=100_000)
    check_learned(iis.Code(2, 3), iis.Transformer(), "multi-label", examples=100_000)
    run = iis.train(iis.Lego(4, 2), iis.Transformer(), "multi-label", examples=150_000)
    control = iis.train(iis.Lego(4, 2), iis.Transformer(), "target", examples=run.examples)
    assert run.solved_at and control.history[-1]["accuracy"]["hop 4"] <= 0.6


# All problems and networks
CHECKED = [(network, iis.ParitySum(n, k)) for n, k in ((10, 3), (70, 4))
           for network in (iis.NumpyMLP(9), iis.Bilinear())]
CHECKED += [
    (iis.Transformer(4, 2, 1, True), iis.ParitySum(5, 2)),
    (iis.Transformer(8, 2, 2), iis.Lego(3, 1)), (iis.Transformer(6, 1, 3), iis.Code(4, 3)),
    (iis.Transformer(4, 2, 2, True), iis.Code(3, 3)), (iis.Explicit(iis.NumpyMLP(5)), Own()),
    (iis.Explicit(iis.Transformer(4, 1, 1)), iis.Lego(3, 0))]


@pytest.mark.parametrize("network, problem", CHECKED)
def test_gradients_equal_central_differences(network, problem):
    """In single precision too."""
    inputs, labels = some_labels(problem)
    single_loss, single = started(network, problem, np.float32).loss_and_gradients(inputs, labels)
    loss, gradients = started(network, problem).loss_and_gradients(inputs, labels)
    worst, error = iis.check_gradients(network, inputs, labels)
    assert error <= 1e-6, worst
    assert abs(single_loss / loss - 1) <= 1e-4 and gradients.keys() == network.params.keys()
    for name, gradient in gradients.items():
        assert gradient.shape == network.params[name].shape and gradient.dtype == np.float64
        error = np.linalg.norm(single[name] - gradient) / np.linalg.norm(gradient)
        assert single[name].dtype == np.float32 and error <= 1e-4, (name, error)


def test_the_check_of_gradients_names_the_wrong_one():
    for factor, distance in ((1.01, 0.01), (np.nan, np.inf)):
        network = without(gradients=lambda arrays: arrays | {"V": factor * arrays["V"]})
        worst, error = iis.check_gradients(started(network, Own()), *some_labels(Own()))
        assert worst == "V" and error == pytest.approx(distance, abs=1e-6)
    network = odd(Tanh, loss_and_gradients=lambda self, *_: (self.params["x"] ** 2, {"x": 6.0}))
    network.params = {"x": 3.0}  # a number
    assert iis.check_gradients(network, [0], [0])[1] < 1e-6 and network.params == {"x": 3.0}


@pytest.mark.parametrize("thing", [iis.ParitySum(20, 3, seed=4), iis.Lego(4, 2), iis.Code(3, 7),
                                   iis.ParitySum(), *NETWORKS], ids=repr)
def test_a_repr_is_an_expression_for_an_equal_thing(thing):
    again = eval(repr(thing), vars(iis).copy())
    assert again == thing and repr(again) == repr(thing) and type(again) is type(thing)
    assert pickle.loads(pickle.dumps(thing)) == thing


@pytest.mark.parametrize("network", NETWORKS, ids=repr)
def test_training_goes_on_in_a_copy_and_begins_anew_with_params_that_were_saved(network, tmp_path):
    inputs, labels = some_labels(PARITY)
    whole = copy.deepcopy(started(network, PARITY, np.float32))
    whole.descend(inputs, labels, 10)
    network.descend(inputs[:20], labels[:20], 10)
    answers, anew = network.predict(inputs), copy.deepcopy(network)
    np.savez(tmp_path / "params", **network.params)
    for half in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), network):
        half.descend(inputs[20:], labels[20:], 10)
        assert (flat(half.params) == flat(whole.params)).all()
    saved = np.load(tmp_path / "params.npz")
    anew.params = {name: np.asfortranarray(saved[name]) for name in reversed(saved.files)}
    assert (anew.predict(inputs) == answers).all()
    anew.descend(inputs[20:], labels[20:], 10)
    same = all((anew.params[name] == array).all() for name, array in whole.params.items())
    assert same == (network == iis.Bilinear())  # which has no memory


def one_more_and_fail(inputs, labels, batch, lr, memory, weights, *_):
    """Descend by one unit in each weight, and then fail."""
    weights += 1
    raise RuntimeError


@pytest.mark.parametrize("network", NETWORKS[1:4], ids=repr)
def test_params_that_no_kernel_can_use_get_one_line_and_a_failing_descent_leaves_what_it_reached(
        network, monkeypatch):
    inputs, labels = some_labels(PARITY)
    started(network, PARITY, np.float32)
    right, before = network.params, flat(network.params)
    for broken in (right | {"x": right["c"]}, dict([*right.items()][1:]),
                   right | {"c": np.zeros(17, "f4")}, right | {"c": right["c"].astype(float)}):
        network.params = broken
        for call in (lambda: network.descend(inputs, labels, 10), lambda: network.predict(inputs)):
            with pytest.raises(ValueError, match="params must be .*, not .*"):
                call()
    network.params, right["c"].flags.writeable = dict(right), False
    with pytest.raises(ValueError, match="params.'c'. cannot be written to"):
        network.descend(inputs, labels, 10)
    assert (flat(right) == before).all()
    right["c"].flags.writeable = True
    monkeypatch.setattr(network, "steps", one_more_and_fail)
    with pytest.raises(RuntimeError):
        network.descend(inputs, labels, 10)
    assert np.allclose(flat(right), before + 1)  # in the same arrays


@pytest.mark.parametrize("network", NETWORKS, ids=repr)
@pytest.mark.parametrize("examples", [128, 20_000])
def test_a_loss_that_is_no_number_any_more_is_an_error(network, examples):
    with pytest.raises(iis.Diverged, match="the loss is not finite .*smaller lr"):
        iis.train(iis.ParitySum(8, 2), network, lr=1e30, examples=examples)


@pytest.mark.parametrize("network", NETWORKS[1:4], ids=repr)
def test_batches_that_would_read_beyond_an_array_are_refused_and_nan_is_not_hidden(network):
    problem = iis.Code(4, 5) if isinstance(network, iis.Transformer) else iis.ParitySum(70, 3)
    started(network, problem)
    inputs, labels = problem.sample(np.random.default_rng(0), 6)
    for bad in (inputs[..., :3], inputs - 1, inputs + 5, inputs / 2):
        for call in (lambda: network.descend(bad, labels, 3), lambda: network.predict(bad)):
            with pytest.raises(ValueError, match="inputs must be integers of shape"):
                call()
    for bad in (labels[:5], labels[:, :1], labels / 2, labels + 5, labels - 9):
        with pytest.raises(ValueError, match="labels must be integers of shape"):
            network.descend(inputs, bad, 3)
    assert network.predict(inputs[:0]).shape == (0, len(problem.tasks))
    loss, gradients = network.loss_and_gradients(inputs, np.full_like(labels, -1))
    assert loss == 0 and not flat(gradients).any()  # nothing told, nothing learned
    network.params["c"][:] = np.nan
    assert np.isnan(network.loss_and_gradients(inputs, labels)[0])


@pytest.mark.parametrize("make", [iis.NumpyMLP, iis.MLP, iis.Bilinear, iis.Transformer, Tanh,
                                  lambda: iis.Explicit(iis.MLP())])
def test_a_network_has_no_params_before_init_and_says_so(make):
    assert not hasattr(make(), "params")
    with pytest.raises(AttributeError, match="no attribute '(params|tasks)'"):
        make().descend(np.zeros((3, 9), int), np.zeros((3, 2), int), 2)


def test_who_trains_a_network_again_gets_another_and_the_first_keeps_its_weights():
    problem, network = iis.ParitySum(10, 2), iis.MLP(8)
    runs = [iis.train(problem, network, kind, seed=seed, examples=640)
            for seed in range(2) for kind in ("multi-task", "explicit")]
    assert runs[0].network is network and len({id(run.network.params) for run in runs}) == 4
    again = iis.train(problem, iis.MLP(8), examples=640)
    assert history(again) == history(runs[0])
    assert (flat(again.network.params) == flat(network.params)).all()
    runs = train_all(dict(problem=problem, network=each, seed=seed, examples=640)
                     for shared in [Locked()] for seed in range(8) for each in (shared, Locked()))
    for first, second in zip(runs[::2], runs[1::2]):  # in threads too
        assert history(first) == history(second)
    assert len({id(run.network) for run in runs}) == 16


def drawn(problem, change):
    """A problem that changes what another draws."""
    return odd(type(problem), sample=lambda self, rng, size: change(*problem.sample(rng, size)))


def without(loss=lambda x: x, gradients=lambda x: x):
    """A network of one's own whose loss or gradients are changed."""
    def loss_and_gradients(self, inputs, labels):
        right, arrays = Tanh.loss_and_gradients(self, inputs, labels)
        return loss(right), gradients(arrays)
    return odd(Tanh, loss_and_gradients=loss_and_gradients)


BUFFER, GATHERED = np.zeros((64_000, 12)), property(
    lambda self: dict(self.arrays), lambda self, arrays: setattr(self, "arrays", arrays))
# a call, and after more than two spaces, or on a line of its own, what is said of it
REFUSED = r"""
train(Lego(2), Transformer(), p=2)   p must be a number from 0 to 1, not 2
train(ParitySum(), NumpyMLP(), batch="big")   batch must be a whole number from 1 to .*, not 'big'
train(ParitySum(), MLP(), seed=None)   seed must be a whole number from 0 to inf, not None
train(ParitySum(), MLP(), seed=0.5)   seed must be a whole number from 0 to inf, not 0.5
train(ParitySum(), Explicit(MLP()), "osmosis")   supervision must be in .*, not 'osmosis'
train(Lego(3), Explicit(MLP()), "explicit")   bits for network mlp must be integers of shape
train(Lego(3), Bilinear())   network bilinear knows two tasks, the sum and
train(ParitySum(), Bilinear(), dtype=bool)   float32 or all float64, not .*bool
train(ParitySum(9, 2), MLP)   train needs an object, MLP.., not a class
train(odd(Own, tasks=(1, 2, 3)), MLP())   tasks must be different names, .* not .1, 2, 3
train(odd(Own, tasks=["a", "b", "a"]), MLP())   tasks must be different names
train(odd(Own, classes=2), MLP())   classes must be integers of shape .3., .* not int64 ..
train(odd(Own, classes=(4, 4, 1)), MLP())   classes must be integers .* from 2 up .* not 1 to 4
train(drawn(Own(), lambda x, y: (x, 3 - y.astype(int) * 2)), MLP())
    labels must be integers .* numbered from 0 up .* not -3 to
train(drawn(Own(), lambda x, y: (x[1:], y)), MLP())   sample must return 50 inputs, if .*, not .49
train(drawn(Own(), lambda x, y: x), MLP())   sample must return .*, plain NumPy arrays
train(drawn(Own(), lambda x, y: (x, np.ma.masked_less(y, 1))), MLP())   none is masked
train(drawn(Own(), lambda x, y: (np.where(x, x, np.nan), y)), MLP())   inputs must be finite numbers
train(drawn(Own(), lambda x, y: (x, y * 0.5)), MLP())   labels must be integers .* not float64
train(drawn(Own(), lambda x, y: (x, np.where([0, 0, 1], x[:, 5:].all(axis=1)[:, None], y))), MLP())
    parity has one answer in 99.*% of the test
train(odd(Own, sample=lambda self, rng, size: Own().sample(np.random.default_rng(42), size)), MLP())
    sample must draw with the rng that it is given
train(drawn(Own(), lambda x, y: (x, y ^ (np.random.rand(*y.shape) < 0.1))), MLP())
    sample must draw with the rng that it is given
train(drawn(Own(), lambda x, y: (BUFFER[: len(x)], y)), MLP())   sample must return new arrays
train(odd(Code, places=lambda self, inputs: np.zeros((len(inputs), 4), int)), Transformer())
    places must not put two tasks at one position
train(Own(), without(gradients=lambda arrays: {"W": arrays["W"]}))   gradients must be as params are
train(Own(), without(gradients=list))   must return the loss and a dict of gradients
train(Own(), without(loss=lambda x: x * np.ones(2)))   the loss of .* must be one number
check_gradients(started(without(gradients=lambda x: x | {"V": [0]}), Own()), *some_labels(Own()))
    gradients must be as params are
check_gradients(started(Tanh(), Own(), np.float32), *some_labels(Own()))   params must be of float64
train(Own(), odd(Tanh, predict=lambda self, inputs: np.zeros(inputs[:, :3].shape)))
    predict must return integers .size, tasks., here .500, 3., not float64 .500, 3
train(Own(), odd(Tanh, predict=lambda self, inputs: Tanh.predict(self, inputs).T))
    predict must return integers .size, tasks., here .500, 3., not int64 .3, 500
train(Own(), odd(Tanh, params=GATHERED))   descend must keep the dict params
train(Own(), odd(Tanh, init=lambda self, *_: setattr(self, "params", [])))   init must make params
odd(MLP, loss_and_gradients=lambda *_: 0)   no kernel would call Odd's loss_and_gradients: subclass
sweep(None, jobs=-1)   jobs must be a whole number from 1 to 1000, not -1
"""


@pytest.mark.parametrize("call, words", re.findall(r"^(\S.*?)\s{3,}(.*)$", REFUSED, re.MULTILINE))
def test_what_is_out_of_range_or_does_not_fit_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        eval(call, vars(iis) | globals())


class Locked(Tanh):
    """A network with a lock, which clips its weights in place."""
    def __init__(self):
        self.lock = threading.Lock()

    def forward(self, inputs):
        with self.lock:
            self.params["W"] = np.clip(self.params["W"], -1, 1)  # in the same dict
        return super().forward(inputs)


class Decay(iis.MLP):
    """A network that brings a loop of its own, and so may add to its gradients."""
    descend = iis.Network.descend

    def loss_and_gradients(self, inputs, labels):
        loss, gradients = super().loss_and_gradients(inputs, labels)
        return loss, gradients | {"W": gradients["W"] + 0.001 * self.params["W"]}


TRAINED = """
odd(Own, tasks=np.array(["a", "b", "c"]), classes=np.array([4, 4, 2])), MLP(8)
drawn(Own(), lambda x, y: [x * 0.5, y.astype(np.int8)]), Tanh()
drawn(Own(), lambda x, y: (x > 0, y.astype(int)[:, ::-1] % [4, 4, 2])), MLP(8)
drawn(odd(Own, tasks=["parity"], classes=[2]), lambda x, y: (x, y[:, 2:])), NumpyMLP(8)
ParitySum(1, 1), MLP(2)
Own(), Locked()
Own(), Decay(8)
Labels(), Knows(900, 900, 900)
"""


@pytest.mark.parametrize("given", TRAINED.strip().splitlines())
@pytest.mark.parametrize("supervision", ["multi-task", "explicit"])
def test_what_comes_close_to_a_slip_and_is_none_is_trained(given, supervision):
    if supervision == "multi-task" or "Knows" not in given:
        problem, network = eval(given, vars(iis) | globals())
        run = iis.train(problem, network, supervision, examples=1_000, every=500)
        assert len(run.history) == 2 or run.solved_at


def test_an_error_inside_a_property_of_a_network_is_told():
    slip = property(lambda self: self.weights, lambda self, params: None)
    with pytest.raises(AttributeError, match="no attribute 'weights'"):
        iis.train(Own(), odd(Tanh, params=slip))


def test_openblas_has_as_many_threads_as_before():
    get = pytest.importorskip("ctypes").CDLL(np.linalg._umath_linalg.__file__)
    get = getattr(get, "scipy_openblas_get_num_threads64_", None)
    if not get:
        pytest.skip("NumPy has another BLAS")
    before, seen = get(), []
    case = dict(problem=iis.Code(2), network=iis.Transformer(8, 1), examples=128, every=64)
    case |= {"report": lambda _: seen.append(get())}
    assert len([*iis.sweep([case | {"seed": 1}, case, case | {"lr": 1e30}])]) == 3
    with pytest.raises(ZeroDivisionError):
        iis.train(**case | {"report": lambda _: 1 / 0})
    assert {*seen} == {1} and get() == before


def test_explicit_makes_its_passes_by_batches():
    problem, explicit, sizes = iis.Code(26, 2), iis.Explicit(Knows(0)), []
    explicit.init(problem, np.random.default_rng(0))
    explicit.network.descend = lambda x, y, *_: sizes.append(len(x)) or len(x)
    examples = problem.sample(np.random.default_rng(0), 6_000)
    assert explicit.descend(*examples, 64) == 6_000 * 26
    assert sizes == [2_944 * 26] * 2 + [112 * 26]


# 5. Many runs
def small(seeds=3, **changes):
    """Short runs of two networks."""
    settings = {"n": 20, "k": 2, "p": 0.5, "examples": 13_000} | changes
    bilinear = runs_of(iis.Bilinear, seeds, **settings)
    return bilinear + runs_of(lambda: iis.MLP(16), seeds, **settings)


def outcomes(results):
    """What a sweep yields, in an order of its own, but for the time it took."""
    return sorted(str((settings, run.solved_at, run.examples, history(run)))
                  for settings, run in results)


def stored_outcomes(path):
    """What a store holds, but for the time that it took."""
    return {call: re.sub('"seconds": [^,}]*', "", record) for call, record in stored(path).items()}


def test_a_run_that_fails_or_cannot_be_stored_does_not_take_the_others_with_it(tmp_path):
    good, own, store = small(1, examples=7_000), Own(), tmp_path / "runs"
    own.rule = np.sum  # a store cannot tell what that does
    wrong = [{"lr": 1e30}, {"colour": "red"}, {7: "red"}, {"problem": iis.Lego()}, {"dtype": [1]},
             {"lr": np.zeros(9_999)}, {"problem": own}, {"problem": odd(Own)}]
    bad = [{"network": iis.MLP()}] + [good[1] | each for each in wrong]
    results = {str(settings): run for settings, run in iis.sweep(good + bad, store=store)}
    assert len(results) == 11 and len(stored(store)) == 2
    for settings in good + bad:
        expected = iis.Run if settings in good else (ValueError, TypeError)
        assert isinstance(results[str(settings)], expected)


def test_threads_processes_and_a_store_come_to_the_same_as_training_one_by_one(tmp_path):
    runs = [{"problem": problem, "network": network, "supervision": kind, "examples": 7_000}
            for problem, network in OWN[1:] for kind in iis.SUPERVISIONS] + small()
    expected = outcomes((settings, iis.train(**settings)) for settings in runs)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        for how in ({}, {"executor": pool}, {"executor": pool, "store": tmp_path / "runs"},
                    {"store": tmp_path / "runs"}):
            found = list(iis.sweep(runs, **how))
            assert outcomes(found) == expected
    assert not any(run.network for _, run in found)  # all from the store


def test_a_cluster_comes_to_the_same_when_a_worker_is_killed(tmp_path):
    distributed = pytest.importorskip("distributed")
    expected = outcomes(iis.sweep(small(20)))
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    settings, found = settings | {"host": "127.0.0.1"}, []
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        client.upload_file(str(HERE / "iis.py"))
        worker = next(iter(client.run(os.getpid).values()))
        for result in iis.sweep(small(20), client.get_executor(), tmp_path / "runs"):
            if not found:
                os.kill(worker, signal.SIGKILL)
            found.append(result)
    assert outcomes(found) == expected and len(found) == 40


def test_a_store_holds_what_came_of_calls(tmp_path):
    found = list(iis.sweep(small(), store=tmp_path / "runs"))
    records = {(record["network"]["name"], record["seed"]): record
               for record in map(json.loads, stored(tmp_path / "runs").values())}
    assert len(records) == len(found) == 6
    for settings, run in found:
        expected = {"event": "run", "history": run.history, "solved_at": run.solved_at, "p": 0.5,
                    "budget": 13_000, "accuracy": run.history[-1]["accuracy"]}
        record = records[settings["network"].name, settings["seed"]]
        assert expected.items() <= record.items() and record["problem"]["n"] == 20


def test_what_is_one_run_in_other_words_is_stored_once(tmp_path):
    """An Explicit is trained explicitly, whatever is said; for the target alone, p is of no use."""
    [plain] = runs_of(lambda: iis.MLP(16), 1, 20, 3, examples=20_000)
    begun = iis.train(**plain | {"network": iis.MLP(16), "examples": 64, "seed": 5}).network
    alone = [plain | {"supervision": "target", "p": 0.1}, plain | {"supervision": "target"},
             plain | {"supervision": "target", "network": begun, "examples": np.float64(2e4)}]
    in_turn = [plain | {"supervision": "explicit"}]
    in_turn += [plain | {"network": iis.Explicit(iis.MLP(16)), "supervision": kind}
                for kind in iis.SUPERVISIONS]
    for runs, words in ((alone, "target"), (in_turn, "explicit")):
        found = [run for _, run in iis.sweep(runs, store=tmp_path / words)]
        assert all(history(run) == history(found[0]) for run in found) and len(found) == len(runs)
        [record] = map(json.loads, stored(tmp_path / words).values())
        assert record["supervision"] == words and record["network"]["width"] == 16
        assert not any(run.network for _, run in iis.sweep(runs, store=tmp_path / words))


WAYS = """
import dataclasses, functools, sys, numpy as np, iis
BIT = 1
SET = {BIT}
def helper(bits): return bits[:, :BIT].sum(axis=1) % 2

class Base:
    tasks, classes = ("easy", "hard"), (2, 2)
    def sample(self, rng, size):
        bits = rng.integers(0, 2, (size, 12), dtype=np.uint8)
        return bits, np.stack([bits[:, 0], self.hard(bits)], axis=1).astype(int)
class Nested(Base):
    def hard(self, bits): return np.array([row[:BIT].sum() % 2 for row in bits])
class Static(Base):
    @staticmethod
    def hard(bits): return bits[:, :BIT].sum(axis=1) % 2
class Default(Base):
    def hard(self, bits, bit=BIT): return bits[:, :bit].sum(axis=1) % 2
class Global(Base):
    def hard(self, bits): return bits[:, :max(SET)].sum(axis=1) % 2
class Calls(Base):
    def hard(self, bits): return helper(bits)
class Named(Base):
    def __init__(self, name, value): setattr(self, name, value)
    def hard(self, bits): return bits[:, :list(vars(self).values())[-1]].sum(axis=1) % 2
class Twice(Base):
    def hard(self, bits): return bits[:, :1].sum(axis=1) % 2
if BIT > 1:
    class Twice(Base):
        def hard(self, bits): return bits[:, :6].sum(axis=1) % 2
@dataclasses.dataclass(frozen=True)
class Fields(Base):
    data: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(12, int))
    inside: object = Nested()
    words: frozenset = frozenset({"a", "b", "c"})
    @functools.cached_property
    def table(self): return self.data[:BIT].sum()
    def hard(self, bits): return bits[:, :self.table].sum(axis=1) % 2
class Mine(iis.NumpyMLP):
    factor = 1.0
problems = [Nested(), Static(), Default(), Global(), Calls(), Twice(), Fields()]
problems += [Named(name, BIT) for name in ("memory", "params", "digest", "trained", "p", "seed")]
def main():
    runs = [dict(problem=problem, network=Mine(8), examples=640) for problem in problems]
    runs += [dict(problem=iis.ParitySum(9, 2), network=iis.MLP(8), examples=640)]
    found = list(iis.sweep(runs, store=sys.argv[1]))
    assert all(isinstance(run, iis.Run) for _, run in found), found
    print(sum(run.network is not None for _, run in found))

if __name__ == "__main__":
    main()
"""


def test_a_store_never_takes_one_run_for_another_and_finds_the_same_again(tmp_path):
    def trained(ways=WAYS, code=SOURCE, options=["ways.py"], **environment):
        """How many of a script's runs are trained, and not found in the store."""
        (tmp_path / "ways.py").write_text(ways)
        (tmp_path / "iis.py").write_text(code)
        done = command(*options[1:], "runs", file=options[0], cwd=tmp_path, env=os.environ | {
            "PYTHONDONTWRITEBYTECODE": "1"} | environment)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    assert trained() == 14 == len(stored(tmp_path / "runs"))
    assert trained(WAYS + "    print(end='')\n", PYTHONHASHSEED="3") == 0  # more below the guard
    used = "import ways, numpy; [p.sample(numpy.random.default_rng(), 9) for p in ways.problems]"
    assert trained(options=["-c", f"{used}; ways.main()"]) == 0  # imported, and used before
    assert trained(WAYS.replace("BIT = 1", "BIT = 6", 1)) == 13
    assert trained(code=SOURCE.replace("[sums, sums % 2]", "[sums, sums % 3 % 2]")) == 14
    records = [*map(json.loads, stored(tmp_path / "runs").values())]
    assert {(record["seed"], record["p"]) for record in records} == {(0, 0.2)}  # train's own
    assert {record["problem"].get("digest") for record in records} == {None, 1, 6}


class Counts(Own):
    """A problem with a list, which it changes, and with a large array."""
    def __init__(self, bit):
        self.bit, self.seen, self.large = bit, [], BUFFER

    def sample(self, rng, size):
        self.seen.append(size)
        assert self.large is BUFFER  # no copy
        bits, labels = super().sample(rng, size)
        labels[:, 2] = bits[:, self.bit]
        return bits, labels


def test_what_changes_after_it_was_yielded_is_trained_and_stored_as_it_was(tmp_path):
    def runs():
        problem, network, settings = Counts(0), iis.MLP(8), {"examples": 64_000}
        for bit in (0, 5, 0):
            problem.bit, network.width = bit, 8 + bit
            settings |= {"problem": problem, "network": network}
            yield settings
        assert problem.seen == []

    assert all(isinstance(run, iis.Run) for _, run in iis.sweep(runs(), store=tmp_path / "runs"))
    records = [json.loads(record) for record in stored(tmp_path / "runs").values()]
    assert sorted(record["network"]["width"] for record in records) == [8, 13]
    for record in records:
        bit = record["problem"]["bit"]
        alone = iis.train(Counts(bit), iis.MLP(8 + bit), examples=64_000)
        assert [kept | {"seconds": 0} for kept in record["history"]] == history(alone)


def test_what_differs_is_described_otherwise_and_arrays_by_their_content():
    def key(value):
        return json.dumps(iis.described(value, "x", {}), sort_keys=True)

    def made(bit):
        class Own(globals()["Own"]):
            def hard(self):
                return bit
        return Own()

    array, own, changed = np.arange(9_999.0), Own(), iis.ParitySum(30, 2)
    other, changed.k, own.bit = array.copy(), 6, 3
    other[5_000] += 1e-9
    late = [type("Own", (Own,), {"bit": bit})() for bit in (3, 4)]  # an attribute of the class
    values = [array, other, array.astype(int), array.reshape(-1, 1), None, True, 1, 1.5, "1", [1],
              (1,), {1}, {1: 1}, [[1]], Own(), own, *late, iis.MLP(), iis.NumpyMLP(),
              iis.Explicit(iis.MLP()), iis.ParitySum(30, 2), iis.ParitySum(30, 6), changed,
              {1: 2, 3: 4}, {3: 4, 1: 2}, made(1), made(2), {"self": made(1)}]
    assert len({*map(key, values)}) == len(values)
    assert key(array) == key(array.copy()) and key({2, 1}) == key({1, 2})
    for thing in (np.sum, np.array([None]), np.ma.masked_less(array, 3), io.StringIO(),
                  functools.partial(max), odd(Own), made(lambda: 1), array.dtype):
        with pytest.raises(ValueError, match="a store cannot tell all about .*x.*, an? "):
            key([thing])


def test_a_large_array_is_read_once_and_many_keys_and_rows_are_read_at_once(tmp_path, monkeypatch):
    own, digests, read, sha256 = Own(), {}, [], iis.hashlib.sha256
    own.data = np.zeros(300_000)
    monkeypatch.setattr(iis.hashlib, "sha256", lambda data: read.append(len(data)) or sha256(data))
    for seed in range(10):
        iis.described({"problem": own, "seed": seed}, "run", digests)
    assert read.count(300_000) == 1
    del own
    assert digests == {"outer": []}


def test_runs_are_taken_as_threads_are_free_and_another_thread_may_carry_on(tmp_path):
    taken = itertools.count()
    runs = iis.sweep((small(1)[0] | {"seed": next(taken)} for _ in itertools.count()), jobs=2,
                     store=tmp_path / "runs")
    next(runs)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(next, runs).result()
    runs.close()
    assert next(taken) <= 2 + 4 and len(stored(tmp_path / "runs")) >= 2


def test_a_script_that_ends_while_it_holds_a_sweep_ends_it_and_keeps_what_is_done(tmp_path):
    code = f"""
import iis
def runs():
    yield dict(problem=iis.ParitySum(8, 2), network=iis.MLP(4), examples=640)
    for seed in range(40):
        yield dict(problem=iis.ParitySum(), network=iis.MLP(), supervision="target", seed=seed,
                   examples=10**12)
held = iis.sweep(runs(), store={str(tmp_path / 'runs')!r})
print(next(held)[1].examples)
"""
    assert python(code) == "640\n" and len(stored(tmp_path / "runs")) == 1


def test_a_run_that_a_foreign_executor_cancels_is_yielded():
    executor, future = ThreadPoolExecutor(1), Future()
    future.cancel()
    executor.submit = lambda *_: future
    [(_, error)] = iis.sweep(small(1)[:1], executor=executor)
    assert type(error).__name__ == "CancelledError"


def test_only_a_store_needs_sqlite():
    code = """
import sys; sys.modules["_sqlite3"] = None; import iis
run = dict(problem=iis.ParitySum(8, 2), network=iis.MLP(4), examples=64)
print([each.examples for _, each in iis.sweep([run])])
iis.sweep([run], store="runs")
"""
    done = command(code, file="-c")
    assert done.stdout == "[64]\n" and "ValueError: a store needs sqlite3, which" in done.stderr


def test_what_ended_while_the_caller_was_busy_is_stored(tmp_path):
    ended = []  # each is evaluated once
    runs = iis.sweep(small(examples=640, report=ended.append), store=tmp_path / "runs", jobs=3)
    next(runs)
    while len(ended) < 6:
        time.sleep(0.01)
    with pytest.raises(KeyboardInterrupt):
        runs.throw(KeyboardInterrupt)
    assert len(stored(tmp_path / "runs")) == 6


SWEEP = ["--n", 20, "--k", 2, "--network", "mlp", "--seeds", 15, "--store"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What SWEEP leaves in a store if nothing gets in its way."""
    path = tmp_path_factory.mktemp("undisturbed") / "runs"
    command(*SWEEP, path)
    return stored_outcomes(path)


def test_two_sweeps_share_a_store_and_once_killed_end_with_every_run(tmp_path, undisturbed):
    path = tmp_path / "runs"
    killed = [begun(*SWEEP, path) for _ in range(2)]
    while None in [process.poll() for process in killed]:
        with contextlib.suppress(sqlite3.OperationalError):  # there is no table yet
            if len(stored(path)) >= 8:
                for process in killed:
                    process.kill()
    for process in [begun(*SWEEP, path) for _ in range(2)]:
        assert "15 of 15" in process.communicate()[0] and process.returncode == 0
    assert stored_outcomes(path) == undisturbed and len(undisturbed) == 30


@pytest.mark.skipif(os.name == "nt", reason="limits a file's size as Unix does")
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, undisturbed):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (25_000, 25_000))

    resource, path = pytest.importorskip("resource"), tmp_path / "runs"
    done = command(*SWEEP, path, preexec_fn=limit)
    assert done.returncode == 2 and done.stderr.startswith(f"iis.py: cannot use the store {path}: ")
    kept = stored(path)
    assert 0 < len(kept) < 30
    command(*SWEEP, path)
    assert stored_outcomes(path) == undisturbed and kept.items() <= stored(path).items()


def test_what_is_no_store_gets_one_line_and_stays_as_it_is(tmp_path, capsys):
    (tmp_path / "text").write_text("1 2 3\n")
    for name, table in (("notes", "notes (line TEXT)"), ("foreign", "runs (distance REAL)")):
        with contextlib.closing(sqlite3.connect(tmp_path / name)) as database:
            database.execute(f"CREATE TABLE {table}")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for name in ("text", "notes", "foreign", "", "missing/runs"):
        done = main(capsys, *BRIEF, "--store", tmp_path / name)
        [line] = complaints(done.stderr)
        assert done.returncode == 2 and line.startswith("iis.py: ") and str(tmp_path / name) in line
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


# 6. The command line
def test_the_command_prints_who_learned_what():
    done = command("--p", 0.2, "--n", 50, "--k", 5)
    assert done.returncode == 0 and not complaints(done.stderr)
    rows = table_of(done.stdout)
    assert [row["network"] for row in rows] == ["bilinear", "mlp", "bilinear", "mlp"]
    for run, control in zip(rows[:2], rows[2:]):
        assert run["the data asks"] == "20 % sum" and run["learned"] == "yes"
        assert control["the data asks"] == "parity alone" and control["learned"] == "no"
        assert control["examples"] == run["examples"]
        assert float(run["parity"].split()[0]) >= 99 and control["sum"] == "not asked"


@pytest.mark.parametrize("problem, task", [("lego", r"hop 2 \w"), ("code", "line 2")])
def test_sequences_are_shown_with_their_labels_and_what_was_answered(capsys, problem, task):
    done = main(capsys, *f"--problem {problem} --k 2 --layers 1 --show 3 --examples 6400".split())
    assert done.returncode == 0
    assert re.search(r"transformer target: .* right in \d of 3\n", done.stdout)
    answer = rf"^    (transformer)?.*{task} = (\S+)( \(wrong\))?$"
    answers = re.findall(answer, done.stdout, re.MULTILINE)
    assert len(answers) == 3 + 3 * 3  # before; then the truth, the run's, the control's
    for who, said, wrong in answers:
        truth = truth if who else said
        assert (said != truth) == bool(wrong)


@pytest.mark.parametrize("options", [
    "", "--network numpy --n 200", "--p 0.015", "--n 20000 --k 900",
    "--problem lego --k 13 --others 13", "--problem code --supervision multi-task --p 0.5",
    "--supervision curriculum --k 2"])
def test_what_is_printed_fits_80_columns(options, capsys):
    """With five seeds and as many examples as a student would wait for."""
    found = []
    for settings in iis.planned(iis.parse([*options.split(), "--seeds", "5"])):
        problem = settings["problem"]
        for supervision in ("target", settings["supervision"]):
            test = {"accuracy": dict.fromkeys(problem.tasks, 1.0), "examples": 2_345_678}
            run = iis.Run(None, 2_345_678 + settings["seed"], history=2 * [test])
            found.append((settings | {"supervision": supervision, "examples": 1}, run))
    print(problem.__doc__.splitlines()[0], iis.table(found), sep="\n")
    inputs, labels = problem.sample(np.random.default_rng(0), 3)
    answers = {"transformer multi-label: ": (problem.tasks, 1 - labels % 2)}
    iis.show(problem, inputs, labels, answers)
    if isinstance(problem, iis.ParitySum):
        look = {"sum": 1.0, "parity": 0.999}, np.arange(problem.n)
        looks = [(6_400 * i, *look) for i in range(1, 40)]
        iis.picture(problem, {"": looks, "control": looks[:1]})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80 and not any(line != line.rstrip() for line in lines)
    assert len(lines) < 90  # however long an input is
    for task in problem.tasks if len(problem.tasks) > 2 else ():
        assert any(f" {task} " in line and "2,345,678" in line for line in lines)


def test_the_picture_shows_what_the_mlp_reads_as_it_learns(capsys):
    done = main(capsys, "--network", "mlp", "--seeds", 2)
    text = done.stdout[done.stdout.index(" examples   sum") :]
    rows = [(line[:9].strip(), line[25:]) for line in text.splitlines()]
    seen = [int(first.replace(",", "")) for first, _ in rows if first[:1].isdigit()]
    assert seen[0] == 6_400 and all(b >= 2 * a for a, b in zip(seen[:-1], seen[1:-1]))
    (_, learned), (control, read), (hidden, marks) = rows[len(seen) : len(seen) + 3]
    assert (control, hidden) == ("control", "hidden") and len(learned) == 50 and "@" in learned
    support = [i for i, mark in enumerate(marks) if mark == "^"]
    assert support == list(iis.ParitySum().support)
    assert all((shade in "%@") == (i in support) for i, shade in enumerate(learned))
    assert not set(read) & set(" .:-=")
    done = main(capsys, *"--network mlp --n 300 --k 3 --examples 6400".split())
    assert "(54 of the 300 bits" in done.stdout and done.stdout.splitlines()[-1].count("^") == 3


@pytest.mark.parametrize("options, asked", [  # by the run, and by its control
    ("--p 0.5", [["sum", "parity"], ["parity"]]), ("--supervision target", [["parity"]])])
def test_a_question_never_asked_has_no_accuracy_and_no_answer(capsys, options, asked):
    size = "--n 10 --k 2 --examples 6400 --network mlp --show 1"
    done = main(capsys, *size.split(), *options.split())
    for row, tasks in zip(table_of(done.stdout), asked, strict=True):
        assert [task for task in ("sum", "parity") if row[task] != "not asked"] == tasks
    answered = [line for line in done.stdout.splitlines() if re.match("    mlp .* = ", line)]
    assert [re.findall(r"(\w+) = ", line) for line in answered] == asked


@pytest.mark.parametrize("options, helped", [
    ("--k 4", True), ("--n 8 --k 1", False), ("--p 1", False)])
def test_why_is_said_where_the_sum_helped_and_nowhere_else(capsys, options, helped):
    assert iis.main(f"--network bilinear --examples 150000 {options}".split()) == 0
    assert ("\nWhy bilinear learned: " in capsys.readouterr().out) == helped


def test_json_is_all_that_is_printed_and_is_what_is_stored(tmp_path):
    seeds, options = (2**70, 2**70 + 1), "--json --network mlp --seeds 2 --store".split()
    done = command(*options, tmp_path / "runs", "--seed", 2**70)  # seeds are of any size
    assert done.returncode == 0 and not complaints(done.stderr)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    runs = [event for event in events if event["event"] == "run"]
    wanted = [(kind, seed, kind != "target") for kind in ("multi-task", "target") for seed in seeds]
    assert sorted((run["supervision"], run["seed"], run["solved"]) for run in runs) == wanted
    for run in runs:
        assert run["problem"].items() >= {"name": "parity", "seed": run["seed"], "n": 50}.items()
        assert run["p"] == (0.2 if run["solved"] else 0) and run["network"]["name"] == "mlp"
        assert run["solved_at"] == (run["examples"] if run["solved"] else None)
        same = {"event": "eval", "supervision": run["supervision"], "seed": run["seed"]}
        looks = [event for event in events if same.items() <= event.items()]
        for seen, look in zip(run["history"], looks, strict=True):
            assert seen.items() <= look.items()
    records = [json.loads(record) for record in stored(tmp_path / "runs").values()]
    assert sorted(map(str, records)) == sorted(map(str, runs))


BAD_OPTIONS = """
--n 5 --k 6   k must be a whole number from 1 to 5, not 6
--n nan   n must be a whole number from 1 to 100000, not nan
--n fifty   --n: invalid numeric value: 'fifty'
--seed -1   seed must be a whole number from 0 to inf, not -1
--seeds 0   seeds must be a whole number from 1 to 100000, not 0
--network cnn   --network: invalid choice: 'cnn' (choose from
--colour red   unrecognized arguments: --colour red
--problem lego --k 20 --others 7   others must be a whole number from 0 to 6, not 7
--problem lego --heads 5   width must be a multiple of heads = 5, not 32
--problem code --modulus 1   modulus must be a whole number from 2 to 100, not 1
--problem lego --n 20   --n is of no use with problem lego, network transformer, supervision
--supervision target --p 0.5   --p is of no use with problem parity
--show 1 --json   --show is of no use with
--network transformer --n 501   network transformer takes up to 500 bits, not 501
--lr -1e-3   lr must be a number from 0 to 1e+38, not -0.001
--problem code --network mlp   network mlp reads bits, code has sequences: take --network
--show -1   show must be a whole number from 0 to 10000, not -1
--network mlp --n 1e5 --width 1e6   Unable to allocate
"""
@pytest.mark.parametrize("line", BAD_OPTIONS.strip().splitlines())
def test_bad_options_get_one_line_and_status_2(capsys, line):
    options, words = re.split("   +", line)
    done = main(capsys, *options.split())
    [complaint] = complaints(done.stderr)
    assert done.returncode == 2 and complaint.startswith("iis.py: ") and words in complaint
    assert not done.stdout


def test_a_stored_command_prints_the_same_again_without_training(tmp_path):
    options = "--seeds", 4, "--network", "mlp", "--jobs", 2, "--store", tmp_path / "runs"
    first, again = command(*options), command(*options, "--show", 1)
    run, control = table_of(first.stdout)
    assert table_of(again.stdout) == [run, control]
    assert "Runs from the store have no weights" in again.stdout
    assert run["learned"] == "4 of 4" and control["learned"] == "0 of 4"
    events = [json.loads(line) for line in command(*options, "--json").stdout.splitlines()]
    assert [event["event"] for event in events] == ["run"] * 8
    solved = [event["solved_at"] for event in events if event["solved"]]
    counts = map(iis.rounded, (np.median(solved), min(solved), max(solved)))
    assert run["examples"] == "{} ({}-{})".format(*counts)


def test_compiling_is_said_only_when_something_is_compiled(tmp_path):
    empty = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    first, again = command(*BRIEF, env=empty), command(*BRIEF, env=empty)
    assert first.stderr.startswith("iis.py: compiling ") and first.stderr.count("\n") == 1
    assert not again.stderr and first.stdout == again.stdout
    for path in (*tmp_path.rglob("*descend*.nbi"), *tmp_path.rglob("*descend*.nbc")):
        os.truncate(path, 9)  # as a full disk leaves it
    damaged, healed = command(*BRIEF, env=empty), command(*BRIEF, env=empty)
    assert damaged.returncode == 0 and damaged.stderr == first.stderr and not healed.stderr


def test_a_loss_that_is_no_number_gets_one_line_and_status_1(capsys):
    done = main(capsys, "--lr", 1e30, "--network", "mlp")
    [line] = complaints(done.stderr)
    assert done.returncode == 1 and line.startswith("iis.py: mlp, seed 0: the loss is not finite")


def test_help_explains_every_option_in_four_groups_with_two_examples(capsys):
    text = main(capsys, "--help").stdout
    names = [line.split()[0] for line in text.splitlines() if line.startswith("  --")]
    assert len(names) == len(set(names)) == 21 and max(map(len, text.splitlines())) <= 80
    assert all(name in text for name in (*iis.PROBLEMS, *iis.NETWORKS, *iis.SUPERVISIONS))
    assert all(f"\n{group}:\n" in text for group in ("experiment", "problem", "network", "running"))
    assert text.split("examples:\n")[1].count("  python iis.py --") == 2


def said_on(terminal, sign=None):
    """What is read from a terminal until the sign comes, or until its other end is closed."""
    text = ""
    with contextlib.suppress(OSError):
        while sign is None or sign not in text:
            text += os.read(terminal, 9_000).decode()
    return text


@pytest.mark.skipif(os.name == "nt", reason="opens a terminal as Unix does")
def test_progress_is_no_wider_than_the_terminal():
    terminal, theirs = os.openpty()
    command(*BRIEF, stderr=theirs, env=os.environ | {"COLUMNS": "40"})
    os.close(theirs)
    lines = re.split("\r\x1b.K", said_on(terminal))  # each after the signs that clear the last
    fields = {field for line in lines[1:] for field in re.split(", (?!seed)", line)}
    assert max(map(len, lines[1:])) < 40 and "0 of 2 runs" in fields
    whole = (r"|\d of 2 runs|bilinear parity [\d.]+ %|after [\d,]+ examples|sum [\d.]+ %"
             r"|[a-z-]+, seed 0")
    assert all(re.fullmatch(whole, field.strip()) for field in fields)


@pytest.mark.skipif(os.name == "nt", reason="opens a terminal and sends a signal as Unix does")
@pytest.mark.parametrize("options, sign", [
    ("mlp --json", ""), ("mlp", "after 6,400 examples"),
    ("transformer --width 256 --layers 9 --n 100", "compiling")])
def test_an_interrupt_at_any_time_is_one_line_and_shows_what_was_reached(tmp_path, options, sign):
    """After the first line of output and a sign on the terminal that is standard error."""
    terminal, theirs = os.openpty()
    setting = {"NUMBA_CACHE_DIR": str(tmp_path)} if sign == "compiling" else {"COLUMNS": "200"}
    process = begun(
        *f"--n 50 --k 40 --examples 1e9 --network {options}".split(), stderr=theirs,
        env=os.environ | setting,  # and heeding the signal also if the tests ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    os.close(theirs)
    process.stdout.readline()
    err = said_on(terminal, sign)
    process.send_signal(signal.SIGINT)
    if sign == "compiling":  # the next test is minutes away: the second one leaves at once
        err += said_on(terminal, "interrupted")
        process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    err += said_on(terminal)
    assert process.returncode == 130 and "iis.py: interrupted: runs under way end with" in err
    assert "Traceback" not in err
    if sign != "compiling":  # with --json the table is on standard error too
        assert len(re.findall(" 20 % sum .* no, cut off ", out if sign else err)) == 1
        assert not sign or "0 of 2 runs, mlp parity" in err and err.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="sends a Unix signal")
def test_a_session_that_ran_the_file_is_left_as_it_was():
    code = """
import contextlib, io, os, runpy, signal, sys, numpy as np
np.seterr(all="raise")
signal.signal(signal.SIGINT, signal.default_int_handler)  # heeded also if the tests ignore it
before = signal.getsignal(signal.SIGINT), np.geterr(), dict(os.environ), sys.stderr
sys.argv = "iis.py --k 2 --n 10 --examples 640 --network mlp".split()
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    runpy.run_path("iis.py", run_name="__main__")
assert (signal.getsignal(signal.SIGINT), np.geterr(), dict(os.environ), sys.stderr) == before
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("lives on")
"""
    assert python(code) == "lives on\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_stops_early_is_no_error_and_an_output_that_is_full_is_one_line(options):
    process = begun(*options)
    process.stdout.readline()
    process.stdout.close()
    assert not complaints(process.stderr.read()) and process.wait() == 0
    if os.path.exists("/dev/full"):  # which Linux keeps full
        with open("/dev/full", "w") as full:
            done = command(*BRIEF, *options, stdout=full)
        [line] = complaints(done.stderr)
        assert done.returncode == 2 and line == "iis.py: standard output: No space left on device"


def test_iis_alone_in_a_folder_runs_and_needs_neither_matplotlib_nor_sklearn(tmp_path):
    (tmp_path / "iis.py").write_bytes((HERE / "iis.py").read_bytes())
    code = f"import sys, iis; iis.main({BRIEF}); "
    code += "print(*{'matplotlib', 'sklearn'} & {*sys.modules})"
    done = command(code, file="-c", cwd=tmp_path)
    assert done.returncode == 0 and table_of(done.stdout) and done.stdout.endswith("\n\n")


# The figures
@pytest.mark.parametrize("n, k, supervision, p, answers", [
    (12, 5, "multi-task", 0.2, None), (7, 1, "multi-task", 0.5, None),
    (10, 8, "multi-task", 0.1, None), (9, 4, "multi-label", 0.2, None),
    (9, 4, "target", 0.2, None), (9, 4, "multi-task", 0.3, (0, 1, 1, 0, 0))])
def test_the_recursion_is_descent_on_all_inputs(n, k, supervision, p, answers):
    import plots
    problem, network, inputs = iis.ParitySum(n, k), iis.Bilinear(), every_input(n)
    network.init(problem, np.random.default_rng(0), np.float64)
    labels = problem.label(inputs)
    if answers:
        labels[:, 1] = np.array(answers)[labels[:, 0]]
    same, ratio = functools.partial(np.allclose, rtol=0, atol=1e-10), iis.Bilinear.rates(n, k, 1)[1]
    weights = {"target": (0, 1), "multi-task": (p, 1 - p), "multi-label": (1, 1)}[supervision]
    course = plots.recursion(999, k, p, None, supervision, 50, 0.03, answers)  # n does not matter
    assert not course["M"].any()
    for step in range(51):
        now = {name: values[step] for name, values in course.items()}
        expected = np.zeros((k, n + 1))
        expected[:, problem.support], expected[:, n] = now["w"][:, None], now["b"]
        W, v, c = network.params.values()
        assert same(W, expected) and same(v, now["v"]) and same(c, now["c"])
        if abs(c[0]) > 1e-9:  # where f is 0, rounding would answer
            right = (network.predict(inputs) == labels).mean(axis=0)
            assert same(right, [now["sum"], now["parity"]])
        shown = np.where([True, False], labels, -1), np.where([False, True], labels, -1)
        gradients = [network.loss_and_gradients(inputs, told)[1] for told in shown]
        for name, rate in (("W", 0.03), ("v", 0.03 * ratio), ("c", 0.03 * ratio)):
            network.params[name] -= rate * sum(w * g[name] for w, g in zip(weights, gradients))


def test_the_recursion_knows_how_far_the_noise_of_a_batch_moves_the_weights():
    import plots
    problem, network, rng = iis.ParitySum(9, 8), iis.Bilinear(), np.random.default_rng(0)
    moved = []
    for _ in range(400):
        network.init(problem, rng, np.float64)
        bits, labels = problem.sample(rng, 16)
        network.descend(bits, iis.supervise(labels, rng, "multi-task", 0.3), 16)
        u = network.params["W"][0, :9]
        u[problem.support] -= u[problem.support].mean()  # what is common to the hidden bits: w
        moved.append(u @ u)
    predicted = plots.recursion(9, 8, 0.3, 16, steps=1)["M"][1, 0, 0]
    assert np.mean(moved) == pytest.approx(predicted, rel=0.3)  # for k this small


def test_theory_predicts_when_bilinear_learns_and_when_not():
    import plots
    predicted = plots.first(plots.recursion(n=50, k=5, p=0.2)["parity"], range(0, 10**6, 64))
    measured = solved_at(runs_of(iis.Bilinear, 10, p=0.2, every=320))
    assert abs(np.median(measured) / predicted - 1) < 0.03
    never = plots.recursion(p=0.05, steps=500_000 // 64)["parity"]
    assert plots.first(never, range(0, 10**6, 64)) == np.inf
    assert not any(solved_at(runs_of(iis.Bilinear, 4, p=0.05, examples=500_000)))


def test_pictures_of_digits_show_their_labels_and_some_are_kept_back():
    pytest.importorskip("sklearn")
    import plots
    problem, rng = plots.Digits(16, 5, seed=2), np.random.default_rng(0)
    known, new = [[{picture.tobytes() for picture in pictures[digit]} for digit in (0, 1)]
                  for pictures in (problem.pictures, problem.new_pictures)]
    assert len(set.union(*known, *new)) == sum(map(len, known + new))  # none in two of the sets
    for drawn, pictures in ((False, known), (True, new)):
        inputs, labels = problem.sample(rng, 500, drawn)
        assert inputs.dtype == np.uint8 and inputs.shape == (500, 16 * 64)
        for example, label in zip(inputs.reshape(500, 16, 64), labels):
            bits = [picture.tobytes() in pictures[1] for picture in example]
            assert all(picture.tobytes() in pictures[bit] for picture, bit in zip(example, bits))
            total = sum(bits[i] for i in problem.support)
            assert label.tolist() == [total, total % 2]
    run = iis.train(problem, iis.MLP(), "explicit", examples=64_000)
    assert run.history[-1]["accuracy"]["parity"] > 0.8 and plots.right_on_new(problem, run) > 80


def test_distractors_are_sums_of_other_bits_and_a_target_can_be_any_function_of_the_sum():
    import plots
    problem, plain = plots.Distracted(70, 5, seed=1, distractors=3), iis.ParitySum(70, 5, seed=1)
    assert problem.tasks == ("sum", "other sum 1", "other sum 2", "other sum 3", "parity")
    assert problem.classes == (6, 6, 6, 6, 2) and (problem.support == plain.support).all()
    counts = problem.label(np.eye(70, dtype=np.uint8))[:, :-1]  # does a bit count, in each sum?
    assert (counts.sum(axis=0) == 5).all() and counts.sum(axis=1).max() == 1
    assert (np.flatnonzero(counts[:, 0]) == problem.support).all()
    problem = plots.SumFunction(12, 5, seed=3, answers=(0, 1, 2, 0, 1, 2))
    _, labels = problem.sample(np.random.default_rng(0), 500)
    assert (labels[:, 1] == labels[:, 0] % 3).all() and problem.classes == (6, 3)
    for network in (iis.Bilinear(), iis.MLP()):
        check_learned(plots.SumFunction(20, 3, answers=(1, 0, 0, 1)), network, "multi-task")


def test_the_gradient_tells_less_of_the_hidden_bits_for_every_one_of_them():
    import plots
    sizes = []
    for k in (2, 4, 6):
        problem, network = iis.ParitySum(12, k), iis.MLP(32)
        network.init(problem, np.random.default_rng(0), np.float64)
        sizes.append([plots.signal(problem, network, task) for task in (0, 1)])
    (sum2, parity2), (_, parity4), (sum6, parity6) = sizes
    assert parity2 > 4 * parity4 > 8 * parity6 and sum6 > 0.4 * sum2


def test_a_figure_is_drawn_its_path_printed_and_its_runs_kept(tmp_path):
    store = tmp_path / "runs"
    options = "start", "theory", "--seeds", 1, "--jobs", 2, "--store", store
    options += "--folder", tmp_path / "new"
    inline = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    done = command(*options, file="plots.py", env=inline)  # as a notebook sets it for its children
    assert done.returncode == 0 and not complaints(done.stderr)
    for name in ("start", "theory"):
        assert (tmp_path / "new" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"{name}.png\n" in done.stdout
    rows = stored(store)
    assert rows and command(*options, file="plots.py").stdout == done.stdout
    assert stored(store) == rows


def test_runs_are_given_to_their_cases_by_what_their_settings_say(monkeypatch):
    import plots
    sweep = iis.sweep
    monkeypatch.setattr(iis, "sweep", lambda runs, **how: copy.deepcopy([*sweep(runs)][::-1]))
    cases = {"short": {"examples": 640}, ("long", 2): {"examples": 1280}, "as short": {}}
    settings = {"problem": iis.ParitySum(10, 2), "network": iis.Bilinear(), "examples": 640}
    runs = plots.train_cases(cases, 2, **settings)
    assert [run.examples for key in cases for run in runs[key]] == [640, 640, 1280, 1280, 640, 640]
    assert runs["short"][1] is runs["as short"][1] is not runs["short"][0]  # trained once


@pytest.mark.parametrize("options, words", [
    ("lego whi", "no figure whi: did you mean why?"), ("explore why", "call it alone"),
    ("mixture --seeds 0", "seeds"), ("mixture --folder README.md/x", "README.md"),
    ("lego --jobs 0", "jobs"), ("explore", f"{sys.executable} -m pip install tornado")])
def test_a_figure_that_cannot_be_drawn_gets_one_line(tmp_path, options, words):
    (tmp_path / "tornado.py").write_text("raise ImportError('there is no tornado here')")
    hidden = os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(tmp_path)}
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        hidden.pop(name, None)
    done = command(*options.split(), file="plots.py", env=hidden)
    assert done.returncode and words in done.stderr and done.stderr.count("\n") == 1
    assert done.stderr.startswith("plots.py: ")


def test_plots_changes_no_setting_and_its_figures_have_their_style_wherever_they_are_called():
    code = """
import matplotlib
before = dict(matplotlib.rcParams)
import plots
figure = plots.plt.figure()
axes = [figure.add_axes(place) for place in ((0, 0, 0.3, 1), (0.4, 0, 0.2, 1), (0.7, 0, 0.3, 1))]
problem, network, path = plots.iis.ParitySum(10, 2), plots.iis.MLP(8), []
settings = dict(problem=problem, network=network, supervision="target")
plots.train_and_watch(settings | {"examples": 6400}, path)
with plots.plt.style.context(plots.STYLE):
    plots.draw_snapshot(axes, [], 6400, path[0])
figure.canvas.draw()
print({tick.label1.get_size() for axis in axes for tick in axis.yaxis.get_major_ticks()})
assert dict(matplotlib.rcParams) | {"backend": 0} == before | {"backend": 0}
"""
    assert python(code, MPLBACKEND="agg") == "{9.0}\n"


def test_without_a_live_figure_the_explorer_says_so_in_one_line_and_makes_nothing():
    code = "import plots as p; p.plt.get_backend = lambda: 'inline'; p.Explorer()"
    code += "; print(p.plt.get_fignums())"
    said, figures = python(code, MPLBACKEND="agg").splitlines()
    assert "%matplotlib widget" in said and figures == "[]"


@pytest.fixture
def explorer(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    import plots
    monkeypatch.setattr(plots.Explorer, "wait", 0.001)
    explorer = plots.Explorer()
    assert not explorer.visible.is_set()  # nobody looks yet: nothing is trained
    explorer.figure.canvas.draw()
    yield explorer
    explorer.close()
    assert not explorer.thread.is_alive()
    plots.plt.close("all")


def ended(explorer):
    """What the explorer has trained, once it has, its control too, and has drawn."""
    latest = explorer.latest
    alone = latest.settings["supervision"] == "target"  # without a control
    while not latest.end or not alone and len(latest.control) < len(latest.snapshots):
        assert explorer.thread.is_alive()
        time.sleep(0.01)
    explorer.draw()
    assert explorer.run is latest.snapshots[-1]
    return latest


def curves(explorer):
    """The curves drawn: {label: (style, colour, examples)}."""
    return {line.get_label(): (line.get_linestyle(), line.get_color(), [*line.get_xdata()])
            for line in explorer.axes[0].get_lines()}


def mouse(explorer, axis, *places):
    """Press in an axis at the first place, in parts of its size; move to the others; release."""
    from matplotlib.backend_bases import MouseEvent
    moves = ["motion_notify_event"] * len(places[1:])
    names, canvas = ["button_press_event", *moves, "button_release_event"], explorer.figure.canvas
    for name, place in zip(names, (*places, places[-1]), strict=True):
        x, y = axis.transAxes.transform(place)
        canvas.callbacks.process(name, MouseEvent(name, canvas, x, y, 1))


def test_the_explorer_trains_what_is_wanted_last_and_nothing_twice(explorer):
    for p in (0.9, 0.7, 0.6, 0.4):  # faster than a run ends
        explorer.sliders["p"].set_val(p)
    latest = explorer.latest
    explorer.draw()
    assert explorer.figure.get_suptitle().endswith("k = 5, width = 128: training ...")
    assert ended(explorer) is latest and latest.settings["p"] == 0.4
    explorer.changed.set()  # as if a change had come before the thread read what it trained
    _, odd = explorer.run.history[-1]["note"]
    assert list(odd) == pytest.approx([0, 100] * 3, abs=30)  # the zigzag
    explorer.buttons["network"].set_active(0)
    ended(explorer)
    title = "bilinear, multi-task, p = 0.4, n = 50, k = 5: parity l"
    assert explorer.figure.get_suptitle().startswith(title)
    for path in (latest.snapshots, latest.control, explorer.latest.snapshots):
        assert [run.examples for run in path] == list(range(1600, path[-1].examples + 1, 1600))


def test_the_explorers_curves_grow_with_the_weights_beside_their_control(explorer):
    path = ended(explorer).snapshots
    every = [run.examples for run in path]
    assert curves(explorer)["sum"][2] == every and curves(explorer)["control: parity"][0] == "--"
    mouse(explorer, explorer.play.ax, (0.5, 0.5))  # from the beginning
    for count in (2, 3):
        explorer.draw()
        assert curves(explorer)["parity"][2] == every[:count]
        assert curves(explorer)["control: parity"][2] == every[:count]
    assert explorer.play.label.get_text() == "pause"
    mouse(explorer, explorer.time.ax, (0.9, 0.5), (1 / 3, 0.5))  # which pauses
    explorer.draw()
    assert explorer.time.val == pytest.approx(len(path) / 3, abs=2)
    seen = every[round(explorer.time.val)]
    assert explorer.time.valtext.get_text() == f"{seen:,} examples"


def test_the_explorer_keeps_the_run_before_a_drag_in_grey_and_reveals_when_asked(explorer):
    path = ended(explorer).snapshots
    mouse(explorer, explorer.sliders["p"].ax, (0.2, 0.5), (0, 0.5), (0.3, 0.5), (0.5, 0.5))
    hidden = ended(explorer).settings["problem"].support
    grey = "-", "0.65", [run.examples for run in path]
    assert curves(explorer)["before, p = 0.2: parity"] == grey
    assert not len(explorer.axes[1].get_xticks())  # nothing is revealed
    explorer.reveal.set_active(0)
    explorer.draw()
    assert list(explorer.axes[1].get_xticks()) == list(hidden)
    explorer.buttons["supervision"].set_active(0)  # the target alone
    ended(explorer)
    mouse(explorer, explorer.sliders["p"].ax, (0.5, 0.5), (0.9, 0.5))  # of no use now
    assert explorer.sliders["p"].val == 0.5 and "sum" not in curves(explorer)


def test_clicks_at_the_ends_of_a_slider_count_and_its_knob_leaves_its_number_free(explorer):
    ended(explorer)
    for slider in (*explorer.sliders.values(), explorer.time):
        for place, end in ((0.01, slider.valmin), (0.99, slider.valmax)):
            mouse(explorer, slider.ax, (place, 0.5))
            assert slider.val == end
        knob, _ = slider.ax.transData.transform((slider.val, 0))
        assert knob + 6 * explorer.figure.dpi / 72 < slider.ax.bbox.x1  # its radius, in points


def test_what_is_not_learned_goes_on_if_asked_and_the_target_alone_has_no_control(explorer):
    explorer.sliders["width"].set_val(2)
    explorer.buttons["supervision"].set_active(0)
    for examples in (400_000, 2_000_000):
        latest = ended(explorer)
        assert latest.snapshots[-1].examples == examples and not latest.control
        assert not any("control" in label for label in curves(explorer))
        assert explorer.again.label.get_text() == "again, longer"
        mouse(explorer, explorer.again.ax, (0.5, 0.5))
    explorer.sliders["k"].set_val(1)
    assert ended(explorer).settings["examples"] == 400_000
    assert explorer.again.label.get_text() == "again"


def test_another_explorer_closes_the_one_before(explorer):
    import plots
    another = plots.Explorer()
    assert not explorer.thread.is_alive() and plots.plt.get_fignums() == [another.figure.number]
    another.close()


# The README
def test_the_readmes_examples_run_as_they_stand(tmp_path, monkeypatch, capsys):
    blocks = re.findall("```python\n(.*?)```", (HERE / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 6
    monkeypatch.chdir(tmp_path)  # where the store will be
    names = {"__name__": "readme"}
    for block in blocks:
        exec(block, names)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 1 + 3 + 1 + 10  # a run, a check, rounds, kept rows, ten runs
    name, error = eval(lines[1])
    assert name in ("W", "b") and error <= 1e-6
    check_learned(names["Prefixes"](), iis.MLP(), "multi-label", examples=100_000)
    few, network = iis.ParitySum(20, 3), names["Regression"]()
    run = iis.train(few, network, "explicit")
    assert run.solved_at and run.solved_at < 600_000
    run = iis.train(few, network, "multi-label", examples=run.examples)
    assert run.history[-1]["accuracy"]["parity"] < 0.53


# The README's exercises
class OtherSum(iis.ParitySum):
    """The first exercise: the sum is one of k bits that are not hidden."""
    def label(self, bits):
        labels = super().label(bits)
        others = np.delete(bits, self.support, axis=1)
        labels[:, 0] = others[:, : self.k].sum(axis=1)
        return labels


class Majority(iis.ParitySum):
    """The second exercise: are most of the hidden bits 1?"""
    tasks = ("sum", "majority")

    def label(self, bits):
        labels = super().label(bits)
        labels[:, 1] = 2 * labels[:, 0] > self.k
        return labels


def test_exercise_1_a_helper_that_is_no_help():
    for seed in range(5):
        run = iis.train(OtherSum(seed=seed), iis.MLP(), seed=seed, examples=250_000)
        assert 0.48 < run.history[-1]["accuracy"]["parity"] < 0.52


def test_exercise_2_a_target_that_needs_no_help():
    for kind in ("multi-task", "target"):
        runs = [iis.train(Majority(seed=seed), iis.MLP(), kind, seed=seed) for seed in range(5)]
        assert all(run.solved_at == 6_400 for run in runs)


def test_exercise_3_another_network():
    _, error = iis.check_gradients(started(Tanh(), Own()), *some_labels(Own()))
    assert error <= 1e-6
    runs = [iis.train(iis.ParitySum(seed=seed), Tanh(), seed=seed) for seed in range(5)]
    assert all(70_000 < run.solved_at < 95_000 for run in runs)
    alone = iis.train(iis.ParitySum(), Tanh(), "target", examples=250_000)
    assert alone.history[-1]["accuracy"]["parity"] < 0.52
