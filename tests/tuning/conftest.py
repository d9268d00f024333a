"""A tuning file of seconds."""

import pytest

MINI = """\
name: mini
base:
  data: blobs
  iterations: 6
  batch_size: 16
  samples_per_class: 3
  model: {name: cvae, width: 0.25, latent: 4}
  metrics: [class_accuracy, within_class_variance]
seeds: [0, 3]
trials: 4
objectives: [class_accuracy, within_class_variance/pixels]
variants:
  cvae: {}
  cgan: {model: {name: cgan, width: 0.25, latent: 4}}
space:
  cgan:
    optimizers.default.rate: {low: 1e-4, high: 1e-2}
"""


@pytest.fixture
def write(here):
    """Write the file with some texts replaced; return its path."""

    def write(*changes):
        text = MINI
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = here / "mini.yaml"
        path.write_text(text)
        return path

    return write
