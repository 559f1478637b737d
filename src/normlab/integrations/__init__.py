"""Probes in other people's training loops, and their numbers in other people's trackers.

    lightning       a callback for Lightning's Trainer
    hugging_face    a callback for the Trainer of transformers
    accelerate      a monitor for loops with Accelerate
    distributed     the batches of all processes as one, for models with SyncBatchNorm
    loggers         CSV, TensorBoard, MLflow, Weights & Biases

Each needs the package that it is named after, and is imported by its own name only.
"""
