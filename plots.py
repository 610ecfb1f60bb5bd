"""Figures about iis.py. `python plots.py` draws all into the folder figures/ and says where.

`python plots.py mixture` draws one; `python plots.py explore` is a window to play with. What is
computed, iis.py computes; here it is drawn: a function for each figure, which makes one point, and
says it in its title. Colours differ in lightness too, for grey prints and for eyes that tell few
apart. Medians count a run that did not learn as larger than all others.
"""

import argparse
import atexit
import contextlib
import itertools
import logging
import os
import platform
import socket
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator
from matplotlib.widgets import Button, CheckButtons, RadioButtons, Slider
import iis

STYLE = ["default", {  # whatever the reader's own style is: it may write all text in LaTeX
    "text.usetex": False, "figure.constrained_layout.use": True, "figure.dpi": 110,
    "figure.titlesize": 11, "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlesize": 10, "axes.grid": True, "grid.alpha": 0.25, "legend.fontsize": 8}]
DASHES = "-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2))
FIGURES = {}  # by name
SWEEP = {}  # how iis.sweep is to run, as the command line says: jobs, store, executor
RIGHT = "held-out examples right (%)"
LEARNED = "examples until parity is 99 % right"
LONG = dict(examples=800_000, every=3200)  # how sequence problems are trained, in all figures
LEGO = dict(problem=iis.Lego(), network=iis.Transformer(layers=4, heads=4), p=0.8, **LONG)
CODE = dict(problem=iis.Code(), network=iis.Transformer(layers=6), p=0.5, **LONG)

# --------------------------------------------------------------------------------------------------
# What figures share

def shows(point, details, usual):
    """Make a function one of FIGURES, titled and in STYLE, with so many seeds as usual."""
    def decorate(function):
        @plt.style.context(STYLE)
        def draw(seeds=usual):
            figure = function(seeds)
            figure.suptitle(f"{point}\n{details.format(seeds)}")
            figure.draw_without_rendering()  # makes the ticks, now that the style is in force
            return figure

        FIGURES[function.__name__] = draw
        return draw

    return decorate


def train_all(cases, seeds, note=None, **usual):
    """Train what the cases say, with so many seeds: {key: [Run per seed]}.

    A case has those of iis.train's arguments that are not the usual ones: parity, an mlp, what is
    given. run.asked says which tasks were. At each test, record["note"] is note(problem, run), if
    that is given; such runs do not go to a store or a cluster.
    """
    usual = dict(problem=iis.ParitySum(), network=iis.MLP(), supervision="multi-task") | usual
    runs, key_of, found = [], {}, {key: [None] * seeds for key in cases}
    for key, seed in itertools.product(cases, range(seeds)):
        settings = usual | cases[key] | {"seed": seed}
        problem = settings["problem"]
        if hasattr(problem, "seed"):
            settings["problem"] = problem = replace(problem, seed=seed)
        if note:
            settings["report"] = partial(keep, note, problem)
        runs.append(settings)
        key_of[id(settings)] = key
    how = SWEEP | {"store": None, "executor": None} if note else SWEEP
    for count, (settings, run) in enumerate(iis.sweep(runs, **how), 1):
        if isinstance(run, Exception):
            raise run
        run.asked = iis.asked(settings)
        found[key_of[id(settings)]][settings["seed"]] = run
        iis.progress(f"{count} of {len(runs)} runs")
    iis.progress()
    return found


def keep(note, problem, run):
    run.history[-1]["note"] = note(problem, run)


def run_all(cases, seeds, note=None, **usual):
    """Call train_all, and print what came of each case: how many learned, and the medians."""
    found = train_all(cases, seeds, note, **usual)
    print(" learned   right  after")
    for key, seen in solved(found).items():
        right = np.median([100 * [*run.history[-1]["accuracy"].values()][-1] for run in found[key]])
        after = said(np.median(seen))
        if seeds > 1:
            after += f" ({said(min(seen))}-{said(max(seen))})"
        name = key if isinstance(key, str) else " ".join(map(str, key)).strip()
        line = f"{np.isfinite(seen).sum():2} of {seeds:2} {right:5.1f} %  {after:25} {name}"
        print(textwrap.fill(line, 80, subsequent_indent=44 * " "), flush=True)
    return found


def solved(runs):
    """The examples until each run was solved, infinitely many if it was not: {key: array}."""
    return {key: np.array([run.solved_at or np.inf for run in runs[key]]) for key in runs}


def at_best_rate(cases, speeds, seeds, **usual):
    """As solved(run_all(...)), each case at its best rate: lowest median, or most that learned."""
    tried = {(*key, lr): case | {"lr": lr} for key, case in cases.items() for lr in speeds}
    seen, best = solved(run_all(tried, seeds, **usual)), {}
    for key in cases:
        best[key] = min([seen[(*key, lr)] for lr in speeds],
                        key=lambda numbers: (np.median(numbers), np.isinf(numbers).sum()))
    return best


def odd_by_sum(problem, run):
    """How many of a hundred examples are called odd, for each sum of the hidden bits."""
    sums, rng = np.repeat(np.arange(problem.k + 1), 100), np.random.default_rng(0)
    bits = rng.integers(0, 2, (len(sums), problem.n), dtype=np.uint8)
    bits[:, problem.support] = rng.permuted(np.arange(problem.k) < sums[:, None], axis=1)
    return run.network.predict(bits)[:, 1].reshape(-1, 100).sum(axis=1)


def said(examples):
    return f"{examples:,.0f}" if np.isfinite(examples) else "never"


def shade(i, count):
    """The i-th of so many colours, from dark to light."""
    return plt.cm.viridis(0.87 * i / max(1, count - 1))


def lines(axis, runs, task, noted=False, **style):
    """Accuracy, or what was noted, over examples, a line for each seed. A dot: just solved."""
    style = {"linestyle": ":" if task == "sum" else "-", "label": task,
             "linewidth": 0.9, "marker": "o", "markersize": 3.5} | style
    for run in runs:
        if task in run.asked:
            right = [record["note"] if noted else 100 * record["accuracy"][task]
                     for record in run.history]
            style["markevery"] = [len(right) - 1] if run.solved_at == run.examples else []
            axis.plot([record["examples"] for record in run.history], right, **style)
            style["label"] = None  # one for all
    axis.set_xlabel("examples seen")
    counted(axis.xaxis)


def apart(count, width):
    """So many places, side by side around 0."""
    return width * ((np.arange(count) + 0.5) / count - 0.5)


def dots(axis, groups, limit=None, joined=True):
    """A dot for each of {(series, tick): numbers}, bars at medians, infinite ones above a limit."""
    series = list(dict.fromkeys(label for label, _ in groups))
    names = list(dict.fromkeys(name for _, name in groups))
    axis.set_yscale("log")
    for i, (label, shift) in enumerate(zip(series, apart(len(series), 0.6))):
        look = {"color": shade(i, len(series) + 1), "linestyle": DASHES[i] if joined else ""}
        axis.plot([], [], "oDs^vP"[i], label=label, **look)
        found = [(names.index(name) + shift, numbers)
                 for (key, name), numbers in groups.items() if key == label]
        medians = [(place, np.median(numbers)) for place, numbers in found]
        axis.plot(*zip(*medians), "_", markersize=24 / len(series), linewidth=1, **look)
        for place, numbers in found:
            seen = np.minimum(numbers, 1.4 * limit if limit else np.inf)
            axis.plot(place + apart(len(seen), 0.4 / len(series)), seen, "oDs^vP"[i],
                      color=look["color"], markersize=4, alpha=0.8)
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
    """Write 20k for 20,000, or as form says; on a logarithmic axis, given room, also 50k."""
    axis.set_major_formatter(form or EngFormatter(sep=""))
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        close = [1, 1.5, 2, 3, 4, 5, 6, 8] if high < 12 * low else [1, 2, 5]
        subs = [1] if high > 300 * low else close
        axis.set_major_locator(LogLocator(subs=subs, numticks=30))
        axis.set_minor_locator(NullLocator())


