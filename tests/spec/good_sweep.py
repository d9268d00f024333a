"""A sweep without a mistake, which tests change."""

GOOD = """\
name: demo
base:
  model: cvae
  data: digits
  iterations: 10
  batch_size: 16
  samples_per_class: 5
  metrics: [inception_score]
seeds: [0, 1]
variants:
  a: {}
  b: {model: {width: 0.5}}
"""
