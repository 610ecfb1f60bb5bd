"""Figures about iis.py. `python plots.py` draws all into the folder figures/ and says where.

`python plots.py mixture` draws one. What is computed, iis.py computes; here it is drawn.
"""

import argparse
import os
import platform
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # runs are parallel, their products need not be

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter
from matplotlib.widgets import RadioButtons, Slider

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


SWEEP = {}  # how iis.sweep is to run, as the command line says: jobs, store, executor


def run_all(configs, key, **settings):
    """Train all configurations; print what came, and return it: {key(config): [Run per seed]}."""
    if sys.stderr.isatty():
        settings["progress"] = lambda text: print(end=f"\r\033[K{text}\r", file=sys.stderr, flush=True)
    runs = defaultdict(dict)
    for config, run in iis.sweep(configs, **SWEEP | settings):
        if isinstance(run, Exception):
            raise run
        runs[key(config)][config["seed"]] = run
    runs = {name: [found[seed] for seed in sorted(found)] for name, found in runs.items()}
    for name in dict.fromkeys(map(key, configs)):
        solved = [run.solved_at for run in runs[name] if run.solved_at]
        right = [100 * [*run.history[-1]["accuracy"].values()][-1] for run in runs[name]]
        label = " ".join(map(str, name)) if isinstance(name, tuple) else str(name)
        print(f"{label:24} learned {len(solved):2} of {len(right)},", end=" ")
        print(f"{np.median(right):5.1f} % right at the end", end=", " if solved else "\n")
        if solved:
            print(f"after {np.median(solved):9,.0f} examples ({min(solved):,} to {max(solved):,})")
    return runs


def middle(values):
    """Median, and distances to the lowest and the highest, as matplotlib's errorbar takes them."""
    median = np.median(values)
    return median, median - min(values), max(values) - median


def dots(axis, position, runs, limit, **style):
    """A dot for each seed: the examples until it was solved, or above `limit` if it was not."""
    seen = [run.solved_at or 1.4 * limit for run in runs]
    spread = np.linspace(-0.12, 0.12, len(seen)) if len(seen) > 1 else [0]
    style = {"marker": "o", "markersize": 4, "linestyle": ""} | style
    axis.plot(position + np.array(spread), seen, **style)


def not_learned(axis, limit):
    """Mark the band in which dots() puts the runs that were not solved; to call when all are drawn."""
    axis.axhspan(1.2 * limit, 2.5 * limit, color="0.9", linewidth=0)
    text, transform = f"not learned in {limit:,}", axis.get_yaxis_transform()
    axis.text(0.5, 2 * limit, text, va="center", ha="center", fontsize=8, transform=transform)
    axis.set(yscale="log", ylim=(None, 2.5 * limit))
    counted(axis.yaxis)


def counted(axis):
    """Write 20k for 20,000, also between the powers of ten."""
    axis.set_major_formatter(EngFormatter(sep=""))
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        axis.set_minor_formatter(EngFormatter(sep="") if high < 30 * low else NullFormatter())
        axis.set_minor_locator(LogLocator(subs=(2, 5) if high < 30 * low else "auto"))


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
    runs = run_all(
        [
            {"network": network, "p": p, "seed": seed, "examples": budget}
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
                examples, median, low, high = curves(runs[network, p], task)
                style = {0: "--", 1: ":"}.get(p, "-")
                axis.plot(examples, median, style, color=colour, label=f"{p:g}")
                axis.fill_between(examples, low, high, color=colour, alpha=0.15, linewidth=0)
            axis.set(xscale="log", xlim=(6.4e3, budget), ylim=(30, 103))
            axis.set(title=f"{network}: {task}", ylabel="held-out examples right (%)")
        for position, (p, colour) in enumerate(zip(shares, colours)):
            dots(row[2], position, runs[network, p], budget, color=colour)
        not_learned(row[2], budget)
        row[2].set_ylabel("examples until 99 % right")
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
    kinds = "multi-label", "multi-task", "target"
    base = {"problem": problem, "p": p}
    configs = [base | {"supervision": kind, "seed": seed} for kind in kinds for seed in range(seeds)]
    runs = run_all(configs, lambda config: config["supervision"])
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), sharey=True)
    longest = max(run.examples for kind in kinds[:2] for run in runs[kind])
    for axis, kind in zip(axes, kinds):
        tasks = list(runs[kind][0].history[0]["accuracy"])
        for i, task in enumerate(tasks):
            if kind == "target" and task != tasks[-1]:
                continue  # never asked
            colour = plt.cm.viridis(0.92 * (1 - i / max(1, len(tasks) - 1)))
            examples, median, low, high = curves(runs[kind], task)
            axis.plot(examples, median, color=colour, label=task, linewidth=1 + i / len(tasks))
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


