"""Tests of iis.py, part by part in its order. Run with: python -m pytest -q"""

import contextlib
import copy
import functools
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the command: small products do not gain

import numpy as np
import pytest

import iis

HERE = Path(__file__).parent


def every_input(n):
    """All 2ⁿ inputs of n <= 64 bits."""
    return np.arange(2**n, dtype=np.uint64)[:, None]


def signs(inputs, n):
    """The inputs as a matrix of ±1, recounted bit by bit: float64 (size, n)."""
    rows = [[int(row[i // 64]) >> (i % 64) & 1 for i in range(n)] for row in inputs]
    return 2.0 * np.array(rows) - 1


def batch(problem, size=40, seed=1):
    """Inputs and labels of which about half are missing, some examples carrying none at all."""
    rng = np.random.default_rng(seed)
    inputs, labels = problem.sample(rng, size)
    return inputs, np.where(rng.random(labels.shape) < 0.5, labels, -1)


def started(network, problem, dtype=np.float64, spread=0.3):
    """The network at a random point, since at Bilinear's start most gradients are 0."""
    rng = np.random.default_rng(2)
    network.init(problem, rng, dtype)
    for array in network.params.values():
        array += spread * rng.standard_normal(array.shape)
    return network


def solved_at(job):
    network, settings = job
    problem = iis.ParitySum(settings.pop("n", 50), seed=settings["seed"])
    return iis.train(problem, network, **settings).solved_at


def in_parallel(function, jobs):
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, jobs))


# 1. Problems


@pytest.mark.parametrize("n", [5, 63, 64, 65, 128, 1000])
def test_labels_equal_a_recount_from_the_bits(n):
    problem = iis.ParitySum(n, k=5, seed=n)
    inputs, labels = problem.sample(np.random.default_rng(0), 200)
    assert inputs.dtype == np.uint64 and inputs.shape == (200, -(-n // 64))
    assert problem.tasks == ("sum", "parity") and tuple(problem.classes) == (6, 2)
    assert problem.support.shape == (5,) and sorted(set(problem.support)) == list(problem.support)
    for example, (total, parity) in zip(inputs, labels):
        bits = [int(example[i // 64]) >> (i % 64) & 1 for i in range(n)]
        assert total == sum(bits[i] for i in problem.support)
        assert parity == total % 2
        assert problem.show(example) == "".join(map(str, bits))
        assert sum(bits) == sum(int(word).bit_count() for word in example)  # spare bits stay 0


def test_bits_are_uniform_and_the_seed_draws_the_support():
    problem = iis.ParitySum(100, 3)
    inputs, _ = problem.sample(np.random.default_rng(0), 10_000)
    assert abs(signs(inputs, 100).mean(axis=0)).max() < 0.05  # five standard deviations
    supports = [tuple(iis.ParitySum(50, 5, seed).support) for seed in range(20)]
    assert len(set(supports)) == 20 and supports[3] == tuple(iis.ParitySum(50, 5, 3).support)


def test_distractors_are_sums_of_other_bits():
    problem, plain = iis.ParitySum(70, 5, seed=1, distractors=3), iis.ParitySum(70, 5, seed=1)
    assert problem.tasks == ("sum", "other sum 1", "other sum 2", "other sum 3", "parity")
    assert problem.classes == (6, 6, 6, 6, 2) and (problem.support == plain.support).all()
    one_bit = np.array([[2**i % 2**64, 2**i >> 64] for i in range(70)], np.uint64)
    counts = problem.label(one_bit)[:, :-1]  # of bits in each sum
    assert (counts.sum(axis=0) == 5).all() and counts.sum(axis=1).max() == 1
    assert (np.flatnonzero(counts[:, 0]) == problem.support).all()
    inputs, labels = problem.sample(np.random.default_rng(0), 100)
    bits = (signs(inputs, 70) + 1) / 2
    assert (labels[:, :-1] == bits @ counts).all() and (labels[:, -1] == labels[:, 0] % 2).all()


def test_digits_show_their_labels_and_keep_pictures_back():
    pytest.importorskip("sklearn")
    problem, rng = iis.Digits(16, 5, seed=2), np.random.default_rng(0)
    digits = [{*problem.pictures[d].tolist(), *problem.new_pictures[d].tolist()} for d in (0, 1)]
    assert not digits[0] & digits[1]
    for sample, mine, others in (
        (problem.sample, problem.pictures, problem.new_pictures),
        (problem.sample_held_out, problem.new_pictures, problem.pictures),
    ):
        inputs, labels = sample(rng, 500)
        assert inputs.dtype == np.uint64 and inputs.shape == (500, 16)
        for example, (total, parity) in zip(inputs.tolist(), labels):
            assert total == sum(example[i] in digits[1] for i in problem.support)
            assert parity == total % 2
        assert np.isin(inputs, mine).all() and not set(mine.ravel()) & set(others.ravel())
    assert problem.show(inputs[0]).count("\n") == 16  # two rows of pictures
    run = iis.train(problem, iis.MLP(), "explicit", examples=64_000)
    assert run.history[-1]["accuracy"]["parity"] > 0.8


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"distractors": 10}, "distractors must be a whole number from 0 to 9, not 10"),
        ({"n": 5, "k": 6}, "k must be a whole number from 1 to 5, not 6"),
        ({"k": 0}, "k must be a whole number from 1 to 50, not 0"),
        ({"n": 0}, "n must be a whole number of at least 1, not 0"),
        ({"n": 2.5}, "n must be a whole number of at least 1, not 2.5"),
        ({"n": "many"}, "n must be a whole number of at least 1, not 'many'"),
        ({"n": float("nan")}, "n must be a whole number of at least 1, not nan"),
        ({"n": float("inf")}, "n must be a whole number of at least 1, not inf"),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
    ],
)
def test_impossible_problems_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        iis.ParitySum(**settings)


@pytest.mark.parametrize("k", [1, 2, 6, 26])
def test_a_lego_sentence_tells_the_labels_to_who_reads_it(k):
    problem = iis.Lego(k)
    assert len(problem.tasks) == len(problem.classes) == k
    inputs, labels = problem.sample(np.random.default_rng(0), 1000)
    sentences = [problem.show(example) for example in inputs]
    for sentence, answers, places in zip(sentences, labels, problem.places(inputs)):
        clauses = [clause.split(" = ") for clause in sentence.split("; ")]
        after, name, value = {right[1:]: (left, right[0]) for left, right in clauses}, "1", 1
        for answer, place in zip(answers, places):
            name, sign = after[name]
            value *= int(sign + "1")
            assert value == 2 * answer - 1 and clauses[place][0] == name
        assert len(clauses) == k
    assert k < 6 or len(set(sentences)) > 990
    assert abs(labels.mean(axis=0) - 0.5).max() < 0.08  # five standard deviations


@pytest.mark.parametrize("k, modulus", [(1, 2), (4, 5), (8, 3), (26, 100)])
def test_executing_a_program_gives_the_labels(k, modulus):
    problem = iis.Code(k, modulus)
    inputs, labels = problem.sample(np.random.default_rng(0), 1000)
    again = 0
    for example, answers in zip(inputs, labels):
        variables, program = {}, problem.show(example).split("\n")
        for line, answer in zip(program, answers):
            again += line[0] in variables
            exec(line, {}, variables)
            assert variables[line[0]] == answer
        assert len(program) == k == len(answers)
    assert k == 1 or again > 100  # names are assigned again
    assert (problem.places(inputs) == np.arange(k)).all() and set(labels.ravel()) == set(range(modulus))


def test_sequences_that_do_not_fit_are_refused():
    problem, network = iis.Code(4, 5), iis.Transformer(8, 1, 2)
    network.init(problem, np.random.default_rng(0))
    inputs, labels = problem.sample(np.random.default_rng(0), 6)
    for bad_labels in (labels[:3], labels[:, :2], labels + 5, labels - 7, labels + 0.7):
        for call in (network.loss_and_gradients, lambda *batch: network.descend(*batch, 3)):
            with pytest.raises(ValueError, match="labels must be"):
                call(inputs, bad_labels)
    for bad_inputs in (inputs[:, :3], inputs[:, :, :3], inputs - 1, inputs + 5, inputs / 2):
        for call in (lambda x: network.loss_and_gradients(x, labels), network.predict):
            with pytest.raises(ValueError, match="inputs must be"):
                call(bad_inputs)
    assert network.predict(inputs[:0]).shape == (0, 4)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: iis.Lego(0), "k must be a whole number from 1 to 26, not 0"),
        (lambda: iis.Lego(27), "k must be a whole number from 1 to 26, not 27"),
        (lambda: iis.Code(4, 1), "modulus must be a whole number from 2 to 100, not 1"),
        (lambda: iis.Transformer(30, heads=4), "width must be a multiple of heads = 4, not 30"),
        (lambda: iis.Transformer(layers=0), "layers must be a whole number of at least 1, not 0"),
        (lambda: iis.train(iis.Lego(3), iis.MLP()), "network mlp needs a problem of bits"),
        (lambda: iis.train(iis.Lego(3), iis.Bilinear()), "network bilinear knows the tasks"),
        (
            lambda: iis.train(iis.ParitySum(), iis.Transformer()),
            "network transformer needs a problem of seq",
        ),
        (
            lambda: iis.train(iis.Lego(2), iis.Transformer(), "target", p=2),
            "p must be a number from 0 to 1",
        ),
    ],
)
def test_sizes_and_problems_that_do_not_fit_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# 2. Supervision


