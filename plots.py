"""Figures about iis.py. `python plots.py mixture` draws one into the folder figures/ and says where."""

import argparse
import os
import platform
import sys
import time
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # runs are parallel, their products need not be

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import iis

plt.rcParams.update(
    {
        "figure.constrained_layout.use": True,
        "figure.dpi": 110,
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
    }
)


def run_all(configs, key):
    """Train all configurations, showing progress; return {key(config): [Run per seed]}."""
    runs = defaultdict(list)
    for done, (config, run) in enumerate(iis.sweep(configs), 1):
        if isinstance(run, ValueError):
            raise run
        runs[key(config)].append(run)
        if sys.stderr.isatty():
            print(
                f"\r{done} of {len(configs)} runs", end="\n" * (done == len(configs)), file=sys.stderr
            )
    return runs


def curves(runs, task):
    """Accuracy over examples: (examples, median, lowest, highest) over the runs' seeds, in percent.

    A run that was solved and stopped is taken to stay where it was.
    """
    longest = max((run.history for run in runs), key=len)
    rows = [[100 * record["accuracy"][task] for record in run.history] for run in runs]
    rows = np.array([row + row[-1:] * (len(longest) - len(row)) for row in rows])
    examples = [record["examples"] for record in longest]
    return examples, np.median(rows, axis=0), rows.min(axis=0), rows.max(axis=0)


def mixture(seeds=5):
    """What share of helper questions is best? Both tasks over training, and examples needed, against p."""
    shares = [0, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1]
    budget = 3_000_000
    common = {"problem": "parity", "n": 50, "k": 5, "width": 128, "examples": budget}
    runs = run_all(
        [
            common | {"network": network, "p": p, "seed": seed}
            for p in shares
            for network in iis.NETWORKS["parity"]
            for seed in range(seeds)
        ],
        lambda config: (config["network"], config["p"]),
    )
    figure, axes = plt.subplots(2, 3, figsize=(11, 6), width_ratios=[1, 1, 1.1])
    colours = plt.cm.viridis(np.linspace(0, 0.92, len(shares)))
    for row, network in zip(axes, iis.NETWORKS["parity"]):
        for axis, task in zip(row, ("parity", "sum")):
            for p, colour in zip(shares, colours):
                if p == 0 and task == "sum":
                    continue  # never asked
                examples, middle, low, high = curves(runs[network, p], task)
                style = {0: "--", 1: ":"}.get(p, "-")
                axis.plot(examples, middle, style, color=colour, label=f"{p:g}")
                axis.fill_between(examples, low, high, color=colour, alpha=0.15, linewidth=0)
            axis.set(xscale="log", xlim=(6.4e3, budget), ylim=(30, 103))
            axis.set(title=f"{network}: {task}", ylabel="held-out examples right (%)")
        for position, (p, colour) in enumerate(zip(shares, colours)):
            solved = [run.solved_at for run in runs[network, p]]
            values = [seen or 1.35 * budget for seen in solved]
            row[2].plot([position] * seeds, values, "o", color=colour, markersize=4, alpha=0.8)
        row[2].axhspan(1.15 * budget, 1.6 * budget, color="0.9")
        row[2].text(2.3, 1.35 * budget, f"not learned in {budget:,}", va="center", fontsize=8)
        row[2].set(yscale="log", ylim=(9e4, 1.6 * budget), ylabel="examples until 99 % right")
        row[2].set_title(f"{network}: parity learned after")
        row[2].set_xticks(range(len(shares)), [f"{p:g}" for p in shares], rotation=60)
    axes[1, 0].set_xlabel("examples seen")
    axes[1, 1].set_xlabel("examples seen")
    axes[1, 2].set_xlabel("p, the share of examples that ask the sum")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), title="p", loc="outside right center")
    figure.suptitle(
        f"Parity of 5 hidden bits out of 50, mixed with their sum. {seeds} seeds: median and range, or a dot each"
    )
    return figure


