"""Figures about iis.py. `python plots.py` draws all into the folder figures/ and says where.

`python plots.py mixture` draws one. What is computed, iis.py computes; here it is drawn: one function a
figure, each makes one point, which its title says. The colours differ in lightness too, for grey prints and
for eyes that see few of them. A median counts a run that did not learn as larger than any other.
"""

import argparse
import contextlib
import functools
import importlib
import itertools
import os
import platform
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if __name__ == "__main__":  # runs will be parallel; products of matrices need not be so too
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator
from matplotlib.widgets import RadioButtons, Slider

import iis

STYLE = {"figure.constrained_layout.use": True, "figure.dpi": 110, "font.size": 9, "legend.fontsize": 8,
         "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25,
         "axes.titlesize": 10, "figure.titlesize": 11}
SWEEP = {}  # how iis.sweep is to run, as the command line says: jobs, store, executor
WATCHED = {"store": None, "executor": None}  # for runs that report as they go: from here, and not from a store
RIGHT = "held-out examples right (%)"
LEARNED = "examples until parity is 99 % right"


# --------------------------------------------------------------------------------------------------
# What figures share


def run_all(runs, key, **how):
    """Train all runs; print what came of each group, and return it: {key(settings): [Run per seed]}."""
    found = defaultdict(dict)
    for count, (settings, run) in enumerate(iis.sweep(runs, **SWEEP | how), 1):
        if isinstance(run, Exception):
            raise run
        found[key(settings)][settings["seed"]] = run
        if sys.stderr.isatty():
            print(f"\r\033[K{count} of {len(runs)} runs", end="\r\033[K"[: 1 + 3 * (count == len(runs))],
                  file=sys.stderr, flush=True)
    groups = {name: [found[name][seed] for seed in sorted(found[name])] for name in dict.fromkeys(map(key, runs))}
    for name, group in groups.items():
        words, seen = " ".join(map(str, name)), [run.solved_at or np.inf for run in group]
        right = np.median([100 * list(run.history[-1]["accuracy"].values())[-1] for run in group])
        print(f"{words:28} learned {np.isfinite(seen).sum():2} of {len(seen):2}, {right:5.1f} % right at the end,"
              f" median {said(np.median(seen)):>9} examples ({said(min(seen))} to {said(max(seen))})", flush=True)
    return groups


def said(examples):
    return f"{examples:,.0f}" if np.isfinite(examples) else "never"


def solved(runs):
    """The examples until each run was solved, infinitely many if it was not."""
    return np.array([run.solved_at or np.inf for run in runs])


def shade(i, count):
    """The i-th of so many colours, from dark to light."""
    return plt.cm.viridis(0.87 * i / max(1, count - 1))


def titled(figure, point, details):
    figure.suptitle(f"{point}\n{details}")


def lines(axis, runs, task, **style):
    """Accuracy over examples, a line for each seed. It ends where the run ends: at a dot, if it was solved there."""
    style = {"linewidth": 0.9, "marker": "o", "markersize": 3.5} | style
    for i, run in enumerate(runs):
        right = [100 * record["accuracy"][task] for record in run.history]
        style["markevery"] = [len(right) - 1] if run.solved_at == run.examples else []
        axis.plot([record["examples"] for record in run.history], right, **style)
        style["label"] = None  # one for all


def dots(axis, position, runs, limit, **style):
    """A dot for each seed: the examples until it was solved, or above `limit` if it was not."""
    seen = [run.solved_at or 1.4 * limit for run in runs]
    spread = np.linspace(-0.1, 0.1, len(seen)) if len(seen) > 1 else np.zeros(1)
    axis.plot(position + spread, seen, **{"marker": "o", "markersize": 4, "linestyle": "", "alpha": 0.8} | style)


def not_learned(axis, limit):
    """Mark the band in which dots puts the runs that were not solved; to call when all are drawn."""
    axis.axhspan(1.2 * limit, 2.5 * limit, color="0.9", linewidth=0)
    axis.text(0.5, 2 * limit, f"not learned in {limit:,}", va="center", ha="center", fontsize=8,
              transform=axis.get_yaxis_transform())
    axis.set(yscale="log", ylim=(None, 2.5 * limit))
    counted(axis.yaxis)


def counted(axis, form=None):
    """Write 20k for 20,000 or as form says; on a logarithmic axis between powers of ten too, where there is room."""
    axis.set_major_formatter(form or EngFormatter(sep=""))
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        subs = (1,) if high > 300 * low else (1, 2, 5) if high > 6 * low else (1, 1.5, 2, 3, 4, 5, 6, 8)
        axis.set_major_locator(LogLocator(subs=subs, numticks=30))
        axis.set_minor_locator(NullLocator())


def ticks(axis, values):
    """Label these values and no others."""
    axis.set_ticks(values, [f"{value:g}" for value in values])
    axis.set_minor_locator(NullLocator())


# --------------------------------------------------------------------------------------------------
# The finding


def mixture(seeds=5):
    """What share of helper questions is best? Examples needed against p, and what training looks like."""
    shares, shown = (0, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1), (0, 0.01, 0.2, 0.9)
    networks, budget = (iis.Bilinear(), iis.MLP()), 3_000_000
    runs = [dict(problem=iis.ParitySum(seed=seed), network=network, p=p, seed=seed, examples=budget)
            for p in shares for network in networks for seed in range(seeds)]
    runs = run_all(runs, lambda settings: (settings["network"].name, settings["p"]))
    layout = [["all", "all", 0, 0.01], ["all", "all", 0.2, 0.9]]
    figure, axes = plt.subplot_mosaic(layout, figsize=(12, 5.2))
    for i, (name, marker) in enumerate((("bilinear", "D"), ("mlp", "o"))):
        for position, p in enumerate(shares):
            label = {"label": name} if p == 0 else {}
            dots(axes["all"], position + 0.3 * i - 0.15, runs[name, p], budget, color=shade(i, 2.6), marker=marker, **label)
        for p in shown:
            for task, style in (("sum", ":"), ("parity", "-")):
                if p > 0 or task == "parity":  # what was asked
                    label = {"label": f"{name}: {task}"} if p == 0.2 else {}
                    lines(axes[p], runs[name, p], task, color=shade(i, 2.6), linestyle=style, marker=marker, **label)
    not_learned(axes["all"], budget)
    axes["all"].set_xticks(range(len(shares)), [f"{p:g}" for p in shares])
    axes["all"].set(xlabel="p, the share of examples that ask the sum", ylabel=LEARNED)
    axes["all"].legend(loc="center left")
    for p in shown:
        axes[p].set(title=f"p = {p:g}", xscale="log", xlim=(6.4e3, budget), ylim=(30, 103))
        counted(axes[p].xaxis)
        if p in (0, 0.2):
            axes[p].set_ylabel(RIGHT)
        if p in (0.2, 0.9):
            axes[p].set_xlabel("examples seen")
    axes[0.2].legend(loc="lower right", fontsize=7)
    titled(figure, "Any share of sums but the most extreme ones teaches both networks the parity",
           f"5 hidden bits out of 50. A dot, or a line, for each of {seeds} seeds; a line ends where parity is learned")
    return figure


