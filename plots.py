"""Figures about iis.py. `python plots.py` draws all into the folder figures/ and says where.

`python plots.py mixture` draws one. What is computed, iis.py computes; here it is drawn: a function for
each figure, and each makes one point, which its title says. Colours differ in lightness too, for grey prints
and for eyes that tell few apart. Medians count a run that did not learn as larger than all others.
"""

import argparse
import atexit
import contextlib
import importlib
import itertools
import os
import platform
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

if __name__ == "__main__" and os.environ.get("MPLBACKEND", "").startswith("module:"):
    del os.environ["MPLBACKEND"]  # a notebook's, whose module another Python may not have
import matplotlib.backends
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator
from matplotlib.widgets import RadioButtons, Slider

import iis

STYLE = {"text.usetex": False, "figure.constrained_layout.use": True, "figure.dpi": 110,
         "figure.titlesize": 11, "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
         "axes.titlesize": 10, "axes.grid": True, "grid.alpha": 0.25, "legend.fontsize": 8}
SWEEP = {}  # how iis.sweep is to run, as the command line says: jobs, store, executor
RIGHT = "held-out examples right (%)"
LEARNED = "examples until parity is 99 % right"
LONG = dict(examples=800_000, every=3200)  # how sequence problems are trained, in all figures
LEGO = dict(problem=iis.Lego(), network=iis.Transformer(layers=4, heads=4), p=0.8, **LONG)
CODE = dict(problem=iis.Code(), network=iis.Transformer(layers=6), p=0.5, **LONG)

# --------------------------------------------------------------------------------------
# What figures share


def run_all(cases, seeds, note=None, tell=True, **usual):
    """Train what the cases say, with so many seeds: {key: [Run per seed]}. Prints what came of each, unless
    told not to.

    A case has those of iis.train's arguments that are not the usual ones: parity, an mlp, and what is given.
    run.asked says which tasks were. note(problem, run) is called at each evaluation, and what it returns is
    record["note"] there; such runs do not go to a store or a cluster.
    """
    usual = dict(problem=iis.ParitySum(), network=iis.MLP(), supervision="multi-task") | usual
    runs, key_of, found = [], {}, {key: [None] * seeds for key in cases}
    for key, seed in itertools.product(cases, range(seeds)):
        settings = usual | cases[key] | {"seed": seed}
        fields = {"seed": seed} if hasattr(settings["problem"], "seed") else {}
        settings["problem"] = problem = replace(settings["problem"], **fields)  # each run has its own
        if note:
            settings["report"] = lambda run, own=problem: run.history[-1].update(note=note(own, run))
        runs.append(settings)
        key_of[id(settings)] = key
    how = SWEEP | {"store": None, "executor": None} if note else SWEEP
    for count, (settings, run) in enumerate(iis.sweep(runs, **how), 1):
        if isinstance(run, Exception):
            raise run
        run.asked = iis.asked(settings)
        found[key_of[id(settings)]][settings["seed"]] = run
        if sys.stderr.isatty():
            print(end=f"\r\033[K{count} of {len(runs)} runs\r", file=sys.stderr, flush=True)
    for key, seen in solved(found).items() if tell else ():
        name = (key if isinstance(key, str) else " ".join(map(str, key))).strip().replace("\n", " ")
        right = np.median([100 * list(run.history[-1]["accuracy"].values())[-1] for run in found[key]])
        low, middle, high = map(said, (min(seen), np.median(seen), max(seen)))
        print(f"{name:52} learned {np.isfinite(seen).sum():2} of {seeds:2}, {right:5.1f} % right at the end, "
              f"median {middle:>9} examples, from {low} to {high}", flush=True)
    return found


def solved(runs):
    """The examples until each run was solved, infinitely many if it was not: {key: array}."""
    return {key: np.array([run.solved_at or np.inf for run in group]) for key, group in runs.items()}


def at_best_rate(cases, speeds, seeds, **usual):
    """As solved(run_all(...)), each case at its best learning rate: lowest median, else most that learned."""
    seen = solved(run_all({(*key, lr): case | {"lr": lr} for key, case in cases.items() for lr in speeds},
                          seeds, **usual))
    return {key: min((seen[(*key, lr)] for lr in speeds),
                     key=lambda numbers: (np.median(numbers), np.isinf(numbers).sum())) for key in cases}


def odd_by_sum(problem, network):
    """How many of a hundred examples are called odd, for each sum of the hidden bits, however rare."""
    sums, rng = np.repeat(np.arange(problem.k + 1), 100), np.random.default_rng(0)
    bits = rng.integers(0, 2, (len(sums), problem.n), dtype=np.uint8)
    bits[:, problem.support] = rng.permuted(np.arange(problem.k) < sums[:, None], axis=1)
    return network.predict(bits)[:, 1].reshape(-1, 100).sum(axis=1)


def said(examples):
    return f"{examples:,.0f}" if np.isfinite(examples) else "never"


def shade(i, count):
    """The i-th of so many colours, from dark to light."""
    return plt.cm.viridis(0.87 * i / max(1, count - 1))


def lines(axis, runs, task, **style):
    """Accuracy over examples, if the task was asked, a line for each seed. A dot: just solved."""
    style = {"linewidth": 0.9, "marker": "o", "markersize": 3.5} | style
    for run in runs:
        if task in run.asked:
            right = [100 * record["accuracy"][task] for record in run.history]
            style["markevery"] = [len(right) - 1] if run.solved_at == run.examples else []
            axis.plot([record["examples"] for record in run.history], right, **style)
            style["label"] = None  # one for all
    axis.set_xlabel("examples seen")
    counted(axis.xaxis)


def dots(axis, groups, limit=None, joined=True):
    """Groups of numbers, {(series, tick): numbers}: a dot for each number, a bar at the median of a group.

    Infinite ones lie in a band above the limit. If joined, a line goes through the medians of a series.
    """
    series, names = (list(dict.fromkeys(parts)) for parts in zip(*groups))
    axis.set_yscale("log")
    for i, label in enumerate(series):
        style = {"color": shade(i, len(series) + 1), "marker": "oDs^vP"[i]}
        line = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))[i] if joined else ""
        found = {name: groups[label, name] for name in names if (label, name) in groups}
        places = np.array([names.index(name) for name in found]) + 0.6 * ((i + 0.5) / len(series) - 0.5)
        medians = np.array([np.median(numbers) for numbers in found.values()])
        medians[np.isinf(medians)] = np.nan
        axis.plot([], [], linestyle=line, label=label, **style)
        axis.plot(places, medians, linestyle=line, color=style["color"], linewidth=1)
        axis.plot(places, medians, "_", color=style["color"], markersize=24 / len(series))
        for place, numbers in zip(places, found.values()):
            seen = np.where(np.isfinite(numbers), numbers, 1.4 * limit if limit else np.nan)
            spread = np.linspace(-0.2, 0.2, len(seen)) / len(series) if len(seen) > 1 else np.zeros(1)
            axis.plot(place + spread, seen, linestyle="", markersize=4, alpha=0.8, **style)
    ticks(axis.xaxis, range(len(names)), names)
    if limit:
        band = axis.axhspan(1.2 * limit, 2.5 * limit, color="0.9", linewidth=0)
        band.sticky_edges.y.append(2.5 * limit)  # the axis ends there
        axis.text(0.5, 2 * limit, f"not learned after {limit:,} examples", va="center", ha="center",
                  fontsize=8, transform=axis.get_yaxis_transform())
    counted(axis.yaxis)
    low, high = axis.get_ylim()
    axis.set_yticks([tick for tick in axis.get_yticks() if low <= tick <= (limit or high)])