def test_supervision_shows_the_labels_it_says():
    labels = np.arange(30_000).reshape(-1, 3)
    rng = np.random.default_rng(0)
    carried = {s: iis.supervise(labels, rng, s, p=0.3) for s in iis.SUPERVISIONS}
    for shown in carried.values():
        assert ((shown == labels) | (shown == -1)).all()
    assert ((carried["target"] >= 0) == [False, False, True]).all()
    assert (carried["multi-label"] == labels).all() and (carried["explicit"] == labels).all()
    asked = carried["multi-task"] >= 0
    assert (asked.sum(axis=1) == 1).all()
    assert np.allclose(asked.mean(axis=0), [0.15, 0.15, 0.7], atol=0.02)  # four standard deviations
    for p, share in ((0, [0, 0, 1]), (1, [0.5, 0.5, 0])):
        asked = iis.supervise(labels, rng, "multi-task", p) >= 0
        assert np.allclose(asked.mean(axis=0), share, atol=0.02)
    one_task = labels[:, :1]
    assert (iis.supervise(one_task, rng, "multi-task", 0.5) == one_task).all()


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), "half"])
def test_p_outside_0_to_1_is_refused(p):
    with pytest.raises(ValueError, match="p must be a number from 0 to 1, not"):
        iis.supervise(np.zeros((3, 2), int), np.random.default_rng(0), "multi-task", p)
    with pytest.raises(ValueError, match="p must be a number from 0 to 1, not"):
        iis.train(iis.ParitySum(), iis.MLP(), p=p)


def test_unknown_supervision_is_refused():
    with pytest.raises(ValueError, match="supervision must be one of .*multi-task.*, not 'osmosis'"):
        iis.supervise(np.zeros((3, 2), int), np.random.default_rng(0), "osmosis")


def test_each_pass_reads_the_answers_before_it_and_answers_one_task():
    problem = iis.Explicit(iis.ParitySum(62, 3, distractors=1))  # answers cross the word's end
    inputs, labels = problem.sample(np.random.default_rng(0), 50)
    rows, asked = problem.passes(inputs, labels)
    bits = (signs(rows, problem.n) + 1) / 2
    assert problem.n == 62 + 4 + 4 and rows.shape == (150, 2)
    for i, (total, other, parity) in enumerate(labels):
        assert (bits[3 * i : 3 * i + 3, :62] == (signs(inputs[i : i + 1], 62) + 1) / 2).all()
        first, second, third = bits[3 * i : 3 * i + 3, 62:]
        assert not first.any() and second.tolist() == [*np.eye(4)[total], 0, 0, 0, 0]
        assert third.tolist() == [*np.eye(4)[total], *np.eye(4)[other]]
        assert asked[3 * i : 3 * i + 3].tolist() == [[total, -1, -1], [-1, other, -1], [-1, -1, parity]]
    for inner in (iis.Lego(4), iis.Code(4, 3)):
        problem = iis.Explicit(inner)
        inputs, labels = problem.sample(np.random.default_rng(0), 50)
        rows, asked = problem.passes(inputs, labels)
        for i, (example, truth) in enumerate(zip(inputs, labels)):
            for t, row in enumerate(rows[4 * i : 4 * i + 4]):
                assert (row[:, :-1] == example).all() and (asked[4 * i + t] >= 0).tolist() == [
                    task == t for task in range(4)
                ]
                written = row[inner.places(example[None])[0], -1]  # in the order of the tasks
                assert written.tolist() == [*(truth[:t] + 1), *[0] * (4 - t)]