def ticks(axis, places, labels):
    """Write these labels, and no others."""
    axis.set_ticks(places, [label if isinstance(label, str) else f"{label:g}" for label in labels])
    axis.set_minor_locator(NullLocator())


# --------------------------------------------------------------------------------------------------
# The finding

@shows("The sum tells which bits count; parity is then a zigzag over k + 1 values",
       "5 hidden bits out of 50. Gradient: mean over 640,000 examples. Trainings: {} seeds, "
       "a line ends where parity is learned; zigzag: median", 5)
def why(seeds):
    figure, ((first, mlp), (bilinear, zigzag)) = plt.subplots(2, 2, figsize=(12, 7.4))
    first_gradient(first)
    kinds, sums = {"bilinear": dict(network=iis.Bilinear()), "mlp": {}}, np.arange(6)
    runs = run_all(kinds, seeds, odd_by_sum, every=1280)
    zigzag.plot(sums, 100 * (sums % 2), color="0.75", linewidth=6, label="the truth")
    levels = ((20, "center", "only the sums 2 and 3"), (30, "top", "all sums but 0 and 5"),
              (31, "bottom", "all but 0, or but 5"))
    for i, (name, axis) in enumerate((("bilinear", bilinear), ("mlp", mlp))):
        for task in ("sum", "parity"):
            lines(axis, runs[name], task, color=shade(i, 3))
        for of_32, place, words in levels:
            level = 100 * of_32 / 32
            axis.axhline(level, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
            axis.annotate(f"{level:.1f} %:\n{words}", (1.01, level), fontsize=7, va=place,
                          xycoords=("axes fraction", "data"))
        axis.set(title=f"{name}, p = 0.2: first the sum, then the parity", ylabel=RIGHT,
                 ylim=(20, 102))
        axis.legend(loc="lower right")
        plateau = [min(run.history, key=lambda test: abs(test["accuracy"]["parity"] - 30 / 32))
                   for run in runs[name]]
        odd = np.median([test["note"] for test in plateau], axis=0)
        zigzag.plot(sums, odd, "oD"[i], color=shade(i, 3), linestyle="--",
                    label=f"{name}, when 93.8 % right")
    zigzag.set(title="parity turns with each step of the sum; the rare ends come last",
               ylim=(-5, 145), yticks=range(0, 101, 20), xlabel="sum of the hidden bits",
               ylabel="called odd (% of examples)")
    zigzag.legend(loc="upper center")
    return figure


def first_gradient(axis):
    """Before any training: how long is the gradient by the weights of each bit?"""
    problem, network, rng = iis.ParitySum(), iis.MLP(), np.random.default_rng(0)
    network.init(problem, rng)
    hidden = np.isin(np.arange(problem.n), problem.support)
    for task, name, marker, colour in ((0, "sum", "D", "0.1"), (1, "parity", "o", "0.55")):
        gradient = 0
        for _ in range(10):  # all examples at once would not fit the memory
            bits, labels = problem.sample(rng, 64_000)
            labels[:, 1 - task] = -1
            _, gradients = network.loss_and_gradients(bits, labels)
            gradient += gradients["W"] / 10
        lengths = np.linalg.norm(gradient, axis=1)  # (n, width) -> (n,)
        for which, fill, words in ((hidden, "full", "hidden"), (~hidden, "none", "other")):
            axis.plot(np.flatnonzero(which), lengths[which], marker, color=colour, fillstyle=fill,
                      label=f"{name}, {words} bits")
    axis.set(title="mlp at its start: the sum shows the hidden bits", yscale="log",
             ylim=(2.5e-4, 0.08), xlabel="input bit",
             ylabel="length of the gradient by its weights")
    counted(axis.yaxis, "{x:g}")
    axis.legend(loc="lower left", ncols=2)


@shows("Parity alone is out of reach from some k on; with the sum's help it is not",
       "mlp at rate 0.002 and batches of 64. A dot for each seed, lines through medians", 10)
def separation(seeds):
    ks, budget, few = range(2, 9), 30_000_000, max(1, seeds // 2)
    slow = dict(supervision="target", lr=0.001, batch=256)
    series = {
        f"parity alone, {few} seeds": (few, dict(supervision="target")),
        f"the same at rate 0.001, batches of 256, {few} seeds": (few, slow),
        f"20 % ask the sum, {seeds} seeds": (seeds, dict(supervision="multi-task")),
        f"both labels, {seeds} seeds": (seeds, dict(supervision="multi-label"))}
    runs = {}
    for words, (count, case) in series.items():
        cases = {(words, k): case | {"problem": iis.ParitySum(k=k)} for k in ks}
        runs |= run_all(cases, count, examples=budget)
    figure, axis = plt.subplots(figsize=(8.5, 5))
    dots(axis, solved(runs), budget)
    axis.set(xlabel="k, hidden bits out of 50", ylabel=LEARNED)
    axis.legend(loc="upper left", bbox_to_anchor=(0, 0.9))
    return figure


@shows("At the best rate and batch of each, too, the sum is worth a factor of ten",
       "mlp, 5 hidden bits out of 50: median of examples until learned, and how many of {} "
       "seeds learn within 4,000,000", 10)
def rates(seeds):
    speeds, batches, budget = (0.0005, 0.001, 0.002, 0.004, 0.008), (16, 64, 256), 4_000_000
    kinds = {"multi-task": "20 % ask the sum", "target": "parity alone"}
    cases = {(kind, batch, lr): dict(supervision=kind, batch=batch, lr=lr)
             for kind, batch, lr in itertools.product(kinds, batches, speeds)}
    seen = solved(run_all(cases, seeds, examples=budget))
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), sharey=True)
    for axis, (kind, words) in zip(axes, kinds.items()):
        medians = np.array([[np.median(seen[kind, b, lr]) for lr in speeds] for b in batches])
        axis.imshow(np.ma.masked_invalid(medians), norm="log", vmin=4e4, vmax=budget,
                    cmap="viridis_r", alpha=0.45, aspect="auto", origin="lower")
        for (row, column), median in np.ndenumerate(medians):
            learned = np.isfinite(seen[kind, batches[row], speeds[column]]).sum()
            axis.text(column, row, f"{said(median)}\n{learned} of {seeds}", ha="center",
                      va="center", weight="bold" if median == medians.min() else None)
        axis.set(title=words, xlabel="learning rate")
        ticks(axis.xaxis, range(len(speeds)), speeds)
        ticks(axis.yaxis, range(len(batches)), batches)
        axis.grid(False)
    axes[0].set_ylabel("examples in a batch")
    return figure


@shows("Any share of sums but the most extreme ones teaches both networks the parity",
       "5 hidden bits out of 50. A dot, or a line, for each of {} seeds; bars are medians, "
       "a line ends where parity is learned", 5)