def code(seeds=3):
    """Programs of 4 lines: which lines become right, and when?"""
    return hops("code", 0.5, seeds)


def supervision(seeds=10):
    """How do labels of easier questions compare with a chain of thought, in examples, labels and work?"""
    kinds = {"target": "target\nalone", "multi-task": "one\nlabel", "multi-label": "all\nlabels"}
    kinds |= {"explicit": "all, read\nin turn"}
    settings = {  # examples at most; on parity that is more than any helper needs
        "parity": ({"p": 0.2, "examples": 200_000, "every": 1280}, "parity, 5 of 50 bits"),
        "lego": ({"p": 0.5, "examples": 300_000}, "lego, 6 hops"),
        "code": ({"p": 0.5, "examples": 500_000}, "code, 4 lines"),
    }
    figure, axes = plt.subplots(3, 3, figsize=(10, 7.5), sharex=True)
    for column, (problem, (common, title)) in zip(axes.T, settings.items()):
        count = seeds if problem == "parity" else max(1, seeds // 3)
        common |= {"problem": problem}
        configs = [common | {"supervision": kind, "seed": s} for kind in kinds for s in range(count)]
        runs = run_all(configs, lambda config: (config["problem"], config["supervision"]))
        for position, kind in enumerate(kinds):
            task, network = iis.build(common)
            network.init(iis.Explicit(task) if kind == "explicit" else task, np.random.default_rng(0))
            tasks, work = len(task.tasks), iis.multiplications(network)
            labels = tasks if kind in ("multi-label", "explicit") else 1
            passes = tasks if kind == "explicit" else 1
            colour = plt.cm.viridis(0.28 * position)
            dots(column[0], position, runs[problem, kind], common["examples"], color=colour)
            used = [labels * run.solved_at for run in runs[problem, kind] if run.solved_at]
            column[1].plot([position] * len(used), used, "o", color=colour, markersize=4)
            column[2].bar(position, passes * work, color=colour, width=0.6)
            text = f"{passes} pass" + "es" * (passes > 1)
            column[2].text(position, passes * work, text, ha="center", va="bottom", fontsize=8)
        not_learned(column[0], common["examples"])
        column[1].set_yscale("log")
        column[2].margins(y=0.12)
        counted(column[1].yaxis)
        counted(column[2].yaxis)
        column[0].set_title(f"{title}: {count} seeds")
        column[2].set_xticks(range(len(kinds)), kinds.values())
    names = "examples until 99 % right", "labels consumed until then", "multiplications to answer once"
    for axis, name in zip(axes[:, 0], names):
        axis.set_ylabel(name)
    figure.suptitle(
        "Labels of easier questions, and a chain of thought (read in turn). A dot for each seed"
    )
    return figure


def interference(seeds=5):
    """Do helpers that help with nothing do harm? Sums of other bits beside the right one."""
    counts, widths, budget = (0, 1, 2, 4, 8), (8, 32, 128), 1_000_000
    kinds = {"multi-task": "one label: 20 % ask a sum, of any group", "multi-label": "all labels"}
    configs = [
        {"distractors": d, "network": "mlp", "width": width, "seed": seed, "supervision": kind}
        for d in counts
        for width in widths
        for seed in range(seeds)
        for kind in kinds
    ]
    runs = run_all(configs, lambda c: (c["supervision"], c["width"], c["distractors"]))
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
    for axis, (kind, title) in zip(axes, kinds.items()):
        for i, (width, marker) in enumerate(zip(widths, "v^o")):
            colour = plt.cm.viridis(0.4 * i)
            medians = [
                np.median([run.solved_at or 1.4 * budget for run in runs[kind, width, d]])
                for d in counts
            ]
            axis.plot(np.arange(5) + 0.25 * (i - 1), medians, color=colour, linewidth=1)
            for position, d in enumerate(counts):
                label = {"label": f"width {width}"} if d == 0 else {}
                place = position + 0.25 * (i - 1)
                dots(axis, place, runs[kind, width, d], budget, color=colour, marker=marker, **label)
        not_learned(axis, budget)
        axis.set(title=title, xlabel="distractors: sums of 5 other bits each")
        axis.set_xticks(range(len(counts)), counts)
    axes[0].set_ylabel("examples until parity is 99 % right")
    axes[0].legend(loc="lower right")
    figure.suptitle(
        f"Parity of 5 of 50 bits and useless helpers, mlp. {seeds} seeds: a dot each, lines at medians"
    )
    return figure


def scale(seeds=5):
    """Do larger networks need fewer examples of the simple task? A map over width and p."""
    shares, widths, budget = (0, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8), (8, 32, 128, 512, 2048), 600_000
    configs = [
        {"p": p, "network": "mlp", "width": width, "seed": seed, "examples": budget}
        for p in shares
        for width in widths
        for seed in range(seeds)
    ]
    runs = run_all(configs, lambda config: (config["width"], config["p"]))
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6))
    names = "examples until parity is 99 % right", "how many of them asked for the sum"
    count = EngFormatter(sep="")
    for axis, name in zip(axes, names):
        picture = np.full((len(widths), len(shares)), np.nan)
        for row, width in enumerate(widths):
            for column, p in enumerate(shares):
                seen = [run.solved_at or np.inf for run in runs[width, p]]
                text = f"{np.isfinite(seen).sum()} of\n{seeds} learn"
                if p == 0 and axis is axes[1]:
                    text = "none"
                elif np.median(seen) < np.inf:
                    values = np.array([np.median(seen), min(seen), max(seen)]) * (
                        p if axis is axes[1] else 1
                    )
                    picture[row, column] = values[0]
                    text = "{}\n{}\u2013{}".format(
                        *("never" if v == np.inf else count(float(f"{v:.2g}")) for v in values)
                    )
                axis.text(column, row, text, ha="center", va="center", fontsize=7)
        axis.imshow(picture, norm="log", cmap="viridis", aspect="auto", origin="lower", alpha=0.55)
        axis.set(title=name, xlabel="p, the share of examples that ask the sum")
        axis.set_xticks(range(len(shares)), [f"{p:g}" for p in shares])
        axis.set_yticks(range(len(widths)), widths)
        axis.grid(False)
    axes[0].set_ylabel("width of the mlp (units)")
    figure.suptitle(
        f"Parity of 5 of 50 bits: median, and lowest to highest, of {seeds} seeds; at most {budget:,} examples"
    )
    return figure