# 3. Networks


@pytest.mark.parametrize(
    "rows, inner, width", [(1, 1, 1), (3, 4, 2), (64, 50, 128), (9, 65, 5), (70, 131, 33)]
)
def test_products_with_bits_equal_numpy(rows, inner, width):
    rng = np.random.default_rng(0)
    inputs, _ = iis.ParitySum(inner, 1).sample(rng, rows)
    S, bits = signs(inputs, inner), inputs.view(np.uint8)
    M, b, N = (
        rng.standard_normal((inner, width)),
        rng.standard_normal(width),
        rng.standard_normal((rows, width)),
    )
    out, back = np.empty((rows, width)), np.empty((inner, width))
    iis.affine(bits, M, b, out)
    assert np.allclose(out, S @ M + b, rtol=0, atol=1e-12)
    iis.affine(iis.transpose(bits, inner), N, b, back)
    assert np.allclose(back, S.T @ N + b, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "network, problem",
    [
        (network, iis.ParitySum(n, k))
        for network in (iis.Bilinear(), iis.MLP(9))
        for n, k in ((10, 3), (70, 4), (64, 64))
    ]
    + [(iis.Transformer(8, 2, 2), iis.Lego(3)), (iis.Transformer(6, 1, 3), iis.Code(4, 3))]
    + [(network, iis.Explicit(iis.ParitySum(10, 3))) for network in (iis.Bilinear(), iis.MLP(5))]
    + [
        (iis.MLP(5), iis.ParitySum(10, 2, distractors=2)),
        (iis.Transformer(4, 1, 1), iis.Explicit(iis.Lego(3))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_gradients_equal_central_differences(network, problem):
    inputs, labels = batch(problem)
    _, gradients = started(network, problem).loss_and_gradients(inputs, labels)
    assert gradients.keys() == network.params.keys()
    h = 1e-6
    for name, array in network.params.items():
        assert gradients[name].shape == array.shape and gradients[name].dtype == np.float64
        differences = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            kept = array[index]
            losses = []
            for step in (h, -h):
                array[index] = kept + step
                losses.append(network.loss_and_gradients(inputs, labels)[0])
            array[index] = kept
            differences[index] = (losses[0] - losses[1]) / (2 * h)
        error = np.linalg.norm(gradients[name] - differences) / np.linalg.norm(differences)
        assert error <= 1e-6, (name, error)


@pytest.mark.parametrize("make", [iis.Bilinear, iis.MLP, iis.Transformer])
def test_single_precision_gradients_equal_double(make):
    problem = iis.Lego(4) if make is iis.Transformer else iis.ParitySum()
    results = []
    for dtype in (np.float32, np.float64):
        network = started(make(), problem, dtype)
        loss, gradients = network.loss_and_gradients(*batch(problem, 64))
        results.append((loss, gradients))
        assert all(array.dtype == dtype for array in (*network.params.values(), *gradients.values()))
    (loss32, single), (loss64, double) = results
    assert abs(loss32 / loss64 - 1) <= 1e-4
    for name in double:
        error = np.linalg.norm(single[name] - double[name]) / np.linalg.norm(double[name])
        assert error <= 1e-4, (name, error)


def test_mlp_loss_is_the_mean_over_examples_of_the_summed_cross_entropies():
    problem = iis.ParitySum(12, 3)
    inputs, labels = batch(problem)
    network = started(iis.MLP(7), problem)
    W, b, V, c = network.params.values()
    logits = np.maximum(signs(inputs, 12) @ W + b, 0) @ V.T + c
    total = 0.0
    for head, label in ((logits[:, :4], labels[:, 0]), (logits[:, 4:], labels[:, 1])):
        logs = head - np.log(np.exp(head).sum(axis=1, keepdims=True))
        total -= sum(logs[i, y] for i, y in enumerate(label) if y >= 0)
    assert np.isclose(network.loss_and_gradients(inputs, labels)[0], total / len(inputs), rtol=1e-12)
    predicted = np.stack([logits[:, :4].argmax(axis=1), logits[:, 4:].argmax(axis=1)], axis=1)
    assert (network.predict(inputs) == predicted).all()


def test_an_explicit_network_is_taught_with_true_answers_and_reads_its_own():
    plain = iis.ParitySum(9, 2)
    problem = iis.Explicit(plain)
    network = started(iis.MLP(6), problem)
    W, b, V, c = network.params.values()
    inputs, labels = problem.sample(np.random.default_rng(0), 60)

    def answer(sums):
        answers = np.eye(4)[sums, :3] if sums is not None else np.zeros((60, 3))
        return np.maximum(np.hstack([signs(inputs, 9), 2 * answers - 1]) @ W + b, 0) @ V.T + c

    own = answer(None)[:, :3].argmax(axis=1)
    predicted = np.stack([own, answer(own)[:, 3:].argmax(axis=1)], axis=1)
    assert (network.predict(inputs) == predicted).all() and (own != labels[:, 0]).any()
    total = 0.0
    for head, label in (
        (answer(None)[:, :3], labels[:, 0]),
        (answer(labels[:, 0])[:, 3:], labels[:, 1]),
    ):
        logs = head - np.log(np.exp(head).sum(axis=1, keepdims=True))
        total -= sum(logs[i, y] for i, y in enumerate(label))
    assert np.isclose(network.loss_and_gradients(inputs, labels)[0], total / 60, rtol=1e-12)


def test_the_parity_gradient_is_zero_at_bilinears_start_and_the_sums_is_not():
    problem, network = iis.ParitySum(n=10, k=3), iis.Bilinear()
    network.init(problem, np.random.default_rng(0), np.float64)
    assert network.params["W"].shape == (3, 11)  # k x (n + 1)
    inputs = every_input(10)
    sums = problem.label(inputs)[:, :1]
    none = np.full_like(sums, -1)
    _, gradients = network.loss_and_gradients(inputs, np.hstack([none, sums % 2]))
    assert max(abs(g).max() for g in gradients.values()) <= 1e-12
    _, gradients = network.loss_and_gradients(inputs, np.hstack([sums, none]))
    assert abs(gradients["W"]).max() > 0.1


def test_bilinear_is_right_everywhere_once_w_reads_the_sum():
    problem, network = iis.ParitySum(n=12, k=5), iis.Bilinear()
    network.init(problem, np.random.default_rng(0), np.float64)
    network.params["W"][:, problem.support] = 0.5  # now P_j = sum - j
    network.params["v"][:] = [2, -4, 4, -4, 4]  # f goes -1, 1, -1, 1, -1, 1 as the sum goes 0 ... 5
    network.params["c"][:] = -1
    labels = problem.label(every_input(12))
    assert (network.predict(every_input(12)) == labels).all()
    assert network.loss_and_gradients(every_input(12), labels)[0] < 1e-24


@pytest.mark.parametrize("network", [iis.Bilinear(), iis.MLP(8)], ids=["bilinear", "mlp"])
def test_batches_that_do_not_fit_are_refused_and_nan_is_not_hidden(network):
    problem = iis.ParitySum(70, 3)
    network = started(network, problem)
    inputs, labels = problem.sample(np.random.default_rng(0), 6)
    for bad_inputs in (inputs[:, :1], inputs.astype(np.int64), inputs[0]):
        with pytest.raises(ValueError, match="inputs must be uint64 of the shape"):
            network.loss_and_gradients(bad_inputs, labels)
    wrong = (labels[:5], "shape"), (labels / 2, "integers"), (labels + 5, "below"), (labels - 9, "-1")
    for bad_labels, words in wrong:
        with pytest.raises(ValueError, match=f"labels must .*{words}"):
            network.loss_and_gradients(inputs, bad_labels)
    network.params["W"][:] = np.nan
    assert np.isnan(network.loss_and_gradients(inputs, labels)[0])


@pytest.mark.parametrize("network", [iis.Bilinear(), iis.MLP(8)], ids=["bilinear", "mlp"])
def test_inputs_and_params_may_come_from_anywhere(network):
    problem = iis.ParitySum(50, 3)
    network = started(network, problem)
    inputs, labels = problem.sample(np.random.default_rng(0), 30)
    spare_bits_set = inputs | ~problem.used
    assert (network.predict(spare_bits_set) == network.predict(inputs)).all()
    assert (network.predict(inputs[::2]) == network.predict(inputs)[::2]).all()
    loss, gradients = network.loss_and_gradients(inputs, labels)
    for kind in (np.int8, np.int32, np.uint16):
        assert network.loss_and_gradients(inputs, labels.astype(kind))[0] == loss
    twin = copy.deepcopy(network)
    twin.params.update({name: array.copy() for name, array in network.params.items()})
    for each in (network, pickle.loads(pickle.dumps(network)), twin):
        each.descend(inputs, labels, 10, 0.01)
    assert all((twin.params[name] == array).all() for name, array in network.params.items())
    assert network.loss_and_gradients(inputs, labels)[0] < loss


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
    outputs = []
    for disabled in ("0", "1"):
        environment = os.environ | {"NUMBA_DISABLE_JIT": disabled}
        outputs.append(subprocess.check_output([sys.executable, "-c", code], cwd=HERE, env=environment))
    assert outputs[0] == outputs[1] and len(outputs[0].split()) == 18


# 4. Training


@pytest.mark.parametrize("make", [iis.Bilinear, iis.MLP], ids=["bilinear", "mlp"])
def test_the_mixture_is_learned_on_every_seed_and_parity_alone_on_none(make):
    def mixture_and_control(seed):
        problem = iis.ParitySum(n=50, k=5, seed=seed)
        mixture = iis.train(problem, make(), p=0.2, seed=seed)
        control = iis.train(problem, make(), "target", examples=mixture.examples, seed=seed)
        return mixture, control

    for mixture, control in in_parallel(mixture_and_control, range(20)):
        assert mixture.solved_at == mixture.examples
        assert mixture.history[-1]["accuracy"]["parity"] >= 0.99
        assert control.solved_at is None and control.examples >= mixture.examples
        assert 0.48 <= control.history[-1]["accuracy"]["parity"] <= 0.52


def test_the_more_a_network_is_told_the_sooner_it_learns():
    kinds = "explicit", "multi-label", "multi-task", "target"
    jobs = [
        (iis.MLP(), {"supervision": kind, "seed": seed, "examples": 200_000})
        for kind in kinds
        for seed in range(10)
    ]
    explicit, all_labels, one_label, alone = np.reshape(in_parallel(solved_at, jobs), (4, 10))
    assert (explicit < all_labels).all() and (all_labels < one_label).all()
    assert not alone.any()  # later it does learn: see the README


def test_sequences_are_learned_explicitly_reading_what_the_network_wrote():
    for problem, layers in ((iis.Lego(5), 3), (iis.Code(3), 3)):
        run = iis.train(problem, iis.Transformer(layers=layers), "explicit", examples=64_000)
        inputs, labels = problem.sample(np.random.default_rng(5), 2_000)
        assert run.solved_at and (run.network.predict(inputs) == labels)[:, -1].mean() >= 0.98


def test_the_mlp_learns_at_every_share_of_helper_questions():
    shares = [0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    jobs = [(iis.MLP(), {"p": p, "seed": seed}) for p in shares for seed in range(5)]
    # where one example in a hundred asks for parity, the default million is not enough
    jobs += [(iis.MLP(), {"p": 0.99, "seed": seed, "examples": 3_000_000}) for seed in range(2)]
    assert None not in in_parallel(solved_at, jobs)


def test_multi_label_and_many_bits_are_learned():
    jobs = [(iis.MLP(), {"supervision": "multi-label", "seed": 0}), (iis.MLP(), {"n": 128, "seed": 0})]
    jobs += [
        (iis.Bilinear(), {"supervision": "multi-label", "seed": 0}),
        (iis.Bilinear(), {"n": 128, "seed": 0}),
    ]
    assert None not in in_parallel(solved_at, jobs)


@pytest.mark.parametrize(
    "problem", [iis.Lego(3), iis.Code(2, 3)], ids=lambda problem: type(problem).__name__
)
def test_the_transformer_learns_short_sequences_from_all_labels(problem):
    run = iis.train(problem, iis.Transformer(), "multi-label", examples=150_000)
    assert run.solved_at and min(run.history[-1]["accuracy"].values()) > 0.98


def test_lego_is_learned_from_all_labels_and_not_from_the_targets():
    run = iis.train(iis.Lego(4), iis.Transformer(), "multi-label", examples=400_000)
    control = iis.train(iis.Lego(4), iis.Transformer(), "target", examples=run.examples)
    assert run.solved_at and control.history[-1]["accuracy"]["hop 4"] <= 0.6


def test_the_same_seed_gives_the_same_history_in_another_process():
    code = """
import iis, json
for problem, network in ((iis.ParitySum(seed=3), iis.Bilinear()), (iis.ParitySum(seed=3), iis.MLP()), (iis.Code(3), iis.Transformer())):
    run = iis.train(problem, network, seed=3, examples=50_000 if problem.k == 5 else 7000)
    print(json.dumps([{**record, "seconds": 0} for record in run.history]))
"""
    outputs = [subprocess.check_output([sys.executable, "-c", code], cwd=HERE) for _ in range(2)]
    assert outputs[0] == outputs[1]
    histories = [json.loads(line) for line in outputs[0].splitlines()]
    assert [record["examples"] for record in histories[0]] == [
        6400,
        12800,
        19200,
        25600,
        32000,
        38400,
        44800,
        50000,
    ]
    other = iis.train(iis.ParitySum(seed=3), iis.MLP(), seed=4, examples=6400)
    assert other.history[0]["loss"] != histories[1][0]["loss"]


def test_a_run_is_evaluated_as_often_as_told():
    run = iis.train(iis.ParitySum(), iis.MLP(), examples=3_000, every=640)
    assert [record["examples"] for record in run.history] == [640, 1280, 1920, 2560, 3000]


def test_a_run_goes_on_after_it_solved_if_told_to():
    run = iis.train(iis.ParitySum(10, 2), iis.MLP(), examples=30_000, batch=100, stop_when_solved=False)
    assert run.examples == 30_000 and run.solved_at < 30_000
    record = run.history[-1]
    assert record.keys() == {"examples", "seconds", "loss", "accuracy"}
    assert record["accuracy"].keys() == {"sum", "parity"} and record["loss"] < 0.1


@pytest.mark.parametrize(
    "setting, words",
    [
        ({"examples": 0}, "examples must be a whole number of at least 1, not 0"),
        ({"batch": "big"}, "batch must be a whole number of at least 1, not 'big'"),
        ({"every": 0}, "every must be a whole number of at least 1, not 0"),
        ({"lr": -1}, "lr must be a number of at least 0, not -1"),
        ({"lr": float("inf")}, "lr must be a number of at least 0, not inf"),
        ({"seed": 0.5}, "seed must be a whole number of at least 0, not 0.5"),
        ({"supervision": "none"}, "supervision must be one of"),
    ],
)
def test_impossible_trainings_are_refused(setting, words):
    with pytest.raises(ValueError, match=words):
        iis.train(iis.ParitySum(), iis.MLP(), **setting)


@pytest.mark.parametrize("make", [iis.Bilinear, iis.MLP, iis.Transformer])
def test_a_loss_that_is_no_number_any_more_is_an_error(make):
    if make is iis.Transformer:
        with pytest.raises(iis.Diverged):
            iis.train(iis.Lego(2), make(8, 1, 1), lr=1e30, examples=7000)
        return
    for examples in (128, 100_000):
        with pytest.raises(iis.Diverged, match="the loss is not finite any more after .*smaller lr"):
            iis.train(iis.ParitySum(), make(), lr=1e30, examples=examples)


def test_bilinear_does_not_diverge_by_itself():
    for n, k, batch in ((50, 5, 1), (50, 30, 64), (5000, 5, 64)):
        iis.train(iis.ParitySum(n, k), iis.Bilinear(), examples=20_000, batch=batch)


# 5. Theory


@pytest.mark.parametrize(
    "n, k, weights, start",
    [(12, 5, (0.2, 0.8), 0), (9, 4, (1, 1), 0.1), (7, 1, (0.5, 0.5), 0), (10, 8, (0.1, 0.9), 0)],
)
def test_the_recursion_is_descent_on_all_inputs(n, k, weights, start):
    problem, network = iis.ParitySum(n, k), iis.Bilinear()
    lr, ratio = network.rates(n, k, 64)
    network.init(problem, np.random.default_rng(0), np.float64)
    network.params["v"][:] = start
    W, v, c = network.params.values()
    inputs, labels = every_input(n), problem.label(every_input(n))
    curves = iis.recursion(k, weights, 50, lr, ratio, v=start)
    for step in range(51):
        for row, w, b in zip(W, curves["w"][step], curves["b"][step]):
            expected = np.zeros(n + 1)
            expected[problem.support], expected[n] = w, b
            assert abs(row - expected).max() <= 1e-10
        assert abs(v - curves["v"][step]).max() <= 1e-10 and abs(c[0] - curves["c"][step]) <= 1e-10
        if start:  # where f is 0, rounding would answer
            right = (network.predict(inputs) == labels).mean(axis=0)
            assert np.allclose(right, [curves["sum"][step], curves["parity"][step]], rtol=0, atol=1e-10)
        gradients = {name: 0 for name in network.params}
        for task, weight in enumerate(weights):
            shown = np.where(np.arange(2) == task, labels, -1)
            for name, array in network.loss_and_gradients(inputs, shown)[1].items():
                gradients[name] = gradients[name] + weight * array
        W -= lr * gradients["W"]
        v -= ratio * lr * gradients["v"]
        c -= ratio * lr * gradients["c"]


def test_theory_predicts_when_bilinear_learns_and_when_it_never_does():
    for p in (0.1, 0.2, 0.5):
        curves = iis.recursion(5, (p, 1 - p))
        predicted = 64 * np.argmax(curves["parity"] >= 0.99)
        jobs = [(iis.Bilinear(), {"p": p, "seed": seed, "every": 1280}) for seed in range(10)]
        assert abs(np.median(in_parallel(solved_at, jobs)) / predicted - 1) < 0.15
    assert iis.recursion(5, (0.05, 0.95), 20_000)["parity"].max() < 0.99
    jobs = [(iis.Bilinear(), {"p": 0.05, "seed": seed, "examples": 500_000}) for seed in range(4)]
    assert not any(in_parallel(solved_at, jobs))


def test_the_gradient_tells_less_of_the_hidden_bits_for_every_one_of_them():
    sizes = []
    for k in (2, 4, 6):
        problem, network = iis.ParitySum(12, k), iis.MLP(32)
        network.init(problem, np.random.default_rng(0), np.float64)
        sizes.append([iis.signal(problem, network, task) for task in (0, 1)])
    (sum2, parity2), (sum4, parity4), (sum6, parity6) = sizes
    assert parity2[1] > 4 * parity4[1] > 8 * parity6[1] and sum6[1] > 0.4 * sum2[1]
    # once more, from its definition: answers as often as there, but whatever the input
    problem, network = iis.ParitySum(8, 2), iis.MLP(4)
    network.init(problem, np.random.default_rng(0), np.float64)
    labels = problem.label(every_input(8))

    def gradient(labels):
        gradients = network.loss_and_gradients(every_input(8), labels)[1]
        return np.hstack([array.ravel() for array in gradients.values()])

    labels[:, 1] = -1
    whole = gradient(labels)
    inputs, blind = np.repeat(every_input(8), 4, axis=0), np.full((1024, 2), -1)
    blind[:, 0] = np.tile([0, 1, 1, 2], 256)
    gradients = network.loss_and_gradients(inputs, blind)[1]
    blind = np.hstack([array.ravel() for array in gradients.values()])
    expected = np.linalg.norm(whole), np.linalg.norm(whole - blind)
    assert np.allclose(iis.signal(problem, network, 0), expected, rtol=1e-10)


def test_multiplications_are_those_of_the_products_in_a_pass():
    networks = []
    for problem, network in (
        (iis.ParitySum(10, 3), iis.MLP(7)),
        (iis.Explicit(iis.ParitySum(10, 3)), iis.MLP(7)),
        (iis.Lego(3), iis.Transformer(8, 2, 2)),
    ):
        network.init(problem, np.random.default_rng(0))
        networks.append(network)
    positions, width, layers = 3, 8, 2
    products = (3 + 1 + 2 + 2) * width * width * positions  # queries, keys, values; O; U; D
    attention = 2 * positions * positions * width  # scores, and what is seen
    assert [iis.multiplications(network) for network in networks] == [
        10 * 7 + 7 * (4 + 2),
        (10 + 4) * 7 + 7 * (4 + 2),
        layers * (products + attention) + 3 * 2 * width,
    ]


# 6. Sweeps


def outcome(run):
    """What a run came to, but for the time it took."""
    return run.solved_at, run.examples, [{**record, "seconds": 0} for record in run.history]


SMALL = [
    {"network": network, "n": 20, "k": 2, "width": 16, "p": 0.5, "seed": seed, "examples": 13_000}
    for network in ("bilinear", "mlp")
    for seed in range(3)
]


def test_a_configuration_is_completed_and_what_it_does_not_know_refused():
    config = iis.complete({"seed": 3, "width": None, "budget": 99})
    assert config["problem"] == "parity" and config["network"] == "mlp" and config["width"] == 128
    assert config["examples"] == 99 and config["p"] == 0.2 and iis.complete(config) == config
    assert "width" not in iis.complete({"network": "bilinear", "width": 3})
    problem, network = iis.build({"problem": "code", "k": 3, "width": 16})
    assert (problem.k, problem.modulus, network.width, network.layers) == (3, 5, 16, 6)
    with pytest.raises(ValueError, match="a run has no setting widht; there are batch, "):
        iis.complete({"widht": 3})
    with pytest.raises(ValueError, match="network mlp does not fit problem lego"):
        iis.complete({"problem": "lego", "network": "mlp"})


def test_a_sweep_yields_every_configuration_with_its_run():
    heard, told = [], []
    results = list(
        iis.sweep(SMALL, report=lambda config, run: heard.append(config), progress=told.append)
    )
    assert sorted(map(str, SMALL)) == sorted(str(config) for config, _ in results)
    for config, run in results:
        problem, network = iis.build(config)
        alone = iis.train(problem, network, p=0.5, seed=config["seed"], examples=13_000)
        assert outcome(run) == outcome(alone)
        assert heard.count(config) == len(run.history)
    assert told[0].startswith("1 of 6 runs, about ") and told[-1] == "6 of 6 runs, about 0 s left"


@pytest.mark.parametrize(
    "stop", [lambda runs: runs.close(), lambda runs: runs.throw(KeyboardInterrupt)]
)
def test_what_ended_while_the_caller_was_busy_is_stored(tmp_path, stop):
    ended, configs = [], [config | {"examples": 640} for config in SMALL]  # evaluated once each
    runs = iis.sweep(configs, store=tmp_path / "runs", report=lambda config, run: ended.append(config))
    next(runs)
    while len(ended) < 6:
        time.sleep(0.01)
    with contextlib.suppress(KeyboardInterrupt):
        stop(runs)
    assert (tmp_path / "runs").read_text().count("\n") == 6


def test_configurations_that_come_to_the_same_are_run_once_and_yielded_each(tmp_path):
    configs = [SMALL[0] | {"supervision": "target", "p": p, "budget": 6400} for p in (0.1, 0.2)]
    for _ in range(2):
        (first, run), (second, same) = iis.sweep(configs, store=tmp_path / "runs")
        assert [first, second] == configs and run is same
    assert (tmp_path / "runs").read_text().count("\n") == 1


def test_a_run_that_fails_does_not_take_the_others_with_it():
    common = {"n": 20, "k": 2, "width": 16, "examples": 7000}
    configs = [
        common | {"network": network, "lr": lr}
        for network in ("bilinear", "mlp")
        for lr in (None, 1e30)
    ]
    configs += [common | {"network": "cnn"}, common | {"colour": "red"}, common | {"k": 30}]
    results = {str(config): run for config, run in iis.sweep(configs)}
    assert len(results) == 7
    for config in configs:
        failed = (
            config.get("lr") or "colour" in config or config["k"] == 30 or config["network"] == "cnn"
        )
        assert isinstance(results[str(config)], ValueError) == bool(failed)


def test_processes_come_to_the_same_as_threads(tmp_path):
    expected = {str(config): outcome(run) for config, run in iis.sweep(SMALL)}
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        runs = iis.sweep(SMALL, executor=pool, store=tmp_path / "runs")
        assert {str(config): outcome(run) for config, run in runs} == expected
    stored = iis.sweep(SMALL, executor=None, store=tmp_path / "runs")
    assert {str(config): outcome(run) for config, run in stored} == expected


def test_a_cluster_comes_to_the_same_when_a_worker_is_killed(tmp_path):
    distributed = pytest.importorskip("distributed")
    configs = [config | {"seed": seed} for config in SMALL[::3] for seed in range(20)]
    expected = {str(config): outcome(run) for config, run in iis.sweep(configs)}
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    found = {}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        client.upload_file(str(HERE / "iis.py"))
        worker = next(iter(client.run(os.getpid).values()))
        for config, run in iis.sweep(configs, client.get_executor(), tmp_path / "runs"):
            if not found:
                os.kill(worker, signal.SIGKILL)
            assert str(config) not in found
            found[str(config)] = outcome(run)
    assert found == expected and len(found) == 40


def test_a_sweep_killed_again_and_again_ends_with_every_run_once(tmp_path):
    line = [sys.executable, "iis.py", "--seeds", "15", "--network", "mlp", "--store"]
    rng = np.random.default_rng(0)
    for _ in range(5):
        process = subprocess.Popen([*line, tmp_path / "killed"], cwd=HERE, stdout=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.6, 1.0))
        process.kill()
        process.wait()
    for name in ("killed", "whole"):
        subprocess.run([*line, tmp_path / name], cwd=HERE, stdout=subprocess.DEVNULL, check=True)
    stores = []
    for name in ("killed", "whole"):
        lines = (tmp_path / name).read_text().splitlines()
        assert len(lines) == 30
        file, runs = iis.open_store(tmp_path / name)
        stores.append({key: outcome(run) for key, run in runs.items()})
        file.close()
    assert stores[0] == stores[1] and len(stores[0]) == 30


def test_a_line_cut_off_is_done_again_and_a_foreign_one_refused(tmp_path):
    store = tmp_path / "runs.jsonl"
    expected = sorted(str(outcome(run)) for _, run in iis.sweep(SMALL, store=store))
    whole = store.read_bytes()
    for cut in (1, 2, 100, len(whole.splitlines()[-1])):
        store.write_bytes(whole[:-cut])
        assert sorted(str(outcome(run)) for _, run in iis.sweep(SMALL, store=store)) == expected
        assert (
            store.read_bytes().count(b"\n") == 6
            and store.read_bytes()[: -cut - 9999] == whole[: -cut - 9999]
        )
    first, rest = whole.split(b"\n", 1)
    foreign = b"hello", b'{"event": "run"}', b'{"event": "eval"}', b"[1, 2]", b"", first[:-1], b"\xff"
    for bad in foreign:
        for text, number in ((first + b"\n" + bad + b"\n" + rest, 2), (bad + b"\n", 1)):
            store.write_bytes(text)
            with pytest.raises(ValueError, match=f"runs.jsonl: line {number} is not a run of iis.py"):
                list(iis.sweep(SMALL, store=store))
            assert store.read_bytes() == text
    for text in (b"my notes", json.dumps(json.loads(first), separators=(",", ":")).encode()):
        store.write_bytes(text)  # without an end of line, but not one of ours that was cut off
        with pytest.raises(ValueError, match="line 1 is not a run"):
            list(iis.sweep(SMALL, store=store))
        assert store.read_bytes() == text


@pytest.mark.skipif(os.name == "nt", reason="limits a file's size as Unix does")
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    resource = pytest.importorskip("resource")
    done = command("--seeds", 9, "--store", tmp_path / "runs", preexec_fn=limit)
    assert (
        done.returncode == 2
        and done.stderr == f"iis.py: cannot write {tmp_path / 'runs'}: File too large\n"
    )
    lines = (tmp_path / "runs").read_text().split("\n")
    assert (
        lines.pop() == ""
        and len(lines) > 1
        and all(json.loads(line)["event"] == "run" for line in lines)
    )


def test_a_store_that_cannot_be_used_is_one_line(tmp_path):
    (tmp_path / "foreign").write_text("1 2 3\n")
    for name, words in (
        ("foreign", "line 1 is not a run"),
        ("", "is not a file"),
        ("a/b", "No such file"),
    ):
        done = command("--store", tmp_path / name)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and words in done.stderr
    with open(tmp_path / "runs", "ab") as file:
        fcntl = pytest.importorskip("fcntl")
        fcntl.flock(file, fcntl.LOCK_EX)
        done = command("--store", tmp_path / "runs")
        assert done.returncode == 2 and "is in use by another sweep" in done.stderr


@pytest.mark.parametrize(
    "solved, total, low, high", [(20, 20, 0.839, 1), (0, 10, 0, 0.278), (5, 10, 0.237, 0.763)]
)
def test_wilsons_interval(solved, total, low, high):
    assert np.allclose(iis.wilson(solved, total), (low, high), atol=6e-4)  # computed by hand


# 7. The command line


def command(*options, **settings):
    line = [sys.executable, "iis.py", *map(str, options)]
    return subprocess.run(
        line, cwd=settings.pop("cwd", HERE), capture_output=True, text=True, **settings
    )


def test_the_command_prints_who_learned_what():
    done = command("--p", 0.2, "--n", 50, "--k", 5)
    assert done.returncode == 0 and not done.stderr
    rows = [
        line.split()
        for line in done.stdout.splitlines()
        if line.startswith(("bilinear", "mlp")) and "%" in line
    ]
    table = [row for row in rows if row[-1] == "s"]
    assert [row[0] for row in table] == ["bilinear", "mlp", "bilinear", "mlp"]
    assert ["yes" in row for row in table] == [True, True, False, False]
    assert table[0][-3] == table[2][-3] and table[1][-3] == table[3][-3]  # as many examples


@pytest.mark.parametrize("problem, task", [("lego", "hop 2 = "), ("code", "line 2 = ")])
def test_sequences_are_shown_with_their_labels_and_what_was_answered(problem, task):
    done = command("--problem", problem, "--k", 2, "--show", 3, "--examples", 20_000)
    assert done.returncode == 0 and not done.stderr
    assert (
        done.stdout.count(task) == 3 + 3 * 3
    )  # before; then the truth, the run's answer, the control's
    assert done.stdout.count("truth: ") == 3 and "(control)" in done.stdout


def test_json_is_all_that_is_printed_and_tells_everything():
    done = command("--json", "--network", "mlp", "--seeds", 2, "--seed", 5)
    assert done.returncode == 0 and not done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    runs = [event for event in events if event["event"] == "run"]
    assert len(runs) == 4 and {event["event"] for event in events} == {"eval", "run"}
    assert sorted((run["supervision"], run["seed"], run["solved"]) for run in runs) == [
        ("multi-task", 5, True),
        ("multi-task", 6, True),
        ("target", 5, False),
        ("target", 6, False),
    ]
    for run in runs:
        assert run["problem"] == "parity" and run["network"] == "mlp"
        assert run["p"] == (0.2 if run["supervision"] == "multi-task" else 0)
        assert run["solved_at"] == (run["examples"] if run["solved"] else None)
        assert run["accuracy"].keys() == {"sum", "parity"} and 0 <= run["accuracy"]["parity"] <= 1


@pytest.mark.parametrize(
    "options, words",
    [
        (("--k", 51), "k must be a whole number from 1 to 50, not 51"),
        (("--n", "fifty"), "n must be a whole number from 1 to 1000000, not 'fifty'"),
        (("--p", 1.5), "p must be a number from 0 to 1, not 1.5"),
        (("--width", 0), "width must be a whole number from 1 to 1000000, not 0"),
        (("--problem", "lego", "--distractors", 1, "--heads", 5), "width must be a multiple"),
        (("--examples", -1), "examples must be a whole number of at least 1, not -1"),
        (("--seeds", 0), "seeds must be a whole number from 1 to 100000, not 0"),
        (("--network", "cnn"), "--network: invalid choice: 'cnn' (choose from"),
        (("--supervision", "osmosis"), "--supervision: invalid choice: 'osmosis' (choose from"),
        (("--colour", "red"), "unrecognized arguments: --colour red"),
        (("--supervision", "target", "--p", 7), "p must be a number from 0 to 1, not 7"),
        (("--n", "1e30"), "n must be a whole number from 1 to 1000000, not 1e+30"),
        (("--batch", "1e30"), "batch must be a whole number of at least 1, not 1e+30"),
        (("--problem", "lego", "--k", 27), "k must be a whole number from 1 to 26, not 27"),
        (("--problem", "lego", "--heads", 5), "width must be a multiple of heads = 5, not 32"),
        (("--problem", "code", "--network", "mlp"), "network mlp does not fit problem code"),
    ],
)
def test_bad_options_get_one_line_and_status_2(options, words):
    done = command(*options)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("iis.py: ") and done.stderr.count("\n") == 1 and words in done.stderr


def test_a_stored_command_prints_the_same_again_without_training(tmp_path):
    options = "--seeds", 4, "--network", "mlp", "--jobs", 2, "--store", tmp_path / "runs"
    first, again = command(*options), command(*options)
    tables = [done.stdout[done.stdout.index("\nnetwork ") :] for done in (first, again)]
    assert (
        tables[0] == tables[1] and "4 of 4 (51-100 %)" in tables[0] and "0 of 4 (0-49 %)" in tables[0]
    )
    assert (tmp_path / "runs").read_text().count("\n") == 8
    more = command(*options, "--json", "--show", 1)
    events = [json.loads(line)["event"] for line in more.stdout.splitlines()]
    assert events == ["run"] * 8


def test_sizes_beyond_the_memory_get_one_line_and_status_2():
    done = command("--n", "1e6", "--width", "1e6", "--network", "mlp")
    assert done.returncode == 2 and done.stderr == "iis.py: not enough memory for such sizes\n"


def test_a_loss_that_is_no_number_gets_one_line_and_status_1():
    done = command("--lr", 1e30, "--network", "mlp")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("iis.py: mlp, seed 0: the loss is not finite any more")


def test_help_explains_every_option():
    done = command("--help")
    names = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  --")]
    assert len(names) == len(set(names)) == 20
    assert max(map(len, done.stdout.splitlines())) < 100
    assert all(name in done.stdout for name in (*iis.NETWORKS, "transformer", *iis.SUPERVISIONS))


@pytest.mark.skipif(os.name == "nt", reason="sends a Unix signal")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_interrupt_still_shows_what_was_reached(options):
    line = [sys.executable, "iis.py", "--k", "20", "--examples", "1e9", "--network", "mlp", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    heed = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(line, cwd=HERE, preexec_fn=heed, **pipes)  # also if the tests ignore it
    killer = threading.Timer(60, process.kill)
    killer.start()
    first = process.stdout.readline() + process.stdout.readline()
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    killer.cancel()
    assert process.returncode == 130 and "Traceback" not in err and "interrupted" in err
    assert "80 % parity, 20 % sum" in (err if options else out), (first, out, err)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_that_stops_early_is_no_error(options):
    line = [sys.executable, "iis.py", *options]
    process = subprocess.Popen(
        line, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait()


def test_kernels_compile_where_no_folder_can_keep_them(monkeypatch):
    def without_a_folder(cache=False, compiler=iis.numba.njit, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compiler(**options)

    monkeypatch.setattr(iis.numba, "njit", without_a_folder)
    assert iis.kernel(lambda x: x + 1)(1) == 2


def test_iis_alone_in_a_folder_runs_also_with_nowhere_to_keep_compiled_code(tmp_path):
    shutil.copy(HERE / "iis.py", tmp_path)
    tmp_path.chmod(0o500)
    nowhere = str(tmp_path / "nowhere")  # stands for a HOME that cannot be written to
    environment = os.environ | {
        "HOME": nowhere,
        "XDG_CACHE_HOME": nowhere,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        done = command("--n", 10, "--k", 2, cwd=tmp_path, env=environment)
        assert done.returncode == 0 and not done.stderr
        code = "import sys, iis; print({'matplotlib', 'sklearn'} & set(sys.modules))"
        assert (
            subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True) == "set()\n"
        )
    finally:
        tmp_path.chmod(0o700)


# The figures


def draw(*options, **settings):
    line = [sys.executable, "plots.py", *map(str, options)]
    return subprocess.run(line, cwd=HERE, capture_output=True, text=True, **settings)


def test_a_figure_is_drawn_and_its_path_printed(tmp_path):
    done = draw("theory", "--seeds", 1, "--folder", tmp_path / "new")
    assert done.returncode == 0 and not done.stderr
    assert Path(done.stdout.split("\n")[-2]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "options",
    [
        ["mixture", "--seeds", "0"],
        ["mixture", "--folder", "README.md/x"],
        ["lego", "--jobs", "0"],
        ["explore"],
    ],
)
def test_a_figure_that_cannot_be_drawn_gets_one_line(options):
    environment = {
        name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")
    }
    done = draw(*options, env=environment | {"MPLBACKEND": "agg"})
    assert (
        done.returncode == 1 and done.stderr.startswith("plots.py: ") and done.stderr.count("\n") == 1
    )


def test_the_explorer_trains_what_is_wanted_last(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    import plots

    explorer = plots.Explorer()

    def wait():
        while not explorer.latest[2]:
            time.sleep(0.01)
        explorer.draw()
        return explorer.latest

    assert wait()[2][0].startswith("parity learned after ")
    for p in (0.9, 0.7, 0.6, 0.4):  # faster than a run ends
        explorer.sliders["p"].set_val(p)
    config, path, _ = wait()
    assert config["p"] == 0.4 and path[-1][1]["parity"] >= 0.99
    explorer.buttons["network"].set_active(0)
    config, path, _ = wait()
    assert config["network"] == "bilinear" and path[-1][2].shape == (5, 50)
    assert explorer.figure.get_suptitle().startswith("bilinear, multi-task: parity learned after ")
    explorer.close()
    assert not explorer.thread.is_alive()