def why(seeds=5):
    """Why does the sum help? It tells which bits are hidden, and of those parity is a zigzag."""
    problem, rng, watched = iis.ParitySum(), np.random.default_rng(0), defaultdict(list)
    figure, axes = plt.subplots(2, 2, figsize=(11, 7.2))
    network, hidden = iis.MLP(), np.isin(np.arange(problem.n), problem.support)
    network.init(problem, rng)
    for task, (name, marker) in enumerate((("sum", "s"), ("parity", "o"))):
        gradient = 0
        for _ in range(10):  # all at once they would not fit the memory
            bits, labels = problem.sample(rng, 64_000)
            labels[:, 1 - task] = -1
            gradient += network.loss_and_gradients(bits, labels)[1]["W"] / 10
        lengths, colour = np.linalg.norm(gradient, axis=1), shade(1 - task, 2.6)  # (n, width) -> (n,)
        axes[0, 0].plot(np.flatnonzero(hidden), lengths[hidden], marker, color=colour, label=f"{name}, hidden bits")
        axes[0, 0].plot(np.flatnonzero(~hidden), lengths[~hidden], marker, color=colour, label=f"{name}, other bits",
                        fillstyle="none")
    axes[0, 0].set(yscale="log", xlabel="input bit", ylabel="length of the gradient by its weights",
                   title="mlp at its start, 640,000 examples: the sum shows the hidden bits")
    counted(axes[0, 0].yaxis, "{x:g}")
    axes[0, 0].legend(loc="lower left", ncols=2)

    inputs, labels = problem.sample(rng, 4_000)

    def watch(key, run):  # the share of inputs of each sum that are called odd
        odd = run.network.predict(inputs)[:, 1]
        shares = [odd[labels[:, 0] == s].mean() for s in range(problem.k + 1)]
        watched[key].append((run.history[-1]["accuracy"]["parity"], shares))

    runs = [dict(problem=problem, network=network, seed=seed, every=1280,
                 report=functools.partial(watch, (network.name, seed)))
            for network in (iis.MLP(), iis.Bilinear()) for seed in range(seeds)]
    runs = run_all(runs, lambda settings: (settings["network"].name,), **WATCHED)
    sums = np.arange(problem.k + 1)
    axes[1, 1].plot(sums, 100 * (sums % 2), color="0.75", linewidth=5, label="the parity")
    for axis, name, i in ((axes[0, 1], "mlp", 1), (axes[1, 0], "bilinear", 0)):
        for task, style in (("sum", ":"), ("parity", "-")):
            lines(axis, runs[name,], task, color=shade(i, 2.6), linestyle=style, label=task)
        for level, words in ((20 / 32, "only the sums 2 and 3"), (30 / 32, "all but 0 and 5"), (31 / 32, "all but one end")):
            axis.axhline(100 * level, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
            axis.annotate(f"{100 * level:.1f} %: {words}", (1.01, 100 * level), xycoords=("axes fraction", "data"),
                          fontsize=7, va="top" if level == 30 / 32 else "center")
        axis.set(title=f"{name}, 20 % sums: first the sum, then the parity", xlabel="examples seen", ylabel=RIGHT)
        axis.set(ylim=(20, 102))
        counted(axis.xaxis)
        axis.legend(loc="lower right")
        plateau = [min(watched[name, seed], key=lambda moment: abs(moment[0] - 30 / 32))[1] for seed in range(seeds)]
        axes[1, 1].plot(sums, 100 * np.median(plateau, axis=0), "oD"[1 - i] + "--", color=shade(i, 2.6),
                        label=f"{name}, when {100 * 30 / 32:.1f} % right")
    axes[1, 1].set(title="parity turns with each step of the sum; the ends, 1 in 32 inputs each, come last",
                   xlabel="sum of the hidden bits", ylabel="called odd (%)")
    axes[1, 1].legend()
    titled(figure, "The sum tells the network which bits count; parity is then a zigzag over k + 1 values",
           f"5 hidden bits out of 50. Trainings: a line for each of {seeds} seeds, it ends where parity is learned")
    return figure


def separation(seeds=10):
    """How far does each supervision get as k grows? The control has fewer seeds and a budget."""
    ks, budget, controls = range(2, 9), 10_000_000, max(1, seeds // 2)
    kinds = {"target": "parity alone", "multi-task": "one label, 20 % ask the sum", "multi-label": "both labels"}
    runs = [dict(problem=iis.ParitySum(k=k, seed=seed), network=iis.MLP(), supervision=kind, seed=seed, examples=budget)
            for kind in kinds for k in ks for seed in range(controls if kind == "target" else seeds)]
    runs = run_all(runs, lambda settings: (settings["supervision"], settings["problem"].k))
    figure, axis = plt.subplots(figsize=(7.5, 4.8))
    for i, (kind, words) in enumerate(kinds.items()):
        medians = [np.median(solved(runs[kind, k])) for k in ks]
        axis.plot(np.array(ks) + 0.25 * (i - 1), medians, (":", "-", "--")[i], color=shade(i, 3), linewidth=1)
        for k in ks:
            label = {"label": f"{words}, {len(runs[kind, k])} seeds"} if k == ks[0] else {}
            dots(axis, k + 0.25 * (i - 1), runs[kind, k], budget, color=shade(i, 3), marker="osv"[i], **label)
    not_learned(axis, budget)
    axis.set(xlabel="k, hidden bits out of 50", ylabel=LEARNED)
    axis.legend(loc="lower right")
    titled(figure, "With the sum's help larger parities are learned than alone",
           "mlp of width 128. A dot for each seed, lines at medians")
    return figure


def supervision(seeds=10):
    """How do labels of easier questions compare with a chain of thought, in examples, labels and passes?"""
    kinds = {"target": "target\nalone", "multi-task": "one\nlabel", "multi-label": "all\nlabels",
             "explicit": "all, read\nin turn", "curriculum": "one, easy\nones first"}
    settings = [  # examples at most: on parity more than any helper needs
        (dict(problem=iis.ParitySum(), network=iis.MLP(), p=0.2, examples=200_000, every=1280), "parity, 5 of 50 bits", 5),
        (dict(problem=iis.Lego(), network=iis.Transformer(layers=4, heads=4), p=0.8, examples=300_000), "lego, 5 hops", 4),
        (dict(problem=iis.Code(), network=iis.Transformer(layers=6), p=0.75, examples=500_000), "code, 4 lines", 4)]
    figure, axes = plt.subplots(2, 3, figsize=(12, 6.4), sharex="col", width_ratios=[5, 4, 4])
    for column, (common, title, many) in zip(axes.T, settings):
        count = seeds if common["problem"].name == "parity" else max(1, seeds // 3)
        compared, tasks, labels = list(kinds)[:many], len(common["problem"].tasks), []
        runs = run_all([common | dict(supervision=kind, seed=seed) for kind in compared for seed in range(count)],
                       lambda settings: (settings["problem"].name, settings["supervision"]))
        for position, kind in enumerate(compared):
            group = runs[common["problem"].name, kind]
            dots(column[0], position, group, common["examples"], color=shade(position, 5), marker="osv^D"[position])
            carried = tasks if kind in ("multi-label", "explicit") else 1
            used = [carried * run.solved_at for run in group if run.solved_at]
            column[1].plot([position] * len(used), used, "osv^D"[position], color=shade(position, 5), markersize=4)
            labels.append(f"{kinds[kind]}\n{tasks} passes" if kind == "explicit" else f"{kinds[kind]}\n1 pass")
        not_learned(column[0], common["examples"])
        column[1].set_yscale("log")
        counted(column[1].yaxis)
        column[0].set_title(f"{title}: {count} seeds")
        column[1].set_xticks(range(many), labels, fontsize=8)
        column[1].set_xlim(-0.5, many - 0.5)
    axes[0, 0].set_ylabel("examples until the target is 99 % right")
    axes[1, 0].set_ylabel("labels consumed until then")
    titled(figure, "A chain of thought (all, read in turn) learns from the fewest examples, "
           "but needs a pass for each question to answer", "Below, what answering takes. A dot for each seed")
    return figure


def curriculum(seeds=10):
    """Must the easy questions be mixed in, or can they come first? Then they may be forgotten."""
    kinds = {"multi-task": "mixed, 20 % ask the sum", "curriculum": "first the sum alone, then the parity alone"}
    cases = [(iis.MLP(), 5, 600_000), (iis.MLP(), 7, 1_500_000), (iis.Bilinear(), 5, 600_000)]
    figure, axes = plt.subplots(1, 4, figsize=(13, 4), width_ratios=[1.2, 1, 1, 1])
    runs = [dict(problem=iis.ParitySum(k=k, seed=seed), network=network, supervision=kind, seed=seed, examples=examples,
                 stop_when_solved=False)
            for network, k, examples in cases for kind in kinds for seed in range(seeds)]
    runs = run_all(runs, lambda settings: (settings["network"].name, settings["problem"].k, settings["supervision"]))
    for position, ((network, k, budget), axis) in enumerate(zip(cases, axes[1:])):
        for i, (kind, words) in enumerate(kinds.items()):
            group, style = runs[network.name, k, kind], {"color": shade(1 - i, 2.6), "label": words}
            lines(axis, group, "sum", linestyle="-:"[1 - i], **style)
            style |= {} if position == 0 else {"label": None}
            dots(axes[0], position + 0.3 * i - 0.15, group, budget, marker="oD"[i], **style)
        axis.set(title=f"{network.name}, k = {k}", xlabel="examples seen", ylim=(30, 103))
        counted(axis.xaxis)
    axes[0].set_yscale("log")
    counted(axes[0].yaxis)
    axes[0].set_ylabel(LEARNED)
    axes[0].set_xticks(range(len(cases)), [f"{network.name}\nk = {k}" for network, k, _ in cases])
    axes[1].set_ylabel("the sum: " + RIGHT)
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    titled(figure, "Easy questions first teach parity about as soon as mixed ones, but an mlp then forgets the easy ones",
           f"Parity of k hidden bits out of 50. A dot, or a line, for each of {seeds} seeds")
    return figure


def interference(seeds=5):
    """Do helpers that help with nothing do harm? Sums of other bits beside the right one."""
    counts, widths, budget = (0, 1, 2, 4, 8), (8, 32, 128), 1_000_000
    kinds = {"multi-task": "one label: 20 % ask a sum, of any group", "multi-label": "all labels"}
    runs = [dict(problem=iis.ParitySum(distractors=count, seed=seed), network=iis.MLP(width), supervision=kind, seed=seed)
            for count in counts for width in widths for seed in range(seeds) for kind in kinds]
    runs = run_all(runs, lambda settings: (settings["supervision"], settings["network"].width, settings["problem"].distractors))
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True)
    for axis, (kind, words) in zip(axes, kinds.items()):
        for i, (width, marker) in enumerate(zip(widths, "v^o")):
            places = np.arange(len(counts)) + 0.25 * (i - 1)
            medians = [np.median(solved(runs[kind, width, count])) for count in counts]
            axis.plot(places, medians, (":", "--", "-")[i], color=shade(i, 3), linewidth=1)
            for place, count in zip(places, counts):
                label = {"label": f"width {width}"} if count == 0 else {}
                dots(axis, place, runs[kind, width, count], budget, color=shade(i, 3), marker=marker, **label)
        not_learned(axis, budget)
        axis.set(title=words, xlabel="useless helpers: sums of 5 other bits each")
        axis.set_xticks(range(len(counts)), counts)
    axes[0].set_ylabel(LEARNED)
    axes[0].legend(loc="lower right")
    titled(figure, "Helpers that help with nothing cost examples, and small networks the parity",
           f"Parity of 5 of 50 bits, mlp. A dot for each of {seeds} seeds, lines at medians")
    return figure


def scale(seeds=5):
    """Do larger networks need fewer examples of the simple task? A map over width and p."""
    shares, widths, budget = (0, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8), (8, 32, 128, 512, 2048), 600_000
    runs = [dict(problem=iis.ParitySum(seed=seed), network=iis.MLP(width), p=p, seed=seed, examples=budget)
            for p in shares for width in widths for seed in range(seeds)]
    runs = run_all(runs, lambda settings: (settings["network"].width, settings["p"]))
    figure, axis = plt.subplots(figsize=(7.5, 4.8))
    picture = np.full((len(widths), len(shares)), np.nan)
    for row, width in enumerate(widths):
        for column, p in enumerate(shares):
            seen = solved(runs[width, p])
            text = f"{np.isfinite(seen).sum()} of {seeds}\nlearn"
            if np.isfinite(np.median(seen)):
                picture[row, column] = np.median(seen)
                text = [f"{x / 1000:.0f}k" if x < np.inf else "never" for x in (np.median(seen), min(seen), max(seen))]
                text = "{}\n{}\u2013{}".format(*text)
            axis.text(column, row, text, ha="center", va="center", fontsize=7.5)
    axis.imshow(picture, norm="log", cmap="viridis_r", aspect="auto", origin="lower", alpha=0.45)
    axis.set(xlabel="p, the share of examples that ask the sum", ylabel="width of the mlp (units)")
    axis.set_xticks(range(len(shares)), [f"{p:g}" for p in shares])
    axis.set_yticks(range(len(widths)), widths)
    axis.grid(False)
    titled(figure, "The wider the network, the fewer sums it needs, and at last none",
           f"Parity of 5 of 50 bits: examples until learned, at most {budget:,}.\n"
           f"Median, and lowest to highest, of {seeds} seeds; the darker the more")
    return figure


def hardness(seeds=5):
    """Parity alone is hard for any network and start: what the gradient says at first, and growth in n."""
    ks, n = np.arange(1, 9), 18

    def both(job):
        k, seed = job
        problem, network, rng = iis.ParitySum(n, k, seed), iis.MLP(), np.random.default_rng(seed)
        network.init(problem, rng, np.float64)
        network.params["b"][:] = rng.uniform(-1, 1, network.width) / n**0.5  # at 0, odd k would tell nothing at all
        return [iis.signal(problem, network, task)[1] for task in (1, 0)]

    with ThreadPoolExecutor(SWEEP.get("jobs")) as pool:
        telling = np.array(list(pool.map(both, itertools.product(ks, range(seeds)))))
    telling = telling.reshape(len(ks), seeds, 2)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6))
    for i, (task, style) in enumerate((("parity", "o-"), ("sum", "s--"))):
        median, low, high = (f(telling[:, :, i], axis=1) for f in (np.median, np.min, np.max))
        label = f"{task}: from k = 2 to 8, {median[1] / median[7]:.2g} times shorter"
        left.errorbar(ks, median, (median - low, high - median), fmt=style, color=shade(i, 2.6), label=label, markersize=4)
    left.set(yscale="log", xlabel="k, hidden bits of 18", title="mlp at its start: what the gradient tells of the hidden bits",
             ylabel="length of the part of the exact gradient")
    counted(left.yaxis, "{x:g}")
    left.legend()

    sizes, budget = (20, 40, 80, 160), 8_000_000  # fewer bits have too few inputs for new ones to test on
    series = {(k, "target"): "ooo"[0] for k in (2, 3, 5)} | {(k, "multi-task"): "s" for k in (3, 5, 8)}
    runs = [dict(problem=iis.ParitySum(n, k, seed), network=iis.MLP(), supervision=kind, seed=seed, examples=budget,
                 every=640 if k < 4 else None)
            for k, kind in series for n in sizes if (n, k, kind) != (160, 5, "target") for seed in range(seeds)]
    runs = run_all(runs, lambda settings: (settings["problem"].k, settings["supervision"], settings["problem"].n))
    for (k, kind), marker in series.items():
        groups = [runs[k, kind, n] for n in sizes if (k, kind, n) in runs]
        median, low, high = (np.array([f(solved(group)) for group in groups]) for f in (np.median, np.min, np.max))
        power, high = np.log(median[2] / median[0]) / np.log(4), np.minimum(high, 1.4 * budget)
        words = f"n to the {power:.1f}" if np.isfinite(power) else "too many"
        places = np.array(sizes[: len(groups)]) * (1.03 if kind == "target" else 0.97)
        finite = np.isfinite(median)
        right.errorbar(places[finite], median[finite], (median - low, high - median) if finite.all() else None,
                       fmt=marker + ("-" if kind == "target" else "--"), color=shade((2, 3, 5, 8).index(k), 4), markersize=4,
                       label=f"k = {k}, {'alone' if kind == 'target' else '20 % sums'}: {words}")
    right.set(xscale="log", xlabel="n, bits of an example", title="Examples that training takes")
    right.set(ylabel=LEARNED)
    not_learned(right, budget)
    ticks(right.xaxis, sizes)
    right.legend(title="growth from n = 20 to 80")
    titled(figure, "Parity alone says little about its bits, and less the more there are; the sum always tells them",
           f"mlp of width 128. {seeds} seeds: median and range")
    return figure


