"""Every generator of `sweeps/digits.yaml` learns what it is asked for: floors for one seed each.

Chance is 10 %. A floor is about four standard deviations below the mean of the published
seeds, so it catches a method that has stopped working, not one that has become a little worse. The
ablation that breaks sampling is held to half as much again as chance.
"""

import csv

import pytest

FLOORS = {
    "cvae": 70,
    "cvae_gan": 83,
    "cvae_gan_bao": 91,
    "cgan": 93,
    "cgan strong": 96,
    "cgan strong, truncated": 97,
    "csvae": 82,
    "csvae, fixed prior": 61,
    "ccvae": 91,
    "ccvae, linear head": 77,
    "flow_matching": 97,
    "lr_livae": 66,
    "lr_livae, moments": 95,
    "lr_livae, class means": 95,
    "lr_livae, variances at their rate": 76,
    "lr_livae, variances at 1e-2": 78,
    "lr_livae, variances at 1e-2, likelihood 0.02": 88,
    "no latent adversary": 65,
    "no discriminator": 60,
    "softmax": 95,
    "one to one": 46,
    "fixed variances": 66,
    "one stage": 45,
    "no likelihood": 15,
    "no likelihood, moments": 95,
}


@pytest.mark.slow
def test_samples_are_classified_as_their_label(bench_process, here):
    measured = ("seeds=[0]", "base.metrics=[class_accuracy]", "compare=null", "--jobs", "2")
    process = bench_process("run", "digits", *measured)
    _, err = process.communicate()
    assert process.returncode == 0, err
    with (here / "results/digits/measurements.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "class_accuracy"]
    accuracies = {row["variant"]: float(row["value"]) for row in rows if row["seed"]}
    assert accuracies.keys() == FLOORS.keys()
    assert not {name: value for name, value in accuracies.items() if value < FLOORS[name]}