def counted(axis, form=None):
    """Write 20k for 20,000, or as form says; on a logarithmic axis also between powers of ten, given room."""
    axis.set_major_formatter(form or EngFormatter(sep=""))
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        subs = (1,) if high > 300 * low else (1, 2, 5) if high > 12 * low else (1, 1.5, 2, 3, 4, 5, 6, 8)
        axis.set_major_locator(LogLocator(subs=subs, numticks=30))
        axis.set_minor_locator(NullLocator())


def ticks(axis, places, labels):
    """Write these labels, and no others."""
    axis.set_ticks(places, [label if isinstance(label, str) else f"{label:g}" for label in labels])
    axis.set_minor_locator(NullLocator())


def titled(figure, point, details):
    figure.suptitle(f"{point}\n{details}")
    figure.draw_without_rendering()  # makes the ticks, now that the style is in force
    return figure


# --------------------------------------------------------------------------------------
# The finding


def mixture(seeds=5):
    """What share of helper questions is best? Examples needed against p, and what training looks like."""
    shares, shown = (0, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1), (0, 0.01, 0.2, 0.9)
    budget = 3_000_000
    runs = run_all({(network.name, p): dict(network=network, p=p)
                    for network in (iis.Bilinear(), iis.MLP()) for p in shares}, seeds, examples=budget)
    figure, axes = plt.subplot_mosaic([["all", "all", 0, 0.01], ["all", "all", 0.2, 0.9]], figsize=(12, 5.2))
    dots(axes["all"], solved(runs), budget)
    axes["all"].set(xlabel="p, the share of examples that ask the sum", ylabel=LEARNED)
    axes["all"].legend(loc="upper center", bbox_to_anchor=(0.5, 0.8))
    for p in shown:
        axes[p].set(title=f"p = {p:g}", xscale="log", xlim=(6.4e3, budget), ylim=(30, 103))
        axes[p].set_ylabel(RIGHT if p in (0, 0.2) else None)
        for i, name in enumerate(("bilinear", "mlp")):
            for task, line in (("sum", ":"), ("parity", "-")):
                lines(axes[p], runs[name, p], task, color=shade(i, 3), marker="oD"[i], linestyle=line,
                      label=f"{name}: {task}")
    axes[0.2].legend(loc="lower right", fontsize=7)
    return titled(figure, "Any share of sums but the most extreme ones teaches both networks the parity",
                  f"5 hidden bits out of 50. A dot, or a line, for each of {seeds} seeds; bars are medians, "
                  "a line ends where parity is learned")


def why(seeds=5):
    """Why does the sum help? It tells which bits are hidden, and of those parity is a zigzag."""
    problem, network, rng = iis.ParitySum(), iis.MLP(), np.random.default_rng(0)
    hidden, sums = np.isin(np.arange(problem.n), problem.support), np.arange(problem.k + 1)
    figure, ((first, mlp), (bilinear, zigzag)) = plt.subplots(2, 2, figsize=(12, 7.4))
    network.init(problem, rng)
    for task, name, marker, colour in ((0, "sum", "D", "0.1"), (1, "parity", "o", "0.55")):
        gradient = 0
        for _ in range(10):  # all examples at once would not fit the memory
            bits, labels = problem.sample(rng, 64_000)
            labels[:, 1 - task] = -1
            gradient += network.loss_and_gradients(bits, labels)[1]["W"] / 10
        lengths = np.linalg.norm(gradient, axis=1)  # (n, width) -> (n,)
        for which, fill, words in ((hidden, "full", "hidden bits"), (~hidden, "none", "other bits")):
            first.plot(np.flatnonzero(which), lengths[which], marker, color=colour, fillstyle=fill,
                       label=f"{name}, {words}")
    first.set(title="mlp at its start: the sum shows the hidden bits", yscale="log", ylim=(2.5e-4, 0.08),
              xlabel="input bit", ylabel="length of the gradient by its weights")
    counted(first.yaxis, "{x:g}")
    first.legend(loc="lower left", ncols=2)

    runs = run_all({"bilinear": dict(network=iis.Bilinear()), "mlp": {}}, seeds,
                   lambda problem, run: odd_by_sum(problem, run.network), every=1280)
    levels = ((20, "center", "only the sums 2 and 3"), (30, "top", "all sums but 0 and 5"),
              (31, "bottom", "all but 0, or but 5"))
    zigzag.plot(sums, 100 * (sums % 2), color="0.75", linewidth=6, label="the truth")
    for i, (name, axis) in enumerate((("bilinear", bilinear), ("mlp", mlp))):
        for task, line in (("sum", ":"), ("parity", "-")):
            lines(axis, runs[name], task, color=shade(i, 3), linestyle=line, label=task)
        for of_32, place, words in levels:
            level = 100 * of_32 / 32
            axis.axhline(level, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
            axis.annotate(f"{level:.1f} %:\n{words}", (1.01, level), xycoords=("axes fraction", "data"),
                          fontsize=7, va=place)
        axis.set(title=f"{name}, p = 0.2: first the sum, then the parity", ylabel=RIGHT, ylim=(20, 102))
        axis.legend(loc="lower right")
        plateau = [min(run.history, key=lambda record: abs(record["accuracy"]["parity"] - 30 / 32))["note"]
                   for run in runs[name]]
        zigzag.plot(sums, np.median(plateau, axis=0), "oD"[i], color=shade(i, 3), linestyle="--",
                    label=f"{name}, when 93.8 % right")
    zigzag.set(title="parity turns with each step of the sum; the rare ends come last", ylim=(-5, 145),
               yticks=range(0, 101, 20), xlabel="sum of the hidden bits", ylabel="called odd (% of examples)")
    zigzag.legend(loc="upper center")
    return titled(figure, "The sum tells which bits count; parity is then a zigzag over k + 1 values",
                  "5 hidden bits out of 50. Gradient: mean over 640,000 examples. "
                  f"Trainings: {seeds} seeds, a line ends where parity is learned; zigzag: median")


def separation(seeds=10):
    """How far does each supervision get as k grows? The control has half the seeds, and a larger budget."""
    ks, budget, count = range(2, 9), 30_000_000, max(1, seeds // 2)
    series = {
        f"parity alone, {count} seeds": (count, dict(supervision="target")),
        f"the same at rate 0.001, batches of 256, {count} seeds":
            (count, dict(supervision="target", lr=0.001, batch=256)),
        f"20 % ask the sum, {seeds} seeds": (seeds, dict(supervision="multi-task")),
        f"both labels, {seeds} seeds": (seeds, dict(supervision="multi-label"))}
    runs = {}
    for words, (many, case) in series.items():
        cases = {(words, k): case | {"problem": iis.ParitySum(k=k)} for k in ks}
        runs |= run_all(cases, many, examples=budget)
    figure, axis = plt.subplots(figsize=(8.5, 5))
    dots(axis, solved(runs), budget)
    axis.set(xlabel="k, hidden bits out of 50", ylabel=LEARNED)
    axis.legend(loc="upper left", bbox_to_anchor=(0, 0.9))
    return titled(figure, "Parity alone is out of reach from some k on; with the sum's help it is not",
                  "mlp at rate 0.002 and batches of 64. A dot for each seed, lines through medians")


def rates(seeds=10):
    """Does the sum's worth depend on the learning rate and the batch? A median for each pair of them."""
    speeds, batches, budget = (0.0005, 0.001, 0.002, 0.004, 0.008), (16, 64, 256), 4_000_000
    kinds = {"multi-task": "20 % ask the sum", "target": "parity alone"}
    seen = solved(run_all({key: dict(zip(("supervision", "batch", "lr"), key))
                           for key in itertools.product(kinds, batches, speeds)}, seeds, examples=budget))
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), sharey=True)
    for axis, (kind, words) in zip(axes, kinds.items()):
        medians = np.array([[np.median(seen[kind, batch, lr]) for lr in speeds] for batch in batches])
        axis.imshow(np.ma.masked_invalid(medians), norm="log", vmin=4e4, vmax=budget, cmap="viridis_r",
                    alpha=0.45, aspect="auto", origin="lower")
        for (row, batch), (column, lr) in itertools.product(enumerate(batches), enumerate(speeds)):
            median, learned = medians[row, column], np.isfinite(seen[kind, batch, lr]).sum()
            axis.text(column, row, f"{said(median)}\n{learned} of {seeds}", ha="center", va="center",
                      weight="bold" if median == medians.min() else None)
        axis.set(title=words, xlabel="learning rate")
        ticks(axis.xaxis, range(len(speeds)), speeds)
        ticks(axis.yaxis, range(len(batches)), batches)
        axis.grid(False)
    axes[0].set_ylabel("examples in a batch")
    return titled(figure, "At the best rate and batch of each, too, the sum is worth a factor of seven",
                  f"mlp, 5 hidden bits out of 50: median of examples until learned, and how many of {seeds} "
                  f"seeds learn within {budget:,}")