# --------------------------------------------------------------------------------------------------
# Theory


def theory(seeds=10):
    """The recursion's prediction, made without training, and trainings: weights and accuracies."""
    shown, batch, k, paths = (0.2, 0.7), 64, 5, defaultdict(list)

    def watch(p, seed, support, run):
        W, v, _ = run.network.params.values()
        right = run.history[-1]["accuracy"].values()
        paths[p, seed].append((run.examples, W[:, support].mean(axis=1), v.copy(), *right))

    runs = [dict(problem=(problem := iis.ParitySum(k=k, seed=seed)), network=iis.Bilinear(), p=p, seed=seed, every=1280,
                 report=functools.partial(watch, p, seed, problem.support))
            for p in shown for seed in range(seeds)]
    runs = run_all(runs, lambda settings: ("p", settings["p"]), **WATCHED)
    figure, axes = plt.subplots(2, 2, figsize=(11, 7), sharex="col")
    for column, p in zip(axes.T, shown):
        steps = np.arange(max(run.examples for run in runs["p", p]) // batch + 1)
        predicted = iis.recursion(k=k, p=p, batch=batch, steps=steps[-1])
        for seed in range(seeds):
            examples, w, v, *right = map(np.array, zip(*paths[p, seed]))
            for axis, values in ((column[0], w), (column[0], v / 10), (column[1], 100 * right[0]), (column[1], 100 * right[1])):
                axis.plot(examples, values, color="0.6", linewidth=0.5)
        for i, (axis, name, factor, words) in enumerate((
                (column[0], "w", 1, "W on the hidden bits, k rows: to 1/2"), (column[0], "v", 0.1, "v / 10: apart"),
                (column[1], "parity", 100, "parity"), (column[1], "sum", 100, "sum"))):
            labels = [words, *[None] * (k - 1)] if i < 2 else words
            axis.plot(batch * steps, factor * predicted[name], ("--", "-.")[i % 2], color=shade(i % 2, 2.6), label=labels)
        column[0].set_title(f"p = {p:g}")
        column[1].set_xlabel("examples seen")
        counted(column[1].xaxis)
        at = batch * np.argmax(predicted["parity"] >= 0.99)
        print(f"p = {p:g}: predicted {at:,}, measured {said(np.median(solved(runs['p', p])))} examples in the median")
    axes[0, 0].set_ylabel("weights")
    axes[1, 0].set_ylabel(RIGHT)
    axes[0, 0].legend(title="predicted; measured: grey")
    axes[1, 0].legend(title="predicted; measured: grey", loc="lower right")
    titled(figure, "The theory predicts, without training, what training will do",
           f"Bilinear network, 5 hidden bits out of 50, batches of 64. {seeds} seeds, a line each until learned")
    return figure


def noise(seeds=10):
    """How good is the prediction, with and without the noise of batches, against batch, n and p?"""
    usual, budget = {"n": 50, "batch": 64, "p": 0.2}, 4_000_000
    series = {"batch": (16, 32, 64, 128, 256, 1024), "n": (20, 50, 100, 200, 400),
              "p": (0.07, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)}
    cases = dict.fromkeys(tuple((usual | {name: value}).values()) for name, values in series.items() for value in values)
    runs = [dict(problem=iis.ParitySum(n, seed=seed), network=iis.Bilinear(), batch=batch, p=p, seed=seed,
                 examples=budget, every=10 * batch)
            for n, batch, p in cases for seed in range(seeds)]
    runs = run_all(runs, lambda settings: (settings["problem"].n, settings["batch"], settings["p"]))

    def ratio(n, batch, p, noisy):
        measured = np.median(solved(runs[n, batch, p]))
        steps, (lr, _) = int(1.5 * min(measured, budget) / batch), iis.Bilinear.rates(n, 5, batch)
        right = iis.recursion(n=n, p=p, batch=batch if noisy else None, steps=steps, lr=lr)["parity"]
        predicted = batch * np.argmax(right >= 0.99) if right.max() >= 0.99 else np.inf
        print(f"n {n}, batch {batch}, p {p:g}, {'noise' if noisy else 'no noise'}: predicted {said(predicted)},"
              f" measured {said(measured)}", flush=True)
        return measured / predicted if np.isfinite(predicted) else np.nan

    ratios = {case: [ratio(*case, noisy) for noisy in (False, True)] for case in cases}
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), sharey=True)
    for axis, (name, values) in zip(axes, series.items()):
        found = [ratios[tuple((usual | {name: value}).values())] for value in values]
        for i, (style, words) in enumerate((("s--", "predicted without noise"), ("o-", "predicted with noise"))):
            axis.plot(values, [pair[i] for pair in found], style, color=shade(1 - i, 2.6), label=words)
        axis.axhline(1, color="0.3", linewidth=0.8)
        axis.set_xlabel({"batch": "examples in a batch", "n": "n, bits of an example", "p": "p, share of sums"}[name])
        if name != "p":
            axis.set_xscale("log")
            ticks(axis.xaxis, values)
        axis.set_title("elsewhere " + ", ".join(f"{other} = {value:g}" for other, value in usual.items() if other != name))
    axes[0].set_ylabel("examples until learned:\nmeasured / predicted")
    axes[0].legend()
    titled(figure, "What the exact recursion misses is the noise of batches; with it the prediction holds",
           f"Bilinear network, parity of 5 bits, its own rate. Medians of {seeds} seeds")
    return figure


