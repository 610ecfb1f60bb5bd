"""Tests of iis.py, part by part in its order. Run with: python -m pytest -q"""

import copy
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
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


@pytest.mark.parametrize(
    "settings, words",
    [
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
    assert (carried["multi-label"] == labels).all()
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
    + [(iis.Transformer(8, 2, 2), iis.Lego(3)), (iis.Transformer(6, 1, 3), iis.Code(4, 3))],
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


def test_the_mlp_learns_at_every_share_of_helper_questions():
    shares = [0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    jobs = [(iis.MLP(), {"p": p, "seed": seed}) for p in shares for seed in range(5)]
    # where one example in a hundred asks for parity, the default million is not enough
    jobs += [(iis.MLP(), {"p": 0.99, "seed": seed, "examples": 3_000_000}) for seed in range(5)]
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


# 5. Many runs


def test_a_sweep_yields_every_configuration_with_its_run():
    common = {"problem": "parity", "n": 20, "k": 2, "width": 16, "examples": 20_000, "p": 0.5}
    configs = [
        common | {"network": network, "seed": s} for network in iis.NETWORKS["parity"] for s in range(3)
    ]
    heard = []
    results = list(iis.sweep(configs, report=lambda config, run: heard.append(config)))
    assert sorted(map(str, configs)) == sorted(str(config) for config, _ in results)
    for config, run in results:
        problem, network = iis.build(config)
        alone = iis.train(problem, network, p=0.5, seed=config["seed"], examples=20_000)
        assert (
            run.solved_at == alone.solved_at
            and run.history[-1]["accuracy"] == alone.history[-1]["accuracy"]
        )
        assert heard.count(config) == len(run.history)


def test_a_run_that_fails_does_not_take_the_others_with_it():
    common = {"problem": "parity", "n": 20, "k": 2, "width": 16, "examples": 7000, "seed": 0}
    configs = [
        common | {"network": network, "lr": lr}
        for network in ("bilinear", "mlp")
        for lr in (None, 1e30)
    ]
    configs.append(common | {"network": "cnn"})
    results = {str(config): run for config, run in iis.sweep(configs)}
    assert len(results) == 5
    for config in configs:
        failed = config["network"] == "cnn" or config["lr"] is not None
        assert isinstance(results[str(config)], ValueError) == failed


# 6. The command line


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
        (("--n", "fifty"), "n must be a whole number of at least 1, not 'fifty'"),
        (("--p", 1.5), "p must be a number from 0 to 1, not 1.5"),
        (("--width", 0), "width must be a whole number of at least 1, not 0"),
        (("--examples", -1), "examples must be a whole number of at least 1, not -1"),
        (("--seeds", 0), "seeds must be a whole number from 1 to 1000000, not 0"),
        (("--network", "cnn"), "--network: invalid choice: 'cnn' (choose from"),
        (("--supervision", "osmosis"), "--supervision: invalid choice: 'osmosis' (choose from"),
        (("--colour", "red"), "unrecognized arguments: --colour red"),
        (("--supervision", "target", "--p", 7), "p must be a number from 0 to 1, not 7"),
        (("--n", "1e18"), "not enough memory"),
        (("--problem", "lego", "--k", 27), "k must be a whole number from 1 to 26, not 27"),
        (("--problem", "lego", "--heads", 5), "width must be a multiple of heads = 5, not 32"),
        (("--problem", "code", "--network", "mlp"), "network mlp does not fit problem code"),
    ],
)
def test_bad_options_get_one_line_and_status_2(options, words):
    done = command(*options)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("iis.py: ") and done.stderr.count("\n") == 1 and words in done.stderr


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
    process = subprocess.Popen(
        line, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    killer = threading.Timer(60, process.kill)
    killer.start()
    first = process.stdout.readline() + process.stdout.readline()
    time.sleep(4)
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
        code = "import sys, iis; print({'matplotlib', 'scipy'} & set(sys.modules))"
        assert (
            subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True) == "set()\n"
        )
    finally:
        tmp_path.chmod(0o700)


# The figures


def test_a_figure_is_drawn_and_its_path_printed(tmp_path):
    line = [sys.executable, "plots.py", "mixture", "--seeds", "1", "--folder", str(tmp_path / "new")]
    done = subprocess.run(line, cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr
    assert Path(done.stdout.strip()).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "options", [["mixture", "--seeds", "0"], ["mixture", "--folder", "README.md/x"]]
)
def test_a_figure_that_cannot_be_drawn_gets_one_line(options):
    line = [sys.executable, "plots.py", *options]
    done = subprocess.run(line, cwd=HERE, capture_output=True, text=True)
    assert (
        done.returncode == 1 and done.stderr.startswith("plots.py: ") and done.stderr.count("\n") == 1
    )