def pretraining(seeds=5):
    """How many examples of the hard question are needed, the rarer it is in the data?"""
    hard, budget = (1, 0.8, 0.5, 0.2, 0.1, 0.01, 0.001), 30_000_000
    seen = solved(run_all({(k, share): dict(problem=iis.ParitySum(k=k), p=1 - share)
                           for k in (7, 5) for share in hard}, seeds, examples=budget))
    figure, axis = plt.subplots(figsize=(8, 4.6))
    dots(axis, {(f"k = {k}", f"{100 * share:g} %"): share * seen[k, share] for k, share in seen}, budget)
    axis.set(xlabel="examples that ask the parity; the others ask the sum",
             ylabel="parity examples until parity\nis 99 % right")
    axis.legend(loc="lower left")
    return titled(figure, "Among many easy questions, a hard one needs far fewer examples of its own",
                  f"mlp, k hidden bits out of 50. A dot for each of {seeds} seeds, lines through medians")


def supervision(seeds=10):
    """How do labels of easier questions compare with a chain of thought, in examples, labels and passes?"""
    kinds = {"target": "target\nalone\n1 pass", "multi-task": "one\nlabel\n1 pass",
             "multi-label": "all\nlabels\n1 pass", "explicit": "all, read\nin turn\n{} passes",
             "curriculum": "one, easy\nones first\n1 pass"}
    few = max(1, seeds // 3)
    columns = (("parity, 5 of 50 bits", 2, 5, seeds, dict(examples=200_000, every=1280)),
               ("lego, 5 hops", 5, 4, few, LEGO), ("code, 4 lines", 4, 4, few, CODE))
    figure, axes = plt.subplots(2, 3, figsize=(12, 6.6), width_ratios=[5, 4, 4], sharex="col")
    for (above, below), (title, tasks, many, count, usual) in zip(axes.T, columns):
        cases = {(title, kinds[kind].format(tasks)): {"supervision": kind} for kind in list(kinds)[:many]}
        examples = solved(run_all(cases, count, **usual))
        labels = {key: seen * (tasks if cases[key]["supervision"] in ("multi-label", "explicit") else 1)
                  for key, seen in examples.items()}
        dots(above, examples, limit=usual["examples"], joined=False)
        dots(below, labels, joined=False)
        above.set_title(f"{title}: {count} seeds")
        below.set_xlim(-0.5, many - 0.5)
    axes[0, 0].set_ylabel("examples until the target is 99 % right")
    axes[1, 0].set_ylabel("labels consumed until then")
    return titled(figure, "A chain of thought (all labels, read in turn) learns from the fewest examples, "
                  "and labels, but needs a pass for each question to answer",
                  "A dot for each seed, bars at medians")


def curriculum(seeds=10):
    """Must the easy questions be mixed in, or can they come first? Then they may be forgotten."""
    kinds = {"curriculum": "first the sum, then the parity alone", "multi-task": "mixed: 20 % ask the sum"}
    panels = {f"{network.name}\nk = {k}": dict(problem=iis.ParitySum(k=k), network=network, examples=budget)
              for network in (iis.MLP(), iis.Bilinear()) for k, budget in ((5, 600_000), (7, 1_500_000))}
    runs = run_all({(words, panel): case | {"supervision": kind} for kind, words in kinds.items()
                    for panel, case in panels.items()}, seeds, stop_when_solved=False)
    figure, axes = plt.subplot_mosaic([[0, 1, 2], [0, 3, 4]], figsize=(11, 5.6), width_ratios=[1.3, 1, 1])
    dots(axes[0], solved(runs), joined=False)
    for number, panel in enumerate(panels, 1):
        for i, words in enumerate(kinds.values()):
            lines(axes[number], runs[words, panel], "sum", color=shade(i, 3), marker="oD"[i],
                  linestyle="-:"[i], label=words)
        axes[number].set(title=panel.replace("\n", ", "), ylim=(20, 103))
        axes[number].set_ylabel("sum right (%)" if number % 2 else None)
    axes[0].set_ylabel(LEARNED)
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return titled(figure,
                  "First the sum, then the parity: about as fast as mixed, but the sum may be forgotten",
                  f"k hidden bits out of 50. A dot, or a line, for each of {seeds} seeds, bars at medians")


@dataclass
class Distracted(iis.ParitySum):
    """ParitySum with more helpers, each the sum of k other bits, which help with nothing."""

    distractors: int = 0

    def __post_init__(self):
        super().__post_init__()
        count = 1 + iis.number("distractors", self.distractors, 0, self.n // self.k - 1)
        shuffled = np.random.default_rng(self.seed).permutation(self.n)[: count * self.k]
        self.groups = shuffled.reshape(count, self.k)  # the first are the hidden bits
        self.tasks = ("sum", *[f"other sum {i}" for i in range(1, count)], "parity")
        self.classes = (self.k + 1,) * count + (2,)

    def label(self, bits):
        sums = [bits[:, group].sum(axis=1, dtype=np.int64) for group in self.groups]
        return np.stack([*sums, sums[0] % 2], axis=1)


def interference(seeds=10):
    """Do helpers that help with nothing do harm? Sums of other bits beside the right one."""
    counts, widths, budget, speeds = (0, 1, 4, 8), (8, 32, 128), 1_000_000, (0.002, 0.004, 0.008, 0.016)
    kinds = {"20 % ask a sum, of any group": ("multi-task", lambda count: 0.2),
             "9 % ask each of the sums": ("multi-task", lambda count: 0.09 * (1 + count)),
             "all labels": ("multi-label", lambda count: 0)}
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), sharey=True)
    for axis, (words, (kind, share)) in zip(axes, kinds.items()):
        cases = {(f"width {width}", count): dict(problem=Distracted(distractors=count), p=share(count),
                                                 network=iis.MLP(width))
                 for width in widths for count in counts}
        print(f"{words}; width, useless helpers, learning rate:")
        dots(axis, at_best_rate(cases, speeds, seeds, supervision=kind, examples=budget), budget)
        axis.set(title=words, xlabel="useless helpers: sums of 5 other bits each")
    axes[0].set_ylabel(LEARNED)
    axes[1].legend(loc="lower right")
    return titled(figure, "Helpers that help with nothing do harm, most of all to small networks",
                  f"Parity of 5 of 50 bits, mlp, each case at its best of {len(speeds)} learning rates. "
                  f"A dot for each of {seeds} seeds, lines through medians")