def mixture(seeds):
    shares = (0, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1)
    budget, networks = 3_000_000, (iis.Bilinear(), iis.MLP())
    cases = {(network.name, p): dict(network=network, p=p) for network in networks for p in shares}
    for network in networks:
        cases[network.name, 0]["supervision"] = "target"  # no example asks the sum
    runs = run_all(cases, seeds, examples=budget)
    figure, axes = plt.subplot_mosaic([["all", "all", 0, 0.01], ["all", "all", 0.2, 0.9]],
                                      figsize=(12, 5.2))
    whole = axes.pop("all")
    dots(whole, solved(runs), budget)
    whole.set(xlabel="p, the share of examples that ask the sum", ylabel=LEARNED)
    whole.legend(loc="upper center", bbox_to_anchor=(0.5, 0.8))
    for p, axis in axes.items():
        axis.set(title=f"p = {p:g}", xscale="log", xlim=(6.4e3, budget), ylim=(30, 103),
                 ylabel="right (%)")
        for i, network in enumerate(networks):
            for task in ("sum", "parity"):
                lines(axis, runs[network.name, p], task, color=shade(i, 3), marker="oD"[i],
                      label=f"{network.name}: {task}")
    axes[0.2].legend(loc="lower right", fontsize=7)
    return figure


@shows("Among many easy questions, a hard one needs far fewer examples of its own",
       "mlp, k hidden bits out of 50. A dot for each of {} seeds, lines through medians", 5)
def pretraining(seeds):
    hard, budget = (1, 0.8, 0.5, 0.2, 0.1, 0.01, 0.001), 30_000_000
    cases = {(k, share): dict(problem=iis.ParitySum(k=k), p=1 - share)
             for k in (7, 5) for share in hard}
    seen = solved(run_all(cases, seeds, examples=budget))
    figure, axis = plt.subplots(figsize=(8, 4.6))
    groups = {(f"k = {k}", f"{100 * share:g} %"): share * seen[k, share] for k, share in seen}
    dots(axis, groups, budget)
    axis.set(xlabel="examples that ask the parity; the others ask the sum",
             ylabel="parity examples until parity\nis 99 % right")
    axis.legend(loc="lower left")
    return figure


@shows("A chain of thought (all labels, read in turn) learns from the fewest examples, and "
       "labels, but needs a pass for each question to answer",
       "A dot for each seed, bars at medians", 10)
def supervision(seeds):
    kinds = {"target": "target\nalone\n1 pass", "multi-task": "one\nlabel\n1 pass",
             "multi-label": "all\nlabels\n1 pass", "explicit": "all, read\nin turn\n{} passes",
             "curriculum": "one, easy\nones first\n1 pass"}
    few = max(1, seeds // 3)
    columns = (("parity, 5 of 50 bits", 2, 5, seeds, dict(examples=200_000, every=1280)),
               ("lego, 5 hops", 5, 4, few, LEGO), ("code, 4 lines", 4, 4, few, CODE))
    figure, axes = plt.subplots(2, 3, figsize=(12, 6.6), width_ratios=[5, 4, 4], sharex="col")
    for (above, below), (title, tasks, many, count, usual) in zip(axes.T, columns):
        cases = {(title, kinds[kind].format(tasks)): {"supervision": kind}
                 for kind in list(kinds)[:many]}
        examples, labels = solved(run_all(cases, count, **usual)), {}
        for key, seen in examples.items():
            tells_all = cases[key]["supervision"] in ("multi-label", "explicit")
            labels[key] = seen * (tasks if tells_all else 1)
        dots(above, examples, limit=usual["examples"], joined=False)
        dots(below, labels, joined=False)
        above.set_title(f"{title}: {count} seeds")
        below.set_xlim(-0.5, many - 0.5)
    axes[0, 0].set_ylabel("examples until the target is 99 % right")
    axes[1, 0].set_ylabel("labels consumed until then")
    return figure


@shows("First the sum, then the parity: about as fast as mixed, but the sum may be forgotten",
       "k hidden bits out of 50. A dot, or a line, for each of {} seeds, bars at medians", 10)
def curriculum(seeds):
    kinds = {"curriculum": "first the sum, then the parity alone",
             "multi-task": "mixed: 20 % ask the sum"}
    networks, budgets = (iis.MLP(), iis.Bilinear()), {5: 600_000, 7: 1_500_000}
    cases = {(words, f"{network.name}\nk = {k}"): dict(
                 problem=iis.ParitySum(k=k), network=network, supervision=kind, examples=budgets[k])
             for kind, words in kinds.items() for network in networks for k in budgets}
    runs = run_all(cases, seeds, stop_when_solved=False)
    figure, axes = plt.subplot_mosaic([[0, 1, 2], [0, 3, 4]], figsize=(11, 5.6),
                                      width_ratios=[1.3, 1, 1])
    dots(axes[0], solved(runs), joined=False)
    axes[0].set_ylabel(LEARNED)
    for number, panel in enumerate(dict.fromkeys(panel for _, panel in cases), 1):
        for i, words in enumerate(kinds.values()):
            lines(axes[number], runs[words, panel], "sum", color=shade(i, 3), marker="oD"[i],
                  linestyle="-:"[i], label=words)
        axes[number].set(title=panel.replace("\n", ", "), ylim=(20, 103), ylabel="sum right (%)")
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@dataclass
class SumFunction(iis.ParitySum):
    """ParitySum with another target than parity: any function of the sum, answers for 0 ... k."""
    answers: tuple = (0, 0, 1, 1, 0, 0)
    tasks = ("sum", "function")

    def __post_init__(self):
        super().__post_init__()
        self.classes = (self.k + 1, max(self.answers) + 1)

    def label(self, bits):
        sums = super().label(bits)[:, 0]
        return np.stack([sums, np.array(self.answers)[sums]], axis=1)


@shows("Without the sum's help an mlp learns each of these; only parity takes longer",
       "5 hidden bits out of 50. A dot for each of {} seeds, bars at medians", 10)
def targets(seeds):
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
    axis.set(xlabel="the question: is the sum of the hidden bits ... ?",
             ylabel="examples until 99 % right")
    axis.legend()
    return figure


@dataclass
class Distracted(iis.ParitySum):
    """ParitySum with more helpers, each the sum of k other bits, which help with nothing."""
    distractors: int = 0

    def __post_init__(self):
        super().__post_init__()
        count = 1 + iis.number("distractors", self.distractors, 0, self.n // self.k - 1)
        shuffled = np.random.default_rng(self.seed).permutation(self.n)  # as for the hidden bits
        self.groups = shuffled[: count * self.k].reshape(count, self.k)  # the first are those
        self.tasks = ("sum", *[f"other sum {i}" for i in range(1, count)], "parity")
        self.classes = (self.k + 1,) * count + (2,)

    def label(self, bits):
        sums = [bits[:, group].sum(axis=1, dtype=np.int64) for group in self.groups]
        return np.stack([*sums, sums[0] % 2], axis=1)


@shows("Helpers that help with nothing do harm, most of all to small networks",
       "Parity of 5 of 50 bits, mlp, each case at its best of 4 learning rates. "
       "A dot for each of {} seeds, lines through medians", 10)
def interference(seeds):
    counts, widths, budget = (0, 1, 4, 8), (8, 32, 128), 1_000_000
    kinds = (("20 % ask a sum, of any group", "multi-task", 0.2, 0),
             ("9 % ask each of the sums", "multi-task", 0.09, 0.09),
             ("all labels", "multi-label", 0, 0))
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), sharey=True)
    for axis, (words, kind, share, more) in zip(axes, kinds):
        cases = {(f"width {width}", count): dict(problem=Distracted(distractors=count),
                                                 network=iis.MLP(width), p=share + more * count)
                 for width in widths for count in counts}
        print(f"{words}; width, useless helpers, learning rate:")
        best = at_best_rate(cases, (0.002, 0.004, 0.008, 0.016), seeds, supervision=kind,
                            examples=budget)
        dots(axis, best, budget)
        axis.set(title=words, xlabel="useless helpers: sums of 5 other bits each")
    axes[0].set_ylabel(LEARNED)
    axes[1].legend(loc="lower right")
    return figure