def hops(problem, p, seeds):
    """Accuracy of every task of a sequence problem over training, under each supervision."""
    parser_defaults = iis.parse(["--problem", problem, "--seeds", str(seeds), "--p", str(p)])
    base = iis.configure(parser_defaults)
    kinds = "multi-label", "multi-task", "target"
    shares = {"multi-label": None, "multi-task": p, "target": 0.0}
    runs = run_all(
        [config | {"supervision": kind, "p": shares[kind]} for kind in kinds for config in base],
        lambda config: config["supervision"],
    )
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True)
    longest = max(run.examples for kind in kinds[:2] for run in runs[kind])
    for axis, kind in zip(axes, kinds):
        tasks = list(runs[kind][0].history[0]["accuracy"])
        for i, task in enumerate(tasks):
            if kind == "target" and task != tasks[-1]:
                continue  # never asked
            colour = plt.cm.viridis(0.92 * (1 - i / max(1, len(tasks) - 1)))
            examples, middle, low, high = curves(runs[kind], task)
            axis.plot(examples, middle, color=colour, label=task, linewidth=1 + i / len(tasks))
            axis.fill_between(examples, low, high, color=colour, alpha=0.15, linewidth=0)
        title = {
            "multi-task": f"one label: {100 * p:g} % ask an earlier one",
            "multi-label": "all labels",
        }
        axis.set(title=title.get(kind, f"{tasks[-1]} alone"), xlabel="examples seen", xscale="log")
        axis.set(xlim=(6.4e3, longest))
    axes[0].set_ylabel("held-out examples right (%)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    figure.suptitle(
        f"{problem.capitalize()}: when each question is answered right. {seeds} seeds, median and range"
    )
    return figure


def lego(seeds=5):
    """A chain of 6 variables: which hops become right, and when?"""
    return hops("lego", 0.5, seeds)


def code(seeds=5):
    """Programs of 4 lines: which lines become right, and when?"""
    return hops("code", 0.5, seeds)


def numpy_step(n, width, batch):
    """The training step of iis.MLP on ParitySum(n, 5), written plainly in NumPy: a function to call."""
    rng = np.random.default_rng(0)
    support = np.sort(rng.choice(n, 5, replace=False))
    shapes = (n, width), (width,), (width, 8), (8,)
    params = [(rng.uniform(-1, 1, shape) / shape[0] ** 0.5).astype(np.float32) for shape in shapes]
    means, squares = ([np.zeros_like(param) for param in params] for _ in range(2))
    steps, everyone = 0, np.arange(batch)

    def step():
        nonlocal steps
        bits = rng.integers(0, 2, (batch, n), dtype=np.int8)
        sums = bits[:, support].sum(axis=1)
        x = 2 * bits.astype(np.float32) - 1
        W, b, V, c = params
        hidden = np.maximum(x @ W + b, 0)
        logits = hidden @ V + c
        # an example asks either for the sum, answers 0 to 5, or for the parity, answers 6 and 7
        asks_sum = rng.random(batch) < 0.2
        logits[:, :6][~asks_sum] = logits[:, 6:][asks_sum] = -np.inf
        share = np.exp(logits - logits.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        share[everyone, np.where(asks_sum, sums, 6 + sums % 2)] -= 1
        share /= batch
        dhidden = (share @ V.T) * (hidden > 0)
        gradients = x.T @ dhidden, dhidden.sum(axis=0), hidden.T @ share, share.sum(axis=0)
        steps += 1
        rate, unbias = 0.002 / (1 - 0.9**steps), 1 / (1 - 0.999**steps)
        for param, gradient, mean, square in zip(params, gradients, means, squares):
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient * gradient - square)
            param -= rate * mean / (np.sqrt(square * unbias) + 1e-8)

    return step