def scale(seeds=10):
    """Do larger networks need fewer examples of the simple task?"""
    shares = {"parity alone": 0, "1 % ask the sum": 0.01, "20 % ask the sum": 0.2}
    widths, speeds, budget = (8, 32, 128, 512, 2048), (0.001, 0.002, 0.004, 0.008, 0.016), 600_000
    cases = {(words, width): dict(network=iis.MLP(width), p=p)
             for words, p in shares.items() for width in widths}
    figure, axis = plt.subplots(figsize=(8, 4.8))
    dots(axis, at_best_rate(cases, speeds, seeds, examples=budget), budget)
    axis.set(xlabel="width of the mlp (units)", ylabel=LEARNED)
    axis.legend(loc="upper right", bbox_to_anchor=(1, 0.85))
    return titled(figure, "Parity alone asks for a wide network; with the sum's help a small one will do",
                  f"Parity of 5 of 50 bits, each case at its best of {len(speeds)} learning rates.\n"
                  f"A dot for each of {seeds} seeds, lines through medians")


def signal(problem, network, task):
    """Return two lengths: of the exact gradient of a task's loss, over all 2ⁿ inputs, and of what it tells.

    Most of the gradient says how often each answer occurs. What it tells of the hidden bits is the rest, once
    the gradient for labels drawn blindly, each as often as it occurs, is taken away.
    For a ParitySum and its network after init in float64; n of at most some 22.
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


def hardness(seeds=5):
    """Parity alone is hard for any network and start: what the gradient says at first, and growth in n."""
    ks, n = range(1, 9), 16

    def telling(job):  # what the gradients of parity and sum tell
        k, seed = job
        problem, network, rng = iis.ParitySum(n, k, seed), iis.MLP(), np.random.default_rng(seed)
        network.init(problem, rng, np.float64)
        network.params["b"][:] = rng.uniform(-1, 1, network.width) / n**0.5  # at 0, odd k would tell nothing
        return [signal(problem, network, task)[1] for task in (1, 0)]

    iis.one_blas_thread()
    with ThreadPoolExecutor(SWEEP.get("jobs")) as pool:
        lengths = np.array(list(pool.map(telling, itertools.product(ks, range(seeds)))))
    lengths, groups = lengths.reshape(len(ks), seeds, 2), {}
    for i, task in enumerate(("parity", "sum")):
        fall = np.median(lengths[1, :, i]) / np.median(lengths[7, :, i])
        words = f"{task}: shorter by a factor of {fall:.3g} from k = 2 to 8"
        groups |= {(words, k): lengths[row, :, i] for row, k in enumerate(ks)}
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8))
    dots(left, groups)
    left.yaxis.set_major_formatter("{x:g}")
    left.set(title="mlp at its start: what the gradient tells of the hidden bits",
             xlabel="k, hidden bits out of 16", ylabel="length of the telling part of the exact gradient")
    left.legend(loc="center right", bbox_to_anchor=(1, 0.62))

    sizes, budget = (25, 50, 100, 200), 8_000_000  # of fewer bits, training sees the held-out inputs too
    series = [(k, "target") for k in (2, 3, 5)] + [(k, "multi-task") for k in (3, 5, 8)]
    cases = {(k, kind, n): dict(problem=iis.ParitySum(n, k), supervision=kind, every=640 if k < 4 else None)
             for k, kind in series for n in sizes}
    del cases[5, "target", 200]
    seen, groups = solved(run_all(cases, seeds, examples=budget)), {}
    for k, kind, n in seen:
        power = np.log(np.median(seen[k, kind, 100]) / np.median(seen[k, kind, 25])) / np.log(100 / 25)
        grows = f"n to the {power:.1f}" if np.isfinite(power) else "beyond the budget"
        groups[f"k = {k}, {'alone' if kind == 'target' else '20 % sums'}: {grows}", n] = seen[k, kind, n]
    dots(right, groups, budget)
    right.set(xlabel="n, bits of an example", ylabel=LEARNED, title="examples that training takes")
    right.legend(title="growth from n = 25 to 100", loc="upper left", bbox_to_anchor=(1, 1))
    return titled(figure, "What parity tells of its bits fades with their number, but not what the sum tells",
                  f"mlp of width 128. A dot for each of {seeds} seeds, lines through medians")


@dataclass
class SumFunction(iis.ParitySum):
    """ParitySum with another target than parity: any function of the sum, its answers for 0 ... k."""

    answers: tuple = (0, 0, 1, 1, 0, 0)  # is the sum in the middle?
    tasks = ("sum", "function")

    def __post_init__(self):
        super().__post_init__()
        self.classes = (self.k + 1, max(self.answers) + 1)

    def label(self, bits):
        labels = super().label(bits)
        labels[:, 1] = np.array(self.answers)[labels[:, 0]]
        return labels


def targets(seeds=10):
    """Which other functions of the sum need its help, and does the theory say how much?"""
    answers = {"odd: parity": (0, 1, 0, 1, 0, 1), "1 or 4": (0, 1, 0, 0, 1, 0),
               "0 or 3": (1, 0, 0, 1, 0, 0), "2 or 3": (0, 0, 1, 1, 0, 0),
               "which\nmodulo 3": (0, 1, 2, 0, 1, 2)}
    series = {"bilinear, 20 % ask the sum": (iis.Bilinear(), "multi-task"),
              "mlp, 20 % ask the sum": (iis.MLP(), "multi-task"),
              "mlp, the question alone": (iis.MLP(), "target")}
    cases = {(words, name): dict(problem=SumFunction(answers=of), network=network, supervision=kind)
             for words, (network, kind) in series.items() for name, of in answers.items()
             if max(of) < 2 or network.name == "mlp"}
    runs = run_all(cases, seeds, examples=2_000_000, every=640)
    figure, axis = plt.subplots(figsize=(8, 4.8))
    dots(axis, solved(runs), joined=False)
    for place, (name, of) in enumerate(answers.items()):
        if max(of) < 2:
            predicted = 64 * np.argmax(iis.recursion(answers=of)["parity"] >= 0.99)  # batches of 64
            print(f"{name}: predicted {predicted:,}")
            axis.plot(place - 0.2, predicted, "x", color="black", markersize=10,
                      label=None if place else "bilinear, as the recursion predicts")
    axis.set(xlabel="the question: is the sum of the hidden bits ... ?", ylabel="examples until 99 % right")
    axis.legend()
    return titled(figure, "Without the sum's help an mlp learns each of these; only parity takes longer",
                  f"5 hidden bits out of 50. A dot for each of {seeds} seeds, bars at medians")


# --------------------------------------------------------------------------------------
# Theory


def theory(seeds=10):
    """What the recursion predicts without training, and trainings: weights and accuracies."""
    shown, batch = (0.2, 0.7), 64
    looks = (("-.", shade(0, 3), "sum", "w", "W on the hidden bits"),
             ("--", shade(1, 3), "parity", "v", "v / 10"))

    def weights(problem, run):
        W, v, _ = run.network.params.values()
        return np.hstack([W[:, problem.support].mean(axis=1), v / 10])

    runs = run_all({("p", p): {"p": p} for p in shown}, seeds, weights, network=iis.Bilinear(), every=1280)
    figure, axes = plt.subplots(2, 2, figsize=(11, 7), sharex="col", sharey="row")
    for (above, below), p in zip(axes.T, shown):
        steps = max(run.examples for run in runs["p", p]) // batch
        predicted, examples = iis.recursion(p=p, batch=batch, steps=steps), batch * np.arange(steps + 1)
        for run in runs["p", p]:
            above.plot([record["examples"] for record in run.history],
                       [record["note"] for record in run.history], color="0.6", linewidth=0.5)
        for line, colour, task, weight, words in looks:
            lines(below, runs["p", p], task, color="0.6", linewidth=0.5, markersize=2)
            below.plot(examples, 100 * predicted[task], line, color=colour, label=task)
            above.plot(examples, predicted[weight] / (10 if weight == "v" else 1), line, color=colour)
            above.plot([], [], line, color=colour, label=words)
        above.set_title(f"p = {p:g}")
    axes[0, 0].set(ylabel="weights, a line for each row", ylim=(-0.65, None))
    axes[1, 0].set_ylabel(RIGHT)
    for axis in axes[:, 1]:
        axis.legend(title="predicted (measured: grey)", loc="lower right")
    return titled(figure, "The theory predicts, without training, what training does",
                  f"Bilinear network, 5 hidden bits out of 50, batches of {batch}. {seeds} seeds; a line ends"
                  " where parity is learned.\nWhile v is near 0, chance decides how parity is answered")


def noise(seeds=10):
    """How good is the prediction, with and without the noise of batches, against batch, n and p?"""
    usual, budget = {"n": 50, "batch": 64, "p": 0.2}, 4_000_000
    series = {"batch": (16, 32, 64, 128, 256, 1024), "n": (20, 50, 100, 200, 400),
              "p": (0.07, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)}
    cases = {(name, x): (usual | {name: x}).values() for name in series for x in series[name]}
    runs = run_all({key: dict(problem=iis.ParitySum(n), batch=batch, p=p, every=10 * batch)
                    for key, (n, batch, p) in cases.items()}, seeds, network=iis.Bilinear(), examples=budget)
    ratios = {}
    for key, seen in solved(runs).items():
        n, batch, p = cases[key]
        measured, (lr, _) = np.median(seen), iis.Bilinear.rates(n, 5, batch)
        for noisy in (True, False):
            steps = int(1.5 * min(measured, budget) / batch)
            right = iis.recursion(n=n, p=p, batch=batch if noisy else None, steps=steps, lr=lr)["parity"]
            predicted = batch * np.argmax(right >= 0.99) if right.max() >= 0.99 else np.nan
            print(f"n {n}, batch {batch}, p {p:g}: measured {said(measured)}, predicted {said(predicted)}",
                  "with noise" if noisy else "without", flush=True)
            ratios[(*key, noisy)] = measured / predicted
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), sharey=True)
    names = {"batch": "examples in a batch", "n": "n, bits of an example", "p": "p, the share of sums asked"}
    for axis, (name, values) in zip(axes, series.items()):
        for noisy, style, colour in ((True, "o-", shade(0, 3)), (False, "D--", shade(1, 3))):
            axis.plot(range(len(values)), [ratios[name, x, noisy] for x in values], style, color=colour,
                      label="predicted with noise" if noisy else "without noise")
        axis.axhline(1, color="0.3", linewidth=0.8)
        ticks(axis.xaxis, range(len(values)), values)
        others = [f"{other} = {value:g}" for other, value in usual.items() if other != name]
        axis.set(xlabel=names[name], title=", ".join(others))
    axes[0].set_ylabel("examples until learned:\nmeasured / predicted")
    axes[0].legend()
    return titled(figure, "What the recursion misses is the noise of batches; with it the prediction holds",
                  f"Bilinear network, parity of 5 bits, the network's own rate. Medians of {seeds} seeds")


@dataclass
class Noisy(iis.Bilinear):
    """Bilinear with normal noise added to its start."""

    spread: float = 0.0  # its standard deviation

    def init(self, problem, rng, dtype=np.float32):
        super().init(problem, rng, dtype)
        for name in ("W", "v"):
            array = self.params[name]
            array += self.spread * rng.standard_normal(array.shape)


def start(seeds=10):
    """Is the theorem's start needed? Noise added to it."""
    spreads, budget = (0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3), 4_000_000
    runs = run_all({("", x): {"network": Noisy(x)} for x in spreads}, seeds, examples=budget)
    figure, axis = plt.subplots(figsize=(7, 4.4))
    dots(axis, solved(runs), budget)
    axis.set(xlabel="standard deviation of the noise added to W and v at the start", ylabel=LEARNED)
    return titled(figure, "The bilinear network needs the theorem's start, though not exactly",
                  f"Parity of 5 of 50 bits, p = 0.2. A dot for each of {seeds} seeds, lines through medians")


