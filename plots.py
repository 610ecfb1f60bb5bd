"""Figures about iis.py. `python plots.py` draws all into the folder figures/ and says where.

`python plots.py mixture lego` draws two; `python plots.py explore` is a window to play with. What
is trained, iis.py trains; here it is drawn: a function for each figure, which makes one point, and
says it in its title. Colours differ in lightness too, for grey prints and for eyes that tell few
apart. Medians count a run that did not learn as larger than all others.
"""

import argparse
import atexit
import contextlib
import difflib
import itertools
import logging
import math
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
if __name__ == "__main__" and os.environ.get("MPLBACKEND", "").startswith("module:"):
    del os.environ["MPLBACKEND"]  # a notebook's, whose module another Python may not have
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator
from matplotlib.transforms import offset_copy
from matplotlib.widgets import Button, CheckButtons, RadioButtons, Slider
import iis

STYLE = ["default", {  # whatever the reader's own style is: it may write all text in LaTeX
    "text.usetex": False, "figure.constrained_layout.use": True, "figure.dpi": 110,
    "figure.titlesize": 11, "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlesize": 10, "axes.grid": True, "grid.alpha": 0.25, "legend.fontsize": 9,
    "legend.frameon": False}]
SLIDE = [*STYLE, {  # to be read from the last row
    "figure.figsize": (12.8, 7.2), "figure.dpi": 100, "figure.titlesize": 20,
    "figure.titleweight": "bold", "figure.labelsize": 16, "font.size": 16, "axes.titlesize": 17,
    "legend.fontsize": 16, "lines.linewidth": 2, "lines.markersize": 8,
    "figure.constrained_layout.h_pad": 0.12, "figure.constrained_layout.w_pad": 0.12}]
DASHES = "-", "--", "-.", ":"
MARKERS = "oDs^"
FIGURES, MINUTES = {}, {}  # by name: the function that draws it, and how long that takes
SWEEP = {}  # how iis.sweep is to run, as the command line says: jobs, store, executor
RIGHT = "held-out examples right (%)"
LEARNED = "examples until parity is 99 % right"
ALONE, HELPED, BOTH = [{"supervision": kind} for kind in ("target", "multi-task", "multi-label")]
LONG = dict(examples=800_000, every=3200)  # how sequence problems are trained, in all figures
LEGO = dict(problem=iis.Lego(), network=iis.Transformer(layers=4, heads=4), p=0.8, **LONG)
CODE = dict(problem=iis.Code(), network=iis.Transformer(layers=6), p=0.5, **LONG)

# --------------------------------------------------------------------------------------------------
# What figures share

def shows(point, details, usual, minutes):
    """Make a function one of FIGURES: a slide, what it shows, its usual seeds, and their time."""
    def decorate(function):
        @plt.style.context(SLIDE)
        def slide(seeds=usual):
            figure = function(seeds)
            figure.suptitle(textwrap.fill(point, 70))  # letters that fit a line
            figure.supxlabel(textwrap.fill(details.format(seeds), 108), color="0.3")
            figure.draw_without_rendering()  # makes the ticks, now that the style is in force
            return figure

        FIGURES[function.__name__], MINUTES[function.__name__] = slide, minutes
        return slide

    return decorate


def train_cases(cases, seeds, stored=True, **usual):
    """Train what the cases say, with so many seeds; print what came of it: {key: [Run per seed]}.

    A case has those of iis.train's arguments that are not the usual ones: parity, an mlp, what is
    given. Runs that are not to be stored, nor sent to a cluster, come back with their networks.
    """
    usual = dict(problem=iis.ParitySum(), network=iis.MLP(), supervision="multi-task") | usual
    runs = {key: [None] * seeds for key in cases}
    wanted, places = {}, {}  # by what repr says of their settings: equal ones are trained once
    for key, seed in itertools.product(cases, range(seeds)):
        settings = usual | cases[key] | {"seed": seed}
        if hasattr(settings["problem"], "seed"):
            settings["problem"] = replace(settings["problem"], seed=seed)
        wanted[repr(settings)] = settings
        places.setdefault(repr(settings), []).append((key, seed))
    how = SWEEP if stored else SWEEP | {"store": None, "executor": None}
    for count, (settings, run) in enumerate(iis.sweep(list(wanted.values()), **how), 1):
        if isinstance(run, Exception):
            raise run
        for key, seed in places[repr(settings)]:
            runs[key][seed] = run
        iis.progress(f"{count} of {len(wanted)} runs")
    iis.progress()
    print(" learned   right  after")
    for key, needed in examples_needed(runs).items():
        right = np.median([100 * [*run.history[-1]["accuracy"].values()][-1] for run in runs[key]])
        middle, low, high = map(in_words, (np.median(needed), min(needed), max(needed)))
        after = f"{middle} ({low}-{high})"
        name = key if isinstance(key, str) else ", ".join(map(str, key)).strip(", ")
        line = f"{np.isfinite(needed).sum():2} of {seeds:2} {right:5.1f} %  {after:25} {name}"
        print(textwrap.fill(line, 80, subsequent_indent=44 * " "), flush=True)
    return runs


def examples_needed(runs):
    """The examples until each run was solved, infinitely many if it was not: {key: array}."""
    return {key: np.array([run.solved_at or np.inf for run in runs[key]]) for key in runs}


def first(right, examples):
    """How many examples had been seen when first 99 % were right; infinitely many if never."""
    return min((seen for share, seen in zip(right, examples) if share >= 0.99), default=np.inf)


def needed_at_best(cases, setting, values, seeds, **usual):
    """The examples needed by each case, trained at its best value of a setting: {key: array}."""
    tried = {(*key, value): case | {setting: value} for key, case in cases.items()
             for value in values}
    needed = examples_needed(train_cases(tried, seeds, **usual))
    return {key: best(needed[(*key, value)] for value in values) for key in cases}


def best(several):
    """Of several arrays of examples, that with the lowest median, or where the most learned."""
    return min(several, key=lambda numbers: (np.median(numbers), np.isinf(numbers).sum()))


def in_words(examples):
    return f"{examples:,.0f}" if np.isfinite(examples) else "never"


def shade(i, count):
    """The i-th of so many colours, from dark to light."""
    return plt.cm.viridis(0.87 * i / max(1, count - 1))


def chart(groups, limit=None, joined=False, scale="linear", places=None, legend=None, **labels):
    """A figure of one axis: see draw_groups. places: which x are written; legend: where it is."""
    figure, axis = plt.subplots()
    axis.set_xscale(scale)
    draw_groups(axis, groups, limit, joined)
    axis.set(**labels)
    if places:
        write_ticks(axis.xaxis, places, places)
    if legend:
        axis.legend(loc=legend)
    return figure


