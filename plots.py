"""Figures about iis.py. `python plots.py mixture` draws one into the folder figures/ and says where."""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import iis

plt.rcParams.update({
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
})


def run_all(configs, key):
    """Train all configurations, showing progress; return {key(config): [Run per seed]}."""
    runs = defaultdict(list)
    for done, (config, run) in enumerate(iis.sweep(configs), 1):
        runs[key(config)].append(run)
        if sys.stderr.isatty():
            print(f"\r{done} of {len(configs)} runs", end="\n" * (done == len(configs)), file=sys.stderr)
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
            for p in shares for network in iis.NETWORKS for seed in range(seeds)
        ],
        lambda config: (config["network"], config["p"]),
    )
    figure, axes = plt.subplots(2, 3, figsize=(11, 6), width_ratios=[1, 1, 1.1])
    colours = plt.cm.viridis(np.linspace(0, 0.92, len(shares)))
    for row, network in zip(axes, iis.NETWORKS):
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
    figure.suptitle(f"Parity of 5 hidden bits out of 50, mixed with their sum. {seeds} seeds: median and range, or a dot each")
    return figure


FIGURES = (mixture,)


def main():
    parser = argparse.ArgumentParser(description="Draw figures about iis.py.")
    names = [figure.__name__ for figure in FIGURES]
    parser.add_argument("name", choices=names, help="which figure: " + ", ".join(names))
    parser.add_argument("--seeds", type=int, default=5, help="seeds per setting (5)")
    parser.add_argument("--folder", type=Path, default=Path("figures"), help="where to save it (figures)")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    path = args.folder / f"{args.name}.png"
    dict(zip(names, FIGURES))[args.name](args.seeds).savefig(path)
    print(path)


if __name__ == "__main__":
    main()