@shows("Parity alone asks for a wide network; with the sum's help a small one will do",
       "Parity of 5 of 50 bits, each case at its best of 5 learning rates.\n"
       "A dot for each of {} seeds, lines through medians", 10)
def scale(seeds):
    shares = {"parity alone": 0, "1 % ask the sum": 0.01, "20 % ask the sum": 0.2}
    widths, speeds = (8, 32, 128, 512, 2048), (0.001, 0.002, 0.004, 0.008, 0.016)
    cases = {(words, width): dict(network=iis.MLP(width), p=p)
             for words, p in shares.items() for width in widths}
    figure, axis = plt.subplots(figsize=(8, 4.8))
    dots(axis, at_best_rate(cases, speeds, seeds, examples=600_000), 600_000)
    axis.set(xlabel="width of the mlp (units)", ylabel=LEARNED)
    axis.legend(loc="upper right", bbox_to_anchor=(1, 0.85))
    return figure


def signal(problem, network, task):
    """Return the length of what the exact gradient of a task's loss, over all 2ⁿ inputs, tells.

    Most of the gradient says how often each answer occurs. What it tells of the hidden bits is the
    rest, once the gradient for labels drawn blindly, each as often as it occurs, is taken away.
    """
    bits = np.arange(2**problem.n)[:, None] >> np.arange(problem.n) & 1  # (inputs, n)
    truth = problem.label(bits)[:, task]

    def gradient(answers):  # if these were the labels
        labels = np.full((len(bits), len(problem.tasks)), -1)
        labels[:, task] = answers
        _, gradients = network.loss_and_gradients(bits, labels)
        return np.hstack([array.ravel() for array in gradients.values()])

    often = np.bincount(truth) / len(bits)
    blind = sum(share * gradient(answer) for answer, share in enumerate(often))
    return np.linalg.norm(gradient(truth) - blind)


def telling(job):
    """`signal` of the parity and of the sum of k of 16 bits, for an mlp at its start."""
    k, seed = job
    problem, network, rng = iis.ParitySum(16, k, seed), iis.MLP(), np.random.default_rng(seed)
    network.init(problem, rng, np.float64)
    network.params["b"][:] = rng.uniform(-1, 1, network.width) / 4  # at 0, odd k would tell nothing
    return signal(problem, network, 1), signal(problem, network, 0)


@shows("What parity tells of its bits fades with their number, but not what the sum tells",
       "mlp of width 128. A dot for each of {} seeds, lines through medians", 5)
def hardness(seeds):
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.8))
    ks, groups = range(1, 9), {}
    iis.one_blas_thread()
    with ThreadPoolExecutor(SWEEP.get("jobs")) as pool:
        lengths = np.array(list(pool.map(telling, itertools.product(ks, range(seeds)))))
    for task, rows in zip(("parity", "sum"), lengths.T.reshape(2, len(ks), seeds)):
        fall = np.median(rows[1]) / np.median(rows[7])
        words = f"{task}: {fall:.3g} times shorter from k = 2 to 8"
        groups |= {(words, k): row for k, row in zip(ks, rows)}
    dots(left, groups)
    left.yaxis.set_major_formatter("{x:g}")
    left.set(title="mlp at its start: what the gradient tells of the hidden bits",
             xlabel="k, hidden bits out of 16",
             ylabel="length of the telling part of the exact gradient")
    left.legend(loc="center right", bbox_to_anchor=(1, 0.62))

    sizes, budget = (25, 50, 100, 200), 8_000_000  # of fewer bits, training sees the tests' too
    series = [(k, "target") for k in (2, 3, 5)] + [(k, "multi-task") for k in (3, 5, 8)]
    cases = {(k, kind, n): dict(problem=iis.ParitySum(n, k), supervision=kind,
                                every=640 if k < 4 else None)
             for k, kind in series for n in sizes if (k, kind, n) != (5, "target", 200)}
    seen, groups = solved(run_all(cases, seeds, examples=budget)), {}
    for k, kind, n in seen:
        few, many = np.median(seen[k, kind, 25]), np.median(seen[k, kind, 100])
        words = "beyond the budget"
        if max(few, many) < np.inf:
            words = f"n to the {np.log(many / few) / np.log(100 / 25):.1f}"
        data = "alone" if kind == "target" else "20 % sums"
        groups[f"k = {k}, {data}: {words}", n] = seen[k, kind, n]
    dots(right, groups, budget)
    right.set(xlabel="n, bits of an example", ylabel=LEARNED, title="examples that training takes")
    right.legend(title="growth from n = 25 to 100", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


# --------------------------------------------------------------------------------------------------
# Theory

@shows("The theory predicts, without training, what training does",
       "Bilinear network, 5 hidden bits out of 50, batches of 64. {} seeds; a line ends where "
       "parity is learned.\nWhile v is near 0, chance decides how parity is answered", 10)
def theory(seeds):
    shown, batch = (0.2, 0.7), 64
    looks = (("-.", shade(0, 3), "sum", "w", 1, "W on the hidden bits"),
             ("--", shade(1, 3), "parity", "v", 10, "v / 10"))

    def weights(problem, run):  # of each row on the hidden bits, the mean; and v / 10
        W, v, _ = run.network.params.values()
        return np.hstack([W[:, problem.support].mean(axis=1), v / 10])

    cases = {("p", p): {"p": p} for p in shown}
    runs = run_all(cases, seeds, weights, network=iis.Bilinear(), every=1280)
    figure, axes = plt.subplots(2, 2, figsize=(11, 7), sharex="col", sharey="row")
    for (above, below), p in zip(axes.T, shown):
        above.set_title(f"p = {p:g}")
        for run in runs["p", p]:
            above.plot([record["examples"] for record in run.history],
                       [record["note"] for record in run.history], color="0.6", linewidth=0.5)
        steps = max(run.examples for run in runs["p", p]) // batch
        predicted, examples = iis.recursion(p=p, steps=steps), batch * np.arange(steps + 1)
        for line, colour, task, weight, scale, words in looks:
            lines(below, runs["p", p], task, color="0.6", linestyle="-", linewidth=0.5,
                  markersize=2, label=None)
            below.plot(examples, 100 * predicted[task], line, color=colour, label=task)
            above.plot(examples, predicted[weight] / scale, line, color=colour)
            above.plot([], [], line, color=colour, label=words)
    axes[0, 0].set(ylabel="weights, a line for each row", ylim=(-0.65, None))
    axes[1, 0].set_ylabel(RIGHT)
    for axis in axes[:, 1]:
        axis.legend(title="predicted (measured: grey)", loc="lower right")
    return figure


@shows("What the recursion misses is the noise of batches; with it the prediction holds",
       "Bilinear network, parity of 5 bits, the network's own rate. Medians of {} seeds", 10)
def noise(seeds):
    usual, budget = {"n": 50, "batch": 64, "p": 0.2}, 4_000_000
    series = {"batch": ("examples in a batch", (16, 32, 64, 128, 256, 1024)),
              "n": ("n, bits of an example", (20, 50, 100, 200, 400)),
              "p": ("p, the share of sums asked", (0.07, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9))}
    cases = {(name, x): usual | {name: x} for name, (_, values) in series.items() for x in values}
    trained = {key: dict(problem=iis.ParitySum(case["n"]), p=case["p"], batch=case["batch"],
                         every=10 * case["batch"]) for key, case in cases.items()}
    seen = solved(run_all(trained, seeds, network=iis.Bilinear(), examples=budget))
    ratios = {}
    for key, case in cases.items():
        measured, (lr, _) = np.median(seen[key]), iis.Bilinear.rates(case["n"], 5, case["batch"])
        steps = int(1.5 * min(measured, budget) / case["batch"])
        for words, batch in (("with", case["batch"]), ("without", None)):
            right = iis.recursion(**case | {"batch": batch}, steps=steps, lr=lr)["parity"]
            learned = case["batch"] * np.argmax(right >= 0.99)
            predicted = learned if right.max() >= 0.99 else np.nan
            ratios[(*key, words)] = measured / predicted
            print(*key, f"predicted {said(predicted)} {words} noise", flush=True)
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), sharey=True)
    for axis, name in zip(axes, series):
        label, values = series[name]
        for i, words in enumerate(("with", "without")):
            axis.plot([ratios[name, x, words] for x in values], "oD"[i], linestyle=DASHES[i],
                      color=shade(i, 3), label=f"predicted {words} noise")
        axis.axhline(1, color="0.3", linewidth=0.8)
        ticks(axis.xaxis, range(len(values)), values)
        others = [f"{other} = {value:g}" for other, value in usual.items() if other != name]
        axis.set(xlabel=label, title=", ".join(others))
    axes[0].set_ylabel("examples until learned:\nmeasured / predicted")
    axes[0].legend()
    return figure