def hardness(seeds=5):
    """Parity alone is hard for any network and start: what the gradient says at first, and growth in n."""
    ks, n = np.arange(1, 9), 18

    def both(job):
        k, seed = job
        problem, network, rng = iis.ParitySum(n, k, seed), iis.MLP(), np.random.default_rng(seed)
        network.init(problem, rng, np.float64)
        network.params["b"][:] = rng.uniform(-1, 1, network.width) / n**0.5  # as usual: not at 0
        return [iis.signal(problem, network, task) for task in (1, 0)]

    with ThreadPoolExecutor(SWEEP.get("jobs")) as pool:
        values = list(pool.map(both, [(k, seed) for k in ks for seed in range(seeds)]))
    values = np.array(values).reshape(len(ks), seeds, 2, 2)  # k, seed, task, (whole, telling)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.4))
    for i, (task, style) in enumerate((("parity", "o-"), ("sum", "s--"))):
        whole, telling = values[:, :, i].transpose(2, 0, 1)
        rate = np.exp(np.polyfit(ks[1:], np.log(np.median(telling, axis=1)[1:]), 1)[0])
        bars = np.transpose([middle(row) for row in telling])
        label = f"{task}: times {rate:.2f} for each k from 2 to 8"
        colour = plt.cm.viridis(0.6 * i)
        axes[0].errorbar(ks, bars[0], bars[1:], fmt=style, color=colour, label=label, markersize=4)
        label = f"{task}, the whole gradient"
        axes[0].plot(ks, np.median(whole, axis=1), ":", color=colour, label=label, linewidth=1)
    axes[0].set(
        yscale="log", xlabel="k, hidden bits of 18", ylabel="length of the gradient at the start"
    )
    axes[0].set_title("What the gradient tells of the hidden bits")
    axes[0].legend(fontsize=8)

    base = {"network": "mlp", "examples": 3_000_000}
    series = {(2, "target"): (10, 40, 160, 640, 2560), (3, "target"): (10, 20, 40, 80, 160, 320)}
    series |= {(k, "multi-task"): (10, 20, 40, 80, 160) for k in (3, 5, 8)}
    configs = [
        base | {"n": n, "k": k, "supervision": kind, "seed": seed, "every": 640 if k < 5 else None}
        for (k, kind), sizes in series.items()
        for n in sizes
        for seed in range(seeds)
    ]
    runs = run_all(configs, lambda config: (config["k"], config["supervision"], config["n"]))
    for i, ((k, kind), sizes) in enumerate(series.items()):
        seen = [[run.solved_at or np.nan for run in runs[k, kind, n]] for n in sizes]
        full = [j for j, row in enumerate(seen) if not np.isnan(row).any()]
        if not full:
            continue
        bars = np.transpose([middle(seen[j]) for j in full])
        sizes = np.array(sizes)[full]
        power = np.polyfit(np.log(sizes), np.log(bars[0]), 1)[0]
        label = f"k = {k}, {'alone' if kind == 'target' else '20 % sum'}: n to the {power:.2f}"
        style = ("o-", "s-", "s--", "^--", "v--")[i]
        colour = plt.cm.viridis((0, 0.3, 0.3, 0.6, 0.85)[i])
        axes[1].errorbar(sizes, bars[0], bars[1:], fmt=style, color=colour, label=label, markersize=4)
    axes[1].set(
        xscale="log", yscale="log", xlabel="n, bits of an example", ylabel="examples until 99 % right"
    )
    axes[1].set_title("Parity alone, and mixed with the sum")
    axes[1].set_ylim(300)
    axes[1].legend(fontsize=8, loc="lower right")
    figure.suptitle(f"mlp of width 128. {seeds} seeds: median and range")
    return figure


