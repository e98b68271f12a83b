# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""ModelArts jobs: inputs copied in before, outputs copied out after, by ModelArts' `moxing`."""

import contextlib
from collections.abc import Iterator

from src.model_utils.errors import UserError
from src.model_utils.parameters import Config


@contextlib.contextmanager
def job(config: Config, data_parameter: str, output_parameter: str) -> Iterator[Config]:
    """Surrounds a program's work; outside ModelArts (`enable_modelarts` false) it does nothing.

    `data_url` is copied to `data_path` and `checkpoint_url` to `load_path` before, `output_path` to
    `train_url` after, also when the work fails.

    Args:
        config: the configuration.
        data_parameter: the parameter that takes `data_path`, such as mindrecord_dir.
        output_parameter: the parameter that takes `output_path`, such as save_checkpoint_path.

    Yields:
        The configuration with those parameters set.
    """
    if not config.enable_modelarts:
        yield config
        return
    try:
        import moxing
    except ImportError:
        raise UserError(
            "enable_modelarts is true but the package moxing is not here; it comes with ModelArts, "
            "elsewhere leave enable_modelarts false."
        ) from None
    for url, path in (
        (config.data_url, config.data_path),
        (config.checkpoint_url, config.load_path),
    ):
        if url:
            print(f"ModelArts: copying {url} to {path}", flush=True)
            moxing.file.copy_parallel(url, path)
    changes = {data_parameter: config.data_path, output_parameter: config.output_path}
    try:
        yield config.model_copy(update=changes)
    finally:
        if config.train_url:
            print(f"ModelArts: copying {config.output_path} to {config.train_url}", flush=True)
            moxing.file.copy_parallel(config.output_path, config.train_url)