def start(seeds=10):
    """Is the theorem's start needed? Noise added to it."""
    spreads, budget = (0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3), 4_000_000
    runs = [dict(problem=iis.ParitySum(seed=seed), network=iis.Bilinear(spread), seed=seed, examples=budget)
            for spread in spreads for seed in range(seeds)]
    runs = run_all(runs, lambda settings: ("spread", settings["network"].spread))
    figure, axis = plt.subplots(figsize=(7, 4.4))
    for position, spread in enumerate(spreads):
        dots(axis, position, runs["spread", spread], budget, color=shade(0, 2))
    not_learned(axis, budget)
    axis.set_xticks(range(len(spreads)), [f"{spread:g}" for spread in spreads])
    axis.set(xlabel="standard deviation of the noise added to W and v at the start", ylabel=LEARNED)
    titled(figure, "The bilinear network needs its start, though not exactly",
           f"Parity of 5 of 50 bits, p = 0.2. A dot for each of {seeds} seeds; at most {budget // 10**6} million examples")
    return figure


# --------------------------------------------------------------------------------------------------
# Other problems


def digits(seeds=5):
    """The same over pictures: 16 handwritten zeros and ones, 5 of them hidden; new pictures to test."""
    problem, budget = iis.Digits(), 400_000
    kinds = {"target": "parity alone", "multi-task": "20 % ask the sum", "multi-label": "both labels",
             "explicit": "both, read in turn"}
    runs = [dict(problem=iis.Digits(seed=seed), network=iis.MLP(), supervision=kind, seed=seed, examples=budget,
                 stop_when_solved=False) for kind in kinds for seed in range(seeds)]
    runs = run_all(runs, lambda settings: (settings["supervision"],))
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=[1.7, 1])
    for i, (kind, style) in enumerate(zip(kinds, (":", "-", "--", "-."))):
        end = np.median([100 * run.history[-1]["accuracy"]["parity"] for run in runs[kind,]])
        lines(left, runs[kind,], "parity", color=shade(i, 4), linestyle=style, label=f"{kinds[kind]}: {end:.1f} % in the end")
    left.set(xscale="log", xlabel="examples seen", ylabel="parity: " + RIGHT + ", new pictures", ylim=(45, 101))
    counted(left.xaxis)
    left.legend(title="median")
    inputs, labels = problem.sample_held_out(np.random.default_rng(0), 1)
    pictures = np.pad(inputs.reshape(2, 8, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))  # row, column, and in the picture
    right.imshow(pictures.transpose(0, 2, 1, 3).reshape(20, 80), cmap="Greys")
    for position in problem.support:
        corner = (10 * (position % 8) - 0.5, 10 * (position // 8) - 0.5)
        right.add_patch(plt.Rectangle(corner, 10, 10, fill=False, color=shade(1, 3), linewidth=2))
    right.set_axis_off()
    right.set_title("an example, hidden ones framed: sum {}, parity {}".format(*labels[0]))
    titled(figure, "The sum teaches parity over real pictures too; what is missing is to read new ones",
           f"Parity of 5 of 16 handwritten zeros and ones, mlp. A line for each of {seeds} seeds")
    return figure


def hops(problem, network, p, budget, seeds, point):
    """Accuracy of every task of a sequence problem over training, under each supervision."""
    kinds, (*_, target) = ("multi-label", "multi-task", "target"), problem.tasks
    runs = [dict(problem=problem, network=network, p=p, supervision=kind, seed=seed, examples=budget)
            for kind in kinds for seed in range(seeds)]
    runs = run_all(runs, lambda settings: (settings["problem"].name, settings["supervision"]))
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), sharey=True)
    words = "all labels", f"one label: {100 * p:g} % ask an earlier one", f"{target} alone"
    for axis, kind, title in zip(axes, kinds, words):
        for i, task in enumerate(problem.tasks):
            if kind != "target" or task == target:  # what was asked
                colour, style = shade(len(problem.tasks) - 1 - i, len(problem.tasks)), ((0, (i + 1, 1)), "-")[task == target]
                lines(axis, runs[problem.name, kind], task, color=colour, linestyle=style, label=task)
        axis.set(title=title, xlabel="examples seen", xscale="log", xlim=(6.4e3, 1.1 * budget))
        counted(axis.xaxis)
    axes[0].set_ylabel(RIGHT)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    titled(figure, point, f"Transformer of {network.layers} layers. A line for each of {seeds} seeds, it ends where "
           f"{target} is learned, or after {budget:,} examples")
    return figure


