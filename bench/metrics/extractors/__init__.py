"""What sees images for metrics: classifiers, Inception, transformers, a user's network, pixels."""

EXTRACTORS = {
    "domain": "classifier that the harness trains on the real training images; the default",
    "inception": "the Inception network of FID, 2 048 features; weights: --inception-weights",
    "dinov2": "DINOv2 ViT-L/14 as in dgm-eval, 1 024 features; weights: --dinov2-weights",
    "clip": "CLIP ViT-L/14 at 336 pixels as in CMMD, 768 features; weights: --clip-weights",
    "pixels": "no network: the pixels themselves, in [0, 1]",
    "{path: FILE}": "a network of your own, by torch.export or TorchScript",
}
"""What the option `extractor` of metrics can be, and one line on each."""