# --------------------------------------------------------------------------------------
# Other problems


@dataclass
class Digits(iis.ParitySum):
    """ParitySum over pictures: each position shows a handwritten 0 or 1 (Alpaydin and Kaynak 1998).

    The pictures come with scikit-learn, 8 x 8 points, here black or white, 157 of each digit; every
    third is kept for testing. An example is n pictures, 64 bits each.
    """

    n: int = 16

    def __post_init__(self):
        super().__post_init__()
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            hint = f"{sys.executable} -m pip install scikit-learn"
            raise ValueError(f"digits needs scikit-learn: {hint}") from None
        points, digits = load_digits(n_class=2, return_X_y=True)  # a point's ink is 0 to 16
        points = (points > 7).astype(np.uint8)
        pictures = [np.unique(points[digits == digit], axis=0) for digit in (0, 1)]  # each once
        count = min(map(len, pictures))
        pictures = np.stack([some[:count] for some in pictures])  # (2, count, 64)
        new = np.arange(count) % 3 == 2
        self.pictures, self.new_pictures = pictures[:, ~new], pictures[:, new]

    def sample(self, rng, size, new=False):
        """Draw bits, uint8 (size, 64 n), and labels; of new pictures, if told."""
        bits, labels = super().sample(rng, size)
        pictures = self.new_pictures if new else self.pictures
        which = rng.integers(0, pictures.shape[1], bits.shape)
        return pictures[bits, which].reshape(size, -1), labels  # (size, n, 64) -> (size, 64 n)


def new_right(problem, run):
    """How many of 2,000 examples of new pictures get the right parity, in percent."""
    inputs, labels = problem.sample(np.random.default_rng(0), 2_000, new=True)
    return 100 * (run.network.predict(inputs) == labels)[:, 1].mean()