def lego(seeds=5):
    """A chain of 5 variables among 3 others: which hops become right, and when?"""
    return hops(iis.Lego(), iis.Transformer(layers=4, heads=4), 0.8, 400_000, seeds,
                "Lego, a chain of 5 variables: hop after hop becomes right, the last one not alone")


def code(seeds=3):
    """Programs of 4 lines: which lines become right, and when?"""
    return hops(iis.Code(), iis.Transformer(layers=6), 0.75, 800_000, seeds,
                "Code, programs of 4 lines: line after line becomes right, the last one not alone")


# --------------------------------------------------------------------------------------------------
# Film and explorer


def moments(settings, path, go_on=lambda: True):
    """Train, appending to path at every evaluation: examples, accuracies, and W's sizes (units, bits)."""

    def watch(run):
        if not go_on():
            raise InterruptedError
        W = run.network.params["W"]  # an mlp's is (n, width), the bilinear network's (k, n + 1)
        W = W if settings["network"].name == "bilinear" else W.T
        path.append((run.examples, run.history[-1]["accuracy"], abs(W[:, : settings["problem"].n])))

    iis.train(**settings, report=watch)


def picture(curve_axis, weight_axis, settings, path, frame):
    """Draw the accuracies of the whole path, and the weights at one moment of it."""
    curve_axis.clear()
    weight_axis.clear()
    examples, accuracies, weights = zip(*path)
    for i, (task, style) in enumerate((("parity", "-"), ("sum", "--"))):
        right = [100 * accuracy[task] for accuracy in accuracies]
        curve_axis.plot(examples, right, style, color=shade(i, 2.6), label=task)
        curve_axis.plot(examples[frame], right[frame], "o", color=shade(i, 2.6), markersize=7)
    curve_axis.set(ylim=(0, 103), xlabel="examples seen", ylabel=RIGHT)
    counted(curve_axis.xaxis)
    curve_axis.legend(loc="center right")
    weight_axis.imshow(weights[frame], aspect="auto", cmap="magma", vmin=0, vmax=weights[-1].max(), interpolation="nearest")
    support = settings["problem"].support
    weight_axis.set_xticks(support, ["▲"] * len(support))
    weight_axis.set(xlabel="bits; ▲ the hidden ones", ylabel="units", yticks=[])
    weight_axis.set_title(f"size of the weights after {examples[frame]:,} examples")
    weight_axis.tick_params(length=0)
    weight_axis.grid(False)