def torch_step(n, width, batch):
    """The same step in PyTorch, eager; None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    support = torch.randperm(n)[:5]
    network = torch.nn.Sequential(torch.nn.Linear(n, width), torch.nn.ReLU(), torch.nn.Linear(width, 8))
    adam = torch.optim.Adam(network.parameters(), lr=0.002)
    entropy = torch.nn.CrossEntropyLoss(ignore_index=-1, reduction="sum")

    def step():
        bits = torch.randint(0, 2, (batch, n))
        sums = bits[:, support].sum(dim=1)
        asks_sum = torch.rand(batch) < 0.2
        logits = network(2 * bits.float() - 1)
        loss = entropy(logits[:, :6], torch.where(asks_sum, sums, -1))
        loss = (loss + entropy(logits[:, 6:], torch.where(asks_sum, -1, sums % 2))) / batch
        adam.zero_grad()
        loss.backward()
        adam.step()

    return step


def torch_transformer_step(problem, width, layers, heads, batch):
    """The training step of iis.Transformer in PyTorch, eager, on one batch over and over."""
    import torch
    from torch.nn import functional as F

    def matrix(*shape):
        return torch.nn.Parameter(torch.randn(*shape) / shape[1] ** 0.5)

    def gain():
        return torch.nn.Parameter(torch.ones(width))

    inputs, labels = problem.sample(np.random.default_rng(0), batch)
    size, length, fields = inputs.shape
    firsts = np.cumsum([0, *problem.fields[:-1]])
    tokens, places = (
        torch.tensor(inputs + firsts).reshape(-1, fields),
        torch.tensor(problem.places(inputs)),
    )
    labels, classes = torch.tensor(labels).reshape(-1), problem.classes[0]
    E, H, c, g = (
        matrix(sum(problem.fields), width),
        matrix(classes, width),
        torch.nn.Parameter(torch.zeros(classes)),
        gain(),
    )
    blocks = [
        (
            gain(),
            matrix(3 * width, width),
            matrix(width, width),
            gain(),
            matrix(2 * width, width),
            torch.nn.Parameter(torch.zeros(2 * width)),
            matrix(width, 2 * width),
        )
        for _ in range(layers)
    ]
    adam = torch.optim.Adam([E, H, c, g, *(array for block in blocks for array in block)], lr=0.002)

    def step():
        x = F.embedding_bag(tokens, E, mode="sum").view(size, length, width)
        for g1, A, O, g2, U, b, D in blocks:
            qkv = F.linear(F.rms_norm(x, (width,), g1), A).view(size, length, 3, heads, -1)
            seen = F.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4))
            x = x + F.linear(seen.transpose(1, 2).reshape(size, length, width), O)
            x = x + F.linear(F.relu(F.linear(F.rms_norm(x, (width,), g2), U, b)), D)
        x = x.gather(1, places[:, :, None].expand(-1, -1, width))
        logits = F.linear(F.rms_norm(x, (width,), g), H, c)
        loss = F.cross_entropy(logits.view(-1, classes), labels, reduction="sum") / size
        adam.zero_grad()
        loss.backward()
        adam.step()

    return step


def products(n, width, batch):
    """Nothing but the two large matrix products of such a step, for x W and for W's gradient."""
    rng = np.random.default_rng(0)
    x, W, d = (rng.standard_normal(s, np.float32) for s in ((batch, n), (n, width), (batch, width)))
    out, dW = np.empty_like(d), np.empty_like(W)
    return lambda: (np.matmul(x, W, out=out), np.matmul(x.T, d, out=dW))


