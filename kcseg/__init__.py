"""kcseg finds the renal cortex in coronal CT with an ensemble of seven U-Nets, and measures it.

An example, on a simulated image:

    import kcseg
    kcseg.simulate_challenge("challenge", kcseg.SimulationConfig(train=(1,), test=1))
    image = kcseg.read_image("challenge/test/images/0001.npy")
    result = kcseg.segment_image(image)
    print(result.cortex.sum(), "mm² of cortex")
    result.save("cortex.png")

Segment: `segment_image`, `ImageResult`; `predict_files`, `list_images`; `Ensemble` (`load` from a folder, `connect` to
a server), `Segmentation`; the weights that come with kcseg: `shipped_weights`, `load_bundle`.
Read: `read_image`, `read_mask`, `Image`, `Mask`, `resample`, `window`, `InputError`.
Scans: `read_scan`, `Scan`, `segment_scan`, `ScanResult`.
Data sets: `simulate_challenge`, `training_batch`, `read_batch`, `read_truth`, `Batch`.
Settings: `Config` and its parts, the presets `PAPER`, `QUICK`, `THOROUGH`, `SHIPPED`.
Train: `run_challenge` does all; `open_run`, `load_run`, `train_members`, `read_history`, `export_run` are its steps.
Score and look: `dice`, `evaluate`, `Known`, `overlay`, `against_reference`, `segmentation_figure`,
`disagreement_figure`, `training_figure`.
Serve: `Server`. The networks: `build_unet`, `keep_largest_component`.

Each is imported when it is first used, so that `import kcseg` takes no time.
"""

import os

import lazy_loader

# TensorFlow leaves oneDNN's kernels out on processors without AVX-512, though a training step takes half the time with
# them; it looks here when it is imported
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.2.0.dev0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