def film(seeds=1):
    """The explorer's picture as a film: the hidden columns light up first, parity follows. One seed."""
    settings, path = dict(problem=iis.ParitySum(), network=iis.MLP(32), every=6400), []
    moments(settings, path)
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3), dpi=80)
    figure.suptitle("Parity of 5 of 50 bits, p = 0.2, mlp of width 32, one seed")
    frames = [*range(len(path))] + [len(path) - 1] * 10  # and stay at the end for a moment
    return FuncAnimation(figure, lambda frame: picture(*axes, settings, path, frame), frames, interval=150)


class Explorer:
    """One window: sliders and buttons; each change trains anew, in a thread, and draws what comes of it.

    Only the last change counts: a run under way ends at its next evaluation. Then the weights play
    from the start of the training to its end; the slider at the bottom goes through it by hand.
    """

    networks = {"bilinear": lambda width: iis.Bilinear(), "mlp": iis.MLP}

    def __init__(self):
        self.figure = plt.figure("iis explore", figsize=(11, 6.4), layout="none")
        add = self.figure.add_axes
        self.axes = add((0.07, 0.44, 0.4, 0.47)), add((0.55, 0.44, 0.42, 0.47))
        ranges = {  # lowest, highest, start, step
            "p": ("p, share of sums", 0, 1, 0.2, 0.01), "n": ("n, bits", 10, 200, 50, 1),
            "k": ("k, hidden ones", 1, 10, 5, 1), "width": ("width of the mlp", 2, 512, 128, 2)}
        self.sliders, look = {}, {"initcolor": "none", "color": "0.5"}
        for i, (name, (label, low, high, value, step)) in enumerate(ranges.items()):
            place = add((0.17, 0.28 - 0.05 * i, 0.26, 0.04))
            self.sliders[name] = Slider(place, label, low, high, valinit=value, valstep=step, **look)
        self.moment = Slider(add((0.64, 0.28, 0.26, 0.04)), "moment", 0, 1, valfmt="  %.2f", **look)
        self.buttons = {}
        for name, left, labels in (("network", 0.57, self.networks), ("supervision", 0.77, iis.SUPERVISIONS)):
            axis = add((left, 0.04, 0.17, 0.19), title=name)
            self.buttons[name] = RadioButtons(axis, list(labels), active=1, activecolor="0.3")
            axis.set_axis_off()
        for widget in self.sliders.values():
            widget.on_changed(self.change)
        for widget in self.buttons.values():
            widget.on_clicked(self.change)
        self.moment.on_changed(self.scrub)
        text = "Each change trains anew; then the weights play.\nDrag moment to go through the training."
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
        value = {name: slider.val for name, slider in self.sliders.items()}
        kind = {name: buttons.value_selected for name, buttons in self.buttons.items()}
        problem, network = iis.ParitySum(value["n"], value["k"]), self.networks[kind["network"]](value["width"])
        settings = dict(problem=problem, network=network, supervision=kind["supervision"], p=value["p"],
                        examples=400_000, every=1280)
        self.go_to(0)
        self.playing, self.shown = True, None
        self.latest = settings, [], []  # what is trained, its moments so far, and how it ended
        self.changed.set()

    def work(self):
        """Train what is wanted last, over and over: the thread."""
        while self.changed.wait():
            self.changed.clear()
            if (latest := self.latest) is None:
                return
            settings, path, end = latest
            try:
                moments(settings, path, lambda: latest is self.latest)
                learned = "learned" if path[-1][1]["parity"] >= 0.99 else "not learned"
                end.append(f"parity {learned} after {path[-1][0]:,} examples")
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
        (settings, path, end), moment = self.latest, self.moment
        if self.playing and end:
            self.go_to(min(1, moment.val + 0.02))
            self.playing = moment.val < 1
        state = len(path), len(end), moment.val
        if path and state != self.shown:
            self.shown = state
            picture(*self.axes, settings, path[: state[0]], round(moment.val * (state[0] - 1)))
            text = end[0] if end else "training ..."
            self.figure.suptitle(f"{settings['network'].name}, {settings['supervision']}: {text}")
            self.figure.canvas.draw_idle()


# --------------------------------------------------------------------------------------------------
# Speed: the same training elsewhere. Competitors need not draw their examples, nor evaluate


def in_iis(network, inputs, labels, batch):
    """Return a function that trains on the examples once and returns the number of steps, as all below do."""
    steps = len(inputs) // batch
    return lambda: network.descend(inputs, labels, batch) and steps