def theory(seeds=10):
    """The exact recursion, predicted without a sample, against training on samples."""
    shown, n, k, batch = (0.1, 0.2, 0.5), 50, 5, 64
    lr, ratio = iis.Bilinear.rates(n, k, batch)
    shares = (0.05, 0.07, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
    predicted = {p: iis.recursion(k, (p, 1 - p), 20_000, lr, ratio) for p in shares}
    paths = defaultdict(list)

    def watch(config, run):
        W, v, support = run.network.params["W"], run.network.params["v"], run.network.problem.support
        w = W[:, support].mean(axis=1)
        paths[config["p"], config["seed"]].append(
            (run.examples, w, v.copy(), *run.history[-1]["accuracy"].values())
        )

    base = {"network": "bilinear", "every": 1280, "examples": 1_500_000}
    configs = [base | {"p": p, "seed": seed} for p in shares for seed in range(seeds)]
    with_paths = {"executor": None, "store": None, "report": watch}
    runs = run_all(configs, lambda config: ("p", config["p"]), **with_paths)
    figure, axes = plt.subplots(3, 3, figsize=(11, 8.5))
    for column, p in zip(axes.T[:, :2], shown):
        curve, limit = predicted[p], max(run.examples for run in runs["p", p])
        steps = np.arange(limit // batch)
        for path in (paths[p, seed] for seed in range(seeds)):
            examples, w, v, *right = map(np.array, zip(*path))
            column[0].plot(examples, w, color="0.55", linewidth=0.4)
            column[0].plot(examples, v / 10, color="0.75", linewidth=0.4)
            for values, colour in zip(right, ("0.75", "0.55")):
                column[1].plot(examples, 100 * values, color=colour, linewidth=0.4)
        for name, factor, colour in (("w", 1, 0.0), ("v", 0.1, 0.6)):
            column[0].plot(
                steps * batch,
                factor * curve[name][steps],
                "--",
                color=plt.cm.viridis(colour),
                linewidth=1.2,
            )
        for name, colour in (("parity", 0.0), ("sum", 0.6)):
            label = f"{name}, predicted"
            column[1].plot(
                steps * batch, 100 * curve[name][steps], "--", color=plt.cm.viridis(colour), label=label
            )
        column[0].set(title=f"p = {p:g}", xlim=(0, limit))
        column[1].set(xlabel="examples seen", xlim=(0, limit))
        counted(column[0].xaxis)
        counted(column[1].xaxis)
    axes[0, 0].set_ylabel("weights: W on the hidden bits\n(to 1/2), v / 10 (spreading)")
    axes[1, 0].set_ylabel("held-out examples right (%)")
    axes[1, 0].legend(fontsize=8)

    expected = {}
    for position, (p, curve) in enumerate(predicted.items()):
        dots(
            axes[2, 0],
            position,
            runs["p", p],
            base["examples"],
            color=plt.cm.viridis(0.3),
            markersize=3,
        )
        seen = [run.solved_at or np.inf for run in runs["p", p]]
        if curve["parity"].max() >= 0.99:
            expected[p] = batch * int(np.argmax(curve["parity"] >= 0.99))
            print(
                f"p = {p:g}: predicted {expected[p]:,}, measured {np.median(seen):,.0f} examples",
                end=" ",
            )
            print(f"in the median, {np.median(seen) / expected[p]:.3f} times as many")
        else:
            print(f"p = {p:g}: predicted never, measured {seen.count(np.inf)} of {seeds} never")
    places, values = [shares.index(p) for p in expected], np.array([*expected.values()])
    axes[2, 0].plot(places, values, "--", color=plt.cm.viridis(0.0), label="predicted")
    band = {"color": "0.85", "linewidth": 0, "label": "within 15 %"}
    axes[2, 0].fill_between(places, values / 1.15, 1.15 * values, **band)
    axes[2, 0].set(
        xlabel="p, the share of examples that ask the sum", ylabel="examples until 99 % right"
    )
    axes[2, 0].set_xticks(range(len(shares)), [f"{p:g}" for p in shares])
    not_learned(axes[2, 0], base["examples"])
    axes[2, 0].legend(fontsize=8, loc="center")
    axes[2, 0].set_title("predicted and measured")

    batches = (32, 64, 256, 1024)
    configs = [
        base | {"batch": size, "lr": lr, "every": 10 * size, "examples": 4_000 * size, "seed": seed}
        for size in batches
        for seed in range(seeds)
    ]
    runs = run_all(configs, lambda config: ("batch", config["batch"]))
    steps = expected[0.2] / batch
    bars = [
        middle([(run.solved_at or np.nan) / size / steps for run in runs["batch", size]])
        for size in batches
    ]
    bars = np.transpose(bars)
    axes[2, 1].errorbar(batches, bars[0], bars[1:], fmt="o-", color=plt.cm.viridis(0.3), markersize=4)
    axes[2, 1].axhline(1, color="0.3", linewidth=0.8)
    axes[2, 1].set(xscale="log", xlabel="examples per step", ylabel="steps needed / steps predicted")
    axes[2, 1].set_xticks(batches, batches)
    axes[2, 1].minorticks_off()
    axes[2, 1].set_title("p = 0.2: samples are noise")

    spreads, budget = (0, 0.01, 0.03, 0.1, 0.2, 0.3), 1_000_000
    configs = [
        {"network": "bilinear", "spread": spread, "seed": seed}
        for spread in spreads
        for seed in range(seeds)
    ]
    runs = run_all(configs, lambda config: ("spread", config["spread"]))
    for position, spread in enumerate(spreads):
        dots(axes[2, 2], position, runs["spread", spread], budget, color=plt.cm.viridis(0.3))
    not_learned(axes[2, 2], budget)
    axes[2, 2].set_xticks(range(len(spreads)), [f"{spread:g}" for spread in spreads])
    axes[2, 2].set(xlabel="noise added to W and v at the start", ylabel="examples until 99 % right")
    axes[2, 2].set_title("p = 0.2: another start")
    figure.suptitle(
        f"Bilinear, parity of 5 of 50 bits. Dashed: the exact recursion. Grey, dots: {seeds} seeds, or median and range"
    )
    return figure


def digits(seeds=5):
    """The same over pictures: 16 handwritten zeros and ones, 5 of them hidden; new pictures to test."""
    problem, budget = iis.Digits(), 400_000
    kinds = {"target": "parity alone", "multi-task": "20 % ask the sum", "multi-label": "all labels"}
    kinds |= {"explicit": "all, read in turn"}
    base = {"problem": "digits", "examples": budget, "stop_when_solved": False}
    configs = [base | {"supervision": kind, "seed": seed} for kind in kinds for seed in range(seeds)]
    runs = run_all(configs, lambda config: config["supervision"])
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), width_ratios=[1.7, 1])
    for i, (kind, style) in enumerate(zip(kinds, (":", "-", "--", "-."))):
        colour = plt.cm.viridis(0.28 * i)
        examples, median, low, high = curves(runs[kind], "parity")
        label = f"{kinds[kind]}: {median[-1]:.1f} % in the end"
        axes[0].plot(examples, median, style, color=colour, label=label)
        axes[0].fill_between(examples, low, high, color=colour, alpha=0.2, linewidth=0)
    axes[0].set(xscale="log", xlabel="examples seen", ylabel="parity right (%), new pictures")
    axes[0].legend(fontsize=8)
    inputs, labels = problem.sample_held_out(np.random.default_rng(0), 1)
    points = iis.unpacked(inputs.T, 64).reshape(2, 8, 8, 8)  # row and column of the picture, and in it
    picture = np.pad(points, ((0, 0), (0, 0), (1, 1), (1, 1))).transpose(0, 2, 1, 3).reshape(20, 80)
    axes[1].imshow(picture, cmap="Greys")
    for position in problem.support:
        corner = (10 * (position % 8) - 0.5, 10 * (position // 8) - 0.5)
        axes[1].add_patch(
            plt.Rectangle(corner, 10, 10, fill=False, color=plt.cm.viridis(0.6), linewidth=2)
        )
    axes[1].set_axis_off()
    total, parity = labels[0]
    axes[1].set_title(f"an example, hidden ones framed: sum {total}, parity {parity}")
    figure.suptitle(f"Parity of 5 of 16 pictures. mlp, {seeds} seeds: median and range")
    return figure


def moments(config, path, go_on=lambda: True):
    """Train, appending to path at every evaluation: examples, accuracies, and W's sizes (units, bits)."""

    def watch(config, run):
        if not go_on():
            raise InterruptedError
        W = run.network.params["W"]
        W = (W if config["network"] == "bilinear" else W.T)[:, : config["n"]]
        path.append((run.examples, run.history[-1]["accuracy"], abs(W)))

    run = iis.run_one(config, watch)
    if isinstance(run, Exception):
        raise run


def picture(curve_axis, weight_axis, config, path, frame):
    """Draw the accuracies of the whole path, and the weights at one moment of it."""
    curve_axis.clear()
    weight_axis.clear()
    support = iis.build(config)[0].support
    examples, accuracies, weights = zip(*path)
    for task, style, colour in (("sum", "--", 0.6), ("parity", "-", 0.0)):
        right = [100 * accuracy[task] for accuracy in accuracies]
        curve_axis.plot(examples, right, style, color=plt.cm.viridis(colour), label=task)
        curve_axis.plot(examples[frame], right[frame], "o", color=plt.cm.viridis(colour), markersize=7)
    curve_axis.set(ylim=(0, 103), xlabel="examples seen", ylabel="held-out examples right (%)")
    counted(curve_axis.xaxis)
    curve_axis.legend(loc="center right")
    weight_axis.imshow(
        weights[frame],
        aspect="auto",
        cmap="magma",
        vmin=0,
        vmax=weights[-1].max(),
        interpolation="nearest",
    )
    weight_axis.set_xticks(support, ["▲"] * len(support))
    weight_axis.set(xlabel="bits; ▲ the hidden ones", ylabel="units", yticks=[])
    weight_axis.set_title(f"size of the weights after {examples[frame]:,} examples")
    weight_axis.tick_params(length=0)
    weight_axis.grid(False)


def film(seeds=1):
    """The explorer's picture as a film: the hidden columns light up first, parity follows."""
    config = iis.complete({"network": "mlp", "width": 32, "every": 6400})
    moments(config, path := [])
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3), dpi=80)
    figure.suptitle("Parity of 5 of 50 bits, p = 0.2, mlp of width 32, one seed")
    frames = [*range(len(path))] + [len(path) - 1] * 10  # and stay at the end for a moment
    return FuncAnimation(
        figure, lambda frame: picture(*axes, config, path, frame), frames, interval=150
    )