@dataclass
class Noisy(iis.Bilinear):
    """Bilinear with normal noise added to its start."""
    spread: float = 0.0  # its standard deviation

    def init(self, problem, rng, dtype=np.float32):
        super().init(problem, rng, dtype)
        for array in (self.params["W"], self.params["v"]):
            array += self.spread * rng.standard_normal(array.shape)


@shows("The bilinear network needs the theorem's start, though not exactly",
       "Parity of 5 of 50 bits, p = 0.2. A dot for each of {} seeds, lines through medians", 10)
def start(seeds):
    spreads, budget = (0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3), 4_000_000
    runs = run_all({("", x): {"network": Noisy(x)} for x in spreads}, seeds, examples=budget)
    figure, axis = plt.subplots(figsize=(7, 4.4))
    dots(axis, solved(runs), budget)
    axis.set(xlabel="standard deviation of the noise added to W and v at the start", ylabel=LEARNED)
    return figure


# --------------------------------------------------------------------------------------------------
# Other problems

@dataclass
class Digits(iis.ParitySum):
    """ParitySum over pictures: each bit is a handwritten 0 or 1 (Alpaydin and Kaynak 1998).

    They come with scikit-learn, 8 x 8 points, here black or white, 157 of each digit; every third
    is new: never drawn unless asked for. An example is n pictures, 64 bits each.
    """
    n: int = 16

    def __post_init__(self):
        super().__post_init__()
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            hint = f"{sys.executable} -m pip install scikit-learn"
            raise ValueError(f"needs scikit-learn: {hint}") from None
        points, digits = load_digits(n_class=2, return_X_y=True)  # a point's ink is 0 to 16
        points = (points > 7).astype(np.uint8)
        pictures = [np.unique(points[digits == digit], axis=0) for digit in (0, 1)]  # each once
        count = min(map(len, pictures))
        pictures = np.stack([some[:count] for some in pictures])  # (2, count, 64)
        new = np.arange(count) % 3 == 2
        self.pictures, self.new_pictures = pictures[:, ~new], pictures[:, new]

    def sample(self, rng, size, new=False):
        """Draw points, uint8 (size, 64 n), and labels (size, 2)."""
        bits, labels = super().sample(rng, size)
        pictures = self.new_pictures if new else self.pictures
        which = rng.integers(0, pictures.shape[1], bits.shape)
        return pictures[bits, which].reshape(size, -1), labels  # (size, n, 64) -> (size, 64 n)


def new_right(problem, run):
    """How many of 10,000 examples of new pictures get the right parity, in percent."""
    inputs, labels = problem.sample(np.random.default_rng(0), 10_000, new=True)
    return 100 * (run.network.predict(inputs) == labels)[:, 1].mean()


@shows("The sum teaches the parity of pictures sooner, though not to 100 % on new ones",
       "Parity of 5 of 16 handwritten zeros and ones, mlp; wide and slow: 512 units, rate 0.0005, "
       "batches of 256. A line for each of {} seeds", 5)