def digits(seeds=5):
    """The same over pictures: 16 handwritten zeros and ones, 5 of them hidden; new pictures to test."""
    problem, slow = Digits(), dict(network=iis.MLP(512), lr=0.0005, batch=256, examples=800_000)
    kinds = {"parity alone": dict(supervision="target"), "20 % ask the sum": dict(supervision="multi-task"),
             "both labels": dict(supervision="multi-label"),
             "both, read in turn": dict(supervision="explicit"),
             "20 % ask the sum, wide and slow": dict(supervision="multi-task", **slow),
             "parity alone, wide and slow": dict(supervision="target", **slow)}
    runs = run_all(kinds, seeds, new_right, False, problem=problem, examples=400_000,
                   stop_when_solved=False)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=[1.7, 1])
    left.set(xscale="log", ylabel="parity of new pictures right (%)", ylim=(40, 101))
    for i, (words, style) in enumerate(zip(kinds, (":", "-", "--", "-.", (0, (8, 2)), (0, (1, 4))))):
        end = np.median([run.history[-1]["note"] for run in runs[words]])
        print(f"{words}: parity of new pictures {end:.1f} % right (median)")
        for run in runs[words]:
            left.plot([record["examples"] for record in run.history],
                      [record["note"] for record in run.history], linewidth=0.9, color=shade(i, 6),
                      linestyle=style, label=None if run is not runs[words][0] else f"{words}: {end:.1f} %")
    left.set_xlabel("examples seen")
    counted(left.xaxis)
    figure.legend(*left.get_legend_handles_labels(), title="median in the end", loc="outside lower center",
                  ncols=3)
    inputs, labels = problem.sample(np.random.default_rng(0), 1, new=True)
    pictures = np.pad(inputs.reshape(2, 8, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))  # two rows of eight
    right.imshow(pictures.transpose(0, 2, 1, 3).reshape(20, 80), cmap="Greys")
    for position in problem.support:
        corner = (10 * (position % 8) - 0.5, 10 * (position // 8) - 0.5)
        right.add_patch(plt.Rectangle(corner, 10, 10, fill=False, color=shade(1, 3), linewidth=2))
    right.set_axis_off()
    right.set_title("an example, hidden ones framed: sum {}, parity {}".format(*labels[0]))
    return titled(figure, "The sum teaches the parity of pictures sooner, though not to 100 % on new ones",
                  "Parity of 5 of 16 handwritten zeros and ones, mlp; wide and slow: 512 units, rate 0.0005,"
                  f" batches of 256. A line for each of {seeds} seeds")


def attention(network, inputs):
    """How much positions look at others, averaged over examples and heads: (layers, length, length)."""
    tokens, places = network.tokens(inputs)
    told = np.ones(places.shape, bool)
    _, (_, kept, *_) = network.forward(network.params, tokens, places, told)
    return np.stack([weights.mean(axis=(0, 3)) for _, _, _, _, weights, *_ in kept])


def transformer(seeds=5):
    """Parity as a language model sees it: what becomes right, and what the questions look at."""
    problem, budget = iis.ParitySum(20), 200_000
    usual = dict(problem=problem, network=iis.Transformer(layers=2, heads=4))
    inputs, _ = problem.sample(np.random.default_rng(0), 500)

    def looked_at(problem, run):  # by the two questions, in the first layer: (2, n + 2)
        return attention(run.network, inputs)[0][problem.n :]

    kinds = {"multi-label": "both labels", "multi-task": "20 % ask the sum", "target": "parity alone"}
    runs = run_all({kind: {"supervision": kind} for kind in kinds}, seeds, examples=budget, **usual)
    runs |= run_all({"watched": {"every": 640}}, 1, looked_at, **usual)
    figure, axes = plt.subplot_mosaic([[*kinds], ["sum", "parity", "watched"]], figsize=(11, 6.6))
    for kind, title in (kinds | {"watched": "what is right meanwhile"}).items():
        axes[kind].set(title=title, ylim=(15, 103))
        if kind != "watched":
            axes[kind].set(xscale="log", xlim=(6.4e3, budget))
        for i, (task, line) in enumerate((("sum", ":"), ("parity", "-"))):
            lines(axes[kind], runs[kind], task, color=shade(i, 3), linestyle=line, label=task)
    axes["multi-label"].set_ylabel(RIGHT)
    axes["multi-task"].legend(loc="center right")
    watched = runs["watched"][0].history
    seen, looks = [record["examples"] for record in watched], np.array([record["note"] for record in watched])
    for row, task in enumerate(problem.tasks):
        image = axes[task].pcolormesh(np.arange(problem.n + 2), seen, 100 * looks[:, row], cmap="magma",
                                      vmin=0, vmax=25, shading="nearest")
        axes[task].set(title=f"what the question about the {task} looks at",
                       xlabel="position; ▲ hidden bits, ? questions")
        axes[task].set_xticks([*problem.support, problem.n, problem.n + 1], [*"▲" * problem.k, "?", "?"])
        axes[task].grid(False)
        counted(axes[task].yaxis)
    axes["sum"].set_ylabel("examples seen")
    figure.colorbar(image, ax=axes["parity"], label="attention (%)", extend="max")
    return titled(figure, "The question about the sum finds the hidden bits first, the other one later",
                  f"Parity of 5 of 20 bits, 2 layers. Above, a line for each of {seeds} seeds; "
                  "below, one run with 20 % sums, attention in its first layer")


def hops(usual, seeds, point):
    """Accuracy of every task of a sequence problem over training, under each supervision."""
    name, tasks, budget = usual["problem"].name, usual["problem"].tasks, usual["examples"]
    kinds = {"multi-label": "all labels",
             "multi-task": f"one label: {100 * usual['p']:g} % ask an earlier one",
             "target": f"{tasks[-1]} alone"}
    runs = run_all({(name, kind): {"supervision": kind} for kind in kinds}, seeds, **usual)
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), sharey=True)
    for axis, (kind, title) in zip(axes, kinds.items()):
        axis.set(title=title, xscale="log", xlim=(3.2e3, 1.1 * budget))
        for i, task in enumerate(tasks):
            style = "-" if task == tasks[-1] else (0, (1 + 2 * i, 1))
            colour = shade(len(tasks) - 1 - i, len(tasks))
            lines(axis, runs[name, kind], task, color=colour, linestyle=style, label=task)
    axes[0].set_ylabel(RIGHT)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    layers = usual["network"].layers
    return titled(figure, point, f"Transformer of {layers} layers. A line for each of {seeds} seeds; "
                  f"it ends where {tasks[-1]} is learned, or after {budget:,} examples")


def lego(seeds=5):
    """A chain of 5 variables among 3 others: which hops become right, and when?"""
    return hops(LEGO, seeds,
                "A chain of 5 variables (lego): hop after hop becomes right; alone, the last stays at chance")


def code(seeds=3):
    """Programs of 4 lines: which lines become right, and when?"""
    return hops(CODE, seeds,
                "Programs of 4 lines (code): line after line becomes right; the last alone stays far behind")


# --------------------------------------------------------------------------------------
# Film and explorer


def moments(settings, path, go_on=lambda: True):
    """Train, appending to path at every evaluation what `picture` draws."""
    problem = settings["problem"]

    def watch(run):
        if not go_on():
            raise InterruptedError
        right = {task: 100 * run.history[-1]["accuracy"][task] for task in iis.asked(settings)}
        W = run.network.params["W"]  # an mlp's is (n, width), the bilinear network's (k, n + 1)
        W = W if settings["network"].name == "bilinear" else W.T
        path.append((run.examples, right, abs(W[:, : problem.n]), odd_by_sum(problem, run.network)))

    iis.train(**settings, report=watch)


@plt.rc_context(STYLE)
def picture(axes, settings, path, frame, before=(), name=""):
    """Draw the accuracies of a path and, in grey, of one before; weights and zigzag at one moment."""
    for axis in axes:
        axis.clear()
        axis.tick_params(labelsize=9, grid_alpha=0.25)  # as STYLE has it, for ticks made later too
    curves, weights, zigzag = axes
    for run, label, grey in ((path, "", {}), (before, name, {"color": "0.65", "zorder": 1})):
        for task, line, colour in (("parity", "-", shade(0, 3)), ("sum", "--", shade(1, 3))):
            right = [(moment[0], moment[1][task]) for moment in run if task in moment[1]]
            if right:  # it was asked
                curves.plot(*zip(*right), line, label=label + task, **{"color": colour} | grey)
    examples, _, sizes, odd = path[frame]
    curves.axvline(examples, color="0.3", linewidth=1)
    curves.set(ylim=(0, 103), xlabel="examples seen", ylabel=RIGHT)
    counted(curves.xaxis)
    curves.legend(loc="lower left", bbox_to_anchor=(-0.03, 0.99), ncols=2, frameon=False)
    weights.imshow(sizes, aspect="auto", cmap="magma", vmin=0, vmax=0.7, interpolation="nearest")
    weights.set(xticks=settings["problem"].support, xticklabels="▲" * settings["problem"].k, yticks=[])
    weights.set(xlabel="bits, ▲ hidden", ylabel="units", title=f"size of weights after {examples:,} examples")
    weights.tick_params(length=0, grid_alpha=0)
    zigzag.plot(np.arange(len(odd)) % 2 * 100, color="0.8", linewidth=6)
    zigzag.plot(odd, "o-", color=shade(0, 3))
    zigzag.set(ylim=(-5, 105), xticks=range(len(odd)), xlabel="sum of the hidden bits",
               ylabel="called odd (%)", title="parity by sum; grey: truth")


