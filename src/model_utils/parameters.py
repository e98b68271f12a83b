# Copyright 2026 CenterNet for MindSpore authors. Licensed under the Apache License, Version 2.0.
"""The parameters of all programs: their names, types and bounds.

Their values, meanings and choices stand in default_config.yaml.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


def _not_zero(value: int) -> int:
    if value == 0:
        raise PydanticCustomError("zero", "should be at least 1, or -1")
    return value


# Numbers stay numbers in what follows: int32, and float32 with room for products.
_LARGEST_INT, _LARGEST, _SMALLEST = 2**31 - 1, 1e30, 1e-30
Count = Annotated[int, Field(ge=1, le=_LARGEST_INT)]
CountOrAll = Annotated[int, Field(ge=-1, le=_LARGEST_INT), AfterValidator(_not_zero)]
Index = Annotated[int, Field(ge=0, le=_LARGEST_INT)]
NonNegative = Annotated[float, Field(ge=0, le=_LARGEST)]
Positive = Annotated[float, Field(ge=_SMALLEST, le=_LARGEST)]
# Of what memory is taken for: beyond these they are mistakes.
BatchSize = Annotated[int, Field(ge=1, le=65_536)]
Channels = Annotated[int, Field(ge=1, le=16_384)]
Entries = Annotated[int, Field(ge=1, le=100_000)]  # classes, objects of an image
Probability = Annotated[float, Field(ge=0, le=1)]
# What MindRecord takes as the beginning of a file name.
FileName = Annotated[str, Field(pattern=r"""^[^\s/\\:*?"<>|`&;'][^/\\:*?"<>|`&;']*$""")]
Triple = Annotated[
    list[Annotated[float, Field(ge=-1e6, le=1e6)]], Field(min_length=3, max_length=3)
]
# Beyond these bounds sizes and lengths are mistakes, and would end in numbers that overflow.
LARGEST_INPUT_SIDE = 8192
Resolution = Annotated[
    list[Annotated[int, Field(ge=32, le=LARGEST_INPUT_SIDE)]], Field(min_length=2, max_length=2)
]
Scale = Annotated[float, Field(ge=0.05, le=16)]
OutputResolution = Annotated[list[Count], Field(min_length=2, max_length=2)]


# MindSpore's dynamic loss scaling starts at 2^24 and ends at 1; here they are its bounds.
SMALLEST_LOSS_SCALE, LARGEST_LOSS_SCALE = 1.0, 2.0**24


class Section(BaseModel):
    """A group of parameters: unknown names and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DatasetConfig(Section):
    num_classes: Entries
    max_objs: Entries
    input_res_train: Resolution
    output_res: OutputResolution
    input_res_test: Resolution
    rand_crop: bool
    shift: Probability
    scale: Annotated[float, Field(ge=0, lt=1)]
    aug_rot: Probability
    rotate: Annotated[float, Field(ge=0, le=180)]
    flip_prop: Probability
    color_aug: bool
    coco_classes: list[str]
    mean: Triple
    std: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    eig_val: Triple
    eig_vec: Annotated[list[Triple], Field(min_length=3, max_length=3)]
    train_annotation: str
    train_images: str
    val_annotation: str
    val_images: str
    test_annotation: str
    test_images: str
    keep_empty_images: bool
    skip_crowd: bool
    other_classes: str
    turn_by_exif: bool
    take_damaged_jpegs: bool
    num_shards: Annotated[int, Field(ge=1, le=1000)]
    num_workers: Annotated[int, Field(ge=0, le=1024)]
    image_backend: str

    @model_validator(mode="after")
    def _check(self) -> "DatasetConfig":
        if len(self.coco_classes) != self.num_classes:
            raise ValueError(
                f"coco_classes names {len(self.coco_classes)} categories but num_classes is "
                f"{self.num_classes}; make them agree"
            )
        if len(set(self.coco_classes)) != len(self.coco_classes):
            raise ValueError("coco_classes names a category twice; list each once")
        return self


_STAGES = Field(min_length=1, max_length=8)


class NetConfig(Section):
    num_stacks: Annotated[int, Field(ge=1, le=1)]
    down_ratio: Count
    head_conv: Channels
    block: str
    block_class: Annotated[list[Annotated[int, Field(ge=1, le=200)]], _STAGES]
    stage_channels: Annotated[list[Channels], _STAGES]
    up_channels: Annotated[list[Channels], Field(max_length=8)]
    deformable: str
    stem_pool: str
    dense_hp: bool
    dense_wh: bool
    cat_spec_wh: bool
    reg_offset: bool
    hm_weight: NonNegative
    off_weight: NonNegative
    wh_weight: NonNegative
    mse_loss: bool
    reg_loss: str
    reg_norm: str

    @model_validator(mode="after")
    def _check(self) -> "NetConfig":
        if len(self.block_class) != len(self.stage_channels):
            raise ValueError(
                f"block_class has {len(self.block_class)} stages but stage_channels "
                f"{len(self.stage_channels)}; give both one number a stage"
            )
        stride = 2 ** (len(self.block_class) + 1 - len(self.up_channels))
        if stride != self.down_ratio:
            raise ValueError(
                f"{len(self.block_class)} ResNet stages and {len(self.up_channels)} up-sampling "
                f"stages give a down_ratio of {stride}, not {self.down_ratio}; change one of them"
            )
        if self.dense_wh and self.cat_spec_wh:
            raise ValueError("dense_wh and cat_spec_wh exclude each other; set one to false")
        return self


class AdamConfig(Section):
    weight_decay: NonNegative
    decay_filter: list[str]


class PolyDecayConfig(Section):
    learning_rate: Positive
    end_learning_rate: NonNegative
    power: Positive
    eps: Positive
    warmup_steps: Index


class MultiDecayConfig(Section):
    learning_rate: Positive
    eps: Positive
    warmup_steps: Index
    multi_epochs: Annotated[list[Count], Field(max_length=1000)]
    factor: Positive


class TrainConfig(Section):
    batch_size: BatchSize
    accumulate_steps: Count
    amp_level: str
    loss_scale: str
    loss_scale_value: Positive
    scale_window: Count
    clip_norm: NonNegative
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    max_bad_steps: Index
    optimizer: str
    lr_schedule: str
    scale_learning_rate: bool
    reference_batch_size: Count
    Adam: AdamConfig
    PolyDecay: PolyDecayConfig
    MultiDecay: MultiDecayConfig

    @model_validator(mode="after")
    def _check(self) -> "TrainConfig":
        is_bounded = SMALLEST_LOSS_SCALE <= self.loss_scale_value <= LARGEST_LOSS_SCALE
        if self.loss_scale == "dynamic" and not is_bounded:
            raise ValueError(
                f"train_config.loss_scale_value {self.loss_scale_value:g} is outside "
                f"{SMALLEST_LOSS_SCALE:g} to {LARGEST_LOSS_SCALE:g}, the bounds of a dynamic loss "
                "scale; choose one inside"
            )
        return self


class EvalConfig(Section):
    SOFT_NMS: bool
    keep_res: bool
    pad: Annotated[int, Field(ge=31, le=4095)]
    multi_scales: Annotated[list[Scale], Field(min_length=1, max_length=100)]
    flip_test: bool
    batch_size: BatchSize
    K: Count
    score_thresh: Probability
    num_images: CountOrAll
    coco_backend: str


class ExportConfig(Section):
    batch_size: BatchSize
    input_dtype: str
    deformable: str


class Config(Section):
    """Every parameter of the programs; the names are the ModelZoo document's."""

    enable_modelarts: bool
    data_url: str
    train_url: str
    checkpoint_url: str
    data_path: str
    output_path: str
    load_path: str

    device_target: str
    device_id: Index
    device_num: Count
    distribute: bool
    seed: Annotated[int, Field(ge=0, lt=2**32)]

    coco_data_dir: str
    mindrecord_dir: str
    mindrecord_prefix: FileName
    on_bad_record: str
    verify: bool

    need_profiler: bool
    profiler_path: str
    epoch_size: Annotated[Count, Field(le=100_000)]
    train_steps: Annotated[CountOrAll, Field(le=100_000_000)]
    do_shuffle: bool
    enable_lossscale: bool
    enable_data_sink: bool
    data_sink_steps: CountOrAll
    enable_save_ckpt: bool
    save_checkpoint_path: str
    load_checkpoint_path: str
    resume: str
    save_checkpoint_steps: Count
    save_checkpoint_num: Count
    eval_interval: Index
    enable_tensorboard: bool
    compile_cache_dir: str
    save_result_dir: str

    data_dir: str
    run_mode: str
    visual_image: bool
    enable_eval: bool

    input: str
    output: str
    load_mindir_path: str

    source: str
    to: str
    allow_missing: bool

    export_format: str
    export_load_ckpt: str
    export_name: str
    mindir_version: Index

    val_data_dir: str
    predict_dir: str
    input_format: str
    result_path: str
    result_json: str
    label_path: str
    meta_path: str
    save_path: str

    dataset_config: DatasetConfig
    net_config: NetConfig
    train_config: TrainConfig
    eval_config: EvalConfig
    export_config: ExportConfig

    @model_validator(mode="after")
    def _check(self) -> "Config":
        if self.compile_cache_dir and self.eval_interval > 0:
            raise ValueError(
                "compile_cache_dir keeps the graph of the training, and with eval_interval there "
                "are others; leave out one of them"
            )
        dataset, ratio = self.dataset_config, self.net_config.down_ratio
        if [side / ratio for side in dataset.input_res_train] != dataset.output_res:
            raise ValueError(
                f"dataset_config.output_res {dataset.output_res} is not input_res_train "
                f"{dataset.input_res_train} divided by net_config.down_ratio {ratio}; change one"
            )
        stride = 2 ** (len(self.net_config.block_class) + 1)
        if any(side % stride for side in dataset.input_res_train):
            raise ValueError(
                f"dataset_config.input_res_train {dataset.input_res_train} is no multiple of the "
                f"network's stride {stride}; choose sides that are"
            )
        evaluation = self.eval_config
        # Scale 1 is the exported model's, whatever keep_res is.
        for scale in [1.0] if evaluation.keep_res else [1.0, *evaluation.multi_scales]:
            height, width = (int(side * scale) for side in dataset.input_res_test)
            at = f"dataset_config.input_res_test {dataset.input_res_test} at scale {scale:g}"
            cells = dataset.num_classes * (height // ratio) * (width // ratio)
            if cells < evaluation.K:
                raise ValueError(
                    f"eval_config.K {evaluation.K} is more than the {cells} cells of the heat maps "
                    f"at {at}; lower it or leave that scale out of eval_config.multi_scales"
                )
            if max(height, width) > LARGEST_INPUT_SIDE:
                raise ValueError(
                    f"{at} has a side of more than {LARGEST_INPUT_SIDE} pixels; leave that scale "
                    "out of eval_config.multi_scales"
                )
        if evaluation.flip_test and not evaluation.keep_res:
            # Else the grid reaches beyond the input, and the mirrored one at the other end.
            for scale in evaluation.multi_scales:
                if any(int(side * scale) % stride for side in dataset.input_res_test):
                    raise ValueError(
                        f"eval_config.flip_test: dataset_config.input_res_test "
                        f"{dataset.input_res_test} at scale {scale} is no multiple of the "
                        f"network's stride {stride}; choose sides that are, or keep_res"
                    )
        return self