def digits(seeds):
    problem, slow = Digits(), dict(network=iis.MLP(512), lr=0.0005, batch=256, examples=800_000)
    kinds = {"parity alone": dict(supervision="target"),
             "20 % ask the sum": dict(supervision="multi-task"),
             "both labels": dict(supervision="multi-label"),
             "both, read in turn": dict(supervision="explicit"),
             "20 % ask the sum, wide and slow": dict(supervision="multi-task", **slow),
             "parity alone, wide and slow": dict(supervision="target", **slow)}
    runs = train_all(kinds, seeds, new_right, problem=problem, examples=400_000,
                     stop_when_solved=False)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), width_ratios=[1.7, 1])
    left.set(xscale="log", ylabel="parity of new pictures right (%)", ylim=(40, 101))
    print(f"parity of new pictures right, median of {seeds} seeds")
    for i, words in enumerate(kinds):
        end = np.median([run.history[-1]["note"] for run in runs[words]])
        print(f"{end:5.1f} %  {words}")
        lines(left, runs[words], "parity", noted=True, color=shade(i, 6), linestyle=DASHES[i],
              marker="", label=f"{words}: {end:.1f} %")
    figure.legend(*left.get_legend_handles_labels(), title="median in the end",
                  loc="outside lower center", ncols=3)
    inputs, labels = problem.sample(np.random.default_rng(0), 1, new=True)
    pictures = np.pad(inputs.reshape(2, 8, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))  # two rows
    right.imshow(pictures.transpose(0, 2, 1, 3).reshape(20, 80), cmap="Greys")
    for position in problem.support:
        corner = (10 * (position % 8) - 0.5, 10 * (position // 8) - 0.5)
        right.add_patch(plt.Rectangle(corner, 10, 10, fill=False, color=shade(1, 3), linewidth=2))
    right.set_axis_off()
    right.set_title("an example, hidden ones framed: sum {}, parity {}".format(*labels[0]))
    return figure


def attention(problem, run):
    """How much the questions look at each position, in the first layer, on average: (2, n + 2)."""
    inputs, _ = problem.sample(np.random.default_rng(0), 500)
    tokens, places = run.network.tokens(inputs)
    _, (_, kept, *_) = run.network.forward(run.network.params, tokens, places, places >= 0)
    _, _, _, _, weights, *_ = kept[0]  # (heads, length, length, size)
    return weights.mean(axis=(0, 3))[problem.n :]


@shows("The question about the sum finds the hidden bits first, the other one later",
       "Parity of 5 of 20 bits, 2 layers. Above, a line for each of {} seeds; "
       "below, one run with 20 % sums, attention in its first layer", 5)
def transformer(seeds):
    problem, budget = iis.ParitySum(20), 200_000
    usual = dict(problem=problem, network=iis.Transformer(layers=2, heads=4))
    kinds = {"multi-label": "both labels", "multi-task": "20 % ask the sum",
             "target": "parity alone"}
    runs = run_all({kind: {"supervision": kind} for kind in kinds}, seeds, examples=budget, **usual)
    runs |= run_all({"watched": {"every": 640}}, 1, attention, **usual)
    figure, axes = plt.subplot_mosaic([[*kinds], ["sum", "parity", "watched"]], figsize=(11, 6.6))
    for kind, title in (kinds | {"watched": "what is right meanwhile"}).items():
        axes[kind].set(title=title, ylim=(15, 103))
        if kind != "watched":
            axes[kind].set(xscale="log", xlim=(6.4e3, budget))
        for i, task in enumerate(problem.tasks):
            lines(axes[kind], runs[kind], task, color=shade(i, 3))
    axes["multi-label"].set_ylabel(RIGHT)
    axes["multi-task"].legend(loc="center right")
    watched = runs["watched"][0].history
    seen = [record["examples"] for record in watched]
    looks = 100 * np.array([record["note"] for record in watched])
    for row, task in enumerate(problem.tasks):
        image = axes[task].pcolormesh(np.arange(problem.n + 2), seen, looks[:, row], cmap="magma",
                                      vmin=0, vmax=25, shading="nearest")
        axes[task].set(title=f"what the question about the {task} looks at",
                       xlabel="position; ▲ hidden bits, ? questions")
        axes[task].set_xticks([*problem.support, problem.n, problem.n + 1],
                              [*"▲" * problem.k, "?", "?"])
        axes[task].grid(False)
        counted(axes[task].yaxis)
    axes["sum"].set_ylabel("examples seen")
    figure.colorbar(image, ax=axes["parity"], label="attention (%)", extend="max")
    return figure


def hops(usual, seeds):
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
            line = "-" if task == tasks[-1] else (0, (1 + 2 * i, 1))
            colour = shade(len(tasks) - 1 - i, len(tasks))
            lines(axis, runs[name, kind], task, color=colour, linestyle=line)
    axes[0].set_ylabel(RIGHT)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return figure


@shows("A chain of 5 variables (lego): hop after hop becomes right; "
       "alone, the last stays at chance",
       "Transformer of 4 layers. A line for each of {} seeds; it ends where hop 5 is learned, "
       "or after 800,000 examples", 5)
def lego(seeds):
    return hops(LEGO, seeds)


@shows("Programs of 4 lines (code): line after line becomes right; "
       "the last alone stays far behind",
       "Transformer of 6 layers. A line for each of {} seeds; it ends where line 4 is learned, "
       "or after 800,000 examples", 3)
def code(seeds):
    return hops(CODE, seeds)


# --------------------------------------------------------------------------------------------------
# Film and explorer

def moments(settings, path, go_on=lambda: True):
    """Train while go_on(), append to path at every test the Run as it then is; return the end."""
    def watch(run):
        W = abs(run.network.params["W"])  # (k, n + 1) if bilinear, else (n, width)
        run.history[-1]["note"] = (W if bilinear else W.T)[:, : problem.n], odd_by_sum(problem, run)
        path.append(replace(run, history=run.history[:]))  # training goes on with its own
        path[-1].asked = iis.asked(settings)
        if not go_on():
            raise InterruptedError
    problem, bilinear = settings["problem"], settings["network"].name == "bilinear"
    try:
        run = iis.train(**settings | {"network": replace(settings["network"])}, report=watch)
        return f"parity {'' if run.solved_at else 'not '}learned after {run.examples:,} examples"
    except (iis.Diverged, InterruptedError) as error:
        return str(error)


@plt.style.context(STYLE)
def picture(axes, hidden, until, run, others=()):
    """Draw a Run as it then is, ▲ at hidden bits, and others' curves: Runs, a name, a style."""
    for axis in axes:
        axis.clear()
        axis.tick_params(labelsize=9, grid_alpha=0.25)  # as in STYLE, for ticks made later too
    curves, weights, zigzag = axes
    curves.axhline(50, color="0.8", label="chance")
    for runs, name, style in ([run], "", {}), *others:
        for i, task in enumerate(("parity", "sum")):
            lines(curves, runs, task, **{"color": shade(i, 3), "label": name + task} | style)
    curves.set(xlim=(0, max(until, curves.dataLim.x1)), ylim=(0, 103), ylabel=RIGHT)
    curves.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=9)
    sizes, odd = run.history[-1]["note"]
    weights.imshow(sizes, aspect="auto", cmap="magma", vmin=0, vmax=0.7, interpolation="nearest")
    weights.set(title=f"size of weights after {run.examples:,} examples", yticks=[], ylabel="units",
                xticks=hidden, xticklabels="▲" * len(hidden), xlabel="bits")
    weights.tick_params(length=0, grid_alpha=0)
    zigzag.plot(np.arange(len(odd)) % 2 * 100, color="0.8", linewidth=6)
    zigzag.plot(odd, "o-", color=shade(0, 3))
    zigzag.set(ylim=(-5, 105), xticks=range(len(odd)), xlabel="sum of the hidden bits",
               ylabel="called odd (%)", title="parity by sum; grey: truth")


@shows("The columns of the hidden bits light up first, then parity follows",
       "5 of 50 bits, p = 0.2, mlp of width 32, one seed", 1)
def film(seeds):
    path, problem = [], iis.ParitySum()
    moments(dict(problem=problem, network=iis.MLP(32), supervision="multi-task", every=6400), path)
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3), dpi=80, width_ratios=(4, 4, 3))
    draw = partial(picture, axes, problem.support, path[-1].examples)
    figure.film = FuncAnimation(figure, draw, path + path[-1:] * 10, interval=150)  # stays a while
    return figure