def film(seeds=1):
    """The explorer's picture as a film: the hidden columns light up first, parity follows. One seed."""
    path, settings = [], dict(problem=iis.ParitySum(), network=iis.MLP(32), supervision="multi-task")
    moments(settings | {"every": 6400}, path)
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3), dpi=80, width_ratios=(4, 4, 3))
    titled(figure, "The columns of the hidden bits light up first, then parity follows",
           "5 of 50 bits, p = 0.2, mlp of width 32, one seed")
    frames = [*range(len(path))] + [len(path) - 1] * 10  # and stay at the end for a moment
    return FuncAnimation(figure, lambda frame: picture(axes, settings, path, frame), frames, interval=150)


class Explorer:
    """Sliders and buttons: each change ends the run under way and trains anew; then its weights play."""

    @plt.rc_context(STYLE)
    def __init__(self):
        if "inline" in plt.get_backend():
            print("The explorer needs a live figure: pip install ipympl, and before this %matplotlib widget")
            return
        self.figure = plt.figure(figsize=(11.2, 5.6), layout="none", label="iis explore")  # for 1280 x 720
        add = self.figure.add_axes
        self.axes = add((0.06, 0.45, 0.3, 0.39)), add((0.41, 0.45, 0.3, 0.39)), add((0.78, 0.45, 0.2, 0.39))
        ranges = {  # lowest, highest, start, step
            "p": ("p, share of sums", 0, 1, 0.2, 0.01), "n": ("n, bits", 10, 200, 50, 1),
            "k": ("k, hidden ones", 1, 10, 5, 1), "width": ("width of the mlp", 2, 512, 128, 2)}
        self.sliders, self.buttons, look = {}, {}, {"initcolor": "none", "color": "0.5"}
        for i, (name, (label, low, high, value, step)) in enumerate(ranges.items()):
            place = add((0.14, 0.26 - 0.06 * i, 0.19, 0.05))
            self.sliders[name] = Slider(place, label, low, high, valinit=value, valstep=step, **look)
            self.sliders[name].on_changed(self.change)
        self.time = Slider(add((0.46, 0.28, 0.2, 0.05)), "time", 0, 100, valfmt="  %.0f %%", **look)
        for left, name, labels in ((0.41, "network", ("bilinear", "mlp")),
                                   (0.56, "supervision", iis.SUPERVISIONS)):
            axis = add((left, 0.22 - 0.036 * len(labels), 0.14, 0.036 * len(labels)), title=name)
            self.buttons[name] = RadioButtons(axis, labels, active=1, activecolor="0.3")
            self.buttons[name].on_clicked(self.change)
            axis.set_axis_off()
        self.figure.text(0.72, 0.16, "Each change trains anew.\nDrag time to go through the training.")
        self.changed, self.latest, self.before = threading.Event(), None, ([], ())
        self.change()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()
        atexit.register(self.close)
        self.timer = self.figure.canvas.new_timer(60, [(self.draw, (), {})])
        self.timer.start()

    def change(self, _=None):
        """Note what is wanted now, and start playing."""
        if self.latest and self.latest[3]:  # it has ended
            self.before = self.latest[0], self.latest[2]
        value = {name: slider.val for name, slider in self.sliders.items()}
        network, supervision = (buttons.value_selected for buttons in self.buttons.values())
        useful = {"p": supervision == "multi-task", "n": True, "k": True, "width": network == "mlp"}
        for name, slider in self.sliders.items():
            slider.set_active(useful[name])
            for artist in slider.ax.get_children():
                artist.set_alpha(1 if useful[name] else 0.25)
        words = [network, supervision, *(f"{name} = {value[name]:g}" for name in value if useful[name])]
        network = iis.MLP(value["width"]) if network == "mlp" else iis.Bilinear()
        settings = dict(problem=iis.ParitySum(value["n"], value["k"]), network=network, p=value["p"],
                        supervision=supervision, examples=400_000, every=1280)
        self.latest = words, settings, [], []  # what is trained, its moments so far, and how it ended
        self.played, self.shown = 0, None
        self.time.set_val(0)
        self.changed.set()

    def work(self):
        """Train what is wanted last, over and over: the thread."""
        while self.changed.wait():
            self.changed.clear()
            latest = self.latest
            if latest is None:
                return
            _, settings, path, end = latest
            try:
                moments(settings, path, lambda: latest is self.latest)
                learned = "learned" if path[-1][1].get("parity", 0) >= 99 else "not learned"
                end.append(f"parity {learned} after {path[-1][0]:,} examples")
            except (iis.Diverged, InterruptedError) as error:  # or something else is wanted by now
                end.append(str(error))

    def close(self):
        """End the thread: Python must not exit in the midst of a kernel."""
        self.latest = None
        self.changed.set()
        self.thread.join()

    def draw(self):
        """Draw what is new. The timer calls this, and no other thread draws."""
        words, settings, path, end = self.latest or ([], {}, [], [])
        if end and self.time.val == self.played < 100:  # nobody has moved time by hand
            self.played = min(100, self.played + 2)
            self.time.set_val(self.played)
        state = len(path), len(end), self.time.val
        if path and state != self.shown:
            self.shown, frame = state, round(self.time.val / 100 * (state[0] - 1))
            name = ", ".join(["before", *(word for word in self.before[0] if word not in words)]) + ": "
            picture(self.axes, settings, path[: state[0]], frame, self.before[1], name)
            self.figure.suptitle(f"{', '.join(words)}: {end[0] if end else 'training ...'}")
            self.figure.canvas.draw_idle()


# --------------------------------------------------------------------------------------
# Speed: the same training elsewhere. Competitors need not draw their examples, nor evaluate


def in_iis(network, inputs, labels, batch):
    """Return a function that trains on the examples once and returns the number of steps, as all below do."""

    def train():
        network.descend(inputs, labels, batch)
        return len(inputs) // batch

    return train


def whole_training(network, inputs, labels, batch):
    """iis.train with everything that it does, evaluations too."""
    settings = dict(examples=400_000 // batch * batch, batch=batch, stop_when_solved=False)
    problem, network = iis.ParitySum(len(network.params["W"])), iis.MLP(network.width)
    return lambda: iis.train(problem, network, **settings).examples // batch


def in_numpy(network, inputs, labels, batch):
    """The complete algorithm of iis.py's first part."""
    plain = iis.NumpyMLP(network.width)
    plain.init(iis.ParitySum(len(network.params["W"])), np.random.default_rng(0))
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
        heads = zip(mlp(params, *x), labels.T) if len(x) == 1 else [(transformer(params, *x), labels)]
        losses = [jax.nn.log_softmax(z) * jax.nn.one_hot(y, z.shape[-1]) for z, y in heads]
        return -sum(values.sum() for values in losses) / len(labels)

    def step(state, examples):
        params, mean, square, count = state
        *x, y = examples
        gradient, count = jax.grad(loss)(params, *x, labels=y), count + 1
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
        square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, square, gradient)
        rate, unbias = 0.002 / (1 - 0.9**count), 1 / (1 - 0.999**count)
        change = jax.tree.map(lambda m, s: -rate * m / (jnp.sqrt(s * unbias) + 1e-8), mean, square)
        return (jax.tree.map(jnp.add, params, change), mean, square, count), None

    steps = len(inputs) // batch
    batches = [array.reshape(steps, batch, *array.shape[1:]) for array in pieces(network, inputs, labels)]
    batches, params = jax.tree.map(jnp.array, (batches, dict(network.params)))
    mean, square = jax.tree.map(jnp.zeros_like, (params, params))
    state = params, mean, square, jnp.float32(0)
    scan = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches)[0], donate_argnums=0)

    def train():
        nonlocal state
        state = jax.block_until_ready(scan(state, batches))
        return steps

    return train