class Explorer:
    """One window: sliders and buttons; each change trains anew, in a thread, and draws what comes of it.

    Only the last change counts: a run under way ends at its next evaluation. Then the weights play
    from the start of the training to its end; the slider at the bottom goes through it by hand.
    """

    def __init__(self):
        self.figure = plt.figure("iis explore", figsize=(11, 6.4), layout="none")
        add = self.figure.add_axes
        self.axes = add((0.07, 0.44, 0.4, 0.47)), add((0.55, 0.44, 0.42, 0.47))
        ranges = {  # lowest, highest, start, step
            "p": ("p, share of sums", 0, 1, 0.2, 0.01),
            "n": ("n, bits", 10, 200, 50, 1),
            "k": ("k, hidden ones", 1, 10, 5, 1),
            "width": ("width of the mlp", 2, 512, 128, 2),
        }
        self.sliders, look = {}, {"initcolor": "none", "color": "0.5"}
        for i, (name, (label, low, high, start, step)) in enumerate(ranges.items()):
            place = add((0.17, 0.28 - 0.05 * i, 0.26, 0.04))
            self.sliders[name] = Slider(place, label, low, high, valinit=start, valstep=step, **look)
        self.moment = Slider(add((0.64, 0.28, 0.26, 0.04)), "moment", 0, 1, valfmt="  %.2f", **look)
        self.buttons = {}
        for name, left in (("network", 0.57), ("supervision", 0.77)):
            labels = iis.NETWORKS["parity"] if name == "network" else iis.SUPERVISIONS
            axis = add((left, 0.04, 0.17, 0.19), title=name)
            self.buttons[name] = RadioButtons(axis, labels, active=1, activecolor="0.3")
            axis.set_axis_off()
        for widget in self.sliders.values():
            widget.on_changed(self.change)
        for widget in self.buttons.values():
            widget.on_clicked(self.change)
        self.moment.on_changed(self.scrub)
        text = (
            "Each change trains anew; then the weights play.\nDrag moment to go through the training."
        )
        self.figure.text(0.17, 0.05, text)
        self.changed = threading.Event()
        self.change()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()
        self.timer = self.figure.canvas.new_timer(interval=60)
        self.timer.add_callback(self.draw)
        self.timer.start()

    def change(self, _=None):
        """Note what is wanted now, and start playing."""
        config = {name: slider.val for name, slider in self.sliders.items()}
        config |= {name: buttons.value_selected for name, buttons in self.buttons.items()}
        config = iis.complete(config | {"examples": 400_000, "every": 1280})
        self.go_to(0)
        self.playing = True
        self.shown = None
        self.latest = config, [], []  # what is trained, its moments so far, and how it ended
        self.changed.set()

    def work(self):
        """Train what is wanted last, over and over: the thread."""
        while self.changed.wait():
            self.changed.clear()
            if (latest := self.latest) is None:
                return
            config, path, end = latest
            try:
                moments(config, path, lambda: latest is self.latest)
                learned = path[-1][1]["parity"] >= 0.99
                after = f" after {path[-1][0]:,} examples"
                end.append("parity learned" + after if learned else "parity not learned" + after)
            except InterruptedError:  # something else is wanted by now
                pass
            except iis.Diverged as error:
                end.append(str(error))

    def close(self):
        """End the thread: Python must not exit in the midst of a kernel."""
        self.latest = None
        self.changed.set()
        self.thread.join()

    def scrub(self, _):
        """Note that the moment was moved by hand."""
        self.playing = False

    def go_to(self, moment):
        """Move the slider of the moment without calling scrub."""
        self.moment.eventson = self.moment.drawon = False
        self.moment.set_val(moment)
        self.moment.eventson = self.moment.drawon = True

    def draw(self):
        """Draw what is new. The timer calls this, and no other thread draws."""
        if self.latest is None:
            return
        (config, path, end), moment = self.latest, self.moment
        if self.playing and end:
            self.go_to(min(1, moment.val + 0.02))
            self.playing = moment.val < 1
        state = len(path), len(end), moment.val
        if path and state != self.shown:
            self.shown = state
            picture(*self.axes, config, path[: state[0]], round(moment.val * (state[0] - 1)))
            text = end[0] if end else "training ..."
            self.figure.suptitle(f"{config['network']}, {config['supervision']}: {text}")
            self.figure.canvas.draw_idle()


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