def whole_training(n, width, batch):
    """iis.train with everything it does, evaluations too: a function that returns seconds per step."""
    problem, steps = iis.ParitySum(n, 5), max(1000, 1_000_000 // batch)

    def seconds(steps=steps):
        settings = {"examples": steps * batch, "batch": batch, "stop_when_solved": False}
        return iis.train(problem, iis.MLP(width), **settings).seconds / steps

    seconds(2)  # compiles
    return seconds


def seconds_per_step(step, least=0.2):
    """Call the step for a while; return its mean time."""
    calls, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < least:
        step()
        calls += 1
    return spent / calls


def speed(rounds=5):
    """How long does a training step take, here, in NumPy, in PyTorch, against batch, width and n?"""
    series = {
        "batch": [(50, 128, batch) for batch in (16, 64, 256, 1024)],
        "width": [(50, width, 64) for width in (32, 128, 512)],
        "n": [(n, 128, 64) for n in (50, 200, 1000)],
    }
    names = ["iis.train", "two products", "NumPy", "PyTorch, 1 thread", "PyTorch, 2 threads"]
    if torch_step(5, 1, 1) is None:
        names = names[:3]
    else:
        import torch

    def measure(setting):
        train, bare, plain, eager = (
            f(*setting) for f in (whole_training, products, numpy_step, torch_step)
        )
        results = []
        for _ in range(rounds):  # all of them in turn, so that a slow moment hits all alike
            row = [train(), seconds_per_step(bare), seconds_per_step(plain)]
            for threads in (1, 2)[: len(names) - 3]:
                torch.set_num_threads(threads)
                row.append(seconds_per_step(eager))
            results.append(row)
        return np.median(results, axis=0)

    times = {setting: measure(setting) for setting in dict.fromkeys(sum(series.values(), []))}
    versions = (
        f"Python {platform.python_version()}, NumPy {np.__version__}, Numba {iis.numba.__version__}"
    )
    versions += f", PyTorch {torch.__version__}" if len(names) > 3 else ""
    print(f"{platform.machine()}, {os.cpu_count()} cores; {versions}; NumPy on 1 thread")
    print("microseconds per step, median of", rounds, "\n")
    print(f"{'n':>5}{'width':>6}{'batch':>6}  " + "".join(f"{name:>20}" for name in names))
    for setting, row in times.items():
        print("{:>5}{:>6}{:>6}  ".format(*setting) + "".join(f"{1e6 * value:>20.1f}" for value in row))
    print()
    for batch in (64, 256):
        train, bare, plain, *eager = times[50, 128, batch]
        against = f"{train / bare:.2f} x the two products, NumPy takes {plain / train:.1f} x as long"
        against += f", PyTorch {min(eager) / train:.1f} x" if eager else ""
        print(f"iis.train, n 50, width 128, batch {batch}: {against}")
    growth = times[1000, 128, 64][0] / times[50, 128, 64][0]
    print(f"iis.train, n 1,000 against n 50: {growth:.1f} x as long")
    settings = {"lr": 0.02, "batch": 32, "examples": 6_400, "stop_when_solved": False}
    runs = [
        iis.train(iis.ParitySum(20, 3, s), iis.MLP(64), "target", seed=s, **settings) for s in range(10)
    ]
    perfect = sum(run.history[-1]["accuracy"]["parity"] == 1 for run in runs)
    print(
        f"parity alone, 3 of 20 bits, width 64, 6,400 examples: all of 10,000 right on {perfect} of 10 seeds,",
        end=" ",
    )
    print(f"median {1000 * np.median([run.seconds for run in runs]):.1f} ms")

    for name, problem, layers in (("lego", iis.Lego(6), 3), ("code", iis.Code(4, 5), 6)):
        if len(names) == 3:
            break
        network, rng, ratios = iis.Transformer(32, layers, 2), np.random.default_rng(0), []
        network.init(problem, rng)
        examples, eager = problem.sample(rng, 6400), torch_transformer_step(problem, 32, layers, 2, 64)
        network.descend(*examples, 64)
        for _ in range(rounds):
            ours, theirs = seconds_per_step(lambda: network.descend(*examples, 64)) / 100, []
            for threads in (1, 2):
                torch.set_num_threads(threads)
                theirs.append(seconds_per_step(eager))
            ratios.append(min(theirs) / ours)
        print(
            f"transformer on {name}, width 32, {layers} layers, batch 64: {1e3 * ours:.2f} ms a step,",
            end=" ",
        )
        print(f"PyTorch {np.median(ratios):.1f} x as long")

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True)
    for axis, (label, settings) in zip(axes, series.items()):
        values = [setting["n width batch".split().index(label)] for setting in settings]
        for i, (name, style) in enumerate(zip(names, ("o-", "s:", "^--", "v-.", "d-."))):
            per_example = [1e6 * times[setting][i] / setting[2] for setting in settings]
            axis.plot(values, per_example, style, color=plt.cm.viridis(0.2 * i), label=name)
        axis.set(xscale="log", yscale="log", xlabel={"n": "n, bits of an example"}.get(label, label))
        axis.set_xticks(values, map(str, values), minor=False)
        axis.minorticks_off()
    axes[0].set_ylabel("time of a training step\nper example (µs)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    figure.suptitle(
        f"Elsewhere n = 50, width 128, batch 64. {os.cpu_count()} cores, median of {rounds} rounds"
    )
    return figure


FIGURES = (mixture, lego, code, speed)


def main():
    parser = argparse.ArgumentParser(description="Draw figures about iis.py.")
    names = [figure.__name__ for figure in FIGURES]
    parser.add_argument("name", choices=names, help="which figure: " + ", ".join(names))
    parser.add_argument("--seeds", type=int, default=5, help="seeds, or rounds of speed (5)")
    parser.add_argument(
        "--folder", type=Path, default=Path("figures"), help="where to save it (figures)"
    )
    args = parser.parse_args()
    try:
        iis.number("seeds", args.seeds, 1, whole=True)
        args.folder.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        sys.exit(f"plots.py: {error}")
    path = args.folder / f"{args.name}.png"
    dict(zip(names, FIGURES))[args.name](args.seeds).savefig(path)
    print(path)


if __name__ == "__main__":
    main()