def draw_groups(axis, groups, limit=None, joined=False):
    """A dot for each of {(series, x): numbers}, the series side by side, and medians.

    x is a word, and medians are bars. Or x is a number, and medians are joined by a line, with the
    series' name at its end. Examples have a limit: see draw_limit.
    """
    series, xs = [list(dict.fromkeys(part)) for part in zip(*groups)]
    width, ends = 0 if joined else 0.6 / len(series), []
    for i, label in enumerate(series):
        color, drawn = shade(i, len(series) + 1), []
        own = [x for key, x in groups if key == label]
        places = own if joined else [xs.index(x) + spread(len(series), 0.8)[i] for x in own]
        medians = [capped(np.median(groups[label, x]), limit) for x in own]
        axis.plot([], [], MARKERS[i], color=color, label=label)  # for the legend
        for x, place, median in zip(own, places, medians):
            numbers = capped(groups[label, x], limit)
            drawn += axis.plot(place + spread(len(numbers), width), numbers, MARKERS[i],
                               color=color, alpha=0.7)
            if not joined:
                axis.plot([place - 0.6 * width, place + 0.6 * width], [median, median],
                          color=color, linewidth=3)
        if joined:
            drawn += axis.plot(places, medians, DASHES[i], color=color)
            shift = 9 * (i - (len(series) - 1) / 2)
            for artist in drawn:  # a little to the side of the other series
                artist.set_transform(offset_copy(axis.transData, axis.figure, shift,
                                                 units="points"))
            below = -22 * ends.count(medians[-1])  # of others that end at the same place
            ends.append(medians[-1])
            axis.annotate(label, (own[-1], medians[-1]), (22, below), textcoords="offset points",
                          color=color, va="center", weight="bold")
    write_ticks(axis.xaxis, xs if joined else range(len(xs)), xs)
    if not joined:
        axis.set_xlim(-0.5, len(xs) - 0.5)
    if limit:
        draw_limit(axis, limit, groups)


def spread(count, width):
    """So many places, side by side around 0."""
    return width * ((np.arange(count) + 0.5) / count - 0.5)


def capped(numbers, limit):
    """Put infinite numbers into the band above the limit."""
    return np.minimum(numbers, 1.5 * limit if limit else np.inf)


def draw_limit(axis, limit, groups):
    """Make y a logarithmic axis of examples; if a run did not learn, with a band above for such."""
    axis.set(yscale="log", ylabel=LEARNED)
    top = axis.get_ylim()[1]
    if any(np.isinf(numbers).any() for numbers in groups.values()):
        top = limit
        band = axis.axhspan(1.15 * limit, 3 * limit, color="0.9", linewidth=0)
        band.sticky_edges.y.append(3 * limit)  # the axis ends there
        axis.text(0.5, 2.2 * limit, f"not learned after {limit:,} examples", va="center",
                  ha="center", transform=axis.get_yaxis_transform())
    write_counts(axis.yaxis)
    low, _ = axis.get_ylim()
    axis.set_yticks([tick for tick in axis.get_yticks() if low <= tick <= top])


def write_counts(axis, form=None):
    """Write 20k for 20,000, or as form says; on a logarithmic axis, given room, also 50k."""
    axis.set_major_formatter(form or EngFormatter(sep=""))
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        close = [1, 1.5, 2, 3, 4, 5, 6, 8] if high < 12 * low else [1, 2, 5]
        subs = [1] if high > 3_000 * low else close
        axis.set_major_locator(LogLocator(subs=subs, numticks=30))
        axis.set_minor_locator(NullLocator())


def write_ticks(axis, places, labels):
    """Write these labels, and no others."""
    axis.set_ticks(places, [label if isinstance(label, str) else f"{label:g}" for label in labels])
    axis.set_minor_locator(NullLocator())


def draw_runs(axis, runs, task, color, linewidth=1.5):
    """The task's accuracy over examples, a line for each run. A dot: the target is just learned."""
    for run in runs:
        right = [100 * record["accuracy"][task] for record in run.history]
        last = [len(right) - 1] if run.solved_at == run.examples else []
        axis.plot([record["examples"] for record in run.history], right, color=color,
                  linewidth=linewidth, marker="o", markevery=last)
    axis.set(xlabel="examples seen", ylabel=RIGHT)
    write_counts(axis.xaxis)


# --------------------------------------------------------------------------------------------------
# The finding

@shows("The sum's gradient shows the hidden bits, and the sum is learned first",
       "mlp, 5 hidden bits out of 50. Left: first gradient, 640,000 examples, a dot for each bit, "
       "bars: medians. Right: 20 % ask the sum, a line for each of {} seeds", 5, 0.1)
def why(seeds):
    runs = train_cases({"bilinear": {"network": iis.Bilinear()}, "mlp": {}}, seeds, every=1280)
    figure, (left, right) = plt.subplots(1, 2, width_ratios=[2, 3])
    draw_groups(left, first_gradient())
    left.set(title="before training", ylabel="length of a bit's gradient", ylim=(0, None))
    left.legend(loc="center right")
    for i, task, place in ((1, "sum", 103), (0, "parity", 80)):
        draw_runs(right, runs["mlp"], task, shade(i, 3))
        right.text(80_000, place, task, color=shade(i, 3), weight="bold")
    right.set(title="training: first the sum, then the parity", ylim=(0, 110))
    return figure


def first_gradient():
    """Before any training: how long is the gradient by the weights of each bit?"""
    problem, network, rng = iis.ParitySum(), iis.MLP(), np.random.default_rng(0)
    network.init(problem, rng)
    hidden = np.isin(np.arange(problem.n), problem.support)
    groups = {}
    for task, name in ((1, "parity"), (0, "sum")):
        gradient = 0
        for _ in range(10):  # all examples at once would not fit the memory
            bits, labels = problem.sample(rng, 64_000)
            labels[:, 1 - task] = -1
            _, gradients = network.loss_and_gradients(bits, labels)
            gradient += gradients["W"] / 10
        lengths = np.linalg.norm(gradient, axis=1)  # (n, width) -> (n,)
        for words, which in (("5 hidden bits", hidden), ("45 other bits", ~hidden)):
            groups[f"of the {name}", words] = lengths[which]
            print(f"gradient of the {name}, {words}: {np.median(lengths[which]):.5f} (median)")
    return groups


@shows("Parity of many bits is out of reach alone, and learned with sums",
       "mlp; parity alone at the better of two settings. Dots: seeds; lines: medians", 10, 5)