def whole_training(network, inputs, labels, batch):
    """iis.train with everything that it does, evaluations too."""
    settings = dict(examples=400_000 // batch * batch, batch=batch, stop_when_solved=False)
    problem, network = iis.ParitySum(len(network.params["W"])), iis.MLP(network.width)
    return lambda: iis.train(problem, network, **settings).examples // batch


def in_numpy(network, inputs, labels, batch):
    plain = iis.NumpyMLP(network.width)
    plain.params = {name: array.copy() for name, array in network.params.items()}
    plain.classes = network.classes
    return in_iis(plain, inputs, labels, batch)


def products(network, inputs, labels, batch):
    """Nothing but the two large matrix products of an mlp's step, for x W and for W's gradient."""
    W, steps, rng = network.params["W"], len(inputs) // batch, np.random.default_rng(0)
    x, d = (rng.standard_normal((batch, count), np.float32) for count in W.shape)
    out, dW = np.empty_like(d), np.empty_like(W)

    def train():
        for _ in range(steps):
            np.matmul(x, W, out=out)
            np.matmul(x.T, d, out=dW)
        return steps

    return train


def pieces(network, inputs, labels):
    """What a step reads: bits and labels; of a transformer its tokens, where tasks are read, and labels."""
    if isinstance(network, iis.MLP):
        return inputs, labels
    tokens, places = network.tokens(inputs)
    return tokens + np.cumsum([0, *network.fields[:-1]]), places, labels


def in_torch(network, inputs, labels, batch):
    """PyTorch, eager."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(1)
    params = {name: array.T if name == "E" else array for name, array in network.params.items()}
    params = {name: torch.tensor(np.ascontiguousarray(array), requires_grad=True) for name, array in params.items()}
    adam = torch.optim.Adam(params.values(), lr=0.002, fused=True)
    batches = list(zip(*(torch.tensor(array).split(batch) for array in pieces(network, inputs, labels))))
    classes = [int(count) for count in network.classes]

    def mlp(bits):
        hidden = torch.relu(torch.addmm(params["b"], 2 * bits.float() - 1, params["W"]))
        return F.linear(hidden, params["V"], params["c"]).split(classes, 1)

    def transformer(tokens, places):
        x = F.embedding(tokens, params["E"]).sum(2)  # (size, length, fields) -> (size, length, width)
        size, length, width = x.shape
        for layer in range(network.layers):
            g, A, O, h, U, b, D = network.layer(params, layer)
            qkv = F.linear(F.rms_norm(x, (width,), g, 1e-5), A).view(size, length, 3, network.heads, -1)
            seen = F.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4))
            x = x + F.linear(seen.transpose(1, 2).reshape(size, length, width), O)
            x = x + F.linear(torch.relu(F.linear(F.rms_norm(x, (width,), h, 1e-5), U, b)), D)
        x = x.gather(1, places[:, :, None].expand(-1, -1, width))  # -> (size, tasks, width)
        return F.linear(F.rms_norm(x, (width,), params["g"], 1e-5), params["H"], params["c"])

    def loss(*x, labels):
        if len(x) == 1:
            heads = zip(mlp(*x), labels.unbind(1))
        else:
            heads = [(transformer(*x).flatten(0, 1), labels.flatten())]
        return sum(F.cross_entropy(z, y, ignore_index=-1, reduction="sum") for z, y in heads) / len(labels)

    def train():
        for *x, y in batches:
            adam.zero_grad()
            loss(*x, labels=y).backward()
            adam.step()
        return len(batches)

    return train


def in_jax(network, inputs, labels, batch):
    """JAX, all the steps compiled into one."""
    import jax
    from jax import numpy as jnp

    starts = [int(start) for start in np.cumsum(network.classes)[:-1]]

    def norm(x, gain):
        return gain * x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-5)

    def mlp(params, bits):
        hidden = jnp.maximum((2 * bits.astype(jnp.float32) - 1) @ params["W"] + params["b"], 0)
        return jnp.split(hidden @ params["V"].T + params["c"], starts, 1)

    def transformer(params, tokens, places):
        x = params["E"].T[tokens].sum(2)  # (size, length, fields) -> (size, length, width)
        for layer in range(network.layers):
            g, A, O, h, U, b, D = network.layer(params, layer)
            q, k, v = jnp.unstack((norm(x, g) @ A.T).reshape(*x.shape[:2], 3, network.heads, -1), axis=2)
            attention = jax.nn.softmax(jnp.einsum("iahd,ibhd->ihab", q, k) / q.shape[-1] ** 0.5)
            x = x + jnp.einsum("ihab,ibhd->iahd", attention, v).reshape(x.shape) @ O.T
            x = x + jnp.maximum(norm(x, h) @ U.T + b, 0) @ D.T
        x = jnp.take_along_axis(x, places[:, :, None], 1)  # -> (size, tasks, width)
        return norm(x, params["g"]) @ params["H"].T + params["c"]

    def loss(params, *x, labels):
        if len(x) == 1:
            heads = zip(mlp(params, *x), labels.T)
        else:
            heads = [(transformer(params, *x), labels)]
        return -sum((jax.nn.log_softmax(z) * jax.nn.one_hot(y, z.shape[-1])).sum() for z, y in heads) / len(labels)

    def step(state, examples):
        params, mean, square, count = state
        *x, y = examples
        gradient, count = jax.grad(loss)(params, *x, labels=y), count + 1
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
        square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, square, gradient)
        rate, unbias = 0.002 / (1 - 0.9**count), 1 / (1 - 0.999**count)
        params = jax.tree.map(lambda w, m, s: w - rate * m / (jnp.sqrt(s * unbias) + 1e-8), params, mean, square)
        return (params, mean, square, count), None

    steps = len(inputs) // batch
    batches = [jnp.array(array.reshape(steps, batch, *array.shape[1:])) for array in pieces(network, inputs, labels)]
    params = {name: jnp.array(np.ascontiguousarray(array)) for name, array in network.params.items()}
    state = params, jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params), jnp.float32(0)
    scan = jax.jit(lambda state: jax.lax.scan(step, state, batches)[0], donate_argnums=0)

    def train():
        nonlocal state
        state = jax.block_until_ready(scan(state))
        return steps

    return train


def installed():
    """PyTorch and JAX, where they are installed: {name: function}."""
    found = {}
    for name, function in (("PyTorch", in_torch), ("JAX", in_jax)):
        with contextlib.suppress(ImportError):
            module = importlib.import_module({"PyTorch": "torch"}.get(name, name.lower()))
            found[f"{name} {module.__version__}"] = function
    return found


@contextlib.contextmanager
def one_core():
    """Keep this thread, and those that it starts, on one core, where the system can do so."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if cores:
        os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        if cores:
            os.sched_setaffinity(0, cores)


def race(competitors, rounds, problem, network, batch):
    """Median seconds of a training step: {name: seconds}. All take turns, so that a slow moment hits all alike."""
    rng, seconds = np.random.default_rng(0), defaultdict(list)
    network.init(problem, rng)
    inputs, labels = problem.sample(rng, 100 * batch)
    labels = iis.supervise(labels, rng, "multi-task", 0.2)
    trainings = {name: function(network, inputs, labels, batch) for name, function in competitors.items()}
    for number in range(rounds + 1):
        for name, train in trainings.items():
            steps, began = train(), time.perf_counter()
            if number > 0:  # before, they compile
                steps = 0
                while time.perf_counter() < began + 0.15:
                    steps += train()
                seconds[name].append((time.perf_counter() - began) / steps)
    return {name: np.median(times) for name, times in seconds.items()}


def speed(rounds=5):
    """How long does a training step take, here and elsewhere, against batch, width and n? All on one core."""
    series = {"batch": [(50, 128, batch) for batch in (16, 64, 256, 1024)],
              "width": [(50, width, 64) for width in (32, 128, 512)], "n": [(n, 128, 64) for n in (50, 200, 1000)]}
    with one_core():
        frameworks = installed()
        print(f"{platform.machine()}, one of {os.cpu_count()} cores; Python {platform.python_version()}, NumPy "
              f"{np.__version__}, Numba {iis.numba.__version__}; {', '.join(frameworks) or 'no PyTorch, no JAX'}")
        competitors = {"iis.train": whole_training, "two products": products, "iis.NumpyMLP": in_numpy} | frameworks
        print(f"mlp: microseconds of a step, median of {rounds} rounds\n")
        print(f"{'n':>5}{'width':>6}{'batch':>6}  " + "".join(f"{name:>16}" for name in competitors))
        times = {}
        for n, width, batch in dict.fromkeys(sum(series.values(), [])):
            times[n, width, batch] = race(competitors, rounds, iis.ParitySum(n), iis.MLP(width), batch)
            row = "".join(f"{1e6 * seconds:>16.1f}" for seconds in times[n, width, batch].values())
            print(f"{n:>5}{width:>6}{batch:>6}  {row}", flush=True)
        print("\ntransformer, batch 64: milliseconds of a step, all on examples drawn before")
        for problem, network in ((iis.Lego(), iis.Transformer(layers=4, heads=4)), (iis.Code(), iis.Transformer(layers=6))):
            found = race({"iis": in_iis} | frameworks, rounds, problem, network, 64)
            print(f"{problem.name:6}" + ", ".join(f"{name} {1e3 * seconds:.2f}" for name, seconds in found.items()), flush=True)
        runs = [iis.train(iis.ParitySum(20, 3, seed), iis.MLP(64), "target", seed=seed, lr=0.02, batch=32, examples=6_400,
                          stop_when_solved=False) for seed in range(10)]
        perfect = sum(run.history[-1]["accuracy"]["parity"] == 1 for run in runs)
        print(f"parity alone, 3 of 20 bits, width 64, 6,400 examples: all of 10,000 right on {perfect} of 10 seeds, "
              f"median {1000 * np.median([run.seconds for run in runs]):.1f} ms")
    figure, axes = plt.subplots(1, 3, figsize=(11, 4), sharey=True)
    for axis, (label, cases) in zip(axes, series.items()):
        values = [case["n width batch".split().index(label)] for case in cases]
        for i, (name, style) in enumerate(zip(competitors, ("o-", "s:", "^--", "v-.", "D-"))):
            axis.plot(values, [1e6 * times[case][name] / case[2] for case in cases], style, color=shade(i, 5), label=name)
        axis.set(xscale="log", yscale="log", xlabel={"n": "n, bits of an example"}.get(label, label))
        ticks(axis.xaxis, values)
    axes[0].set_ylabel("time of a training step\nper example (µs)")
    counted(axes[0].yaxis, "{x:g}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    titled(figure, "A training step of the mlp takes little more than its two matrix products",
           f"One core, median of {rounds} rounds. Where not on the axis, n = 50, width 128, batch 64")
    return figure


# --------------------------------------------------------------------------------------------------

FIGURES = (mixture, why, separation, supervision, curriculum, interference, scale, hardness, theory, noise, start,
           digits, lego, code, speed, film)


def arguments():
    """Read the command line. Raises ValueError and OSError for what cannot be done."""
    parser = argparse.ArgumentParser(description="Draw figures about iis.py.")
    figures = {figure.__name__: figure for figure in FIGURES}
    add = parser.add_argument
    add("name", nargs="?", choices=[*figures, "explore"], metavar="NAME",
        help=f"one of {', '.join(figures)} (all of these), or explore: a window to play with")
    add("--seeds", type=int, help="seeds, or rounds of speed (3, 5 or 10)")
    add("--folder", type=Path, default=Path("figures"), help="where to save it (figures)")
    add("--jobs", type=int, help="so many runs at a time (one for each core)")
    add("--store", metavar="FILE", help="keep finished runs there; do only those missing")
    add("--cluster", metavar="ADDRESS", help="dask's scheduler to run on, tcp://HOST:PORT")
    args = parser.parse_args()
    args.names = [args.name] if args.name else list(figures)
    args.seeds = () if args.seeds is None else (iis.number("seeds", args.seeds, 1, whole=True),)
    SWEEP.update(store=args.store)
    if args.jobs is not None:
        SWEEP["jobs"] = iis.number("jobs", args.jobs, 1, whole=True)
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.cluster:
        try:
            from distributed import Client
        except ImportError:
            raise ValueError("--cluster needs dask: pip install distributed") from None
        client = Client(args.cluster)
        client.upload_file(iis.__file__)
        SWEEP["executor"] = client.get_executor()
    return args


def main():
    """Draw what the command line asks for; return the exit status."""
    try:
        args = arguments()
    except (ValueError, OSError) as error:
        sys.exit(f"plots.py: {error}")
    if args.name == "explore":
        if plt.get_backend().lower() == "agg":
            sys.exit("plots.py: explore needs a display, and tkinter or another window toolkit")
        explorer = Explorer()
        plt.show(block=True)
        return explorer.close()
    plt.switch_backend("agg")
    drawn, figures = 0, {figure.__name__: figure for figure in FIGURES}
    for name in args.names:
        path = args.folder / f"{name}.{'gif' if name == 'film' else 'png'}"
        try:
            drawing = figures[name](*args.seeds)
            drawing.save(path, "pillow") if name == "film" else drawing.savefig(path)
            print(path, flush=True)
            drawn += 1
        except (ValueError, OSError) as error:
            print(f"plots.py: {name}: {error}", file=sys.stderr)
        plt.close("all")
    return drawn == 0


if __name__ == "__main__":
    try:
        with plt.rc_context(STYLE):
            sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("plots.py: interrupted")