@contextlib.contextmanager
def one_core():
    """Keep this thread, and those that it starts, on one core, where the system can do so."""
    if not hasattr(os, "sched_getaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def processor():
    """The processor's name, where the system tells it."""
    with contextlib.suppress(OSError, IndexError):
        return Path("/proc/cpuinfo").read_text().split("model name\t: ")[1].split("\n")[0]
    return platform.processor() or platform.machine()


def race(competitors, rounds, problem, network, batch):
    """Median seconds of a training step, {name: seconds}. They take turns: a slow moment hits all alike."""
    rng, seconds = np.random.default_rng(0), {name: [] for name in competitors}
    network.init(problem, rng)
    inputs, labels = problem.sample(rng, 100 * batch)
    labels = iis.supervise(labels, rng, "multi-task", 0.2)
    trainings = {name: function(network, inputs, labels, batch) for name, function in competitors.items()}
    for _ in range(1 + rounds):
        for name, train in trainings.items():
            train()  # compiles, and brings into the caches what it needs
            steps, began = 0, time.perf_counter()
            while time.perf_counter() < began + 0.15:
                steps += train()
            seconds[name].append((time.perf_counter() - began) / steps)
    return {name: np.median(times[1:]) for name, times in seconds.items()}


def speed(rounds=5):
    """How long does a training step take, here and elsewhere, against batch, width and n? All on one core."""
    series = {"batch": {batch: (50, 128, batch) for batch in (16, 64, 256, 1024)},
              "width": {width: (50, width, 64) for width in (32, 128, 512)},
              "n": {n: (n, 128, 64) for n in (50, 200, 1000)}}
    with one_core():
        frameworks = {}
        with contextlib.suppress(ImportError):  # where it is installed
            frameworks[f"JAX {importlib.import_module('jax').__version__}"] = in_jax
        print(f"{processor()}, one core; Python {platform.python_version()}, "
              f"NumPy {np.__version__}, Numba {iis.numba.__version__}", *frameworks, sep=", ")
        competitors = {"two products": products, "iis.MLP": in_iis, "iis.train": whole_training,
                       "iis.NumpyMLP": in_numpy} | frameworks
        print(f"mlp: microseconds of a step, median of {rounds} rounds\n")
        print(f"{'n':>5}{'width':>6}{'batch':>6}  " + "".join(f"{name:>16}" for name in competitors))
        times = {}
        for n, width, batch in dict.fromkeys(case for cases in series.values() for case in cases.values()):
            times[n, width, batch] = race(competitors, rounds, iis.ParitySum(n), iis.MLP(width), batch)
            row = "".join(f"{1e6 * seconds:>16.1f}" for seconds in times[n, width, batch].values())
            print(f"{n:>5}{width:>6}{batch:>6}  {row}", flush=True)
        print("\ntransformer, batch 64: milliseconds of a step, all on examples drawn before")
        for case in (LEGO, CODE):
            problem, network = case["problem"], replace(case["network"])  # a copy, to be trained
            found = race({"iis.Transformer": in_iis} | frameworks, rounds, problem, network, 64)
            print(problem.name, *(f"{name} {1e3 * seconds:.2f}" for name, seconds in found.items()), sep=", ")
    figure, axes = plt.subplots(1, 3, figsize=(11, 4), sharey=True)
    for axis, (label, cases) in zip(axes, series.items()):
        for i, (name, style) in enumerate(zip(competitors, ("s:", "o--", "o-", "^--", "v-.", "D-"))):
            seconds = [times[case][name] / case[2] for case in cases.values()]
            axis.plot(list(cases), np.multiply(1e6, seconds), style, color=shade(i, 6), label=name)
        axis.set(xscale="log", yscale="log", xlabel={"n": "n, bits of an example"}.get(label, label))
        ticks(axis.xaxis, list(cases), cases)
    axes[0].set_ylabel("time of a training step\nper example (µs)")
    counted(axes[0].yaxis, "{x:g}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return titled(figure, "A compiled training step takes a fraction of plain NumPy's time",
                  f"One core, median of {rounds} rounds. Where not on the axis, n = 50, width 128, batch 64")


# --------------------------------------------------------------------------------------

FIGURES = {}
for figure in (why, separation, rates, mixture, pretraining, supervision, curriculum, targets,
               interference, scale, hardness, theory, noise, start, digits, transformer, lego, code, speed,
               film):  # each draws in STYLE, whoever calls it
    FIGURES[figure.__name__] = globals()[figure.__name__] = plt.rc_context(STYLE)(figure)


def arguments():
    """Read the command line. Raises ValueError and OSError for what cannot be done."""
    parser = argparse.ArgumentParser(description="Draw figures about iis.py.")
    parser.error = lambda message: parser.exit(2, f"plots.py: {message}\n")
    add = parser.add_argument
    add("name", nargs="?", choices=[*FIGURES, "explore"], metavar="NAME",
        help=f"one of {', '.join(FIGURES)} (all of these), or explore: a window to play with")
    add("--seeds", type=int, help="seeds, or rounds of speed (3, 5 or 10)")
    add("--folder", type=Path, default=Path("figures"), help="where to save it (figures)")
    add("--jobs", type=int, help="so many runs at a time (one for each core)")
    add("--store", metavar="FILE", help="keep finished runs there; do only those missing")
    add("--port", type=int, help="explore in a browser, at this port, rather than in a window (8988)")
    add("--cluster", metavar="ADDRESS", help="dask's scheduler to run on, tcp://HOST:PORT")
    args = parser.parse_args()
    args.seeds = () if args.seeds is None else (iis.number("seeds", args.seeds, 1),)
    SWEEP.update(store=args.store)
    if args.jobs is not None:
        SWEEP["jobs"] = iis.number("jobs", args.jobs, 1)
    if args.cluster:
        try:
            from distributed import Client
        except ImportError:
            raise ValueError(f"--cluster needs dask: {sys.executable} -m pip install distributed") from None
        client = Client(args.cluster)
        client.upload_file(iis.__file__)
        SWEEP["executor"] = client.get_executor()
    return args


def explore(port):
    """Show the explorer in a window or, without one or at a port, in a browser on this machine."""
    live = matplotlib.backends.backend_registry.list_builtin(matplotlib.backends.BackendFilter.INTERACTIVE)
    if port or plt.get_backend().lower() not in live:
        port = iis.number("port", port or 8988, 1024, 65535)
        try:
            plt.switch_backend("webagg")
        except RuntimeError:
            hint = f"{sys.executable} -m pip install tornado"
            raise ValueError(f"explore needs a window toolkit, or for a browser: {hint}") from None
        socket.create_server(("127.0.0.1", port)).close()  # an OSError, if another has it
        plt.rc("webagg", address="127.0.0.1", port=port, port_retries=1, open_in_browser=False)
    explorer = Explorer()
    plt.show(block=True)
    explorer.close()


def main():
    """Draw what the command line asks for; return the exit status."""
    try:
        args = arguments()
        if args.name == "explore":
            return explore(args.port)
        args.folder.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        sys.exit(f"plots.py: {error}")
    plt.switch_backend("agg")
    drawn = 0
    for name in [args.name] if args.name else FIGURES:
        path = args.folder / f"{name}.{'gif' if name == 'film' else 'png'}"
        try:
            drawing = FIGURES[name](*args.seeds)
            drawing.save(path, "pillow") if name == "film" else drawing.savefig(path)
            print(path, flush=True)
            drawn += 1
        except (ValueError, OSError, RuntimeError) as error:  # the others go on
            print(f"plots.py: {name}: {error}", file=sys.stderr)
        plt.close("all")
    return drawn == 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("plots.py: interrupted")