def separation(seeds):
    ks, budget, few = range(2, 9), 30_000_000, max(1, seeds // 2)
    alone, helped = f"parity alone\n({few} seeds)", f"20 % ask\nthe sum\n({seeds} seeds)"
    series = {alone: (few, ALONE), "alone, slower": (few, ALONE | dict(lr=0.001, batch=256)),
              helped: (seeds, HELPED)}
    needed = {}
    for words, (count, case) in series.items():
        cases = {(words, k): case | {"problem": iis.ParitySum(k=k)} for k in ks}
        needed |= examples_needed(train_cases(cases, count, examples=budget))
    for k in ks:
        needed[alone, k] = best([needed[alone, k], needed.pop(("alone, slower", k))])
    return chart(needed, budget, joined=True, xlabel="k, hidden bits out of 50")


@shows("At every learning rate, the sum saves examples",
       "mlp, 5 of 50 bits; at the best of 3 batch sizes. Dots: {} seeds; lines: medians", 10, 3)
def rates(seeds):
    speeds, budget = (0.0005, 0.001, 0.002, 0.004, 0.008), 4_000_000
    kinds = {"parity alone": ALONE, "20 % ask\nthe sum": HELPED}
    cases = {(words, lr): case | {"lr": lr} for words, case in kinds.items() for lr in speeds}
    needed = needed_at_best(cases, "batch", (16, 64, 256), seeds, examples=budget)
    return chart(needed, budget, joined=True, scale="log", xlabel="learning rate")


@shows("From 10 % to 90 % sums, both networks learn the parity",
       "5 of 50 bits hidden. Dots: {} seeds; lines: medians. At the ends: 0, 1 and 99 %", 5, 0.3)
def mixture(seeds):
    shares = (0, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
    cases = {(network.name, 100 * p): dict(network=network, p=p)
             for network in (iis.Bilinear(), iis.MLP()) for p in shares}
    needed = examples_needed(train_cases(cases, seeds, examples=3_000_000))
    return chart(needed, 3_000_000, joined=True, places=range(0, 101, 10),
                 xlabel="share of examples that ask the sum (%)")


@shows("Among many easy questions, few hard ones are enough",
       "mlp, k of 50 bits hidden: the parity is the hard question, the sum the easy one. "
       "Rate 0.002, batches of 64. Dots: {} seeds; lines: medians", 5, 5)
def pretraining(seeds):
    hard, budget = (1, 0.8, 0.5, 0.2, 0.1, 0.01), 30_000_000
    cases = {(f"k = {k}", 100 * share): dict(problem=iis.ParitySum(k=k), p=1 - share)
             for k in (7, 5) for share in hard}
    needed = examples_needed(train_cases(cases, seeds, examples=budget))
    own = {(k, share): share / 100 * needed[k, share] for k, share in needed}
    for (k, share), numbers in own.items():
        middle = in_words(np.median(numbers))
        print(f"{k}, {share:g} % hard: {middle} hard questions until learned")
    return chart(own, budget, joined=True, scale="log", places=(100, 50, 20, 10, 1),
                 xlim=(125, 0.8), xlabel="share of hard questions (%)",
                 ylabel="hard questions until 99 % right")


@shows("The more an example tells, the fewer are needed",
       "Dots: seeds; bars: medians. "
       "Read in turn, an answer takes parity 2, lego 5, code 4 passes", 10, 2)
def supervision(seeds):
    kinds = {"target": "the target\nalone", "multi-task": "the target\nor a helper",
             "multi-label": "the target\nand its helpers", "explicit": "all, read\nin turn"}
    few, parity = max(1, seeds // 5), LONG | {"problem": iis.ParitySum(), "every": 1280}
    problems = {f"parity of 5 of 50 bits ({seeds} seeds)": (seeds, parity),
                f"lego, 5 hops ({few} seeds)": (few, LEGO),
                f"code, 4 lines ({few} seeds)": (few, CODE)}
    needed = {}
    for name, (count, usual) in problems.items():
        cases = {(name, words): {"supervision": kind} for kind, words in kinds.items()}
        needed |= examples_needed(train_cases(cases, count, **usual))
    return chart(needed, LONG["examples"], legend="lower left", xlabel="what an example tells",
                 ylabel="examples until the target is 99 % right")


@shows("A curriculum is about as fast as a mixture, but may forget the sum",
       "k hidden bits out of 50. Dots: {} seeds; bars: medians. "
       "Right: after 600,000 examples (k = 7: 1,500,000)", 10, 0.3)
def curriculum(seeds):
    kinds = {"first sums, then parity": "curriculum", "mixed: 20 % sums": "multi-task"}
    networks, budgets = (iis.MLP(), iis.Bilinear()), {5: 600_000, 7: 1_500_000}
    cases = {(words, f"{network.name}\nk = {k}"): dict(
                 problem=iis.ParitySum(k=k), network=network, supervision=kind, examples=budgets[k])
             for words, kind in kinds.items() for network in networks for k in budgets}
    runs = train_cases(cases, seeds, stop_when_solved=False)
    sums = {key: [100 * run.history[-1]["accuracy"]["sum"] for run in runs[key]] for key in runs}
    for key, right in sums.items():
        print(f"sum {np.median(right):.1f} % right ({min(right):.1f}-{max(right):.1f}):",
              ", ".join(key).replace("\n", " "))
    figure, (left, right) = plt.subplots(1, 2)
    draw_groups(left, examples_needed(runs), max(budgets.values()))
    draw_groups(right, sums)
    right.set(ylabel="sum right in the end (%)", ylim=(50, 102))
    right.legend(loc="lower left")
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


@shows("Of five questions about the sum, only the parity needs help",
       "mlp, 5 hidden bits out of 50. Dots: {} seeds; bars: medians", 10, 1)
def targets(seeds):
    answers = {"odd: the parity": (0, 1, 0, 1, 0, 1), "1 or 4": (0, 1, 0, 0, 1, 0),
               "0 or 3": (1, 0, 0, 1, 0, 0), "2 or 3": (0, 0, 1, 1, 0, 0),
               "rest of its\ndivision by 3": (0, 1, 2, 0, 1, 2)}
    kinds, budget = {"the question alone": ALONE, "20 % ask the sum": HELPED}, 2_000_000
    cases = {(words, name): case | {"problem": SumFunction(answers=of)}
             for words, case in kinds.items() for name, of in answers.items()}
    needed = examples_needed(train_cases(cases, seeds, examples=budget, every=640))
    print("bilinear:")
    binary = {name: of for name, of in answers.items() if max(of) < 2}  # it knows no others
    train_cases({key: cases[key] for key in cases if key[1] in binary}, seeds,
                    network=iis.Bilinear(), examples=budget, every=640)
    for name, of in binary.items():
        predicted = first(recursion(answers=of)["parity"], itertools.count(0, 64))
        print(f"bilinear, {name}: predicted {in_words(predicted)}")
    return chart(needed, budget, legend="upper right", ylabel="examples until 99 % right",
                 xlabel="the question: is the sum of the hidden bits ... ?")


@dataclass
class Distracted(iis.ParitySum):
    """ParitySum with more helpers, each the sum of k other bits, which help with nothing."""
    distractors: int = 0

    def __post_init__(self):
        super().__post_init__()
        count = 1 + iis.check_number("distractors", self.distractors, 0, self.n // self.k - 1)
        shuffled = np.random.default_rng(self.seed).permutation(self.n)  # as for the hidden bits
        self.groups = shuffled[: count * self.k].reshape(count, self.k)  # the first are those
        self.tasks = ("sum", *[f"other sum {i}" for i in range(1, count)], "parity")
        self.classes = (self.k + 1,) * count + (2,)

    def label(self, bits):
        sums = [bits[:, group].sum(axis=1, dtype=np.int64) for group in self.groups]
        return np.stack([*sums, sums[0] % 2], axis=1)


@shows("Useless helpers do harm, most of all to small networks",
       "mlp, 5 of 50 bits hidden; each example tells all answers. "
       "Dots: {} seeds; lines: medians; each at the best of 4 learning rates", 10, 3)
def interference(seeds):
    cases = {(f"width {width}", count): BOTH | dict(problem=Distracted(distractors=count),
                                                    network=iis.MLP(width))
             for width in (8, 32, 128) for count in (0, 1, 4, 8)}
    rates, budget = (0.002, 0.004, 0.008, 0.016), 1_000_000
    return chart(needed_at_best(cases, "lr", rates, seeds, examples=budget), budget, joined=True,
                 xlabel="useless helpers: sums of 5 other bits each")


@shows("Parity alone needs a wide network; with sums a small one will do",
       "mlp, 5 of 50 bits hidden. Dots: {} seeds; lines: medians; each at the best of 5 rates",
       10, 3)
def scale(seeds):
    shares = {"parity alone": 0, "1 % ask\nthe sum": 0.01, "20 % ask\nthe sum": 0.2}
    cases = {(words, width): dict(network=iis.MLP(width), p=p)
             for words, p in shares.items() for width in (8, 32, 128, 512, 2048)}
    rates, budget = (0.001, 0.002, 0.004, 0.008, 0.016), 600_000
    return chart(needed_at_best(cases, "lr", rates, seeds, examples=budget), budget, joined=True,
                 scale="log", xlabel="width of the mlp (units)")


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


def signals(task, k, seeds):
    """`signal` of a task, by its name, about k of 16 bits, for an mlp at each seed's start."""
    lengths = []
    for seed in range(seeds):
        problem, network, rng = iis.ParitySum(16, k, seed), iis.MLP(), np.random.default_rng(seed)
        network.init(problem, rng, np.float64)
        network.params["b"][:] = rng.uniform(-1, 1, network.width) / 4  # at 0, odd k tells nothing
        lengths.append(signal(problem, network, problem.tasks.index(task)))
    return lengths


@shows("The more hidden bits, the weaker parity's gradient; the sum's stays",
       "mlp before any training, exact gradient over all inputs. Dots: {} seeds; lines: medians",
       5, 0.6)
def hardness(seeds):
    cases = list(itertools.product(("parity", "sum"), range(1, 9)))
    with iis.one_blas_thread(), ThreadPoolExecutor(SWEEP.get("jobs")) as pool:
        groups = dict(zip(cases, pool.map(lambda case: signals(*case, seeds), cases)))
    for task in ("parity", "sum"):
        fall = np.median(groups[task, 2]) / np.median(groups[task, 8])
        print(f"{task}: {fall:.3g} times shorter from k = 2 to 8")
    figure = chart(groups, joined=True, yscale="log", xlabel="k, hidden bits out of 16",
                   ylabel="length of what the gradient\ntells of the hidden bits")
    write_counts(figure.axes[0].yaxis, "{x:g}")
    return figure


# --------------------------------------------------------------------------------------------------
# Theory

def recursion(n=50, k=5, p=0.2, batch=64, supervision="multi-task", steps=4_000, lr=None,
              answers=None):
    """Predict Bilinear's training without training: how w, b, v, c and M move, step by step.

    On average every row of W stays equal on the support, w_j, and 0 elsewhere. So P_j is
    w_j (2s - k) + b_j, with a binomial sum s: k + 1 cases instead of 2ⁿ inputs. A batch is not the
    average. Its noise sends the weights u_j on the other bits on a random walk, which adds to P
    normal z with covariance M, M_jl = u_j · u_l; for large n this is exact too (the order
    parameters of Saad and Solla 1995).

    batch None stands for full batches: no noise, M stays 0, the result is exact whatever n. lr None
    is Bilinear's own. answers, 0 or 1 for each sum, replace the parity. Returns arrays over the
    steps, the start included: w, b, v (steps + 1, k), c (steps + 1,), M (steps + 1, k, k), and the
    shares answered right: sum, and parity, or what replaces it.
    Raises ValueError for n below k, and supervisions but target, multi-task and multi-label.
    """
    k, p = iis.check_number("k", k, 1, 100), iis.check_number("p", p, 0.0, 1.0)
    n, steps = iis.check_number("n", n, k), iis.check_number("steps", steps, 0)
    # kinds of examples: (their share, do they carry the sum, do they carry the parity)
    kinds = {"target": [(1, 0, 1)], "multi-label": [(1, 1, 1)],
             "multi-task": [(p, 1, 0), (1 - p, 0, 1)]}
    if supervision not in kinds:
        raise ValueError(f"supervision must be one of {', '.join(kinds)}, not {supervision!r}")
    batch = math.inf if batch is None else iis.check_number("batch", batch, 1)
    rate, ratio = iis.Bilinear.rates(n, k, batch)
    lr = iis.check_number("lr", rate if lr is None else lr, 0.0, 1e38)
    answers = np.arange(k + 1) % 2 if answers is None else answers
    answers = iis.check_integers("answers", answers, (k + 1,), 0, 2)

    half = np.random.default_rng(0).standard_normal((k, 128))
    half = np.linalg.solve(np.linalg.cholesky(half @ half.T / 128), half)  # covariance exactly 1
    normal = np.hstack([half, -half])  # (k, 256), and its mean 0
    s = np.repeat(np.arange(k + 1), 256)  # the cases: each sum with each normal vector
    share = np.array([math.comb(k, i) / 2**k / 256 for i in s])  # of the inputs that are this case
    ones, target = 2 * s - k, 2 * answers[s] - 1  # sum of the hidden ±1; what f should be, as ±1
    w, b, v, c, M = np.zeros(k), k / 2 - np.arange(k), np.zeros(k), 0.0, np.zeros((k, k))
    course = {name: [] for name in ("w", "b", "v", "c", "M", "sum", "parity")}
    for _ in range(steps + 1):
        # forward, as in Bilinear
        squares, Q = np.linalg.eigh(M)
        root = Q * np.sqrt(np.maximum(squares, 0)) @ Q.T  # root @ root = M
        z = np.tile(root @ normal, k + 1)  # (k, 256) -> (k, cases)
        P = np.outer(w, ones) + b[:, None] + z
        hinges = np.maximum(P, 0)
        sums, f = P.mean(axis=0) + (k - 1) / 2, v @ hinges + c  # (k, cases) -> (cases,)
        sum_right, f_right = np.clip(np.rint(sums), 0, k) == s, (f > iis.KINK) == (target > 0)
        state = w, b, v, c, M, share @ sum_right, share @ f_right
        for values, value in zip(course.values(), state):
            values.append(value)
        # backward: delta is the gradient of an example's loss by P; dP and df add up all examples'
        sum_error, f_error = sums - s, f - target
        dP, df, noise = np.zeros_like(P), np.zeros_like(f), np.zeros((k, k))
        for weight, has_sum, has_parity in kinds[supervision]:
            delta = has_sum * sum_error + has_parity * f_error * v[:, None] * (P > iis.KINK)
            dP += weight * share * delta
            df += weight * share * has_parity * f_error
            noise += weight * share * delta @ delta.T  # E[δ δᵀ]: (k, cases) (cases, k) -> (k, k)
        # one step of descent; a batch's mean gradient on another bit has covariance noise / batch.
        # What differs within the support walks too: n - k other bits and k - 1 such directions
        drift = dP @ z.T  # E[δ zᵀ]
        w, b = w - lr * dP @ ones / k, b - lr * dP.sum(axis=1)
        v, c = v - ratio * lr * hinges @ df, c - ratio * lr * df.sum()
        M = M - lr * (drift + drift.T) + lr**2 * (n - 1) / batch * noise
    return {name: np.array(values) for name, values in course.items()}


@shows("The theory predicts, without training, when each answer is learned",
       "Bilinear network, 5 hidden bits out of 50, 20 % ask the sum, batches of 64. "
       "Thin: training, {} seeds", 10, 0.1)
def theory(seeds):
    runs = train_cases({"trained": {}}, seeds, network=iis.Bilinear(), every=1280)["trained"]
    examples = np.arange(0, max(run.examples for run in runs), 64)
    predicted, chance = recursion(steps=len(examples) - 1), 25_000
    learned = first(predicted["parity"], examples)
    print(f"predicted {in_words(learned)}")
    figure, axis = plt.subplots()
    for i, (task, begin, place) in enumerate((("parity", chance, 86), ("sum", 0, 103))):
        draw_runs(axis, runs, task, (shade(i, 3), 0.3), linewidth=1)
        later = examples >= begin
        axis.plot(examples[later], 100 * predicted[task][later], color=shade(i, 3), linewidth=4)
        axis.text(55_000, place, f"{task}, predicted", color=shade(i, 3), weight="bold")
    axis.axvspan(0, chance, color="0.92", linewidth=0, zorder=0)
    axis.text(1.05 * chance, 30, "until here, chance decides\nhow the parity is answered")
    axis.axvline(learned, color="0.3", linestyle="--")
    axis.text(learned, 60, "predicted:  \nparity learned  ", ha="right")
    axis.set_ylim(0, 110)
    return figure


@shows("With the noise of batches in it, the theory errs by a few percent",
       "Bilinear network, parity of 5 bits. A dot: the median of {} seeds at one of 18 settings, "
       "batches of 16 to 1,024, 20 to 400 bits, 7 % to 90 % sums; bars: medians of those", 10, 1)
def noise(seeds):
    usual = {"n": 50, "batch": 64, "p": 0.2}
    series = {"batch": (16, 32, 64, 128, 256, 1024), "n": (20, 50, 100, 200, 400),
              "p": (0.07, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)}
    cases = {(name, x): usual | {name: x} for name, values in series.items() for x in values}
    trained = {key: dict(problem=iis.ParitySum(case["n"]), p=case["p"], batch=case["batch"],
                         every=10 * case["batch"]) for key, case in cases.items()}
    runs = train_cases(trained, seeds, network=iis.Bilinear(), examples=4_000_000)
    needed = examples_needed(runs)
    groups = {}
    for words, more in (("without the noise of batches", {"batch": None}), ("with it", {})):
        groups["", f"prediction {words}"] = errors = []
        for key, case in cases.items():
            lr, _ = iis.Bilinear.rates(case["n"], 5, case["batch"])
            measured = np.median(needed[key])
            steps = int(1.5 * min(measured, 4_000_000) / case["batch"])
            right = recursion(**case | more, steps=steps, lr=lr)["parity"]
            predicted = first(right, itertools.count(0, case["batch"]))
            errors.append(100 * measured / predicted - 100)
            print(*key, f"predicted {in_words(predicted)} {words}: {errors[-1]:+.1f} %", flush=True)
    figure = chart(groups, ylabel="examples that training takes\nmore than predicted (%)")
    figure.axes[0].axhline(0, color="0.3", linewidth=1, zorder=0)
    return figure


@dataclass
class Noisy(iis.Bilinear):
    """Bilinear with normal noise added to its start."""
    spread: float = 0.0  # its standard deviation

    def init(self, problem, rng, dtype=np.float32):
        super().init(problem, rng, dtype)
        for array in (self.params["W"], self.params["v"]):
            array += self.spread * rng.standard_normal(array.shape)


@shows("The bilinear network bears a little noise at its start, but not much",
       "5 of 50 bits hidden, 20 % ask the sum. Without noise, the bits' weights and v start at 0, "
       "the biases at 2.5 to -1.5. Dots: {} seeds; line: medians", 10, 0.2)
def start(seeds):
    spreads, budget = (0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3), 4_000_000
    cases = {("", x): {"network": Noisy(x)} for x in spreads}
    needed = examples_needed(train_cases(cases, seeds, examples=budget))
    return chart(needed, budget, joined=True, places=(0, 0.1, 0.2, 0.3),
                 xlabel="noise added to the weights at the start (standard deviation)")


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


def right_on_new(problem, run):
    """How many of 10,000 examples of new pictures get the right parity, in percent."""
    inputs, labels = problem.sample(np.random.default_rng(0), 10_000, new=True)
    return 100 * (run.network.predict(inputs) == labels)[:, 1].mean()


@shows("On pictures of digits, too, the sum helps a small network",
       "Small: mlp of 128 units, 400,000 examples. Large: 512 units, 800,000 examples, rate 0.0005 "
       "and batches of 256. Dots: {} seeds, tested on new pictures; bars: medians", 5, 4)
def digits(seeds):
    slow = dict(network=iis.MLP(512), lr=0.0005, batch=256, examples=800_000)
    sizes = {"small network": dict(examples=400_000), "large network, slowly": slow}
    kinds = {"parity alone": ALONE, "20 % ask the sum": HELPED}
    cases = {(words, size): kinds[words] | sizes[size] for size in sizes for words in kinds}
    problem = Digits()
    runs = train_cases(cases, seeds, stored=False, problem=problem, stop_when_solved=False)
    right = {key: [right_on_new(replace(problem, seed=seed), run) for seed, run in enumerate(same)]
             for key, same in runs.items()}
    print(f"parity of new pictures right in the end, median of {seeds} seeds")
    for key, numbers in right.items():
        print(f"{np.median(numbers):5.1f} % ({min(numbers):.1f}-{max(numbers):.1f})", *key)
    figure, (pictures, results) = plt.subplots(1, 2, width_ratios=[2, 3])
    inputs, [[ones, _]] = problem.sample(np.random.default_rng(6), 1, new=True)
    points = np.pad(inputs.reshape(4, 4, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    pictures.imshow(points.transpose(0, 2, 1, 3).reshape(40, 40), cmap="Greys")  # 4 in a row
    for position in problem.support:
        row, column = divmod(position, 4)
        pictures.add_patch(plt.Rectangle((10 * column - 0.5, 10 * row - 0.5), 10, 10, fill=False,
                                         color=shade(1, 3), linewidth=5))
    pictures.set_axis_off()
    pictures.set_title(f"Is the number of 1s in frames\nodd? Here, it is {ones}")
    draw_groups(results, right)
    results.axhline(50, color="0.3", linewidth=1)
    results.text(0.5, 52, "chance", ha="center")
    results.set(ylabel="parity of new pictures right in the end (%)", ylim=(40, 102))
    results.legend(loc="center left")
    return figure


@shows("A transformer, too, learns parity sooner with the sum's help",
       "Transformer of 2 layers, 5 hidden bits out of 20. Dots: {} seeds; bars: medians", 5, 1)
def transformer(seeds):
    cases = {("", "parity alone"): ALONE, ("", "20 % ask the sum"): HELPED,
             ("", "both labels"): BOTH}
    runs = train_cases(cases, seeds, examples=200_000, problem=iis.ParitySum(20),
                           network=iis.Transformer(layers=2, heads=4))
    return chart(examples_needed(runs), 200_000)


def draw_hops(usual, seeds):
    """Examples until each task of a sequence problem is learned, under each supervision."""
    tasks, groups = usual["problem"].tasks, {}
    kinds = {"all labels": BOTH, "one label": HELPED, f"{tasks[-1]} alone": ALONE}
    runs = train_cases(kinds, seeds, **usual)
    for words, place in itertools.product(kinds, range(len(tasks))):
        task = tasks[place]
        if kinds[words] != ALONE or task == tasks[-1]:
            curves = [[record["accuracy"][task] for record in run.history] for run in runs[words]]
            end = np.median([100 * right[-1] for right in curves])
            print(f"{words}: {task} {end:.1f} % right in the end")
            groups[words, place] = np.array([
                first(right, [record["examples"] for record in run.history])
                for right, run in zip(curves, runs[words])])
    figure = chart(groups, usual["examples"], joined=True, ylabel="examples until 99 % right")
    write_ticks(figure.axes[0].xaxis, range(len(tasks)), tasks)
    return figure


@shows("Reasoning in 5 hops is learned hop after hop; the last alone is not",
       "Transformer, 4 layers. One label: 80 % ask an earlier hop. Dots: {} seeds; lines: medians",
       5, 2.5)
def lego(seeds):
    return draw_hops(LEGO, seeds)


@shows("Programs of 4 lines are learned line by line; the last alone is not",
       "Transformer, 6 layers. One label: 50 % ask an earlier line. Dots: {} seeds; lines: medians",
       3, 2)
def code(seeds):
    return draw_hops(CODE, seeds)


# --------------------------------------------------------------------------------------------------
# Film and explorer

def odd_by_sum(problem, run):
    """How many of a hundred examples are called odd, for each sum of the hidden bits."""
    sums, rng = np.repeat(np.arange(problem.k + 1), 100), np.random.default_rng(0)
    bits = rng.integers(0, 2, (len(sums), problem.n), dtype=np.uint8)
    bits[:, problem.support] = rng.permuted(np.arange(problem.k) < sums[:, None], axis=1)
    return run.network.predict(bits)[:, 1].reshape(-1, 100).sum(axis=1)


def train_and_watch(settings, snapshots, go_on=lambda: True):
    """Train while go_on(); append to snapshots, at every test, the Run as it is; return the end."""
    def watch(run):
        W = abs(run.network.params["W"])  # (k, n + 1) if bilinear, else (n, width)
        run.history[-1]["note"] = (W if bilinear else W.T)[:, : problem.n], odd_by_sum(problem, run)
        snapshots.append(replace(run, history=run.history[:]))  # training goes on with its own
        snapshots[-1].tasks = iis.tasks_trained(settings)
        if not go_on():
            raise InterruptedError
    problem, bilinear = settings["problem"], settings["network"].name == "bilinear"
    try:
        run = iis.train(**settings | {"network": replace(settings["network"])}, report=watch)
    except (iis.Diverged, InterruptedError) as error:
        return str(error)
    return f"parity {'' if run.solved_at else 'not '}learned after {run.examples:,} examples"


def draw_snapshot(axes, hidden, until, run, others=()):
    """Draw a Run as it then was, ▲ at hidden bits, and others' curves: a Run, a name, a style."""
    for axis in axes:
        axis.clear()
        axis.tick_params(labelsize=plt.rcParams["font.size"], grid_alpha=0.25)  # of later ticks too
    accuracy, weights, zigzag = axes
    accuracy.axhline(50, color="0.8", label="chance")
    for each, name, style in (run, "", {}), *others:
        examples = [record["examples"] for record in each.history]
        for task, color, dash in (("parity", shade(0, 3), "-"), ("sum", shade(1, 3), ":")):
            if task in each.tasks:
                right = [100 * record["accuracy"][task] for record in each.history]
                look = {"color": color, "linestyle": dash, "label": name + task} | style
                accuracy.plot(examples, right, **look)
    accuracy.set(xlim=(0, max(until, accuracy.dataLim.x1)), ylim=(0, 103), ylabel=RIGHT,
                 xlabel="examples seen")
    write_counts(accuracy.xaxis)
    accuracy.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    sizes, odd = run.history[-1]["note"]
    weights.imshow(sizes, aspect="auto", cmap="magma", vmin=0, vmax=0.7, interpolation="nearest")
    weights.set(title=f"size of weights\nafter {run.examples:,} examples", yticks=[], xticks=hidden,
                xticklabels="▲" * len(hidden), xlabel="bits", ylabel="units")
    weights.tick_params(length=0, grid_alpha=0)
    zigzag.plot(np.arange(len(odd)) % 2 * 100, color="0.8", linewidth=6)
    zigzag.plot(odd, "o-", color=shade(0, 3))
    zigzag.set(ylim=(-5, 105), xticks=range(len(odd)), xlabel="sum of the hidden bits",
               ylabel="called odd (%)", title="parity by sum\n(grey: truth)")


@shows("Hidden bits light up first, then parity follows",
       "mlp of width 32, 5 hidden bits out of 50 (▲), 20 % ask the sum, one seed", 1, 0.2)
def film(seeds):
    snapshots, problem = [], iis.ParitySum()
    train_and_watch(dict(problem=problem, network=iis.MLP(32), supervision="multi-task",
                         every=6400), snapshots)
    figure, axes = plt.subplots(1, 3, figsize=(12.8, 6), dpi=65, width_ratios=(4, 4, 3))

    @plt.style.context(SLIDE)
    def frame(run):
        draw_snapshot(axes, problem.support, snapshots[-1].examples, run)

    figure.film = FuncAnimation(figure, frame, snapshots + snapshots[-1:] * 10, interval=150)
    return figure


def set_range(slider, low, high):
    """Let a slider go from low to high, with room at both ends: clicks just beyond them count."""
    slider.valmin, slider.valmax = low, high
    slider.ax.set_xlim(1.04 * low - 0.04 * high, 1.04 * high - 0.04 * low)
    slider.track.set(transform=slider.ax.get_xaxis_transform(), x=low, width=high - low)


class Explorer:
    """Each change trains anew, and so does "again"; "play" replays. run is the run shown."""
    open, drawn, pressed, run, before, short = None, None, None, None, (), False
    wait = 0.03  # seconds between two tests: a whole run would take a third of one

    @plt.style.context(STYLE)
    def __init__(self):
        if "inline" in plt.get_backend():
            print("The explorer needs a live figure: pip install ipympl, then %matplotlib widget")
            return
        if Explorer.open:
            Explorer.open.close()
            plt.close(Explorer.open.figure)
        Explorer.open, self.changed, self.visible = self, threading.Event(), threading.Event()
        self.figure = plt.figure(figsize=(12, 5.9), dpi=104, layout="none", label="iis explore")
        listen = self.figure.canvas.mpl_connect
        listen("button_press_event", self.press)  # before any slider hears of it
        listen("close_event", self.close)
        self.add_widgets()
        listen("draw_event", lambda _: self.visible.set())  # in a browser, once the page is open
        self.change()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()
        atexit.register(self.close)
        self.timer = self.figure.canvas.new_timer(100, [(self.draw, (), {})])
        self.timer.start()

    def add_widgets(self):
        add, look = self.figure.add_axes, {"initcolor": "none", "color": "0.5"}
        self.axes = [add((x, 0.42, w, 0.4)) for x, w in ((0.06, 0.3), (0.41, 0.3), (0.78, 0.2))]
        self.sliders, self.buttons = {}, {}
        for i, (name, label, low, high, start, step) in enumerate((
                ("p", "p, share of sums", 0, 1, 0.2, 0.01), ("n", "n, bits", 10, 200, 50, 1),
                ("k", "k, hidden bits", 1, 10, 5, 1), ("width", "width of mlp", 2, 512, 128, 2))):
            place = add((0.14, 0.24 - 0.06 * i, 0.19, 0.05))
            slider = Slider(place, label, low, high, valinit=start, valstep=step, **look)
            set_range(slider, low, high)
            slider.on_changed(self.change)
            self.sliders[name] = slider
        for left, name, labels in ((0.41, "network", ("bilinear", "mlp")),
                                   (0.56, "supervision", iis.SUPERVISIONS)):
            axis = add((left, 0.01, 0.14, 0.19), title=name, frame_on=False)
            self.buttons[name] = RadioButtons(axis, labels, active=1, activecolor="0.3")
            self.buttons[name].on_clicked(self.change)
        self.play = Button(add((0.41, 0.26, 0.06, 0.05)), "play")
        self.play.on_clicked(self.pause)
        self.again = Button(add((0.48, 0.26, 0.1, 0.05)), "again")
        self.again.on_clicked(self.repeat)
        self.time = Slider(add((0.62, 0.26, 0.25, 0.05)), "time", 0, 1, valfmt="%d examples",
                           **look)
        self.time.on_changed(self.write_time)
        place = add((0.76, 0.06, 0.2, 0.09), frame_on=False)
        self.reveal = CheckButtons(place, ["reveal hidden bits"])
        for widget in (*self.sliders.values(), *self.buttons.values(), self.play, self.again,
                       self.time, self.reveal):
            widget.ax.spines[:].set_visible(False)
            widget.drawon = False  # draw does it, once for many changes

    def press(self, event):
        """The mouse goes down: remember what is shown; pause, if time is to be moved."""
        self.pressed = self.drawn
        if event.inaxes is self.time.ax:
            self.pace = 0

    def pause(self, _):
        self.pace = not self.pace  # which is 0 or 1
        if self.pace and self.time.val == self.time.valmax:
            self.time.set_val(0)

    def write_time(self, frame):
        examples = (round(frame) + 1) * self.latest.settings["every"]
        self.time.valtext.set_text(f"{examples:,} examples")

    def repeat(self, _):
        """Train the same again; on five times as many examples, if it has not learned."""
        examples = self.latest.settings["examples"]
        self.change(examples=5 * examples if self.short else examples)

    def change(self, _=None, examples=400_000):
        value = {name: slider.val for name, slider in self.sliders.items()}
        network, supervision = [radio.value_selected for radio in self.buttons.values()]
        useful = {"p": supervision == "multi-task", "n": True, "k": True, "width": network == "mlp"}
        for name, slider in self.sliders.items():
            slider.set_active(useful[name])
            slider.ax.set_visible(useful[name])
        words = [network, supervision, *(f"{x} = {value[x]:g}" for x in value if useful[x])]
        if self.pressed and self.pressed.words != words:
            name = ", ".join(["before", *(x for x in self.pressed.words if x not in words)]) + ": "
            self.before = [(self.pressed.snapshots[-1], name, {"color": "0.65", "zorder": 1})]
        settings = dict(problem=iis.ParitySum(value["n"], value["k"]), supervision=supervision,
                        network=iis.MLP(value["width"]) if network == "mlp" else iis.Bilinear(),
                        p=value["p"], examples=examples, every=examples // 250)
        self.latest = SimpleNamespace(words=words, settings=settings, snapshots=[], control=[],
                                      end="")
        self.pace, self.shown = np.inf, None  # to the newest moment
        self.changed.set()

    def work(self):
        """Train what is wanted last, and its control beside it, over and over: the thread."""
        def go_on():
            time.sleep(self.wait)
            behind = len(latest.control) < len(latest.snapshots)
            return latest is self.latest and (not latest.end or behind)
        self.visible.wait()
        while self.latest:  # there is none when closed
            self.changed.wait()
            self.changed.clear()
            latest = self.latest  # after clearing: a change from now on sets it again
            if latest and not latest.end:  # else it was read already, just before clearing
                alone = latest.settings | {"supervision": "target"}
                control = threading.Thread(target=train_and_watch,
                                           args=(alone, latest.control, go_on))
                if latest.settings != alone:  # which is its own control
                    control.start()
                latest.end = train_and_watch(latest.settings, latest.snapshots, go_on)
                if latest.settings != alone:
                    control.join()

    def close(self, _=None):
        """End the timer and the thread: Python must not exit in the midst of a kernel."""
        self.timer.stop()
        self.latest = None
        self.visible.set()
        self.changed.set()
        self.thread.join()

    def draw(self):
        """Draw what is new. The timer calls this, and no other thread draws."""
        latest, reveal = self.latest, self.reveal.get_status()[0]
        if latest is None:  # closed
            return
        end, snapshots = latest.end, latest.snapshots[:]  # in this order: once it ended, all
        last = len(snapshots) - 1
        frame = round(min(self.time.val + self.pace, last))
        self.pace = 0 if end and frame == last else self.pace
        dpi = int(max(20, min(self.figure.bbox.size / (12, 5.9))))
        state = dpi, frame, last, len(latest.control), end, self.pace, reveal
        if state == self.shown:
            return
        self.shown = state
        if dpi != self.figure.dpi:  # all is scaled with the window, text too
            self.figure.set_size_inches(self.figure.bbox.size / dpi, forward=False)
            self.figure.set_dpi(dpi)
        self.figure.suptitle(f"{', '.join(latest.words)}: {end or 'training ...'}")
        self.play.label.set_text("pause" if self.pace else "play")
        if snapshots:
            self.drawn, self.run = latest, snapshots[-1]
            self.short = bool(end) and not self.run.solved_at
            self.again.label.set_text("again, longer" if self.short else "again")
            set_range(self.time, 0, max(1, last))
            self.time.set_val(frame)
            hidden = latest.settings["problem"].support if reveal else []
            others = [*self.before]
            if latest.control:
                others += [(latest.control[: frame + 1][-1], "control: ", {"linestyle": "--"})]
            with plt.style.context(STYLE):
                draw_snapshot(self.axes, hidden, self.run.examples, snapshots[frame], others)
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


def in_jax(network, bits, labels, batch):
    """The mlp's training in JAX, all the steps compiled into one."""
    import jax
    from jax import numpy as jnp
    from jax.example_libraries.optimizers import adam

    begin, update, params_of = adam(0.002)
    batches = [jnp.array(array.reshape(-1, batch, array.shape[1])) for array in (bits, labels)]

    def loss(params, bits, labels):  # a label of -1 costs nothing: its one_hot is 0
        hidden = jnp.maximum((2 * bits.astype(jnp.float32) - 1) @ params["W"] + params["b"], 0)
        scores = hidden @ params["V"].T + params["c"]
        scores = jnp.split(scores, np.cumsum(network.classes)[:-1], axis=1)
        told = [jax.nn.log_softmax(z) * jax.nn.one_hot(y, z.shape[1])
                for z, y in zip(scores, labels.T)]
        return -sum(logs.sum() for logs in told) / batch

    def step(state, examples):
        count, memory = state
        gradient = jax.grad(loss)(params_of(memory), *examples)
        return (count + 1, update(count, gradient, memory)), None

    state = jnp.int32(0), begin(jax.tree.map(jnp.array, network.params))
    scan = jax.jit(lambda *given: jax.lax.scan(step, *given)[0], donate_argnums=0)

    def train():
        nonlocal state
        state = jax.block_until_ready(scan(state, batches))

    return train


def competitors(problem, network, batch):
    """What is timed: {name: (function, its steps)}. Only iis.train draws examples, and tests."""
    rng, steps = np.random.default_rng(0), 100
    network.init(problem, rng)
    inputs, labels = problem.sample(rng, steps * batch)
    examples = inputs, iis.supervise(labels, rng, "multi-task", 0.2), batch
    timed = {f"iis.{type(network).__name__}": (partial(network.descend, *examples), steps)}
    if network.name == "mlp":
        plain = iis.NumpyMLP(network.width)
        plain.init(problem, rng)
        whole = partial(iis.train, problem, replace(network), examples=400_000, batch=batch,
                        stop_when_solved=False)
        timed |= {"iis.train, all included": (whole, 400_000 / batch),
                  "its two products alone": (products(network, batch), 1),
                  "plain NumPy": (partial(plain.descend, *examples), steps)}
        with contextlib.suppress(ImportError):  # unless it is installed
            import jax
            timed[f"JAX {jax.__version__}"] = in_jax(network, *examples), steps
    return timed


def one_core():
    """Keep this thread, and those that it starts, on one core: a context."""
    after = contextlib.ExitStack()
    after.enter_context(iis.one_blas_thread())
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
    """Microseconds of a step, {name: one for each round}. In turn: a slow moment hits all alike."""
    timed = competitors(problem, network, batch)
    times = {name: [] for name in timed}
    for _ in range(1 + rounds):
        for name, (train, steps) in timed.items():
            train()  # compiles, and brings into the caches what it needs
            calls, began = 0, time.perf_counter()
            while time.perf_counter() < began + 0.15:
                train()
                calls += 1
            times[name].append(1e6 * (time.perf_counter() - began) / calls / steps)
    words = ", ".join(f"{name} {np.median(times[name][1:]):,.1f}" for name in times)
    line = f"{problem}, {network}, batch {batch}: {words}"
    print(textwrap.fill(line, 80, subsequent_indent="    "), flush=True)
    return {name: times[name][1:] for name in times}


@shows("Compiled, a training step takes a fraction of plain NumPy's time",
       "mlp of width 128, 50 bits, batches of 64, one core. Dots: {} rounds; bars: medians", 5, 0.5)
def speed(rounds):
    with one_core():
        print(f"{processor()}, one core\nNumPy {np.__version__}, Numba {iis.numba.__version__}: "
              f"microseconds of a step, median of {rounds}")
        times = race(rounds, iis.ParitySum(), iis.MLP(), 64)
        race(rounds, iis.ParitySum(), iis.MLP(), 256)
        for case in (LEGO, CODE):
            race(rounds, case["problem"], replace(case["network"]), 64)  # trains a copy
    figure, axis = plt.subplots()
    names = sorted(times, key=lambda name: np.median(times[name]))
    for row, name in enumerate(names):
        median = np.median(times[name])
        axis.barh(row, median, color=shade(2, 4), height=0.6)
        axis.plot(times[name], [row] * rounds, "o", color=shade(0, 4))
        axis.annotate(f"{median:.0f} µs", (max(times[name]), row), (12, 0), va="center",
                      textcoords="offset points", weight="bold")
    write_ticks(axis.yaxis, range(len(names)), names)
    axis.set_xlabel("time of a training step (µs)")
    return figure


# --------------------------------------------------------------------------------------------------
# The command line

def arguments():
    """Read the command line. Raises ValueError, OSError, ImportError for what cannot be done."""
    names = [*FIGURES, "explore"]
    times = ", ".join(f"{name} {MINUTES[name]:g}" for name in FIGURES)
    parser = argparse.ArgumentParser(
        description="Draw figures about iis.py: those that are named, or all.",
        epilog=f"figures, and their minutes on two cores: {times}; all {sum(MINUTES.values()):.0f}")
    parser.error = lambda message: parser.exit(2, f"plots.py: {message}\n")
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME",
        help="of a figure, see below; or explore alone: a window to play with")
    add("--seeds", type=int, help="seeds, or rounds of speed (3, 5 or 10)")
    add("--folder", type=Path, default=Path("figures"), help="where to save them (figures)")
    add("--jobs", type=int, help="so many runs at a time (one for each core)")
    add("--store", metavar="FILE", help="keep finished runs there; do only those missing")
    add("--port", type=int, help="explore in a browser, at this port (8988), not in a window")
    add("--cluster", metavar="ADDRESS", help="dask's scheduler to run on, tcp://HOST:PORT")
    args = parser.parse_args()
    for name in args.names:
        if name not in names:
            [nearest] = difflib.get_close_matches(name, names, n=1, cutoff=0)
            parser.error(f"there is no figure {name}: did you mean {nearest}?")
    if "explore" in args.names and len(args.names) > 1:
        parser.error("explore is no figure: call it alone")
    args.seeds = () if args.seeds is None else [iis.check_number("seeds", args.seeds, 1)]
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
        port = iis.check_number("port", port or 8988, 1024, 65535)
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
def save_figures(names, folder, seeds):
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
        if args.names == ["explore"]:
            return explore(args.port)
        args.folder.mkdir(parents=True, exist_ok=True)
        return save_figures(args.names or FIGURES, args.folder, args.seeds)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"plots.py: {error}")
    except KeyboardInterrupt:
        sys.exit("plots.py: interrupted")


if __name__ == "__main__":
    sys.exit(main())