class Explorer:
    """Each change trains anew, and so does "again"; "play" replays. run is the run shown."""
    open, drawn, pressed, run, before = None, None, None, None, ()
    @plt.style.context(STYLE)
    def __init__(self):
        if "inline" in plt.get_backend():
            print("The explorer needs a live figure: pip install ipympl, then %matplotlib widget")
            return
        if Explorer.open:
            Explorer.open.close()
            plt.close(Explorer.open.figure)
        Explorer.open, self.changed = self, threading.Event()
        self.figure = plt.figure(figsize=(12, 5.9), dpi=104, layout="none", label="iis explore")
        add, listen = self.figure.add_axes, self.figure.canvas.mpl_connect
        listen("button_press_event", self.press)  # before any slider hears of it
        listen("close_event", self.close)
        self.axes = [add((x, 0.42, w, 0.41)) for x, w in ((0.06, 0.3), (0.41, 0.3), (0.78, 0.2))]
        self.sliders, self.buttons, look = {}, {}, {"initcolor": "none", "color": "0.5"}
        for i, (name, label, low, high, start, step) in enumerate((
                ("p", "p, share of sums", 0, 1, 0.2, 0.01), ("n", "n, bits", 10, 200, 50, 1),
                ("k", "k, hidden ones", 1, 10, 5, 1), ("width", "width of mlp", 2, 512, 128, 2))):
            place = add((0.14, 0.24 - 0.06 * i, 0.19, 0.05))
            slider = Slider(place, label, low, high, valinit=start, valstep=step, **look)
            slider.on_changed(self.change)
            self.sliders[name] = slider
        for left, name, labels in ((0.41, "network", ("bilinear", "mlp")),
                                   (0.56, "supervision", iis.SUPERVISIONS)):
            axis = add((left, 0.01, 0.14, 0.19), title=name, frame_on=False)
            self.buttons[name] = RadioButtons(axis, labels, active=1, activecolor="0.3")
            self.buttons[name].on_clicked(self.change)
        self.play, self.again = [Button(add((x, 0.26, 0.07, 0.05)), "again") for x in (0.41, 0.49)]
        self.play.on_clicked(self.pause)
        self.again.on_clicked(self.change)
        self.time = Slider(add((0.61, 0.26, 0.3, 0.05)), "time", 0, 1, valfmt="test %d", **look)
        self.reveal = CheckButtons(add((0.76, 0.06, 0.2, 0.09), frame_on=False), ["reveal"])
        for widget in (*self.sliders.values(), *self.buttons.values(), self.play, self.again,
                       self.time, self.reveal):
            widget.drawon = False  # draw does it, once for many changes
        self.change()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()
        atexit.register(self.close)
        self.timer = self.figure.canvas.new_timer(100, [(self.draw, (), {})])
        self.timer.start()

    def press(self, event):
        """The mouse goes down: remember what is shown; pause, if time is to be moved."""
        self.pressed = self.drawn
        if event.inaxes is self.time.ax:
            self.pace = 0

    def pause(self, _):
        self.pace = not self.pace  # which is 0 or 1
        if self.pace and self.time.val == self.time.valmax:
            self.time.set_val(0)

    def change(self, _=None):
        value = {name: slider.val for name, slider in self.sliders.items()}
        network, supervision = [radio.value_selected for radio in self.buttons.values()]
        useful = {"p": supervision == "multi-task", "n": True, "k": True, "width": network == "mlp"}
        for name, slider in self.sliders.items():
            slider.set_active(useful[name])
            slider.ax.set_visible(useful[name])
        words = [network, supervision, *(f"{x} = {value[x]:g}" for x in value if useful[x])]
        if self.pressed and self.pressed.words != words:
            name = ", ".join(["before", *(x for x in self.pressed.words if x not in words)]) + ": "
            self.before = [(self.pressed.path[-1:], name, {"color": "0.65", "zorder": 1})]
        settings = dict(problem=iis.ParitySum(value["n"], value["k"]), supervision=supervision,
                        network=iis.MLP(value["width"]) if network == "mlp" else iis.Bilinear(),
                        p=value["p"], examples=400_000, every=1600)
        self.latest = SimpleNamespace(words=words, settings=settings, path=[], control=[], end="")
        self.pace, self.shown = np.inf, None  # to the newest moment
        self.changed.set()

    def work(self):
        """Train what is wanted last, and its control beside it, over and over: the thread."""
        def go_on():
            time.sleep(0.03)
            behind = len(latest.control) < len(latest.path)
            return latest is self.latest and (not latest.end or behind)
        while self.latest:  # there is none when closed
            self.changed.wait()
            self.changed.clear()
            latest = self.latest  # after clearing: a change from now on sets it again
            if latest and not latest.end:  # else it was read already, just before clearing
                alone = latest.settings | {"supervision": "target"}
                control = threading.Thread(target=moments, args=(alone, latest.control, go_on))
                control.start()
                latest.end = moments(latest.settings, latest.path, go_on)
                control.join()

    def close(self, _=None):
        """End the timer and the thread: Python must not exit in the midst of a kernel."""
        self.timer.stop()
        self.latest = None
        self.changed.set()
        self.thread.join()

    def draw(self):
        """Draw what is new. The timer calls this, and no other thread draws."""
        latest, reveal = self.latest, self.reveal.get_status()[0]
        if latest is None:  # closed
            return
        end, path = latest.end, latest.path[:]  # in this order: after the end, path is whole
        last = len(path) - 1
        frame = round(min(self.time.val + self.pace, last))
        self.pace = 0 if end and frame == last else self.pace
        dpi = int(max(20, min(self.figure.bbox.size / (12, 5.9))))
        state = dpi, frame, last, end, self.pace, reveal
        if state == self.shown:
            return
        self.shown = state
        if dpi != self.figure.dpi:  # all is scaled with the window, text too
            self.figure.set_size_inches(self.figure.bbox.size / dpi, forward=False)
            self.figure.set_dpi(dpi)
        self.figure.suptitle(f"{', '.join(latest.words)}: {end or 'training ...'}")
        self.play.label.set_text("pause" if self.pace else "play")
        if path:
            _, self.time.valmax = self.time.ax.set_xlim(0, max(1, last))
            self.time.set_val(frame)
            self.drawn, self.run = latest, path[-1]
            control = latest.control[: frame + 1][-1:], "control: ", {"linestyle": "--"}
            hidden = latest.settings["problem"].support if reveal else []
            picture(self.axes, hidden, self.run.examples, path[frame], [control, *self.before])
        with contextlib.suppress(Exception):  # a browser's tab may have been closed just now
            self.figure.canvas.draw_idle()


# --------------------------------------------------------------------------------------------------
# Speed: the same training elsewhere

def products(network, batch):
    """Nothing but the two large matrix products of an mlp's step: for x W and for W's gradient."""
    W, rng = network.params["W"], np.random.default_rng(0)
    x, d = [rng.standard_normal((batch, count), np.float32) for count in W.shape]
    out, dW = np.empty_like(d), np.empty_like(W)

    def step():
        np.matmul(x, W, out=out)
        np.matmul(x.T, d, out=dW)

    return step


def jax_scores(network):
    """What the network computes, in JAX: a function of params and inputs; scores, for each task."""
    import jax
    from jax import numpy as jnp

    def norm(x, gain):
        return gain * x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-5)

    def mlp(params, bits):
        hidden = jnp.maximum((2 * bits.astype(jnp.float32) - 1) @ params["W"] + params["b"], 0)
        return jnp.split(hidden @ params["V"].T + params["c"], np.cumsum(network.classes)[:-1], 1)

    def transformer(params, tokens, places):
        x = params["E"].T[tokens].sum(2)  # (size, length, fields) -> (size, length, width)
        for layer in range(network.layers):
            g, A, O, h, U, b, D = network.layer(params, layer)
            qkv = (norm(x, g) @ A.T).reshape(*x.shape[:2], 3, network.heads, -1)
            q, k, v = jnp.unstack(qkv, axis=2)
            looks = jax.nn.softmax(jnp.einsum("iahd,ibhd->ihab", q, k) / q.shape[-1] ** 0.5)
            x += jnp.einsum("ihab,ibhd->iahd", looks, v).reshape(x.shape) @ O.T
            x += jnp.maximum(norm(x, h) @ U.T + b, 0) @ D.T
        x = jnp.take_along_axis(x, places[:, :, None], 1)  # -> (size, tasks, width)
        return jnp.unstack(norm(x, params["g"]) @ params["H"].T + params["c"], axis=1)

    return mlp if network.name == "mlp" else transformer


def in_jax(network, inputs, labels, batch):
    """The network's training in JAX, all the steps compiled into one."""
    import jax
    from jax import numpy as jnp
    from jax.example_libraries.optimizers import adam

    begin, update, params_of = adam(0.002)
    scores, examples = jax_scores(network), [inputs, labels]
    if network.name == "transformer":
        tokens, places = network.tokens(inputs)
        examples = [tokens + np.cumsum([0, *network.fields[:-1]]), places, labels]
    batches = [jnp.array(array.reshape(-1, batch, *array.shape[1:])) for array in examples]

    def loss(params, *x, labels):  # a label of -1 costs nothing: its one_hot is 0
        told = [jax.nn.log_softmax(z) * jax.nn.one_hot(y, z.shape[-1])
                for z, y in zip(scores(params, *x), labels.T)]
        return -sum(logs.sum() for logs in told) / batch

    def step(state, examples):
        (count, memory), (*x, y) = state, examples
        gradient = jax.grad(loss)(params_of(memory), *x, labels=y)
        return (count + 1, update(count, gradient, memory)), None

    state = jnp.int32(0), begin(jax.tree.map(jnp.array, network.params))
    scan = jax.jit(lambda *given: jax.lax.scan(step, *given)[0], donate_argnums=0)

    def train():
        nonlocal state
        state = jax.block_until_ready(scan(state, batches))

    return train