FIGURES = mixture, supervision, interference, scale, hardness, theory, digits, lego, code, speed, film


def main():
    parser = argparse.ArgumentParser(description="Draw figures about iis.py.")
    figures = {figure.__name__: figure for figure in FIGURES}
    names = ", ".join(figures)
    text = f"one of {names} (all of these), or explore: a window to play with"
    choices = [*figures, "explore"]
    parser.add_argument("name", nargs="?", choices=choices, metavar="NAME", help=text)
    parser.add_argument("--seeds", type=int, help="seeds, or rounds of speed (5 or 10)")
    parser.add_argument(
        "--folder", type=Path, default=Path("figures"), help="where to save it (figures)"
    )
    parser.add_argument("--jobs", type=int, help="so many runs at a time (one for each core)")
    parser.add_argument(
        "--store", metavar="FILE", help="keep finished runs there; do only those missing"
    )
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="dask's scheduler to run on, tcp://HOST:PORT"
    )
    args = parser.parse_args()
    try:
        seeds = () if args.seeds is None else (iis.number("seeds", args.seeds, 1, whole=True),)
        if args.jobs is not None:
            SWEEP["jobs"] = iis.number("jobs", args.jobs, 1, whole=True)
        args.folder.mkdir(parents=True, exist_ok=True)
        SWEEP["store"] = args.store
        if args.cluster:
            from distributed import Client

            client = Client(args.cluster)
            client.upload_file(iis.__file__)
            SWEEP["executor"] = client.get_executor()
    except (ValueError, OSError) as error:
        sys.exit(f"plots.py: {error}")
    except ImportError:
        sys.exit("plots.py: --cluster needs dask: pip install distributed")
    if args.name == "explore":
        if plt.get_backend().lower() == "agg":
            sys.exit("plots.py: explore needs a display, and tkinter or another window toolkit")
        explorer = Explorer()
        plt.show(block=True)
        return explorer.close()
    plt.switch_backend("agg")
    drawn = 0
    for name in [args.name] if args.name else figures:
        try:
            path = args.folder / f"{name}.{'gif' if name == 'film' else 'png'}"
            drawing = figures[name](*seeds)
            drawing.save(path, "pillow") if name == "film" else drawing.savefig(path)
            print(path, flush=True)
            drawn += 1
        except (ValueError, OSError) as error:
            print(f"plots.py: {name}: {error}", file=sys.stderr)
    return drawn == 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("plots.py: interrupted")