def competitors(problem, network, batch):
    """What is timed: {name: (function, its steps)}. Only iis.train draws examples, and tests."""
    rng, steps, long = np.random.default_rng(0), 100, 400_000 // batch
    network.init(problem, rng)
    inputs, labels = problem.sample(rng, steps * batch)
    examples = inputs, iis.supervise(labels, rng, "multi-task", 0.2), batch
    found = {f"iis.{type(network).__name__}": (partial(network.descend, *examples), steps)}
    if network.name == "mlp":
        plain, settings = iis.NumpyMLP(network.width), dict(batch=batch, stop_when_solved=False)
        plain.init(problem, rng)
        whole = partial(iis.train, problem, replace(network), examples=long * batch, **settings)
        found |= {"iis.train": (whole, long), "two products": (products(network, batch), 1),
                  "iis.NumpyMLP": (partial(plain.descend, *examples), steps)}
    with contextlib.suppress(ImportError):  # unless it is installed
        import jax
        found[f"JAX {jax.__version__}"] = in_jax(network, *examples), steps
    return found


def one_core():
    """Keep this thread, and those that it starts, on one core: a context."""
    iis.one_blas_thread()
    after = contextlib.ExitStack()
    if hasattr(os, "sched_getaffinity"):  # the system can do so
        after.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return after


def processor():
    """The processor's name, where the system tells it."""
    with contextlib.suppress(OSError, IndexError):
        return Path("/proc/cpuinfo").read_text().split("model name\t: ")[1].split("\n")[0]
    return platform.processor() or platform.machine()


def race(rounds, problem, network, batch):
    """Median microseconds of a step, {name: median}. In turn: a slow moment hits all alike."""
    found = competitors(problem, network, batch)
    times = {name: [] for name in found}
    for _ in range(1 + rounds):
        for name, (train, steps) in found.items():
            train()  # compiles, and brings into the caches what it needs
            calls, began = 0, time.perf_counter()
            while time.perf_counter() < began + 0.15:
                train()
                calls += 1
            times[name].append(1e6 * (time.perf_counter() - began) / calls / steps)
    medians = {name: np.median(times[name][1:]) for name in times}
    words = ", ".join(f"{name} {median:,.1f}" for name, median in medians.items())
    line = f"{problem}, {network}, batch {batch}: {words}"
    print(textwrap.fill(line, 80, subsequent_indent="    "), flush=True)
    return medians


@shows("A compiled training step takes a fraction of plain NumPy's time",
       "One core, median of {} rounds. Where not on the axis, n = 50, width 128, batch 64", 5)
def speed(rounds):
    usual, times = {"n": 50, "width": 128, "batch": 64}, {}
    series = {"batch": (16, 64, 256, 1024), "width": (32, 128, 512), "n": (50, 200, 1000)}
    with one_core():
        print(f"{processor()}, one core\nNumPy {np.__version__}, Numba {iis.numba.__version__}: "
              f"microseconds of a step, median of {rounds}")
        for name, values in series.items():
            for x in values:
                n, width, batch = (usual | {name: x}).values()
                found = race(rounds, iis.ParitySum(n), iis.MLP(width), batch)
                times[name, x] = {who: step / batch for who, step in found.items()}
        for case in (LEGO, CODE):
            race(rounds, case["problem"], replace(case["network"]), 64)  # trains a copy
    figure, axes = plt.subplots(1, 3, figsize=(11, 4), sharey=True)
    for axis, (name, values) in zip(axes, series.items()):
        for i, who in enumerate(times[name, values[0]]):
            axis.plot(values, [times[name, x][who] for x in values], "soD^v"[i],
                      linestyle=DASHES[i], color=shade(i, 6), label=who)
        axis.set(xscale="log", yscale="log", xlabel=name)
        ticks(axis.xaxis, values, values)
    axes[0].set_ylabel("time of a training step\nper example (µs)")
    counted(axes[0].yaxis, "{x:g}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return figure


# --------------------------------------------------------------------------------------------------
# The command line

def arguments():
    """Read the command line. Raises ValueError, OSError, ImportError for what cannot be done."""
    parser = argparse.ArgumentParser(description="Draw figures about iis.py.")
    parser.error = lambda message: parser.exit(2, f"plots.py: {message}\n")
    add = parser.add_argument
    add("name", nargs="?", choices=[*FIGURES, "explore"], metavar="NAME",
        help=f"one of {', '.join(FIGURES)} (all of these), or explore: a window to play with")
    add("--seeds", type=int, help="seeds, or rounds of speed (3, 5 or 10)")
    add("--folder", type=Path, default=Path("figures"), help="where to save it (figures)")
    add("--jobs", type=int, help="so many runs at a time (one for each core)")
    add("--store", metavar="FILE", help="keep finished runs there; do only those missing")
    add("--port", type=int, help="explore in a browser, at this port (8988), not in a window")
    add("--cluster", metavar="ADDRESS", help="dask's scheduler to run on, tcp://HOST:PORT")
    args = parser.parse_args()
    args.seeds = () if args.seeds is None else [iis.number("seeds", args.seeds, 1)]
    SWEEP.update(jobs=args.jobs, store=args.store)
    if args.cluster:
        from distributed import Client
        client = Client(args.cluster)
        client.upload_file(iis.__file__)
        SWEEP["executor"] = client.get_executor()
    return args


def explore(port):
    """Show the explorer in a window or, without one or at a port, in a browser on this machine."""
    toolkit = None
    with contextlib.suppress(ImportError):  # Matplotlib may be told to use one that is not there
        toolkit = plt.figure().canvas.required_interactive_framework
        plt.close()
    if port or not toolkit:
        port = iis.number("port", port or 8988, 1024, 65535)
        try:
            plt.switch_backend("webagg")
        except RuntimeError:
            hint = f"{sys.executable} -m pip install tornado"
            raise ValueError(f"explore needs a window, or for a browser: {hint}") from None
        socket.create_server(("127.0.0.1", port)).close()  # an OSError, if another has it
        plt.rc("webagg", address="127.0.0.1", port=port, port_retries=1, open_in_browser=False)
        from matplotlib.backends.backend_webagg_core import FigureManagerWebAgg as Page
        script = Page.get_javascript() + """mpl.figure.prototype.handle_resize = figure => (
            onresize = () => figure._resize_canvas(innerWidth - 44, innerHeight - 100, true))()"""
        Page.get_javascript = lambda: script
        logging.disable()  # of tornado, that a tab was closed
    Explorer()
    plt.show(block=True)


@plt.style.context("default")  # for saving too
def draw(names, folder, seeds):
    """Draw figures into files; return whether none could be drawn. One that fails is one line."""
    plt.switch_backend("agg")
    failed = 0
    for name in names:
        path = folder / f"{name}.{'gif' if name == 'film' else 'png'}"
        try:
            figure = FIGURES[name](*seeds)
            figure.film.save(path, "pillow") if name == "film" else figure.savefig(path)
            print(path, flush=True)
        except Exception as error:
            failed += 1
            words = str(error).strip() or type(error).__name__
            print(f"plots.py: {name}: {words.splitlines()[0]}", file=sys.stderr)
        plt.close("all")
    return failed == len(names)


def main():
    """Do what the command line asks for; return the exit status."""
    try:
        args = arguments()
        if args.name == "explore":
            return explore(args.port)
        args.folder.mkdir(parents=True, exist_ok=True)
        return draw([args.name] if args.name else FIGURES, args.folder, args.seeds)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"plots.py: {error}")
    except KeyboardInterrupt:
        sys.exit("plots.py: interrupted")


if __name__ == "__main__":
    sys.exit(main())
